//! awsJson: what is read, what is refused, and that reading undoes writing.

use longshore_base::Timestamp;
use longshore_wire::json::{DEPTH_MAX, from_slice, to_vec};
use longshore_wire::{Blob, Document, Shape};
use proptest::prelude::*;

/// Reads `json` as a `T`. Gives the value as `Debug` shows it, or the error.
fn read<T: Shape + std::fmt::Debug>(json: &str) -> String {
    match from_slice::<T>(json.as_bytes()) {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn integers() {
    assert_eq!(read::<i32>("2147483647"), "2147483647");
    assert_eq!(read::<i32>("-2147483648"), "-2147483648");
    assert_eq!(read::<i32>("2147483648"), "error: the number does not fit Integer");
    assert_eq!(read::<i32>("256.0"), "256");
    assert_eq!(read::<i32>("1e3"), "1000");
    assert_eq!(read::<i32>("1.5"), "error: a fraction can not be converted to Integer");
    assert_eq!(read::<i32>("\"1\""), "error: a string can not be converted to Integer");
    assert_eq!(read::<i32>("true"), "error: a boolean can not be converted to Integer");
    assert_eq!(read::<i64>("9223372036854775807"), "9223372036854775807");
    assert_eq!(read::<i64>("9223372036854775808"), "error: the number does not fit Long");
    assert_eq!(read::<i64>("1e400"), "error: the number does not fit Long");
    assert_eq!(read::<i64>("01"), "error: leading zero at byte 2");
    assert_eq!(read::<i64>("-"), "error: expected a digit at byte 1");
    assert_eq!(read::<i64>("1."), "error: expected a digit at byte 2");
}

#[test]
fn reals() {
    assert_eq!(read::<f64>("1.25e-2"), "0.0125");
    assert_eq!(read::<f64>("\"NaN\""), "NaN");
    assert_eq!(read::<f64>("\"-Infinity\""), "-inf");
    assert_eq!(read::<f64>("\"1\""), "error: a string can not be converted to Double");
    assert_eq!(read::<f64>("1e999"), "error: the number does not fit Double");
    assert_eq!(read::<f32>("1e39"), "error: the number does not fit Float");
}

#[test]
fn timestamps() {
    let check = |json: &str, millis: i64| {
        assert_eq!(from_slice::<Timestamp>(json.as_bytes()), Ok(Timestamp::from_millis(millis)), "{json}");
    };
    check("1517730923.303", 1_517_730_923_303);
    check("1517730923", 1_517_730_923_000);
    check("1.517730923303E9", 1_517_730_923_303);
    check("\"2018-02-04T07:55:23.303Z\"", 1_517_730_923_303);
    assert_eq!(read::<Timestamp>("\"yesterday\""), "error: not valid Timestamp");
    assert_eq!(read::<Timestamp>("1e300"), "error: the number does not fit Timestamp");
}

#[test]
fn strings() {
    assert_eq!(read::<String>(r#""a\"\\\/\b\f\n\r\t\u00e9""#), r#""a\"\\/\u{8}\u{c}\n\r\té""#);
    assert_eq!(read::<String>(r#""\ud83d\ude00""#), "\"😀\"");
    assert_eq!(read::<String>(r#""\ud83d""#), "error: half of a surrogate pair at byte 7");
    assert_eq!(read::<String>(r#""\ud83d\u0041""#), "error: half of a surrogate pair at byte 13");
    assert_eq!(read::<String>(r#""\udc00""#), "error: half of a surrogate pair at byte 7");
    assert_eq!(read::<String>(r#""\x""#), "error: unknown escape at byte 3");
    assert_eq!(read::<String>("\"\n\""), "error: control character in a string at byte 1");
    assert_eq!(read::<String>("\"open"), "error: unexpected end at byte 5");
    assert_eq!(read::<String>("1"), "error: a number can not be converted to String");
    assert_eq!(read::<Blob>("\"AAEC\""), "Blob(3 bytes)");
    assert_eq!(read::<Blob>("\"A\""), "error: not valid base64");
    assert!(from_slice::<String>(b"\"\xff\"").is_err());
}

#[test]
fn collections() {
    assert_eq!(read::<Vec<i32>>(" [ 1 , null , 2 ] "), "[1, 2]");
    assert_eq!(read::<Vec<i32>>("[]"), "[]");
    assert_eq!(read::<Vec<i32>>("[1,]"), "error: [1]: expected a value at byte 3");
    assert_eq!(read::<Vec<i32>>("[1 2]"), "error: expected a comma or the end of the collection at byte 3");
    assert_eq!(read::<Vec<i32>>("[1"), "error: unexpected end at byte 2");
    assert_eq!(read::<Vec<i32>>("{}"), "error: an object can not be converted to List");
    assert_eq!(read::<Vec<i32>>("[1]]"), "error: unexpected text after the value at byte 3");
    assert_eq!(
        read::<Vec<Vec<String>>>("[[],[\"a\",2]]"),
        "error: [1][1]: a number can not be converted to String"
    );
    assert_eq!(read::<std::collections::BTreeMap<String, i32>>("{\"a\":1,\"b\":null,\"a\":2}"), "{\"a\": 2}");
}

#[test]
fn an_empty_body_is_an_empty_object() {
    for body in ["", " \r\n\t", "{}", " { } "] {
        assert_eq!(read::<Document>(body), "Map({})", "{body:?}");
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(from_slice::<Document>(nested(DEPTH_MAX).as_bytes()).is_ok());
    assert!(from_slice::<Document>(nested(DEPTH_MAX + 1).as_bytes()).is_err());
    assert!(from_slice::<Document>("[".repeat(1_000_000).as_bytes()).is_err());
}

/// Any document whose real numbers come from `reals`.
fn documents(reals: impl Strategy<Value = f64> + 'static) -> impl Strategy<Value = Document> {
    let leaf = prop_oneof![
        Just(Document::Null),
        any::<bool>().prop_map(Document::Boolean),
        any::<i64>().prop_map(Document::Integer),
        reals.prop_map(Document::Double),
        any::<String>().prop_map(Document::String),
    ];
    leaf.prop_recursive(5, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Document::List),
            prop::collection::btree_map(any::<String>(), inner, 0..8).prop_map(Document::Map),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn reading_undoes_writing(document in documents(any::<f64>().prop_filter("finite", |f| f.is_finite()))) {
        prop_assert_eq!(from_slice::<Document>(&to_vec(&document)), Ok(document));
    }

    // With short fractions only: serde_json rounds the last digit of long ones.
    #[test]
    fn another_reader_agrees(document in documents(any::<i32>().prop_map(|n| f64::from(n) / 8.0))) {
        let bytes = to_vec(&document);
        let other: serde_json::Value = serde_json::from_slice(&bytes).expect("valid JSON");
        // And the other way round: what serde_json writes, we read as the same document.
        let again = from_slice::<Document>(other.to_string().as_bytes());
        prop_assert_eq!(again.map(|document| to_vec(&document)), Ok(bytes));
    }

    #[test]
    fn timestamps_round_trip(millis in -1_000_000_000_000_000i64..1_000_000_000_000_000) {
        let timestamp = Timestamp::from_millis(millis);
        prop_assert_eq!(from_slice::<Timestamp>(&to_vec(&timestamp)), Ok(timestamp));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ignored = from_slice::<Document>(&bytes);
    }

    #[test]
    fn almost_json_never_panics_and_agrees_on_what_is_valid(
        text in r#"[\[\]{},:"\\a0-9.eE+\-nulltruefalsed \u{e9}]{0,40}"#
    ) {
        let ours = from_slice::<Document>(text.as_bytes()).is_ok();
        let theirs = serde_json::from_str::<serde_json::Value>(&text).is_ok() || text.trim().is_empty();
        prop_assert_eq!(ours, theirs, "{:?}", text);
    }
}

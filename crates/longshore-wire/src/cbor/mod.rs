//! RPC v2 CBOR: the body is one CBOR map (RFC 8949, and Smithy's RPC v2 protocol).

mod reader;
mod writer;

pub use reader::CborReader;
pub use writer::CborWriter;

use crate::shape::{DecodeError, EachElement, Shape, lent};

// Major types, in the upper three bits of an item's first byte.
const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
const SIMPLE: u8 = 7;

/// The tag of a number of seconds since the epoch.
const TAG_EPOCH: u64 = 1;

const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;
const NULL: u8 = 0xf6;
const UNDEFINED: u8 = 0xf7;
const HALF: u8 = 0xf9;
const SINGLE: u8 = 0xfa;
const DOUBLE: u8 = 0xfb;
/// Ends a collection whose head did not say its length.
const BREAK: u8 = 0xff;

/// Reads a whole body; an empty one counts as a map without entries.
pub fn from_slice<T: Shape>(body: &[u8]) -> Result<T, DecodeError> {
    lent(|take| read(body, take))
}

/// The same for what takes the value itself.
pub(crate) fn read(body: &[u8], take: &mut EachElement<'_>) -> Result<(), DecodeError> {
    const EMPTY: &[u8] = &[MAP << 5];
    let mut reader = CborReader::new(if body.is_empty() { EMPTY } else { body });
    take(&mut reader)?;
    reader.finish()
}

/// Writes a whole body.
pub fn to_vec(value: &dyn Shape) -> Vec<u8> {
    let mut writer = CborWriter::default();
    value.encode(&mut writer);
    writer.into_bytes()
}

#[cfg(test)]
mod tests {
    use longshore_base::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::document::Document;

    fn document() -> impl Strategy<Value = Document> {
        let leaf = prop_oneof![
            Just(Document::Null),
            any::<bool>().prop_map(Document::Boolean),
            any::<i64>().prop_map(Document::Integer),
            any::<f64>().prop_filter("it equals itself", |value| !value.is_nan()).prop_map(Document::Double),
            ".{0,40}".prop_map(Document::String),
        ];
        leaf.prop_recursive(5, 64, 30, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..30).prop_map(Document::List),
                prop::collection::btree_map(".{0,8}", inner, 0..30).prop_map(Document::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in document()) {
            prop_assert_eq!(from_slice::<Document>(&to_vec(&value)), Ok(value));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = from_slice::<Document>(&bytes);
            let _ = from_slice::<Timestamp>(&bytes);
            let _ = from_slice::<Vec<f32>>(&bytes);
        }
    }

    #[test]
    fn the_examples_of_the_standard() {
        // RFC 8949, appendix A.
        let read = |bytes: &[u8]| from_slice::<Document>(bytes);
        for (bytes, value) in [
            (&[0x00][..], Document::Integer(0)),
            (&[0x18, 0x64], Document::Integer(100)),
            (&[0x1b, 0, 0, 0, 0xe8, 0xd4, 0xa5, 0x10, 0], Document::Integer(1_000_000_000_000)),
            (&[0x38, 0x63], Document::Integer(-100)),
            (&[0xf9, 0x3c, 0x00], Document::Double(1.0)),
            (&[0xf9, 0x7b, 0xff], Document::Double(65504.0)),
            (&[0xf9, 0x00, 0x01], Document::Double(5.960_464_477_539_063e-8)),
            (&[0xf9, 0xfc, 0x00], Document::Double(f64::NEG_INFINITY)),
            (&[0xfb, 0xc0, 0x10, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66], Document::Double(-4.1)),
            (
                &[0x7f, 0x65, 0x73, 0x74, 0x72, 0x65, 0x61, 0x64, 0x6d, 0x69, 0x6e, 0x67, 0xff],
                Document::String("streaming".into()),
            ),
            (
                &[0x9f, 0x01, 0x9f, 0x02, 0xff, 0xff],
                Document::List(vec![Document::Integer(1), Document::List(vec![Document::Integer(2)])]),
            ),
            (&[0xc1, 0x1a, 0x51, 0x4b, 0x67, 0xb0], Document::Integer(1_363_896_240)),
        ] {
            assert_eq!(read(bytes), Ok(value), "{bytes:02x?}");
        }
        let epoch = [0xc1, 0xfb, 0x41, 0xd4, 0x52, 0xd9, 0xec, 0x20, 0, 0];
        assert_eq!(from_slice::<Timestamp>(&epoch), Ok(Timestamp::from_millis(1_363_896_240_500)));
        assert_eq!(
            from_slice::<String>(&[0xf6]).expect_err("null is no text").to_string(),
            "null can not be converted to String"
        );
    }

    #[test]
    fn hostile_bodies_cost_nothing() {
        for bytes in [
            // Lengths far beyond the body, nesting without end, a break where none belongs.
            &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff][..],
            &[0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0x81; 100_000],
            &[0x9f; 100_000],
            &[0xc1; 100_000],
            &[0xff],
            &[0x61, 0xff],
            &[0xa1, 0x01, 0x02],
            &[0x00, 0x00],
        ] {
            assert!(from_slice::<Document>(bytes).is_err(), "{:02x?}", &bytes[..bytes.len().min(9)]);
        }
    }
}

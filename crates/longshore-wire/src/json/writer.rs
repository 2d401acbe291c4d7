//! Shapes to JSON, straight into bytes.

use base64::Engine as _;
use longshore_base::Timestamp;

use super::PLAIN;
use crate::document::Document;
use crate::schema::{MemberSchema, StructSchema};
use crate::shape::ShapeWriter;

/// Room for most answers, a task's among them, so that few are moved while they grow.
const ANSWER_BYTES: usize = 2048;

/// Writes one JSON value without white space.
#[derive(Debug, Default)]
pub struct JsonWriter {
    out: Vec<u8>,
    /// The next value or name is the first in its object or array, or follows a name.
    fresh: bool,
    /// Goes into the outermost object as `__type`.
    error_code: Option<&'static str>,
}

impl JsonWriter {
    pub fn new() -> Self {
        Self { out: Vec::with_capacity(ANSWER_BYTES), fresh: true, error_code: None }
    }

    /// A writer for an error, which adds the `__type` by which clients know it.
    pub fn for_error(code: &'static str) -> Self {
        Self { error_code: Some(code), ..Self::new() }
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    #[inline]
    fn separate(&mut self) {
        if !std::mem::replace(&mut self.fresh, false) {
            self.out.push(b',');
        }
    }

    fn open(&mut self, bracket: u8) {
        self.separate();
        self.out.push(bracket);
        self.fresh = true;
    }

    fn close(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.fresh = false;
    }

    fn number(&mut self, value: f64) {
        use std::io::Write as _;
        self.separate();
        // JSON has no such numbers; the AWS protocols spell them as strings.
        let written = if value.is_nan() {
            self.out.write_all(b"\"NaN\"")
        } else if value.is_infinite() {
            self.out.write_all(if value > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" })
        } else {
            write!(self.out, "{value:?}")
        };
        written.expect("writing into memory does not fail");
    }
}

impl ShapeWriter for JsonWriter {
    fn begin_structure(&mut self, _schema: &'static StructSchema) {
        self.open(b'{');
        if let Some(code) = self.error_code.take() {
            self.key("__type");
            self.string(code);
        }
    }
    fn member(&mut self, member: &'static MemberSchema) {
        // Member names come from a model and need no escapes.
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(member.name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.fresh = true;
    }
    fn end_structure(&mut self) {
        self.close(b'}');
    }
    fn begin_list(&mut self, _len: usize) {
        self.open(b'[');
    }
    fn end_list(&mut self) {
        self.close(b']');
    }
    fn begin_map(&mut self, _len: usize) {
        self.open(b'{');
    }
    fn key(&mut self, key: &str) {
        self.separate();
        push_string(&mut self.out, key);
        self.out.push(b':');
        self.fresh = true;
    }
    fn end_map(&mut self) {
        self.close(b'}');
    }
    fn string(&mut self, value: &str) {
        self.separate();
        push_string(&mut self.out, value);
    }
    fn integer(&mut self, value: i32) {
        self.long(i64::from(value));
    }
    fn long(&mut self, value: i64) {
        self.separate();
        push_integer(&mut self.out, value);
    }
    fn float(&mut self, value: f32) {
        // Through the decimal text, so that 0.1f32 stays 0.1.
        self.number(format!("{value:?}").parse().unwrap_or(f64::from(value)));
    }
    fn double(&mut self, value: f64) {
        self.number(value);
    }
    fn boolean(&mut self, value: bool) {
        self.separate();
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }
    fn blob(&mut self, value: &[u8]) {
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(base64::engine::general_purpose::STANDARD.encode(value).as_bytes());
        self.out.push(b'"');
    }
    fn timestamp(&mut self, value: Timestamp) {
        self.separate();
        push_seconds(&mut self.out, value);
    }
    fn document(&mut self, value: &Document) {
        match value {
            Document::Null => {
                self.separate();
                self.out.extend_from_slice(b"null");
            }
            Document::Boolean(value) => self.boolean(*value),
            Document::Integer(value) => self.long(*value),
            Document::Double(value) => self.double(*value),
            Document::String(value) => self.string(value),
            Document::List(elements) => {
                self.begin_list(elements.len());
                for element in elements {
                    self.document(element);
                }
                self.end_list();
            }
            Document::Map(entries) => {
                self.begin_map(entries.len());
                for (key, value) in entries {
                    self.key(key);
                    self.document(value);
                }
                self.end_map();
            }
        }
    }
}

/// A JSON string with its quotes. Only what RFC 8259 demands is escaped.
fn push_string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut plain_from = 0;
    while let Some(length) = bytes[plain_from..].iter().position(|byte| !PLAIN[usize::from(*byte)]) {
        let index = plain_from + length;
        out.extend_from_slice(&bytes[plain_from..index]);
        plain_from = index + 1;
        let byte = bytes[index];
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => {
                let digits = [HEX[usize::from(control >> 4)], HEX[usize::from(control & 15)]];
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&digits);
            }
        }
    }
    out.extend_from_slice(&bytes[plain_from..]);
    out.push(b'"');
}

/// Decimal digits of an integer, without the formatting machinery.
fn push_integer(out: &mut Vec<u8>, value: i64) {
    let mut digits = [0u8; 20];
    let mut start = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[start..]);
}

/// Seconds with up to three decimals. Made from the integer milliseconds, because a detour through
/// floating point would print artefacts.
fn push_seconds(out: &mut Vec<u8>, value: Timestamp) {
    let millis = value.as_millis();
    let (whole, fraction) = (millis.unsigned_abs() / 1000, millis.unsigned_abs() % 1000);
    if millis < 0 {
        out.push(b'-');
    }
    push_integer(out, i64::try_from(whole).expect("a thousandth of 64 bits fits 63"));
    if fraction > 0 {
        let digits =
            [b'0' + (fraction / 100) as u8, b'0' + (fraction / 10 % 10) as u8, b'0' + (fraction % 10) as u8];
        let kept = 3 - digits.iter().rev().take_while(|digit| **digit == b'0').count();
        out.push(b'.');
        out.extend_from_slice(&digits[..kept]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut JsonWriter)) -> String {
        let mut writer = JsonWriter::new();
        write(&mut writer);
        String::from_utf8(writer.into_bytes()).expect("JSON is UTF-8")
    }

    #[test]
    fn timestamps_have_no_float_artefacts() {
        let check = |millis, text: &str| {
            assert_eq!(written(|w| w.timestamp(Timestamp::from_millis(millis))), text);
        };
        check(1_517_730_923_303, "1517730923.303");
        check(1_517_730_923_300, "1517730923.3");
        check(1_517_730_923_000, "1517730923");
        check(1_517_730_923_007, "1517730923.007");
        check(1_517_730_923_010, "1517730923.01");
        check(0, "0");
        check(-1, "-0.001");
        check(-1500, "-1.5");
        check(i64::MIN + 1, "-9223372036854775.807");
    }

    #[test]
    fn numbers() {
        assert_eq!(written(|w| w.long(i64::MIN)), "-9223372036854775808");
        assert_eq!(written(|w| w.integer(0)), "0");
        assert_eq!(written(|w| w.double(25.0)), "25.0");
        assert_eq!(written(|w| w.double(1e300)), "1e300");
        assert_eq!(written(|w| w.double(f64::NAN)), "\"NaN\"");
        assert_eq!(written(|w| w.float(0.1)), "0.1");
    }

    #[test]
    fn strings_escape_what_they_must() {
        assert_eq!(
            written(|w| w.string("a\"b\\c\n\u{1}\u{7f}é\u{2028}")),
            "\"a\\\"b\\\\c\\n\\u0001\u{7f}é\u{2028}\""
        );
    }
}

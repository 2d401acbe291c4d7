//! Shapes to CBOR, with lengths in front.

use longshore_base::Timestamp;

use super::{ARRAY, BYTES, DOUBLE, FALSE, MAP, NEGATIVE, NULL, SINGLE, TAG, TAG_EPOCH, TEXT, TRUE, UNSIGNED};
use crate::document::Document;
use crate::schema::{MemberSchema, StructSchema};
use crate::shape::ShapeWriter;

/// Writes one CBOR item.
#[derive(Debug, Default)]
pub struct CborWriter {
    out: Vec<u8>,
    /// The open structures: where the head of each stands, and how many members have followed.
    open: Vec<(usize, u64)>,
    /// Goes into the outermost map as `__type`.
    error_code: Option<&'static str>,
}

impl CborWriter {
    /// A writer for an error, which adds the `__type` by which clients know it.
    pub fn for_error(code: &'static str) -> Self {
        Self { error_code: Some(code), ..Self::default() }
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    fn head(&mut self, major: u8, argument: u64) {
        let (bytes, length) = head(major, argument);
        self.out.extend_from_slice(&bytes[..length]);
    }

    fn text(&mut self, text: &str) {
        self.head(TEXT, text.len() as u64);
        self.out.extend_from_slice(text.as_bytes());
    }
}

/// The first bytes of an item, and how many of them count.
fn head(major: u8, argument: u64) -> ([u8; 9], usize) {
    let mut bytes = [0; 9];
    let wide = argument.to_be_bytes();
    let (additional, width) = match argument {
        0..24 => (wide[7], 0),
        24..=0xff => (24, 1),
        0x100..=0xffff => (25, 2),
        0x1_0000..=0xffff_ffff => (26, 4),
        _ => (27, 8),
    };
    bytes[0] = major << 5 | additional;
    bytes[1..=width].copy_from_slice(&wide[8 - width..]);
    (bytes, width + 1)
}

impl ShapeWriter for CborWriter {
    fn begin_structure(&mut self, _schema: &'static StructSchema) {
        self.open.push((self.out.len(), 0));
        self.out.push(MAP << 5);
        if let Some(code) = self.error_code.take() {
            self.open.iter_mut().for_each(|(_, members)| *members += 1);
            self.text("__type");
            self.text(code);
        }
    }

    fn member(&mut self, member: &'static MemberSchema) {
        if let Some((_, members)) = self.open.last_mut() {
            *members += 1;
        }
        self.text(member.name);
    }

    fn end_structure(&mut self) {
        // How many members are present is known only now. Nearly always one byte tells it.
        let (at, members) = self.open.pop().unwrap_or((self.out.len(), 0));
        let (bytes, length) = head(MAP, members);
        self.out.splice(at..=at, bytes[..length].iter().copied());
    }

    fn begin_list(&mut self, len: usize) {
        self.head(ARRAY, len as u64);
    }

    fn end_list(&mut self) {}

    fn begin_map(&mut self, len: usize) {
        self.head(MAP, len as u64);
    }

    fn key(&mut self, key: &str) {
        self.text(key);
    }

    fn end_map(&mut self) {}

    fn string(&mut self, value: &str) {
        self.text(value);
    }

    fn integer(&mut self, value: i32) {
        self.long(i64::from(value));
    }

    fn long(&mut self, value: i64) {
        // A negative number is written as what is missing to -1.
        let major = if value < 0 { NEGATIVE } else { UNSIGNED };
        self.head(major, if value < 0 { !value.cast_unsigned() } else { value.cast_unsigned() });
    }

    fn float(&mut self, value: f32) {
        self.out.push(SINGLE);
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    fn double(&mut self, value: f64) {
        self.out.push(DOUBLE);
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    fn boolean(&mut self, value: bool) {
        self.out.push(if value { TRUE } else { FALSE });
    }

    fn blob(&mut self, value: &[u8]) {
        self.head(BYTES, value.len() as u64);
        self.out.extend_from_slice(value);
    }

    fn timestamp(&mut self, value: Timestamp) {
        self.head(TAG, TAG_EPOCH);
        match value.as_millis() {
            whole if whole % 1000 == 0 => self.long(whole / 1000),
            _ => self.double(value.as_seconds_f64()),
        }
    }

    fn document(&mut self, value: &Document) {
        match value {
            Document::Null => self.out.push(NULL),
            Document::Boolean(value) => self.boolean(*value),
            Document::Integer(value) => self.long(*value),
            Document::Double(value) => self.double(*value),
            Document::String(value) => self.text(value),
            Document::List(elements) => {
                self.begin_list(elements.len());
                elements.iter().for_each(|element| self.document(element));
            }
            Document::Map(entries) => {
                self.begin_map(entries.len());
                for (key, value) in entries {
                    self.text(key);
                    self.document(value);
                }
            }
        }
    }
}

//! awsJson 1.0 and 1.1: the body is one JSON object.

mod reader;
mod writer;

pub use reader::{DEPTH_MAX, JsonReader};
pub use writer::JsonWriter;

use crate::shape::{DecodeError, EachElement, Shape, lent};

/// Reads a whole body. Only white space may follow the value; an empty body counts as `{}`.
///
/// # Errors
/// It is no JSON, not of this shape, or larger in memory or deeper than it may be.
pub fn from_slice<T: Shape>(body: &[u8]) -> Result<T, DecodeError> {
    lent(|take| read(body, take))
}

/// The same for what takes the value itself.
pub(crate) fn read(body: &[u8], take: &mut EachElement<'_>) -> Result<(), DecodeError> {
    let mut reader = JsonReader::new(body)?;
    take(&mut reader)?;
    reader.finish()
}

/// Writes a whole body.
pub fn to_vec(value: &dyn Shape) -> Vec<u8> {
    let mut writer = JsonWriter::new();
    value.encode(&mut writer);
    writer.into_bytes()
}

/// Bytes that stand for themselves inside of a JSON string: all but quotes, backslashes and controls.
const PLAIN: [bool; 256] = {
    let mut plain = [true; 256];
    let mut control = 0;
    while control < 0x20 {
        plain[control] = false;
        control += 1;
    }
    plain[b'"' as usize] = false;
    plain[b'\\' as usize] = false;
    plain
};

//! awsJson 1.0 and 1.1: the body is one JSON object.

mod reader;
mod writer;

pub use reader::{DEPTH_MAX, JsonReader};
pub use writer::JsonWriter;

use crate::shape::{DecodeError, Shape};

/// Reads a whole body. Only white space may follow the value; an empty body counts as `{}`.
pub fn from_slice<T: Shape>(body: &[u8]) -> Result<T, DecodeError> {
    let mut reader = JsonReader::new(body)?;
    let value = T::decode(&mut reader)?;
    reader.finish()?;
    Ok(value)
}

/// Writes a whole body.
pub fn to_vec(value: &dyn Shape) -> Vec<u8> {
    let mut writer = JsonWriter::new();
    value.encode(&mut writer);
    writer.into_bytes()
}

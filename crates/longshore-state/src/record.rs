//! Records: the stored forms, their kinds, and how their keys are written and read.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec;
use crate::domain::{Keep, Tables};
use crate::key::{KeyReader, KeyWriter, Length, RecordKey};
use crate::sharing::Sharing;

/// A kind of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// In the plural, unique in its domain; the second part of each key. The order of these names is the order in which
    /// kinds are loaded.
    pub name: &'static str,
    /// Since which level of the program records have their present layout. It rises with every change of what is
    /// written, an appended member included: an older program then refuses the record instead of dropping what it
    /// does not know. See [`crate::level`].
    pub level: u8,
}

/// A stored form: what survives a restart.
///
/// It is written as a MessagePack array of its members behind one byte, the level of its kind. What older programs
/// wrote stays readable: members are only ever appended, with `#[serde(default)]`, and an enumeration only gets
/// variants at its end.
pub trait Record:
    Serialize + DeserializeOwned + PartialEq + fmt::Debug + Send + Sync + Sized + 'static
{
    type Key: RecordKey;
    /// The domain that it belongs to.
    type Tables: Keep<Self>;
    const KIND: Kind;

    /// About how many of its bytes came from requests and reports. Only kinds that one transaction changes by the dozen
    /// are weighed ([`crate::Tx::is_heavy`]).
    fn weight(&self) -> usize {
        0
    }

    /// Gives a record that was just read the values that others have too.
    fn share(&mut self, sharing: &mut Sharing) {
        let _ = sharing;
    }
}

/// The text of a record's key in the store.
pub fn key_text<R: Record>(key: &R::Key) -> String {
    // Most keys are as long.
    let mut text = String::with_capacity(96);
    write_key::<R>(key, &mut text);
    text
}

/// How many bytes [`key_text`] would give, without making them.
pub fn key_len<R: Record>(key: &R::Key) -> usize {
    let mut length = Length(0);
    write_key::<R>(key, &mut length);
    length.0
}

fn write_key<R: Record>(key: &R::Key, out: &mut dyn fmt::Write) {
    const WHY: &str = "keys are written to memory";
    out.write_str(R::Tables::DOMAIN).expect(WHY);
    out.write_str("/").expect(WHY);
    out.write_str(R::KIND.name).expect(WHY);
    key.write(&mut KeyWriter::new(out));
}

/// Reads what [`key_text`] wrote; `None` if it is no key of this kind.
pub fn read_key<R: Record>(text: &str) -> Option<R::Key> {
    let parts = text.strip_prefix(R::Tables::DOMAIN)?.strip_prefix('/')?.strip_prefix(R::KIND.name)?;
    read_parts::<R>(parts)
}

/// The same of what follows the name of the kind.
pub(crate) fn read_parts<R: Record>(parts: &str) -> Option<R::Key> {
    let mut reader = KeyReader::new(parts);
    let key = R::Key::read(&mut reader)?;
    reader.is_at_end().then_some(key)
}

/// The bytes of a record in the store.
pub fn encode<R: Record>(record: &R) -> Vec<u8> {
    codec::encode(R::KIND.level, record)
}

/// How many bytes [`encode`] would give, without making them.
pub fn encoded_len<R: Record>(record: &R) -> usize {
    codec::encoded_len(record)
}

/// Reads what [`encode`] wrote. `key` is told in errors.
pub fn decode<R: Record>(key: &str, stored: &[u8]) -> Result<R, codec::CodecError> {
    codec::decode(key, R::KIND.level, stored)
}

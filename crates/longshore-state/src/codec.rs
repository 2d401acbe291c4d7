//! Records to bytes and back: one byte, the level of the record's layout, then a MessagePack array of its members.
//!
//! MessagePack, because members can be appended (a missing one takes its default), it is a third of JSON's size, and a
//! million tasks have to be read in a second or two.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;

#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    #[error("the stored key {0:?} is of no kind that this program knows; use the program that wrote it")]
    UnknownKind(String),
    #[error("the stored key {0:?} is not one that this program writes")]
    UnknownKey(String),
    #[error(
        "the record {key} has a layout of level {level}, and this program reads those up to level {known}; use the \
         program that wrote it"
    )]
    Newer { key: String, level: u8, known: u8 },
    #[error("the record {key} cannot be read")]
    Malformed {
        key: String,
        #[source]
        source: rmp_serde::decode::Error,
    },
    #[error("the record {0} is empty")]
    Empty(String),
}

pub(crate) fn encode<T: Serialize>(level: u8, record: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    out.push(level);
    write(record, &mut out);
    // The store's history keeps it for a while, and most records are half as long.
    out.shrink_to_fit();
    out
}

pub(crate) fn encoded_len<T: Serialize>(record: &T) -> usize {
    let mut length = Length(1);
    write(record, &mut length);
    length.0
}

fn write<T: Serialize>(record: &T, out: &mut impl io::Write) {
    rmp_serde::encode::write(out, record).expect("a record is plain data, and writing to memory cannot fail");
}

pub(crate) fn decode<T: DeserializeOwned>(key: &str, known: u8, stored: &[u8]) -> Result<T, CodecError> {
    let (&level, body) = stored.split_first().ok_or_else(|| CodecError::Empty(key.to_owned()))?;
    if level > known {
        return Err(CodecError::Newer { key: key.to_owned(), level, known });
    }
    rmp_serde::from_slice(body).map_err(|source| CodecError::Malformed { key: key.to_owned(), source })
}

/// Counts what is written to it.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

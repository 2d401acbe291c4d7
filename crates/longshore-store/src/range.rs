//! Ranges of keys, and what is found in them.

use std::fmt;
use std::ops::Bound;

use bytes::Bytes;

use crate::commit::Revision;

/// Where an ordered map is to be read.
pub type KeyBounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// Keys from `start` (inclusive) to `end` (exclusive; `None`: no end), in byte order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    start: Bytes,
    end: Option<Bytes>,
}

impl KeyRange {
    /// Every key.
    pub const ALL: KeyRange = KeyRange { start: Bytes::new(), end: None };

    /// The keys from `start` up to, not including, `end`. Empty if `end` is not greater.
    pub fn new(start: impl Into<Bytes>, end: impl Into<Bytes>) -> Self {
        Self { start: start.into(), end: Some(end.into()) }
    }

    /// The keys that begin with `prefix`.
    pub fn prefix(prefix: impl Into<Bytes>) -> Self {
        let start = prefix.into();
        // The first key after all of them: the last byte that can rise does, the rest goes.
        let end = start.iter().rposition(|byte| *byte != u8::MAX).map(|at| {
            let mut end = start[..=at].to_vec();
            end[at] += 1;
            Bytes::from(end)
        });
        Self { start, end }
    }

    pub fn start(&self) -> &[u8] {
        &self.start
    }

    pub fn end(&self) -> Option<&[u8]> {
        self.end.as_deref()
    }

    pub fn contains(&self, key: &[u8]) -> bool {
        key >= self.start() && self.end().is_none_or(|end| key < end)
    }

    /// The bounds of what is left of this range behind `after`; `None` if nothing can be.
    pub fn bounds_after<'a>(&'a self, after: Option<&'a [u8]>) -> Option<KeyBounds<'a>> {
        let (start, first) = match after {
            Some(after) if after >= self.start() => (Bound::Excluded(after), after),
            Some(_) | None => (Bound::Included(self.start()), self.start()),
        };
        match self.end() {
            Some(end) if first >= end => None,
            Some(end) => Some((start, Bound::Excluded(end))),
            None => Some((start, Bound::Unbounded)),
        }
    }
}

/// A key with its value, and the revision that wrote it.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: Bytes,
    pub value: Bytes,
    pub modified: Revision,
}

/// Values can hold secrets, so only their length is shown.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("key", &self.key)
            .field("value_bytes", &self.value.len())
            .field("modified", &self.modified)
            .finish()
    }
}

/// An [`Entry`] that is looked at during a scan, without a copy.
#[derive(Clone, Copy)]
pub struct EntryRef<'a> {
    pub key: &'a [u8],
    pub value: &'a [u8],
    pub modified: Revision,
}

/// A part of a range, all of it as it was at `revision`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// In the order of their keys.
    pub entries: Vec<Entry>,
    /// There are more; ask again `after` the last of these.
    pub more: bool,
    pub revision: Revision,
}

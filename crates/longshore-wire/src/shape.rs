//! The border between a shape and a protocol: [`ShapeWriter`] and [`ShapeReader`].
//!
//! Both are object-safe on purpose. A service has hundreds of shapes; through `dyn` each is
//! compiled once, not once per protocol.

use std::collections::BTreeMap;
use std::fmt;

use longshore_base::Timestamp;

use crate::document::Document;
use crate::schema::{MemberSchema, StructSchema};

/// Receives one value, outermost first.
///
/// The calls nest: `begin_structure`, then per present member `member` and one value, then
/// `end_structure`; `begin_list`, one value per element, `end_list`; `begin_map`, per entry `key`
/// and one value, `end_map`. Absent members are simply not announced.
pub trait ShapeWriter {
    fn begin_structure(&mut self, schema: &'static StructSchema);
    fn member(&mut self, member: &'static MemberSchema);
    fn end_structure(&mut self);
    fn begin_list(&mut self, len: usize);
    fn end_list(&mut self);
    fn begin_map(&mut self, len: usize);
    fn key(&mut self, key: &str);
    fn end_map(&mut self);
    fn string(&mut self, value: &str);
    fn integer(&mut self, value: i32);
    fn long(&mut self, value: i64);
    fn float(&mut self, value: f32);
    fn double(&mut self, value: f64);
    fn boolean(&mut self, value: bool);
    fn blob(&mut self, value: &[u8]);
    fn timestamp(&mut self, value: Timestamp);
    fn document(&mut self, value: &Document);
}

/// Yields one value of the kind that is asked for, or says why it cannot.
///
/// A reader calls `each` once per member, element or entry that is present; null is absent, as is an
/// empty text of a member that is [absent if empty](MemberSchema::absent_if_empty), and members that the schema does
/// not know are skipped. `each` must take exactly one value.
pub trait ShapeReader {
    /// Takes `bytes` from what this value may occupy in memory. Called before each element of a
    /// list or map, whose size on the wire says nothing about its size here.
    fn charge(&mut self, bytes: usize) -> Result<(), DecodeError>;
    /// `each` gets the member's position in `schema.members`.
    fn structure(
        &mut self,
        schema: &'static StructSchema,
        each: &mut EachMember<'_>,
    ) -> Result<(), DecodeError>;
    fn list(&mut self, each: &mut EachElement<'_>) -> Result<(), DecodeError>;
    fn map(&mut self, each: &mut EachEntry<'_>) -> Result<(), DecodeError>;
    fn string(&mut self) -> Result<String, DecodeError>;
    fn integer(&mut self) -> Result<i32, DecodeError>;
    fn long(&mut self) -> Result<i64, DecodeError>;
    fn float(&mut self) -> Result<f32, DecodeError>;
    fn double(&mut self) -> Result<f64, DecodeError>;
    fn boolean(&mut self) -> Result<bool, DecodeError>;
    fn blob(&mut self) -> Result<Vec<u8>, DecodeError>;
    fn timestamp(&mut self) -> Result<Timestamp, DecodeError>;
    fn document(&mut self) -> Result<Document, DecodeError>;
}

/// Takes one present member of a structure, by its position in the schema.
pub type EachMember<'a> = dyn FnMut(usize, &mut dyn ShapeReader) -> Result<(), DecodeError> + 'a;
/// Takes one element of a list.
pub type EachElement<'a> = dyn FnMut(&mut dyn ShapeReader) -> Result<(), DecodeError> + 'a;
/// Takes one entry of a map; the key comes first.
pub type EachEntry<'a> = dyn FnMut(String, &mut dyn ShapeReader) -> Result<(), DecodeError> + 'a;

/// A value of a service model, as Rust sees it.
pub trait Shape {
    fn encode(&self, writer: &mut dyn ShapeWriter);

    fn decode(reader: &mut dyn ShapeReader) -> Result<Self, DecodeError>
    where
        Self: Sized;
}

/// A shape with named members: inputs, outputs, errors and what they are made of.
pub trait Structure: Shape {
    fn schema(&self) -> &'static StructSchema;
}

/// Reads one shape with the reader that `read` lends, once.
///
/// Whatever makes and checks a reader is compiled once so, and not once per shape.
pub(crate) fn lent<T: Shape>(
    read: impl FnOnce(&mut EachElement<'_>) -> Result<(), DecodeError>,
) -> Result<T, DecodeError> {
    let mut taken = None;
    read(&mut |reader| {
        taken = Some(T::decode(reader)?);
        Ok(())
    })?;
    Ok(taken.expect("a reader is lent before the reading ends well"))
}

/// Writes one member if it is present. Generated code is made of these calls.
#[inline]
pub fn put<T: Shape>(writer: &mut dyn ShapeWriter, member: &'static MemberSchema, value: &Option<T>) {
    if let Some(value) = value {
        writer.member(member);
        value.encode(writer);
    }
}

/// Reads one present member. Generated code is made of these calls.
#[inline]
pub fn take<T: Shape>(slot: &mut Option<T>, reader: &mut dyn ShapeReader) -> Result<(), DecodeError> {
    *slot = Some(T::decode(reader)?);
    Ok(())
}

/// Bytes that are text only on the wire (base64 in JSON). Not printed by `Debug`, only counted.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Blob(pub Vec<u8>);

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.0.len())
    }
}

macro_rules! scalar {
    ($($type:ty: $method:ident($self:ident) = $value:expr;)*) => {$(
        impl Shape for $type {
            #[inline]
            fn encode(&$self, writer: &mut dyn ShapeWriter) {
                writer.$method($value);
            }
            #[inline]
            fn decode(reader: &mut dyn ShapeReader) -> Result<Self, DecodeError> {
                reader.$method()
            }
        }
    )*};
}

scalar! {
    String: string(self) = self;
    i32: integer(self) = *self;
    i64: long(self) = *self;
    f32: float(self) = *self;
    f64: double(self) = *self;
    bool: boolean(self) = *self;
    Timestamp: timestamp(self) = *self;
    Document: document(self) = self;
}

impl Shape for Blob {
    fn encode(&self, writer: &mut dyn ShapeWriter) {
        writer.blob(&self.0);
    }
    fn decode(reader: &mut dyn ShapeReader) -> Result<Self, DecodeError> {
        reader.blob().map(Blob)
    }
}

impl<T: Shape> Shape for Box<T> {
    fn encode(&self, writer: &mut dyn ShapeWriter) {
        (**self).encode(writer);
    }
    fn decode(reader: &mut dyn ShapeReader) -> Result<Self, DecodeError> {
        T::decode(reader).map(Box::new)
    }
}

impl<T: Shape> Shape for Vec<T> {
    fn encode(&self, writer: &mut dyn ShapeWriter) {
        writer.begin_list(self.len());
        for element in self {
            element.encode(writer);
        }
        writer.end_list();
    }
    fn decode(reader: &mut dyn ShapeReader) -> Result<Self, DecodeError> {
        let mut elements = Vec::new();
        reader.list(&mut |reader| {
            reader.charge(size_of::<T>())?;
            elements.push(T::decode(reader)?);
            Ok(())
        })?;
        Ok(elements)
    }
}

impl<T: Shape> Shape for BTreeMap<String, T> {
    fn encode(&self, writer: &mut dyn ShapeWriter) {
        writer.begin_map(self.len());
        for (key, value) in self {
            writer.key(key);
            value.encode(writer);
        }
        writer.end_map();
    }
    fn decode(reader: &mut dyn ShapeReader) -> Result<Self, DecodeError> {
        let mut entries = BTreeMap::new();
        reader.map(&mut |key, reader| {
            reader.charge(size_of::<(String, T)>())?;
            entries.insert(key, T::decode(reader)?);
            Ok(())
        })?;
        Ok(entries)
    }
}

/// Why a body could not be read, and where.
///
/// Never contains a value from the body: the offending member may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// Member names, `[n]` and map keys, innermost first while the error travels outward.
    path: Vec<String>,
    reason: DecodeReason,
}

/// The kinds of [`DecodeError`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeReason {
    #[error("{found} can not be converted to {expected}")]
    WrongType { found: &'static str, expected: &'static str },
    #[error("the number does not fit {expected}")]
    OutOfRange { expected: &'static str },
    #[error("{0} at byte {1}")]
    Syntax(&'static str, usize),
    #[error("nested deeper than {0} levels")]
    TooDeep(usize),
    #[error("the value is too large")]
    TooLarge,
    #[error("not valid {0}")]
    Malformed(&'static str),
}

impl DecodeError {
    pub fn new(reason: DecodeReason) -> Self {
        Self { path: Vec::new(), reason }
    }

    pub fn wrong_type(found: &'static str, expected: &'static str) -> Self {
        Self::new(DecodeReason::WrongType { found, expected })
    }

    pub fn reason(&self) -> &DecodeReason {
        &self.reason
    }

    /// Adds the name of the member that the failing value stood in.
    pub fn within(mut self, segment: impl Into<String>) -> Self {
        self.path.push(segment.into());
        self
    }

    /// Where it happened, as in `containerDefinitions[0].cpu`; empty for the body as a whole.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for segment in self.path.iter().rev() {
            if !path.is_empty() && !segment.starts_with('[') {
                path.push('.');
            }
            path.push_str(segment);
        }
        path
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            write!(f, "{}", self.reason)
        } else {
            write!(f, "{}: {}", self.path(), self.reason)
        }
    }
}

impl std::error::Error for DecodeError {}

/// Implements [`Shape`], [`Structure`] and a redacting `Debug` for a generated structure whose
/// fields are all `Option`. The numbers are positions in the schema's member table.
#[macro_export]
macro_rules! impl_structure {
    ($name:ident, $schema:path, { $($position:literal => $field:ident,)* }) => {
        impl $crate::Shape for $name {
            fn encode(&self, writer: &mut dyn $crate::ShapeWriter) {
                writer.begin_structure(&$schema);
                $($crate::shape::put(writer, &$schema.members[$position], &self.$field);)*
                writer.end_structure();
            }

            fn decode(reader: &mut dyn $crate::ShapeReader) -> Result<Self, $crate::DecodeError> {
                #[allow(unused_mut, reason = "some structures have no members")]
                let mut shape = Self::default();
                reader.structure(&$schema, &mut |position, _reader| match position {
                    $($position => $crate::shape::take(&mut shape.$field, _reader),)*
                    _ => Ok(()),
                })?;
                Ok(shape)
            }
        }

        impl $crate::Structure for $name {
            fn schema(&self) -> &'static $crate::StructSchema {
                &$schema
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                $crate::debug_structure(self, f)
            }
        }
    };
}

//! CBOR to shapes, straight from the bytes.

use longshore_base::Timestamp;

use super::{
    ARRAY, BREAK, BYTES, DOUBLE, FALSE, HALF, MAP, NEGATIVE, NULL, SIMPLE, SINGLE, TAG, TEXT, TRUE,
    UNDEFINED, UNSIGNED,
};
use crate::document::Document;
use crate::json::DEPTH_MAX;
use crate::schema::StructSchema;
use crate::shape::{DecodeError, DecodeReason, EachElement, EachEntry, EachMember, ShapeReader};

/// What the elements of all lists and maps may occupy, per byte of body and besides. As in JSON.
const MEMORY_PER_BYTE: usize = 16;
const MEMORY_FLOOR: usize = 1024 * 1024;

/// A number as it stands on the wire.
enum Number {
    Whole(i128),
    Real(f64),
}

/// How many elements follow.
enum Length {
    Known(u64),
    /// Until a break.
    Open,
}

/// Reads one CBOR item from a body.
pub struct CborReader<'a> {
    bytes: &'a [u8],
    position: usize,
    depth: usize,
    /// Bytes of memory that elements may still occupy.
    memory: usize,
}

impl<'a> CborReader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        let memory = bytes.len().saturating_mul(MEMORY_PER_BYTE).saturating_add(MEMORY_FLOOR);
        Self { bytes, position: 0, depth: 0, memory }
    }

    /// Refuses anything after the item.
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.position == self.bytes.len() {
            Ok(())
        } else {
            Err(self.syntax("unexpected bytes after the value"))
        }
    }

    fn syntax(&self, what: &'static str) -> DecodeError {
        DecodeError::new(DecodeReason::Syntax(what, self.position))
    }

    fn peek(&self) -> Result<u8, DecodeError> {
        self.bytes.get(self.position).copied().ok_or_else(|| self.syntax("unexpected end"))
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8], DecodeError> {
        let rest = &self.bytes[self.position..];
        let taken = usize::try_from(count).ok().and_then(|count| rest.get(..count));
        let taken = taken.ok_or_else(|| self.syntax("unexpected end"))?;
        self.position += taken.len();
        Ok(taken)
    }

    fn take_array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64)?);
        Ok(array)
    }

    /// Takes the item's head: its major type and its argument; `None` for a length that is left open.
    fn head(&mut self) -> Result<(u8, Option<u64>), DecodeError> {
        let first = self.peek()?;
        self.position += 1;
        let argument = match first & 0x1f {
            small @ 0..24 => u64::from(small),
            24 => u64::from(self.take_array::<1>()?[0]),
            25 => u64::from(u16::from_be_bytes(self.take_array()?)),
            26 => u64::from(u32::from_be_bytes(self.take_array()?)),
            27 => u64::from_be_bytes(self.take_array()?),
            31 => return Ok((first >> 5, None)),
            _reserved => return Err(self.syntax("reserved length")),
        };
        Ok((first >> 5, Some(argument)))
    }

    /// Passes over tags: what they say of an item, its schema says better.
    fn skip_tags(&mut self) -> Result<(), DecodeError> {
        while self.peek()? >> 5 == TAG {
            if self.head()?.1.is_none() {
                return Err(self.syntax("a tag without a number"));
            }
        }
        Ok(())
    }

    fn take_null(&mut self) -> Result<bool, DecodeError> {
        let is_null = matches!(self.peek()?, NULL | UNDEFINED);
        if is_null {
            self.position += 1;
        }
        Ok(is_null)
    }

    fn mismatch(&self, expected: &'static str) -> DecodeError {
        let Ok(first) = self.peek() else { return self.syntax("unexpected end") };
        let found = match (first >> 5, first) {
            (UNSIGNED | NEGATIVE, _) | (SIMPLE, HALF | SINGLE | DOUBLE) => "a number",
            (BYTES, _) => "bytes",
            (TEXT, _) => "a string",
            (ARRAY, _) => "a list",
            (MAP, _) => "a map",
            (TAG, _) => "a tag",
            (_, FALSE | TRUE) => "a boolean",
            (_, NULL | UNDEFINED) => "null",
            (_, _) => "an unknown value",
        };
        DecodeError::wrong_type(found, expected)
    }

    /// Takes the head of an item that must be of `major`.
    fn begin(&mut self, major: u8, expected: &'static str) -> Result<Length, DecodeError> {
        self.skip_tags()?;
        if self.peek()? >> 5 != major {
            return Err(self.mismatch(expected));
        }
        Ok(self.head()?.1.map_or(Length::Open, Length::Known))
    }

    /// A string of bytes or text, in one piece or in several.
    fn string_of(&mut self, major: u8, expected: &'static str) -> Result<Vec<u8>, DecodeError> {
        match self.begin(major, expected)? {
            Length::Known(length) => self.take(length).map(<[u8]>::to_vec),
            Length::Open => {
                let mut whole = Vec::new();
                while self.peek()? != BREAK {
                    match self.head()? {
                        (piece, Some(length)) if piece == major => {
                            whole.extend_from_slice(self.take(length)?)
                        }
                        (_, _) => return Err(self.syntax("a piece of another kind")),
                    }
                }
                self.position += 1;
                Ok(whole)
            }
        }
    }

    fn text(&mut self) -> Result<String, DecodeError> {
        let bytes = self.string_of(TEXT, "String")?;
        String::from_utf8(bytes).map_err(|_| DecodeError::new(DecodeReason::Malformed("UTF-8")))
    }

    /// Walks an array or map whose head is next; `each` takes an element or entry.
    fn walk(
        &mut self,
        major: u8,
        expected: &'static str,
        each: &mut dyn FnMut(&mut Self, usize) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let length = self.begin(major, expected)?;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(DecodeError::new(DecodeReason::TooDeep(DEPTH_MAX)));
        }
        let mut index = 0;
        loop {
            match length {
                Length::Known(length) if index as u64 == length => break,
                Length::Open if self.peek()? == BREAK => {
                    self.position += 1;
                    break;
                }
                Length::Known(_) | Length::Open => {}
            }
            each(self, index)?;
            index += 1;
        }
        self.depth -= 1;
        Ok(())
    }

    /// Passes over one item of any kind.
    fn skip_value(&mut self) -> Result<(), DecodeError> {
        self.skip_tags()?;
        match self.peek()? >> 5 {
            UNSIGNED | NEGATIVE => self.head().map(|_| ()),
            major @ (BYTES | TEXT) => self.string_of(major, "String").map(|_| ()),
            ARRAY => self.walk(ARRAY, "List", &mut |reader, _| reader.skip_value()),
            MAP => self.walk(MAP, "Map", &mut |reader, _| {
                reader.skip_value()?;
                reader.skip_value()
            }),
            _simple => match self.peek()? {
                BREAK => Err(self.syntax("a break where none belongs")),
                _ => self.head().map(|_| ()),
            },
        }
    }

    fn number(&mut self, expected: &'static str) -> Result<Number, DecodeError> {
        self.skip_tags()?;
        let first = self.peek()?;
        match (first >> 5, first) {
            (major @ (UNSIGNED | NEGATIVE), _) => {
                let argument = self.head()?.1.ok_or_else(|| self.syntax("a number without a length"))?;
                let whole = i128::from(argument);
                Ok(Number::Whole(if major == NEGATIVE { -1 - whole } else { whole }))
            }
            (SIMPLE, HALF) => {
                self.position += 1;
                Ok(Number::Real(half(u16::from_be_bytes(self.take_array()?))))
            }
            (SIMPLE, SINGLE) => {
                self.position += 1;
                Ok(Number::Real(f64::from(f32::from_be_bytes(self.take_array()?))))
            }
            (SIMPLE, DOUBLE) => {
                self.position += 1;
                Ok(Number::Real(f64::from_be_bytes(self.take_array()?)))
            }
            (_, _) => Err(self.mismatch(expected)),
        }
    }

    fn whole(&mut self, expected: &'static str) -> Result<i64, DecodeError> {
        let out_of_range = || DecodeError::new(DecodeReason::OutOfRange { expected });
        match self.number(expected)? {
            Number::Whole(value) => i64::try_from(value).map_err(|_| out_of_range()),
            Number::Real(value) if value.is_finite() && value.fract() != 0.0 => {
                Err(DecodeError::wrong_type("a fraction", expected))
            }
            // Above 2^53 a float no longer says which integer was meant.
            Number::Real(value) if value.abs() <= 9_007_199_254_740_992.0 => Ok(value as i64),
            Number::Real(_) => Err(out_of_range()),
        }
    }

    fn real(&mut self, expected: &'static str) -> Result<f64, DecodeError> {
        Ok(match self.number(expected)? {
            Number::Whole(value) => value as f64,
            Number::Real(value) => value,
        })
    }
}

/// A number of sixteen bits (IEEE 754, binary16).
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    let value = match exponent {
        0 => fraction * 2_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2_f64.powi(exponent - 15),
    };
    if bits & 0x8000 == 0 { value } else { -value }
}

impl ShapeReader for CborReader<'_> {
    fn charge(&mut self, bytes: usize) -> Result<(), DecodeError> {
        self.memory =
            self.memory.checked_sub(bytes).ok_or_else(|| DecodeError::new(DecodeReason::TooLarge))?;
        Ok(())
    }

    fn structure(
        &mut self,
        schema: &'static StructSchema,
        each: &mut EachMember<'_>,
    ) -> Result<(), DecodeError> {
        self.walk(MAP, "Structure", &mut |reader, _| {
            let name = reader.text()?;
            let Some(position) = schema.position(&name) else { return reader.skip_value() };
            if reader.take_null()? {
                return Ok(());
            }
            each(position, reader).map_err(|error| error.within(schema.members[position].name))
        })
    }

    fn list(&mut self, each: &mut EachElement<'_>) -> Result<(), DecodeError> {
        self.walk(ARRAY, "List", &mut |reader, index| {
            if reader.take_null()? {
                return Ok(());
            }
            each(reader).map_err(|error| error.within(format!("[{index}]")))
        })
    }

    fn map(&mut self, each: &mut EachEntry<'_>) -> Result<(), DecodeError> {
        self.walk(MAP, "Map", &mut |reader, _| {
            let key = reader.text()?;
            if reader.take_null()? {
                return Ok(());
            }
            each(key, reader).map_err(|error| error.within("[..]"))
        })
    }

    fn string(&mut self) -> Result<String, DecodeError> {
        self.text()
    }

    fn integer(&mut self) -> Result<i32, DecodeError> {
        let expected = "Integer";
        i32::try_from(self.whole(expected)?)
            .map_err(|_| DecodeError::new(DecodeReason::OutOfRange { expected }))
    }

    fn long(&mut self) -> Result<i64, DecodeError> {
        self.whole("Long")
    }

    fn float(&mut self) -> Result<f32, DecodeError> {
        self.real("Float").map(|value| value as f32)
    }

    fn double(&mut self) -> Result<f64, DecodeError> {
        self.real("Double")
    }

    fn boolean(&mut self) -> Result<bool, DecodeError> {
        self.skip_tags()?;
        let value = match self.peek()? {
            TRUE => true,
            FALSE => false,
            _ => return Err(self.mismatch("Boolean")),
        };
        self.position += 1;
        Ok(value)
    }

    fn blob(&mut self) -> Result<Vec<u8>, DecodeError> {
        self.string_of(BYTES, "Blob")
    }

    fn timestamp(&mut self) -> Result<Timestamp, DecodeError> {
        let seconds = self.real("Timestamp")?;
        Timestamp::from_seconds_f64(seconds)
            .ok_or_else(|| DecodeError::new(DecodeReason::OutOfRange { expected: "Timestamp" }))
    }

    fn document(&mut self) -> Result<Document, DecodeError> {
        self.skip_tags()?;
        let first = self.peek()?;
        match (first >> 5, first) {
            (MAP, _) => {
                let mut entries = std::collections::BTreeMap::new();
                self.walk(MAP, "Document", &mut |reader, _| {
                    let key = reader.text()?;
                    reader.charge(size_of::<(String, Document)>())?;
                    entries.insert(key, reader.document()?);
                    Ok(())
                })?;
                Ok(Document::Map(entries))
            }
            (ARRAY, _) => {
                let mut elements = Vec::new();
                self.walk(ARRAY, "Document", &mut |reader, _| {
                    reader.charge(size_of::<Document>())?;
                    elements.push(reader.document()?);
                    Ok(())
                })?;
                Ok(Document::List(elements))
            }
            (TEXT, _) => self.text().map(Document::String),
            (_, TRUE | FALSE) => self.boolean().map(Document::Boolean),
            (_, NULL | UNDEFINED) => {
                self.position += 1;
                Ok(Document::Null)
            }
            (_, _) => match self.number("Document")? {
                Number::Whole(value) => i64::try_from(value)
                    .map(Document::Integer)
                    .map_err(|_| DecodeError::new(DecodeReason::OutOfRange { expected: "Document" })),
                Number::Real(value) => Ok(Document::Double(value)),
            },
        }
    }
}

//! JSON to shapes, straight from the bytes: no tree is built for what a shape does not keep.

use std::borrow::Cow;

use base64::Engine as _;
use longshore_base::Timestamp;

use super::PLAIN;
use crate::document::Document;
use crate::schema::StructSchema;
use crate::shape::{DecodeError, DecodeReason, EachElement, EachEntry, EachMember, ShapeReader};
use crate::timestamp::parse_iso8601;

/// How deep objects and arrays may nest. The deepest modelled input needs about ten levels; the
/// bound keeps a hostile body from using up the stack.
pub const DEPTH_MAX: usize = 64;

/// What the elements of all lists and maps of a body may occupy, in bytes of memory per byte of
/// body, and what every body may occupy besides.
///
/// `{},` is three bytes of JSON and, as a container definition, a kilobyte of memory; without a
/// bound a megabyte of those would ask for hundreds. Members that hold anything earn their keep: a
/// definition with only a name and an image costs about forty bytes per byte, and a thousand of them
/// fit the floor.
const MEMORY_PER_BYTE: usize = 16;
const MEMORY_FLOOR: usize = 1024 * 1024;

/// Takes the value that stands after a name.
type EachName<'a, 'f> = dyn FnMut(&mut JsonReader<'a>, Cow<'a, str>) -> Result<(), DecodeError> + 'f;

/// Reads one JSON value from a body.
pub struct JsonReader<'a> {
    text: &'a str,
    position: usize,
    depth: usize,
    /// Bytes of memory that elements may still occupy.
    memory: usize,
}

impl<'a> JsonReader<'a> {
    pub fn new(body: &'a [u8]) -> Result<Self, DecodeError> {
        let text =
            std::str::from_utf8(body).map_err(|_| DecodeError::new(DecodeReason::Malformed("UTF-8")))?;
        let memory = body.len().saturating_mul(MEMORY_PER_BYTE).saturating_add(MEMORY_FLOOR);
        let mut reader = Self { text, position: 0, depth: 0, memory };
        reader.skip_space();
        if reader.peek().is_none() {
            (reader.text, reader.position) = ("{}", 0);
        }
        Ok(reader)
    }

    /// Refuses anything but white space after the value.
    pub fn finish(mut self) -> Result<(), DecodeError> {
        self.skip_space();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.syntax("unexpected text after the value")),
        }
    }

    fn syntax(&self, what: &'static str) -> DecodeError {
        DecodeError::new(DecodeReason::Syntax(what, self.position))
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    #[inline]
    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.position += 1;
        }
    }

    fn expect_byte(&mut self, byte: u8, what: &'static str) -> Result<(), DecodeError> {
        self.skip_space();
        if self.peek() == Some(byte) {
            self.position += 1;
            Ok(())
        } else {
            Err(self.syntax(what))
        }
    }

    /// Takes `word` if it stands here.
    fn take_word(&mut self, word: &str) -> bool {
        let found = self.text.as_bytes()[self.position..].starts_with(word.as_bytes());
        if found {
            self.position += word.len();
        }
        found
    }

    fn take_null(&mut self) -> bool {
        self.skip_space();
        self.peek() == Some(b'n') && self.take_word("null")
    }

    fn take_empty_text(&mut self) -> bool {
        self.skip_space();
        self.take_word("\"\"")
    }

    /// Refuses whatever stands here because `expected` was asked for.
    fn mismatch(&self, expected: &'static str) -> DecodeError {
        let found = match self.peek() {
            Some(b'{') => "an object",
            Some(b'[') => "a list",
            Some(b'"') => "a string",
            Some(b't' | b'f') => "a boolean",
            Some(b'n') => "null",
            Some(b'-' | b'0'..=b'9') => "a number",
            Some(_) => return self.syntax("expected a value"),
            None => return self.syntax("unexpected end"),
        };
        DecodeError::wrong_type(found, expected)
    }

    fn enter(&mut self) -> Result<(), DecodeError> {
        self.position += 1;
        self.depth += 1;
        if self.depth > DEPTH_MAX { Err(DecodeError::new(DecodeReason::TooDeep(DEPTH_MAX))) } else { Ok(()) }
    }

    /// After an element: true if another one follows, false if `close` ended the collection.
    fn another(&mut self, close: u8) -> Result<bool, DecodeError> {
        self.skip_space();
        match self.peek() {
            Some(b',') => {
                self.position += 1;
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.position += 1;
                self.depth -= 1;
                Ok(false)
            }
            Some(_) => Err(self.syntax("expected a comma or the end of the collection")),
            None => Err(self.syntax("unexpected end")),
        }
    }

    /// Just after an opening bracket: true, and the bracket is taken, if `close` follows at once.
    fn closed_at_once(&mut self, close: u8) -> bool {
        self.skip_space();
        let closed = self.peek() == Some(close);
        if closed {
            self.position += 1;
            self.depth -= 1;
        }
        closed
    }

    /// Walks an object. `each` gets every name and must take its value.
    fn object(&mut self, expected: &'static str, each: &mut EachName<'a, '_>) -> Result<(), DecodeError> {
        self.skip_space();
        if self.peek() != Some(b'{') {
            return Err(self.mismatch(expected));
        }
        self.enter()?;
        if self.closed_at_once(b'}') {
            return Ok(());
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return Err(self.syntax("expected a name in quotes"));
            }
            let name = self.quoted()?;
            self.expect_byte(b':', "expected a colon")?;
            each(self, name)?;
            if !self.another(b'}')? {
                return Ok(());
            }
        }
    }

    /// Walks an array. `each` gets the index and must take the element.
    fn array(
        &mut self,
        each: &mut dyn FnMut(&mut Self, usize) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        self.skip_space();
        if self.peek() != Some(b'[') {
            return Err(self.mismatch("List"));
        }
        self.enter()?;
        if self.closed_at_once(b']') {
            return Ok(());
        }
        let mut index = 0;
        loop {
            each(self, index)?;
            index += 1;
            if !self.another(b']')? {
                return Ok(());
            }
        }
    }

    /// Passes over one value of any kind, checking its syntax.
    fn skip_value(&mut self) -> Result<(), DecodeError> {
        self.skip_space();
        match self.peek() {
            Some(b'{') => self.object("Structure", &mut |reader, _| reader.skip_value()),
            Some(b'[') => self.array(&mut |reader, _| reader.skip_value()),
            Some(b'"') => self.quoted().map(|_| ()),
            Some(b'-' | b'0'..=b'9') => self.number("Number").map(|_| ()),
            Some(b't') if self.take_word("true") => Ok(()),
            Some(b'f') if self.take_word("false") => Ok(()),
            Some(b'n') if self.take_word("null") => Ok(()),
            Some(_) => Err(self.syntax("expected a value")),
            None => Err(self.syntax("unexpected end")),
        }
    }

    /// A string, from its opening quote on. Borrowed when it has no escapes.
    fn quoted(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        self.position += 1;
        let bytes = self.text.as_bytes();
        let mut owned = String::new();
        let mut plain_from = self.position;
        loop {
            // Most of a body is the inside of strings: pass over plain text in one go.
            let rest = bytes[self.position..].iter();
            self.position += rest.take_while(|byte| PLAIN[usize::from(**byte)]).count();
            match self.peek() {
                None => return Err(self.syntax("unexpected end")),
                Some(b'"') => {
                    let plain = &self.text[plain_from..self.position];
                    self.position += 1;
                    if owned.is_empty() {
                        return Ok(Cow::Borrowed(plain));
                    }
                    owned.push_str(plain);
                    return Ok(Cow::Owned(owned));
                }
                Some(b'\\') => {
                    owned.push_str(&self.text[plain_from..self.position]);
                    self.position += 1;
                    let escape = self.peek().ok_or_else(|| self.syntax("unexpected end"))?;
                    self.position += 1;
                    owned.push(match escape {
                        plain @ (b'"' | b'\\' | b'/') => char::from(plain),
                        b'b' => '\u{8}',
                        b'f' => '\u{c}',
                        b'n' => '\n',
                        b'r' => '\r',
                        b't' => '\t',
                        b'u' => self.unicode_escape()?,
                        _ => return Err(self.syntax("unknown escape")),
                    });
                    plain_from = self.position;
                }
                Some(_) => return Err(self.syntax("control character in a string")),
            }
        }
    }

    /// The rest of `\uXXXX`, and a second one if the first is half of a surrogate pair.
    fn unicode_escape(&mut self) -> Result<char, DecodeError> {
        let first = self.four_hex()?;
        let code = match first {
            0xD800..=0xDBFF => {
                if !self.take_word("\\u") {
                    return Err(self.syntax("half of a surrogate pair"));
                }
                let second = self.four_hex()?;
                if !(0xDC00..=0xDFFF).contains(&second) {
                    return Err(self.syntax("half of a surrogate pair"));
                }
                0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)
            }
            other => other,
        };
        char::from_u32(code).ok_or_else(|| self.syntax("half of a surrogate pair"))
    }

    fn four_hex(&mut self) -> Result<u32, DecodeError> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            code = code * 16 + digit.ok_or_else(|| self.syntax("expected four hexadecimal digits"))?;
            self.position += 1;
        }
        Ok(code)
    }

    /// The text of a number, checked against the JSON grammar.
    fn number(&mut self, expected: &'static str) -> Result<&'a str, DecodeError> {
        self.skip_space();
        let start = self.position;
        if !matches!(self.peek(), Some(b'-' | b'0'..=b'9')) {
            return Err(self.mismatch(expected));
        }
        if self.peek() == Some(b'-') {
            self.position += 1;
        }
        let leading_zero = self.peek() == Some(b'0');
        let whole_from = self.position;
        self.digits()?;
        if leading_zero && self.position > whole_from + 1 {
            return Err(self.syntax("leading zero"));
        }
        if self.peek() == Some(b'.') {
            self.position += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.position += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.position += 1;
            }
            self.digits()?;
        }
        Ok(&self.text[start..self.position])
    }

    fn digits(&mut self) -> Result<(), DecodeError> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.syntax("expected a digit"));
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.position += 1;
        }
        Ok(())
    }

    /// An integer. `256.0` and `1e3` are integers too; `1.5` is not.
    fn whole(&mut self, expected: &'static str) -> Result<i64, DecodeError> {
        let text = self.number(expected)?;
        if let Ok(value) = text.parse::<i64>() {
            return Ok(value);
        }
        let out_of_range = DecodeError::new(DecodeReason::OutOfRange { expected });
        let value: f64 = text.parse().map_err(|_| out_of_range.clone())?;
        if value.is_finite() && value.fract() != 0.0 {
            return Err(DecodeError::wrong_type("a fraction", expected));
        }
        // Above 2^53 a float no longer says which integer was meant.
        if value.abs() > 9_007_199_254_740_992.0 {
            return Err(out_of_range);
        }
        Ok(value as i64)
    }

    /// A number with a fraction, or one of the strings that stand for what JSON cannot write.
    fn real(&mut self, expected: &'static str) -> Result<f64, DecodeError> {
        self.skip_space();
        if self.peek() == Some(b'"') {
            let text = self.quoted()?;
            return match &*text {
                "NaN" => Ok(f64::NAN),
                "Infinity" => Ok(f64::INFINITY),
                "-Infinity" => Ok(f64::NEG_INFINITY),
                _ => Err(DecodeError::wrong_type("a string", expected)),
            };
        }
        let value: f64 = self.number(expected)?.parse().map_err(|_| self.syntax("expected a number"))?;
        if value.is_finite() {
            Ok(value)
        } else {
            Err(DecodeError::new(DecodeReason::OutOfRange { expected }))
        }
    }

    fn text_value(&mut self, expected: &'static str) -> Result<Cow<'a, str>, DecodeError> {
        self.skip_space();
        if self.peek() == Some(b'"') { self.quoted() } else { Err(self.mismatch(expected)) }
    }
}

impl ShapeReader for JsonReader<'_> {
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
        self.object("Structure", &mut |reader, name| match schema.position(&name) {
            Some(position) => {
                let member = &schema.members[position];
                if reader.take_null() || (member.absent_if_empty && reader.take_empty_text()) {
                    return Ok(());
                }
                each(position, reader).map_err(|error| error.within(member.name))
            }
            None => reader.skip_value(),
        })
    }

    fn list(&mut self, each: &mut EachElement<'_>) -> Result<(), DecodeError> {
        self.array(&mut |reader, index| {
            if reader.take_null() {
                return Ok(());
            }
            each(reader).map_err(|error| error.within(format!("[{index}]")))
        })
    }

    fn map(&mut self, each: &mut EachEntry<'_>) -> Result<(), DecodeError> {
        self.object("Map", &mut |reader, key| {
            if reader.take_null() {
                return Ok(());
            }
            // The key is data, perhaps secret and perhaps long, so the path does not show it.
            each(key.into_owned(), reader).map_err(|error| error.within("[..]"))
        })
    }

    fn string(&mut self) -> Result<String, DecodeError> {
        self.text_value("String").map(Cow::into_owned)
    }

    fn integer(&mut self) -> Result<i32, DecodeError> {
        i32::try_from(self.whole("Integer")?)
            .map_err(|_| DecodeError::new(DecodeReason::OutOfRange { expected: "Integer" }))
    }

    fn long(&mut self) -> Result<i64, DecodeError> {
        self.whole("Long")
    }

    fn float(&mut self) -> Result<f32, DecodeError> {
        let value = self.real("Float")?;
        let narrow = value as f32;
        if value.is_finite() && narrow.is_infinite() {
            return Err(DecodeError::new(DecodeReason::OutOfRange { expected: "Float" }));
        }
        Ok(narrow)
    }

    fn double(&mut self) -> Result<f64, DecodeError> {
        self.real("Double")
    }

    fn boolean(&mut self) -> Result<bool, DecodeError> {
        self.skip_space();
        match self.peek() {
            Some(b't') if self.take_word("true") => Ok(true),
            Some(b'f') if self.take_word("false") => Ok(false),
            Some(b't' | b'f') => Err(self.syntax("expected a value")),
            _ => Err(self.mismatch("Boolean")),
        }
    }

    fn blob(&mut self) -> Result<Vec<u8>, DecodeError> {
        let text = self.text_value("Blob")?;
        base64::engine::general_purpose::STANDARD
            .decode(text.as_bytes())
            .map_err(|_| DecodeError::new(DecodeReason::Malformed("base64")))
    }

    fn timestamp(&mut self) -> Result<Timestamp, DecodeError> {
        self.skip_space();
        if self.peek() == Some(b'"') {
            let text = self.quoted()?;
            return parse_iso8601(&text)
                .ok_or_else(|| DecodeError::new(DecodeReason::Malformed("Timestamp")));
        }
        let text = self.number("Timestamp")?;
        let seconds: f64 = text.parse().map_err(|_| self.syntax("expected a number"))?;
        Timestamp::from_seconds_f64(seconds)
            .ok_or_else(|| DecodeError::new(DecodeReason::OutOfRange { expected: "Timestamp" }))
    }

    fn document(&mut self) -> Result<Document, DecodeError> {
        self.skip_space();
        match self.peek() {
            Some(b'{') => {
                let mut entries = std::collections::BTreeMap::new();
                self.object("Document", &mut |reader, key| {
                    reader.charge(size_of::<(String, Document)>())?;
                    entries.insert(key.into_owned(), reader.document()?);
                    Ok(())
                })?;
                Ok(Document::Map(entries))
            }
            Some(b'[') => {
                let mut elements = Vec::new();
                self.array(&mut |reader, _| {
                    reader.charge(size_of::<Document>())?;
                    elements.push(reader.document()?);
                    Ok(())
                })?;
                Ok(Document::List(elements))
            }
            Some(b'"') => Ok(Document::String(self.quoted()?.into_owned())),
            Some(b't' | b'f') => self.boolean().map(Document::Boolean),
            Some(b'n') if self.take_word("null") => Ok(Document::Null),
            Some(b'-' | b'0'..=b'9') => {
                let text = self.number("Document")?;
                if let Ok(value) = text.parse() {
                    return Ok(Document::Integer(value));
                }
                match text.parse::<f64>() {
                    Ok(value) if value.is_finite() => Ok(Document::Double(value)),
                    _ => Err(DecodeError::new(DecodeReason::OutOfRange { expected: "Document" })),
                }
            }
            Some(_) => Err(self.syntax("expected a value")),
            None => Err(self.syntax("unexpected end")),
        }
    }
}

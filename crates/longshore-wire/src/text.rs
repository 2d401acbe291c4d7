//! Scalars that stand on the wire as text: in forms, headers, paths, URLs and XML.

use base64::Engine as _;
use longshore_base::Timestamp;

use crate::document::Document;
use crate::schema::{Kind, StructSchema, TimestampFormat, TypeSchema};
use crate::shape::{DecodeError, DecodeReason, EachElement, EachEntry, EachMember, ShapeReader};
use crate::timestamp::{iso8601, parse_timestamp, rfc822};

pub(crate) fn parsed<T: std::str::FromStr>(text: &str, expected: &'static str) -> Result<T, DecodeError> {
    text.trim().parse().map_err(|_| DecodeError::wrong_type("text", expected))
}

pub(crate) fn boolean(text: &str) -> Result<bool, DecodeError> {
    match text.trim() {
        text if text.eq_ignore_ascii_case("true") => Ok(true),
        text if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(DecodeError::wrong_type("text", "Boolean")),
    }
}

pub(crate) fn blob(text: &str) -> Result<Vec<u8>, DecodeError> {
    base64::engine::general_purpose::STANDARD
        .decode(text.trim().as_bytes())
        .map_err(|_| DecodeError::new(DecodeReason::Malformed("base64")))
}

pub(crate) fn timestamp(text: &str) -> Result<Timestamp, DecodeError> {
    parse_timestamp(text.trim()).ok_or_else(|| DecodeError::new(DecodeReason::Malformed("Timestamp")))
}

/// A number with a fraction as text; what is no number has names.
pub(crate) fn real(value: f64, text: String) -> String {
    match value {
        _ if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "Infinity".to_owned(),
        f64::NEG_INFINITY => "-Infinity".to_owned(),
        _ => text,
    }
}

/// A time in the form that its schema wants, or else `usual`.
pub(crate) fn time(value: Timestamp, schema: Option<&TypeSchema>, usual: TimestampFormat) -> String {
    let format = match schema.map(|schema| &schema.kind) {
        Some(Kind::Timestamp(TimestampFormat::Default)) | None => usual,
        Some(Kind::Timestamp(format)) => *format,
        Some(_) => usual,
    };
    match format {
        TimestampFormat::Default | TimestampFormat::Iso8601 => iso8601(value),
        TimestampFormat::Rfc822 => rfc822(value),
        TimestampFormat::EpochSeconds => value.as_seconds_f64().to_string(),
    }
}

/// Reads one member of the REST protocols from the texts that carry it: a scalar, or a list of scalars.
pub(crate) struct TextReader<'a> {
    pub(crate) texts: &'a [&'a str],
    /// A body that is the member as it stands.
    pub(crate) raw: Option<&'a [u8]>,
}

impl TextReader<'_> {
    fn one(&self, expected: &'static str) -> Result<&str, DecodeError> {
        match self.texts {
            [text] => Ok(text),
            [] => Err(DecodeError::wrong_type("nothing", expected)),
            [_, ..] => Err(DecodeError::wrong_type("several values", expected)),
        }
    }
}

impl ShapeReader for TextReader<'_> {
    fn charge(&mut self, _bytes: usize) -> Result<(), DecodeError> {
        // Heads and URLs are bounded before they come here, and no member of theirs has members.
        Ok(())
    }
    fn structure(&mut self, _: &'static StructSchema, _: &mut EachMember<'_>) -> Result<(), DecodeError> {
        Err(DecodeError::wrong_type("text", "Structure"))
    }
    fn list(&mut self, each: &mut EachElement<'_>) -> Result<(), DecodeError> {
        self.texts.iter().try_for_each(|text| each(&mut TextReader { texts: &[text], raw: None }))
    }
    fn map(&mut self, _: &mut EachEntry<'_>) -> Result<(), DecodeError> {
        Err(DecodeError::wrong_type("text", "Map"))
    }
    fn string(&mut self) -> Result<String, DecodeError> {
        match self.raw {
            Some(bytes) => std::str::from_utf8(bytes)
                .map(str::to_owned)
                .map_err(|_| DecodeError::new(DecodeReason::Malformed("UTF-8"))),
            None => self.one("String").map(str::to_owned),
        }
    }
    fn integer(&mut self) -> Result<i32, DecodeError> {
        parsed(self.one("Integer")?, "Integer")
    }
    fn long(&mut self) -> Result<i64, DecodeError> {
        parsed(self.one("Long")?, "Long")
    }
    fn float(&mut self) -> Result<f32, DecodeError> {
        parsed(self.one("Float")?, "Float")
    }
    fn double(&mut self) -> Result<f64, DecodeError> {
        parsed(self.one("Double")?, "Double")
    }
    fn boolean(&mut self) -> Result<bool, DecodeError> {
        boolean(self.one("Boolean")?)
    }
    fn blob(&mut self) -> Result<Vec<u8>, DecodeError> {
        match self.raw {
            Some(bytes) => Ok(bytes.to_vec()),
            None => blob(self.one("Blob")?),
        }
    }
    fn timestamp(&mut self) -> Result<Timestamp, DecodeError> {
        timestamp(self.one("Timestamp")?)
    }
    fn document(&mut self) -> Result<Document, DecodeError> {
        self.one("Document").map(|text| Document::String(text.to_owned()))
    }
}

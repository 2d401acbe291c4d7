//! How records are named in the store. This crate is the only one that spells a key.
//!
//! A key is text: `<domain>/<kind>/<part>/<part>...`, for example
//! `ecs/tasks/123456789012/eu-west-1/default/0f7c...`. A part may be any text; what would be taken for the end of a part
//! is escaped (see [`KeyWriter::part`]), and each key has exactly one spelling.
//!
//! Whose a record is comes first among the parts: account and region ([`KeyWriter::scope`]), the account alone for what
//! is global to it, as in IAM ([`KeyWriter::account`]), or neither.

use std::borrow::Cow;
use std::fmt::{self, Display, Write};

use longshore_base::{AccountId, Region, Scope};

/// What names a record among those of its kind.
///
/// A key reads back as what was written: `read` gives an equal key from the parts that `write` made, in that order.
pub trait RecordKey: Clone + Ord + fmt::Debug + Send + Sync + 'static {
    fn write(&self, key: &mut KeyWriter<'_>);

    /// `None` if the parts are not such a key.
    fn read(key: &mut KeyReader<'_>) -> Option<Self>;
}

/// Ends a part.
const SLASH: char = '/';
const SLASH_ESCAPED: &str = "%2F";
/// Begins an escape.
const PERCENT: char = '%';
const PERCENT_ESCAPED: &str = "%25";

/// Takes the parts of a key.
pub struct KeyWriter<'a> {
    out: &'a mut dyn Write,
}

impl<'a> KeyWriter<'a> {
    pub(crate) fn new(out: &'a mut dyn Write) -> Self {
        Self { out }
    }

    /// Adds one part, any text. In it `/` becomes `%2F`, and `%` becomes `%25`.
    pub fn part(&mut self, part: impl Display) {
        const WHY: &str = "keys are written to memory, and names have a text";
        self.out.write_char(SLASH).expect(WHY);
        write!(Escaped(self.out), "{part}").expect(WHY);
    }

    pub fn account(&mut self, account: AccountId) {
        self.part(account);
    }

    pub fn scope(&mut self, scope: &Scope) {
        self.account(scope.account);
        self.part(&scope.region);
    }
}

struct Escaped<'a>(&'a mut dyn Write);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find([SLASH, PERCENT]) {
            self.0.write_str(&rest[..at])?;
            self.0.write_str(if rest[at..].starts_with(SLASH) { SLASH_ESCAPED } else { PERCENT_ESCAPED })?;
            rest = &rest[at + 1..];
        }
        self.0.write_str(rest)
    }
}

/// Gives back the parts of a key.
pub struct KeyReader<'a> {
    /// Each part that is left, behind its slash.
    rest: &'a str,
}

impl<'a> KeyReader<'a> {
    pub(crate) fn new(rest: &'a str) -> Self {
        Self { rest }
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next part's text; `None` if there is none, or if it is not spelled as [`KeyWriter::part`] spells it.
    pub fn part(&mut self) -> Option<Cow<'a, str>> {
        let rest = self.rest.strip_prefix(SLASH)?;
        let (part, rest) = rest.split_at(rest.find(SLASH).unwrap_or(rest.len()));
        self.rest = rest;
        unescape(part)
    }

    /// The next part, if `parse` takes it.
    pub fn parse<T>(&mut self, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        parse(&self.part()?)
    }

    pub fn account(&mut self) -> Option<AccountId> {
        self.parse(AccountId::parse)
    }

    pub fn scope(&mut self) -> Option<Scope> {
        Some(Scope::new(self.account()?, self.parse(Region::parse)?))
    }
}

fn unescape(part: &str) -> Option<Cow<'_, str>> {
    if !part.contains(PERCENT) {
        return Some(Cow::Borrowed(part));
    }
    let mut text = String::with_capacity(part.len());
    let mut rest = part;
    while let Some(at) = rest.find(PERCENT) {
        text.push_str(&rest[..at]);
        let escape = &rest[at..];
        let (character, end) = if let Some(end) = escape.strip_prefix(SLASH_ESCAPED) {
            (SLASH, end)
        } else {
            (PERCENT, escape.strip_prefix(PERCENT_ESCAPED)?)
        };
        text.push(character);
        rest = end;
    }
    text.push_str(rest);
    Some(Cow::Owned(text))
}

/// Counts what is written to it.
pub(crate) struct Length(pub usize);

impl Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(parts: &[&str]) -> String {
        let mut text = String::new();
        let mut key = KeyWriter::new(&mut text);
        parts.iter().for_each(|part| key.part(part));
        text
    }

    fn read(text: &str) -> Option<Vec<String>> {
        let mut key = KeyReader::new(text);
        let mut parts = Vec::new();
        while !key.is_at_end() {
            parts.push(key.part()?.into_owned());
        }
        Some(parts)
    }

    #[test]
    fn a_part_may_be_any_text() {
        for parts in [
            &["a", "b"][..],
            &["a/b", "c"],
            &["a", "b/c"],
            &["/", "//", "%", "%2F", "%25", "%2f", ""],
            &["", ""],
            &[""],
            &["arn:aws:iam::1:user/a/b", "ü/\u{0}\n"],
        ] {
            let text = written(parts);
            assert_eq!(text.matches('/').count(), parts.len(), "{text}");
            assert_eq!(read(&text).expect("our own spelling"), parts, "{text}");
        }
    }

    #[test]
    fn a_key_has_one_spelling() {
        for text in ["a", "/%", "/%4", "/%41", "/%2f", "/%2"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_record_is_of_an_account_in_a_region_of_an_account_or_of_nobody() {
        let scope =
            Scope::new(AccountId::parse("000000000042").expect("digits"), Region::parse("r-1").expect("one"));
        let mut text = String::new();
        let mut key = KeyWriter::new(&mut text);
        key.scope(&scope);
        key.account(scope.account);
        assert_eq!(text, "/000000000042/r-1/000000000042");
        let mut key = KeyReader::new(&text);
        assert_eq!(key.scope(), Some(scope.clone()));
        assert_eq!(key.account(), Some(scope.account));
        assert!(key.is_at_end());
        assert_eq!(key.scope(), None);
    }
}

//! Forms: `a=1&b=%20`, the bodies and URLs of the Query protocols.

use std::borrow::Cow;

use longshore_base::percent;

use crate::shape::{DecodeError, DecodeReason};

/// How many pairs a form may have. The longest list of any input has a thousand elements, of a few members each.
const PAIRS_MAX: usize = 20_000;

/// A decoded form: names with their values, sorted by name, no name twice.
#[derive(Debug, Default)]
pub struct Form<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Form<'a> {
    /// Decodes a form. A name without `=` has an empty value.
    pub fn parse(text: &'a [u8]) -> Result<Self, DecodeError> {
        let malformed = |what| DecodeError::new(DecodeReason::Malformed(what));
        let text = std::str::from_utf8(text).map_err(|_| malformed("form"))?;
        let mut pairs = Vec::new();
        for pair in text.trim_end().split('&').filter(|pair| !pair.is_empty()) {
            if pairs.len() == PAIRS_MAX {
                return Err(DecodeError::new(DecodeReason::TooLarge));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = |part| percent::decode(part).ok_or_else(|| malformed("form"));
            pairs.push((decoded(name)?, decoded(value)?));
        }
        pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
        if pairs.windows(2).any(|two| two[0].0 == two[1].0) {
            return Err(malformed("form: a parameter occurs twice"));
        }
        Ok(Self { pairs })
    }

    /// The value of exactly this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.pairs.binary_search_by(|(other, _)| (**other).cmp(name)).ok()?;
        Some(&self.pairs[at].1)
    }

    pub(crate) fn pairs(&self) -> &[(Cow<'a, str>, Cow<'a, str>)] {
        &self.pairs
    }
}

/// The values of a few names in a form, without decoding the rest. What [`Form::parse`] refuses, this may pass.
pub fn find<'a, const N: usize>(
    form: &'a [u8],
    names: [&str; N],
) -> Result<[Option<Cow<'a, str>>; N], DecodeError> {
    let malformed = |what| DecodeError::new(DecodeReason::Malformed(what));
    let text = std::str::from_utf8(form).map_err(|_| malformed("form"))?;
    let mut found = [const { None }; N];
    for pair in text.trim_end().split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = percent::decode(name).ok_or_else(|| malformed("form"))?;
        let Some(at) = names.iter().position(|wanted| *wanted == name) else { continue };
        let value = percent::decode(value).ok_or_else(|| malformed("form"))?;
        if found[at].replace(value).is_some() {
            return Err(malformed("form: a parameter occurs twice"));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded_and_sorted() {
        let form = Form::parse(b"b=2+3&a=%C3%A4%20x&c&d=1%3D2&&e=%zz\n").expect("a form");
        let pairs: Vec<_> = form.pairs().iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(pairs, [("a", "ä x"), ("b", "2 3"), ("c", ""), ("d", "1=2"), ("e", "%zz")]);
        assert_eq!((form.get("b"), form.get("bb")), (Some("2 3"), None));
        for bad in [&b"a=1&a=2"[..], b"a=%ff", b"\xff=1", b"%61=1&a=1"] {
            assert!(Form::parse(bad).is_err(), "{bad:?}");
        }
        let many = "a&".repeat(PAIRS_MAX + 1);
        assert_eq!(Form::parse(many.as_bytes()).expect_err("too many").reason(), &DecodeReason::TooLarge);
    }
    /// The one that looks for a name and the one that reads all say the same.
    #[test]
    fn names_are_found_without_reading_the_rest() {
        let find = |text: &str| {
            let [action, version] = find(text.as_bytes(), ["Action", "Version"]).ok()?;
            Some((action.map(Cow::into_owned), version.map(Cow::into_owned)))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(find("x=1&%41ction=A%20b&Version=&Actions=c\n"), Some((some("A b"), some(""))));
        assert_eq!(find(""), Some((None, None)));
        for bad in ["Action=a&Action=a", "Action=a&%41ction=b", "Action=%ff", "%ff=1"] {
            assert_eq!(find(bad), None, "{bad}");
            assert!(Form::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}

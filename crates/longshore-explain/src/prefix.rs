//! Abbreviated ids: their first characters, as people copy them from a screen.

use std::fmt::Display;

/// The shortest abbreviation: fewer digits would too often fit several ids. Docker shows twelve and takes any number.
const PREFIX_CHARS_MIN: usize = 6;

/// Several ids begin with the text; two of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ambiguous(pub Vec<String>);

/// The one of `ids` that begins with `text`. `None` if there is none, or if `text` is not an abbreviation of an id: at
/// least [`PREFIX_CHARS_MIN`] hexadecimal digits, and fewer than the 32 of a whole id. The API takes whole ids only, as
/// ECS does; this is for people.
///
/// # Errors
/// Several ids begin with `text`.
pub fn find<I: Display + Copy>(ids: impl Iterator<Item = I>, text: &str) -> Result<Option<I>, Ambiguous> {
    let is_prefix =
        (PREFIX_CHARS_MIN..32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_prefix {
        return Ok(None);
    }
    let wanted = text.to_ascii_lowercase();
    let mut found = ids.filter(|id| id.to_string().starts_with(&wanted));
    let Some(first) = found.next() else { return Ok(None) };
    let Some(second) = found.next() else { return Ok(Some(first)) };
    Err(Ambiguous(vec![first.to_string(), second.to_string()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_finds_one_or_says_which() {
        let ids = [
            "0123456789abcdef0123456789abcdef",
            "0123456789ffffff0123456789abcdef",
            "beef0123456789abcdef0123456789ab",
        ];
        let found = |text: &str| find(ids.iter().copied(), text);
        assert_eq!(found("beef01"), Ok(Some(ids[2])));
        assert_eq!(found("BEEF0123"), Ok(Some(ids[2])));
        assert_eq!(found("0123456789a"), Ok(Some(ids[0])));
        assert_eq!(found("0123456789"), Err(Ambiguous(vec![ids[0].into(), ids[1].into()])));
        for nothing in ["beef0", "facade", "", "web", "beef-01", ids[0]] {
            assert_eq!(found(nothing), Ok(None), "{nothing}");
        }
    }
}

//! Patterns of policies: texts with `*`, `?` and `${variables}`, parsed once and matched often (identity J6).

use crate::context::Context;

/// A piece of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// Matches exactly this text.
    Text(String),
    /// `?`: any one character.
    One,
    /// `*`: any characters, also none.
    Any,
    /// `${key}` or `${key, 'default'}`: the value of the condition key, which is never a pattern itself.
    Variable { key: String, default: Option<String> },
}

/// Whether `${...}` means a variable: not in policies of version 2008-10-17 (identity J6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variables {
    Read,
    Literal,
}

/// A parsed pattern, matched with regard to case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Piece>);

impl Pattern {
    pub fn new(text: &str, variables: Variables) -> Self {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let variable = match variables {
                Variables::Read => rest.strip_prefix("${").and_then(|inner| inner.split_once('}')),
                Variables::Literal => None,
            };
            let special = match (variable, first) {
                (Some((inner, behind)), _) => {
                    rest = behind;
                    match inner.trim() {
                        // `${*}`, `${?}` and `${$}` stand for the characters themselves.
                        sign @ ("*" | "?" | "$") => {
                            plain.push_str(sign);
                            continue;
                        }
                        inner => read_variable(inner),
                    }
                }
                (None, '*') => {
                    rest = &rest[1..];
                    Piece::Any
                }
                (None, '?') => {
                    rest = &rest[1..];
                    Piece::One
                }
                (None, other) => {
                    plain.push(other);
                    rest = &rest[other.len_utf8()..];
                    continue;
                }
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(special);
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Self(pieces)
    }

    /// Whether the whole of `text` matches. A variable without a value, or with several, matches nothing.
    pub fn matches(&self, text: &str, context: &Context) -> bool {
        match self.0.as_slice() {
            [Piece::Any] => true,
            [Piece::Text(plain)] => plain == text,
            pieces => glob(pieces, text, context),
        }
    }

    /// Whether it is `text`, as `StringEquals` compares: `*` and `?` stand for themselves. A variable without a value,
    /// or with several, is no text.
    pub fn equals(&self, text: &str, context: &Context) -> bool {
        let rest = self.0.iter().try_fold(text, |rest, piece| rest.strip_prefix(piece.text(context)?));
        rest == Some("")
    }

    /// The text itself, as it is compared without regard to case. `None` if a variable has no value.
    pub fn text(&self, context: &Context) -> Option<String> {
        self.0.iter().map(|piece| piece.text(context)).collect()
    }
}

impl Piece {
    /// What it stands for where `*` and `?` are no wildcards. `None` for a variable with no value or with several.
    fn text<'a>(&'a self, context: &'a Context) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::One => Some("?"),
            Self::Any => Some("*"),
            Self::Variable { key, default } => match context.get(key) {
                Some([value]) => Some(value),
                Some([]) | None => default.as_deref(),
                Some(_) => None,
            },
        }
    }
}

/// Reads what stands between `${` and `}`: a condition key, and perhaps a default in quotes.
fn read_variable(inner: &str) -> Piece {
    let (key, default) = match inner.split_once(',') {
        Some((key, default)) => {
            let default = default.trim();
            (key, default.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')))
        }
        None => (inner, None),
    };
    Piece::Variable { key: key.trim().to_ascii_lowercase(), default: default.map(str::to_owned) }
}

/// Whether the pieces, one after the other, match the whole text. Where they fail to, only the last star is tried again
/// with more, so that the time is at most the product of both lengths, whatever a policy says.
fn glob(pieces: &[Piece], text: &str, context: &Context) -> bool {
    let (mut piece, mut at) = (0, 0);
    // The piece after the last star, and where in the text it is tried next: the star takes all before that.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let advanced = match pieces.get(piece) {
            Some(Piece::Any) => {
                retry = Some((piece + 1, at));
                piece += 1;
                continue;
            }
            Some(Piece::One) => text[at..].chars().next().map(|c| at + c.len_utf8()),
            Some(plain @ (Piece::Text(_) | Piece::Variable { .. })) => {
                let Some(plain) = plain.text(context) else { return false };
                text[at..].starts_with(plain).then(|| at + plain.len())
            }
            None if at == text.len() => return true,
            None => None,
        };
        match (advanced, &mut retry) {
            (Some(next), _) => {
                piece += 1;
                at = next;
            }
            (None, Some((behind, from))) => {
                let Some(skipped) = text[*from..].chars().next() else { return false };
                *from += skipped.len_utf8();
                (piece, at) = (*behind, *from);
            }
            (None, None) => return false,
        }
    }
}

/// A pattern for ARNs: each of the six fields between colons is matched by itself, and the last one takes all that
/// follows. Fields that the pattern leaves out are `*` (identity J6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ArnPattern(Vec<Pattern>);

/// `arn:partition:service:region:account:resource`.
const ARN_FIELDS: usize = 6;

impl ArnPattern {
    pub fn new(text: &str, variables: Variables) -> Self {
        Self(fields(text).into_iter().map(|field| Pattern::new(field, variables)).collect())
    }

    pub fn matches(&self, arn: &str, context: &Context) -> bool {
        if let [only] = self.0.as_slice() {
            return only.matches(arn, context);
        }
        let mut given = arn.splitn(ARN_FIELDS, ':');
        self.0.iter().all(|pattern| given.next().is_some_and(|field| pattern.matches(field, context)))
    }
}

/// Splits at the first five colons that are not inside a variable.
fn fields(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut begin, mut inside) = (0, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' if text[..at].ends_with('$') => inside = true,
            b'}' => inside = false,
            b':' if !inside && found.len() < ARN_FIELDS - 1 => {
                found.push(&text[begin..at]);
                begin = at + 1;
            }
            _other => {}
        }
    }
    found.push(&text[begin..]);
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern, Variables::Read).matches(text, &Context::new())
    }

    #[test]
    fn stars_and_question_marks() {
        for (pattern, text) in
            [("*", ""), ("a*c", "abbc"), ("a?c", "abc"), ("*b*b", "abab"), ("a**", "a"), ("?", "ü"), ("", "")]
        {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("a*c", "abcd"), ("a?c", "ac"), ("?", ""), ("", "a"), ("*b", "abc"), ("A", "a")]
        {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_variable_is_text_and_never_a_pattern() {
        let context = Context::new().with("aws:username", "a*").with("aws:PrincipalTag/Team", "red");
        let matches =
            |pattern: &str, text: &str| Pattern::new(pattern, Variables::Read).matches(text, &context);
        assert!(matches("home/${aws:username}/*", "home/a*/x"));
        assert!(!matches("home/${aws:username}/*", "home/ab/x"));
        assert!(matches("${aws:principaltag/team}", "red"));
        assert!(matches("${aws:PrincipalTag/none, 'blue'}", "blue"));
        assert!(!matches("x${aws:PrincipalTag/none}", "x"), "no value, no match");
        assert!(matches("${*}${?}${$}", "*?$"));
        assert!(!matches("${*}", "anything"));
        assert!(Pattern::new("${aws:username}", Variables::Literal).matches("${aws:username}", &context));
    }

    #[test]
    fn fields_of_an_arn_are_matched_each_for_itself() {
        let matches = |pattern: &str, arn: &str| {
            ArnPattern::new(pattern, Variables::Read).matches(arn, &Context::new())
        };
        let task = "arn:aws:ecs:eu-central-1:123456789012:task/default/abc";
        assert!(matches("arn:aws:ecs:*:*:task/*", task));
        assert!(matches("arn:aws:ecs:*:*:*", task));
        assert!(matches("arn:aws:ecs", task), "left out is `*`");
        assert!(!matches("arn:aws:ecs:*:task/*", task), "a star in a field does not reach over a colon");
        assert!(matches("arn:aws:logs:*:*:log-group:g:*", "arn:aws:logs:r:1:log-group:g:log-stream:s"));
        assert!(matches("*", "*"));
        assert!(!matches("arn:aws:ecs:*:*:*", "*"), "what has no resource is matched by `*` alone");
    }

    /// Somebody else writes the policies, and whoever asks the texts.
    #[test]
    fn no_pattern_takes_for_ever() {
        let text = "a".repeat(4000);
        for end in ["*a".repeat(2000), format!("*{}", "?".repeat(2000)), "*".repeat(4000), format!("*{text}")]
        {
            assert!(!matches(&format!("{end}b"), &text));
        }
    }

    proptest! {
        /// Against the obvious way, which is too slow for a policy that somebody else wrote.
        #[test]
        fn globs_agree_with_the_obvious_way(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            fn obvious(pattern: &[u8], text: &[u8]) -> bool {
                match pattern {
                    [] => text.is_empty(),
                    [b'*', rest @ ..] => (0..=text.len()).any(|skip| obvious(rest, &text[skip..])),
                    [first, rest @ ..] => match text {
                        [] => false,
                        [other, behind @ ..] => (*first == b'?' || first == other) && obvious(rest, behind),
                    },
                }
            }
            prop_assert_eq!(matches(&pattern, &text), obvious(pattern.as_bytes(), text.as_bytes()));
        }
    }
}

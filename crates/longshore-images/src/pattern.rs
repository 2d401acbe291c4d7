//! Patterns of tags: `*` stands for any characters, everything else for itself.

use std::fmt;
use std::sync::Arc;

/// A pattern for whole tags. Not a regular expression: a point is a point (registry I4, I15).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern(Arc<str>);

impl Pattern {
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How many `*` it has: ECR allows a few.
    pub fn wildcards(&self) -> usize {
        self.0.bytes().filter(|byte| *byte == b'*').count()
    }

    /// Whether it is about this text. Each part between two `*` is taken at its first place, which leaves the most to
    /// the next ones, so that nothing has to be tried twice.
    pub fn matches(&self, text: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or("");
        let Some(mut rest) = text.strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pattern_is_about_the_whole() {
        for (pattern, text, is_match) in [
            ("prod", "prod", true),
            ("prod", "prod1", false),
            ("prod*", "prod", true),
            ("prod*", "prod-1", true),
            ("*", "", true),
            ("*.x", "1.x", true),
            ("*.x", "1zx", false),
            ("a*b*a", "aba", true),
            ("a*b*a", "ab", false),
            ("a*a", "a", false),
            ("*ab*ab", "ab", false),
            ("*ab*ab", "xabyab", true),
        ] {
            assert_eq!(Pattern::new(pattern).matches(text), is_match, "{pattern} {text}");
        }
    }

    /// The plainest way to say it.
    fn matches(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => {
                matches(rest, text) || text.split_first().is_some_and(|(_, text)| matches(pattern, text))
            }
            ([a, pattern @ ..], [b, text @ ..]) => a == b && matches(pattern, text),
            ([], [_, ..]) | ([_, ..], []) => false,
        }
    }

    proptest! {
        #[test]
        fn the_quick_way_is_the_plain_way(pattern in "[ab*]{0,7}", text in "[ab]{0,9}") {
            let plain = matches(pattern.as_bytes(), text.as_bytes());
            prop_assert_eq!(Pattern::new(&pattern).matches(&text), plain);
        }
    }
}

//! What repositories and images are called.

use std::fmt;
use std::sync::Arc;

/// The name of a repository: `team/web`.
///
/// Components of lower-case letters and digits, with `.`, `_`, `__` or hyphens between them, joined by slashes: the
/// grammar of ECR's model and of OCI's distribution-spec are the same. Two to 256 characters, as in ECR.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryName(Arc<str>);

impl RepositoryName {
    const CHARS_MIN: usize = 2;
    const CHARS_MAX: usize = 256;

    pub fn parse(text: &str) -> Option<Self> {
        let fits = (Self::CHARS_MIN..=Self::CHARS_MAX).contains(&text.len());
        (fits && text.split('/').all(is_component)).then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn shared(&self) -> &Arc<str> {
        &self.0
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    is_word(*first)
        && is_word(*last)
        && text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()).all(|between| {
            // What is between two letters; nothing, where they stand side by side.
            matches!(between, "" | "." | "_" | "__") || between.bytes().all(|byte| byte == b'-')
        })
}

/// A tag of an image: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}` (OCI distribution-spec, "Pulling manifests").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(Arc<str>);

impl Tag {
    const CHARS_MAX: usize = 128;

    pub fn parse(text: &str) -> Option<Self> {
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let fits = text.len() <= Self::CHARS_MAX && text.bytes().all(is_inner);
        (fits && !text.starts_with(['.', '-']) && !text.is_empty()).then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_repositories() {
        let long = "a".repeat(256);
        for good in [
            "ab",
            "a/b",
            "team/web-1.x",
            "a__b",
            "a---b",
            "0/1/2",
            "123456789012.dkr.ecr.us-east-1.x/a",
            &long,
        ] {
            assert!(RepositoryName::parse(good).is_some(), "{good}");
        }
        let longer = "a".repeat(257);
        for bad in [
            "", "a", "A/b", "/a", "a/", "a//b", "..", "a/../b", "a..b", "a___b", "-a", "a-", "a.", "a b",
            "ä/b", "a._b", &longer,
        ] {
            assert!(RepositoryName::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn tags() {
        for good in ["1", "_", "v1.0-rc_2", "latest", &"x".repeat(128)] {
            assert!(Tag::parse(good).is_some(), "{good}");
        }
        for bad in ["", ".a", "-a", "a:b", "a/b", "a b", "ü", &"x".repeat(129)] {
            assert!(Tag::parse(bad).is_none(), "{bad}");
        }
    }
}

//! Which tags may move from one image to another (registry I4).

use serde::{Deserialize, Serialize};

use crate::{Pattern, Tag};

/// What a repository says about its tags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagMutability {
    /// Of tags that no exclusion is about.
    pub is_mutable: bool,
    /// Patterns of tags of which the opposite holds.
    pub exclusions: Vec<String>,
}

impl Default for TagMutability {
    fn default() -> Self {
        Self { is_mutable: true, exclusions: Vec::new() }
    }
}

/// Why exclusions are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExclusionError {
    #[error("between 1 and {EXCLUSIONS_MAX} filters")]
    Count,
    #[error("at most {WILDCARDS_MAX} wildcards in a filter")]
    Wildcards,
    #[error("letters, digits, '.', '_', '-' and '*', at most 128")]
    Characters,
}

/// ECR API reference, `imageTagMutabilityExclusionFilters`.
const EXCLUSIONS_MAX: usize = 5;
const WILDCARDS_MAX: usize = 2;
const FILTER_CHARS_MAX: usize = 128;

impl TagMutability {
    /// With these exclusions, of which there has to be at least one.
    pub fn with_exclusions(is_mutable: bool, filters: &[&str]) -> Result<Self, ExclusionError> {
        if filters.is_empty() || filters.len() > EXCLUSIONS_MAX {
            return Err(ExclusionError::Count);
        }
        for filter in filters {
            let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-*".contains(&byte);
            if filter.is_empty() || filter.len() > FILTER_CHARS_MAX || !filter.bytes().all(is_allowed) {
                return Err(ExclusionError::Characters);
            }
            if Pattern::new(filter).wildcards() > WILDCARDS_MAX {
                return Err(ExclusionError::Wildcards);
            }
        }
        Ok(Self { is_mutable, exclusions: filters.iter().map(|&filter| filter.to_owned()).collect() })
    }

    /// Whether this tag may move to another image.
    pub fn may_move(&self, tag: &Tag) -> bool {
        let is_excluded = self.exclusions.iter().any(|filter| Pattern::new(filter).matches(tag.as_str()));
        self.is_mutable != is_excluded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exclusions_turn_it_around() {
        let tag = |text| Tag::parse(text).expect("a tag");
        let fixed = TagMutability { is_mutable: false, exclusions: Vec::new() };
        assert!(TagMutability::default().may_move(&tag("1")) && !fixed.may_move(&tag("1")));
        let fixed = TagMutability::with_exclusions(false, &["latest*", "dev"]).expect("filters");
        assert!(fixed.may_move(&tag("latest-arm")) && fixed.may_move(&tag("dev")));
        assert!(!fixed.may_move(&tag("dev1")) && !fixed.may_move(&tag("1")));
        let moving = TagMutability::with_exclusions(true, &["v*.*"]).expect("filters");
        assert!(moving.may_move(&tag("v1")) && !moving.may_move(&tag("v1.2")));
    }

    #[test]
    fn filters_have_limits() {
        let with = |filters: &[&str]| TagMutability::with_exclusions(false, filters).err();
        assert_eq!(with(&[]), Some(ExclusionError::Count));
        assert_eq!(with(&["a"; 6]), Some(ExclusionError::Count));
        assert_eq!(with(&["a*b*c*"]), Some(ExclusionError::Wildcards));
        assert_eq!(with(&["a|b"]), Some(ExclusionError::Characters));
        assert_eq!(with(&["a*b*c", "x"]), None);
    }
}

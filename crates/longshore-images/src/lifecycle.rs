//! Lifecycle policies: which images of a repository go, and by which rule (registry I5; ECR user guide, "Lifecycle
//! policy evaluation rules").
//!
//! [`Policy::parse`] reads a policy or says why it is none. [`evaluate`] is what both the preview and the sweep ask, so
//! that the one shows what the other does.
//!
//! Not built, and refused: transitions to another storage class, of which there is one here.

use std::collections::BTreeMap;
use std::time::Duration;

use longshore_base::Timestamp;
use serde::Deserialize;

use crate::{Digest, Pattern, Tag};

/// ECR user guide, "Lifecycle policy parameters".
const RULES_MAX: usize = 50;
const WILDCARDS_MAX: usize = 4;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A policy: its rules, by ascending priority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    rules: Vec<Rule>,
}

/// Of the images that it is about, those that are too many or too old expire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub priority: u32,
    pub description: String,
    pub about: About,
    pub limit: Limit,
}

/// What images a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    Any,
    Untagged,
    /// For each of these, some tag of the image matches it.
    Patterns(Vec<Pattern>),
    /// For each of these, some tag of the image begins with it.
    Prefixes(Vec<String>),
}

/// Which of them a rule selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// All but so many of the newest.
    Newest(u32),
    /// Those that were pushed longer ago than so many days.
    Days(u32),
}

/// Why a text is no policy. The words follow ECR's `Lifecycle policy validation failure: `.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("string {0} is not a valid policy document")]
    Malformed(String),
    #[error("a policy has between 1 and {RULES_MAX} rules")]
    Count,
    #[error("rulePriority has to be at least 1, and is {0}")]
    Priority(u32),
    #[error("several rules have the priority {0}")]
    SamePriority(u32),
    #[error(
        "rule {0}: tagStatus tagged needs tagPatternList or tagPrefixList, not both, and at least one entry"
    )]
    TagList(u32),
    #[error("rule {0}: tagPatternList and tagPrefixList are for tagStatus tagged")]
    NoTagList(u32),
    #[error("rule {0}: a pattern has at most {WILDCARDS_MAX} wildcards, and no entry is empty")]
    Pattern(u32),
    #[error("rule {0}: the rule with tagStatus any has to have the highest rulePriority of all")]
    AnyIsLast(u32),
    #[error("rule {0}: one rule with tagStatus untagged is allowed")]
    UntaggedTwice(u32),
    #[error("rule {0}: countUnit days goes with sinceImagePushed, and with nothing else")]
    Unit(u32),
    #[error("rule {0}: countNumber has to be at least 1")]
    Number(u32),
    #[error("rule {0}: countType {1} is for transitions, not for expire")]
    CountTypeOfTransition(u32, &'static str),
    #[error(
        "rule {0}: this registry has one storage class; transition and storageClass archive are not supported"
    )]
    StorageClass(u32),
}

/// An image, as far as policies look at it.
#[derive(Clone, Debug)]
pub struct Image<'a> {
    pub digest: &'a Digest,
    pub tags: Vec<&'a Tag>,
    pub pushed_at: Timestamp,
    /// It belongs to another one that is there: an entry of an index, or without a tag and about a subject. No rule is
    /// about it; it goes after what it belongs to.
    pub is_part: bool,
    /// Somebody runs it. Rules are about it, count it and leave it alone.
    pub is_in_use: bool,
}

/// What becomes of an image that a rule selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Expires,
    /// It would expire, were it not in use.
    Kept,
}

/// An image that a rule selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected<'a> {
    pub digest: &'a Digest,
    /// The priority of the rule.
    pub priority: u32,
    pub outcome: Outcome,
}

/// What a policy selects among the images of one repository, in the order of `images`.
///
/// Each rule first selects among all images, as if it were alone. Then rules act by ascending priority, each image
/// being acted on at most once; and what meets the tags of a rule is never selected by a later one, even if the earlier
/// one keeps it. Of equally old images, those with the smaller digest count as newer, so that the answer is one.
pub fn evaluate<'a>(images: &[Image<'a>], policy: &Policy, now: Timestamp) -> Vec<Selected<'a>> {
    let mut newest_first: Vec<usize> = (0..images.len()).filter(|&at| !images[at].is_part).collect();
    newest_first.sort_by(|&a, &b| {
        images[b].pushed_at.cmp(&images[a].pushed_at).then_with(|| images[a].digest.cmp(images[b].digest))
    });
    // By its place: the first rule whose tags it meets, and whether that selects it.
    let mut ruled: BTreeMap<usize, (u32, bool)> = BTreeMap::new();
    for rule in &policy.rules {
        let met = newest_first.iter().filter(|&&at| rule.about.meets(&images[at].tags));
        for (count, &at) in met.enumerate() {
            let is_selected = match rule.limit {
                Limit::Newest(kept) => count >= kept as usize,
                Limit::Days(days) => images[at].pushed_at + DAY * days < now,
            };
            ruled.entry(at).or_insert((rule.priority, is_selected));
        }
    }
    let selected = ruled.into_iter().filter(|(_, (_, is_selected))| *is_selected);
    selected
        .map(|(at, (priority, _))| Selected {
            digest: images[at].digest,
            priority,
            outcome: if images[at].is_in_use { Outcome::Kept } else { Outcome::Expires },
        })
        .collect()
}

impl About {
    fn meets(&self, tags: &[&Tag]) -> bool {
        match self {
            Self::Any => true,
            Self::Untagged => tags.is_empty(),
            Self::Patterns(patterns) => {
                patterns.iter().all(|pattern| tags.iter().any(|tag| pattern.matches(tag.as_str())))
            }
            Self::Prefixes(prefixes) => {
                prefixes.iter().all(|prefix| tags.iter().any(|tag| tag.as_str().starts_with(prefix)))
            }
        }
    }
}

impl Policy {
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let document: Document =
            serde_json::from_str(text).map_err(|error| Invalid::Malformed(error.to_string()))?;
        if document.rules.is_empty() || document.rules.len() > RULES_MAX {
            return Err(Invalid::Count);
        }
        let mut rules = document.rules.into_iter().map(RuleText::read).collect::<Result<Vec<_>, _>>()?;
        rules.sort_by_key(|rule| rule.priority);
        if let Some(two) = rules.windows(2).find(|two| two[0].priority == two[1].priority) {
            return Err(Invalid::SamePriority(two[0].priority));
        }
        let last = rules.last().map(|rule| rule.priority);
        if let Some(any) = rules.iter().find(|rule| rule.about == About::Any && Some(rule.priority) != last) {
            return Err(Invalid::AnyIsLast(any.priority));
        }
        if let Some(second) = rules.iter().filter(|rule| rule.about == About::Untagged).nth(1) {
            return Err(Invalid::UntaggedTwice(second.priority));
        }
        Ok(Self { rules })
    }
}

/// The text of a policy. A member that is not known is a mistake: what it asks for would not be done.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    rules: Vec<RuleText>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RuleText {
    rule_priority: u32,
    #[serde(default)]
    description: String,
    selection: SelectionText,
    action: ActionText,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SelectionText {
    tag_status: TagStatus,
    tag_pattern_list: Option<Vec<String>>,
    tag_prefix_list: Option<Vec<String>>,
    storage_class: Option<StorageClass>,
    count_type: CountType,
    count_unit: Option<CountUnit>,
    count_number: u32,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TagStatus {
    Tagged,
    Untagged,
    Any,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StorageClass {
    Standard,
    Archive,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum CountType {
    ImageCountMoreThan,
    SinceImagePushed,
    SinceImagePulled,
    SinceImageTransitioned,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum CountUnit {
    Days,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ActionText {
    #[serde(rename = "type")]
    kind: ActionKind,
    target_storage_class: Option<StorageClass>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ActionKind {
    Expire,
    Transition,
}

impl RuleText {
    fn read(self) -> Result<Rule, Invalid> {
        let Self { rule_priority: priority, description, selection, action } = self;
        if priority == 0 {
            return Err(Invalid::Priority(priority));
        }
        match (action.kind, action.target_storage_class, selection.storage_class) {
            (ActionKind::Expire, None, None | Some(StorageClass::Standard)) => {}
            (ActionKind::Transition, _, _) | (_, Some(_), _) | (_, _, Some(StorageClass::Archive)) => {
                return Err(Invalid::StorageClass(priority));
            }
        }
        let number = selection.count_number;
        if number == 0 {
            return Err(Invalid::Number(priority));
        }
        let limit = match (selection.count_type, selection.count_unit) {
            (CountType::ImageCountMoreThan, None) => Limit::Newest(number),
            (CountType::SinceImagePushed, Some(CountUnit::Days)) => Limit::Days(number),
            (CountType::SinceImagePulled, _) => {
                return Err(Invalid::CountTypeOfTransition(priority, "sinceImagePulled"));
            }
            (CountType::SinceImageTransitioned, _) => {
                return Err(Invalid::CountTypeOfTransition(priority, "sinceImageTransitioned"));
            }
            (CountType::ImageCountMoreThan, Some(_)) | (CountType::SinceImagePushed, None) => {
                return Err(Invalid::Unit(priority));
            }
        };
        Ok(Rule { priority, description, about: selection.about(priority)?, limit })
    }
}

impl SelectionText {
    fn about(self, priority: u32) -> Result<About, Invalid> {
        let (patterns, prefixes) = (self.tag_pattern_list, self.tag_prefix_list);
        match self.tag_status {
            TagStatus::Any | TagStatus::Untagged if patterns.is_some() || prefixes.is_some() => {
                Err(Invalid::NoTagList(priority))
            }
            TagStatus::Any => Ok(About::Any),
            TagStatus::Untagged => Ok(About::Untagged),
            TagStatus::Tagged => {
                let about = match (patterns, prefixes) {
                    (Some(patterns), None) => {
                        About::Patterns(patterns.iter().map(|text| Pattern::new(text)).collect())
                    }
                    (None, Some(prefixes)) => About::Prefixes(prefixes),
                    (Some(_), Some(_)) | (None, None) => return Err(Invalid::TagList(priority)),
                };
                about.check(priority)?;
                Ok(about)
            }
        }
    }
}

impl About {
    fn check(&self, priority: u32) -> Result<(), Invalid> {
        let (count, is_good) = match self {
            Self::Any | Self::Untagged => return Ok(()),
            Self::Patterns(patterns) => {
                let is_pattern = |of: &Pattern| !of.as_str().is_empty() && of.wildcards() <= WILDCARDS_MAX;
                (patterns.len(), patterns.iter().all(is_pattern))
            }
            Self::Prefixes(prefixes) => (prefixes.len(), prefixes.iter().all(|prefix| !prefix.is_empty())),
        };
        match (count, is_good) {
            (0, _) => Err(Invalid::TagList(priority)),
            (_, false) => Err(Invalid::Pattern(priority)),
            (_, true) => Ok(()),
        }
    }
}

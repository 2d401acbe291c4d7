//! The cluster query language of `memberOf` and `ListContainerInstances.filter` (ecs-engine D6).
//!
//! [`Expression::parse`] reads a text once and checks everything that can be checked without an
//! instance: operators per subject, numbers, dates, regular expressions. [`Expression::matches`]
//! then answers for one [`Subject`] and cannot fail.
//!
//! Decisions where the language's documentation is silent:
//! - `and` binds stronger than `or`; parentheses are accepted everywhere.
//! - A missing attribute fails every operator but `not_exists`. An attribute without a value has
//!   the empty value. An instance without tasks fails every operator on `task:group`; with tasks,
//!   an operator holds if it holds for one of their groups.
//! - A regular expression has to match the whole value. The syntax is that of the `regex-lite`
//!   crate and `\Q..\E`: Java's without look-around, back-references, possessive quantifiers and
//!   intersections of classes; ASCII classes only.
//! - Attributes are ordered as numbers if both sides are numbers, else as text.

mod eval;
mod parse;
mod value;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

pub use eval::Subject;
pub(crate) use parse::{GroupTest, Node, Ordering, Predicate, TextTest};

/// The longest expression, in characters (ecs-engine D4).
pub const EXPRESSION_LEN_MAX: usize = 2000;
/// How deep parentheses and `not` may nest. Far beyond what anyone writes, far below what a
/// recursive reader's stack holds.
pub const DEPTH_MAX: usize = 32;

/// A parsed expression. Cheap to clone; equal if its text is.
#[derive(Clone)]
pub struct Expression {
    text: Arc<str>,
    root: Arc<Node>,
}

/// What is wrong with an expression, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at position {}; {hint}", span.start + 1)]
pub struct QueryError {
    /// The bytes of the text that the problem is about.
    pub span: Range<usize>,
    pub problem: String,
    /// What to do about it.
    pub hint: String,
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// With the place and a hint, if it is longer than [`EXPRESSION_LEN_MAX`], nested deeper than
    /// [`DEPTH_MAX`], or not in the language.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        Ok(Self { text: text.into(), root: Arc::new(parse::parse(text)?) })
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn text(&self) -> &Arc<str> {
        &self.text
    }

    pub(crate) fn root(&self) -> &Node {
        &self.root
    }

    /// True if it looks only at what does not change while tasks come and go.
    pub fn is_static(&self) -> bool {
        self.root.is_static()
    }

    /// True if it mentions the attribute.
    pub fn reads_attribute(&self, name: &str) -> bool {
        self.root.reads_attribute(name)
    }

    /// Whether `subject` satisfies it.
    pub fn matches(&self, subject: &impl Subject) -> bool {
        self.root.matches(subject)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Expression {}

impl Hash for Expression {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({:?})", self.text)
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests;

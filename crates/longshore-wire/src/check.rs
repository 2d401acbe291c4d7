//! The constraints of a model, checked on a decoded value.
//!
//! A check is a walk over the value with its schema, so generated code holds none of it. What a
//! violation means (which error, which words) is the caller's choice: services differ.

use std::fmt;

use longshore_base::Timestamp;

use crate::document::Document;
use crate::schema::{Entries, Kind, MemberSchema, StructSchema, TypeSchema};
use crate::shape::{ShapeWriter, Structure};

/// How many violations one check collects; a hostile list must not multiply into megabytes of text.
pub const VIOLATIONS_MAX: usize = 100;

/// Everything that a value breaks, in the order of a walk through it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Violations(Vec<Violation>);

/// One broken constraint.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// Where, as in `containerDefinitions[0].name`.
    pub path: String,
    /// Name of the member, without its path: `name`.
    pub member: &'static str,
    /// Name of the shape that carries the constraint, such as `LaunchType`.
    pub shape: &'static str,
    pub rule: Rule,
}

/// Which constraint is broken.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// A required member is absent.
    Missing,
    /// The enumeration has no such value. `None` when the value is a secret.
    UnknownValue { value: Option<String>, allowed: &'static [&'static str] },
    /// Characters of a string, elements of a list or entries of a map.
    Length { length: usize, min: Option<i64>, max: Option<i64> },
    /// A number outside of its range.
    Range { min: Option<i64>, max: Option<i64> },
    /// A string with a character that its pattern does not allow.
    Pattern(&'static str),
}

impl Violations {
    /// Checks a whole value.
    pub fn of(value: &dyn Structure) -> Self {
        let mut checker = Checker { found: Vec::new(), frames: Vec::new(), next: None };
        value.encode(&mut checker);
        Self(checker.found)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn first(&self) -> Option<&Violation> {
        self.0.first()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Violation> {
        self.0.iter()
    }
}

impl IntoIterator for Violations {
    type Item = Violation;
    type IntoIter = std::vec::IntoIter<Violation>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.0.iter().enumerate() {
            write!(f, "{}{violation}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match &self.rule {
            Rule::Missing => write!(f, "{path} is required"),
            Rule::UnknownValue { allowed, .. } => {
                write!(f, "{path} should be one of [{}]", allowed.join(","))
            }
            Rule::Length { length, min, max } => {
                write!(f, "{path} has length {length}, expected {}", Bounds(*min, *max))
            }
            Rule::Range { min, max } => write!(f, "{path} is out of range, expected {}", Bounds(*min, *max)),
            Rule::Pattern(pattern) => write!(f, "{path} does not match {pattern}"),
        }
    }
}

struct Bounds(Option<i64>, Option<i64>);

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (Some(min), Some(max)) => write!(f, "{min} to {max}"),
            (Some(min), None) => write!(f, "at least {min}"),
            (None, Some(max)) => write!(f, "at most {max}"),
            (None, None) => write!(f, "any"),
        }
    }
}

/// What the next value is, according to its parent.
#[derive(Clone, Copy)]
struct Expected {
    member: &'static MemberSchema,
    target: &'static TypeSchema,
}

enum Frame {
    Structure { schema: &'static StructSchema, present: Vec<bool>, current: usize },
    List { of: Option<Expected>, index: usize },
    Map { of: Option<Expected>, key: String },
}

struct Checker {
    found: Vec<Violation>,
    frames: Vec<Frame>,
    /// Set by `member` and `key`; list elements take it from their frame.
    next: Option<Expected>,
}

impl Checker {
    /// What the value that comes now should be. Steps the index of a list.
    fn expected(&mut self) -> Option<Expected> {
        match self.frames.last_mut() {
            Some(Frame::List { of, index }) => {
                *index += 1;
                *of
            }
            Some(Frame::Structure { .. } | Frame::Map { .. }) => self.next.take(),
            None => None,
        }
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for frame in &self.frames {
            match frame {
                Frame::Structure { schema, current, .. } => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(schema.members[*current].name);
                }
                Frame::List { index, .. } => path.push_str(&format!("[{}]", index.saturating_sub(1))),
                Frame::Map { key, .. } => path.push_str(&format!("[{key}]")),
            }
        }
        path
    }

    fn report(&mut self, expected: Expected, rule: Rule) {
        if self.found.len() < VIOLATIONS_MAX {
            let path = self.path();
            self.found.push(Violation {
                path,
                member: expected.member.name,
                shape: expected.target.name,
                rule,
            });
        }
    }

    fn length(&mut self, expected: Expected, length: usize) {
        let TypeSchema { min, max, .. } = expected.target;
        if outside(length as f64, *min, *max) {
            self.report(expected, Rule::Length { length, min: *min, max: *max });
        }
    }

    fn range(&mut self, value: f64) {
        if let Some(expected) = self.expected() {
            let TypeSchema { min, max, .. } = expected.target;
            if outside(value, *min, *max) {
                self.report(expected, Rule::Range { min: *min, max: *max });
            }
        }
    }

    /// For kinds without constraints.
    fn pass(&mut self) {
        let _unconstrained = self.expected();
    }
}

/// NaN is outside of every bound.
fn outside(value: f64, min: Option<i64>, max: Option<i64>) -> bool {
    let low = min.is_some_and(|min| value < min as f64);
    let high = max.is_some_and(|max| value > max as f64);
    low || high || (value.is_nan() && (min.is_some() || max.is_some()))
}

impl ShapeWriter for Checker {
    fn begin_structure(&mut self, schema: &'static StructSchema) {
        self.pass();
        self.frames.push(Frame::Structure { schema, present: vec![false; schema.members.len()], current: 0 });
    }

    fn member(&mut self, member: &'static MemberSchema) {
        if let Some(Frame::Structure { schema, present, current }) = self.frames.last_mut()
            && let Some(position) = schema.position(member.name)
        {
            present[position] = true;
            *current = position;
        }
        self.next = Some(Expected { member, target: member.target });
    }

    fn end_structure(&mut self) {
        let Some(Frame::Structure { schema, present, .. }) = self.frames.pop() else { return };
        for (position, member) in schema.members.iter().enumerate() {
            if member.required && !present[position] {
                self.frames.push(Frame::Structure { schema, present: Vec::new(), current: position });
                self.report(Expected { member, target: member.target }, Rule::Missing);
                self.frames.pop();
            }
        }
    }

    fn begin_list(&mut self, len: usize) {
        let expected = self.expected();
        if let Some(expected) = expected {
            self.length(expected, len);
        }
        let of = expected.and_then(|Expected { member, target }| {
            let Kind::List(collection) = &target.kind else { return None };
            Some(Expected { member, target: collection.element })
        });
        self.frames.push(Frame::List { of, index: 0 });
    }

    fn end_list(&mut self) {
        self.frames.pop();
    }

    fn begin_map(&mut self, len: usize) {
        let expected = self.expected();
        if let Some(expected) = expected {
            self.length(expected, len);
        }
        let of = expected.and_then(|Expected { member, target }| {
            let Kind::Map(Entries { value, .. }) = &target.kind else { return None };
            Some(Expected { member, target: value })
        });
        self.frames.push(Frame::Map { of, key: String::new() });
    }

    fn key(&mut self, text: &str) {
        if let Some(Frame::Map { of, key }) = self.frames.last_mut() {
            // A secret map keeps its keys to itself as well.
            let secret = of.is_some_and(|of| of.member.sensitive);
            *key = if secret { "..".to_owned() } else { text.chars().take(64).collect() };
            self.next = *of;
        }
    }

    fn end_map(&mut self) {
        self.frames.pop();
    }

    fn string(&mut self, value: &str) {
        let Some(expected) = self.expected() else { return };
        if let Kind::Enum(allowed) = expected.target.kind {
            if !allowed.contains(&value) {
                let value = (!expected.member.sensitive).then(|| value.chars().take(256).collect());
                self.report(expected, Rule::UnknownValue { value, allowed });
            }
            return;
        }
        if expected.target.min.is_some() || expected.target.max.is_some() {
            self.length(expected, value.chars().count());
        }
        if let Some(pattern) = expected.target.pattern
            && !crate::pattern::allows(pattern, value)
        {
            self.report(expected, Rule::Pattern(pattern));
        }
    }

    fn integer(&mut self, value: i32) {
        self.range(f64::from(value));
    }
    fn long(&mut self, value: i64) {
        self.range(value as f64);
    }
    fn float(&mut self, value: f32) {
        self.range(f64::from(value));
    }
    fn double(&mut self, value: f64) {
        self.range(value);
    }
    fn boolean(&mut self, _value: bool) {
        self.pass();
    }
    fn blob(&mut self, value: &[u8]) {
        if let Some(expected) = self.expected() {
            self.length(expected, value.len());
        }
    }
    fn timestamp(&mut self, _value: Timestamp) {
        self.pass();
    }
    fn document(&mut self, _value: &Document) {
        self.pass();
    }
}

//! The request context that conditions of policies are evaluated in: condition keys and their values.

use std::collections::BTreeMap;

use longshore_base::Timestamp;
use longshore_wire::iso8601;

/// Condition keys with their values. Names are compared without regard to case, as AWS does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context(BTreeMap<String, Vec<String>>);

impl Context {
    pub fn new() -> Self {
        Self::default()
    }

    /// A key with one value. Replaces what was there.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.0.insert(key.to_ascii_lowercase(), vec![value.into()]);
    }

    /// A key with any number of values. No values at all count as an absent key, but for the `...IfExists` operators:
    /// an absent key satisfies all of them, one without values only the negated ones.
    pub fn set_all(&mut self, key: &str, values: impl IntoIterator<Item = String>) {
        self.0.insert(key.to_ascii_lowercase(), values.into_iter().collect());
    }

    /// Puts the values of a key, or with `None` takes it away, and gives what was there.
    pub fn replace(&mut self, key: &str, values: Option<Vec<String>>) -> Option<Vec<String>> {
        let key = key.to_ascii_lowercase();
        match values {
            Some(values) => self.0.insert(key, values),
            None => self.0.remove(&key),
        }
    }

    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.set(key, value);
        self
    }

    /// The keys of the time at which something is asked, as far as IAM tells it: in whole seconds.
    #[must_use]
    pub fn at(mut self, now: Timestamp) -> Self {
        self.set("aws:EpochTime", now.as_millis().div_euclid(1000).to_string());
        self.set("aws:CurrentTime", whole_seconds(now));
        self
    }

    /// The values of a key whose name is given in lower case; `None` if it is absent.
    pub(crate) fn get(&self, lower: &str) -> Option<&[String]> {
        self.0.get(lower).map(Vec::as_slice)
    }

    /// Whether a key is there, whatever the case of its name.
    pub fn has(&self, key: &str) -> bool {
        self.0.contains_key(&key.to_ascii_lowercase())
    }

    /// The value of a key that has exactly one, whatever the case of its name.
    pub fn one(&self, key: &str) -> Option<&str> {
        match self.0.get(&key.to_ascii_lowercase())?.as_slice() {
            [value] => Some(value),
            _ => None,
        }
    }
}

/// A time as conditions compare it. IAM knows no parts of a second.
pub fn whole_seconds(time: Timestamp) -> String {
    iso8601(Timestamp::from_millis(time.as_millis().div_euclid(1000) * 1000))
}

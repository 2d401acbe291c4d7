//! Constraints and strategies as records keep them: `{type, value}`, as texts.
//!
//! What is stored is what was written, so that it stays readable when the language grows. It is read where the record is,
//! and a rule that cannot be read is an error there: nothing that follows rules ever has to decide what none would mean.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Constraint, Strategy};

/// The stored layout of either.
#[derive(Serialize, Deserialize)]
struct Stored<T> {
    kind: T,
    value: Option<T>,
}

impl Serialize for Constraint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Stored { kind: self.kind(), value: self.expression() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Constraint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Stored::<String>::deserialize(deserializer)?;
        Self::parse(&stored.kind, stored.value.as_deref()).map_err(D::Error::custom)
    }
}

impl Serialize for Strategy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Stored { kind: self.kind(), value: self.field().as_deref() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Strategy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Stored::<String>::deserialize(deserializer)?;
        Self::parse(&stored.kind, stored.value.as_deref()).map_err(D::Error::custom)
    }
}

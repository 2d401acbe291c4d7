//! The keys of records. Each begins with account and region.

use std::sync::Arc;

use longshore_base::Scope;
use longshore_state::{KeyReader, KeyWriter, RecordKey};

/// Something with a name: a secret, a parameter, an alias; a key of KMS by its id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScopedKey {
    pub scope: Scope,
    pub name: Arc<str>,
}

/// A head, as its parts name it: its name, and what tells it from all others that ever had that name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Whole {
    pub name: Arc<str>,
    /// Six letters and digits; empty for a key of KMS, whose id comes never again.
    pub birth: Arc<str>,
}

/// A version of a secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VersionKey {
    pub scope: Scope,
    pub of: Whole,
    pub id: Arc<str>,
}

/// A version of a parameter, or a material of a key: they are counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NumberKey {
    pub scope: Scope,
    pub of: Whole,
    pub number: u64,
}

impl ScopedKey {
    pub fn new(scope: &Scope, name: &Arc<str>) -> Self {
        Self { scope: scope.clone(), name: name.clone() }
    }
}

impl Whole {
    pub fn new(name: &Arc<str>, birth: &Arc<str>) -> Self {
        Self { name: name.clone(), birth: birth.clone() }
    }

    fn write(&self, key: &mut KeyWriter<'_>) {
        key.part(&self.name);
        key.part(&self.birth);
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        Some(Self { name: key.part()?.into(), birth: key.part()?.into() })
    }
}

impl RecordKey for ScopedKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        key.scope(&self.scope);
        key.part(&self.name);
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        Some(Self { scope: key.scope()?, name: key.part()?.into() })
    }
}

impl RecordKey for VersionKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        key.scope(&self.scope);
        self.of.write(key);
        key.part(&self.id);
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        Some(Self { scope: key.scope()?, of: Whole::read(key)?, id: key.part()?.into() })
    }
}

impl RecordKey for NumberKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        key.scope(&self.scope);
        self.of.write(key);
        key.part(self.number);
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        let number = |text: &str| text.parse().ok().filter(|number: &u64| number.to_string() == text);
        Some(Self { scope: key.scope()?, of: Whole::read(key)?, number: key.parse(number)? })
    }
}

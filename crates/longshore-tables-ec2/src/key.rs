//! The keys of EC2's records. Each begins with account and region.

use std::sync::Arc;

use longshore_base::Scope;
use longshore_state::{KeyReader, KeyWriter, RecordKey};

/// An id with its prefix: `vpc-0…`.
pub type Id = Arc<str>;

/// What a realm has one of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RealmKey(pub Scope);

/// Something with an id of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwnKey {
    pub scope: Scope,
    pub id: Id,
}

/// A version of a launch template.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VersionKey {
    pub scope: Scope,
    /// The template's id.
    pub template: Id,
    pub number: u32,
}

impl OwnKey {
    pub fn new(scope: &Scope, id: &Id) -> Self {
        Self { scope: scope.clone(), id: id.clone() }
    }
}

impl VersionKey {
    pub fn new(scope: &Scope, template: &Id, number: u32) -> Self {
        Self { scope: scope.clone(), template: template.clone(), number }
    }
}

impl RecordKey for RealmKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        key.scope(&self.0);
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        Some(Self(key.scope()?))
    }
}

impl RecordKey for OwnKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        key.scope(&self.scope);
        key.part(&self.id);
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        Some(Self { scope: key.scope()?, id: key.part()?.into() })
    }
}

impl RecordKey for VersionKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        key.scope(&self.scope);
        key.part(&self.template);
        key.part(self.number);
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        let number = |text: &str| text.parse().ok().filter(|number: &u32| number.to_string() == text);
        Some(Self { scope: key.scope()?, template: key.part()?.into(), number: key.parse(number)? })
    }
}

//! The keys of IAM's records. Each begins with the account; none has a region.

use std::sync::Arc;

use longshore_base::AccountId;
use longshore_state::{KeyReader, KeyWriter, RecordKey};

/// A unique id (`AIDA…`), an access key's id, a provider's host and path.
pub type Id = Arc<str>;

/// What an account has one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountKey(pub AccountId);

/// Something of an account with an id of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwnKey {
    pub account: AccountId,
    pub id: Id,
}

/// A policy that is written into a user, a group or a role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InlineKey {
    pub account: AccountId,
    /// The id of the user, the group or the role.
    pub holder: Id,
    pub name: Arc<str>,
}

/// A version of a managed policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VersionKey {
    pub account: AccountId,
    /// The policy's id.
    pub policy: Id,
    pub number: u32,
}

impl OwnKey {
    pub fn new(account: AccountId, id: &Id) -> Self {
        Self { account, id: id.clone() }
    }
}

impl RecordKey for AccountKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        key.account(self.0);
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        Some(Self(key.account()?))
    }
}

impl RecordKey for OwnKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        key.account(self.account);
        key.part(&self.id);
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        Some(Self { account: key.account()?, id: key.part()?.into() })
    }
}

impl RecordKey for InlineKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        key.account(self.account);
        key.part(&self.holder);
        key.part(&self.name);
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        Some(Self { account: key.account()?, holder: key.part()?.into(), name: key.part()?.into() })
    }
}

impl RecordKey for VersionKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        key.account(self.account);
        key.part(&self.policy);
        key.part(self.number);
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        let number = |text: &str| text.parse().ok().filter(|number: &u32| number.to_string() == text);
        Some(Self { account: key.account()?, policy: key.part()?.into(), number: key.parse(number)? })
    }
}

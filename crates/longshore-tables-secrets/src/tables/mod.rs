//! Where the records are in memory, with every index over them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use longshore_base::{AccountId, Region, Scope, Timestamp};
use longshore_state::{Hints, Kinds, Records, Tables};

use crate::record::{
    Alias, KeyMaterial, KeyState, KmsKey, Parameter, ParameterVersion, Secret, SecretVersion,
};

mod check;
mod keep;
mod parted;

pub use parted::{Head, Parted};

/// All accounts and regions.
#[derive(Debug, Default)]
pub struct SecretsTables {
    realms: BTreeMap<Scope, Realm>,
    /// Derived: whose each key is. Their ids are unique over all accounts.
    accounts: BTreeMap<Region, BTreeMap<Arc<str>, AccountId>>,
}

/// What one account has in one region.
#[derive(Debug, Default)]
pub struct Realm {
    keys: Parted<KmsKey, u64, KeyMaterial>,
    aliases: BTreeMap<Arc<str>, Arc<Alias>>,
    secrets: Parted<Secret, Arc<str>, SecretVersion>,
    parameters: Parted<Parameter, u64, ParameterVersion>,
    /// Derived: the aliases of each key.
    aliases_of: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// Derived: what has to be done, and from when on.
    due: BTreeSet<(Timestamp, Due)>,
}

/// Something that time brings about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// The key with this id is deleted.
    DeleteKey(Arc<str>),
    /// The secret of this name is deleted.
    DeleteSecret(Arc<str>),
    /// The key with this id gets new material.
    RotateKey(Arc<str>),
}

/// Of an account without any record.
static NOTHING: LazyLock<Realm> = LazyLock::new(Realm::default);

impl SecretsTables {
    /// What an account has in a region; nothing if there is no record.
    pub fn realm(&self, scope: &Scope) -> &Realm {
        self.realms.get(scope).unwrap_or(&NOTHING)
    }

    pub fn realms(&self) -> impl Iterator<Item = (&Scope, &Realm)> {
        self.realms.iter()
    }

    /// The account that the key with this id belongs to.
    pub fn account_of_key(&self, region: &Region, id: &str) -> Option<AccountId> {
        self.accounts.get(region)?.get(id).copied()
    }
}

impl Realm {
    /// By id.
    pub fn keys(&self) -> &Parted<KmsKey, u64, KeyMaterial> {
        &self.keys
    }

    /// By name, `alias/` included.
    pub fn aliases(&self) -> &BTreeMap<Arc<str>, Arc<Alias>> {
        &self.aliases
    }

    pub fn secrets(&self) -> &Parted<Secret, Arc<str>, SecretVersion> {
        &self.secrets
    }

    pub fn parameters(&self) -> &Parted<Parameter, u64, ParameterVersion> {
        &self.parameters
    }

    /// The names of a key's aliases.
    pub fn aliases_of<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a Arc<str>> + use<'a> {
        self.aliases_of.get(key).into_iter().flatten()
    }

    /// What has to be done by `now`, the oldest first.
    pub fn due(&self, now: Timestamp) -> impl Iterator<Item = &Due> {
        self.due.iter().take_while(move |(at, _)| *at <= now).map(|(_, due)| due)
    }

    fn is_empty(&self) -> bool {
        self.keys.is_empty()
            && self.aliases.is_empty()
            && self.secrets.is_empty()
            && self.parameters.is_empty()
    }
}

/// What waits for its time.
trait Waits {
    fn due(&self, name: &Arc<str>) -> Option<(Timestamp, Due)>;
}

impl Waits for KmsKey {
    fn due(&self, id: &Arc<str>) -> Option<(Timestamp, Due)> {
        match (self.state, self.rotation) {
            (KeyState::PendingDeletion { at, .. }, _) => Some((at, Due::DeleteKey(id.clone()))),
            // A key that is disabled rotates when it is enabled again.
            (KeyState::Enabled, Some(rotation)) => Some((rotation.next_at, Due::RotateKey(id.clone()))),
            (KeyState::Enabled, None) | (KeyState::Disabled, _) => None,
        }
    }
}

impl Waits for Secret {
    fn due(&self, name: &Arc<str>) -> Option<(Timestamp, Due)> {
        self.deletion.map(|deletion| (deletion.at, Due::DeleteSecret(name.clone())))
    }
}

impl Tables for SecretsTables {
    const DOMAIN: &'static str = "secrets";

    fn new(_now: Timestamp) -> Self {
        Self::default()
    }

    fn kinds() -> Kinds<Self> {
        Kinds::new()
            .with::<Alias>()
            .with::<KeyMaterial>()
            .with::<KmsKey>()
            .with::<Parameter>()
            .with::<ParameterVersion>()
            .with::<Secret>()
            .with::<SecretVersion>()
    }

    fn records(&self, records: &mut Records) {
        check::records(self, records);
    }

    fn compare(&self, fresh: &Self) -> Vec<String> {
        check::compare(self, fresh)
    }

    /// Nobody waits for secrets: the sweep looks at the time.
    fn all_hints(&self, _hints: &mut Hints) {}
}

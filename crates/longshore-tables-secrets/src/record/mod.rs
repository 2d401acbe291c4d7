//! The stored forms: what survives a restart.
//!
//! The layout is a promise (see [`longshore_state::Record`]): members are only ever appended, with `#[serde(default)]`
//! and a higher level of the kind, and the golden files under `tests/golden` hold one record of every kind and level.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use longshore_base::{AccountId, Timestamp};
use longshore_domain::tags::Tags;
use longshore_keyring::Sealed;
use longshore_tables_iam::record::ResourcePolicy;
use serde::{Deserialize, Serialize};

mod kinds;

/// A key of KMS. Its name is its id, a UUID.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KmsKey {
    pub created_at: Timestamp,
    pub description: Arc<str>,
    pub state: KeyState,
    /// Users and roles are in it by their ids.
    pub policy: ResourcePolicy,
    pub tags: Tags,
    pub manager: Manager,
    /// The number of the newest material, which encrypts. Older ones only decrypt.
    pub material: u64,
    pub rotation: Option<Rotation>,
    /// For how many days rotation was asked for last: told also while it is off.
    pub rotation_days: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyState {
    Enabled,
    Disabled,
    /// It cannot be used any more, and is gone at that time.
    PendingDeletion {
        at: Timestamp,
        days: u32,
    },
}

/// Who looks after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Manager {
    Customer,
    /// The account's own key of a service, `alias/aws/ssm`: its users neither change nor delete it.
    Service,
}

/// When a key gets new material.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    pub days: u32,
    pub next_at: Timestamp,
}

/// 32 bytes that encrypt, sealed for [`crate::material::place`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyMaterial {
    pub sealed: Sealed,
    pub made_at: Timestamp,
}

/// Another name of a key: `alias/NAME`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alias {
    /// The key's id. It is in the same account and region.
    pub target: Arc<str>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A key, from the same region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KeyRef {
    pub account: AccountId,
    pub id: Arc<str>,
}

/// A secret value: encrypted under a key of KMS, and that sealed by the keyring ([`crate::value`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Value {
    pub key: KeyRef,
    pub sealed: Sealed,
    /// It is no text.
    pub is_binary: bool,
}

/// A secret of Secrets Manager. What it is is in its versions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Secret {
    /// What the ARN has behind the name: six letters and digits.
    pub birth: Arc<str>,
    pub description: Option<Arc<str>>,
    /// `None`: under the account's own key of the service.
    pub key: Option<ChosenKey>,
    pub tags: Tags,
    /// Users and roles are in it by their ids.
    pub policy: Option<ResourcePolicy>,
    pub created_at: Timestamp,
    pub changed_at: Timestamp,
    pub deletion: Option<Deletion>,
    /// The version that each staging label is on.
    pub stages: BTreeMap<Arc<str>, Arc<str>>,
}

/// A key that somebody chose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChosenKey {
    /// As it was named: an id, an ARN, an alias.
    pub named: Arc<str>,
    pub key: KeyRef,
}

/// Of a secret that can still be had back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    pub asked_at: Timestamp,
    pub at: Timestamp,
}

/// A version of a secret. Its id is the token of the request that made it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecretVersion {
    pub value: Value,
    pub created_at: Timestamp,
}

/// A parameter. What it is is in its versions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// Six letters and digits that nobody is shown.
    pub birth: Arc<str>,
    pub kind: ParameterKind,
    /// The newest version.
    pub version: u64,
    /// The version that each label is on.
    pub labels: BTreeMap<Arc<str>, u64>,
    pub tags: Tags,
    /// When a label was moved last.
    #[serde(default)]
    pub labelled_at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ParameterKind {
    String,
    StringList,
    SecureString,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tier {
    Standard,
    Advanced,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParameterVersion {
    pub value: ParameterValue,
    pub tier: Tier,
    pub description: Option<Arc<str>>,
    /// A regular expression that the value matches.
    pub pattern: Option<Arc<str>>,
    /// `text`
    pub data_type: Arc<str>,
    pub modified_at: Timestamp,
    /// The ARN of who did it.
    pub modified_by: Arc<str>,
    /// How the key of a secure string was named.
    pub key_named: Option<Arc<str>>,
    /// What is to become of it, as JSON. Kept, and not done.
    pub policies: Option<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ParameterValue {
    Text(Text),
    Secure(Value),
}

/// A value that is no secret, and still nobody's business: `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Text(pub Arc<str>);

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({} bytes)", self.0.len())
    }
}

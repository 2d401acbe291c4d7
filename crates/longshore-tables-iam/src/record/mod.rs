//! The stored forms: what survives a restart.
//!
//! The layout is a promise (see [`longshore_state::Record`]): members are only ever appended, with `#[serde(default)]` and
//! a higher level of the kind, and the golden files under `tests/golden` hold one record of every kind and level.

use std::collections::BTreeSet;
use std::sync::Arc;

use longshore_base::{AccountId, Partition, Timestamp};
use longshore_domain::tags::Tags;
use longshore_keyring::{Place, Sealed};
use serde::{Deserialize, Serialize};

mod document;
mod kinds;

pub use document::{Compiled, Identity, IdentityPolicy, Resource, ResourcePolicy, Trust, TrustPolicy};

use crate::key::Id;

/// What users, groups, roles, policies and instance profiles have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Own {
    /// `AIDA…`: never used again.
    pub id: Id,
    /// Unique among its kind in the account, whatever the case of its letters.
    pub name: Arc<str>,
    /// Begins and ends with a slash.
    pub path: Arc<str>,
    pub created_at: Timestamp,
    /// Keys are unique whatever the case of their letters. Groups have none.
    pub tags: Tags,
}

/// A managed policy, as whoever has it refers to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PolicyRef {
    /// One of AWS, by its name.
    Aws(Arc<str>),
    /// One of the account, by its id.
    Own(Id),
}

/// The managed policies of a user, a group or a role.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Grants {
    pub attached: BTreeSet<PolicyRef>,
    /// Groups have none.
    pub boundary: Option<PolicyRef>,
}

/// A user. Its keys, its inline policies and its password are records of their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct User {
    pub own: Own,
    pub grants: Grants,
    /// The ids of the groups that it is in.
    pub groups: BTreeSet<Id>,
}

/// A group. Its members are kept with them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    pub own: Own,
    pub grants: Grants,
}

/// A role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Role {
    pub own: Own,
    pub grants: Grants,
    /// Who may assume it. Users and roles are in it by their ids ([`crate::trust`]).
    pub trust: TrustPolicy,
    pub description: Option<Arc<str>>,
    /// How many seconds a session of it may last: `MaxSessionDuration`.
    pub session_max: u32,
    /// The service that a service-linked role belongs to.
    pub service: Option<Arc<str>>,
    pub last_used: Option<LastUse>,
}

/// When and where a key or a role was used last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastUse {
    pub at: Timestamp,
    pub region: Arc<str>,
    /// `ecs`
    pub service: Arc<str>,
}

/// A managed policy of the account. What it says is in its versions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManagedPolicy {
    pub own: Own,
    pub description: Option<Arc<str>>,
    pub updated_at: Timestamp,
    /// The number of the version that counts.
    pub default_version: u32,
    /// The highest number that was ever given: numbers are never used again.
    pub last_version: u32,
}

/// A version of a managed policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicyVersion {
    pub document: IdentityPolicy,
    pub created_at: Timestamp,
}

/// A policy that is written into a user, a group or a role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InlinePolicy {
    pub document: IdentityPolicy,
}

/// An instance profile: how a role is handed to a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceProfile {
    pub own: Own,
    /// The id of its role.
    pub role: Option<Id>,
}

/// An access key. Its id is its key's id; its secret is sealed for [`AccessKey::place`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccessKey {
    /// The user's id.
    pub user: Id,
    pub secret: Sealed,
    pub active: bool,
    pub created_at: Timestamp,
    pub last_used: Option<LastUse>,
}

impl AccessKey {
    /// Where the secret of this key is sealed.
    pub fn place(account: AccountId, key_id: &str) -> Place<'_> {
        place(account, "iam access key", key_id)
    }
}

/// A user's password for the console.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoginProfile {
    /// Argon2id's text of it, sealed for [`LoginProfile::place`].
    pub hash: Sealed,
    pub created_at: Timestamp,
    pub reset_required: bool,
}

impl LoginProfile {
    /// Where the hash of this user's password is sealed.
    pub fn place(account: AccountId, user_id: &str) -> Place<'_> {
        place(account, "iam login profile", user_id)
    }
}

/// IAM's realms have no partition of their own.
fn place<'a>(account: AccountId, kind: &'static str, id: &'a str) -> Place<'a> {
    Place { partition: Partition::Aws, account, region: None, kind, id, version: "" }
}

/// An OpenID Connect provider. Its id is its URL without the scheme.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OidcProvider {
    pub created_at: Timestamp,
    /// The audiences that tokens may be for: `ClientIDList`.
    pub clients: BTreeSet<Arc<str>>,
    /// SHA-1 of certificates, 40 hexadecimal digits, in the order given.
    pub thumbprints: Vec<Arc<str>>,
    pub tags: Tags,
}

/// What an account has said about itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AccountSettings {
    pub alias: Option<Arc<str>>,
    pub passwords: Option<PasswordPolicy>,
}

/// What passwords have to look like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PasswordPolicy {
    pub length_min: u32,
    pub symbols: bool,
    pub numbers: bool,
    pub uppercase: bool,
    pub lowercase: bool,
    pub users_may_change: bool,
    /// Days.
    pub age_max: Option<u32>,
    /// How many old passwords may not come again.
    pub reuse_prevention: Option<u32>,
    pub hard_expiry: bool,
}

/// What became of the last call to delete a service-linked role. Its id is the role's name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeletionTask {
    /// `task/aws-service-role/PRINCIPAL/ROLE/UUID`
    pub task: Arc<str>,
    /// Why it failed, if it did.
    pub failure: Option<Arc<str>>,
}

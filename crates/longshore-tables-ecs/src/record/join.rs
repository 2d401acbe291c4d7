//! How machines come to keys of their own (decision 50): tokens, and the keys of those who have joined.

use std::collections::BTreeMap;
use std::sync::Arc;

use longshore_base::{InstanceId, Timestamp};
use serde::{Deserialize, Serialize};

/// A token with which machines join a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    pub id: Arc<str>,
    /// The SHA-256 of its secret, which has 256 bits of chance: nobody finds it by trying.
    pub secret_hash: [u8; 32],
    pub created_at: Timestamp,
    /// The ARN of whoever made it.
    pub created_by: Arc<str>,
    pub expires_at: Timestamp,
    /// How many machines it lets in, and how many it has.
    pub uses: u32,
    pub used: u32,
    /// What the instances have as attributes of a user.
    pub attributes: BTreeMap<Arc<str>, Arc<str>>,
}

/// The access key of an instance that has joined with a token, or of one that is about to register. It ends with this record.
///
/// There are no secrets here: each follows from its id and the store's first data key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceKey {
    pub instance: InstanceId,
    /// The id of the key.
    pub current: Arc<str>,
    /// The one before it, which counts until there is a third: whoever has not heard of the newer one asks again.
    pub previous: Option<Arc<str>>,
    /// The id of the token.
    pub token: Arc<str>,
    pub joined_at: Timestamp,
    pub renewed_at: Timestamp,
    /// Those of the token, for its first registration.
    pub attributes: BTreeMap<Arc<str>, Arc<str>>,
}

impl InstanceKey {
    /// The ids that count.
    pub fn ids(&self) -> impl Iterator<Item = &Arc<str>> {
        [Some(&self.current), self.previous.as_ref()].into_iter().flatten()
    }
}

/// How often a second connection has taken the command channel of an instance away from the one before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Takeovers {
    pub count: u32,
    /// Of the last one.
    pub at: Timestamp,
    /// Its address.
    pub by: Arc<str>,
    /// The address of the one before.
    pub from: Arc<str>,
}

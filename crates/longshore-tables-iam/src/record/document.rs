//! Policy documents, kept in two forms: the text that was given, and what is matched.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use longshore_policy::{Invalid, Kind, Policy};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a document belongs to: a kind of [`longshore_policy`] as a type, so that a record says which it holds.
pub trait Belongs: Send + Sync + 'static {
    const KIND: Kind;
}

/// To a user, a group or a role.
#[derive(Debug)]
pub enum Identity {}

/// To a role that may be assumed.
#[derive(Debug)]
pub enum Trust {}

/// To something else that has a policy: a secret, a key.
#[derive(Debug)]
pub enum Resource {}

impl Belongs for Identity {
    const KIND: Kind = Kind::Identity;
}

impl Belongs for Trust {
    const KIND: Kind = Kind::Trust;
}

impl Belongs for Resource {
    const KIND: Kind = Kind::Resource;
}

pub type IdentityPolicy = Compiled<Identity>;
pub type TrustPolicy = Compiled<Trust>;
/// Of other domains: users and roles are in it by their ids, as in a trust policy ([`crate::trust`]).
pub type ResourcePolicy = Compiled<Resource>;

/// A document that compiles, and what it compiles to.
///
/// Only the text is stored. It is compiled where it is made or read, which is never under the writer's lock; a record
/// whose document does not compile cannot be made and is not loaded.
pub struct Compiled<K>(Arc<Both>, PhantomData<fn() -> K>);

struct Both {
    text: Arc<str>,
    policy: Arc<Policy>,
}

impl<K: Belongs> Compiled<K> {
    pub fn new(text: &str) -> Result<Self, Invalid> {
        let policy = Arc::new(Policy::read(text, K::KIND)?);
        Ok(Self(Arc::new(Both { text: text.into(), policy }), PhantomData))
    }
}

impl<K> Compiled<K> {
    pub fn text(&self) -> &str {
        &self.0.text
    }

    pub fn policy(&self) -> &Policy {
        &self.0.policy
    }

    /// The same for whoever keeps it.
    pub fn shared(&self) -> Arc<Policy> {
        self.0.policy.clone()
    }
}

impl<K> Clone for Compiled<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<K> PartialEq for Compiled<K> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.text == other.0.text
    }
}

impl<K> fmt::Debug for Compiled<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.text.fmt(f)
    }
}

impl<K> Serialize for Compiled<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.text.serialize(serializer)
    }
}

impl<'de, K: Belongs> Deserialize<'de> for Compiled<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(|error| D::Error::custom(format_args!("the policy cannot be read: {error}")))
    }
}

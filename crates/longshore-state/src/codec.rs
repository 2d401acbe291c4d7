//! Records to bytes and back: one version byte, then a MessagePack array.
//!
//! MessagePack, because members can be appended without a new version (a missing one takes its
//! default), it is a third of JSON's size, and a million tasks have to be read in a second or two.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::key::Key;
use crate::record::{
    AccountSetting, CapacityProvider, Cluster, FamilyCounter, Instance, Service, ServiceDeployment,
    ServiceEvent, ServiceRevision, Task, TaskDefinition, TaskSet, Token,
};

/// The version that this program writes. It rises when a layout changes in another way than by
/// appended members; every older one stays readable.
const VERSION: u8 = 1;

#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    #[error(
        "the stored key {0:?} is not one that this version knows; was the directory written by a newer one?"
    )]
    UnknownKey(String),
    #[error(
        "the record {key} has version {version}, newer than this program reads; use the program that wrote it"
    )]
    Newer { key: String, version: u8 },
    #[error("the record {key} cannot be read")]
    Malformed {
        key: String,
        #[source]
        source: rmp_serde::decode::Error,
    },
    #[error("the record {0} is empty")]
    Empty(String),
}

/// One record of any kind. The kind always agrees with that of its [`Key`].
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Cluster(Arc<Cluster>),
    Instance(Arc<Instance>),
    FamilyCounter(Arc<FamilyCounter>),
    TaskDefinition(Arc<TaskDefinition>),
    Task(Arc<Task>),
    Service(Arc<Service>),
    ServiceEvent(Arc<ServiceEvent>),
    ServiceDeployment(Arc<ServiceDeployment>),
    ServiceRevision(Arc<ServiceRevision>),
    TaskSet(Arc<TaskSet>),
    CapacityProvider(Arc<CapacityProvider>),
    AccountSetting(Arc<AccountSetting>),
    Token(Arc<Token>),
}

impl Value {
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Value::Cluster(r) => bytes(&**r),
            Value::Instance(r) => bytes(&**r),
            Value::FamilyCounter(r) => bytes(&**r),
            Value::TaskDefinition(r) => bytes(&**r),
            Value::Task(r) => bytes(&**r),
            Value::Service(r) => bytes(&**r),
            Value::ServiceEvent(r) => bytes(&**r),
            Value::ServiceDeployment(r) => bytes(&**r),
            Value::ServiceRevision(r) => bytes(&**r),
            Value::TaskSet(r) => bytes(&**r),
            Value::CapacityProvider(r) => bytes(&**r),
            Value::AccountSetting(r) => bytes(&**r),
            Value::Token(r) => bytes(&**r),
        }
    }

    /// Reads the record that `key` names.
    pub fn decode(key: &Key, stored: &[u8]) -> Result<Self, CodecError> {
        Ok(match key {
            Key::Cluster(_) => Value::Cluster(read(key, stored)?),
            Key::Instance(..) => Value::Instance(read(key, stored)?),
            Key::FamilyCounter(..) => Value::FamilyCounter(read(key, stored)?),
            Key::TaskDefinition(..) => Value::TaskDefinition(read(key, stored)?),
            Key::Task(..) => Value::Task(read(key, stored)?),
            Key::Service(..) => Value::Service(read(key, stored)?),
            Key::ServiceEvent(..) => Value::ServiceEvent(read(key, stored)?),
            Key::ServiceDeployment(..) => Value::ServiceDeployment(read(key, stored)?),
            Key::ServiceRevision(..) => Value::ServiceRevision(read(key, stored)?),
            Key::TaskSet(..) => Value::TaskSet(read(key, stored)?),
            Key::CapacityProvider(..) => Value::CapacityProvider(read(key, stored)?),
            Key::AccountSetting(..) => Value::AccountSetting(read(key, stored)?),
            Key::Token(..) => Value::Token(read(key, stored)?),
        })
    }
}

fn bytes<T: Serialize>(record: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    out.push(VERSION);
    rmp_serde::encode::write(&mut out, record)
        .expect("a record is plain data, and writing to a Vec cannot fail");
    // The store's history keeps it for a while, and most records are half as long.
    out.shrink_to_fit();
    out
}

fn read<T: DeserializeOwned>(key: &Key, stored: &[u8]) -> Result<Arc<T>, CodecError> {
    let (&version, body) = stored.split_first().ok_or_else(|| CodecError::Empty(key.encode()))?;
    if version > VERSION {
        return Err(CodecError::Newer { key: key.encode(), version });
    }
    rmp_serde::from_slice(body)
        .map(Arc::new)
        .map_err(|source| CodecError::Malformed { key: key.encode(), source })
}

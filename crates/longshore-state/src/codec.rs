//! Records to bytes and back: one version byte, then a MessagePack array.
//!
//! MessagePack, because members can be appended without a new version (a missing one takes its
//! default), it is a third of JSON's size, and a million tasks have to be read in a second or two.

use std::io;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::key::Key;
use crate::record::{
    AccountSetting, CapacityProvider, Cluster, FamilyCounter, Instance, Service, ServiceDeployment,
    ServiceEvent, ServiceRevision, Task, TaskDefinition, TaskSet, Token, tags_weight,
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
        let mut out = Vec::with_capacity(512);
        self.write_to(&mut out);
        // The store's history keeps it for a while, and most records are half as long.
        out.shrink_to_fit();
        out
    }

    /// How many bytes [`Value::encode`] would give, without making them.
    pub fn encoded_len(&self) -> usize {
        let mut length = Length(0);
        self.write_to(&mut length);
        length.0
    }

    fn write_to(&self, out: &mut impl io::Write) {
        match self {
            Value::Cluster(r) => write(&**r, out),
            Value::Instance(r) => write(&**r, out),
            Value::FamilyCounter(r) => write(&**r, out),
            Value::TaskDefinition(r) => write(&**r, out),
            Value::Task(r) => write(&**r, out),
            Value::Service(r) => write(&**r, out),
            Value::ServiceEvent(r) => write(&**r, out),
            Value::ServiceDeployment(r) => write(&**r, out),
            Value::ServiceRevision(r) => write(&**r, out),
            Value::TaskSet(r) => write(&**r, out),
            Value::CapacityProvider(r) => write(&**r, out),
            Value::AccountSetting(r) => write(&**r, out),
            Value::Token(r) => write(&**r, out),
        }
    }

    /// About how many bytes of the encoded record came from requests and reports. Only kinds that one transaction
    /// changes by the dozen are weighed.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Value::Task(r) => r.weight(),
            Value::Instance(r) => tags_weight(&r.tags),
            Value::Cluster(_)
            | Value::FamilyCounter(_)
            | Value::TaskDefinition(_)
            | Value::Service(_)
            | Value::ServiceEvent(_)
            | Value::ServiceDeployment(_)
            | Value::ServiceRevision(_)
            | Value::TaskSet(_)
            | Value::CapacityProvider(_)
            | Value::AccountSetting(_)
            | Value::Token(_) => 0,
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

/// Counts what is written to it.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write<T: Serialize>(record: &T, out: &mut impl io::Write) {
    const WHY: &str = "a record is plain data, and writing to memory cannot fail";
    out.write_all(&[VERSION]).expect(WHY);
    rmp_serde::encode::write(out, record).expect(WHY);
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

//! A store that fails on purpose, and records to give it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use longshore_base::{AccountId, Clock, ClusterName, Family, Region, Scope, Seed, Timestamp};
use longshore_domain::TaskDefinitionStatus;
use longshore_domain::status::ClusterStatus;
use longshore_state::db::SeedSource;
use longshore_state::record::{AccountSetting, Cluster, TaskDefinition};
use longshore_state::{Key, State, Value};
use longshore_store::{
    Commit, Condition, Conflict, Entry, EntryRef, KeyRange, Lease, LeaseGrant, LeaseId, MemoryStore, Page,
    Revision, Store, StoreError, Unavailable, Watch, WatchError,
};

pub const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// A clock that stands still.
pub struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        NOW
    }
}

#[derive(Default)]
pub struct Counter(AtomicU64);

impl SeedSource for Counter {
    fn draw(&self) -> Seed {
        Seed::new(self.0.fetch_add(1, Ordering::Relaxed).into())
    }
}

pub fn scope() -> Scope {
    let account = AccountId::parse("111122223333").expect("twelve digits");
    Scope::new(account, Region::parse("eu-west-1").expect("a region"))
}

pub fn cluster(name: &str, configuration: &str) -> Cluster {
    Cluster {
        name: ClusterName::parse(name).expect("a name"),
        status: ClusterStatus::Active,
        created_at: NOW,
        deleted_at: None,
        container_insights: "disabled".into(),
        configuration: Some(configuration.into()),
        service_connect_namespace: None,
        capacity_providers: Vec::new(),
        default_strategy: Vec::new(),
        tags: Default::default(),
    }
}

/// The clusters that there are.
pub fn names(state: &State) -> Vec<String> {
    let realm = state.realm(&scope());
    realm.into_iter().flat_map(|own| own.clusters()).map(|(name, _)| name.to_string()).collect()
}

pub fn setting(principal: &str) -> (Key, Value) {
    let key = Key::AccountSetting(scope(), "containerInsights".into(), principal.into());
    let record =
        AccountSetting { principal: principal.into(), name: "containerInsights".into(), value: "on".into() };
    (key, Value::AccountSetting(Arc::new(record)))
}

/// The tables expect that nobody enters this, and panic.
pub fn definition_that_does_not_compile() -> (Key, Value) {
    let family = Family::parse("f").expect("a name");
    let record = TaskDefinition {
        family: family.clone(),
        revision: 1,
        status: TaskDefinitionStatus::Active,
        registered_at: NOW,
        registered_by: "nobody".into(),
        deregistered_at: None,
        delete_requested_at: None,
        document: "no document".into(),
        tags: Default::default(),
    };
    (Key::TaskDefinition(scope(), family, 1), Value::TaskDefinition(Arc::new(record)))
}

/// How a commit goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    PanicBefore,
    PanicAfter,
    Conflict,
    TooFewOutcomes,
    Unavailable,
}

/// A store that takes nothing as it should.
pub struct Broken {
    inner: MemoryStore,
    fault: Fault,
}

impl Broken {
    pub fn new(fault: Fault) -> Self {
        Self { inner: MemoryStore::new(), fault }
    }
}

impl Store for Broken {
    fn commit(&self, group: &[Commit]) -> Result<Vec<Result<Revision, Conflict>>, StoreError> {
        match self.fault {
            Fault::PanicBefore => panic!("on purpose, before the commit"),
            Fault::PanicAfter => {
                self.inner.commit(group)?;
                panic!("on purpose, after the commit")
            }
            Fault::Conflict => {
                let conflict = || Conflict::Condition {
                    condition: Condition::Absent("key".into()),
                    modified: Some(Revision::new(1)),
                };
                Ok(group.iter().map(|_| Err(conflict())).collect())
            }
            Fault::TooFewOutcomes => Ok(Vec::new()),
            Fault::Unavailable => Err(Unavailable::Poisoned { at: "here".into() }.into()),
        }
    }

    fn get(&self, key: &[u8]) -> Result<Option<Entry>, StoreError> {
        self.inner.get(key)
    }

    fn range(&self, range: &KeyRange, limit: usize, after: Option<&[u8]>) -> Result<Page, StoreError> {
        self.inner.range(range, limit, after)
    }

    fn scan(
        &self,
        range: &KeyRange,
        visit: &mut dyn FnMut(EntryRef<'_>) -> ControlFlow<()>,
    ) -> Result<Revision, StoreError> {
        self.inner.scan(range, visit)
    }

    fn revision(&self) -> Revision {
        self.inner.revision()
    }

    fn watch(&self, prefix: &[u8], from: Revision) -> Result<Watch, WatchError> {
        self.inner.watch(prefix, from)
    }

    fn lease_grant(&self, name: &str, ttl: Duration, now: Timestamp) -> Result<LeaseGrant, StoreError> {
        self.inner.lease_grant(name, ttl, now)
    }

    fn lease_keep_alive(&self, id: LeaseId, now: Timestamp) -> Result<Option<Lease>, StoreError> {
        self.inner.lease_keep_alive(id, now)
    }

    fn lease_revoke(&self, id: LeaseId) -> Result<(), StoreError> {
        self.inner.lease_revoke(id)
    }
}

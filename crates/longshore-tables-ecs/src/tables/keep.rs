//! Where each kind of record is kept, and what follows from a change to one.

use std::sync::Arc;

use longshore_base::{Scope, TaskId, Timestamp};
use longshore_domain::ServiceStatus;
use longshore_state::{Hints, Keep, Kinds, Records, Tables};

use super::{ClusterTables, EcsTables, Hint, Realm, check};
use crate::key::{
    ClusterKey, DefinitionKey, EventKey, FamilyKey, InstanceKey, JoinTokenKey, ProviderKey, RevisionKey,
    ServiceDeploymentKey, ServiceKey, SettingKey, TaskKey, TaskSetKey, TokenKey,
};
use crate::record::{
    self, AccountSetting, CapacityProvider, Cluster, FamilyCounter, Instance, JoinToken, Service,
    ServiceDeployment, ServiceEvent, ServiceRevision, Task, TaskDefinition, TaskSet, Token,
};

impl Tables for EcsTables {
    const DOMAIN: &'static str = "ecs";

    fn new(_now: Timestamp) -> Self {
        Self { realms: Default::default(), pools: Default::default(), instance_key_ids: Default::default() }
    }

    fn kinds() -> Kinds<Self> {
        Kinds::new()
            .with::<Cluster>()
            .with::<Instance>()
            .with::<FamilyCounter>()
            .with::<TaskDefinition>()
            .with::<Task>()
            .with::<Service>()
            .with::<ServiceEvent>()
            .with::<ServiceDeployment>()
            .with::<ServiceRevision>()
            .with::<TaskSet>()
            .with::<CapacityProvider>()
            .with::<AccountSetting>()
            .with::<Token>()
            .with::<JoinToken>()
            .with::<record::InstanceKey>()
    }

    fn records(&self, records: &mut Records) {
        check::records(self, records);
    }

    fn compare(&self, fresh: &Self) -> Vec<String> {
        check::compare(self, fresh)
    }

    /// A hint for every service, and for what waits for something: what the controllers start with. Connections look at
    /// everything when they begin.
    fn all_hints(&self, hints: &mut Hints) {
        for (scope, realm) in &self.realms {
            hints.insert(Hint::Definitions(scope.clone()));
            for (name, cluster) in &realm.clusters {
                let at = ClusterKey::new(scope.clone(), name.clone());
                let live = cluster.services().filter(|(s, _)| s.status != ServiceStatus::Inactive);
                hints.extend(live.map(|(service, _)| Hint::Service(at.service(&service.name))));
                if !cluster.provisioning().is_empty() {
                    hints.insert(Hint::Provisioning(at));
                }
            }
        }
    }

    /// Tasks that were STOPPED before are no news. No agent has been away for longer than this process could have seen
    /// it, and those that were connected are expected back (ha M3.3).
    fn lead(&mut self, now: Timestamp) {
        let clusters = self.realms.values_mut().flat_map(|realm| realm.clusters.values_mut());
        for cluster in clusters.chain(self.pools.values_mut()) {
            cluster.lead(now);
        }
    }
}

impl EcsTables {
    fn realm_mut(&mut self, scope: &Scope) -> &mut Realm {
        self.realms.entry(scope.clone()).or_default()
    }

    /// Changes a cluster, which is made for it and forgotten when nothing is left of it.
    fn with_cluster<T>(&mut self, at: &ClusterKey, f: impl FnOnce(&mut ClusterTables) -> T) -> T {
        let realm = self.realms.entry(at.scope.clone()).or_default();
        let cluster = realm.clusters.entry(at.cluster.clone()).or_default();
        let result = f(cluster);
        if cluster.is_empty() {
            realm.clusters.remove(&at.cluster);
        }
        result
    }

    /// Changes a cluster, or a pool.
    fn with_host<T>(&mut self, at: &ClusterKey, f: impl FnOnce(&mut ClusterTables) -> T) -> T {
        if at.is_pool() {
            // Stays when it is empty: its epoch must not begin again.
            return f(self.pools.entry(at.scope.region.clone()).or_default());
        }
        self.with_cluster(at, f)
    }

    /// Keeps the pool's indexes in step with a task of a cluster that is about to change.
    fn follow_in_pool(&mut self, home: &ClusterKey, id: TaskId, new: Option<&Task>, hints: &mut Hints) {
        let old = self.task(home, id).cloned();
        if new.or(old.as_deref()).is_some_and(Task::is_pooled) {
            let at = ClusterKey::pool(home.scope.region.clone());
            let pool = self.pools.entry(home.scope.region.clone()).or_default();
            pool.follow_guest(&at, home, id, old.as_deref(), new, hints);
        }
    }

    /// The same for a service or a task set that has changed.
    fn follow_waiting(&mut self, at: &ServiceKey) {
        let waits = self.cluster(&at.cluster).is_some_and(|tables| tables.waits_for_pool(&at.service));
        let region = &at.cluster.scope.region;
        if waits || self.pools.contains_key(region) {
            self.pools.entry(region.clone()).or_default().follow_waiting_guest(at.clone(), waits);
        }
    }
}

/// Puts what is new, or removes what was there.
macro_rules! replace {
    ($map:expr, $key:expr, $new:expr) => {
        match $new {
            Some(record) => $map.insert($key.clone(), record),
            None => $map.remove(&$key),
        }
    };
}

impl Keep<Cluster> for EcsTables {
    fn replace(&mut self, at: &ClusterKey, new: Option<Arc<Cluster>>, _: &mut Hints) -> Option<Arc<Cluster>> {
        self.with_cluster(at, |cluster| std::mem::replace(&mut cluster.record, new))
    }
}

impl Keep<Instance> for EcsTables {
    fn replace(
        &mut self,
        key: &InstanceKey,
        new: Option<Arc<Instance>>,
        hints: &mut Hints,
    ) -> Option<Arc<Instance>> {
        let InstanceKey { cluster: at, instance } = key;
        self.with_host(at, |tables| tables.replace_instance(at, *instance, new, hints))
    }
}

impl Keep<FamilyCounter> for EcsTables {
    fn replace(
        &mut self,
        key: &FamilyKey,
        new: Option<Arc<FamilyCounter>>,
        _: &mut Hints,
    ) -> Option<Arc<FamilyCounter>> {
        let table = self.realm_mut(&key.scope).families.entry(key.family.clone()).or_default();
        std::mem::replace(&mut table.counter, new)
    }
}

impl Keep<TaskDefinition> for EcsTables {
    fn replace(
        &mut self,
        key: &DefinitionKey,
        new: Option<Arc<TaskDefinition>>,
        hints: &mut Hints,
    ) -> Option<Arc<TaskDefinition>> {
        let FamilyKey { scope, family } = &key.family;
        if new.as_ref().is_some_and(|record| record.delete_requested_at.is_some()) {
            hints.insert(Hint::Definitions(scope.clone()));
        }
        let table = self.realm_mut(scope).families.entry(family.clone()).or_default();
        replace!(table.revisions, key.revision, new)
    }
}

impl Keep<Task> for EcsTables {
    fn replace(&mut self, key: &TaskKey, new: Option<Arc<Task>>, hints: &mut Hints) -> Option<Arc<Task>> {
        let TaskKey { cluster: at, task } = key;
        self.follow_in_pool(at, *task, new.as_deref(), hints);
        self.with_cluster(at, |cluster| cluster.replace_task(at, *task, new, hints))
    }
}

impl Keep<Service> for EcsTables {
    fn replace(
        &mut self,
        key: &ServiceKey,
        new: Option<Arc<Service>>,
        hints: &mut Hints,
    ) -> Option<Arc<Service>> {
        let ServiceKey { cluster: at, service } = key;
        let previous = self.with_cluster(at, |cluster| cluster.replace_service(at, service, new, hints));
        self.follow_waiting(key);
        previous
    }
}

impl Keep<ServiceEvent> for EcsTables {
    fn replace(
        &mut self,
        key: &EventKey,
        new: Option<Arc<ServiceEvent>>,
        _: &mut Hints,
    ) -> Option<Arc<ServiceEvent>> {
        let ServiceKey { cluster: at, service } = &key.service;
        self.with_cluster(at, |cluster| {
            cluster.with_service(service, |entry| entry.replace_event(key.slot, new))
        })
    }
}

impl Keep<ServiceDeployment> for EcsTables {
    fn replace(
        &mut self,
        key: &ServiceDeploymentKey,
        new: Option<Arc<ServiceDeployment>>,
        _: &mut Hints,
    ) -> Option<Arc<ServiceDeployment>> {
        let ServiceKey { cluster: at, service } = &key.service;
        self.with_cluster(at, |cluster| {
            cluster.with_service(service, |entry| replace!(entry.deployments, key.id, new))
        })
    }
}

impl Keep<ServiceRevision> for EcsTables {
    fn replace(
        &mut self,
        key: &RevisionKey,
        new: Option<Arc<ServiceRevision>>,
        _: &mut Hints,
    ) -> Option<Arc<ServiceRevision>> {
        let ServiceKey { cluster: at, service } = &key.service;
        self.with_cluster(at, |cluster| {
            cluster.with_service(service, |entry| replace!(entry.revisions, key.id, new))
        })
    }
}

impl Keep<TaskSet> for EcsTables {
    fn replace(
        &mut self,
        key: &TaskSetKey,
        new: Option<Arc<TaskSet>>,
        hints: &mut Hints,
    ) -> Option<Arc<TaskSet>> {
        // What a set asks for is part of what its service asks for.
        hints.insert(Hint::Service(key.service.clone()));
        let ServiceKey { cluster: at, service } = &key.service;
        let previous = self.with_cluster(at, |cluster| {
            cluster.with_service(service, |entry| replace!(entry.task_sets, key.id, new))
        });
        self.follow_waiting(&key.service);
        previous
    }
}

impl Keep<CapacityProvider> for EcsTables {
    fn replace(
        &mut self,
        key: &ProviderKey,
        new: Option<Arc<CapacityProvider>>,
        _: &mut Hints,
    ) -> Option<Arc<CapacityProvider>> {
        replace!(self.realm_mut(&key.scope).providers, key.name, new)
    }
}

impl Keep<AccountSetting> for EcsTables {
    fn replace(
        &mut self,
        key: &SettingKey,
        new: Option<Arc<AccountSetting>>,
        _: &mut Hints,
    ) -> Option<Arc<AccountSetting>> {
        let index = (key.name.clone(), key.principal.clone());
        replace!(self.realm_mut(&key.scope).settings, index, new)
    }
}

impl Keep<Token> for EcsTables {
    fn replace(&mut self, key: &TokenKey, new: Option<Arc<Token>>, _: &mut Hints) -> Option<Arc<Token>> {
        self.with_cluster(&key.cluster, |cluster| replace!(cluster.tokens, key.token, new))
    }
}

impl Keep<JoinToken> for EcsTables {
    fn replace(
        &mut self,
        key: &JoinTokenKey,
        new: Option<Arc<JoinToken>>,
        _: &mut Hints,
    ) -> Option<Arc<JoinToken>> {
        self.with_host(&key.cluster, |tables| replace!(tables.join_tokens, key.id, new))
    }
}

impl Keep<record::InstanceKey> for EcsTables {
    fn replace(
        &mut self,
        key: &InstanceKey,
        new: Option<Arc<record::InstanceKey>>,
        _: &mut Hints,
    ) -> Option<Arc<record::InstanceKey>> {
        let now: Vec<Arc<str>> = new.iter().flat_map(|record| record.ids()).cloned().collect();
        let previous =
            self.with_host(&key.cluster, |tables| replace!(tables.instance_keys, key.instance, new));
        for id in previous.iter().flat_map(|record| record.ids()) {
            self.instance_key_ids.remove(id);
        }
        for id in now {
            self.instance_key_ids.insert(id, key.clone());
        }
        previous
    }
}

//! Recomputes everything that is derived, and compares.
//!
//! Used by the simulation after every step, by tests and by `longshore check`; it is far too slow for a running server.

use crate::codec::Value;
use crate::key::{ClusterKey, Key};
use crate::record::FamilyCounter;
use crate::tables::{ClusterTables, State};
use crate::tx::Hints;

impl State {
    /// Every record, with its key. Equal states give equal lists.
    pub fn records(&self) -> Vec<(Key, Value)> {
        let mut records = Vec::new();
        // The instances of a pool before the tasks on them, as the keys are sorted in a store too.
        for (at, pool) in self.pools() {
            records_of_cluster(&at, pool, &mut records);
        }
        for (scope, realm) in self.realms() {
            for (family, last_revision) in realm.counters() {
                let counter = FamilyCounter { family: family.clone(), last_revision };
                let key = Key::FamilyCounter(scope.clone(), family.clone());
                records.push((key, Value::FamilyCounter(counter.into())));
            }
            for (family, table) in realm.families() {
                for (&revision, definition) in table.revisions() {
                    let key = Key::TaskDefinition(scope.clone(), family.clone(), revision);
                    records.push((key, Value::TaskDefinition(definition.record.clone())));
                }
            }
            for (name, provider) in realm.providers() {
                let key = Key::CapacityProvider(scope.clone(), name.clone());
                records.push((key, Value::CapacityProvider(provider.clone())));
            }
            for ((name, principal), setting) in realm.settings() {
                let key = Key::AccountSetting(scope.clone(), name.clone(), principal.clone());
                records.push((key, Value::AccountSetting(setting.clone())));
            }
            for (name, cluster) in realm.clusters() {
                records_of_cluster(&ClusterKey::new(scope.clone(), name.clone()), cluster, &mut records);
            }
        }
        records
    }

    /// What does not agree between the indexes and the records, in words; empty when all is well.
    pub fn check(&self) -> Vec<String> {
        let mut fresh = State::new(self.loaded_at());
        let mut hints = Hints::new();
        for (key, value) in self.records() {
            fresh.apply(&key, Some(value), &mut hints);
        }
        let mut notes = Vec::new();
        let nothing = ClusterTables::default();
        for (at, pool) in self.pools() {
            compare(&at, pool, fresh.cluster(&at).unwrap_or(&nothing), &mut notes);
        }
        for (scope, realm) in self.realms() {
            for (name, cluster) in realm.clusters() {
                let at = ClusterKey::new(scope.clone(), name.clone());
                match fresh.cluster(&at) {
                    Some(again) => compare(&at, cluster, again, &mut notes),
                    None => notes.push(format!("cluster {name} exists only in the indexes")),
                }
            }
        }
        notes
    }
}

fn records_of_cluster(at: &ClusterKey, cluster: &ClusterTables, records: &mut Vec<(Key, Value)>) {
    if let Some(record) = cluster.record() {
        records.push((Key::Cluster(at.clone()), Value::Cluster(record.clone())));
    }
    for (&id, entry) in cluster.instances() {
        records.push((Key::Instance(at.clone(), id), Value::Instance(entry.record.clone())));
    }
    for (service, entry) in cluster.services() {
        let name = &service.name;
        records.push((Key::Service(at.clone(), name.clone()), Value::Service(service.clone())));
        for event in entry.events() {
            let slot = u8::try_from(event.number % crate::tables::EVENTS_KEPT as u64).expect("a short ring");
            let key = Key::ServiceEvent(at.clone(), name.clone(), slot);
            records.push((key, Value::ServiceEvent(event.clone())));
        }
        for (&id, deployment) in entry.deployments() {
            let key = Key::ServiceDeployment(at.clone(), name.clone(), id);
            records.push((key, Value::ServiceDeployment(deployment.clone())));
        }
        for (&id, revision) in entry.revisions() {
            let key = Key::ServiceRevision(at.clone(), name.clone(), id);
            records.push((key, Value::ServiceRevision(revision.clone())));
        }
        for (&id, set) in entry.task_sets() {
            let key = Key::TaskSet(at.clone(), name.clone(), id);
            records.push((key, Value::TaskSet(set.clone())));
        }
    }
    for (&id, task) in cluster.tasks() {
        records.push((Key::Task(at.clone(), id), Value::Task(task.clone())));
    }
    for (token, record) in cluster.tokens() {
        records.push((Key::Token(at.clone(), token.clone()), Value::Token(record.clone())));
    }
}

fn compare(at: &ClusterKey, is: &ClusterTables, should: &ClusterTables, notes: &mut Vec<String>) {
    let mut note = |what: &str, is: String, should: String| {
        if is != should {
            notes.push(format!("{what} in cluster {}: is {is}, should be {should}", at.cluster));
        }
    };
    note("running tasks", is.running().to_string(), should.running().to_string());
    note("pending tasks", is.pending().to_string(), should.pending().to_string());
    note("waiting tasks", format!("{:?}", is.provisioning()), format!("{:?}", should.provisioning()));
    note("guests", format!("{:?}", is.guests()), format!("{:?}", should.guests()));
    note("waiting guests", format!("{:?}", is.waiting_guests()), format!("{:?}", should.waiting_guests()));
    note("stopped tasks", format!("{:?}", is.stopped()), format!("{:?}", should.stopped()));
    for (&id, entry) in is.instances() {
        let Some(again) = should.instance(id) else {
            note("instance", id.to_string(), "absent".into());
            continue;
        };
        note(&format!("tasks of {id}"), format!("{:?}", entry.tasks()), format!("{:?}", again.tasks()));
        let counts =
            |e: &crate::tables::InstanceEntry| format!("{} running, {} pending", e.running(), e.pending());
        note(&format!("counts of {id}"), counts(entry), counts(again));
        let remaining = |tables: &ClusterTables| format!("{:?}", tables.fleet().remaining(id));
        note(&format!("remaining resources of {id}"), remaining(is), remaining(should));
    }
    for (service, entry) in is.services() {
        let Some(again) = should.service(&service.name) else {
            note("service", service.name.to_string(), "absent".into());
            continue;
        };
        note(
            &format!("tasks of {}", service.name),
            format!("{:?}", entry.active()),
            format!("{:?}", again.active()),
        );
        let stopped = |e: &crate::tables::ServiceEntry| format!("{:?}", e.stopped());
        note(&format!("stopped tasks of {}", service.name), stopped(entry), stopped(again));
    }
}

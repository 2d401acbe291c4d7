//! Every record, and what is derived from them beside what it should be.

use longshore_base::ServiceName;
use longshore_state::Records;

use super::{ClusterTables, EVENTS_KEPT, EcsTables, InstanceEntry, ServiceEntry};
use crate::key::{ClusterKey, FamilyKey, ProviderKey, SettingKey};
use crate::record::{
    self, AccountSetting, CapacityProvider, Cluster, FamilyCounter, Instance, JoinToken, Service,
    ServiceDeployment, ServiceEvent, ServiceRevision, Task, TaskDefinition, TaskSet, Token,
};

pub(super) fn records(tables: &EcsTables, records: &mut Records) {
    for (at, pool) in tables.pools() {
        of_cluster(&at, pool, records);
    }
    for (scope, realm) in tables.realms() {
        for (family, table) in &realm.families {
            let family = FamilyKey::new(scope.clone(), family.clone());
            for (&revision, definition) in &table.revisions {
                records.insert::<TaskDefinition>(family.clone().revision(revision), definition.clone());
            }
            if let Some(counter) = &table.counter {
                records.insert::<FamilyCounter>(family, counter.clone());
            }
        }
        for (name, provider) in &realm.providers {
            let key = ProviderKey::new(scope.clone(), name.as_str());
            records.insert::<CapacityProvider>(key, provider.clone());
        }
        for ((name, principal), setting) in &realm.settings {
            let key = SettingKey::new(scope.clone(), name.as_str(), principal.as_str());
            records.insert::<AccountSetting>(key, setting.clone());
        }
        for (name, cluster) in realm.clusters() {
            of_cluster(&ClusterKey::new(scope.clone(), name.clone()), cluster, records);
        }
    }
}

fn of_cluster(at: &ClusterKey, cluster: &ClusterTables, records: &mut Records) {
    if let Some(record) = &cluster.record {
        records.insert::<Cluster>(at.clone(), record.clone());
    }
    for (&id, entry) in &cluster.instances {
        records.insert::<Instance>(at.instance(id), entry.record.clone());
    }
    for (name, entry) in &cluster.services {
        of_service(at, name, entry, records);
    }
    for (&id, task) in &cluster.tasks {
        records.insert::<Task>(at.task(id), task.clone());
    }
    for (token, record) in &cluster.tokens {
        records.insert::<Token>(at.token(token.as_str()), record.clone());
    }
    for (id, token) in &cluster.join_tokens {
        records.insert::<JoinToken>(at.join_token(id.as_str()), token.clone());
    }
    for (&id, key) in &cluster.instance_keys {
        records.insert::<record::InstanceKey>(at.instance(id), key.clone());
    }
}

fn of_service(at: &ClusterKey, name: &ServiceName, entry: &ServiceEntry, records: &mut Records) {
    let key = at.service(name);
    if let Some(service) = &entry.record {
        records.insert::<Service>(key.clone(), service.clone());
    }
    for event in entry.events() {
        records.insert::<ServiceEvent>(key.event(slot(event.number)), event.clone());
    }
    for (&id, deployment) in &entry.deployments {
        records.insert::<ServiceDeployment>(key.deployment(id), deployment.clone());
    }
    for (&id, revision) in &entry.revisions {
        records.insert::<ServiceRevision>(key.revision(id), revision.clone());
    }
    for (&id, set) in &entry.task_sets {
        records.insert::<TaskSet>(key.task_set(id), set.clone());
    }
}

/// The place of event `number` in the ring.
pub(crate) fn slot(number: u64) -> u8 {
    u8::try_from(number % EVENTS_KEPT as u64).expect("the ring is shorter than 256")
}

pub(super) fn compare(is: &EcsTables, should: &EcsTables) -> Vec<String> {
    let mut notes = Vec::new();
    let nothing = ClusterTables::default();
    if is.instance_key_ids != should.instance_key_ids {
        notes.push("the ids of instances' keys are not those of the records".to_owned());
    }
    for (at, pool) in is.pools() {
        compare_cluster(&at, pool, should.cluster(&at).unwrap_or(&nothing), &mut notes);
    }
    for (scope, realm) in is.realms() {
        for (name, cluster) in realm.clusters() {
            let at = ClusterKey::new(scope.clone(), name.clone());
            match should.cluster(&at) {
                Some(again) => compare_cluster(&at, cluster, again, &mut notes),
                None => notes.push(format!("cluster {name} exists only in the indexes")),
            }
        }
    }
    notes
}

fn compare_cluster(at: &ClusterKey, is: &ClusterTables, should: &ClusterTables, notes: &mut Vec<String>) {
    let mut note = |what: &str, is: String, should: String| {
        if is != should {
            notes.push(format!("{what} in cluster {}: is {is}, should be {should}", at.cluster));
        }
    };
    note("running tasks", is.running().to_string(), should.running().to_string());
    note("pending tasks", is.pending().to_string(), should.pending().to_string());
    note("waiting tasks", format!("{:?}", is.provisioning()), format!("{:?}", should.provisioning()));
    note("guests", format!("{:?}", is.guests()), format!("{:?}", should.guests()));
    note("waiting services", format!("{:?}", is.waiting), format!("{:?}", should.waiting));
    note("waiting guests", format!("{:?}", is.waiting_guests()), format!("{:?}", should.waiting_guests()));
    note("stopped tasks", format!("{:?}", is.stopped()), format!("{:?}", should.stopped()));
    for (&id, entry) in is.instances() {
        let Some(again) = should.instance(id) else {
            note("instance", id.to_string(), "absent".into());
            continue;
        };
        note(&format!("tasks of {id}"), format!("{:?}", entry.tasks()), format!("{:?}", again.tasks()));
        let counts = |e: &InstanceEntry| format!("{} running, {} pending", e.running(), e.pending());
        note(&format!("counts of {id}"), counts(entry), counts(again));
        let open = |e: &InstanceEntry| e.connection.open.to_string();
        note(&format!("connection of {id}"), open(entry), open(again));
        note(&format!("zone of {id}"), format!("{:?}", entry.zone()), format!("{:?}", again.zone()));
        let remaining = |tables: &ClusterTables| format!("{:?}", tables.fleet().remaining(id));
        note(&format!("remaining resources of {id}"), remaining(is), remaining(should));
    }
    for (name, entry) in &is.services {
        let Some(again) = should.services.get(name) else {
            note("service", name.to_string(), "absent".into());
            continue;
        };
        note(&format!("tasks of {name}"), format!("{:?}", entry.active()), format!("{:?}", again.active()));
        let stopped = |e: &ServiceEntry| format!("{:?}", e.stopped());
        note(&format!("stopped tasks of {name}"), stopped(entry), stopped(again));
        let stops = |e: &ServiceEntry| format!("{:?}", e.stops);
        note(&format!("stops of {name}"), stops(entry), stops(again));
    }
}

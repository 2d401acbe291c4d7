//! From records to the plain views of `longshore-survey`.
//!
//! Used by the simulation and by `longshore check`; a running server has no use for it.

use std::collections::BTreeMap;

use longshore_base::{DeploymentId, Protocol, Scope};
use longshore_domain::status::DeploymentController;
use longshore_rollout::TaskSetStatus;
use longshore_survey::{Cluster, Container, Deployment, Instance, Service, Snapshot, Task};

use longshore_state::Records;

use crate::key::{ClusterKey, FamilyKey, ServiceKey};
use crate::record;

/// The whole state, without the STOPPED tasks unless `all`.
pub fn snapshot(records: &Records, all: bool) -> Snapshot {
    let mut clusters = Clusters::default();
    let mut pool = Vec::new();
    for (at, record) in records.of::<record::Cluster>() {
        clusters.at(at).status = Some(record.status);
    }
    for (at, record) in records.of::<record::Instance>() {
        if at.cluster.is_pool() {
            pool.push(instance(record));
        } else {
            clusters.at(&at.cluster).instances.push(instance(record));
        }
    }
    for (at, record) in records.of::<record::Task>().filter(|(_, own)| all || !own.last_status.is_stopped()) {
        clusters.at(&at.cluster).tasks.push(task(record, records, &at.cluster.scope));
    }
    for (at, record) in records.of::<record::Service>() {
        clusters.at(&at.cluster).services.push(service(record, records, &at.cluster));
    }
    Snapshot { clusters: clusters.0.into_values().collect(), pool }
}

#[derive(Default)]
struct Clusters(BTreeMap<ClusterKey, Cluster>);

impl Clusters {
    fn at(&mut self, at: &ClusterKey) -> &mut Cluster {
        self.0.entry(at.clone()).or_insert_with(|| Cluster {
            name: at.cluster.clone(),
            status: None,
            instances: Vec::new(),
            tasks: Vec::new(),
            services: Vec::new(),
        })
    }
}

pub fn instance(record: &record::Instance) -> Instance {
    let reserved = record.reserved_tcp.iter().map(|&port| (port, Protocol::Tcp));
    let reserved = reserved.chain(record.reserved_udp.iter().map(|&port| (port, Protocol::Udp)));
    Instance {
        id: record.id,
        status: record.status,
        cpu: record.cpu,
        memory: record.memory,
        gpus: record.gpus.len() as u32,
        reserved: reserved.collect(),
    }
}

pub fn task(record: &record::Task, records: &Records, scope: &Scope) -> Task {
    let family = FamilyKey::new(scope.clone(), record.origin.family.clone());
    let definition = family.revision(record.origin.revision);
    Task {
        id: record.id,
        instance: record.instance,
        in_pool: record.is_pooled(),
        service: record.origin.service.as_ref().map(|own| (own.name.clone(), own.deployment)),
        last_status: record.last_status,
        desired_status: record.desired_status,
        version: record.version,
        needs: record.origin.needs.clone(),
        gpus: record.gpus().to_vec(),
        address: record.interface.as_ref().map(|own| own.address),
        created_at: record.created_at,
        started_at: record.started_at,
        stopping_at: record.stopping_at,
        stopped_at: record.stopped_at,
        stop_code: record.stop_code,
        stopped_reason: record.stopped_reason.as_deref().map(str::to_owned),
        definition_known: records.get::<record::TaskDefinition>(&definition).is_some(),
        containers: record
            .containers
            .iter()
            .map(|own| Container {
                name: own.name.to_string(),
                last_status: own.last_status,
                exit_code: own.exit_code,
            })
            .collect(),
    }
}

pub fn service(record: &record::Service, records: &Records, at: &ClusterKey) -> Service {
    let external = record.controller == DeploymentController::External;
    let key = at.service(&record.name);
    let sets = external.then(|| task_sets(records, &key)).into_iter().flatten();
    let sets = sets.map(|set| Deployment { id: set.id, primary: set.status == TaskSetStatus::Primary });
    Service {
        name: record.name.clone(),
        status: record.status,
        scheduling: record.scheduling,
        desired_count: record.desired_count,
        external,
        deployments: record
            .deployments
            .iter()
            .map(|own| Deployment { id: own.id, primary: own.primary })
            .chain(sets)
            .collect(),
    }
}

/// The task sets of a service.
pub fn task_sets<'a>(
    records: &'a Records,
    service: &ServiceKey,
) -> impl Iterator<Item = &'a record::TaskSet> {
    let service = service.clone();
    let from = records.from::<record::TaskSet>(&service.task_set(DeploymentId::from_bits(0)));
    from.take_while(move |(key, _)| key.service == service).map(|(_, set)| &**set)
}

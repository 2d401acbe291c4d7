//! From records to the plain views of `longshore-survey`.
//!
//! Used by the simulation and by `longshore check`; a running server has no use for it.

use std::collections::BTreeMap;

use longshore_base::{DeploymentId, Protocol, Scope, ServiceName};
use longshore_domain::status::DeploymentController;
use longshore_rollout::TaskSetStatus;
use longshore_survey::{Cluster, Container, Deployment, Instance, Service, Snapshot, Task};

use crate::codec::Value;
use crate::key::{ClusterKey, Key};
use crate::record;

type Records = BTreeMap<Key, Value>;

/// The whole state, without the STOPPED tasks unless `all`.
pub fn snapshot(records: &Records, all: bool) -> Snapshot {
    let mut clusters: BTreeMap<ClusterKey, Cluster> = BTreeMap::new();
    let mut pool = Vec::new();
    let empty = |at: &ClusterKey| Cluster {
        name: at.cluster.clone(),
        status: None,
        instances: Vec::new(),
        tasks: Vec::new(),
        services: Vec::new(),
    };
    for (key, value) in records {
        match (key, value) {
            (Key::Cluster(at), Value::Cluster(record)) => {
                clusters.entry(at.clone()).or_insert_with(|| empty(at)).status = Some(record.status);
            }
            (Key::Instance(at, _), Value::Instance(record)) if at.is_pool() => pool.push(instance(record)),
            (Key::Instance(at, _), Value::Instance(record)) => {
                clusters.entry(at.clone()).or_insert_with(|| empty(at)).instances.push(instance(record));
            }
            (Key::Task(at, _), Value::Task(record)) if all || !record.last_status.is_stopped() => {
                let task = task(record, records, &at.scope);
                clusters.entry(at.clone()).or_insert_with(|| empty(at)).tasks.push(task);
            }
            (Key::Service(at, _), Value::Service(record)) => {
                clusters
                    .entry(at.clone())
                    .or_insert_with(|| empty(at))
                    .services
                    .push(service(record, records, at));
            }
            // What the survey has no rule about, and STOPPED tasks when they are not asked for.
            _ => {}
        }
    }
    Snapshot { clusters: clusters.into_values().collect(), pool }
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
    let definition = Key::TaskDefinition(scope.clone(), record.origin.family.clone(), record.origin.revision);
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
        definition_known: records.contains_key(&definition),
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
    let sets = external.then(|| task_sets(records, at, &record.name)).into_iter().flatten();
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
    at: &ClusterKey,
    service: &ServiceName,
) -> impl Iterator<Item = &'a record::TaskSet> {
    let first = Key::TaskSet(at.clone(), service.clone(), DeploymentId::from_bits(0));
    let (at, service) = (at.clone(), service.clone());
    records.range(first..).map_while(move |(key, value)| match (key, value) {
        // The next cluster may have a service of the same name.
        (Key::TaskSet(of, name, _), Value::TaskSet(set)) if *of == at && *name == service => Some(&**set),
        _ => None,
    })
}

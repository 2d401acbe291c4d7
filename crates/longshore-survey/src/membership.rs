//! Membership: tasks are on instances that exist, belong to services and deployments that exist, and services list
//! theirs once.

use std::collections::{BTreeMap, BTreeSet};

use longshore_base::{InstanceId, ServiceName};
use longshore_domain::{InstanceStatus, ServiceStatus};

use crate::view::{Cluster, Instance, Service, Task};
use crate::{Note, Rule};

pub(crate) fn check(cluster: &Cluster, pool: &[Instance], notes: &mut Vec<Note>) {
    if cluster.status.is_none() {
        notes.push(Note::new(
            Rule::Reference,
            format!("cluster {}", cluster.name),
            "has content and no record",
        ));
    }
    let by_id = |instances: &[Instance]| -> BTreeMap<InstanceId, InstanceStatus> {
        instances.iter().map(|instance| (instance.id, instance.status)).collect()
    };
    let (instances, pool) = (by_id(&cluster.instances), by_id(pool));
    let services: BTreeMap<_, _> = cluster.services.iter().map(|service| (&service.name, service)).collect();
    for service in &cluster.services {
        check_service(service, notes);
    }
    for task in cluster.tasks.iter().filter(|task| !task.last_status.is_stopped()) {
        check_instance(task, if task.in_pool { &pool } else { &instances }, notes);
        check_owner(task, &services, notes);
    }
}

/// The instance of a task that has not stopped. `hosts` are all that it may be on.
fn check_instance(task: &Task, hosts: &BTreeMap<InstanceId, InstanceStatus>, notes: &mut Vec<Note>) {
    let Some(id) = task.instance else { return };
    let (rule, text) = match hosts.get(&id) {
        None => (Rule::Reference, format!("is on instance {id}, which is gone")),
        Some(InstanceStatus::Inactive) => {
            (Rule::Deregistration, format!("is on instance {id}, which is INACTIVE"))
        }
        Some(_) => return,
    };
    notes.push(Note::new(rule, format!("task {}", task.id), text));
}

/// The service and the deployment of a task that has not stopped, if it has them.
fn check_owner(task: &Task, services: &BTreeMap<&ServiceName, &Service>, notes: &mut Vec<Note>) {
    let Some((name, deployment)) = &task.service else { return };
    let (rule, text) = match services.get(name) {
        None => (Rule::Reference, format!("belongs to service {name}, which is gone")),
        Some(service) if service.status == ServiceStatus::Inactive => {
            (Rule::Service, format!("lives on in the INACTIVE service {name}"))
        }
        // Tasks of a task set outlive it by the time that they take to stop.
        Some(service)
            if service.status == ServiceStatus::Active
                && !service.external
                && !service.deployments.iter().any(|own| own.id == *deployment) =>
        {
            (Rule::Service, format!("belongs to {deployment}, which service {name} does not list"))
        }
        Some(_) => return,
    };
    notes.push(Note::new(rule, format!("task {}", task.id), text));
}

fn check_service(service: &Service, notes: &mut Vec<Note>) {
    let subject = format!("service {}", service.name);
    let primaries = service.deployments.iter().filter(|own| own.primary).count();
    let fits = if service.external { primaries <= 1 } else { primaries == 1 };
    if service.status == ServiceStatus::Active && !fits {
        notes.push(Note::new(Rule::Service, &subject, format!("has {primaries} PRIMARY deployments")));
    }
    let ids: BTreeSet<_> = service.deployments.iter().map(|own| own.id).collect();
    if ids.len() != service.deployments.len() {
        notes.push(Note::new(Rule::Service, &subject, "lists a deployment twice"));
    }
}

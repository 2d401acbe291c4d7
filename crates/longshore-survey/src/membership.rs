//! What belongs to what.

use std::collections::{BTreeMap, BTreeSet};

use longshore_base::InstanceId;
use longshore_domain::{InstanceStatus, ServiceStatus};

use crate::view::{Cluster, Instance, Service};
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
        let subject = format!("task {}", task.id);
        let hosts = if task.in_pool { &pool } else { &instances };
        match task.instance.map(|id| (id, hosts.get(&id))) {
            None => {}
            Some((id, None)) => {
                notes.push(Note::new(
                    Rule::Reference,
                    &subject,
                    format!("is on instance {id}, which is gone"),
                ));
            }
            Some((id, Some(InstanceStatus::Inactive))) => {
                notes.push(Note::new(
                    Rule::Deregistration,
                    &subject,
                    format!("is on instance {id}, which is INACTIVE"),
                ));
            }
            Some((_, Some(_))) => {}
        }
        let Some((name, deployment)) = &task.service else { continue };
        match services.get(name) {
            None => notes.push(Note::new(
                Rule::Reference,
                &subject,
                format!("belongs to service {name}, which is gone"),
            )),
            Some(service) if service.status == ServiceStatus::Inactive => {
                notes.push(Note::new(
                    Rule::Service,
                    &subject,
                    format!("lives on in the INACTIVE service {name}"),
                ));
            }
            Some(service) => {
                // Tasks of a set outlive it by the time that they take to stop.
                if service.status == ServiceStatus::Active
                    && !service.external
                    && !service.deployments.iter().any(|own| own.id == *deployment)
                {
                    let text = format!("belongs to {deployment}, which service {name} does not list");
                    notes.push(Note::new(Rule::Service, &subject, text));
                }
            }
        }
    }
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

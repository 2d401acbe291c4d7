//! No instance is promised more CPU, memory, GPUs, ports or addresses than it has.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use longshore_base::{InstanceId, Port, Protocol, TaskId};

use crate::view::{Instance, Snapshot, Task};
use crate::{Note, Rule};

pub(crate) fn check(snapshot: &Snapshot, notes: &mut Vec<Note>) {
    for cluster in &snapshot.clusters {
        check_instances(&cluster.instances, cluster.tasks.iter().filter(|task| !task.in_pool), notes);
    }
    // Instances of the Fargate pool have tasks of all clusters.
    let all_tasks = snapshot.clusters.iter().flat_map(|cluster| &cluster.tasks);
    check_instances(&snapshot.pool, all_tasks.filter(|task| task.in_pool), notes);
}

fn check_instances<'t>(instances: &[Instance], tasks: impl Iterator<Item = &'t Task>, notes: &mut Vec<Note>) {
    let mut by_instance: BTreeMap<InstanceId, Vec<&Task>> = BTreeMap::new();
    for task in tasks.filter(|task| !task.last_status.is_stopped()) {
        if let Some(instance) = task.instance {
            by_instance.entry(instance).or_default().push(task);
        }
    }
    for instance in instances {
        if let Some(tasks) = by_instance.get(&instance.id) {
            check_instance(instance, tasks, notes);
        }
    }
}

fn check_instance(instance: &Instance, tasks: &[&Task], notes: &mut Vec<Note>) {
    let subject = format!("instance {}", instance.id);
    let mut total = |what: &str, has: u32, of: fn(&Task) -> u32| {
        let promised: u64 = tasks.iter().map(|task| u64::from(of(task))).sum();
        if promised > u64::from(has) {
            let text = format!("{promised} of {has} {what} are promised to {} tasks", tasks.len());
            notes.push(Note::new(Rule::Capacity, &subject, text));
        }
    };
    total("CPU units", instance.cpu, |task| task.needs.cpu.0);
    total("MiB of memory", instance.memory, |task| task.needs.memory.0);
    total("GPUs", instance.gpus, |task| task.needs.gpus);
    let mut gpus: BTreeMap<&str, TaskId> = BTreeMap::new();
    for task in tasks {
        for gpu in &task.gpus {
            if let Some(other) = gpus.insert(gpu, task.id) {
                let text = format!("GPU {gpu} is promised to tasks {other} and {}", task.id);
                notes.push(Note::new(Rule::Capacity, &subject, text));
            }
        }
    }
    let mut addresses: BTreeMap<Ipv4Addr, TaskId> = BTreeMap::new();
    for task in tasks {
        if let Some(address) = task.address
            && let Some(other) = addresses.insert(address, task.id)
        {
            let text = format!("address {address} is promised to tasks {other} and {}", task.id);
            notes.push(Note::new(Rule::Capacity, &subject, text));
        }
    }
    let mut ports: BTreeMap<(Port, Protocol), TaskId> = BTreeMap::new();
    for task in tasks {
        for &(port, protocol) in &task.needs.ports {
            let named = format!("port {port}/{}", protocol.as_str());
            if instance.reserved.contains(&(port, protocol)) {
                let text = format!("reserved {named} is promised to task {}", task.id);
                notes.push(Note::new(Rule::Capacity, &subject, text));
            }
            if let Some(other) = ports.insert((port, protocol), task.id) {
                let text = format!("{named} is promised to tasks {other} and {}", task.id);
                notes.push(Note::new(Rule::Capacity, &subject, text));
            }
        }
    }
}

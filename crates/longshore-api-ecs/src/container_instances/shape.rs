//! A container instance as the API shows it.

use std::sync::Arc;

use longshore_base::{InstanceId, Port};
use longshore_domain::InstanceHealth;
use longshore_placement::Remaining;
use longshore_shapes_ecs as shapes;
use longshore_shapes_ecs::*;
use longshore_state::State;
use longshore_tables_ecs::{ClusterKey, ClusterTables, Connection, EcsState, InstanceEntry, record};

use crate::input::count;
use crate::{tags, texts};

pub fn arn(at: &ClusterKey, instance: &record::Instance) -> String {
    at.scope.instance_arn(&at.cluster, instance.id, instance.arn_format)
}

/// What a description holds beyond the instance itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Include {
    tags: bool,
    health: bool,
}

impl Include {
    /// What the answer of a change holds.
    pub const ALL: Self = Self { tags: true, health: false };

    pub fn of(fields: &[ContainerInstanceField]) -> Self {
        Self {
            tags: fields.contains(&ContainerInstanceField::Tags),
            health: fields.contains(&ContainerInstanceField::ContainerInstanceHealth),
        }
    }
}

/// The instance as writers answer it.
pub(crate) fn shape(state: &State, at: &ClusterKey, id: InstanceId) -> Option<shapes::ContainerInstance> {
    let tables = state.ecs().cluster(at)?;
    Some(View::of(tables, tables.instance(id)?).shape(at, Include::ALL))
}

/// An instance at one moment.
pub(super) struct View {
    record: Arc<record::Instance>,
    connection: Connection,
    running: usize,
    pending: usize,
    remaining: Remaining,
}

impl View {
    pub fn of(tables: &ClusterTables, entry: &InstanceEntry) -> Self {
        Self {
            record: entry.record.clone(),
            connection: entry.connection,
            running: entry.running(),
            pending: entry.pending(),
            remaining: tables.fleet().remaining(entry.record.id).unwrap_or_default(),
        }
    }

    pub fn shape(self, at: &ClusterKey, include: Include) -> shapes::ContainerInstance {
        let Self { record, remaining, .. } = self;
        let text = |text: &Option<Arc<str>>| text.as_ref().map(ToString::to_string);
        let registered = Amounts {
            cpu: record.cpu,
            memory: record.memory,
            tcp: &record.reserved_tcp,
            udp: &record.reserved_udp,
            gpus: &record.gpus,
        };
        let left = Amounts {
            cpu: remaining.cpu.0,
            memory: remaining.memory.0,
            tcp: &remaining.ports_tcp,
            udp: &remaining.ports_udp,
            gpus: &remaining.gpus,
        };
        let has_gpus = !record.gpus.is_empty();
        let attributes = record.agent_attributes.iter().chain(&record.user_attributes);
        let health = || health(&record, self.connection.open);
        shapes::ContainerInstance {
            container_instance_arn: Some(arn(at, &record)),
            ec2_instance_id: Some(record.ec2_instance_id.to_string()),
            capacity_provider_name: text(&record.capacity_provider),
            version: Some(i64::from(record.version)),
            version_info: Some(VersionInfo {
                agent_version: text(&record.agent_version),
                agent_hash: text(&record.agent_hash),
                docker_version: record.docker_version.as_deref().map(docker_version),
            }),
            remaining_resources: Some(left.resources(has_gpus)),
            registered_resources: Some(registered.resources(has_gpus)),
            status: Some(record.status.to_string()),
            // `agentConnected` has no word for this.
            status_reason: self.connection.awaited_since.map(|_| texts::AGENT_AWAITED.to_owned()),
            agent_connected: Some(self.connection.open),
            running_tasks_count: count(self.running),
            pending_tasks_count: count(self.pending),
            agent_update_status: None,
            attributes: Some(attributes.map(attribute).collect()),
            registered_at: Some(record.registered_at),
            attachments: Some(Vec::new()),
            tags: Some(if include.tags { tags::shapes(&record.tags) } else { Vec::new() }),
            health_status: include.health.then(health),
        }
    }
}

/// The worst of the checks counts. Of a machine that nobody hears from nothing is known, but when it was last heard
/// (unverified).
fn health(record: &record::Instance, connected: bool) -> ContainerInstanceHealthStatus {
    let overall = match record.health.iter().map(|check| check.status).max() {
        Some(worst) if connected => worst,
        Some(_) | None => InstanceHealth::InsufficientData,
    };
    let details = record.health.iter().map(|check| InstanceHealthCheckResult {
        r#type: Some(InstanceHealthCheckType::from(check.kind.as_str())),
        status: Some(InstanceHealthCheckState::from(check.status.as_str())),
        status_reason: None,
        last_updated: Some(check.updated_at),
        last_status_change: Some(check.changed_at),
    });
    ContainerInstanceHealthStatus {
        overall_status: Some(InstanceHealthCheckState::from(overall.as_str())),
        details: Some(details.collect()),
    }
}

fn attribute(attribute: &record::Attribute) -> Attribute {
    Attribute {
        name: Some(attribute.name.to_string()),
        value: attribute.value.as_ref().map(ToString::to_string),
        target_id: None,
        target_type: None,
    }
}

/// Amounts of the resources of an instance.
struct Amounts<'a> {
    cpu: u32,
    memory: u32,
    tcp: &'a [Port],
    udp: &'a [Port],
    gpus: &'a [Arc<str>],
}

impl Amounts<'_> {
    /// The four that are always there, and the GPUs of a machine that has some.
    fn resources(&self, has_gpus: bool) -> Vec<Resource> {
        let ports = |ports: &[Port]| ports.iter().map(ToString::to_string).collect();
        let mut resources = vec![
            number("CPU", self.cpu),
            number("MEMORY", self.memory),
            set("PORTS", ports(self.tcp)),
            set("PORTS_UDP", ports(self.udp)),
        ];
        if has_gpus {
            resources.push(set("GPU", self.gpus.iter().map(ToString::to_string).collect()));
        }
        resources
    }
}

fn number(name: &str, amount: u32) -> Resource {
    Resource {
        name: Some(name.into()),
        r#type: Some("INTEGER".into()),
        double_value: Some(0.0),
        long_value: Some(0),
        integer_value: Some(i32::try_from(amount).unwrap_or(i32::MAX)),
        string_set_value: None,
    }
}

fn set(name: &str, values: Vec<String>) -> Resource {
    Resource { r#type: Some("STRINGSET".into()), string_set_value: Some(values), ..number(name, 0) }
}

/// The engine's version as ECS shows it (ecs-engine D2). Agents send it with and without the prefix.
fn docker_version(version: &str) -> String {
    const PREFIX: &str = "DockerVersion: ";
    if version.starts_with(PREFIX) { version.to_owned() } else { format!("{PREFIX}{version}") }
}

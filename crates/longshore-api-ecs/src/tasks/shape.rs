//! A task as the API shows it (ecs-engine D3).

use std::sync::Arc;

use longshore_domain::HealthStatus;
use longshore_domain::task_spec::ContainerSpec;
use longshore_shapes_ecs as shapes;
use longshore_shapes_ecs::{
    Connectivity, ContainerOverride, EphemeralStorage, TaskEphemeralStorage, TaskOverride,
};
use longshore_state::State;
use longshore_tables_ecs::record::{Container, NetworkBinding, Task};
use longshore_tables_ecs::{ClusterKey, Connection, EcsState, record};

use super::attachment;
use crate::launching::capacity::PLATFORM_FAMILY;
use crate::{documents, tags};

/// GiB of storage of a Fargate task that does not ask for more (ecs-task-definitions C1).
const EPHEMERAL_STORAGE_DEFAULT: i32 = 20;
const CPU_ARCHITECTURE: &str = "ecs.cpu-architecture";

/// A task at one moment, with what its description needs of its surroundings. Taken under the state's
/// lock, at the price of a few reference counts; the shape is made of it afterwards.
#[derive(Clone, Debug)]
pub(crate) struct View {
    task: Arc<Task>,
    definition: Option<Arc<record::TaskDefinition>>,
    host: Option<Host>,
}

#[derive(Clone, Debug)]
struct Host {
    record: Arc<longshore_tables_ecs::record::Instance>,
    connection: Connection,
}

impl View {
    pub(crate) fn of(state: &State, at: &ClusterKey, task: &Arc<Task>) -> Self {
        let entry = task.instance.and_then(|id| state.ecs().host(at, task)?.instance(id));
        Self {
            task: task.clone(),
            definition: state.ecs().definition(&at.scope, &task.origin.family, task.origin.revision).cloned(),
            host: entry.map(|entry| Host { record: entry.record.clone(), connection: entry.connection }),
        }
    }

    pub(crate) fn shape(&self, at: &ClusterKey, with_tags: bool) -> shapes::Task {
        let Self { task, host, .. } = self;
        let scope = &at.scope;
        let task_arn = scope.task_arn(&at.cluster, task.id, task.origin.arn_format);
        let overrides: TaskOverride =
            task.origin.overrides.as_ref().and_then(documents::recall).unwrap_or_default();
        let connectivity = self.connectivity();
        // What a Fargate task runs on is nobody's instance.
        let instance_arn = task.instance.filter(|_| !task.is_pooled()).map(|instance| {
            let format = host.as_ref().map_or(task.origin.arn_format, |host| host.record.arn_format);
            scope.instance_arn(&at.cluster, instance, format)
        });
        let storage = task.is_pooled().then(|| self.ephemeral_storage(&overrides));
        shapes::Task {
            attachments: Some(attachment::of(&scope.region, task).into_iter().collect()),
            attributes: Some(host.iter().filter_map(architecture).collect()),
            availability_zone: task.shown_zone().map(ToString::to_string),
            capacity_provider_name: text(&task.origin.capacity_provider),
            cluster_arn: Some(scope.cluster_arn(&at.cluster)),
            connectivity: connectivity.as_ref().map(|(word, _)| word.clone()),
            connectivity_at: connectivity.as_ref().map(|(_, since)| *since),
            container_instance_arn: instance_arn,
            containers: Some(self.containers(at, &task_arn, &overrides)),
            cpu: Some(task.origin.needs.cpu.to_string()),
            created_at: Some(task.created_at),
            desired_status: Some(task.desired_status.as_str().to_owned()),
            enable_execute_command: Some(task.origin.enable_execute_command),
            ephemeral_storage: storage.map(|gib| EphemeralStorage { size_in_gib: Some(gib) }),
            execution_stopped_at: task.execution_stopped_at,
            fargate_ephemeral_storage: storage
                .map(|gib| TaskEphemeralStorage { size_in_gib: Some(gib), kms_key_id: None }),
            group: Some(task.origin.group.to_string()),
            health_status: Some(self.health(task.health)),
            inference_accelerators: None,
            last_status: Some(task.last_status.as_str().to_owned()),
            launch_type: Some(task.origin.launch_type.as_str().into()),
            memory: Some(task.origin.needs.memory.to_string()),
            overrides: Some(self.overrides(overrides)),
            platform_family: task.is_pooled().then(|| PLATFORM_FAMILY.to_owned()),
            platform_version: text(&task.origin.platform_version),
            pull_started_at: task.pull_started_at,
            pull_stopped_at: task.pull_stopped_at,
            started_at: task.started_at,
            started_by: text(&task.origin.started_by),
            stop_code: task.stop_code.map(|code| code.as_str().into()),
            stopped_at: task.stopped_at,
            stopped_reason: text(&task.stopped_reason),
            stopping_at: task.stopping_at,
            tags: Some(if with_tags { tags::shapes(&task.origin.tags) } else { Vec::new() }),
            task_definition_arn: Some(scope.task_definition_arn(&task.origin.family, task.origin.revision)),
            task_arn: Some(task_arn),
            version: Some(task.version.into()),
        }
    }

    /// GiB of the task's own storage, which only Fargate has (ecs-task-definitions C2).
    fn ephemeral_storage(&self, overrides: &TaskOverride) -> i32 {
        let asked = overrides.ephemeral_storage.as_ref().and_then(|storage| storage.size_in_gib);
        asked
            .or_else(|| {
                let document = self.definition.as_ref()?.document();
                // Few ask, and reading a definition for each task of an answer takes its time.
                let asks = document.contains("\"ephemeralStorage\"");
                let document = asks.then(|| documents::recall::<shapes::TaskDefinition>(document));
                document??.ephemeral_storage?.size_in_gib
            })
            .unwrap_or(EPHEMERAL_STORAGE_DEFAULT)
    }

    /// Known from the agent's first report on. A STOPPED task keeps what was so at its end.
    fn connectivity(&self) -> Option<(Connectivity, longshore_base::Timestamp)> {
        let first = self.task.connectivity_at?;
        match &self.host {
            Some(host) if !self.task.last_status.is_stopped() => {
                let word =
                    if host.connection.open { Connectivity::Connected } else { Connectivity::Disconnected };
                Some((word, first.max(host.connection.since)))
            }
            Some(_) | None => Some((Connectivity::Connected, first)),
        }
    }

    /// Health comes from the agent: nobody knows it while the agent is away.
    fn health(&self, known: HealthStatus) -> shapes::HealthStatus {
        let away = self.host.as_ref().is_some_and(|host| !host.connection.open);
        let known = if away && !self.task.last_status.is_stopped() { HealthStatus::Unknown } else { known };
        known.as_str().into()
    }

    fn containers(
        &self,
        at: &ClusterKey,
        task_arn: &str,
        overrides: &TaskOverride,
    ) -> Vec<shapes::Container> {
        let mut gpus = self.task.gpus().iter();
        let shape = |container: &Container| {
            let spec = self.definition.as_ref().and_then(|d| d.spec().container(container.name.as_str()));
            let own = override_of(overrides, container.name.as_str());
            let gpus = gpus.by_ref().take(spec.map_or(0, |spec| spec.gpus as usize));
            let gpu_ids: Vec<String> = gpus.map(ToString::to_string).collect();
            self.container(at, task_arn, container, spec, own, gpu_ids)
        };
        self.task.containers.iter().map(shape).collect()
    }

    fn container(
        &self,
        at: &ClusterKey,
        task_arn: &str,
        container: &Container,
        spec: Option<&ContainerSpec>,
        own: Option<&ContainerOverride>,
        gpu_ids: Vec<String>,
    ) -> shapes::Container {
        let task = &self.task;
        let size = |own: Option<i32>, spec: Option<u32>| {
            own.map(|size| size.to_string()).or_else(|| spec.map(|size| size.to_string()))
        };
        let cpu = size(own.and_then(|own| own.cpu), spec.map(|spec| spec.cpu));
        shapes::Container {
            container_arn: Some(at.scope.container_arn(
                &at.cluster,
                task.id,
                container.id,
                task.origin.arn_format,
            )),
            cpu: Some(cpu.unwrap_or_else(|| "0".to_owned())),
            exit_code: container.exit_code,
            gpu_ids: (!gpu_ids.is_empty()).then_some(gpu_ids),
            health_status: Some(self.health(container.health)),
            image: spec.map(|spec| spec.image.clone()),
            image_digest: text(&container.image_digest),
            last_status: Some(container.last_status.as_str().to_owned()),
            managed_agents: None,
            memory: size(own.and_then(|own| own.memory), spec.and_then(|spec| spec.memory)),
            memory_reservation: size(
                own.and_then(|own| own.memory_reservation),
                spec.and_then(|spec| spec.memory_reservation),
            ),
            name: Some(container.name.to_string()),
            network_bindings: Some(container.bindings.iter().map(binding).collect()),
            network_interfaces: Some(attachment::interface(task).into_iter().collect()),
            reason: text(&container.reason),
            runtime_id: text(&container.runtime_id),
            task_arn: Some(task_arn.to_owned()),
        }
    }

    /// The overrides with every container of the task, overridden or not.
    fn overrides(&self, mut overrides: TaskOverride) -> TaskOverride {
        let mut given = overrides.container_overrides.take().unwrap_or_default();
        let listed = self.task.containers.iter().map(|container| {
            let name = container.name.as_str();
            match given.iter().position(|own| own.name.as_deref() == Some(name)) {
                Some(at) => given.swap_remove(at),
                None => ContainerOverride { name: Some(name.to_owned()), ..ContainerOverride::default() },
            }
        });
        overrides.container_overrides = Some(listed.collect());
        overrides.inference_accelerator_overrides.get_or_insert_default();
        overrides
    }
}

fn override_of<'o>(overrides: &'o TaskOverride, name: &str) -> Option<&'o ContainerOverride> {
    overrides.container_overrides.iter().flatten().find(|own| own.name.as_deref() == Some(name))
}

fn architecture(host: &Host) -> Option<shapes::Attribute> {
    let attribute =
        host.record.agent_attributes.iter().find(|attribute| *attribute.name == *CPU_ARCHITECTURE)?;
    Some(shapes::Attribute {
        name: Some(CPU_ARCHITECTURE.to_owned()),
        value: text(&attribute.value),
        target_id: None,
        target_type: None,
    })
}

fn binding(binding: &NetworkBinding) -> shapes::NetworkBinding {
    shapes::NetworkBinding {
        bind_ip: Some(binding.bind_ip.to_string()),
        container_port: binding.container_port.map(|port| port.0.into()),
        container_port_range: text(&binding.container_port_range),
        host_port: binding.host_port.map(|port| port.0.into()),
        host_port_range: text(&binding.host_port_range),
        protocol: Some(binding.protocol.as_str().into()),
    }
}

fn text(text: &Option<Arc<str>>) -> Option<String> {
    text.as_deref().map(str::to_owned)
}

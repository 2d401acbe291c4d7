//! New tasks: what placement is asked, and the record that follows.

use std::fmt;
use std::sync::Arc;

use longshore_base::{CpuUnits, InstanceId, MemoryMib, Timestamp};
use longshore_domain::capability::Missing;
use longshore_domain::interface::NETWORK_ATTRIBUTE;
use longshore_domain::task_definition::NotBuilt;
use longshore_domain::{ContainerStatus, DesiredStatus, HealthStatus, LaunchType, NetworkMode, TaskStatus};
use longshore_placement::{
    Constraint, DefaultStrategy, Pool, Reason, Request, RequestSpec, RequiredAttribute, Shortage, Strategy,
};
use longshore_shapes_ecs as shapes;
use longshore_state::{State, Tx};
use longshore_tables_ecs::record::{self, Gpus, Origin, WaitingForPlace};
use longshore_tables_ecs::{ClusterKey, ClusterTables, EcsState, EcsTx, InstanceKey, fleet};
use longshore_wire::json;

use crate::interface;
use crate::roles::{CannotAssume, Roles};
use crate::subnets::Subnets;

/// What all tasks of one call, or of one deployment, have in common.
#[derive(Clone, Debug)]
pub struct Template {
    pub definition: Arc<record::TaskDefinition>,
    pub origin: Arc<Origin>,
    subnets: Subnets,
    /// See [`Subnets::zones`].
    zones: Option<Vec<Arc<str>>>,
}

/// The platform version that LATEST means (ecs-surfaces F1).
const PLATFORM_LATEST: &str = "1.4.0";

/// The platform version of a task or deployment for which a call asked for `requested`.
pub fn platform_version(requested: Option<&Arc<str>>) -> Option<Arc<str>> {
    requested.map(|version| if **version == *"LATEST" { PLATFORM_LATEST.into() } else { version.clone() })
}

/// GPUs for a task that is about to get its place: the first that no other task of the instance has.
fn gpus(tx: &Tx<'_>, host: &InstanceKey, count: u32) -> Option<Box<Gpus>> {
    if count == 0 {
        return None;
    }
    let left = tx.ecs().cluster(&host.cluster)?.fleet().remaining(host.instance)?;
    Some(Box::new(Gpus(left.gpus.into_iter().take(count as usize).collect())))
}

/// The cluster or pool on whose instances tasks of this launch type run, for a task of the cluster `at`.
pub fn host(at: &ClusterKey, launch_type: LaunchType) -> ClusterKey {
    match launch_type {
        LaunchType::Fargate => ClusterKey::pool(at.scope.region.clone()),
        LaunchType::Ec2 | LaunchType::External | LaunchType::ManagedInstances => at.clone(),
    }
}

/// The tables whose fleet has room for tasks of this launch type in the cluster `at`: its own, or the
/// pool of its region. `None` while there is no such pool.
pub fn capacity<'s>(state: &'s State, at: &ClusterKey, launch_type: LaunchType) -> Option<&'s ClusterTables> {
    match launch_type {
        LaunchType::Fargate => state.ecs().pool(&at.scope.region),
        LaunchType::Ec2 | LaunchType::External | LaunchType::ManagedInstances => state.ecs().cluster(at),
    }
}

/// What there is to say of `reason` beside its word in a `failures` entry, to whoever can change it.
pub fn detail(reason: &Reason) -> Option<String> {
    match reason {
        Reason::Attribute(lacking) => Some(format!("The instance does not offer {}", Missing(lacking))),
        Reason::MemberOf(expression) => Some(format!("expression: {expression}")),
        Reason::Missing
        | Reason::NotActive
        | Reason::Agent
        | Reason::Cpu
        | Reason::Memory
        | Reason::Ports
        | Reason::Gpu
        | Reason::Interface
        | Reason::Location
        | Reason::DistinctInstance => None,
    }
}

/// Why the Fargate pool of a region takes no task just now, for whoever can change it. The pool serves every account,
/// so that no agent of it is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolRefusal {
    /// There is none.
    NoAgent,
    /// No agent offers all that the task requires. The one that lacks the least lacks these.
    Lacking(Vec<RequiredAttribute>),
    /// Not even an agent without any task would have room for it.
    TooLarge { cpu: CpuUnits, memory: MemoryMib },
    /// No agent that would be large enough is connected.
    Away,
    /// Those that are connected have no room just now. `away`: one that is not has.
    NoRoom { away: bool },
}

impl PoolRefusal {
    /// For a request that `pool`, if there is one, has no place for.
    pub fn of(pool: Option<&ClusterTables>, request: &Request) -> Self {
        let Some(fleet) = pool.map(ClusterTables::fleet) else { return Self::NoAgent };
        match fleet.shortage(request) {
            Shortage::NoInstance => Self::NoAgent,
            Shortage::Lacking(lacking) => Self::Lacking(lacking),
            Shortage::TooLarge => {
                let needs = &request.spec().needs;
                Self::TooLarge { cpu: needs.cpu, memory: needs.memory }
            }
            Shortage::Away => Self::Away,
            Shortage::Full { away } => Self::NoRoom { away },
        }
    }

    /// True if what is missing is capacity, of which there may be more at another time.
    pub fn is_capacity(&self) -> bool {
        match self {
            Self::NoAgent | Self::TooLarge { .. } | Self::Away | Self::NoRoom { .. } => true,
            Self::Lacking(_) => false,
        }
    }
}

impl fmt::Display for PoolRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAgent => f.write_str(
                "No agent serves Fargate in this region: start one with `longshore agent --pool`.",
            ),
            Self::Lacking(lacking) => {
                write!(f, "No agent that serves Fargate in this region offers {}", Missing(lacking))
            }
            Self::TooLarge { cpu, memory } => write!(
                f,
                "No agent that serves Fargate in this region is large enough for a task of {cpu} CPU units and {memory} \
                 MiB: start `longshore agent --pool` on a larger machine."
            ),
            Self::Away => f.write_str(
                "No agent that serves Fargate in this region and could take the task is connected: see to it that \
                 `longshore agent --pool` runs on its machine and reaches this control plane.",
            ),
            Self::NoRoom { away: true } => f.write_str(
                "No connected agent that serves Fargate in this region has room for the task, but one that is not \
                 connected has: see to it that `longshore agent --pool` runs on its machine and reaches this control \
                 plane.",
            ),
            Self::NoRoom { away: false } => f.write_str(
                "No agent that serves Fargate in this region has room for the task: start another with \
                 `longshore agent --pool`.",
            ),
        }
    }
}

/// The zones of both, where both are given.
fn narrowed(asked: Option<Vec<Arc<str>>>, own: Option<&Vec<Arc<str>>>) -> Option<Vec<Arc<str>>> {
    match (asked, own) {
        (Some(asked), Some(own)) => Some(asked.into_iter().filter(|zone| own.contains(zone)).collect()),
        (Some(asked), None) => Some(asked),
        (None, own) => own.cloned(),
    }
}

/// Constraints and strategies of a call or a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    pub constraints: Vec<Constraint>,
    pub strategies: Vec<Strategy>,
}

impl Rules {
    pub fn of(service: &record::Service) -> Self {
        Self {
            constraints: service.placement_constraints.clone(),
            strategies: service.placement_strategy.clone(),
        }
    }

    /// Those of a call whose task waits for its place.
    pub fn of_waiting(waiting: &WaitingForPlace) -> Self {
        Self { constraints: waiting.constraints.clone(), strategies: waiting.strategies.clone() }
    }
}

impl Template {
    /// For tasks of the cluster `at`.
    pub fn new(
        state: &State,
        at: &ClusterKey,
        definition: Arc<record::TaskDefinition>,
        origin: Arc<Origin>,
    ) -> Self {
        let subnets = Subnets::of(state, &at.scope, origin.network.as_ref());
        let zones = subnets.zones(capacity(state, at, origin.launch_type));
        Self { definition, origin, subnets, zones }
    }

    /// The zones that its tasks may run in, if they may not run in all.
    pub fn zones(&self) -> Option<&[Arc<str>]> {
        self.zones.as_deref()
    }

    /// The question that placement is asked for each task of the cluster `at`. `zones` narrows it to some
    /// zones. [`capacity`] says which fleet to ask.
    pub fn request(
        &self,
        at: &ClusterKey,
        rules: &Rules,
        default: DefaultStrategy,
        zones: Option<Vec<Arc<str>>>,
    ) -> Request {
        let spec = self.definition.spec();
        let required = spec.required_attributes.iter().map(|attribute| RequiredAttribute {
            name: attribute.name.as_str().into(),
            value: attribute.value.as_deref().map(Into::into),
        });
        let execute = self
            .origin
            .enable_execute_command
            .then(|| RequiredAttribute { name: "ecs.capability.execute-command".into(), value: None });
        // Beyond the capability, the agent has to have told which addresses there are to give.
        let network =
            self.has_interface().then(|| RequiredAttribute { name: NETWORK_ATTRIBUTE.into(), value: None });
        Request::new(RequestSpec {
            needs: fleet::needs(&self.origin.needs, u32::from(self.has_interface())),
            pool: match &self.origin.capacity_provider {
                Some(provider) if !self.is_pooled() => Pool::Provider(provider.clone()),
                Some(_) | None => Pool::Launch(fleet::launch(self.origin.launch_type)),
            },
            required: required.chain(execute).chain(network).collect(),
            zones: narrowed(zones, self.zones.as_ref()),
            constraints: spec.constraints.iter().chain(&rules.constraints).cloned().collect(),
            strategies: rules.strategies.clone(),
            default,
            group: if self.is_pooled() {
                fleet::pooled_group(at, &self.origin.group)
            } else {
                self.origin.group.clone()
            },
        })
    }

    /// What the tasks ask for and cannot be given, wherever they are placed: none of them may start.
    pub fn not_built(&self) -> Option<&'static NotBuilt> {
        let own = self.definition.spec().not_built.first().copied();
        own.or_else(|| {
            // Written by this program, from a shape.
            let overrides: shapes::TaskOverride =
                json::from_slice(self.origin.overrides.as_deref()?.as_bytes()).ok()?;
            NotBuilt::of_overrides(&overrides).next()
        })
    }

    /// Whether ECS may assume the roles that the tasks run with.
    ///
    /// # Errors
    /// With the first that it may not.
    pub fn check_roles(&self, state: &State, at: &ClusterKey, now: Timestamp) -> Result<(), CannotAssume> {
        self.roles().check(state, at, now)
    }

    /// The roles that the tasks run with.
    pub fn roles(&self) -> Roles {
        Roles::of(&self.definition, &self.origin)
    }

    /// True if the tasks run on the Fargate pool. FARGATE and FARGATE_SPOT are one pool.
    pub fn is_pooled(&self) -> bool {
        self.origin.launch_type == LaunchType::Fargate
    }

    /// True if each task gets a network interface of its own.
    fn has_interface(&self) -> bool {
        match self.definition.spec().network_mode {
            NetworkMode::Awsvpc => true,
            NetworkMode::Bridge | NetworkMode::Host | NetworkMode::None => false,
        }
    }

    /// The record of a new task on `instance`, PENDING until its agent reports. In awsvpc mode it comes with an
    /// interface ([`interface::allocate`]).
    pub fn task(&self, tx: &mut Tx<'_>, at: &ClusterKey, instance: InstanceId) -> record::Task {
        let mut task = self.unplaced(tx);
        self.place(tx, at, &mut task, instance);
        task
    }

    /// The record of a new task that waits in PROVISIONING until [`crate::provisioning`] finds a place for it.
    pub fn waiting(&self, tx: &mut Tx<'_>, rules: &Rules) -> record::Task {
        let Rules { constraints, strategies } = rules.clone();
        let waiting = WaitingForPlace { constraints, strategies };
        record::Task { waiting: Some(Box::new(waiting)), ..self.unplaced(tx) }
    }

    /// Gives a task that placement accepted its place.
    pub fn place(&self, tx: &mut Tx<'_>, at: &ClusterKey, task: &mut record::Task, instance: InstanceId) {
        let zone = capacity(tx.state(), at, self.origin.launch_type)
            .and_then(|tables| tables.instance(instance)?.zone().cloned());
        let host = host(at, self.origin.launch_type).instance(instance);
        task.interface = match self.has_interface() {
            true => {
                let subnet = self.subnets.choose(zone.as_ref(), task.id);
                interface::allocate(tx, &host, subnet).map(Box::new)
            }
            false => None,
        };
        task.gpus = gpus(tx, &host, self.origin.needs.gpus);
        task.instance = Some(instance);
        task.zone = zone;
        task.waiting = None;
        task.last_status = match self.definition.spec().network_mode {
            // The network interface comes first.
            NetworkMode::Awsvpc => TaskStatus::Provisioning,
            NetworkMode::Bridge | NetworkMode::Host | NetworkMode::None => TaskStatus::Pending,
        };
    }

    fn unplaced(&self, tx: &mut Tx<'_>) -> record::Task {
        let spec = self.definition.spec();
        let containers = spec.containers.iter().map(|container| record::Container {
            id: tx.ids.container(),
            name: container.name.clone(),
            last_status: ContainerStatus::Pending,
            exit_code: None,
            reason: None,
            runtime_id: None,
            image_digest: None,
            health: HealthStatus::Unknown,
            bindings: Vec::new(),
            cause: None,
            end: None,
        });
        let containers = containers.collect();
        record::Task {
            id: tx.ids.task(),
            origin: tx.share_origin(&self.origin),
            unhealthy: false,
            instance: None,
            zone: None,
            last_status: TaskStatus::Provisioning,
            desired_status: DesiredStatus::Running,
            version: 0,
            created_at: tx.now,
            connectivity_at: None,
            pull_started_at: None,
            pull_stopped_at: None,
            started_at: None,
            stopping_at: None,
            execution_stopped_at: None,
            stopped_at: None,
            stop_code: None,
            stopped_reason: None,
            health: HealthStatus::Unknown,
            containers,
            protected_until: None,
            interface: None,
            waiting: None,
            gpus: None,
            stop_number: 0,
            secrets: None,
        }
    }
}

//! New tasks: what placement is asked, and the record that follows.

use std::sync::Arc;

use longshore_base::{ArnFormat, InstanceId};
use longshore_domain::interface::NETWORK_ATTRIBUTE;
use longshore_domain::tags::Tags;
use longshore_domain::{
    ContainerStatus, DesiredStatus, HealthStatus, LaunchType, Needs, NetworkMode, TaskStatus,
};
use longshore_placement::{
    Constraint, ConstraintError, DefaultStrategy, Pool, Request, RequestSpec, RequiredAttribute, Strategy,
    StrategyError, ZONE_ATTRIBUTE,
};
use longshore_state::record::{self, PlacementItem, ServiceMembership};
use longshore_state::{ClusterKey, Definition, Tx, fleet};

use crate::interface;

/// What all tasks of one call, or of one deployment, have in common.
#[derive(Clone, Debug)]
pub struct Template {
    pub definition: Arc<Definition>,
    pub arn_format: ArnFormat,
    pub group: Arc<str>,
    pub started_by: Option<Arc<str>>,
    pub service: Option<ServiceMembership>,
    pub launch_type: LaunchType,
    pub capacity_provider: Option<Arc<str>>,
    /// With overrides applied.
    pub needs: Needs,
    /// `TaskOverride`.
    pub overrides: Option<record::Document>,
    /// `NetworkConfiguration`.
    pub network: Option<record::Document>,
    pub enable_execute_command: bool,
    pub platform_version: Option<Arc<str>>,
    pub tags: Tags,
}

/// Constraints and strategies of a call or a service, read.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    pub constraints: Vec<Constraint>,
    pub strategies: Vec<Strategy>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    #[error(transparent)]
    Constraint(#[from] ConstraintError),
    #[error(transparent)]
    Strategy(#[from] StrategyError),
}

impl Rules {
    /// Reads what was given with a call or a service.
    pub fn parse(constraints: &[PlacementItem], strategies: &[PlacementItem]) -> Result<Self, RulesError> {
        let pairs = |items: &[PlacementItem]| {
            items
                .iter()
                .map(|item| (item.kind.to_string(), item.value.as_deref().map(str::to_owned)))
                .collect()
        };
        let (constraints, strategies): (Vec<_>, Vec<_>) = (pairs(constraints), pairs(strategies));
        Ok(Self {
            constraints: Constraint::parse_all(constraints.iter().map(|(k, v)| (k.as_str(), v.as_deref())))?,
            strategies: Strategy::parse_all(strategies.iter().map(|(k, v)| (k.as_str(), v.as_deref())))?,
        })
    }
}

impl Template {
    /// The question that placement is asked for each task. `zones` narrows it to some zones.
    pub fn request(&self, rules: &Rules, default: DefaultStrategy, zones: Option<Vec<Arc<str>>>) -> Request {
        let spec = &self.definition.spec;
        let own = spec.constraints.iter().filter_map(|expression| {
            // Checked when the definition was registered.
            Constraint::parse("memberOf", Some(expression)).ok()
        });
        let required = spec.required_attributes.iter().map(|attribute| RequiredAttribute {
            name: attribute.name.as_str().into(),
            value: attribute.value.as_deref().map(Into::into),
        });
        let execute = self
            .enable_execute_command
            .then(|| RequiredAttribute { name: "ecs.capability.execute-command".into(), value: None });
        // Beyond the capability, the agent has to have told which addresses there are to give.
        let network =
            self.has_interface().then(|| RequiredAttribute { name: NETWORK_ATTRIBUTE.into(), value: None });
        Request::new(RequestSpec {
            needs: fleet::needs(&self.needs, u32::from(self.has_interface())),
            pool: match &self.capacity_provider {
                Some(provider) => Pool::Provider(provider.clone()),
                None => Pool::Launch(fleet::launch(self.launch_type)),
            },
            required: required.chain(execute).chain(network).collect(),
            zones,
            constraints: own.chain(rules.constraints.iter().cloned()).collect(),
            strategies: rules.strategies.clone(),
            default,
            group: self.group.clone(),
        })
    }

    /// True if each task gets a network interface of its own.
    fn has_interface(&self) -> bool {
        match self.definition.spec.network_mode {
            NetworkMode::Awsvpc => true,
            NetworkMode::Bridge | NetworkMode::Host | NetworkMode::None => false,
        }
    }

    /// The record of a new task on `instance`, PENDING until its agent reports. In awsvpc mode it comes with an
    /// interface ([`interface::allocate`]).
    pub fn task(&self, tx: &mut Tx<'_>, at: &ClusterKey, instance: InstanceId) -> record::Task {
        let spec = &self.definition.spec;
        let zone = tx
            .state()
            .cluster(at)
            .and_then(|cluster| cluster.fleet().attribute(instance, ZONE_ATTRIBUTE).map(Into::into));
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
        });
        let containers = containers.collect();
        let interface = if self.has_interface() { interface::allocate(tx, at, instance) } else { None };
        record::Task {
            id: tx.ids.task(),
            arn_format: self.arn_format,
            family: self.definition.record.family.clone(),
            revision: self.definition.record.revision,
            group: self.group.clone(),
            started_by: self.started_by.clone(),
            service: self.service.clone(),
            unhealthy: false,
            launch_type: self.launch_type,
            capacity_provider: self.capacity_provider.clone(),
            instance: Some(instance),
            zone,
            last_status: match spec.network_mode {
                // The network interface comes first.
                NetworkMode::Awsvpc => TaskStatus::Provisioning,
                NetworkMode::Bridge | NetworkMode::Host | NetworkMode::None => TaskStatus::Pending,
            },
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
            needs: self.needs.clone(),
            overrides: self.overrides.clone(),
            network: self.network.clone(),
            enable_execute_command: self.enable_execute_command,
            protected_until: None,
            platform_version: self.platform_version.clone(),
            tags: self.tags.clone(),
            interface,
        }
    }
}

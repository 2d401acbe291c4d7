//! What RunTask and StartTask have in common: everything but where.

use std::sync::Arc;

use longshore_base::ArnFormat;
use longshore_controllers::launch::Template;
use longshore_domain::tags as domain_tags;
use longshore_domain::task_definition::check_fargate_sizes;
use longshore_service::Resources;
use longshore_shapes_ecs::{
    InvalidParameterException, NetworkConfiguration, PropagateTags, SettingName, TaskVolumeConfiguration,
    UnsupportedFeatureException,
};
use longshore_state::State;
use longshore_tables_ecs::record::{Capacity, Origin};
use longshore_tables_ecs::{ClusterKey, record};

use super::overrides::Overrides;
use crate::launching::{capacity, network};
use crate::permission::Keys;
use crate::{Caller, permission, settings_in_force, texts};

/// The most characters of `group`.
const GROUP_CHARACTERS_MAX: usize = 255;

/// The members that both calls have.
pub(super) struct Asked {
    pub group: Option<Arc<str>>,
    pub started_by: Option<Arc<str>>,
    pub network_configuration: Option<NetworkConfiguration>,
    pub overrides: Overrides,
    pub propagate_tags: Option<PropagateTags>,
    pub tags: domain_tags::Tags,
    pub enable_ecs_managed_tags: Option<bool>,
    pub enable_execute_command: Option<bool>,
    pub volume_configurations: Option<Vec<TaskVolumeConfiguration>>,
}

impl Asked {
    /// What the caller has to be allowed; `own` are the questions about the definition.
    pub fn resources(
        &self,
        ask: permission::Ask<'_>,
        own: Resources,
        at: &ClusterKey,
        named: &str,
    ) -> Resources {
        let cluster = Some(at.cluster.as_str());
        let own = own
            .in_cluster(ask.caller, cluster)
            .network(self.network_configuration.as_ref())
            .maybe("ecs:enable-execute-command", permission::bool(self.enable_execute_command))
            .maybe("ecs:enable-ecs-managed-tags", permission::bool(self.enable_ecs_managed_tags))
            .maybe("ecs:enable-ebs-volumes", permission::some(self.volume_configurations.as_deref()))
            .maybe("ecs:propagate-tags", permission::propagate(self.propagate_tags.as_ref()));
        let made = permission::member_arn(ask.caller, cluster, "task", "*");
        let overrides = self.overrides.given.as_ref();
        ask.tagging(own, &self.tags, &made).and(permission::pass_run_roles(ask, named, overrides))
    }

    /// Checks everything, and gives what the tasks are made from.
    pub fn template<E>(
        self,
        state: &State,
        caller: &Caller,
        at: &ClusterKey,
        definition: Arc<record::TaskDefinition>,
        capacity: &Capacity,
        platform_version: Option<Arc<str>>,
    ) -> Result<Template, E>
    where
        E: From<InvalidParameterException> + From<UnsupportedFeatureException>,
    {
        let spec = definition.spec();
        if self.volume_configurations.is_some_and(|volumes| !volumes.is_empty()) {
            return Err(UnsupportedFeatureException::new(texts::NO_MANAGED_VOLUMES).into());
        }
        let group = own_group(self.group, definition.family.as_str())?;
        let fargate = capacity::is_fargate(capacity);
        let network = network::parse(state, caller, self.network_configuration, spec.network_mode, fargate)?;
        let overrides = self.overrides.of(spec)?;
        let needs = spec.needs(&overrides.needs);
        if fargate {
            check_fargate_sizes(Some(needs.cpu.0), Some(needs.memory.0))
                .map_err(|error| InvalidParameterException::new(error.to_string()))?;
        }
        let enable_execute_command = self.enable_execute_command.unwrap_or(false);
        if enable_execute_command && spec.task_role.is_none() && !overrides.has_task_role {
            return Err(InvalidParameterException::new(texts::EXECUTE_NEEDS_ROLE).into());
        }
        let arn_format = settings_in_force::arn_format(state, caller, &SettingName::TaskLongArnFormat);
        let own = self.tags;
        if arn_format == ArnFormat::Short && !own.is_empty() {
            return Err(InvalidParameterException::new(texts::tags_need_opt_in("task")).into());
        }
        let mut tags = match self.propagate_tags {
            Some(PropagateTags::TaskDefinition) => definition.tags.clone(),
            None | Some(PropagateTags::None) => domain_tags::Tags::new(),
            Some(PropagateTags::Service | PropagateTags::Unrecognized(_)) => {
                return Err(InvalidParameterException::new(texts::PROPAGATE_FROM_SERVICE).into());
            }
        };
        tags = domain_tags::merge(&tags, own)
            .map_err(|error| InvalidParameterException::new(error.to_string()))?;
        if self.enable_ecs_managed_tags == Some(true) {
            tags.insert("aws:ecs:clusterName".to_owned(), at.cluster.to_string());
        }
        let origin = Origin {
            family: definition.family.clone(),
            revision: definition.revision,
            arn_format,
            group,
            started_by: self.started_by,
            service: None,
            launch_type: capacity.launch_type(),
            capacity_provider: None,
            needs,
            overrides: overrides.document,
            network,
            enable_execute_command,
            platform_version,
            tags,
        };
        Ok(Template::new(state, at, definition, Arc::new(origin)))
    }
}

/// The group that a call names, if it does.
pub(super) fn group(group: Option<String>) -> Result<Option<Arc<str>>, InvalidParameterException> {
    let Some(group) = group.filter(|group| !group.is_empty()) else { return Ok(None) };
    if group.chars().count() > GROUP_CHARACTERS_MAX {
        return Err(InvalidParameterException::new(texts::GROUP_LONG));
    }
    Ok(Some(group.into()))
}

/// `family:` and `service:` are ECS's own; only the group that is the default may be spelt out.
fn own_group(group: Option<Arc<str>>, family: &str) -> Result<Arc<str>, InvalidParameterException> {
    let own = format!("family:{family}");
    let Some(group) = group else { return Ok(own.into()) };
    let reserved = ["family:", "service:", "daemon:"].iter().any(|namespace| group.starts_with(namespace));
    if reserved && *group != *own {
        return Err(InvalidParameterException::new(texts::GROUP_NAMESPACE));
    }
    Ok(group)
}

/// Whatever clients send, such as `ECS Deploy`, though the model's text names letters, digits and `-/_` only.
pub(super) fn started_by(
    started_by: Option<String>,
    max: usize,
) -> Result<Option<Arc<str>>, InvalidParameterException> {
    let Some(text) = started_by.filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.chars().count() > max {
        return Err(InvalidParameterException::new(texts::started_by_long(max)));
    }
    Ok(Some(text.into()))
}

//! What RunTask and StartTask have in common: everything but where.

use std::sync::Arc;

use longshore_base::ArnFormat;
use longshore_controllers::launch::Template;
use longshore_domain::tags as domain_tags;
use longshore_domain::task_definition::check_fargate_sizes;
use longshore_shapes_ecs::{
    InvalidParameterException, NetworkConfiguration, PropagateTags, SettingName, Tag, TaskOverride,
    TaskVolumeConfiguration, UnsupportedFeatureException,
};
use longshore_state::State;
use longshore_tables_ecs::record::{Capacity, Origin};
use longshore_tables_ecs::{ClusterKey, record};

use super::overrides;
use crate::launching::{capacity, network};
use crate::{Caller, account_settings, tags, texts};

/// The most characters of `group`.
const GROUP_CHARACTERS_MAX: usize = 255;

/// The members that both calls have.
pub(super) struct Asked {
    pub group: Option<String>,
    pub started_by: Option<String>,
    pub started_by_max: usize,
    pub network_configuration: Option<NetworkConfiguration>,
    pub overrides: Option<TaskOverride>,
    pub propagate_tags: Option<PropagateTags>,
    pub tags: Option<Vec<Tag>>,
    pub enable_ecs_managed_tags: Option<bool>,
    pub enable_execute_command: Option<bool>,
    pub volume_configurations: Option<Vec<TaskVolumeConfiguration>>,
}

impl Asked {
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
        let group = group(self.group, definition.family.as_str())?;
        let started_by = started_by(self.started_by, self.started_by_max)?;
        let fargate = capacity::is_fargate(capacity);
        let network = network::parse(self.network_configuration, spec.network_mode, fargate)?;
        let overrides = overrides::parse(self.overrides, spec)?;
        let needs = spec.needs(&overrides.needs);
        if fargate {
            check_fargate_sizes(Some(needs.cpu.0), Some(needs.memory.0))
                .map_err(|error| InvalidParameterException::new(error.to_string()))?;
        }
        let enable_execute_command = self.enable_execute_command.unwrap_or(false);
        if enable_execute_command && !spec.has_task_role && !overrides.has_task_role {
            return Err(InvalidParameterException::new(texts::EXECUTE_NEEDS_ROLE).into());
        }
        let arn_format = account_settings::arn_format(state, caller, &SettingName::TaskLongArnFormat);
        let own = tags::parse(self.tags.unwrap_or_default())?;
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
            started_by,
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
        Ok(Template { definition, origin: Arc::new(origin) })
    }
}

/// `family:` and `service:` are ECS's own; only the group that is the default may be spelt out.
fn group(group: Option<String>, family: &str) -> Result<Arc<str>, InvalidParameterException> {
    let own = format!("family:{family}");
    let Some(group) = group.filter(|group| !group.is_empty()) else { return Ok(own.into()) };
    if group.chars().count() > GROUP_CHARACTERS_MAX {
        return Err(InvalidParameterException::new(texts::GROUP_LONG));
    }
    let reserved = ["family:", "service:", "daemon:"].iter().any(|namespace| group.starts_with(namespace));
    if reserved && group != own {
        return Err(InvalidParameterException::new(texts::GROUP_NAMESPACE));
    }
    Ok(group.into())
}

/// Whatever clients send, such as `ECS Deploy`, though the model's text names letters, digits and `-/_` only.
fn started_by(started_by: Option<String>, max: usize) -> Result<Option<Arc<str>>, InvalidParameterException> {
    let Some(text) = started_by.filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.chars().count() > max {
        return Err(InvalidParameterException::new(texts::started_by_long(max)));
    }
    Ok(Some(text.into()))
}

//! Which key each record has, and since when it looks as it does.

use longshore_state::{Kind, Record, Sharing};

use super::{
    AccountSetting, Attribute, CapacityProvider, Cluster, FamilyCounter, Instance, InstanceKey, JoinToken,
    Service, ServiceDeployment, ServiceEvent, ServiceRevision, Task, TaskDefinition, TaskSet, Token,
    tags_weight,
};
use crate::key::{
    self, ClusterKey, DefinitionKey, EventKey, FamilyKey, JoinTokenKey, ProviderKey, RevisionKey,
    ServiceDeploymentKey, ServiceKey, SettingKey, TaskKey, TaskSetKey, TokenKey,
};
use crate::tables::EcsTables;

impl Record for Cluster {
    type Key = ClusterKey;
    type Tables = EcsTables;
    const KIND: Kind = Kind { name: "clusters", level: 1 };
}

impl Record for Instance {
    type Key = key::InstanceKey;
    type Tables = EcsTables;
    /// Loaded before tasks, which join their instance.
    const KIND: Kind = Kind { name: "container-instances", level: 1 };

    fn weight(&self) -> usize {
        let attributes = self.agent_attributes.iter().chain(&self.user_attributes);
        let text = |own: &Attribute| own.name.len() + own.value.as_deref().map_or(0, str::len);
        tags_weight(&self.tags) + attributes.map(text).sum::<usize>()
    }

    /// Agents of one version tell the same capabilities, and many machines belong to the same provider.
    fn share(&mut self, sharing: &mut Sharing) {
        let texts = [
            &mut self.agent_version,
            &mut self.agent_hash,
            &mut self.docker_version,
            &mut self.capacity_provider,
        ];
        texts.into_iter().flatten().for_each(|text| sharing.share_text(text));
        for attribute in self.agent_attributes.iter_mut().chain(&mut self.user_attributes) {
            sharing.share_text(&mut attribute.name);
            attribute.value.iter_mut().for_each(|value| sharing.share_text(value));
        }
    }
}

impl Record for FamilyCounter {
    type Key = FamilyKey;
    type Tables = EcsTables;
    const KIND: Kind = Kind { name: "families", level: 1 };
}

impl Record for TaskDefinition {
    type Key = DefinitionKey;
    type Tables = EcsTables;
    const KIND: Kind = Kind { name: "task-definitions", level: 1 };
}

impl Record for Task {
    type Key = TaskKey;
    type Tables = EcsTables;
    const KIND: Kind = Kind { name: "tasks", level: 1 };

    fn weight(&self) -> usize {
        self.stored_weight()
    }

    /// Tasks that were launched together have one origin; a zone, an image and an address are those of many.
    fn share(&mut self, sharing: &mut Sharing) {
        self.origin = sharing.share(&self.origin);
        self.zone.iter_mut().for_each(|zone| sharing.share_text(zone));
        for container in &mut self.containers {
            container.image_digest.iter_mut().for_each(|digest| sharing.share_text(digest));
            container.bindings.iter_mut().for_each(|binding| sharing.share_text(&mut binding.bind_ip));
        }
    }
}

impl Record for Service {
    type Key = ServiceKey;
    type Tables = EcsTables;
    const KIND: Kind = Kind { name: "services", level: 1 };
}

impl Record for ServiceEvent {
    type Key = EventKey;
    type Tables = EcsTables;
    const KIND: Kind = Kind { name: "service-events", level: 1 };
}

impl Record for ServiceDeployment {
    type Key = ServiceDeploymentKey;
    type Tables = EcsTables;
    const KIND: Kind = Kind { name: "service-deployments", level: 1 };
}

impl Record for ServiceRevision {
    type Key = RevisionKey;
    type Tables = EcsTables;
    const KIND: Kind = Kind { name: "service-revisions", level: 1 };
}

impl Record for TaskSet {
    type Key = TaskSetKey;
    type Tables = EcsTables;
    const KIND: Kind = Kind { name: "task-sets", level: 1 };
}

impl Record for CapacityProvider {
    type Key = ProviderKey;
    type Tables = EcsTables;
    const KIND: Kind = Kind { name: "capacity-providers", level: 1 };
}

impl Record for AccountSetting {
    type Key = SettingKey;
    type Tables = EcsTables;
    const KIND: Kind = Kind { name: "account-settings", level: 1 };
}

impl Record for Token {
    type Key = TokenKey;
    type Tables = EcsTables;
    const KIND: Kind = Kind { name: "client-tokens", level: 1 };
}

impl Record for JoinToken {
    type Key = JoinTokenKey;
    type Tables = EcsTables;
    const KIND: Kind = Kind { name: "join-tokens", level: 1 };
}

impl Record for InstanceKey {
    type Key = key::InstanceKey;
    type Tables = EcsTables;
    const KIND: Kind = Kind { name: "instance-keys", level: 1 };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store lists kinds in the order of their names, and is loaded so.
    #[test]
    fn instances_are_loaded_before_the_tasks_on_them() {
        assert!(Instance::KIND.name < Task::KIND.name);
    }
}

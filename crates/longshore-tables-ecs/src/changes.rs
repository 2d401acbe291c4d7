//! What a transaction does with ECS's records, where it is more than to put one under its key.

use std::sync::Arc;

use longshore_base::{DeploymentId, Scope, ServiceName, TaskId};
use longshore_domain::ServiceStatus;
use longshore_state::{Record, Tx};

use crate::EcsState;
use crate::key::{ClusterKey, FamilyKey, InstanceKey, ServiceKey};
use crate::record;
use crate::tables::{EcsTables, ServiceEntry, slot};

/// ECS's changes.
pub trait EcsTx {
    fn put_cluster(&mut self, scope: &Scope, cluster: record::Cluster);

    /// Stores the instance with its version raised by one.
    fn put_instance(&mut self, at: &ClusterKey, instance: record::Instance);

    /// Stores the task with its version raised by one. When a service's task stops, its stop gets the next number among
    /// those of the service, so that each end is counted once.
    fn put_task(&mut self, at: &ClusterKey, task: record::Task);

    fn delete_task(&mut self, at: &ClusterKey, task: TaskId);

    /// The origin that new tasks should have for this one: an equal one that other tasks have, if there is one.
    fn share_origin(&mut self, origin: &Arc<record::Origin>) -> Arc<record::Origin>;

    /// The same of the versions of secrets.
    fn share_secrets(&mut self, given: record::GivenSecrets) -> Arc<record::GivenSecrets>;

    /// A text that many records have in common.
    fn share_text(&mut self, text: &str) -> Arc<str>;

    /// Stores the service. One that begins counts no stop of a task that another of its name has left.
    fn put_service(&mut self, at: &ClusterKey, service: record::Service);

    /// Removes a service with its events, deployments, revisions and task sets. At most
    /// `limit` records go at a time; false: call again in another transaction.
    fn remove_service(&mut self, at: &ClusterKey, name: &ServiceName, limit: usize) -> bool;

    /// Appends an event to the service's ring, and counts it in the service. The service must
    /// be stored afterwards by the caller.
    fn push_event(&mut self, at: &ClusterKey, service: &mut record::Service, message: &str);

    /// Removes the events of a service, which are at most [`crate::tables::EVENTS_KEPT`].
    fn delete_events(&mut self, at: &ClusterKey, name: &ServiceName);

    fn put_service_deployment(&mut self, at: &ClusterKey, deployment: record::ServiceDeployment);

    fn put_service_revision(&mut self, at: &ClusterKey, revision: record::ServiceRevision);

    fn put_task_set(&mut self, at: &ClusterKey, set: record::TaskSet);

    fn delete_task_set(&mut self, at: &ServiceKey, id: DeploymentId);

    /// Stores a revision of a task definition.
    fn put_definition(&mut self, scope: &Scope, definition: record::TaskDefinition);

    /// The agent's connection came or went. Nothing happens if that is known.
    fn set_connected(&mut self, at: &InstanceKey, connected: bool);

    /// The agent that was awaited has not come: it is away since this process took over.
    fn give_up_agent(&mut self, at: &InstanceKey);

    /// Remembers that placement refused a task of the service with the capacity as it is now.
    fn note_refusal(&mut self, at: &ServiceKey);

    /// The entry of a service, if it has a record.
    fn service(&self, at: &ServiceKey) -> Option<&ServiceEntry>;
}

impl EcsTx for Tx<'_> {
    fn put_cluster(&mut self, scope: &Scope, cluster: record::Cluster) {
        self.put::<record::Cluster>(ClusterKey::new(scope.clone(), cluster.name.clone()), cluster);
    }

    fn put_instance(&mut self, at: &ClusterKey, mut instance: record::Instance) {
        instance.version += 1;
        instance.share(self.sharing());
        self.put::<record::Instance>(at.instance(instance.id), instance);
    }

    fn put_task(&mut self, at: &ClusterKey, mut task: record::Task) {
        task.version += 1;
        if task.last_status.is_stopped()
            && self.ecs().task(at, task.id).is_none_or(|before| !before.last_status.is_stopped())
            && let Some(service) = &task.origin.service
        {
            let entry = self.ecs().cluster(at).and_then(|own| own.service_entry(&service.name));
            task.stop_number = entry.map_or(0, ServiceEntry::last_stop).saturating_add(1);
        }
        self.put::<record::Task>(at.task(task.id), task);
    }

    fn delete_task(&mut self, at: &ClusterKey, task: TaskId) {
        self.delete::<record::Task>(at.task(task));
    }

    fn share_origin(&mut self, origin: &Arc<record::Origin>) -> Arc<record::Origin> {
        self.sharing().share(origin)
    }

    fn share_secrets(&mut self, given: record::GivenSecrets) -> Arc<record::GivenSecrets> {
        self.sharing().share(&Arc::new(given))
    }

    fn share_text(&mut self, text: &str) -> Arc<str> {
        self.sharing().text(text)
    }

    fn put_service(&mut self, at: &ClusterKey, mut service: record::Service) {
        if let Some(entry) = self.ecs().cluster(at).and_then(|own| own.service_entry(&service.name))
            && entry.record().is_none_or(|before| before.status == ServiceStatus::Inactive)
        {
            service.memory.stops_counted = entry.last_stop();
        }
        self.put::<record::Service>(at.service(&service.name), service);
    }

    fn remove_service(&mut self, at: &ClusterKey, name: &ServiceName, limit: usize) -> bool {
        let Some(entry) = self.ecs().cluster(at).and_then(|c| c.service_entry(name)) else { return true };
        let key = at.service(name);
        let events: Vec<_> = entry.events().iter().map(|event| key.event(slot(event.number))).collect();
        let deployments: Vec<_> = entry.deployments().keys().map(|&id| key.deployment(id)).collect();
        let revisions: Vec<_> = entry.revisions().keys().map(|&id| key.revision(id)).collect();
        let sets: Vec<_> = entry.task_sets().keys().map(|&id| key.task_set(id)).collect();
        let mut left = limit;
        delete_some::<record::ServiceEvent>(self, events, &mut left)
            && delete_some::<record::ServiceDeployment>(self, deployments, &mut left)
            && delete_some::<record::ServiceRevision>(self, revisions, &mut left)
            && delete_some::<record::TaskSet>(self, sets, &mut left)
            && delete_some::<record::Service>(self, vec![key], &mut left)
    }

    fn push_event(&mut self, at: &ClusterKey, service: &mut record::Service, message: &str) {
        let event = record::ServiceEvent {
            id: self.ids.uuid().into(),
            at: self.now,
            message: message.into(),
            number: service.events_total,
        };
        service.events_total += 1;
        self.put::<record::ServiceEvent>(at.service(&service.name).event(slot(event.number)), event);
    }

    fn delete_events(&mut self, at: &ClusterKey, name: &ServiceName) {
        let Some(entry) = self.ecs().cluster(at).and_then(|c| c.service_entry(name)) else { return };
        let slots: Vec<u8> = entry.events().iter().map(|event| slot(event.number)).collect();
        for slot in slots {
            self.delete::<record::ServiceEvent>(at.service(name).event(slot));
        }
    }

    fn put_service_deployment(&mut self, at: &ClusterKey, deployment: record::ServiceDeployment) {
        self.put::<record::ServiceDeployment>(
            at.service(&deployment.service).deployment(deployment.id),
            deployment,
        );
    }

    fn put_service_revision(&mut self, at: &ClusterKey, revision: record::ServiceRevision) {
        self.put::<record::ServiceRevision>(at.service(&revision.service).revision(revision.id), revision);
    }

    fn put_task_set(&mut self, at: &ClusterKey, set: record::TaskSet) {
        self.put::<record::TaskSet>(at.service(&set.service).task_set(set.id), set);
    }

    fn delete_task_set(&mut self, at: &ServiceKey, id: DeploymentId) {
        self.delete::<record::TaskSet>(at.task_set(id));
    }

    fn put_definition(&mut self, scope: &Scope, definition: record::TaskDefinition) {
        let family = FamilyKey::new(scope.clone(), definition.family.clone());
        self.put::<record::TaskDefinition>(family.revision(definition.revision), definition);
    }

    fn set_connected(&mut self, at: &InstanceKey, connected: bool) {
        let Some(entry) = self.ecs().cluster(&at.cluster).and_then(|own| own.instance(at.instance)) else {
            return;
        };
        let known = if connected { entry.connection.is_here() } else { !entry.connection.open };
        if known {
            return;
        }
        let mut record = record::Instance::clone(&entry.record);
        if connected {
            record.connect(self.now, true);
        } else {
            record.disconnect(self.now);
        }
        self.put_instance(&at.cluster, record);
    }

    fn give_up_agent(&mut self, at: &InstanceKey) {
        let entry = self.ecs().cluster(&at.cluster).and_then(|own| own.instance(at.instance));
        let Some((entry, since)) = entry.and_then(|own| Some((own, own.connection.awaited_since?))) else {
            return;
        };
        let mut record = record::Instance::clone(&entry.record);
        record.disconnect(since);
        self.put_instance(&at.cluster, record);
    }

    fn note_refusal(&mut self, at: &ServiceKey) {
        self.volatile(|tables: &mut EcsTables, _| tables.note_refusal(at));
    }

    fn service(&self, at: &ServiceKey) -> Option<&ServiceEntry> {
        self.ecs().service(at)
    }
}

/// Deletes as many of these as are `left` to be deleted; true if that was all of them.
fn delete_some<R: Record>(tx: &mut Tx<'_>, keys: Vec<R::Key>, left: &mut usize) -> bool {
    let whole = keys.len() <= *left;
    let count = keys.len().min(*left);
    *left -= count;
    keys.into_iter().take(count).for_each(|key| tx.delete::<R>(key));
    whole
}

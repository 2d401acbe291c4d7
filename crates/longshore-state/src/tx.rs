//! Transactions: how the state changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use longshore_base::{DeploymentId, Ids, Scope, ServiceName, TaskId, Timestamp};
use longshore_domain::TaskSpec;
use longshore_store::limits::ENTRY_OVERHEAD_BYTES;
use longshore_store::{COMMIT_BYTES_MAX, COMMIT_OPS_MAX, KEY_BYTES_MAX, LimitExceeded, Op};

use crate::codec::Value;
use crate::key::{ClusterKey, InstanceKey, Key, ServiceKey};
use crate::record;
use crate::tables::{EVENTS_KEPT, ServiceEntry, State};

/// Something that a controller or a connection should look at again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hint {
    /// The service's wishes or its tasks changed, or capacity appeared that it waits for.
    Service(ServiceKey),
    /// The instance itself changed.
    Instance(InstanceKey),
    /// What the instance should do with this task changed. Names the task because an instance may have
    /// hundreds, and to look at them all for each would cost their square.
    Work(InstanceKey, TaskId),
    /// Capacity appeared in a cluster with tasks that wait for a place.
    Provisioning(ClusterKey),
    /// Something may have become free of references: a definition that waits for its deletion.
    Definitions(Scope),
}

/// The keys to look at again, each once.
pub type Hints = BTreeSet<Hint>;

/// What a transaction leaves for the store. Encoding is left to the committer, off the writer's path.
#[derive(Debug, Default)]
pub struct Batch {
    pub changes: Vec<(Key, Option<Value>)>,
    pub hints: Hints,
}

impl Batch {
    /// The changes as operations of the store.
    pub fn ops(&self) -> Vec<Op> {
        self.changes
            .iter()
            .map(|(key, value)| match value {
                Some(value) => Op::put(key.encode(), value.encode()),
                None => Op::delete(key.encode()),
            })
            .collect()
    }
}

/// One transaction: reads and changes the state, and collects what has to be stored.
///
/// Time and ids were drawn before it began, so that a replay decides the same.
pub struct Tx<'a> {
    state: &'a mut State,
    pub now: Timestamp,
    pub ids: Ids,
    changes: BTreeMap<Key, Option<Value>>,
    before: BTreeMap<Key, Option<Value>>,
    /// About how many bytes of the changed records come from requests and reports.
    weight: usize,
    hints: Hints,
}

/// From here on a transaction takes no more records that it may leave to another: two thirds of what a commit may
/// hold ([`longshore_store::COMMIT_BYTES_MAX`]). The rest is room for the last one and for what is not weighed.
const HEAVY_BYTES: usize = COMMIT_BYTES_MAX / 3 * 2;

impl<'a> Tx<'a> {
    pub(crate) fn new(state: &'a mut State, now: Timestamp, ids: Ids) -> Self {
        Self {
            state,
            now,
            ids,
            changes: BTreeMap::new(),
            before: BTreeMap::new(),
            weight: 0,
            hints: Hints::new(),
        }
    }

    pub fn state(&self) -> &State {
        self.state
    }

    /// How many records the transaction changes so far. A commit takes at most
    /// [`longshore_store::COMMIT_OPS_MAX`]; long work is cut into several transactions.
    pub fn changed(&self) -> usize {
        self.changes.len()
    }

    /// True if the records changed so far are large, as tasks with the longest tags are: long work is cut here, too.
    pub fn is_heavy(&self) -> bool {
        self.weight >= HEAVY_BYTES
    }

    /// Asks for another look, beyond those that follow from the changes themselves.
    pub fn hint(&mut self, hint: Hint) {
        self.hints.insert(hint);
    }

    pub fn put(&mut self, key: Key, value: Value) {
        self.change(key, Some(value));
    }

    pub fn delete(&mut self, key: Key) {
        self.change(key, None);
    }

    fn change(&mut self, key: Key, value: Option<Value>) {
        self.weight += value.as_ref().map_or(0, Value::weight);
        let previous = self.state.apply(&key, value.clone(), &mut self.hints);
        self.before.entry(key.clone()).or_insert(previous);
        self.changes.insert(key, value);
    }

    pub fn put_cluster(&mut self, scope: &Scope, cluster: record::Cluster) {
        let at = ClusterKey::new(scope.clone(), cluster.name.clone());
        self.put(Key::Cluster(at), Value::Cluster(Arc::new(cluster)));
    }

    /// Stores the instance with its version raised by one.
    pub fn put_instance(&mut self, at: &ClusterKey, mut instance: record::Instance) {
        instance.version += 1;
        self.state.sharing.instance(&mut instance);
        self.put(Key::Instance(at.clone(), instance.id), Value::Instance(Arc::new(instance)));
    }

    /// Stores the task with its version raised by one.
    pub fn put_task(&mut self, at: &ClusterKey, mut task: record::Task) {
        task.version += 1;
        self.put(Key::Task(at.clone(), task.id), Value::Task(Arc::new(task)));
    }

    /// The origin that new tasks should have for this one: an equal one that other tasks have, if there is one.
    pub fn share_origin(&mut self, origin: &Arc<record::Origin>) -> Arc<record::Origin> {
        self.state.sharing.origins.share(origin.clone())
    }

    /// A text that many records have in common.
    pub fn share_text(&mut self, text: &str) -> Arc<str> {
        self.state.sharing.texts.text(text)
    }

    pub fn delete_task(&mut self, at: &ClusterKey, task: TaskId) {
        self.delete(Key::Task(at.clone(), task));
    }

    pub fn put_service(&mut self, at: &ClusterKey, service: record::Service) {
        self.put(Key::Service(at.clone(), service.name.clone()), Value::Service(Arc::new(service)));
    }

    /// Removes a service with its events, deployments, revisions and task sets. At most
    /// `limit` records go at a time; false: call again in another transaction.
    pub fn remove_service(&mut self, at: &ClusterKey, name: &ServiceName, limit: usize) -> bool {
        let Some(entry) = self.state.cluster(at).and_then(|c| c.service_entry(name)) else { return true };
        let mut keys: Vec<Key> = Vec::new();
        keys.extend(
            entry.events().iter().map(|e| Key::ServiceEvent(at.clone(), name.clone(), slot(e.number))),
        );
        keys.extend(
            entry.deployments().keys().map(|&id| Key::ServiceDeployment(at.clone(), name.clone(), id)),
        );
        keys.extend(entry.revisions().keys().map(|&id| Key::ServiceRevision(at.clone(), name.clone(), id)));
        keys.extend(entry.task_sets().keys().map(|&id| Key::TaskSet(at.clone(), name.clone(), id)));
        keys.push(Key::Service(at.clone(), name.clone()));
        let whole = keys.len() <= limit;
        for key in keys.into_iter().take(limit) {
            self.delete(key);
        }
        whole
    }

    /// Appends an event to the service's ring, and counts it in the service. The service must
    /// be stored afterwards by the caller.
    pub fn push_event(&mut self, at: &ClusterKey, service: &mut record::Service, message: &str) {
        let event = record::ServiceEvent {
            id: self.ids.uuid().into(),
            at: self.now,
            message: message.into(),
            number: service.events_total,
        };
        service.events_total += 1;
        let key = Key::ServiceEvent(at.clone(), service.name.clone(), slot(event.number));
        self.put(key, Value::ServiceEvent(Arc::new(event)));
    }

    /// Removes the events of a service, which are at most [`EVENTS_KEPT`].
    pub fn delete_events(&mut self, at: &ClusterKey, name: &ServiceName) {
        let Some(entry) = self.state.cluster(at).and_then(|c| c.service_entry(name)) else { return };
        let slots: Vec<u8> = entry.events().iter().map(|event| slot(event.number)).collect();
        for slot in slots {
            self.delete(Key::ServiceEvent(at.clone(), name.clone(), slot));
        }
    }

    pub fn put_service_deployment(&mut self, at: &ClusterKey, deployment: record::ServiceDeployment) {
        let key = Key::ServiceDeployment(at.clone(), deployment.service.clone(), deployment.id);
        self.put(key, Value::ServiceDeployment(Arc::new(deployment)));
    }

    pub fn put_service_revision(&mut self, at: &ClusterKey, revision: record::ServiceRevision) {
        let key = Key::ServiceRevision(at.clone(), revision.service.clone(), revision.id);
        self.put(key, Value::ServiceRevision(Arc::new(revision)));
    }

    pub fn put_task_set(&mut self, at: &ClusterKey, set: record::TaskSet) {
        let key = Key::TaskSet(at.clone(), set.service.clone(), set.id);
        self.put(key, Value::TaskSet(Arc::new(set)));
    }

    pub fn delete_task_set(&mut self, at: &ServiceKey, id: DeploymentId) {
        self.delete(Key::TaskSet(at.cluster.clone(), at.service.clone(), id));
    }

    /// Stores a definition that is new, with what its document compiles to.
    pub fn put_new_definition(&mut self, scope: &Scope, definition: record::TaskDefinition, spec: TaskSpec) {
        self.state.expect_definition(definition.document.clone(), spec);
        self.put_definition(scope, definition);
    }

    /// Stores a changed definition. Its document has to be the one that it had.
    pub fn put_definition(&mut self, scope: &Scope, definition: record::TaskDefinition) {
        let key = Key::TaskDefinition(scope.clone(), definition.family.clone(), definition.revision);
        self.put(key, Value::TaskDefinition(Arc::new(definition)));
    }

    /// The agent's connection came or went. Not stored: after a restart nobody is connected.
    pub fn set_connected(&mut self, at: &InstanceKey, connected: bool) {
        let now = self.now;
        self.state.set_connected(at, connected, now, &mut self.hints);
    }

    /// Tasks of the service that stopped since this was last asked.
    pub fn take_newly_stopped(&mut self, at: &ServiceKey) -> Vec<TaskId> {
        self.state.take_newly_stopped(at)
    }

    /// Remembers that placement refused a task of the service with the capacity as it is now.
    pub fn note_refusal(&mut self, at: &ServiceKey) {
        self.state.note_refusal(at);
    }

    /// The entry of a service, if it has a record.
    pub fn service(&self, at: &ServiceKey) -> Option<&ServiceEntry> {
        self.state.cluster(&at.cluster)?.service(&at.service)
    }

    /// Whether the store would take the changes. Asked before anybody can see them: a commit that the store refuses
    /// ends the process.
    pub(crate) fn check_limits(&self) -> Result<(), LimitExceeded> {
        let count = self.changes.len();
        if count > COMMIT_OPS_MAX {
            return Err(LimitExceeded::Operations { count });
        }
        let mut bytes = 0;
        for (key, value) in &self.changes {
            let key_bytes = key.encoded_len();
            if key_bytes > KEY_BYTES_MAX {
                return Err(LimitExceeded::KeyBytes { bytes: key_bytes });
            }
            bytes += key_bytes + value.as_ref().map_or(0, Value::encoded_len) + ENTRY_OVERHEAD_BYTES;
        }
        if bytes > COMMIT_BYTES_MAX {
            return Err(LimitExceeded::Bytes { bytes });
        }
        Ok(())
    }

    pub(crate) fn commit(self) -> Batch {
        Batch { changes: self.changes.into_iter().collect(), hints: self.hints }
    }

    pub(crate) fn roll_back(self) {
        let mut ignored = Hints::new();
        for (key, previous) in self.before.into_iter().rev() {
            self.state.apply(&key, previous, &mut ignored);
        }
    }
}

/// The place of event `number` in the ring.
fn slot(number: u64) -> u8 {
    u8::try_from(number % EVENTS_KEPT as u64).expect("the ring is shorter than 256")
}

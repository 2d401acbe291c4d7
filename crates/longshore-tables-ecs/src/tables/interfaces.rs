//! Which tasks of an account have a network interface, by what EC2 is asked about them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use longshore_base::{ClusterName, TaskId};

use crate::record::{Document, Task};

/// The interfaces of the tasks of one account in one region that are not STOPPED. Derived.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Interfaces {
    by_id: BTreeMap<Arc<str>, TaskAt>,
    by_address: BTreeMap<Ipv4Addr, BTreeSet<TaskAt>>,
    by_wish: BTreeMap<Wish, BTreeSet<TaskAt>>,
}

/// A task, and the cluster that it was started in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskAt {
    pub cluster: ClusterName,
    pub task: TaskId,
}

/// What thousands of interfaces have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wish {
    /// `NetworkConfiguration`.
    pub network: Option<Document>,
    /// That of them which it is in; absent for tasks that were stored before it was noted.
    pub subnet: Option<Arc<str>>,
}

/// What of a task is kept here.
struct Entry<'t> {
    id: &'t Arc<str>,
    address: Ipv4Addr,
    network: Option<&'t Document>,
    subnet: Option<&'t Arc<str>>,
}

impl<'t> Entry<'t> {
    fn of(task: &'t Task) -> Option<Self> {
        let own = task.interface.as_ref().filter(|_| !task.last_status.is_stopped())?;
        let network = task.origin.network.as_ref();
        Some(Self { id: &own.id, address: own.address, network, subnet: own.subnet.as_ref() })
    }

    fn is_same(&self, other: &Self) -> bool {
        (self.id, self.address, self.network, self.subnet)
            == (other.id, other.address, other.network, other.subnet)
    }

    fn wish(&self) -> Wish {
        Wish { network: self.network.cloned(), subnet: self.subnet.cloned() }
    }
}

impl Interfaces {
    /// The task that has the interface with this id.
    pub fn by_id(&self, id: &str) -> Option<&TaskAt> {
        self.by_id.get(id)
    }

    /// The tasks with this address: one, unless machines have equal networks.
    pub fn by_address(&self, address: Ipv4Addr) -> impl Iterator<Item = &TaskAt> {
        self.by_address.get(&address).into_iter().flatten()
    }

    /// The tasks by what they have in common; few entries, however many tasks there are.
    pub fn by_wish(&self) -> impl Iterator<Item = (&Wish, &BTreeSet<TaskAt>)> {
        self.by_wish.iter()
    }

    /// All, by the id of the interface.
    pub fn all(&self) -> impl Iterator<Item = &TaskAt> {
        self.by_id.values()
    }

    /// Follows a task of this cluster that came, changed or went.
    pub(super) fn follow(&mut self, cluster: &ClusterName, old: Option<&Task>, new: Option<&Task>) {
        let Some(task) = new.or(old).map(|task| task.id) else { return };
        let (old, new) = (old.and_then(Entry::of), new.and_then(Entry::of));
        match (&old, &new) {
            (None, None) => return,
            (Some(old), Some(new)) if old.is_same(new) => return,
            (Some(_), _) | (_, Some(_)) => {}
        }
        let at = TaskAt { cluster: cluster.clone(), task };
        if let Some(old) = old {
            self.by_id.remove(old.id);
            leave(&mut self.by_address, &old.address, &at);
            leave(&mut self.by_wish, &old.wish(), &at);
        }
        if let Some(new) = new {
            self.by_id.insert(new.id.clone(), at.clone());
            self.by_address.entry(new.address).or_default().insert(at.clone());
            self.by_wish.entry(new.wish()).or_default().insert(at);
        }
    }
}

fn leave<K: Ord>(index: &mut BTreeMap<K, BTreeSet<TaskAt>>, key: &K, at: &TaskAt) {
    if let Some(tasks) = index.get_mut(key) {
        tasks.remove(at);
        if tasks.is_empty() {
            index.remove(key);
        }
    }
}

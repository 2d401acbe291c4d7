//! Which tasks go first when some must (ecs-engine D4, "Scale-in choice").

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use longshore_base::{InstanceId, Seed, TaskId, Timestamp};

use crate::standing::Member;
use crate::view::{ScaleInField, ScaleInStrategy, TaskView};

/// Chooses `count` of `candidates` (positions in `members`), in the order in which they go.
///
/// `stays` tells which members count for the balance: those that will stay unless chosen here.
/// The strategies are read backwards: `spread` takes from the value with the most tasks, `binpack`
/// from the instance with the most room; ties take the newest task. Without a strategy tasks are
/// spread over zones, then instances.
///
/// Costs `n log n`, because every choice only touches the groups that the task is in.
pub(crate) fn choose(
    members: &[Member<'_>],
    stays: impl Fn(usize) -> bool,
    candidates: &[usize],
    strategies: &[ScaleInStrategy],
    count: usize,
    seed: Seed,
) -> Vec<usize> {
    if count == 0 {
        return Vec::new();
    }
    let levels = levels(strategies);
    let mut root = Group::default();
    for (at, member) in members.iter().enumerate() {
        if stays(at) {
            root.count(&path(&levels, member.task, at, seed));
        }
    }
    for &at in candidates {
        let task = members[at].task;
        root.offer(&path(&levels, task, at, seed), Newest { created_at: task.created_at, id: task.id, at });
    }
    let mut chosen = Vec::with_capacity(count.min(candidates.len()));
    while chosen.len() < count {
        match root.take(&levels) {
            Some(at) => chosen.push(at),
            None => break,
        }
    }
    chosen
}

/// One strategy, read backwards.
#[derive(Clone, Copy, Debug)]
enum Level {
    /// Takes from the value that most tasks share.
    Spread(Spread),
    CpuLeft,
    MemoryLeft,
    Random,
}

#[derive(Clone, Copy, Debug)]
enum Spread {
    Instance,
    Zone,
    /// The attribute of the strategy at this position.
    Attribute(usize),
}

fn levels(strategies: &[ScaleInStrategy]) -> Vec<Level> {
    if strategies.is_empty() {
        return vec![Level::Spread(Spread::Zone), Level::Spread(Spread::Instance)];
    }
    let level = |(at, strategy)| match strategy {
        &ScaleInStrategy::Random => Level::Random,
        ScaleInStrategy::Spread(ScaleInField::Instance) => Level::Spread(Spread::Instance),
        ScaleInStrategy::Spread(ScaleInField::Zone) => Level::Spread(Spread::Zone),
        ScaleInStrategy::Spread(ScaleInField::Attribute(_)) => Level::Spread(Spread::Attribute(at)),
        ScaleInStrategy::BinpackCpu => Level::CpuLeft,
        ScaleInStrategy::BinpackMemory => Level::MemoryLeft,
    };
    strategies.iter().enumerate().map(level).collect()
}

/// The group that a task belongs to at one level.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Text(Option<Arc<str>>),
    Instance(Option<InstanceId>),
    /// Larger goes first.
    Number(u64),
}

fn path(levels: &[Level], task: &TaskView, at: usize, seed: Seed) -> Vec<Key> {
    let key = |level: &Level| match level {
        Level::Spread(Spread::Instance) => Key::Instance(task.instance),
        Level::Spread(Spread::Zone) => Key::Text(task.zone.clone()),
        Level::Spread(Spread::Attribute(position)) => {
            Key::Text(task.spread_values.get(*position).cloned().flatten())
        }
        // The room that is left once the task is gone.
        Level::CpuLeft => Key::Number(u64::from(task.instance_cpu_left.0) + u64::from(task.cpu.0)),
        Level::MemoryLeft => Key::Number(u64::from(task.instance_memory_left.0) + u64::from(task.memory.0)),
        Level::Random => Key::Number(seed.of(at as u64).bits()),
    };
    levels.iter().map(key).collect()
}

/// Orders the tasks of one innermost group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Newest {
    created_at: Timestamp,
    id: TaskId,
    at: usize,
}

/// Tasks that share their keys down to one level.
#[derive(Debug, Default)]
struct Group {
    live: u64,
    offered: usize,
    groups: BTreeMap<Key, Group>,
    /// The groups that still offer tasks, by how eagerly they give; the last gives first.
    ranked: BTreeSet<(u64, Reverse<Key>)>,
    tasks: Vec<Newest>,
    sorted: bool,
}

impl Group {
    fn count(&mut self, path: &[Key]) {
        self.live += 1;
        if let Some((key, rest)) = path.split_first() {
            self.groups.entry(key.clone()).or_default().count(rest);
        }
    }

    fn offer(&mut self, path: &[Key], task: Newest) {
        self.offered += 1;
        match path.split_first() {
            Some((key, rest)) => self.groups.entry(key.clone()).or_default().offer(rest, task),
            None => self.tasks.push(task),
        }
    }

    fn take(&mut self, levels: &[Level]) -> Option<usize> {
        if self.offered == 0 {
            return None;
        }
        let first_time = !self.sorted;
        self.sorted = true;
        let Some((level, rest)) = levels.split_first() else {
            if first_time {
                self.tasks.sort_unstable();
            }
            self.offered -= 1;
            self.live = self.live.saturating_sub(1);
            return self.tasks.pop().map(|newest| newest.at);
        };
        if first_time {
            self.ranked = self
                .groups
                .iter()
                .filter(|(_, group)| group.offered > 0)
                .map(|(key, group)| (rank(*level, key, group), Reverse(key.clone())))
                .collect();
        }
        let (_, Reverse(key)) = self.ranked.pop_last()?;
        let group = self.groups.get_mut(&key)?;
        let taken = group.take(rest);
        if group.offered > 0 {
            let rank = rank(*level, &key, group);
            self.ranked.insert((rank, Reverse(key)));
        }
        self.offered -= 1;
        self.live = self.live.saturating_sub(1);
        taken
    }
}

fn rank(level: Level, key: &Key, group: &Group) -> u64 {
    match (level, key) {
        (Level::Spread(_), _) => group.live,
        (Level::CpuLeft | Level::MemoryLeft | Level::Random, Key::Number(number)) => *number,
        // Those levels make number keys only.
        (Level::CpuLeft | Level::MemoryLeft | Level::Random, Key::Text(_) | Key::Instance(_)) => 0,
    }
}

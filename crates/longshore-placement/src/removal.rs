//! Which tasks leave when a service shrinks: the reverse of placement (ecs-engine D4).
//!
//! Never the protected ones. First those that are not running yet, then the unhealthy, then those
//! on DRAINING instances; among the rest the strategies decide, each reversed, and what they leave
//! open goes to the newest. Each removal is counted before the next is chosen, so that the tasks
//! that stay are as balanced as those that were.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use longshore_base::{CpuUnits, InstanceId, MemoryMib, TaskId, Timestamp};

use crate::strategy::{Field, Resource, Strategy};
use crate::{Fleet, ZONE_ATTRIBUTE};

/// A task of the service, as far as the choice depends on it.
#[derive(Clone, Debug)]
pub struct Removable {
    pub task: TaskId,
    /// `None` while it is not placed.
    pub instance: Option<InstanceId>,
    pub zone: Option<Arc<str>>,
    /// Its last status is RUNNING.
    pub running: bool,
    /// False if a health check fails; true while none has reported.
    pub healthy: bool,
    /// Its instance is DRAINING.
    pub draining: bool,
    /// Protected from scale-in: never chosen, but counted for balance.
    pub protected: bool,
    pub created_at: Timestamp,
    pub cpu: CpuUnits,
    pub memory: MemoryMib,
}

/// Chooses up to `count` tasks to stop, in the order in which to stop them.
///
/// `tasks` are all tasks of the service that are meant to run, also those that may not be chosen:
/// balance is judged over all. `strategies` are the service's own; none means the default, the
/// fullest zone and in it the instance with the most. `fleet` answers for attributes other than
/// the zone and for what is left of instances; without it these count as equal.
///
/// Fewer than `count` come back only if the rest is protected.
pub fn choose(
    tasks: &[Removable],
    count: usize,
    strategies: &[Strategy],
    fleet: Option<&Fleet>,
) -> Vec<TaskId> {
    let mut classes: BTreeMap<Class, Vec<usize>> = BTreeMap::new();
    for (at, task) in tasks.iter().enumerate().filter(|(_, task)| !task.protected) {
        classes.entry(Class::of(task)).or_default().push(at);
    }
    let mut balance = Balance::new(tasks, strategies, fleet);
    let mut chosen = Vec::with_capacity(count.min(tasks.len()));
    for members in classes.values() {
        if chosen.len() == count {
            break;
        }
        balance.take(members, count - chosen.len(), &mut chosen);
    }
    chosen.into_iter().map(|at| tasks[at].task).collect()
}

/// What goes before what, whatever the strategies say. `false` sorts first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Class {
    running: bool,
    healthy: bool,
    stays: bool,
}

impl Class {
    fn of(task: &Removable) -> Self {
        Self { running: task.running, healthy: task.healthy, stays: !task.draining }
    }
}

/// A step of the chain, turned round: of each, the task with the highest number goes.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The number of tasks with the same value, of the attribute with this position.
    Attribute(usize),
    /// The number of tasks on the same instance.
    Instance,
    /// What would be left of the instance without the task.
    Left(Resource),
}

/// The tasks that remain, counted by what the strategies look at.
struct Balance<'a> {
    tasks: &'a [Removable],
    steps: Vec<Step>,
    /// Per task, the number of its value of each attribute of the chain.
    values: Vec<Vec<usize>>,
    /// Per attribute and value, how many tasks remain.
    counts: Vec<Vec<i64>>,
    instances: BTreeMap<InstanceId, OnInstance>,
}

#[derive(Clone, Copy, Debug, Default)]
struct OnInstance {
    tasks: i64,
    cpu_left: i64,
    memory_left: i64,
}

/// The candidates of one class on one instance. All of them rank equal but for their own size and
/// age, so the last of the list is the only one to look at.
struct Pile {
    instance: Option<InstanceId>,
    tasks: Vec<usize>,
}

/// The best of a pile, in the order in which tasks go: the greatest first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Top {
    /// The numbers of the steps that concern its instance alone.
    numbers: Vec<i64>,
    created_at: Timestamp,
    task: TaskId,
    pile: usize,
}

impl<'a> Balance<'a> {
    fn new(tasks: &'a [Removable], strategies: &[Strategy], fleet: Option<&Fleet>) -> Self {
        let default = [Strategy::Spread(Field::zone()), Strategy::Spread(Field::Instance)];
        let strategies = if strategies.is_empty() { &default } else { strategies };
        let mut attributes: Vec<&str> = Vec::new();
        let steps = strategies
            .iter()
            .map_while(|strategy| match strategy {
                Strategy::Random => None,
                Strategy::Spread(Field::Instance) => Some(Step::Instance),
                Strategy::Spread(Field::Attribute(name)) => {
                    attributes.push(name);
                    Some(Step::Attribute(attributes.len() - 1))
                }
                Strategy::Binpack(resource) => Some(Step::Left(*resource)),
            })
            .collect();
        let mut numbers: Vec<BTreeMap<Option<&str>, usize>> = vec![BTreeMap::new(); attributes.len()];
        let mut counts: Vec<Vec<i64>> = vec![Vec::new(); attributes.len()];
        let mut values = Vec::with_capacity(tasks.len());
        let mut instances: BTreeMap<InstanceId, OnInstance> = BTreeMap::new();
        for task in tasks {
            let of_task = attributes.iter().enumerate().map(|(at, name)| {
                let known = numbers[at].len();
                let number = *numbers[at].entry(value_of(task, name, fleet)).or_insert(known);
                counts[at].resize(numbers[at].len(), 0);
                counts[at][number] += 1;
                number
            });
            values.push(of_task.collect());
            if let Some(id) = task.instance {
                instances.entry(id).or_insert_with(|| OnInstance::of(id, fleet)).tasks += 1;
            }
        }
        Self { tasks, steps, values, counts, instances }
    }

    /// Moves up to `count` of `members` into `chosen`.
    fn take(&mut self, members: &[usize], count: usize, chosen: &mut Vec<usize>) {
        let mut piles: Vec<Pile> = Vec::new();
        let mut numbers: BTreeMap<(Option<InstanceId>, &[usize]), usize> = BTreeMap::new();
        let values = std::mem::take(&mut self.values);
        for &at in members {
            let instance = self.tasks[at].instance;
            let number = *numbers.entry((instance, &values[at])).or_insert_with(|| {
                piles.push(Pile { instance, tasks: Vec::new() });
                piles.len() - 1
            });
            piles[number].tasks.push(at);
        }
        // Piles with the same values compete by their own numbers alone, so they stand in order.
        let mut cells: BTreeMap<&[usize], BTreeSet<Top>> = BTreeMap::new();
        for (number, pile) in piles.iter_mut().enumerate() {
            pile.tasks.sort_by(|&a, &b| self.compare_on_instance(a, b));
            if let Some(top) = self.top(number, pile) {
                cells.entry(&values[pile.tasks[0]]).or_default().insert(top);
            }
        }
        for _ in 0..count {
            let best = cells
                .iter()
                .filter_map(|(cell, tops)| tops.last().map(|top| (*cell, top)))
                .max_by(|a, b| self.compare(a, b));
            let Some((cell, top)) = best else { break };
            let (cell, top) = (cell, top.clone());
            let pile = &mut piles[top.pile];
            let Some(at) = pile.tasks.pop() else { break };
            chosen.push(at);
            self.leave(at, &values[at]);
            let tops = cells.get_mut(cell).expect("the cell that the best was found in");
            tops.remove(&top);
            if let Some(next) = self.top(top.pile, &piles[top.pile]) {
                tops.insert(next);
            }
        }
        self.values = values;
    }

    fn leave(&mut self, at: usize, values: &[usize]) {
        for (counts, &value) in self.counts.iter_mut().zip(values) {
            counts[value] -= 1;
        }
        let task = &self.tasks[at];
        if let Some(on) = task.instance.and_then(|id| self.instances.get_mut(&id)) {
            on.tasks -= 1;
            on.cpu_left += i64::from(task.cpu.0);
            on.memory_left += i64::from(task.memory.0);
        }
    }

    fn top(&self, number: usize, pile: &Pile) -> Option<Top> {
        let task = &self.tasks[*pile.tasks.last()?];
        // Tasks without an instance share none with another.
        let on = pile.instance.and_then(|id| self.instances.get(&id)).copied().unwrap_or_default();
        let numbers = self.steps.iter().filter_map(|step| match step {
            Step::Attribute(_) => None,
            Step::Instance => Some(on.tasks),
            Step::Left(Resource::Cpu) => Some(on.cpu_left + i64::from(task.cpu.0)),
            Step::Left(Resource::Memory) => Some(on.memory_left + i64::from(task.memory.0)),
        });
        Some(Top { numbers: numbers.collect(), created_at: task.created_at, task: task.task, pile: number })
    }

    /// Orders tasks of one pile: by their own size where the chain looks at it, then by age.
    fn compare_on_instance(&self, a: usize, b: usize) -> Ordering {
        let (a, b) = (&self.tasks[a], &self.tasks[b]);
        let by_step = |step: &Step| match step {
            Step::Attribute(_) | Step::Instance => Ordering::Equal,
            Step::Left(Resource::Cpu) => a.cpu.cmp(&b.cpu),
            Step::Left(Resource::Memory) => a.memory.cmp(&b.memory),
        };
        let by_steps = self.steps.iter().map(by_step).find(|order| order.is_ne());
        by_steps.unwrap_or_else(|| (a.created_at, a.task).cmp(&(b.created_at, b.task)))
    }

    /// Orders the best of two cells, step by step of the chain.
    fn compare(&self, a: &(&[usize], &Top), b: &(&[usize], &Top)) -> Ordering {
        let mut own = a.1.numbers.iter().zip(&b.1.numbers);
        for step in &self.steps {
            let order = match step {
                Step::Attribute(at) => self.counts[*at][a.0[*at]].cmp(&self.counts[*at][b.0[*at]]),
                Step::Instance | Step::Left(_) => {
                    own.next().map_or(Ordering::Equal, |(ours, theirs)| ours.cmp(theirs))
                }
            };
            if order.is_ne() {
                return order;
            }
        }
        (a.1.created_at, a.1.task).cmp(&(b.1.created_at, b.1.task))
    }
}

impl OnInstance {
    fn of(id: InstanceId, fleet: Option<&Fleet>) -> Self {
        let remaining = fleet.and_then(|fleet| fleet.remaining(id)).unwrap_or_default();
        Self { tasks: 0, cpu_left: i64::from(remaining.cpu.0), memory_left: i64::from(remaining.memory.0) }
    }
}

fn value_of<'a>(task: &'a Removable, name: &str, fleet: Option<&'a Fleet>) -> Option<&'a str> {
    if name == ZONE_ATTRIBUTE {
        return task.zone.as_deref();
    }
    fleet.and_then(|fleet| fleet.attribute(task.instance?, name))
}

#[cfg(test)]
mod tests;

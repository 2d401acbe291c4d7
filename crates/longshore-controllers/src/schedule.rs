//! What the controllers look at, and when. Pure: the driver waits around it, the simulation around its queue of events.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use longshore_base::Timestamp;
use longshore_state::Tx;
use longshore_tables_ecs::{ClusterKey, Hint, ServiceKey};

use crate::{Settings, provisioning, service, upkeep};

/// When to look again at what one transaction could not hold. That is a defect, which time hardly mends; but it must
/// not keep the other keys waiting.
const TOO_LARGE_RETRY: Duration = Duration::from_secs(60);

/// One look, which is one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// Gives places to tasks that wait for some.
    Place(ClusterKey),
    Reconcile(ServiceKey),
    Sweep,
}

/// What a look gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    Placed {
        /// There is more to do than one transaction holds.
        more: bool,
    },
    Reconciled {
        /// When to look again although nothing has happened.
        next: Option<Timestamp>,
    },
    Swept {
        more: bool,
    },
}

impl Job {
    pub fn run(&self, tx: &mut Tx<'_>, settings: &Settings) -> Seen {
        match self {
            Job::Place(cluster) => Seen::Placed { more: provisioning::place(tx, cluster) },
            Job::Reconcile(key) => Seen::Reconciled { next: service::reconcile(tx, key, settings) },
            Job::Sweep => Seen::Swept { more: upkeep::sweep(tx, settings) },
        }
    }
}

/// Services with the time of their next look, and the time of the next sweep.
#[derive(Debug)]
pub struct Schedule {
    at: BTreeMap<ServiceKey, Timestamp>,
    order: BTreeSet<(Timestamp, ServiceKey)>,
    sweep_at: Timestamp,
}

impl Schedule {
    /// Begins with a sweep at `now`, and with whatever it is hinted at.
    pub fn new(now: Timestamp) -> Self {
        Self { at: BTreeMap::new(), order: BTreeSet::new(), sweep_at: now }
    }

    /// What hints ask for. Who waits longest is first: tasks of calls before those that services would start now.
    pub fn hinted(hints: impl IntoIterator<Item = Hint>) -> Vec<Job> {
        let (mut jobs, mut services) = (Vec::new(), Vec::new());
        for hint in hints {
            match hint {
                Hint::Service(key) => services.push(Job::Reconcile(key)),
                Hint::Provisioning(cluster) => jobs.push(Job::Place(cluster)),
                // The sweep looks at definitions.
                Hint::Definitions(_) => {}
            }
        }
        jobs.extend(services);
        jobs
    }

    /// Takes the services whose time has come.
    pub fn due(&mut self, now: Timestamp) -> Vec<Job> {
        let mut due = BTreeSet::new();
        while self.order.first().is_some_and(|(time, _)| *time <= now) {
            if let Some((_, key)) = self.order.pop_first() {
                self.at.remove(&key);
                due.insert(key);
            }
        }
        due.into_iter().map(Job::Reconcile).collect()
    }

    /// The sweep, if its time has come.
    pub fn sweep(&self, now: Timestamp) -> Option<Job> {
        (self.sweep_at <= now).then_some(Job::Sweep)
    }

    /// When to ask for what is due, if no hint comes before.
    pub fn deadline(&self) -> Timestamp {
        self.order.first().map_or(self.sweep_at, |(time, _)| self.sweep_at.min(*time))
    }

    /// Notes what a job gave; `None`: it was undone, because it changes more than one transaction holds. True if it is
    /// to be done again at once.
    pub fn done(&mut self, job: &Job, seen: Option<Seen>, now: Timestamp) -> bool {
        match (job, seen) {
            (Job::Place(_), seen) => matches!(seen, Some(Seen::Placed { more: true })),
            (Job::Reconcile(key), seen) => {
                let next = match seen {
                    Some(Seen::Reconciled { next }) => next,
                    Some(Seen::Placed { .. } | Seen::Swept { .. }) | None => Some(now + TOO_LARGE_RETRY),
                };
                self.set(key, next);
                false
            }
            (Job::Sweep, seen) => {
                let more = matches!(seen, Some(Seen::Swept { more: true }));
                self.sweep_at = if more { now } else { now + upkeep::SWEEP_EVERY };
                false
            }
        }
    }

    /// Replaces the key's time; `None`: only a hint wakes it.
    fn set(&mut self, key: &ServiceKey, time: Option<Timestamp>) {
        if let Some(old) = self.at.remove(key) {
            self.order.remove(&(old, key.clone()));
        }
        if let Some(time) = time {
            self.at.insert(key.clone(), time);
            self.order.insert((time, key.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use longshore_base::{AccountId, ClusterName, Region, Scope, ServiceName};

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn service(name: &str) -> ServiceKey {
        let region = Region::parse("eu-west-1").expect("a region");
        let scope = Scope::new(AccountId::OPERATOR, region);
        let cluster = ClusterKey::new(scope, ClusterName::parse("c").expect("a name"));
        cluster.service(&ServiceName::parse(name).expect("a name"))
    }

    fn looked(next: Option<i64>) -> Option<Seen> {
        Some(Seen::Reconciled { next: next.map(at) })
    }

    #[test]
    fn a_service_is_due_at_its_last_time_and_once() {
        let mut schedule = Schedule::new(at(100));
        let (a, b) = (Job::Reconcile(service("a")), Job::Reconcile(service("b")));
        assert!(!schedule.done(&a, looked(Some(5)), at(0)));
        schedule.done(&a, looked(Some(9)), at(0));
        schedule.done(&b, looked(Some(7)), at(0));
        assert_eq!(schedule.deadline(), at(7));
        assert_eq!(schedule.due(at(6)), []);
        assert_eq!(schedule.due(at(9)), [a.clone(), b.clone()]);
        assert_eq!(schedule.due(at(9)), []);
        schedule.done(&a, looked(Some(11)), at(9));
        schedule.done(&a, looked(None), at(10));
        assert_eq!(schedule.deadline(), at(100), "only a hint wakes it");
    }

    #[test]
    fn what_was_undone_is_looked_at_later() {
        let mut schedule = Schedule::new(at(100));
        let job = Job::Reconcile(service("a"));
        assert!(!schedule.done(&job, None, at(0)));
        assert_eq!(schedule.deadline(), at(0) + TOO_LARGE_RETRY);
        let place = Job::Place(service("a").cluster);
        assert!(schedule.done(&place, Some(Seen::Placed { more: true }), at(0)));
        assert!(!schedule.done(&place, Some(Seen::Placed { more: false }), at(0)));
        assert!(!schedule.done(&place, None, at(0)), "else it would try for ever");
    }

    #[test]
    fn a_sweep_that_has_more_to_do_comes_again_at_once() {
        let mut schedule = Schedule::new(at(1));
        assert_eq!(schedule.sweep(at(0)), None);
        assert_eq!(schedule.sweep(at(1)), Some(Job::Sweep));
        schedule.done(&Job::Sweep, Some(Seen::Swept { more: true }), at(2));
        assert_eq!(schedule.sweep(at(2)), Some(Job::Sweep));
        schedule.done(&Job::Sweep, Some(Seen::Swept { more: false }), at(2));
        assert_eq!(schedule.deadline(), at(2) + upkeep::SWEEP_EVERY);
        schedule.done(&Job::Sweep, None, at(9));
        assert_eq!(schedule.deadline(), at(9) + upkeep::SWEEP_EVERY);
    }

    #[test]
    fn tasks_that_wait_go_before_services() {
        let key = service("a");
        let hints = [
            Hint::Definitions(key.cluster.scope.clone()),
            Hint::Service(key.clone()),
            Hint::Provisioning(key.cluster.clone()),
        ];
        assert_eq!(Schedule::hinted(hints), [Job::Place(key.cluster.clone()), Job::Reconcile(key)]);
    }
}

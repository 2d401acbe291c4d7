//! Why a task found no place, in a form that people and responses can use.

use std::fmt;
use std::sync::Arc;

use longshore_base::InstanceId;

use crate::needs::{Pool, RequiredAttribute};

/// How many instances a [`Refusal`] lists one by one. Counts stay exact beyond it.
pub const SAMPLE_MAX: usize = 100;

/// The first step of placement that an instance fails (ecs-engine D4), in the order of the steps.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// No such instance.
    Missing,
    /// Its status is not ACTIVE. Counted of DRAINING ones; a failure only where an instance was named (ecs-engine D5).
    NotActive,
    /// Its agent is not connected.
    Agent,
    Cpu,
    Memory,
    /// A fixed host port is taken, or the instance has no room for more of them.
    Ports,
    Gpu,
    /// It has no free network interface for a task in awsvpc mode.
    Interface,
    /// It lacks these of the required attributes.
    Attribute(Arc<[RequiredAttribute]>),
    /// It is in none of the zones asked for.
    Location,
    /// The expression of a `memberOf` does not hold.
    MemberOf(Arc<str>),
    DistinctInstance,
}

impl Reason {
    /// The `reason` of a `failures` entry (ecs-behaviour A6).
    pub fn as_failure(&self) -> &'static str {
        match self {
            Reason::Missing => "MISSING",
            Reason::NotActive => "INACTIVE",
            Reason::Agent => "AGENT",
            Reason::Cpu => "RESOURCE:CPU",
            Reason::Memory => "RESOURCE:MEMORY",
            Reason::Ports => "RESOURCE:PORTS",
            Reason::Gpu => "RESOURCE:GPU",
            Reason::Interface => "RESOURCE:ENI",
            Reason::Attribute(_) => "ATTRIBUTE",
            Reason::Location => "LOCATION",
            Reason::MemberOf(_) => "MemberOf placement constraint unsatisfied.",
            Reason::DistinctInstance => "DistinctInstance placement constraint unsatisfied.",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_failure())
    }
}

/// How many instances one reason ruled out, and one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruled {
    pub reason: Reason,
    pub instances: u32,
    pub example: InstanceId,
}

/// Why a task fits nowhere. An outcome, not an error: RunTask reports it beside its successes.
///
/// Every instance of the cluster that is ACTIVE or DRAINING is counted exactly once: under the first step that it
/// fails, or as being outside the pool that was asked. One that was deregistered is nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The pool that was asked.
    pub pool: Pool,
    /// Instances in the cluster, ACTIVE or DRAINING.
    pub instances: u32,
    /// Of these, how many belong to another launch type or capacity provider.
    pub outside: u32,
    /// In the order of the steps; each reason at most once, each with at least one instance. Of those that lack
    /// attributes, the ones that lack the fewest come last.
    pub ruled_out: Vec<Ruled>,
    /// One entry per candidate, which are the ACTIVE ones (ecs-engine D4), at most [`SAMPLE_MAX`], in order of registration.
    pub sample: Vec<(InstanceId, Reason)>,
}

impl Refusal {
    /// True if no instance of the pool exists.
    pub fn no_instances(&self) -> bool {
        self.ruled_out.is_empty()
    }

    /// True if the pool's instances, if any, are all DRAINING.
    pub fn none_active(&self) -> bool {
        self.ruled_out.iter().all(|ruled| ruled.reason == Reason::NotActive)
    }

    /// The instance that got furthest, and what stopped it there.
    pub fn closest(&self) -> Option<(InstanceId, &Reason)> {
        self.ruled_out.last().map(|ruled| (ruled.example, &ruled.reason))
    }

    /// How many instances `reason` ruled out.
    pub fn count(&self, reason: &Reason) -> u32 {
        self.ruled_out.iter().find(|ruled| ruled.reason == *reason).map_or(0, |ruled| ruled.instances)
    }

    /// The `failures` of RunTask: an instance and its reason each (ecs-behaviour A6).
    ///
    /// Bounded by [`SAMPLE_MAX`]. Empty when there was no ACTIVE instance to consider, which RunTask
    /// answers with an error of its own.
    pub fn failures(&self) -> impl Iterator<Item = (InstanceId, &Reason)> {
        self.sample.iter().map(|(instance, reason)| (*instance, reason))
    }

    /// One line for people: every reason with its count.
    pub fn summary(&self) -> String {
        if self.no_instances() {
            return format!("no instance to consider among {}", self.instances);
        }
        let parts: Vec<String> =
            self.ruled_out.iter().map(|ruled| format!("{} x {}", ruled.instances, ruled.reason)).collect();
        parts.join(", ")
    }
}

//! The subnets that tasks in awsvpc mode ask for: what they decide is in which zones the tasks may run, and what is shown
//! (decisions 15, 48 and 51).
//!
//! Nothing isolates the tasks of one subnet from those of another. A subnet that does not exist decides nothing.

use std::sync::Arc;

use longshore_base::{Scope, TaskId};
use longshore_domain::InstanceStatus;
use longshore_shapes_ecs::NetworkConfiguration;
use longshore_state::State;
use longshore_tables_ec2::Ec2State;
use longshore_tables_ecs::ClusterTables;
use longshore_tables_ecs::record::Document;
use longshore_wire::json;

/// A subnet that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    pub id: Arc<str>,
    /// `None`: there is none of this id.
    pub zone: Option<Arc<str>>,
}

/// The subnets that a call or a deployment asks for, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subnets(Arc<[Subnet]>);

impl Subnets {
    /// Those of a stored network configuration.
    pub fn of(state: &State, scope: &Scope, network: Option<&Document>) -> Self {
        let Some(document) = network else { return Self::default() };
        // Written by this program, from a shape.
        let read: Option<NetworkConfiguration> = json::from_slice(document.as_bytes()).ok();
        let ids = read.and_then(|own| own.awsvpc_configuration?.subnets).unwrap_or_default();
        let realm = state.ec2().realm(scope);
        let subnet = |id: String| {
            let zone = realm.subnets().get(&*id).map(|own| own.zone.clone());
            Subnet { id: id.into(), zone }
        };
        Self(ids.into_iter().map(subnet).collect())
    }

    /// The zones that tasks may run in, on the instances of `capacity`. `None`: in all of them. So it is if one of the
    /// subnets does not exist, and if no ACTIVE instance is in a zone of theirs: whoever gives machines no zones, or
    /// others than the subnets have, does not mean them.
    pub fn zones(&self, capacity: Option<&ClusterTables>) -> Option<Vec<Arc<str>>> {
        let mut zones: Vec<Arc<str>> = self.0.iter().map(|own| own.zone.clone()).collect::<Option<_>>()?;
        zones.sort();
        zones.dedup();
        let active = capacity?.instances().values().filter(|own| own.record.status == InstanceStatus::Active);
        let mut here = active.filter_map(|own| own.zone());
        here.any(|zone| zones.contains(zone)).then_some(zones)
    }

    /// The subnet that a task is in whose machine is in `zone`: the first of that zone, or else one of those that exist, which
    /// tasks are spread over, or else the first.
    pub fn choose(&self, zone: Option<&Arc<str>>, task: TaskId) -> Option<&Subnet> {
        let here = self.0.iter().find(|own| own.zone.is_some() && own.zone.as_ref() == zone);
        here.or_else(|| {
            let known: Vec<&Subnet> = self.0.iter().filter(|own| own.zone.is_some()).collect();
            let count = u128::try_from(known.len()).ok().filter(|count| *count > 0)?;
            let turn = usize::try_from(task.bits() % count).ok()?;
            known.get(turn).copied()
        })
        .or_else(|| self.0.first())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnets(own: &[(&str, Option<&str>)]) -> Subnets {
        Subnets(
            own.iter().map(|(id, zone)| Subnet { id: (*id).into(), zone: zone.map(Into::into) }).collect(),
        )
    }

    #[test]
    fn a_task_is_in_a_subnet_of_its_machines_zone() {
        let choose = |own: &Subnets, zone: Option<&str>, task: u128| {
            let zone = zone.map(Arc::from);
            own.choose(zone.as_ref(), TaskId::from_bits(task)).map(|own| own.id.to_string())
        };
        let both = subnets(&[("s-x", None), ("s-a", Some("a")), ("s-b", Some("b")), ("s-b2", Some("b"))]);
        assert_eq!(choose(&both, Some("b"), 0).as_deref(), Some("s-b"));
        assert_eq!(choose(&both, Some("a"), 1).as_deref(), Some("s-a"));
        // None of them is there: they take turns.
        let turns: Vec<_> = (0..4).filter_map(|task| choose(&both, Some("c"), task)).collect();
        assert_eq!(turns, ["s-a", "s-b", "s-b2", "s-a"]);
        let unknown = subnets(&[("s-x", None), ("s-y", None)]);
        assert_eq!(choose(&unknown, Some("a"), 1).as_deref(), Some("s-x"));
        assert_eq!(choose(&unknown, None, 1).as_deref(), Some("s-x"));
        assert_eq!(choose(&subnets(&[]), Some("a"), 1), None);
    }
}

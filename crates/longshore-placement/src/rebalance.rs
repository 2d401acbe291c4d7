//! Availability Zone rebalancing: whether the zones of a service are out of balance, and the next move that evens them
//! out (ecs-services E8).

use std::sync::Arc;

use crate::constraint::Constraint;
use crate::strategy::{Field, Strategy};
use crate::{Expression, ZONE_ATTRIBUTE};

/// One task more in `to`, then one less in `from`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    pub from: Arc<str>,
    pub to: Arc<str>,
}

/// The next move for a service with `counts` tasks per zone, or `None` if it is balanced.
///
/// `counts` names every zone that could hold a task of the service, also those with none, each
/// once. Zones are out of balance when the fullest has at least two tasks more than the emptiest.
/// Ties go to the zone named first.
///
/// The caller waits while a deployment is running, and starts in `to` before it stops in `from`.
pub fn step(counts: &[(Arc<str>, u32)]) -> Option<Move> {
    let fullest = counts.iter().reduce(|best, zone| if zone.1 > best.1 { zone } else { best })?;
    let emptiest = counts.iter().reduce(|best, zone| if zone.1 < best.1 { zone } else { best })?;
    (fullest.1 - emptiest.1 > 1).then(|| Move { from: fullest.0.clone(), to: emptiest.0.clone() })
}

/// Whether a service may be rebalanced, as far as its placement decides: the first strategy is a spread over zones (or
/// there is none), no constraint looks at the zone, and there is room for a task more than desired (`maximum_percent`
/// above 100). Scheduling strategy, load balancer and launch type are the caller's.
pub fn eligible(strategies: &[Strategy], constraints: &[Constraint], maximum_percent: u32) -> bool {
    let spreads = match strategies.first() {
        None => true,
        Some(Strategy::Spread(Field::Attribute(name))) => &**name == ZONE_ATTRIBUTE,
        Some(Strategy::Spread(Field::Instance) | Strategy::Binpack(_) | Strategy::Random) => false,
    };
    let bound = constraints.iter().any(|constraint| match constraint {
        Constraint::DistinctInstance => false,
        Constraint::MemberOf(expression) => Expression::reads_attribute(expression, ZONE_ATTRIBUTE),
    });
    spreads && !bound && maximum_percent > 100
}

/// The service event that a rebalance begins with, without its prefix `(service NAME) `.
pub fn unbalanced_event(counts: &[(Arc<str>, u32)]) -> String {
    let zones = list(counts.iter().enumerate().map(|(at, (zone, count))| {
        if at == 0 { format!("{count} tasks in {zone}") } else { format!("{count} in {zone}") }
    }));
    format!("is not AZ balanced with {zones}. AZ Rebalancing in progress.")
}

/// The service event that a rebalance ends with.
pub fn balanced_event(counts: &[(Arc<str>, u32)]) -> String {
    let zones = list(counts.iter().map(|(zone, count)| format!("{count} tasks in {zone}")));
    format!("is AZ balanced with {zones}.")
}

/// `a`, `a and b`, `a, b, and c`.
fn list(parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<String> = parts.collect();
    match parts.split_last() {
        None => "no tasks".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, [first])) => format!("{first} and {last}"),
        Some((last, rest)) => format!("{}, and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zones(spec: &[(&str, u32)]) -> Vec<(Arc<str>, u32)> {
        spec.iter().map(|&(zone, count)| (zone.into(), count)).collect()
    }

    #[test]
    fn a_difference_of_one_is_balanced() {
        let moved = |spec: &[(&str, u32)]| step(&zones(spec)).map(|m| format!("{}>{}", m.from, m.to));
        assert_eq!(moved(&[]), None);
        assert_eq!(moved(&[("a", 5)]), None);
        assert_eq!(moved(&[("a", 2), ("b", 1), ("c", 1)]), None);
        assert_eq!(moved(&[("a", 3), ("b", 1), ("c", 1)]), Some("a>b".to_owned()));
        assert_eq!(moved(&[("a", 0), ("b", 2), ("c", 2)]), Some("b>a".to_owned()));
    }

    /// However unbalanced, the steps end in balance, and after no more moves than tasks.
    #[test]
    fn steps_lead_to_balance() {
        let mut counts = zones(&[("a", 17), ("b", 0), ("c", 3), ("d", 0)]);
        for moves in 0.. {
            assert!(moves <= 20, "no end in sight: {counts:?}");
            let Some(next) = step(&counts) else { break };
            for (zone, count) in &mut counts {
                if *zone == next.from {
                    *count -= 1;
                }
                if *zone == next.to {
                    *count += 1;
                }
            }
        }
        assert_eq!(counts, zones(&[("a", 5), ("b", 5), ("c", 5), ("d", 5)]));
    }

    #[test]
    fn eligibility_follows_the_strategy_and_the_constraints() {
        let zone = Strategy::Spread(Field::zone());
        let bound =
            Constraint::parse("memberOf", Some("attribute:ecs.availability-zone in [a, b]")).expect("valid");
        let other = Constraint::parse("memberOf", Some("attribute:stack == prod")).expect("valid");
        assert!(eligible(&[], &[], 200));
        assert!(eligible(&[zone.clone(), Strategy::Random], &[other, Constraint::DistinctInstance], 101));
        assert!(!eligible(&[], &[], 100));
        assert!(!eligible(&[Strategy::Random, zone.clone()], &[], 200));
        assert!(!eligible(&[Strategy::Spread(Field::Instance)], &[], 200));
        assert!(!eligible(&[zone], &[bound], 200));
    }

    #[test]
    fn events_read_like_those_of_ecs() {
        let counts = zones(&[("us-east-1a", 3), ("us-east-1b", 1), ("us-east-1c", 1)]);
        assert_eq!(
            unbalanced_event(&counts),
            "is not AZ balanced with 3 tasks in us-east-1a, 1 in us-east-1b, and 1 in us-east-1c. \
             AZ Rebalancing in progress."
        );
        assert_eq!(
            balanced_event(&counts[..2]),
            "is AZ balanced with 3 tasks in us-east-1a and 1 tasks in us-east-1b."
        );
    }
}

//! Placement constraints and strategies of calls and services.

use longshore_controllers::launch::Rules;
use longshore_domain::TaskSpec;
use longshore_placement::constraint::CONSTRAINTS_MAX;
use longshore_placement::strategy::Field;
use longshore_placement::{Constraint, Strategy, ZONE_ATTRIBUTE};
use longshore_shapes_ecs as shapes;
use longshore_shapes_ecs::InvalidParameterException;
use longshore_tables_ecs::record::Capacity;

use super::capacity;
use crate::texts;

/// Reads the rules of a call.
pub(crate) fn parse(
    constraints: Option<Vec<shapes::PlacementConstraint>>,
    strategies: Option<Vec<shapes::PlacementStrategy>>,
) -> Result<Rules, InvalidParameterException> {
    let (constraints, strategies) = (constraints.unwrap_or_default(), strategies.unwrap_or_default());
    let constraints = constraints
        .iter()
        .map(|given| (given.r#type.as_ref().map_or("", |kind| kind.as_str()), given.expression.as_deref()));
    let strategies = strategies
        .iter()
        .map(|given| (given.r#type.as_ref().map_or("", |kind| kind.as_str()), given.field.as_deref()));
    Ok(Rules {
        constraints: Constraint::parse_all(constraints).map_err(refused)?,
        strategies: Strategy::parse_all(strategies).map_err(refused)?,
    })
}

fn refused(error: impl std::error::Error) -> InvalidParameterException {
    InvalidParameterException::new(error.to_string())
}

/// Refuses rules that do not go with the definition or the capacity.
pub(crate) fn check(
    placement: &Rules,
    spec: &TaskSpec,
    capacity: &Capacity,
) -> Result<(), InvalidParameterException> {
    let refuse = |text: &str| Err(InvalidParameterException::new(text));
    if capacity::is_fargate(capacity) {
        if !placement.strategies.is_empty() {
            return refuse(texts::STRATEGY_ON_FARGATE);
        }
        if !placement.constraints.is_empty() {
            return refuse(texts::CONSTRAINTS_ON_FARGATE);
        }
    }
    // Those of the definition and of the call count together (ecs-behaviour A10).
    let count = placement.constraints.len() + spec.constraints.len();
    if count > CONSTRAINTS_MAX {
        return refuse(&texts::too_many("placementConstraints", CONSTRAINTS_MAX));
    }
    Ok(())
}

/// True if a constraint asks for a zone, which zone rebalancing would work against.
pub(crate) fn asks_for_a_zone(constraints: &[Constraint]) -> bool {
    constraints.iter().any(|constraint| match constraint {
        Constraint::MemberOf(expression) => expression.reads_attribute(ZONE_ATTRIBUTE),
        Constraint::DistinctInstance => false,
    })
}

/// True if the first strategy, or the default that stands for none, spreads over zones.
pub(crate) fn spreads_over_zones_first(strategies: &[Strategy]) -> bool {
    strategies.first().is_none_or(|first| *first == Strategy::Spread(Field::zone()))
}

pub(crate) fn constraint_shapes(constraints: &[Constraint]) -> Vec<shapes::PlacementConstraint> {
    let shape = |constraint: &Constraint| shapes::PlacementConstraint {
        r#type: Some(constraint.kind().into()),
        expression: constraint.expression().map(str::to_owned),
    };
    constraints.iter().map(shape).collect()
}

/// `host` is shown as `instanceId`, and fields in their usual case (ecs-engine D4).
pub(crate) fn strategy_shapes(strategies: &[Strategy]) -> Vec<shapes::PlacementStrategy> {
    let shape = |strategy: &Strategy| shapes::PlacementStrategy {
        r#type: Some(strategy.kind().into()),
        field: strategy.field(),
    };
    strategies.iter().map(shape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn constraint(kind: &str, expression: Option<&str>) -> shapes::PlacementConstraint {
        shapes::PlacementConstraint { r#type: Some(kind.into()), expression: expression.map(str::to_owned) }
    }

    fn strategy(kind: &str, field: Option<&str>) -> shapes::PlacementStrategy {
        shapes::PlacementStrategy { r#type: Some(kind.into()), field: field.map(str::to_owned) }
    }

    #[test]
    fn rules_are_kept_as_they_are_shown() {
        let placement = parse(
            Some(vec![
                constraint("distinctInstance", Some("")),
                constraint("memberOf", Some("attribute:a == b")),
            ]),
            Some(vec![strategy("spread", Some("HOST")), strategy("binpack", Some("MEMORY"))]),
        )
        .expect("valid rules");
        assert_eq!(placement.constraints.len(), 2);
        assert_eq!(placement.constraints[0], Constraint::DistinctInstance);
        let fields: Vec<_> = strategy_shapes(&placement.strategies).into_iter().map(|s| s.field).collect();
        assert_eq!(fields, [Some("instanceId".to_owned()), Some("memory".to_owned())]);
        let shown = constraint_shapes(&placement.constraints);
        assert_eq!(
            shown,
            [constraint("distinctInstance", None), constraint("memberOf", Some("attribute:a == b"))]
        );
    }

    #[test]
    fn rules_that_cannot_be_read_are_refused() {
        for bad in
            [constraint("near", None), constraint("memberOf", None), constraint("memberOf", Some("a =="))]
        {
            assert!(parse(Some(vec![bad.clone()]), None).is_err(), "{bad:?}");
        }
        assert!(parse(None, Some(vec![strategy("spread", Some("rack"))])).is_err());
    }

    #[test]
    fn zone_rebalancing_looks_at_the_first_strategy() {
        let first = |kind: &str, field: Option<&str>| {
            let parsed = parse(None, Some(vec![strategy(kind, field)])).expect("valid");
            spreads_over_zones_first(&parsed.strategies)
        };
        assert!(spreads_over_zones_first(&[]));
        assert!(first("spread", Some("attribute:ecs.availability-zone")));
        assert!(!first("spread", Some("instanceId")));
        assert!(!first("random", None));
    }
}

//! Placement constraints and strategies of calls and services.

use longshore_controllers::launch::{Rules, RulesError};
use longshore_domain::TaskSpec;
use longshore_placement::Strategy;
use longshore_placement::constraint::CONSTRAINTS_MAX;
use longshore_shapes_ecs as shapes;
use longshore_shapes_ecs::InvalidParameterException;
use longshore_tables_ecs::record::{Capacity, PlacementItem};

use super::capacity;
use crate::texts;

/// Rules as they are stored, and as placement reads them.
#[derive(Debug, Default)]
pub(crate) struct Placement {
    pub constraints: Vec<PlacementItem>,
    pub strategies: Vec<PlacementItem>,
    pub rules: Rules,
}

/// Reads the rules of a call.
pub(crate) fn parse(
    constraints: Option<Vec<shapes::PlacementConstraint>>,
    strategies: Option<Vec<shapes::PlacementStrategy>>,
) -> Result<Placement, InvalidParameterException> {
    let constraints: Vec<PlacementItem> = constraints
        .into_iter()
        .flatten()
        .map(|constraint| item(constraint.r#type.as_ref().map(|kind| kind.as_str()), constraint.expression))
        .collect();
    let strategies: Vec<PlacementItem> = strategies
        .into_iter()
        .flatten()
        .map(|strategy| item(strategy.r#type.as_ref().map(|kind| kind.as_str()), strategy.field))
        .collect();
    let rules = Rules::parse(&constraints, &strategies)
        .map_err(|error: RulesError| InvalidParameterException::new(error.to_string()))?;
    Ok(Placement { constraints, strategies: rules.strategies.iter().map(normalised).collect(), rules })
}

fn item(kind: Option<&str>, value: Option<String>) -> PlacementItem {
    let value = value.filter(|text| !text.is_empty());
    PlacementItem { kind: kind.unwrap_or_default().into(), value: value.map(Into::into) }
}

/// `host` is shown as `instanceId`, and fields in their usual case (ecs-engine D4).
fn normalised(strategy: &Strategy) -> PlacementItem {
    PlacementItem { kind: strategy.kind().into(), value: strategy.field().map(Into::into) }
}

/// Refuses rules that do not go with the definition or the capacity.
pub(crate) fn check(
    placement: &Placement,
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
pub(crate) fn asks_for_a_zone(constraints: &[PlacementItem]) -> bool {
    constraints.iter().any(|item| {
        item.value.as_deref().is_some_and(|text| text.contains(longshore_placement::ZONE_ATTRIBUTE))
    })
}

/// True if the first strategy, or the default that stands for none, spreads over zones.
pub(crate) fn spreads_over_zones_first(strategies: &[PlacementItem]) -> bool {
    strategies.first().is_none_or(|first| {
        let zone = first.value.as_deref().and_then(|field| field.strip_prefix("attribute:"));
        *first.kind == *"spread" && zone == Some(longshore_placement::ZONE_ATTRIBUTE)
    })
}

pub(crate) fn constraint_shapes(items: &[PlacementItem]) -> Vec<shapes::PlacementConstraint> {
    let shape = |item: &PlacementItem| shapes::PlacementConstraint {
        r#type: Some((&*item.kind).into()),
        expression: item.value.as_deref().map(str::to_owned),
    };
    items.iter().map(shape).collect()
}

pub(crate) fn strategy_shapes(items: &[PlacementItem]) -> Vec<shapes::PlacementStrategy> {
    let shape = |item: &PlacementItem| shapes::PlacementStrategy {
        r#type: Some((&*item.kind).into()),
        field: item.value.as_deref().map(str::to_owned),
    };
    items.iter().map(shape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_placement::Constraint;

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
        assert_eq!(placement.rules.constraints.len(), 2);
        assert_eq!(placement.rules.constraints[0], Constraint::DistinctInstance);
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

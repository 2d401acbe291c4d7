//! Rules that hold for a service as a whole, however it came to be what it is.

use longshore_domain::{SchedulingStrategy, TaskSpec};
use longshore_shapes_ecs::InvalidParameterException;
use longshore_tables_ecs::record::Service;

use crate::launching::{capacity, placement};
use crate::texts;

/// Refuses a service whose parts do not go together. `spec` is what its PRIMARY deployment runs.
pub(super) fn check(service: &Service, spec: &TaskSpec) -> Result<(), InvalidParameterException> {
    let refuse = |text: &str| Err(InvalidParameterException::new(text));
    capacity::check_compatible(spec, &service.capacity)?;
    if service.scheduling == SchedulingStrategy::Daemon {
        if capacity::is_fargate(&service.capacity) {
            return refuse(texts::DAEMON_FARGATE);
        }
        if !service.placement_strategy.is_empty() {
            return refuse(texts::DAEMON_PLACEMENT_STRATEGY);
        }
    }
    if service.enable_execute_command && spec.task_role.is_none() {
        return refuse(texts::SERVICE_EXECUTE_NEEDS_ROLE);
    }
    match rebalancing_obstacle(service) {
        Some(text) if service.zone_rebalancing => refuse(text),
        Some(_) | None => Ok(()),
    }
}

/// Whether zones can be evened out for the service.
pub(super) fn can_rebalance(service: &Service) -> bool {
    rebalancing_obstacle(service).is_none()
}

/// The first condition of zone rebalancing that the service does not meet (ecs-services E8).
fn rebalancing_obstacle(service: &Service) -> Option<&'static str> {
    if service.scheduling != SchedulingStrategy::Replica {
        Some(texts::REBALANCING_DAEMON)
    } else if service.maximum_percent <= 100 {
        Some(texts::REBALANCING_MAXIMUM)
    } else if !placement::spreads_over_zones_first(&service.placement_strategy) {
        Some(texts::REBALANCING_STRATEGY)
    } else if placement::asks_for_a_zone(&service.placement_constraints) {
        Some(texts::REBALANCING_CONSTRAINT)
    } else {
        None
    }
}

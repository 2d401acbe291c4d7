//! Rules that hold for a service as a whole, however it came to be what it is.

use longshore_domain::{SchedulingStrategy, TaskSpec};
use longshore_shapes_ecs::InvalidParameterException;
use longshore_state::record::Service;

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
    if service.enable_execute_command && !spec.has_task_role {
        return refuse(texts::SERVICE_EXECUTE_NEEDS_ROLE);
    }
    if service.health_check_grace_secs.is_some_and(|secs| secs > 0) && service.load_balancers.is_none() {
        return refuse(texts::GRACE_WITHOUT_LOAD_BALANCER);
    }
    if service.zone_rebalancing && !can_rebalance(service) {
        return refuse(texts::REBALANCING);
    }
    Ok(())
}

/// Whether zones can be evened out for the service (ecs-services E8).
pub(super) fn can_rebalance(service: &Service) -> bool {
    service.scheduling == SchedulingStrategy::Replica
        && service.maximum_percent > 100
        && placement::spreads_over_zones_first(&service.placement_strategy)
        && !placement::asks_for_a_zone(&service.placement_constraints)
}

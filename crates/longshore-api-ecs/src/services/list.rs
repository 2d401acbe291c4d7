//! ListServices.

use longshore_domain::ServiceStatus;
use longshore_shapes_ecs::*;
use longshore_state::{State, record};

use crate::paging::{self, Page};
use crate::{Caller, identifiers, input};

/// Lists ACTIVE services by name.
pub fn list_services(
    state: &State,
    caller: &Caller,
    mut input: ListServicesRequest,
) -> Result<ListServicesResponse, ListServicesError> {
    input::check(&input)?;
    let asked = (input.max_results.take(), input.next_token.take());
    let page = Page::open("ListServices", caller, &input, asked, paging::LIST_SERVICES)?;
    let (at, cluster) = identifiers::cluster(state, caller, input.cluster.as_deref())?;
    let passes = |service: &record::Service| {
        service.status == ServiceStatus::Active
            && input
                .scheduling_strategy
                .as_ref()
                .is_none_or(|kind| kind.as_str() == service.scheduling.as_str())
            && input
                .launch_type
                .as_ref()
                .is_none_or(|kind| kind.as_str() == service.capacity.launch_type().as_str())
            // None is managed by ECS itself: those would be Express services.
            && input.resource_management_type.as_ref().is_none_or(|kind| *kind == ResourceManagementType::Customer)
    };
    let services = cluster.services().map(|(service, _)| service).filter(|service| passes(service));
    let (services, next_token) = page.fill_rising(services, |service| service.name.to_string());
    let arn = |service: &std::sync::Arc<record::Service>| {
        at.scope.service_arn(&at.cluster, &service.name, service.arn_format)
    };
    Ok(ListServicesResponse { service_arns: Some(services.into_iter().map(arn).collect()), next_token })
}

//! ListServices.

use longshore_domain::ServiceStatus;
use longshore_service::{Cx, Query, Resources};
use longshore_shapes_ecs::*;
use longshore_state::State;
use longshore_tables_ecs::ServiceEntry;
use longshore_tables_ecs::record::{self, Capacity};

use crate::paging::{self, Page};
use crate::permission::Keys;
use crate::{Caller, Ecs, identifiers, input, permission};

/// Lists ACTIVE services by name.
impl Query<Ecs> for ops::ListServices {
    type Parsed = (Self::Input, Page);
    type Answer = ListServicesResponse;

    fn parse(cx: &Cx<'_, Ecs>, mut input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        let asked = (input.max_results.take(), input.next_token.take());
        let page = Page::open("ListServices", cx.caller, &input, asked, paging::LIST_SERVICES)?;
        Ok((input, page))
    }

    fn resources(state: &State, caller: &Caller, (input, _): &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller).on_all().in_cluster(caller, input.cluster.as_deref())
    }

    fn run(state: &State, caller: &Caller, (input, page): Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let (at, cluster) = identifiers::cluster(state, caller, input.cluster.as_deref())?;
        let passes = |service: &record::Service, entry: &ServiceEntry| {
            let runs_on = || entry.shown_capacity().map(Capacity::launch_type);
            service.status == ServiceStatus::Active
            && input
                .scheduling_strategy
                .as_ref()
                .is_none_or(|kind| kind.as_str() == service.scheduling.as_str())
            && input
                .launch_type
                .as_ref()
                .is_none_or(|kind| runs_on().is_some_and(|own| kind.as_str() == own.as_str()))
            // None is managed by ECS itself: those would be Express services.
            && input.resource_management_type.as_ref().is_none_or(|kind| *kind == ResourceManagementType::Customer)
        };
        let services = cluster.services().filter(|(service, entry)| passes(service, entry));
        let services = services.map(|(service, _)| service);
        let (services, next_token) = page.fill_rising(services, |service| service.name.to_string());
        let arn = |service: &std::sync::Arc<record::Service>| {
            at.scope.service_arn(&at.cluster, &service.name, service.arn_format)
        };
        Ok(ListServicesResponse { service_arns: Some(services.into_iter().map(arn).collect()), next_token })
    }
}

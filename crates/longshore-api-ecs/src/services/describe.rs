//! DescribeServices.

use std::collections::BTreeSet;

use longshore_service::{Cx, Query, Resources};
use longshore_shapes_ecs::*;
use longshore_state::State;
use longshore_tables_ecs::ClusterKey;

use super::shape::View;
use crate::identifiers::{self, NoMember};
use crate::{Caller, Ecs, failures, permission, texts};

/// The most services that one call describes (ecs-behaviour A4).
const DESCRIBE_MAX: usize = 10;

/// What DescribeServices found, before it is made a shape of.
#[derive(Clone, Debug)]
pub struct DescribedServices {
    at: ClusterKey,
    views: Vec<View>,
    with_tags: bool,
    failures: Vec<Failure>,
}

impl From<DescribedServices> for DescribeServicesResponse {
    fn from(found: DescribedServices) -> Self {
        let DescribedServices { at, views, with_tags, failures } = found;
        let services = views.iter().map(|view| view.shape(&at, with_tags)).collect();
        Self { services: Some(services), failures: Some(failures) }
    }
}

impl Query<Ecs> for ops::DescribeServices {
    type Parsed = Self::Input;
    type Answer = DescribedServices;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, input: &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller).on_members(
            input.cluster.as_deref(),
            "service",
            input.services.iter().flatten().map(String::as_str),
        )
    }

    fn run(state: &State, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let named = input.services.unwrap_or_default();
        if named.is_empty() {
            return Err(InvalidParameterException::new(texts::SERVICES_EMPTY).into());
        }
        if named.len() > DESCRIBE_MAX {
            return Err(InvalidParameterException::new(texts::too_many("services", DESCRIBE_MAX)).into());
        }
        let include = input.include.unwrap_or_default();
        if include.iter().any(|field| matches!(field, ServiceField::Unrecognized(_))) {
            return Err(InvalidParameterException::new(texts::one_of("include", ServiceField::VALUES)).into());
        }
        let (at, cluster) = identifiers::cluster(state, caller, input.cluster.as_deref())?;
        let (mut views, mut failed) = (Vec::with_capacity(named.len()), Vec::new());
        let mut seen = BTreeSet::new();
        for named in &named {
            let name = match identifiers::service_name(&at, named) {
                Ok(name) => Some(name),
                Err(NoMember::NotFound) => None,
                Err(error @ (NoMember::OtherCluster { .. } | NoMember::Malformed)) => {
                    return Err(InvalidParameterException::new(error.to_string()).into());
                }
            };
            let view = name.as_ref().and_then(|name| View::of(cluster, cluster.service(name)?));
            match (view, name) {
                (Some(view), Some(name)) => {
                    if seen.insert(name) {
                        views.push(view);
                    }
                }
                (None, _) | (_, None) => {
                    failed.push(failures::missing(identifiers::would_be_arn(&at, "service", named)));
                }
            }
        }
        Ok(DescribedServices {
            at,
            views,
            with_tags: include.contains(&ServiceField::Tags),
            failures: failed,
        })
    }
}

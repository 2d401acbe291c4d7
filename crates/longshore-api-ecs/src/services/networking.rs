//! What connects a service with its callers: load balancers, registries, Service Connect, VPC Lattice.
//!
//! Longshore has none of them yet. Each is checked as far as the task definition allows, so that a
//! mistake is told first, and then refused rather than pretended.

use longshore_domain::TaskSpec;
use longshore_shapes_ecs::{
    InvalidParameterException, LoadBalancer, ServiceConnectConfiguration, ServiceRegistry,
    ServiceVolumeConfiguration, UnsupportedFeatureException, VpcLatticeConfiguration,
};
use longshore_tables_ecs::record::{Document, Service};

use crate::{documents, texts};

/// The most load balancers and registries of a service (ecs-behaviour A10).
const LOAD_BALANCERS_MAX: usize = 5;
const REGISTRIES_MAX: usize = 1;

/// The members that a call may have; `None` where it says nothing.
pub(crate) struct Networking<'r> {
    pub load_balancers: Option<&'r [LoadBalancer]>,
    pub service_registries: Option<&'r [ServiceRegistry]>,
    pub service_connect: Option<&'r ServiceConnectConfiguration>,
    pub lattice: Option<&'r [VpcLatticeConfiguration]>,
    pub volumes: Option<&'r [ServiceVolumeConfiguration]>,
}

impl Networking<'_> {
    /// Refuses whatever would have to do something.
    pub fn check<E>(&self, spec: &TaskSpec) -> Result<(), E>
    where
        E: From<InvalidParameterException> + From<UnsupportedFeatureException>,
    {
        check_load_balancers(self.load_balancers.unwrap_or_default(), spec)?;
        let registries = self.service_registries.unwrap_or_default();
        if registries.len() > REGISTRIES_MAX {
            return Err(InvalidParameterException::new(texts::SERVICE_REGISTRIES).into());
        }
        for registry in registries {
            if let Some(name) = registry.container_name.as_deref() {
                check_target(name, registry.container_port, spec)?;
            }
        }
        let unsupported = |text: &str| Err(UnsupportedFeatureException::new(text).into());
        if !registries.is_empty() {
            return unsupported(texts::NO_SERVICE_DISCOVERY);
        }
        if self.service_connect.is_some_and(is_on) {
            return unsupported(texts::NO_SERVICE_CONNECT);
        }
        if self.lattice.is_some_and(|lattice| !lattice.is_empty()) {
            return unsupported(texts::NO_LATTICE);
        }
        if self.volumes.is_some_and(|volumes| !volumes.is_empty()) {
            return unsupported(texts::NO_MANAGED_VOLUMES);
        }
        Ok(())
    }
}

/// What is kept of a Service Connect configuration: switched off is the same as absent.
pub(super) fn connection(given: Option<ServiceConnectConfiguration>) -> Option<Document> {
    given.filter(is_on).map(|connect| documents::keep(&connect))
}

/// Whether the service has Service Connect. Older records keep configurations that are switched off.
pub(super) fn is_connected(service: &Service) -> bool {
    service.service_connect.as_ref().and_then(documents::recall).is_some_and(|connect| is_on(&connect))
}

fn is_on(connect: &ServiceConnectConfiguration) -> bool {
    connect.enabled == Some(true)
}

fn check_load_balancers(given: &[LoadBalancer], spec: &TaskSpec) -> Result<(), InvalidParameterException> {
    let refuse = |text: String| Err(InvalidParameterException::new(text));
    if given.len() > LOAD_BALANCERS_MAX {
        return refuse(texts::LOAD_BALANCERS.to_owned());
    }
    for balancer in given {
        let name = balancer.container_name.as_deref().unwrap_or_default();
        check_target(name, balancer.container_port, spec)?;
    }
    // The first one decides: none of them exists.
    let Some(balancer) = given.first() else { return Ok(()) };
    match (&balancer.target_group_arn, &balancer.load_balancer_name) {
        (Some(arn), None) => refuse(texts::target_group_unused(arn)),
        (None, Some(name)) => refuse(texts::classic_unknown(name)),
        (None, None) | (Some(_), Some(_)) => refuse(texts::LOAD_BALANCER_KIND.to_owned()),
    }
}

fn check_target(name: &str, port: Option<i32>, spec: &TaskSpec) -> Result<(), InvalidParameterException> {
    let refuse = |text: String| Err(InvalidParameterException::new(text));
    let Some(container) = spec.container(name) else { return refuse(texts::no_container(name)) };
    let Some(port) = port else { return Ok(()) };
    let mapped = container.ports.iter().any(|mapping| i32::from(mapping.container_port.0) == port);
    if mapped { Ok(()) } else { refuse(texts::no_container_port(name, port)) }
}

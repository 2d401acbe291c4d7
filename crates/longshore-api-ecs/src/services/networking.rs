//! What connects a service with its callers: load balancers, registries, Service Connect, VPC Lattice.
//!
//! Longshore has none of them yet. Each is checked as far as the task definition allows, so that a
//! mistake is told first, and then refused rather than pretended.

use longshore_domain::TaskSpec;
use longshore_shapes_ecs as shapes;
use longshore_shapes_ecs::{
    InvalidParameterException, ServiceConnectConfiguration, ServiceVolumeConfiguration,
    UnsupportedFeatureException, VpcLatticeConfiguration,
};
use longshore_tables_ecs::record::{LoadBalancer, LoadBalancerTarget, ServiceConnect, ServiceRegistry};

use crate::{connections, texts};

/// The most load balancers and registries of a service (ecs-behaviour A10).
const LOAD_BALANCERS_MAX: usize = 5;
const REGISTRIES_MAX: usize = 1;

/// The members that a call may have; `None` where it says nothing.
pub(crate) struct Networking<'r> {
    pub load_balancers: Option<&'r [shapes::LoadBalancer]>,
    pub service_registries: Option<&'r [shapes::ServiceRegistry]>,
    pub service_connect: Option<&'r ServiceConnectConfiguration>,
    pub lattice: Option<&'r [VpcLatticeConfiguration]>,
    pub volumes: Option<&'r [ServiceVolumeConfiguration]>,
}

/// The same as records keep it; empty where a call says nothing.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    pub load_balancers: Vec<LoadBalancer>,
    pub service_registries: Vec<ServiceRegistry>,
    pub service_connect: Option<ServiceConnect>,
}

impl Networking<'_> {
    /// Reads the members, and refuses whatever would have to do something.
    pub fn parse<E>(&self, spec: &TaskSpec) -> Result<Connections, E>
    where
        E: From<InvalidParameterException> + From<UnsupportedFeatureException>,
    {
        let load_balancers = load_balancers(self.load_balancers.unwrap_or_default(), spec)?;
        let service_registries = registries(self.service_registries.unwrap_or_default(), spec)?;
        let unsupported = |text: &str| Err(UnsupportedFeatureException::new(text).into());
        if !service_registries.is_empty() {
            return unsupported(texts::NO_SERVICE_DISCOVERY);
        }
        let service_connect = match self.service_connect {
            Some(given) => connections::service_connect(given)?,
            None => None,
        };
        if service_connect.is_some() {
            return unsupported(texts::NO_SERVICE_CONNECT);
        }
        if self.lattice.is_some_and(|lattice| !lattice.is_empty()) {
            return unsupported(texts::NO_LATTICE);
        }
        if self.volumes.is_some_and(|volumes| !volumes.is_empty()) {
            return unsupported(texts::NO_MANAGED_VOLUMES);
        }
        Ok(Connections { load_balancers, service_registries, service_connect })
    }
}

fn load_balancers(
    given: &[shapes::LoadBalancer],
    spec: &TaskSpec,
) -> Result<Vec<LoadBalancer>, InvalidParameterException> {
    let refuse = |text: String| Err(InvalidParameterException::new(text));
    if given.len() > LOAD_BALANCERS_MAX {
        return refuse(texts::LOAD_BALANCERS.to_owned());
    }
    for balancer in given {
        let name = balancer.container_name.as_deref().unwrap_or_default();
        check_target(name, balancer.container_port, spec)?;
    }
    let read: Vec<_> = given.iter().map(connections::load_balancer).collect::<Result<_, _>>()?;
    // The first one decides: none of them exists.
    match read.first().map(|balancer| &balancer.target) {
        Some(LoadBalancerTarget::TargetGroup(arn)) => refuse(texts::target_group_unused(arn)),
        Some(LoadBalancerTarget::Classic(name)) => refuse(texts::classic_unknown(name)),
        None => Ok(read),
    }
}

fn registries(
    given: &[shapes::ServiceRegistry],
    spec: &TaskSpec,
) -> Result<Vec<ServiceRegistry>, InvalidParameterException> {
    if given.len() > REGISTRIES_MAX {
        return Err(InvalidParameterException::new(texts::SERVICE_REGISTRIES));
    }
    for registry in given {
        if let Some(name) = registry.container_name.as_deref() {
            check_target(name, registry.container_port, spec)?;
        }
    }
    given.iter().map(connections::registry).collect()
}

fn check_target(name: &str, port: Option<i32>, spec: &TaskSpec) -> Result<(), InvalidParameterException> {
    let refuse = |text: String| Err(InvalidParameterException::new(text));
    let Some(container) = spec.container(name) else { return refuse(texts::no_container(name)) };
    let Some(port) = port else { return Ok(()) };
    let mapped = container.ports.iter().any(|mapping| i32::from(mapping.container_port.0) == port);
    if mapped { Ok(()) } else { refuse(texts::no_container_port(name, port)) }
}

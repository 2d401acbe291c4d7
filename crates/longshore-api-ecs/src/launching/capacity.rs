//! What tasks run on: a launch type, or capacity providers.

use std::sync::Arc;

use longshore_domain::{LaunchType, TaskSpec};
use longshore_shapes_ecs as shapes;
use longshore_shapes_ecs::{InvalidParameterException, PlatformUnknownException};
use longshore_tables_ecs::record::{Capacity, Cluster, StrategyItem};

use crate::{strategies, texts};

/// The platform versions that ECS knows for Linux on Fargate.
const PLATFORM_VERSIONS: [&str; 4] = ["LATEST", "1.4.0", "1.3.0", "1.0.0"];

/// Chooses between a launch type and a strategy. Neither: the cluster's default strategy; if it has
/// none, EC2.
pub(crate) fn choose(
    cluster: &Cluster,
    launch_type: Option<&shapes::LaunchType>,
    strategy: Option<Vec<shapes::CapacityProviderStrategyItem>>,
) -> Result<Capacity, InvalidParameterException> {
    let strategy = strategy.filter(|items| !items.is_empty());
    match (launch_type, strategy) {
        (Some(_), Some(_)) => Err(InvalidParameterException::new(texts::LAUNCH_TYPE_AND_STRATEGY)),
        (Some(launch_type), None) => Ok(Capacity::LaunchType(parse_launch_type(launch_type)?)),
        (None, Some(items)) => parse_strategy(cluster, items).map(Capacity::Strategy),
        (None, None) if cluster.default_strategy.is_empty() => Ok(Capacity::LaunchType(LaunchType::Ec2)),
        (None, None) => Ok(Capacity::Strategy(cluster.default_strategy.clone())),
    }
}

/// A strategy over the cluster's own providers.
pub(crate) fn parse_strategy(
    cluster: &Cluster,
    items: Vec<shapes::CapacityProviderStrategyItem>,
) -> Result<Vec<StrategyItem>, InvalidParameterException> {
    strategies::parse(items, cluster.capacity_providers.iter().map(|name| &**name))
}

fn parse_launch_type(launch_type: &shapes::LaunchType) -> Result<LaunchType, InvalidParameterException> {
    let refuse = |text: String| Err(InvalidParameterException::new(text));
    match launch_type {
        shapes::LaunchType::Ec2 => Ok(LaunchType::Ec2),
        shapes::LaunchType::Fargate => Ok(LaunchType::Fargate),
        shapes::LaunchType::External => Ok(LaunchType::External),
        shapes::LaunchType::ManagedInstances => refuse(texts::MANAGED_INSTANCES.to_owned()),
        shapes::LaunchType::Unrecognized(_) => {
            refuse(texts::one_of("launch type", shapes::LaunchType::VALUES))
        }
    }
}

/// True if tasks run on Fargate. A strategy never mixes Fargate with other providers.
pub(crate) fn is_fargate(capacity: &Capacity) -> bool {
    capacity.is_fargate()
}

/// The family of Fargate's platform. Longshore's machines run Linux.
pub(crate) const PLATFORM_FAMILY: &str = "Linux";

/// `platformFamily`, which only Fargate has.
pub(crate) fn platform_family(capacity: &Capacity) -> Option<String> {
    capacity.is_fargate().then(|| PLATFORM_FAMILY.to_owned())
}

/// Refuses a definition that does not allow the capacity.
pub(crate) fn check_compatible(
    spec: &TaskSpec,
    capacity: &Capacity,
) -> Result<(), InvalidParameterException> {
    let launch_type = capacity.launch_type();
    if spec.compatibilities.contains(&launch_type) {
        Ok(())
    } else {
        Err(InvalidParameterException::new(texts::not_compatible(launch_type.as_str())))
    }
}

/// Reads `platformVersion`, which only Fargate has.
pub(crate) fn platform_version<E>(version: Option<String>, capacity: &Capacity) -> Result<Option<Arc<str>>, E>
where
    E: From<InvalidParameterException> + From<PlatformUnknownException>,
{
    match version {
        None if is_fargate(capacity) => Ok(Some("LATEST".into())),
        None => Ok(None),
        Some(_) if !is_fargate(capacity) => {
            Err(InvalidParameterException::new(texts::PLATFORM_VERSION_NOT_FARGATE).into())
        }
        Some(version) if PLATFORM_VERSIONS.contains(&version.as_str()) => Ok(Some(version.into())),
        Some(version) => {
            let shown: String = version.chars().take(64).collect();
            Err(PlatformUnknownException::new(texts::platform_version_unknown(&shown)).into())
        }
    }
}

/// The two members in which the API shows a capacity: of these only one is there.
pub(crate) fn shapes(
    capacity: &Capacity,
) -> (Option<shapes::LaunchType>, Option<Vec<shapes::CapacityProviderStrategyItem>>) {
    match capacity {
        Capacity::LaunchType(launch_type) => (Some(launch_type.as_str().into()), None),
        Capacity::Strategy(items) => (None, Some(strategies::shapes(items))),
    }
}

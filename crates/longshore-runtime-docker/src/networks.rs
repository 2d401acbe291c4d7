//! The networks that agents make for tasks in awsvpc mode.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use bollard::Docker;
use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest, NetworkInspect};
use bollard::query_parameters::InspectNetworkOptions;
use longshore_base::Cidr;
use longshore_runtime::port::{LABEL_NETWORK, LABEL_OWNER, NetworkInfo, NetworkRequest};
use longshore_runtime::{ErrorKind, RuntimeError};
use tokio::sync::Mutex;

use crate::classify::{Call, refine};

/// How often a subnet that the engine chose may be taken by others in between.
const CHOICES_MAX: u32 = 5;

/// Engines before version 25 let two networks have one name if they are made at the same time. Agents that share a
/// network share this process, so that a lock is enough to have only one.
pub(crate) type OneAtATime = Mutex<()>;

pub(crate) async fn create(
    docker: &Docker,
    lock: &OneAtATime,
    request: &NetworkRequest,
) -> Result<NetworkInfo, RuntimeError> {
    let _held = lock.lock().await;
    let found = match inspect(docker, &request.name).await {
        Err(RuntimeError { kind: ErrorKind::NotFound, .. }) => {
            make(docker, request).await?;
            inspect(docker, &request.name).await?
        }
        found => found?,
    };
    match request.subnet {
        Some(subnet) if subnet != found.subnet => {
            let text = format!(
                "network {} has the subnet {} instead of {subnet}: remove it (docker network rm {0}) once no task uses it",
                request.name, found.subnet
            );
            Err(RuntimeError::new(ErrorKind::Conflict, text))
        }
        Some(_) | None => Ok(found),
    }
}

/// Containers can have addresses that we choose only in a network whose subnet we chose too. So the engine is let
/// choose one first, and the network made again with the very same; unless somebody else was quicker.
async fn make(docker: &Docker, request: &NetworkRequest) -> Result<(), RuntimeError> {
    if let Some(subnet) = request.subnet {
        return make_with(docker, request, Some(subnet)).await;
    }
    let mut tries = 1;
    loop {
        make_with(docker, request, None).await?;
        let chosen = inspect(docker, &request.name).await;
        remove(docker, &request.name).await?;
        match make_with(docker, request, Some(chosen?.subnet)).await {
            Err(error) if tries < CHOICES_MAX => {
                tracing::debug!(network = request.name, %error, "the subnet is gone; choosing another");
                tries += 1;
            }
            made => return made,
        }
    }
}

async fn make_with(
    docker: &Docker,
    request: &NetworkRequest,
    subnet: Option<Cidr>,
) -> Result<(), RuntimeError> {
    let config = subnet.map(|subnet| IpamConfig {
        subnet: Some(subnet.to_string()),
        gateway: subnet.nth(1).map(|gateway| gateway.to_string()),
        ..IpamConfig::default()
    });
    let wanted = NetworkCreateRequest {
        name: request.name.clone(),
        driver: Some("bridge".to_owned()),
        labels: Some(HashMap::from([
            (LABEL_NETWORK.to_owned(), request.name.clone()),
            (LABEL_OWNER.to_owned(), request.owner.clone()),
        ])),
        ipam: config.map(|config| Ipam { config: Some(vec![config]), ..Ipam::default() }),
        ..NetworkCreateRequest::default()
    };
    docker.create_network(wanted).await.map(drop).map_err(|error| refine(Call::Network, error))
}

pub(crate) async fn inspect(docker: &Docker, name: &str) -> Result<NetworkInfo, RuntimeError> {
    let found = docker
        .inspect_network(name, None::<InspectNetworkOptions>)
        .await
        .map_err(|error| refine(Call::Network, error))?;
    info(&found).ok_or_else(|| {
        let text = format!("network {name} has no IPv4 subnet with room for a gateway");
        RuntimeError::new(ErrorKind::Refused, text)
    })
}

pub(crate) async fn remove(docker: &Docker, name: &str) -> Result<(), RuntimeError> {
    docker.remove_network(name).await.map_err(|error| refine(Call::Network, error))
}

fn info(found: &NetworkInspect) -> Option<NetworkInfo> {
    let configs = found.ipam.as_ref()?.config.as_ref()?;
    configs.iter().find_map(|config| {
        let subnet: Cidr = config.subnet.as_deref()?.parse().ok()?;
        let told: Option<Ipv4Addr> = config.gateway.as_deref().and_then(|text| text.parse().ok());
        Some(NetworkInfo { subnet, gateway: told.or_else(|| subnet.nth(1))? })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_ipv4_subnet_counts() {
        let check = |config: serde_json::Value, expected: Option<(&str, &str)>| {
            let found = serde_json::from_value(json!({"Name": "n", "IPAM": {"Config": config}}))
                .expect("an inspection");
            let expected = expected.map(|(subnet, gateway)| NetworkInfo {
                subnet: subnet.parse().expect("a network"),
                gateway: gateway.parse().expect("an address"),
            });
            assert_eq!(info(&found), expected);
        };
        let v4 = json!({"Subnet": "172.20.0.0/16", "Gateway": "172.20.0.1"});
        check(json!([v4]), Some(("172.20.0.0/16", "172.20.0.1")));
        check(json!([{"Subnet": "fd00::/64"}, {"Subnet": "10.1.0.0/24"}]), Some(("10.1.0.0/24", "10.1.0.1")));
        check(json!([{"Subnet": "fd00::/64"}]), None);
        check(json!([]), None);
    }
}

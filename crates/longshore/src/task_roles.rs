//! What containers need of this machine to use their task's role: the address where they ask for its credentials, and one
//! where they reach the API.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use longshore_client::HttpClient;
use longshore_node::CredentialsEndpoint;

use crate::control_plane::ControlPlane;
use crate::out::tell;

/// Beside the ports that agents have on a machine. Containers are told it once, when they are made.
const API: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)), 51680);

/// Whoever finds one of these runs in a task of ECS itself: the address is that task's way to its own credentials.
const OF_A_TASK: [&str; 2] = ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "ECS_CONTAINER_METADATA_URI_V4"];

/// The address of credentials, as far as this process may have it.
pub async fn endpoint() -> Option<Arc<CredentialsEndpoint>> {
    if let Some(found) = OF_A_TASK.iter().find(|name| std::env::var_os(name).is_some()) {
        tell!(
            "note: tasks with a role (taskRoleArn) cannot run here: {found} is set, so that this process is in a task itself, \
             which needs 169.254.170.2 for its own credentials"
        );
        return None;
    }
    match CredentialsEndpoint::open().await {
        Ok(endpoint) => Some(endpoint),
        Err(error) => {
            tell!("note: tasks with a role (taskRoleArn) cannot run here: {error}");
            None
        }
    }
}

/// The same where the control plane is elsewhere: the agent hands on what they ask. Gives the URL that they are told.
pub async fn forward_api(
    endpoint: &Arc<CredentialsEndpoint>,
    http: &HttpClient,
    url: &str,
) -> Option<String> {
    match endpoint.forward_api(http.clone(), url).await {
        Ok(told) => Some(told),
        Err(error) => {
            tell!("note: containers are not told where the API is: {error}");
            None
        }
    }
}

/// Serves the API to containers, beside the credentials. Gives the URL that they are told.
pub async fn serve_api(control_plane: &mut ControlPlane) -> Option<String> {
    match control_plane.serve_containers(API).await {
        Ok(()) => Some(format!("http://{API}")),
        Err(error) => {
            tell!("note: containers are not told where the API is: {error}");
            None
        }
    }
}

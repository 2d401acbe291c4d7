//! Task metadata where every container on this machine can ask for it: at the gateway of the agent's network.
//!
//! 169.254.170.2 is one address for the whole machine, and leads to one agent at most. Of several agents each listens
//! at the gateway of its network instead. That is an address of the host: containers in any network reach it, and so
//! do those in the host's own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use longshore_base::Cidr;
use longshore_runtime::Runtime;
use tokio::net::TcpListener;
use tracing::warn;

use crate::config::Config;

/// The network in which the engine puts containers in bridge mode.
const BRIDGE: &str = "bridge";

const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Gateway {
    pub listener: TcpListener,
    pub peers: Peers,
    /// What containers are told.
    pub url: String,
}

/// Who may ask: these networks, and the machine itself, which has many addresses; Docker's rules let its connections to a
/// gateway come from any of them. The host would answer at its gateways to neighbours in its outer networks, too.
#[derive(Clone, Debug)]
pub(super) struct Peers(Vec<Cidr>);

impl Peers {
    pub fn allow(&self, peer: IpAddr) -> bool {
        match peer {
            IpAddr::V4(peer) => self.0.iter().any(|network| network.contains(peer)) || is_own(peer),
            IpAddr::V6(_) => false,
        }
    }
}

/// Whether this machine has the address: only then it can be bound.
pub(super) fn is_own(address: Ipv4Addr) -> bool {
    std::net::UdpSocket::bind((address, 0)).is_ok()
}

/// Opens it as far as it can be had: the agent runs all the same, and its containers are told the usual address.
pub(super) async fn open(config: &Config, runtime: &Arc<dyn Runtime>) -> Option<Gateway> {
    let wanted = config.gateway_port?;
    let network = config.engine.task_network.as_ref()?;
    let listener = match bind(network.gateway, wanted).await {
        Ok(listener) => listener,
        Err(error) => {
            // So it is where the engine is on another machine.
            let (agent, gateway) = (&config.name, network.gateway);
            warn!(%agent, %gateway, %error, "cannot listen at the gateway of the network; containers cannot ask for their metadata");
            return None;
        }
    };
    let port = listener.local_addr().ok()?.port();
    let peers = peers(config, runtime).await;
    Some(Gateway { listener, peers, url: format!("http://{}:{port}", network.gateway) })
}

/// Who may ask an agent with these networks.
pub(super) async fn peers(config: &Config, runtime: &Arc<dyn Runtime>) -> Peers {
    let mut peers: Vec<Cidr> = config.engine.task_network.iter().map(|network| network.subnet).collect();
    // Without one, only tasks in the other modes can ask.
    if let Ok(Ok(bridge)) = tokio::time::timeout(PATIENCE, runtime.network_inspect(BRIDGE)).await {
        peers.push(bridge.subnet);
    }
    Peers(peers)
}

/// The wanted port is the one that containers know which were made by an earlier process. Another is better than none.
async fn bind(gateway: Ipv4Addr, wanted: u16) -> std::io::Result<TcpListener> {
    match TcpListener::bind(SocketAddr::from((gateway, wanted))).await {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            TcpListener::bind(SocketAddr::from((gateway, 0))).await
        }
        bound => bound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_containers_of_this_machine_may_ask() {
        let network = |text: &str| text.parse().expect("a network");
        let peers = Peers(vec![network("172.18.0.0/16"), network("172.17.0.0/16")]);
        for (peer, expected) in [
            ("172.18.0.2", true),
            ("172.17.255.254", true),
            // The machine itself, and so containers in its network.
            ("127.0.0.1", true),
            // For documentation: nobody has these.
            ("198.51.100.7", false),
            ("203.0.113.7", false),
            ("::1", false),
        ] {
            assert_eq!(peers.allow(peer.parse().expect("an address")), expected, "{peer}");
        }
    }
}

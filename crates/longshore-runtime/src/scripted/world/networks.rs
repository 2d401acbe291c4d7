//! Networks for tasks in awsvpc mode, and the containers that hold them.

use std::net::Ipv4Addr;

use longshore_base::Cidr;
use longshore_engine::input::ObservedStatus;
use longshore_engine::network::PAUSE_IMAGE;
use longshore_engine::spec::{NetworkPlace, RuntimeId};

use super::{Container, World};
use crate::error::{ErrorKind, RuntimeError};
use crate::port::{NetworkInfo, NetworkRequest};
use crate::scripted::script::ImageScript;

impl World {
    /// The image of pause containers: nothing but SIGKILL ends them.
    pub fn pause_image(&mut self) {
        if !self.scripts.contains_key(PAUSE_IMAGE) {
            self.script(PAUSE_IMAGE, ImageScript { ignores_term: true, ..ImageScript::default() });
        }
    }

    pub fn network_create(&mut self, request: &NetworkRequest) -> Result<NetworkInfo, RuntimeError> {
        if let Some(found) = self.networks.get(&request.name) {
            return match request.subnet {
                Some(subnet) if subnet != found.subnet => Err(RuntimeError::new(
                    ErrorKind::Conflict,
                    format!("network {} exists with subnet {}", request.name, found.subnet),
                )),
                Some(_) | None => Ok(*found),
            };
        }
        let free = (18..32).filter_map(|n| Cidr::of(Ipv4Addr::new(172, n, 0, 0), 16));
        let chosen = request.subnet.or_else(|| {
            free.into_iter().find(|subnet| self.networks.values().all(|other| other.subnet != *subnet))
        });
        let info = chosen.and_then(|subnet| Some(NetworkInfo { subnet, gateway: subnet.nth(1)? }));
        let none = || RuntimeError::new(ErrorKind::Refused, "no free address pool");
        let info = info.ok_or_else(none)?;
        self.networks.insert(request.name.clone(), info);
        Ok(info)
    }

    pub fn network_inspect(&self, name: &str) -> Result<NetworkInfo, RuntimeError> {
        self.networks.get(name).copied().ok_or_else(|| no_such_network(name))
    }

    pub fn network_remove(&mut self, name: &str) -> Result<(), RuntimeError> {
        let is_in = |container: &Container| match &container.place {
            NetworkPlace::Own { network, .. } => {
                network == name && container.status == ObservedStatus::Running
            }
            NetworkPlace::ByMode | NetworkPlace::Shared(_) => false,
        };
        if self.containers.values().any(is_in) {
            return Err(RuntimeError::new(
                ErrorKind::Conflict,
                format!("network {name} has active endpoints"),
            ));
        }
        self.networks.remove(name).map(drop).ok_or_else(|| no_such_network(name))
    }

    /// Why a container cannot start where it is to be: no such network, an address that another one has, or a
    /// name space that is not there.
    pub(super) fn misplaced(&self, id: &RuntimeId) -> Option<RuntimeError> {
        let container = self.containers.get(id)?;
        let runs = |other: &Container| other.status == ObservedStatus::Running;
        match &container.place {
            NetworkPlace::ByMode => None,
            NetworkPlace::Own { network, interface } => {
                let Some(info) = self.networks.get(network) else { return Some(no_such_network(network)) };
                let has_it = |other: &Container| match &other.place {
                    NetworkPlace::Own { interface: own, .. } => own.address == interface.address,
                    NetworkPlace::ByMode | NetworkPlace::Shared(_) => false,
                };
                let taken =
                    self.containers.iter().any(|(at, other)| at != id && runs(other) && has_it(other));
                let text = match (info.subnet.contains(interface.address), taken) {
                    (true, false) => return None,
                    (true, true) => "Address already in use",
                    (false, _) => "no configured subnet contains the IP address",
                };
                Some(RuntimeError::new(ErrorKind::Refused, text))
            }
            NetworkPlace::Shared(pause) => {
                let there = self.containers.get(pause).is_some_and(runs);
                let text = format!("cannot join network of a non running container: {pause}");
                (!there).then(|| RuntimeError::new(ErrorKind::Conflict, text))
            }
        }
    }
}

fn no_such_network(name: &str) -> RuntimeError {
    RuntimeError::new(ErrorKind::NotFound, format!("network {name} not found"))
}

//! The network interfaces of tasks in awsvpc mode: which addresses an instance has to give, and who gets which.
//!
//! There is no VPC. An agent owns a network on its machine and registers the range of addresses that it has for
//! tasks; placement counts them, and each task is given one with its place ([`TaskNetwork::choose`]). What is
//! taken is always derived from the tasks that are not STOPPED, so nothing can leak.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use longshore_base::{Cidr, Region, Seed};

/// The range of addresses that an instance has for tasks: `172.20.0.0/18`.
pub const NETWORK_ATTRIBUTE: &str = "longshore.task-network";
/// The gateway of the network that the range lies in, with that network's prefix: `172.20.0.1/16`. Absent: the
/// first address of the range, and its prefix.
pub const GATEWAY_ATTRIBUTE: &str = "longshore.task-gateway";

/// The name servers of that network, if whoever makes its interfaces does not know better: `10.9.0.2,10.9.0.3`.
pub const NAME_SERVERS_ATTRIBUTE: &str = "longshore.task-name-servers";

/// The name servers in the value of [`NAME_SERVERS_ATTRIBUTE`]. What is no address is left out: engines refuse a container
/// with it.
pub fn name_servers(value: &str) -> impl Iterator<Item = IpAddr> + '_ {
    value.split(',').filter_map(|text| text.trim().parse().ok())
}

/// The addresses that one instance can give to tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskNetwork {
    range: Cidr,
    /// The whole network; the range is a part of it.
    network: Cidr,
    gateway: Ipv4Addr,
}

impl TaskNetwork {
    /// Reads the attributes of an instance. `None` if they are absent, cannot be read, or contradict each other.
    pub fn of<'a>(attribute: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        let range: Cidr = attribute(NETWORK_ATTRIBUTE)?.parse().ok()?;
        let Some(text) = attribute(GATEWAY_ATTRIBUTE) else {
            return Some(Self { range, network: range, gateway: range.nth(1)? });
        };
        let (gateway, _) = text.split_once('/')?;
        let (gateway, network): (Ipv4Addr, Cidr) = (gateway.parse().ok()?, text.parse().ok()?);
        let inside = network.contains(range.first()) && network.contains(range.last());
        inside.then_some(Self { range, network, gateway })
    }

    pub fn gateway(self) -> Ipv4Addr {
        self.gateway
    }

    /// The prefix of the network that the addresses are in.
    pub fn prefix(self) -> u8 {
        self.network.prefix()
    }

    /// How many tasks can have an address at a time.
    pub fn capacity(self) -> u32 {
        let reserved: BTreeSet<Ipv4Addr> = [self.network.first(), self.network.last(), self.gateway]
            .into_iter()
            .filter(|address| self.range.contains(*address))
            .collect();
        u32::try_from(self.range.size().saturating_sub(reserved.len() as u64)).unwrap_or(u32::MAX)
    }

    /// True for an address of the range that a task may have: neither the network's first or last address nor the
    /// gateway's.
    pub fn is_usable(self, address: Ipv4Addr) -> bool {
        self.range.contains(address)
            && address != self.network.first()
            && address != self.network.last()
            && address != self.gateway
    }

    /// An address that is not in `taken`; `None` if there is none. The search begins where `seed` says: an address
    /// that has just been given back is seldom the next one given out, so that whoever still has it by heart, or
    /// a task whose instance was lost for a while, is not mistaken for its successor.
    pub fn choose(self, taken: &BTreeSet<Ipv4Addr>, seed: Seed) -> Option<Ipv4Addr> {
        let size = self.range.size();
        let start = ((u128::from(seed.bits()) * u128::from(size)) >> 64) as u64;
        // All that can be in the way are the taken ones and three reserved ones.
        let tries = size.min(taken.len() as u64 + 4);
        (0..tries)
            .filter_map(|n| self.range.nth((start + n) % size))
            .find(|address| self.is_usable(*address) && !taken.contains(address))
    }
}

/// The MAC address that goes with an address: locally administered, and as unique in a network as the address is,
/// so that a neighbour that remembers it from an earlier task is right. Made as Docker's bridges make it, because
/// engines before version 25 take no other for an interface with an address of its own.
pub fn mac(address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("02:42:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

/// The id of an interface: `eni-` and 17 hex digits.
pub fn interface_id(seed: Seed) -> String {
    format!("eni-{:016x}{:x}", seed.of(0).bits(), seed.of(1).bits() & 0xf)
}

/// `ip-10-9-1-5.ec2.internal`, with the region in place of `ec2` outside of the oldest one.
pub fn private_dns_name(region: &Region, address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    match region.as_str() {
        "us-east-1" => format!("ip-{a}-{b}-{c}-{d}.ec2.internal"),
        region => format!("ip-{a}-{b}-{c}-{d}.{region}.compute.internal"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(range: &str, gateway: Option<&str>) -> Option<TaskNetwork> {
        TaskNetwork::of(|name| match name {
            NETWORK_ATTRIBUTE => Some(range),
            GATEWAY_ATTRIBUTE => gateway,
            _ => None,
        })
    }

    #[test]
    fn attributes_are_read() {
        let check = |range, gateway, capacity: Option<u32>| {
            assert_eq!(network(range, gateway).map(TaskNetwork::capacity), capacity, "{range} {gateway:?}");
        };
        check("10.9.0.0/24", None, Some(253));
        check("10.9.0.0/24", Some("10.9.0.1/16"), Some(254)); // the last address is not the network's
        check("10.9.1.0/24", Some("10.9.0.1/16"), Some(256));
        check("10.9.255.0/24", Some("10.9.0.1/16"), Some(255));
        check("10.9.0.0/31", None, Some(0));
        check("10.9.0.0/32", None, None); // no room for a gateway
        check("10.8.0.0/24", Some("10.9.0.1/16"), None);
        check("10.9.0.0/24", Some("10.9.0.1"), None);
        check("nonsense", None, None);
        assert_eq!(TaskNetwork::of(|_| None), None);
    }

    #[test]
    fn name_servers_are_addresses() {
        let read = |value| name_servers(value).map(|server| server.to_string()).collect::<Vec<_>>();
        assert_eq!(read("10.9.0.2, 10.9.0.3"), ["10.9.0.2", "10.9.0.3"]);
        assert_eq!(read("fd00::2,resolver.example,,10.9.0"), ["fd00::2"]);
        assert!(read("").is_empty());
    }

    #[test]
    fn every_usable_address_is_given_once_and_then_none() {
        let network = network("10.9.0.0/27", Some("10.9.0.1/24")).expect("a network");
        for run in 0..20 {
            let mut taken = BTreeSet::new();
            for n in 0..u64::from(network.capacity()) {
                let given = network.choose(&taken, Seed::new(run).of(n)).expect("one is free");
                assert!(network.is_usable(given) && taken.insert(given), "{given} again");
            }
            assert_eq!(network.choose(&taken, Seed::new(run)), None);
            let back = *taken.first().expect("some were taken");
            taken.remove(&back);
            assert_eq!(network.choose(&taken, Seed::new(run)), Some(back));
        }
    }

    #[test]
    fn addresses_of_others_do_not_matter() {
        // An instance that came back with another network still has tasks with addresses of the old one.
        let network = network("10.9.0.0/29", None).expect("a network");
        let taken = (0..200).map(|n| Ipv4Addr::new(10, 8, 0, n)).collect();
        assert!(network.choose(&taken, Seed::new(1)).is_some_and(|address| network.is_usable(address)));
    }

    #[test]
    fn ids_have_their_form() {
        let id = interface_id(Seed::new(7));
        assert_eq!((id.len(), &id[..4]), (21, "eni-"));
        assert!(id[4..].bytes().all(|b| b.is_ascii_hexdigit()));
        assert_eq!(mac(Ipv4Addr::new(172, 20, 0, 255)), "02:42:ac:14:00:ff");
    }
}

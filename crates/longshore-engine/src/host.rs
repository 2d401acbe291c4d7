//! The host's ledger: which task holds how much CPU and memory, which ports and which address.
//!
//! The arithmetic is that of the control plane's scheduler (agent-protocol G10): task-level numbers if given, otherwise
//! the sum of the containers', a memory reservation before a limit. Invariant: what is held never exceeds the capacity,
//! and no host port and no address of the node's network is held twice. The control plane gives an address again as
//! soon as it takes the last task that had it for lost; that one may still be stopping here.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use longshore_base::{Port, Protocol, Timestamp};

use crate::journal::HostPorts;
use crate::network::pause_of;
use crate::settings::HostCapacity;
use crate::spec::{NetworkMode, PortMapping, TaskKey, TaskSpec};

/// How long a port that another program had is not chosen. Most such ports belong to connections and short-lived
/// programs; trying one again costs a container's start.
const FOREIGN_PORT_AVOIDED_FOR: Duration = Duration::from_secs(300);

/// What a task needs before any dynamic port is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    pub cpu: u64,
    pub memory: u64,
    pub ports: BTreeSet<(Protocol, u16)>,
    /// In awsvpc mode, where the task's network is on this node.
    pub address: Option<Ipv4Addr>,
}

impl Needs {
    pub fn of(spec: &TaskSpec) -> Self {
        let cpu = match spec.cpu_millis {
            Some(millis) => u64::from(millis) * 1024 / 1000,
            None => spec.containers.iter().map(|c| u64::from(c.cpu.0)).sum(),
        };
        let memory = match spec.memory {
            Some(memory) => u64::from(memory.0),
            None => spec
                .containers
                .iter()
                .filter_map(|c| c.memory_reservation.or(c.memory))
                .map(|memory| u64::from(memory.0))
                .sum(),
        };
        let mut ports = BTreeSet::new();
        for mapping in spec.containers.iter().flat_map(|c| &c.ports) {
            if let Some(first) = fixed_port(spec.network_mode, mapping) {
                ports.extend(span(first.0, mapping.count).map(|port| (mapping.protocol, port)));
            }
        }
        let address = spec.interface.as_ref().filter(|_| pause_of(spec).is_some()).map(|own| own.address);
        Self { cpu, memory, ports, address }
    }
}

/// The host port that a mapping is bound to without any choice. In host mode it is the container's.
fn fixed_port(mode: NetworkMode, mapping: &PortMapping) -> Option<Port> {
    match mode {
        NetworkMode::Bridge => mapping.host,
        NetworkMode::Host => Some(mapping.host.unwrap_or(mapping.container_first)),
        NetworkMode::None | NetworkMode::Awsvpc => None,
    }
}

fn span(first: u16, count: u16) -> impl Iterator<Item = u16> {
    (0..count).filter_map(move |n| first.checked_add(n))
}

#[derive(Clone, Debug, Default)]
struct Holding {
    cpu: u64,
    memory: u64,
    ports: BTreeSet<(Protocol, u16)>,
    address: Option<Ipv4Addr>,
}

impl Holding {
    fn of(needs: &Needs) -> Self {
        let Needs { cpu, memory, ports, address } = needs.clone();
        Self { cpu, memory, ports, address }
    }
}

/// No run of this many free dynamic ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoPorts {
    /// Index of the container that asked.
    pub container: usize,
    pub count: u16,
}

#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    capacity: HostCapacity,
    holdings: BTreeMap<TaskKey, Holding>,
    cpu: u64,
    memory: u64,
    ports: BTreeSet<(Protocol, u16)>,
    addresses: BTreeSet<Ipv4Addr>,
    /// Ports that, as the runtime said, programs outside of our tasks have, and until when they are not chosen.
    foreign_ports: BTreeMap<(Protocol, u16), Timestamp>,
    /// Where the search for a dynamic port begins, so that a freed port rests before it is used again.
    cursor: BTreeMap<Protocol, u16>,
}

impl Ledger {
    pub fn new(capacity: HostCapacity) -> Self {
        let first = capacity.first_dynamic_port.map(|port| port.0);
        let cursor =
            [Protocol::Tcp, Protocol::Udp].into_iter().filter_map(|protocol| Some((protocol, first?)));
        Self {
            cursor: cursor.collect(),
            capacity,
            holdings: BTreeMap::new(),
            foreign_ports: BTreeMap::new(),
            cpu: 0,
            memory: 0,
            ports: BTreeSet::new(),
            addresses: BTreeSet::new(),
        }
    }

    fn reserved(&self, protocol: Protocol) -> &[Port] {
        match protocol {
            Protocol::Tcp => &self.capacity.reserved_tcp,
            Protocol::Udp => &self.capacity.reserved_udp,
        }
    }

    /// True if no amount of waiting can make room.
    pub fn is_hopeless(&self, needs: &Needs) -> bool {
        needs.cpu > u64::from(self.capacity.cpu.0)
            || needs.memory > u64::from(self.capacity.memory.0)
            || needs.ports.iter().any(|(protocol, port)| self.reserved(*protocol).contains(&Port(*port)))
    }

    /// What stands in the way of `needs`, in words; `None` if they fit. `claimed` is what an older,
    /// still waiting task is owed.
    pub fn shortage(&self, needs: &Needs, claimed: Option<&Needs>) -> Option<String> {
        let (claimed_cpu, claimed_memory) = claimed.map_or((0, 0), |c| (c.cpu, c.memory));
        let mut lacking = Vec::new();
        let free_cpu = u64::from(self.capacity.cpu.0).saturating_sub(self.cpu + claimed_cpu);
        if needs.cpu > free_cpu {
            lacking.push(format!("CPU (needs {}, {free_cpu} free)", needs.cpu));
        }
        let free_memory = u64::from(self.capacity.memory.0).saturating_sub(self.memory + claimed_memory);
        if needs.memory > free_memory {
            lacking.push(format!("MEMORY (needs {} MiB, {free_memory} MiB free)", needs.memory));
        }
        for entry @ (protocol, port) in &needs.ports {
            let taken = self.ports.contains(entry)
                || self.reserved(*protocol).contains(&Port(*port))
                || claimed.is_some_and(|c| c.ports.contains(entry));
            if taken {
                lacking.push(format!("host port {port}/{} is taken", protocol.as_str()));
            }
        }
        if let Some(address) = needs.address
            && (self.addresses.contains(&address) || claimed.is_some_and(|c| c.address == Some(address)))
        {
            lacking.push(format!("address {address} is taken"));
        }
        (!lacking.is_empty()).then(|| lacking.join(", "))
    }

    /// Gives the task what it needs, and chooses its dynamic ports. Only after [`Self::shortage`] said
    /// `None`. The ports are per container and mapping, in the order of `spec`.
    pub fn admit(&mut self, spec: &TaskSpec, needs: &Needs) -> Result<Vec<Vec<HostPorts>>, NoPorts> {
        let mut holding = Holding::of(needs);
        let mut chosen = Vec::with_capacity(spec.containers.len());
        for (index, container) in spec.containers.iter().enumerate() {
            let mut ports = Vec::with_capacity(container.ports.len());
            for mapping in &container.ports {
                let host_first = match (fixed_port(spec.network_mode, mapping), spec.network_mode) {
                    (Some(port), _) => port,
                    (None, NetworkMode::None | NetworkMode::Awsvpc) => continue,
                    (None, NetworkMode::Bridge | NetworkMode::Host) => self
                        .choose(&holding.ports, mapping.protocol, mapping.count)
                        .ok_or(NoPorts { container: index, count: mapping.count })?,
                };
                holding.ports.extend(span(host_first.0, mapping.count).map(|port| (mapping.protocol, port)));
                ports.push(HostPorts {
                    container_first: mapping.container_first,
                    host_first,
                    count: mapping.count,
                    protocol: mapping.protocol,
                    range: mapping.range,
                });
            }
            chosen.push(ports);
        }
        self.hold(spec.key.clone(), holding);
        Ok(chosen)
    }

    /// Takes back into the ledger what a task held before a restart.
    pub fn readmit<'a>(&mut self, key: &TaskKey, needs: &Needs, ports: impl Iterator<Item = &'a HostPorts>) {
        let mut holding = Holding::of(needs);
        for chosen in ports {
            holding.ports.extend(span(chosen.host_first.0, chosen.count).map(|port| (chosen.protocol, port)));
        }
        self.hold(key.clone(), holding);
    }

    /// Ports that other programs had long ago may be chosen again.
    pub fn forget_foreign_ports(&mut self, now: Timestamp) {
        self.foreign_ports.retain(|_, until| *until > now);
    }

    /// Chooses other host ports for a container whose dynamic ones another program has: for the mapping with the port
    /// `taken`, for all if the runtime did not tell which. What was refused is avoided for
    /// [`FOREIGN_PORT_AVOIDED_FOR`].
    ///
    /// `None` if there is nothing to choose: no dynamic mapping is concerned, or no port is left.
    pub fn choose_again(
        &mut self,
        spec: &TaskSpec,
        index: usize,
        ports: &[HostPorts],
        taken: Option<Port>,
        now: Timestamp,
    ) -> Option<Vec<HostPorts>> {
        self.forget_foreign_ports(now);
        let mappings = &spec.containers[index].ports;
        let mut chosen = ports.to_vec();
        let mut any = false;
        for (mapping, ports) in mappings.iter().zip(&mut chosen) {
            let concerned =
                taken.is_none_or(|taken| span(ports.host_first.0, ports.count).any(|port| port == taken.0));
            if !concerned || fixed_port(spec.network_mode, mapping).is_some() {
                continue;
            }
            let refused = taken.map_or(span(ports.host_first.0, ports.count).collect(), |port| vec![port.0]);
            for port in refused {
                self.foreign_ports.insert((ports.protocol, port), now + FOREIGN_PORT_AVOIDED_FOR);
            }
            let first = self.choose(&BTreeSet::new(), ports.protocol, ports.count)?;
            let holding = self.holdings.get_mut(&spec.key)?;
            for port in span(ports.host_first.0, ports.count) {
                holding.ports.remove(&(ports.protocol, port));
                self.ports.remove(&(ports.protocol, port));
            }
            for port in span(first.0, ports.count) {
                holding.ports.insert((ports.protocol, port));
                self.ports.insert((ports.protocol, port));
            }
            ports.host_first = first;
            any = true;
        }
        any.then_some(chosen)
    }

    fn hold(&mut self, key: TaskKey, holding: Holding) {
        self.cpu += holding.cpu;
        self.memory += holding.memory;
        self.ports.extend(holding.ports.iter().copied());
        self.addresses.extend(holding.address);
        self.holdings.insert(key, holding);
    }

    /// Gives back everything that the task holds; false if it held nothing.
    pub fn release(&mut self, key: &TaskKey) -> bool {
        let Some(holding) = self.holdings.remove(key) else { return false };
        self.cpu -= holding.cpu;
        self.memory -= holding.memory;
        for port in &holding.ports {
            self.ports.remove(port);
        }
        if let Some(address) = holding.address {
            self.addresses.remove(&address);
        }
        true
    }

    pub fn cpu_held(&self) -> u64 {
        self.cpu
    }

    pub fn memory_held(&self) -> u64 {
        self.memory
    }

    pub fn ports_held(&self) -> impl Iterator<Item = (Protocol, Port)> + '_ {
        self.ports.iter().map(|(protocol, port)| (*protocol, Port(*port)))
    }

    /// The first run of `count` free ports at or after the cursor, else from the range's start.
    fn choose(&mut self, own: &BTreeSet<(Protocol, u16)>, protocol: Protocol, count: u16) -> Option<Port> {
        let (first, last) = (self.capacity.dynamic_ports.0.0, self.capacity.dynamic_ports.1.0);
        let start = self.cursor.get(&protocol).copied().filter(|p| (first..=last).contains(p));
        let start = start.unwrap_or(first);
        let free = |port: u16| {
            !self.ports.contains(&(protocol, port))
                && !self.foreign_ports.contains_key(&(protocol, port))
                && !own.contains(&(protocol, port))
                && !self.reserved(protocol).contains(&Port(port))
        };
        let run_in = |from: u16, to: u16| {
            let mut length = 0;
            (from..=to).find_map(|port| {
                length = if free(port) { length + 1 } else { 0 };
                (length == count).then(|| port - (count - 1))
            })
        };
        let found = run_in(start, last).or_else(|| run_in(first, last))?;
        let next = found.checked_add(count).filter(|port| *port <= last).unwrap_or(first);
        self.cursor.insert(protocol, next);
        Some(Port(found))
    }
}

#[cfg(test)]
mod tests {
    use longshore_base::{CpuUnits, MemoryMib};

    use super::*;

    fn ledger() -> Ledger {
        let host = HostCapacity::new(CpuUnits(1024), MemoryMib(1024));
        Ledger::new(HostCapacity { dynamic_ports: (Port(40000), Port(40004)), ..host })
    }

    fn choose(ledger: &mut Ledger, count: u16) -> Option<u16> {
        ledger.choose(&BTreeSet::new(), Protocol::Tcp, count).map(|port| port.0)
    }

    #[test]
    fn a_port_rests_before_it_is_chosen_again() {
        let mut ledger = ledger();
        let chosen: Vec<_> = (0..6).map(|_| choose(&mut ledger, 1)).collect();
        assert_eq!(chosen, [40000, 40001, 40002, 40003, 40004, 40000].map(Some));
    }

    #[test]
    fn the_first_search_begins_where_it_is_told() {
        let host = HostCapacity::new(CpuUnits(1024), MemoryMib(1024));
        let capacity = HostCapacity {
            dynamic_ports: (Port(40000), Port(40004)),
            first_dynamic_port: Some(Port(40003)),
            ..host
        };
        let mut ledger = Ledger::new(capacity);
        let chosen: Vec<_> = (0..3).map(|_| choose(&mut ledger, 1)).collect();
        assert_eq!(chosen, [40003, 40004, 40000].map(Some));
    }

    #[test]
    fn ranges_are_contiguous_and_skip_what_is_held() {
        let mut ledger = ledger();
        ledger.ports.insert((Protocol::Tcp, 40001));
        assert_eq!(choose(&mut ledger, 3), Some(40002));
        assert_eq!(choose(&mut ledger, 4), None);
        assert_eq!(ledger.choose(&BTreeSet::new(), Protocol::Udp, 5), Some(Port(40000)));
    }

    #[test]
    fn a_port_that_another_program_has_is_avoided_for_a_while() {
        let mut ledger = ledger();
        let now = Timestamp::from_millis(0);
        ledger.foreign_ports.insert((Protocol::Tcp, 40000), now + FOREIGN_PORT_AVOIDED_FOR);
        assert_eq!(choose(&mut ledger, 1), Some(40001));
        assert_eq!(choose(&mut ledger, 5), None);
        ledger.forget_foreign_ports(now + FOREIGN_PORT_AVOIDED_FOR);
        assert_eq!(choose(&mut ledger, 5), Some(40000));
    }

    #[test]
    fn a_claim_is_kept_free_in_what_it_claims_only() {
        let ledger = ledger();
        let needs = |cpu, memory, port: Option<u16>| Needs {
            cpu,
            memory,
            ports: port.map(|p| (Protocol::Tcp, p)).into_iter().collect(),
            address: None,
        };
        let claim = needs(0, 1000, Some(80));
        assert_eq!(ledger.shortage(&needs(1024, 24, Some(81)), Some(&claim)), None);
        assert!(ledger.shortage(&needs(0, 25, None), Some(&claim)).is_some());
        assert!(ledger.shortage(&needs(0, 0, Some(80)), Some(&claim)).is_some());
        assert!(ledger.is_hopeless(&needs(0, 0, Some(22))) && ledger.is_hopeless(&needs(1025, 0, None)));
    }
}

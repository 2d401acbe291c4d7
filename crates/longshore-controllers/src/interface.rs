//! Network interfaces: given to tasks in awsvpc mode with their place, told to agents, shown to users.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

pub use longshore_domain::interface::private_dns_name;
use longshore_domain::{TaskNetwork, interface};
use longshore_link::message::{ElasticNetworkInterface, Ipv4Address};
use longshore_state::{State, Tx};
use longshore_tables_ecs::record::{Interface, Task};
use longshore_tables_ecs::{ClusterKey, EcsState, InstanceKey};

use crate::subnets::Subnet;

/// An interface for a new task on the instance `at`, of a cluster or of the pool. The caller puts it into the task's record; until that
/// record is STOPPED, nobody else gets its address.
///
/// `None` if the instance has no network for tasks, or no address left. Placement asks for both (the attribute, and
/// `RESOURCE:ENI`), so after it said yes there is one.
///
/// `subnet` is the one that it is shown in. Its address is none of the subnet's.
pub fn allocate(tx: &mut Tx<'_>, at: &InstanceKey, subnet: Option<&Subnet>) -> Option<Interface> {
    let seed = tx.ids.seed();
    let network = network(tx.state(), at)?;
    let taken = taken(tx.state(), at);
    let address = network.choose(&taken, seed.of(0))?;
    Some(Interface {
        attachment: tx.ids.uuid().into(),
        id: interface::interface_id(seed.of(1)).into(),
        address,
        gateway: network.gateway(),
        prefix: network.prefix(),
        subnet: subnet.map(|own| own.id.clone()),
        zone: subnet.and_then(|own| own.zone.clone()),
    })
}

/// The addresses that an instance has for tasks; `None` if it told of none.
pub fn network(state: &State, at: &InstanceKey) -> Option<TaskNetwork> {
    let fleet = state.ecs().cluster(&at.cluster)?.fleet();
    TaskNetwork::of(|name| fleet.attribute(at.instance, name))
}

/// The addresses of the instance's tasks that are not STOPPED.
pub fn taken(state: &State, at: &InstanceKey) -> BTreeSet<Ipv4Addr> {
    state.ecs().tasks_on(at).filter_map(|(_, task)| Some(task.interface.as_ref()?.address)).collect()
}

/// The interface as agents are told of it (agent-protocol G12). Without name servers, the containers get those that
/// the engine gives to all of its containers.
pub fn payload(state: &State, at: &ClusterKey, task: &Task) -> Option<ElasticNetworkInterface> {
    let interface = task.interface.as_ref()?;
    let host = task.instance.zip(state.ecs().host(at, task));
    let servers = host.and_then(|(id, host)| host.fleet().attribute(id, interface::NAME_SERVERS_ATTRIBUTE));
    Some(ElasticNetworkInterface {
        attachment_arn: at.scope.attachment_arn(&at.cluster, &interface.attachment),
        ec2_id: interface.id.to_string(),
        mac_address: interface::mac(interface.address),
        index: 0,
        ipv4_addresses: vec![Ipv4Address { private_address: interface.address.to_string(), primary: true }],
        subnet_gateway_ipv4_address: format!("{}/{}", interface.gateway, interface.prefix),
        domain_name_servers: servers
            .into_iter()
            .flat_map(interface::name_servers)
            .map(|server| server.to_string())
            .collect(),
        private_dns_name: private_dns_name(&at.scope.region, interface.address),
        interface_association_protocol: "default".into(),
        ..ElasticNetworkInterface::default()
    })
}

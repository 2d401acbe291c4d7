//! What a realm has before anybody has made anything: a default VPC (observe-and-scale K14).
//!
//! 172.31.0.0/16 with a subnet of 4096 addresses in each zone, an internet gateway, and the route to it; and what comes with
//! every VPC ([`companions`]).

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use longshore_base::{Cidr, Region, Scope};
use longshore_domain::tags::Tags;
use longshore_state::Tx;

use crate::ids::{self, prefix};
use crate::key::{Id, OwnKey};
use crate::record::{
    Destination, DhcpOptions, Hostnames, InternetGateway, NetworkAcl, Peer, Permission, RouteTable, Rule,
    SecurityGroup, Subnet, Vpc,
};
use crate::tables::Realm;

/// The letters of a region's zones. Every region has as many.
pub const ZONES: [char; 3] = ['a', 'b', 'c'];

/// What the group is called that a VPC comes with, and that nobody may delete.
pub const GROUP_NAME: &str = "default";
const GROUP_DESCRIPTION: &str = "default VPC security group";

/// A VPC with all that is in it.
pub struct Network {
    pub vpc: (Id, Vpc),
    pub group: (Id, SecurityGroup),
    pub table: (Id, RouteTable),
    pub acl: (Id, NetworkAcl),
    pub gateway: Option<(Id, InternetGateway)>,
    pub subnets: Vec<(Id, Subnet)>,
}

/// The zone of a region with this letter.
pub fn zone(region: &Region, letter: char) -> String {
    format!("{region}{letter}")
}

pub fn everywhere() -> Cidr {
    Cidr::of(Ipv4Addr::UNSPECIFIED, 0).expect("a prefix of 0 is one")
}

/// The id of a realm's only DHCP options.
pub fn dhcp_options(scope: &Scope) -> Id {
    ids::fixed(prefix::DHCP_OPTIONS, scope, "default")
}

/// A VPC, and what comes with each: a group, a route table, a network ACL. `id` gives the id for a prefix and a word that
/// says which of them it is.
pub fn companions(
    scope: &Scope,
    cidr: Cidr,
    mut id: impl FnMut(&'static str, &'static str) -> Id,
) -> Network {
    let (vpc, group, table) =
        (id(prefix::VPC, "vpc"), id(prefix::GROUP, "group"), id(prefix::ROUTE_TABLE, "main"));
    let record = Vpc {
        cidr,
        is_default: false,
        is_dedicated: false,
        dns_support: true,
        dns_hostnames: false,
        usage_metrics: false,
        dhcp_options: dhcp_options(scope),
        main_table: table.clone(),
        main_association: id(prefix::ROUTE_ASSOCIATION, "main"),
        tags: Tags::new(),
    };
    let mut rule = |is_egress, what, peer| {
        let permission = Permission { is_egress, protocol: "-1".into(), from: -1, to: -1, peer };
        Rule { id: id(prefix::RULE, what), permission, description: None, tags: Tags::new() }
    };
    let rules =
        vec![rule(false, "own", Peer::Group(group.clone())), rule(true, "all", Peer::Ipv4(everywhere()))];
    let group_record = SecurityGroup {
        vpc: vpc.clone(),
        name: GROUP_NAME.into(),
        description: GROUP_DESCRIPTION.into(),
        rules,
        tags: Tags::new(),
    };
    let table_record =
        RouteTable { vpc: vpc.clone(), routes: BTreeMap::new(), subnets: BTreeMap::new(), tags: Tags::new() };
    let acl = (id(prefix::ACL, "acl"), NetworkAcl { vpc: vpc.clone(), tags: Tags::new() });
    Network {
        vpc: (vpc, record),
        group: (group, group_record),
        table: (table, table_record),
        acl,
        gateway: None,
        subnets: Vec::new(),
    }
}

/// A default VPC.
pub fn network(scope: &Scope, mut id: impl FnMut(&'static str, &'static str) -> Id) -> Network {
    let cidr = Cidr::of(Ipv4Addr::new(172, 31, 0, 0), 16).expect("a prefix of 16 is one");
    let mut network = companions(scope, cidr, &mut id);
    network.vpc.1.is_default = true;
    network.vpc.1.dns_hostnames = true;
    let gateway = id(prefix::GATEWAY, "gateway");
    network.table.1.routes.insert(Destination::Ipv4(everywhere()), gateway.clone());
    let vpc = network.vpc.0.clone();
    network.gateway = Some((gateway, InternetGateway { vpc: Some(vpc.clone()), tags: Tags::new() }));
    for (letter, (n, what)) in ZONES.into_iter().zip([(0, "a"), (1, "b"), (2, "c")]) {
        let subnet = Subnet {
            vpc: vpc.clone(),
            // Sixteen of 4096 addresses: room for as many zones.
            cidr: cidr.subnet(n, 16).expect("there are sixteen"),
            zone: zone(&scope.region, letter).into(),
            is_default: true,
            public_addresses: true,
            hostnames: Hostnames::default(),
            tags: Tags::new(),
        };
        network.subnets.push((id(prefix::SUBNET, what), subnet));
    }
    network
}

/// What a realm has that is not settled.
pub fn realm(scope: &Scope) -> Realm {
    let mut realm = Realm::default();
    realm.dhcp_options.insert(dhcp_options(scope), DhcpOptions::default().into());
    let network = network(scope, |prefix, what| ids::fixed(prefix, scope, what));
    realm.vpcs.insert(network.vpc.0, network.vpc.1.into());
    realm.groups.insert(network.group.0, network.group.1.into());
    realm.tables.insert(network.table.0, network.table.1.into());
    realm.acls.insert(network.acl.0, network.acl.1.into());
    realm.gateways.extend(network.gateway.map(|(id, gateway)| (id, gateway.into())));
    realm.subnets.extend(network.subnets.into_iter().map(|(id, subnet)| (id, subnet.into())));
    realm
}

impl Network {
    /// Writes all of it down: eight records for a default VPC, four for another.
    pub fn store(self, tx: &mut Tx<'_>, scope: &Scope) {
        let key = |id: &Id| OwnKey::new(scope, id);
        tx.put::<Vpc>(key(&self.vpc.0), self.vpc.1);
        tx.put::<SecurityGroup>(key(&self.group.0), self.group.1);
        tx.put::<RouteTable>(key(&self.table.0), self.table.1);
        tx.put::<NetworkAcl>(key(&self.acl.0), self.acl.1);
        if let Some((id, gateway)) = self.gateway {
            tx.put::<InternetGateway>(key(&id), gateway);
        }
        for (id, subnet) in self.subnets {
            tx.put::<Subnet>(key(&id), subnet);
        }
    }
}

//! Which key each record has, and since when it looks as it does.

use longshore_state::{Kind, Record};

use super::{
    DhcpOptions, InternetGateway, KeyPair, LaunchTemplate, NetworkAcl, RouteTable, SecurityGroup, Settled,
    Subnet, TemplateVersion, Vpc,
};
use crate::key::{OwnKey, RealmKey, VersionKey};
use crate::tables::Ec2Tables;

macro_rules! kinds {
    ($($record:ty: $key:ty = $name:literal $level:literal,)*) => {$(
        impl Record for $record {
            type Key = $key;
            type Tables = Ec2Tables;
            const KIND: Kind = Kind { name: $name, level: $level };
        }
    )*};
}

kinds! {
    DhcpOptions: OwnKey = "dhcp-options" 1,
    InternetGateway: OwnKey = "internet-gateways" 1,
    KeyPair: OwnKey = "key-pairs" 1,
    LaunchTemplate: OwnKey = "launch-templates" 1,
    NetworkAcl: OwnKey = "network-acls" 1,
    RouteTable: OwnKey = "route-tables" 1,
    SecurityGroup: OwnKey = "security-groups" 1,
    Settled: RealmKey = "settled-realms" 1,
    Subnet: OwnKey = "subnets" 1,
    TemplateVersion: VersionKey = "template-versions" 1,
    Vpc: OwnKey = "vpcs" 1,
}

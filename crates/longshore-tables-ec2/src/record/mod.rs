//! The stored forms: what survives a restart.
//!
//! The layout is a promise (see [`longshore_state::Record`]): members are only ever appended, with `#[serde(default)]` and
//! a higher level of the kind, and the golden files under `tests/golden` hold one record of every kind and level.
//!
//! An id that a record has as its key is not in it. Ids of what comes with another thing and has nothing of its own (the
//! association of a subnet with its network ACL) follow from that thing's id and are stored nowhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use longshore_base::{Cidr, Scope, Timestamp};
use longshore_domain::tags::Tags;
use longshore_keyring::{Place, Sealed};
use serde::{Deserialize, Serialize};

mod kinds;

use crate::key::Id;

/// A realm whose default VPC has been written down: it has nothing any more but what has a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settled {
    pub at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vpc {
    pub cidr: Cidr,
    pub is_default: bool,
    pub is_dedicated: bool,
    pub dns_support: bool,
    pub dns_hostnames: bool,
    pub usage_metrics: bool,
    pub dhcp_options: Id,
    /// The route table of subnets that have no other, and the id of its association.
    pub main_table: Id,
    pub main_association: Id,
    pub tags: Tags,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subnet {
    pub vpc: Id,
    pub cidr: Cidr,
    /// `eu-west-1a`
    pub zone: Arc<str>,
    /// Of a default VPC: the subnet that a call means which names a zone only.
    pub is_default: bool,
    pub public_addresses: bool,
    pub hostnames: Hostnames,
    pub tags: Tags,
}

/// What instances of a subnet are to be called.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hostnames {
    /// By their ids, not by their addresses.
    pub by_resource: bool,
    pub a_records: bool,
    pub aaaa_records: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecurityGroup {
    pub vpc: Id,
    /// Unique in its VPC.
    pub name: Arc<str>,
    pub description: Arc<str>,
    /// In the order in which they came.
    pub rules: Vec<Rule>,
    pub tags: Tags,
}

/// What a security group would let through.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// `sgr-…`
    pub id: Id,
    pub permission: Permission,
    pub description: Option<Arc<str>>,
    pub tags: Tags,
}

/// No two rules of a group have the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Permission {
    pub is_egress: bool,
    /// `tcp`, `udp`, `icmp`, `icmpv6`, a number, or `-1` for all.
    pub protocol: Arc<str>,
    /// The first and the last port, or type and code of ICMP; `-1` for all of them.
    pub from: i32,
    pub to: i32,
    pub peer: Peer,
}

/// With whom.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Peer {
    Ipv4(Cidr),
    /// In its canonical form.
    Ipv6(Arc<str>),
    Group(Id),
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InternetGateway {
    /// What it is attached to.
    pub vpc: Option<Id>,
    pub tags: Tags,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouteTable {
    pub vpc: Id,
    /// Beside the one to the VPC itself, which every table has.
    pub routes: BTreeMap<Destination, Id>,
    /// The subnets that use it, by the ids of the associations (`rtbassoc-…`).
    pub subnets: BTreeMap<Id, Id>,
    pub tags: Tags,
}

/// Where a route leads to. Its value in a table is the internet gateway that it leads through.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Destination {
    Ipv4(Cidr),
    /// In its canonical form.
    Ipv6(Arc<str>),
}

/// The network ACL that comes with a VPC. What it says is the same for all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkAcl {
    pub vpc: Id,
    pub tags: Tags,
}

/// The DHCP options of a realm. What they say is the same for all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DhcpOptions {
    pub tags: Tags,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyPair {
    pub name: Arc<str>,
    pub kind: KeyKind,
    pub fingerprint: Arc<str>,
    /// As `authorized_keys` has it: `ssh-ed25519 AAAA…`, with a comment.
    pub public_key: Arc<str>,
    pub created_at: Timestamp,
    pub tags: Tags,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyKind {
    Rsa,
    Ed25519,
}

/// A launch template. What it says is in its versions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaunchTemplate {
    pub name: Arc<str>,
    pub created_at: Timestamp,
    /// An ARN.
    pub created_by: Arc<str>,
    /// The number of the version that counts where none is named.
    pub default_version: u32,
    /// The highest number that was ever given: numbers are never used again.
    pub last_version: u32,
    pub tags: Tags,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TemplateVersion {
    /// The JSON of what was given, sealed for [`TemplateVersion::place`]: user data tends to hold secrets.
    pub data: Sealed,
    pub description: Option<Arc<str>>,
    pub created_at: Timestamp,
    pub created_by: Arc<str>,
}

impl TemplateVersion {
    /// Where the data of a version is sealed; `version` is its number.
    pub fn place<'a>(scope: &'a Scope, template: &'a str, version: &'a str) -> Place<'a> {
        Place {
            partition: scope.partition(),
            account: scope.account,
            region: Some(&scope.region),
            kind: "ec2 launch template",
            id: template,
            version,
        }
    }
}

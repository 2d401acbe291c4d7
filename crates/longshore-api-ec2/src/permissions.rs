//! What security groups let through, between the two forms that EC2 has for it: `IpPermission`, in which one entry has many
//! peers, and rules, each with one.

use std::sync::Arc;

use longshore_base::Scope;
use longshore_shapes_ec2::{IpPermission, IpRange, Ipv6Range, SecurityGroupRuleRequest, UserIdGroupPair};
use longshore_tables_ec2::Realm;
use longshore_tables_ec2::key::Id;
use longshore_tables_ec2::record::{Peer, Permission, Rule, SecurityGroup};
use longshore_wire::Fault;

use crate::{cidrs, errors};

const DESCRIPTION_CHARS_MAX: usize = 255;
/// What protocols with a name are called in numbers.
const NAMED: [(&str, &str); 4] = [("tcp", "6"), ("udp", "17"), ("icmp", "1"), ("icmpv6", "58")];
const ALL: &str = "-1";

/// A permission with what is said about it.
pub(crate) type Described = (Permission, Option<Arc<str>>);

/// Where permissions are read for: the group, and what may be named in them.
pub(crate) struct Reader<'a> {
    pub scope: &'a Scope,
    pub realm: &'a Realm,
    pub group: &'a SecurityGroup,
    pub is_egress: bool,
}

/// Protocol and ports of a permission.
#[derive(Clone)]
struct Traffic {
    protocol: Arc<str>,
    from: i32,
    to: i32,
}

impl Traffic {
    fn read(protocol: Option<&str>, from: Option<i32>, to: Option<i32>) -> Result<Self, Fault> {
        let given = protocol.ok_or_else(|| errors::missing("ipProtocol"))?;
        let protocol = protocol_of(given).ok_or_else(|| {
            errors::invalid(format!("Invalid value '{given}' for IP protocol. Unknown protocol."))
        })?;
        let (from, to) = match &*protocol {
            "tcp" | "udp" => ports(from, to)?,
            "icmp" | "icmpv6" => icmp(from, to)?,
            // There are no ports, whatever was said of them.
            _all_or_other => (-1, -1),
        };
        Ok(Self { protocol, from, to })
    }

    fn with(&self, is_egress: bool, peer: Peer) -> Permission {
        Permission { is_egress, protocol: self.protocol.clone(), from: self.from, to: self.to, peer }
    }
}

fn protocol_of(given: &str) -> Option<Arc<str>> {
    let lower = given.to_ascii_lowercase();
    if lower == ALL || lower == "all" {
        return Some(ALL.into());
    }
    if let Some((name, _)) = NAMED.iter().find(|(name, number)| lower == *name || lower == *number) {
        return Some((*name).into());
    }
    let number: u8 = lower.parse().ok()?;
    Some(number.to_string().into())
}

fn ports(from: Option<i32>, to: Option<i32>) -> Result<(i32, i32), Fault> {
    let (Some(from), Some(to)) = (from, to) else {
        return Err(errors::invalid(
            "Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.",
        ));
    };
    if let Some(wrong) = [from, to].into_iter().find(|port| !(0..=65535).contains(port)) {
        return Err(errors::invalid(format!("TCP/UDP port ({wrong}) out of range")));
    }
    if from > to {
        return Err(errors::invalid(format!("Invalid TCP/UDP port range ({from}:{to})")));
    }
    Ok((from, to))
}

/// Type and code.
fn icmp(from: Option<i32>, to: Option<i32>) -> Result<(i32, i32), Fault> {
    let (from, to) = (from.unwrap_or(-1), to.unwrap_or(-1));
    if let Some(wrong) = [from, to].into_iter().find(|number| !(-1..=255).contains(number)) {
        return Err(errors::invalid(format!("ICMP type or code ({wrong}) out of range")));
    }
    if from == -1 && to != -1 {
        return Err(errors::invalid(format!("ICMP code ({to}) is specified, but type is -1")));
    }
    Ok((from, to))
}

impl Reader<'_> {
    /// Every permission of a list, each with one peer.
    pub fn all(&self, list: &[IpPermission]) -> Result<Vec<Described>, Fault> {
        let mut found: Vec<Described> = Vec::new();
        for given in list {
            let traffic = Traffic::read(given.ip_protocol.as_deref(), given.from_port, given.to_port)?;
            let before = found.len();
            let mut add = |peer, description: &Option<String>| {
                let permission = traffic.with(self.is_egress, peer);
                if found.iter().any(|(own, _)| *own == permission) {
                    return Err(errors::invalid("The same permission must not appear multiple times"));
                }
                found.push((permission, describe(description.as_deref())?));
                Ok(())
            };
            for range in given.ip_ranges.iter().flatten() {
                add(ipv4(range.cidr_ip.as_deref())?, &range.description)?;
            }
            for range in given.ipv6_ranges.iter().flatten() {
                add(ipv6(range.cidr_ipv6.as_deref())?, &range.description)?;
            }
            for pair in given.user_id_group_pairs.iter().flatten() {
                let id = self.referenced(pair)?;
                add(Peer::Group(id), &pair.description)?;
            }
            if let Some(list) = given.prefix_list_ids.iter().flatten().next() {
                return Err(errors::no_prefix_list(list.prefix_list_id.as_deref().unwrap_or_default()));
            }
            if found.len() == before {
                return Err(errors::missing("cidrIp"));
            }
        }
        Ok(found)
    }

    /// A rule as it is to be: exactly one peer.
    pub fn one(&self, given: &SecurityGroupRuleRequest) -> Result<Described, Fault> {
        let traffic = Traffic::read(given.ip_protocol.as_deref(), given.from_port, given.to_port)?;
        let named = [&given.cidr_ipv4, &given.cidr_ipv6, &given.referenced_group_id, &given.prefix_list_id];
        if named.iter().filter(|own| own.is_some()).count() != 1 {
            return Err(errors::combination(
                "Exactly one of cidrIpv4, cidrIpv6, prefixListId and referencedGroupId must be specified.",
            ));
        }
        if let Some(list) = &given.prefix_list_id {
            return Err(errors::no_prefix_list(list));
        }
        let peer = if given.cidr_ipv4.is_some() {
            ipv4(given.cidr_ipv4.as_deref())?
        } else if given.cidr_ipv6.is_some() {
            ipv6(given.cidr_ipv6.as_deref())?
        } else {
            let group_id = given.referenced_group_id.clone();
            Peer::Group(self.referenced(&UserIdGroupPair { group_id, ..UserIdGroupPair::default() })?)
        };
        Ok((traffic.with(self.is_egress, peer), describe(given.description.as_deref())?))
    }

    /// The group that is named: by its id, or by its name in the same VPC; of the same account.
    fn referenced(&self, pair: &UserIdGroupPair) -> Result<Id, Fault> {
        let named = pair.group_id.as_deref().or(pair.group_name.as_deref());
        let named = named.ok_or_else(|| errors::missing("groupId"))?;
        // Other accounts' groups are not seen from here.
        if pair.user_id.as_ref().is_some_and(|user| *user != self.scope.account.to_string()) {
            return Err(errors::no_group(named));
        }
        match &pair.group_id {
            Some(id) => {
                let (id, group) =
                    self.realm.groups().get_key_value(id.as_str()).ok_or_else(|| errors::no_group(named))?;
                if group.vpc != self.group.vpc {
                    return Err(errors::other_network());
                }
                Ok(id.clone())
            }
            None => {
                let found = self.realm.group_named(&self.group.vpc, named);
                Ok(found.ok_or_else(|| errors::no_group(named))?.0.clone())
            }
        }
    }
}

fn ipv4(text: Option<&str>) -> Result<Peer, Fault> {
    let text = text.ok_or_else(|| errors::missing("cidrIp"))?;
    let cidr = cidrs::ipv4(text);
    cidr.map(Peer::Ipv4).ok_or_else(|| errors::invalid(format!("CIDR block {text} is malformed")))
}

fn ipv6(text: Option<&str>) -> Result<Peer, Fault> {
    let text = text.ok_or_else(|| errors::missing("cidrIpv6"))?;
    let cidr = cidrs::ipv6(text);
    cidr.map(Peer::Ipv6).ok_or_else(|| errors::invalid(format!("CIDR block {text} is malformed")))
}

/// What may be said about a rule. An empty text is none.
pub(crate) fn describe(given: Option<&str>) -> Result<Option<Arc<str>>, Fault> {
    let Some(text) = given.filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.chars().count() > DESCRIPTION_CHARS_MAX || !is_plain(text) {
        return Err(errors::invalid(
            "Invalid rule description. Valid descriptions are strings less than 256 characters from the following set:  \
             a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*",
        ));
    }
    Ok(Some(text.into()))
}

/// Letters, digits and what EC2 allows in names and descriptions of groups.
pub(crate) fn is_plain(text: &str) -> bool {
    text.chars().all(|own| own.is_ascii_alphanumeric() || ". _-:/()#,@[]+=&;{}!$*".contains(own))
}

/// How a rule is called in an error.
pub(crate) fn told(permission: &Permission) -> String {
    let peer = match &permission.peer {
        Peer::Ipv4(cidr) => cidr.to_string(),
        Peer::Ipv6(cidr) => cidr.to_string(),
        Peer::Group(id) => id.to_string(),
    };
    let Permission { protocol, from, to, .. } = permission;
    match &**protocol {
        ALL => format!("peer: {peer}, ALL, ALLOW"),
        "tcp" | "udp" => {
            let name = protocol.to_ascii_uppercase();
            format!("peer: {peer}, {name}, from port: {from}, to port: {to}, ALLOW")
        }
        "icmp" | "icmpv6" => {
            let name = protocol.to_ascii_uppercase();
            format!("peer: {peer}, {name}, type: {from}, code: {to}, ALLOW")
        }
        other => format!("peer: {peer}, protocol: {other}, ALLOW"),
    }
}

/// Rules as entries with many peers: those of the same traffic together.
pub(crate) fn shapes<'r>(scope: &Scope, rules: impl Iterator<Item = &'r Rule>) -> Vec<IpPermission> {
    let mut found: Vec<IpPermission> = Vec::new();
    for rule in rules {
        let Permission { protocol, from, to, peer, .. } = &rule.permission;
        let has_ports = NAMED.iter().any(|(name, _)| **protocol == **name);
        let (from, to) = if has_ports { (Some(*from), Some(*to)) } else { (None, None) };
        let is_same = |own: &IpPermission| {
            own.ip_protocol.as_deref() == Some(&**protocol) && own.from_port == from && own.to_port == to
        };
        let at = found.iter().position(is_same).unwrap_or_else(|| {
            found.push(IpPermission {
                from_port: from,
                ip_protocol: Some(protocol.to_string()),
                ip_ranges: Some(Vec::new()),
                ipv6_ranges: Some(Vec::new()),
                prefix_list_ids: Some(Vec::new()),
                to_port: to,
                user_id_group_pairs: Some(Vec::new()),
            });
            found.len() - 1
        });
        let description = rule.description.as_ref().map(ToString::to_string);
        let own = &mut found[at];
        match peer {
            Peer::Ipv4(cidr) => {
                let range = IpRange { cidr_ip: Some(cidr.to_string()), description };
                own.ip_ranges.get_or_insert_default().push(range);
            }
            Peer::Ipv6(cidr) => {
                let range = Ipv6Range { cidr_ipv6: Some(cidr.to_string()), description };
                own.ipv6_ranges.get_or_insert_default().push(range);
            }
            Peer::Group(id) => own.user_id_group_pairs.get_or_insert_default().push(UserIdGroupPair {
                description,
                group_id: Some(id.to_string()),
                user_id: Some(scope.account.to_string()),
                ..UserIdGroupPair::default()
            }),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traffic(protocol: &str, from: Option<i32>, to: Option<i32>) -> Result<(String, i32, i32), String> {
        let read = Traffic::read(Some(protocol), from, to);
        read.map(|own| (own.protocol.to_string(), own.from, own.to)).map_err(|error| error.to_string())
    }

    #[test]
    fn protocols_have_one_name_each() {
        for (given, name) in [
            ("tcp", "tcp"),
            ("TCP", "tcp"),
            ("6", "tcp"),
            ("17", "udp"),
            ("-1", "-1"),
            ("all", "-1"),
            ("50", "50"),
        ] {
            assert_eq!(traffic(given, Some(80), Some(80)).expect("it is one").0, name);
        }
        for bad in ["", "-2", "256", "http"] {
            let told = traffic(bad, None, None).expect_err("it is none");
            assert_eq!(told, format!("Invalid value '{bad}' for IP protocol. Unknown protocol."));
        }
    }

    #[test]
    fn ports_are_within_their_range() {
        assert_eq!(traffic("tcp", Some(0), Some(65535)), Ok(("tcp".into(), 0, 65535)));
        assert_eq!(traffic("-1", Some(80), Some(81)), Ok(("-1".into(), -1, -1)));
        assert_eq!(traffic("icmp", None, None), Ok(("icmp".into(), -1, -1)));
        assert_eq!(traffic("icmp", Some(8), Some(0)), Ok(("icmp".into(), 8, 0)));
        for (protocol, from, to, told) in [
            ("tcp", None, Some(1), "Must specify both from and to ports"),
            ("tcp", Some(-1), Some(-1), "TCP/UDP port (-1) out of range"),
            ("udp", Some(1), Some(65536), "TCP/UDP port (65536) out of range"),
            ("tcp", Some(443), Some(80), "Invalid TCP/UDP port range (443:80)"),
            ("icmp", Some(256), None, "ICMP type or code (256) out of range"),
            ("icmp", None, Some(3), "but type is -1"),
        ] {
            let error = traffic(protocol, from, to).expect_err(told);
            assert!(error.contains(told), "{error}");
        }
    }
}

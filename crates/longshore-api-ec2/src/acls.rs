//! What each VPC comes with and nobody can change here: its network ACL, and the DHCP options of its realm.

use longshore_service::Caller;
use longshore_shapes_ec2::{
    self as shapes, AttributeValue, DhcpConfiguration, NetworkAclAssociation, NetworkAclEntry, RuleAction,
    Tag,
};
use longshore_tables_ec2::Realm;
use longshore_tables_ec2::ids::{self, prefix};
use longshore_tables_ec2::key::Id;
use longshore_tables_ec2::record::{DhcpOptions, NetworkAcl};

use crate::filters::{Filterable, Texts, each, never, one, shown};
use crate::{errors, find, tags};

/// The number of the rule that lets everything through, and of the one behind all others.
const RULE_NUMBER: i32 = 100;
const LAST_RULE_NUMBER: i32 = 32767;

fn entry(egress: bool, number: i32, action: RuleAction) -> NetworkAclEntry {
    NetworkAclEntry {
        cidr_block: Some("0.0.0.0/0".to_owned()),
        egress: Some(egress),
        protocol: Some("-1".to_owned()),
        rule_action: Some(action),
        rule_number: Some(number),
        ..NetworkAclEntry::default()
    }
}

fn shape(caller: &Caller, realm: &Realm, id: &Id, acl: &NetworkAcl) -> shapes::NetworkAcl {
    let subnets = realm.subnets().iter().filter(|(_, subnet)| subnet.vpc == acl.vpc);
    let associations = subnets.map(|(subnet, _)| NetworkAclAssociation {
        network_acl_association_id: Some(ids::derived(prefix::ACL_ASSOCIATION, subnet).to_string()),
        network_acl_id: Some(id.to_string()),
        subnet_id: Some(subnet.to_string()),
    });
    let entries = [true, false].into_iter().flat_map(|egress| {
        [entry(egress, RULE_NUMBER, RuleAction::Allow), entry(egress, LAST_RULE_NUMBER, RuleAction::Deny)]
    });
    shapes::NetworkAcl {
        associations: Some(associations.collect()),
        entries: Some(entries.collect()),
        is_default: Some(true),
        network_acl_id: Some(id.to_string()),
        owner_id: Some(caller.scope.account.to_string()),
        tags: Some(tags::shapes(&acl.tags)),
        vpc_id: Some(acl.vpc.to_string()),
    }
}

impl Filterable for shapes::NetworkAcl {
    const FILTERS: &'static [(&'static str, Texts<Self>)] = &[
        ("association.association-id", |own| {
            each(&own.associations, |own| own.network_acl_association_id.as_ref())
        }),
        ("association.network-acl-id", |own| each(&own.associations, |own| own.network_acl_id.as_ref())),
        ("association.subnet-id", |own| each(&own.associations, |own| own.subnet_id.as_ref())),
        ("default", |own| shown(own.is_default)),
        ("entry.cidr", |own| each(&own.entries, |entry| entry.cidr_block.as_ref())),
        ("entry.egress", |own| each(&own.entries, |entry| entry.egress.map(|egress| egress.to_string()))),
        ("entry.icmp.code", never),
        ("entry.icmp.type", never),
        ("entry.ipv6-cidr", never),
        ("entry.port-range.from", never),
        ("entry.port-range.to", never),
        ("entry.protocol", |own| each(&own.entries, |entry| entry.protocol.as_ref())),
        ("entry.rule-action", |own| {
            each(&own.entries, |entry| entry.rule_action.as_ref().map(RuleAction::as_str))
        }),
        ("entry.rule-number", |own| {
            each(&own.entries, |entry| entry.rule_number.map(|number| number.to_string()))
        }),
        ("network-acl-id", |own| one(own.network_acl_id.as_ref())),
        ("owner-id", |own| one(own.owner_id.as_ref())),
        ("vpc-id", |own| one(own.vpc_id.as_ref())),
    ];

    fn place(&self) -> String {
        self.network_acl_id.clone().unwrap_or_default()
    }

    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

describe!(DescribeNetworkAcls as DescribeNetworkAclsResult { network_acls } of shapes::NetworkAcl,
    not with [network_acl_ids],
    |state, caller, input| {
        let realm = find::realm(state, caller);
        let all = realm.acls().iter().map(|(id, acl)| shape(caller, &realm, id, acl)).collect();
        fn id(own: &shapes::NetworkAcl) -> Option<&str> {
            own.network_acl_id.as_deref()
        }
        find::selected(all, &input.network_acl_ids, id, errors::no_acl)
    }
);

fn options(caller: &Caller, id: &Id, options: &DhcpOptions) -> shapes::DhcpOptions {
    let domain = match caller.scope.region.as_str() {
        "us-east-1" => "ec2.internal".to_owned(),
        region => format!("{region}.compute.internal"),
    };
    let setting = |key: &str, value: String| DhcpConfiguration {
        key: Some(key.to_owned()),
        values: Some(vec![AttributeValue { value: Some(value) }]),
    };
    let settings =
        vec![setting("domain-name", domain), setting("domain-name-servers", "AmazonProvidedDNS".to_owned())];
    shapes::DhcpOptions {
        dhcp_configurations: Some(settings),
        dhcp_options_id: Some(id.to_string()),
        owner_id: Some(caller.scope.account.to_string()),
        tags: Some(tags::shapes(&options.tags)),
    }
}

impl Filterable for shapes::DhcpOptions {
    const FILTERS: &'static [(&'static str, Texts<Self>)] = &[
        ("dhcp-options-id", |own| one(own.dhcp_options_id.as_ref())),
        ("key", |own| each(&own.dhcp_configurations, |own| own.key.as_ref())),
        ("owner-id", |own| one(own.owner_id.as_ref())),
        ("value", |own| {
            let settings = own.dhcp_configurations.iter().flatten();
            settings.flat_map(|own| each(&own.values, |value| value.value.as_ref())).collect()
        }),
    ];

    fn place(&self) -> String {
        self.dhcp_options_id.clone().unwrap_or_default()
    }

    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

describe!(DescribeDhcpOptions as DescribeDhcpOptionsResult { dhcp_options } of shapes::DhcpOptions,
    not with [dhcp_options_ids],
    |state, caller, input| {
        let realm = find::realm(state, caller);
        let all = realm.dhcp_options().iter().map(|(id, own)| options(caller, id, own)).collect();
        fn id(own: &shapes::DhcpOptions) -> Option<&str> {
            own.dhcp_options_id.as_deref()
        }
        find::selected(all, &input.dhcp_options_ids, id, errors::no_dhcp_options)
    }
);

//! Security groups. What they let through is in [`crate::rules`].

use longshore_domain::tags::Tags;
use longshore_service::Caller;
use longshore_shapes_ec2::{
    self as shapes, CreateSecurityGroupResult, DeleteSecurityGroupResult, IpPermission, IpRange, Ipv6Range,
    ResourceType, Tag, UserIdGroupPair,
};
use longshore_tables_ec2::ids::{self, prefix};
use longshore_tables_ec2::key::Id;
use longshore_tables_ec2::record::{Peer, Permission, Rule, SecurityGroup};
use longshore_tables_ec2::{Ec2State, OwnKey, defaults};
use longshore_wire::Fault;

use crate::filters::{Filterable, Texts, each, never, one, shown};
use crate::input::given;
use crate::permission::{self, kind};
use crate::permissions::is_plain;
use crate::{errors, find, interfaces, permissions, tags};

const TEXT_CHARS_MAX: usize = 255;

/// AWS's quota of a region.
const GROUPS_MAX: usize = 2500;

/// A group as it is shown.
fn shape(caller: &Caller, id: &Id, group: &SecurityGroup) -> shapes::SecurityGroup {
    let rules = |is_egress| {
        let rules = group.rules.iter().filter(move |rule| rule.permission.is_egress == is_egress);
        permissions::shapes(&caller.scope, rules)
    };
    shapes::SecurityGroup {
        description: Some(group.description.to_string()),
        group_id: Some(id.to_string()),
        group_name: Some(group.name.to_string()),
        ip_permissions: Some(rules(false)),
        ip_permissions_egress: Some(rules(true)),
        owner_id: Some(caller.scope.account.to_string()),
        security_group_arn: Some(permission::arn(caller, kind::GROUP, id)),
        tags: tags::shown(&group.tags),
        vpc_id: Some(group.vpc.to_string()),
    }
}

fn ranges(list: &Option<Vec<IpPermission>>) -> Vec<String> {
    list.iter()
        .flatten()
        .flat_map(|own| each(&own.ip_ranges, |range: &IpRange| range.cidr_ip.as_ref()))
        .collect()
}

fn ranges_of_ipv6(list: &Option<Vec<IpPermission>>) -> Vec<String> {
    let of = |own: &IpPermission| each(&own.ipv6_ranges, |range: &Ipv6Range| range.cidr_ipv6.as_ref());
    list.iter().flatten().flat_map(of).collect()
}

fn pairs(list: &Option<Vec<IpPermission>>, pick: fn(&UserIdGroupPair) -> Option<&String>) -> Vec<String> {
    list.iter().flatten().flat_map(|own| each(&own.user_id_group_pairs, pick)).collect()
}

fn ports(list: &Option<Vec<IpPermission>>, pick: fn(&IpPermission) -> Option<i32>) -> Vec<String> {
    list.iter().flatten().flat_map(|own| shown(pick(own))).collect()
}

fn protocols(list: &Option<Vec<IpPermission>>) -> Vec<String> {
    each(list, |own| own.ip_protocol.as_ref())
}

impl Filterable for shapes::SecurityGroup {
    const FILTERS: &'static [(&'static str, Texts<Self>)] = &[
        ("description", |own| one(own.description.as_ref())),
        ("egress.ip-permission.cidr", |own| ranges(&own.ip_permissions_egress)),
        ("egress.ip-permission.from-port", |own| ports(&own.ip_permissions_egress, |own| own.from_port)),
        ("egress.ip-permission.group-id", |own| {
            pairs(&own.ip_permissions_egress, |pair| pair.group_id.as_ref())
        }),
        ("egress.ip-permission.group-name", |own| {
            pairs(&own.ip_permissions_egress, |pair| pair.group_name.as_ref())
        }),
        ("egress.ip-permission.ipv6-cidr", |own| ranges_of_ipv6(&own.ip_permissions_egress)),
        ("egress.ip-permission.prefix-list-id", never),
        ("egress.ip-permission.protocol", |own| protocols(&own.ip_permissions_egress)),
        ("egress.ip-permission.to-port", |own| ports(&own.ip_permissions_egress, |own| own.to_port)),
        ("egress.ip-permission.user-id", |own| {
            pairs(&own.ip_permissions_egress, |pair| pair.user_id.as_ref())
        }),
        ("group-id", |own| one(own.group_id.as_ref())),
        ("group-name", |own| one(own.group_name.as_ref())),
        ("ip-permission.cidr", |own| ranges(&own.ip_permissions)),
        ("ip-permission.from-port", |own| ports(&own.ip_permissions, |own| own.from_port)),
        ("ip-permission.group-id", |own| pairs(&own.ip_permissions, |pair| pair.group_id.as_ref())),
        ("ip-permission.group-name", |own| pairs(&own.ip_permissions, |pair| pair.group_name.as_ref())),
        ("ip-permission.ipv6-cidr", |own| ranges_of_ipv6(&own.ip_permissions)),
        ("ip-permission.prefix-list-id", never),
        ("ip-permission.protocol", |own| protocols(&own.ip_permissions)),
        ("ip-permission.to-port", |own| ports(&own.ip_permissions, |own| own.to_port)),
        ("ip-permission.user-id", |own| pairs(&own.ip_permissions, |pair| pair.user_id.as_ref())),
        ("owner-id", |own| one(own.owner_id.as_ref())),
        ("vpc-id", |own| one(own.vpc_id.as_ref())),
    ];

    fn place(&self) -> String {
        self.group_id.clone().unwrap_or_default()
    }

    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

describe!(DescribeSecurityGroups as DescribeSecurityGroupsResult { security_groups } of shapes::SecurityGroup,
    not with [group_ids, group_names],
    |state, caller, input| {
        let realm = find::realm(state, caller);
        let mut all: Vec<_> = realm.groups().iter().map(|(id, group)| shape(caller, id, group)).collect();
        if let Some(wrong) = input.group_ids.iter().flatten().find(|id| !id.starts_with(prefix::GROUP)) {
            return Err(errors::malformed_group(wrong));
        }
        // Names are of the default VPC, where they are given as names and not as a filter.
        if let Some(names) = input.group_names.as_ref().filter(|names| !names.is_empty()) {
            let default = realm.default_vpc().map(|(id, _)| id.to_string());
            let mut found: Vec<String> = Vec::new();
            for name in names {
                let own = all.iter().find(|own| own.group_name.as_ref() == Some(name) && own.vpc_id == default);
                let id = own.and_then(|own| own.group_id.clone());
                found.push(id.ok_or_else(|| errors::no_group(name))?);
            }
            // Whoever gives ids as well wants both.
            found.extend(input.group_ids.iter().flatten().cloned());
            return find::selected(all, &Some(found), |own| own.group_id.as_deref(), errors::no_group);
        }
        all = find::selected(all, &input.group_ids, |own| own.group_id.as_deref(), errors::no_group)?;
        Ok(all)
    }
);

command!(
    CreateSecurityGroup,
    |ask, input| {
        // The default VPC is named by nobody.
        let default = || ask.realm().default_vpc().map(|(id, _)| &**id);
        let vpc = input.vpc_id.as_deref().or_else(default);
        let on_vpc = match &input.vpc_id {
            Some(vpc) => ask.on(kind::VPC, vpc),
            None => ask.found(kind::VPC, vpc),
        };
        ask.new_in(kind::GROUP, vpc, &input.tag_specifications).and([on_vpc])
    },
    |tx, caller, input| {
        let (name, description) = (given(&input.group_name), given(&input.description));
        check_text("groupName", name)?;
        check_text("groupDescription", description)?;
        if name.to_ascii_lowercase().starts_with(prefix::GROUP) {
            return Err(errors::invalid(format!(
                "Value ({name}) for parameter groupName is invalid. Group names may not be in the format sg-*."
            )));
        }
        if name == defaults::GROUP_NAME {
            return Err(errors::invalid(format!("Cannot use reserved security group name: {name}")));
        }
        let own_tags = tags::specified(&input.tag_specifications, &ResourceType::SecurityGroup)?;
        let vpc = {
            let realm = tx.ec2().realm(&caller.scope);
            let (vpc, _) = match &input.vpc_id {
                Some(id) => find::vpc(&realm, id)?,
                None => realm.default_vpc().ok_or_else(errors::no_default_vpc)?,
            };
            if realm.group_named(vpc, name).is_some() {
                return Err(errors::group_exists(name, vpc));
            }
            if realm.groups().len() >= GROUPS_MAX {
                return Err(errors::quota("SecurityGroupLimitExceeded", "security groups"));
            }
            vpc.clone()
        };
        // A new group lets everything out.
        let permission = Permission {
            is_egress: true,
            protocol: "-1".into(),
            from: -1,
            to: -1,
            peer: Peer::Ipv4(defaults::everywhere()),
        };
        let rule = Rule {
            id: ids::drawn(prefix::RULE, tx.ids.seed()),
            permission,
            description: None,
            tags: Tags::new(),
        };
        let id = ids::drawn(prefix::GROUP, tx.ids.seed());
        let group = SecurityGroup {
            vpc,
            name: name.into(),
            description: description.into(),
            rules: vec![rule],
            tags: own_tags,
        };
        let answer = CreateSecurityGroupResult {
            group_id: Some(id.to_string()),
            security_group_arn: Some(permission::arn(caller, kind::GROUP, &id)),
            tags: tags::shown(&group.tags),
        };
        tx.put::<SecurityGroup>(OwnKey::new(&caller.scope, &id), group);
        Ok(answer)
    }
);

fn check_text(parameter: &str, text: &str) -> Result<(), Fault> {
    if text.is_empty() {
        return Err(errors::missing(parameter));
    }
    if text.chars().count() > TEXT_CHARS_MAX {
        return Err(errors::invalid(format!(
            "Value ({text}) for parameter {parameter} is invalid. The length exceeds the maximum of {TEXT_CHARS_MAX} \
             characters."
        )));
    }
    if !is_plain(text) {
        return Err(errors::invalid(format!(
            "Value ({text}) for parameter {parameter} is invalid. Character sets beyond ASCII are not supported."
        )));
    }
    Ok(())
}

command!(
    DeleteSecurityGroup,
    |ask, input| ask.group(input.group_id.as_deref(), input.group_name.as_deref()),
    |tx, caller, input| {
        let id = {
            let realm = tx.ec2().realm(&caller.scope);
            let (id, group) = find::group_of(&realm, input.group_id.as_deref(), input.group_name.as_deref())?;
            if *group.name == *defaults::GROUP_NAME {
                return Err(errors::default_group(id, &group.name));
            }
            let names_it = |rule: &Rule| rule.permission.peer == Peer::Group(id.clone());
            let mut others = realm.groups().iter().filter(|(other, _)| *other != id);
            let is_named = others.any(|(_, other)| other.rules.iter().any(names_it));
            if is_named || interfaces::use_group(tx.state(), &caller.scope, id) {
                return Err(errors::group_in_use(id));
            }
            id.clone()
        };
        tx.delete::<SecurityGroup>(OwnKey::new(&caller.scope, &id));
        Ok(DeleteSecurityGroupResult { group_id: Some(id.to_string()), r#return: Some(true) })
    }
);

//! The rules of security groups. Nothing enforces them: they are checked, kept and shown.

use longshore_service::{Caller, Resources};
use longshore_shapes_ec2::{
    self as shapes, AuthorizeSecurityGroupEgressResult, AuthorizeSecurityGroupIngressResult, IpPermission,
    IpRange, ModifySecurityGroupRulesResult, ReferencedSecurityGroup, ResourceType,
    RevokeSecurityGroupEgressResult, RevokeSecurityGroupIngressResult, RevokedSecurityGroupRule,
    SecurityGroupRuleDescription, SecurityGroupRuleUpdate, Tag, TagSpecification,
    UpdateSecurityGroupRuleDescriptionsEgressResult, UpdateSecurityGroupRuleDescriptionsIngressResult,
    UserIdGroupPair,
};
use longshore_state::Tx;
use longshore_tables_ec2::ids::{self, prefix};
use longshore_tables_ec2::key::Id;
use longshore_tables_ec2::record::{Peer, Permission, Rule, SecurityGroup};
use longshore_tables_ec2::{Ec2State, OwnKey};
use longshore_wire::Fault;

use crate::filters::{Filterable, Texts, one};
use crate::input::{given, listed};
use crate::permission::{self, Ask, kind};
use crate::permissions::{Described, Reader, describe, told};
use crate::{errors, find, tags};

/// AWS's quota of rules of one group in one direction.
const RULES_MAX: usize = 60;

/// A rule as it is shown.
fn shape(caller: &Caller, group: &Id, rule: &Rule) -> shapes::SecurityGroupRule {
    let Permission { is_egress, protocol, from, to, peer } = &rule.permission;
    let account = caller.scope.account.to_string();
    let mut shown = shapes::SecurityGroupRule {
        description: rule.description.as_ref().map(ToString::to_string),
        from_port: Some(*from),
        group_id: Some(group.to_string()),
        group_owner_id: Some(account.clone()),
        ip_protocol: Some(protocol.to_string()),
        is_egress: Some(*is_egress),
        security_group_rule_arn: Some(permission::arn(caller, kind::RULE, &rule.id)),
        security_group_rule_id: Some(rule.id.to_string()),
        tags: Some(tags::shapes(&rule.tags)),
        to_port: Some(*to),
        ..shapes::SecurityGroupRule::default()
    };
    match peer {
        Peer::Ipv4(cidr) => shown.cidr_ipv4 = Some(cidr.to_string()),
        Peer::Ipv6(cidr) => shown.cidr_ipv6 = Some(cidr.to_string()),
        Peer::Group(id) => {
            shown.referenced_group_info = Some(ReferencedSecurityGroup {
                group_id: Some(id.to_string()),
                user_id: Some(account),
                ..ReferencedSecurityGroup::default()
            });
        }
    }
    shown
}

fn revoked(group: &Id, rule: &Rule) -> RevokedSecurityGroupRule {
    let Permission { is_egress, protocol, from, to, peer } = &rule.permission;
    let mut shown = RevokedSecurityGroupRule {
        description: rule.description.as_ref().map(ToString::to_string),
        from_port: Some(*from),
        group_id: Some(group.to_string()),
        ip_protocol: Some(protocol.to_string()),
        is_egress: Some(*is_egress),
        security_group_rule_id: Some(rule.id.to_string()),
        to_port: Some(*to),
        ..RevokedSecurityGroupRule::default()
    };
    match peer {
        Peer::Ipv4(cidr) => shown.cidr_ipv4 = Some(cidr.to_string()),
        Peer::Ipv6(cidr) => shown.cidr_ipv6 = Some(cidr.to_string()),
        Peer::Group(id) => shown.referenced_group_id = Some(id.to_string()),
    }
    shown
}

impl Filterable for shapes::SecurityGroupRule {
    const FILTERS: &'static [(&'static str, Texts<Self>)] = &[
        ("group-id", |own| one(own.group_id.as_ref())),
        ("security-group-rule-id", |own| one(own.security_group_rule_id.as_ref())),
    ];

    fn place(&self) -> String {
        self.security_group_rule_id.clone().unwrap_or_default()
    }

    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

describe!(DescribeSecurityGroupRules as DescribeSecurityGroupRulesResult { security_group_rules } of shapes::SecurityGroupRule,
    not with [security_group_rule_ids],
    |state, caller, input| {
        let realm = find::realm(state, caller);
        let all = realm.groups().iter();
        let all = all.flat_map(|(id, group)| group.rules.iter().map(|rule| shape(caller, id, rule))).collect();
        fn id(own: &shapes::SecurityGroupRule) -> Option<&str> {
            own.security_group_rule_id.as_deref()
        }
        find::selected(all, &input.security_group_rule_ids, id, errors::no_rule)
    }
);

/// Members of the four calls that take permissions, the older of which name one traffic and one peer beside the list.
struct Given<'a> {
    group_id: Option<&'a str>,
    group_name: Option<&'a str>,
    list: Vec<IpPermission>,
    rule_ids: &'a [String],
}

macro_rules! given {
    ($input:ident, $name:expr, $rule_ids:expr) => {{
        let mut list = $input.ip_permissions.clone().unwrap_or_default();
        let is_flat = $input.ip_protocol.is_some()
            || $input.cidr_ip.is_some()
            || $input.source_security_group_name.is_some();
        if is_flat {
            if !list.is_empty() {
                return Err(errors::combination(
                    "The parameter ipPermissions cannot be used with the parameters ipProtocol, cidrIp and \
                     sourceSecurityGroupName",
                ));
            }
            list.push(flat(
                $input.ip_protocol.as_ref(),
                ($input.from_port, $input.to_port),
                $input.cidr_ip.as_ref(),
                ($input.source_security_group_name.as_ref(), $input.source_security_group_owner_id.as_ref()),
            ));
        }
        Given { group_id: $input.group_id.as_deref(), group_name: $name, list, rule_ids: $rule_ids }
    }};
}

/// The older form. A source group without a protocol means all of them.
fn flat(
    protocol: Option<&String>,
    (from_port, to_port): (Option<i32>, Option<i32>),
    cidr_ip: Option<&String>,
    (group, owner): (Option<&String>, Option<&String>),
) -> IpPermission {
    let protocol = protocol.cloned().or_else(|| group.map(|_| "-1".to_owned()));
    let range = |cidr: &String| IpRange { cidr_ip: Some(cidr.clone()), description: None };
    let pair = |name: &String| UserIdGroupPair {
        group_name: Some(name.clone()),
        user_id: owner.cloned(),
        ..UserIdGroupPair::default()
    };
    IpPermission {
        from_port,
        ip_protocol: protocol,
        ip_ranges: cidr_ip.map(|cidr| vec![range(cidr)]),
        to_port,
        user_id_group_pairs: group.map(|name| vec![pair(name)]),
        ..IpPermission::default()
    }
}

/// The group, as it is before the call, and the permissions that the call names in this direction.
fn read(
    tx: &Tx<'_>,
    caller: &Caller,
    given: &Given<'_>,
    is_egress: bool,
) -> Result<(Id, SecurityGroup, Vec<Described>), Fault> {
    let realm = tx.ec2().realm(&caller.scope);
    let (id, group) = find::group_of(&realm, given.group_id, given.group_name)?;
    let reader = Reader { scope: &caller.scope, realm: &realm, group, is_egress };
    let permissions = reader.all(&given.list)?;
    Ok((id.clone(), SecurityGroup::clone(group), permissions))
}

fn authorize(
    tx: &mut Tx<'_>,
    caller: &Caller,
    given: &Given<'_>,
    is_egress: bool,
    specified: &Option<Vec<TagSpecification>>,
) -> Result<Vec<shapes::SecurityGroupRule>, Fault> {
    let own_tags = tags::specified(specified, &ResourceType::SecurityGroupRule)?;
    let (id, mut group, permissions) = read(tx, caller, given, is_egress)?;
    if permissions.is_empty() {
        return Err(errors::missing("ipPermissions"));
    }
    let mut added = Vec::new();
    for (permission, description) in permissions {
        if group.rules.iter().any(|rule| rule.permission == permission) {
            return Err(errors::rule_exists(&told(&permission)));
        }
        let rule = Rule {
            id: ids::drawn(prefix::RULE, tx.ids.seed()),
            permission,
            description,
            tags: own_tags.clone(),
        };
        added.push(shape(caller, &id, &rule));
        group.rules.push(rule);
    }
    within_quota(&group, is_egress)?;
    tx.put::<SecurityGroup>(OwnKey::new(&caller.scope, &id), group);
    Ok(added)
}

fn within_quota(group: &SecurityGroup, is_egress: bool) -> Result<(), Fault> {
    if group.rules.iter().filter(|rule| rule.permission.is_egress == is_egress).count() <= RULES_MAX {
        return Ok(());
    }
    Err(errors::quota("RulesPerSecurityGroupLimitExceeded", "rules per security group"))
}

fn revoke(
    tx: &mut Tx<'_>,
    caller: &Caller,
    given: &Given<'_>,
    is_egress: bool,
) -> Result<Vec<RevokedSecurityGroupRule>, Fault> {
    let (id, mut group, permissions) = read(tx, caller, given, is_egress)?;
    if permissions.is_empty() && given.rule_ids.is_empty() {
        return Err(errors::missing("ipPermissions"));
    }
    let mut gone = Vec::new();
    for wanted in given.rule_ids {
        let is_it = |rule: &Rule| *rule.id == **wanted && rule.permission.is_egress == is_egress;
        let at = group.rules.iter().position(is_it).ok_or_else(|| errors::no_rule(wanted))?;
        gone.push(revoked(&id, &group.rules.remove(at)));
    }
    for (permission, _) in &permissions {
        let at = group.rules.iter().position(|rule| rule.permission == *permission);
        gone.push(revoked(&id, &group.rules.remove(at.ok_or_else(errors::no_permission)?)));
    }
    tx.put::<SecurityGroup>(OwnKey::new(&caller.scope, &id), group);
    Ok(gone)
}

/// What a call about permissions of a group needs permission for: the group, and the rules that it names.
fn on_group(ask: &Ask<'_>, id: Option<&str>, name: Option<&str>, rules: &[String]) -> Resources {
    Resources::from(ask.group(id, name)).and(rules.iter().map(|rule| ask.on(kind::RULE, rule)))
}

command!(
    AuthorizeSecurityGroupIngress,
    |ask, input| {
        let group = ask.group(input.group_id.as_deref(), input.group_name.as_deref());
        Resources::from(group).and(ask.new_one(kind::RULE, &input.tag_specifications))
    },
    |tx, caller, input| {
        let given = given!(input, input.group_name.as_deref(), &[]);
        let rules = authorize(tx, caller, &given, false, &input.tag_specifications)?;
        let (security_group_rules, r#return) = (Some(rules), Some(true));
        Ok(AuthorizeSecurityGroupIngressResult { r#return, security_group_rules })
    }
);

command!(
    AuthorizeSecurityGroupEgress,
    |ask, input| {
        let group = ask.group(input.group_id.as_deref(), None);
        Resources::from(group).and(ask.new_one(kind::RULE, &input.tag_specifications))
    },
    |tx, caller, input| {
        let given = given!(input, None, &[]);
        let rules = authorize(tx, caller, &given, true, &input.tag_specifications)?;
        let (security_group_rules, r#return) = (Some(rules), Some(true));
        Ok(AuthorizeSecurityGroupEgressResult { r#return, security_group_rules })
    }
);

command!(
    RevokeSecurityGroupIngress,
    |ask, input| on_group(
        ask,
        input.group_id.as_deref(),
        input.group_name.as_deref(),
        listed(&input.security_group_rule_ids)
    ),
    |tx, caller, input| {
        let given = given!(input, input.group_name.as_deref(), listed(&input.security_group_rule_ids));
        let gone = revoke(tx, caller, &given, false)?;
        Ok(RevokeSecurityGroupIngressResult {
            r#return: Some(true),
            revoked_security_group_rules: Some(gone),
            unknown_ip_permissions: None,
        })
    }
);

command!(
    RevokeSecurityGroupEgress,
    |ask, input| on_group(ask, input.group_id.as_deref(), None, listed(&input.security_group_rule_ids)),
    |tx, caller, input| {
        let given = given!(input, None, listed(&input.security_group_rule_ids));
        let gone = revoke(tx, caller, &given, true)?;
        Ok(RevokeSecurityGroupEgressResult {
            r#return: Some(true),
            revoked_security_group_rules: Some(gone),
            unknown_ip_permissions: None,
        })
    }
);

/// The ids of the rules that are to change.
fn changed(updates: &[SecurityGroupRuleUpdate]) -> Vec<String> {
    updates.iter().filter_map(|update| update.security_group_rule_id.clone()).collect()
}

command!(
    ModifySecurityGroupRules,
    |ask, input| on_group(
        ask,
        input.group_id.as_deref(),
        None,
        &changed(listed(&input.security_group_rules))
    ),
    |tx, caller, input| {
        let (id, group) = {
            let realm = tx.ec2().realm(&caller.scope);
            let (id, before) = find::group(&realm, given(&input.group_id))?;
            let mut group = SecurityGroup::clone(before);
            for update in listed(&input.security_group_rules) {
                let wanted = given(&update.security_group_rule_id);
                let at = group.rules.iter().position(|rule| *rule.id == *wanted);
                let at = at.ok_or_else(|| errors::no_rule(wanted))?;
                let request = update.security_group_rule.as_ref();
                let request = request.ok_or_else(|| errors::missing("securityGroupRule"))?;
                let is_egress = group.rules[at].permission.is_egress;
                let reader = Reader { scope: &caller.scope, realm: &realm, group: before, is_egress };
                let (permission, description) = reader.one(request)?;
                let rule = &mut group.rules[at];
                if kind_of(&rule.permission.peer) != kind_of(&permission.peer) {
                    return Err(errors::invalid(format!(
                        "The type of the security group rule {wanted} cannot be changed."
                    )));
                }
                (rule.permission, rule.description) = (permission, description);
            }
            let rules = &group.rules;
            let twin = rules
                .iter()
                .enumerate()
                .find(|(at, rule)| rules[..*at].iter().any(|other| other.permission == rule.permission));
            if let Some((_, twin)) = twin {
                return Err(errors::rule_exists(&told(&twin.permission)));
            }
            (id.clone(), group)
        };
        tx.put::<SecurityGroup>(OwnKey::new(&caller.scope, &id), group);
        Ok(ModifySecurityGroupRulesResult { r#return: Some(true) })
    }
);

/// A rule stays of its kind.
fn kind_of(peer: &Peer) -> &'static str {
    match peer {
        Peer::Ipv4(_) => "IPv4",
        Peer::Ipv6(_) => "IPv6",
        Peer::Group(_) => "group",
    }
}

/// Says something else about rules, or nothing any more; which are meant is told by permissions or by ids.
fn redescribe(
    tx: &mut Tx<'_>,
    caller: &Caller,
    given: &Given<'_>,
    descriptions: &[SecurityGroupRuleDescription],
    is_egress: bool,
) -> Result<(), Fault> {
    let (id, mut group, permissions) = read(tx, caller, given, is_egress)?;
    if permissions.is_empty() == descriptions.is_empty() {
        return Err(errors::combination(
            "Exactly one of ipPermissions and securityGroupRuleDescriptions must be specified.",
        ));
    }
    for (permission, description) in permissions {
        let at = group.rules.iter().position(|rule| rule.permission == permission);
        group.rules[at.ok_or_else(errors::no_permission)?].description = description;
    }
    for change in descriptions {
        let wanted = crate::input::given(&change.security_group_rule_id);
        let is_it = |rule: &Rule| *rule.id == *wanted && rule.permission.is_egress == is_egress;
        let at = group.rules.iter().position(is_it).ok_or_else(|| errors::no_rule(wanted))?;
        group.rules[at].description = describe(change.description.as_deref())?;
    }
    tx.put::<SecurityGroup>(OwnKey::new(&caller.scope, &id), group);
    Ok(())
}

macro_rules! redescribe {
    ($operation:ident, $is_egress:literal, $answer:ident) => {
        command!(
            $operation,
            |ask, input| ask.group(input.group_id.as_deref(), input.group_name.as_deref()),
            |tx, caller, input| {
                let given = Given {
                    group_id: input.group_id.as_deref(),
                    group_name: input.group_name.as_deref(),
                    list: input.ip_permissions.clone().unwrap_or_default(),
                    rule_ids: &[],
                };
                redescribe(tx, caller, &given, listed(&input.security_group_rule_descriptions), $is_egress)?;
                Ok($answer { r#return: Some(true) })
            }
        );
    };
}

redescribe!(
    UpdateSecurityGroupRuleDescriptionsIngress,
    false,
    UpdateSecurityGroupRuleDescriptionsIngressResult
);
redescribe!(UpdateSecurityGroupRuleDescriptionsEgress, true, UpdateSecurityGroupRuleDescriptionsEgressResult);

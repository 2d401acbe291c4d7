//! The rules of security groups, in both of their forms.

use crate::support::{World, all, one};

const HTTP: [(&str, &str); 3] = [
    ("IpPermissions.1.IpProtocol", "tcp"),
    ("IpPermissions.1.FromPort", "80"),
    ("IpPermissions.1.ToPort", "80"),
];

fn with<'a>(group: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&[("GroupId", group)], &HTTP[..], more].concat()
}

#[test]
fn one_entry_is_a_rule_for_each_peer() {
    let world = World::new();
    let group = world.group(&world.vpc(), "web");
    let more = [
        ("IpPermissions.1.IpRanges.1.CidrIp", "10.0.0.7/8"),
        ("IpPermissions.1.IpRanges.1.Description", "inside"),
        ("IpPermissions.1.IpRanges.2.CidrIp", "192.0.2.0/24"),
        ("IpPermissions.1.Ipv6Ranges.1.CidrIpv6", "2001:DB8::1/32"),
        ("IpPermissions.1.Groups.1.GroupId", &*group),
        ("TagSpecification.1.ResourceType", "security-group-rule"),
        ("TagSpecification.1.Tag.1.Key", "k"),
        ("TagSpecification.1.Tag.1.Value", "v"),
    ];
    let body = world.ok("AuthorizeSecurityGroupIngress", &with(&group, &more));
    assert_eq!(all(&body, "cidrIpv4"), ["10.0.0.0/8", "192.0.2.0/24"]);
    assert_eq!((all(&body, "cidrIpv6"), one(&body, "return")), (vec!["2001:db8::/32".into()], "true".into()));
    assert_eq!((all(&body, "key").len(), all(&body, "isEgress")), (4, vec!["false".to_owned(); 4]));
    let ids = all(&body, "securityGroupRuleId");
    assert!(ids.len() == 4 && ids.iter().all(|id| id.starts_with("sgr-")), "{ids:?}");

    let shown = world.ok("DescribeSecurityGroups", &[("GroupId.1", &group)]);
    let ingress = one(&shown, "ipPermissions");
    assert_eq!(all(&ingress, "ipProtocol"), ["tcp"], "they are told as one entry: {ingress}");
    assert_eq!(all(&ingress, "cidrIp"), ["10.0.0.0/8", "192.0.2.0/24"]);
    assert_eq!((one(&ingress, "groupId"), one(&ingress, "description")), (group.clone(), "inside".into()));

    let members = [
        ("Filter.1.Name", "group-id"),
        ("Filter.1.Value.1", &*group),
        ("Filter.2.Name", "tag:k"),
        ("Filter.2.Value.1", "v"),
    ];
    let body = world.ok("DescribeSecurityGroupRules", &members);
    let mut listed = all(&body, "securityGroupRuleId");
    listed.sort();
    let mut made = ids.clone();
    made.sort();
    assert_eq!(listed, made);
    let body = world.ok("DescribeSecurityGroupRules", &[("SecurityGroupRuleId.1", &ids[0])]);
    assert_eq!((one(&body, "cidrIpv4"), one(&body, "fromPort")), ("10.0.0.0/8".into(), "80".into()));
    assert_eq!(
        world.refused("DescribeSecurityGroupRules", &[("SecurityGroupRuleId.1", "sgr-x")]),
        "InvalidSecurityGroupRuleId.NotFound: The security group rule ID 'sgr-x' does not exist"
    );
}

#[test]
fn no_rule_is_there_twice() {
    let world = World::new();
    let group = world.group(&world.vpc(), "web");
    let more = [("IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0")];
    world.ok("AuthorizeSecurityGroupIngress", &with(&group, &more));
    assert_eq!(
        world.refused("AuthorizeSecurityGroupIngress", &with(&group, &more)),
        "InvalidPermission.Duplicate: the specified rule \"peer: 0.0.0.0/0, TCP, from port: 80, to port: 80, ALLOW\" already \
         exists"
    );
    let all_out = [
        ("GroupId", &*group),
        ("IpPermissions.1.IpProtocol", "-1"),
        ("IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0"),
    ];
    assert_eq!(
        world.refused("AuthorizeSecurityGroupEgress", &all_out),
        "InvalidPermission.Duplicate: the specified rule \"peer: 0.0.0.0/0, ALL, ALLOW\" already exists"
    );
    let twice = [
        ("IpPermissions.1.IpRanges.1.CidrIp", "10.0.0.0/8"),
        ("IpPermissions.1.IpRanges.2.CidrIp", "10.1.0.0/8"),
    ];
    assert_eq!(
        world.refused("AuthorizeSecurityGroupIngress", &with(&group, &twice)),
        "InvalidParameterValue: The same permission must not appear multiple times"
    );
}

#[test]
fn what_makes_no_sense_is_refused() {
    let world = World::new();
    let vpc = world.vpc();
    let group = world.group(&vpc, "web");
    let other = world.group(&world.default_vpc(), "other");
    let refused = |more: &[(&str, &str)]| world.refused("AuthorizeSecurityGroupIngress", &with(&group, more));
    assert_eq!(
        refused(&[("IpPermissions.1.IpRanges.1.CidrIp", "10.0.0.0/33")]),
        "InvalidParameterValue: CIDR block 10.0.0.0/33 is malformed"
    );
    assert_eq!(refused(&[]), "MissingParameter: The request must contain the parameter cidrIp");
    assert_eq!(
        refused(&[("IpPermissions.1.Groups.1.GroupId", "sg-x")]),
        "InvalidGroup.NotFound: The security group 'sg-x' does not exist"
    );
    assert_eq!(
        refused(&[("IpPermissions.1.Groups.1.GroupId", &other)]),
        "InvalidGroup.NotFound: You have specified two resources that belong to different networks."
    );
    let foreign =
        [("IpPermissions.1.Groups.1.GroupId", &*group), ("IpPermissions.1.Groups.1.UserId", "999988887777")];
    assert!(refused(&foreign).starts_with("InvalidGroup.NotFound: "));
    assert_eq!(
        refused(&[("IpPermissions.1.PrefixListIds.1.PrefixListId", "pl-1")]),
        "InvalidPrefixListID.NotFound: The prefix list ID 'pl-1' does not exist"
    );
    let long = "d".repeat(256);
    let described = [
        ("IpPermissions.1.IpRanges.1.CidrIp", "10.0.0.0/8"),
        ("IpPermissions.1.IpRanges.1.Description", &*long),
    ];
    assert!(refused(&described).starts_with("InvalidParameterValue: Invalid rule description."));
    assert_eq!(
        world.refused("AuthorizeSecurityGroupIngress", &[("GroupId", &group)]),
        "MissingParameter: The request must contain the parameter ipPermissions"
    );
    let mixed =
        with(&group, &[("IpPermissions.1.IpRanges.1.CidrIp", "10.0.0.0/8"), ("CidrIp", "10.0.0.0/8")]);
    assert!(
        world.refused("AuthorizeSecurityGroupIngress", &mixed).starts_with("InvalidParameterCombination: ")
    );
}

#[test]
fn the_older_form_is_understood() {
    let world = World::new();
    let group = world.group(&world.default_vpc(), "web");
    let flat = [
        ("GroupName", "web"),
        ("IpProtocol", "6"),
        ("FromPort", "22"),
        ("ToPort", "22"),
        ("CidrIp", "10.0.0.0/8"),
    ];
    let body = world.ok("AuthorizeSecurityGroupIngress", &flat);
    assert_eq!((one(&body, "groupId"), one(&body, "ipProtocol")), (group.clone(), "tcp".into()));
    let from_group = [("GroupId", &*group), ("SourceSecurityGroupName", "default")];
    let body = world.ok("AuthorizeSecurityGroupIngress", &from_group);
    assert_eq!((one(&body, "ipProtocol"), one(&body, "fromPort")), ("-1".into(), "-1".into()));
    world.ok("RevokeSecurityGroupIngress", &flat);
    world.ok("RevokeSecurityGroupIngress", &from_group);
    let shown = world.ok("DescribeSecurityGroups", &[("GroupId.1", &group)]);
    assert!(shown.contains("<ipPermissions></ipPermissions>"), "{shown}");
}

/// What Terraform does with each new group (elb H15).
#[test]
fn the_rules_that_a_group_comes_with_can_be_revoked_once() {
    let world = World::new();
    let group = world.group(&world.vpc(), "web");
    let of_ipv4 = [
        ("GroupId", &*group),
        ("IpPermissions.1.IpProtocol", "-1"),
        ("IpPermissions.1.FromPort", "0"),
        ("IpPermissions.1.ToPort", "0"),
        ("IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0"),
    ];
    let body = world.ok("RevokeSecurityGroupEgress", &of_ipv4);
    assert_eq!((one(&body, "return"), one(&body, "cidrIpv4")), ("true".into(), "0.0.0.0/0".into()));
    let told = "InvalidPermission.NotFound: The specified rule does not exist in this security group.";
    assert_eq!(world.refused("RevokeSecurityGroupEgress", &of_ipv4), told);
    let of_ipv6 = [
        ("GroupId", &*group),
        ("IpPermissions.1.IpProtocol", "-1"),
        ("IpPermissions.1.Ipv6Ranges.1.CidrIpv6", "::/0"),
    ];
    assert_eq!(world.refused("RevokeSecurityGroupEgress", &of_ipv6), told);
}

#[test]
fn rules_are_revoked_by_their_ids_all_or_none() {
    let world = World::new();
    let group = world.group(&world.vpc(), "web");
    let more = [
        ("IpPermissions.1.IpRanges.1.CidrIp", "10.0.0.0/8"),
        ("IpPermissions.1.IpRanges.2.CidrIp", "192.0.2.0/24"),
    ];
    let ids = all(&world.ok("AuthorizeSecurityGroupIngress", &with(&group, &more)), "securityGroupRuleId");
    let members =
        [("GroupId", &*group), ("SecurityGroupRuleId.1", &ids[0]), ("SecurityGroupRuleId.2", "sgr-x")];
    assert!(
        world
            .refused("RevokeSecurityGroupIngress", &members)
            .starts_with("InvalidSecurityGroupRuleId.NotFound: ")
    );
    let members = [("GroupId", &*group), ("SecurityGroupRuleId.1", &ids[0])];
    assert!(
        world
            .refused("RevokeSecurityGroupEgress", &members)
            .starts_with("InvalidSecurityGroupRuleId.NotFound: ")
    );
    let body = world.ok("RevokeSecurityGroupIngress", &members);
    assert_eq!((one(&body, "securityGroupRuleId"), one(&body, "isEgress")), (ids[0].clone(), "false".into()));
    let shown = world.ok("DescribeSecurityGroups", &[("GroupId.1", &group)]);
    assert_eq!(all(&one(&shown, "ipPermissions"), "cidrIp"), ["192.0.2.0/24"]);
}

#[test]
fn a_rule_can_be_changed_but_not_its_kind() {
    let world = World::new();
    let group = world.group(&world.vpc(), "web");
    let more = [
        ("IpPermissions.1.IpRanges.1.CidrIp", "10.0.0.0/8"),
        ("IpPermissions.1.IpRanges.2.CidrIp", "192.0.2.0/24"),
    ];
    let ids = all(&world.ok("AuthorizeSecurityGroupIngress", &with(&group, &more)), "securityGroupRuleId");
    let change = |cidr: (&'static str, &'static str)| {
        vec![
            ("GroupId", group.as_str()),
            ("SecurityGroupRule.1.SecurityGroupRuleId", ids[0].as_str()),
            ("SecurityGroupRule.1.SecurityGroupRule.IpProtocol", "tcp"),
            ("SecurityGroupRule.1.SecurityGroupRule.FromPort", "80"),
            ("SecurityGroupRule.1.SecurityGroupRule.ToPort", "80"),
            ("SecurityGroupRule.1.SecurityGroupRule.Description", "other"),
            cidr,
        ]
    };
    let v4 = "SecurityGroupRule.1.SecurityGroupRule.CidrIpv4";
    world.ok("ModifySecurityGroupRules", &change((v4, "10.0.0.0/16")));
    let body = world.ok("DescribeSecurityGroupRules", &[("SecurityGroupRuleId.1", &ids[0])]);
    assert_eq!((one(&body, "cidrIpv4"), one(&body, "description")), ("10.0.0.0/16".into(), "other".into()));
    assert!(
        world
            .refused("ModifySecurityGroupRules", &change((v4, "192.0.2.0/24")))
            .starts_with("InvalidPermission.Duplicate: ")
    );
    let v6 = ("SecurityGroupRule.1.SecurityGroupRule.CidrIpv6", "::/0");
    assert!(world.refused("ModifySecurityGroupRules", &change(v6)).contains("cannot be changed"));
    let mut both = change((v4, "10.0.0.0/16"));
    both.push(v6);
    assert!(world.refused("ModifySecurityGroupRules", &both).starts_with("InvalidParameterCombination: "));
}

#[test]
fn descriptions_change_by_permission_and_by_id() {
    let world = World::new();
    let group = world.group(&world.vpc(), "web");
    let cidr = ("IpPermissions.1.IpRanges.1.CidrIp", "10.0.0.0/8");
    let id = one(&world.ok("AuthorizeSecurityGroupIngress", &with(&group, &[cidr])), "securityGroupRuleId");
    let read = || {
        let body = world.ok("DescribeSecurityGroupRules", &[("SecurityGroupRuleId.1", &id)]);
        all(&body, "description").into_iter().next()
    };
    let named = with(&group, &[cidr, ("IpPermissions.1.IpRanges.1.Description", "inside")]);
    world.ok("UpdateSecurityGroupRuleDescriptionsIngress", &named);
    assert_eq!(read().as_deref(), Some("inside"));
    let by_id = [
        ("GroupId", &*group),
        ("SecurityGroupRuleDescription.1.SecurityGroupRuleId", &*id),
        ("SecurityGroupRuleDescription.1.Description", "office"),
    ];
    world.ok("UpdateSecurityGroupRuleDescriptionsIngress", &by_id);
    assert_eq!(read().as_deref(), Some("office"));
    world.ok("UpdateSecurityGroupRuleDescriptionsIngress", &with(&group, &[cidr]));
    assert_eq!(read(), None);
    assert!(
        world
            .refused("UpdateSecurityGroupRuleDescriptionsEgress", &named)
            .starts_with("InvalidPermission.NotFound: ")
    );
    assert!(
        world
            .refused("UpdateSecurityGroupRuleDescriptionsIngress", &[("GroupId", &group)])
            .starts_with("InvalidParameterCombination: ")
    );
}

#[test]
fn a_group_has_sixty_rules_in_each_direction() {
    let world = World::new();
    let group = world.group(&world.vpc(), "web");
    let names: Vec<String> = (1..=61).map(|n| format!("IpPermissions.1.IpRanges.{n}.CidrIp")).collect();
    let cidrs: Vec<String> = (1..=61).map(|n| format!("10.0.{n}.0/24")).collect();
    let more: Vec<(&str, &str)> = names.iter().zip(&cidrs).map(|(name, cidr)| (&**name, &**cidr)).collect();
    assert_eq!(
        world.refused("AuthorizeSecurityGroupIngress", &with(&group, &more)),
        "RulesPerSecurityGroupLimitExceeded: The maximum number of rules per security group has been reached."
    );
    world.ok("AuthorizeSecurityGroupIngress", &with(&group, &more[..60]));
}

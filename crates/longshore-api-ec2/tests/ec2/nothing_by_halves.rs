//! Whatever is thrown at the API: an answer in its form, and a state that agrees with itself.

use longshore_api_ec2::OPERATIONS;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::support::{World, all};

/// Members that many operations have. `#n` stands for the `n`th id that there is.
fn member() -> impl Strategy<Value = (&'static str, &'static str)> {
    let ids = select(vec!["#0", "#1", "#2", "#3", "#4", "#5", "#6", "#7", "#8", "#9", "vpc-x", ""]);
    let id_members = select(vec![
        "VpcId",
        "SubnetId",
        "GroupId",
        "RouteTableId",
        "InternetGatewayId",
        "GatewayId",
        "AssociationId",
        "ResourceId.1",
        "VpcId.1",
        "SubnetId.1",
        "GroupId.1",
        "RouteTableId.1",
        "SecurityGroupRuleId.1",
        "IpPermissions.1.Groups.1.GroupId",
        "LaunchTemplateId",
        "KeyPairId",
        "Filter.1.Value.1",
    ]);
    let texts = select(vec![
        "10.1.0.0/16",
        "10.1.1.0/24",
        "10.1.2.0/25",
        "0.0.0.0/0",
        "::/0",
        "web",
        "tcp",
        "-1",
        "80",
        "443",
        "true",
        "false",
        "eu-west-1a",
        "vpc-id",
        "tag:k",
        "k",
        "v",
        "5",
        "enableDnsSupport",
        "ed25519",
        "$Latest",
        "1",
        "",
    ]);
    let text_members = select(vec![
        "CidrBlock",
        "CidrBlock",
        "DestinationCidrBlock",
        "DestinationIpv6CidrBlock",
        "AvailabilityZone",
        "GroupName",
        "GroupDescription",
        "IpPermissions.1.IpProtocol",
        "IpPermissions.1.FromPort",
        "IpPermissions.1.ToPort",
        "IpPermissions.1.IpRanges.1.CidrIp",
        "CidrIp",
        "IpProtocol",
        "Tag.1.Key",
        "Tag.1.Value",
        "MaxResults",
        "DryRun",
        "Filter.1.Name",
        "Attribute",
        "EnableDnsSupport.Value",
        "MapPublicIpOnLaunch.Value",
        "KeyName",
        "KeyType",
        "LaunchTemplateName",
        "LaunchTemplateData.ImageId",
        "LaunchTemplateVersion.1",
        "SetDefaultVersion",
        "SecurityGroupRule.1.SecurityGroupRule.CidrIpv4",
    ]);
    prop_oneof![3 => (id_members, ids), 4 => (text_members, texts)]
}

/// Ids of what is there, a few of each kind.
fn ids(world: &World) -> Vec<String> {
    let mut found = Vec::new();
    for (list, name) in [
        ("DescribeVpcs", "vpcId"),
        ("DescribeSubnets", "subnetId"),
        ("DescribeSecurityGroups", "groupId"),
        ("DescribeRouteTables", "routeTableId"),
        ("DescribeInternetGateways", "internetGatewayId"),
    ] {
        found.extend(all(&world.ok(list, &[]), name).into_iter().take(2));
    }
    let associations = all(&world.ok("DescribeRouteTables", &[]), "routeTableAssociationId");
    found.extend(associations.into_iter().take(1));
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_done_by_halves(calls in vec((select(OPERATIONS.names.to_vec()), vec(member(), 0..7)), 1..40)) {
        let world = World::new();
        let vpc = world.vpc();
        world.subnet(&vpc, 1);
        world.group(&vpc, "web");
        for (action, members) in calls {
            let ids = ids(&world);
            let text = |value: &'static str| match value.strip_prefix('#').and_then(|n| n.parse::<usize>().ok()) {
                Some(n) => ids.get(n).cloned().unwrap_or_default(),
                None => value.to_owned(),
            };
            let members: Vec<(&str, String)> = members.iter().map(|(name, value)| (*name, text(value))).collect();
            let members: Vec<(&str, &str)> = members.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let before = world.records();
            let (status, body) = world.reply(action, &members);
            prop_assert!(matches!(status, 200 | 400 | 412), "{action} {members:?}: {status} {body}");
            if status != 200 {
                prop_assert_eq!(before.differences(&world.records()), Vec::<String>::new(), "{} {:?}", action, members);
            }
            prop_assert_eq!(world.db.peek(|state| state.check()), Vec::<String>::new(), "{} {:?}", action, members);
        }
    }
}

//! Tags of everything that has an id.

use longshore_domain::{LaunchType, TaskStatus};

use crate::support::{World, all, network};

const KEY: (&str, &str) = ("Tag.1.Key", "team");
const VALUE: (&str, &str) = ("Tag.1.Value", "red & blue");

#[test]
fn everything_can_be_tagged() {
    let world = World::new();
    let vpc = world.vpc();
    let group = world.group(&vpc, "web");
    let of = [("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", &*vpc)];
    let ids = [
        ("vpc", vpc.clone()),
        ("subnet", world.subnet(&vpc, 1)),
        ("security-group", group.clone()),
        ("security-group-rule", {
            let members = [("Filter.1.Name", "group-id"), ("Filter.1.Value.1", &*group)];
            world.get("DescribeSecurityGroupRules", &members, "securityGroupRuleId")
        }),
        ("internet-gateway", world.get("CreateInternetGateway", &[], "internetGatewayId")),
        ("route-table", world.get("CreateRouteTable", &[("VpcId", &vpc)], "routeTableId")),
        ("network-acl", world.get("DescribeNetworkAcls", &of, "networkAclId")),
        ("dhcp-options", world.get("DescribeDhcpOptions", &[], "dhcpOptionsId")),
        ("key-pair", world.get("CreateKeyPair", &[("KeyName", "k"), ("KeyType", "ed25519")], "keyPairId")),
        ("launch-template", {
            let members = [("LaunchTemplateName", "web"), ("LaunchTemplateData.InstanceType", "m5.large")];
            world.get("CreateLaunchTemplate", &members, "launchTemplateId")
        }),
    ];
    let names: Vec<String> = (1..=ids.len()).map(|n| format!("ResourceId.{n}")).collect();
    let mut members: Vec<(&str, &str)> =
        names.iter().zip(&ids).map(|(name, (_, id))| (&**name, &**id)).collect();
    members.extend([KEY, VALUE]);
    world.ok("CreateTags", &members);
    for (kind, id) in &ids {
        let of = [("Filter.1.Name", "resource-id"), ("Filter.1.Value.1", &**id)];
        let body = world.ok("DescribeTags", &of);
        assert_eq!(
            (all(&body, "resourceType"), all(&body, "value")),
            (vec![(*kind).into()], vec![VALUE.1.into()])
        );
        let of = [
            ("Filter.1.Name", "tag:team"),
            ("Filter.1.Value.1", "red*"),
            ("Filter.2.Name", "resource-type"),
            ("Filter.2.Value.1", kind),
        ];
        assert_eq!(all(&world.ok("DescribeTags", &of), "resourceId"), [&**id]);
    }
    let filter = [("Filter.1.Name", "tag:team"), ("Filter.1.Value.1", VALUE.1)];
    for list in [
        "DescribeVpcs",
        "DescribeSubnets",
        "DescribeSecurityGroups",
        "DescribeSecurityGroupRules",
        "DescribeInternetGateways",
        "DescribeRouteTables",
        "DescribeNetworkAcls",
        "DescribeDhcpOptions",
        "DescribeKeyPairs",
        "DescribeLaunchTemplates",
    ] {
        assert_eq!(all(&world.ok(list, &filter), "tagSet").len(), 1, "{list}");
    }
    world.ok("DeleteTags", &members);
    assert!(!world.ok("DescribeTags", &[]).contains("<resourceId>"));
}

#[test]
fn a_tag_goes_by_its_key_or_with_its_value_alone() {
    let world = World::new();
    let vpc = world.vpc();
    let id = ("ResourceId.1", &*vpc);
    let read = || all(&world.ok("DescribeTags", &[]), "key");
    world.ok("CreateTags", &[id, KEY, VALUE, ("Tag.2.Key", "Name")]);
    assert_eq!(read(), ["Name", "team"]);
    world.ok("DeleteTags", &[id, KEY, ("Tag.1.Value", "green")]);
    assert_eq!(read(), ["Name", "team"], "another value is another tag");
    world.ok("DeleteTags", &[id, KEY]);
    assert_eq!(read(), ["Name"]);
    world.ok("CreateTags", &[id, ("Tag.1.Key", "Name"), ("Tag.1.Value", "net")]);
    assert_eq!(all(&world.ok("DescribeTags", &[]), "value"), ["net"]);
    world.ok("DeleteTags", &[id]);
    assert_eq!(read(), Vec::<String>::new());
}

#[test]
fn what_cannot_be_tagged_is_refused() {
    let world = World::new();
    let vpc = world.vpc();
    let refused = |members: &[(&str, &str)]| world.refused("CreateTags", members);
    let id = ("ResourceId.1", &*vpc);
    assert_eq!(refused(&[("ResourceId.1", "x"), KEY, VALUE]), "InvalidID: The ID 'x' is not valid");
    assert_eq!(refused(&[("ResourceId.1", "ami-1"), KEY]), "InvalidID: The ID 'ami-1' is not valid");
    assert_eq!(
        refused(&[id, ("ResourceId.2", "subnet-x"), KEY]),
        "InvalidSubnetID.NotFound: The subnet ID 'subnet-x' does not exist"
    );
    let eni = world.task(5, &network(&["subnet-1"], &[]), TaskStatus::Running, LaunchType::Ec2);
    assert!(refused(&[("ResourceId.1", &eni), KEY]).starts_with("OperationNotPermitted: "));
    assert_eq!(
        refused(&[id, ("Tag.1.Key", "AWS:x")]),
        "InvalidParameterValue: Tag keys starting with 'aws:' are reserved for internal use"
    );
    assert_eq!(
        refused(&[id, KEY, ("Tag.2.Key", "team")]),
        "InvalidParameterValue: Duplicate tag key 'team' specified."
    );
    assert!(refused(&[id, ("Tag.1.Key", &"k".repeat(129))]).contains("128"));
    let names: Vec<String> = (1..=51).map(|n| format!("Tag.{n}.Key")).collect();
    let keys: Vec<String> = (1..=51).map(|n| format!("k{n}")).collect();
    let many: Vec<(&str, &str)> = names.iter().zip(&keys).map(|(name, key)| (&**name, &**key)).collect();
    assert!(refused(&[&[id], &*many].concat()).starts_with("TagLimitExceeded: "));
    let wrong = [
        ("CidrBlock", "10.2.0.0/16"),
        ("TagSpecification.1.ResourceType", "subnet"),
        ("TagSpecification.1.Tag.1.Key", "k"),
    ];
    assert_eq!(
        world.refused("CreateVpc", &wrong),
        "InvalidParameterValue: 'subnet' is not a valid taggable resource type for this operation."
    );
}

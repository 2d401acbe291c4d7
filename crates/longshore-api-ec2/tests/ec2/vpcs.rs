//! VPCs: the default one, and those that are made.

use crate::support::{ACCOUNT, World, all, one};

#[test]
fn a_default_vpc_is_there_from_the_beginning() {
    let mut world = World::new();
    let before = world.records();
    let body = world.ok("DescribeVpcs", &[]);
    assert_eq!(all(&body, "vpcId").len(), 1);
    assert_eq!((one(&body, "isDefault"), one(&body, "ownerId")), ("true".into(), ACCOUNT.into()));
    assert_eq!(all(&body, "cidrBlock"), ["172.31.0.0/16"; 2]);
    assert_eq!(before.differences(&world.records()), Vec::<String>::new(), "to look stores nothing");
    let id = one(&body, "vpcId");
    world.vpc();
    assert_eq!(world.default_vpc(), id, "it is the same when it has been written down");
    world.act_as("999988887777");
    assert_ne!(world.default_vpc(), id);
}

#[test]
fn a_vpc_comes_with_a_group_a_table_and_an_acl() {
    let world = World::new();
    let members = [
        ("CidrBlock", "10.1.2.3/16"),
        ("TagSpecification.1.ResourceType", "vpc"),
        ("TagSpecification.1.Tag.1.Key", "Name"),
        ("TagSpecification.1.Tag.1.Value", "net"),
    ];
    let body = world.ok("CreateVpc", &members);
    assert_eq!((one(&body, "cidrBlock"), one(&body, "value")), ("10.1.0.0/16".into(), "net".into()));
    assert_eq!((one(&body, "isDefault"), one(&body, "instanceTenancy")), ("false".into(), "default".into()));
    let vpc = one(&body, "vpcId");
    let of = [("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", &*vpc)];
    let groups = world.ok("DescribeSecurityGroups", &of);
    assert_eq!(all(&groups, "groupName"), ["default"]);
    assert_eq!(one(&groups, "groupDescription"), "default VPC security group");
    let tables = world.ok("DescribeRouteTables", &of);
    assert_eq!(
        (all(&tables, "main"), all(&tables, "gatewayId")),
        (vec!["true".into()], vec!["local".into()])
    );
    let acls = world.ok("DescribeNetworkAcls", &of);
    assert_eq!(all(&acls, "ruleNumber"), ["100", "32767", "100", "32767"]);
    assert_eq!(one(&acls, "default"), "true");
    let options = world.get("DescribeVpcs", &[("VpcId.1", &vpc)], "dhcpOptionsId");
    let body = world.ok("DescribeDhcpOptions", &[("DhcpOptionsId.1", &options)]);
    assert_eq!(all(&body, "value"), ["eu-west-1.compute.internal", "AmazonProvidedDNS"]);
}

#[test]
fn cidr_blocks_are_checked() {
    let world = World::new();
    for (cidr, told) in [
        (
            "10.0.0.0",
            "InvalidParameterValue: Value (10.0.0.0) for parameter cidrBlock is invalid. This is not a valid CIDR block.",
        ),
        (
            "10.0.0.0/x",
            "InvalidParameterValue: Value (10.0.0.0/x) for parameter cidrBlock is invalid. This is not a valid CIDR block.",
        ),
        ("10.0.0.0/15", "InvalidVpc.Range: The CIDR '10.0.0.0/15' is invalid."),
        ("10.0.0.0/29", "InvalidVpc.Range: The CIDR '10.0.0.0/29' is invalid."),
    ] {
        assert_eq!(world.refused("CreateVpc", &[("CidrBlock", cidr)]), told);
    }
    assert!(world.refused("CreateVpc", &[]).starts_with("MissingParameter: "));
    let refused = world.refused("CreateVpc", &[("CidrBlock", "10.0.0.0/16"), ("InstanceTenancy", "host")]);
    assert_eq!(refused, "InvalidParameterValue: Value (host) for parameter instanceTenancy is invalid.");
    let members = [("CidrBlock", "10.0.0.0/16"), ("AmazonProvidedIpv6CidrBlock", "true")];
    let refused = world.refused("CreateVpc", &members);
    assert_eq!(refused, "UnsupportedOperation: Longshore does not support IPv6 addresses of a VPC.");
    assert_eq!(all(&world.ok("DescribeVpcs", &[]), "vpcId").len(), 1);
}

#[test]
fn attributes_change_one_at_a_time() {
    let world = World::new();
    let vpc = world.vpc();
    let read = |attribute: &str| {
        world.get("DescribeVpcAttribute", &[("VpcId", &vpc), ("Attribute", attribute)], "value")
    };
    assert_eq!(
        [read("enableDnsSupport"), read("enableDnsHostnames"), read("enableNetworkAddressUsageMetrics")],
        ["true", "false", "false"]
    );
    world.ok("ModifyVpcAttribute", &[("VpcId", &vpc), ("EnableDnsHostnames.Value", "true")]);
    world.ok("ModifyVpcAttribute", &[("VpcId", &vpc), ("EnableNetworkAddressUsageMetrics.Value", "true")]);
    assert_eq!(
        [read("enableDnsSupport"), read("enableDnsHostnames"), read("enableNetworkAddressUsageMetrics")],
        ["true", "true", "true"]
    );
    let two = [("VpcId", &*vpc), ("EnableDnsHostnames.Value", "false"), ("EnableDnsSupport.Value", "false")];
    assert_eq!(
        world.refused("ModifyVpcAttribute", &two),
        "InvalidParameterCombination: Fields for multiple attribute types specified."
    );
    let none = world.refused("ModifyVpcAttribute", &[("VpcId", &vpc)]);
    assert_eq!(none, "MissingParameter: No attributes specified.");
    let missing =
        world.refused("DescribeVpcAttribute", &[("VpcId", "vpc-x"), ("Attribute", "enableDnsSupport")]);
    assert_eq!(missing, "InvalidVpcID.NotFound: The vpc ID 'vpc-x' does not exist");
    let missing = world.refused("DescribeVpcAttribute", &[("Attribute", "enableDnsSupport")]);
    assert_eq!(missing, "MissingParameter: The request must contain the parameter vpcId");
}

#[test]
fn a_vpc_goes_when_nothing_is_in_it() {
    let world = World::new();
    let vpc = world.vpc();
    let told = format!("DependencyViolation: The vpc '{vpc}' has dependencies and cannot be deleted.");
    let gone = |what: &str, id: (&str, &str)| {
        assert_eq!(world.refused("DeleteVpc", &[("VpcId", &vpc)]), told, "{what}");
        world.ok(what, &[id]);
    };
    let subnet = world.subnet(&vpc, 1);
    gone("DeleteSubnet", ("SubnetId", &subnet));
    let group = world.group(&vpc, "web");
    gone("DeleteSecurityGroup", ("GroupId", &group));
    let table = world.get("CreateRouteTable", &[("VpcId", &vpc)], "routeTableId");
    gone("DeleteRouteTable", ("RouteTableId", &table));
    let gateway = world.get("CreateInternetGateway", &[], "internetGatewayId");
    world.ok("AttachInternetGateway", &[("InternetGatewayId", &gateway), ("VpcId", &vpc)]);
    assert_eq!(world.refused("DeleteVpc", &[("VpcId", &vpc)]), told);
    world.ok("DetachInternetGateway", &[("InternetGatewayId", &gateway), ("VpcId", &vpc)]);
    let body = world.ok("DeleteVpc", &[("VpcId", &vpc)]);
    assert!(body.contains("<DeleteVpcResponse"), "{body}");
    let told = format!("InvalidVpcID.NotFound: The vpc ID '{vpc}' does not exist");
    assert_eq!(world.refused("DeleteVpc", &[("VpcId", &vpc)]), told);
    assert_eq!(world.refused("DescribeVpcs", &[("VpcId.1", &vpc)]), told);
    for list in ["DescribeSecurityGroups", "DescribeRouteTables", "DescribeNetworkAcls"] {
        let of = [("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", &*vpc)];
        assert_eq!(all(&world.ok(list, &of), "vpcId"), Vec::<String>::new(), "{list}");
    }
}

#[test]
fn the_default_vpc_can_go_and_come_again() {
    let world = World::new();
    assert_eq!(
        world.refused("CreateDefaultVpc", &[]),
        "DefaultVpcAlreadyExists: A Default VPC already exists for this account in this region."
    );
    let vpc = world.default_vpc();
    for subnet in all(&world.ok("DescribeSubnets", &[]), "subnetId") {
        world.ok("DeleteSubnet", &[("SubnetId", &subnet)]);
    }
    let gateway = world.get("DescribeInternetGateways", &[], "internetGatewayId");
    world.ok("DetachInternetGateway", &[("InternetGatewayId", &gateway), ("VpcId", &vpc)]);
    world.ok("DeleteInternetGateway", &[("InternetGatewayId", &gateway)]);
    world.ok("DeleteVpc", &[("VpcId", &vpc)]);
    assert_eq!(all(&world.ok("DescribeVpcs", &[]), "vpcId"), Vec::<String>::new());
    let body = world.ok("DescribeAccountAttributes", &[("AttributeName.1", "default-vpc")]);
    assert_eq!(one(&body, "attributeValue"), "none");
    let members = [("GroupName", "web"), ("GroupDescription", "x")];
    assert_eq!(
        world.refused("CreateSecurityGroup", &members),
        "VPCIdNotSpecified: No default VPC for this user"
    );
    let again = world.get("CreateDefaultVpc", &[], "vpcId");
    assert_ne!(again, vpc);
    assert_eq!(all(&world.ok("DescribeSubnets", &[]), "subnetId").len(), 3);
    assert_eq!(one(&world.ok("DescribeInternetGateways", &[]), "vpcId"), again);
}

#[test]
fn a_dry_run_tells_what_would_happen_and_does_nothing() {
    let world = World::new();
    let dry = ("DryRun", "true");
    let would = "DryRunOperation: Request would have succeeded, but DryRun flag is set.";
    let (status, _) = world.reply("CreateVpc", &[("CidrBlock", "10.0.0.0/16"), dry]);
    assert_eq!(status, 412);
    assert_eq!(world.refused("CreateVpc", &[("CidrBlock", "10.0.0.0/16"), dry]), would);
    assert_eq!(world.refused("DescribeVpcs", &[dry]), would);
    assert_eq!(world.refused("DescribeRegions", &[dry]), would);
    let vpc = world.default_vpc();
    let members = [("VpcId", &*vpc), ("Attribute", "enableDnsSupport"), dry];
    assert_eq!(world.refused("DescribeVpcAttribute", &members), would);
    assert!(world.refused("CreateVpc", &[("CidrBlock", "10.0.0.0/8"), dry]).starts_with("InvalidVpc.Range"));
    assert_eq!(all(&world.ok("DescribeVpcs", &[]), "vpcId").len(), 1);
}

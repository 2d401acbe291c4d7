//! Subnets.

use longshore_domain::{LaunchType, TaskStatus};

use crate::support::{World, all, network, one};

#[test]
fn the_default_vpc_has_a_subnet_in_each_zone() {
    let world = World::new();
    let body =
        world.ok("DescribeSubnets", &[("Filter.1.Name", "default-for-az"), ("Filter.1.Value.1", "true")]);
    let mut zones = all(&body, "availabilityZone");
    zones.sort();
    assert_eq!(zones, ["eu-west-1a", "eu-west-1b", "eu-west-1c"]);
    assert_eq!(all(&body, "mapPublicIpOnLaunch"), ["true"; 3]);
    assert_eq!(all(&body, "availableIpAddressCount"), ["4091"; 3]);
    assert_eq!(all(&body, "vpcId"), vec![world.default_vpc(); 3]);
}

#[test]
fn a_subnet_lies_in_its_vpc_beside_its_siblings() {
    let world = World::new();
    let vpc = world.vpc();
    let members = [("VpcId", &*vpc), ("CidrBlock", "10.1.1.77/24"), ("AvailabilityZone", "eu-west-1b")];
    let body = world.ok("CreateSubnet", &members);
    let subnet = one(&body, "subnetId");
    assert_eq!(
        (one(&body, "cidrBlock"), one(&body, "availableIpAddressCount")),
        ("10.1.1.0/24".into(), "251".into())
    );
    assert_eq!(
        (one(&body, "availabilityZoneId"), one(&body, "defaultForAz")),
        ("euw1-az2".into(), "false".into())
    );
    assert!(one(&body, "subnetArn").ends_with(&format!(":123456789012:subnet/{subnet}")), "{body}");
    for (cidr, told) in [
        ("10.2.0.0/24", "InvalidSubnet.Range: The CIDR '10.2.0.0/24' is invalid."),
        ("10.1.0.0/15", "InvalidSubnet.Range: The CIDR '10.1.0.0/15' is invalid."),
        ("10.1.2.0/29", "InvalidSubnet.Range: The CIDR '10.1.2.0/29' is invalid."),
        ("10.1.0.0/16", "InvalidSubnet.Conflict: The CIDR '10.1.0.0/16' conflicts with another subnet"),
        ("10.1.1.128/25", "InvalidSubnet.Conflict: The CIDR '10.1.1.128/25' conflicts with another subnet"),
        (
            "x",
            "InvalidParameterValue: Value (x) for parameter cidrBlock is invalid. This is not a valid CIDR block.",
        ),
    ] {
        assert_eq!(world.refused("CreateSubnet", &[("VpcId", &vpc), ("CidrBlock", cidr)]), told);
    }
    assert_eq!(
        world.refused("CreateSubnet", &[("VpcId", "vpc-x"), ("CidrBlock", "10.1.2.0/24")]),
        "InvalidVpcID.NotFound: The vpc ID 'vpc-x' does not exist"
    );
    let zone = [("VpcId", &*vpc), ("CidrBlock", "10.1.2.0/24"), ("AvailabilityZone", "eu-west-1z")];
    assert_eq!(
        world.refused("CreateSubnet", &zone),
        "InvalidParameterValue: Value (eu-west-1z) for parameter availabilityZone is invalid. Subnets can currently only be \
         created in the following availability zones: eu-west-1a, eu-west-1b, eu-west-1c."
    );
}

#[test]
fn zones_are_taken_in_turns() {
    let world = World::new();
    let vpc = world.vpc();
    let mut zones = Vec::new();
    for n in 1..=4 {
        let subnet = world.subnet(&vpc, n);
        zones.push(world.get("DescribeSubnets", &[("SubnetId.1", &subnet)], "availabilityZone"));
    }
    assert_eq!(zones, ["eu-west-1a", "eu-west-1b", "eu-west-1c", "eu-west-1a"]);
    let members = [("VpcId", &*vpc), ("CidrBlock", "10.1.9.0/24"), ("AvailabilityZoneId", "euw1-az3")];
    assert_eq!(world.get("CreateSubnet", &members, "availabilityZone"), "eu-west-1c");
}

#[test]
fn attributes_change_one_at_a_time() {
    let world = World::new();
    let vpc = world.vpc();
    let subnet = world.subnet(&vpc, 1);
    let change =
        |name: &str, value: &str| world.ok("ModifySubnetAttribute", &[("SubnetId", &subnet), (name, value)]);
    change("MapPublicIpOnLaunch.Value", "true");
    change("EnableResourceNameDnsARecordOnLaunch.Value", "true");
    change("PrivateDnsHostnameTypeOnLaunch", "resource-name");
    change("AssignIpv6AddressOnCreation.Value", "false");
    let body = world.ok("DescribeSubnets", &[("SubnetId.1", &subnet)]);
    assert_eq!(
        (
            one(&body, "mapPublicIpOnLaunch"),
            one(&body, "hostnameType"),
            one(&body, "enableResourceNameDnsARecord")
        ),
        ("true".into(), "resource-name".into(), "true".into())
    );
    let both = [
        ("SubnetId", &*subnet),
        ("MapPublicIpOnLaunch.Value", "false"),
        ("EnableResourceNameDnsARecordOnLaunch.Value", "false"),
    ];
    assert!(world.refused("ModifySubnetAttribute", &both).starts_with("InvalidParameterCombination: "));
    let v6 = [("SubnetId", &*subnet), ("AssignIpv6AddressOnCreation.Value", "true")];
    assert!(world.refused("ModifySubnetAttribute", &v6).starts_with("UnsupportedOperation: "));
    let none = [("SubnetId", "subnet-x"), ("MapPublicIpOnLaunch.Value", "true")];
    assert_eq!(
        world.refused("ModifySubnetAttribute", &none),
        "InvalidSubnetID.NotFound: The subnet ID 'subnet-x' does not exist"
    );
}

#[test]
fn a_subnet_stays_while_a_task_is_in_it() {
    let world = World::new();
    let vpc = world.vpc();
    let subnet = world.subnet(&vpc, 1);
    world.task(5, &network(&[&subnet], &[]), TaskStatus::Running, LaunchType::Ec2);
    let of = [("SubnetId.1", &*subnet)];
    assert_eq!(world.get("DescribeSubnets", &of, "availableIpAddressCount"), "250");
    let told = format!("DependencyViolation: The subnet '{subnet}' has dependencies and cannot be deleted.");
    assert_eq!(world.refused("DeleteSubnet", &[("SubnetId", &subnet)]), told);
    world.task(5, &network(&[&subnet], &[]), TaskStatus::Stopped, LaunchType::Ec2);
    assert_eq!(world.get("DescribeSubnets", &of, "availableIpAddressCount"), "251");
    world.ok("DeleteSubnet", &[("SubnetId", &subnet)]);
    assert!(world.refused("DeleteSubnet", &[("SubnetId", &subnet)]).starts_with("InvalidSubnetID.NotFound"));
}

#[test]
fn the_association_of_a_subnet_goes_with_it() {
    let world = World::new();
    let vpc = world.vpc();
    let subnet = world.subnet(&vpc, 1);
    let table = world.get("CreateRouteTable", &[("VpcId", &vpc)], "routeTableId");
    world.ok("AssociateRouteTable", &[("RouteTableId", &table), ("SubnetId", &subnet)]);
    world.ok("DeleteSubnet", &[("SubnetId", &subnet)]);
    let body = world.ok("DescribeRouteTables", &[("RouteTableId.1", &table)]);
    assert_eq!(all(&body, "routeTableAssociationId"), Vec::<String>::new());
    world.ok("DeleteRouteTable", &[("RouteTableId", &table)]);
}

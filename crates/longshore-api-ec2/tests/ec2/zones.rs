//! Zones, regions, attributes of an account.

use crate::support::{World, all, one};

#[test]
fn a_region_has_three_zones() {
    let world = World::new();
    let body = world.ok("DescribeAvailabilityZones", &[]);
    assert_eq!(all(&body, "zoneName"), ["eu-west-1a", "eu-west-1b", "eu-west-1c"]);
    assert_eq!(all(&body, "zoneId"), ["euw1-az1", "euw1-az2", "euw1-az3"]);
    // The element is called so by EC2.
    assert_eq!(all(&body, "zoneState"), ["available"; 3]);
    let members =
        [("ZoneName.1", "eu-west-1b"), ("Filter.1.Name", "state"), ("Filter.1.Value.1", "available")];
    assert_eq!(all(&world.ok("DescribeAvailabilityZones", &members), "zoneName"), ["eu-west-1b"]);
    assert_eq!(
        world.refused("DescribeAvailabilityZones", &[("ZoneName.1", "eu-west-1x")]),
        "InvalidParameterValue: Invalid availability zone: [eu-west-1x]"
    );
    assert_eq!(
        world.refused("DescribeAvailabilityZones", &[("Filter.1.Name", "tag:a"), ("Filter.1.Value.1", "b")]),
        "InvalidParameterValue: The filter 'tag:a' is invalid"
    );
}

#[test]
fn regions_are_those_of_the_partition() {
    let world = World::new();
    let body = world.ok("DescribeRegions", &[]);
    let names = all(&body, "regionName");
    assert!(names.len() == 17 && names.contains(&"eu-west-1".to_owned()), "{names:?}");
    let body = world.ok("DescribeRegions", &[("RegionName.1", "us-east-1")]);
    assert_eq!(one(&body, "regionEndpoint"), "ec2.us-east-1.amazonaws.com");
    let refused = world.refused("DescribeRegions", &[("RegionName.1", "mars-1")]);
    assert_eq!(refused, "InvalidParameterValue: Invalid region provided: mars-1");
}

#[test]
fn an_account_knows_its_default_vpc() {
    let world = World::new();
    let body = world.ok("DescribeAccountAttributes", &[]);
    assert_eq!(all(&body, "attributeName"), ["supported-platforms", "default-vpc"]);
    assert_eq!(all(&body, "attributeValue"), ["VPC".to_owned(), world.default_vpc()]);
    let body = world.ok("DescribeAccountAttributes", &[("AttributeName.1", "default-vpc")]);
    assert_eq!(all(&body, "attributeName"), ["default-vpc"]);
}

#[test]
fn instance_types_are_a_table() {
    let world = World::new();
    let body = world.ok("DescribeInstanceTypes", &[("InstanceType.1", "m5.large")]);
    assert_eq!((one(&body, "defaultVCpus"), one(&body, "sizeInMiB")), ("2".into(), "8192".into()));
    assert_eq!(one(&body, "burstablePerformanceSupported"), "false");
    assert_eq!(
        world.refused("DescribeInstanceTypes", &[("InstanceType.1", "m5.huge")]),
        "InvalidInstanceType: The following supplied instance types do not exist: [m5.huge]"
    );
    let members = [
        ("LocationType", "availability-zone"),
        ("Filter.1.Name", "instance-type"),
        ("Filter.1.Value.1", "t3.micro"),
    ];
    let body = world.ok("DescribeInstanceTypeOfferings", &members);
    assert_eq!(all(&body, "location"), ["eu-west-1a", "eu-west-1b", "eu-west-1c"]);
}

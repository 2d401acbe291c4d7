//! Security groups.

use longshore_domain::{LaunchType, TaskStatus};

use crate::support::{World, all, network, one};

#[test]
fn a_new_group_lets_everything_out() {
    let world = World::new();
    let vpc = world.vpc();
    let members = [
        ("VpcId", &*vpc),
        ("GroupName", "web"),
        ("GroupDescription", "what it is for"),
        ("TagSpecification.1.ResourceType", "security-group"),
        ("TagSpecification.1.Tag.1.Key", "k"),
        ("TagSpecification.1.Tag.1.Value", "v"),
    ];
    let body = world.ok("CreateSecurityGroup", &members);
    let group = one(&body, "groupId");
    assert!(one(&body, "securityGroupArn").ends_with(&format!(":security-group/{group}")), "{body}");
    let body = world.ok("DescribeSecurityGroups", &[("GroupId.1", &group)]);
    assert!(body.contains("<ipPermissions></ipPermissions>"), "{body}");
    let egress = one(&body, "ipPermissionsEgress");
    assert_eq!((one(&egress, "ipProtocol"), one(&egress, "cidrIp")), ("-1".into(), "0.0.0.0/0".into()));
    assert!(!egress.contains("Port>"), "all traffic has no ports: {egress}");
    assert_eq!((one(&body, "groupName"), one(&body, "vpcId")), ("web".into(), vpc));
}

#[test]
fn names_are_checked() {
    let world = World::new();
    let vpc = world.vpc();
    world.group(&vpc, "web");
    let refused = |name: &str, description: &str| {
        world.refused(
            "CreateSecurityGroup",
            &[("VpcId", &vpc), ("GroupName", name), ("GroupDescription", description)],
        )
    };
    assert_eq!(
        refused("web", "x"),
        format!("InvalidGroup.Duplicate: The security group 'web' already exists for VPC '{vpc}'")
    );
    assert_eq!(
        refused("sg-1", "x"),
        "InvalidParameterValue: Value (sg-1) for parameter groupName is invalid. Group names may not be in the format sg-*."
    );
    assert_eq!(
        refused("default", "x"),
        "InvalidParameterValue: Cannot use reserved security group name: default"
    );
    assert!(refused("wéb", "x").starts_with("InvalidParameterValue: "));
    assert!(refused(&"n".repeat(256), "x").contains("maximum of 255"));
    assert_eq!(
        refused("new", ""),
        "MissingParameter: The request must contain the parameter groupDescription"
    );
    // The same name in another VPC is another group.
    let other = world.default_vpc();
    world.group(&other, "web");
    let of = [("Filter.1.Name", "group-name"), ("Filter.1.Value.1", "web")];
    assert_eq!(all(&world.ok("DescribeSecurityGroups", &of), "groupId").len(), 2);
    // A name alone is one of the default VPC.
    assert_eq!(world.get("DescribeSecurityGroups", &[("GroupName.1", "web")], "vpcId"), other);
    assert_eq!(
        world.refused("DescribeSecurityGroups", &[("GroupName.1", "db")]),
        "InvalidGroup.NotFound: The security group 'db' does not exist"
    );
    assert_eq!(
        world.refused("DescribeSecurityGroups", &[("GroupId.1", "web")]),
        "InvalidGroupId.Malformed: Invalid id: \"web\" (expecting \"sg-...\")"
    );
}

#[test]
fn a_group_stays_while_something_names_it() {
    let world = World::new();
    let vpc = world.vpc();
    let subnet = world.subnet(&vpc, 1);
    let (web, db) = (world.group(&vpc, "web"), world.group(&vpc, "db"));
    let rule = [
        ("GroupId", &*db),
        ("IpPermissions.1.IpProtocol", "tcp"),
        ("IpPermissions.1.FromPort", "5432"),
        ("IpPermissions.1.ToPort", "5432"),
        ("IpPermissions.1.Groups.1.GroupId", &web),
    ];
    world.ok("AuthorizeSecurityGroupIngress", &rule);
    let told = format!("DependencyViolation: resource {web} has a dependent object");
    assert_eq!(world.refused("DeleteSecurityGroup", &[("GroupId", &web)]), told);
    world.ok("RevokeSecurityGroupIngress", &rule);
    let wish = network(&[&subnet], &[&web]);
    world.task(5, &wish, TaskStatus::Running, LaunchType::Ec2);
    assert_eq!(world.refused("DeleteSecurityGroup", &[("GroupId", &web)]), told);
    world.task(5, &wish, TaskStatus::Stopped, LaunchType::Ec2);
    let body = world.ok("DeleteSecurityGroup", &[("GroupId", &web)]);
    assert_eq!((one(&body, "return"), one(&body, "groupId")), ("true".into(), web.clone()));
    assert_eq!(
        world.refused("DeleteSecurityGroup", &[("GroupId", &web)]),
        format!("InvalidGroup.NotFound: The security group '{web}' does not exist")
    );
}

#[test]
fn nobody_deletes_a_default_group() {
    let world = World::new();
    let members = [("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", &*world.vpc())];
    let group = world.get("DescribeSecurityGroups", &members, "groupId");
    assert_eq!(
        world.refused("DeleteSecurityGroup", &[("GroupId", &group)]),
        format!(
            "CannotDelete: the specified group: \"{group}\" name: \"default\" cannot be deleted by a user"
        )
    );
    assert!(world.refused("DeleteSecurityGroup", &[("GroupName", "default")]).starts_with("CannotDelete: "));
    assert!(world.refused("DeleteSecurityGroup", &[]).starts_with("MissingParameter: "));
}

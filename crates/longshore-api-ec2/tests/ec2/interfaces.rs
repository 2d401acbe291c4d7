//! Interfaces of tasks and machines of container instances, as EC2 shows them.

use longshore_domain::{LaunchType, TaskStatus};

use crate::support::{World, all, network, one};

#[test]
fn the_interface_of_a_task_has_its_real_address() {
    let world = World::new();
    let vpc = world.vpc();
    let (subnet, group) = (world.subnet(&vpc, 1), world.group(&vpc, "web"));
    let eni = world.task(5, &network(&[&subnet], &[&group]), TaskStatus::Running, LaunchType::Ec2);
    let body = world.ok("DescribeNetworkInterfaces", &[("NetworkInterfaceId.1", &eni)]);
    // Not one of the subnet's: what is shown answers.
    assert_eq!(all(&body, "privateIpAddress"), ["172.20.0.5"; 2]);
    assert_eq!((one(&body, "subnetId"), one(&body, "vpcId")), (subnet.clone(), vpc.clone()));
    assert_eq!((one(&body, "groupId"), one(&body, "groupName")), (group.clone(), "web".into()));
    assert_eq!(
        (one(&body, "macAddress"), all(&body, "status").pop().unwrap_or_default()),
        ("02:42:ac:14:00:05".into(), "in-use".into())
    );
    assert_eq!(one(&body, "privateDnsName"), "ip-172-20-0-5.eu-west-1.compute.internal");
    let description =
        format!("arn:aws:ecs:eu-west-1:123456789012:attachment/{}/attachment-5", world.cluster());
    assert_eq!(one(&body, "description"), description);
    assert_eq!(one(&body, "instanceId"), "i-0123456789abcdef0");
    assert_eq!(one(&body, "requesterManaged"), "true");
    assert!(
        !body.contains("publicIp") && !body.contains("<association>"),
        "there is no public address: {body}"
    );
    for (name, value) in [
        ("subnet-id", &*subnet),
        ("group-id", &group),
        ("vpc-id", &vpc),
        ("description", "arn:aws:ecs:*:attachment/*"),
        ("attachment.instance-id", "i-0123456789abcdef0"),
        ("private-ip-address", "172.20.0.5"),
        ("interface-type", "interface"),
    ] {
        let members = [("Filter.1.Name", name), ("Filter.1.Value.1", value)];
        assert_eq!(
            all(&world.ok("DescribeNetworkInterfaces", &members), "networkInterfaceId"),
            [&*eni],
            "{name}"
        );
    }
    let members = [("Filter.1.Name", "description"), ("Filter.1.Value.1", "ELB *")];
    assert_eq!(
        all(&world.ok("DescribeNetworkInterfaces", &members), "networkInterfaceId"),
        Vec::<String>::new()
    );
}

#[test]
fn an_interface_comes_and_goes_with_its_task() {
    let world = World::new();
    let subnet = one(&world.ok("DescribeSubnets", &[]), "subnetId");
    let list = || all(&world.ok("DescribeNetworkInterfaces", &[]), "networkInterfaceId");
    for (status, is_there) in [
        (TaskStatus::Provisioning, false),
        (TaskStatus::Pending, true),
        (TaskStatus::Running, true),
        (TaskStatus::Stopping, true),
        (TaskStatus::Deprovisioning, true),
        (TaskStatus::Stopped, false),
    ] {
        world.task(5, &network(&[&subnet], &[]), status, LaunchType::Fargate);
        assert_eq!(list().len(), usize::from(is_there), "{status:?}");
    }
    assert_eq!(
        world.refused("DescribeNetworkInterfaces", &[("NetworkInterfaceId.1", "eni-x")]),
        "InvalidNetworkInterfaceID.NotFound: The networkInterface ID 'eni-x' does not exist"
    );
}

#[test]
fn an_unknown_subnet_is_told_and_has_no_vpc() {
    let world = World::new();
    world.task(
        5,
        &network(&["subnet-elsewhere"], &["sg-elsewhere"]),
        TaskStatus::Running,
        LaunchType::Fargate,
    );
    let body = world.ok("DescribeNetworkInterfaces", &[]);
    assert_eq!(
        (one(&body, "subnetId"), one(&body, "groupId")),
        ("subnet-elsewhere".into(), "sg-elsewhere".into())
    );
    assert!(!body.contains("<vpcId>") && !body.contains("<groupName>"), "{body}");
    assert!(!body.contains("<instanceId>"), "machines of the pool are nobody's: {body}");
}

#[test]
fn without_a_group_it_is_in_the_default_one() {
    let world = World::new();
    let vpc = world.vpc();
    let subnet = world.subnet(&vpc, 1);
    world.task(5, &network(&[&subnet], &[]), TaskStatus::Running, LaunchType::Ec2);
    assert_eq!(world.get("DescribeNetworkInterfaces", &[], "groupName"), "default");
}

#[test]
fn machines_are_shown_as_far_as_they_are_known() {
    let world = World::new();
    assert_eq!(all(&world.ok("DescribeInstances", &[]), "instanceId"), Vec::<String>::new());
    world.task(5, &network(&[], &[]), TaskStatus::Running, LaunchType::Ec2);
    let body = world.ok("DescribeInstances", &[("InstanceId.1", "i-0123456789abcdef0")]);
    assert_eq!(
        (one(&body, "instanceId"), one(&body, "name")),
        ("i-0123456789abcdef0".into(), "running".into())
    );
    assert_eq!(one(&body, "code"), "16");
    assert!(!body.contains("ipAddress") && !body.contains("<subnetId>"), "nothing is made up: {body}");
    let members = [("Filter.1.Name", "instance-state-name"), ("Filter.1.Value.1", "stopped")];
    assert_eq!(all(&world.ok("DescribeInstances", &members), "instanceId"), Vec::<String>::new());
    assert_eq!(
        world.refused("DescribeInstances", &[("InstanceId.1", "i-x")]),
        "InvalidInstanceID.NotFound: The instance ID 'i-x' does not exist"
    );
    assert_eq!(
        world.refused("DescribeInstances", &[("InstanceId.1", "x")]),
        "InvalidInstanceID.Malformed: Invalid id: \"x\""
    );
}

#[test]
fn another_account_sees_none_of_them() {
    let mut world = World::new();
    world.task(5, &network(&["subnet-1"], &[]), TaskStatus::Running, LaunchType::Ec2);
    world.act_as("999988887777");
    assert_eq!(all(&world.ok("DescribeNetworkInterfaces", &[]), "networkInterfaceId"), Vec::<String>::new());
    assert_eq!(all(&world.ok("DescribeInstances", &[]), "instanceId"), Vec::<String>::new());
}

/// What is found by an index costs what is found: ten thousand tasks more make no difference that matters. The bound is
/// generous, because machines are busy: a walk over all of them takes some hundred times as long as one look.
#[test]
fn one_interface_is_found_among_ten_thousand() {
    const TASKS: u16 = 10_000;
    let world = World::new();
    let vpc = world.vpc();
    let (subnet, group) = (world.subnet(&vpc, 1), world.group(&vpc, "web"));
    let (empty, unused) = (world.subnet(&vpc, 2), world.group(&vpc, "unused"));
    world.tasks(TASKS, &network(&[&subnet], &[&group]));
    // Times are told and not judged; an index that missed something would show in what is found.
    let timed = |operation: &str, members: &[(&str, &str)], count: usize| {
        let begun = std::time::Instant::now();
        let body = world.ok(operation, members);
        println!("{operation} {members:?}: {:?}", begun.elapsed());
        assert_eq!(all(&body, "networkInterfaceId").len(), count, "{operation} {members:?}");
    };
    let filter =
        |name: &'static str, value: &'static str| [("Filter.1.Name", name), ("Filter.1.Value.1", value)];
    // Whatever matches by a pattern is looked for among all.
    timed("DescribeNetworkInterfaces", &filter("description", "ELB *"), 0);
    timed("DescribeNetworkInterfaces", &[("NetworkInterfaceId.1", "eni-00000000000001fff")], 1);
    timed("DescribeNetworkInterfaces", &filter("private-ip-address", "10.1.31.255"), 1);
    timed("DescribeNetworkInterfaces", &[("Filter.1.Name", "subnet-id"), ("Filter.1.Value.1", &empty)], 0);
    timed("DescribeNetworkInterfaces", &[("Filter.1.Name", "group-id"), ("Filter.1.Value.1", &unused)], 0);
    timed("DescribeSubnets", &[], 0);
    let begun = std::time::Instant::now();
    assert!(world.refused("DeleteSubnet", &[("SubnetId", &subnet)]).starts_with("DependencyViolation"));
    assert!(world.refused("DeleteSecurityGroup", &[("GroupId", &group)]).starts_with("DependencyViolation"));
    world.ok("DeleteSubnet", &[("SubnetId", &empty)]);
    world.ok("DeleteSecurityGroup", &[("GroupId", &unused)]);
    println!("four deletions: {:?}", begun.elapsed());
}

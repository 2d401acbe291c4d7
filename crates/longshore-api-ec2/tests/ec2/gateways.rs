//! Internet gateways.

use crate::support::{World, all, one};

#[test]
fn a_gateway_is_made_attached_detached_and_deleted() {
    let world = World::new();
    let vpc = world.vpc();
    let gateway = world.get("CreateInternetGateway", &[], "internetGatewayId");
    let both = [("InternetGatewayId", &*gateway), ("VpcId", &*vpc)];
    let of = [("InternetGatewayId.1", &*gateway)];
    assert!(world.ok("DescribeInternetGateways", &of).contains("<attachmentSet></attachmentSet>"));
    assert_eq!(
        world.refused("DetachInternetGateway", &both),
        format!("Gateway.NotAttached: resource {gateway} is not attached to network {vpc}")
    );
    world.ok("AttachInternetGateway", &both);
    let body = world.ok("DescribeInternetGateways", &of);
    assert_eq!((one(&body, "state"), one(&body, "vpcId")), ("available".into(), vpc.clone()));
    assert_eq!(
        world.refused("AttachInternetGateway", &both),
        format!("Resource.AlreadyAssociated: resource {gateway} is already attached to network {vpc}")
    );
    let second = world.get("CreateInternetGateway", &[], "internetGatewayId");
    assert_eq!(
        world.refused("AttachInternetGateway", &[("InternetGatewayId", &second), ("VpcId", &vpc)]),
        format!("InvalidParameterValue: Network {vpc} already has an internet gateway attached")
    );
    assert_eq!(
        world.refused("DeleteInternetGateway", &[("InternetGatewayId", &gateway)]),
        format!(
            "DependencyViolation: The internetGateway '{gateway}' has dependencies and cannot be deleted."
        )
    );
    world.ok("DetachInternetGateway", &both);
    world.ok("DeleteInternetGateway", &[("InternetGatewayId", &gateway)]);
    assert_eq!(
        world.refused("DescribeInternetGateways", &of),
        format!("InvalidInternetGatewayID.NotFound: The internetGateway ID '{gateway}' does not exist")
    );
}

#[test]
fn gateways_are_found_by_their_vpc() {
    let world = World::new();
    world.get("CreateInternetGateway", &[], "internetGatewayId");
    let vpc = world.default_vpc();
    let members = [("Filter.1.Name", "attachment.vpc-id"), ("Filter.1.Value.1", &*vpc)];
    assert_eq!(all(&world.ok("DescribeInternetGateways", &members), "internetGatewayId").len(), 1);
    assert_eq!(all(&world.ok("DescribeInternetGateways", &[]), "internetGatewayId").len(), 2);
}

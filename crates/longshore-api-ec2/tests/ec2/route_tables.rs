//! Route tables, their associations and their routes.

use crate::support::{World, all, one};

struct Scene {
    world: World,
    vpc: String,
    subnet: String,
    table: String,
    gateway: String,
}

/// A VPC with a subnet, a table of its own and a gateway.
fn scene() -> Scene {
    let world = World::new();
    let vpc = world.vpc();
    let subnet = world.subnet(&vpc, 1);
    let table = world.get("CreateRouteTable", &[("VpcId", &vpc)], "routeTableId");
    let gateway = world.get("CreateInternetGateway", &[], "internetGatewayId");
    world.ok("AttachInternetGateway", &[("InternetGatewayId", &gateway), ("VpcId", &vpc)]);
    Scene { world, vpc, subnet, table, gateway }
}

impl Scene {
    fn shown(&self) -> String {
        self.world.ok("DescribeRouteTables", &[("RouteTableId.1", &self.table)])
    }

    fn route<'a>(&'a self, cidr: &'a str) -> [(&'a str, &'a str); 3] {
        [("RouteTableId", &self.table), ("DestinationCidrBlock", cidr), ("GatewayId", &self.gateway)]
    }
}

#[test]
fn routes_are_made_replaced_and_deleted() {
    let scene = scene();
    let Scene { world, table, gateway, vpc, .. } = &scene;
    world.ok("CreateRoute", &scene.route("0.0.0.0/0"));
    let v6 = [("RouteTableId", &**table), ("DestinationIpv6CidrBlock", "0::0/0"), ("GatewayId", gateway)];
    world.ok("CreateRoute", &v6);
    let body = scene.shown();
    assert_eq!(all(&body, "destinationCidrBlock"), ["10.1.0.0/16", "0.0.0.0/0"]);
    assert_eq!(all(&body, "destinationIpv6CidrBlock"), ["::/0"]);
    assert_eq!(all(&body, "gatewayId"), ["local", gateway, gateway]);
    assert_eq!(all(&body, "origin"), ["CreateRouteTable", "CreateRoute", "CreateRoute"]);
    assert_eq!(
        world.refused("CreateRoute", &scene.route("0.0.0.0/0")),
        "RouteAlreadyExists: The route identified by 0.0.0.0/0 already exists."
    );
    world.ok("ReplaceRoute", &scene.route("0.0.0.0/0"));
    assert_eq!(
        world.refused("ReplaceRoute", &scene.route("192.0.2.0/24")),
        "InvalidParameterValue: There is no route defined for '192.0.2.0/24' in the route table. Use CreateRoute instead."
    );
    // Without its gateway a route leads nowhere.
    world.ok("DetachInternetGateway", &[("InternetGatewayId", gateway), ("VpcId", vpc)]);
    let states = |body: &str| -> Vec<String> { all(&one(body, "routeSet"), "state") };
    assert_eq!(states(&scene.shown()), ["active", "blackhole", "blackhole"]);
    let gone = [("RouteTableId", &**table), ("DestinationCidrBlock", "0.0.0.0/0")];
    world.ok("DeleteRoute", &gone);
    assert_eq!(
        world.refused("DeleteRoute", &gone),
        format!(
            "InvalidRoute.NotFound: no route with destination-cidr-block 0.0.0.0/0 in route table {table}"
        )
    );
    assert_eq!(
        world.refused("DeleteRoute", &[("RouteTableId", table), ("DestinationCidrBlock", "10.1.0.0/16")]),
        format!("InvalidParameterValue: cannot remove local route 10.1.0.0/16 in route table {table}")
    );
}

#[test]
fn a_route_needs_a_destination_and_a_target_that_are_there() {
    let scene = scene();
    let Scene { world, table, gateway, .. } = &scene;
    let refused =
        |more: &[(&str, &str)]| world.refused("CreateRoute", &[&[("RouteTableId", &**table)], more].concat());
    let everywhere = ("DestinationCidrBlock", "0.0.0.0/0");
    assert_eq!(
        refused(&[("GatewayId", gateway)]),
        "MissingParameter: The request must contain the parameter destinationCidrBlock"
    );
    assert_eq!(refused(&[everywhere]), "MissingParameter: The request must contain the parameter gatewayId");
    assert_eq!(
        refused(&[everywhere, ("GatewayId", "igw-x")]),
        "InvalidGatewayID.NotFound: The gateway ID 'igw-x' does not exist"
    );
    assert_eq!(
        refused(&[everywhere, ("NatGatewayId", "nat-1")]),
        "NatGatewayNotFound: The natGateway ID 'nat-1' does not exist"
    );
    assert!(refused(&[everywhere, ("InstanceId", "i-1")]).starts_with("UnsupportedOperation: "));
    assert!(
        refused(&[everywhere, ("GatewayId", gateway), ("NatGatewayId", "nat-1")])
            .starts_with("InvalidParameterCombination: ")
    );
    assert!(
        refused(&[everywhere, ("DestinationIpv6CidrBlock", "::/0"), ("GatewayId", gateway)])
            .starts_with("InvalidParameterCombination: ")
    );
    let unattached = world.get("CreateInternetGateway", &[], "internetGatewayId");
    assert_eq!(
        refused(&[everywhere, ("GatewayId", &unattached)]),
        format!(
            "InvalidParameterValue: route table {table} and network gateway {unattached} belong to different networks"
        )
    );
    assert_eq!(
        refused(&[("DestinationCidrBlock", "10.1.0.0/16"), ("GatewayId", gateway)]),
        "RouteAlreadyExists: The route identified by 10.1.0.0/16 already exists."
    );
    assert!(
        refused(&[("DestinationCidrBlock", "10.1.9.0/24"), ("GatewayId", gateway)]).contains("more specific")
    );
    assert_eq!(
        world.refused("CreateRoute", &[("RouteTableId", "rtb-x"), everywhere, ("GatewayId", gateway)]),
        "InvalidRouteTableID.NotFound: The routeTable ID 'rtb-x' does not exist"
    );
}

#[test]
fn a_subnet_uses_one_table() {
    let scene = scene();
    let Scene { world, subnet, table, vpc, .. } = &scene;
    let both = [("RouteTableId", &**table), ("SubnetId", &**subnet)];
    let body = world.ok("AssociateRouteTable", &both);
    let association = one(&body, "associationId");
    assert_eq!(one(&body, "state"), "associated");
    assert_eq!(
        world.refused("AssociateRouteTable", &both),
        format!(
            "Resource.AlreadyAssociated: the specified association for route table {table} conflicts with an existing \
             association"
        )
    );
    let body = world.ok(
        "DescribeRouteTables",
        &[("Filter.1.Name", "association.subnet-id"), ("Filter.1.Value.1", subnet)],
    );
    assert_eq!((one(&body, "routeTableId"), one(&body, "main")), (table.clone(), "false".into()));
    assert_eq!(
        world.refused("DeleteRouteTable", &[("RouteTableId", table)]),
        format!("DependencyViolation: The routeTable '{table}' has dependencies and cannot be deleted.")
    );
    let other = world.get("CreateRouteTable", &[("VpcId", vpc)], "routeTableId");
    let replace = [("AssociationId", &*association), ("RouteTableId", &*other)];
    let new = world.get("ReplaceRouteTableAssociation", &replace, "newAssociationId");
    assert_ne!(new, association);
    assert_eq!(
        world.refused("ReplaceRouteTableAssociation", &replace),
        format!("InvalidAssociationID.NotFound: The association ID '{association}' does not exist")
    );
    // Onto the same table again: another id.
    let again = world.get(
        "ReplaceRouteTableAssociation",
        &[("AssociationId", &new), ("RouteTableId", &other)],
        "newAssociationId",
    );
    let body = world.ok("DescribeRouteTables", &[("RouteTableId.1", &other)]);
    assert_eq!(
        (one(&body, "routeTableAssociationId"), one(&body, "subnetId")),
        (again.clone(), subnet.clone())
    );
    world.ok("DeleteRouteTable", &[("RouteTableId", table)]);
    world.ok("DisassociateRouteTable", &[("AssociationId", &again)]);
    assert!(
        world
            .refused("DisassociateRouteTable", &[("AssociationId", &again)])
            .starts_with("InvalidAssociationID.NotFound")
    );
    let foreign = world.get("CreateRouteTable", &[("VpcId", &world.default_vpc())], "routeTableId");
    assert!(
        world
            .refused("AssociateRouteTable", &[("RouteTableId", &foreign), ("SubnetId", subnet)])
            .contains("belong to different networks")
    );
}

#[test]
fn another_table_can_become_the_main_one() {
    let scene = scene();
    let Scene { world, table, vpc, .. } = &scene;
    let main = [
        ("Filter.1.Name", "association.main"),
        ("Filter.1.Value.1", "true"),
        ("Filter.2.Name", "vpc-id"),
        ("Filter.2.Value.1", vpc),
    ];
    let body = world.ok("DescribeRouteTables", &main);
    let (old, association) = (one(&body, "routeTableId"), one(&body, "routeTableAssociationId"));
    assert_eq!(
        world.refused("DisassociateRouteTable", &[("AssociationId", &association)]),
        format!("InvalidParameterValue: cannot disassociate the main route table association {association}")
    );
    assert!(
        world.refused("DeleteRouteTable", &[("RouteTableId", &old)]).starts_with("DependencyViolation: ")
    );
    world.ok("ReplaceRouteTableAssociation", &[("AssociationId", &association), ("RouteTableId", table)]);
    assert_eq!(world.get("DescribeRouteTables", &main, "routeTableId"), *table);
    world.ok("DeleteRouteTable", &[("RouteTableId", &old)]);
}

//! Routes: kept and shown. They lead through internet gateways, the only kind of gateway that there is.

use longshore_base::Cidr;
use longshore_shapes_ec2::{
    CreateRouteRequest, CreateRouteResult, DeleteRouteOutput, ReplaceRouteOutput, ReplaceRouteRequest,
};
use longshore_tables_ec2::key::Id;
use longshore_tables_ec2::record::{Destination, RouteTable};
use longshore_tables_ec2::{Ec2State, OwnKey, Realm};
use longshore_wire::Fault;

use crate::errors::Missing;
use crate::input::{given, none_of};
use crate::permission::kind;
use crate::route_tables::LOCAL;
use crate::{cidrs, errors, find};

/// AWS's quota of one table.
const ROUTES_MAX: usize = 500;

/// Where a route leads to, as a call says it: exactly one of them.
fn destination(
    ipv4: Option<&str>,
    ipv6: Option<&str>,
    prefix_list: Option<&str>,
) -> Result<Destination, Fault> {
    match (ipv4, ipv6, prefix_list) {
        (Some(text), None, None) => {
            let cidr = cidrs::ipv4(text).map(Destination::Ipv4);
            cidr.ok_or_else(|| errors::malformed_cidr("destinationCidrBlock", text))
        }
        (None, Some(text), None) => {
            let cidr = cidrs::ipv6(text).map(Destination::Ipv6);
            cidr.ok_or_else(|| errors::malformed_cidr("destinationIpv6CidrBlock", text))
        }
        (None, None, Some(list)) => Err(errors::no_prefix_list(list)),
        (None, None, None) => Err(errors::missing("destinationCidrBlock")),
        _several => Err(errors::combination(
            "Exactly one of destinationCidrBlock, destinationIpv6CidrBlock and destinationPrefixListId must be specified.",
        )),
    }
}

fn told(destination: &Destination) -> String {
    match destination {
        Destination::Ipv4(cidr) => cidr.to_string(),
        Destination::Ipv6(cidr) => cidr.to_string(),
    }
}

/// The members of a call that say what a route leads through.
struct Targets<'a> {
    gateway: Option<&'a str>,
    /// Kinds of things of which there are none, with what is said of one.
    absent: Vec<(Option<&'a str>, Missing)>,
}

macro_rules! targets {
    ($input:expr) => {
        Targets {
            gateway: $input.gateway_id.as_deref(),
            absent: vec![
                ($input.nat_gateway_id.as_deref(), errors::no_nat_gateway as Missing),
                ($input.transit_gateway_id.as_deref(), errors::no_transit_gateway),
                ($input.vpc_peering_connection_id.as_deref(), errors::no_peering),
                ($input.vpc_endpoint_id.as_deref(), errors::no_endpoint),
                ($input.egress_only_internet_gateway_id.as_deref(), errors::no_route_target),
                ($input.local_gateway_id.as_deref(), errors::no_route_target),
                ($input.carrier_gateway_id.as_deref(), errors::no_route_target),
            ],
        }
    };
}

impl Targets<'_> {
    /// The gateway, which has to be attached to the table's VPC.
    fn choose(&self, realm: &Realm, table: (&Id, &RouteTable)) -> Result<Id, Fault> {
        let others = self.absent.iter().filter_map(|(id, missing)| Some(((*id)?, missing)));
        let others: Vec<_> = others.collect();
        match (self.gateway, others.as_slice()) {
            (Some(LOCAL), []) => Err(errors::invalid("Longshore makes the route to the VPC itself")),
            (Some(wanted), []) => {
                let found = realm.gateways().get_key_value(wanted);
                let (id, gateway) = found.ok_or_else(|| errors::no_route_target(wanted))?;
                if gateway.vpc.as_ref() == Some(&table.1.vpc) {
                    return Ok(id.clone());
                }
                let text =
                    format!("route table {} and network gateway {id} belong to different networks", table.0);
                Err(errors::invalid(text))
            }
            (None, [(id, missing)]) => Err(missing(id)),
            (None, []) => Err(errors::missing("gatewayId")),
            _several => Err(errors::combination("Exactly one target of a route must be specified.")),
        }
    }
}

fn check_create(input: &CreateRouteRequest) -> Result<(), Fault> {
    none_of(&[
        ("routes through instances", input.instance_id.is_some()),
        ("routes through network interfaces", input.network_interface_id.is_some()),
        ("core networks", input.core_network_arn.is_some()),
        ("ODB networks", input.odb_network_arn.is_some()),
    ])
}

fn check_replace(input: &ReplaceRouteRequest) -> Result<(), Fault> {
    none_of(&[
        ("routes through instances", input.instance_id.is_some()),
        ("routes through network interfaces", input.network_interface_id.is_some()),
        ("core networks", input.core_network_arn.is_some()),
        ("ODB networks", input.odb_network_arn.is_some()),
        ("another target for the route to the VPC itself", input.local_target.is_some()),
    ])
}

/// Refuses what the VPC reaches by itself.
fn not_local(own: Option<Cidr>, destination: &Destination) -> Result<(), Fault> {
    let (Some(own), Destination::Ipv4(cidr)) = (own, destination) else { return Ok(()) };
    if own == *cidr {
        return Err(errors::route_exists(&cidr.to_string()));
    }
    if own.includes(*cidr) {
        return Err(errors::invalid(format!(
            "The destination CIDR block {cidr} is equal to or more specific than one of this VPC's CIDR blocks. This route can \
             target only an interface or an instance."
        )));
    }
    Ok(())
}

command!(CreateRoute, |ask, input| ask.on(kind::TABLE, given(&input.route_table_id)), |tx, caller, input| {
    check_create(&input)?;
    let destination = destination(
        input.destination_cidr_block.as_deref(),
        input.destination_ipv6_cidr_block.as_deref(),
        input.destination_prefix_list_id.as_deref(),
    )?;
    let (id, mut table, gateway) = {
        let realm = tx.ec2().realm(&caller.scope);
        let (id, table) = find::table(&realm, given(&input.route_table_id))?;
        let gateway = targets!(input).choose(&realm, (id, table))?;
        not_local(realm.vpcs().get(&table.vpc).map(|vpc| vpc.cidr), &destination)?;
        (id.clone(), RouteTable::clone(table), gateway)
    };
    if table.routes.contains_key(&destination) {
        return Err(errors::route_exists(&told(&destination)));
    }
    table.routes.insert(destination, gateway);
    if table.routes.len() > ROUTES_MAX {
        return Err(errors::quota("RouteLimitExceeded", "routes"));
    }
    tx.put::<RouteTable>(OwnKey::new(&caller.scope, &id), table);
    Ok(CreateRouteResult { r#return: Some(true) })
});

command!(
    ReplaceRoute,
    |ask, input| ask.on(kind::TABLE, given(&input.route_table_id)),
    |tx, caller, input| {
        check_replace(&input)?;
        let destination = destination(
            input.destination_cidr_block.as_deref(),
            input.destination_ipv6_cidr_block.as_deref(),
            input.destination_prefix_list_id.as_deref(),
        )?;
        let (id, mut table, gateway) = {
            let realm = tx.ec2().realm(&caller.scope);
            let (id, table) = find::table(&realm, given(&input.route_table_id))?;
            let gateway = targets!(input).choose(&realm, (id, table))?;
            (id.clone(), RouteTable::clone(table), gateway)
        };
        if !table.routes.contains_key(&destination) {
            return Err(errors::invalid(format!(
                "There is no route defined for '{}' in the route table. Use CreateRoute instead.",
                told(&destination)
            )));
        }
        table.routes.insert(destination, gateway);
        tx.put::<RouteTable>(OwnKey::new(&caller.scope, &id), table);
        Ok(ReplaceRouteOutput {})
    }
);

command!(DeleteRoute, |ask, input| ask.on(kind::TABLE, given(&input.route_table_id)), |tx, caller, input| {
    let destination = destination(
        input.destination_cidr_block.as_deref(),
        input.destination_ipv6_cidr_block.as_deref(),
        input.destination_prefix_list_id.as_deref(),
    )?;
    let (id, mut table, own) = {
        let realm = tx.ec2().realm(&caller.scope);
        let (id, table) = find::table(&realm, given(&input.route_table_id))?;
        let own = realm.vpcs().get(&table.vpc).map(|vpc| vpc.cidr);
        (id.clone(), RouteTable::clone(table), own)
    };
    if own.map(Destination::Ipv4).as_ref() == Some(&destination) {
        let text = format!("cannot remove local route {} in route table {id}", told(&destination));
        return Err(errors::invalid(text));
    }
    if table.routes.remove(&destination).is_none() {
        let member = match destination {
            Destination::Ipv4(_) => "destination-cidr-block",
            Destination::Ipv6(_) => "destination-ipv6-cidr-block",
        };
        return Err(errors::no_route(member, &told(&destination), &id));
    }
    tx.put::<RouteTable>(OwnKey::new(&caller.scope, &id), table);
    Ok(DeleteRouteOutput {})
});

//! Route tables, and which subnets use them. Their routes are in [`crate::routes`].

use std::collections::BTreeMap;

use longshore_service::{Caller, Resources};
use longshore_shapes_ec2::{
    self as shapes, AssociateRouteTableResult, CreateRouteTableResult, DeleteRouteTableOutput,
    DisassociateRouteTableOutput, ReplaceRouteTableAssociationResult, ResourceType, Route, RouteOrigin,
    RouteState, RouteTableAssociation, RouteTableAssociationState, RouteTableAssociationStateCode, Tag,
};
use longshore_tables_ec2::ids::{self, prefix};
use longshore_tables_ec2::key::Id;
use longshore_tables_ec2::record::{Destination, RouteTable, Vpc};
use longshore_tables_ec2::{Ec2State, OwnKey, Realm};

use crate::filters::{Filterable, Texts, each, never, one};
use crate::input::{given, none_of};
use crate::permission::{Ask, kind};
use crate::{errors, find, tags};

/// AWS's quota of one VPC.
const TABLES_MAX: usize = 200;

/// What the route to the VPC itself leads through.
pub(crate) const LOCAL: &str = "local";

fn associated() -> RouteTableAssociationState {
    RouteTableAssociationState {
        state: Some(RouteTableAssociationStateCode::Associated),
        status_message: None,
    }
}

/// A table as it is shown.
pub(crate) fn shape(caller: &Caller, realm: &Realm, id: &Id, table: &RouteTable) -> shapes::RouteTable {
    let vpc = realm.vpcs().get(&table.vpc);
    let main = vpc.filter(|vpc| vpc.main_table == *id).map(|vpc| RouteTableAssociation {
        association_state: Some(associated()),
        main: Some(true),
        route_table_association_id: Some(vpc.main_association.to_string()),
        route_table_id: Some(id.to_string()),
        ..RouteTableAssociation::default()
    });
    let others = table.subnets.iter().map(|(association, subnet)| RouteTableAssociation {
        association_state: Some(associated()),
        main: Some(false),
        route_table_association_id: Some(association.to_string()),
        route_table_id: Some(id.to_string()),
        subnet_id: Some(subnet.to_string()),
        ..RouteTableAssociation::default()
    });
    let local = vpc.map(|vpc| Route {
        destination_cidr_block: Some(vpc.cidr.to_string()),
        gateway_id: Some(LOCAL.to_owned()),
        origin: Some(RouteOrigin::CreateRouteTable),
        state: Some(RouteState::Active),
        ..Route::default()
    });
    let routes = table.routes.iter().map(|(destination, gateway)| {
        // A route through a gateway that was taken away leads nowhere.
        let own = realm.gateways().get(gateway).and_then(|gateway| gateway.vpc.as_ref());
        let is_active = own == Some(&table.vpc);
        let mut route = Route {
            gateway_id: Some(gateway.to_string()),
            origin: Some(RouteOrigin::CreateRoute),
            state: Some(if is_active { RouteState::Active } else { RouteState::Blackhole }),
            ..Route::default()
        };
        match destination {
            Destination::Ipv4(cidr) => route.destination_cidr_block = Some(cidr.to_string()),
            Destination::Ipv6(cidr) => route.destination_ipv6_cidr_block = Some(cidr.to_string()),
        }
        route
    });
    shapes::RouteTable {
        associations: Some(main.into_iter().chain(others).collect()),
        owner_id: Some(caller.scope.account.to_string()),
        propagating_vgws: Some(Vec::new()),
        route_table_id: Some(id.to_string()),
        routes: Some(local.into_iter().chain(routes).collect()),
        tags: Some(tags::shapes(&table.tags)),
        vpc_id: Some(table.vpc.to_string()),
    }
}

impl Filterable for shapes::RouteTable {
    const FILTERS: &'static [(&'static str, Texts<Self>)] = &[
        ("association.gateway-id", never),
        ("association.main", |own| each(&own.associations, |own| own.main.map(|main| main.to_string()))),
        ("association.route-table-association-id", |own| {
            each(&own.associations, |own| own.route_table_association_id.as_ref())
        }),
        ("association.route-table-id", |own| each(&own.associations, |own| own.route_table_id.as_ref())),
        ("association.subnet-id", |own| each(&own.associations, |own| own.subnet_id.as_ref())),
        ("owner-id", |own| one(own.owner_id.as_ref())),
        ("route-table-id", |own| one(own.route_table_id.as_ref())),
        ("route.carrier-gateway-id", never),
        ("route.destination-cidr-block", |own| {
            each(&own.routes, |route| route.destination_cidr_block.as_ref())
        }),
        ("route.destination-ipv6-cidr-block", |own| {
            each(&own.routes, |route| route.destination_ipv6_cidr_block.as_ref())
        }),
        ("route.destination-prefix-list-id", never),
        ("route.egress-only-internet-gateway-id", never),
        ("route.gateway-id", |own| each(&own.routes, |route| route.gateway_id.as_ref())),
        ("route.instance-id", never),
        ("route.local-gateway-id", never),
        ("route.nat-gateway-id", never),
        ("route.origin", |own| each(&own.routes, |route| route.origin.as_ref().map(RouteOrigin::as_str))),
        ("route.state", |own| each(&own.routes, |route| route.state.as_ref().map(RouteState::as_str))),
        ("route.transit-gateway-id", never),
        ("route.vpc-peering-connection-id", never),
        ("vpc-id", |own| one(own.vpc_id.as_ref())),
    ];

    fn place(&self) -> String {
        self.route_table_id.clone().unwrap_or_default()
    }

    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

describe!(DescribeRouteTables as DescribeRouteTablesResult { route_tables } of shapes::RouteTable,
    not with [route_table_ids],
    |state, caller, input| {
        let realm = find::realm(state, caller);
        let all = realm.tables().iter().map(|(id, table)| shape(caller, &realm, id, table)).collect();
        fn id(own: &shapes::RouteTable) -> Option<&str> {
            own.route_table_id.as_deref()
        }
        find::selected(all, &input.route_table_ids, id, errors::no_table)
    }
);

command!(
    CreateRouteTable,
    |ask, input| ask
        .new_in(kind::TABLE, input.vpc_id.as_deref(), &input.tag_specifications)
        .and([ask.on(kind::VPC, given(&input.vpc_id))]),
    |tx, caller, input| {
        let own_tags = tags::specified(&input.tag_specifications, &ResourceType::RouteTable)?;
        let vpc = {
            let realm = tx.ec2().realm(&caller.scope);
            let (vpc, _) = find::vpc(&realm, given(&input.vpc_id))?;
            if realm.tables().values().filter(|table| table.vpc == *vpc).count() >= TABLES_MAX {
                return Err(errors::quota("RouteTableLimitExceeded", "route tables"));
            }
            vpc.clone()
        };
        let id = ids::drawn(prefix::ROUTE_TABLE, tx.ids.seed());
        let table = RouteTable { vpc, routes: BTreeMap::new(), subnets: BTreeMap::new(), tags: own_tags };
        let shown = shape(caller, &tx.ec2().realm(&caller.scope), &id, &table);
        tx.put::<RouteTable>(OwnKey::new(&caller.scope, &id), table);
        Ok(CreateRouteTableResult { client_token: input.client_token, route_table: Some(shown) })
    }
);

command!(
    DeleteRouteTable,
    |ask, input| ask.on(kind::TABLE, given(&input.route_table_id)),
    |tx, caller, input| {
        let id = {
            let realm = tx.ec2().realm(&caller.scope);
            let (id, table) = find::table(&realm, given(&input.route_table_id))?;
            let is_main = realm.vpcs().get(&table.vpc).is_some_and(|vpc| vpc.main_table == *id);
            if is_main || !table.subnets.is_empty() {
                return Err(errors::has_dependencies("routeTable", id));
            }
            id.clone()
        };
        tx.delete::<RouteTable>(OwnKey::new(&caller.scope, &id));
        Ok(DeleteRouteTableOutput {})
    }
);

command!(
    AssociateRouteTable,
    |ask, input| {
        let subnet = input.subnet_id.as_ref().map(|subnet| ask.on(kind::SUBNET, subnet));
        let gateway = input.gateway_id.as_ref().map(|gateway| ask.on(kind::GATEWAY, gateway));
        Resources::from(ask.on(kind::TABLE, given(&input.route_table_id))).and(subnet).and(gateway)
    },
    |tx, caller, input| {
        none_of(&[
            ("route tables of gateways", input.gateway_id.is_some()),
            ("pools of public addresses", input.public_ipv4_pool.is_some()),
        ])?;
        let wanted = input.subnet_id.as_deref().ok_or_else(|| errors::missing("subnetId"))?;
        let (id, mut table, subnet) = {
            let realm = tx.ec2().realm(&caller.scope);
            let (id, table) = find::table(&realm, given(&input.route_table_id))?;
            let (subnet, record) = find::subnet(&realm, wanted)?;
            if record.vpc != table.vpc {
                return Err(errors::invalid(format!(
                    "Route table {id} and subnet {subnet} belong to different networks"
                )));
            }
            if realm.association_of(subnet).is_some() {
                return Err(errors::already_associated(id));
            }
            (id.clone(), RouteTable::clone(table), subnet.clone())
        };
        let association = ids::drawn(prefix::ROUTE_ASSOCIATION, tx.ids.seed());
        table.subnets.insert(association.clone(), subnet);
        tx.put::<RouteTable>(OwnKey::new(&caller.scope, &id), table);
        Ok(AssociateRouteTableResult {
            association_id: Some(association.to_string()),
            association_state: Some(associated()),
        })
    }
);

/// The table that an association belongs to, which is named by the association alone.
fn on_association(ask: &Ask<'_>, association: &str) -> Resources {
    let realm = ask.realm();
    let of_subnet = realm.table_of_association(association).map(|(id, _)| &**id);
    let of_vpc = || realm.vpc_of_association(association).map(|(_, vpc)| &*vpc.main_table);
    ask.found(kind::TABLE, of_subnet.or_else(of_vpc)).into()
}

command!(
    DisassociateRouteTable,
    |ask, input| on_association(ask, given(&input.association_id)),
    |tx, caller, input| {
        let wanted = given(&input.association_id);
        let (id, mut table) = {
            let realm = tx.ec2().realm(&caller.scope);
            if realm.vpc_of_association(wanted).is_some() {
                return Err(errors::invalid(format!(
                    "cannot disassociate the main route table association {wanted}"
                )));
            }
            let found = realm.table_of_association(wanted);
            let (id, table) = found.ok_or_else(|| errors::no_association(wanted))?;
            (id.clone(), RouteTable::clone(table))
        };
        table.subnets.remove(wanted);
        tx.put::<RouteTable>(OwnKey::new(&caller.scope, &id), table);
        Ok(DisassociateRouteTableOutput {})
    }
);

command!(
    ReplaceRouteTableAssociation,
    |ask, input| on_association(ask, given(&input.association_id))
        .and([ask.on(kind::TABLE, given(&input.route_table_id))]),
    |tx, caller, input| {
        let wanted = given(&input.association_id);
        let association = ids::drawn(prefix::ROUTE_ASSOCIATION, tx.ids.seed());
        let realm = tx.ec2().realm(&caller.scope);
        let (id, table) = find::table(&realm, given(&input.route_table_id))?;
        let (id, mut table) = (id.clone(), RouteTable::clone(table));
        let other_network = || {
            errors::invalid(format!(
                "Route table {id} and the association {wanted} belong to different networks"
            ))
        };
        let key = |id: &Id| OwnKey::new(&caller.scope, id);
        if let Some((vpc_id, vpc)) = realm.vpc_of_association(wanted) {
            // Another table becomes the one of subnets that have no other.
            if table.vpc != *vpc_id {
                return Err(other_network());
            }
            let (vpc_id, mut vpc) = (vpc_id.clone(), Vpc::clone(vpc));
            drop(realm);
            (vpc.main_table, vpc.main_association) = (id.clone(), association.clone());
            tx.put::<Vpc>(key(&vpc_id), vpc);
        } else {
            let found = realm.table_of_association(wanted);
            let (old_id, old) = found.ok_or_else(|| errors::no_association(wanted))?;
            if old.vpc != table.vpc {
                return Err(other_network());
            }
            let (old_id, mut old) = (old_id.clone(), RouteTable::clone(old));
            drop(realm);
            let subnet = old.subnets.remove(wanted).expect("it was found by this association");
            if old_id == id {
                table = old;
            } else {
                tx.put::<RouteTable>(key(&old_id), old);
            }
            table.subnets.insert(association.clone(), subnet);
            tx.put::<RouteTable>(key(&id), table);
        }
        Ok(ReplaceRouteTableAssociationResult {
            association_state: Some(associated()),
            new_association_id: Some(association.to_string()),
        })
    }
);

//! What a request names, found in the caller's account and region and nowhere else.

use std::sync::Arc;

use longshore_service::Caller;
use longshore_state::State;
use longshore_tables_ec2::key::Id;
use longshore_tables_ec2::record::{
    InternetGateway, KeyPair, LaunchTemplate, RouteTable, SecurityGroup, Subnet, Vpc,
};
use longshore_tables_ec2::{Ec2State, Realm, View};
use longshore_wire::Fault;

use crate::errors;

pub(crate) fn realm<'s>(state: &'s State, caller: &Caller) -> View<'s> {
    state.ec2().realm(&caller.scope)
}

macro_rules! by_id {
    ($($name:ident in $table:ident: $record:ident, $missing:ident;)*) => {$(
        /// By its id.
        pub(crate) fn $name<'v>(realm: &'v Realm, id: &str) -> Result<(&'v Id, &'v Arc<$record>), Fault> {
            realm.$table().get_key_value(id).ok_or_else(|| errors::$missing(id))
        }
    )*};
}

by_id! {
    vpc in vpcs: Vpc, no_vpc;
    subnet in subnets: Subnet, no_subnet;
    group in groups: SecurityGroup, no_group;
    gateway in gateways: InternetGateway, no_gateway;
    table in tables: RouteTable, no_table;
    template_by_id in templates: LaunchTemplate, no_template;
    key_by_id in keys: KeyPair, no_key;
}

/// A launch template by its id or its name; exactly one of them has to be given.
pub(crate) fn template<'v>(
    realm: &'v Realm,
    id: Option<&str>,
    name: Option<&str>,
) -> Result<(&'v Id, &'v Arc<LaunchTemplate>), Fault> {
    match (id, name) {
        (Some(_), Some(_)) => Err(errors::combination(
            "Either a launch template ID or a launch template name can be specified, not both.",
        )),
        (None, None) => Err(errors::missing_text(
            "Either a launch template ID or a launch template name must be specified.",
        )),
        (Some(id), None) => template_by_id(realm, id),
        (None, Some(name)) => realm.template_named(name).ok_or_else(|| errors::no_template_named(name)),
    }
}

/// A security group by its id, or by its name in the default VPC.
pub(crate) fn group_of<'v>(
    realm: &'v Realm,
    id: Option<&str>,
    name: Option<&str>,
) -> Result<(&'v Id, &'v Arc<SecurityGroup>), Fault> {
    match (id, name) {
        (Some(id), _) => group(realm, id),
        (None, Some(name)) => {
            let (vpc, _) = realm.default_vpc().ok_or_else(errors::no_default_vpc)?;
            realm.group_named(vpc, name).ok_or_else(|| errors::no_group(name))
        }
        (None, None) => Err(errors::missing("groupId")),
    }
}

/// Those with these ids, in the order of the list; all of them if none is named. The first that is missing is an error.
pub(crate) fn selected<T>(
    all: Vec<T>,
    ids: &Option<Vec<String>>,
    id: impl Fn(&T) -> Option<&str>,
    missing: impl Fn(&str) -> Fault,
) -> Result<Vec<T>, Fault> {
    let Some(ids) = ids.as_ref().filter(|ids| !ids.is_empty()) else { return Ok(all) };
    for wanted in ids {
        if !all.iter().any(|item| id(item) == Some(wanted)) {
            return Err(missing(wanted));
        }
    }
    Ok(all.into_iter().filter(|item| ids.iter().any(|wanted| id(item) == Some(wanted))).collect())
}

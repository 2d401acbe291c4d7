//! Tags of anything that has some, by its id.

use longshore_domain::tags::Tags;
use longshore_service::{Access, Caller, Resources};
use longshore_shapes_ec2::{CreateTagsOutput, DeleteTagsOutput, ResourceType, TagDescription};
use longshore_state::Tx;
use longshore_tables_ec2::ids::prefix;
use longshore_tables_ec2::key::Id;
use longshore_tables_ec2::record::{
    DhcpOptions, InternetGateway, KeyPair, LaunchTemplate, NetworkAcl, RouteTable, SecurityGroup, Subnet, Vpc,
};
use longshore_tables_ec2::{Ec2State, OwnKey, Realm};
use longshore_wire::Fault;

use crate::errors::Missing;
use crate::filters::{Filterable, Texts, one};
use crate::input::listed;
use crate::permission::{Ask, Keys, kind};
use crate::{errors, find, tags};

/// The kind of what has an id with this prefix, as ARNs have it; and the error if it is not there.
fn kind_of(id: &str) -> Option<(&'static str, Missing)> {
    let (before, _) = id.rsplit_once('-')?;
    let before = &id[..=before.len()];
    Some(match before {
        prefix::VPC => (kind::VPC, errors::no_vpc),
        prefix::SUBNET => (kind::SUBNET, errors::no_subnet),
        prefix::GROUP => (kind::GROUP, errors::no_group),
        prefix::RULE => (kind::RULE, errors::no_rule),
        prefix::GATEWAY => (kind::GATEWAY, errors::no_gateway),
        prefix::ROUTE_TABLE => (kind::TABLE, errors::no_table),
        prefix::ACL => (kind::ACL, errors::no_acl),
        prefix::DHCP_OPTIONS => (kind::DHCP_OPTIONS, errors::no_dhcp_options),
        prefix::KEY_PAIR => (kind::KEY_PAIR, errors::no_key),
        prefix::TEMPLATE => (kind::TEMPLATE, errors::no_template),
        prefix::INTERFACE => (kind::INTERFACE, of_ecs),
        "i-" => (kind::INSTANCE, of_ecs),
        _other => return None,
    })
}

/// What ECS has and EC2 only shows.
fn of_ecs(id: &str) -> Fault {
    errors::not_permitted(format!(
        "Longshore keeps no tags of {id}: interfaces and instances belong to Amazon ECS here. Tag the task or the container \
         instance."
    ))
}

/// Changes the tags of one thing.
fn change(
    tx: &mut Tx<'_>,
    caller: &Caller,
    id: &str,
    change: impl Fn(&Tags) -> Result<Tags, Fault>,
) -> Result<(), Fault> {
    let (_, missing) = kind_of(id).ok_or_else(|| errors::no_resource(id))?;
    let key = OwnKey::new(&caller.scope, &Id::from(id));
    macro_rules! of {
        ($($record:ident in $table:ident,)*) => {$(
            let found = tx.ec2().realm(&caller.scope).$table().get(id).cloned();
            if let Some(found) = found {
                let mut record = $record::clone(&found);
                record.tags = change(&record.tags)?;
                tx.put::<$record>(key, record);
                return Ok(());
            }
        )*};
    }
    of! {
        Vpc in vpcs,
        Subnet in subnets,
        SecurityGroup in groups,
        InternetGateway in gateways,
        RouteTable in tables,
        NetworkAcl in acls,
        DhcpOptions in dhcp_options,
        KeyPair in keys,
        LaunchTemplate in templates,
    }
    let rule = tx.ec2().realm(&caller.scope).rule(id).map(|(group, _)| group.clone());
    let group_id = rule.ok_or_else(|| missing(id))?;
    let mut group = SecurityGroup::clone(find::group(&tx.ec2().realm(&caller.scope), &group_id)?.1);
    for rule in group.rules.iter_mut().filter(|rule| *rule.id == *id) {
        rule.tags = change(&rule.tags)?;
    }
    tx.put::<SecurityGroup>(OwnKey::new(&caller.scope, &group_id), group);
    Ok(())
}

/// One question for each resource. A key pair's ARN has its name, which the call does not tell.
fn on_each(ask: &Ask<'_>, ids: &[String], with: impl Fn(Access) -> Access) -> Resources {
    let on = |id: &String| {
        let access = match kind_of(id) {
            Some((kind::KEY_PAIR, _)) => {
                let name = ask.realm().keys().get(id.as_str()).map(|key| &*key.name);
                ask.found(kind::KEY_PAIR, name)
            }
            Some((kind, _)) => ask.on(kind, id),
            None => ask.on_all(),
        };
        with(access)
    };
    ids.iter().map(on).collect()
}

command!(
    CreateTags,
    |ask, input| on_each(ask, listed(&input.resources), |access| access.tags(&input.tags)),
    |tx, caller, input| {
        let added = tags::parse(listed(&input.tags))?;
        for id in listed(&input.resources) {
            change(tx, caller, id, |own| tags::add(own, &added))?;
        }
        Ok(CreateTagsOutput {})
    }
);

command!(
    DeleteTags,
    |ask, input| on_each(ask, listed(&input.resources), |access| access.tag_keys(&input.tags)),
    |tx, caller, input| {
        for id in listed(&input.resources) {
            change(tx, caller, id, |own| Ok(tags::without(own, &input.tags)))?;
        }
        Ok(DeleteTagsOutput {})
    }
);

/// Every tag of a realm.
fn all(realm: &Realm) -> Vec<TagDescription> {
    let mut found = Vec::new();
    let mut add = |id: &Id, of: ResourceType, own: &Tags| {
        found.extend(own.iter().map(|(key, value)| TagDescription {
            key: Some(key.clone()),
            resource_id: Some(id.to_string()),
            resource_type: Some(of.clone()),
            value: Some(value.clone()),
        }));
    };
    macro_rules! of {
        ($($table:ident $kind:ident,)*) => {
            $(realm.$table().iter().for_each(|(id, own)| add(id, ResourceType::$kind, &own.tags));)*
        };
    }
    of! {
        vpcs Vpc,
        subnets Subnet,
        groups SecurityGroup,
        gateways InternetGateway,
        tables RouteTable,
        acls NetworkAcl,
        dhcp_options DhcpOptions,
        keys KeyPair,
        templates LaunchTemplate,
    }
    for group in realm.groups().values() {
        group.rules.iter().for_each(|rule| add(&rule.id, ResourceType::SecurityGroupRule, &rule.tags));
    }
    found
}

impl Filterable for TagDescription {
    const FILTERS: &'static [(&'static str, Texts<Self>)] = &[
        ("key", |own| one(own.key.as_ref())),
        ("resource-id", |own| one(own.resource_id.as_ref())),
        ("resource-type", |own| one(own.resource_type.as_ref().map(ResourceType::as_str))),
        ("value", |own| one(own.value.as_ref())),
    ];

    fn place(&self) -> String {
        let id = self.resource_id.as_deref().unwrap_or_default();
        format!("{id} {}", self.key.as_deref().unwrap_or_default())
    }

    fn tagged(&self, key: &str) -> Vec<String> {
        one(self.value.as_ref().filter(|_| self.key.as_deref() == Some(key)))
    }
}

describe!(DescribeTags as DescribeTagsResult { tags } of TagDescription, not with [], |state, caller, _input| {
    Ok(all(&find::realm(state, caller)))
});

//! Subnets.

use std::sync::Arc;

use longshore_base::Region;
use longshore_service::Caller;
use longshore_shapes_ec2::{
    self as shapes, AttributeBooleanValue, CreateSubnetRequest, CreateSubnetResult, DeleteSubnetOutput,
    HostnameType, ModifySubnetAttributeOutput, PrivateDnsNameOptionsOnLaunch, ResourceType, SubnetState, Tag,
};
use longshore_tables_ec2::ids::{self, prefix};
use longshore_tables_ec2::key::Id;
use longshore_tables_ec2::record::{Hostnames, RouteTable, Subnet};
use longshore_tables_ec2::{Ec2State, OwnKey, Realm};
use longshore_wire::Fault;

use crate::filters::{Filterable, Texts, never, one, shown};
use crate::input::{given, none_of};
use crate::permission::{self, kind};
use crate::vpcs::{PREFIXES, one_attribute};
use crate::{cidrs, errors, find, interfaces, tags, zones};

/// The first four addresses of a subnet and its last are nobody's.
const RESERVED: u64 = 5;

/// AWS's quota of one VPC.
const SUBNETS_MAX: usize = 200;

/// A subnet as it is shown. `used` is how many interfaces are said to be in it.
fn shape(caller: &Caller, id: &Id, subnet: &Subnet, used: u64) -> shapes::Subnet {
    let scope = &caller.scope;
    let free = subnet.cidr.size().saturating_sub(RESERVED).saturating_sub(used);
    let hostnames = PrivateDnsNameOptionsOnLaunch {
        enable_resource_name_dns_aaaa_record: Some(subnet.hostnames.aaaa_records),
        enable_resource_name_dns_a_record: Some(subnet.hostnames.a_records),
        hostname_type: Some(if subnet.hostnames.by_resource {
            HostnameType::ResourceName
        } else {
            HostnameType::IpName
        }),
    };
    shapes::Subnet {
        assign_ipv6_address_on_creation: Some(false),
        availability_zone: Some(subnet.zone.to_string()),
        availability_zone_id: zones::id(&scope.region, &subnet.zone),
        available_ip_address_count: Some(i32::try_from(free).unwrap_or(i32::MAX)),
        cidr_block: Some(subnet.cidr.to_string()),
        default_for_az: Some(subnet.is_default),
        enable_dns64: Some(false),
        ipv6_cidr_block_association_set: Some(Vec::new()),
        ipv6_native: Some(false),
        map_customer_owned_ip_on_launch: Some(false),
        map_public_ip_on_launch: Some(subnet.public_addresses),
        owner_id: Some(scope.account.to_string()),
        private_dns_name_options_on_launch: Some(hostnames),
        state: Some(SubnetState::Available),
        subnet_arn: Some(permission::arn(caller, kind::SUBNET, id)),
        subnet_id: Some(id.to_string()),
        tags: tags::shown(&subnet.tags),
        vpc_id: Some(subnet.vpc.to_string()),
        ..shapes::Subnet::default()
    }
}

impl Filterable for shapes::Subnet {
    const FILTERS: &'static [(&'static str, Texts<Self>)] = &[
        ("availability-zone", |own| one(own.availability_zone.as_ref())),
        ("availabilityZone", |own| one(own.availability_zone.as_ref())),
        ("availability-zone-id", |own| one(own.availability_zone_id.as_ref())),
        ("availabilityZoneId", |own| one(own.availability_zone_id.as_ref())),
        ("available-ip-address-count", |own| shown(own.available_ip_address_count)),
        ("cidr", |own| one(own.cidr_block.as_ref())),
        ("cidr-block", |own| one(own.cidr_block.as_ref())),
        ("cidrBlock", |own| one(own.cidr_block.as_ref())),
        ("customer-owned-ipv4-pool", never),
        ("default-for-az", |own| shown(own.default_for_az)),
        ("defaultForAz", |own| shown(own.default_for_az)),
        ("enable-dns64", |own| shown(own.enable_dns64)),
        ("enable-lni-at-device-index", never),
        ("ipv6-cidr-block-association.association-id", never),
        ("ipv6-cidr-block-association.ipv6-cidr-block", never),
        ("ipv6-cidr-block-association.state", never),
        ("ipv6-native", |own| shown(own.ipv6_native)),
        ("map-customer-owned-ip-on-launch", |own| shown(own.map_customer_owned_ip_on_launch)),
        ("map-public-ip-on-launch", |own| shown(own.map_public_ip_on_launch)),
        ("outpost-arn", never),
        ("owner-id", |own| one(own.owner_id.as_ref())),
        ("private-dns-name-options-on-launch.hostname-type", |own| {
            let options = own.private_dns_name_options_on_launch.as_ref();
            one(options.and_then(|own| own.hostname_type.as_ref()).map(HostnameType::as_str))
        }),
        ("private-dns-name-options-on-launch.enable-resource-name-dns-a-record", |own| {
            let options = own.private_dns_name_options_on_launch.as_ref();
            shown(options.and_then(|own| own.enable_resource_name_dns_a_record))
        }),
        ("private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record", |own| {
            let options = own.private_dns_name_options_on_launch.as_ref();
            shown(options.and_then(|own| own.enable_resource_name_dns_aaaa_record))
        }),
        ("state", |own| one(own.state.as_ref().map(SubnetState::as_str))),
        ("subnet-arn", |own| one(own.subnet_arn.as_ref())),
        ("subnet-id", |own| one(own.subnet_id.as_ref())),
        ("vpc-id", |own| one(own.vpc_id.as_ref())),
    ];

    fn place(&self) -> String {
        self.subnet_id.clone().unwrap_or_default()
    }

    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

describe!(DescribeSubnets as DescribeSubnetsResult { subnets } of shapes::Subnet, not with [subnet_ids],
    |state, caller, input| {
        let realm = find::realm(state, caller);
        let used = interfaces::by_subnet(state, &caller.scope);
        let shape = |(id, subnet): (&Id, &Arc<Subnet>)| {
            shape(caller, id, subnet, used.get(&**id).copied().unwrap_or(0))
        };
        let all = realm.subnets().iter().map(shape).collect();
        find::selected(all, &input.subnet_ids, |own: &shapes::Subnet| own.subnet_id.as_deref(), errors::no_subnet)
    }
);

command!(
    CreateSubnet,
    |ask, input| ask
        .new_in(kind::SUBNET, input.vpc_id.as_deref(), &input.tag_specifications)
        .and([ask.on(kind::VPC, given(&input.vpc_id))]),
    |tx, caller, input| {
        none_of(&[
            (
                "IPv6 addresses of a subnet",
                input.ipv6_cidr_block.is_some() || input.ipv6_native == Some(true),
            ),
            ("address pools (IPAM)", input.ipv4_ipam_pool_id.is_some() || input.ipv6_ipam_pool_id.is_some()),
            ("Outposts", input.outpost_arn.is_some()),
        ])?;
        let text = input.cidr_block.as_deref().ok_or_else(|| errors::missing("cidrBlock"))?;
        let cidr = cidrs::ipv4(text).ok_or_else(|| errors::malformed_cidr("cidrBlock", text))?;
        let own_tags = tags::specified(&input.tag_specifications, &ResourceType::Subnet)?;
        let (vpc, zone) = {
            let realm = tx.ec2().realm(&caller.scope);
            let (vpc, record) = find::vpc(&realm, given(&input.vpc_id))?;
            let zone = zone(&caller.scope.region, &realm, vpc, &input)?;
            if !PREFIXES.contains(&cidr.prefix()) || !record.cidr.includes(cidr) {
                return Err(errors::subnet_range(text));
            }
            let mut siblings = realm.subnets().values().filter(|own| own.vpc == *vpc);
            if siblings.any(|own| own.cidr.overlaps(cidr)) {
                return Err(errors::subnet_conflict(text));
            }
            if realm.subnets().values().filter(|own| own.vpc == *vpc).count() >= SUBNETS_MAX {
                return Err(errors::quota("SubnetLimitExceeded", "subnets"));
            }
            (vpc.clone(), zone)
        };
        let subnet = Subnet {
            vpc,
            cidr,
            zone: zone.into(),
            is_default: false,
            public_addresses: false,
            hostnames: Hostnames::default(),
            tags: own_tags,
        };
        let id = ids::drawn(prefix::SUBNET, tx.ids.seed());
        let shown = shape(caller, &id, &subnet, 0);
        tx.put::<Subnet>(OwnKey::new(&caller.scope, &id), subnet);
        Ok(CreateSubnetResult { subnet: Some(shown) })
    }
);

/// The zone that is asked for, by its name or its id; otherwise the one in which the VPC has the fewest subnets.
fn zone(region: &Region, realm: &Realm, vpc: &Id, input: &CreateSubnetRequest) -> Result<String, Fault> {
    let all = zones::of(region);
    let refusal = |parameter: &str, value: &str| {
        let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        errors::invalid(format!(
            "Value ({value}) for parameter {parameter} is invalid. Subnets can currently only be created in the following \
             availability zones: {}.",
            names.join(", ")
        ))
    };
    match (&input.availability_zone, &input.availability_zone_id) {
        (Some(_), Some(_)) => Err(errors::combination(
            "The parameters availabilityZone and availabilityZoneId cannot be used together",
        )),
        (Some(name), None) => match all.iter().find(|(own, _)| own == name) {
            Some((name, _)) => Ok(name.clone()),
            None => Err(refusal("availabilityZone", name)),
        },
        (None, Some(id)) => match all.iter().find(|(_, own)| own == id) {
            Some((name, _)) => Ok(name.clone()),
            None => Err(refusal("availabilityZoneId", id)),
        },
        (None, None) => {
            let count = |name: &str| {
                realm.subnets().values().filter(|own| own.vpc == *vpc && *own.zone == *name).count()
            };
            let fewest = all.iter().min_by_key(|(name, _)| count(name));
            Ok(fewest.expect("every region has zones").0.clone())
        }
    }
}

command!(DeleteSubnet, |ask, input| ask.on(kind::SUBNET, given(&input.subnet_id)), |tx, caller, input| {
    let (id, association) = {
        let realm = tx.ec2().realm(&caller.scope);
        let (id, _) = find::subnet(&realm, given(&input.subnet_id))?;
        if interfaces::by_subnet(tx.state(), &caller.scope).contains_key(&**id) {
            return Err(errors::has_dependencies("subnet", id));
        }
        let association = realm.association_of(id).map(|(table, association)| {
            (table.clone(), RouteTable::clone(&realm.tables()[table]), association.clone())
        });
        (id.clone(), association)
    };
    // Its association goes with it.
    if let Some((table_id, mut table, association)) = association {
        table.subnets.remove(&association);
        tx.put::<RouteTable>(OwnKey::new(&caller.scope, &table_id), table);
    }
    tx.delete::<Subnet>(OwnKey::new(&caller.scope, &id));
    Ok(DeleteSubnetOutput {})
});

command_always!(
    ModifySubnetAttribute,
    |ask, input| ask.on(kind::SUBNET, given(&input.subnet_id)),
    |tx, caller, input| {
        let is_on =
            |own: &Option<AttributeBooleanValue>| own.as_ref().and_then(|own| own.value) == Some(true);
        none_of(&[
            ("IPv6 addresses of a subnet", is_on(&input.assign_ipv6_address_on_creation)),
            ("DNS64", is_on(&input.enable_dns64)),
            ("customer-owned addresses", is_on(&input.map_customer_owned_ip_on_launch)),
            ("customer-owned addresses", input.customer_owned_ipv4_pool.is_some()),
            ("local network interfaces", input.enable_lni_at_device_index.is_some()),
        ])?;
        let (id, mut subnet) = {
            let realm = tx.ec2().realm(&caller.scope);
            let (id, subnet) = find::subnet(&realm, given(&input.subnet_id))?;
            (id.clone(), Subnet::clone(subnet))
        };
        let mut count = 0;
        // What is off stays off.
        for own in [
            &input.assign_ipv6_address_on_creation,
            &input.enable_dns64,
            &input.map_customer_owned_ip_on_launch,
            &input.disable_lni_at_device_index,
        ] {
            count += usize::from(own.is_some());
        }
        for (change, own) in [
            (&input.map_public_ip_on_launch, &mut subnet.public_addresses),
            (&input.enable_resource_name_dns_a_record_on_launch, &mut subnet.hostnames.a_records),
            (&input.enable_resource_name_dns_aaaa_record_on_launch, &mut subnet.hostnames.aaaa_records),
        ] {
            if let Some(value) = change.as_ref().and_then(|change| change.value) {
                *own = value;
                count += 1;
            }
        }
        if let Some(kind) = &input.private_dns_hostname_type_on_launch {
            subnet.hostnames.by_resource = *kind == HostnameType::ResourceName;
            count += 1;
        }
        one_attribute(count)?;
        tx.put::<Subnet>(OwnKey::new(&caller.scope, &id), subnet);
        Ok(ModifySubnetAttributeOutput {})
    }
);

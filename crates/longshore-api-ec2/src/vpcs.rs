//! VPCs.

use longshore_base::Scope;
use longshore_service::Caller;
use longshore_shapes_ec2::{
    self as shapes, AttributeBooleanValue, CreateDefaultVpcResult, CreateVpcResult, DeleteVpcOutput,
    DescribeVpcAttributeResult, ModifyVpcAttributeOutput, ResourceType, Tag, Tenancy, VpcAttributeName,
    VpcCidrBlockAssociation, VpcCidrBlockState, VpcCidrBlockStateCode, VpcState,
};
use longshore_state::Tx;
use longshore_tables_ec2::ids::{self, prefix};
use longshore_tables_ec2::key::Id;
use longshore_tables_ec2::record::{NetworkAcl, RouteTable, SecurityGroup, Vpc};
use longshore_tables_ec2::{Ec2State, OwnKey, defaults};
use longshore_wire::Fault;

use crate::filters::{Filterable, Texts, each, never, one, shown};
use crate::input::{given, none_of};
use crate::permission::kind;
use crate::{cidrs, errors, find, tags};

/// A VPC has 16 to 65536 addresses.
pub(crate) const PREFIXES: std::ops::RangeInclusive<u8> = 16..=28;

/// To what AWS raises its quota of 5 for whoever asks.
const VPCS_MAX: usize = 100;

/// A VPC as it is shown.
pub(crate) fn shape(scope: &Scope, id: &Id, vpc: &Vpc) -> shapes::Vpc {
    let block = VpcCidrBlockAssociation {
        association_id: Some(ids::derived(prefix::CIDR_ASSOCIATION, id).to_string()),
        cidr_block: Some(vpc.cidr.to_string()),
        cidr_block_state: Some(VpcCidrBlockState {
            state: Some(VpcCidrBlockStateCode::Associated),
            status_message: None,
        }),
    };
    shapes::Vpc {
        cidr_block: Some(vpc.cidr.to_string()),
        cidr_block_association_set: Some(vec![block]),
        dhcp_options_id: Some(vpc.dhcp_options.to_string()),
        instance_tenancy: Some(if vpc.is_dedicated { Tenancy::Dedicated } else { Tenancy::Default }),
        is_default: Some(vpc.is_default),
        owner_id: Some(scope.account.to_string()),
        state: Some(VpcState::Available),
        tags: tags::shown(&vpc.tags),
        vpc_id: Some(id.to_string()),
        ..shapes::Vpc::default()
    }
}

impl Filterable for shapes::Vpc {
    const FILTERS: &'static [(&'static str, Texts<Self>)] = &[
        ("cidr", |own| one(own.cidr_block.as_ref())),
        ("cidr-block-association.association-id", |own| {
            each(&own.cidr_block_association_set, |block| block.association_id.as_ref())
        }),
        ("cidr-block-association.cidr-block", |own| {
            each(&own.cidr_block_association_set, |block| block.cidr_block.as_ref())
        }),
        ("cidr-block-association.state", |own| {
            each(&own.cidr_block_association_set, |block| {
                Some(block.cidr_block_state.as_ref()?.state.as_ref()?.as_str())
            })
        }),
        ("dhcp-options-id", |own| one(own.dhcp_options_id.as_ref())),
        ("ipv6-cidr-block-association.association-id", never),
        ("ipv6-cidr-block-association.ipv6-cidr-block", never),
        ("ipv6-cidr-block-association.ipv6-pool", never),
        ("ipv6-cidr-block-association.state", never),
        ("is-default", |own| shown(own.is_default)),
        ("isDefault", |own| shown(own.is_default)),
        ("owner-id", |own| one(own.owner_id.as_ref())),
        ("state", |own| one(own.state.as_ref().map(VpcState::as_str))),
        ("vpc-id", |own| one(own.vpc_id.as_ref())),
    ];

    fn place(&self) -> String {
        self.vpc_id.clone().unwrap_or_default()
    }

    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

describe!(DescribeVpcs as DescribeVpcsResult { vpcs } of shapes::Vpc, not with [vpc_ids], |state, caller, input| {
    let realm = find::realm(state, caller);
    let all = realm.vpcs().iter().map(|(id, vpc)| shape(&caller.scope, id, vpc)).collect();
    find::selected(all, &input.vpc_ids, |own: &shapes::Vpc| own.vpc_id.as_deref(), errors::no_vpc)
});

command!(CreateVpc, |ask, input| ask.new_one(kind::VPC, &input.tag_specifications), |tx, caller, input| {
    none_of(&[
        ("IPv6 addresses of a VPC", input.amazon_provided_ipv6_cidr_block == Some(true)),
        ("IPv6 addresses of a VPC", input.ipv6_cidr_block.is_some() || input.ipv6_pool.is_some()),
        ("address pools (IPAM)", input.ipv4_ipam_pool_id.is_some() || input.ipv6_ipam_pool_id.is_some()),
        ("the encryption of a VPC", input.vpc_encryption_control.is_some()),
    ])?;
    let text = input
        .cidr_block
        .as_deref()
        .ok_or_else(|| errors::missing_text("Either 'cidrBlock' or 'ipv4IpamPoolId' should be provided."))?;
    let cidr = cidrs::ipv4(text).ok_or_else(|| errors::malformed_cidr("cidrBlock", text))?;
    if !PREFIXES.contains(&cidr.prefix()) {
        return Err(errors::vpc_range(text));
    }
    let is_dedicated = match input.instance_tenancy {
        None | Some(Tenancy::Default) => false,
        Some(Tenancy::Dedicated) => true,
        Some(other @ (Tenancy::Host | Tenancy::Unrecognized(_))) => {
            let text = format!("Value ({other}) for parameter instanceTenancy is invalid.");
            return Err(errors::invalid(text));
        }
    };
    let own_tags = tags::specified(&input.tag_specifications, &ResourceType::Vpc)?;
    within_quota(tx, caller)?;
    let mut network =
        defaults::companions(&caller.scope, cidr, |prefix, _| ids::drawn(prefix, tx.ids.seed()));
    network.vpc.1.is_dedicated = is_dedicated;
    network.vpc.1.tags = own_tags;
    let vpc = shape(&caller.scope, &network.vpc.0, &network.vpc.1);
    network.store(tx, &caller.scope);
    Ok(CreateVpcResult { vpc: Some(vpc) })
});

command!(CreateDefaultVpc, |ask, _input| ask.on(kind::VPC, "*"), |tx, caller, _input| {
    if find::realm(tx.state(), caller).default_vpc().is_some() {
        return Err(errors::default_vpc_exists());
    }
    within_quota(tx, caller)?;
    let network = defaults::network(&caller.scope, |prefix, _| ids::drawn(prefix, tx.ids.seed()));
    let vpc = shape(&caller.scope, &network.vpc.0, &network.vpc.1);
    network.store(tx, &caller.scope);
    Ok(CreateDefaultVpcResult { vpc: Some(vpc) })
});

fn within_quota(tx: &Tx<'_>, caller: &Caller) -> Result<(), Fault> {
    if find::realm(tx.state(), caller).vpcs().len() < VPCS_MAX {
        return Ok(());
    }
    Err(errors::quota("VpcLimitExceeded", "VPCs"))
}

command!(DeleteVpc, |ask, input| ask.on(kind::VPC, given(&input.vpc_id)), |tx, caller, input| {
    let (group, table, acl, vpc_id) = {
        let realm = tx.ec2().realm(&caller.scope);
        let (id, vpc) = find::vpc(&realm, given(&input.vpc_id))?;
        let groups = realm.groups().values().any(|own| own.vpc == *id && *own.name != *defaults::GROUP_NAME);
        let tables = realm.tables().iter().any(|(own, table)| table.vpc == *id && *own != vpc.main_table);
        let subnets = realm.subnets().values().any(|own| own.vpc == *id);
        if groups || tables || subnets || realm.gateway_of(id).is_some() {
            return Err(errors::has_dependencies("vpc", id));
        }
        let group = realm.group_named(id, defaults::GROUP_NAME).map(|(group, _)| group.clone());
        (group, vpc.main_table.clone(), realm.acl_of(id).map(|(acl, _)| acl.clone()), id.clone())
    };
    let key = |id: &Id| OwnKey::new(&caller.scope, id);
    tx.delete::<Vpc>(key(&vpc_id));
    tx.delete::<RouteTable>(key(&table));
    if let Some(group) = group {
        tx.delete::<SecurityGroup>(key(&group));
    }
    if let Some(acl) = acl {
        tx.delete::<NetworkAcl>(key(&acl));
    }
    Ok(DeleteVpcOutput {})
});

query!(DescribeVpcAttribute, |ask, input| ask.on(kind::VPC, given(&input.vpc_id)), |state, caller, input| {
    let realm = find::realm(state, caller);
    let (id, vpc) = find::vpc(&realm, given(&input.vpc_id))?;
    let mut answer =
        DescribeVpcAttributeResult { vpc_id: Some(id.to_string()), ..DescribeVpcAttributeResult::default() };
    let value = |value| Some(AttributeBooleanValue { value: Some(value) });
    match input.attribute {
        Some(VpcAttributeName::EnableDnsSupport) => answer.enable_dns_support = value(vpc.dns_support),
        Some(VpcAttributeName::EnableDnsHostnames) => answer.enable_dns_hostnames = value(vpc.dns_hostnames),
        Some(VpcAttributeName::EnableNetworkAddressUsageMetrics) => {
            answer.enable_network_address_usage_metrics = value(vpc.usage_metrics);
        }
        // The model's constraints are checked before.
        Some(VpcAttributeName::Unrecognized(_)) | None => return Err(errors::missing("attribute").into()),
    }
    answer
});

command_always!(
    ModifyVpcAttribute,
    |ask, input| ask.on(kind::VPC, given(&input.vpc_id)),
    |tx, caller, input| {
        let (id, mut vpc) = {
            let realm = tx.ec2().realm(&caller.scope);
            let (id, vpc) = find::vpc(&realm, given(&input.vpc_id))?;
            (id.clone(), Vpc::clone(vpc))
        };
        let changes = [
            (&input.enable_dns_support, &mut vpc.dns_support),
            (&input.enable_dns_hostnames, &mut vpc.dns_hostnames),
            (&input.enable_network_address_usage_metrics, &mut vpc.usage_metrics),
        ];
        let mut count = 0;
        for (change, own) in changes {
            if let Some(value) = change.as_ref().and_then(|change| change.value) {
                *own = value;
                count += 1;
            }
        }
        one_attribute(count)?;
        tx.put::<Vpc>(OwnKey::new(&caller.scope, &id), vpc);
        Ok(ModifyVpcAttributeOutput {})
    }
);

/// A call changes one attribute.
pub(crate) fn one_attribute(count: usize) -> Result<(), Fault> {
    match count {
        1 => Ok(()),
        0 => Err(errors::missing_text("No attributes specified.")),
        _several => Err(errors::combination("Fields for multiple attribute types specified.")),
    }
}

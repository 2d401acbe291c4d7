//! `networkConfiguration`, which belongs to the network mode awsvpc.

use longshore_domain::NetworkMode;
use longshore_shapes_ecs::{
    AssignPublicIp, AwsVpcConfiguration, InvalidParameterException, NetworkConfiguration,
};
use longshore_state::State;
use longshore_tables_ec2::Ec2State;
use longshore_tables_ec2::key::Id;
use longshore_tables_ecs::record::Document;
use longshore_tables_iam::IamState;

use crate::{Caller, documents, texts};

/// The most subnets and security groups (ecs-behaviour A10).
const SUBNETS_MAX: usize = 16;
const SECURITY_GROUPS_MAX: usize = 5;

/// Reads the configuration of a call for a definition of this mode, with its defaults, and looks at what it names.
///
/// Subnets and security groups that exist have to belong together. Those that do not are refused as ECS refuses them; in
/// open mode they are taken as they are, so that examples run unchanged (decision 51).
pub(crate) fn parse(
    state: &State,
    caller: &Caller,
    configuration: Option<NetworkConfiguration>,
    mode: NetworkMode,
    fargate: bool,
) -> Result<Option<Document>, InvalidParameterException> {
    if mode == NetworkMode::Awsvpc
        && let Some(given) = configuration.as_ref().and_then(|own| own.awsvpc_configuration.as_ref())
    {
        check_known(state, caller, given)?;
    }
    keep(configuration, mode, fargate)
}

fn check_known(
    state: &State,
    caller: &Caller,
    given: &AwsVpcConfiguration,
) -> Result<(), InvalidParameterException> {
    let refuse = |text: String| Err(InvalidParameterException::new(text));
    let realm = state.ec2().realm(&caller.scope);
    let is_open = state.iam().has_guests();
    let mut vpc: Option<&Id> = None;
    for id in given.subnets.iter().flatten() {
        match (realm.subnets().get(&**id), vpc) {
            (None, _) if is_open => {}
            (None, _) => return refuse(texts::no_subnet(id)),
            (Some(subnet), Some(first)) if subnet.vpc != *first => {
                return refuse(texts::SUBNETS_OF_VPCS.to_owned());
            }
            (Some(subnet), _) => vpc = Some(&subnet.vpc),
        }
    }
    for id in given.security_groups.iter().flatten() {
        match (realm.groups().get(&**id), vpc) {
            (None, _) if is_open => {}
            (None, _) => return refuse(texts::no_security_group(id)),
            (Some(group), Some(vpc)) if group.vpc != *vpc => return refuse(texts::group_of_other_vpc(id)),
            (Some(_), _) => {}
        }
    }
    Ok(())
}

/// The same of what is kept already: it was looked at when it came.
pub(crate) fn keep(
    configuration: Option<NetworkConfiguration>,
    mode: NetworkMode,
    fargate: bool,
) -> Result<Option<Document>, InvalidParameterException> {
    let given = configuration.and_then(|configuration| configuration.awsvpc_configuration);
    let refuse = |text: &str| Err(InvalidParameterException::new(text));
    let awsvpc = match (mode, given) {
        (NetworkMode::Awsvpc, None) => return refuse(texts::NETWORK_REQUIRED),
        (NetworkMode::Awsvpc, Some(awsvpc)) => awsvpc,
        (NetworkMode::Bridge | NetworkMode::Host | NetworkMode::None, None) => return Ok(None),
        (NetworkMode::Bridge | NetworkMode::Host | NetworkMode::None, Some(_)) => {
            return refuse(texts::NETWORK_NOT_VALID);
        }
    };
    let subnets = awsvpc.subnets.unwrap_or_default();
    let security_groups = awsvpc.security_groups.unwrap_or_default();
    if subnets.is_empty() {
        return refuse(texts::SUBNETS_EMPTY);
    }
    if subnets.len() > SUBNETS_MAX {
        return refuse(&texts::too_many("subnets", SUBNETS_MAX));
    }
    if security_groups.len() > SECURITY_GROUPS_MAX {
        return refuse(&texts::too_many("securityGroups", SECURITY_GROUPS_MAX));
    }
    let assign_public_ip = awsvpc.assign_public_ip.unwrap_or(AssignPublicIp::Disabled);
    if assign_public_ip == AssignPublicIp::Enabled && !fargate {
        return refuse(texts::PUBLIC_IP);
    }
    let awsvpc = AwsVpcConfiguration {
        subnets: Some(subnets),
        security_groups: Some(security_groups),
        assign_public_ip: Some(assign_public_ip),
    };
    Ok(Some(documents::keep(&NetworkConfiguration { awsvpc_configuration: Some(awsvpc) })))
}

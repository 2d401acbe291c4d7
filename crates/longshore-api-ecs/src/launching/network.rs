//! `networkConfiguration`, which belongs to the network mode awsvpc.

use longshore_domain::NetworkMode;
use longshore_shapes_ecs::{
    AssignPublicIp, AwsVpcConfiguration, InvalidParameterException, NetworkConfiguration,
};
use longshore_tables_ecs::record::Document;

use crate::{documents, texts};

/// The most subnets and security groups (ecs-behaviour A10).
const SUBNETS_MAX: usize = 16;
const SECURITY_GROUPS_MAX: usize = 5;

/// Reads the configuration of a call for a definition of this mode, with its defaults.
///
/// Subnets and security groups are taken as they are: Longshore has no VPC in which they could be missing.
pub(crate) fn parse(
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

//! The errors of EC2: its model has none, so that each is made here, by the code and the words that clients know.

use std::borrow::Cow;

use longshore_wire::Fault;

/// What is said of an id that is not there.
pub(crate) type Missing = fn(&str) -> Fault;

/// How an error that is the caller's fault is told, unless it says otherwise.
const BAD_REQUEST: u16 = 400;

/// The longest text of an error. Many repeat what they are about, and no member of EC2's has a longest length.
const TEXT_CHARS_MAX: usize = 1024;

fn error(code: &'static str, message: impl Into<Cow<'static, str>>) -> Fault {
    Fault::named(code, BAD_REQUEST, limited(message.into()))
}

fn limited(message: Cow<'static, str>) -> Cow<'static, str> {
    match message.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &message[..end]).into(),
        None => message,
    }
}

/// A call with `DryRun` that would have succeeded.
pub(crate) fn dry_run() -> Fault {
    Fault::named("DryRunOperation", 412, "Request would have succeeded, but DryRun flag is set.")
}

pub(crate) fn missing(parameter: &str) -> Fault {
    error("MissingParameter", format!("The request must contain the parameter {parameter}"))
}

pub(crate) fn missing_text(text: &'static str) -> Fault {
    error("MissingParameter", text)
}

pub(crate) fn invalid(text: impl Into<Cow<'static, str>>) -> Fault {
    error("InvalidParameterValue", text)
}

pub(crate) fn combination(text: impl Into<Cow<'static, str>>) -> Fault {
    error("InvalidParameterCombination", text)
}

/// What EC2 has and Longshore does not.
pub(crate) fn unsupported(what: &str) -> Fault {
    error("UnsupportedOperation", format!("Longshore does not support {what}."))
}

pub(crate) fn token(token: &str) -> Fault {
    error("InvalidNextToken", format!("The token '{token}' is invalid"))
}

pub(crate) fn filter(name: &str) -> Fault {
    invalid(format!("The filter '{name}' is invalid"))
}

pub(crate) fn too_many_filter_values(max: usize) -> Fault {
    let text = format!("The maximum number of filter values specified on a single call is {max}");
    error("FilterLimitExceeded", text)
}

pub(crate) fn malformed_cidr(parameter: &str, value: &str) -> Fault {
    invalid(format!("Value ({value}) for parameter {parameter} is invalid. This is not a valid CIDR block."))
}

macro_rules! not_found {
    ($($name:ident = $code:literal, $before:literal, $after:literal;)*) => {$(
        pub(crate) fn $name(id: &str) -> Fault {
            error($code, format!(concat!($before, "{}", $after), id))
        }
    )*};
}

not_found! {
    no_vpc = "InvalidVpcID.NotFound", "The vpc ID '", "' does not exist";
    no_subnet = "InvalidSubnetID.NotFound", "The subnet ID '", "' does not exist";
    no_group = "InvalidGroup.NotFound", "The security group '", "' does not exist";
    no_rule = "InvalidSecurityGroupRuleId.NotFound", "The security group rule ID '", "' does not exist";
    no_gateway = "InvalidInternetGatewayID.NotFound", "The internetGateway ID '", "' does not exist";
    no_route_target = "InvalidGatewayID.NotFound", "The gateway ID '", "' does not exist";
    no_table = "InvalidRouteTableID.NotFound", "The routeTable ID '", "' does not exist";
    no_association = "InvalidAssociationID.NotFound", "The association ID '", "' does not exist";
    no_acl = "InvalidNetworkAclID.NotFound", "The networkAcl ID '", "' does not exist";
    no_dhcp_options = "InvalidDhcpOptionID.NotFound", "The dhcpOption ID '", "' does not exist";
    no_interface = "InvalidNetworkInterfaceID.NotFound", "The networkInterface ID '", "' does not exist";
    no_instance = "InvalidInstanceID.NotFound", "The instance ID '", "' does not exist";
    no_key = "InvalidKeyPair.NotFound", "The key pair '", "' does not exist";
    no_nat_gateway = "NatGatewayNotFound", "The natGateway ID '", "' does not exist";
    no_transit_gateway = "InvalidTransitGatewayID.NotFound", "The transitGateway ID '", "' does not exist";
    no_peering =
        "InvalidVpcPeeringConnectionID.NotFound", "The vpcPeeringConnection ID '", "' does not exist";
    no_endpoint = "InvalidVpcEndpointId.NotFound", "The vpcEndpoint ID '", "' does not exist";
    no_prefix_list = "InvalidPrefixListID.NotFound", "The prefix list ID '", "' does not exist";
    no_template =
        "InvalidLaunchTemplateId.NotFound",
        "The specified launch template, with template ID ", ", does not exist.";
    no_template_named =
        "InvalidLaunchTemplateName.NotFoundException",
        "The specified launch template, with template name ", ", does not exist.";
    no_resource = "InvalidID", "The ID '", "' is not valid";
}

pub(crate) fn malformed_instance(id: &str) -> Fault {
    error("InvalidInstanceID.Malformed", format!("Invalid id: \"{id}\""))
}

pub(crate) fn malformed_group(id: &str) -> Fault {
    error("InvalidGroupId.Malformed", format!("Invalid id: \"{id}\" (expecting \"sg-...\")"))
}

pub(crate) fn no_version(template: &str, version: &str) -> Fault {
    let text =
        format!("Could not find the specified version {version} for the launch template with ID {template}.");
    error("InvalidLaunchTemplateId.VersionNotFound", text)
}

pub(crate) fn no_default_vpc() -> Fault {
    error("VPCIdNotSpecified", "No default VPC for this user")
}

pub(crate) fn default_vpc_exists() -> Fault {
    let text = "A Default VPC already exists for this account in this region.";
    error("DefaultVpcAlreadyExists", text)
}

pub(crate) fn vpc_range(cidr: &str) -> Fault {
    error("InvalidVpc.Range", format!("The CIDR '{cidr}' is invalid."))
}

pub(crate) fn subnet_range(cidr: &str) -> Fault {
    error("InvalidSubnet.Range", format!("The CIDR '{cidr}' is invalid."))
}

pub(crate) fn subnet_conflict(cidr: &str) -> Fault {
    error("InvalidSubnet.Conflict", format!("The CIDR '{cidr}' conflicts with another subnet"))
}

/// `what` is what EC2 calls it: `vpc`, `subnet`, `routeTable`, `internetGateway`.
pub(crate) fn has_dependencies(what: &str, id: &str) -> Fault {
    error("DependencyViolation", format!("The {what} '{id}' has dependencies and cannot be deleted."))
}

pub(crate) fn group_in_use(id: &str) -> Fault {
    error("DependencyViolation", format!("resource {id} has a dependent object"))
}

pub(crate) fn default_group(id: &str, name: &str) -> Fault {
    let text = format!("the specified group: \"{id}\" name: \"{name}\" cannot be deleted by a user");
    error("CannotDelete", text)
}

pub(crate) fn group_exists(name: &str, vpc: &str) -> Fault {
    let text = format!("The security group '{name}' already exists for VPC '{vpc}'");
    error("InvalidGroup.Duplicate", text)
}

pub(crate) fn other_network() -> Fault {
    error("InvalidGroup.NotFound", "You have specified two resources that belong to different networks.")
}

pub(crate) fn rule_exists(rule: &str) -> Fault {
    let text = format!("the specified rule \"{rule}\" already exists");
    error("InvalidPermission.Duplicate", text)
}

pub(crate) fn no_permission() -> Fault {
    let text = "The specified rule does not exist in this security group.";
    error("InvalidPermission.NotFound", text)
}

pub(crate) fn already_attached(gateway: &str, vpc: &str) -> Fault {
    let text = format!("resource {gateway} is already attached to network {vpc}");
    error("Resource.AlreadyAssociated", text)
}

pub(crate) fn already_associated(table: &str) -> Fault {
    let text =
        format!("the specified association for route table {table} conflicts with an existing association");
    error("Resource.AlreadyAssociated", text)
}

pub(crate) fn not_attached(gateway: &str, vpc: &str) -> Fault {
    error("Gateway.NotAttached", format!("resource {gateway} is not attached to network {vpc}"))
}

pub(crate) fn route_exists(destination: &str) -> Fault {
    error("RouteAlreadyExists", format!("The route identified by {destination} already exists."))
}

pub(crate) fn no_route(member: &str, destination: &str, table: &str) -> Fault {
    let text = format!("no route with {member} {destination} in route table {table}");
    error("InvalidRoute.NotFound", text)
}

pub(crate) fn key_exists(name: &str) -> Fault {
    error("InvalidKeyPair.Duplicate", format!("The keypair already exists: {name}"))
}

pub(crate) fn key_format() -> Fault {
    error("InvalidKey.Format", "Key is not in valid OpenSSH public key format")
}

pub(crate) fn template_exists() -> Fault {
    let text = "Launch template name already in use.";
    error("InvalidLaunchTemplateName.AlreadyExistsException", text)
}

pub(crate) fn template_name() -> Fault {
    let text = "Launch template names must be between 3 and 128 characters long, and may contain letters, numbers, and \
                the following characters: - ( ) . / _";
    error("InvalidLaunchTemplateName.MalformedException", text)
}

pub(crate) fn too_many_tags() -> Fault {
    error("TagLimitExceeded", "The maximum number of Tags for a resource has been reached.")
}

pub(crate) fn no_instance_type(name: &str) -> Fault {
    error("InvalidInstanceType", format!("The following supplied instance types do not exist: [{name}]"))
}

pub(crate) fn malformed_user_data() -> Fault {
    error("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.")
}

/// A quota: its code, and what there are too many of.
pub(crate) fn quota(code: &'static str, what: &str) -> Fault {
    error(code, format!("The maximum number of {what} has been reached."))
}

/// Something that Longshore shows because ECS has it, and that cannot be changed here.
pub(crate) fn not_permitted(text: impl Into<Cow<'static, str>>) -> Fault {
    error("OperationNotPermitted", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_repeated_ends_somewhere() {
        assert_eq!(limited("the token 'a' is invalid".into()), "the token 'a' is invalid");
        let long = limited("😀".repeat(2000).into());
        assert_eq!((long.chars().count(), long.ends_with("...")), (TEXT_CHARS_MAX + 3, true));
    }
}

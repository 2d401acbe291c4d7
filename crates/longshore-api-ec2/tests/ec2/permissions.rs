//! What has to be allowed for each operation of EC2, and that nothing is done or told without it.

use std::sync::Arc;

use expect_test::expect_file;
use longshore_api_ec2::OPERATIONS;
use longshore_service::Access;
use longshore_service::watchman::{Watchman, lines};

use crate::support::{ACCOUNT, World, all, one};

/// Ids of what is there, with the names that they have in the table.
type Names = Vec<(String, &'static str)>;

/// A world with one of everything, and its watchman.
struct Scene {
    world: World,
    guard: Arc<Watchman>,
    names: Names,
}

const KEY: (&str, &str) = ("Tag.1.Key", "k");
const VALUE: (&str, &str) = ("Tag.1.Value", "v");

impl Scene {
    fn empty() -> (World, Arc<Watchman>) {
        let guard = Arc::new(Watchman::default());
        (World::guarded(guard.clone()), guard)
    }

    fn new() -> Self {
        let (world, guard) = Self::empty();
        let vpc = world.vpc();
        let subnet = world.subnet(&vpc, 1);
        let group = world.group(&vpc, "web");
        let of = [("Filter.1.Name", "group-id"), ("Filter.1.Value.1", &*group)];
        let rule = world.get("DescribeSecurityGroupRules", &of, "securityGroupRuleId");
        let table = world.get("CreateRouteTable", &[("VpcId", &vpc)], "routeTableId");
        let both = [("RouteTableId", &*table), ("SubnetId", &*subnet)];
        let association = world.get("AssociateRouteTable", &both, "associationId");
        let gateway = world.get("CreateInternetGateway", &[], "internetGatewayId");
        let key = world.get("CreateKeyPair", &[("KeyName", "ada"), ("KeyType", "ed25519")], "keyPairId");
        let template = [("LaunchTemplateName", "web"), ("LaunchTemplateData.ImageId", "ami-1")];
        let template = world.get("CreateLaunchTemplate", &template, "launchTemplateId");
        let default = world.default_vpc();
        let names = vec![
            (vpc, "VPC"),
            (subnet, "SUBNET"),
            (group, "GROUP"),
            (rule, "RULE"),
            (table, "TABLE"),
            (association, "ASSOCIATION"),
            (gateway, "GATEWAY"),
            (key, "KEY"),
            (template, "TEMPLATE"),
            (default, "DEFAULT"),
        ];
        for (n, (id, _)) in
            names.iter().enumerate().filter(|(_, (_, name))| !["ASSOCIATION", "DEFAULT"].contains(name))
        {
            let value = n.to_string();
            world.ok("CreateTags", &[("ResourceId.1", id), ("Tag.1.Key", "own"), ("Tag.1.Value", &value)]);
        }
        Self { world, guard, names }
    }

    fn id(&self, name: &str) -> &str {
        &self.names.iter().find(|(_, own)| *own == name).expect("the scene has it").0
    }

    /// A call of each operation, so that everything which it can need permission for is in it.
    fn members(&self, action: &str) -> Vec<(&'static str, String)> {
        let id = |member: &'static str, name: &str| (member, self.id(name).to_owned());
        let of = |member: &'static str, value: &str| (member, value.to_owned());
        let (vpc, subnet, group) = (id("VpcId", "VPC"), id("SubnetId", "SUBNET"), id("GroupId", "GROUP"));
        let (table, gateway) = (id("RouteTableId", "TABLE"), id("InternetGatewayId", "GATEWAY"));
        let template = id("LaunchTemplateId", "TEMPLATE");
        let everywhere = of("DestinationCidrBlock", "0.0.0.0/0");
        let tagged = |kind: &str| {
            vec![
                of("TagSpecification.1.ResourceType", kind),
                of("TagSpecification.1.Tag.1.Key", KEY.1),
                of("TagSpecification.1.Tag.1.Value", VALUE.1),
            ]
        };
        let with = |mut own: Vec<(&'static str, String)>, more: Vec<(&'static str, String)>| {
            own.extend(more);
            own
        };
        let permission = vec![
            of("IpPermissions.1.IpProtocol", "tcp"),
            of("IpPermissions.1.FromPort", "80"),
            of("IpPermissions.1.ToPort", "80"),
            of("IpPermissions.1.IpRanges.1.CidrIp", "10.0.0.0/8"),
        ];
        match action {
            "CreateVpc" => with(vec![of("CidrBlock", "10.2.0.0/16")], tagged("vpc")),
            "DescribeVpcAttribute" => vec![vpc, of("Attribute", "enableDnsSupport")],
            "ModifyVpcAttribute" => vec![vpc, of("EnableDnsSupport.Value", "true")],
            "DeleteVpc" => vec![vpc],
            "CreateSubnet" => with(vec![vpc, of("CidrBlock", "10.1.2.0/24")], tagged("subnet")),
            "ModifySubnetAttribute" => vec![subnet, of("MapPublicIpOnLaunch.Value", "true")],
            "DeleteSubnet" => vec![subnet],
            "CreateSecurityGroup" => with(
                vec![of("GroupName", "new"), of("GroupDescription", "x")],
                with(vec![vpc], tagged("security-group")),
            ),
            "DeleteSecurityGroup" => vec![group],
            "AuthorizeSecurityGroupIngress" | "AuthorizeSecurityGroupEgress" => {
                with(vec![group], with(permission, tagged("security-group-rule")))
            }
            "RevokeSecurityGroupIngress" | "RevokeSecurityGroupEgress" => {
                vec![group, id("SecurityGroupRuleId.1", "RULE")]
            }
            "ModifySecurityGroupRules" => vec![
                group,
                id("SecurityGroupRule.1.SecurityGroupRuleId", "RULE"),
                of("SecurityGroupRule.1.SecurityGroupRule.IpProtocol", "-1"),
                of("SecurityGroupRule.1.SecurityGroupRule.CidrIpv4", "10.0.0.0/8"),
            ],
            "UpdateSecurityGroupRuleDescriptionsIngress" | "UpdateSecurityGroupRuleDescriptionsEgress" => {
                with(vec![group], permission)
            }
            "CreateInternetGateway" => tagged("internet-gateway"),
            "AttachInternetGateway" | "DetachInternetGateway" => vec![gateway, vpc],
            "DeleteInternetGateway" => vec![gateway],
            "CreateRouteTable" => with(vec![vpc], tagged("route-table")),
            "AssociateRouteTable" => vec![table, subnet],
            "DisassociateRouteTable" => vec![id("AssociationId", "ASSOCIATION")],
            "ReplaceRouteTableAssociation" => vec![id("AssociationId", "ASSOCIATION"), table],
            "DeleteRouteTable" => vec![table],
            "CreateRoute" | "ReplaceRoute" => vec![table, everywhere, id("GatewayId", "GATEWAY")],
            "DeleteRoute" => vec![table, everywhere],
            "CreateTags" | "DeleteTags" => vec![
                id("ResourceId.1", "VPC"),
                id("ResourceId.2", "KEY"),
                of("Tag.1.Key", KEY.1),
                of("Tag.1.Value", VALUE.1),
            ],
            "CreateKeyPair" => with(vec![of("KeyName", "new"), of("KeyType", "ed25519")], tagged("key-pair")),
            "ImportKeyPair" => {
                with(vec![of("KeyName", "new"), of("PublicKeyMaterial", "eA==")], tagged("key-pair"))
            }
            "DeleteKeyPair" => vec![id("KeyPairId", "KEY")],
            "CreateLaunchTemplate" => with(
                vec![of("LaunchTemplateName", "new"), of("LaunchTemplateData.ImageId", "ami-1")],
                tagged("launch-template"),
            ),
            "ModifyLaunchTemplate" => vec![template, of("SetDefaultVersion", "1")],
            "DeleteLaunchTemplate" => vec![of("LaunchTemplateName", "web")],
            "CreateLaunchTemplateVersion" => vec![template, of("LaunchTemplateData.ImageId", "ami-1")],
            "DeleteLaunchTemplateVersions" => vec![template, of("LaunchTemplateVersion.1", "1")],
            "DescribeLaunchTemplateVersions" => vec![template],
            "CreateDefaultVpc" => Vec::new(),
            list if list.starts_with("Describe") => Vec::new(),
            other => panic!("{other} has no call"),
        }
    }

    /// What is asked for a call of the operation, whether it succeeds or not.
    fn asked(&self, action: &str) -> Vec<Access> {
        let members = self.members(action);
        let members: Vec<(&str, &str)> =
            members.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.guard.take();
        let (_, body) = self.world.reply(action, &members);
        let seen = self.guard.take();
        assert!(!seen.is_empty(), "{action} asked nobody: {body}");
        seen
    }
}

#[test]
fn every_operation_says_what_it_needs() {
    let scene = Scene::new();
    let prefix = format!("arn:aws:ec2:eu-west-1:{ACCOUNT}:");
    let short = |text: &str| {
        let text = text.replace(&prefix, "");
        scene.names.iter().fold(text, |text, (id, name)| text.replace(id.as_str(), name))
    };
    let mut table = String::new();
    for operation in OPERATIONS.names {
        let mut asked = scene.asked(operation);
        // What one call has changed is not to be seen in the next one's questions.
        if !operation.starts_with("Describe") {
            let fresh = Scene::new();
            asked = fresh.asked(operation);
            assert_eq!(fresh.names, scene.names, "scenes are alike");
        }
        for (n, access) in asked.into_iter().enumerate() {
            assert_eq!(access.owner.to_string(), ACCOUNT, "{operation}");
            if n == 0 {
                assert_eq!(access.action, format!("ec2:{operation}"));
            }
            table.push_str(&lines(&access, short));
        }
    }
    expect_file!["permissions.txt"].assert_eq(&table);
}

/// Neither what it did nor what is there: the same answer in a world with one of everything and in an empty one.
#[test]
fn whoever_may_not_do_it_learns_nothing() {
    for operation in OPERATIONS.names {
        let scene = Scene::new();
        let members = scene.members(operation);
        let members: Vec<(&str, &str)> =
            members.iter().map(|(name, value)| (*name, value.as_str())).collect();
        scene.guard.deny();
        let denied = scene.world.refused(operation, &members);
        assert!(denied.starts_with("UnauthorizedOperation: User: "), "{operation}: {denied}");
        assert_eq!(scene.world.reply(operation, &members).0, 403, "{operation}");
        let (nowhere, guard) = Scene::empty();
        guard.deny();
        let unknown = nowhere.refused(operation, &members);
        assert_eq!(unknown, denied, "{operation}");
    }
}

/// Permission is asked for before `DryRun` tells anything.
#[test]
fn a_dry_run_needs_permission_too() {
    let (world, guard) = Scene::empty();
    let members = [("CidrBlock", "10.0.0.0/16"), ("DryRun", "true")];
    assert!(world.refused("CreateVpc", &members).starts_with("DryRunOperation: "));
    guard.deny();
    assert!(world.refused("CreateVpc", &members).starts_with("UnauthorizedOperation: "));
    let body = world.reply("DescribeVpcs", &[]).1;
    assert!(all(&body, "vpcId").is_empty() && one(&body, "Code") == "UnauthorizedOperation", "{body}");
}

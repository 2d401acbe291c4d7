//! The table of EC2's operations.

use longshore_service::operations;
use longshore_shapes_ec2::ops;

use crate::Ec2;

operations! {
    /// Every operation that is built. `support/ec2.toml` says why the others are not.
    pub static OPERATIONS: Ec2 = ops {
        query DescribeAvailabilityZones,
        query DescribeRegions,
        query DescribeAccountAttributes,

        command CreateVpc,
        command CreateDefaultVpc,
        query DescribeVpcs,
        query DescribeVpcAttribute,
        command ModifyVpcAttribute,
        command DeleteVpc,

        command CreateSubnet,
        query DescribeSubnets,
        command ModifySubnetAttribute,
        command DeleteSubnet,

        command CreateSecurityGroup,
        query DescribeSecurityGroups,
        command DeleteSecurityGroup,
        command AuthorizeSecurityGroupIngress,
        command AuthorizeSecurityGroupEgress,
        command RevokeSecurityGroupIngress,
        command RevokeSecurityGroupEgress,
        query DescribeSecurityGroupRules,
        command ModifySecurityGroupRules,
        command UpdateSecurityGroupRuleDescriptionsIngress,
        command UpdateSecurityGroupRuleDescriptionsEgress,

        command CreateInternetGateway,
        query DescribeInternetGateways,
        command AttachInternetGateway,
        command DetachInternetGateway,
        command DeleteInternetGateway,

        command CreateRouteTable,
        query DescribeRouteTables,
        command AssociateRouteTable,
        command DisassociateRouteTable,
        command ReplaceRouteTableAssociation,
        command DeleteRouteTable,
        command CreateRoute,
        command ReplaceRoute,
        command DeleteRoute,

        query DescribeNetworkAcls,
        query DescribeDhcpOptions,
        query DescribeNetworkInterfaces,
        query DescribeInstances,
        query DescribeInstanceTypes,
        query DescribeInstanceTypeOfferings,

        command CreateTags,
        command DeleteTags,
        query DescribeTags,

        command CreateKeyPair,
        command ImportKeyPair,
        query DescribeKeyPairs,
        command DeleteKeyPair,

        command CreateLaunchTemplate,
        query DescribeLaunchTemplates,
        command ModifyLaunchTemplate,
        command DeleteLaunchTemplate,
        command CreateLaunchTemplateVersion,
        query DescribeLaunchTemplateVersions,
        command DeleteLaunchTemplateVersions,
    }
}

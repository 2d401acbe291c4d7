//! The policies that AWS manages (identity J5). They are part of the program, the same for all accounts.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::ids;
use crate::key::Id;
use crate::record::IdentityPolicy;

/// A policy of AWS. There is one version of each.
#[derive(Debug)]
pub struct AwsPolicy {
    pub name: &'static str,
    pub path: &'static str,
    /// Made from its name, so that it is the same everywhere.
    pub id: Id,
    /// Those of service-linked roles are not.
    pub is_attachable: bool,
    pub document: IdentityPolicy,
}

/// The number of the one version.
pub const VERSION: u32 = 1;

/// 2015-02-06, the day on which AWS made the first of them.
pub const CREATED_MILLIS: i64 = 1_423_247_820_000;

const ROOT: &str = "/";
const SERVICE: &str = "/service-role/";
/// Of service-linked roles, and of nobody else.
const LINKED: &str = "/aws-service-role/";

macro_rules! documents {
    ($($name:literal in $path:ident,)*) => {
        &[$(($name, $path, include_str!(concat!("aws/documents/", $name, ".json"))),)*]
    };
}

const DOCUMENTS: &[(&str, &str, &str)] = documents! {
    "AWSApplicationAutoscalingECSServicePolicy" in LINKED,
    "AWSCodeDeployRoleForECS" in ROOT,
    "AWSElasticLoadBalancingServiceRolePolicy" in LINKED,
    "AdministratorAccess" in ROOT,
    "AmazonEC2ContainerRegistryPowerUser" in ROOT,
    "AmazonEC2ContainerRegistryPullOnly" in ROOT,
    "AmazonEC2ContainerRegistryReadOnly" in ROOT,
    "AmazonEC2ContainerServiceAutoscaleRole" in SERVICE,
    "AmazonEC2ContainerServiceRole" in SERVICE,
    "AmazonEC2ContainerServiceforEC2Role" in SERVICE,
    "AmazonECSInfrastructureRolePolicyForLoadBalancers" in ROOT,
    "AmazonECSInfrastructureRolePolicyForManagedInstances" in ROOT,
    "AmazonECSInfrastructureRolePolicyForServiceConnectTransportLayerSecurity" in SERVICE,
    "AmazonECSInfrastructureRolePolicyForVolumes" in SERVICE,
    "AmazonECSInfrastructureRolePolicyForVpcLattice" in ROOT,
    "AmazonECSServiceRolePolicy" in LINKED,
    "AmazonECSTaskExecutionRolePolicy" in SERVICE,
    "AmazonECS_FullAccess" in ROOT,
    "AmazonSSMManagedInstanceCore" in ROOT,
    "AmazonSSMReadOnlyAccess" in ROOT,
    "AutoScalingServiceRolePolicy" in LINKED,
    "CloudWatchLogsFullAccess" in ROOT,
    "PowerUserAccess" in ROOT,
    "ReadOnlyAccess" in ROOT,
    "SecretsManagerReadWrite" in ROOT,
};

static POLICIES: LazyLock<BTreeMap<&'static str, AwsPolicy>> = LazyLock::new(|| {
    let policy = |&(name, path, text): &(&'static str, &'static str, &str)| {
        let document = IdentityPolicy::new(text.trim()).expect("a test reads every one of them");
        let id = ids::fixed(ids::prefix::POLICY, name);
        (name, AwsPolicy { name, path, id, is_attachable: path != LINKED, document })
    };
    DOCUMENTS.iter().map(policy).collect()
});

/// The policy of this name.
pub fn policy(name: &str) -> Option<&'static AwsPolicy> {
    POLICIES.get(name)
}

/// All of them, by name.
pub fn policies() -> impl Iterator<Item = &'static AwsPolicy> {
    POLICIES.values()
}

#[cfg(test)]
mod tests {
    use longshore_policy::{Asker, Context, Layers, Question, Who, decide};

    use super::*;

    fn allows(name: &str, action: &str, resource: &str, context: &Context) -> bool {
        let policy = policy(name).unwrap_or_else(|| panic!("{name}"));
        let own = [policy.document.policy()];
        let account = "111122223333";
        let asker = Asker::User { arn: format!("arn:aws:iam::{account}:user/a"), id: "AIDA".into() };
        let who = Who { account: account.into(), asker };
        let question = Question { who: &who, action, resource, owner: account, context };
        decide(&question, &Layers { identity: &own, ..Layers::default() }).is_allowed()
    }

    #[test]
    fn every_one_of_them_is_a_policy() {
        assert_eq!(policies().count(), DOCUMENTS.len());
        let size = |policy: &AwsPolicy| policy.document.text().chars().filter(|c| !c.is_whitespace()).count();
        for policy in policies() {
            // What users may write (identity J4); AWS's own ReadOnlyAccess is larger.
            assert!(
                size(policy) <= 6144 || policy.name == "ReadOnlyAccess",
                "{}: {}",
                policy.name,
                size(policy)
            );
        }
    }

    /// What identity J5 says of them.
    #[test]
    fn they_allow_what_they_are_known_for() {
        let none = Context::new();
        let on_all = |name: &str, action: &str| allows(name, action, "*", &none);
        for action in
            ["ecr:GetAuthorizationToken", "ecr:BatchGetImage", "logs:CreateLogStream", "logs:PutLogEvents"]
        {
            assert!(on_all("AmazonECSTaskExecutionRolePolicy", action), "{action}");
        }
        for action in ["logs:CreateLogGroup", "secretsmanager:GetSecretValue", "ssm:GetParameters"] {
            assert!(!on_all("AmazonECSTaskExecutionRolePolicy", action), "{action}");
        }
        for action in ["ecs:Poll", "ecs:SubmitTaskStateChange", "ecs:CreateCluster", "logs:PutLogEvents"] {
            assert!(on_all("AmazonEC2ContainerServiceforEC2Role", action), "{action}");
        }
        assert!(!on_all("AmazonEC2ContainerServiceforEC2Role", "ecs:RunTask"));
        assert!(on_all("AdministratorAccess", "iam:DeleteUser"));
        assert!(!on_all("PowerUserAccess", "iam:DeleteUser") && on_all("PowerUserAccess", "ecs:RunTask"));
        assert!(on_all("ReadOnlyAccess", "ecs:DescribeClusters") && !on_all("ReadOnlyAccess", "ecs:RunTask"));
        assert!(!on_all("AmazonEC2ContainerRegistryPullOnly", "ecr:DescribeImages"));
        assert!(on_all("AmazonEC2ContainerRegistryReadOnly", "ecr:DescribeImages"));
        assert!(!on_all("AmazonEC2ContainerRegistryReadOnly", "ecr:PutImage"));
        assert!(on_all("AmazonEC2ContainerRegistryPowerUser", "ecr:PutImage"));
    }

    #[test]
    fn full_access_to_ecs_passes_roles_to_its_own_services() {
        let passes = |role: &str, to: &str| {
            let context = Context::new().with("iam:PassedToService", to);
            let role = format!("arn:aws:iam::111122223333:role/{role}");
            allows("AmazonECS_FullAccess", "iam:PassRole", &role, &context)
        };
        assert!(passes("any", "ecs-tasks.amazonaws.com"));
        assert!(passes("ecsInstanceRole1", "ec2.amazonaws.com") && !passes("any", "ec2.amazonaws.com"));
        assert!(passes("ecsInfrastructureRole", "ecs.amazonaws.com") && !passes("any", "ecs.amazonaws.com"));
        assert!(!passes("any", "lambda.amazonaws.com"));
    }
}

//! Service-linked roles (identity J5).

use longshore_base::{ClusterName, Region, Scope};
use longshore_domain::status::ClusterStatus;
use longshore_tables_ecs::ClusterKey;
use longshore_tables_ecs::record::Cluster;
use longshore_tables_iam::service_linked::{self, make_if_missing};

use crate::support::{ACCOUNT, ALLOW, NOW, TRUST, World, all, decoded, one};

const ECS: (&str, &str) = ("AWSServiceName", "ecs.amazonaws.com");
const ROLE: (&str, &str) = ("RoleName", "AWSServiceRoleForECS");

#[test]
fn a_service_has_one_role() {
    let world = World::new();
    let made = world.ok("CreateServiceLinkedRole", &[ECS]);
    let arn = format!("arn:aws:iam::{ACCOUNT}:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS");
    assert_eq!(one(&made, "Arn"), arn);
    assert!(decoded(&one(&made, "AssumeRolePolicyDocument")).contains("\"Service\":\"ecs.amazonaws.com\""));
    assert_eq!(
        all(&world.ok("ListAttachedRolePolicies", &[ROLE]), "PolicyName"),
        ["AmazonECSServiceRolePolicy"]
    );
    assert_eq!(
        world.refused("CreateServiceLinkedRole", &[ECS]),
        "InvalidInput: Service role name AWSServiceRoleForECS has been taken in this account, please try a different \
         suffix."
    );
    assert!(
        world
            .refused("CreateServiceLinkedRole", &[ECS, ("CustomSuffix", "x")])
            .starts_with("InvalidInput: Custom suffix")
    );
    assert!(
        world
            .refused("CreateServiceLinkedRole", &[("AWSServiceName", "x.amazonaws.com")])
            .starts_with("InvalidInput: ")
    );
    let scaling = world.ok(
        "CreateServiceLinkedRole",
        &[("AWSServiceName", "autoscaling.amazonaws.com"), ("CustomSuffix", "x")],
    );
    assert_eq!(one(&scaling, "RoleName"), "AWSServiceRoleForAutoScaling_x");
}

#[test]
fn only_aws_changes_it() {
    let world = World::new();
    world.act(|tx| make_if_missing(tx, world.account(), service_linked::ECS));
    world.act(|tx| make_if_missing(tx, world.account(), service_linked::ECS));
    world.ok("CreateInstanceProfile", &[("InstanceProfileName", "p")]);
    let policy = ("PolicyArn", "arn:aws:iam::aws:policy/AdministratorAccess");
    let told = "UnmodifiableEntity: Cannot perform the operation on the protected role 'AWSServiceRoleForECS' - this role \
                is only modifiable by AWS";
    for (action, more) in [
        ("DeleteRole", vec![]),
        ("AttachRolePolicy", vec![policy]),
        ("DetachRolePolicy", vec![policy]),
        ("PutRolePolicy", vec![("PolicyName", "p"), ("PolicyDocument", ALLOW)]),
        ("DeleteRolePolicy", vec![("PolicyName", "p")]),
        ("UpdateAssumeRolePolicy", vec![("PolicyDocument", TRUST)]),
        ("UpdateRole", vec![("MaxSessionDuration", "7200")]),
        ("PutRolePermissionsBoundary", vec![("PermissionsBoundary", policy.1)]),
        ("DeleteRolePermissionsBoundary", vec![]),
        ("AddRoleToInstanceProfile", vec![("InstanceProfileName", "p")]),
    ] {
        let members: Vec<_> = [ROLE].into_iter().chain(more).collect();
        assert_eq!(world.refused(action, &members), told, "{action}");
    }
    world.ok("UpdateRole", &[ROLE, ("Description", "what it is for may be said")]);
}

#[test]
fn it_is_deleted_when_nothing_needs_it() {
    let world = World::new();
    world.ok("CreateServiceLinkedRole", &[ECS]);
    let name = ClusterName::parse("c").expect("a name");
    let key =
        ClusterKey::new(Scope::new(world.account(), Region::parse("us-east-1").expect("one")), name.clone());
    let cluster = Cluster {
        name,
        status: ClusterStatus::Active,
        created_at: NOW,
        deleted_at: None,
        container_insights: "disabled".into(),
        configuration: None,
        service_connect_namespace: None,
        capacity_providers: Vec::new(),
        default_strategy: Vec::new(),
        tags: Default::default(),
    };
    world.act(|tx| tx.put::<Cluster>(key.clone(), cluster));
    let delete = || one(&world.ok("DeleteServiceLinkedRole", &[ROLE]), "DeletionTaskId");
    let task = delete();
    assert!(task.starts_with("task/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS/"), "{task}");
    let status = |task: &str| world.ok("GetServiceLinkedRoleDeletionStatus", &[("DeletionTaskId", task)]);
    let failed = status(&task);
    assert_eq!((one(&failed, "Status"), one(&failed, "Region")), ("FAILED".into(), "us-east-1".into()));
    world.ok("GetRole", &[ROLE]);
    world.act(|tx| tx.delete::<Cluster>(key));
    let done = delete();
    assert_eq!(one(&status(&done), "Status"), "SUCCEEDED");
    assert!(world.refused("GetRole", &[ROLE]).starts_with("NoSuchEntity"));
    assert!(
        world
            .refused("GetServiceLinkedRoleDeletionStatus", &[("DeletionTaskId", &task)])
            .starts_with("NoSuchEntity")
    );
    world.ok("CreateRole", &[("RoleName", "own"), ("AssumeRolePolicyDocument", TRUST)]);
    assert!(world.refused("DeleteServiceLinkedRole", &[("RoleName", "own")]).starts_with("NoSuchEntity"));
}

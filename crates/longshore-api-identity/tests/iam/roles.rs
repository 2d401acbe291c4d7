//! Roles, whom they trust, instance profiles and boundaries (identity J4).

use longshore_api::PrincipalKind;

use crate::support::{ACCOUNT, ALLOW, TRUST, World, all, decoded, one};

fn trusting(principal: &str) -> String {
    format!(
        "{{ \"Version\": \"2012-10-17\",\n  \"Statement\": [{{\"Effect\": \"Allow\", \"Action\": \"sts:AssumeRole\", \"Principal\": {principal}}}] }}"
    )
}

#[test]
fn a_role_is_made_and_shown() {
    let world = World::new();
    let text = trusting(r#"{"Service": "ecs-tasks.amazonaws.com"}"#);
    let boundary = format!("arn:aws:iam::{ACCOUNT}:policy/b");
    world.ok("CreatePolicy", &[("PolicyName", "b"), ("PolicyDocument", ALLOW)]);
    let made = world.ok(
        "CreateRole",
        &[
            ("RoleName", "web"),
            ("Path", "/app/"),
            ("AssumeRolePolicyDocument", &text),
            ("Description", "serves"),
            ("MaxSessionDuration", "7200"),
            ("PermissionsBoundary", &boundary),
        ],
    );
    assert_eq!(one(&made, "Arn"), format!("arn:aws:iam::{ACCOUNT}:role/app/web"));
    assert_eq!(decoded(&one(&made, "AssumeRolePolicyDocument")), text, "as it was given");
    assert!(one(&made, "RoleId").starts_with("AROA"));
    let shown = world.ok("GetRole", &[("RoleName", "web")]);
    assert_eq!(
        (one(&shown, "MaxSessionDuration"), one(&shown, "Description")),
        ("7200".into(), "serves".into())
    );
    assert_eq!(one(&shown, "PermissionsBoundaryArn"), boundary);
    assert_eq!(one(&shown, "PermissionsBoundaryType"), "PermissionsBoundaryPolicy");
    assert!(shown.contains("<RoleLastUsed></RoleLastUsed>") || shown.contains("<RoleLastUsed/>"), "{shown}");
    let listed = world.ok("ListRoles", &[]);
    assert!(!listed.contains("PermissionsBoundary") && !listed.contains("RoleLastUsed"), "{listed}");
    assert_eq!(
        world.refused("CreateRole", &[("RoleName", "WEB"), ("AssumeRolePolicyDocument", TRUST)]),
        "EntityAlreadyExists: Role with name WEB already exists."
    );
    world.ok("UpdateRole", &[("RoleName", "web"), ("MaxSessionDuration", "3600"), ("Description", "")]);
    let shown = world.ok("GetRole", &[("RoleName", "web")]);
    assert_eq!((one(&shown, "MaxSessionDuration"), all(&shown, "Description").len()), ("3600".into(), 0));
    assert!(
        world
            .refused("UpdateRole", &[("RoleName", "web"), ("MaxSessionDuration", "60")])
            .contains("'maxSessionDuration'")
    );
}

#[test]
fn trust_has_rules_of_its_own() {
    let world = World::new();
    let with =
        |text: &str| world.refused("CreateRole", &[("RoleName", "r"), ("AssumeRolePolicyDocument", text)]);
    for (text, told) in [
        ("{".to_owned(), "Syntax errors in policy."),
        (ALLOW.to_owned(), "Has prohibited field Resource"),
        (trusting(r#""*""#), r#"AssumeRolepolicy contained an invalid principal: "STAR":"*"."#),
        (
            trusting(r#"{"AWS": "arn:aws:iam::111122223333:user/nobody"}"#),
            r#"Invalid principal in policy: "AWS":"arn:aws:iam::111122223333:user/nobody""#,
        ),
        (trusting(r#"{"AWS": ["AIDANOBODY"]}"#), r#"Invalid principal in policy: "AWS":"AIDANOBODY""#),
        (trusting(r#"{"Service": "ecs"}"#), r#"Invalid principal in policy: "SERVICE":"ecs""#),
    ] {
        assert_eq!(with(&text), format!("MalformedPolicyDocument: {told}"));
    }
    let long = trusting(&format!("{{\"AWS\": [{}\"*\"]}}", "\"111122223333\",".repeat(150)));
    assert_eq!(with(&long), "LimitExceeded: Cannot exceed quota for ACLSizePerRole: 2048");
    let wide = trusting(r#"{"AWS": "*"}"#).replace('\n', &"\n".repeat(3000));
    world.ok("CreateRole", &[("RoleName", "r"), ("AssumeRolePolicyDocument", &wide)]);
}

/// A deleted principal is shown by its id, and a new one of its name is not trusted.
#[test]
fn trust_is_in_somebody_not_in_a_name() {
    let mut world = World::new();
    world.act_as("444455556666", PrincipalKind::Root, "arn:aws:iam::444455556666:root");
    let id = one(&world.ok("CreateUser", &[("UserName", "ada")]), "UserId");
    world.act_as(ACCOUNT, PrincipalKind::Root, "arn:aws:iam::111122223333:root");
    let arn = "arn:aws:iam::444455556666:user/ada";
    let text = trusting(&format!(r#"{{"AWS": "{arn}"}}"#));
    world.ok("CreateRole", &[("RoleName", "r"), ("AssumeRolePolicyDocument", TRUST)]);
    world.ok("UpdateAssumeRolePolicy", &[("RoleName", "r"), ("PolicyDocument", &text)]);
    let shown =
        |world: &World| decoded(&one(&world.ok("GetRole", &[("RoleName", "r")]), "AssumeRolePolicyDocument"));
    assert_eq!(shown(&world), text);
    world.act_as("444455556666", PrincipalKind::Root, "arn:aws:iam::444455556666:root");
    world.ok("UpdateUser", &[("UserName", "ada"), ("NewUserName", "countess")]);
    world.act_as(ACCOUNT, PrincipalKind::Root, "arn:aws:iam::111122223333:root");
    assert_eq!(shown(&world), text.replace("user/ada", "user/countess"));
    world.act_as("444455556666", PrincipalKind::Root, "arn:aws:iam::444455556666:root");
    world.ok("DeleteUser", &[("UserName", "countess")]);
    world.ok("CreateUser", &[("UserName", "ada")]);
    world.act_as(ACCOUNT, PrincipalKind::Root, "arn:aws:iam::111122223333:root");
    assert_eq!(shown(&world), text.replace(arn, &id));
}

#[test]
fn a_role_goes_when_nothing_is_left() {
    let world = World::new();
    let role = ("RoleName", "web");
    world.ok("CreateRole", &[role, ("AssumeRolePolicyDocument", TRUST)]);
    world.ok("CreateInstanceProfile", &[("InstanceProfileName", "p")]);
    world.ok("AddRoleToInstanceProfile", &[role, ("InstanceProfileName", "p")]);
    world.ok("PutRolePolicy", &[role, ("PolicyName", "own"), ("PolicyDocument", ALLOW)]);
    let six = ("PolicyArn", "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy");
    world.ok("AttachRolePolicy", &[role, six]);
    world.ok("AttachRolePolicy", &[role, six]);
    assert_eq!(
        all(&world.ok("ListAttachedRolePolicies", &[role]), "PolicyName"),
        ["AmazonECSTaskExecutionRolePolicy"]
    );
    let told = |text: &str| format!("DeleteConflict: Cannot delete entity, {text}");
    assert_eq!(
        world.refused("DeleteInstanceProfile", &[("InstanceProfileName", "p")]),
        told("must remove roles from instance profile first.")
    );
    assert_eq!(world.refused("DeleteRole", &[role]), told("must remove roles from instance profile first."));
    world.ok("RemoveRoleFromInstanceProfile", &[role, ("InstanceProfileName", "p")]);
    assert_eq!(world.refused("DeleteRole", &[role]), told("must detach all policies first."));
    world.ok("DetachRolePolicy", &[role, six]);
    assert_eq!(
        world.refused("DetachRolePolicy", &[role, six]),
        format!("NoSuchEntity: Policy {} was not found.", six.1)
    );
    assert_eq!(world.refused("DeleteRole", &[role]), told("must delete policies first."));
    world.ok("DeleteRolePolicy", &[role, ("PolicyName", "own")]);
    world.ok("DeleteRole", &[role]);
    world.ok("DeleteInstanceProfile", &[("InstanceProfileName", "p")]);
    assert_eq!(world.refused("DeleteRole", &[role]), "NoSuchEntity: The role with name web cannot be found.");
}

#[test]
fn an_instance_profile_has_one_role() {
    let world = World::new();
    for name in ["a", "b"] {
        world.ok("CreateRole", &[("RoleName", name), ("AssumeRolePolicyDocument", TRUST)]);
    }
    let profile = ("InstanceProfileName", "p");
    let made = world.ok("CreateInstanceProfile", &[profile]);
    assert!(one(&made, "InstanceProfileId").starts_with("AIPA"));
    assert_eq!(
        world.refused("CreateInstanceProfile", &[("InstanceProfileName", "P")]),
        "EntityAlreadyExists: Instance Profile P already exists."
    );
    world.ok("AddRoleToInstanceProfile", &[profile, ("RoleName", "a")]);
    assert_eq!(
        world.refused("AddRoleToInstanceProfile", &[profile, ("RoleName", "b")]),
        "LimitExceeded: Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1"
    );
    assert_eq!(
        world.refused("RemoveRoleFromInstanceProfile", &[profile, ("RoleName", "b")]),
        "NoSuchEntity: The role with name b cannot be found."
    );
    let shown = world.ok("GetInstanceProfile", &[profile]);
    assert_eq!(one(&shown, "RoleName"), "a");
    let listed = world.ok("ListInstanceProfilesForRole", &[("RoleName", "a")]);
    assert_eq!(all(&listed, "InstanceProfileName"), ["p"]);
    assert_eq!(
        world.refused("GetInstanceProfile", &[("InstanceProfileName", "q")]),
        "NoSuchEntity: Instance Profile q cannot be found."
    );
}

#[test]
fn boundaries_are_policies() {
    let world = World::new();
    world.ok("CreateUser", &[("UserName", "ada")]);
    let arn = one(&world.ok("CreatePolicy", &[("PolicyName", "b"), ("PolicyDocument", ALLOW)]), "Arn");
    let (user, boundary) = (("UserName", "ada"), ("PermissionsBoundary", &*arn));
    world.ok("PutUserPermissionsBoundary", &[user, boundary]);
    assert_eq!(one(&world.ok("GetUser", &[user]), "PermissionsBoundaryArn"), arn);
    let shown = world.ok("GetPolicy", &[("PolicyArn", &arn)]);
    assert_eq!(
        (one(&shown, "AttachmentCount"), one(&shown, "PermissionsBoundaryUsageCount")),
        ("0".into(), "1".into())
    );
    assert_eq!(
        world.refused("DeletePolicy", &[("PolicyArn", &arn)]),
        "DeleteConflict: Cannot delete a policy attached to entities."
    );
    let nowhere = "arn:aws:iam::aws:policy/Nothing";
    assert_eq!(
        world.refused("PutUserPermissionsBoundary", &[user, ("PermissionsBoundary", nowhere)]),
        format!("NoSuchEntity: Scope ARN: {nowhere} does not exist or is not attachable.")
    );
    world.ok("DeleteUserPermissionsBoundary", &[user]);
    assert!(world.refused("DeleteUserPermissionsBoundary", &[user]).starts_with("NoSuchEntity: "));
    world.ok("DeletePolicy", &[("PolicyArn", &arn)]);
}

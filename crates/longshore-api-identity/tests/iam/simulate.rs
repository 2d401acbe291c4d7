//! Simulations, and which keys policies ask about.

use crate::support::{ACCOUNT, ALLOW, World, all, one};

const SCOPED: &str = r#"{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Action": "ecs:RunTask", "Resource": "arn:aws:ecs:*:*:task-definition/${aws:username}:*",
     "Condition": {"StringEquals": {"aws:RequestTag/Team": "red"}}},
    {"Effect": "Deny", "Action": "ecs:Delete*", "Resource": "*"}
  ]
}"#;

#[test]
fn one_result_for_each_action_on_each_resource() {
    let world = World::new();
    let policy = ("PolicyInputList.member.1", SCOPED);
    let answer = world.ok(
        "SimulateCustomPolicy",
        &[
            policy,
            ("ActionNames.member.1", "ecs:DeleteCluster"),
            ("ActionNames.member.2", "ecs:RunTask"),
            ("ResourceArns.member.1", "arn:aws:ecs:r:1:task-definition/ada:1"),
            ("ResourceArns.member.2", "arn:aws:ecs:r:1:task-definition/bob:1"),
            ("ContextEntries.member.1.ContextKeyName", "aws:username"),
            ("ContextEntries.member.1.ContextKeyType", "string"),
            ("ContextEntries.member.1.ContextKeyValues.member.1", "ada"),
            ("ContextEntries.member.2.ContextKeyName", "aws:requesttag/team"),
            ("ContextEntries.member.2.ContextKeyType", "string"),
            ("ContextEntries.member.2.ContextKeyValues.member.1", "red"),
        ],
    );
    assert_eq!(all(&answer, "EvalDecision"), ["explicitDeny", "explicitDeny", "allowed", "implicitDeny"]);
    assert_eq!(all(&answer, "SourcePolicyId"), ["PolicyInputList.1"; 3]);
    // The deny twice, then the allow, which has two lines: its end comes before its begin, by the names of the members.
    assert_eq!(all(&answer, "Line"), ["6", "6", "6", "6", "5", "4"]);
    assert_eq!(all(&answer, "Column"), ["64", "5", "64", "5", "67", "5"]);
    let first = world.ok("SimulateCustomPolicy", &[policy, ("ActionNames.member.1", "ecs:RunTask")]);
    assert_eq!(
        (one(&first, "EvalDecision"), one(&first, "EvalResourceName")),
        ("implicitDeny".into(), "*".into())
    );
    assert!(first.contains("<member>aws:RequestTag/Team</member><member>aws:username</member>"), "{first}");
    let bounded = world.ok(
        "SimulateCustomPolicy",
        &[
            ("PolicyInputList.member.1", ALLOW),
            ("PermissionsBoundaryPolicyInputList.member.1", SCOPED),
            ("ActionNames.member.1", "ecs:ListClusters"),
        ],
    );
    assert_eq!(
        (one(&bounded, "EvalDecision"), one(&bounded, "AllowedByPermissionsBoundary")),
        ("implicitDeny".into(), "false".into())
    );
    assert!(
        world
            .refused(
                "SimulateCustomPolicy",
                &[("PolicyInputList.member.1", "{"), ("ActionNames.member.1", "a:b")]
            )
            .starts_with("InvalidInput: ")
    );
}

#[test]
fn a_principal_is_asked_about_with_all_it_has() {
    let world = World::new();
    world.ok("CreateUser", &[("UserName", "ada")]);
    world.ok("CreateGroup", &[("GroupName", "g")]);
    world.ok("AddUserToGroup", &[("UserName", "ada"), ("GroupName", "g")]);
    world.ok("PutGroupPolicy", &[("GroupName", "g"), ("PolicyName", "p"), ("PolicyDocument", ALLOW)]);
    world.ok(
        "AttachUserPolicy",
        &[("UserName", "ada"), ("PolicyArn", "arn:aws:iam::aws:policy/ReadOnlyAccess")],
    );
    let arn = format!("arn:aws:iam::{ACCOUNT}:user/ada");
    let source = ("PolicySourceArn", &*arn);
    let ask = |action: &str, more: &[(&str, &str)]| {
        let members: Vec<_> =
            [source, ("ActionNames.member.1", action)].into_iter().chain(more.iter().copied()).collect();
        world.ok("SimulatePrincipalPolicy", &members)
    };
    let answer = ask("ecs:RunTask", &[]);
    assert_eq!(
        (one(&answer, "EvalDecision"), one(&answer, "SourcePolicyId"), one(&answer, "SourcePolicyType")),
        ("allowed".into(), "group_g_p".into(), "group".into())
    );
    let answer = ask("s3:GetObject", &[]);
    assert_eq!(
        (one(&answer, "EvalDecision"), one(&answer, "SourcePolicyId"), one(&answer, "SourcePolicyType")),
        ("allowed".into(), "ReadOnlyAccess".into(), "aws-managed".into())
    );
    assert_eq!(one(&ask("s3:PutObject", &[]), "EvalDecision"), "implicitDeny");
    world.ok(
        "PutUserPermissionsBoundary",
        &[("UserName", "ada"), ("PermissionsBoundary", "arn:aws:iam::aws:policy/ReadOnlyAccess")],
    );
    assert_eq!(one(&ask("ecs:RunTask", &[]), "EvalDecision"), "implicitDeny");
    let deny = ALLOW.replace("Allow", "Deny");
    assert_eq!(
        one(&ask("ecs:RunTask", &[("PolicyInputList.member.1", &deny)]), "EvalDecision"),
        "explicitDeny"
    );
    let nobody = format!("arn:aws:iam::{ACCOUNT}:user/nobody");
    assert_eq!(
        world.refused(
            "SimulatePrincipalPolicy",
            &[("PolicySourceArn", &nobody), ("ActionNames.member.1", "a:b")]
        ),
        "NoSuchEntity: The user with name nobody cannot be found."
    );
    world.ok("PutUserPolicy", &[("UserName", "ada"), ("PolicyName", "s"), ("PolicyDocument", SCOPED)]);
    let keys = world.ok("GetContextKeysForPrincipalPolicy", &[source]);
    assert_eq!(all(&keys, "member"), ["aws:RequestTag/Team", "aws:username"]);
    assert_eq!(
        all(&world.ok("GetContextKeysForCustomPolicy", &[("PolicyInputList.member.1", ALLOW)]), "member"),
        [""; 0]
    );
}

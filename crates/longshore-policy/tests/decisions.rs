//! How policies combine: the table of identity J6, and properties that hold for all of them.

use longshore_policy::{
    Asker, By, Context, Decision, Kind, Layers, Policy, Question, ResourcePolicy, Who, decide,
};
use proptest::prelude::*;

const ACCOUNT: &str = "111111111111";
const OTHER: &str = "222222222222";
const RESOURCE: &str = "arn:aws:secretsmanager:eu-central-1:111111111111:secret:db-AbCdEf";

fn policy(kind: Kind, statement: &str) -> Policy {
    let text = format!(r#"{{"Version": "2012-10-17", "Statement": {statement}}}"#);
    Policy::read(&text, kind).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn allow() -> Policy {
    policy(Kind::Identity, r#"{"Effect": "Allow", "Action": "secretsmanager:Get*", "Resource": "*"}"#)
}

fn deny() -> Policy {
    policy(Kind::Identity, r#"{"Effect": "Deny", "Action": "*", "Resource": "*"}"#)
}

fn nothing() -> Policy {
    policy(Kind::Identity, r#"{"Effect": "Allow", "Action": "ecs:*", "Resource": "*"}"#)
}

fn granting(principal: &str) -> Policy {
    let statement = format!(
        r#"{{"Effect": "Allow", "Principal": {principal}, "Action": "secretsmanager:*", "Resource": "*"}}"#
    );
    policy(Kind::Resource, &statement)
}

fn user(account: &str) -> Who {
    let asker = Asker::User { arn: format!("arn:aws:iam::{account}:user/ann"), id: "AIDAANN".into() };
    Who { account: account.into(), asker }
}

fn session(account: &str) -> Who {
    let asker = Asker::Session {
        arn: format!("arn:aws:sts::{account}:assumed-role/app/task"),
        role_arn: format!("arn:aws:iam::{account}:role/app"),
        role_id: "AROAAPP".into(),
    };
    Who { account: account.into(), asker }
}

fn ask<'a>(who: &Who, layers: &Layers<'a>) -> Decision<'a> {
    let context = Context::new();
    let action = "secretsmanager:GetSecretValue";
    decide(&Question { who, action, resource: RESOURCE, owner: ACCOUNT, context: &context }, layers)
}

/// `ok`, or what decided against it.
fn outcome(who: &Who, layers: &Layers<'_>) -> &'static str {
    match ask(who, layers) {
        Decision::Allowed(_) => "ok",
        Decision::ExplicitDeny(By::Identity, _) => "denied: identity",
        Decision::ExplicitDeny(By::Boundary, _) => "denied: boundary",
        Decision::ExplicitDeny(By::Session, _) => "denied: session",
        Decision::ExplicitDeny(By::Resource, _) => "denied: resource",
        Decision::ImplicitDeny(By::Identity) => "no identity",
        Decision::ImplicitDeny(By::Boundary) => "no boundary",
        Decision::ImplicitDeny(By::Session) => "no session",
        Decision::ImplicitDeny(By::Resource) => "no resource",
    }
}

#[test]
fn without_a_policy_of_the_resource() {
    let (allow, deny, nothing) = (allow(), deny(), nothing());
    for (identity, boundary, of_session, expected) in [
        (&[&allow][..], None, None, "ok"),
        (&[], None, None, "no identity"),
        (&[&nothing, &allow], None, None, "ok"),
        (&[&allow, &deny], None, None, "denied: identity"),
        (&[&allow], Some(&allow), None, "ok"),
        (&[&allow], Some(&nothing), None, "no boundary"),
        (&[&allow], Some(&deny), None, "denied: boundary"),
        (&[&nothing], Some(&allow), None, "no identity"),
        (&[&allow], None, Some(&[&allow][..]), "ok"),
        (&[&allow], None, Some(&[&nothing]), "no session"),
        (&[&allow], Some(&allow), Some(&[&nothing, &allow]), "ok"),
        (&[&allow], None, Some(&[&deny]), "denied: session"),
    ] {
        let layers = Layers { identity, boundary, session: of_session, resource: None };
        assert_eq!(outcome(&session(ACCOUNT), &layers), expected, "{layers:?}");
    }
}

#[test]
fn a_policy_of_the_resource_in_the_same_account() {
    let (allow, nothing) = (allow(), nothing());
    let user_arn = r#"{"AWS": "arn:aws:iam::111111111111:user/ann"}"#;
    let session_arn = r#"{"AWS": "arn:aws:sts::111111111111:assumed-role/app/task"}"#;
    let role_arn = r#"{"AWS": "arn:aws:iam::111111111111:role/app"}"#;
    let role_id = r#"{"AWS": "AROAAPP"}"#;
    let account = r#"{"AWS": "111111111111"}"#;
    let root = r#"{"AWS": "arn:aws:iam::111111111111:root"}"#;
    let (ann, task) = (user(ACCOUNT), session(ACCOUNT));
    for (who, principal, identity, boundary, expected) in [
        // The user or the session itself: nothing else is needed, and no limit holds.
        (&ann, user_arn, None, None, "ok"),
        (&ann, user_arn, None, Some(&nothing), "ok"),
        (&task, session_arn, None, Some(&nothing), "ok"),
        // The role: no identity policy is needed, but the limits hold.
        (&task, role_arn, None, None, "ok"),
        (&task, role_arn, None, Some(&nothing), "no boundary"),
        (&task, role_id, None, None, "ok"),
        (&task, "\"*\"", None, None, "ok"),
        (&task, "\"*\"", None, Some(&nothing), "no boundary"),
        // The account only delegates.
        (&ann, account, None, None, "no identity"),
        (&ann, root, Some(&allow), None, "ok"),
        // Somebody else.
        (&ann, role_arn, None, None, "no identity"),
        (&ann, r#"{"AWS": "222222222222"}"#, None, None, "no identity"),
        (&ann, r#"{"Service": "ecs-tasks.amazonaws.com"}"#, None, None, "no identity"),
    ] {
        let granting = granting(principal);
        let identity: Vec<&Policy> = identity.into_iter().collect();
        let resource = Some(ResourcePolicy { policy: &granting, is_indispensable: false });
        let layers = Layers { identity: &identity, boundary, session: None, resource };
        assert_eq!(outcome(who, &layers), expected, "{principal} {who:?}");
    }
}

#[test]
fn across_accounts_both_sides_have_to_allow() {
    let (allow, nothing) = (allow(), nothing());
    let by_account = granting(r#"{"AWS": "222222222222"}"#);
    let by_arn = granting(r#"{"AWS": "arn:aws:iam::222222222222:user/ann"}"#);
    let ann = user(OTHER);
    for (identity, resource, expected) in [
        (&[&allow][..], Some(&by_account), "ok"),
        (&[&allow], Some(&by_arn), "ok"),
        (&[], Some(&by_arn), "no identity"),
        (&[&nothing], Some(&by_account), "no identity"),
        (&[&allow], None, "no resource"),
    ] {
        let resource = resource.map(|policy| ResourcePolicy { policy, is_indispensable: false });
        let layers = Layers { identity, resource, ..Layers::default() };
        assert_eq!(outcome(&ann, &layers), expected);
    }
    let root = Who { account: OTHER.into(), asker: Asker::Root };
    assert_eq!(outcome(&root, &Layers::default()), "no resource");
    let resource = Some(ResourcePolicy { policy: &by_account, is_indispensable: false });
    assert_eq!(outcome(&root, &Layers { resource, ..Layers::default() }), "ok");
}

#[test]
fn the_root_of_the_account() {
    let root = Who { account: ACCOUNT.into(), asker: Asker::Root };
    assert_eq!(outcome(&root, &Layers::default()), "ok");
    let denying = policy(
        Kind::Resource,
        r#"{"Effect": "Deny", "Principal": "*", "Action": "secretsmanager:GetSecretValue", "Resource": "*"}"#,
    );
    let resource = Some(ResourcePolicy { policy: &denying, is_indispensable: false });
    assert_eq!(outcome(&root, &Layers { resource, ..Layers::default() }), "denied: resource");
}

#[test]
fn what_is_indispensable() {
    let allow = allow();
    let trust = |principal: &str| granting(principal);
    let ann = user(ACCOUNT);
    let service = Who { account: String::new(), asker: Asker::Service("ecs-tasks.amazonaws.com".into()) };
    for (who, principal, identity, expected) in [
        (&ann, r#"{"AWS": "111111111111"}"#, true, "ok"),
        (&ann, r#"{"AWS": "111111111111"}"#, false, "no identity"),
        (&ann, r#"{"AWS": "AIDAANN"}"#, false, "ok"),
        (&ann, r#"{"Service": "ecs-tasks.amazonaws.com"}"#, true, "no resource"),
        (&service, r#"{"Service": "ecs-tasks.amazonaws.com"}"#, false, "ok"),
        (&service, r#"{"Service": "ec2.amazonaws.com"}"#, false, "no resource"),
    ] {
        let policy = trust(principal);
        let resource = Some(ResourcePolicy { policy: &policy, is_indispensable: true });
        let identity: Vec<&Policy> = identity.then_some(&allow).into_iter().collect();
        let layers = Layers { identity: &identity, resource, ..Layers::default() };
        assert_eq!(outcome(who, &layers), expected, "{principal} {who:?}");
    }
}

#[test]
fn denies_of_the_resource_name_all_but_some() {
    let denying = policy(
        Kind::Resource,
        r#"{"Effect": "Deny", "NotPrincipal": {"AWS": "arn:aws:iam::111111111111:role/app"},
            "Action": "secretsmanager:*", "Resource": "*"}"#,
    );
    let allow = allow();
    let resource = Some(ResourcePolicy { policy: &denying, is_indispensable: false });
    let layers = Layers { identity: &[&allow], resource, ..Layers::default() };
    assert_eq!(outcome(&session(ACCOUNT), &layers), "ok");
    assert_eq!(outcome(&user(ACCOUNT), &layers), "denied: resource");
}

#[test]
fn the_words_of_a_refusal() {
    let (allow, deny, nothing) = (allow(), deny(), nothing());
    let who = user(ACCOUNT);
    let action = "secretsmanager:GetSecretValue";
    for (layers, expected) in [
        (
            Layers::default(),
            " because no identity-based policy allows the secretsmanager:GetSecretValue action",
        ),
        (
            Layers { identity: &[&deny], ..Layers::default() },
            " with an explicit deny in an identity-based policy",
        ),
        (
            Layers { identity: &[&allow], boundary: Some(&nothing), ..Layers::default() },
            " because no permissions boundary allows the secretsmanager:GetSecretValue action",
        ),
        (
            Layers { identity: &[&allow], boundary: Some(&deny), ..Layers::default() },
            " with an explicit deny in a permissions boundary",
        ),
    ] {
        assert_eq!(ask(&who, &layers).because(action), expected);
    }
}

fn statements() -> impl Strategy<Value = String> {
    let statement = (
        prop::sample::select(vec!["Allow", "Deny"]),
        prop::sample::select(vec!["Action", "NotAction"]),
        prop::sample::select(vec!["secretsmanager:Get*", "*", "ecs:*", "SECRETSMANAGER:getsecretvalue"]),
        prop::sample::select(vec!["Resource", "NotResource"]),
        prop::sample::select(vec!["*", "arn:aws:secretsmanager:*:*:secret:db-*", "arn:aws:s3:::b"]),
        prop::sample::select(vec![
            "{}",
            r#"{"Bool": {"aws:SecureTransport": "true"}}"#,
            r#"{"StringNotEquals": {"aws:ResourceTag/x": "1"}}"#,
        ]),
    );
    statement.prop_map(|(effect, action, actions, resource, resources, condition)| {
        format!(
            r#"{{"Effect": "{effect}", "{action}": "{actions}", "{resource}": "{resources}", "Condition": {condition}}}"#
        )
    })
}

proptest! {
    /// A Deny more never gives a right, and neither does an Allow less.
    #[test]
    fn a_deny_never_adds_rights(list in prop::collection::vec(statements(), 1..6), drop in 0_usize..6) {
        let who = user(ACCOUNT);
        let decided = |list: &[String]| {
            let own: Vec<Policy> = list.iter().map(|one| policy(Kind::Identity, one)).collect();
            let own: Vec<&Policy> = own.iter().collect();
            ask(&who, &Layers { identity: &own, ..Layers::default() }).is_allowed()
        };
        let drop = drop % list.len();
        let mut less = list.clone();
        let dropped = less.remove(drop);
        if dropped.contains(r#""Deny""#) {
            prop_assert!(!decided(&list) || decided(&less));
        } else {
            prop_assert!(decided(&list) || !decided(&less));
        }
    }

    #[test]
    fn order_does_not_matter(list in prop::collection::vec(statements(), 1..6), turn in 0_usize..6) {
        let who = user(ACCOUNT);
        let decided = |list: &[String]| {
            let joined = policy(Kind::Identity, &format!("[{}]", list.join(",")));
            ask(&who, &Layers { identity: &[&joined], ..Layers::default() }).is_allowed()
        };
        let mut turned = list.clone();
        turned.rotate_left(turn % list.len());
        turned.reverse();
        prop_assert_eq!(decided(&list), decided(&turned));
    }
}

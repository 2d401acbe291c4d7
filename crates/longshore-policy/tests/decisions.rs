//! What a decision tells beside yes and no: the statements that made it, and the words of AWS's error. How it comes
//! about is in `table/`.

use longshore_policy::{
    Asker, By, Context, Decision, Effect, Kind, Layers, Policy, Question, ResourcePolicy, Who, decide,
};

const ACCOUNT: &str = "111111111111";
const ACTION: &str = "secretsmanager:GetSecretValue";

fn policy(kind: Kind, statements: &str) -> Policy {
    let text = format!(r#"{{"Version": "2012-10-17", "Statement": {statements}}}"#);
    Policy::read(&text, kind).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn own(sid: &str, effect: &str, action: &str) -> Policy {
    let statement =
        format!(r#"{{"Sid": "{sid}", "Effect": "{effect}", "Action": "{action}", "Resource": "*"}}"#);
    policy(Kind::Identity, &statement)
}

fn ask<'a>(layers: &Layers<'a>) -> Decision<'a> {
    let asker = Asker::User { arn: format!("arn:aws:iam::{ACCOUNT}:user/ann"), id: "AIDAANN".into() };
    let who = Who { account: ACCOUNT.into(), asker };
    let resource = "arn:aws:secretsmanager:eu-central-1:111111111111:secret:db-AbCdEf";
    let context = Context::new();
    decide(&Question { who: &who, action: ACTION, resource, owner: ACCOUNT, context: &context }, layers)
}

/// What decided, and the ids of the statements.
fn told(decision: &Decision<'_>) -> Vec<(By, Effect, String)> {
    let one = |by: By, statement: &longshore_policy::Statement| {
        (by, statement.effect, statement.sid.clone().unwrap_or_default())
    };
    match decision {
        Decision::Allowed(statements) => {
            statements.iter().map(|(by, statement)| one(*by, statement)).collect()
        }
        Decision::ExplicitDeny(by, statement) => vec![one(*by, statement)],
        Decision::ImplicitDeny(_) => Vec::new(),
    }
}

#[test]
fn a_decision_names_the_statements_that_made_it() {
    let (allow, other) = (own("Allow", "Allow", "secretsmanager:Get*"), own("Other", "Allow", "ecs:*"));
    let (deny, boundary) = (own("Deny", "Deny", "*"), own("Boundary", "Allow", "*"));
    let of_resource = policy(
        Kind::Resource,
        r#"{"Sid": "Resource", "Effect": "Allow", "Principal": {"AWS": "111111111111"}, "Action": "*"}"#,
    );
    let resource = Some(ResourcePolicy { policy: &of_resource, is_indispensable: false });
    let allowed = told(&ask(&Layers {
        identity: &[&other, &allow],
        boundary: Some(&boundary),
        session: Some(&[&allow]),
        resource,
    }));
    let names = [
        (By::Resource, "Resource"),
        (By::Identity, "Allow"),
        (By::Boundary, "Boundary"),
        (By::Session, "Allow"),
    ];
    assert_eq!(allowed, names.map(|(by, sid)| (by, Effect::Allow, sid.to_owned())));
    let denied = told(&ask(&Layers { identity: &[&allow, &deny], ..Layers::default() }));
    assert_eq!(denied, [(By::Identity, Effect::Deny, "Deny".to_owned())]);
    assert!(told(&ask(&Layers { identity: &[&other], ..Layers::default() })).is_empty());
}

#[test]
fn the_words_of_a_refusal() {
    let (allow, deny, nothing) = (own("", "Allow", "*"), own("", "Deny", "*"), own("", "Allow", "ecs:*"));
    let denying = policy(Kind::Resource, r#"{"Effect": "Deny", "Principal": "*", "Action": "*"}"#);
    let trusting =
        policy(Kind::Resource, r#"{"Effect": "Allow", "Principal": {"AWS": "222222222222"}, "Action": "*"}"#);
    let of = |policy, is_indispensable| Some(ResourcePolicy { policy, is_indispensable });
    let missing = |what: &str| format!(" because no {what} allows the secretsmanager:GetSecretValue action");
    let denied = |what: &str| format!(" with an explicit deny in {what}");
    let identity = &[&allow][..];
    for (layers, expected) in [
        (Layers { identity, ..Layers::default() }, String::new()),
        (Layers::default(), missing("identity-based policy")),
        (Layers { identity, boundary: Some(&nothing), ..Layers::default() }, missing("permissions boundary")),
        (Layers { identity, session: Some(&[]), ..Layers::default() }, missing("session policy")),
        (
            Layers { identity, resource: of(&trusting, true), ..Layers::default() },
            missing("resource-based policy"),
        ),
        (Layers { identity: &[&deny], ..Layers::default() }, denied("an identity-based policy")),
        (Layers { identity, boundary: Some(&deny), ..Layers::default() }, denied("a permissions boundary")),
        (Layers { identity, session: Some(&[&deny]), ..Layers::default() }, denied("a session policy")),
        (
            Layers { identity, resource: of(&denying, false), ..Layers::default() },
            denied("a resource-based policy"),
        ),
    ] {
        assert_eq!(ask(&layers).because(ACTION), expected);
    }
}

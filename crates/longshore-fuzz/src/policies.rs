//! Documents of policies: what users write, and what is decided by it.

use longshore_policy::{
    Asker, Context, Decision, Invalid, Kind, Layers, Policy, Question, ResourcePolicy, Who, decide,
};
use serde_json::Value;

use crate::first_line;

const ACCOUNT: &str = "111111111111";

/// Who asks for what, and what is known of the request.
struct Asked<'a> {
    who: Who,
    action: &'a str,
    resource: &'a str,
    context: Context,
}

/// The first line is `KIND ACTION RESOURCE`, the second `KEY=VALUE,VALUE KEY=...`, and the rest is a document.
pub fn run(bytes: &[u8]) {
    let (line, rest) = first_line(bytes);
    let (keys, rest) = first_line(rest);
    let Ok(document) = std::str::from_utf8(rest) else { return };
    let mut words = line.splitn(3, ' ');
    let kind = match words.next() {
        Some("trust") => Kind::Trust,
        Some("resource") => Kind::Resource,
        Some(_) | None => Kind::Identity,
    };
    let (action, resource) = (words.next().unwrap_or("s3:GetObject"), words.next().unwrap_or("*"));
    let mut context = Context::new();
    for pair in keys.split(' ') {
        if let Some((key, values)) = pair.split_once('=') {
            let values = values.split_terminator(',').map(str::to_owned);
            context.set_all(key, values);
        }
    }
    let arn = format!("arn:aws:iam::{ACCOUNT}:user/ann");
    let who = Who { account: ACCOUNT.to_owned(), asker: Asker::User { arn, id: "AIDAANN".to_owned() } };
    let asked = Asked { who, action, resource, context };
    match Policy::read(document, kind) {
        Ok(policy) => read(document, kind, &policy, &asked),
        Err(invalid) => refused(document, kind, &invalid),
    }
}

/// What is refused is refused however it is spaced, in the same words, which say something. It has made nothing.
fn refused(document: &str, kind: Kind, invalid: &Invalid) {
    assert!(!invalid.to_string().is_empty());
    assert_eq!(Policy::read(&format!(" \n{document}\t "), kind).as_ref(), Err(invalid));
    // Printed again, it is what it was; but a member that was there twice is then there once.
    if let Ok(value) = serde_json::from_str::<Value>(document)
        && *invalid != Invalid::Syntax
        && is_exact(&value)
    {
        assert_eq!(Policy::read(&value.to_string(), kind).as_ref(), Err(invalid));
    }
}

fn read(document: &str, kind: Kind, policy: &Policy, asked: &Asked<'_>) {
    let value: Value = serde_json::from_str(document).expect("what is a policy is JSON");
    if is_exact(&value) {
        let printed = serde_json::to_string_pretty(&value).expect("a value can be printed");
        assert_eq!(Policy::read(&printed, kind).as_ref(), Ok(policy), "printed, it says something else");
    }

    let is = outcome(&[policy], kind, asked);
    let Asked { action, context, .. } = asked;
    let shouted = action.to_ascii_uppercase();
    let louder = Asked { who: asked.who.clone(), action: &shouted, context: context.clone(), ..*asked };
    assert_eq!(outcome(&[policy], kind, &louder), is, "the case of an action matters");

    // Each statement as a policy of its own, the last one first.
    let alone = |statement: &longshore_policy::Statement| Policy { statements: vec![statement.clone()] };
    let parts: Vec<Policy> = policy.statements.iter().rev().map(alone).collect();
    let parts: Vec<&Policy> = parts.iter().collect();
    if kind == Kind::Identity {
        assert_eq!(outcome(&parts, kind, asked), is, "the order of statements matters");
        let everything = everything("Allow");
        let more = outcome(&[policy, &everything], kind, asked);
        assert_eq!(more == Outcome::Denied, is == Outcome::Denied, "an Allow takes a Deny away");
        assert!(more != Outcome::Neither, "an Allow of everything leaves something out");
        assert_eq!(outcome(&[policy, &self::everything("Deny")], kind, asked), Outcome::Denied);
    }
    for part in parts {
        assert!(outcome(&[part], kind, asked) != Outcome::Denied || is == Outcome::Denied, "a Deny was lost");
        assert!(
            outcome(&[part], kind, asked) != Outcome::Allowed || is != Outcome::Neither,
            "an Allow was lost"
        );
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Allowed,
    Denied,
    Neither,
}

/// What a user's own policies decide, or the one of a resource.
fn outcome(policies: &[&Policy], kind: Kind, asked: &Asked<'_>) -> Outcome {
    let Asked { who, action, resource, context } = asked;
    let layers = match (kind, policies) {
        (Kind::Trust | Kind::Resource, [policy]) => {
            Layers { resource: Some(ResourcePolicy { policy, is_indispensable: false }), ..Layers::default() }
        }
        (Kind::Identity | Kind::Trust | Kind::Resource, identity) => Layers { identity, ..Layers::default() },
    };
    match decide(&Question { who, action, resource, owner: ACCOUNT, context }, &layers) {
        Decision::Allowed(_) => Outcome::Allowed,
        Decision::ExplicitDeny(..) => Outcome::Denied,
        Decision::ImplicitDeny(_) => Outcome::Neither,
    }
}

fn everything(effect: &str) -> Policy {
    let text = format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "{effect}", "Action": "*", "Resource": "*"}}}}"#
    );
    Policy::read(&text, Kind::Identity).expect("it is a policy")
}

/// Whether a value prints as what it was: a fraction may be read as its neighbour.
fn is_exact(value: &Value) -> bool {
    match value {
        Value::Number(number) => !number.is_f64(),
        Value::Array(list) => list.iter().all(is_exact),
        Value::Object(object) => object.values().all(is_exact),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}

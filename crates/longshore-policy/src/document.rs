//! Policy documents: from JSON to statements, or what is wrong with them in IAM's words (identity J4, J6).

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::condition::Condition;
use crate::json;
use crate::pattern::{ArnPattern, Pattern, Variables};
use crate::principal::{Grantee, Principals};
use crate::statement::{Effect, Listed, Statement};

/// What a policy belongs to; each kind has rules of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Of a user, a group, a role or a session, and boundaries.
    Identity,
    /// Who may assume a role.
    Trust,
    /// Of a secret, a repository, a key, a bucket.
    Resource,
}

/// A policy that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pub statements: Vec<Statement>,
}

/// Why a document is no policy. The texts are IAM's, for `MalformedPolicyDocument`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("Syntax errors in policy.")]
    Syntax,
    #[error("Policy document must be version 2012-10-17 or greater.")]
    Version,
    #[error("Statement IDs (SID) in a single policy must be unique.")]
    DuplicateSid,
    #[error("Policy statement must contain actions.")]
    NoActions,
    #[error("Policy statement must contain resources.")]
    NoResources,
    #[error("Resource {0} must be in ARN format or \"*\".")]
    ResourceFormat(String),
    #[error("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")]
    NoVendor,
    #[error("Policy document should not specify a principal.")]
    Principal,
    #[error("Has prohibited field Resource")]
    TrustWithResource,
    #[error("AssumeRole policy may only specify STS AssumeRole actions.")]
    TrustAction,
    #[error("AssumeRolepolicy contained an invalid principal: \"STAR\":\"*\".")]
    TrustsStar,
    #[error("Invalid principal in policy.")]
    NoPrincipal,
}

impl Policy {
    /// Reads a document. How long it may be is not asked here: that depends on what it belongs to.
    ///
    /// # Errors
    /// The first thing that is wrong, in IAM's order: the grammar of all of it, its version, its statements' ids, and
    /// then what is missing or too much in each statement (identity J4). Unknown actions and condition keys are not
    /// wrong: new ones appear all the time.
    pub fn read(text: &str, kind: Kind) -> Result<Self, Invalid> {
        let document = json::read(text).ok_or(Invalid::Syntax)?;
        let document = document.as_object().ok_or(Invalid::Syntax)?;
        only(document, &["Version", "Id", "Statement"])?;
        let version = match document.get("Version") {
            None => None,
            Some(Value::String(version)) if ["2012-10-17", "2008-10-17"].contains(&version.as_str()) => {
                Some(version.as_str())
            }
            Some(_) => return Err(Invalid::Syntax),
        };
        if document.get("Id").is_some_and(|id| !id.is_string()) {
            return Err(Invalid::Syntax);
        }
        // Without a version it is that of 2008, which knows no variables.
        let variables = match version {
            Some("2012-10-17") => Variables::Read,
            Some(_) | None => Variables::Literal,
        };
        let raw = raw_statements(document.get("Statement").ok_or(Invalid::Syntax)?)?;
        if kind == Kind::Identity && version != Some("2012-10-17") {
            return Err(Invalid::Version);
        }
        let mut sids = BTreeSet::new();
        if raw.iter().filter_map(|raw| raw.sid.filter(|sid| !sid.is_empty())).any(|sid| !sids.insert(sid)) {
            return Err(Invalid::DuplicateSid);
        }
        let statements = raw.into_iter().map(|raw| raw.compile(kind, variables)).collect::<Result<_, _>>()?;
        Ok(Self { statements })
    }
}

/// A statement whose grammar is right.
struct Raw<'d> {
    sid: Option<&'d str>,
    effect: Effect,
    actions: Option<Listed<Vec<&'d str>>>,
    resources: Option<Listed<Vec<&'d str>>>,
    principals: Option<Listed<Principals>>,
    /// `"Principal": "*"`, which trust policies may not say so.
    is_bare_star: bool,
    conditions: Vec<RawCondition<'d>>,
}

/// Operator, key, values.
type RawCondition<'d> = (&'d str, &'d str, Vec<String>);

fn raw_statements(value: &Value) -> Result<Vec<Raw<'_>>, Invalid> {
    let statements = match value {
        Value::Array(list) => list.iter().collect(),
        one => vec![one],
    };
    if statements.is_empty() {
        return Err(Invalid::Syntax);
    }
    statements.into_iter().map(|value| raw_statement(value.as_object().ok_or(Invalid::Syntax)?)).collect()
}

/// The members that a statement may have.
const STATEMENT: &[&str] = &[
    "Sid",
    "Effect",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Principal",
    "NotPrincipal",
    "Condition",
];

fn raw_statement(statement: &Map<String, Value>) -> Result<Raw<'_>, Invalid> {
    only(statement, STATEMENT)?;
    let sid = match statement.get("Sid") {
        None => None,
        Some(sid) => Some(sid.as_str().ok_or(Invalid::Syntax)?),
    };
    let effect = match statement.get("Effect").and_then(Value::as_str) {
        Some("Allow") => Effect::Allow,
        Some("Deny") => Effect::Deny,
        Some(_) | None => return Err(Invalid::Syntax),
    };
    let (all_but, named) = one_of(statement, "Principal", "NotPrincipal")?;
    // To allow everybody but somebody allows what nobody can foresee; AWS refuses it (identity J6).
    if all_but && effect == Effect::Allow {
        return Err(Invalid::Syntax);
    }
    let principals = named.map(read_principals).transpose()?;
    Ok(Raw {
        sid,
        effect,
        actions: texts_of(statement, "Action", "NotAction")?,
        resources: texts_of(statement, "Resource", "NotResource")?,
        principals: principals.map(|list| Listed { all_but, list }),
        is_bare_star: named.is_some_and(|named| named == "*"),
        conditions: statement.get("Condition").map(read_conditions).transpose()?.unwrap_or_default(),
    })
}

impl Raw<'_> {
    /// Checks what a policy of this kind has to say, and parses its patterns.
    fn compile(self, kind: Kind, variables: Variables) -> Result<Statement, Invalid> {
        let actions = self.actions.filter(|actions| !actions.list.is_empty()).ok_or(Invalid::NoActions)?;
        match (kind, &self.resources, &self.principals) {
            (Kind::Identity, _, Some(_)) => return Err(Invalid::Principal),
            (Kind::Identity, None, None) => return Err(Invalid::NoResources),
            (Kind::Trust, Some(_), _) => return Err(Invalid::TrustWithResource),
            (Kind::Trust | Kind::Resource, _, None) => return Err(Invalid::NoPrincipal),
            (Kind::Trust, None, Some(_)) if self.is_bare_star => return Err(Invalid::TrustsStar),
            (Kind::Identity | Kind::Resource, Some(resources), _) => check_resources(kind, &resources.list)?,
            (Kind::Trust | Kind::Resource, None, Some(_)) => {}
        }
        for action in &actions.list {
            let vendor = action.split_once(':').map(|(vendor, _)| vendor);
            match (*action, vendor) {
                ("*", _) if kind != Kind::Trust => {}
                (_, None | Some("")) => return Err(Invalid::NoVendor),
                (_, Some(vendor)) if kind == Kind::Trust && !vendor.eq_ignore_ascii_case("sts") => {
                    return Err(Invalid::TrustAction);
                }
                (_, Some(_)) => {}
            }
        }
        let conditions = self.conditions.iter().map(|(operator, key, values)| {
            if !key.contains(':') {
                return Err(Invalid::NoVendor);
            }
            Condition::new(operator, key, values, variables).ok_or(Invalid::Syntax)
        });
        let conditions = conditions.collect::<Result<_, _>>()?;
        let action = |action: &&str| Pattern::new(&action.to_ascii_lowercase(), Variables::Literal);
        Ok(Statement {
            sid: self.sid.map(str::to_owned),
            effect: self.effect,
            actions: Listed { all_but: actions.all_but, list: actions.list.iter().map(action).collect() },
            resources: self.resources.map(|Listed { all_but, list }| Listed {
                all_but,
                list: list.iter().map(|text| ArnPattern::new(text, variables)).collect(),
            }),
            principals: self.principals,
            conditions,
        })
    }
}

/// Identity policies name resources by ARNs, or patterns of them, or say `*`; the resource's own policy need not.
fn check_resources(kind: Kind, resources: &[&str]) -> Result<(), Invalid> {
    if resources.is_empty() {
        return Err(Invalid::NoResources);
    }
    let is_arn =
        |text: &str| text == "*" || text.split(':').next() == Some("arn") && text.matches(':').count() >= 2;
    match resources.iter().find(|text| kind == Kind::Identity && !is_arn(text)) {
        Some(text) => Err(Invalid::ResourceFormat((*text).to_owned())),
        None => Ok(()),
    }
}

/// Refuses members that are not known: a misspelt one would be ignored otherwise.
fn only(object: &Map<String, Value>, known: &[&str]) -> Result<(), Invalid> {
    if object.keys().all(|key| known.contains(&key.as_str())) { Ok(()) } else { Err(Invalid::Syntax) }
}

/// The member under one of two names; both are too many. With it, whether it is the negated one.
fn one_of<'d>(
    statement: &'d Map<String, Value>,
    plain: &str,
    negated: &str,
) -> Result<(bool, Option<&'d Value>), Invalid> {
    match (statement.get(plain), statement.get(negated)) {
        (Some(_), Some(_)) => Err(Invalid::Syntax),
        (None, Some(value)) => Ok((true, Some(value))),
        (value, None) => Ok((false, value)),
    }
}

/// The texts under one of two names.
fn texts_of<'d>(
    statement: &'d Map<String, Value>,
    plain: &str,
    negated: &str,
) -> Result<Option<Listed<Vec<&'d str>>>, Invalid> {
    let (all_but, value) = one_of(statement, plain, negated)?;
    Ok(value.map(texts).transpose()?.map(|list| Listed { all_but, list }))
}

/// A text, or a list of texts.
fn texts(value: &Value) -> Result<Vec<&str>, Invalid> {
    match value {
        Value::String(text) => Ok(vec![text]),
        Value::Array(list) => list.iter().map(|text| text.as_str().ok_or(Invalid::Syntax)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Err(Invalid::Syntax),
    }
}

fn read_principals(value: &Value) -> Result<Principals, Invalid> {
    if value == "*" {
        return Ok(Principals(vec![Grantee::Everyone]));
    }
    let mut grantees = Vec::new();
    for (kind, names) in value.as_object().ok_or(Invalid::Syntax)? {
        for name in texts(names)? {
            grantees.push(match kind.as_str() {
                "AWS" => Grantee::aws(name),
                "Service" => Grantee::Service(name.to_owned()),
                "Federated" => Grantee::Federated(name.to_owned()),
                _unknown => return Err(Invalid::Syntax),
            });
        }
    }
    if grantees.is_empty() { Err(Invalid::Syntax) } else { Ok(Principals(grantees)) }
}

/// Values may be texts, numbers and truth values, one or several.
fn read_conditions(value: &Value) -> Result<Vec<RawCondition<'_>>, Invalid> {
    let mut conditions = Vec::new();
    for (operator, keys) in value.as_object().ok_or(Invalid::Syntax)? {
        for (key, values) in keys.as_object().ok_or(Invalid::Syntax)? {
            let values = match values {
                Value::Array(list) => list.iter().map(scalar).collect::<Result<_, _>>()?,
                one => vec![scalar(one)?],
            };
            conditions.push((operator.as_str(), key.as_str(), values));
        }
    }
    Ok(conditions)
}

/// One value of a condition, as the text that it is compared as.
fn scalar(value: &Value) -> Result<String, Invalid> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(Invalid::Syntax),
    }
}

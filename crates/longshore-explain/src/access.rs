//! Why somebody may do something, or may not: which statement of which policy decides (identity J6).
//!
//! The question is put together as the operations put it, and decided by the guard's own function, so that the answer is
//! what a call would get; what only a call knows (`aws:RequestTag/team`) is to be told with the question.

use std::collections::BTreeMap;
use std::sync::Arc;

use longshore_api::{PrincipalKind, Session, SessionSource};
use longshore_api_ecs::Caller;
use longshore_base::{AccountId, Region, Timestamp};
use longshore_guard::asker::Holder;
use longshore_guard::context::Known;
use longshore_guard::rule;
use longshore_policy::{By, Context, Decision, Policy, Statement};
use longshore_service::{Access, Resources, Values};
use longshore_state::State;
use longshore_tables_iam::arn::IamArn;
use longshore_tables_iam::record::{Grants, IdentityPolicy, PolicyRef, Role, User};
use longshore_tables_iam::{IamState, Realm, Source, positions};
use serde::{Deserialize, Serialize};

use crate::{ExplainError, Explanation};

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessQuestion {
    /// The ARN of a user, a role, a role's session or an account's root.
    pub as_whom: String,
    /// `ecs:RunTask`
    pub action: String,
    /// An ARN; `*` for an action without a resource.
    pub resource: String,
    /// What conditions may ask about, beyond what is known: values by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub context: BTreeMap<String, Vec<String>>,
}

/// The name that a session has here, of whom only the role was named.
const SESSION: &str = "any-session";

/// Whether somebody may, and why. `caller` asks: about the principals of his account, from where he is.
///
/// # Errors
/// There is no such principal in the account.
pub fn access(
    state: &State,
    caller: &Caller,
    question: &AccessQuestion,
    now: Timestamp,
) -> Result<Explanation, ExplainError> {
    let mut whom = Whom::find(state, caller, &question.as_whom, now)?;
    // The call would be made where the resource is.
    if let Some(region) = question.resource.split(':').nth(3).and_then(Region::parse) {
        whom.caller.scope.region = region;
    }
    let access = asked(state, &whom.caller, question);
    let found = Holder::of(state, &whom.caller);
    let is_free = found.is_none() && access.policy.is_none();
    let holder = found.unwrap_or_else(|| Holder::root(&whom.caller));
    let mut known = Known::of(&holder, &whom.caller, now);
    Ok(rule(&holder, &mut known, &access, |decision, context| {
        let is_allowed = is_free || decision.is_allowed();
        let (word, may) = if is_allowed { ("allowed", "may") } else { ("denied", "may not") };
        let AccessQuestion { as_whom, action, resource, .. } = question;
        let mut explanation = Explanation::about(format!("{word}: {as_whom} {may} {action} on {resource}"));
        let policies = Policies::of(state, &whom, &access);
        if is_free {
            explanation.say(
                "An account's root may do everything in its account, but what a resource's own policy keeps from it. So may \
                 the guests of open mode.",
            );
        } else {
            policies.say(decision, &whom, &mut explanation);
        }
        if let Whose::Session(_) = whom.whose {
            explanation.say(
                "A session may have been made with policies of its own, which are in its token and limit it further. They \
                 are not looked at here.",
            );
        }
        let missing = policies.missing(context);
        if !is_free && !missing.is_empty() {
            *explanation.say(
                "Conditions ask about what nobody told; name it with --context KEY=VALUE if it matters.",
            ) = missing;
        }
        explanation
    }))
}

/// What whoever asks needs permission for: what IAM wants for the same question.
pub(crate) fn permission(state: &State, caller: &Caller, question: &AccessQuestion) -> Resources {
    let named = role_of_session(&question.as_whom).unwrap_or_else(|| question.as_whom.clone());
    let action = "iam:SimulatePrincipalPolicy";
    let access = longshore_api_identity::question(state, caller, action, &named);
    access.unwrap_or_else(|| Access::new(action, named, caller)).into()
}

/// The question, with what the service of the action says of the resource.
fn asked(state: &State, caller: &Caller, question: &AccessQuestion) -> Access {
    let AccessQuestion { action, resource, context, .. } = question;
    let of_ecs =
        || action.starts_with("ecs:").then(|| longshore_api_ecs::question(state, caller, action, resource));
    let mut access = longshore_api_identity::question(state, caller, action, resource)
        .or_else(|| longshore_api_secrets::question(state, caller, action, resource))
        .or_else(of_ecs)
        .unwrap_or_else(|| Access::new(action.clone(), resource.clone(), caller));
    for (key, values) in context {
        access.keys.push((key.clone().into(), Values::Many(values.clone())));
    }
    access
}

/// `arn:aws:iam::A:role/ROLE` of `arn:aws:sts::A:assumed-role/ROLE/SESSION`.
fn role_of_session(arn: &str) -> Option<String> {
    let (partition, account, role, _) = session(arn)?;
    Some(format!("arn:{partition}:iam::{account}:role/{role}"))
}

/// Partition, account, role and session.
fn session(arn: &str) -> Option<(&str, &str, &str, &str)> {
    let fields: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", partition, "sts", "", account, resource] = fields.as_slice() else { return None };
    let (role, name) = resource.strip_prefix("assumed-role/")?.split_once('/')?;
    (!role.is_empty() && !name.is_empty()).then_some((partition, account, role, name))
}

/// Somebody, as if he called.
struct Whom {
    caller: Caller,
    whose: Whose,
}

enum Whose {
    Root,
    User(Arc<User>),
    Session(Arc<Role>),
}

impl Whom {
    fn find(state: &State, asking: &Caller, named: &str, now: Timestamp) -> Result<Self, ExplainError> {
        let own = asking.scope.account;
        let realm = state.iam().realm(own);
        let none = || ExplainError::NoPrincipal(named.into());
        let of_account = |account: &str| AccountId::parse(account).is_some_and(|account| account == own);
        let caller = |kind, principal: String, name: String, id: Option<&Arc<str>>| Caller {
            kind,
            principal: principal.into(),
            name: name.into(),
            id: id.cloned(),
            session: None,
            ..asking.clone()
        };
        let as_session = |role: &Arc<Role>, name: &str| {
            let name = format!("{}/{name}", role.own.name);
            let partition = asking.scope.partition().as_str();
            let arn = format!("arn:{partition}:sts::{own}:assumed-role/{name}");
            let mut caller = caller(PrincipalKind::Session, arn, name, Some(&role.own.id));
            caller.session = Some(Arc::new(Session {
                source: SessionSource::Role,
                issued_at: now,
                limits: None,
                tags: Vec::new(),
                transitive_tags: Default::default(),
                source_identity: None,
                provider: None,
            }));
            Self { caller, whose: Whose::Session(role.clone()) }
        };
        if let Some((_, account, role, name)) = session(named) {
            let role = realm.roles().named(role).filter(|_| of_account(account)).ok_or_else(none)?;
            return Ok(as_session(role, name));
        }
        if named == asking.root_arn() {
            let caller = caller(PrincipalKind::Root, named.to_owned(), String::new(), None);
            return Ok(Self { caller, whose: Whose::Root });
        }
        let arn = IamArn::parse(named).filter(|arn| of_account(arn.account)).ok_or_else(none)?;
        match arn.kind {
            "user" => {
                let user = realm.users().named(arn.name).filter(|user| *user.own.path == *arn.path);
                let user = user.ok_or_else(none)?;
                let caller = caller(
                    PrincipalKind::User,
                    named.to_owned(),
                    user.own.name.to_string(),
                    Some(&user.own.id),
                );
                Ok(Self { caller, whose: Whose::User(user.clone()) })
            }
            "role" => {
                let role = realm.roles().named(arn.name).filter(|role| *role.own.path == *arn.path);
                Ok(as_session(role.ok_or_else(none)?, SESSION))
            }
            _other => Err(none()),
        }
    }

    /// As sentences call him.
    fn name(&self) -> String {
        match &self.whose {
            Whose::Root => "the account's root".to_owned(),
            Whose::User(user) => format!("user {}", user.own.name),
            Whose::Session(role) => format!("role {}", role.own.name),
        }
    }
}

/// A policy that has a say, and what people call it.
struct Named<'s> {
    by: By,
    name: String,
    policy: &'s Policy,
    /// Its document, where it is one of IAM's.
    text: Option<&'s str>,
}

struct Policies<'s>(Vec<Named<'s>>);

impl<'s> Policies<'s> {
    fn of(state: &'s State, whom: &'s Whom, access: &'s Access) -> Self {
        let realm = state.iam().realm(whom.caller.scope.account);
        let mut own = Self(Vec::new());
        match &whom.whose {
            Whose::Root => {}
            Whose::User(user) => {
                own.held(realm, &user.own.id, &user.grants, &whom.name());
                for group in user.groups.iter().filter_map(|id| realm.groups().get(id)) {
                    own.held(realm, &group.own.id, &group.grants, &format!("group {}", group.own.name));
                }
                own.bounded(realm, &user.grants);
            }
            Whose::Session(role) => {
                own.held(realm, &role.own.id, &role.grants, &whom.name());
                own.bounded(realm, &role.grants);
            }
        }
        if let Some(resource) = &access.policy {
            let name = if access.action.to_ascii_lowercase().starts_with("sts:assumerole") {
                "the role's trust policy".to_owned()
            } else {
                "the resource's own policy".to_owned()
            };
            own.0.push(Named { by: By::Resource, name, policy: &resource.policy, text: None });
        }
        own
    }

    fn held(&mut self, realm: &'s Realm, holder: &'s Arc<str>, grants: &'s Grants, of: &str) {
        realm.policies_of(holder, grants, &mut |source, document: &'s IdentityPolicy| {
            let name = match source {
                Source::Inline { name, .. } => format!("inline policy {name} of {of}"),
                Source::Managed(policy) => format!("{} attached to {of}", managed(realm, policy)),
            };
            self.add(By::Identity, name, document);
        });
    }

    fn bounded(&mut self, realm: &'s Realm, grants: &Grants) {
        let Some(boundary) = &grants.boundary else { return };
        if let Some(document) = realm.document(boundary) {
            self.add(
                By::Boundary,
                format!("{}, the permissions boundary", managed(realm, boundary)),
                document,
            );
        }
    }

    fn add(&mut self, by: By, name: String, document: &'s IdentityPolicy) {
        self.0.push(Named { by, name, policy: document.policy(), text: Some(document.text()) });
    }

    fn say(&self, decision: &Decision<'_>, whom: &Whom, explanation: &mut Explanation) {
        match decision {
            Decision::Allowed(by) if by.is_empty() => {
                explanation
                    .say("An account's root may do it, and no policy of the resource keeps it from it.");
            }
            Decision::Allowed(by) => {
                let places: Vec<String> = by.iter().map(|(_, statement)| self.place(statement)).collect();
                *explanation.say("These statements allow it, and none denies it:") = places;
            }
            Decision::ExplicitDeny(_, statement) => {
                *explanation.say("This statement denies it, which counts more than any that allows it:") =
                    vec![self.place(statement)];
            }
            Decision::ImplicitDeny(by) => {
                let text = match by {
                    By::Identity => format!("No policy of {} allows it.", whom.name()),
                    By::Boundary => format!("The permissions boundary of {} does not allow it.", whom.name()),
                    By::Session => "No policy of the session allows it.".to_owned(),
                    By::Resource => {
                        "The resource's own policy does not allow it, and without it nobody may who asks so."
                            .to_owned()
                    }
                };
                let looked_at = self.0.iter().filter(|named| named.by == *by);
                let looked_at: Vec<String> = looked_at.map(|named| named.name.clone()).collect();
                *explanation.say(text) =
                    if looked_at.is_empty() { vec!["there is no such policy".to_owned()] } else { looked_at };
            }
        }
    }

    /// Which statement of which policy.
    fn place(&self, statement: &Statement) -> String {
        let index =
            |named: &Named<'_>| named.policy.statements.iter().position(|own| std::ptr::eq(own, statement));
        let Some((named, index)) = self.0.iter().find_map(|named| Some((named, index(named)?))) else {
            return "a policy of the session".to_owned();
        };
        let sid = statement.sid.as_deref().filter(|sid| !sid.is_empty());
        let sid = sid.map_or(String::new(), |sid| format!(" ({sid})"));
        let line = named.text.and_then(|text| positions::of_statements(text).get(index).copied());
        let line = line.map_or(String::new(), |((line, column), _)| format!(", at {line}:{column}"));
        format!("statement {}{sid} of {}{line}", index + 1, named.name)
    }

    /// The keys that conditions ask about and that the context does not have.
    fn missing(&self, context: &Context) -> Vec<String> {
        let mut keys = BTreeMap::new();
        for text in self.0.iter().filter_map(|named| named.text) {
            longshore_api_identity::condition_keys(text, &mut keys);
        }
        keys.into_iter().filter(|(lower, _)| !context.has(lower)).map(|(_, key)| key).collect()
    }
}

fn managed(realm: &Realm, policy: &PolicyRef) -> String {
    match policy {
        PolicyRef::Aws(name) => format!("AWS's policy {name}"),
        PolicyRef::Own(id) => {
            let name = realm.policies().get(id).map_or(&**id, |policy| &policy.own.name);
            format!("policy {name}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_of_a_role() {
        let role = role_of_session("arn:aws:sts::111122223333:assumed-role/web/0123");
        assert_eq!(role.as_deref(), Some("arn:aws:iam::111122223333:role/web"));
        for other in ["arn:aws:iam::111122223333:role/web", "arn:aws:sts::1:assumed-role/web", "web"] {
            assert_eq!(role_of_session(other), None, "{other}");
        }
    }
}

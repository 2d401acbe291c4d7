//! AssumeRole: who a role trusts becomes one of its sessions (identity J3).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use longshore_api::SessionSource;
use longshore_base::AccountId;
use longshore_service::{Access, Caller, Command, Cx, ResourcePolicy, Resources, not_authorized};
use longshore_shapes_sts::{AssumeRoleRequest, AssumeRoleResponse, AssumedRoleUser, ops};
use longshore_state::{State, Tx};
use longshore_tables_iam::IamState;
use longshore_tables_iam::arn::IamArn;
use longshore_tables_iam::record::Role;
use longshore_tables_iam::session::{Of, Session};
use longshore_wire::{Denied, Fault};

use super::limits::{self, Given};
use super::{Sts, shape, tokens};
use crate::iam::input::{self, given};

const DEFAULT_SECONDS: u32 = 3600;
/// Of a role that a session of a role assumes.
const CHAINED_SECONDS_MAX: u32 = 3600;

/// A call that was read.
pub struct Asked {
    input: AssumeRoleRequest,
    given: Given,
    transitive: BTreeSet<Arc<str>>,
}

impl Command<Sts> for ops::AssumeRole {
    type Parsed = Asked;
    type Answer = Self::Output;

    /// The trust policy decides about everybody.
    const HAS_POLICIES: bool = true;

    fn parse(_: &Cx<'_, Sts>, mut input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        let arn = given(&input.role_arn);
        if IamArn::parse(arn).is_none_or(|arn| arn.kind != "role") {
            return Err(Fault::final_refusal(format!("{arn} is invalid")).into());
        }
        if input.serial_number.is_some() || input.token_code.is_some() {
            return Err(tokens::no_second_factor().into());
        }
        if input.provided_contexts.as_ref().is_some_and(|contexts| !contexts.is_empty()) {
            return Err(Fault::final_refusal(
                "ProvidedContexts are of IAM Identity Center, which is not served.",
            )
            .into());
        }
        let tags = input.tags.take();
        let given = Given::read::<Self::Error>(input.policy.as_deref(), input.policy_arns.as_ref(), tags)?;
        let transitive: BTreeSet<Arc<str>> =
            input.transitive_tag_keys.iter().flatten().map(|key| key.as_str().into()).collect();
        if let Some(key) = transitive.iter().find(|key| !given.tags.contains_key(&***key)) {
            let text = format!("The transitive tag key {key} must also be among the requested tags.");
            return Err(Fault::final_refusal(text).into());
        }
        Ok(Asked { input, given, transitive })
    }

    fn resources(state: &State, caller: &Caller, asked: &Self::Parsed) -> Resources {
        let Asked { input, given: with, transitive } = asked;
        let ask = |action: &str| {
            let mut access = on_role(state, caller, action, given(&input.role_arn));
            access = access.with("sts:RoleSessionName", given(&input.role_session_name));
            let keys =
                [("sts:ExternalId", &input.external_id), ("sts:SourceIdentity", &input.source_identity)];
            for (key, value) in keys {
                if let Some(value) = value {
                    access = access.with(key, value.clone());
                }
            }
            for (key, value) in &with.tags {
                access = access.with(format!("aws:RequestTag/{key}"), value.clone());
            }
            if !with.tags.is_empty() {
                access = access.with_all("aws:TagKeys", with.tags.keys().cloned());
            }
            if !transitive.is_empty() {
                access = access.with_all("sts:TransitiveTagKeys", transitive.iter().map(ToString::to_string));
            }
            access
        };
        let is_tagged = !with.tags.is_empty() || inherited(caller).next().is_some();
        let tagging = is_tagged.then(|| ask("sts:TagSession"));
        let naming = input.source_identity.is_some().then(|| ask("sts:SetSourceIdentity"));
        Resources::from(ask("sts:AssumeRole")).and(tagging).and(naming)
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, asked: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let Asked { input, given: with, transitive } = asked;
        let (account, role) = role(tx.state(), caller, given(&input.role_arn))?;
        let role = role.clone();
        with.check(tx.state(), caller, account)?;
        let seconds = seconds(caller, &role, input.duration_seconds)?;
        let name = given(&input.role_session_name);
        let of = Of::Role { id: role.own.id.clone(), name: name.into() };
        let mut session = Session::new(of, tx.now, tx.now + Duration::from_secs(seconds.into()));
        session.limits = with.limits;
        session.tags = with.tags;
        session.transitive_tags = transitive;
        for (key, value) in inherited(caller) {
            let folded = key.to_lowercase();
            if session.tags.keys().any(|own| own.to_lowercase() == folded) {
                let text = "One of the specified transitive tag keys can't be set because it conflicts with a transitive \
                            tag key from the calling session.";
                return Err(Fault::final_refusal(text).into());
            }
            session.tags.insert(key.to_string(), value.to_string());
            session.transitive_tags.insert(key.clone());
        }
        session.source_identity = source_identity(caller, input.source_identity.as_deref())?;
        let answer = AssumeRoleResponse {
            assumed_role_user: Some(AssumedRoleUser {
                arn: Some(format!(
                    "arn:{}:sts::{account}:assumed-role/{}/{name}",
                    caller.scope.partition().as_str(),
                    role.own.name
                )),
                assumed_role_id: Some(format!("{}:{name}", role.own.id)),
            }),
            packed_policy_size: with.packed_percent,
            source_identity: session.source_identity.as_deref().map(str::to_owned),
            credentials: None,
        };
        let issued = shape::issue(tx, account, session)?;
        Ok(AssumeRoleResponse { credentials: Some(shape::credentials(issued)), ..answer })
    }
}

/// One question about a role, which its trust policy has to answer. One that is missing trusts nobody.
pub(crate) fn on_role(state: &State, caller: &Caller, action: &str, arn: &str) -> Access {
    let found = state.iam().role_named(caller.scope.partition(), arn);
    let mut trust = ResourcePolicy { is_indispensable: true, ..ResourcePolicy::none() };
    if let Some((_, role)) = found {
        trust.policy = role.trust.shared();
    }
    let access = Access::new(action, arn, caller).under(trust);
    let denial = not_authorized(caller, &access, "").to_string();
    let mut access = access.denied_as(denial);
    for (key, value) in found.iter().flat_map(|(_, role)| &role.own.tags) {
        access = access
            .with(format!("aws:ResourceTag/{key}"), value.clone())
            .with(format!("iam:ResourceTag/{key}"), value.clone());
    }
    access
}

/// The role; one that is missing is denied like one that does not trust the caller, also where denials are only reported.
fn role<'s>(state: &'s State, caller: &Caller, arn: &str) -> Result<(AccountId, &'s Arc<Role>), Denied> {
    let found = state.iam().role_named(caller.scope.partition(), arn);
    found.ok_or_else(|| not_authorized(caller, &Access::new("sts:AssumeRole", arn, caller), ""))
}

fn seconds(caller: &Caller, role: &Role, asked: Option<i32>) -> Result<u32, Fault> {
    let seconds = limits::seconds(asked, DEFAULT_SECONDS);
    if is_session_of_role(caller) && seconds > CHAINED_SECONDS_MAX {
        return Err(Fault::final_refusal(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
        ));
    }
    if seconds > role.session_max {
        let text = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
        return Err(Fault::final_refusal(text));
    }
    Ok(seconds)
}

fn is_session_of_role(caller: &Caller) -> bool {
    caller.session.as_ref().is_some_and(|session| session.source == SessionSource::Role)
}

/// The tags of the calling session that go along.
fn inherited(caller: &Caller) -> impl Iterator<Item = &(Arc<str>, Arc<str>)> {
    let sessions = caller.session.iter();
    sessions.flat_map(|session| session.tags.iter().filter(|(key, _)| session.transitive_tags.contains(key)))
}

/// It sticks: what the calling session has is what the next one has.
fn source_identity(caller: &Caller, asked: Option<&str>) -> Result<Option<Arc<str>>, Denied> {
    let own = caller.session.as_ref().and_then(|session| session.source_identity.clone());
    match (own, asked) {
        (Some(own), Some(asked)) if *own != *asked => Err(Denied::new(
            "The SourceIdentity of a session cannot be changed by assuming another role.".to_owned(),
        )),
        (Some(own), _) => Ok(Some(own)),
        (None, asked) => Ok(asked.map(Into::into)),
    }
}

//! What a request names, found in the caller's account and nowhere else.

use std::sync::Arc;

use longshore_api::PrincipalKind;
use longshore_service::Caller;
use longshore_shapes_iam::{
    NoSuchEntityException, PolicyNotAttachableException, UnmodifiableEntityException,
};
use longshore_state::State;
use longshore_tables_iam::record::{Group, InstanceProfile, ManagedPolicy, PolicyRef, Role, User};
use longshore_tables_iam::{IamState, Realm, aws};
use longshore_wire::Fault;

use super::texts;

pub(super) fn realm<'s>(state: &'s State, caller: &Caller) -> &'s Realm {
    state.iam().realm(caller.scope.account)
}

fn none(text: String) -> NoSuchEntityException {
    NoSuchEntityException::new(text)
}

pub(super) fn user<'s>(
    state: &'s State,
    caller: &Caller,
    name: &str,
) -> Result<&'s Arc<User>, NoSuchEntityException> {
    realm(state, caller).users().named(name).ok_or_else(|| none(texts::user_not_found(name)))
}

pub(super) fn group<'s>(
    state: &'s State,
    caller: &Caller,
    name: &str,
) -> Result<&'s Arc<Group>, NoSuchEntityException> {
    realm(state, caller).groups().named(name).ok_or_else(|| none(texts::group_not_found(name)))
}

pub(super) fn role<'s>(
    state: &'s State,
    caller: &Caller,
    name: &str,
) -> Result<&'s Arc<Role>, NoSuchEntityException> {
    realm(state, caller).roles().named(name).ok_or_else(|| none(texts::role_not_found(name)))
}

pub(super) fn profile<'s>(
    state: &'s State,
    caller: &Caller,
    name: &str,
) -> Result<&'s Arc<InstanceProfile>, NoSuchEntityException> {
    realm(state, caller).profiles().named(name).ok_or_else(|| none(texts::profile_not_found(name)))
}

/// The name of the user that is meant: the caller's own if none is named. `None`: the caller is no user.
pub(super) fn user_name<'a>(caller: &'a Caller, named: Option<&'a str>) -> Option<&'a str> {
    let own = || match caller.kind {
        PrincipalKind::User => caller.principal.rsplit('/').next(),
        PrincipalKind::Root
        | PrincipalKind::Session
        | PrincipalKind::Instance
        | PrincipalKind::Guest
        | PrincipalKind::Anonymous => None,
    };
    named.or_else(own)
}

/// The user that is meant: the caller himself if none is named.
pub(super) fn user_or_caller<'s, E: From<NoSuchEntityException> + From<Fault>>(
    state: &'s State,
    caller: &Caller,
    named: Option<&str>,
) -> Result<&'s Arc<User>, E> {
    let name = user_name(caller, named).ok_or_else(|| Fault::final_refusal(texts::USER_NEEDED))?;
    Ok(user(state, caller, name)?)
}

/// A role that may be changed: one that is not linked to a service.
pub(super) fn own_role<'s, E: From<NoSuchEntityException> + From<UnmodifiableEntityException>>(
    state: &'s State,
    caller: &Caller,
    name: &str,
) -> Result<&'s Arc<Role>, E> {
    let found = role(state, caller, name)?;
    if found.service.is_some() {
        return Err(UnmodifiableEntityException::new(texts::protected(name)).into());
    }
    Ok(found)
}

/// The managed policy that an ARN names.
pub(super) fn policy_ref(state: &State, caller: &Caller, named: &str) -> Option<PolicyRef> {
    state.iam().policy_named(caller.scope.partition(), caller.scope.account, named)
}

/// The policy of an ARN, whosever it is.
pub(super) fn policy(
    state: &State,
    caller: &Caller,
    named: &str,
) -> Result<PolicyRef, NoSuchEntityException> {
    policy_ref(state, caller, named).ok_or_else(|| none(texts::policy_not_found(named)))
}

/// The account's own policy of an ARN. Those of AWS cannot be changed: there is none of this ARN in the account.
pub(super) fn own_policy<'s>(
    state: &'s State,
    caller: &Caller,
    named: &str,
) -> Result<&'s Arc<ManagedPolicy>, NoSuchEntityException> {
    let id = match policy(state, caller, named)? {
        PolicyRef::Own(id) => id,
        PolicyRef::Aws(_) => return Err(none(texts::policy_not_found(named))),
    };
    realm(state, caller).policies().get(&id).ok_or_else(|| none(texts::policy_not_found(named)))
}

/// A policy to attach.
pub(super) fn attachable<E: From<NoSuchEntityException> + From<PolicyNotAttachableException>>(
    state: &State,
    caller: &Caller,
    named: &str,
) -> Result<PolicyRef, E> {
    let found = policy_ref(state, caller, named).ok_or_else(|| none(texts::not_attachable(named)))?;
    if is_of_linked_role(&found) {
        let text = "Cannot attach a Service Role Policy to a Customer Role.";
        return Err(PolicyNotAttachableException::new(text).into());
    }
    Ok(found)
}

/// A policy that may be a boundary.
pub(super) fn boundary(state: &State, caller: &Caller, named: &str) -> Option<PolicyRef> {
    policy_ref(state, caller, named).filter(|policy| !is_of_linked_role(policy))
}

fn is_of_linked_role(policy: &PolicyRef) -> bool {
    match policy {
        PolicyRef::Aws(name) => aws::policy(name).is_some_and(|policy| !policy.is_attachable),
        PolicyRef::Own(_) => false,
    }
}

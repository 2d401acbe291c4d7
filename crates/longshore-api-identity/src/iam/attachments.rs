//! Managed policies that users, groups and roles have.

use longshore_service::Caller;
use longshore_shapes_iam::{
    LimitExceededException, ListAttachedGroupPoliciesResponse, ListAttachedRolePoliciesResponse,
    ListAttachedUserPoliciesResponse, NoSuchEntityException, PolicyNotAttachableException,
};
use longshore_state::State;
use longshore_tables_iam::OwnKey;
use longshore_tables_iam::record::{Grants, Group, PolicyRef, Role, User};

use super::input::given;
use super::{find, input, shape, texts};

const POLICIES_PER_ENTITY: usize = 10;

/// The grants with one policy more. `quota` names the limit.
fn attach<E>(state: &State, caller: &Caller, grants: &mut Grants, arn: &str, quota: &str) -> Result<(), E>
where
    E: From<NoSuchEntityException> + From<LimitExceededException> + From<PolicyNotAttachableException>,
{
    grants.attached.insert(find::attachable::<E>(state, caller, arn)?);
    if grants.attached.len() > POLICIES_PER_ENTITY {
        return Err(LimitExceededException::new(texts::quota(quota, POLICIES_PER_ENTITY)).into());
    }
    Ok(())
}

/// The grants with one policy less.
fn detach(
    state: &State,
    caller: &Caller,
    grants: &mut Grants,
    arn: &str,
) -> Result<(), NoSuchEntityException> {
    let policy = find::policy_ref(state, caller, arn);
    if policy.is_some_and(|policy| grants.attached.remove(&policy)) {
        return Ok(());
    }
    Err(NoSuchEntityException::new(texts::policy_not_found(arn)))
}

/// Below a path, by name.
fn listed<'s>(
    state: &'s State,
    caller: &Caller,
    grants: &'s Grants,
    prefix: &str,
) -> Vec<(String, &'s PolicyRef)> {
    let mut all = shape::all_attached(state, caller, &grants.attached);
    all.retain(|(_, policy)| shape::policy_name(state, caller, policy).1.starts_with(prefix));
    all
}

/// The three operations for one kind of holder: its record, how it is found to be changed and to be read, how it is asked
/// about, and the name of its quota.
macro_rules! attachments {
    (
        $record:ident $name:ident, $quota:literal: $change:expr, $read:expr,
        |$ask:ident, $of:ident| $changed:expr, $asked:expr;
        $attach:ident, $detach:ident, $list:ident: $answer:ident
    ) => {
        command!(
            $attach,
            |$ask, input| {
                let $of = given(&input.$name);
                $changed.with("iam:PolicyARN", given(&input.policy_arn))
            },
            |tx, caller, input| {
                let found = $change(tx.state(), caller, given(&input.$name));
                let mut changed = $record::clone(found?);
                let arn = given(&input.policy_arn);
                attach::<Self::Error>(tx.state(), caller, &mut changed.grants, arn, $quota)?;
                tx.put::<$record>(OwnKey::new(caller.scope.account, &changed.own.id.clone()), changed);
                Ok(Self::Output {})
            }
        );

        command!(
            $detach,
            |$ask, input| {
                let $of = given(&input.$name);
                $changed.with("iam:PolicyARN", given(&input.policy_arn))
            },
            |tx, caller, input| {
                let found = $change(tx.state(), caller, given(&input.$name));
                let mut changed = $record::clone(found?);
                detach(tx.state(), caller, &mut changed.grants, given(&input.policy_arn))?;
                tx.put::<$record>(OwnKey::new(caller.scope.account, &changed.own.id.clone()), changed);
                Ok(Self::Output {})
            }
        );

        list!(
            $list,
            |$ask, input| {
                let $of = given(&input.$name);
                $asked
            },
            |state, caller, input, page| {
                let found = $read(state, caller, given(&input.$name))?;
                let all = listed(state, caller, &found.grants, input::prefix(input.path_prefix.as_deref())?);
                let paged = page.fill(all, |(name, _)| name.clone());
                let paged = paged.map(|(_, policy)| shape::attached(state, caller, policy));
                Ok($answer {
                    attached_policies: Some(paged.items),
                    is_truncated: paged.is_truncated,
                    marker: paged.marker,
                })
            }
        );
    };
}

attachments! {
    User user_name, "PoliciesPerUser": find::user, find::user,
    |ask, name| ask.bounded_user(Some(name)), ask.user(Some(name));
    AttachUserPolicy, DetachUserPolicy, ListAttachedUserPolicies: ListAttachedUserPoliciesResponse
}

attachments! {
    Group group_name, "PoliciesPerGroup": find::group, find::group,
    |ask, name| ask.group(name), ask.group(name);
    AttachGroupPolicy, DetachGroupPolicy, ListAttachedGroupPolicies: ListAttachedGroupPoliciesResponse
}

attachments! {
    Role role_name, "PoliciesPerRole": find::own_role::<Self::Error>, find::role,
    |ask, name| ask.bounded_role(name), ask.role(name);
    AttachRolePolicy, DetachRolePolicy, ListAttachedRolePolicies: ListAttachedRolePoliciesResponse
}

//! Roles, and who may assume them.

use std::sync::Arc;

use longshore_domain::tags::Tags;
use longshore_service::{Caller, Command, Cx, Resources};
use longshore_shapes_iam::{
    DeleteConflictException, EntityAlreadyExistsException, GetRoleResponse, InvalidInputException,
    LimitExceededException, ListRolesResponse, MalformedPolicyDocumentException,
    UpdateRoleDescriptionResponse, ops,
};
use longshore_state::{State, Tx};
use longshore_tables_iam::ids::{prefix, unique};
use longshore_tables_iam::record::{Grants, Own, Role, TrustPolicy};
use longshore_tables_iam::{IamState, OwnKey, trust};

use super::input::given;
use super::permission::Keys;
use super::{documents, find, input, permission, shape, tags, texts};
use crate::Iam;

/// How long sessions of a role may last if `MaxSessionDuration` is not given.
const SESSION_SECONDS: u32 = 3600;
/// The longest trust policy, in characters that are no white space (identity J4).
const TRUST_CHARS_MAX: usize = 2048;

/// Reads who may assume a role, and asks whether it is too long.
fn trust_of<E>(text: &str) -> Result<TrustPolicy, E>
where
    E: From<MalformedPolicyDocumentException> + From<LimitExceededException>,
{
    let trust = documents::trust(text)?;
    if documents::size(text) > TRUST_CHARS_MAX {
        return Err(LimitExceededException::new(texts::quota("ACLSizePerRole", TRUST_CHARS_MAX)).into());
    }
    Ok(trust)
}

/// As it is kept: with the ids of those whom it names.
fn with_ids(state: &State, given: TrustPolicy) -> Result<TrustPolicy, MalformedPolicyDocumentException> {
    let kept = trust::kept(state.iam(), given.text());
    let kept = kept.map_err(|unknown| MalformedPolicyDocumentException::new(unknown.to_string()))?;
    if kept == given.text() { Ok(given) } else { documents::trust(&kept) }
}

impl Command<Iam> for ops::CreateRole {
    type Parsed = (Self::Input, TrustPolicy, Tags);
    type Answer = Self::Output;

    fn parse(_: &Cx<'_, Iam>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        let trust = trust_of::<Self::Error>(given(&input.assume_role_policy_document))?;
        let tags = tags::parse(input.tags.clone())?;
        Ok((input, trust, tags))
    }

    fn resources(state: &State, caller: &Caller, (input, ..): &Self::Parsed) -> Resources {
        let ask = permission::of::<Self>(state, caller);
        let access = ask.new_one("role", input.path.as_deref(), given(&input.role_name));
        let access = access.maybe("iam:PermissionsBoundary", input.permissions_boundary.as_ref());
        ask.tagging(access, "TagRole", &input.tags)
    }

    fn run(
        tx: &mut Tx<'_>,
        caller: &Caller,
        (input, trust, tags): Self::Parsed,
    ) -> Result<Self::Answer, Self::Error> {
        let name = given(&input.role_name);
        let path = input::path(input.path.as_deref())?;
        if find::realm(tx.state(), caller).roles().taken(name).is_some() {
            return Err(EntityAlreadyExistsException::new(texts::exists("Role", name)).into());
        }
        let trust = with_ids(tx.state(), trust)?;
        let mut grants = Grants::default();
        if let Some(arn) = &input.permissions_boundary {
            let found = find::boundary(tx.state(), caller, arn);
            // The model gives this operation no NoSuchEntity.
            let missing = || InvalidInputException::new(texts::boundary_not_found(arn));
            grants.boundary = Some(found.ok_or_else(missing)?);
        }
        let session_max = input.max_session_duration.and_then(|seconds| u32::try_from(seconds).ok());
        let role = Role {
            own: Own {
                id: unique(prefix::ROLE, tx.ids.seed()),
                name: name.into(),
                path: path.into(),
                created_at: tx.now,
                tags,
            },
            grants,
            trust,
            description: description(input.description.as_deref()),
            session_max: session_max.unwrap_or(SESSION_SECONDS),
            service: None,
            last_used: None,
        };
        let mut shown = shape::role(tx.state(), caller, &role);
        // GetRole says of an unused role that it was not used; CreateRole says nothing of it.
        shown.role_last_used = None;
        tx.put::<Role>(OwnKey::new(caller.scope.account, &role.own.id), role);
        Ok(Self::Output { role: Some(shown) })
    }
}

/// An empty one is none.
pub(super) fn description(given: Option<&str>) -> Option<Arc<str>> {
    given.filter(|text| !text.is_empty()).map(Into::into)
}

query!(GetRole, |ask, input| ask.role(given(&input.role_name)), |state, caller, input| {
    let role = find::role(state, caller, given(&input.role_name))?;
    Ok(GetRoleResponse { role: Some(shape::role(state, caller, role)) })
});

list!(
    ListRoles,
    |ask, input| ask.below("role", input.path_prefix.as_deref()),
    |state, caller, input, page| {
        let prefix = input::prefix(input.path_prefix.as_deref())?;
        let roles = find::realm(state, caller).roles().by_name();
        let roles = roles.filter(|role| role.own.path.starts_with(prefix));
        let paged = page.fill_named(roles, |role| &role.own.name);
        let paged = paged.map(|role| shape::listed_role(state, caller, role));
        Ok(ListRolesResponse {
            roles: Some(paged.items),
            is_truncated: paged.is_truncated,
            marker: paged.marker,
        })
    }
);

command!(UpdateRole, |ask, input| ask.role(given(&input.role_name)), |tx, caller, input| {
    // What a service-linked role is said to be for may be changed; how long its sessions last may not.
    let name = given(&input.role_name);
    let mut role = Role::clone(match input.max_session_duration {
        Some(_) => find::own_role::<Self::Error>(tx.state(), caller, name)?,
        None => find::role(tx.state(), caller, name)?,
    });
    if let Some(text) = &input.description {
        role.description = description(Some(text));
    }
    if let Some(seconds) = input.max_session_duration.and_then(|seconds| u32::try_from(seconds).ok()) {
        role.session_max = seconds;
    }
    tx.put::<Role>(OwnKey::new(caller.scope.account, &role.own.id.clone()), role);
    Ok(Self::Output {})
});

command!(UpdateRoleDescription, |ask, input| ask.role(given(&input.role_name)), |tx, caller, input| {
    let mut role = Role::clone(find::role(tx.state(), caller, given(&input.role_name))?);
    role.description = description(input.description.as_deref());
    let shown = shape::listed_role(tx.state(), caller, &role);
    tx.put::<Role>(OwnKey::new(caller.scope.account, &role.own.id.clone()), role);
    Ok(UpdateRoleDescriptionResponse { role: Some(shown) })
});

impl Command<Iam> for ops::UpdateAssumeRolePolicy {
    type Parsed = (Self::Input, TrustPolicy);
    type Answer = Self::Output;

    fn parse(_: &Cx<'_, Iam>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        let trust = trust_of::<Self::Error>(given(&input.policy_document))?;
        Ok((input, trust))
    }

    fn resources(state: &State, caller: &Caller, (input, _): &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller).role(given(&input.role_name)).into()
    }

    fn run(
        tx: &mut Tx<'_>,
        caller: &Caller,
        (input, trust): Self::Parsed,
    ) -> Result<Self::Answer, Self::Error> {
        let mut role =
            Role::clone(find::own_role::<Self::Error>(tx.state(), caller, given(&input.role_name))?);
        role.trust = with_ids(tx.state(), trust)?;
        tx.put::<Role>(OwnKey::new(caller.scope.account, &role.own.id.clone()), role);
        Ok(Self::Output {})
    }
}

command!(DeleteRole, |ask, input| ask.role(given(&input.role_name)), |tx, caller, input| {
    let role = find::own_role::<Self::Error>(tx.state(), caller, given(&input.role_name))?.clone();
    let realm = find::realm(tx.state(), caller);
    let id = &role.own.id;
    let first = [
        (realm.profiles_of(id).next().is_some(), texts::REMOVE_ROLES_FIRST),
        (!role.grants.attached.is_empty(), texts::DETACH_FIRST),
        (realm.inline_of(id).next().is_some(), texts::DELETE_POLICIES_FIRST),
    ];
    if let Some((_, text)) = first.into_iter().find(|(is_there, _)| *is_there) {
        return Err(DeleteConflictException::new(text).into());
    }
    tx.delete::<Role>(OwnKey::new(caller.scope.account, id));
    Ok(Self::Output {})
});

//! Users.

use longshore_api::PrincipalKind;
use longshore_base::Timestamp;
use longshore_domain::tags::Tags;
use longshore_service::{Caller, Command, Cx, Query, Resources};
use longshore_shapes_iam::{
    DeleteConflictException, EntityAlreadyExistsException, GetUserResponse, ListUsersResponse,
    NoSuchEntityException, User as UserShape, ops,
};
use longshore_state::{State, Tx};
use longshore_tables_iam::ids::{prefix, unique};
use longshore_tables_iam::record::{Grants, Own, User};
use longshore_tables_iam::{OwnKey, Realm};

use super::input::given;
use super::permission::Keys;
use super::{find, input, permission, shape, tags, texts};
use crate::Iam;

impl Command<Iam> for ops::CreateUser {
    type Parsed = (Self::Input, Tags);
    type Answer = Self::Output;

    fn parse(_: &Cx<'_, Iam>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        let tags = tags::parse(input.tags.clone())?;
        Ok((input, tags))
    }

    fn resources(state: &State, caller: &Caller, (input, _): &Self::Parsed) -> Resources {
        let ask = permission::of::<Self>(state, caller);
        let access = ask.new_one("user", input.path.as_deref(), given(&input.user_name));
        let access = access.maybe("iam:PermissionsBoundary", input.permissions_boundary.as_ref());
        ask.tagging(access, "TagUser", &input.tags)
    }

    fn run(
        tx: &mut Tx<'_>,
        caller: &Caller,
        (input, tags): Self::Parsed,
    ) -> Result<Self::Answer, Self::Error> {
        let name = given(&input.user_name);
        let path = input::path(input.path.as_deref())?;
        free(find::realm(tx.state(), caller), name)?;
        let mut grants = Grants::default();
        if let Some(arn) = &input.permissions_boundary {
            let found = find::boundary(tx.state(), caller, arn);
            grants.boundary =
                Some(found.ok_or_else(|| NoSuchEntityException::new(texts::boundary_not_found(arn)))?);
        }
        let own = Own {
            id: unique(prefix::USER, tx.ids.seed()),
            name: name.into(),
            path: path.into(),
            created_at: tx.now,
            tags,
        };
        let user = User { own, grants, groups: Default::default() };
        let shown = shape::user(tx.state(), caller, &user);
        tx.put::<User>(OwnKey::new(caller.scope.account, &user.own.id), user);
        Ok(Self::Output { user: Some(shown) })
    }
}

/// Refuses a name that another user has.
fn free(realm: &Realm, name: &str) -> Result<(), EntityAlreadyExistsException> {
    match realm.users().taken(name) {
        Some(_) => Err(EntityAlreadyExistsException::new(texts::exists("User", name))),
        None => Ok(()),
    }
}

impl Query<Iam> for ops::GetUser {
    type Parsed = Self::Input;
    type Answer = GetUserResponse;

    fn parse(_: &Cx<'_, Iam>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, input: &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller).user(input.user_name.as_deref()).into()
    }

    /// The account itself is told that it is the root.
    fn run(state: &State, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let is_root = matches!(caller.kind, PrincipalKind::Root | PrincipalKind::Guest);
        let shown = match input.user_name.as_deref() {
            None if is_root => UserShape {
                arn: Some(caller.root_arn()),
                create_date: Some(Timestamp::from_millis(0)),
                path: Some("/".to_owned()),
                user_id: Some(caller.scope.account.to_string()),
                user_name: Some("root".to_owned()),
                ..UserShape::default()
            },
            named => {
                let user = find::user_or_caller::<Self::Error>(state, caller, named)?;
                shape::user(state, caller, user)
            }
        };
        Ok(GetUserResponse { user: Some(shown) })
    }
}

list!(
    ListUsers,
    |ask, input| ask.below("user", input.path_prefix.as_deref()),
    |state, caller, input, page| {
        let prefix = input::prefix(input.path_prefix.as_deref())?;
        let users = find::realm(state, caller).users().by_name();
        let users = users.filter(|user| user.own.path.starts_with(prefix));
        let paged = page.fill_named(users, |user| &user.own.name);
        let paged = paged.map(|user| shape::listed_user(caller, user));
        Ok(ListUsersResponse {
            users: Some(paged.items),
            is_truncated: paged.is_truncated,
            marker: paged.marker,
        })
    }
);

command!(
    UpdateUser,
    |ask, input| {
        let named = ask.user(input.user_name.as_deref());
        let new =
            input.new_user_name.as_deref().map(|name| ask.new_one("user", input.new_path.as_deref(), name));
        Resources::from(named).and(new)
    },
    |tx, caller, input| {
        let name = given(&input.user_name);
        let user = find::user(tx.state(), caller, name)?.clone();
        let mut changed = User::clone(&user);
        if let Some(new) = &input.new_user_name {
            // To change nothing but the case of its letters is no conflict with itself.
            match find::realm(tx.state(), caller).users().taken(new) {
                Some(other) if other.own.id != user.own.id => {
                    return Err(EntityAlreadyExistsException::new(texts::exists("User", new)).into());
                }
                Some(_) | None => changed.own.name = new.as_str().into(),
            }
        }
        if let Some(path) = &input.new_path {
            changed.own.path = input::path(Some(path))?.into();
        }
        tx.put::<User>(OwnKey::new(caller.scope.account, &user.own.id), changed);
        Ok(Self::Output {})
    }
);

command!(DeleteUser, |ask, input| ask.user(input.user_name.as_deref()), |tx, caller, input| {
    let user = find::user(tx.state(), caller, given(&input.user_name))?.clone();
    let realm = find::realm(tx.state(), caller);
    let id = &user.own.id;
    let first = [
        (!user.grants.attached.is_empty(), texts::DETACH_FIRST),
        (realm.inline_of(id).next().is_some(), texts::DELETE_POLICIES_FIRST),
        (realm.keys_of(id).next().is_some(), texts::DELETE_KEYS_FIRST),
        (realm.login(id).is_some(), texts::DELETE_LOGIN_FIRST),
        (!user.groups.is_empty(), texts::LEAVE_GROUPS_FIRST),
    ];
    if let Some((_, text)) = first.into_iter().find(|(is_there, _)| *is_there) {
        return Err(DeleteConflictException::new(text).into());
    }
    tx.delete::<User>(OwnKey::new(caller.scope.account, id));
    Ok(Self::Output {})
});

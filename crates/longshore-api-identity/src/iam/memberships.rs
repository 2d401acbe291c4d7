//! Which users are in which groups.

use longshore_service::Resources;
use longshore_shapes_iam::{LimitExceededException, ListGroupsForUserResponse, NoSuchEntityException};
use longshore_tables_iam::OwnKey;
use longshore_tables_iam::record::User;

use super::input::given;
use super::{find, shape, texts};

const GROUPS_PER_USER: usize = 10;

command!(AddUserToGroup, |ask, input| ask.group(given(&input.group_name)), |tx, caller, input| {
    let group = find::group(tx.state(), caller, given(&input.group_name))?.own.id.clone();
    let mut user = User::clone(find::user(tx.state(), caller, given(&input.user_name))?);
    user.groups.insert(group);
    if user.groups.len() > GROUPS_PER_USER {
        return Err(LimitExceededException::new(texts::quota("GroupsPerUser", GROUPS_PER_USER)).into());
    }
    tx.put::<User>(OwnKey::new(caller.scope.account, &user.own.id.clone()), user);
    Ok(Self::Output {})
});

command!(RemoveUserFromGroup, |ask, input| ask.group(given(&input.group_name)), |tx, caller, input| {
    let group = find::group(tx.state(), caller, given(&input.group_name))?.own.id.clone();
    let name = given(&input.user_name);
    let mut user = User::clone(find::user(tx.state(), caller, name)?);
    if !user.groups.remove(&group) {
        return Err(NoSuchEntityException::new(texts::user_not_found(name)).into());
    }
    tx.put::<User>(OwnKey::new(caller.scope.account, &user.own.id.clone()), user);
    Ok(Self::Output {})
});

list!(
    ListGroupsForUser,
    |ask, input| Resources::from(ask.user(input.user_name.as_deref())),
    |state, caller, input, page| {
        let user = find::user(state, caller, given(&input.user_name))?;
        let realm = find::realm(state, caller);
        let mut groups: Vec<_> = user.groups.iter().filter_map(|id| realm.groups().get(id)).collect();
        groups.sort_by_key(|group| group.own.name.to_ascii_lowercase());
        let paged = page.fill_named(groups, |group| &group.own.name).map(|group| shape::group(caller, group));
        Ok(ListGroupsForUserResponse {
            groups: Some(paged.items),
            is_truncated: paged.is_truncated,
            marker: paged.marker,
        })
    }
);

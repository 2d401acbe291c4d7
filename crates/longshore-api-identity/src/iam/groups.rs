//! Groups.

use longshore_domain::tags::Tags;
use longshore_service::Resources;
use longshore_shapes_iam::{
    DeleteConflictException, EntityAlreadyExistsException, GetGroupResponse, ListGroupsResponse,
};
use longshore_tables_iam::OwnKey;
use longshore_tables_iam::ids::{prefix, unique};
use longshore_tables_iam::record::{Grants, Group, Own};

use super::input::given;
use super::{find, input, shape, texts};

command!(
    CreateGroup,
    |ask, input| ask.new_one("group", input.path.as_deref(), given(&input.group_name)),
    |tx, caller, input| {
        let name = given(&input.group_name);
        let path = input::path(input.path.as_deref())?;
        if find::realm(tx.state(), caller).groups().taken(name).is_some() {
            return Err(EntityAlreadyExistsException::new(texts::exists("Group", name)).into());
        }
        let own = Own {
            id: unique(prefix::GROUP, tx.ids.seed()),
            name: name.into(),
            path: path.into(),
            created_at: tx.now,
            tags: Tags::new(),
        };
        let group = Group { own, grants: Grants::default() };
        let shown = shape::group(caller, &group);
        tx.put::<Group>(OwnKey::new(caller.scope.account, &group.own.id), group);
        Ok(Self::Output { group: Some(shown) })
    }
);

list!(GetGroup, |ask, input| ask.group(given(&input.group_name)), |state, caller, input, page| {
    let group = find::group(state, caller, given(&input.group_name))?;
    let mut members: Vec<_> = find::realm(state, caller).members(&group.own.id).collect();
    members.sort_by_key(|user| user.own.name.to_ascii_lowercase());
    let paged = page.fill_named(members, |user| &user.own.name);
    let paged = paged.map(|user| shape::listed_user(caller, user));
    Ok(GetGroupResponse {
        group: Some(shape::group(caller, group)),
        users: Some(paged.items),
        is_truncated: paged.is_truncated,
        marker: paged.marker,
    })
});

list!(
    ListGroups,
    |ask, input| ask.below("group", input.path_prefix.as_deref()),
    |state, caller, input, page| {
        let prefix = input::prefix(input.path_prefix.as_deref())?;
        let groups = find::realm(state, caller).groups().by_name();
        let groups = groups.filter(|group| group.own.path.starts_with(prefix));
        let paged = page.fill_named(groups, |group| &group.own.name).map(|group| shape::group(caller, group));
        Ok(ListGroupsResponse {
            groups: Some(paged.items),
            is_truncated: paged.is_truncated,
            marker: paged.marker,
        })
    }
);

command!(
    UpdateGroup,
    |ask, input| {
        let new = input.new_group_name.as_deref();
        let new = new.map(|name| ask.new_one("group", input.new_path.as_deref(), name));
        Resources::from(ask.group(given(&input.group_name))).and(new)
    },
    |tx, caller, input| {
        let group = find::group(tx.state(), caller, given(&input.group_name))?.clone();
        let mut changed = Group::clone(&group);
        if let Some(new) = &input.new_group_name {
            match find::realm(tx.state(), caller).groups().taken(new) {
                Some(other) if other.own.id != group.own.id => {
                    return Err(EntityAlreadyExistsException::new(texts::exists("Group", new)).into());
                }
                Some(_) | None => changed.own.name = new.as_str().into(),
            }
        }
        if let Some(path) = &input.new_path {
            changed.own.path = input::path(Some(path))?.into();
        }
        tx.put::<Group>(OwnKey::new(caller.scope.account, &group.own.id), changed);
        Ok(Self::Output {})
    }
);

command!(DeleteGroup, |ask, input| ask.group(given(&input.group_name)), |tx, caller, input| {
    let group = find::group(tx.state(), caller, given(&input.group_name))?.clone();
    let realm = find::realm(tx.state(), caller);
    let id = &group.own.id;
    let first = [
        (!group.grants.attached.is_empty(), texts::DETACH_FIRST),
        (realm.inline_of(id).next().is_some(), texts::DELETE_POLICIES_FIRST),
        (realm.members(id).next().is_some(), texts::LEAVE_GROUPS_FIRST),
    ];
    if let Some((_, text)) = first.into_iter().find(|(is_there, _)| *is_there) {
        return Err(DeleteConflictException::new(text).into());
    }
    tx.delete::<Group>(OwnKey::new(caller.scope.account, id));
    Ok(Self::Output {})
});

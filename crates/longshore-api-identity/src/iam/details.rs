//! Everything of an account in one list.

use std::ops::Deref;

use longshore_service::Caller;
use longshore_shapes_iam::{
    AttachedPolicy, EntityType, GetAccountAuthorizationDetailsResponse, GroupDetail, ManagedPolicyDetail,
    PolicyDetail, RoleDetail, UserDetail,
};
use longshore_state::State;
use longshore_tables_iam::key::Id;
use longshore_tables_iam::record::{Grants, Group, InlinePolicy, PolicyRef, Role, User};
use longshore_tables_iam::{Realm, aws};

use super::{documents, find, shape, tags};

/// One entry of the list, which goes over all kinds so that it can be cut into pages.
enum Entry<'s> {
    User(&'s User),
    Group(&'s Group),
    Role(&'s Role),
    Policy(PolicyRef),
}

impl Entry<'_> {
    /// Kind by kind, and in each by name.
    fn place(&self, state: &State, caller: &Caller) -> String {
        let (kind, name) = match self {
            Self::User(user) => (1, user.own.name.deref()),
            Self::Group(group) => (2, group.own.name.deref()),
            Self::Role(role) => (3, role.own.name.deref()),
            Self::Policy(policy) => {
                let kind = if matches!(policy, PolicyRef::Own(_)) { 4 } else { 5 };
                (kind, shape::policy_name(state, caller, policy).0)
            }
        };
        format!("{kind}/{}", name.to_ascii_lowercase())
    }
}

/// Whatever is asked for; all of it if nothing is.
fn entries<'s>(realm: &'s Realm, filter: &[EntityType]) -> Vec<Entry<'s>> {
    let wants = |kind: EntityType| filter.is_empty() || filter.contains(&kind);
    let mut all = Vec::new();
    if wants(EntityType::User) {
        all.extend(realm.users().by_name().map(|user| Entry::User(user)));
    }
    if wants(EntityType::Group) {
        all.extend(realm.groups().by_name().map(|group| Entry::Group(group)));
    }
    if wants(EntityType::Role) {
        all.extend(realm.roles().by_name().map(|role| Entry::Role(role)));
    }
    if wants(EntityType::LocalManagedPolicy) {
        let own = realm.policies().by_name();
        all.extend(own.map(|policy| Entry::Policy(PolicyRef::Own(policy.own.id.clone()))));
    }
    if wants(EntityType::AWSManagedPolicy) {
        // Those that somebody has (identity J4, unverified).
        let aws = aws::policies().map(|policy| PolicyRef::Aws(policy.name.into()));
        all.extend(aws.filter(|policy| realm.attachments(policy).is_some()).map(Entry::Policy));
    }
    all
}

list!(GetAccountAuthorizationDetails, |ask, _input| ask.on_all(), |state, caller, input, page| {
    let all = entries(find::realm(state, caller), &input.filter.unwrap_or_default());
    let paged = page.fill(all, |entry| entry.place(state, caller));
    let mut answer = GetAccountAuthorizationDetailsResponse {
        is_truncated: paged.is_truncated,
        marker: paged.marker,
        user_detail_list: Some(Vec::new()),
        group_detail_list: Some(Vec::new()),
        role_detail_list: Some(Vec::new()),
        policies: Some(Vec::new()),
    };
    for entry in paged.items {
        match entry {
            Entry::User(own) => {
                answer.user_detail_list.get_or_insert_default().push(user(state, caller, own))
            }
            Entry::Group(own) => {
                answer.group_detail_list.get_or_insert_default().push(group(state, caller, own));
            }
            Entry::Role(own) => {
                answer.role_detail_list.get_or_insert_default().push(role(state, caller, own))
            }
            Entry::Policy(own) => answer.policies.get_or_insert_default().push(policy(state, caller, &own)),
        }
    }
    Ok(answer)
});

fn attached(state: &State, caller: &Caller, grants: &Grants) -> Option<Vec<AttachedPolicy>> {
    let all = shape::all_attached(state, caller, &grants.attached);
    Some(all.into_iter().map(|(_, policy)| shape::attached(state, caller, policy)).collect())
}

fn inline(state: &State, caller: &Caller, holder: &Id) -> Option<Vec<PolicyDetail>> {
    let all = find::realm(state, caller).inline_of(holder);
    Some(all.map(|(name, policy)| detail(name, policy)).collect())
}

fn detail(name: &str, policy: &InlinePolicy) -> PolicyDetail {
    PolicyDetail {
        policy_name: Some(name.to_owned()),
        policy_document: documents::shown(policy.document.text()),
    }
}

fn user(state: &State, caller: &Caller, own: &User) -> UserDetail {
    let shown = shape::user(state, caller, own);
    let realm = find::realm(state, caller);
    let groups = own.groups.iter().filter_map(|id| realm.groups().get(id));
    UserDetail {
        arn: shown.arn,
        attached_managed_policies: attached(state, caller, &own.grants),
        create_date: shown.create_date,
        group_list: Some(groups.map(|group| group.own.name.to_string()).collect()),
        path: shown.path,
        permissions_boundary: shown.permissions_boundary,
        tags: Some(tags::shapes(&own.own.tags)),
        user_id: shown.user_id,
        user_name: shown.user_name,
        user_policy_list: inline(state, caller, &own.own.id),
    }
}

fn group(state: &State, caller: &Caller, own: &Group) -> GroupDetail {
    let shown = shape::group(caller, own);
    GroupDetail {
        arn: shown.arn,
        attached_managed_policies: attached(state, caller, &own.grants),
        create_date: shown.create_date,
        group_id: shown.group_id,
        group_name: shown.group_name,
        group_policy_list: inline(state, caller, &own.own.id),
        path: shown.path,
    }
}

fn role(state: &State, caller: &Caller, own: &Role) -> RoleDetail {
    let shown = shape::role(state, caller, own);
    let profiles = find::realm(state, caller).profiles_of(&own.own.id);
    RoleDetail {
        arn: shown.arn,
        assume_role_policy_document: shown.assume_role_policy_document,
        attached_managed_policies: attached(state, caller, &own.grants),
        create_date: shown.create_date,
        instance_profile_list: Some(
            profiles.map(|profile| shape::profile(state, caller, profile, false)).collect(),
        ),
        path: shown.path,
        permissions_boundary: shown.permissions_boundary,
        role_id: shown.role_id,
        role_last_used: shown.role_last_used,
        role_name: shown.role_name,
        role_policy_list: inline(state, caller, &own.own.id),
        tags: Some(tags::shapes(&own.own.tags)),
    }
}

fn policy(state: &State, caller: &Caller, own: &PolicyRef) -> ManagedPolicyDetail {
    let shown = shape::policy(state, caller, own);
    let versions = match own {
        PolicyRef::Aws(name) => {
            aws::policy(name).map(|policy| shape::aws_version(policy, true)).into_iter().collect()
        }
        PolicyRef::Own(id) => {
            let realm = find::realm(state, caller);
            let versions = realm.policies().get(id).into_iter().flat_map(|policy| {
                let versions = realm.versions_of(id).rev();
                versions.map(|(number, version)| shape::version(policy, number, version, true))
            });
            versions.collect()
        }
    };
    ManagedPolicyDetail {
        arn: shown.arn,
        attachment_count: shown.attachment_count,
        create_date: shown.create_date,
        default_version_id: shown.default_version_id,
        description: shown.description,
        is_attachable: shown.is_attachable,
        path: shown.path,
        permissions_boundary_usage_count: shown.permissions_boundary_usage_count,
        policy_id: shown.policy_id,
        policy_name: shown.policy_name,
        policy_version_list: Some(versions),
        update_date: shown.update_date,
    }
}

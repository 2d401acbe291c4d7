//! Records as answers show them.

use std::collections::BTreeSet;
use std::sync::Arc;

use longshore_base::Timestamp;
use longshore_service::Caller;
use longshore_shapes_iam as shapes;
use longshore_state::State;
use longshore_tables_iam::record::{
    Grants, Group, InstanceProfile, LastUse, ManagedPolicy, Own, PolicyRef, PolicyVersion, Role, User,
};
use longshore_tables_iam::{IamState, arn, aws, trust};

use super::{documents, find, tags};

/// The ARN of something in the caller's account.
pub(super) fn arn_of(caller: &Caller, kind: &str, own: &Own) -> String {
    arn::of(caller.scope.partition(), caller.scope.account, kind, &own.path, &own.name)
}

fn text(text: &Arc<str>) -> Option<String> {
    Some(text.to_string())
}

/// The ARN of a managed policy.
pub(super) fn policy_arn(state: &State, caller: &Caller, policy: &PolicyRef) -> String {
    match policy {
        PolicyRef::Aws(name) => {
            let path = aws::policy(name).map_or("/", |policy| policy.path);
            arn::of_aws_policy(caller.scope.partition(), path, name)
        }
        PolicyRef::Own(id) => match find::realm(state, caller).policies().get(id) {
            Some(policy) => arn_of(caller, "policy", &policy.own),
            // No policy is deleted before it is detached, so that this one is there.
            None => id.to_string(),
        },
    }
}

/// A managed policy's name and path.
pub(super) fn policy_name<'s>(
    state: &'s State,
    caller: &Caller,
    policy: &'s PolicyRef,
) -> (&'s str, &'s str) {
    match policy {
        PolicyRef::Aws(name) => (name, aws::policy(name).map_or("/", |policy| policy.path)),
        PolicyRef::Own(id) => {
            let policy = find::realm(state, caller).policies().get(id);
            policy.map_or((id, "/"), |policy| (&policy.own.name, &policy.own.path))
        }
    }
}

pub(super) fn attached(state: &State, caller: &Caller, policy: &PolicyRef) -> shapes::AttachedPolicy {
    shapes::AttachedPolicy {
        policy_arn: Some(policy_arn(state, caller, policy)),
        policy_name: Some(policy_name(state, caller, policy).0.to_owned()),
    }
}

/// All that are attached, in the order of their names in lower case: pages go by these.
pub(super) fn all_attached<'s>(
    state: &'s State,
    caller: &Caller,
    attached: &'s BTreeSet<PolicyRef>,
) -> Vec<(String, &'s PolicyRef)> {
    let named = |policy: &'s PolicyRef| (policy_name(state, caller, policy).0.to_ascii_lowercase(), policy);
    let mut all: Vec<_> = attached.iter().map(named).collect();
    all.sort();
    all
}

pub(super) fn boundary(
    state: &State,
    caller: &Caller,
    grants: &Grants,
) -> Option<shapes::AttachedPermissionsBoundary> {
    let boundary = grants.boundary.as_ref()?;
    Some(shapes::AttachedPermissionsBoundary {
        permissions_boundary_arn: Some(policy_arn(state, caller, boundary)),
        permissions_boundary_type: Some(shapes::PermissionsBoundaryAttachmentType::PermissionsBoundaryPolicy),
    })
}

/// As lists show it: without its tags and its boundary.
pub(super) fn listed_user(caller: &Caller, user: &User) -> shapes::User {
    shapes::User {
        arn: Some(arn_of(caller, "user", &user.own)),
        create_date: Some(user.own.created_at),
        path: text(&user.own.path),
        user_id: text(&user.own.id),
        user_name: text(&user.own.name),
        ..shapes::User::default()
    }
}

pub(super) fn user(state: &State, caller: &Caller, user: &User) -> shapes::User {
    shapes::User {
        permissions_boundary: boundary(state, caller, &user.grants),
        tags: tags::shown(&user.own.tags),
        ..listed_user(caller, user)
    }
}

pub(super) fn group(caller: &Caller, group: &Group) -> shapes::Group {
    shapes::Group {
        arn: Some(arn_of(caller, "group", &group.own)),
        create_date: Some(group.own.created_at),
        group_id: text(&group.own.id),
        group_name: text(&group.own.name),
        path: text(&group.own.path),
    }
}

/// Who may assume a role, as it is shown: not encoded yet.
pub(super) fn trust_text(state: &State, caller: &Caller, role: &Role) -> String {
    trust::shown(state.iam(), caller.scope.partition(), role.trust.text())
}

/// As lists show it: without its tags, its boundary and its last use.
pub(super) fn listed_role(state: &State, caller: &Caller, role: &Role) -> shapes::Role {
    shapes::Role {
        arn: Some(arn_of(caller, "role", &role.own)),
        assume_role_policy_document: documents::shown(&trust_text(state, caller, role)),
        create_date: Some(role.own.created_at),
        description: role.description.as_ref().and_then(text),
        max_session_duration: i32::try_from(role.session_max).ok(),
        path: text(&role.own.path),
        role_id: text(&role.own.id),
        role_name: text(&role.own.name),
        ..shapes::Role::default()
    }
}

pub(super) fn role(state: &State, caller: &Caller, role: &Role) -> shapes::Role {
    shapes::Role {
        permissions_boundary: boundary(state, caller, &role.grants),
        role_last_used: Some(last_used(role.last_used.as_ref())),
        tags: tags::shown(&role.own.tags),
        ..listed_role(state, caller, role)
    }
}

pub(super) fn last_used(last: Option<&LastUse>) -> shapes::RoleLastUsed {
    shapes::RoleLastUsed {
        last_used_date: last.map(|last| last.at),
        region: last.and_then(|last| text(&last.region)),
    }
}

/// With its tags or, in lists, without.
pub(super) fn profile(
    state: &State,
    caller: &Caller,
    profile: &InstanceProfile,
    with_tags: bool,
) -> shapes::InstanceProfile {
    let role = profile.role.as_ref().and_then(|id| find::realm(state, caller).roles().get(id));
    shapes::InstanceProfile {
        arn: Some(arn_of(caller, "instance-profile", &profile.own)),
        create_date: Some(profile.own.created_at),
        instance_profile_id: text(&profile.own.id),
        instance_profile_name: text(&profile.own.name),
        path: text(&profile.own.path),
        roles: Some(role.into_iter().map(|role| listed_role(state, caller, role)).collect()),
        tags: if with_tags { tags::shown(&profile.own.tags) } else { None },
    }
}

/// How many have a policy, and for how many it is a boundary.
pub(super) fn counts(state: &State, caller: &Caller, policy: &PolicyRef) -> (usize, usize) {
    let attachments = find::realm(state, caller).attachments(policy);
    attachments.map_or((0, 0), |own| (own.attached.len(), own.bounded.len()))
}

fn count(number: usize) -> Option<i32> {
    Some(i32::try_from(number).unwrap_or(i32::MAX))
}

/// As lists show it: without its tags and its description.
pub(super) fn listed_policy(state: &State, caller: &Caller, policy: &PolicyRef) -> shapes::Policy {
    let (attached, bounded) = counts(state, caller, policy);
    let (name, path) = policy_name(state, caller, policy);
    let shared = shapes::Policy {
        arn: Some(policy_arn(state, caller, policy)),
        attachment_count: count(attached),
        permissions_boundary_usage_count: count(bounded),
        is_attachable: Some(true),
        path: Some(path.to_owned()),
        policy_name: Some(name.to_owned()),
        ..shapes::Policy::default()
    };
    match policy {
        PolicyRef::Aws(name) => {
            let policy = aws::policy(name);
            let created = Some(Timestamp::from_millis(aws::CREATED_MILLIS));
            shapes::Policy {
                is_attachable: policy.map(|policy| policy.is_attachable),
                policy_id: policy.and_then(|policy| text(&policy.id)),
                default_version_id: Some(version_id(aws::VERSION)),
                create_date: created,
                update_date: created,
                ..shared
            }
        }
        PolicyRef::Own(id) => match find::realm(state, caller).policies().get(id) {
            Some(policy) => shapes::Policy {
                policy_id: text(&policy.own.id),
                default_version_id: Some(version_id(policy.default_version)),
                create_date: Some(policy.own.created_at),
                update_date: Some(policy.updated_at),
                ..shared
            },
            None => shared,
        },
    }
}

pub(super) fn policy(state: &State, caller: &Caller, policy: &PolicyRef) -> shapes::Policy {
    let listed = listed_policy(state, caller, policy);
    match policy {
        PolicyRef::Aws(_) => listed,
        PolicyRef::Own(id) => match find::realm(state, caller).policies().get(id) {
            Some(own) => described(listed, own),
            None => listed,
        },
    }
}

fn described(listed: shapes::Policy, own: &ManagedPolicy) -> shapes::Policy {
    let description = own.description.as_ref().and_then(text);
    shapes::Policy { description, tags: tags::shown(&own.own.tags), ..listed }
}

pub(super) fn version_id(number: u32) -> String {
    format!("v{number}")
}

/// A version of one of the account's policies, with what it says or without.
pub(super) fn version(
    policy: &ManagedPolicy,
    number: u32,
    version: &PolicyVersion,
    with_document: bool,
) -> shapes::PolicyVersion {
    shapes::PolicyVersion {
        create_date: Some(version.created_at),
        document: if with_document { documents::shown(version.document.text()) } else { None },
        is_default_version: Some(policy.default_version == number),
        version_id: Some(version_id(number)),
    }
}

/// The one version of a policy of AWS.
pub(super) fn aws_version(policy: &aws::AwsPolicy, with_document: bool) -> shapes::PolicyVersion {
    shapes::PolicyVersion {
        create_date: Some(Timestamp::from_millis(aws::CREATED_MILLIS)),
        document: if with_document { documents::shown(policy.document.text()) } else { None },
        is_default_version: Some(true),
        version_id: Some(version_id(aws::VERSION)),
    }
}

//! Managed policies: those of the account, and AWS's.

use longshore_domain::tags::Tags;
use longshore_service::{Caller, Command, Cx, Resources};
use longshore_shapes_iam::{
    DeleteConflictException, EntityAlreadyExistsException, EntityType, GetPolicyResponse,
    LimitExceededException, ListEntitiesForPolicyResponse, ListPoliciesResponse,
    MalformedPolicyDocumentException, PolicyGroup, PolicyRole, PolicyScopeType, PolicyUsageType, PolicyUser,
    ops,
};
use longshore_state::{State, Tx};
use longshore_tables_iam::ids::{prefix, unique};
use longshore_tables_iam::record::{IdentityPolicy, ManagedPolicy, Own, PolicyRef, PolicyVersion};
use longshore_tables_iam::{Attachments, OwnKey, VersionKey, aws};

use super::input::given;
use super::{documents, find, input, permission, shape, tags, texts};
use crate::Iam;

const CHARS_MAX: usize = 6144;

/// Reads what a managed policy says, and asks whether it is too long.
pub(super) fn document<E>(text: &str) -> Result<IdentityPolicy, E>
where
    E: From<MalformedPolicyDocumentException> + From<LimitExceededException>,
{
    let document = documents::identity(text)?;
    if documents::size(text) > CHARS_MAX {
        return Err(LimitExceededException::new(texts::quota("PolicySize", CHARS_MAX)).into());
    }
    Ok(document)
}

impl Command<Iam> for ops::CreatePolicy {
    type Parsed = (Self::Input, IdentityPolicy, Tags);
    type Answer = Self::Output;

    fn parse(_: &Cx<'_, Iam>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        let document = document::<Self::Error>(given(&input.policy_document))?;
        let tags = tags::parse(input.tags.clone())?;
        Ok((input, document, tags))
    }

    fn resources(state: &State, caller: &Caller, (input, ..): &Self::Parsed) -> Resources {
        let ask = permission::of::<Self>(state, caller);
        let access = ask.new_one("policy", input.path.as_deref(), given(&input.policy_name));
        ask.tagging(access, "TagPolicy", &input.tags)
    }

    fn run(
        tx: &mut Tx<'_>,
        caller: &Caller,
        (input, document, tags): Self::Parsed,
    ) -> Result<Self::Answer, Self::Error> {
        let name = given(&input.policy_name);
        let path = input::path(input.path.as_deref())?;
        if find::realm(tx.state(), caller).policies().taken(name).is_some() {
            return Err(EntityAlreadyExistsException::new(texts::policy_exists(name)).into());
        }
        let own = Own {
            id: unique(prefix::POLICY, tx.ids.seed()),
            name: name.into(),
            path: path.into(),
            created_at: tx.now,
            tags,
        };
        let id = own.id.clone();
        let policy = ManagedPolicy {
            own,
            description: super::roles::description(input.description.as_deref()),
            updated_at: tx.now,
            default_version: 1,
            last_version: 1,
        };
        let account = caller.scope.account;
        tx.put::<ManagedPolicy>(OwnKey::new(account, &id), policy);
        let version = PolicyVersion { document, created_at: tx.now };
        tx.put::<PolicyVersion>(VersionKey { account, policy: id.clone(), number: 1 }, version);
        Ok(Self::Output { policy: Some(shape::policy(tx.state(), caller, &PolicyRef::Own(id))) })
    }
}

query!(GetPolicy, |ask, input| ask.policy(given(&input.policy_arn)), |state, caller, input| {
    let policy = find::policy(state, caller, given(&input.policy_arn))?;
    Ok(GetPolicyResponse { policy: Some(shape::policy(state, caller, &policy)) })
});

/// What stands in AWS's errors for the resource of this action.
fn policy_path(prefix: Option<&String>) -> String {
    format!("policy path {}", prefix.map_or("/", String::as_str))
}

list!(
    ListPolicies,
    |ask, input| ask.on(policy_path(input.path_prefix.as_ref())),
    |state, caller, input, page| {
        let scope = input.scope.unwrap_or(PolicyScopeType::All);
        let own = find::realm(state, caller).policies().by_name();
        let own = own.map(|policy| PolicyRef::Own(policy.own.id.clone()));
        let aws = aws::policies().map(|policy| PolicyRef::Aws(policy.name.into()));
        let mut all: Vec<PolicyRef> = match scope {
            PolicyScopeType::Local => own.collect(),
            PolicyScopeType::Aws => aws.collect(),
            PolicyScopeType::All | PolicyScopeType::Unrecognized(_) => own.chain(aws).collect(),
        };
        let prefix = input::prefix(input.path_prefix.as_deref())?;
        all.retain(|policy| {
            let (attached, bounded) = shape::counts(state, caller, policy);
            let is_used = match &input.policy_usage_filter {
                Some(PolicyUsageType::PermissionsBoundary) => bounded > 0,
                Some(PolicyUsageType::PermissionsPolicy) => attached > 0,
                Some(PolicyUsageType::Unrecognized(_)) | None => true,
            };
            let is_attached = !input.only_attached.unwrap_or(false) || attached > 0;
            is_used && is_attached && shape::policy_name(state, caller, policy).1.starts_with(prefix)
        });
        // The account may call one as AWS calls one of its own.
        let place = |policy: &PolicyRef| {
            let is_own = matches!(policy, PolicyRef::Own(_));
            format!("{} {is_own}", shape::policy_name(state, caller, policy).0.to_ascii_lowercase())
        };
        all.sort_by_cached_key(place);
        let paged = page.fill(all, place).map(|policy| shape::listed_policy(state, caller, &policy));
        Ok(ListPoliciesResponse {
            policies: Some(paged.items),
            is_truncated: paged.is_truncated,
            marker: paged.marker,
        })
    }
);

command!(DeletePolicy, |ask, input| ask.policy(given(&input.policy_arn)), |tx, caller, input| {
    let policy = find::own_policy(tx.state(), caller, given(&input.policy_arn))?.clone();
    let realm = find::realm(tx.state(), caller);
    let id = &policy.own.id;
    if realm.attachments(&PolicyRef::Own(id.clone())).is_some() {
        return Err(DeleteConflictException::new(texts::POLICY_IN_USE).into());
    }
    if realm.versions_of(id).count() > 1 {
        return Err(DeleteConflictException::new(texts::DELETE_VERSIONS_FIRST).into());
    }
    let account = caller.scope.account;
    let number = policy.default_version;
    tx.delete::<PolicyVersion>(VersionKey { account, policy: id.clone(), number });
    tx.delete::<ManagedPolicy>(OwnKey::new(account, id));
    Ok(Self::Output {})
});

/// Who has a policy, in one list over all kinds, so that it can be cut into pages.
enum Entity {
    Group(PolicyGroup),
    Role(PolicyRole),
    User(PolicyUser),
}

list!(
    ListEntitiesForPolicy,
    |ask, input| ask.policy(given(&input.policy_arn)),
    |state, caller, input, page| {
        let policy = find::policy(state, caller, given(&input.policy_arn))?;
        let none = Attachments::default();
        let attachments = find::realm(state, caller).attachments(&policy).unwrap_or(&none);
        let mut ids: Vec<_> = match &input.policy_usage_filter {
            Some(PolicyUsageType::PermissionsBoundary) => attachments.bounded.iter().collect(),
            Some(PolicyUsageType::PermissionsPolicy) => attachments.attached.iter().collect(),
            Some(PolicyUsageType::Unrecognized(_)) | None => {
                attachments.attached.union(&attachments.bounded).collect()
            }
        };
        ids.sort();
        let prefix = input::prefix(input.path_prefix.as_deref())?;
        let filter = input.entity_filter.as_ref();
        let found = ids.into_iter().filter_map(|id| entity(state, caller, id, prefix, filter));
        let paged = page.fill(found, |(place, _)| place.clone());
        let mut answer = ListEntitiesForPolicyResponse {
            is_truncated: paged.is_truncated,
            marker: paged.marker,
            policy_groups: Some(Vec::new()),
            policy_roles: Some(Vec::new()),
            policy_users: Some(Vec::new()),
        };
        for (_, entity) in paged.items {
            match entity {
                Entity::Group(group) => answer.policy_groups.get_or_insert_default().push(group),
                Entity::Role(role) => answer.policy_roles.get_or_insert_default().push(role),
                Entity::User(user) => answer.policy_users.get_or_insert_default().push(user),
            }
        }
        Ok(answer)
    }
);

/// Its place in the list, and how it is shown; `None` if it is not asked for.
fn entity(
    state: &State,
    caller: &Caller,
    id: &str,
    prefix: &str,
    filter: Option<&EntityType>,
) -> Option<(String, Entity)> {
    let realm = find::realm(state, caller);
    let wanted = |own: &Own, kind: EntityType| {
        own.path.starts_with(prefix) && filter.is_none_or(|filter| *filter == kind)
    };
    let entity = if let Some(user) = realm.users().get(id) {
        let (user_id, user_name) = (Some(id.to_owned()), Some(user.own.name.to_string()));
        wanted(&user.own, EntityType::User).then_some(Entity::User(PolicyUser { user_id, user_name }))
    } else if let Some(role) = realm.roles().get(id) {
        let (role_id, role_name) = (Some(id.to_owned()), Some(role.own.name.to_string()));
        wanted(&role.own, EntityType::Role).then_some(Entity::Role(PolicyRole { role_id, role_name }))
    } else {
        let group = realm.groups().get(id)?;
        let (group_id, group_name) = (Some(id.to_owned()), Some(group.own.name.to_string()));
        wanted(&group.own, EntityType::Group).then_some(Entity::Group(PolicyGroup { group_id, group_name }))
    };
    Some((id.to_owned(), entity?))
}

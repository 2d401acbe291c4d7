//! Tags of users, roles, policies, instance profiles and providers.

use longshore_domain::tags::Tags;
use longshore_service::{Caller, Command, Cx, Resources};
use longshore_shapes_iam::{
    ListInstanceProfileTagsResponse, ListOpenIDConnectProviderTagsResponse, ListPolicyTagsResponse,
    ListRoleTagsResponse, ListUserTagsResponse, ops,
};
use longshore_state::{State, Tx};
use longshore_tables_iam::OwnKey;
use longshore_tables_iam::record::{InstanceProfile, ManagedPolicy, OidcProvider, Role, User};

use super::input::given;
use super::permission::Keys;
use super::{find, input, oidc, permission, tags};
use crate::Iam;

/// The three operations for one kind: its record, the member that names it, its quota, how it is found (its id, and a copy),
/// where its tags are, and how it is asked about.
macro_rules! tagging {
    (
        $record:ident $name:ident, $quota:literal: |$state:ident, $caller:ident, $named:ident| $find:expr,
        |$one:ident| $tags:expr, $asked:ident;
        $tag:ident, $untag:ident, $list:ident: $answer:ident
    ) => {
        impl Command<Iam> for ops::$tag {
            type Parsed = (Self::Input, Tags);
            type Answer = Self::Output;

            fn parse(_: &Cx<'_, Iam>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
                input::check(&input)?;
                let tags = tags::parse(input.tags.clone())?;
                Ok((input, tags))
            }

            fn resources(state: &State, caller: &Caller, (input, _): &Self::Parsed) -> Resources {
                permission::of::<Self>(state, caller).$asked(given(&input.$name)).tags(&input.tags).into()
            }

            fn run(
                tx: &mut Tx<'_>,
                $caller: &Caller,
                (input, added): Self::Parsed,
            ) -> Result<Self::Answer, Self::Error> {
                let ($state, $named) = (tx.state(), given(&input.$name));
                let (id, mut $one) = $find?;
                $tags = tags::add(&$tags, added, $quota)?;
                tx.put::<$record>(OwnKey::new($caller.scope.account, &id), $one);
                Ok(Self::Output {})
            }
        }

        command!(
            $untag,
            |ask, input| ask.$asked(given(&input.$name)).tag_keys(&input.tag_keys),
            |tx, $caller, input| {
                let ($state, $named) = (tx.state(), given(&input.$name));
                let (id, mut $one) = $find?;
                $tags = tags::without(&$tags, input.tag_keys.iter().flatten().map(String::as_str));
                tx.put::<$record>(OwnKey::new($caller.scope.account, &id), $one);
                Ok(Self::Output {})
            }
        );

        list!($list, |ask, input| ask.$asked(given(&input.$name)), |$state, $caller, input, page| {
            let $named = given(&input.$name);
            let (_, $one) = $find?;
            let all = tags::shapes(&$tags);
            let paged = page.fill(all, |tag| tag.key.clone().unwrap_or_default());
            Ok($answer { tags: Some(paged.items), is_truncated: paged.is_truncated, marker: paged.marker })
        });
    };
}

tagging! {
    User user_name, "TagsPerUser":
    |state, caller, name| find::user(state, caller, name).map(|user| (user.own.id.clone(), User::clone(user))),
    |user| user.own.tags, named_user;
    TagUser, UntagUser, ListUserTags: ListUserTagsResponse
}

tagging! {
    Role role_name, "TagsPerRole":
    |state, caller, name| find::role(state, caller, name).map(|role| (role.own.id.clone(), Role::clone(role))),
    |role| role.own.tags, role;
    TagRole, UntagRole, ListRoleTags: ListRoleTagsResponse
}

tagging! {
    ManagedPolicy policy_arn, "TagsPerPolicy":
    |state, caller, arn| {
        find::own_policy(state, caller, arn).map(|policy| (policy.own.id.clone(), ManagedPolicy::clone(policy)))
    },
    |policy| policy.own.tags, policy;
    TagPolicy, UntagPolicy, ListPolicyTags: ListPolicyTagsResponse
}

tagging! {
    InstanceProfile instance_profile_name, "TagsPerInstanceProfile":
    |state, caller, name| {
        find::profile(state, caller, name).map(|own| (own.own.id.clone(), InstanceProfile::clone(own)))
    },
    |profile| profile.own.tags, profile;
    TagInstanceProfile, UntagInstanceProfile, ListInstanceProfileTags: ListInstanceProfileTagsResponse
}

tagging! {
    OidcProvider open_id_connect_provider_arn, "TagsPerOpenIDConnectProvider":
    |state, caller, arn| oidc::provider(state, caller, arn),
    |provider| provider.tags, provider;
    TagOpenIDConnectProvider, UntagOpenIDConnectProvider,
    ListOpenIDConnectProviderTags: ListOpenIDConnectProviderTagsResponse
}

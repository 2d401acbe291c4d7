//! Instance profiles: a role for a machine.

use longshore_domain::tags::Tags;
use longshore_service::{Caller, Command, Cx, Resources};
use longshore_shapes_iam::{
    DeleteConflictException, EntityAlreadyExistsException, GetInstanceProfileResponse,
    LimitExceededException, ListInstanceProfilesForRoleResponse, ListInstanceProfilesResponse,
    NoSuchEntityException, ops,
};
use longshore_state::{State, Tx};
use longshore_tables_iam::OwnKey;
use longshore_tables_iam::ids::{prefix, unique};
use longshore_tables_iam::record::{InstanceProfile, Own};

use super::input::given;
use super::{find, input, permission, shape, tags, texts};
use crate::Iam;

/// Whom a profile's role is handed to.
const MACHINES: &str = "ec2.amazonaws.com";

impl Command<Iam> for ops::CreateInstanceProfile {
    type Parsed = (Self::Input, Tags);
    type Answer = Self::Output;

    fn parse(_: &Cx<'_, Iam>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        let tags = tags::parse(input.tags.clone())?;
        Ok((input, tags))
    }

    fn resources(state: &State, caller: &Caller, (input, _): &Self::Parsed) -> Resources {
        let ask = permission::of::<Self>(state, caller);
        let name = given(&input.instance_profile_name);
        let access = ask.new_one("instance-profile", input.path.as_deref(), name);
        ask.tagging(access, "TagInstanceProfile", &input.tags)
    }

    fn run(
        tx: &mut Tx<'_>,
        caller: &Caller,
        (input, tags): Self::Parsed,
    ) -> Result<Self::Answer, Self::Error> {
        let name = given(&input.instance_profile_name);
        let path = input::path(input.path.as_deref())?;
        if find::realm(tx.state(), caller).profiles().taken(name).is_some() {
            return Err(EntityAlreadyExistsException::new(texts::profile_exists(name)).into());
        }
        let own = Own {
            id: unique(prefix::PROFILE, tx.ids.seed()),
            name: name.into(),
            path: path.into(),
            created_at: tx.now,
            tags,
        };
        let profile = InstanceProfile { own, role: None };
        let shown = shape::profile(tx.state(), caller, &profile, true);
        tx.put::<InstanceProfile>(OwnKey::new(caller.scope.account, &profile.own.id), profile);
        Ok(Self::Output { instance_profile: Some(shown) })
    }
}

query!(
    GetInstanceProfile,
    |ask, input| ask.profile(given(&input.instance_profile_name)),
    |state, caller, input| {
        let profile = find::profile(state, caller, given(&input.instance_profile_name))?;
        Ok(GetInstanceProfileResponse {
            instance_profile: Some(shape::profile(state, caller, profile, true)),
        })
    }
);

list!(
    ListInstanceProfiles,
    |ask, input| ask.below("instance-profile", input.path_prefix.as_deref()),
    |state, caller, input, page| {
        let prefix = input::prefix(input.path_prefix.as_deref())?;
        let profiles = find::realm(state, caller).profiles().by_name();
        let profiles = profiles.filter(|profile| profile.own.path.starts_with(prefix));
        let paged = page.fill_named(profiles, |profile| &profile.own.name);
        let paged = paged.map(|profile| shape::profile(state, caller, profile, false));
        Ok(ListInstanceProfilesResponse {
            instance_profiles: Some(paged.items),
            is_truncated: paged.is_truncated,
            marker: paged.marker,
        })
    }
);

list!(
    ListInstanceProfilesForRole,
    |ask, input| ask.role(given(&input.role_name)),
    |state, caller, input, page| {
        let role = find::role(state, caller, given(&input.role_name))?;
        let mut profiles: Vec<_> = find::realm(state, caller).profiles_of(&role.own.id).collect();
        profiles.sort_by_key(|profile| profile.own.name.to_ascii_lowercase());
        let paged = page.fill_named(profiles, |profile| &profile.own.name);
        let paged = paged.map(|profile| shape::profile(state, caller, profile, false));
        Ok(ListInstanceProfilesForRoleResponse {
            instance_profiles: Some(paged.items),
            is_truncated: paged.is_truncated,
            marker: paged.marker,
        })
    }
);

command!(
    AddRoleToInstanceProfile,
    |ask, input| {
        let mut pass = ask.role(given(&input.role_name)).with("iam:PassedToService", MACHINES);
        pass.action = "iam:PassRole".to_owned();
        Resources::from(ask.profile(given(&input.instance_profile_name))).and([pass])
    },
    |tx, caller, input| {
        let name = given(&input.instance_profile_name);
        let mut profile = InstanceProfile::clone(find::profile(tx.state(), caller, name)?);
        let role = find::own_role::<Self::Error>(tx.state(), caller, given(&input.role_name))?;
        if profile.role.is_some() {
            let text = texts::quota("InstanceSessionsPerInstanceProfile", 1);
            return Err(LimitExceededException::new(text).into());
        }
        profile.role = Some(role.own.id.clone());
        tx.put::<InstanceProfile>(OwnKey::new(caller.scope.account, &profile.own.id.clone()), profile);
        Ok(Self::Output {})
    }
);

command!(
    RemoveRoleFromInstanceProfile,
    |ask, input| ask.profile(given(&input.instance_profile_name)),
    |tx, caller, input| {
        let name = given(&input.instance_profile_name);
        let mut profile = InstanceProfile::clone(find::profile(tx.state(), caller, name)?);
        let role = given(&input.role_name);
        let id = find::own_role::<Self::Error>(tx.state(), caller, role)?.own.id.clone();
        if profile.role.take_if(|own| *own == id).is_none() {
            return Err(NoSuchEntityException::new(texts::role_not_found(role)).into());
        }
        tx.put::<InstanceProfile>(OwnKey::new(caller.scope.account, &profile.own.id.clone()), profile);
        Ok(Self::Output {})
    }
);

command!(
    DeleteInstanceProfile,
    |ask, input| ask.profile(given(&input.instance_profile_name)),
    |tx, caller, input| {
        let profile = find::profile(tx.state(), caller, given(&input.instance_profile_name))?.clone();
        if profile.role.is_some() {
            return Err(DeleteConflictException::new(texts::REMOVE_ROLES_FIRST).into());
        }
        tx.delete::<InstanceProfile>(OwnKey::new(caller.scope.account, &profile.own.id));
        Ok(Self::Output {})
    }
);

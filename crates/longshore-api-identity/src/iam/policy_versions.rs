//! Versions of managed policies. Their numbers are never used again.

use longshore_service::{Caller, Command, Cx, Resources};
use longshore_shapes_iam::{
    DeleteConflictException, GetPolicyVersionResponse, LimitExceededException, ListPolicyVersionsResponse,
    NoSuchEntityException, ops,
};
use longshore_state::{State, Tx};
use longshore_tables_iam::record::{IdentityPolicy, ManagedPolicy, PolicyRef, PolicyVersion};
use longshore_tables_iam::{OwnKey, VersionKey, aws};

use super::input::given;
use super::{find, input, permission, policies, shape, texts};
use crate::Iam;

const VERSIONS_MAX: usize = 5;

/// The number in `v3`.
fn number(id: &str) -> Option<u32> {
    id.strip_prefix('v')?.parse().ok()
}

impl Command<Iam> for ops::CreatePolicyVersion {
    type Parsed = (Self::Input, IdentityPolicy);
    type Answer = Self::Output;

    fn parse(_: &Cx<'_, Iam>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        let document = policies::document::<Self::Error>(given(&input.policy_document))?;
        Ok((input, document))
    }

    fn resources(state: &State, caller: &Caller, (input, _): &Self::Parsed) -> Resources {
        permission::of::<Self>(state, caller).policy(given(&input.policy_arn)).into()
    }

    fn run(
        tx: &mut Tx<'_>,
        caller: &Caller,
        (input, document): Self::Parsed,
    ) -> Result<Self::Answer, Self::Error> {
        let found = find::own_policy(tx.state(), caller, given(&input.policy_arn))?;
        let mut policy = ManagedPolicy::clone(found);
        let id = policy.own.id.clone();
        if find::realm(tx.state(), caller).versions_of(&id).count() >= VERSIONS_MAX {
            return Err(LimitExceededException::new(texts::TOO_MANY_VERSIONS).into());
        }
        policy.last_version += 1;
        policy.updated_at = tx.now;
        let number = policy.last_version;
        if input.set_as_default == Some(true) {
            policy.default_version = number;
        }
        let version = PolicyVersion { document, created_at: tx.now };
        let shown = shape::version(&policy, number, &version, false);
        let account = caller.scope.account;
        tx.put::<PolicyVersion>(VersionKey { account, policy: id.clone(), number }, version);
        tx.put::<ManagedPolicy>(OwnKey::new(account, &id), policy);
        Ok(Self::Output { policy_version: Some(shown) })
    }
}

query!(GetPolicyVersion, |ask, input| ask.policy(given(&input.policy_arn)), |state, caller, input| {
    let (arn, id) = (given(&input.policy_arn), given(&input.version_id));
    let missing = || NoSuchEntityException::new(texts::version_not_found(arn, id));
    let shown = match find::policy(state, caller, arn)? {
        PolicyRef::Aws(name) => {
            let policy = aws::policy(&name).filter(|_| number(id) == Some(aws::VERSION));
            policy.map(|policy| shape::aws_version(policy, true))
        }
        PolicyRef::Own(policy) => {
            let realm = find::realm(state, caller);
            let version = number(id).and_then(|number| Some((number, realm.version(&policy, number)?)));
            let policy = realm.policies().get(&policy);
            policy
                .zip(version)
                .map(|(policy, (number, version))| shape::version(policy, number, version, true))
        }
    };
    Ok(GetPolicyVersionResponse { policy_version: Some(shown.ok_or_else(missing)?) })
});

list!(ListPolicyVersions, |ask, input| ask.policy(given(&input.policy_arn)), |state, caller, input, page| {
    // The newest comes first, so that places count down.
    let all = match find::policy(state, caller, given(&input.policy_arn))? {
        PolicyRef::Aws(name) => {
            let only = aws::policy(&name).map(|policy| (aws::VERSION, shape::aws_version(policy, false)));
            only.into_iter().collect()
        }
        PolicyRef::Own(id) => {
            let realm = find::realm(state, caller);
            let versions = realm.policies().get(&id).into_iter().flat_map(|policy| {
                let versions = realm.versions_of(&id).rev();
                versions.map(|(number, version)| (number, shape::version(policy, number, version, false)))
            });
            versions.collect::<Vec<_>>()
        }
    };
    let paged = page.fill(all, |(number, _)| format!("{:010}", u32::MAX - number)).map(|(_, shown)| shown);
    Ok(ListPolicyVersionsResponse {
        versions: Some(paged.items),
        is_truncated: paged.is_truncated,
        marker: paged.marker,
    })
});

/// A version of one of the account's policies that is there.
fn version_of(
    state: &State,
    caller: &Caller,
    arn: &str,
    id: &str,
) -> Result<(ManagedPolicy, u32), NoSuchEntityException> {
    let policy = find::own_policy(state, caller, arn)?;
    let realm = find::realm(state, caller);
    let found = number(id).filter(|number| realm.version(&policy.own.id, *number).is_some());
    let missing = || NoSuchEntityException::new(texts::version_not_found(arn, id));
    Ok((ManagedPolicy::clone(policy), found.ok_or_else(missing)?))
}

command!(SetDefaultPolicyVersion, |ask, input| ask.policy(given(&input.policy_arn)), |tx, caller, input| {
    let (arn, id) = (given(&input.policy_arn), given(&input.version_id));
    let (mut policy, number) = version_of(tx.state(), caller, arn, id)?;
    policy.default_version = number;
    policy.updated_at = tx.now;
    tx.put::<ManagedPolicy>(OwnKey::new(caller.scope.account, &policy.own.id.clone()), policy);
    Ok(Self::Output {})
});

command!(DeletePolicyVersion, |ask, input| ask.policy(given(&input.policy_arn)), |tx, caller, input| {
    let (arn, id) = (given(&input.policy_arn), given(&input.version_id));
    let (policy, number) = version_of(tx.state(), caller, arn, id)?;
    if policy.default_version == number {
        return Err(DeleteConflictException::new(texts::DEFAULT_VERSION).into());
    }
    let key = VersionKey { account: caller.scope.account, policy: policy.own.id.clone(), number };
    tx.delete::<PolicyVersion>(key);
    Ok(Self::Output {})
});

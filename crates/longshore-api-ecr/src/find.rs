//! What requests name: a registry by its account, a repository by its name or its ARN.

use longshore_base::{AccountId, Region, Scope};
use longshore_images::RepositoryName;
use longshore_service::Caller;
use longshore_shapes_ecr::{InvalidParameterException, RepositoryNotFoundException};
use longshore_state::State;
use longshore_tables_ecr::tables::Found;
use longshore_tables_ecr::{EcrState, RepositoryKey};

use crate::{input, texts};

/// The registry that is meant: the caller's own, unless another account is named.
pub(crate) fn registry(caller: &Caller, id: &Option<String>) -> Result<Scope, InvalidParameterException> {
    match id {
        Some(id) => of_account(caller, "registryId", id),
        None => Ok(caller.scope.clone()),
    }
}

/// The registry of an account that `member` names.
pub(crate) fn of_account(
    caller: &Caller,
    member: &str,
    id: &str,
) -> Result<Scope, InvalidParameterException> {
    let account = AccountId::parse(id);
    let account =
        account.ok_or_else(|| input::refused(member, "must satisfy regular expression '[0-9]{12}'"))?;
    Ok(Scope::new(account, caller.scope.region.clone()))
}

pub(crate) fn name(text: &str) -> Option<RepositoryName> {
    RepositoryName::parse(text)
}

/// A name that a request has to have. Patterns of the model are checked here, where there is one.
pub(crate) fn named(member: &Option<String>) -> Result<RepositoryName, InvalidParameterException> {
    let name = name(input::given(member));
    name.ok_or_else(|| input::refused("repositoryName", texts::NAME))
}

/// The repository of an ARN.
pub(crate) fn of_arn(text: &str) -> Option<RepositoryKey> {
    let mut parts = text.splitn(6, ':');
    let (Some("arn"), Some(_partition), Some("ecr")) = (parts.next(), parts.next(), parts.next()) else {
        return None;
    };
    let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
    let scope = Scope::new(AccountId::parse(account)?, Region::parse(region)?);
    Some(RepositoryKey { scope, name: name(resource.strip_prefix("repository/")?)? })
}

pub(crate) fn no_repository(key: &RepositoryKey) -> RepositoryNotFoundException {
    RepositoryNotFoundException::new(texts::no_repository(key.name.as_str(), key.scope.account))
}

/// A repository that is there, and its key.
pub(crate) fn repository<'s, E>(
    state: &'s State,
    caller: &Caller,
    id: &Option<String>,
    name: &Option<String>,
) -> Result<(RepositoryKey, Found<'s>), E>
where
    E: From<InvalidParameterException> + From<RepositoryNotFoundException>,
{
    let key = RepositoryKey { scope: registry(caller, id)?, name: named(name)? };
    match state.ecr().find(&key.scope, &key.name) {
        Some(found) => Ok((key, found)),
        None => Err(no_repository(&key).into()),
    }
}

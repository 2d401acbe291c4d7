//! Parameters read: one, some by name, all below a path, and what one was before.

use std::collections::BTreeMap;

use longshore_service::{Caller, Resources};
use longshore_shapes_ssm::{
    GetParameterHistoryResult, GetParameterResult, GetParametersByPathResult, GetParametersResult,
    InvalidKeyId, InvalidNextToken, Parameter, ParameterHistory, ParameterNotFound, ParameterType,
    ParameterVersionNotFound, ops,
};
use longshore_state::State;
use longshore_tables_secrets::SecretsState;
use longshore_tables_secrets::find::{self, FoundParameter};
use longshore_tables_secrets::read::{self, ReadError};
use longshore_wire::Fault;

use super::filter::{self, Filters};
use super::{name, permission, shape, texts};
use crate::input::given;
use crate::paging::{Page, Paged, digits};

/// Why a parameter is not read.
enum NotRead {
    NotFound(String),
    NoVersion(String),
    Key(InvalidKeyId),
    Fault(Fault),
}

impl From<InvalidKeyId> for NotRead {
    fn from(error: InvalidKeyId) -> Self {
        Self::Key(error)
    }
}

impl From<Fault> for NotRead {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// One parameter as it is asked for, with its selector.
fn one(state: &State, caller: &Caller, named: &str, with_decryption: bool) -> Result<Parameter, NotRead> {
    if let Some(id) = named.strip_prefix(permission::SECRETS) {
        return secret(state, caller, named, id, with_decryption);
    }
    let (name, rest) = find::split_selector(named);
    let found = find::parameter(state, &caller.scope, name);
    let found = found.ok_or_else(|| NotRead::NotFound(texts::not_found(name)))?;
    let selector = find::selector(rest);
    let version = found.version(state, selector);
    let (number, version) =
        version.ok_or_else(|| NotRead::NoVersion(read::no_version(name, selector).to_string()))?;
    shape::parameter(state, &found, (number, version), rest, with_decryption)
}

/// A secret of Secrets Manager, as a parameter.
fn secret(
    state: &State,
    caller: &Caller,
    named: &str,
    id: &str,
    with_decryption: bool,
) -> Result<Parameter, NotRead> {
    if !with_decryption {
        let text = "WithDecryption flag must be True for retrieving a Secret Manager secret.";
        return Err(NotRead::Fault(Fault::validation(text)));
    }
    let read = read::secret_value(state, &caller.scope, id, None, None).map_err(|error| match error {
        ReadError::Value(error) => shape::key_error(error),
        ReadError::NoSecret
        | ReadError::MarkedForDeletion
        | ReadError::NoStage(_)
        | ReadError::NoVersion(_)
        | ReadError::StageOfAnother
        | ReadError::NoParameter(_)
        | ReadError::NoParameterVersion { .. } => NotRead::NotFound(error.to_string()),
    })?;
    let text = read.plain.as_str().filter(|_| !read.is_binary);
    let text = text.ok_or_else(|| NotRead::Fault(Fault::validation("The secret is no text.")))?;
    Ok(Parameter {
        arn: Some(read.arn.clone()),
        data_type: Some("text".to_owned()),
        last_modified_date: Some(read.created_at),
        name: Some(named.to_owned()),
        selector: None,
        source_result: None,
        r#type: Some(ParameterType::SecureString),
        value: Some(text.to_owned()),
        version: Some(0),
    })
}

query!(
    Ssm,
    GetParameter,
    |state, caller, input| {
        let decrypts = input.with_decryption.unwrap_or(false);
        let asked = permission::to_get(state, caller, "GetParameter", given(&input.name), decrypts);
        asked.into_iter().collect::<Resources>()
    },
    |state, caller, input| {
        let decrypts = input.with_decryption.unwrap_or(false);
        let parameter =
            one(state, caller, given(&input.name), decrypts).map_err(|not_read| match not_read {
                NotRead::NotFound(text) => Self::Error::from(ParameterNotFound::new(text)),
                NotRead::NoVersion(text) => ParameterVersionNotFound::new(text).into(),
                NotRead::Key(error) => error.into(),
                NotRead::Fault(fault) => fault.into(),
            })?;
        Ok(GetParameterResult { parameter: Some(parameter) })
    }
);

query!(
    Ssm,
    GetParameters,
    |state, caller, input| {
        let decrypts = input.with_decryption.unwrap_or(false);
        let names = input.names.iter().flatten();
        names
            .flat_map(|name| permission::to_get(state, caller, "GetParameters", name, decrypts))
            .collect::<Resources>()
    },
    |state, caller, input| {
        let decrypts = input.with_decryption.unwrap_or(false);
        let (mut found, mut invalid) = (BTreeMap::new(), Vec::new());
        for named in input.names.into_iter().flatten() {
            match one(state, caller, &named, decrypts) {
                Ok(parameter) => {
                    found.insert((parameter.name.clone(), parameter.selector.clone()), parameter);
                }
                Err(NotRead::NotFound(_) | NotRead::NoVersion(_)) => invalid.push(named),
                Err(NotRead::Key(error)) => return Err(error.into()),
                Err(NotRead::Fault(fault)) => return Err(fault.into()),
            }
        }
        Ok(GetParametersResult {
            invalid_parameters: Some(invalid),
            parameters: Some(found.into_values().collect()),
        })
    }
);

/// As many as a page of a path has at most, and has if nothing is said.
const PATH_SIZE: usize = 10;

/// The page that is asked for. It is found twice: for the permissions, and for the answer.
fn below<'s>(
    state: &'s State,
    caller: &Caller,
    path: &str,
    recursive: bool,
    filters: &Filters,
    page: &Page,
) -> Paged<FoundParameter<'s>> {
    let prefix = name::below(path);
    let all = state.secrets().realm(&caller.scope).parameters().iter();
    // A name without a slash is in the root.
    let is_below = |name: &str| match name.strip_prefix(&prefix) {
        Some(rest) => recursive || !rest.contains('/'),
        None => prefix == "/" && !name.contains('/'),
    };
    let all = all.filter(|(name, _)| is_below(name)).map(|(name, parameter)| FoundParameter {
        scope: caller.scope.clone(),
        name,
        parameter,
    });
    page.fill(all.filter(|found| filters.let_through(state, found)), |found| found.name.to_string())
}

list!(
    Ssm,
    GetParametersByPath(max_results, next_token, PATH_SIZE, InvalidNextToken),
    |state, caller, input, page| {
        let (path, recursive) = (given(&input.path), input.recursive.unwrap_or(false));
        let access = permission::on_path(caller, "GetParametersByPath", path, recursive);
        let mut asked = Resources::from(access);
        let filters = Filters::read(&input.parameter_filters, filter::OF_PATHS);
        if let Ok(filters) = filters
            && input.with_decryption.unwrap_or(false)
        {
            let found = below(state, caller, path, recursive, &filters, page).items;
            asked = asked.and(found.iter().filter_map(|found| {
                let (_, version) = found.version(state, find::Selector::Newest)?;
                permission::to_decrypt(state, caller, found, version)
            }));
        }
        asked
    },
    |state, caller, input, page| {
        let path = given(&input.path);
        name::check_path(path)?;
        let filters = Filters::read(&input.parameter_filters, filter::OF_PATHS)?;
        let recursive = input.recursive.unwrap_or(false);
        let paged = below(state, caller, path, recursive, &filters, &page);
        let decrypts = input.with_decryption.unwrap_or(false);
        let mut parameters = Vec::with_capacity(paged.items.len());
        for found in &paged.items {
            let version = found.version(state, find::Selector::Newest);
            let (number, version) =
                version.ok_or_else(|| Fault::hidden("a parameter without its version"))?;
            parameters.push(shape::parameter::<Self::Error>(
                state,
                found,
                (number, version),
                None,
                decrypts,
            )?);
        }
        Ok(GetParametersByPathResult { next_token: paged.next, parameters: Some(parameters) })
    }
);

const HISTORY_SIZE: usize = 50;

list!(
    Ssm,
    GetParameterHistory(max_results, next_token, HISTORY_SIZE, InvalidNextToken),
    |state, caller, input, _page| {
        let name = given(&input.name);
        let asked = Resources::from(permission::on(state, caller, "GetParameterHistory", name));
        let decrypts = input.with_decryption.unwrap_or(false);
        let found = find::parameter(state, &caller.scope, name).filter(|_| decrypts);
        // Versions may be under different keys; each of them is asked about once.
        let mut keys = BTreeMap::new();
        if let Some(found) = &found {
            for (_, version) in state.secrets().realm(&found.scope).parameters().parts(&found.whole()) {
                if let Some(access) = permission::to_decrypt(state, caller, found, version) {
                    keys.insert(access.resource.clone(), access);
                }
            }
        }
        asked.and(keys.into_values())
    },
    |state, caller, input, page| {
        let name = given(&input.name);
        let found = find::parameter(state, &caller.scope, name);
        let found = found.ok_or_else(|| ParameterNotFound::new(texts::not_found(name)))?;
        let decrypts = input.with_decryption.unwrap_or(false);
        let all = state.secrets().realm(&found.scope).parameters().parts(&found.whole());
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let paged = page.fill(all, |(own, _)| digits(number(**own)));
        let mut parameters = Vec::with_capacity(paged.items.len());
        for (own, version) in paged.items {
            let labels = found.parameter.labels.iter().filter(|(_, on)| *on == own);
            parameters.push(ParameterHistory {
                allowed_pattern: version.pattern.as_ref().map(|text| text.to_string()),
                data_type: Some(version.data_type.to_string()),
                description: version.description.as_ref().map(|text| text.to_string()),
                key_id: version.key_named.as_ref().map(|text| text.to_string()),
                labels: Some(labels.map(|(label, _)| label.to_string()).collect()),
                last_modified_date: Some(version.modified_at),
                last_modified_user: Some(version.modified_by.to_string()),
                name: Some(found.name.to_string()),
                policies: Some(shape::policies(version)),
                tier: Some(shape::tier(version.tier)),
                r#type: Some(shape::kind(found.parameter.kind)),
                value: Some(shape::value::<Self::Error>(state, &found, *own, version, decrypts)?),
                version: Some(number(*own)),
            });
        }
        Ok(GetParameterHistoryResult { next_token: paged.next, parameters: Some(parameters) })
    }
);

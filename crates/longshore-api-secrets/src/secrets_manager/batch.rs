//! The values of many secrets at once.

use longshore_base::Scope;
use longshore_service::Resources;
use longshore_shapes_secretsmanager::{
    APIErrorType, BatchGetSecretValueError, BatchGetSecretValueRequest, BatchGetSecretValueResponse,
    InvalidNextTokenException, InvalidParameterException, SecretValueEntry, ops,
};
use longshore_state::State;
use longshore_tables_secrets::read::CURRENT;
use longshore_wire::ModeledError;

use super::{listing, permission, values};
use crate::paging::{Page, Paged};

/// How many are told at once, and how many a list may name.
const SIZE: usize = 20;

/// What is asked for: the names that are given, or those of what the filters let through.
fn asked_for(state: &State, scope: &Scope, input: &BatchGetSecretValueRequest, page: &Page) -> Paged<String> {
    if let Some(ids) = &input.secret_id_list {
        return Paged { items: ids.clone(), next: None };
    }
    let all = listing::matching(state, scope, &input.filters);
    let live = all.filter(|(_, secret)| secret.deletion.is_none() && secret.stages.contains_key(CURRENT));
    page.fill(live.map(|(name, _)| name.to_string()), String::clone)
}

list!(
    SecretsManager,
    BatchGetSecretValue(max_results, next_token, SIZE, InvalidNextTokenException),
    |state, caller, input, page| {
        let all = asked_for(state, &caller.scope, input, page).items;
        let each = all.iter().flat_map(|id| permission::get_value(state, caller, id, None, None));
        Resources::from(permission::on_all(caller, "BatchGetSecretValue")).and(each.collect::<Vec<_>>())
    },
    |state, caller, input, page| {
        match (&input.secret_id_list, &input.filters) {
            (Some(_), None) | (None, Some(_)) => {}
            (Some(_), Some(_)) | (None, None) => {
                let text = "You must include Filters or SecretIdList, but not both.";
                return Err(InvalidParameterException::new(text).into());
            }
        }
        let asked = asked_for(state, &caller.scope, &input, &page);
        let (mut found, mut errors) = (Vec::new(), Vec::new());
        for id in asked.items {
            match values::value_of::<Self::Error>(state, caller, &id, None, None) {
                Ok(read) => {
                    let (secret_string, secret_binary) = values::parts(&read);
                    found.push(SecretValueEntry {
                        arn: Some(read.arn),
                        created_date: Some(read.created_at),
                        name: Some(read.name.to_string()),
                        secret_binary,
                        secret_string,
                        version_id: Some(read.version.to_string()),
                        version_stages: Some(read.stages.iter().map(|stage| stage.to_string()).collect()),
                    });
                }
                Err(BatchGetSecretValueError::Fault(fault)) => return Err(fault.into()),
                Err(error) => errors.push(APIErrorType {
                    error_code: Some(error.code().to_owned()),
                    message: Some(error.message().to_owned()),
                    secret_id: Some(id),
                }),
            }
        }
        Ok(BatchGetSecretValueResponse {
            errors: Some(errors),
            next_token: asked.next,
            secret_values: Some(found),
        })
    }
);

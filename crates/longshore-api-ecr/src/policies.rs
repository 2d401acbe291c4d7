//! The policies of repositories (registry I3): IAM's, without `Resource`, as they are about the repository.

use longshore_shapes_ecr::{
    DeleteRepositoryPolicyResponse, GetRepositoryPolicyResponse, InvalidParameterException,
    RepositoryPolicyNotFoundException, SetRepositoryPolicyResponse, ops,
};
use longshore_state::State;
use longshore_tables_ecr::RepositoryKey;
use longshore_tables_ecr::record::Repository;
use longshore_tables_iam::record::ResourcePolicy;
use longshore_tables_iam::{IamState, trust};
use serde_json::Value;

use crate::input::{given, refused};
use crate::{find, permission, texts};

/// The longest text, in bytes (registry I3).
const TEXT_BYTES_MAX: usize = 10_240;

/// As it is kept: with the ids of the users and roles that it names.
fn read(state: &State, text: &str) -> Result<ResourcePolicy, InvalidParameterException> {
    let invalid = || refused("PolicyText", texts::POLICY);
    if text.len() > TEXT_BYTES_MAX || names_resources(text) {
        return Err(invalid());
    }
    let policy = ResourcePolicy::new(text).map_err(|_| invalid())?;
    let kept = trust::kept(state.iam(), policy.text()).map_err(|_| invalid())?;
    ResourcePolicy::new(&kept).map_err(|_| invalid())
}

fn names_resources(text: &str) -> bool {
    let Ok(document) = serde_json::from_str::<Value>(text) else { return false };
    let statements = match &document["Statement"] {
        Value::Array(list) => list.iter().collect(),
        one => vec![one],
    };
    let has = |statement: &&Value, member: &str| statement.get(member).is_some();
    statements.iter().any(|statement| has(statement, "Resource") || has(statement, "NotResource"))
}

fn shown(state: &State, key: &RepositoryKey, policy: &ResourcePolicy) -> String {
    trust::shown(state.iam(), key.scope.partition(), policy.text())
}

fn none(key: &RepositoryKey) -> RepositoryPolicyNotFoundException {
    RepositoryPolicyNotFoundException::new(texts::no_policy(key.name.as_str(), key.scope.account))
}

command!(
    SetRepositoryPolicy,
    |state, caller, asked| {
        let input = &asked.input;
        permission::on(state, caller, "SetRepositoryPolicy", &input.registry_id, &input.repository_name)
    },
    |tx, caller, asked| {
        let input = asked.input;
        let policy = read(tx.state(), given(&input.policy_text))?;
        let found =
            find::repository::<Self::Error>(tx.state(), caller, &input.registry_id, &input.repository_name);
        let (key, found) = found?;
        let answer = SetRepositoryPolicyResponse {
            policy_text: Some(shown(tx.state(), &key, &policy)),
            registry_id: Some(key.scope.account.to_string()),
            repository_name: Some(key.name.to_string()),
        };
        let repository = Repository { policy: Some(policy), ..Repository::clone(found.repository) };
        tx.put::<Repository>(key, repository);
        Ok(answer)
    }
);

query!(
    GetRepositoryPolicy,
    |state, caller, asked| {
        let input = &asked.input;
        permission::on(state, caller, "GetRepositoryPolicy", &input.registry_id, &input.repository_name)
    },
    |state, caller, asked| {
        let input = asked.input;
        let found =
            find::repository::<Self::Error>(state, caller, &input.registry_id, &input.repository_name);
        let (key, found) = found?;
        let policy = found.repository.policy.as_ref().ok_or_else(|| none(&key))?;
        Ok(GetRepositoryPolicyResponse {
            policy_text: Some(shown(state, &key, policy)),
            registry_id: Some(key.scope.account.to_string()),
            repository_name: Some(key.name.to_string()),
        })
    }
);

command!(
    DeleteRepositoryPolicy,
    |state, caller, asked| {
        let input = &asked.input;
        permission::on(state, caller, "DeleteRepositoryPolicy", &input.registry_id, &input.repository_name)
    },
    |tx, caller, asked| {
        let input = asked.input;
        let found =
            find::repository::<Self::Error>(tx.state(), caller, &input.registry_id, &input.repository_name);
        let (key, found) = found?;
        let policy = found.repository.policy.as_ref().ok_or_else(|| none(&key))?;
        let answer = DeleteRepositoryPolicyResponse {
            policy_text: Some(shown(tx.state(), &key, policy)),
            registry_id: Some(key.scope.account.to_string()),
            repository_name: Some(key.name.to_string()),
        };
        let repository = Repository { policy: None, ..Repository::clone(found.repository) };
        tx.put::<Repository>(key, repository);
        Ok(answer)
    }
);

//! Lifecycle policies as they are kept (registry I5). `longshore_images::lifecycle` reads them.

use longshore_images::lifecycle::Policy;
use longshore_shapes_ecr::{
    DeleteLifecyclePolicyResponse, GetLifecyclePolicyResponse, LifecyclePolicyNotFoundException,
    PutLifecyclePolicyResponse, ops,
};
use longshore_tables_ecr::RepositoryKey;
use longshore_tables_ecr::record::{Lifecycle, Repository};

use crate::input::{given, refused};
use crate::{find, permission, texts};

fn none(key: &RepositoryKey) -> LifecyclePolicyNotFoundException {
    LifecyclePolicyNotFoundException::new(texts::no_lifecycle(key.name.as_str(), key.scope.account))
}

command!(
    PutLifecyclePolicy,
    |state, caller, asked| {
        let input = &asked.input;
        permission::on(state, caller, "PutLifecyclePolicy", &input.registry_id, &input.repository_name)
    },
    |tx, caller, asked| {
        let input = asked.input;
        let text = given(&input.lifecycle_policy_text);
        Policy::parse(text).map_err(|invalid| {
            refused("LifecyclePolicyText", &format!("Lifecycle policy validation failure: {invalid}"))
        })?;
        let found =
            find::repository::<Self::Error>(tx.state(), caller, &input.registry_id, &input.repository_name);
        let (key, found) = found?;
        let lifecycle = Lifecycle { text: text.into(), evaluated_at: None };
        let answer = PutLifecyclePolicyResponse {
            lifecycle_policy_text: Some(text.to_owned()),
            registry_id: Some(key.scope.account.to_string()),
            repository_name: Some(key.name.to_string()),
        };
        let repository = Repository { lifecycle: Some(lifecycle), ..Repository::clone(found.repository) };
        tx.put::<Repository>(key, repository);
        Ok(answer)
    }
);

query!(
    GetLifecyclePolicy,
    |state, caller, asked| {
        let input = &asked.input;
        permission::on(state, caller, "GetLifecyclePolicy", &input.registry_id, &input.repository_name)
    },
    |state, caller, asked| {
        let input = asked.input;
        let found =
            find::repository::<Self::Error>(state, caller, &input.registry_id, &input.repository_name);
        let (key, found) = found?;
        let lifecycle = found.repository.lifecycle.as_ref().ok_or_else(|| none(&key))?;
        Ok(GetLifecyclePolicyResponse {
            last_evaluated_at: lifecycle.evaluated_at,
            lifecycle_policy_text: Some(lifecycle.text.to_string()),
            registry_id: Some(key.scope.account.to_string()),
            repository_name: Some(key.name.to_string()),
        })
    }
);

command!(
    DeleteLifecyclePolicy,
    |state, caller, asked| {
        let input = &asked.input;
        permission::on(state, caller, "DeleteLifecyclePolicy", &input.registry_id, &input.repository_name)
    },
    |tx, caller, asked| {
        let input = asked.input;
        let found =
            find::repository::<Self::Error>(tx.state(), caller, &input.registry_id, &input.repository_name);
        let (key, found) = found?;
        let lifecycle = found.repository.lifecycle.clone().ok_or_else(|| none(&key))?;
        let answer = DeleteLifecyclePolicyResponse {
            last_evaluated_at: lifecycle.evaluated_at,
            lifecycle_policy_text: Some(lifecycle.text.to_string()),
            registry_id: Some(key.scope.account.to_string()),
            repository_name: Some(key.name.to_string()),
        };
        let repository = Repository { lifecycle: None, ..Repository::clone(found.repository) };
        tx.put::<Repository>(key, repository);
        Ok(answer)
    }
);

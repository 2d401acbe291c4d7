//! Staging labels, each on one version, and the versions as lists show them.

use std::sync::Arc;

use longshore_shapes_secretsmanager::{
    InvalidNextTokenException, InvalidParameterException, LimitExceededException,
    ListSecretVersionIdsResponse, ResourceNotFoundException, SecretVersionsListEntry,
    UpdateSecretVersionStageResponse, ops,
};
use longshore_tables_secrets::key::{ScopedKey, Whole};
use longshore_tables_secrets::read::CURRENT;
use longshore_tables_secrets::record::{Manager, Secret, SecretVersion};
use longshore_tables_secrets::{SecretsState, kms, value};

use super::{find, permission, texts};
use crate::input::given;
use crate::paging::digits;

/// What the version gets that was current before.
pub(super) const PREVIOUS: &str = "AWSPREVIOUS";

/// The most labels of a version.
const LABELS_MAX: usize = 20;

/// Puts a label on a version, from wherever it was. The version that loses AWSCURRENT gets AWSPREVIOUS.
pub(super) fn attach<E: From<LimitExceededException>>(
    secret: &mut Secret,
    label: &str,
    id: &Arc<str>,
) -> Result<(), E> {
    let before = secret.stages.insert(label.into(), id.clone());
    if label == CURRENT
        && let Some(before) = before.filter(|before| before != id)
    {
        secret.stages.insert(PREVIOUS.into(), before);
    }
    if secret.stages.values().filter(|own| *own == id).count() > LABELS_MAX {
        let text = format!("A version has no more than {LABELS_MAX} staging labels.");
        return Err(LimitExceededException::new(text).into());
    }
    Ok(())
}

/// The labels of a version.
pub(super) fn of(secret: &Secret, id: &str) -> Vec<String> {
    let own = secret.stages.iter().filter(|(_, own)| ***own == *id);
    own.map(|(label, _)| label.to_string()).collect()
}

command!(
    SecretsManager,
    UpdateSecretVersionStage,
    |state, caller, input| {
        let access =
            permission::on_secret(state, caller, "UpdateSecretVersionStage", given(&input.secret_id));
        access.with("secretsmanager:VersionStage", given(&input.version_stage))
    },
    |tx, caller, input| {
        let found = find::live::<Self::Error>(tx.state(), caller, given(&input.secret_id))?;
        let (at, arn) = (ScopedKey::new(&found.scope, found.name), found.arn());
        let mut secret = Secret::clone(found.secret);
        let label = given(&input.version_stage);
        let of = Whole::new(&at.name, &secret.birth);
        let secrets = tx.secrets().realm(&at.scope).secrets();
        for id in [&input.move_to_version_id, &input.remove_from_version_id].into_iter().flatten() {
            if secrets.part(&of, &id.as_str().into()).is_none() {
                return Err(ResourceNotFoundException::new(texts::no_version(id)).into());
            }
        }
        let (to, from) = (input.move_to_version_id.as_deref(), input.remove_from_version_id.as_deref());
        let invalid = |text: String| Self::Error::from(InvalidParameterException::new(text));
        match (secret.stages.get(label), from) {
            (Some(own), None) if Some(&**own) != to => return Err(invalid(texts::remove_from(label, own))),
            (Some(own), Some(from)) if **own != *from => return Err(invalid(texts::remove_from(label, own))),
            (None, Some(from)) => return Err(invalid(texts::not_attached(label, from))),
            (Some(_), _) | (None, None) => {}
        }
        match to {
            Some(to) => attach::<Self::Error>(&mut secret, label, &to.into())?,
            None if label == CURRENT => return Err(invalid(texts::CURRENT_STAYS.to_owned())),
            None if from.is_none() => {
                return Err(invalid("Say MoveToVersionId, RemoveFromVersionId, or both.".to_owned()));
            }
            None => {
                secret.stages.remove(label);
            }
        }
        secret.changed_at = tx.now;
        let name = at.name.to_string();
        tx.put::<Secret>(at, secret);
        Ok(UpdateSecretVersionStageResponse { arn: Some(arn), name: Some(name) })
    }
);

/// How many versions are told at once, unless asked otherwise.
const SIZE: usize = 100;

list!(
    SecretsManager,
    ListSecretVersionIds(max_results, next_token, SIZE, InvalidNextTokenException),
    |state, caller, input, _page| permission::on_secret(
        state,
        caller,
        "ListSecretVersionIds",
        given(&input.secret_id)
    ),
    |state, caller, input, page| {
        let found = find::any(state, caller, given(&input.secret_id))?;
        let with_others = input.include_deprecated.unwrap_or(false);
        let place = |(id, version): &(&Arc<str>, &Arc<SecretVersion>)| {
            format!("{} {id}", digits(version.created_at.as_millis()))
        };
        let own = state.secrets().realm(&found.scope).secrets().parts(&found.whole());
        let mut own: Vec<_> =
            own.filter(|(id, _)| with_others || found.secret.stages.values().any(|own| own == *id)).collect();
        own.sort_by_cached_key(place);
        let paged = page.fill(own, place).map(|(id, version)| {
            let labels = of(found.secret, id);
            let at = value::key_at(&found.scope, &version.value.key);
            let is_own = at.record(state).is_some_and(|key| key.manager == Manager::Service);
            let key = if is_own {
                "DefaultEncryptionKey".to_owned()
            } else {
                kms::arn_of(&found.scope, &version.value.key)
            };
            SecretVersionsListEntry {
                created_date: Some(version.created_at),
                kms_key_ids: Some(vec![key]),
                version_id: Some(id.to_string()),
                version_stages: (!labels.is_empty()).then_some(labels),
                ..SecretVersionsListEntry::default()
            }
        });
        Ok(ListSecretVersionIdsResponse {
            arn: Some(found.arn()),
            name: Some(found.name.to_string()),
            next_token: paged.next,
            versions: Some(paged.items),
        })
    }
);

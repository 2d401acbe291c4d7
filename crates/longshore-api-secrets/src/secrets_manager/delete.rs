//! Secrets that go, and come back.

use std::time::Duration;

use longshore_shapes_secretsmanager::{
    DeleteSecretResponse, InvalidParameterException, InvalidRequestException, RestoreSecretResponse, ops,
};
use longshore_tables_secrets::SecretsState;
use longshore_tables_secrets::key::{ScopedKey, VersionKey};
use longshore_tables_secrets::record::{Deletion, Secret, SecretVersion};

use super::{find, permission, texts};
use crate::input::given;

const WINDOW_DAYS: i64 = 30;
const DAY: u64 = 24 * 3600;

/// The most versions that go with their secret at once; the sweep takes the rest.
const VERSIONS_AT_ONCE: usize = 100;

command!(
    SecretsManager,
    DeleteSecret,
    |state, caller, input| {
        let access = permission::on_secret(state, caller, "DeleteSecret", given(&input.secret_id));
        let access = match input.recovery_window_in_days {
            Some(days) => access.with("secretsmanager:RecoveryWindowInDays", days.to_string()),
            None => access,
        };
        match input.force_delete_without_recovery {
            Some(force) => access.with("secretsmanager:ForceDeleteWithoutRecovery", force.to_string()),
            None => access,
        }
    },
    |tx, caller, input| {
        let is_forced = input.force_delete_without_recovery.unwrap_or(false);
        let days = input.recovery_window_in_days;
        if is_forced && days.is_some() {
            return Err(InvalidParameterException::new(texts::FORCE_AND_WINDOW).into());
        }
        let days = days.unwrap_or(WINDOW_DAYS);
        let days = u64::try_from(days).ok().filter(|days| (7..=30).contains(days));
        let days = days.ok_or_else(|| InvalidParameterException::new(texts::WINDOW))?;
        let id = given(&input.secret_id);
        let found = match find::any(tx.state(), caller, id) {
            Ok(found) => found,
            // Whoever wants it to be gone gets what he wants (identity J9).
            Err(_missing) if is_forced => {
                return Ok(DeleteSecretResponse {
                    arn: id.starts_with("arn:").then(|| id.to_owned()),
                    deletion_date: Some(tx.now),
                    name: Some(id.to_owned()),
                });
            }
            Err(missing) => return Err(missing.into()),
        };
        let (at, arn, of) = (ScopedKey::new(&found.scope, found.name), found.arn(), found.whole());
        let (name, now) = (at.name.to_string(), tx.now);
        if is_forced {
            let versions = tx.secrets().realm(&at.scope).secrets().parts(&of);
            let versions: Vec<_> = versions.take(VERSIONS_AT_ONCE).map(|(id, _)| id.clone()).collect();
            for id in versions {
                tx.delete::<SecretVersion>(VersionKey { scope: at.scope.clone(), of: of.clone(), id });
            }
            tx.delete::<Secret>(at);
            return Ok(DeleteSecretResponse { arn: Some(arn), deletion_date: Some(now), name: Some(name) });
        }
        if found.secret.deletion.is_some() {
            return Err(InvalidRequestException::new(texts::MARKED).into());
        }
        let deletion = Deletion { asked_at: now, at: now + Duration::from_secs(days * DAY) };
        let secret = Secret { deletion: Some(deletion), ..Secret::clone(found.secret) };
        tx.put::<Secret>(at, secret);
        Ok(DeleteSecretResponse { arn: Some(arn), deletion_date: Some(deletion.at), name: Some(name) })
    }
);

command!(
    SecretsManager,
    RestoreSecret,
    |state, caller, input| permission::on_secret(state, caller, "RestoreSecret", given(&input.secret_id)),
    |tx, caller, input| {
        let found = find::any(tx.state(), caller, given(&input.secret_id))?;
        let (at, arn) = (ScopedKey::new(&found.scope, found.name), found.arn());
        let name = at.name.to_string();
        if found.secret.deletion.is_some() {
            let secret = Secret { deletion: None, ..Secret::clone(found.secret) };
            tx.put::<Secret>(at, secret);
        }
        Ok(RestoreSecretResponse { arn: Some(arn), name: Some(name) })
    }
);

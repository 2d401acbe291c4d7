//! What time brings about: secrets and keys whose waiting period is over go, keys that rotate get new material, and
//! what heads that are gone have left goes after them.

use std::sync::Arc;
use std::time::Duration;

use longshore_base::Scope;
use longshore_keyring::KeyringError;
use longshore_state::Tx;

use crate::find::KeyAt;
use crate::key::{NumberKey, ScopedKey, VersionKey, Whole};
use crate::kms;
use crate::record::{
    Alias, KeyMaterial, KeyState, KmsKey, ParameterVersion, Rotation, Secret, SecretVersion,
};
use crate::tables::{Due, Realm};
use crate::{SecretsState, SecretsTables};

/// The most records that one sweep changes, so that it fits one commit and holds nobody up.
const SWEEP_MAX: usize = 100;

/// Does what is due. True if there is more to do at once.
///
/// It looks at nothing but what waits and what was left, so that it costs next to nothing where there is neither.
///
/// # Errors
/// Without a root key, where a key has to get new material.
pub fn sweep(tx: &mut Tx<'_>) -> Result<bool, KeyringError> {
    let now = tx.now;
    let waits = |tables: &SecretsTables| -> Vec<Scope> {
        let has_work = |realm: &Realm| realm.due(now).next().is_some() || has_orphans(realm);
        tables.realms().filter(|(_, realm)| has_work(realm)).map(|(scope, _)| scope.clone()).collect()
    };
    for scope in waits(tx.secrets()) {
        let due: Vec<Due> = tx.secrets().realm(&scope).due(now).take(SWEEP_MAX).cloned().collect();
        for due in due {
            if room(tx) == 0 {
                return Ok(true);
            }
            match due {
                Due::DeleteSecret(name) => tx.delete::<Secret>(ScopedKey::new(&scope, &name)),
                Due::DeleteKey(id) => {
                    // Its aliases first: as long as one is left, it is looked at again.
                    let own = tx.secrets().realm(&scope).aliases_of(&id);
                    let own: Vec<_> = own.take(room(tx)).cloned().collect();
                    for alias in own {
                        tx.delete::<Alias>(ScopedKey::new(&scope, &alias));
                    }
                    if room(tx) == 0 {
                        return Ok(true);
                    }
                    tx.delete::<KmsKey>(ScopedKey::new(&scope, &id));
                }
                Due::RotateKey(id) => rotate(tx, &KeyAt { scope: scope.clone(), id })?,
            }
        }
        forget_orphans(tx, &scope);
        if room(tx) == 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is left of the sweep's allowance. A deletion and a rotation need two.
fn room(tx: &Tx<'_>) -> usize {
    if tx.is_heavy() { 0 } else { SWEEP_MAX.saturating_sub(tx.changed()) }
}

fn rotate(tx: &mut Tx<'_>, at: &KeyAt) -> Result<(), KeyringError> {
    let Some(key) = at.record(tx.state()).cloned() else { return Ok(()) };
    let (KeyState::Enabled, Some(Rotation { days, .. })) = (key.state, key.rotation) else { return Ok(()) };
    let number = key.material + 1;
    kms::add_material(tx, at, number)?;
    // From now on, also where several periods have passed.
    let rotation = Some(Rotation { days, next_at: tx.now + days_of(days) });
    let key = KmsKey { material: number, rotation, ..KmsKey::clone(&key) };
    tx.put::<KmsKey>(ScopedKey::new(&at.scope, &at.id), key);
    Ok(())
}

fn days_of(days: u32) -> Duration {
    Duration::from_secs(u64::from(days) * 24 * 3600)
}

fn has_orphans(realm: &Realm) -> bool {
    !realm.keys().orphans().is_empty()
        || !realm.secrets().orphans().is_empty()
        || !realm.parameters().orphans().is_empty()
}

fn forget_orphans(tx: &mut Tx<'_>, scope: &Scope) {
    let number = |of: &Whole, number: u64| NumberKey { scope: scope.clone(), of: of.clone(), number };
    let mut left = Vec::new();
    let keys = tx.secrets().realm(scope).keys();
    for of in keys.orphans() {
        left.extend(keys.parts(of).map(|(own, _)| number(of, *own)).take(SWEEP_MAX));
        if left.len() >= SWEEP_MAX {
            break;
        }
    }
    left.truncate(room(tx));
    for key in left {
        tx.delete::<KeyMaterial>(key);
    }
    let mut left = Vec::new();
    let parameters = tx.secrets().realm(scope).parameters();
    for of in parameters.orphans() {
        left.extend(parameters.parts(of).map(|(own, _)| number(of, *own)).take(SWEEP_MAX));
        if left.len() >= SWEEP_MAX {
            break;
        }
    }
    left.truncate(room(tx));
    for key in left {
        tx.delete::<ParameterVersion>(key);
    }
    let mut left = Vec::new();
    let secrets = tx.secrets().realm(scope).secrets();
    for of in secrets.orphans() {
        let key = |id: &Arc<str>| VersionKey { scope: scope.clone(), of: of.clone(), id: id.clone() };
        left.extend(secrets.parts(of).map(|(id, _)| key(id)).take(SWEEP_MAX));
        if left.len() >= SWEEP_MAX {
            break;
        }
    }
    left.truncate(room(tx));
    for key in left {
        tx.delete::<SecretVersion>(key);
    }
}

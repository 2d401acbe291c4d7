//! The keys of container instances: given for a token, and renewed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use longshore_base::{AccountId, ArnFormat, InstanceId, Region, Scope};
use longshore_domain::InstanceStatus;
use longshore_domain::status::ClusterStatus;
use longshore_keyring::{KeyringError, Sealing, SealingTx};
use longshore_link::Redacted;
use longshore_link::join::{InstanceKey as Key, Join};
use longshore_service::Caller;
use longshore_state::Tx;
use longshore_tables_ecs::record::{InstanceKey, JoinToken};
use longshore_tables_ecs::{ClusterKey, ClusterTables, EcsState};
use longshore_tables_iam::ids;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{JoinError, tokens};

const NONCE_BYTES: std::ops::RangeInclusive<usize> = 16..=128;

/// What base64 makes the 40 characters of a secret of.
const SECRET_BYTES: usize = 30;

/// The secret of an instance's key, which is kept nowhere: it follows from the id.
///
/// # Errors
/// Without a root key.
pub fn secret_of(keys: &impl Sealing, access_key_id: &str) -> Result<Zeroizing<String>, KeyringError> {
    let drawn = keys.lasting(format!("instance key\0{access_key_id}").as_bytes())?;
    Ok(Zeroizing::new(STANDARD.encode(&drawn[..SECRET_BYTES])))
}

/// Gives a machine that shows a token the key of an instance. Repeated with the same nonce, it gives the same one.
///
/// # Errors
/// The token lets nobody in; nothing was changed.
pub fn join(tx: &mut Tx<'_>, request: &Join) -> Result<Key, JoinError> {
    let Join { id, secret, account, region, cluster, nonce } = request;
    if !NONCE_BYTES.contains(&nonce.0.len()) {
        return Err(JoinError::Nonce);
    }
    let at = place(account, region, cluster).ok_or(JoinError::Invalid)?;
    let tables = tx.ecs().cluster(&at).ok_or(JoinError::Invalid)?;
    let token = tables.join_tokens().get(id.as_str()).ok_or(JoinError::Invalid)?.clone();
    // Hashes of what nobody can choose: that a comparison ends early says nothing of the secret.
    if tokens::hash(&secret.0) != token.secret_hash || !is_of(&at, tables, &token) {
        return Err(JoinError::Invalid);
    }
    if token.expires_at <= tx.now {
        return Err(JoinError::Expired);
    }
    let instance = instance_of(id, &nonce.0);
    if let Some(known) = tables.instance_keys().get(&instance).cloned() {
        let is_gone = |tables: &ClusterTables| {
            tables.instance(instance).is_some_and(|entry| entry.record.status == InstanceStatus::Inactive)
        };
        // It did not hear the first answer.
        return if is_gone(tables) { Err(JoinError::Deregistered) } else { shape(tx, &at, &known) };
    }
    if token.used >= token.uses {
        return Err(JoinError::UsedUp);
    }
    let record = InstanceKey {
        instance,
        current: ids::instance_key(at.scope.account, &*tx.draw()?),
        previous: None,
        token: token.id.clone(),
        joined_at: tx.now,
        renewed_at: tx.now,
        attributes: token.attributes.clone(),
    };
    let answer = shape(tx, &at, &record)?;
    tx.put::<JoinToken>(
        at.join_token(id.as_str()),
        JoinToken { used: token.used + 1, ..JoinToken::clone(&token) },
    );
    tx.put::<InstanceKey>(at.instance(instance), record);
    Ok(answer)
}

/// Gives an instance a new key in place of the one that it calls with, `with`. That one counts until there is a third, so
/// that a lost answer costs nothing: who calls with the older one gets the newer one again.
///
/// # Errors
/// Whoever calls is no instance with a key of its own, or one that was deregistered.
pub fn renew(tx: &mut Tx<'_>, caller: &Caller, with: &str) -> Result<Key, JoinError> {
    caller.instance().ok_or(JoinError::NoInstance)?;
    let at = tx.ecs().instance_of_key(with).ok_or(JoinError::NoInstance)?.clone();
    let tables = tx.ecs().cluster(&at.cluster).ok_or(JoinError::NoInstance)?;
    let known = tables.instance_keys().get(&at.instance).ok_or(JoinError::NoInstance)?.clone();
    match tables.instance(at.instance).map(|entry| entry.record.status) {
        Some(InstanceStatus::Inactive) => return Err(JoinError::Deregistered),
        Some(
            InstanceStatus::Registering
            | InstanceStatus::RegistrationFailed
            | InstanceStatus::Active
            | InstanceStatus::Draining
            | InstanceStatus::Deregistering,
        )
        | None => {}
    }
    if *known.current != *with {
        return shape(tx, &at.cluster, &known);
    }
    let record = InstanceKey {
        current: ids::instance_key(at.cluster.scope.account, &*tx.draw()?),
        previous: Some(known.current.clone()),
        renewed_at: tx.now,
        ..InstanceKey::clone(&known)
    };
    let answer = shape(tx, &at.cluster, &record)?;
    tx.put::<InstanceKey>(at, record);
    Ok(answer)
}

fn shape(tx: &Tx<'_>, at: &ClusterKey, record: &InstanceKey) -> Result<Key, JoinError> {
    let secret = secret_of(tx, &record.current)?;
    Ok(Key {
        access_key_id: record.current.to_string(),
        secret_access_key: Redacted(secret.to_string()),
        container_instance_arn: at.scope.instance_arn(&at.cluster, record.instance, ArnFormat::Long),
        cluster: at.cluster.to_string(),
        region: at.scope.region.to_string(),
    })
}

fn place(account: &str, region: &str, cluster: &str) -> Option<ClusterKey> {
    ClusterKey::named(Scope::new(AccountId::parse(account)?, Region::parse(region)?), cluster)
}

/// Whether the cluster is the one that the token was made for: another one may have got its name since.
fn is_of(at: &ClusterKey, tables: &ClusterTables, token: &JoinToken) -> bool {
    at.is_pool()
        || tables.record().is_some_and(|record| {
            record.status == ClusterStatus::Active && record.created_at <= token.created_at
        })
}

/// The instance that follows from a token and a nonce.
fn instance_of(token: &str, nonce: &str) -> InstanceId {
    let digest: [u8; 32] = Sha256::digest(format!("joined instance\0{token}\0{nonce}")).into();
    InstanceId::from_bits(u128::from_be_bytes(digest[..16].try_into().expect("16 of 32 bytes")))
}

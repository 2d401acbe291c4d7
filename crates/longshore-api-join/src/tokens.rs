//! Tokens: made, listed, revoked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use longshore_api_ecs::{attributes, identifiers};
use longshore_keyring::SealingTx;
use longshore_link::Redacted;
use longshore_link::join::{CreateToken, CreatedToken, Token, TokenInfo, Tokens};
use longshore_service::{Access, Caller, Resources};
use longshore_state::{State, Tx};
use longshore_tables_ecs::record::JoinToken;
use longshore_tables_ecs::{ClusterKey, ClusterTables, EcsState};
use sha2::{Digest, Sha256};

use crate::{JoinError, Server};

/// Who looks after a token for longer would rather have automation make them.
pub const TTL_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
const TTL_DEFAULT: Duration = Duration::from_secs(3600);
pub const USES_MAX: u32 = 10_000;
const USES_DEFAULT: u32 = 1;
/// Of one cluster. Those that have expired are swept away.
pub const TOKENS_MAX: usize = 1_000;

/// What whoever makes a token has to be allowed: on the cluster that it is for.
pub fn to_create(caller: &Caller, request: &CreateToken) -> Resources {
    let at = place(caller, request.cluster.as_deref());
    let named = || request.cluster.clone().unwrap_or_default();
    let on = at.map_or_else(|_| named(), |at| at.scope.cluster_arn(&at.cluster));
    Access::new("longshore:CreateJoinToken", on, caller).into()
}

pub fn to_list(caller: &Caller) -> Resources {
    Access::new("longshore:ListJoinTokens", "*", caller).into()
}

pub fn to_revoke(caller: &Caller) -> Resources {
    Access::new("longshore:RevokeJoinToken", "*", caller).into()
}

/// The cluster that a request names, or the pool, whether it is there or not.
fn place(caller: &Caller, named: Option<&str>) -> Result<ClusterKey, JoinError> {
    match identifiers::pool(caller, named) {
        Some(pool) => Ok(pool),
        None => Ok(identifiers::cluster_key(caller, named)?),
    }
}

/// Makes a token for a cluster that is in use, or for the pool.
///
/// # Errors
/// Something is asked for that cannot be; nothing was changed.
pub fn create(
    tx: &mut Tx<'_>,
    caller: &Caller,
    request: CreateToken,
    server: &Server,
) -> Result<CreatedToken, JoinError> {
    let CreateToken { cluster, ttl_seconds, uses, attributes: asked } = request;
    let ttl = ttl_seconds.map_or(TTL_DEFAULT, Duration::from_secs);
    if ttl.is_zero() || ttl > TTL_MAX {
        return Err(JoinError::Ttl);
    }
    let uses = uses.unwrap_or(USES_DEFAULT);
    if !(1..=USES_MAX).contains(&uses) {
        return Err(JoinError::Uses);
    }
    let attributes = checked(asked)?;
    let at = place(caller, cluster.as_deref())?;
    if !at.is_pool() {
        identifiers::in_use(tx.state(), &at)?;
    }
    let known = tx.ecs().cluster(&at).map_or(0, |tables| tables.join_tokens().len());
    if known >= TOKENS_MAX {
        return Err(JoinError::TooMany);
    }
    let (id, secret) = (tx.draw()?, tx.draw()?);
    let id = format!("jt-{}", hex(&id[..8]));
    let secret = URL_SAFE_NO_PAD.encode(&secret[..]);
    let record = JoinToken {
        id: id.as_str().into(),
        secret_hash: hash(&secret),
        created_at: tx.now,
        created_by: caller.principal.clone(),
        expires_at: tx.now + ttl,
        uses,
        used: 0,
        attributes,
    };
    let token = Token {
        id: id.clone(),
        secret: Redacted(secret),
        account: at.scope.account.to_string(),
        region: at.scope.region.to_string(),
        cluster: at.cluster.to_string(),
        url: server.url.clone(),
        ca: server.ca.clone(),
    };
    let about = info(&at, &record);
    tx.put::<JoinToken>(at.join_token(id), record);
    Ok(CreatedToken { token: Redacted(token.reveal()), about })
}

fn checked(asked: BTreeMap<String, String>) -> Result<BTreeMap<Arc<str>, Arc<str>>, JoinError> {
    if asked.len() > attributes::ATTRIBUTES_MAX {
        let text = format!("a join token has at most {} attributes", attributes::ATTRIBUTES_MAX);
        return Err(JoinError::Attribute(text));
    }
    let mut checked = BTreeMap::new();
    for (name, value) in asked {
        let (name, value) = attributes::checked(name, Some(value))?;
        checked.insert(name, value.unwrap_or_else(|| "".into()));
    }
    Ok(checked)
}

/// The tokens of the caller's account and region that have not been swept away.
pub fn list(state: &State, caller: &Caller) -> Tokens {
    let all = hosts(state, caller).into_iter().flat_map(|(at, tables)| {
        let tokens = tables.join_tokens().values();
        tokens.map(|token| info(&at, token)).collect::<Vec<_>>()
    });
    Tokens { tokens: all.collect() }
}

/// Ends a token.
///
/// # Errors
/// There is none of this id.
pub fn revoke(tx: &mut Tx<'_>, caller: &Caller, id: &str) -> Result<(), JoinError> {
    let found = hosts(tx.state(), caller);
    let found = found.into_iter().find(|(_, tables)| tables.join_tokens().contains_key(id));
    let Some((at, _)) = found else { return Err(JoinError::NoToken(id.chars().take(64).collect())) };
    tx.delete::<JoinToken>(at.join_token(id));
    Ok(())
}

/// Where the caller's tokens may be: its clusters, and the pool if it is the operator.
fn hosts<'s>(state: &'s State, caller: &Caller) -> Vec<(ClusterKey, &'s ClusterTables)> {
    let pool = ClusterKey::pool(caller.scope.region.clone());
    let pool = state
        .ecs()
        .cluster(&pool)
        .filter(|_| pool.scope == caller.scope)
        .map(|tables| (pool.clone(), tables));
    let clusters = state.ecs().realm(&caller.scope).into_iter().flat_map(|realm| realm.clusters());
    let clusters =
        clusters.map(|(name, tables)| (ClusterKey::new(caller.scope.clone(), name.clone()), tables));
    clusters.chain(pool).collect()
}

fn info(at: &ClusterKey, token: &JoinToken) -> TokenInfo {
    let text = |(name, value): (&Arc<str>, &Arc<str>)| (name.to_string(), value.to_string());
    TokenInfo {
        id: token.id.to_string(),
        cluster: at.cluster.to_string(),
        created_at: token.created_at.as_millis(),
        created_by: token.created_by.to_string(),
        expires_at: token.expires_at.as_millis(),
        uses: token.uses,
        used: token.used,
        attributes: token.attributes.iter().map(text).collect(),
    }
}

/// What is kept of a secret.
pub(crate) fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

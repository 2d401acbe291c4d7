//! The keys of OpenID Connect providers, fetched where they are published and kept for a while.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use longshore_api::BoxFuture;
use longshore_base::Timestamp;
use parking_lot::Mutex;

use super::jwt::Jwks;

/// Keys are fetched again when they are older than this.
const FRESH: Duration = Duration::from_secs(3600);

/// An unknown key makes them be fetched again, this often at most: anybody may name one.
const PAUSE: Duration = Duration::from_secs(60);

/// Issuers whose keys are kept. Only those are asked that are providers of an account.
const ISSUERS_MAX: usize = 256;

/// Where the keys of issuers come from.
pub trait KeySource: Send + Sync {
    /// The set of keys of an issuer, as JSON (RFC 7517).
    ///
    /// # Errors
    /// With the reason, for the log.
    fn fetch<'a>(&'a self, issuer: &'a str) -> BoxFuture<'a, Result<String, String>>;
}

/// The keys of issuers.
pub struct Issuers {
    source: Arc<dyn KeySource>,
    known: Mutex<BTreeMap<String, Known>>,
}

#[derive(Clone)]
struct Known {
    /// `None` if they could not be had.
    keys: Option<Arc<Jwks>>,
    asked_at: Timestamp,
}

impl Issuers {
    pub fn new(source: Arc<dyn KeySource>) -> Self {
        Self { source, known: Mutex::default() }
    }

    /// Fetches the keys of an issuer, unless they are there, this one among them.
    pub(super) async fn prepare(&self, issuer: &str, key_id: Option<&str>, now: Timestamp) {
        if let Some(Known { keys, asked_at }) = self.known.lock().get(issuer).cloned() {
            let age = now.since(asked_at);
            let has_it = keys.is_some_and(|keys| keys.has(key_id));
            if age < PAUSE || (has_it && age < FRESH) {
                return;
            }
        }
        let fetched = self.source.fetch(issuer).await;
        let keys =
            fetched.and_then(|text| Jwks::read(&text).ok_or_else(|| "they are no set of keys".to_owned()));
        let keys = match keys {
            Ok(keys) => Some(Arc::new(keys)),
            Err(error) => {
                tracing::warn!(issuer, error, "the keys of an OpenID Connect provider cannot be had");
                None
            }
        };
        let mut known = self.known.lock();
        if known.len() >= ISSUERS_MAX && !known.contains_key(issuer) {
            // The one that was asked longest ago.
            let oldest = known.iter().min_by_key(|(_, own)| own.asked_at).map(|(name, _)| name.clone());
            oldest.map(|name| known.remove(&name));
        }
        // Old ones are better than none.
        let keys = keys.or_else(|| known.get(issuer).and_then(|old| old.keys.clone()));
        known.insert(issuer.to_owned(), Known { keys, asked_at: now });
    }

    /// Those that were prepared.
    pub(super) fn get(&self, issuer: &str) -> Option<Arc<Jwks>> {
        self.known.lock().get(issuer)?.keys.clone()
    }
}

impl fmt::Debug for Issuers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issuers({})", self.known.lock().len())
    }
}

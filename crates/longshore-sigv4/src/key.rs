//! Secrets, the keys derived from them, and a bounded cache of those.

use std::collections::HashMap;
use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;

type HmacSha256 = Hmac<Sha256>;

/// A secret text that neither `Debug` nor an error ever shows.
#[derive(Clone)]
pub struct Secret(Box<str>);

impl Secret {
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for whoever has to hand it to its owner (a credentials file or
    /// endpoint). Named so that a call stands out in review.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Compares in a time that depends on the lengths only.
    pub fn matches(&self, other: &str) -> bool {
        let (a, b) = (self.0.as_bytes(), other.as_bytes());
        if a.len() != b.len() {
            return false;
        }
        // `black_box` keeps the optimiser from leaving the loop at the first difference.
        a.iter().zip(b).fold(0, |all, (x, y)| std::hint::black_box(all | (x ^ y))) == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What a client signs with.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret: Secret,
    /// Sent as `X-Amz-Security-Token` with temporary credentials.
    pub session_token: Option<Secret>,
}

impl Credentials {
    pub fn new(access_key_id: impl Into<String>, secret: impl Into<Box<str>>) -> Self {
        Self { access_key_id: access_key_id.into(), secret: Secret::new(secret), session_token: None }
    }
}

/// The key of one (secret, date, region, service): good for a day's requests.
///
/// Kept as a keyed HMAC state, so that a verification starts after the two key blocks.
#[derive(Clone)]
pub struct SigningKey(HmacSha256);

impl SigningKey {
    /// `date` is the `YYYYMMDD` of the credential scope.
    pub fn derive(secret: &Secret, date: &str, region: &str, service: &str) -> Self {
        let start = format!("AWS4{}", secret.0);
        let mut key = keyed(start.as_bytes());
        for part in [date, region, service, "aws4_request"] {
            key = keyed(&key.chain_update(part.as_bytes()).finalize().into_bytes());
        }
        Self(key)
    }

    pub(crate) fn signature(&self, string_to_sign: &[u8]) -> [u8; 32] {
        self.0.clone().chain_update(string_to_sign).finalize().into_bytes().into()
    }

    /// Constant-time: `hmac` compares through `subtle`, and the expected value stays inside.
    pub(crate) fn is_signature(&self, string_to_sign: &[u8], presented: &[u8; 32]) -> bool {
        self.0.clone().chain_update(string_to_sign).verify_slice(presented).is_ok()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

fn keyed(key: &[u8]) -> HmacSha256 {
    HmacSha256::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// Derived keys by credential (`AKID/date/region/service/aws4_request`), at most `capacity` of them.
///
/// Two generations: when the young one holds half the capacity it becomes the old one, and what
/// was not used since is forgotten. A lookup is one or two hash probes and allocates nothing.
/// The owner clears it when a key's secret changes.
#[derive(Debug)]
pub struct KeyCache {
    capacity: usize,
    young: HashMap<Box<str>, SigningKey>,
    old: HashMap<Box<str>, SigningKey>,
}

impl KeyCache {
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(2), young: HashMap::new(), old: HashMap::new() }
    }

    pub fn get(&mut self, credential: &str) -> Option<SigningKey> {
        if let Some(key) = self.young.get(credential) {
            return Some(key.clone());
        }
        let (name, key) = self.old.remove_entry(credential)?;
        self.insert_boxed(name, key.clone());
        Some(key)
    }

    pub fn insert(&mut self, credential: &str, key: SigningKey) {
        self.insert_boxed(credential.into(), key);
    }

    fn insert_boxed(&mut self, credential: Box<str>, key: SigningKey) {
        if self.young.len() >= self.capacity / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(credential, key);
    }

    pub fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }

    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SigningKey {
        SigningKey::derive(&Secret::new("s"), "20150830", "us-east-1", "ecs")
    }

    #[test]
    fn the_documented_derivation() {
        // The worked example of the signing documentation: IAM, 2015-08-30.
        let secret = Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let key = SigningKey::derive(&secret, "20150830", "us-east-1", "iam");
        let to_sign = "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/iam/aws4_request\n\
                       f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59";
        assert_eq!(
            crate::hex::hex(&key.signature(to_sign.as_bytes())),
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        );
    }

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_used() {
        let mut cache = KeyCache::new(8);
        cache.insert("hot", key());
        for n in 0..100 {
            cache.insert(&format!("cold-{n}"), key());
            assert!(cache.get("hot").is_some(), "after {n}");
            assert!(cache.len() <= 8, "{}", cache.len());
        }
        assert!(cache.get("cold-1").is_none());
        cache.clear();
        assert!(cache.is_empty());
    }

    #[test]
    fn nothing_secret_is_shown() {
        let mut credentials = Credentials::new("AKID", "hush-hush");
        credentials.session_token = Some(Secret::new("hush-token"));
        let shown = format!("{credentials:?} {:?}", key());
        assert!(!shown.contains("hush"), "{shown}");
    }

    #[test]
    fn secrets_compare_whole() {
        let secret = Secret::new("abc");
        assert!(secret.matches("abc"));
        for other in ["", "ab", "abd", "abcd"] {
            assert!(!secret.matches(other), "{other}");
        }
    }
}

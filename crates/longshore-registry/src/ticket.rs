//! What stands for somebody's credentials at the registry: the password of GetAuthorizationToken, and the tokens of
//! `/v2/token` (registry I7).
//!
//! It holds whose they are, sealed. So none is stored, each survives a restart, any node reads it, and what its owner may
//! do is asked anew with each request: a user who is gone has none of his rights left.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use longshore_base::{AccountId, Partition, Region, Seed, Timestamp};
use longshore_keyring::{KeyringError, Place, Sealed, Sealing};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// As at AWS (API reference, GetAuthorizationToken).
pub const LASTS: Duration = Duration::from_secs(12 * 3600);

/// The layout of what is sealed. Members are only ever appended.
const VERSION: u8 = 1;
/// Longer ones were not made here: a session token has at most 16 KiB.
const CHARS_MAX: usize = 32 * 1024;

/// Whose credentials it stands for, and for how long.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Empty for nobody in particular, in open mode.
    pub access_key_id: String,
    /// Of temporary credentials.
    pub session_token: Option<Zeroizing<String>>,
    /// The registry that it was asked for.
    pub region: Region,
    pub expires: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Content<'a>(u8, Cow<'a, str>, Option<Cow<'a, str>>, Region, i64);

impl Ticket {
    /// As a text. A seed is used once.
    ///
    /// # Errors
    /// Without a root key.
    pub fn seal(&self, keys: &impl Sealing, seed: Seed) -> Result<String, KeyringError> {
        let token = self.session_token.as_ref().map(|token| Cow::Borrowed(token.as_str()));
        let id = Cow::Borrowed(self.access_key_id.as_str());
        let content = Content(VERSION, id, token, self.region.clone(), self.expires.as_millis());
        let plain = Zeroizing::new(rmp_serde::to_vec(&content).expect("texts and numbers can be written"));
        Ok(STANDARD.encode(keys.seal_with(seed, &PLACE, &plain)?.as_bytes()))
    }

    /// Reads what [`Ticket::seal`] made, whether it has expired or not. `None` for anything else.
    pub fn open(keys: &impl Sealing, text: &str) -> Option<Self> {
        if text.len() > CHARS_MAX {
            return None;
        }
        let sealed = Sealed::from_bytes(STANDARD.decode(text).ok()?);
        let plain = keys.open(&PLACE, &sealed).ok()?;
        let content: Content<'_> = rmp_serde::from_slice(plain.as_bytes()).ok()?;
        let Content(version, access_key_id, session_token, region, expires) = content;
        (version == VERSION).then(|| Self {
            access_key_id: access_key_id.into_owned(),
            session_token: session_token.map(|token| Zeroizing::new(token.into_owned())),
            region,
            expires: Timestamp::from_millis(expires),
        })
    }
}

/// It is the same for all: whose a ticket is, only the ticket says.
const PLACE: Place<'static> = Place {
    partition: Partition::Aws,
    account: AccountId::OPERATOR,
    region: None,
    kind: "registry ticket",
    id: "",
    version: "",
};

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ticket({}, {}, until {})", self.access_key_id, self.region, self.expires.as_millis())
    }
}

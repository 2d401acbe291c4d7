//! Temporary credentials: sealed into the token that goes with them, and stored nowhere (identity J3).
//!
//! A token holds everything that has to be known of a session, sealed for its access key's id. So a session survives a
//! restart, any node verifies it, and a million of them take no room. What ends one before its time is looked at when it is
//! used: that its role is still there, by its id ([`is_live`]), and whatever its [`Session::task`] is.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use longshore_base::{AccountId, Partition, Seed, Timestamp};
use longshore_domain::tags::Tags;
use longshore_keyring::{KeyringError, Place, Sealed, Sealing};
use longshore_state::State;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::record::IdentityPolicy;
use crate::{IamState, ids};

/// The layout of what is sealed. Members are only ever appended.
const VERSION: u8 = 1;
/// What base64 makes the 40 characters of a secret of.
const SECRET_BYTES: usize = 30;
/// Longer tokens were not made here: session policies and tags are limited to a few thousand characters.
const TOKEN_CHARS_MAX: usize = 16 * 1024;

/// What is known of temporary credentials, but their secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    pub of: Of,
    pub issued_at: Timestamp,
    pub expires: Timestamp,
    /// `None`: its owner's rights are all its rights.
    pub limits: Option<Limits>,
    pub tags: Tags,
    /// The keys of those tags that go along when another role is assumed.
    pub transitive_tags: BTreeSet<Arc<str>>,
    pub source_identity: Option<Arc<str>>,
    /// The ARN of the OpenID Connect provider who proved a web identity.
    pub provider: Option<Arc<str>>,
    /// The task that it was made for: the session ends with it.
    pub task: Option<TaskRef>,
}

/// A task, in the words of whoever keeps tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRef {
    /// The account is the session's.
    pub region: Arc<str>,
    pub cluster: Arc<str>,
    pub id: Arc<str>,
}

/// Whose session it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Of {
    /// A role's that was assumed, under a name.
    Role { id: Arc<str>, name: Arc<str> },
    /// In open mode, of a role that nobody has made: it has a guest's rights (identity J1).
    Guest { role: Arc<str>, name: Arc<str> },
    /// A user's own, by GetSessionToken. One who stands only in a file has no id.
    User { id: Option<Arc<str>>, name: Arc<str> },
    /// The account's own; a guest's is worth nothing in strict mode.
    Account { is_guest: bool },
    /// GetFederationToken's: of a user (by id) or the account, under a name.
    Federated { user: Option<Arc<str>>, name: Arc<str> },
}

/// Session policies.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    pub inline: Option<IdentityPolicy>,
    /// ARNs of managed policies.
    pub managed: Vec<Arc<str>>,
}

impl Session {
    /// One that is limited by nothing.
    pub fn new(of: Of, issued_at: Timestamp, expires: Timestamp) -> Self {
        Self {
            of,
            issued_at,
            expires,
            limits: None,
            tags: Tags::new(),
            transitive_tags: BTreeSet::new(),
            source_identity: None,
            provider: None,
            task: None,
        }
    }
}

/// Temporary credentials as their owner gets them.
pub struct Issued {
    pub access_key_id: Arc<str>,
    pub secret: Zeroizing<String>,
    pub token: String,
    pub expires: Timestamp,
}

/// A token that was opened.
pub struct Opened {
    pub account: AccountId,
    pub secret: Zeroizing<String>,
    pub session: Session,
}

/// What a token turned out to be.
pub enum Token {
    /// Nothing that was made here.
    Foreign,
    /// Made here, and damaged, of another key, or of a store that was replaced.
    Broken,
    Opened(Box<Opened>),
}

#[derive(Serialize, Deserialize)]
struct Content<'a>(u8, std::borrow::Cow<'a, str>, Session);

/// Makes credentials for a session of an account. Nothing is stored. A seed is used once.
///
/// # Errors
/// Without a root key.
pub fn issue(
    keys: &impl Sealing,
    seed: Seed,
    account: AccountId,
    session: Session,
) -> Result<Issued, KeyringError> {
    let access_key_id = ids::session_key(account, &*keys.draw_with(seed.of(0))?);
    let secret = Zeroizing::new(STANDARD.encode(&keys.draw_with(seed.of(1))?[..SECRET_BYTES]));
    let expires = session.expires;
    let content = Content(VERSION, secret.as_str().into(), session);
    let plain = rmp_serde::to_vec(&content).expect("a session has no map with keys that cannot be written");
    let plain = Zeroizing::new(plain);
    let sealed = keys.seal_with(seed.of(2), &place(account, &access_key_id), &plain)?;
    Ok(Issued { access_key_id, secret, token: STANDARD.encode(sealed.as_bytes()), expires })
}

/// Opens the token that came with an access key's id. Whether the session has ended is not asked.
pub fn open(state: &State, access_key_id: &str, token: &str) -> Token {
    if token.len() > TOKEN_CHARS_MAX {
        return Token::Foreign;
    }
    let Ok(bytes) = STANDARD.decode(token) else { return Token::Foreign };
    let sealed = Sealed::from_bytes(bytes);
    if sealed.key().is_none() {
        return Token::Foreign;
    }
    let Some(account) = ids::account_of_access_key(access_key_id) else { return Token::Broken };
    let Ok(plain) = state.open(&place(account, access_key_id), &sealed) else { return Token::Broken };
    match rmp_serde::from_slice::<Content<'_>>(plain.as_bytes()) {
        Ok(Content(VERSION, secret, session)) => {
            let secret = Zeroizing::new(secret.into_owned());
            Token::Opened(Box::new(Opened { account, secret, session }))
        }
        Ok(_) | Err(_) => Token::Broken,
    }
}

/// Whether the owner of a session is still there: sessions name roles and users by their ids, and end with them.
pub fn is_live(state: &State, account: AccountId, session: &Session) -> bool {
    let realm = state.iam().realm(account);
    match &session.of {
        Of::Role { id, .. } => realm.roles().get(id).is_some(),
        Of::User { id: Some(id), .. } | Of::Federated { user: Some(id), .. } => {
            realm.users().get(id).is_some()
        }
        Of::Guest { .. }
        | Of::User { id: None, .. }
        | Of::Account { .. }
        | Of::Federated { user: None, .. } => true,
    }
}

fn place(account: AccountId, access_key_id: &str) -> Place<'_> {
    Place {
        partition: Partition::Aws,
        account,
        region: None,
        kind: "iam session",
        id: access_key_id,
        version: "",
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issued({}, until {})", self.access_key_id, self.expires.as_millis())
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, session, secret: _ } = self;
        write!(f, "Opened({account}, {session:?})")
    }
}

//! The door of a control plane: passwords and tokens are [`Ticket`]s.
//!
//! Both forms are accepted in either mode, `Basic` (`AWS:<ticket>`) and `Bearer`. What differs is what a stranger is
//! told. In strict mode it is `Basic`, as ECR does. In open mode it is `Bearer`: without credentials Docker gives up at
//! `Basic`, but fetches itself a token for nobody (registry I7).

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HOST, USER_AGENT};
use longshore_api::Visit;
use longshore_base::{Region, Timestamp};
use longshore_identity::{Claim, Identity, Mode};
use longshore_service::Caller;
use longshore_state::Db;
use zeroize::Zeroizing;

use crate::door::{Door, Stranger, Token};
use crate::route;
use crate::ticket::{LASTS, Ticket};

/// The user of every password, as at AWS.
pub const USER: &str = "AWS";
/// The service that credentials are asked about for.
const SERVICE: &str = "ecr";

pub struct Doorman {
    db: Arc<Db>,
    identity: Arc<Identity>,
    /// Of who names none, in open mode.
    region: Region,
}

impl Doorman {
    pub fn new(db: Arc<Db>, identity: Arc<Identity>, region: Region) -> Self {
        Self { db, identity, region }
    }

    fn is_open(&self) -> bool {
        match self.identity.mode() {
            Mode::Open => true,
            Mode::Strict => false,
        }
    }

    fn stranger(&self, visit: &Visit, message: &str) -> Stranger {
        let scheme = if visit.is_secure { "https" } else { "http" };
        // A host with a quotation mark in it is none that the edge lets in; this is for a readable header in any case.
        let host = visit.head.header(HOST.as_str()).filter(|host| !host.contains(['"', '\\'])).unwrap_or("");
        let challenge = match self.is_open() {
            true => format!("Bearer realm=\"{scheme}://{host}{}/token\",service=\"{host}\"", route::ROOT),
            false => format!("Basic realm=\"{scheme}://{host}/\",service=\"ecr.amazonaws.com\""),
        };
        Stranger { message: message.to_owned(), challenge }
    }

    /// The ticket that a request has with it, if it has one.
    fn presented(&self, visit: &Visit) -> Result<Option<(Zeroizing<String>, Ticket)>, Stranger> {
        let Some(header) = visit.head.header(AUTHORIZATION.as_str()) else { return Ok(None) };
        match password(header) {
            Some(text) => self.read(visit, text).map(Some),
            None => {
                Err(self
                    .stranger(visit, "the Authorization header is neither Basic nor Bearer of this registry"))
            }
        }
    }

    fn read(&self, visit: &Visit, text: Zeroizing<String>) -> Result<(Zeroizing<String>, Ticket), Stranger> {
        // What was sealed is durable, or nobody was given it.
        let ticket = self.db.peek(|state| Ticket::open(state, &text));
        match ticket {
            Some(ticket) if ticket.expires > visit.now => Ok((text, ticket)),
            Some(_) => {
                let text = "Your authorization token has expired. Reauthenticate and try again.";
                Err(self.stranger(visit, text))
            }
            None => Err(self.stranger(visit, "the password or token is not of this registry; log in again")),
        }
    }

    fn caller(&self, visit: &Visit, ticket: &Ticket) -> Result<Caller, Stranger> {
        let claim = Claim {
            access_key_id: &ticket.access_key_id,
            session_token: ticket.session_token.as_deref().map(String::as_str),
            service: SERVICE,
        };
        let recognised = self.identity.recognise(claim, ticket.region.clone(), visit.now);
        let principal = recognised.map_err(|error| self.stranger(visit, &error.to_string()))?;
        Ok(Caller {
            scope: principal.scope,
            principal: principal.arn,
            kind: principal.kind,
            name: principal.name,
            id: principal.id,
            session: principal.session,
            source_ip: Some(visit.source_ip),
            is_secure: visit.is_secure,
            user_agent: visit.head.header(USER_AGENT.as_str()).map(Into::into),
        })
    }

    /// A ticket for nobody in particular.
    fn anonymous(&self, visit: &Visit) -> Result<(Zeroizing<String>, Ticket), Stranger> {
        let ticket = Ticket {
            access_key_id: String::new(),
            session_token: None,
            region: self.region.clone(),
            expires: visit.now + LASTS,
        };
        let seed = self.db.draw_seed();
        match self.db.peek(|state| ticket.seal(state, seed)) {
            Ok(text) => Ok((Zeroizing::new(text), ticket)),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "no token can be made");
                Err(self.stranger(visit, "the registry can make no tokens; its log says why"))
            }
        }
    }
}

impl Door for Doorman {
    fn enter(&self, visit: &Visit) -> Result<Caller, Stranger> {
        match self.presented(visit)? {
            Some((_, ticket)) => self.caller(visit, &ticket),
            None => Err(self.stranger(visit, "no basic auth credentials")),
        }
    }

    fn token(&self, visit: &Visit, form: Option<&str>) -> Result<Token, Stranger> {
        let presented = match form {
            Some(form) => {
                let password = route::parameter(form, "password").map(Zeroizing::new);
                let is_ours = route::parameter(form, "username").as_deref() == Some(USER);
                match password.filter(|_| is_ours) {
                    Some(text) => Some(self.read(visit, text)?),
                    None => return Err(self.stranger(visit, "the form has no username AWS with a password")),
                }
            }
            None => self.presented(visit)?,
        };
        let (text, ticket) = match presented {
            Some(presented) => presented,
            None if self.is_open() => self.anonymous(visit)?,
            None => return Err(self.stranger(visit, "no basic auth credentials")),
        };
        self.caller(visit, &ticket)?;
        // The password does for a token: both end together, and nothing is gained by another text.
        Ok(Token { text, expires_in: seconds(visit.now, ticket.expires) })
    }
}

fn seconds(now: Timestamp, until: Timestamp) -> u64 {
    u64::try_from(until.as_millis() - now.as_millis()).unwrap_or(0) / 1000
}

/// The ticket's text in an `Authorization` header.
fn password(header: &str) -> Option<Zeroizing<String>> {
    let (scheme, rest) = header.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("Bearer") {
        return Some(Zeroizing::new(rest.to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let decoded = Zeroizing::new(String::from_utf8(STANDARD.decode(rest).ok()?).ok()?);
    let (user, password) = decoded.split_once(':')?;
    (user == USER).then(|| Zeroizing::new(password.to_owned()))
}

//! A request, from its head to what answers it.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, HOST};
use http::{Method, Response, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt, Limited};
use longshore_api::{Body, BoxFuture, Head, Place, Visit};
use longshore_base::Timestamp;
use longshore_blobs::Blobs;
use longshore_images::RepositoryName;
use longshore_service::{Attempt, Caller, Guard, Resources};
use longshore_state::{Db, State};
use longshore_tables_blobs::Locks;
use longshore_tables_ecr::EcrState;
use longshore_tables_ecr::tables::Found;
use serde_json::json;
use zeroize::Zeroizing;

use crate::address::Address;
use crate::answer::{API_VERSION, Answer};
use crate::door::{Door, Stranger};
use crate::permission;
use crate::refusal::{Code, Refusal};
use crate::route::{self, Route};

/// The registry. Cheap to clone.
#[derive(Clone)]
pub struct Registry(pub(crate) Arc<Parts>);

pub(crate) struct Parts {
    pub db: Arc<Db>,
    pub blobs: Arc<dyn Blobs>,
    pub locks: Locks,
    pub guard: Arc<dyn Guard>,
    pub door: Arc<dyn Door>,
}

/// A request about a repository.
pub(crate) struct Asked {
    pub caller: Caller,
    pub address: Address,
    pub head: Arc<Head>,
    pub now: Timestamp,
}

impl Asked {
    pub fn query(&self, name: &str) -> Option<String> {
        route::parameter(self.head.query(), name)
    }

    /// A path below the repository, as the client spells it. Relative, so that the client stays where it is.
    pub fn path(&self, rest: &str) -> String {
        format!("{}/{}/{rest}", route::ROOT, self.address.spelled)
    }
}

pub(crate) fn no_repository(address: &Address) -> Refusal {
    let text = format!(
        "The repository with name '{}' does not exist in the registry with id '{}'",
        address.name, address.scope.account
    );
    Refusal::new(Code::NameUnknown, text)
}

impl Registry {
    /// `locks` are those that everything uses which works with `blobs`.
    pub fn new(
        db: Arc<Db>,
        blobs: Arc<dyn Blobs>,
        locks: Locks,
        guard: Arc<dyn Guard>,
        door: Arc<dyn Door>,
    ) -> Self {
        Self(Arc::new(Parts { db, blobs, locks, guard, door }))
    }

    async fn run(&self, visit: Visit) -> Result<Answer, Refusal> {
        let route = route::route(visit.head.path());
        if let Ok(Route::Token) = route {
            return self.token(visit).await;
        }
        let caller = self.0.door.enter(&visit).map_err(turned_away)?;
        let method = visit.head.method.clone();
        match route? {
            Route::Token => Err(Refusal::method("GET, POST")),
            Route::Base => match method {
                Method::GET | Method::HEAD => Ok(Answer::json(&json!({}))),
                _ => Err(Refusal::method("GET, HEAD")),
            },
            Route::Catalog => match method {
                Method::GET => self.catalog(&caller, &visit.head, visit.now).await,
                _ => Err(Refusal::method("GET")),
            },
            Route::Tags(name) => {
                let (asked, _) = asked(caller, name, visit)?;
                match method {
                    Method::GET => self.tags(asked).await,
                    _ => Err(Refusal::method("GET")),
                }
            }
            Route::Referrers(name, digest) => {
                let (asked, _) = asked(caller, name, visit)?;
                match method {
                    Method::GET => self.referrers(asked, digest).await,
                    _ => Err(Refusal::method("GET")),
                }
            }
            Route::Manifest(name, reference) => {
                let (asked, body) = asked(caller, name, visit)?;
                match method {
                    Method::GET | Method::HEAD => self.manifest(asked, reference).await,
                    Method::PUT => self.put_manifest(asked, reference, body).await,
                    Method::DELETE => self.delete_manifest(asked, reference).await,
                    _ => Err(Refusal::method("GET, HEAD, PUT, DELETE")),
                }
            }
            Route::Blob(name, digest) => {
                let (asked, _) = asked(caller, name, visit)?;
                match method {
                    Method::HEAD => self.head_blob(asked, digest).await,
                    Method::GET => self.blob(asked, digest).await,
                    Method::DELETE => self.delete_blob(asked, digest).await,
                    _ => Err(Refusal::method("GET, HEAD, DELETE")),
                }
            }
            Route::Uploads(name) => {
                let (asked, body) = asked(caller, name, visit)?;
                match method {
                    Method::POST => self.begin_upload(asked, body).await,
                    _ => Err(Refusal::method("POST")),
                }
            }
            Route::Upload(name, id) => {
                let (asked, body) = asked(caller, name, visit)?;
                match method {
                    Method::GET | Method::HEAD => self.upload(asked, id).await,
                    Method::PATCH => self.append(asked, id, body).await,
                    Method::PUT => self.end_upload(asked, id, body).await,
                    Method::DELETE => self.cancel_upload(asked, id).await,
                    _ => Err(Refusal::method("GET, PATCH, PUT, DELETE")),
                }
            }
        }
    }
}

fn turned_away(stranger: Stranger) -> Refusal {
    Refusal::unauthorized(stranger.message, &stranger.challenge)
}

/// What is asked, apart from the body, which only its taker may hold.
fn asked(caller: Caller, spelled: RepositoryName, visit: Visit) -> Result<(Asked, Body), Refusal> {
    let host = visit.head.header(HOST.as_str());
    let address = Address::of(host, spelled, &caller.scope)?;
    let Visit { head, now, body, .. } = visit;
    Ok((Asked { caller, address, head, now }, body))
}

/// The longest form that asks for a token: a session token has 16 KiB, and is escaped.
const FORM_BYTES_MAX: usize = 64 * 1024;

impl Registry {
    /// Gives a token for what came with the request. Docker asks with `Basic`, containerd with a form first (registry
    /// I7). There is no refresh token: Docker would keep it in the place of the password.
    async fn token(&self, mut visit: Visit) -> Result<Answer, Refusal> {
        let form = match visit.head.method {
            Method::GET => None,
            Method::POST => {
                let body = std::mem::replace(&mut visit.body, Body::from(""));
                let bytes = Limited::new(body, FORM_BYTES_MAX).collect().await;
                let bytes = bytes
                    .map_err(|_| Refusal::new(Code::SizeInvalid, "the form is too long, or broke off"))?;
                let text = String::from_utf8(bytes.to_bytes().into());
                Some(text.map_err(|_| Refusal::new(Code::Unauthorized, "the form is no text"))?)
            }
            _ => return Err(Refusal::method("GET, POST")),
        };
        let form = form.map(Zeroizing::new);
        let token =
            self.0.door.token(&visit, form.as_ref().map(|form| form.as_str())).map_err(turned_away)?;
        let text = token.text.as_str();
        Ok(Answer::json(&json!({"token": text, "access_token": text, "expires_in": token.expires_in})))
    }
}

impl Parts {
    /// Asks whether the caller may do all of this to a repository, whether it is there or not.
    pub fn allow(
        &self,
        state: &State,
        caller: &Caller,
        now: Timestamp,
        address: &Address,
        actions: &[&str],
    ) -> Result<(), Refusal> {
        let Address { scope, name, .. } = address;
        let ask = |action: &&str| permission::on(state, caller, action, scope, name.as_str());
        let resources = || actions.iter().map(ask).collect::<Resources>();
        let attempt = Attempt::new(state, caller, now, &resources).policed(true);
        // The official agent tells its user what to do by these words (registry I7).
        self.guard.allow(&attempt).map_err(|denied| Refusal::new(Code::Denied, denied.to_string()))
    }

    /// The same about all repositories of the caller's registry.
    pub fn allow_all(
        &self,
        state: &State,
        caller: &Caller,
        now: Timestamp,
        action: &str,
    ) -> Result<(), Refusal> {
        let resources = || Resources::from(permission::on(state, caller, action, &caller.scope, "*"));
        let attempt = Attempt::new(state, caller, now, &resources);
        self.guard.allow(&attempt).map_err(|denied| Refusal::new(Code::Denied, denied.to_string()))
    }

    /// The same about one repository, which it gives.
    pub fn enter<'s>(&self, state: &'s State, asked: &Asked, actions: &[&str]) -> Result<Found<'s>, Refusal> {
        self.allow(state, &asked.caller, asked.now, &asked.address, actions)?;
        let Address { scope, name, .. } = &asked.address;
        state.ecr().find(scope, name).ok_or_else(|| no_repository(&asked.address))
    }
}

impl Place for Registry {
    fn serves(&self, path: &str) -> bool {
        route::serves(path)
    }

    fn answer(&self, visit: Visit) -> BoxFuture<'_, Response<Body>> {
        Box::pin(async move {
            let is_head = visit.head.method == Method::HEAD;
            let answer = match self.run(visit).await {
                Ok(answer) => answer,
                Err(refusal) => Answer::from(refusal),
            };
            let mut response = answer.with(API_VERSION, "registry/2.0").done();
            let may_have_length = response.status() != StatusCode::NO_CONTENT;
            if may_have_length
                && !response.headers().contains_key(CONTENT_LENGTH)
                && let Some(bytes) = response.body().size_hint().exact()
            {
                response.headers_mut().insert(CONTENT_LENGTH, bytes.into());
            }
            // The length stays: it is that of the answer to GET.
            if is_head {
                *response.body_mut() = Body::from("");
            }
            response
        })
    }
}

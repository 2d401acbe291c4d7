//! One request, from its head to where it goes: an API, an agent's socket, or one of the fixed paths.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use hyper::body::Incoming;
use longshore_api::{Head, RequestId};
use longshore_base::host::FROM_CONTAINER;
use longshore_base::{Ids, Timestamp};
use longshore_identity::{AuthError, Principal, PrincipalKind};
use longshore_sigv4::{BodyReader, Headers, SigError};
use longshore_wire::Protocol;
use longshore_wire::route::{self, Routing};

use crate::answer::{Answer, plain};
use crate::server::{Peer, Phase, Shared};
use crate::{call, place, socket};

/// The service whose buckets may be named by a host.
pub(crate) const S3: &str = "s3";

/// The headers of a request, as the verifier reads them.
struct HeaderView<'a>(&'a HeaderMap);

impl Headers for HeaderView<'_> {
    fn each<'h>(&'h self, name: &str, see: &mut dyn FnMut(&'h [u8])) {
        for value in self.0.get_all(name) {
            see(value.as_bytes());
        }
    }
}

/// A request on its way, as far as its head goes.
pub(crate) struct Asking<'s> {
    pub(crate) shared: &'s Arc<Shared>,
    pub(crate) peer: &'s Peer,
    pub(crate) id: RequestId,
    pub(crate) head: Arc<Head>,
    /// As it was sent and signed, if the head's has the bucket of its host.
    sent_uri: Option<Uri>,
    /// The service that its signature names, not verified; or that its path leads to, if it is not signed.
    claimed: Option<String>,
}

impl<'s> Asking<'s> {
    fn new(shared: &'s Arc<Shared>, peer: &'s Peer, head: Head) -> Self {
        let drawn = shared.requests_drawn.fetch_add(1, Ordering::Relaxed);
        let id = RequestId::new(Ids::new(shared.request_ids.of(drawn)).uuid());
        let headers = HeaderView(&head.headers);
        let claimed = longshore_sigv4::claimed_service(&signed_part(&head.method, &head.uri, &headers));
        Self { shared, peer, id, head: Arc::new(head), sent_uri: None, claimed }
    }

    /// Puts the bucket that its host names before its path, where that is done. Whether it was.
    ///
    /// Only of what is signed for S3, or not at all: then the path still has to be one that S3 claims.
    fn take_bucket(&mut self) -> bool {
        let may_be = self.shared.has_buckets && self.claimed.as_deref().is_none_or(|claimed| claimed == S3);
        // Operations of other services are named by this, and by forms, which are posted to no bucket's key.
        if !may_be || self.head.headers.contains_key("x-amz-target") {
            return false;
        }
        let Some(bucket) = self.shared.site.bucket(&self.head.headers) else { return false };
        let Some(uri) = with_bucket(&self.head.uri, &bucket) else { return false };
        let Head { method, uri: sent, headers } = (*self.head).clone();
        let head = Head { method, uri, headers };
        if self.claimed.is_none() && !self.shared.services.apis.iter().any(|api| api.claims(&head)) {
            return false;
        }
        (self.sent_uri, self.head) = (Some(sent), Arc::new(head));
        true
    }

    /// Where it goes. Without its body, some requests do not say.
    pub(crate) fn route(&self, body: Option<&[u8]>) -> Routing {
        let headers = self.routing_headers();
        route::route(&self.said(&headers), body, &self.shared.known)
    }

    /// The protocol in which it is refused before it is known what it asks for.
    pub(crate) fn guess(&self) -> Protocol {
        let headers = self.head.pairs();
        route::guess(&self.said(&headers))
    }

    /// The headers by which it is routed. Below the root only the REST protocols have operations, and theirs may hang on any
    /// header; S3's at the root, too.
    fn routing_headers(&self) -> Vec<(&str, &str)> {
        if self.head.path() != "/" || self.claimed.as_deref() == Some(S3) {
            return self.head.pairs();
        }
        let mut few = Vec::with_capacity(4);
        for name in ["x-amz-target", "content-type", "smithy-protocol"] {
            let values = self.head.headers.get_all(name).iter();
            few.extend(values.filter_map(|value| Some((name, std::str::from_utf8(value.as_bytes()).ok()?))));
        }
        few
    }

    fn said<'a>(&'a self, headers: &'a [(&'a str, &'a str)]) -> route::Head<'a> {
        route::Head {
            method: self.head.method.as_str(),
            path: self.head.path(),
            query: self.head.query(),
            headers,
            claimed: self.claimed.as_deref(),
        }
    }

    /// The signing name of the API to which a request without a signature belongs by its path, if there is one.
    fn claimed_by_api(&self) -> Option<&'static str> {
        if self.claimed.is_some() {
            return None;
        }
        let apis = &self.shared.services.apis;
        let api = apis.iter().find(|api| api.claims(&self.head))?;
        Some(api.facts().schema.signing_name)
    }

    /// Who signed it, in the time that a service allows.
    pub(crate) fn authenticate(
        &self,
        body: &[u8],
        now: Timestamp,
        window: Duration,
    ) -> Result<Principal, AuthError> {
        let headers = HeaderView(&self.head.headers);
        let who =
            self.shared.services.identity.authenticate(&self.signed_part(&headers), body, now, window)?;
        self.admit(who)
    }

    /// The same before the body is there, and what reads and verifies that.
    pub(crate) fn authenticate_head(
        &self,
        now: Timestamp,
        window: Duration,
    ) -> Result<(Principal, BodyReader), AuthError> {
        let headers = HeaderView(&self.head.headers);
        let identity = &self.shared.services.identity;
        let (who, body) = identity.authenticate_head(&self.signed_part(&headers), now, window)?;
        Ok((self.admit(who)?, body))
    }

    /// A container is not the person at the machine: what an agent hands on for one is signed with a known key, in open mode
    /// too. Guests whom a token proves are known.
    fn admit(&self, who: Principal) -> Result<Principal, AuthError> {
        let is_unknown = who.kind == PrincipalKind::Guest && who.session.is_none();
        match is_unknown && self.head.headers.contains_key(FROM_CONTAINER) {
            true => Err(AuthError::Unrecognized),
            false => Ok(who),
        }
    }

    /// The body of a request that nobody signed.
    pub(crate) fn anonymous_reader(&self) -> Result<BodyReader, SigError> {
        let headers = HeaderView(&self.head.headers);
        longshore_sigv4::anonymous_reader(&self.signed_part(&headers))
    }

    /// Whether its body comes in chunks of AWS's own, which are no part of what it means.
    pub(crate) fn is_chunked(&self) -> bool {
        let headers = HeaderView(&self.head.headers);
        longshore_sigv4::is_chunked(&self.signed_part(&headers))
    }

    fn signed_part<'a>(&'a self, headers: &'a HeaderView<'a>) -> longshore_sigv4::Request<'a> {
        signed_part(&self.head.method, self.sent_uri.as_ref().unwrap_or(&self.head.uri), headers)
    }
}

fn signed_part<'a>(
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderView<'a>,
) -> longshore_sigv4::Request<'a> {
    let query = uri.query().unwrap_or("");
    longshore_sigv4::Request { method: method.as_str(), path: uri.path(), query, headers }
}

/// `/BUCKET` before the path. The authority, which only proxies are sent, stays to be looked at.
fn with_bucket(uri: &Uri, bucket: &str) -> Option<Uri> {
    let path = uri.path();
    let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
    let path = if path == "/" { "" } else { path };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("/{bucket}{path}{query}").parse().ok()?);
    Uri::from_parts(parts).ok()
}

pub(crate) async fn handle(
    shared: Arc<Shared>,
    peer: Peer,
    request: Request<Incoming>,
) -> Result<Answer, Infallible> {
    peer.slot.is_used.store(true, Ordering::Relaxed);
    let (Parts { method, uri, headers, extensions, .. }, incoming) = request.into_parts();
    let mut asking = Asking::new(&shared, &peer, Head { method, uri, headers });
    let has_bucket = asking.take_bucket() && asking.claimed.is_some();
    let Head { method, uri, headers } = &*asking.head.clone();
    let mode = shared.services.identity.mode();
    if let Err(foreign) = shared.site.check_host(mode, uri, headers, has_bucket) {
        return Ok(call::refuse_foreign(asking, incoming, &foreign).await);
    }
    // A bucket may be called as a place's path begins; its requests are signed.
    if asking.claimed.as_deref() != Some(S3)
        && let Some(place) = shared.services.places.iter().find(|place| place.serves(uri.path()))
    {
        return Ok(place::visit(asking, incoming, &**place).await);
    }
    let routing = asking.route(None);
    if routing != Routing::Elsewhere {
        return Ok(call::answer_api(asking, incoming, routing).await);
    }
    let is_probe = matches!(*method, Method::GET | Method::HEAD);
    let serves_socket = |path| shared.services.sockets.as_ref().is_some_and(|sockets| sockets.serves(path));
    Ok(match uri.path() {
        "/healthz" if is_probe => plain(StatusCode::OK, "ok\n", &asking.id),
        "/readyz" if is_probe => readiness(&shared, &asking.id),
        "/metrics" if is_probe => metrics(&shared, &asking.id),
        path if serves_socket(path) => Box::pin(socket::upgrade(asking, incoming, extensions)).await,
        _api if *method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) => {
            call::answer_api(asking, incoming, routing).await
        }
        _unknown => match asking.claimed_by_api() {
            Some(claimed) => {
                let asking = Asking { claimed: Some(claimed.to_owned()), ..asking };
                let routing = asking.route(None);
                call::answer_api(asking, incoming, routing).await
            }
            None => plain(StatusCode::NOT_FOUND, "nothing is served here\n", &asking.id),
        },
    })
}

fn readiness(shared: &Shared, id: &RequestId) -> Answer {
    let (is_ready, text) = shared.services.ready.report();
    plain(if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, text, id)
}

fn metrics(shared: &Shared, id: &RequestId) -> Answer {
    let mut response = plain(StatusCode::OK, shared.services.metrics.encode(), id);
    let open_metrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(open_metrics));
    response
}

/// Whether new work is still taken.
pub(crate) fn is_serving(shared: &Shared) -> bool {
    *shared.phase.borrow() == Phase::Serving
}

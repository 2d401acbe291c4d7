//! The client's side: make the headers or the query that [`crate::Presented`] reads.

use std::time::Duration;

use longshore_base::{Timestamp, percent};
use sha2::{Digest, Sha256};

use crate::ALGORITHM;
use crate::canonical::{self, PathStyle, Request};
use crate::hex::hex;
use crate::key::{Credentials, SigningKey};

/// A request about to be signed.
///
/// Every header given here is signed; `host` must be among them, and names may come in any case.
#[derive(Clone, Copy, Debug)]
pub struct ToSign<'a> {
    pub method: &'a str,
    /// As it will be sent: percent-encoded once.
    pub path: &'a str,
    /// As it will be sent, without the question mark.
    pub query: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
}

/// The headers that make `request` a signed one: `x-amz-date`, `authorization` and, with
/// temporary credentials, `x-amz-security-token`.
///
/// What is signed of the body is its hash, unless a header `x-amz-content-sha256` says something else
/// (`UNSIGNED-PAYLOAD`, or how chunks are signed).
pub fn sign(
    request: &ToSign<'_>,
    credentials: &Credentials,
    region: &str,
    service: &str,
    now: Timestamp,
) -> Vec<(&'static str, String)> {
    let (date, day) = canonical::date_forms(now);
    let token = credentials.session_token.as_ref().map(|token| token.reveal());
    let mut headers = request.headers.to_vec();
    headers.push(("x-amz-date", &date));
    if let Some(token) = token {
        headers.push(("x-amz-security-token", token));
    }
    let signed_headers = names(&headers);
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let payload = request
        .headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("x-amz-content-sha256"))
        .map_or_else(|| hex(&Sha256::digest(request.body)), |(_, stated)| (*stated).to_owned());

    let headers = headers.as_slice();
    let parts =
        Request { method: request.method, path: request.path, query: request.query, headers: &headers };
    let mut text = Vec::with_capacity(512);
    canonical::write(&mut text, &parts, PathStyle::of(service), &signed_headers, payload.as_bytes());
    let key = SigningKey::derive(&credentials.secret, &day, region, service);
    let signature = hex(&key.signature(&canonical::string_to_sign(&date, &scope, &text)));

    let authorization = format!(
        "{ALGORITHM} Credential={}/{scope}, SignedHeaders={signed_headers}, Signature={signature}",
        credentials.access_key_id
    );
    let token = token.map(|token| ("x-amz-security-token", token.to_owned()));
    [("x-amz-date", date), ("authorization", authorization)].into_iter().chain(token).collect()
}

/// The whole query (old and new parameters) that makes `request` a presigned one, good for
/// `expires` (whole seconds, at most seven days) from `now` on.
pub fn presign(
    request: &ToSign<'_>,
    credentials: &Credentials,
    region: &str,
    service: &str,
    now: Timestamp,
    expires: Duration,
) -> String {
    let (date, day) = canonical::date_forms(now);
    let signed_headers = names(request.headers);
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let separator = if request.query.is_empty() { "" } else { "&" };
    let mut query = format!(
        "{}{separator}X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={}&X-Amz-Date={date}&X-Amz-Expires={}\
         &X-Amz-SignedHeaders={}",
        request.query,
        percent::encode(&format!("{}/{scope}", credentials.access_key_id)),
        expires.as_secs(),
        percent::encode(&signed_headers),
    );
    if let Some(token) = &credentials.session_token {
        query.push_str("&X-Amz-Security-Token=");
        query.push_str(&percent::encode(token.reveal()));
    }
    // S3 takes presigned uploads of bodies that whoever signed does not know.
    let payload = match service {
        "s3" => "UNSIGNED-PAYLOAD".to_owned(),
        _other => hex(&Sha256::digest(request.body)),
    };
    let parts =
        Request { method: request.method, path: request.path, query: &query, headers: &request.headers };
    let mut text = Vec::with_capacity(512);
    canonical::write(&mut text, &parts, PathStyle::of(service), &signed_headers, payload.as_bytes());
    let key = SigningKey::derive(&credentials.secret, &day, region, service);
    let signature = hex(&key.signature(&canonical::string_to_sign(&date, &scope, &text)));
    query.push_str("&X-Amz-Signature=");
    query.push_str(&signature);
    query
}

/// `host;x-amz-date`: sorted, in lower case, each once.
fn names(headers: &[(&str, &str)]) -> String {
    let mut names: Vec<String> = headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort_unstable();
    names.dedup();
    names.join(";")
}

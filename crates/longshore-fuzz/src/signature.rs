//! Signatures: what strangers present, and what a genuine one is worth after a change.

use std::time::Duration;

use longshore_base::{Timestamp, percent};
use longshore_sigv4::{
    CLOCK_SKEW, Credentials, Presented, Request, Secret, SigError, SigningKey, ToSign, claimed_service,
    presign, sign,
};

/// The latest time of signing, in seconds since 1970. It is in a year of four digits, as `x-amz-date` has room for.
const LATEST_SECS: i64 = 250_000_000_000;

/// Headers that the signer writes itself.
const OURS: [&str; 4] = ["authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"];

/// A request as text: `METHOD PATH?QUERY`, headers, an empty line, the body. It takes more than an HTTP server would,
/// which refuses most of this before a signature is looked at.
struct Sent<'a> {
    method: &'a str,
    path: &'a str,
    query: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    body: &'a [u8],
}

impl<'a> Sent<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let end = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap_or(bytes.len());
        let body = bytes.get(end + 2..).unwrap_or_default();
        let mut lines = std::str::from_utf8(&bytes[..end]).ok()?.split('\n');
        let (method, target) = lines.next()?.split_once(' ').unwrap_or(("GET", "/"));
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = lines.take(100).filter_map(|line| line.split_once(':')).collect();
        Some(Self { method, path, query, headers, body })
    }

    fn request<'r>(&'r self, headers: &'r &'r [(&'r str, &'r str)]) -> Request<'r> {
        Request { method: self.method, path: self.path, query: self.query, headers }
    }
}

pub fn run(bytes: &[u8]) {
    let Some(sent) = Sent::read(bytes) else { return };
    presented(&sent);
    components(&sent);
    genuine(&sent);
}

/// Whatever is presented is read or refused, and never believed without its key.
fn presented(sent: &Sent<'_>) {
    let headers = sent.headers.as_slice();
    let request = sent.request(&headers);
    let presented = match Presented::parse(&request) {
        Ok(presented) => presented,
        Err(error) => {
            assert!(error.to_string().len() < 400 + sent.query.len());
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    // The service that a request is routed by is the one that its signature is verified for.
    assert_eq!(claimed_service(&request).as_deref(), Some(presented.service()));
    let credential = presented.credential();
    assert!(credential.len() <= 256 && credential.ends_with("/aws4_request"));
    assert!(credential.starts_with(presented.access_key_id()));
    assert_eq!(credential.split('/').count(), 5);
    for part in [presented.access_key_id(), presented.region(), presented.service()] {
        assert!(!part.is_empty() && !part.contains('/'));
    }
    for now in [Timestamp::MIN, Timestamp::from_millis(0), presented.time(), Timestamp::MAX] {
        let _ = presented.check_time(now, CLOCK_SKEW);
    }
    assert_eq!(presented.check_time(presented.time(), CLOCK_SKEW), Ok(()));
    // A key that nobody has: the input cannot contain its signature but by a chance of one in 2^256.
    let key = presented.signing_key(&Secret::new("a secret that no input knows"));
    assert!(presented.verify(&request, &key, sent.body).is_err());
}

/// Percent-encoding is reversible, and a text has one encoded form.
fn components(sent: &Sent<'_>) {
    for text in [sent.query, sent.path] {
        let encoded = percent::encode(text);
        assert!(encoded.len() <= 3 * text.len());
        assert_eq!(percent::decode(&encoded).as_deref(), Some(text));
        if let Some(decoded) = percent::decode(text) {
            let once = percent::encode(&decoded);
            let twice = percent::decode(&once).map(|decoded| percent::encode(&decoded));
            assert_eq!(twice.as_deref(), Some(once.as_str()));
        }
    }
}

/// A request that was signed is accepted, and refused after any change to it.
fn genuine(sent: &Sent<'_>) {
    // Another signature in the query would make it a request with two.
    let query = if sent.query.contains("X-Amz-") { "" } else { sent.query };
    let is_token = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.!#$%&'*+^`|~".contains(&b))
    };
    let mut headers: Vec<(&str, &str)> = sent
        .headers
        .iter()
        .copied()
        .filter(|(name, _)| is_token(name) && !OURS.iter().any(|ours| ours.eq_ignore_ascii_case(name)))
        .collect();
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        headers.push(("host", "localhost:8722"));
    }
    let seed = sent.body.iter().fold(sent.path.len(), |sum, byte| sum.wrapping_mul(31) + usize::from(*byte));
    let now = Timestamp::from_millis((seed as i64).rem_euclid(LATEST_SECS) * 1000);
    let mut credentials = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    if seed.is_multiple_of(3) {
        credentials.session_token = Some(Secret::new("a token/with+more=="));
    }
    let service = if seed.is_multiple_of(2) { "ecs" } else { "s3" };
    let to_sign = ToSign { method: sent.method, path: sent.path, query, headers: &headers, body: sent.body };
    let signed = sign(&to_sign, &credentials, "us-east-1", service, now);
    let all: Vec<(&str, &str)> =
        headers.iter().copied().chain(signed.iter().map(|(name, value)| (*name, value.as_str()))).collect();
    let genuine = Signed { sent, path: sent.path, query, headers: &all, credentials: &credentials };
    assert_eq!(genuine.verdict(sent.method, sent.body), Ok(()));
    genuine.survives_what_means_the_same();
    genuine.breaks_when_changed(seed);

    let expires = Duration::from_secs(1 + (seed as u64) % (7 * 24 * 3600));
    let query = presign(&to_sign, &credentials, "us-east-1", "ecs", now, expires);
    let presigned =
        Signed { sent, path: sent.path, query: &query, headers: &headers, credentials: &credentials };
    assert_eq!(presigned.verdict(sent.method, sent.body), Ok(()));
    presigned.breaks_when_changed(seed);
}

/// A request with a genuine signature.
#[derive(Clone, Copy)]
struct Signed<'a> {
    sent: &'a Sent<'a>,
    path: &'a str,
    query: &'a str,
    headers: &'a [(&'a str, &'a str)],
    credentials: &'a Credentials,
}

impl Signed<'_> {
    /// Whether the signature is genuine for this method and body.
    fn verdict(&self, method: &str, body: &[u8]) -> Result<(), SigError> {
        let request = Request { method, path: self.path, query: self.query, headers: &self.headers };
        let presented = Presented::parse(&request)?;
        let key: SigningKey = presented.signing_key(&self.credentials.secret);
        presented.check_time(presented.time(), CLOCK_SKEW)?;
        presented.verify(&request, &key, body)
    }

    /// Another order of the parameters, and blanks around the values of headers, leave a signature valid.
    fn survives_what_means_the_same(&self) {
        let turned: Vec<&str> = self.query.split('&').rev().collect();
        let query = turned.join("&");
        let padded: Vec<(&str, String)> =
            self.headers.iter().map(|(name, value)| (*name, format!(" {value}\t"))).collect();
        let headers: Vec<(&str, &str)> = padded.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let same = Signed { query: &query, headers: &headers, ..*self };
        assert_eq!(same.verdict(self.sent.method, self.sent.body), Ok(()));
    }

    /// A change of anything that is signed makes the signature invalid.
    fn breaks_when_changed(&self, seed: usize) {
        let refused = |changed: Signed<'_>, method: &str, body: &[u8], what: &str| {
            assert!(changed.verdict(method, body).is_err(), "changing the {what} went unnoticed");
        };
        let (method, body) = (self.sent.method, self.sent.body);
        refused(*self, &format!("{method}x"), body, "method");
        let mut other = body.to_vec();
        match other.get_mut(seed % body.len().max(1)) {
            Some(byte) => *byte ^= 1 << (seed % 8),
            None => other.push(b' '),
        }
        refused(*self, method, &other, "body");
        let path = format!("{}/added", self.path);
        refused(Signed { path: &path, ..*self }, method, body, "path");
        let query = format!("{}&added=1", self.query);
        refused(Signed { query: &query, ..*self }, method, body, "query");
        for (at, (name, value)) in self.headers.iter().enumerate() {
            let changed = match *name {
                // The last digit of the signature.
                "authorization" => {
                    let last = if value.ends_with('0') { '1' } else { '0' };
                    format!("{}{last}", &value[..value.len() - 1])
                }
                _signed => format!("{value}x"),
            };
            let mut headers = self.headers.to_vec();
            headers[at] = (name, &changed);
            refused(Signed { headers: &headers, ..*self }, method, body, name);
        }
    }
}

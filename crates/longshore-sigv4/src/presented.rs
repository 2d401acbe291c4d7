//! The signature that a request carries: read, dated, verified.

use std::borrow::Cow;
use std::time::Duration;

use longshore_base::{Timestamp, percent};
use sha2::{Digest, Sha256};

use crate::body::{BodyReader, Payload};
use crate::canonical::{self, Headers, PathStyle, Repeated, Request};
use crate::chunks::{Chain, ChunkForm};
use crate::error::OutOfTime;
use crate::hex::{hex_into, parse_digest};
use crate::key::SigningKey;
use crate::{ALGORITHM, SigError, time};

/// How far a signature's time may lie from ours, either way, where a service says nothing of its own. Some of AWS's
/// allow 5 minutes (identity J2).
pub const CLOCK_SKEW: Duration = Duration::from_secs(15 * 60);

/// The longest life of a presigned request: seven days.
pub const EXPIRES_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The longest credential that is read. An access key id has at most 128 characters; the rest of
/// the scope is short. The bound keeps a cache of credentials small.
const CREDENTIAL_BYTES_MAX: usize = 256;

const UNSIGNED_PAYLOAD: &[u8] = b"UNSIGNED-PAYLOAD";

/// Where the signature was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The `Authorization` header.
    Header,
    /// `X-Amz-*` query parameters, good for `expires` from their date on.
    Query { expires: Duration },
}

/// A well-formed signature, not verified yet.
///
/// Everything in it is untrusted: until [`Presented::verify`] has said yes, it is a claim.
#[derive(Clone, Debug)]
pub struct Presented<'a> {
    pub form: Form,
    /// `AKID/date/region/service/aws4_request`, as presented: a key for caches.
    credential: Cow<'a, str>,
    /// Length of the access key id at the head of `credential`. Ids do not contain slashes.
    id_len: usize,
    signed_headers: Cow<'a, str>,
    signature: [u8; 32],
    date: Cow<'a, str>,
    time: Timestamp,
    session_token: Option<Cow<'a, str>>,
}

impl<'a> Presented<'a> {
    /// Reads the signature of a request.
    ///
    /// [`SigError::Missing`] if there is none, [`SigError::Incomplete`] if it cannot be read. A
    /// request must sign its `host`, and its `x-amz-target` if it has one: it names the operation.
    pub fn parse(request: &Request<'a>) -> Result<Self, SigError> {
        let authorization = request
            .headers
            .only("authorization")
            .map_err(|Repeated| SigError::Incomplete("several Authorization headers"))?;
        let presigned = PresignedQuery::find(request.query)?;
        let presented = match (authorization, presigned) {
            (None, None) => return Err(SigError::Missing),
            (Some(_), Some(_)) => {
                return Err(SigError::Incomplete("both an Authorization header and a signed query"));
            }
            (Some(value), None) => Self::from_header(value, request.headers)?,
            (None, Some(query)) => Self::from_query(query)?,
        };
        presented.check_signed_headers(request.headers)?;
        Ok(presented)
    }

    fn from_header(authorization: &'a [u8], headers: &'a dyn Headers) -> Result<Self, SigError> {
        use SigError::Incomplete;
        let text = std::str::from_utf8(authorization).map_err(|_| Incomplete("Authorization is not text"))?;
        let fields = text
            .trim()
            .strip_prefix(ALGORITHM)
            .filter(|rest| rest.starts_with(' '))
            .ok_or(Incomplete("Authorization does not begin with AWS4-HMAC-SHA256"))?;
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for field in fields.split(',') {
            let (name, value) =
                field.trim().split_once('=').ok_or(Incomplete("a field of Authorization has no value"))?;
            let slot = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _other => return Err(Incomplete("an unknown field in Authorization")),
            };
            if slot.replace(value).is_some() {
                return Err(Incomplete("a field of Authorization occurs twice"));
            }
        }
        let text_of = |name| match headers.only(name) {
            Ok(None) => Ok(None),
            Ok(Some(value)) => std::str::from_utf8(value)
                .map(|v| Some(v.trim()))
                .map_err(|_| Incomplete("a header is not text")),
            Err(Repeated) => Err(Incomplete("X-Amz-Date or X-Amz-Security-Token occurs twice")),
        };
        let date = text_of("x-amz-date")?.ok_or(Incomplete("X-Amz-Date is missing"))?;
        Self::assemble(Parts {
            form: Form::Header,
            credential: credential.ok_or(Incomplete("Authorization has no Credential"))?.into(),
            signed_headers: signed_headers.ok_or(Incomplete("Authorization has no SignedHeaders"))?.into(),
            signature: signature.ok_or(Incomplete("Authorization has no Signature"))?.into(),
            date: date.into(),
            session_token: text_of("x-amz-security-token")?.map(Cow::Borrowed),
        })
    }

    fn from_query(query: PresignedQuery<'a>) -> Result<Self, SigError> {
        use SigError::Incomplete;
        if query.algorithm.as_deref() != Some(ALGORITHM) {
            return Err(Incomplete("X-Amz-Algorithm is not AWS4-HMAC-SHA256"));
        }
        let expires = query.expires.ok_or(Incomplete("X-Amz-Expires is missing"))?;
        let expires = expires.parse().map(Duration::from_secs).map_err(|_| SigError::ExpiresRange)?;
        if expires.is_zero() || expires > EXPIRES_MAX {
            return Err(SigError::ExpiresRange);
        }
        Self::assemble(Parts {
            form: Form::Query { expires },
            credential: query.credential.ok_or(Incomplete("X-Amz-Credential is missing"))?,
            signed_headers: query.signed_headers.ok_or(Incomplete("X-Amz-SignedHeaders is missing"))?,
            signature: query.signature.ok_or(Incomplete("X-Amz-Signature is missing"))?,
            date: query.date.ok_or(Incomplete("X-Amz-Date is missing"))?,
            session_token: query.session_token,
        })
    }

    fn assemble(parts: Parts<'a>) -> Result<Self, SigError> {
        use SigError::Incomplete;
        let Parts { form, credential, signed_headers, signature, date, session_token } = parts;
        let malformed = Incomplete("Credential is not ID/DATE/REGION/SERVICE/aws4_request");
        if credential.len() > CREDENTIAL_BYTES_MAX {
            return Err(malformed);
        }
        let fields: Vec<&str> = credential.split('/').collect();
        let [id, day, region, service, "aws4_request"] = fields[..] else {
            return Err(malformed);
        };
        if [id, day, region, service].iter().any(|field| field.is_empty()) {
            return Err(malformed);
        }
        let id_len = id.len();
        let time = time::parse(&date).ok_or(Incomplete("X-Amz-Date is not YYYYMMDDTHHMMSSZ"))?;
        if day != &date[..8] {
            return Err(SigError::ScopeDate);
        }
        let is_name = |name: &str| {
            !name.is_empty() && !name.bytes().any(|b| b.is_ascii_whitespace() || b.is_ascii_uppercase())
        };
        if !signed_headers.split(';').all(is_name) {
            return Err(Incomplete("SignedHeaders is not a list of lower-case names"));
        }
        let signature =
            parse_digest(signature.as_bytes()).ok_or(Incomplete("Signature is not 64 hexadecimal digits"))?;
        Ok(Self { form, credential, id_len, signed_headers, signature, date, time, session_token })
    }

    fn check_signed_headers(&self, headers: &dyn Headers) -> Result<(), SigError> {
        let signs = |name| self.signed_headers.split(';').any(|signed| signed == name);
        if !signs("host") {
            return Err(SigError::NotSigned("host"));
        }
        let mut has_target = false;
        headers.each("x-amz-target", &mut |_| has_target = true);
        if has_target && !signs("x-amz-target") {
            return Err(SigError::NotSigned("x-amz-target"));
        }
        Ok(())
    }

    pub fn access_key_id(&self) -> &str {
        &self.credential[..self.id_len]
    }

    /// `AKID/date/region/service/aws4_request`: equal credentials have equal signing keys.
    pub fn credential(&self) -> &str {
        &self.credential
    }

    /// `date/region/service/aws4_request`.
    fn scope(&self) -> &str {
        &self.credential[self.id_len + 1..]
    }

    fn scope_part(&self, n: usize) -> &str {
        self.scope().split('/').nth(n).expect("parsing found all parts of the scope")
    }

    pub fn region(&self) -> &str {
        self.scope_part(1)
    }

    pub fn service(&self) -> &str {
        self.scope_part(2)
    }

    pub fn session_token(&self) -> Option<&str> {
        self.session_token.as_deref()
    }

    /// When the request was signed, by its own account.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// Whether the signature is current: `window` either way, or from its date until it
    /// expires when presigned (with the same window before its date).
    pub fn check_time(&self, now: Timestamp, window: Duration) -> Result<(), SigError> {
        let life = match self.form {
            Form::Header => window,
            Form::Query { expires } => expires,
        };
        let out = |window| Box::new(OutOfTime { date: self.date.to_string(), now, window });
        if now > self.time + life {
            return Err(SigError::Expired(out(life)));
        }
        if now < self.time - window {
            return Err(SigError::NotYetCurrent(out(window)));
        }
        Ok(())
    }

    /// The key that must have made this signature, given the secret of its access key.
    pub fn signing_key(&self, secret: &crate::Secret) -> SigningKey {
        SigningKey::derive(secret, self.scope_part(0), self.region(), self.service())
    }

    /// Whether `key` signed this request and this body. The body is hashed once.
    ///
    /// A body that is not signed (`x-amz-content-sha256: UNSIGNED-PAYLOAD`) is accepted where the
    /// signer said so, because that line is itself signed. Bodies in chunks are for [`Presented::reader`].
    pub fn verify(&self, request: &Request<'_>, key: &SigningKey, body: &[u8]) -> Result<(), SigError> {
        let stated = stated_payload(request)?;
        let mut payload = Vec::with_capacity(64);
        match stated {
            Some(UNSIGNED_PAYLOAD) => payload.extend_from_slice(UNSIGNED_PAYLOAD),
            None if self.is_s3_query() => payload.extend_from_slice(UNSIGNED_PAYLOAD),
            Some(stated) => {
                hex_into(&mut payload, &Sha256::digest(body));
                if stated != payload {
                    return Err(SigError::Payload);
                }
            }
            None => hex_into(&mut payload, &Sha256::digest(body)),
        }
        self.verify_line(request, key, &payload)
    }

    /// What is said of the body, before any of it is there.
    ///
    /// [`SigError::Incomplete`] if nothing is: then the signature could be verified only once all of the body is there.
    fn payload(&self, request: &Request<'_>) -> Result<Payload, SigError> {
        match stated_payload(request)? {
            Some(UNSIGNED_PAYLOAD) => Ok(Payload::Unsigned),
            None if self.is_s3_query() => Ok(Payload::Unsigned),
            Some(stated) => match (ChunkForm::parse(stated), parse_digest(stated)) {
                (Some(form), _) => Ok(Payload::Chunks(form)),
                (None, Some(hash)) => Ok(Payload::Hash(hash)),
                (None, None) => Err(SigError::Incomplete("x-amz-content-sha256 is neither a hash nor known")),
            },
            None => Err(SigError::Incomplete("x-amz-content-sha256 is missing")),
        }
    }

    /// Whether `key` signed this request, before its body is there; then what reads and verifies the body.
    pub fn reader(&self, request: &Request<'_>, key: &SigningKey) -> Result<BodyReader, SigError> {
        let payload = self.payload(request)?;
        // The line in the canonical request is what was sent, but for the one form that sends none.
        self.verify_line(request, key, stated_payload(request)?.unwrap_or(UNSIGNED_PAYLOAD))?;
        let chain = Chain::new(key.clone(), &self.date, self.scope(), &self.signature);
        BodyReader::new(payload, Some(chain), request.headers)
    }

    /// The same where the key is not known, so that no signature can be verified: what it finds is whether the body is
    /// complete, and has the sums that are stated.
    pub fn unproven_reader(&self, request: &Request<'_>) -> Result<BodyReader, SigError> {
        BodyReader::new(self.payload(request)?, None, request.headers)
    }

    fn is_s3_query(&self) -> bool {
        matches!(self.form, Form::Query { .. }) && self.service() == "s3"
    }

    /// `payload` is the last line of the canonical request.
    fn verify_line(&self, request: &Request<'_>, key: &SigningKey, payload: &[u8]) -> Result<(), SigError> {
        let mut text = Vec::with_capacity(512);
        canonical::write(&mut text, request, PathStyle::of(self.service()), &self.signed_headers, payload);
        let to_sign = canonical::string_to_sign(&self.date, self.scope(), &text);
        if key.is_signature(&to_sign, &self.signature) { Ok(()) } else { Err(SigError::Mismatch) }
    }
}

fn stated_payload<'h>(request: &Request<'h>) -> Result<Option<&'h [u8]>, SigError> {
    let repeated = |Repeated| SigError::Incomplete("several x-amz-content-sha256 headers");
    request.headers.only("x-amz-content-sha256").map_err(repeated)
}

/// Whether a request says that its body comes in chunks, which are no part of what it means.
pub fn is_chunked(request: &Request<'_>) -> bool {
    stated_payload(request)
        .is_ok_and(|stated| stated.is_some_and(|stated| ChunkForm::parse(stated).is_some()))
}

/// What reads a body that nobody signed.
pub fn anonymous_reader(request: &Request<'_>) -> Result<BodyReader, SigError> {
    let payload = match stated_payload(request)? {
        None | Some(UNSIGNED_PAYLOAD) => Payload::Unsigned,
        Some(stated) => match (ChunkForm::parse(stated), parse_digest(stated)) {
            (Some(form), _) if !form.is_signed => Payload::Chunks(form),
            (None, Some(hash)) => Payload::Hash(hash),
            (Some(_), _) | (None, None) => {
                return Err(SigError::Incomplete(
                    "x-amz-content-sha256 tells of a signature that is not there",
                ));
            }
        },
    };
    BodyReader::new(payload, None, request.headers)
}

/// The service that a request says it is signed for, whether the rest of its signature can be read or not. A claim:
/// it chooses where a request goes and in which words it is refused.
pub fn claimed_service(request: &Request<'_>) -> Option<String> {
    let service = |credential: &str| {
        let mut parts = credential.trim().rsplit('/');
        let ends_well = parts.next() == Some("aws4_request");
        parts.next().filter(|service| ends_well && !service.is_empty()).map(str::to_owned)
    };
    let mut header = None;
    request.headers.each("authorization", &mut |value| header = header.or(Some(value)));
    if let Some(value) = header {
        let (_algorithm, fields) = std::str::from_utf8(value).ok()?.trim().split_once(' ')?;
        let credential = fields.split(',').find_map(|field| field.trim().strip_prefix("Credential="))?;
        return service(credential);
    }
    let credential = request.query.split('&').find_map(|pair| pair.strip_prefix("X-Amz-Credential="))?;
    service(&percent::decode(credential)?)
}

/// What both forms have in common, as text.
struct Parts<'a> {
    form: Form,
    credential: Cow<'a, str>,
    signed_headers: Cow<'a, str>,
    signature: Cow<'a, str>,
    date: Cow<'a, str>,
    session_token: Option<Cow<'a, str>>,
}

/// The `X-Amz-*` parameters of a presigned request.
#[derive(Default)]
struct PresignedQuery<'a> {
    algorithm: Option<Cow<'a, str>>,
    credential: Option<Cow<'a, str>>,
    date: Option<Cow<'a, str>>,
    expires: Option<Cow<'a, str>>,
    signed_headers: Option<Cow<'a, str>>,
    session_token: Option<Cow<'a, str>>,
    signature: Option<Cow<'a, str>>,
}

impl<'a> PresignedQuery<'a> {
    /// `None` if the query carries neither an algorithm nor a signature.
    fn find(query: &'a str) -> Result<Option<Self>, SigError> {
        if !query.contains("X-Amz-") {
            return Ok(None);
        }
        let mut found = Self::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let slot = match name {
                "X-Amz-Algorithm" => &mut found.algorithm,
                "X-Amz-Credential" => &mut found.credential,
                "X-Amz-Date" => &mut found.date,
                "X-Amz-Expires" => &mut found.expires,
                "X-Amz-SignedHeaders" => &mut found.signed_headers,
                "X-Amz-Security-Token" => &mut found.session_token,
                "X-Amz-Signature" => &mut found.signature,
                _ours => continue,
            };
            let value =
                percent::decode(value).ok_or(SigError::Incomplete("an X-Amz- parameter is not text"))?;
            if slot.replace(value).is_some() {
                return Err(SigError::Incomplete("an X-Amz- parameter occurs twice"));
            }
        }
        Ok((found.algorithm.is_some() || found.signature.is_some()).then_some(found))
    }
}

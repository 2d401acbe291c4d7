//! What is refused, in the distribution-spec's words ("Error Codes") and those that clients know beside them.

use http::header::{ALLOW, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use longshore_blobs::BlobError;
use longshore_images::Digest;
use longshore_state::Stopped;
use longshore_state::db::Refused;
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    RangeInvalid,
    SizeInvalid,
    TagInvalid,
    Unauthorized,
    Denied,
    Unsupported,
    TooManyRequests,
    /// A path that is none.
    NotFound,
    /// The disk is full: 507.
    Full,
    /// Our own fault, which the caller does not read.
    Unknown,
}

impl Code {
    pub fn name(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::RangeInvalid => "RANGE_INVALID",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::TagInvalid => "TAG_INVALID",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Denied => "DENIED",
            Self::Unsupported => "UNSUPPORTED",
            Self::TooManyRequests => "TOOMANYREQUESTS",
            Self::NotFound => "NOT_FOUND",
            Self::Full | Self::Unknown => "UNKNOWN",
        }
    }

    pub fn status(self) -> StatusCode {
        match self {
            Self::BlobUnknown
            | Self::BlobUploadUnknown
            | Self::ManifestUnknown
            | Self::NameUnknown
            | Self::NotFound => StatusCode::NOT_FOUND,
            Self::BlobUploadInvalid
            | Self::DigestInvalid
            | Self::ManifestBlobUnknown
            | Self::ManifestInvalid
            | Self::NameInvalid
            | Self::TagInvalid => StatusCode::BAD_REQUEST,
            Self::RangeInvalid => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::SizeInvalid => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Denied => StatusCode::FORBIDDEN,
            Self::Unsupported => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::Full => StatusCode::INSUFFICIENT_STORAGE,
            Self::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// An answer that is none.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub code: Code,
    pub message: String,
    pub detail: Option<Value>,
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), detail: None, headers: Vec::new() }
    }

    #[must_use]
    pub fn about(self, digests: &[Digest]) -> Self {
        let detail = digests.iter().map(|digest| json!({"digest": digest})).collect();
        Self { detail: Some(Value::Array(detail)), ..self }
    }

    /// A header's value is ASCII here: a path as it was sent, a number, a challenge of our own.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    pub fn unauthorized(message: impl Into<String>, challenge: &str) -> Self {
        Self::new(Code::Unauthorized, message).with(WWW_AUTHENTICATE, challenge)
    }

    /// The path is there, and serves other methods.
    pub fn method(allowed: &'static str) -> Self {
        Self::new(Code::Unsupported, "the method is not supported here").with(ALLOW, allowed)
    }

    /// A fault whose cause goes to the log.
    pub fn fault(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "the registry failed");
        Self::new(Code::Unknown, "the registry failed; its log says why")
    }

    /// As the distribution-spec has it.
    pub fn body(&self) -> Value {
        let mut error = json!({"code": self.code.name(), "message": self.message});
        if let Some(detail) = &self.detail {
            error["detail"] = detail.clone();
        }
        json!({"errors": [error]})
    }
}

impl From<Stopped> for Refusal {
    fn from(stopped: Stopped) -> Self {
        Self::fault(&stopped)
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        Self::fault(&refused)
    }
}

impl From<BlobError> for Refusal {
    fn from(error: BlobError) -> Self {
        match &error {
            // Docker shows what a DENIED says, and does not try again (registry I10).
            BlobError::Reserve { .. } => Self::new(Code::Denied, error.to_string()),
            BlobError::DiskFull(_) => Self::new(Code::Full, error.to_string()),
            BlobError::NoUpload => crate::route::no_upload(),
            BlobError::Busy => Self::new(Code::RangeInvalid, error.to_string()),
            BlobError::WrongDigest { .. } => Self::new(Code::DigestInvalid, error.to_string()),
            BlobError::Io { .. } => Self::fault(&error),
        }
    }
}

//! Answers, as HTTP has them.

use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use longshore_api::{Body, BodyError};
use longshore_blobs::BlobError;
use serde_json::Value;

use crate::refusal::Refusal;

pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
pub(crate) const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");
pub(crate) const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
pub(crate) const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
pub(crate) const OCI_FILTERS: HeaderName = HeaderName::from_static("oci-filters-applied");
const JSON: &str = "application/json";

/// An answer that is being made.
pub(crate) struct Answer(Response<Body>);

impl Answer {
    /// Without a body.
    pub fn empty(status: StatusCode) -> Self {
        let mut response = Response::new(Body::from(""));
        *response.status_mut() = status;
        Self(response)
    }

    /// Something was made, or goes on, there.
    pub fn at(status: StatusCode, location: &str) -> Self {
        Self::empty(status).with(LOCATION, location)
    }

    pub fn json(value: &Value) -> Self {
        Self::bytes(JSON, value.to_string().into())
    }

    pub fn bytes(content_type: &str, bytes: bytes::Bytes) -> Self {
        let mut answer = Self::empty(StatusCode::OK).with(CONTENT_TYPE, content_type);
        *answer.0.body_mut() = Body::from(bytes);
        answer
    }

    /// Of so many bytes, as they come; without them if it was HEAD that asked.
    pub fn stream(
        status: StatusCode,
        bytes: u64,
        pieces: Option<BoxStream<'static, Result<bytes::Bytes, BlobError>>>,
    ) -> Self {
        let mut answer = Self::empty(status)
            .with(CONTENT_TYPE, "application/octet-stream")
            .with(CONTENT_LENGTH, &bytes.to_string());
        if let Some(pieces) = pieces {
            let frames = pieces.map_ok(Frame::data).map_err(|error| {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a blob could not be read to its end"
                );
                BodyError::from(error)
            });
            *answer.0.body_mut() = Body::stream(StreamBody::new(frames));
        }
        answer
    }

    /// A value that HTTP does not take, which nothing here has, is left out.
    pub fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.headers_mut().insert(name, value);
        }
        self
    }

    pub fn done(self) -> Response<Body> {
        self.0
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let mut answer = Self::json(&refusal.body());
        *answer.0.status_mut() = refusal.code.status();
        for (name, value) in refusal.headers {
            answer.0.headers_mut().insert(name, value);
        }
        answer
    }
}

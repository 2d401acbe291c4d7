//! The errors that every service shares, and what they are called in each family of protocols.

use std::error::Error;
use std::fmt;

use crate::fault::{ModeledError, encode_message};
use crate::protocol::Family;
use crate::shape::ShapeWriter;

/// Errors outside of every model, which clients know all the same (ecs-behaviour A2, identity J2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenericError {
    pub kind: GenericErrorKind,
    pub message: String,
}

macro_rules! generic_errors {
    ($($(#[$meta:meta])* $kind:ident {
        json: $json:literal $json_status:literal,
        rest_json: $rest_status:literal,
        query: $query:literal $query_status:literal,
        ec2: $ec2:literal $ec2_status:literal,
        s3: $s3:literal $s3_status:literal,
    })*) => {
        /// The kinds of [`GenericError`]. What each is called, and its status, depends on the protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum GenericErrorKind {
            $($(#[$meta])* $kind,)*
        }

        impl GenericErrorKind {
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// Its name and its HTTP status in a family of protocols.
            pub fn told_in(self, family: Family) -> (&'static str, u16) {
                match (self, family) {
                    $(
                        (Self::$kind, Family::AwsJson) => ($json, $json_status),
                        (Self::$kind, Family::RestJson) => ($json, $rest_status),
                        (Self::$kind, Family::Query) => ($query, $query_status),
                        (Self::$kind, Family::Ec2) => ($ec2, $ec2_status),
                        (Self::$kind, Family::RestXml) => ($s3, $s3_status),
                    )*
                }
            }

            /// Its name in the JSON protocols.
            pub fn code(self) -> &'static str {
                self.told_in(Family::AwsJson).0
            }
        }
    };
}

// Who is called by a form answers 403 to a bad signature, who is called by a target 400 (identity J2).
generic_errors! {
    /// The service has no such operation, or the request names none.
    UnknownOperation {
        json: "UnknownOperationException" 404,
        rest_json: 404,
        query: "InvalidAction" 400,
        ec2: "InvalidAction" 400,
        s3: "MethodNotAllowed" 405,
    }
    /// AWS has it, and this server does not. S3 answers 501 to that, by which Terraform knows that there is nothing to
    /// read; no SDK asks again for it (they do for 500, 502, 503 and 504).
    NotBuilt {
        json: "UnknownOperationException" 404,
        rest_json: 404,
        query: "InvalidAction" 400,
        ec2: "InvalidAction" 400,
        s3: "NotImplemented" 501,
    }
    /// The body is not what the operation's input looks like.
    Serialization {
        json: "SerializationException" 400,
        rest_json: 400,
        query: "MalformedInput" 400,
        ec2: "InvalidParameterValue" 400,
        s3: "MalformedXML" 400,
    }
    /// A parameter breaks a constraint of the model.
    Validation {
        json: "ValidationException" 400,
        rest_json: 400,
        query: "ValidationError" 400,
        ec2: "InvalidParameterValue" 400,
        s3: "InvalidArgument" 400,
    }
    /// Too many requests; clients back off and retry.
    Throttling {
        json: "ThrottlingException" 400,
        rest_json: 429,
        query: "Throttling" 400,
        ec2: "RequestLimitExceeded" 503,
        s3: "SlowDown" 503,
    }
    /// Neither an authorization header nor a presigned query.
    MissingAuthenticationToken {
        json: "MissingAuthenticationTokenException" 400,
        rest_json: 403,
        query: "MissingAuthenticationToken" 403,
        ec2: "AuthFailure" 401,
        s3: "AccessDenied" 403,
    }
    /// The signature cannot be read.
    IncompleteSignature {
        json: "IncompleteSignatureException" 400,
        rest_json: 403,
        query: "IncompleteSignature" 403,
        ec2: "AuthFailure" 401,
        s3: "AuthorizationHeaderMalformed" 400,
    }
    InvalidSignature {
        json: "InvalidSignatureException" 400,
        rest_json: 403,
        query: "SignatureDoesNotMatch" 403,
        ec2: "AuthFailure" 401,
        s3: "SignatureDoesNotMatch" 403,
    }
    /// The body is not the one whose hash was signed.
    PayloadMismatch {
        json: "InvalidSignatureException" 400,
        rest_json: 403,
        query: "SignatureDoesNotMatch" 403,
        ec2: "AuthFailure" 401,
        s3: "XAmzContentSHA256Mismatch" 400,
    }
    /// The body does not have the checksum that came with it.
    BadDigest {
        json: "ValidationException" 400,
        rest_json: 400,
        query: "ValidationError" 400,
        ec2: "InvalidParameterValue" 400,
        s3: "BadDigest" 400,
    }
    /// The body ended before its stated length, or broke off.
    IncompleteBody {
        json: "SerializationException" 400,
        rest_json: 400,
        query: "MalformedInput" 400,
        ec2: "InvalidParameterValue" 400,
        s3: "IncompleteBody" 400,
    }
    /// The chunks of the body, or its trailers, are not what they should be.
    MalformedChunks {
        json: "SerializationException" 400,
        rest_json: 400,
        query: "MalformedInput" 400,
        ec2: "InvalidParameterValue" 400,
        s3: "InvalidRequest" 400,
    }
    /// The signature is of another time.
    ClockSkew {
        json: "InvalidSignatureException" 400,
        rest_json: 403,
        query: "SignatureDoesNotMatch" 403,
        ec2: "AuthFailure" 401,
        s3: "RequestTimeTooSkewed" 403,
    }
    /// The access key is unknown, or its session token does not belong to it.
    UnrecognizedClient {
        json: "UnrecognizedClientException" 400,
        rest_json: 403,
        query: "InvalidClientTokenId" 403,
        ec2: "AuthFailure" 401,
        s3: "InvalidAccessKeyId" 403,
    }
    ExpiredToken {
        json: "ExpiredTokenException" 400,
        rest_json: 403,
        query: "ExpiredToken" 403,
        ec2: "AuthFailure" 401,
        s3: "ExpiredToken" 400,
    }
    AccessDenied {
        json: "AccessDeniedException" 400,
        rest_json: 403,
        query: "AccessDenied" 403,
        ec2: "UnauthorizedOperation" 403,
        s3: "AccessDenied" 403,
    }
    /// A web page may have sent it, and pages may not (decision 25). The status is for the page's own tools.
    ForeignPage {
        json: "AccessDeniedException" 403,
        rest_json: 403,
        query: "AccessDenied" 403,
        ec2: "UnauthorizedOperation" 403,
        s3: "AccessDenied" 403,
    }
    /// The host that a request is for cannot be read.
    UnreadableHost {
        json: "AccessDeniedException" 400,
        rest_json: 400,
        query: "AccessDenied" 400,
        ec2: "UnauthorizedOperation" 400,
        s3: "AccessDenied" 400,
    }
    /// Of the body, where it is not there in time.
    RequestTimeout {
        json: "RequestTimeoutException" 408,
        rest_json: 408,
        query: "RequestTimeout" 408,
        ec2: "RequestTimeout" 408,
        s3: "RequestTimeout" 400,
    }
    RequestEntityTooLarge {
        json: "RequestEntityTooLargeException" 413,
        rest_json: 413,
        query: "RequestEntityTooLarge" 413,
        ec2: "RequestEntityTooLarge" 413,
        s3: "EntityTooLarge" 400,
    }
    ServiceUnavailable {
        json: "ServiceUnavailable" 503,
        rest_json: 503,
        query: "ServiceUnavailable" 503,
        ec2: "Unavailable" 503,
        s3: "ServiceUnavailable" 503,
    }
    InternalFailure {
        json: "InternalFailure" 500,
        rest_json: 500,
        query: "InternalFailure" 500,
        ec2: "InternalError" 500,
        s3: "InternalError" 500,
    }
}

impl GenericError {
    pub fn new(kind: GenericErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl fmt::Display for GenericError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.code(), self.message)
    }
}

impl Error for GenericError {}

impl From<crate::DecodeError> for GenericError {
    fn from(error: crate::DecodeError) -> Self {
        Self::new(GenericErrorKind::Serialization, error.to_string())
    }
}

impl ModeledError for GenericError {
    fn code(&self) -> &'static str {
        self.kind.code()
    }
    fn message(&self) -> &str {
        &self.message
    }
    fn http_status(&self) -> u16 {
        self.kind.told_in(Family::AwsJson).1
    }
    fn told_in(&self, family: Family) -> (&'static str, u16) {
        self.kind.told_in(family)
    }
    fn is_server_fault(&self) -> bool {
        self.http_status() >= 500
    }
    fn encode(&self, writer: &mut dyn ShapeWriter) {
        encode_message(&self.message, writer);
    }
}

//! Why a signature was refused, and the AWS error that says so.

/// A refused signature. Every variant is the caller's fault and answered with HTTP 403
/// (ecs-behaviour A2). Nothing here depends on the secret or on the expected signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigError {
    #[error("Missing Authentication Token")]
    Missing,
    #[error("The request signature does not conform to AWS standards: {0}.")]
    Incomplete(&'static str),
    #[error("'{0}' must be a signed header.")]
    NotSigned(&'static str),
    #[error("Date in Credential scope does not match the date of X-Amz-Date.")]
    ScopeDate,
    #[error("Signature expired: {0} is too far in the past.")]
    Expired(String),
    #[error("Signature not yet current: {0} is too far in the future.")]
    NotYetCurrent(String),
    #[error("X-Amz-Expires must be between 1 and 604800 seconds.")]
    ExpiresRange,
    #[error("The value of x-amz-content-sha256 is not the SHA-256 of the body.")]
    Payload,
    #[error(
        "The request signature we calculated does not match the signature you provided. \
         Check your AWS Secret Access Key and signing method."
    )]
    Mismatch,
}

impl SigError {
    /// The error code in the JSON protocols.
    pub fn code(&self) -> &'static str {
        match self {
            SigError::Missing => "MissingAuthenticationToken",
            SigError::Incomplete(_) => "IncompleteSignature",
            SigError::NotSigned(_)
            | SigError::ScopeDate
            | SigError::Expired(_)
            | SigError::NotYetCurrent(_)
            | SigError::ExpiresRange
            | SigError::Payload
            | SigError::Mismatch => "InvalidSignatureException",
        }
    }

    /// The error code in the Query protocol, where older services have other names.
    pub fn query_code(&self) -> &'static str {
        match self {
            SigError::Missing => "MissingAuthenticationToken",
            SigError::Incomplete(_) => "IncompleteSignature",
            SigError::NotSigned(_)
            | SigError::ScopeDate
            | SigError::Expired(_)
            | SigError::NotYetCurrent(_)
            | SigError::ExpiresRange
            | SigError::Payload
            | SigError::Mismatch => "SignatureDoesNotMatch",
        }
    }
}

//! Why a signature was refused.

use std::time::Duration;

use longshore_base::Timestamp;

use crate::checksum::Algorithm;
use crate::time;

/// A refused signature. Every variant is the caller's fault; what it is called depends on the protocol (identity J2).
/// Nothing here depends on the secret or on the expected signature.
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
    #[error("Signature expired: {}", .0.told("now earlier", '-'))]
    Expired(Box<OutOfTime>),
    #[error("Signature not yet current: {}", .0.told("still later", '+'))]
    NotYetCurrent(Box<OutOfTime>),
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

/// A body that is not what its request says. None of these tells what a signature or a sum would have been.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyRefused {
    #[error("The value of x-amz-content-sha256 is not the SHA-256 of the body.")]
    Hash,
    #[error("The signature of a chunk of the body is not the one that was calculated.")]
    Signature,
    #[error("The value of {} is not the one that was calculated for the body.", .0.header())]
    Checksum(Algorithm),
    #[error("The body does not have the length that x-amz-decoded-content-length states.")]
    Length,
    #[error("The body ended before its last chunk.")]
    Truncated,
    #[error("The body is not well-formed aws-chunked: {0}.")]
    Malformed(&'static str),
}

/// A signature's time, and what it was held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutOfTime {
    /// As it was signed.
    pub date: String,
    pub now: Timestamp,
    /// How far from now it may lie.
    pub window: Duration,
}

impl OutOfTime {
    /// AWS's words (identity J2): clients show them, and people see both clocks.
    fn told(&self, relation: &str, sign: char) -> String {
        let Self { date, now, window } = self;
        let limit = if sign == '-' { *now - *window } else { *now + *window };
        let (limit, now) = (time::format(limit), time::format(*now));
        let minutes = window.as_secs() / 60;
        format!("{date} is {relation} than {limit} ({now} {sign} {minutes} min.)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_are_told() {
        let out = OutOfTime {
            date: "20191209T104625Z".into(),
            now: time::parse("20191210T034404Z").expect("a time"),
            window: Duration::from_secs(300),
        };
        assert_eq!(
            SigError::Expired(Box::new(out.clone())).to_string(),
            "Signature expired: 20191209T104625Z is now earlier than 20191210T033904Z (20191210T034404Z - 5 min.)"
        );
        assert_eq!(
            SigError::NotYetCurrent(Box::new(OutOfTime { date: "20191211T000000Z".into(), ..out }))
                .to_string(),
            "Signature not yet current: 20191211T000000Z is still later than 20191210T034904Z \
             (20191210T034404Z + 5 min.)"
        );
    }
}

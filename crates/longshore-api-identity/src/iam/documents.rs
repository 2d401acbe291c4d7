//! Policies of requests, and as answers show them.

use longshore_base::percent;
use longshore_shapes_iam::MalformedPolicyDocumentException;
use longshore_tables_iam::record::{IdentityPolicy, TrustPolicy};

/// What a user, a group or a role may do.
pub(super) fn identity(text: &str) -> Result<IdentityPolicy, MalformedPolicyDocumentException> {
    IdentityPolicy::new(text).map_err(|invalid| MalformedPolicyDocumentException::new(invalid.to_string()))
}

/// Who may assume a role.
pub(super) fn trust(text: &str) -> Result<TrustPolicy, MalformedPolicyDocumentException> {
    TrustPolicy::new(text).map_err(|invalid| MalformedPolicyDocumentException::new(invalid.to_string()))
}

/// How long a policy is for the quotas: white space does not count.
pub(super) fn size(text: &str) -> usize {
    text.chars().filter(|character| !character.is_whitespace()).count()
}

/// As answers of IAM have it: percent-encoded, and otherwise as it was given (identity J2).
pub(super) fn shown(text: &str) -> Option<String> {
    Some(percent::encode(text))
}

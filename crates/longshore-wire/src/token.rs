//! The `nextToken` of a list: where its page ended, bound to its call (ecs-behaviour A4).
//!
//! A token is base64url of eight bytes of [`fingerprint`] and the place of the page's last item. It is no secret and
//! no proof: whoever makes one up reads on in a list that is their own anyway. So a place is as untrusted as any text
//! of a request; only its binding to operation, account, region and parameters is checked here.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use longshore_base::Scope;
use sha2::{Digest, Sha256};

use crate::{Shape, json};

/// A digest of a call: equal for equal operation, account, region and parameters.
///
/// It also tells whether a repeated client token comes with the same parameters (ecs-behaviour A7),
/// and is stored for that, so it must not change between versions.
pub fn fingerprint(operation: &str, scope: &Scope, request: &dyn Shape) -> u64 {
    let mut digest = Sha256::new();
    digest.update(format!("{operation}\0{}\0{}\0", scope.account, scope.region));
    digest.update(json::to_vec(request));
    let bytes: [u8; 32] = digest.finalize().into();
    u64::from_be_bytes(bytes[..8].try_into().expect("eight of 32 bytes"))
}

/// The token for a page that ended at `place`.
pub fn encode(fingerprint: u64, place: &str) -> String {
    let mut bytes = fingerprint.to_be_bytes().to_vec();
    bytes.extend_from_slice(place.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The place in a token; `None` if it is no token, or one of another call.
pub fn decode(fingerprint: u64, token: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let place = bytes.strip_prefix(&fingerprint.to_be_bytes())?;
    String::from_utf8(place.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_comes_back_to_its_call_only() {
        for place in ["", "a", "web 12", "Ünïcode\0"] {
            let token = encode(7, place);
            assert_eq!(decode(7, &token).as_deref(), Some(place));
            assert_eq!(decode(8, &token), None);
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        // The last: a place that is no text.
        for bad in ["", "!", "AAAA", "ÄÖÜ", "AAAAAAAAAAc=", "AAAAAAAAAAf_"] {
            assert_eq!(decode(7, bad), None, "{bad}");
        }
    }
}

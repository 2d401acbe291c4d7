//! Making a new access key.

use longshore_base::Seed;
use longshore_sigv4::Credentials;
use sha2::{Digest, Sha256};

/// A new access key in the usual form: `AKIA` and 16 characters, with a secret of 40.
///
/// The secret is only as good as the seed: draw one from the operating system for this alone.
/// Seeds mix well but can be run backwards, and the id is public, so that both are drawn from a
/// hash of the seed: the id tells nothing about the secret.
pub fn generate(seed: Seed) -> Credentials {
    let id = format!("AKIA{}", text(seed, "id", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16));
    let secret =
        text(seed, "secret", b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", 40);
    Credentials::new(id, secret)
}

/// `length` characters of `alphabet`, whose size is a power of two, so that each is as likely.
fn text(seed: Seed, what: &str, alphabet: &[u8], length: usize) -> String {
    debug_assert!(alphabet.len().is_power_of_two());
    let material = [seed.of(0).bits(), seed.of(1).bits()];
    let bytes = (0_u8..=u8::MAX).flat_map(|block| {
        let hash = Sha256::new()
            .chain_update(material[0].to_be_bytes())
            .chain_update(material[1].to_be_bytes())
            .chain_update([block])
            .chain_update(what);
        <[u8; 32]>::from(hash.finalize())
    });
    bytes.take(length).map(|byte| char::from(alphabet[usize::from(byte) % alphabet.len()])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_usual_form_and_follow_from_the_seed() {
        let (a, b) = (generate(Seed::new(1)), generate(Seed::new(2)));
        assert_eq!((a.access_key_id.len(), a.secret.reveal().len()), (20, 40));
        assert!(a.access_key_id.starts_with("AKIA"));
        assert_eq!(a.access_key_id, generate(Seed::new(1)).access_key_id);
        assert_ne!(a.access_key_id, b.access_key_id);
        assert_ne!(a.secret.reveal(), b.secret.reveal());
    }
}

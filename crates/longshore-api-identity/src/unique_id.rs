//! Ids of users and roles that stand in files, not in IAM.

use sha2::{Digest, Sha256};

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// How many characters follow the prefix: ids have 21 (identity J2).
const CHARACTERS: usize = 17;

/// The id of a name for which IAM has no record: `prefix` and 17 characters, the same every time.
///
/// At AWS a new user of an old name has a new id. Here the name is all there is, so the id says no more than the name does;
/// IAM's own users will have drawn ids.
pub fn unique_id(prefix: &str, account: &str, name: &str) -> String {
    let hash = Sha256::new().chain_update(prefix).chain_update([0]).chain_update(account).chain_update([0]);
    let hash = <[u8; 32]>::from(hash.chain_update(name).finalize());
    let characters = hash.iter().take(CHARACTERS).map(|byte| char::from(ALPHABET[usize::from(byte & 31)]));
    prefix.chars().chain(characters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_form_of_iam_and_follow_from_the_name() {
        let id = unique_id("AIDA", "111122223333", "ada");
        assert_eq!((id.len(), id.as_str()), (21, unique_id("AIDA", "111122223333", "ada").as_str()));
        assert!(id.starts_with("AIDA") && id.bytes().all(|byte| ALPHABET.contains(&byte)), "{id}");
        for other in [
            ("AROA", "111122223333", "ada"),
            ("AIDA", "111122223334", "ada"),
            ("AIDA", "111122223333", "adb"),
        ] {
            assert_ne!(unique_id(other.0, other.1, other.2)[4..], id[4..], "{other:?}");
        }
    }
}

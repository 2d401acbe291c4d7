//! Ids of users and roles that stand in files, not in IAM.

use longshore_tables_iam::ids;

/// The id of a name for which IAM has no record: `prefix` and 17 characters, the same every time.
///
/// At AWS a new user of an old name has a new id. Here the name is all there is, so the id says no more than the name does;
/// IAM's own users have drawn ids.
pub fn unique_id(prefix: &str, account: &str, name: &str) -> String {
    ids::fixed(prefix, &format!("{prefix}\0{account}\0{name}")).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_form_of_iam_and_follow_from_the_name() {
        const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
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

//! Unique ids and access key ids (identity J2).

use std::sync::Arc;

use longshore_base::{AccountId, Seed};
use sha2::{Digest, Sha256};

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// What an id says about itself: its first four characters.
pub mod prefix {
    pub const USER: &str = "AIDA";
    pub const ROLE: &str = "AROA";
    pub const GROUP: &str = "AGPA";
    pub const POLICY: &str = "ANPA";
    pub const PROFILE: &str = "AIPA";
    pub const ACCESS_KEY: &str = "AKIA";
    /// An access key of temporary credentials.
    pub const SESSION_KEY: &str = "ASIA";
    /// An access key of a container instance: Longshore's own (decision 50).
    pub const INSTANCE_KEY: &str = "LSCI";
}

/// Characters behind the prefix of a unique id.
const UNIQUE_CHARS: usize = 17;
/// Bytes behind the prefix of an access key's id: sixteen characters of five bits.
const KEY_BYTES: usize = 10;
/// Where the account stands in the first six bytes: bits 7 to 46.
const ACCOUNT_SHIFT: u32 = 7;
const ACCOUNT_BITS: u64 = (1 << 40) - 1;

/// A unique id out of a seed. It goes through a digest, so that an id, which everybody may see, does not tell the seed.
pub fn unique(prefix: &str, seed: Seed) -> Arc<str> {
    of_bytes(prefix, &seed.to_bytes())
}

/// The id of something that has no record to keep one: it follows from a name, as that of a policy of AWS does.
pub fn fixed(prefix: &str, name: &str) -> Arc<str> {
    of_bytes(prefix, name.as_bytes())
}

fn of_bytes(prefix: &str, bytes: &[u8]) -> Arc<str> {
    let digest = <[u8; 32]>::from(Sha256::digest(bytes));
    let characters =
        digest.iter().take(UNIQUE_CHARS).map(|byte| char::from(ALPHABET[usize::from(byte & 31)]));
    prefix.chars().chain(characters).collect::<String>().into()
}

/// An access key's id with the account inside (identity J2).
pub fn access_key(account: AccountId, chance: &[u8; 32]) -> Arc<str> {
    key_of(prefix::ACCESS_KEY, account, chance)
}

/// The same of temporary credentials.
pub fn session_key(account: AccountId, chance: &[u8; 32]) -> Arc<str> {
    key_of(prefix::SESSION_KEY, account, chance)
}

/// The same of a container instance.
pub fn instance_key(account: AccountId, chance: &[u8; 32]) -> Arc<str> {
    key_of(prefix::INSTANCE_KEY, account, chance)
}

/// Whether an access key's id looks like that of a container instance.
pub fn is_instance_key(id: &str) -> bool {
    id.starts_with(prefix::INSTANCE_KEY) && account_of_access_key(id).is_some()
}

/// The first bit is set, as in those of AWS; forty bits are the account's number, and the other 39 are drawn: the first
/// ten bytes of `chance` are used.
fn key_of(prefix: &str, account: AccountId, chance: &[u8; 32]) -> Arc<str> {
    let mut bytes = [0; KEY_BYTES];
    bytes.copy_from_slice(&chance[..KEY_BYTES]);
    let account: u64 = account.to_string().parse().expect("twelve digits");
    let drawn = u64::from(bytes[5]) & ((1 << ACCOUNT_SHIFT) - 1);
    let head = 1 << 47 | (account & ACCOUNT_BITS) << ACCOUNT_SHIFT | drawn;
    bytes[..6].copy_from_slice(&head.to_be_bytes()[2..]);
    let bits = bytes.iter().fold(0u128, |bits, byte| bits << 8 | u128::from(*byte));
    let characters = (0..16)
        .rev()
        .map(|place| char::from(ALPHABET[usize::try_from(bits >> (5 * place) & 31).expect("five bits")]));
    prefix.chars().chain(characters).collect::<String>().into()
}

/// The account in an access key's id; `None` if it is none of the present form.
pub fn account_of_access_key(id: &str) -> Option<AccountId> {
    let characters = id.get(4..).filter(|rest| rest.len() == 16)?;
    let mut bits = 0u128;
    for character in characters.bytes() {
        let value = ALPHABET.iter().position(|own| *own == character)?;
        bits = bits << 5 | u128::try_from(value).ok()?;
    }
    let head = u64::try_from(bits >> 32).ok()?;
    AccountId::parse(&format!("{:012}", head >> ACCOUNT_SHIFT & ACCOUNT_BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(text: &str) -> AccountId {
        AccountId::parse(text).expect("twelve digits")
    }

    #[test]
    fn a_key_tells_its_account() {
        for (number, text) in ["000000000000", "111122223333", "999999999999"].iter().enumerate() {
            let chance = [u8::try_from(number).expect("small") * 77; 32];
            let id = access_key(account(text), &chance);
            assert_eq!((id.len(), account_of_access_key(&id)), (20, Some(account(text))), "{id}");
        }
        assert_ne!(
            access_key(account("111122223333"), &[1; 32]),
            access_key(account("111122223333"), &[2; 32])
        );
        // Of AWS, as its users published it: the account was told beside it.
        assert_eq!(account_of_access_key("ASIAQNZGKIQY56JQ7WML"), Some(account("029608264753")));
        for bad in ["", "AKIA", "AKIA111111111111111", "AKIAIOSFODNN7EXAMPL", "äKIAIOSFODNN7EXAMPLE"] {
            assert_eq!(account_of_access_key(bad), None, "{bad}");
        }
    }

    #[test]
    fn unique_ids_have_their_form() {
        let id = unique(prefix::ROLE, Seed::new(7));
        assert!(id.starts_with("AROA") && id.len() == 21, "{id}");
        assert_eq!(id, unique(prefix::ROLE, Seed::new(7)));
        assert_ne!(id, unique(prefix::ROLE, Seed::new(8)));
        assert_ne!(fixed(prefix::POLICY, "a"), fixed(prefix::POLICY, "b"));
    }
}

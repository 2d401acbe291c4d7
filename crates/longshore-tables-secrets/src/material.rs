//! What a key of KMS encrypts with, and what its cipher texts look like (identity J11).
//!
//! A cipher text says which key and which of its materials made it, so that it is all that is needed to decrypt. It is
//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha), whose nonces of 192 bits may be drawn by chance; what stands before
//! the cipher text and the encryption context are its associated data.

use std::collections::BTreeMap;
use std::sync::Arc;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce};
use longshore_base::Scope;
use longshore_keyring::{Place, Plain};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

pub const LEN: usize = 32;
pub const NONCE_LEN: usize = 24;

/// This byte, the key's id (16 bytes), the number of its material (4 bytes, big-endian), the nonce, the cipher text.
const VERSION: u8 = 1;
const HEAD_LEN: usize = 1 + 16 + 4;

/// What a cipher text has to be decrypted with again: names and values.
pub type EncryptionContext = BTreeMap<String, String>;

/// Where the material of a key is sealed.
pub fn place<'a>(scope: &'a Scope, id: &'a str, number: &'a str) -> Place<'a> {
    Place {
        partition: scope.partition(),
        account: scope.account,
        region: Some(&scope.region),
        kind: "kms key material",
        id,
        version: number,
    }
}

/// What a cipher text says of itself. It is not proved before it is decrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob<'a> {
    /// The id of the key.
    pub key: Arc<str>,
    pub material: u64,
    head: &'a [u8],
    nonce: &'a [u8],
    sealed: &'a [u8],
}

impl<'a> Blob<'a> {
    /// `None` if it is none of ours.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(HEAD_LEN)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        let (version, names) = head.split_first()?;
        let (key, number) = names.split_at_checked(16)?;
        let key = uuid(u128::from_be_bytes(key.try_into().ok()?)).into();
        let material = u64::from(u32::from_be_bytes(number.try_into().ok()?));
        (*version == VERSION).then_some(Self { key, material, head, nonce, sealed })
    }

    /// `None` if it was made with other material, for another context, or has changed since.
    pub fn decrypt(&self, material: &[u8; LEN], context: &EncryptionContext) -> Option<Plain> {
        let cipher = XChaCha20Poly1305::new(Key::from_slice(material));
        let payload = Payload { msg: self.sealed, aad: &associated(self.head, context) };
        let plain = cipher.decrypt(XNonce::from_slice(self.nonce), payload).ok()?;
        Some(Plain::new(Zeroizing::new(plain)))
    }
}

/// Encrypts. `None` if the key's id is no UUID or it has more materials than can be: neither is a key of ours.
pub fn encrypt(
    (key, number): (&str, u64),
    material: &[u8; LEN],
    nonce: &[u8; NONCE_LEN],
    context: &EncryptionContext,
    plain: &[u8],
) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(HEAD_LEN + NONCE_LEN + plain.len() + 16);
    bytes.push(VERSION);
    bytes.extend(bits(key)?.to_be_bytes());
    bytes.extend(u32::try_from(number).ok()?.to_be_bytes());
    let cipher = XChaCha20Poly1305::new(Key::from_slice(material));
    let payload = Payload { msg: plain, aad: &associated(&bytes, context) };
    let sealed = cipher.encrypt(XNonce::from_slice(nonce), payload).ok()?;
    bytes.extend(nonce);
    bytes.extend(sealed);
    Some(bytes)
}

/// One text for one head and one context: each part with its length, so that no two share it.
fn associated(head: &[u8], context: &EncryptionContext) -> Vec<u8> {
    let mut bytes = b"longshore kms 1".to_vec();
    bytes.extend(head);
    for part in context.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend((part.len() as u64).to_be_bytes());
        bytes.extend(part.as_bytes());
    }
    bytes
}

/// What a material is called where answers name it: 64 hexadecimal digits, which follow from key and number.
pub fn id(key: &str, number: u64) -> String {
    let digest =
        Sha256::new().chain_update(key).chain_update([0]).chain_update(number.to_be_bytes()).finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bits of a UUID in lower case.
pub fn bits(text: &str) -> Option<u128> {
    let digits: String = text.chars().filter(|character| *character != '-').collect();
    let bits = u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 32)?;
    (uuid(bits) == text).then_some(bits)
}

fn uuid(bits: u128) -> String {
    let digits = format!("{bits:032x}");
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0f9d8c7b-1111-4222-8333-444455556666";

    fn context(pairs: &[(&str, &str)]) -> EncryptionContext {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn made() -> Vec<u8> {
        let context = context(&[("a", "b"), ("c", "")]);
        encrypt((KEY, 3), &[7; 32], &[9; 24], &context, b"hunter2").expect("a UUID")
    }

    #[test]
    fn it_says_what_it_needs() {
        let bytes = made();
        let blob = Blob::read(&bytes).expect("one of ours");
        assert_eq!((&*blob.key, blob.material), (KEY, 3));
        let plain = blob.decrypt(&[7; 32], &context(&[("a", "b"), ("c", "")])).expect("its own");
        assert_eq!(plain.as_str(), Some("hunter2"));
        assert!(!bytes.windows(7).any(|part| part == b"hunter2"));
    }

    #[test]
    fn it_opens_with_its_own_material_and_context_alone() {
        let bytes = made();
        let blob = Blob::read(&bytes).expect("one of ours");
        assert!(blob.decrypt(&[8; 32], &context(&[("a", "b"), ("c", "")])).is_none());
        for other in [
            &[][..],
            &[("a", "b")],
            &[("a", "b"), ("c", "d")],
            &[("a", "bc"), ("", "")],
            &[("ab", ""), ("c", "")],
            &[("a", "b"), ("c", ""), ("d", "")],
        ] {
            assert!(blob.decrypt(&[7; 32], &context(other)).is_none(), "{other:?}");
        }
    }

    #[test]
    fn whatever_is_changed_is_found() {
        let bytes = made();
        let own = context(&[("a", "b"), ("c", "")]);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let opened = Blob::read(&changed).and_then(|blob| blob.decrypt(&[7; 32], &own));
            assert!(opened.is_none(), "byte {at}");
        }
        for len in 0..bytes.len() {
            let opened = Blob::read(&bytes[..len]).and_then(|blob| blob.decrypt(&[7; 32], &own));
            assert!(opened.is_none(), "{len} bytes");
        }
    }

    #[test]
    fn only_uuids_are_ids() {
        assert_eq!(bits(KEY).map(uuid).as_deref(), Some(KEY));
        for bad in ["", "mrk-1", &KEY.to_uppercase(), &KEY.replace('-', ""), &KEY[1..], "é"] {
            assert_eq!(bits(bad), None, "{bad}");
        }
        assert_eq!(id(KEY, 1).len(), 64);
        assert_ne!(id(KEY, 1), id(KEY, 2));
    }
}

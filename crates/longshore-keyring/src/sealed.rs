//! Sealing: authenticated encryption (XChaCha20-Poly1305, draft-irtf-cfrg-xchacha) of one secret for one place.
//!
//! The nonce has 192 bits, so that random ones do not meet however many there are: nothing has to be counted across
//! restarts and nodes, as with the 96 bits of AES-GCM.

use std::fmt;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce};
use longshore_base::{AccountId, Partition, Region};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub(crate) const KEY_LEN: usize = 32;
pub(crate) const NONCE_LEN: usize = 24;

/// The layout of what is sealed: this byte, the data key's number (4 bytes, big-endian), the nonce, the cipher text.
const VERSION: u8 = 1;
const HEAD_LEN: usize = 1 + 4 + NONCE_LEN;

/// What a secret is, and of whom: it opens nowhere else.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub partition: Partition,
    pub account: AccountId,
    /// `None` where the account has it in all regions.
    pub region: Option<&'a Region>,
    /// What kind of thing: `iam access key`.
    pub kind: &'static str,
    /// Which one, by an id that is never used again.
    pub id: &'a str,
    /// Which version of it, where it has some.
    pub version: &'a str,
}

impl Place<'_> {
    /// One text for one place: each part with its length, so that no two places share it.
    fn bytes(&self) -> Vec<u8> {
        let account = self.account.to_string();
        let region = self.region.map_or("", Region::as_str);
        let mut bytes = Vec::new();
        for part in [self.partition.as_str(), &account, region, self.kind, self.id, self.version] {
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend(part.as_bytes());
        }
        bytes
    }
}

/// A secret as it is stored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(#[serde(with = "serde_bytes")] Vec<u8>);

/// A secret in the clear. Its memory is wiped when it goes.
pub struct Plain(Zeroizing<Vec<u8>>);

impl Sealed {
    /// From bytes that came from outside, as a session token does.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Of the data key that it was sealed with; `None` if it is nothing that was sealed here.
    pub fn key(&self) -> Option<u32> {
        let (version, rest) = self.0.split_first()?;
        let number = rest.first_chunk::<4>()?;
        (*version == VERSION && self.0.len() >= HEAD_LEN).then(|| u32::from_be_bytes(*number))
    }

    pub(crate) fn seal(
        number: u32,
        key: &[u8; KEY_LEN],
        nonce: [u8; NONCE_LEN],
        place: &Place<'_>,
        plain: &[u8],
    ) -> Self {
        let cipher = XChaCha20Poly1305::new(Key::from_slice(key));
        let payload = Payload { msg: plain, aad: &place.bytes() };
        let sealed = cipher.encrypt(XNonce::from_slice(&nonce), payload);
        let sealed = sealed.expect("only a text of more than 256 GiB is refused");
        let mut bytes = Vec::with_capacity(HEAD_LEN + sealed.len());
        bytes.push(VERSION);
        bytes.extend(number.to_be_bytes());
        bytes.extend(nonce);
        bytes.extend(sealed);
        Self(bytes)
    }

    /// `None` if it was not sealed with this key for this place, or has changed since.
    pub(crate) fn open(&self, key: &[u8; KEY_LEN], place: &Place<'_>) -> Option<Plain> {
        self.key()?;
        let (head, sealed) = self.0.split_at_checked(HEAD_LEN)?;
        let nonce = head.last_chunk::<NONCE_LEN>()?;
        let cipher = XChaCha20Poly1305::new(Key::from_slice(key));
        let payload = Payload { msg: sealed, aad: &place.bytes() };
        let plain = cipher.decrypt(XNonce::from_slice(nonce), payload).ok()?;
        Some(Plain(Zeroizing::new(plain)))
    }
}

impl Plain {
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// `None` if it is no UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plain(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn account(text: &str) -> AccountId {
        AccountId::parse(text).expect("twelve digits")
    }

    fn place<'a>(id: &'a str, version: &'a str) -> Place<'a> {
        let account = account("111122223333");
        Place { partition: Partition::Aws, account, region: None, kind: "test", id, version }
    }

    fn seal(plain: &str) -> Sealed {
        Sealed::seal(3, &KEY, [9; 24], &place("a", "1"), plain.as_bytes())
    }

    #[test]
    fn it_opens_at_its_place_and_nowhere_else() {
        let sealed = seal("hunter2");
        assert_eq!(sealed.key(), Some(3));
        let opened = sealed.open(&KEY, &place("a", "1")).expect("its own place");
        assert_eq!(opened.as_str(), Some("hunter2"));
        let region = Region::parse("eu-west-1").expect("a region");
        let own = place("a", "1");
        for other in [
            place("b", "1"),
            place("a", "2"),
            place("a1", ""),
            Place { kind: "other", ..own },
            Place { account: account("111122223334"), ..own },
            Place { partition: Partition::AwsCn, ..own },
            Place { region: Some(&region), ..own },
        ] {
            assert!(sealed.open(&KEY, &other).is_none(), "{other:?}");
        }
        assert!(sealed.open(&[8; 32], &own).is_none(), "another key");
    }

    #[test]
    fn whatever_is_changed_is_found() {
        let sealed = seal("hunter2");
        for at in 0..sealed.0.len() {
            let mut changed = sealed.clone();
            changed.0[at] ^= 1;
            // The number of the data key chooses the key, and is no part of what is compared.
            assert_eq!(changed.open(&KEY, &place("a", "1")).is_some(), (1..5).contains(&at), "byte {at}");
        }
        for len in 0..sealed.0.len() {
            assert!(Sealed(sealed.0[..len].to_vec()).open(&KEY, &place("a", "1")).is_none(), "{len} bytes");
        }
    }

    #[test]
    fn nothing_shows_what_it_holds() {
        let sealed = seal("hunter2");
        let opened = sealed.open(&KEY, &place("a", "1")).expect("its own place");
        assert_eq!(format!("{sealed:?} {opened:?}"), "Sealed(52 bytes) Plain(..)");
    }
}

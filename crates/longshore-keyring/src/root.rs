//! The root key: 32 bytes that are kept outside of the store.

use std::fmt;

use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a root key, and of every key that comes from it.
const LEN: usize = 32;

/// What a root key is used for. Each use has a key of its own, which says nothing about the others. The number is the
/// version of this scheme.
const TO_WRAP: &[u8] = b"longshore root key 1: wrap data keys";
const TO_DRAW: &[u8] = b"longshore root key 1: draw secrets";
const TO_NAME: &[u8] = b"longshore root key 1: fingerprint";

/// The key that wraps data keys. Whoever has it and the store has every secret.
#[derive(Clone)]
pub struct RootKey(Zeroizing<[u8; LEN]>);

/// Tells root keys apart and gives none away: it may be stored, logged and shown. Short, for people to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint([u8; 4]);

/// Why a text is no root key. It does not repeat the text.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a root key is 64 hexadecimal digits; this is something else")]
pub struct RootKeyError;

impl RootKey {
    /// A key of these bytes, which nobody may be able to guess: the caller draws them.
    pub fn new(mut bytes: [u8; LEN]) -> Self {
        let key = Self(Zeroizing::new(bytes));
        bytes.zeroize();
        key
    }

    /// Reads what [`RootKey::text`] wrote; white space at the ends does not matter, as files end with a new line.
    pub fn parse(text: &str) -> Result<Self, RootKeyError> {
        let text = text.trim().as_bytes();
        let mut bytes = Zeroizing::new([0; LEN]);
        if text.len() != 2 * LEN {
            return Err(RootKeyError);
        }
        for (byte, digits) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            let digit = |digit: u8| char::from(digit).to_digit(16).ok_or(RootKeyError);
            *byte = (digit(digits[0])? << 4 | digit(digits[1])?) as u8;
        }
        Ok(Self(bytes))
    }

    /// 64 hexadecimal digits.
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// What may be shown of this key.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut short = [0; 4];
        short.copy_from_slice(&self.derive(TO_NAME)[..4]);
        Fingerprint(short)
    }

    /// The key that data keys are wrapped with.
    pub(crate) fn wrapping(&self) -> Zeroizing<[u8; LEN]> {
        self.derive(TO_WRAP)
    }

    /// 32 bytes that nobody without this key can tell from random ones, the same for the same input.
    pub(crate) fn draw(&self, input: &[u8]) -> Zeroizing<[u8; LEN]> {
        mac(&self.derive(TO_DRAW)[..], input)
    }

    fn derive(&self, purpose: &[u8]) -> Zeroizing<[u8; LEN]> {
        mac(&self.0[..], purpose)
    }
}

fn mac(key: &[u8], input: &[u8]) -> Zeroizing<[u8; LEN]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(input);
    Zeroizing::new(mac.finalize().into_bytes().into())
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootKey({})", self.fingerprint())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_file() {
        let key = RootKey::new([0xa7; 32]);
        let text = key.text();
        assert_eq!(
            RootKey::parse(&format!("  {}\n", *text)).expect("it is one").fingerprint(),
            key.fingerprint()
        );
        for bad in
            ["", "a7", &text[1..], &format!("{}0", *text), &text.replace('a', "g"), &text.replace('a', "é")]
        {
            assert_eq!(RootKey::parse(bad).err(), Some(RootKeyError), "{bad:?}");
        }
    }

    #[test]
    fn what_is_shown_of_a_key_is_its_fingerprint() {
        let key = RootKey::new([0xa7; 32]);
        let shown = format!("{key:?}");
        assert_eq!(shown, format!("RootKey({})", key.fingerprint()));
        assert!(!shown.contains("a7a7"));
        assert_ne!(key.fingerprint(), RootKey::new([0xa8; 32]).fingerprint());
        assert_ne!(key.wrapping()[..], key.draw(b"")[..]);
    }
}

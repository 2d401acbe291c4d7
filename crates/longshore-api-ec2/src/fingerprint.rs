//! Public keys as OpenSSH writes them, and their fingerprints as EC2 shows them.
//!
//! Of an Ed25519 key it is the SHA-256 of the key's blob, in base64; of an RSA key that was imported, the MD5 of the key as
//! DER (`openssl rsa -pubout -outform DER | openssl md5 -c`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use longshore_tables_ec2::record::KeyKind;
use md5::{Digest, Md5};
use sha2::Sha256;

const ED25519: &str = "ssh-ed25519";
const RSA: &str = "ssh-rsa";
const ED25519_BYTES: usize = 32;
/// Bits that EC2 takes of an RSA key: 1024, 2048 and 4096; in bytes.
const RSA_BYTES: [usize; 3] = [128, 256, 512];

/// A public key that could be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PublicKey {
    pub kind: KeyKind,
    /// As it was given, without white space around it.
    pub text: String,
    pub fingerprint: String,
}

impl PublicKey {
    /// Reads `ssh-ed25519 AAAA… comment`; `None` if it is no such key.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let mut words = text.split_whitespace();
        let (name, encoded) = (words.next()?, words.next()?);
        let blob = STANDARD.decode(encoded).ok()?;
        let mut fields = Fields(&blob);
        if fields.next()? != name.as_bytes() || text.lines().count() != 1 {
            return None;
        }
        let (kind, fingerprint) = match name {
            ED25519 => {
                let key = fields.next()?;
                (key.len() == ED25519_BYTES).then_some(())?;
                (KeyKind::Ed25519, STANDARD.encode(Sha256::digest(&blob)))
            }
            RSA => {
                let (exponent, modulus) = (fields.next()?, fields.next()?);
                RSA_BYTES.contains(&significant(modulus).len()).then_some(())?;
                (KeyKind::Rsa, colons(&Md5::digest(rsa_der(modulus, exponent))))
            }
            _other => return None,
        };
        fields.0.is_empty().then(|| Self { kind, text: text.to_owned(), fingerprint })
    }

    /// The key of these 32 bytes.
    pub fn ed25519(key: &[u8], comment: &str) -> Self {
        let blob = ed25519_blob(key);
        let text = format!("{ED25519} {} {comment}", STANDARD.encode(&blob));
        let fingerprint = STANDARD.encode(Sha256::digest(&blob));
        Self { kind: KeyKind::Ed25519, text, fingerprint }
    }
}

/// The blob of an Ed25519 key: its name and its bytes.
pub(crate) fn ed25519_blob(key: &[u8]) -> Vec<u8> {
    let mut blob = Vec::new();
    put(&mut blob, ED25519.as_bytes());
    put(&mut blob, key);
    blob
}

/// Appends a field: its length in four bytes, and itself (RFC 4251, 5).
pub(crate) fn put(out: &mut Vec<u8>, field: &[u8]) {
    out.extend(u32::try_from(field.len()).expect("keys are short").to_be_bytes());
    out.extend(field);
}

/// Fields that are still to be read.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (field, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(field)
    }
}

/// A number without leading zeros.
fn significant(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

/// SubjectPublicKeyInfo of an RSA key (RFC 3279, 2.3.1).
fn rsa_der(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    /// rsaEncryption, and no parameters.
    const ALGORITHM: [u8; 15] =
        [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
    let key = der(0x30, &[integer(modulus), integer(exponent)].concat());
    // No bits of the last byte are unused.
    let bits = der(0x03, &[&[0], &*key].concat());
    der(0x30, &[&ALGORITHM[..], &bits].concat())
}

/// A positive number.
fn integer(number: &[u8]) -> Vec<u8> {
    let number = significant(number);
    let needs_sign = number.first().is_none_or(|first| first & 0x80 != 0);
    let sign: &[u8] = if needs_sign { &[0] } else { &[] };
    der(0x02, &[sign, number].concat())
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len().to_be_bytes();
    match content.len() {
        short @ 0..128 => out.push(u8::try_from(short).expect("below 128")),
        _long => {
            let length = significant(&length);
            out.push(0x80 | u8::try_from(length.len()).expect("at most eight"));
            out.extend(length);
        }
    }
    out.extend(content);
    out
}

fn colons(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_is_none() {
        let key = PublicKey::ed25519(&[7; 32], "ada");
        assert_eq!(PublicKey::parse(&format!(" {}\n", key.text)), Some(key));
        let short = STANDARD.encode(ed25519_blob(&[7; 31]));
        let mut longer = ed25519_blob(&[7; 32]);
        longer.push(0);
        let longer = STANDARD.encode(longer);
        let right = STANDARD.encode(ed25519_blob(&[7; 32]));
        for bad in [
            "",
            "ssh-ed25519",
            "ssh-ed25519 !",
            "ssh-ed25519 AAAA",
            &format!("ssh-ed25519 {short}"),
            &format!("ssh-ed25519 {longer}"),
            &format!("ssh-rsa {right}"),
            &format!("ecdsa-sha2-nistp256 {right}"),
            &format!("ssh-ed25519 {right}\nssh-ed25519 {right}"),
        ] {
            assert_eq!(PublicKey::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn numbers_are_der() {
        assert_eq!(integer(&[0, 0, 1]), [2, 1, 1]);
        assert_eq!(integer(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[]), [2, 1, 0]);
        assert_eq!(der(4, &[0; 200])[..3], [4, 0x81, 200]);
        assert_eq!(der(4, &[0; 300])[..4], [4, 0x82, 1, 44]);
    }
}

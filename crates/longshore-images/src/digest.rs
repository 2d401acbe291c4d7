//! Digests: what content is called.

use std::fmt::{self, Write};

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;

/// How a digest was made. OCI registers these two (image-spec, descriptor.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    Sha256,
    Sha512,
}

impl Algorithm {
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// As digests begin with it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }
}

/// The name of content: an algorithm, and what it makes of the bytes.
///
/// `sha256:` and 64 hex digits in lower case, or `sha512:` and 128. The rare long one is boxed: a registry keeps
/// millions of the short ones.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(Bits);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Bits {
    Sha256([u8; 32]),
    Sha512(Box<[u8; 64]>),
}

/// Why a text is no digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    #[error("a digest is ALGORITHM:HEX, with the hex digits in lower case")]
    Malformed,
    /// Well formed by OCI's grammar. Nothing here can have such a name.
    #[error("digests here are of sha256 or sha512")]
    UnknownAlgorithm,
}

impl Digest {
    /// The digest of these bytes.
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    pub fn parse(text: &str) -> Result<Self, DigestError> {
        let (algorithm, hex) = text.split_once(':').ok_or(DigestError::Malformed)?;
        let bits = match algorithm {
            "sha256" => Bits::Sha256(from_hex(hex)?),
            "sha512" => Bits::Sha512(Box::new(from_hex(hex)?)),
            other => {
                let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"+._-".contains(&byte);
                let is_value = |byte: u8| byte.is_ascii_alphanumeric() || b"=_-".contains(&byte);
                let is_digest = !other.is_empty()
                    && !hex.is_empty()
                    && other.bytes().all(is_name)
                    && hex.bytes().all(is_value);
                return Err(if is_digest { DigestError::UnknownAlgorithm } else { DigestError::Malformed });
            }
        };
        Ok(Self(bits))
    }

    pub fn algorithm(&self) -> Algorithm {
        match &self.0 {
            Bits::Sha256(_) => Algorithm::Sha256,
            Bits::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// The hex digits alone, in lower case.
    pub fn hex(&self) -> String {
        let mut hex = String::with_capacity(2 * self.bytes().len());
        for byte in self.bytes() {
            write!(hex, "{byte:02x}").expect("it is written to memory");
        }
        hex
    }

    fn bytes(&self) -> &[u8] {
        match &self.0 {
            Bits::Sha256(bytes) => bytes,
            Bits::Sha512(bytes) => &**bytes,
        }
    }
}

fn from_hex<const N: usize>(hex: &str) -> Result<[u8; N], DigestError> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(DigestError::Malformed),
    };
    let hex = hex.as_bytes();
    if hex.len() != 2 * N {
        return Err(DigestError::Malformed);
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
    }
    Ok(bytes)
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm().name(), self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// As text: what is stored and sent can be read by people.
impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

/// Takes bytes as they come, and tells their digest.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Sha256(sha2::Sha256),
    Sha512(Box<sha2::Sha512>),
}

impl Hasher {
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => State::Sha512(Box::default()),
        })
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
        }
    }

    pub fn finish(self) -> Digest {
        Digest(match self.0 {
            State::Sha256(state) => Bits::Sha256(state.finalize().into()),
            State::Sha512(state) => Bits::Sha512(Box::new(state.finalize().into())),
        })
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithm = match &self.0 {
            State::Sha256(_) => Algorithm::Sha256,
            State::Sha512(_) => Algorithm::Sha512,
        };
        write!(f, "Hasher({algorithm:?})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// FIPS 180-2, appendix B.1 and C.1.
    #[test]
    fn digests_are_those_of_the_standard() {
        let of = |algorithm| Digest::of(algorithm, b"abc").to_string();
        assert_eq!(
            of(Algorithm::Sha256),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert!(of(Algorithm::Sha512).starts_with("sha512:ddaf35a193617abacc417349ae204131"));
    }

    #[test]
    fn only_exact_spellings_are_read() {
        let hex = "0123456789abcdef".repeat(4);
        assert!(Digest::parse(&format!("sha256:{hex}")).is_ok());
        for (text, error) in [
            (String::new(), DigestError::Malformed),
            (hex.clone(), DigestError::Malformed),
            (format!("sha256:{}", &hex[1..]), DigestError::Malformed),
            (format!("sha256:{}", hex.to_uppercase()), DigestError::Malformed),
            (format!("sha256:{hex}00"), DigestError::Malformed),
            (format!("sha512:{hex}"), DigestError::Malformed),
            (format!("SHA256:{hex}"), DigestError::UnknownAlgorithm),
            ("blake3:00".to_owned(), DigestError::UnknownAlgorithm),
            ("sha256:../../etc/passwd".to_owned(), DigestError::Malformed),
            ("a/b:00".to_owned(), DigestError::Malformed),
        ] {
            assert_eq!(Digest::parse(&text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn texts_read_back(bytes: Vec<u8>, is_long: bool) {
            let algorithm = if is_long { Algorithm::Sha512 } else { Algorithm::Sha256 };
            let digest = Digest::of(algorithm, &bytes);
            prop_assert_eq!(Digest::parse(&digest.to_string()), Ok(digest));
        }

        #[test]
        fn pieces_are_the_whole(bytes: Vec<u8>, cut: usize) {
            let (left, right) = bytes.split_at(cut % (bytes.len() + 1));
            let mut hasher = Hasher::new(Algorithm::Sha256);
            hasher.update(left);
            hasher.update(right);
            prop_assert_eq!(hasher.finish(), Digest::of(Algorithm::Sha256, &bytes));
        }
    }
}

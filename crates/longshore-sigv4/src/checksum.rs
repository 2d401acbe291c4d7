//! The checksums that S3's clients send with a body, in a header or in a trailer.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// A way to sum up a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

impl Algorithm {
    pub const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// The header or trailer that carries it, in lower case.
    pub fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// The one whose header has this name, in any case.
    pub fn of_header(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.header().eq_ignore_ascii_case(name))
    }
}

/// A checksum in the making.
#[derive(Clone)]
pub struct Checksum {
    algorithm: Algorithm,
    state: State,
}

#[derive(Clone)]
enum State {
    Crc(crc_fast::Digest),
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Checksum {
    pub fn new(algorithm: Algorithm) -> Self {
        use crc_fast::CrcAlgorithm::{Crc32Iscsi, Crc32IsoHdlc, Crc64Nvme};
        let state = match algorithm {
            Algorithm::Crc32 => State::Crc(crc_fast::Digest::new(Crc32IsoHdlc)),
            Algorithm::Crc32c => State::Crc(crc_fast::Digest::new(Crc32Iscsi)),
            Algorithm::Crc64Nvme => State::Crc(crc_fast::Digest::new(Crc64Nvme)),
            Algorithm::Sha1 => State::Sha1(Sha1::new()),
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
        };
        Self { algorithm, state }
    }

    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Crc(state) => state.update(bytes),
            State::Sha1(state) => state.update(bytes),
            State::Sha256(state) => state.update(bytes),
        }
    }

    /// As clients write it: base64 of the bytes, the most significant one first.
    pub fn finish(self) -> String {
        let bytes = match (self.state, self.algorithm) {
            (State::Crc(state), Algorithm::Crc64Nvme) => state.finalize().to_be_bytes().to_vec(),
            // Of the result's 64 bits, the lower half.
            (State::Crc(state), _) => state.finalize().to_be_bytes()[4..].to_vec(),
            (State::Sha1(state), _) => state.finalize().to_vec(),
            (State::Sha256(state), _) => state.finalize().to_vec(),
        };
        STANDARD.encode(bytes)
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Checksum").field(&self.algorithm).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(algorithm: Algorithm, parts: &[&str]) -> String {
        let mut sum = Checksum::new(algorithm);
        parts.iter().for_each(|part| sum.update(part.as_bytes()));
        sum.finish()
    }

    /// The check values of the catalogues of CRCs, and those of FIPS 180, in base64.
    #[test]
    fn known_sums() {
        for (algorithm, text, want) in [
            (Algorithm::Crc32, "123456789", "y/Q5Jg=="),
            (Algorithm::Crc32c, "123456789", "4waSgw=="),
            (Algorithm::Crc64Nvme, "123456789", "rosUhgp5mIg="),
            (Algorithm::Sha1, "abc", "qZk+NkcGgWq6PiVxeFDCbJzQ2J0="),
            (Algorithm::Sha256, "abc", "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="),
        ] {
            let (start, end) = text.split_at(1);
            assert_eq!(of(algorithm, &[start, "", end]), want, "{algorithm:?}");
        }
        assert_eq!(Algorithm::of_header("X-Amz-Checksum-CRC32C"), Some(Algorithm::Crc32c));
        assert_eq!(Algorithm::of_header("x-amz-checksum-type"), None);
    }
}

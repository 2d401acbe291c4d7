//! AWS Signature Version 4: what was presented, whether it is genuine, and how to sign.
//!
//! Start at [`Presented::parse`]: it reads the `Authorization` header or the `X-Amz-*` query of a
//! [`Request`] and says which key is claimed. The caller finds that key's secret, and
//! [`Presented::check_time`] and [`Presented::verify`] do the rest. [`sign`] and [`presign`] are
//! the client's side; they share the canonical request with the verifier, and the public vectors
//! in `src/vectors.txt` pin both.
//!
//! [`Presented::reader`] is the same for a body that is not there yet: it verifies the head and gives a [`BodyReader`].
//!
//! Invariants:
//! - No secret, derived key or expected signature appears in `Debug`, in an error or in a return
//!   value. Signatures and tokens are compared in constant time.
//! - Untrusted text never panics; what cannot be read is a [`SigError::Incomplete`].
//! - Pure: the time is an argument.
//!
//! It does not know: who owns a key, HTTP libraries, SigV4a.

mod body;
mod canonical;
mod checksum;
mod chunks;
#[cfg(test)]
mod chunks_tests;
mod error;
mod hex;
mod key;
mod presented;
mod sign;
mod time;
#[cfg(test)]
mod vectors;

pub use body::{BodyReader, Payload};
pub use canonical::{Headers, Request};
pub use checksum::{Algorithm, Checksum};
pub use chunks::{ChunkForm, ChunkSigner, SIGNED_CHUNK_BYTES_MAX};
pub use error::{BodyRefused, OutOfTime, SigError};
pub use key::{Credentials, KeyCache, Secret, SigningKey};
pub use presented::{
    CLOCK_SKEW, EXPIRES_MAX, Form, Presented, anonymous_reader, claimed_service, is_chunked,
};
pub use sign::{ToSign, presign, sign};

/// The only algorithm that is spoken here.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";

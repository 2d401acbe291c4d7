//! Whether a body is the one that was signed, while it comes.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::canonical::{Headers, Repeated};
use crate::checksum::{Algorithm, Checksum};
use crate::chunks::{Chain, ChunkForm, Decoder};
use crate::error::{BodyRefused, SigError};

/// What a request says of its body's signature: its `x-amz-content-sha256`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Nothing of it is signed.
    Unsigned,
    /// Its hash is.
    Hash([u8; 32]),
    /// It comes in chunks, each with a signature of its own or with none.
    Chunks(ChunkForm),
}

/// Takes a body as it comes, and hands on what it holds.
///
/// Chunks are handed on once they are verified. A hash, and checksums in headers and trailers, can only be verified at the
/// end: nothing that a request asks for counts as done before [`BodyReader::end`] has said yes.
#[derive(Debug)]
pub struct BodyReader {
    kind: Kind,
    sums: Vec<Checksum>,
    /// What the headers say that a sum has to be.
    expected: Vec<(Algorithm, String)>,
    bytes: u64,
    /// `x-amz-decoded-content-length`.
    stated: Option<u64>,
}

#[derive(Debug)]
enum Kind {
    Plain(Option<(Sha256, [u8; 32])>),
    Chunks(Box<Decoder>),
}

impl BodyReader {
    /// For a body with this payload. `chain` is there if the request's own signature was verified.
    pub(crate) fn new(
        payload: Payload,
        chain: Option<Chain>,
        headers: &dyn Headers,
    ) -> Result<Self, SigError> {
        let text = |name: &'static str| match headers.only(name) {
            Ok(value) => Ok(value.map(|value| String::from_utf8_lossy(value.trim_ascii()).into_owned())),
            Err(Repeated) => Err(SigError::Incomplete("a header of its body occurs twice")),
        };
        let mut expected = Vec::new();
        for algorithm in Algorithm::ALL {
            expected.extend(text(algorithm.header())?.map(|value| (algorithm, value)));
        }
        let mut algorithms: Vec<Algorithm> = expected.iter().map(|(algorithm, _)| *algorithm).collect();
        let mut stated = None;
        let kind = match payload {
            Payload::Unsigned => Kind::Plain(None),
            Payload::Hash(hash) => Kind::Plain(Some((Sha256::new(), hash))),
            Payload::Chunks(form) => {
                if let Some(length) = text("x-amz-decoded-content-length")? {
                    let length = length.parse();
                    stated =
                        Some(length.map_err(|_| {
                            SigError::Incomplete("x-amz-decoded-content-length is no number")
                        })?);
                }
                let announced = match text("x-amz-trailer")? {
                    Some(names) if form.has_trailers => announced(&names)?,
                    Some(_) | None => Vec::new(),
                };
                algorithms.extend(announced.iter().filter_map(|name| Algorithm::of_header(name)));
                Kind::Chunks(Box::new(Decoder::new(form, chain.filter(|_| form.is_signed), announced)))
            }
        };
        let sums = algorithms.into_iter().map(Checksum::new).collect();
        Ok(Self { kind, sums, expected, bytes: 0, stated })
    }

    /// The length of the body once it is decoded, as the request states it; not verified before the end.
    pub fn stated_bytes(&self) -> Option<u64> {
        self.stated
    }

    pub fn is_chunked(&self) -> bool {
        matches!(self.kind, Kind::Chunks(_))
    }

    /// How many bytes it holds on to until they are verified.
    pub fn held_bytes(&self) -> usize {
        match &self.kind {
            Kind::Plain(_) => 0,
            Kind::Chunks(decoder) => decoder.held_bytes(),
        }
    }

    /// Takes from `input` up to the next piece of the body, and gives that; `None` if all input is taken.
    pub fn take(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, BodyRefused> {
        let piece = match &mut self.kind {
            Kind::Plain(_) if input.is_empty() => None,
            Kind::Plain(hash) => {
                if let Some((hash, _)) = hash {
                    hash.update(&input);
                }
                Some(std::mem::take(input))
            }
            Kind::Chunks(decoder) => decoder.take(input)?,
        };
        if let Some(piece) = &piece {
            self.bytes += piece.len() as u64;
            if self.stated.is_some_and(|stated| self.bytes > stated) {
                return Err(BodyRefused::Length);
            }
            self.sums.iter_mut().for_each(|sum| sum.update(piece));
        }
        Ok(piece)
    }

    /// Whether all was as it was signed and summed up. Gives the trailers, their names in lower case.
    pub fn end(self) -> Result<Vec<(String, String)>, BodyRefused> {
        let Self { kind, sums, expected, bytes, stated } = self;
        let trailers = match kind {
            Kind::Plain(None) => Vec::new(),
            Kind::Plain(Some((hash, signed))) => {
                if <[u8; 32]>::from(hash.finalize()) != signed {
                    return Err(BodyRefused::Hash);
                }
                Vec::new()
            }
            Kind::Chunks(decoder) => decoder.end()?,
        };
        if stated.is_some_and(|stated| bytes != stated) {
            return Err(BodyRefused::Length);
        }
        for sum in sums {
            let algorithm = sum.algorithm();
            let found = sum.finish();
            let headers = expected.iter().filter(|(other, _)| *other == algorithm).map(|(_, value)| value);
            let sent = trailers.iter().filter(|(name, _)| name == algorithm.header()).map(|(_, value)| value);
            if headers.chain(sent).any(|value| *value != found) {
                return Err(BodyRefused::Checksum(algorithm));
            }
        }
        Ok(trailers)
    }
}

/// The trailers that `x-amz-trailer` names, in lower case. Checksums alone: nothing else is sent so.
fn announced(names: &str) -> Result<Vec<String>, SigError> {
    let mut announced = Vec::new();
    for name in names.split(',').map(|name| name.trim().to_ascii_lowercase()) {
        if Algorithm::of_header(&name).is_none() || announced.contains(&name) {
            return Err(SigError::Incomplete(
                "x-amz-trailer names something else than checksums that are known",
            ));
        }
        announced.push(name);
    }
    Ok(announced)
}

//! `aws-chunked`: a body in chunks that may be signed one by one, with trailers that may be signed too.
//!
//! ```text
//! 400;chunk-signature=SIGNATURE   (the signature only where chunks are signed)
//! ... 0x400 bytes ...
//! 0;chunk-signature=SIGNATURE
//! x-amz-checksum-crc32c:sOO8/Q==
//! x-amz-trailer-signature:SIGNATURE
//! ```
//!
//! Lines end in CRLF; an empty one ends it all. Each signature covers the one before it, so that chunks cannot change
//! places. [`Decoder`] takes the bytes as they come and hands on what is proven; [`ChunkSigner`] is the client's side.

use bytes::{Buf, Bytes};
use longshore_base::Timestamp;
use sha2::{Digest, Sha256};

use crate::canonical;
use crate::error::BodyRefused;
use crate::hex::{hex, parse_digest};
use crate::key::{Credentials, SigningKey};

/// The longest signed chunk, in bytes: it is kept until its last byte has come. SDKs sign 64 or 128 KiB at a time.
pub const SIGNED_CHUNK_BYTES_MAX: usize = 16 << 20;

/// The longest line between chunks: a size in hexadecimal and a signature have 99.
const LINE_BYTES_MAX: usize = 1024;

/// What all trailers may take: a checksum and a signature have some 150.
const TRAILERS_BYTES_MAX: usize = 8 << 10;

const TRAILER_SIGNATURE: &str = "x-amz-trailer-signature";

/// Which form a chunked body has. Of the four, the one with neither signatures nor trailers is not spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkForm {
    /// `STREAMING-AWS4-HMAC-SHA256-...`, not `STREAMING-UNSIGNED-...`.
    pub is_signed: bool,
    /// `...-TRAILER`.
    pub has_trailers: bool,
}

impl ChunkForm {
    const ALL: [(&'static str, Self); 3] = [
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", Self { is_signed: true, has_trailers: false }),
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", Self { is_signed: true, has_trailers: true }),
        ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", Self { is_signed: false, has_trailers: true }),
    ];

    pub(crate) fn parse(stated: &[u8]) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| name.as_bytes() == stated).map(|(_, form)| *form)
    }

    /// As `x-amz-content-sha256` says it; for the form that is not spoken, what nobody reads.
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, form)| *form == self)
            .map_or("STREAMING-UNSIGNED-PAYLOAD", |(name, _)| name)
    }
}

/// The chain of signatures, from the request's own on.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    key: SigningKey,
    date: String,
    /// `date/region/service/aws4_request`.
    scope: String,
    /// The signature before: 64 hexadecimal digits.
    previous: String,
}

impl Chain {
    pub(crate) fn new(key: SigningKey, date: &str, scope: &str, seed: &[u8; 32]) -> Self {
        Self { key, date: date.to_owned(), scope: scope.to_owned(), previous: hex(seed) }
    }

    /// What the signature of a chunk is made of.
    fn chunk_text(&self, hash: &[u8; 32]) -> String {
        let Self { date, scope, previous, .. } = self;
        let (nothing, hash) = (hex(&Sha256::digest(b"")), hex(hash));
        format!("AWS4-HMAC-SHA256-PAYLOAD\n{date}\n{scope}\n{previous}\n{nothing}\n{hash}")
    }

    /// What the signature of all trailers is made of.
    fn trailer_text(&self, trailers: &[(String, String)]) -> String {
        let Self { date, scope, previous, .. } = self;
        let lines: String = trailers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let hash = hex(&Sha256::digest(lines));
        format!("AWS4-HMAC-SHA256-TRAILER\n{date}\n{scope}\n{previous}\n{hash}")
    }

    /// Compares a signature, which the next one then covers.
    fn check(&mut self, text: &str, presented: &[u8; 32]) -> Result<(), BodyRefused> {
        if !self.key.is_signature(text.as_bytes(), presented) {
            return Err(BodyRefused::Signature);
        }
        self.previous = hex(presented);
        Ok(())
    }
}

/// Where in a chunked body the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In the line before a chunk.
    Size,
    /// In a chunk, of which this many bytes are to come.
    Data(u64),
    /// At the end of its line.
    DataEnd,
    Trailers,
    Ended,
}

/// Takes a chunked body as it comes, however it is cut.
///
/// What it hands on of a signed chunk was verified. Memory: a signed chunk at most, a line, and the trailers.
#[derive(Debug)]
pub(crate) struct Decoder {
    form: ChunkForm,
    /// `None` where the key is not known, so that nothing can be verified.
    chain: Option<Chain>,
    /// Names that `x-amz-trailer` announced, in lower case.
    announced: Vec<String>,
    at: At,
    /// What has come of a line; after the end, of what may follow it.
    line: Vec<u8>,
    /// What has come of a signed chunk, which is handed on only when it is proven.
    chunk: Vec<u8>,
    /// Of the chunk so far.
    hash: Sha256,
    /// Of the chunk, as its line says it.
    signature: Option<[u8; 32]>,
    trailers: Vec<(String, String)>,
    trailers_bytes: usize,
    trailer_signature: Option<[u8; 32]>,
}

impl Decoder {
    pub(crate) fn new(form: ChunkForm, chain: Option<Chain>, announced: Vec<String>) -> Self {
        Self {
            form,
            chain,
            announced,
            at: At::Size,
            line: Vec::new(),
            chunk: Vec::new(),
            hash: Sha256::new(),
            signature: None,
            trailers: Vec::new(),
            trailers_bytes: 0,
            trailer_signature: None,
        }
    }

    /// How many bytes it holds on to.
    pub(crate) fn held_bytes(&self) -> usize {
        self.chunk.len()
    }

    /// Takes from `input` up to the next piece of the body, and gives that; `None` if all input is taken.
    pub(crate) fn take(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, BodyRefused> {
        while !input.is_empty() {
            match self.at {
                At::Data(left) => {
                    if let Some(piece) = self.take_data(input, left)? {
                        return Ok(Some(piece));
                    }
                }
                // Some clients end with one empty line more.
                At::Ended if matches!(input[0], b'\r' | b'\n') && self.line.len() < 4 => {
                    self.line.push(input.get_u8());
                }
                At::Ended => return Err(BodyRefused::Malformed("there is more after its end")),
                At::Size | At::DataEnd | At::Trailers => {
                    if self.take_line(input)? {
                        let line = std::mem::take(&mut self.line);
                        self.see_line(&line)?;
                    }
                }
            }
        }
        Ok(None)
    }

    /// The trailers, if the body is complete. Their signature was verified, what they say was not.
    pub(crate) fn end(self) -> Result<Vec<(String, String)>, BodyRefused> {
        if self.at != At::Ended {
            return Err(BodyRefused::Truncated);
        }
        Ok(self.trailers)
    }

    fn take_data(&mut self, input: &mut Bytes, left: u64) -> Result<Option<Bytes>, BodyRefused> {
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        let piece = input.split_to(length);
        let left = left - length as u64;
        self.at = if left == 0 { At::DataEnd } else { At::Data(left) };
        if self.chain.is_none() {
            return Ok(Some(piece));
        }
        self.hash.update(&piece);
        if left == 0 && self.chunk.is_empty() {
            self.check_chunk()?;
            return Ok(Some(piece));
        }
        self.chunk.extend_from_slice(&piece);
        if left > 0 {
            return Ok(None);
        }
        self.check_chunk()?;
        Ok(Some(std::mem::take(&mut self.chunk).into()))
    }

    /// Whether the line is complete: then without its end.
    fn take_line(&mut self, input: &mut Bytes) -> Result<bool, BodyRefused> {
        let end = input.iter().position(|&byte| byte == b'\n');
        let part = input.split_to(end.unwrap_or(input.len()));
        if self.line.len() + part.len() > LINE_BYTES_MAX {
            return Err(BodyRefused::Malformed("a line between chunks is too long"));
        }
        self.line.extend_from_slice(&part);
        if end.is_none() {
            return Ok(false);
        }
        input.advance(1);
        self.line.pop_if(|byte| *byte == b'\r');
        Ok(true)
    }

    fn see_line(&mut self, line: &[u8]) -> Result<(), BodyRefused> {
        match self.at {
            At::Size => self.begin_chunk(line),
            At::DataEnd if line.is_empty() => {
                self.at = At::Size;
                Ok(())
            }
            At::DataEnd => Err(BodyRefused::Malformed("a chunk is longer than it says")),
            At::Trailers => self.see_trailer(line),
            At::Data(_) | At::Ended => Ok(()),
        }
    }

    fn begin_chunk(&mut self, line: &[u8]) -> Result<(), BodyRefused> {
        let malformed = BodyRefused::Malformed("a chunk does not begin with its size");
        let line = std::str::from_utf8(line).map_err(|_| malformed.clone())?;
        let (size, extension) = line.split_once(';').unwrap_or((line, ""));
        let is_size = (1..=16).contains(&size.len()) && size.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = u64::from_str_radix(size, 16).ok().filter(|_| is_size).ok_or(malformed)?;
        let signature = extension.trim().strip_prefix("chunk-signature=");
        self.signature = signature.and_then(|digits| parse_digest(digits.as_bytes()));
        if self.form.is_signed && self.signature.is_none() {
            return Err(BodyRefused::Malformed("a chunk has no signature"));
        }
        if self.chain.is_some() && size > SIGNED_CHUNK_BYTES_MAX as u64 {
            return Err(BodyRefused::Malformed("a signed chunk is too long"));
        }
        if size > 0 {
            self.at = At::Data(size);
            return Ok(());
        }
        self.at = At::Trailers;
        self.check_chunk()
    }

    fn check_chunk(&mut self) -> Result<(), BodyRefused> {
        let Some(chain) = &mut self.chain else { return Ok(()) };
        let hash = self.hash.finalize_reset().into();
        let presented = self.signature.take().ok_or(BodyRefused::Signature)?;
        chain.check(&chain.chunk_text(&hash), &presented)
    }

    fn see_trailer(&mut self, line: &[u8]) -> Result<(), BodyRefused> {
        use BodyRefused::Malformed;
        self.trailers_bytes += line.len() + 1;
        if self.trailers_bytes > TRAILERS_BYTES_MAX {
            return Err(Malformed("its trailers are too long"));
        }
        let wants_signature =
            self.form.is_signed && self.form.has_trailers && self.trailer_signature.is_none();
        if line.is_empty() {
            // One may stand before the signature of the trailers: so the published examples have it.
            return if wants_signature { Ok(()) } else { self.end_trailers() };
        }
        let text = std::str::from_utf8(line).map_err(|_| Malformed("a trailer is not text"))?;
        let (name, value) = text.split_once(':').ok_or(Malformed("a trailer has no value"))?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
        if name == TRAILER_SIGNATURE && wants_signature {
            let digest = parse_digest(value.as_bytes());
            self.trailer_signature = Some(digest.ok_or(Malformed("the signature of the trailers is none"))?);
            return Ok(());
        }
        let is_announced = self.form.has_trailers && self.announced.contains(&name);
        if !is_announced || self.trailer_signature.is_some() || self.trailers.iter().any(|(n, _)| *n == name)
        {
            return Err(Malformed("a trailer was not announced by x-amz-trailer, or is there twice"));
        }
        self.trailers.push((name, value));
        Ok(())
    }

    fn end_trailers(&mut self) -> Result<(), BodyRefused> {
        if self.form.has_trailers && self.trailers.len() < self.announced.len() {
            return Err(BodyRefused::Malformed("a trailer is missing that x-amz-trailer announced"));
        }
        if let (Some(chain), Some(presented)) = (&mut self.chain, &self.trailer_signature) {
            chain.check(&chain.trailer_text(&self.trailers), presented)?;
        }
        self.at = At::Ended;
        Ok(())
    }
}

/// Writes a chunked body whose request is signed already.
#[derive(Debug)]
pub struct ChunkSigner {
    form: ChunkForm,
    chain: Chain,
}

impl ChunkSigner {
    /// `authorization` is the request's header, as [`sign`](crate::sign) made it at the same time with the same
    /// credentials: the first chunk's signature covers its.
    ///
    /// `None` if it holds no signature.
    pub fn new(
        form: ChunkForm,
        credentials: &Credentials,
        region: &str,
        service: &str,
        now: Timestamp,
        authorization: &str,
    ) -> Option<Self> {
        let (date, day) = canonical::date_forms(now);
        let (_, signature) = authorization.rsplit_once("Signature=")?;
        let key = SigningKey::derive(&credentials.secret, &day, region, service);
        let scope = format!("{day}/{region}/{service}/aws4_request");
        Some(Self { form, chain: Chain::new(key, &date, &scope, &parse_digest(signature.as_bytes())?) })
    }

    /// One chunk. An empty one is the last.
    pub fn chunk(&mut self, data: &[u8]) -> Vec<u8> {
        let mut out = format!("{:x}", data.len());
        if self.form.is_signed {
            let text = self.chain.chunk_text(&Sha256::digest(data).into());
            self.chain.previous = hex(&self.chain.key.signature(text.as_bytes()));
            out = format!("{out};chunk-signature={}", self.chain.previous);
        }
        let mut out = (out + "\r\n").into_bytes();
        out.extend_from_slice(data);
        if !data.is_empty() {
            out.extend_from_slice(b"\r\n");
        }
        out
    }

    /// What follows the last chunk. Names in lower case.
    pub fn trailers(&mut self, trailers: &[(String, String)]) -> Vec<u8> {
        let mut out: String = trailers.iter().map(|(name, value)| format!("{name}:{value}\r\n")).collect();
        if self.form.is_signed && self.form.has_trailers {
            let text = self.chain.trailer_text(trailers);
            self.chain.previous = hex(&self.chain.key.signature(text.as_bytes()));
            out = format!("{out}{TRAILER_SIGNATURE}:{}\r\n", self.chain.previous);
        }
        (out + "\r\n").into_bytes()
    }
}

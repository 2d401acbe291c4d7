//! Bodies in chunks: what strangers send, and what is made of a body that is signed in chunks and changed.

use bytes::Bytes;
use longshore_base::Timestamp;
use longshore_sigv4::{
    Algorithm, BodyReader, BodyRefused, Checksum, ChunkForm, ChunkSigner, Credentials, Presented, Request,
    ToSign, anonymous_reader, sign,
};

use crate::first_line;

/// 2013-05-24T00:00:00Z.
const NOW: Timestamp = Timestamp::from_millis(1_369_353_600_000);

type Body = (Vec<u8>, Vec<(String, String)>);

/// The first line chooses: a checksum's position, then how the bytes are cut; the rest is the body, encoded or not.
pub fn run(bytes: &[u8]) {
    let (line, rest) = first_line(bytes);
    let (algorithm, cut) = line.split_once(' ').unwrap_or((line, ""));
    let number = |text: &str| text.parse::<usize>().unwrap_or_default();
    let algorithm = Algorithm::ALL[number(algorithm) % Algorithm::ALL.len()];
    let cut = number(cut) % 97 + 1;
    strange(rest, algorithm, cut);
    genuine(rest, algorithm, cut);
}

/// Whatever comes is read or refused, and the cuts do not matter.
fn strange(wire: &[u8], algorithm: Algorithm, cut: usize) {
    let headers = [
        ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        ("x-amz-trailer", algorithm.header()),
    ];
    let headers = headers.as_slice();
    let request = Request { method: "PUT", path: "/b/k", query: "", headers: &headers };
    let reader = || anonymous_reader(&request).expect("it says what it is");
    let whole = read(reader(), wire, usize::MAX);
    assert_eq!(read(reader(), wire, cut), whole);
    if let Ok((body, trailers)) = whole {
        assert!(body.len() < wire.len() && trailers == [sum(algorithm, &body)]);
    }
}

/// What is signed in chunks is read again, and a change is found.
fn genuine(body: &[u8], algorithm: Algorithm, cut: usize) {
    let form = ChunkForm { is_signed: true, has_trailers: !cut.is_multiple_of(2) };
    let credentials = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    let mut headers = vec![("host", "h"), ("x-amz-content-sha256", form.name())];
    headers.extend(form.has_trailers.then(|| ("x-amz-trailer", algorithm.header())));
    let to_sign = ToSign { method: "PUT", path: "/b/k", query: "", headers: &headers, body: b"" };
    let signed = sign(&to_sign, &credentials, "us-east-1", "s3", NOW);
    headers.extend(signed.iter().map(|(name, value)| (*name, value.as_str())));
    let headers = headers.as_slice();
    let request = Request { method: "PUT", path: "/b/k", query: "", headers: &headers };
    let presented = Presented::parse(&request).expect("it was just signed");
    let key = presented.signing_key(&credentials.secret);
    let reader = || presented.reader(&request, &key).expect("it was just signed");

    let authorization =
        signed.iter().find(|(name, _)| *name == "authorization").map_or("", |(_, value)| value);
    let mut signer =
        ChunkSigner::new(form, &credentials, "us-east-1", "s3", NOW, authorization).expect("signed");
    let trailers: Vec<_> = form.has_trailers.then(|| sum(algorithm, body)).into_iter().collect();
    let mut wire: Vec<u8> = body.chunks(cut * 8).flat_map(|chunk| signer.chunk(chunk)).collect();
    wire.extend(signer.chunk(b""));
    wire.extend(signer.trailers(&trailers));
    let want = Ok((body.to_vec(), trailers));
    assert_eq!(read(reader(), &wire, cut), want);

    let at = cut * 31 % wire.len();
    wire[at] ^= 1;
    let changed = read(reader(), &wire, cut);
    assert!(changed.is_err() || changed == want, "a change went unnoticed");
}

fn sum(algorithm: Algorithm, body: &[u8]) -> (String, String) {
    let mut sum = Checksum::new(algorithm);
    sum.update(body);
    (algorithm.header().to_owned(), sum.finish())
}

fn read(mut reader: BodyReader, wire: &[u8], cut: usize) -> Result<Body, BodyRefused> {
    let mut body = Vec::new();
    for piece in wire.chunks(cut) {
        let mut piece = Bytes::copy_from_slice(piece);
        while let Some(part) = reader.take(&mut piece)? {
            assert!(!part.is_empty());
            body.extend_from_slice(&part);
        }
        assert!(piece.is_empty() && reader.held_bytes() <= wire.len());
    }
    Ok((body, reader.end()?))
}

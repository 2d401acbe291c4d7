//! Bodies in chunks: the published examples, what is refused, and that cuts do not matter.

use bytes::Bytes;
use longshore_base::Timestamp;
use proptest::prelude::*;

use crate::*;

/// 2013-05-24T00:00:00Z, the time of the published examples.
const NOW: Timestamp = Timestamp::from_millis(1_369_353_600_000);
const SEED: &str =
    "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=";
const SIGNED: ChunkForm = ChunkForm { is_signed: true, has_trailers: false };
const SIGNED_TRAILER: ChunkForm = ChunkForm { is_signed: true, has_trailers: true };
const UNSIGNED_TRAILER: ChunkForm = ChunkForm { is_signed: false, has_trailers: true };

fn credentials() -> Credentials {
    Credentials::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
}

/// The request of both examples, with the header fields that differ.
fn headers<'a>(form: ChunkForm, authorization: &'a str, trailer: Option<&'a str>) -> Vec<(&'a str, &'a str)> {
    let mut headers = vec![
        ("host", "s3.amazonaws.com"),
        ("x-amz-date", "20130524T000000Z"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ("content-encoding", "aws-chunked"),
        ("x-amz-content-sha256", form.name()),
        ("x-amz-decoded-content-length", "66560"),
        ("authorization", authorization),
    ];
    headers.push(("content-length", if form.has_trailers { "66946" } else { "66824" }));
    headers.extend(trailer.map(|trailer| ("x-amz-trailer", trailer)));
    headers
}

fn request<'a>(headers: &'a &'a [(&'a str, &'a str)]) -> Request<'a> {
    Request { method: "PUT", path: "/examplebucket/chunkObject.txt", query: "", headers }
}

/// A body and its trailers.
type Read = (Vec<u8>, Vec<(String, String)>);

/// Reads `wire`, cut into pieces of these lengths (again and again): the body and the trailers, or the error.
fn read(mut reader: BodyReader, wire: &[u8], cuts: &[usize]) -> Result<Read, BodyRefused> {
    let (mut body, mut rest, mut cuts) = (Vec::new(), wire, cuts.iter().cycle());
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(*cuts.next().expect("a cycle")));
        rest = after;
        let mut piece = Bytes::copy_from_slice(piece);
        while let Some(part) = reader.take(&mut piece)? {
            body.extend_from_slice(&part);
        }
        assert!(reader.held_bytes() <= SIGNED_CHUNK_BYTES_MAX);
    }
    Ok((body, reader.end()?))
}

/// A request that is signed here, and what reads its body.
struct Made {
    signer: ChunkSigner,
    reader: BodyReader,
}

fn made(form: ChunkForm, extra: &[(&str, &str)]) -> Made {
    let mut headers = vec![("host", "h"), ("x-amz-content-sha256", form.name())];
    headers.extend_from_slice(extra);
    let to_sign = ToSign { method: "PUT", path: "/b/k", query: "", headers: &headers, body: b"" };
    let signed = sign(&to_sign, &credentials(), "us-east-1", "s3", NOW);
    headers.extend(signed.iter().map(|(name, value)| (*name, value.as_str())));
    let authorization = signed.iter().find(|(name, _)| *name == "authorization").expect("it is signed");
    let signer = ChunkSigner::new(form, &credentials(), "us-east-1", "s3", NOW, &authorization.1);
    let headers = headers.as_slice();
    let request = Request { method: "PUT", path: "/b/k", query: "", headers: &headers };
    let presented = Presented::parse(&request).expect("well-formed");
    let key = presented.signing_key(&credentials().secret);
    let reader = presented.reader(&request, &key).expect("genuine");
    Made { signer: signer.expect("a signature"), reader }
}

fn wire(signer: &mut ChunkSigner, chunks: &[&[u8]], trailers: &[(String, String)]) -> Vec<u8> {
    let mut wire: Vec<u8> = chunks.iter().flat_map(|chunk| signer.chunk(chunk)).collect();
    wire.extend(signer.chunk(b""));
    wire.extend(signer.trailers(trailers));
    wire
}

fn sum(algorithm: Algorithm, body: &[u8]) -> (String, String) {
    let mut sum = Checksum::new(algorithm);
    sum.update(body);
    (algorithm.header().to_owned(), sum.finish())
}

/// "Signature calculations for the Authorization header: transferring payload in multiple chunks", both pages.
#[test]
fn the_published_examples() {
    let plain = "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;\
                 x-amz-decoded-content-length;x-amz-storage-class,Signature=\
                 4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
    let chunks = [
        "10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n",
        "400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n",
        "0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n",
    ];
    let trailer = "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;\
                   x-amz-storage-class;x-amz-trailer,Signature=\
                   106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e";
    let with_trailer = [
        "10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n",
        "400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n",
        "0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n\
         x-amz-checksum-crc32c:sOO8/Q==\r\n\
         x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n",
    ];
    let body = vec![b'a'; 66_560];
    for (form, signature, chunks, trailer) in [
        (SIGNED, plain, chunks, None),
        (SIGNED_TRAILER, trailer, with_trailer, Some("x-amz-checksum-crc32c")),
    ] {
        let authorization = format!("{SEED}{signature}");
        let headers = headers(form, &authorization, trailer);
        let headers = headers.as_slice();
        let presented = Presented::parse(&request(&headers)).expect("well-formed");
        let key = presented.signing_key(&credentials().secret);
        let reader = presented.reader(&request(&headers), &key).expect("the signature of the example");
        let [first, second, last] = chunks.map(str::as_bytes);
        let wire = [first, &body[..65_536], b"\r\n", second, &body[65_536..], b"\r\n", last].concat();
        let (read, trailers) = read(reader, &wire, &[1000]).expect("the chunks of the example");
        assert!(read == body);
        assert_eq!(trailers.len(), usize::from(form.has_trailers));

        // Our own signer makes the same of it.
        let mut signer = ChunkSigner::new(form, &credentials(), "us-east-1", "s3", NOW, &authorization)
            .expect("a signature");
        let parts: [&[u8]; 2] = [&body[..65_536], &body[65_536..]];
        assert!(self::wire(&mut signer, &parts, &trailers) == wire);
    }
}

/// As botocore sends it over TLS, and the CLI with another sum.
#[test]
fn unsigned_chunks_with_a_trailer() {
    for algorithm in Algorithm::ALL {
        let made = made(
            UNSIGNED_TRAILER,
            &[("x-amz-trailer", algorithm.header()), ("x-amz-decoded-content-length", "6")],
        );
        let (name, value) = sum(algorithm, b"hello\n");
        let wire = format!("6\r\nhello\n\r\n0\r\n{name}:{value}\r\n\r\n");
        let want = (b"hello\n".to_vec(), vec![(name, value)]);
        assert_eq!(read(made.reader, wire.as_bytes(), &[3]), Ok(want));
    }
}

#[test]
fn what_is_wrong_is_refused() {
    use BodyRefused::{Checksum, Length, Malformed, Signature, Truncated};
    let crc = ("x-amz-trailer", "x-amz-checksum-crc32");
    let length = ("x-amz-decoded-content-length", "5");
    let sound = "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n";
    let unsigned = |wire: &str| {
        read(made(UNSIGNED_TRAILER, &[crc, length]).reader, wire.as_bytes(), &[usize::MAX])
            .map(|(body, _)| body)
    };
    assert_eq!(unsigned(sound), Ok(b"hello".to_vec()));
    assert_eq!(unsigned(&format!("{sound}\r\n")), Ok(b"hello".to_vec()));
    for end in 0..sound.len() - 1 {
        assert_eq!(unsigned(&sound[..end]), Err(Truncated), "{end}");
    }
    for (from, to, want) in [
        ("hello", "hallo", Checksum(Algorithm::Crc32)),
        ("NhCmhg==", "NhCmhA==", Checksum(Algorithm::Crc32)),
        ("5\r\nhello", "6\r\nhello!", Length),
        ("5\r\nhello", "4\r\nhell", Length),
        ("5\r\nhello", "4\r\nhello", Malformed("a chunk is longer than it says")),
        ("5\r\n", "\r\n", Malformed("a chunk does not begin with its size")),
        ("5\r\n", "+5\r\n", Malformed("a chunk does not begin with its size")),
        ("5\r\n", "-5\r\n", Malformed("a chunk does not begin with its size")),
        ("5\r\n", "5g\r\n", Malformed("a chunk does not begin with its size")),
        ("5\r\n", "00000000000000005\r\n", Malformed("a chunk does not begin with its size")),
        (":NhC", "NhC", Malformed("a trailer has no value")),
        (
            "x-amz-checksum-crc32:",
            "x-amz-checksum-sha1:",
            Malformed("a trailer was not announced by x-amz-trailer, or is there twice"),
        ),
        (
            "x-amz-checksum-crc32:NhCmhg==\r\n",
            "",
            Malformed("a trailer is missing that x-amz-trailer announced"),
        ),
        ("\r\n\r\n", "\r\n\r\nmore", Malformed("there is more after its end")),
    ] {
        assert_eq!(unsigned(&sound.replacen(from, to, 1)), Err(want), "{from:?} to {to:?}");
    }
    let long = format!("{}\r\n", "0".repeat(2000));
    assert_eq!(unsigned(&long), Err(Malformed("a line between chunks is too long")));

    let signed = |change: &dyn Fn(String) -> String| {
        let Made { mut signer, reader } = made(SIGNED, &[]);
        let wire = wire(&mut signer, &[b"one", b"two"], &[]);
        let wire = change(String::from_utf8(wire).expect("text"));
        read(reader, wire.as_bytes(), &[7]).map(|(body, _)| body)
    };
    assert_eq!(signed(&|wire| wire), Ok(b"onetwo".to_vec()));
    assert_eq!(signed(&|wire| wire.replace("two", "Two")), Err(Signature));
    assert_eq!(
        signed(&|wire| wire.replace(";chunk-signature", ";x")),
        Err(Malformed("a chunk has no signature"))
    );
    // A chunk is left out: the next one's signature covered it.
    assert_eq!(signed(&|wire| wire[wire.rfind("3;").expect("a second chunk")..].to_owned()), Err(Signature));
    assert_eq!(
        signed(&|_| "1000001;chunk-signature=".to_owned() + &"0".repeat(64) + "\r\n"),
        Err(Malformed("a signed chunk is too long"))
    );

    let trailed = |change: &dyn Fn(String) -> String| {
        let Made { mut signer, reader } = made(SIGNED_TRAILER, &[crc]);
        let wire = wire(&mut signer, &[b"hello"], &[sum(Algorithm::Crc32, b"hello")]);
        read(reader, change(String::from_utf8(wire).expect("text")).as_bytes(), &[7]).map(|(body, _)| body)
    };
    assert_eq!(trailed(&|wire| wire), Ok(b"hello".to_vec()));
    assert_eq!(trailed(&|wire| wire.replace("NhCmhg", "NhCmhA")), Err(Signature));
    assert_eq!(
        trailed(&|wire| wire.replace("x-amz-trailer-signature", "x-amz-checksum-sha1")).map(|_| ()),
        Err(Malformed("a trailer was not announced by x-amz-trailer, or is there twice"))
    );
    // Without the signature it has no end.
    assert_eq!(
        trailed(&|wire| wire[..wire.find("x-amz-trailer").expect("it")].to_owned() + "\r\n"),
        Err(Truncated)
    );
    // An empty line before it, as the published text has it.
    assert_eq!(
        trailed(&|wire| wire.replace("x-amz-trailer-s", "\r\nx-amz-trailer-s")),
        Ok(b"hello".to_vec())
    );
}

#[test]
fn plain_bodies_are_hashed_and_summed_up() {
    let reader = |extra: &[(&str, &str)]| {
        let mut headers = vec![("host", "h")];
        headers.extend_from_slice(extra);
        let to_sign = ToSign { method: "PUT", path: "/b/k", query: "", headers: &headers, body: b"hello" };
        let signed = sign(&to_sign, &credentials(), "us-east-1", "s3", NOW);
        headers.extend(signed.iter().map(|(name, value)| (*name, value.as_str())));
        let headers = headers.as_slice();
        let request = Request { method: "PUT", path: "/b/k", query: "", headers: &headers };
        let presented = Presented::parse(&request).expect("well-formed");
        presented.reader(&request, &presented.signing_key(&credentials().secret))
    };
    let hash = ("x-amz-content-sha256", "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    let unsigned = ("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
    let body = |extra: &[(&str, &str)], wire: &str| {
        read(reader(extra).expect("genuine"), wire.as_bytes(), &[2]).map(|(body, _)| body)
    };
    assert_eq!(body(&[hash], "hello"), Ok(b"hello".to_vec()));
    assert_eq!(body(&[hash], "hallo"), Err(BodyRefused::Hash));
    assert_eq!(body(&[hash], ""), Err(BodyRefused::Hash));
    assert_eq!(body(&[unsigned], "hallo"), Ok(b"hallo".to_vec()));
    let crc = ("x-amz-checksum-crc32", "NhCmhg==");
    assert_eq!(body(&[unsigned, crc], "hello"), Ok(b"hello".to_vec()));
    assert_eq!(body(&[unsigned, crc], "hallo"), Err(BodyRefused::Checksum(Algorithm::Crc32)));
    for (extra, text) in [
        (&[][..], "x-amz-content-sha256 is missing"),
        (
            &[("x-amz-content-sha256", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD")][..],
            "neither a hash nor known",
        ),
        (&[("x-amz-content-sha256", UNSIGNED_TRAILER.name()), ("x-amz-trailer", "etag")], "something else"),
        (
            &[("x-amz-content-sha256", UNSIGNED_TRAILER.name()), ("x-amz-decoded-content-length", "-1")],
            "no number",
        ),
    ] {
        let error = reader(extra).expect_err(text).to_string();
        assert!(error.contains(text), "{error}");
    }
}

/// A request that is not signed, or by a key that is not known, still has to be complete.
#[test]
fn bodies_that_nobody_proves() {
    let anonymous = |stated: Option<&str>| {
        let headers: Vec<(&str, &str)> =
            stated.map(|stated| ("x-amz-content-sha256", stated)).into_iter().collect();
        let headers = headers.as_slice();
        anonymous_reader(&Request { method: "PUT", path: "/b/k", query: "", headers: &headers })
    };
    assert!(anonymous(None).is_ok() && anonymous(Some("UNSIGNED-PAYLOAD")).is_ok());
    assert!(anonymous(Some(UNSIGNED_TRAILER.name())).is_ok_and(|reader| reader.is_chunked()));
    assert!(anonymous(Some(SIGNED.name())).is_err());
    let Made { mut signer, .. } = made(SIGNED, &[]);
    let wire = String::from_utf8(wire(&mut signer, &[b"one"], &[])).expect("text");
    let headers = headers(SIGNED, SEED, None);
    let headers = headers.as_slice();
    let guess = "host,Signature=".to_owned() + &"0".repeat(64);
    let authorization = format!("{SEED}{guess}");
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .filter(|(name, _)| *name != "x-amz-decoded-content-length")
        .map(|(name, value)| (*name, if *name == "authorization" { authorization.as_str() } else { *value }))
        .collect();
    let headers = headers.as_slice();
    let presented = Presented::parse(&request(&headers)).expect("well-formed");
    let reader = || presented.unproven_reader(&request(&headers)).expect("it says what it is");
    assert_eq!(read(reader(), wire.as_bytes(), &[5]), Ok((b"one".to_vec(), Vec::new())));
    assert_eq!(read(reader(), &wire.as_bytes()[..100], &[5]), Err(BodyRefused::Truncated));
}

proptest! {
    /// However a body is cut into chunks, and these into pieces on the way, the same is read.
    #[test]
    fn cuts_do_not_matter(
        chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..8),
        cuts in proptest::collection::vec(1_usize..30, 1..6),
        form in prop_oneof![Just(SIGNED), Just(SIGNED_TRAILER), Just(UNSIGNED_TRAILER)],
        algorithm in proptest::sample::select(&Algorithm::ALL[..]),
        broken in any::<proptest::sample::Index>(),
    ) {
        let body = chunks.concat();
        let extra = [("x-amz-trailer", algorithm.header())];
        let extra = if form.has_trailers { &extra[..] } else { &[] };
        let trailers: Vec<_> = extra.iter().map(|_| sum(algorithm, &body)).collect();
        let Made { mut signer, reader } = made(form, extra);
        let parts: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
        let mut wire = wire(&mut signer, &parts, &trailers);
        prop_assert_eq!(read(reader, &wire, &cuts), Ok((body.clone(), trailers.clone())));
        // Whatever bit is changed, no other body is taken for this one.
        let at = broken.index(wire.len());
        wire[at] ^= 1;
        if let Ok((other, sums)) = read(made(form, extra).reader, &wire, &cuts) {
            prop_assert_eq!((other, sums), (body, trailers));
        }
    }
}

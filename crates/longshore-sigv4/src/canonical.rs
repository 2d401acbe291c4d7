//! The canonical request: the one text of a request that both sides hash.

use sha2::{Digest, Sha256};

use crate::hex::hex_into;
use crate::time;
use longshore_base::Timestamp;
use longshore_base::percent::{decode_bytes, encode_into};

/// Read access to headers, by case-insensitive name.
pub trait Headers {
    /// Calls `see` with each value of `name`, in the order of the request.
    fn each<'h>(&'h self, name: &str, see: &mut dyn FnMut(&'h [u8]));

    /// The only value of `name`; `None` if there is none, an error if there are several.
    fn only<'h>(&'h self, name: &str) -> Result<Option<&'h [u8]>, Repeated> {
        let (mut found, mut count) = (None, 0);
        self.each(name, &mut |value| {
            found = Some(value);
            count += 1;
        });
        if count > 1 { Err(Repeated) } else { Ok(found) }
    }
}

/// A header that may occur once occurred several times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeated;

impl<N: AsRef<str>, V: AsRef<[u8]>> Headers for &[(N, V)] {
    fn each<'h>(&'h self, name: &str, see: &mut dyn FnMut(&'h [u8])) {
        for (key, value) in self.iter() {
            if key.as_ref().eq_ignore_ascii_case(name) {
                see(value.as_ref());
            }
        }
    }
}

/// The parts of a request that a signature covers, apart from its body.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub method: &'a str,
    /// As sent: percent-encoded once, beginning with a slash.
    pub path: &'a str,
    /// As sent, without the question mark. A `+` is a space: that is how the official agent sends
    /// what it signs as `%20` (agent-protocol G5).
    pub query: &'a str,
    pub headers: &'a dyn Headers,
}

/// How a service treats the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathStyle {
    /// Dot segments and repeated slashes go, and what was sent is encoded once more.
    Normalised,
    /// S3: every byte of a key counts, and the path is encoded exactly once.
    AsSent,
}

impl PathStyle {
    pub(crate) fn of(service: &str) -> Self {
        if service == "s3" { PathStyle::AsSent } else { PathStyle::Normalised }
    }
}

/// Appends the canonical request.
///
/// `signed_headers` is the list as presented (`host;x-amz-date`), `payload` the last line. Query
/// parameter `X-Amz-Signature` is left out: it cannot sign itself.
pub(crate) fn write(
    out: &mut Vec<u8>,
    request: &Request<'_>,
    style: PathStyle,
    signed_headers: &str,
    payload: &[u8],
) {
    out.extend_from_slice(request.method.as_bytes());
    out.push(b'\n');
    write_path(out, request.path, style);
    out.push(b'\n');
    write_query(out, request.query);
    out.push(b'\n');
    for name in signed_headers.split(';') {
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        let mut first = true;
        request.headers.each(name, &mut |value| {
            if !first {
                out.push(b',');
            }
            first = false;
            write_folded(out, value);
        });
        out.push(b'\n');
    }
    out.push(b'\n');
    out.extend_from_slice(signed_headers.as_bytes());
    out.push(b'\n');
    out.extend_from_slice(payload);
}

fn write_path(out: &mut Vec<u8>, path: &str, style: PathStyle) {
    match style {
        PathStyle::AsSent => {
            let path = if path.is_empty() { "/" } else { path };
            encode_into(out, &decode_bytes(path.as_bytes(), false), true);
        }
        PathStyle::Normalised => {
            let mut kept: Vec<&str> = Vec::new();
            for segment in path.split('/') {
                match segment {
                    "" | "." => {}
                    ".." => drop(kept.pop()),
                    name => kept.push(name),
                }
            }
            for segment in &kept {
                out.push(b'/');
                encode_into(out, segment.as_bytes(), false);
            }
            let ends_in_directory = path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..");
            if kept.is_empty() || ends_in_directory {
                out.push(b'/');
            }
        }
    }
}

/// Sorted by encoded key, then by encoded value.
fn write_query(out: &mut Vec<u8>, query: &str) {
    if query.is_empty() {
        return;
    }
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let encoded = |text: &str| {
            let mut bytes = Vec::with_capacity(text.len());
            encode_into(&mut bytes, &decode_bytes(text.as_bytes(), true), false);
            bytes
        };
        let key = encoded(key);
        if key != b"X-Amz-Signature" {
            pairs.push((key, encoded(value)));
        }
    }
    pairs.sort_unstable();
    for (n, (key, value)) in pairs.iter().enumerate() {
        if n > 0 {
            out.push(b'&');
        }
        out.extend_from_slice(key);
        out.push(b'=');
        out.extend_from_slice(value);
    }
}

/// Without outer blanks, and with one space for every inner run of them (line folds too).
fn write_folded(out: &mut Vec<u8>, value: &[u8]) {
    let mut gap = false;
    for &byte in value.trim_ascii() {
        if byte.is_ascii_whitespace() {
            gap = true;
        } else {
            if gap {
                out.push(b' ');
                gap = false;
            }
            out.push(byte);
        }
    }
}

/// The text whose HMAC is the signature. `scope` is `date/region/service/aws4_request`.
pub(crate) fn string_to_sign(date: &str, scope: &str, canonical: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(128 + scope.len());
    for line in [crate::ALGORITHM, date, scope] {
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
    }
    hex_into(&mut out, &Sha256::digest(canonical));
    out
}

/// The two forms of a signing time: `20150830T123600Z` and its first eight characters.
pub(crate) fn date_forms(now: Timestamp) -> (String, String) {
    let long = time::format(now);
    let short = long[..8].to_owned();
    (long, short)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(sent: &str, style: PathStyle) -> String {
        let mut out = Vec::new();
        write_path(&mut out, sent, style);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn paths_are_normalised_except_for_s3() {
        use PathStyle::{AsSent, Normalised};
        for (sent, normalised, as_sent) in [
            ("", "/", "/"),
            ("/", "/", "/"),
            ("//example//", "/example/", "//example//"),
            ("/a/./b/../c", "/a/c", "/a/./b/../c"),
            ("/../..", "/", "/../.."),
            ("/a/.", "/a/", "/a/."),
            ("/a%20b", "/a%2520b", "/a%20b"),
            ("/@x%3D", "/%40x%253D", "/%40x%3D"),
        ] {
            assert_eq!(path(sent, Normalised), normalised, "{sent}");
            assert_eq!(path(sent, AsSent), as_sent, "{sent}");
        }
    }

    #[test]
    fn queries_are_sorted_and_encoded_anew() {
        for (sent, want) in [
            ("", ""),
            ("b=2&a=1&a=0", "a=0&a=1&b=2"),
            ("acl", "acl="),
            ("a=x+y&&b=%7e", "a=x%20y&b=~"),
            ("X-Amz-Signature=00&a=b=c", "a=b%3Dc"),
            ("a-b=1&a=2", "a=2&a-b=1"),
        ] {
            let mut out = Vec::new();
            write_query(&mut out, sent);
            assert_eq!(String::from_utf8(out).expect("ASCII"), want, "{sent}");
        }
    }

    #[test]
    fn blanks_fold() {
        for (sent, want) in [("  a   b  ", "a b"), ("\"a  b\"", "\"a b\""), ("v1\n  v2", "v1 v2"), ("", "")] {
            let mut out = Vec::new();
            write_folded(&mut out, sent.as_bytes());
            assert_eq!(String::from_utf8(out).expect("ASCII"), want, "{sent}");
        }
    }
}

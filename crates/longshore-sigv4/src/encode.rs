//! Percent-encoding as SigV4 wants it (RFC 3986, unreserved characters only), and hexadecimal.

use std::borrow::Cow;

const UPPER: &[u8; 16] = b"0123456789ABCDEF";
const LOWER: &[u8; 16] = b"0123456789abcdef";

/// Letters, digits and `-._~` stand for themselves; every other byte is written as `%XX`.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Appends `bytes`, percent-encoded; a slash stays a slash if `keep_slash`.
pub(crate) fn encode_into(out: &mut Vec<u8>, bytes: &[u8], keep_slash: bool) {
    for &byte in bytes {
        if is_unreserved(byte) || (keep_slash && byte == b'/') {
            out.push(byte);
        } else {
            let (high, low) = (UPPER[usize::from(byte >> 4)], UPPER[usize::from(byte & 15)]);
            out.extend_from_slice(&[b'%', high, low]);
        }
    }
}

/// One key or value of a query, percent-encoded.
pub fn encode_component(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    encode_into(&mut out, text.as_bytes(), false);
    String::from_utf8(out).expect("percent-encoding yields ASCII")
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Undoes percent-encoding. A `%` without two digits stands for itself, as in browsers.
/// With `plus_is_space`, `+` is a space.
pub(crate) fn decode(bytes: &[u8], plus_is_space: bool) -> Cow<'_, [u8]> {
    if !bytes.iter().any(|&b| b == b'%' || (plus_is_space && b == b'+')) {
        return Cow::Borrowed(bytes);
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'%', [high, low, after @ ..]) => match (hex_digit(*high), hex_digit(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    rest = after;
                }
                (None, _) | (_, None) => out.push(b'%'),
            },
            (b'+', _) if plus_is_space => out.push(b' '),
            (byte, _) => out.push(*byte),
        }
    }
    Cow::Owned(out)
}

/// One key or value of a query as text; `None` if it is not UTF-8.
pub fn decode_component(text: &str) -> Option<Cow<'_, str>> {
    match decode(text.as_bytes(), true) {
        Cow::Borrowed(_) => Some(Cow::Borrowed(text)),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}

pub(crate) fn hex_into(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        out.extend_from_slice(&[LOWER[usize::from(byte >> 4)], LOWER[usize::from(byte & 15)]]);
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len() * 2);
    hex_into(&mut out, bytes);
    String::from_utf8(out).expect("hexadecimal is ASCII")
}

/// Thirty-two bytes from sixty-four hexadecimal digits.
pub(crate) fn parse_digest(text: &[u8]) -> Option<[u8; 32]> {
    if text.len() != 64 {
        return None;
    }
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unreserved_characters_stay() {
        assert_eq!(encode_component("a-Z_0.~"), "a-Z_0.~");
        assert_eq!(encode_component("a b+c/d=é"), "a%20b%2Bc%2Fd%3D%C3%A9");
    }

    #[test]
    fn decoding_tolerates_stray_percent_signs() {
        for (text, want) in [("a%20b", "a b"), ("a+b", "a b"), ("%", "%"), ("%4", "%4"), ("%zz", "%zz")] {
            assert_eq!(decode_component(text).as_deref(), Some(want), "{text}");
        }
        assert_eq!(decode_component("%ff"), None);
    }

    #[test]
    fn digests_are_exactly_64_digits() {
        assert_eq!(parse_digest("0a".repeat(32).as_bytes()), Some([10; 32]));
        assert_eq!(parse_digest("0a".repeat(31).as_bytes()), None);
        assert_eq!(parse_digest("0g".repeat(32).as_bytes()), None);
    }
}

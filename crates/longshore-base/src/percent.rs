//! Percent-encoding (RFC 3986), as URLs, forms and signatures have it: all but letters, digits and `-._~` as `%XX`.

use std::borrow::Cow;

const UPPER: &[u8; 16] = b"0123456789ABCDEF";

/// Letters, digits and `-._~` stand for themselves; every other byte is written as `%XX`.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Appends `bytes`, percent-encoded; a slash stays a slash if `keep_slash`.
pub fn encode_into(out: &mut Vec<u8>, bytes: &[u8], keep_slash: bool) {
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
pub fn encode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    encode_into(&mut out, text.as_bytes(), false);
    String::from_utf8(out).expect("percent-encoding yields ASCII")
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Undoes percent-encoding. A `%` without two digits stands for itself, as in browsers.
/// With `plus_is_space`, `+` is a space.
pub fn decode_bytes(bytes: &[u8], plus_is_space: bool) -> Cow<'_, [u8]> {
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

/// One key or value of a query or form, where `+` is a space; `None` if it is not UTF-8.
pub fn decode(of: &str) -> Option<Cow<'_, str>> {
    decode_text(of, true)
}

/// One segment of a path, where a plus is a plus; `None` if it is not UTF-8.
pub fn decode_path(of: &str) -> Option<Cow<'_, str>> {
    decode_text(of, false)
}

fn decode_text(of: &str, plus_is_space: bool) -> Option<Cow<'_, str>> {
    match decode_bytes(of.as_bytes(), plus_is_space) {
        Cow::Borrowed(_) => Some(Cow::Borrowed(of)),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unreserved_characters_stay() {
        assert_eq!(encode("a-Z_0.~"), "a-Z_0.~");
        assert_eq!(encode("a b+c/d=é"), "a%20b%2Bc%2Fd%3D%C3%A9");
        assert_eq!(decode(&encode("a b+ü/~%&=")).as_deref(), Some("a b+ü/~%&="));
    }

    #[test]
    fn decoding_tolerates_stray_percent_signs() {
        for (text, want) in [("a%20b", "a b"), ("a+b", "a b"), ("%", "%"), ("%4", "%4"), ("%zz", "%zz")] {
            assert_eq!(decode(text).as_deref(), Some(want), "{text}");
        }
        assert_eq!((decode("%ff"), decode_path("%ff")), (None, None));
        assert_eq!(decode_path("a+b%2Fc").as_deref(), Some("a+b/c"));
    }
}

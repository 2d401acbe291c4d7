//! Hexadecimal.

const LOWER: &[u8; 16] = b"0123456789abcdef";

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
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
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_exactly_64_digits() {
        assert_eq!(parse_digest("0a".repeat(32).as_bytes()), Some([10; 32]));
        assert_eq!(parse_digest("0a".repeat(31).as_bytes()), None);
        assert_eq!(parse_digest("0g".repeat(32).as_bytes()), None);
    }
}

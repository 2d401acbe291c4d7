//! Ranges: of a blob that is asked for, and of a piece that is sent.

use std::ops::Range;

/// What a `Range` header asks of content of this length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// All of it: no range, none of bytes, none that can be read, or several at once, which nobody has to serve
    /// (RFC 9110, section 14.2).
    All,
    Part(Range<u64>),
    /// There is nothing in this range.
    Unsatisfiable,
}

/// Reads `bytes=0-9`, `bytes=5-` and `bytes=-3` (RFC 9110, section 14.1.2).
pub fn asked(header: Option<&str>, length: u64) -> Asked {
    let Some((unit, set)) = header.and_then(|header| header.split_once('=')) else { return Asked::All };
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return Asked::All;
    }
    let Some((first, last)) = set.trim().split_once('-') else { return Asked::All };
    let range = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(length),
        (Some(first), None) if last.is_empty() => first..length,
        (None, Some(count)) if first.is_empty() => length.saturating_sub(count)..length,
        _ => return Asked::All,
    };
    if range.is_empty() { Asked::Unsatisfiable } else { Asked::Part(range) }
}

/// The bytes that a piece of an upload says it has: `0-9` (distribution-spec, "Pushing a blob in chunks"), or with
/// HTTP's own spelling `bytes 0-9/*`. `None` if it cannot be read.
pub fn sent(header: &str) -> Option<Range<u64>> {
    let text = header.trim();
    let text = text.strip_prefix("bytes").map_or(text, |rest| rest.trim_start_matches(['=', ' ']));
    let text = text.split('/').next().unwrap_or(text);
    let (first, last) = text.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some(first..last.checked_add(1)?)
}

fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // More than there can be is as good as the most.
    Some(text.parse().unwrap_or(u64::MAX))
}

/// How a registry says what it has of an upload: `0-9`. Nothing is said as `0-0`, which is what clients know.
pub fn received(bytes: u64) -> String {
    format!("0-{}", bytes.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_of_blobs() {
        for (header, length, wanted) in [
            (None, 10, Asked::All),
            (Some("bytes=0-3"), 10, Asked::Part(0..4)),
            (Some("bytes=4-"), 10, Asked::Part(4..10)),
            (Some("bytes=-3"), 10, Asked::Part(7..10)),
            (Some("bytes=-30"), 10, Asked::Part(0..10)),
            (Some("bytes=8-20"), 10, Asked::Part(8..10)),
            (Some("bytes=9-9"), 10, Asked::Part(9..10)),
            (Some("bytes=10-"), 10, Asked::Unsatisfiable),
            (Some("bytes=10-12"), 10, Asked::Unsatisfiable),
            (Some("bytes=-0"), 10, Asked::Unsatisfiable),
            (Some("bytes=0-0"), 0, Asked::Unsatisfiable),
            (Some("bytes=5-4"), 10, Asked::All),
            (Some("bytes=a-b"), 10, Asked::All),
            (Some("bytes=+1-2"), 10, Asked::All),
            (Some("bytes=0-1,3-4"), 10, Asked::All),
            (Some("items=0-1"), 10, Asked::All),
            (Some("bytes=0-99999999999999999999999"), 10, Asked::Part(0..10)),
        ] {
            assert_eq!(asked(header, length), wanted, "{header:?} of {length}");
        }
    }

    #[test]
    fn ranges_of_pieces() {
        for (header, wanted) in [
            ("0-9", Some(0..10)),
            ("10-10", Some(10..11)),
            ("bytes 0-9/20", Some(0..10)),
            ("bytes=0-9", Some(0..10)),
            ("9-0", None),
            ("-9", None),
            ("0-", None),
            ("x", None),
            ("0-99999999999999999999999", None),
        ] {
            assert_eq!(sent(header), wanted, "{header}");
        }
        assert_eq!(
            (received(0).as_str(), received(1).as_str(), received(10).as_str()),
            ("0-0", "0-0", "0-9")
        );
    }

    proptest! {
        #[test]
        fn a_part_is_within(first: Option<u64>, last: Option<u64>, length: u64) {
            let text = |number: Option<u64>| number.map_or(String::new(), |number| number.to_string());
            if let Asked::Part(range) = asked(Some(&format!("bytes={}-{}", text(first), text(last))), length) {
                prop_assert!(range.start < range.end && range.end <= length);
            }
        }
    }
}

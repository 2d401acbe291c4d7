//! `20150830T123600Z`, the one form of time that SigV4 uses.

use longshore_base::{Civil, Timestamp};

/// Reads `YYYYMMDDTHHMMSSZ`.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    let number = |from: usize, to: usize| {
        bytes[from..to].iter().try_fold(0_i64, |number, byte| {
            byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0'))
        })
    };
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
    Civil { year, month, day, hour, minute, second, millisecond: 0 }.timestamp()
}

/// Writes `YYYYMMDDTHHMMSSZ`. Years outside 0 to 9999 have no such form and are clamped.
pub(crate) fn format(time: Timestamp) -> String {
    let Civil { year, month, day, hour, minute, second, .. } = Civil::of(time);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_times() {
        for (text, seconds) in [
            ("19700101T000000Z", 0),
            ("20150830T123600Z", 1_440_938_160),
            ("20000229T235959Z", 951_868_799),
            ("20240229T000000Z", 1_709_164_800),
        ] {
            let time = Timestamp::from_millis(seconds * 1000);
            assert_eq!(parse(text), Some(time), "{text}");
            assert_eq!(format(time), text);
        }
    }

    #[test]
    fn dates_that_do_not_exist_are_refused() {
        for bad in [
            "20150230T000000Z",
            "20151301T000000Z",
            "20150830T240000Z",
            "2015083T0123600Z",
            "20150830 123600Z",
            "2015-08-30T12:36:00Z",
            "",
            "２０１５0830T1",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_parses(seconds in -60_000_000_000_i64..250_000_000_000) {
            let time = Timestamp::from_millis(seconds * 1000);
            prop_assert_eq!(parse(&format(time)), Some(time));
        }
    }
}

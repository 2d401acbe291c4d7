//! `20150830T123600Z`, the one form of time that SigV4 uses.

use longshore_base::Timestamp;

const DAY_MILLIS: i64 = 86_400_000;

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar. Years are counted from
/// March, so that the leap day is the last of its year; an era is 400 years, 146,097 days.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

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
    let days = days_from_civil(year, month, day);
    // A date that does not come back (the 31st of February) does not exist.
    if civil_from_days(days) != (year, month, day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some(Timestamp::from_millis(days * DAY_MILLIS + (hour * 3600 + minute * 60 + second) * 1000))
}

/// Writes `YYYYMMDDTHHMMSSZ`. Years outside 0 to 9999 have no such form and are clamped.
pub(crate) fn format(time: Timestamp) -> String {
    let earliest = days_from_civil(0, 1, 1) * DAY_MILLIS;
    let latest = days_from_civil(10_000, 1, 1) * DAY_MILLIS - 1;
    let millis = time.as_millis().clamp(earliest, latest);
    let (year, month, day) = civil_from_days(millis.div_euclid(DAY_MILLIS));
    let seconds = millis.rem_euclid(DAY_MILLIS) / 1000;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
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

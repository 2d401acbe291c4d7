//! Timestamps as text: `2018-02-04T08:08:43.303Z` to milliseconds.

use longshore_base::Timestamp;

/// Reads an ISO 8601 date and time with `Z` or an offset. A finer fraction than milliseconds is cut.
pub(crate) fn parse_iso8601(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let digits = |from: usize, to: usize| -> Option<i64> {
        let part = bytes.get(from..to)?;
        part.iter().try_fold(0i64, |sum, b| b.is_ascii_digit().then(|| sum * 10 + i64::from(b - b'0')))
    };
    let at = |index: usize, allowed: &[u8]| bytes.get(index).is_some_and(|b| allowed.contains(b));
    if !(at(4, b"-") && at(7, b"-") && at(10, b"Tt ") && at(13, b":") && at(16, b":")) {
        return None;
    }
    let (year, month, day) = (digits(0, 4)?, digits(5, 7)?, digits(8, 10)?);
    let (hour, minute, second) = (digits(11, 13)?, digits(14, 16)?, digits(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut next = 19;
    let mut millis = 0;
    if at(next, b".") {
        next += 1;
        let start = next;
        while bytes.get(next).is_some_and(u8::is_ascii_digit) {
            if next - start < 3 {
                millis += i64::from(bytes[next] - b'0') * [100, 10, 1][next - start];
            }
            next += 1;
        }
        if next == start {
            return None;
        }
    }
    let offset_minutes = match bytes.get(next..)? {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let (hours, minutes) = (digits(next + 1, next + 3)?, digits(next + 4, next + 6)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 60 + minutes) * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    let seconds =
        days_from_epoch(year, month, day) * 86_400 + (hour * 60 + minute - offset_minutes) * 60 + second;
    Some(Timestamp::from_millis(seconds * 1000 + millis))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the Gregorian calendar. The year is taken to begin in March, so that
/// the leap day is its last day and whole months before a date have a closed form.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    // 719,468 days lie between 0000-03-01 and 1970-01-01; 146,097 days are 400 years.
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso8601() {
        let check = |text: &str, millis: Option<i64>| {
            assert_eq!(parse_iso8601(text), millis.map(Timestamp::from_millis), "{text}");
        };
        check("1970-01-01T00:00:00Z", Some(0));
        check("2018-02-04T07:55:23.303Z", Some(1_517_730_923_303));
        check("2018-02-04T08:55:23.303987+01:00", Some(1_517_730_923_303));
        check("2000-02-29T00:00:00.5Z", Some(951_782_400_500));
        check("1969-12-31T23:59:59Z", Some(-1000));
        check("2023-02-29T00:00:00Z", None);
        check("2018-02-04", None);
        check("2018-02-04T07:55:23", None);
        check("2018-02-04T07:55:23.Z", None);
        check("2018-02-04T07:55:23Zx", None);
        check("é018-02-04T07:55:23Z", None);
    }
}

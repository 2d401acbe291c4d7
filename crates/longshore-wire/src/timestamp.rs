//! Timestamps as text: `2018-02-04T08:08:43.303Z` to milliseconds.

use longshore_base::{Civil, Timestamp};

/// Reads an ISO 8601 date and time with `Z` or an offset. A finer fraction than milliseconds is cut.
pub fn parse_iso8601(text: &str) -> Option<Timestamp> {
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
    let local = Civil { year, month, day, hour, minute, second, millisecond: millis }.timestamp()?;
    Some(Timestamp::from_millis(local.as_millis() - offset_minutes * 60_000))
}

/// Writes `2018-02-04T08:08:43Z`, with milliseconds if there are any. Years have four digits.
pub fn iso8601(time: Timestamp) -> String {
    let Civil { year, month, day, hour, minute, second, millisecond } = Civil::of(time);
    let date = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if millisecond == 0 { format!("{date}Z") } else { format!("{date}.{millisecond:03}Z") }
}

/// Writes `Tue, 29 Apr 2014 18:30:38 GMT`, the date of HTTP.
pub(crate) fn rfc822(time: Timestamp) -> String {
    let civil = Civil::of(time);
    let weekday = WEEKDAYS[civil.weekday()];
    let month = MONTHS[usize::try_from(civil.month - 1).expect("months count from one")];
    let Civil { year, day, hour, minute, second, .. } = civil;
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

/// Reads a time as text in any form that a client may send: ISO 8601, seconds since the epoch, or HTTP's date.
pub(crate) fn parse_timestamp(text: &str) -> Option<Timestamp> {
    let seconds = || text.parse().ok().and_then(Timestamp::from_seconds_f64);
    parse_iso8601(text).or_else(seconds).or_else(|| parse_rfc822(text))
}

/// Reads what [`rfc822`] writes.
pub(crate) fn parse_rfc822(text: &str) -> Option<Timestamp> {
    let rest = text.split_once(", ")?.1.strip_suffix(" GMT")?;
    let mut parts = rest.split(' ');
    let (day, month, year, clock) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let number = |text: &str| text.parse::<u16>().ok().map(i64::from);
    let mut clock = clock.split(':').map(number);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let is_whole = parts.next().is_none() && clock.next().is_none();
    let month = i64::try_from(month).ok()?;
    let civil = Civil { year: number(year)?, month, day: number(day)?, hour, minute, second, millisecond: 0 };
    if is_whole { civil.timestamp() } else { None }
}

const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_they_are_read() {
        for (millis, iso, rfc) in [
            (0, "1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT"),
            (1_398_796_238_000, "2014-04-29T18:30:38Z", "Tue, 29 Apr 2014 18:30:38 GMT"),
        ] {
            let time = Timestamp::from_millis(millis);
            assert_eq!((iso8601(time).as_str(), rfc822(time).as_str()), (iso, rfc));
            assert_eq!((parse_iso8601(iso), parse_rfc822(rfc)), (Some(time), Some(time)));
        }
        assert_eq!(iso8601(Timestamp::from_millis(1_517_730_923_303)), "2018-02-04T07:55:23.303Z");
        for bad in [
            "",
            "Tue, 29 Apr 2014 18:30:38",
            "Tue, 31 Apr 2014 18:30:38 GMT",
            "Tue, 29 Apr 2014 18:30 GMT",
            "é, ",
        ] {
            assert_eq!(parse_rfc822(bad), None, "{bad}");
        }
    }

    #[test]
    fn iso8601_is_read() {
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

//! Values that compare otherwise than as text: versions, points in time, numbers.

use std::cmp::Ordering;

use longshore_base::Timestamp;

/// A dotted version such as `1.70.0`, compared number by number; missing parts count as zero.
#[derive(Clone, Debug)]
pub(crate) struct Version(Vec<u64>);

impl Version {
    /// `None` unless `text` is numbers with dots between, after an optional `v`. Whatever follows
    /// `-` or `+` (a pre-release, a build) is left out.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let numbers = text.split(['-', '+']).next()?;
        numbers.split('.').map(whole_number).collect::<Option<Vec<_>>>().map(Self)
    }

    pub(crate) fn cmp(&self, other: &Self) -> Ordering {
        let part = |of: &Self, at: usize| of.0.get(at).copied().unwrap_or(0);
        (0..self.0.len().max(other.0.len()))
            .map(|at| part(self, at).cmp(&part(other, at)))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

/// Digits only: unlike `u64::from_str`, no sign.
pub(crate) fn whole_number(text: &str) -> Option<u64> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// A number as an attribute may carry it.
pub(crate) fn number(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+'));
    if plain { text.parse().ok() } else { None }
}

/// Reads `2018-06-18`, `2018-06-18T22:28:28`, and the latter with `Z` or an offset such as
/// `+00:00`. Without either it is UTC. A fraction of the seconds is accepted.
pub(crate) fn timestamp(text: &str) -> Option<Timestamp> {
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let mut parts = date.split('-');
    let (year, month, day) =
        (digits(parts.next()?, 4)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    if parts.next().is_some() || !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    let midnight = days_since_epoch(year, month, day) * 86_400_000;
    let offset = match time {
        Some(time) => millis_of_day(time)?,
        None => 0,
    };
    Some(Timestamp::from_millis(midnight + offset))
}

/// `22:28:28`, with an optional fraction and an optional zone; in UTC, so it may leave the day.
fn millis_of_day(text: &str) -> Option<i64> {
    let (clock, zone_millis) = match text.find(['Z', '+', '-']) {
        Some(at) => (&text[..at], zone(&text[at..])?),
        None => (text, 0),
    };
    let (clock, fraction) = match clock.split_once('.') {
        Some((clock, fraction)) => (clock, fraction_millis(fraction)?),
        None => (clock, 0),
    };
    let mut parts = clock.split(':');
    let (hour, minute, second) =
        (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some(((hour * 60 + minute) * 60 + second) * 1000 + fraction - zone_millis)
}

/// `Z`, `+hh:mm` or `-hh:mm`.
fn zone(text: &str) -> Option<i64> {
    let sign = match text.as_bytes().first()? {
        b'Z' => return (text.len() == 1).then_some(0),
        b'-' => -1,
        _ => 1,
    };
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 60 + minutes) * 60_000)
}

fn fraction_millis(text: &str) -> Option<i64> {
    if text.is_empty() || text.len() > 9 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let millis: String = text.chars().chain("00".chars()).take(3).collect();
    millis.parse().ok()
}

fn digits(text: &str, len: usize) -> Option<i64> {
    if text.len() == len { whole_number(text).and_then(|n| i64::try_from(n).ok()) } else { None }
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the Gregorian calendar. Years are counted from March, so that the
/// leap day is the last of its year and months have a regular rhythm of 153 days in five.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    // 719468 is the day number of 1970-01-01 counted from 0000-03-01.
    year * 365 + leap_days + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_number_by_number() {
        let cmp = |a, b| Version::parse(a).expect("a version").cmp(&Version::parse(b).expect("a version"));
        assert_eq!(cmp("1.9.3", "1.14.5"), Ordering::Less);
        assert_eq!(cmp("1.70", "1.70.0"), Ordering::Equal);
        assert_eq!(cmp("v2", "1.99.99"), Ordering::Greater);
        assert_eq!(cmp("1.2.3-dev", "1.2.3"), Ordering::Equal);
        for bad in ["", "1.", ".1", "1.x", "+1", "latest"] {
            assert!(Version::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_four_forms_of_a_date() {
        let at = |text| timestamp(text).map(Timestamp::as_millis);
        let millis = Some(1_529_360_908_000);
        assert_eq!(at("2018-06-18T22:28:28+00:00"), millis);
        assert_eq!(at("2018-06-18T22:28:28Z"), millis);
        assert_eq!(at("2018-06-18T22:28:28"), millis);
        assert_eq!(at("2018-06-19T00:28:28+02:00"), millis);
        assert_eq!(at("2018-06-18T22:28:28.5Z"), Some(1_529_360_908_500));
        assert_eq!(at("2018-06-18"), Some(1_529_280_000_000));
        assert_eq!(at("1970-01-01"), Some(0));
        assert_eq!(at("2000-02-29"), Some(951_782_400_000));
        for bad in [
            "",
            "2018",
            "2018-13-01",
            "2018-02-29",
            "2018-6-1",
            "2018-06-18T",
            "2018-06-18T24:00:00",
            "x-y-z",
        ] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }
}

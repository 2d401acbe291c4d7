//! Days and dates of the proleptic Gregorian calendar, in UTC.

use crate::Timestamp;

const DAY_MILLIS: i64 = 86_400_000;

/// A date and a time of day in UTC, as people and protocols write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    pub year: i64,
    /// 1 to 12.
    pub month: i64,
    /// 1 to 31.
    pub day: i64,
    pub hour: i64,
    pub minute: i64,
    /// 0 to 59; a leap second that was read is the first of the next minute.
    pub second: i64,
    pub millisecond: i64,
}

impl Civil {
    /// `time`, clamped to the years 0 to 9999: others have no four digits.
    pub fn of(time: Timestamp) -> Self {
        let earliest = days_from_civil(0, 1, 1) * DAY_MILLIS;
        let latest = days_from_civil(10_000, 1, 1) * DAY_MILLIS - 1;
        let millis = time.as_millis().clamp(earliest, latest);
        let (year, month, day) = civil_from_days(millis.div_euclid(DAY_MILLIS));
        let rest = millis.rem_euclid(DAY_MILLIS);
        let seconds = rest / 1000;
        Self {
            year,
            month,
            day,
            hour: seconds / 3600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            millisecond: rest % 1000,
        }
    }

    /// The point in time, if there is such a date and time; a second of 60 is allowed.
    pub fn timestamp(self) -> Option<Timestamp> {
        let Self { year, month, day, hour, minute, second, millisecond } = self;
        let days = days_from_civil(year, month, day);
        // A date that does not come back (the 31st of February) does not exist.
        let exists = (1..=12).contains(&month) && civil_from_days(days) == (year, month, day);
        let in_day = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..=60).contains(&second);
        (exists && in_day).then(|| {
            let seconds = hour * 3600 + minute * 60 + second;
            Timestamp::from_millis(days * DAY_MILLIS + seconds * 1000 + millisecond)
        })
    }

    /// Monday is 0.
    pub fn weekday(self) -> usize {
        // 1970-01-01 was a Thursday.
        let days = days_from_civil(self.year, self.month, self.day) + 3;
        usize::try_from(days.rem_euclid(7)).expect("it is below seven")
    }
}

/// Days from 1970-01-01 to a date. Years are counted from March, so that the leap day is the last of its year; an era
/// is 400 years, 146,097 days, and 719,468 days lie between 0000-03-01 and 1970-01-01.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn civil(year: i64, month: i64, day: i64) -> Civil {
        Civil { year, month, day, hour: 12, minute: 34, second: 56, millisecond: 789 }
    }

    #[test]
    fn dates_go_there_and_back() {
        let mut millis = civil(1599, 12, 31).timestamp().expect("a date").as_millis();
        while millis < civil(2403, 1, 1).timestamp().expect("a date").as_millis() {
            let time = Timestamp::from_millis(millis);
            assert_eq!(Civil::of(time).timestamp(), Some(time), "{:?}", Civil::of(time));
            millis += 86_399_999;
        }
    }

    #[test]
    fn what_does_not_exist_is_no_time() {
        for (year, month, day) in
            [(2023, 2, 29), (1900, 2, 29), (2024, 13, 1), (2024, 0, 1), (2024, 4, 31), (2024, 1, 0)]
        {
            assert_eq!(civil(year, month, day).timestamp(), None, "{year}-{month}-{day}");
        }
        assert_eq!(Civil { hour: 24, ..civil(2024, 1, 1) }.timestamp(), None);
        assert_eq!(Civil { second: 61, ..civil(2024, 1, 1) }.timestamp(), None);
        assert_eq!(civil(2026, 11, 30).weekday(), 0, "a Monday");
        assert_eq!(civil(1970, 1, 1).weekday(), 3, "a Thursday");
    }
}

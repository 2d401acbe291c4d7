//! Times as people say them, from where they stand.

use std::time::Duration;

use longshore_base::Timestamp;

/// `12 s ago`.
pub fn ago(now: Timestamp, then: Timestamp) -> String {
    format!("{} ago", span(now.since(then)))
}

/// `in 20 s`, or `now` for what is due.
pub fn ahead(now: Timestamp, then: Timestamp) -> String {
    match then.since(now) {
        Duration::ZERO => "now".to_owned(),
        left => format!("in {}", span(left)),
    }
}

/// The two largest units of a span that are not zero at its front: `450 ms`, `12 s`, `3 min 20 s`, `2 h 5 min`.
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let two = |large: u64, unit: &str, small: u64, part: &str| match small {
        0 => format!("{large} {unit}"),
        small => format!("{large} {unit} {small} {part}"),
    };
    match (days, hours, minutes, seconds) {
        (0, 0, 0, 0) => format!("{} ms", span.as_millis()),
        (0, 0, 0, seconds) => format!("{seconds} s"),
        (0, 0, minutes, seconds) => two(minutes, "min", seconds % 60, "s"),
        (0, hours, minutes, _) => two(hours, "h", minutes % 60, "min"),
        (days, hours, ..) => two(days, "d", hours % 24, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_said_in_two_units() {
        let said = |millis| span(Duration::from_millis(millis));
        assert_eq!(said(0), "0 ms");
        assert_eq!(said(450), "450 ms");
        assert_eq!(said(12_700), "12 s");
        assert_eq!(said(60_000), "1 min");
        assert_eq!(said(200_000), "3 min 20 s");
        assert_eq!(said(7_500_000), "2 h 5 min");
        assert_eq!(said(90_000_000), "1 d 1 h");
    }

    #[test]
    fn what_is_due_is_due_now() {
        let (earlier, later) = (Timestamp::from_millis(1_000), Timestamp::from_millis(6_000));
        assert_eq!(ahead(earlier, later), "in 5 s");
        assert_eq!(ahead(later, earlier), "now");
        assert_eq!(ago(later, earlier), "5 s ago");
    }
}

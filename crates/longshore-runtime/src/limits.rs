//! How long calls may take, as the official agent has it (agent-protocol G11), unless an action
//! brings its own limit.

use std::time::Duration;

pub const INSPECT: Duration = Duration::from_secs(30);
pub const LIST: Duration = Duration::from_secs(10 * 60);
pub const REMOVE: Duration = Duration::from_secs(5 * 60);
pub const VOLUME: Duration = Duration::from_secs(5 * 60);
/// Images are listed and inspected as containers are.
pub const IMAGE_INSPECT: Duration = INSPECT;
pub const IMAGE_REMOVE: Duration = REMOVE;
pub const PING: Duration = Duration::from_secs(10);
pub const INFO: Duration = Duration::from_secs(30);
/// A statistics sample that is older than one round is of no use.
pub const STATS: Duration = Duration::from_secs(10);

/// A duration as the agent prints it in reasons: `4m0s`, `1h0m0s`, `30s`, `1.5s`, `250ms`.
pub fn duration_text(duration: Duration) -> String {
    let whole = duration.as_secs();
    let millis = duration.subsec_millis();
    if whole == 0 {
        return if millis == 0 { "0s".to_owned() } else { format!("{millis}ms") };
    }
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    let fraction = match millis {
        0 => String::new(),
        millis => format!(".{millis:03}").trim_end_matches('0').to_owned(),
    };
    match (hours, minutes) {
        (0, 0) => format!("{seconds}{fraction}s"),
        (0, minutes) => format!("{minutes}m{seconds}{fraction}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}{fraction}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_the_agent_writes_them() {
        let check = |millis, expected| assert_eq!(duration_text(Duration::from_millis(millis)), expected);
        check(240_000, "4m0s");
        check(3_600_000, "1h0m0s");
        check(30_000, "30s");
        check(1_500, "1.5s");
        check(90_250, "1m30.25s");
        check(250, "250ms");
        check(0, "0s");
    }
}

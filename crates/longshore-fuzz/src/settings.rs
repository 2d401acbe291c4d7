//! The variables that configure an agent.

use std::collections::BTreeMap;
use std::time::Duration;

use longshore_engine::settings::{Settings, parse_go_duration};

pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for line in text.lines() {
        if let Some(duration) = parse_go_duration(line) {
            assert_ne!(line, "");
            // Whole nanoseconds are a way to write any duration that is not astronomical.
            if duration < Duration::from_secs(1 << 20) {
                let again =
                    parse_go_duration(&format!("{}ns", duration.as_nanos())).expect("digits and a unit");
                assert!(
                    again.abs_diff(duration) <= Duration::from_micros(1),
                    "{line}: {duration:?}, {again:?}"
                );
            }
        }
    }
    let variables: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let (settings, notes) = Settings::read(|name| variables.get(name).map(|value| (*value).to_owned()));
    // Each variable is complained about at most once for being unreadable and once for its bounds.
    assert!(notes.len() <= 2 * variables.len(), "{notes:?}");
    assert!(notes.iter().all(|note| note.to_string().len() < 200));
    assert!(settings.cgroup_cpu_period >= Duration::from_millis(8));
    assert!(settings.cgroup_cpu_period <= Duration::from_millis(100));
    assert!(settings.stop_timeout >= Duration::from_secs(1));
    assert!(settings.images_per_cycle > 0);
    assert!(settings.untracked_image_exclusions.iter().all(|name| !name.is_empty()));
}

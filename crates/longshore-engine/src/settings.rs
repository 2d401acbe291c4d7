//! The settings that steer the engine, under the names that the official agent gives them
//! (agent-protocol G19), with its defaults and minimums.

use std::net::IpAddr;
use std::time::Duration;

use longshore_base::{CpuUnits, MemoryMib, Port};

use crate::pressure::DiskMarks;
use crate::spec::TaskNetwork;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// `ECS_IMAGE_PULL_BEHAVIOR`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PullBehavior {
    /// Pull, and fall back to a local image if that fails.
    #[default]
    Default,
    /// Pull; a failure is final.
    Always,
    /// Pull only what this node has never pulled.
    Once,
    /// A local image if there is one. Turns image clean-up off.
    PreferCached,
}

/// The tasks' cgroups, `/ecs/<task id>` (`ECS_ENABLE_TASK_CPU_MEM_LIMIT` and what the host has).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TaskCgroups {
    /// There are none. A container without a limit of its own is held to its task's memory, and nobody holds the
    /// containers of a task to it together.
    #[default]
    Off,
    /// cgroup v1: one in every controller.
    V1,
    /// cgroup v2: one.
    V2,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `ECS_CLUSTER` as configured: the value of the cluster label.
    pub cluster: String,
    /// `AWS_DEFAULT_REGION`, given to containers that do not set it.
    pub region: String,
    /// Where containers reach the API, given as `AWS_ENDPOINT_URL` to those that do not set it.
    pub api_endpoint: Option<String>,
    /// `ECS_IMAGE_PULL_BEHAVIOR`.
    pub pull_behavior: PullBehavior,
    /// `ECS_IMAGE_PULL_TIMEOUT`.
    pub pull_timeout: Duration,
    /// `ECS_IMAGE_PULL_INACTIVITY_TIMEOUT`.
    pub pull_inactivity_timeout: Duration,
    /// `ECS_MANIFEST_PULL_TIMEOUT`.
    pub manifest_timeout: Duration,
    /// `ECS_PULL_DEPENDENT_CONTAINERS_UPFRONT`.
    pub pull_upfront: bool,
    /// `ECS_CONTAINER_CREATE_TIMEOUT`.
    pub create_timeout: Duration,
    /// `ECS_CONTAINER_START_TIMEOUT`.
    pub start_timeout: Duration,
    /// `ECS_CONTAINER_STOP_TIMEOUT`: from the stop signal to SIGKILL.
    pub stop_timeout: Duration,
    /// `ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION`: how long a stopped task's containers stay.
    pub cleanup_wait: Duration,
    /// `ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION_JITTER`.
    pub cleanup_jitter: Duration,
    /// `ECS_DISABLE_IMAGE_CLEANUP`, negated.
    pub image_cleanup: bool,
    /// `ECS_IMAGE_CLEANUP_INTERVAL`.
    pub image_cleanup_interval: Duration,
    /// `ECS_IMAGE_MINIMUM_CLEANUP_AGE`.
    pub image_minimum_age: Duration,
    /// `ECS_NUM_IMAGES_DELETE_PER_CYCLE`.
    pub images_per_cycle: usize,
    /// `ECS_ENABLE_UNTRACKED_IMAGE_CLEANUP`.
    pub untracked_image_cleanup: bool,
    /// `NON_ECS_IMAGE_MINIMUM_CLEANUP_AGE`.
    pub untracked_image_minimum_age: Duration,
    /// `ECS_EXCLUDE_UNTRACKED_IMAGE`.
    pub untracked_image_exclusions: Vec<String>,
    /// `LONGSHORE_DISK_HIGH_WATER`, `LONGSHORE_DISK_LOW_WATER`: when a full disk makes clean-up early.
    pub disk_marks: DiskMarks,
    pub task_cgroups: TaskCgroups,
    /// `ECS_CGROUP_CPU_PERIOD`.
    pub cgroup_cpu_period: Duration,
    /// `ECS_TASK_PIDS_LIMIT`.
    pub task_pids_limit: Option<u32>,
    /// `LONGSHORE_BIND_ADDRESS`: the host address that published ports are bound to, so that several
    /// instances on one machine can have the same fixed ports. `None`: all addresses.
    pub bind_address: Option<IpAddr>,
    /// The network for tasks in awsvpc mode; `None`: this node takes none.
    pub task_network: Option<TaskNetwork>,
    /// `http://169.254.170.2`: where containers reach metadata, credentials and the agent API. `None`: nowhere, and
    /// they are told nothing of it.
    pub metadata_endpoint: Option<String>,
    /// 169.254.170.2 answers to those who ask for their role's credentials, whatever serves metadata.
    pub serves_credentials: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cluster: "default".to_owned(),
            region: String::new(),
            pull_behavior: PullBehavior::Default,
            pull_timeout: 2 * HOUR,
            pull_inactivity_timeout: MINUTE,
            manifest_timeout: MINUTE,
            pull_upfront: false,
            create_timeout: 4 * MINUTE,
            start_timeout: 3 * MINUTE,
            stop_timeout: Duration::from_secs(30),
            cleanup_wait: 3 * HOUR,
            cleanup_jitter: Duration::ZERO,
            image_cleanup: true,
            image_cleanup_interval: 30 * MINUTE,
            image_minimum_age: HOUR,
            images_per_cycle: 5,
            untracked_image_cleanup: false,
            untracked_image_minimum_age: HOUR,
            untracked_image_exclusions: Vec::new(),
            disk_marks: DiskMarks::default(),
            task_cgroups: TaskCgroups::Off,
            cgroup_cpu_period: Duration::from_millis(100),
            task_pids_limit: None,
            bind_address: None,
            task_network: None,
            metadata_endpoint: Some("http://169.254.170.2".to_owned()),
            api_endpoint: None,
            serves_credentials: false,
        }
    }
}

/// A variable whose value was not taken as written, for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingNote {
    #[error("{variable}: cannot read the value; using the default")]
    Unreadable { variable: &'static str },
    #[error("{variable}: below the minimum; using {used:?}")]
    BelowMinimum { variable: &'static str, used: Duration },
    #[error("{variable}: not a percentage below {below}; using {used}")]
    NotBelow { variable: &'static str, below: u8, used: u8 },
    #[error("{variable}: above the maximum; using {used:?}")]
    AboveMaximum { variable: &'static str, used: Duration },
}

impl Settings {
    /// Reads the engine's part of the agent's variables. A bad value never fails: the default or the
    /// minimum is taken instead, with a note (G19). Cgroups depend on the host and stay as they were.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> (Self, Vec<SettingNote>) {
        let mut reader = Reader { lookup, notes: Vec::new() };
        let d = Self::default();
        let second = Duration::from_secs(1);
        let settings = Self {
            cluster: reader.text("ECS_CLUSTER", d.cluster),
            region: reader.text("AWS_DEFAULT_REGION", d.region),
            pull_behavior: reader.behavior("ECS_IMAGE_PULL_BEHAVIOR"),
            pull_timeout: reader.duration("ECS_IMAGE_PULL_TIMEOUT", d.pull_timeout, second),
            pull_inactivity_timeout: reader.duration(
                "ECS_IMAGE_PULL_INACTIVITY_TIMEOUT",
                d.pull_inactivity_timeout,
                second,
            ),
            manifest_timeout: reader.duration(
                "ECS_MANIFEST_PULL_TIMEOUT",
                d.manifest_timeout,
                Duration::from_secs(30),
            ),
            pull_upfront: reader.flag("ECS_PULL_DEPENDENT_CONTAINERS_UPFRONT", d.pull_upfront),
            create_timeout: reader.duration("ECS_CONTAINER_CREATE_TIMEOUT", d.create_timeout, MINUTE),
            start_timeout: reader.duration(
                "ECS_CONTAINER_START_TIMEOUT",
                d.start_timeout,
                Duration::from_secs(45),
            ),
            stop_timeout: reader.duration("ECS_CONTAINER_STOP_TIMEOUT", d.stop_timeout, second),
            cleanup_wait: reader.duration("ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION", d.cleanup_wait, second),
            cleanup_jitter: reader.duration(
                "ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION_JITTER",
                d.cleanup_jitter,
                Duration::ZERO,
            ),
            image_cleanup: !reader.flag("ECS_DISABLE_IMAGE_CLEANUP", false),
            image_cleanup_interval: reader.duration(
                "ECS_IMAGE_CLEANUP_INTERVAL",
                d.image_cleanup_interval,
                10 * MINUTE,
            ),
            image_minimum_age: reader.duration(
                "ECS_IMAGE_MINIMUM_CLEANUP_AGE",
                d.image_minimum_age,
                Duration::ZERO,
            ),
            images_per_cycle: reader.number("ECS_NUM_IMAGES_DELETE_PER_CYCLE", d.images_per_cycle),
            untracked_image_cleanup: reader.flag("ECS_ENABLE_UNTRACKED_IMAGE_CLEANUP", false),
            untracked_image_minimum_age: reader.duration(
                "NON_ECS_IMAGE_MINIMUM_CLEANUP_AGE",
                d.untracked_image_minimum_age,
                Duration::ZERO,
            ),
            untracked_image_exclusions: reader
                .text("ECS_EXCLUDE_UNTRACKED_IMAGE", String::new())
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
            disk_marks: reader.disk_marks(),
            task_cgroups: d.task_cgroups,
            cgroup_cpu_period: reader.cpu_period("ECS_CGROUP_CPU_PERIOD", d.cgroup_cpu_period),
            task_pids_limit: reader.pids_limit("ECS_TASK_PIDS_LIMIT"),
            bind_address: d.bind_address,
            task_network: d.task_network,
            metadata_endpoint: d.metadata_endpoint,
            api_endpoint: d.api_endpoint,
            serves_credentials: d.serves_credentials,
        };
        (settings, reader.notes)
    }
}

struct Reader<F> {
    lookup: F,
    notes: Vec<SettingNote>,
}

impl<F: Fn(&str) -> Option<String>> Reader<F> {
    /// Set and not empty, as the agent takes an empty variable for an absent one.
    fn value(&self, variable: &str) -> Option<String> {
        (self.lookup)(variable).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty())
    }

    fn text(&self, variable: &'static str, default: String) -> String {
        self.value(variable).unwrap_or(default)
    }

    fn parsed<T>(&mut self, variable: &'static str, default: T, parse: impl FnOnce(&str) -> Option<T>) -> T {
        let Some(value) = self.value(variable) else { return default };
        parse(&value).unwrap_or_else(|| {
            self.notes.push(SettingNote::Unreadable { variable });
            default
        })
    }

    fn duration(&mut self, variable: &'static str, default: Duration, minimum: Duration) -> Duration {
        let duration = self.parsed(variable, default, parse_go_duration);
        if duration < minimum {
            self.notes.push(SettingNote::BelowMinimum { variable, used: minimum });
        }
        duration.max(minimum)
    }

    /// 8 to 100 ms.
    fn cpu_period(&mut self, variable: &'static str, default: Duration) -> Duration {
        let period = self.duration(variable, default, Duration::from_millis(8));
        if period > default {
            self.notes.push(SettingNote::AboveMaximum { variable, used: default });
        }
        period.min(default)
    }

    fn flag(&mut self, variable: &'static str, default: bool) -> bool {
        self.parsed(variable, default, |text| match text {
            "1" | "t" | "T" | "true" | "True" | "TRUE" => Some(true),
            "0" | "f" | "F" | "false" | "False" | "FALSE" => Some(false),
            _ => None,
        })
    }

    fn number(&mut self, variable: &'static str, default: usize) -> usize {
        self.parsed(variable, default, |text| text.parse().ok().filter(|n| *n > 0))
    }

    fn pids_limit(&mut self, variable: &'static str) -> Option<u32> {
        self.parsed(variable, None, |text| text.parse().ok().filter(|n| *n > 0).map(Some))
    }

    /// Percentages; 0 or `off` as the high mark means that nothing is ever cleaned early.
    fn disk_marks(&mut self) -> DiskMarks {
        let percent = |text: &str| match text {
            "off" => Some(0),
            text => text.parse().ok().filter(|percent| *percent <= 100),
        };
        let high = self.parsed("LONGSHORE_DISK_HIGH_WATER", DiskMarks::default().high, percent);
        let usual = high.saturating_sub(DiskMarks::GAP);
        let variable = "LONGSHORE_DISK_LOW_WATER";
        let low = self.parsed(variable, usual, percent);
        if low < high || high == 0 {
            return DiskMarks { high, low: low.min(high) };
        }
        self.notes.push(SettingNote::NotBelow { variable, below: high, used: usual });
        DiskMarks { high, low: usual }
    }

    fn behavior(&mut self, variable: &'static str) -> PullBehavior {
        self.parsed(variable, PullBehavior::Default, |text| match text {
            "default" => Some(PullBehavior::Default),
            "always" => Some(PullBehavior::Always),
            "once" => Some(PullBehavior::Once),
            "prefer-cached" => Some(PullBehavior::PreferCached),
            _ => None,
        })
    }
}

/// Reads a duration as Go writes it: `1h30m`, `30s`, `1.5s`, `100ms`, `0`. `None` for anything else,
/// negative ones included.
pub fn parse_go_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut seconds = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let unit_len = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_len);
        let scale = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * scale;
        rest = tail;
    }
    (!text.is_empty()).then(|| Duration::try_from_secs_f64(seconds).ok()).flatten()
}

/// Writes a duration as Go does (`4m0s`), because reason texts contain it. Whole seconds.
pub(crate) fn go_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if h > 0 {
        format!("{h}h{m}m{s}s")
    } else if m > 0 {
        format!("{m}m{s}s")
    } else {
        format!("{s}s")
    }
}

/// What this host has for tasks: what the node registered, reservations already deducted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostCapacity {
    pub cpu: CpuUnits,
    pub memory: MemoryMib,
    /// `ECS_RESERVED_PORTS`.
    pub reserved_tcp: Vec<Port>,
    /// `ECS_RESERVED_PORTS_UDP`.
    pub reserved_udp: Vec<Port>,
    /// `ECS_DYNAMIC_HOST_PORT_RANGE`: first and last port, both included.
    pub dynamic_ports: (Port, Port),
    /// Where in the range the first search begins; `None`: at its start. Agents that share a machine with
    /// each other, or with the runtime's own choices, begin at different places.
    pub first_dynamic_port: Option<Port>,
}

impl HostCapacity {
    /// The default reservations and the usual kernel's ephemeral range (G19).
    pub fn new(cpu: CpuUnits, memory: MemoryMib) -> Self {
        Self {
            cpu,
            memory,
            reserved_tcp: [22, 2375, 2376, 51678, 51679].map(Port).to_vec(),
            reserved_udp: Vec::new(),
            dynamic_ports: (Port(32768), Port(60999)),
            first_dynamic_port: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations_are_read_and_written() {
        let secs = Duration::from_secs;
        for (text, expected) in [
            ("30s", Some(secs(30))),
            ("1h30m", Some(secs(5400))),
            ("1.5s", Some(Duration::from_millis(1500))),
            ("100ms", Some(Duration::from_millis(100))),
            ("0", Some(Duration::ZERO)),
            ("", None),
            ("5", None),
            ("-5s", None),
            ("5x", None),
            ("s", None),
            ("9999999999999999999999h", None),
        ] {
            assert_eq!(parse_go_duration(text), expected, "{text}");
        }
        for (seconds, expected) in [(0, "0s"), (45, "45s"), (240, "4m0s"), (7200, "2h0m0s")] {
            assert_eq!(go_duration(secs(seconds)), expected);
        }
    }

    fn read(pairs: &[(&str, &str)]) -> (Settings, Vec<SettingNote>) {
        let pairs: Vec<(String, String)> =
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Settings::read(|name| pairs.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone()))
    }

    #[test]
    fn nothing_set_gives_the_defaults() {
        assert_eq!(read(&[]), (Settings::default(), Vec::new()));
    }

    /// One line per variable of agent-protocol G19 that steers clean-up, pulls and time-outs.
    #[test]
    fn every_variable_has_its_effect_its_minimum_and_its_default() {
        type Look = fn(&Settings) -> String;
        let table: [(&str, &str, Look, &str, &str); 19] = [
            (
                "ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION",
                "10m",
                |s| format!("{:?}", s.cleanup_wait),
                "600s",
                "10800s",
            ),
            (
                "ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION_JITTER",
                "5s",
                |s| format!("{:?}", s.cleanup_jitter),
                "5s",
                "0ns",
            ),
            ("ECS_DISABLE_IMAGE_CLEANUP", "true", |s| s.image_cleanup.to_string(), "false", "true"),
            (
                "ECS_IMAGE_CLEANUP_INTERVAL",
                "20m",
                |s| format!("{:?}", s.image_cleanup_interval),
                "1200s",
                "1800s",
            ),
            (
                "ECS_IMAGE_MINIMUM_CLEANUP_AGE",
                "2h",
                |s| format!("{:?}", s.image_minimum_age),
                "7200s",
                "3600s",
            ),
            (
                "NON_ECS_IMAGE_MINIMUM_CLEANUP_AGE",
                "2h",
                |s| format!("{:?}", s.untracked_image_minimum_age),
                "7200s",
                "3600s",
            ),
            ("ECS_NUM_IMAGES_DELETE_PER_CYCLE", "7", |s| s.images_per_cycle.to_string(), "7", "5"),
            (
                "ECS_ENABLE_UNTRACKED_IMAGE_CLEANUP",
                "true",
                |s| s.untracked_image_cleanup.to_string(),
                "true",
                "false",
            ),
            (
                "ECS_EXCLUDE_UNTRACKED_IMAGE",
                "a:1, b:2,",
                |s| s.untracked_image_exclusions.join("|"),
                "a:1|b:2",
                "",
            ),
            ("ECS_IMAGE_PULL_BEHAVIOR", "once", |s| format!("{:?}", s.pull_behavior), "Once", "Default"),
            ("ECS_IMAGE_PULL_TIMEOUT", "1h", |s| format!("{:?}", s.pull_timeout), "3600s", "7200s"),
            (
                "ECS_IMAGE_PULL_INACTIVITY_TIMEOUT",
                "3m",
                |s| format!("{:?}", s.pull_inactivity_timeout),
                "180s",
                "60s",
            ),
            ("ECS_MANIFEST_PULL_TIMEOUT", "10s", |s| format!("{:?}", s.manifest_timeout), "30s", "60s"),
            (
                "ECS_PULL_DEPENDENT_CONTAINERS_UPFRONT",
                "true",
                |s| s.pull_upfront.to_string(),
                "true",
                "false",
            ),
            ("ECS_CONTAINER_CREATE_TIMEOUT", "1s", |s| format!("{:?}", s.create_timeout), "60s", "240s"),
            ("ECS_CONTAINER_START_TIMEOUT", "1s", |s| format!("{:?}", s.start_timeout), "45s", "180s"),
            ("ECS_CONTAINER_STOP_TIMEOUT", "1m30s", |s| format!("{:?}", s.stop_timeout), "90s", "30s"),
            (
                "LONGSHORE_DISK_HIGH_WATER",
                "70",
                |s| format!("{}>{}", s.disk_marks.high, s.disk_marks.low),
                "70>65",
                "85>80",
            ),
            (
                "LONGSHORE_DISK_LOW_WATER",
                "50",
                |s| format!("{}>{}", s.disk_marks.high, s.disk_marks.low),
                "85>50",
                "85>80",
            ),
        ];
        for (variable, value, look, expected, default) in table {
            assert_eq!(look(&read(&[(variable, value)]).0), expected, "{variable}={value}");
            assert_eq!(look(&read(&[]).0), default, "{variable} by default");
            let (settings, notes) = read(&[(variable, "\u{1}")]);
            let is_free_text = variable == "ECS_EXCLUDE_UNTRACKED_IMAGE";
            assert!(
                is_free_text || (look(&settings) == default && notes.len() == 1),
                "{variable}: {notes:?}"
            );
        }
    }

    #[test]
    fn the_marks_of_the_disk_are_in_order() {
        let marks = |pairs: &[(&str, &str)]| {
            let (settings, notes) = read(pairs);
            (settings.disk_marks.high, settings.disk_marks.low, notes.len())
        };
        let (high, low) = ("LONGSHORE_DISK_HIGH_WATER", "LONGSHORE_DISK_LOW_WATER");
        assert_eq!(marks(&[(high, "off")]), (0, 0, 0));
        assert_eq!(marks(&[(high, "0"), (low, "50")]), (0, 0, 0));
        assert_eq!(marks(&[(high, "1")]), (1, 0, 0));
        assert_eq!(marks(&[(high, "60"), (low, "60")]), (60, 55, 1));
        assert_eq!(marks(&[(high, "101")]), (85, 80, 1));
    }

    #[test]
    fn values_below_their_minimum_are_raised_with_a_note() {
        let (settings, notes) = read(&[
            ("ECS_CONTAINER_STOP_TIMEOUT", "10ms"),
            ("ECS_IMAGE_CLEANUP_INTERVAL", "1m"),
            ("ECS_CGROUP_CPU_PERIOD", "1s"),
            ("ECS_IMAGE_PULL_BEHAVIOR", "prefer-cached"),
            ("ECS_CONTAINER_START_TIMEOUT", "soon"),
        ]);
        assert_eq!(settings.stop_timeout, Duration::from_secs(1));
        assert_eq!(settings.image_cleanup_interval, Duration::from_secs(600));
        assert_eq!(settings.cgroup_cpu_period, Duration::from_millis(100));
        assert_eq!(settings.pull_behavior, PullBehavior::PreferCached);
        assert_eq!(settings.start_timeout, Duration::from_secs(180));
        assert_eq!(notes.len(), 4);
    }
}

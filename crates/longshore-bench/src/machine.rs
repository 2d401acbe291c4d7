//! The machine that was measured on, and its load: a number without them says little.

use serde::Serialize;

#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    pub cores: usize,
    /// Over one, five and fifteen minutes.
    pub load_average: String,
    pub kernel: String,
}

impl Machine {
    pub fn look() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let load = read("/proc/loadavg");
        let load: Vec<&str> = load.split_whitespace().take(3).collect();
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            load_average: load.join(" "),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

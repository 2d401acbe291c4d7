//! How a file and the values in it are read.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use longshore_base::Port;
use longshore_client::Endpoint;
use longshore_engine::settings::parse_go_duration;

use super::keys::KEYS;
use super::{ConfigError, Note};

/// 10 s, 5 to 20 (agent-protocol G19).
const METRICS_INTERVAL: Duration = Duration::from_secs(10);

/// `KEY=VALUE` lines; empty ones and those that begin with `#` are skipped. Quotes are part of the
/// value, as with Docker's environment files, for which this file was made.
pub(super) fn parse_file(text: &str, notes: &mut Vec<Note>) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                let value = value.trim();
                if !value.is_empty() {
                    values.insert(key.trim().to_owned(), value.to_owned());
                }
            }
            _ => notes.push(Note::Line { line: at + 1 }),
        }
    }
    values
}

/// Adds `https://` to a value without scheme, as the official agent does (agent-protocol G2).
pub fn endpoint(text: &str) -> Result<String, ConfigError> {
    let text = text.trim_end_matches('/');
    let text = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    match Endpoint::parse(&text) {
        Ok(_) if text.starts_with("http") => Ok(text),
        Ok(_) | Err(_) => Err(ConfigError::Endpoint),
    }
}

/// A truth value as Go reads it.
pub(super) fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Some(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

pub(super) fn positive(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number| *number > 0)
}

/// `32768-60999`, both included.
pub(super) fn port_range(text: &str) -> Option<(Port, Port)> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (0 < first && first <= last).then_some((Port(first), Port(last)))
}

pub(super) struct Reader<'a> {
    pub values: &'a BTreeMap<String, String>,
    pub notes: Vec<Note>,
}

impl<'a> Reader<'a> {
    pub fn get(&self, key: &str) -> Option<&'a str> {
        debug_assert!(KEYS.iter().any(|(known, _)| *known == key), "{key} is missing in KEYS");
        self.values.get(key).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    pub fn parsed<T>(&mut self, key: &'static str, default: T, parse: impl FnOnce(&str) -> Option<T>) -> T {
        let Some(value) = self.get(key) else { return default };
        parse(value).unwrap_or_else(|| {
            self.notes.push(Note::Unreadable { key });
            default
        })
    }

    pub fn flag(&mut self, key: &'static str, default: bool) -> bool {
        self.parsed(key, default, go_bool)
    }

    /// A JSON object of texts.
    pub fn map(&mut self, key: &'static str) -> BTreeMap<String, String> {
        self.parsed(key, BTreeMap::new(), |text| serde_json::from_str(text).ok())
    }

    /// A JSON list of texts.
    pub fn list(&mut self, key: &'static str, default: &[&str]) -> Vec<String> {
        let default = default.iter().map(|item| (*item).to_owned()).collect();
        self.parsed(key, default, |text| serde_json::from_str(text).ok())
    }

    /// A JSON list of numbers.
    pub fn ports(&mut self, key: &'static str, default: &[u16]) -> Vec<Port> {
        let numbers = self.parsed(key, default.to_vec(), |text| serde_json::from_str(text).ok());
        numbers.into_iter().filter(|number| *number > 0).map(Port).collect()
    }

    /// A port to listen on; `0` and `off` turn it off.
    pub fn port(&mut self, key: &'static str, default: u16, host: Ipv4Addr) -> Option<SocketAddr> {
        let port = self.parsed(key, default, |text| if text == "off" { Some(0) } else { text.parse().ok() });
        (port > 0).then(|| SocketAddr::new(IpAddr::V4(host), port))
    }

    pub fn metrics_interval(&mut self) -> Duration {
        let key = "ECS_POLLING_METRICS_WAIT_DURATION";
        let asked = self.parsed(key, METRICS_INTERVAL, parse_go_duration);
        let used = asked.clamp(Duration::from_secs(5), Duration::from_secs(20));
        if used != asked {
            self.notes.push(Note::OutOfRange { key, used });
        }
        used
    }
}

//! The log: lines on stderr, as text for people or JSON for machines.

use std::fmt;
use std::io::IsTerminal;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;

/// How log lines look (`--log-format`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

impl FromStr for LogFormat {
    type Err = LogError;

    fn from_str(text: &str) -> Result<Self, LogError> {
        match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            other => Err(LogError::Format(other.to_owned())),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        })
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("unknown log format {0:?}: use text or json")]
    Format(String),
    #[error(
        "cannot read the log filter {filter:?}: use a level (info) or target=level pairs (longshore=debug,warn)"
    )]
    Filter {
        filter: String,
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    #[error("unknown log level {0:?}: use off, error, warn, info, debug or trace")]
    Level(String),
    #[error("a log was already set up in this process")]
    Again,
}

/// Sends the program's log to stderr. `filter` is a level or `target=level` pairs, as in
/// `LONGSHORE_LOG=longshore_front=debug,info`. Once per process.
pub fn init_log(format: LogFormat, filter: &str) -> Result<(), LogError> {
    let filter = read_filter(filter)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would complain to stderr as well, and panic where stderr is closed or full: a lost line ends nothing.
        .log_internal_errors(false);
    let set = match format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_ansi(false).try_init(),
    };
    set.map_err(|_| LogError::Again)
}

/// Whether [`init_log`] can read `filter`.
pub fn check_filter(filter: &str) -> Result<(), LogError> {
    read_filter(filter).map(|_| ())
}

fn read_filter(filter: &str) -> Result<EnvFilter, LogError> {
    check_levels(filter)?;
    let read = EnvFilter::builder().parse(filter);
    read.map_err(|source| LogError::Filter { filter: filter.to_owned(), source })
}

/// A word alone would be taken for a target, of which everything is logged and of all others nothing.
fn check_levels(filter: &str) -> Result<(), LogError> {
    let is_pair = |part: &&str| part.contains(['=', '[', '{', ']', '}', '"']);
    let mut words = filter.split(',').map(str::trim).filter(|part| !part.is_empty() && !is_pair(part));
    match words.find(|word| word.parse::<tracing_subscriber::filter::LevelFilter>().is_err()) {
        Some(word) => Err(LogError::Level(word.to_owned())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_named() {
        for format in [LogFormat::Text, LogFormat::Json] {
            assert_eq!(format.to_string().parse::<LogFormat>().expect("its own name"), format);
        }
        assert!("xml".parse::<LogFormat>().is_err());
    }

    #[test]
    fn a_bad_filter_says_what_a_good_one_is() {
        let error = init_log(LogFormat::Text, "longshore=loud").expect_err("no such level");
        assert!(error.to_string().contains("longshore=debug"), "{error}");
    }

    #[test]
    fn a_word_alone_is_a_level() {
        for filter in ["warn", "INFO", "longshore_front=debug,info", "longshore[{task=a}]=trace", ""] {
            assert!(check_levels(filter).is_ok(), "{filter}");
        }
        for filter in ["foo", "warn,loud"] {
            let error = check_levels(filter).expect_err("no level");
            assert!(error.to_string().contains("use off, error, warn"), "{error}");
        }
    }
}

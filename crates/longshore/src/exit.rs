//! How the program ends: the statuses of `docs/operating.md`, "Output and exit status". A test of the documented table runs
//! its examples (`tests/e2e/test_verbs.py`).

use std::fmt;
use std::process::ExitCode;

/// What clap answers to a command line that it cannot read, and so do we.
const USAGE: u8 = 2;

/// What the command line asks for contradicts itself, or cannot be: nothing was started.
#[derive(Debug)]
pub struct Usage(pub String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// An error about the command line, for what its grammar alone cannot see.
pub fn usage(text: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Usage(text.into()))
}

/// The status that tells of an error. An agent whose registration was refused for good ends otherwise
/// ([`longshore_node::ExitReason::code`]).
pub fn status(error: &anyhow::Error) -> ExitCode {
    if error.is::<Usage>() { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contradiction_is_told_from_a_failure() {
        let same = |error: &anyhow::Error, code: u8| {
            format!("{:?}", status(error)) == format!("{:?}", ExitCode::from(code))
        };
        assert!(same(&usage("--a needs --b"), 2));
        assert!(same(&usage("--a needs --b").context("at the start"), 2), "whatever is said around it");
        assert!(same(&anyhow::anyhow!("--a needs --b"), 1));
    }
}

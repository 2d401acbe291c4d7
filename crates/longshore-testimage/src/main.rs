//! The program inside the container images that tests and demonstrations run.
//!
//! One static executable is the whole file system of an image, so that images can be made where
//! no registry can be reached (`scripts/make-test-images`). There is no shell beside it, so the
//! same program also is the client for health checks:
//!
//! ```text
//! web [serve]        the HTTP server (module `serve`); settings come from the environment
//! web sleep SECONDS  waits, and ends with 143 on SIGTERM
//! web exit CODE      ends at once
//! web check URL      an HTTP GET; ends with 0 for 2xx and 3xx, otherwise 1
//! web allocate MIB   takes and touches that much memory, then waits for SIGTERM
//! web env-is NAME=X  ends with 0 if the environment variable has that value, otherwise 1
//! ```
//!
//! Environment: `PORT` (8080), `VERSION` and `MESSAGE` (texts in the answer), `IGNORE_TERM=1`
//! (never leaves by itself), `START_DELAY_MS` (before it listens), `LINGER_MS` (0: how
//! long it serves on after SIGTERM, for clients that have not heard yet), `DRAIN_SECONDS` (10: how long
//! requests in flight may take after SIGTERM).

mod check;
mod http;
mod serve;

use std::process::ExitCode;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// How a process that dies by SIGTERM is counted by shells and container engines: 128 + 15.
const EXIT_TERMINATED: u8 = 143;
const EXIT_USAGE: u8 = 64;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        [] | ["serve"] => serve::run(serve::Settings::from_env(), terminations()),
        ["sleep", seconds] => match seconds.parse::<f64>().ok().and_then(seconds_duration) {
            Some(duration) => sleep(duration),
            None => usage(),
        },
        ["exit", code] => code.parse::<u8>().map_or_else(|_| usage(), ExitCode::from),
        ["check", url] => match check::get(url) {
            Ok(status) if (200..400).contains(&status) => ExitCode::SUCCESS,
            Ok(status) => {
                eprintln!("{url} answered {status}");
                ExitCode::FAILURE
            }
            Err(error) => {
                eprintln!("{url}: {error}");
                ExitCode::FAILURE
            }
        },
        ["allocate", mib] => match mib.parse() {
            Ok(mib) => {
                let held = serve::touched(mib);
                println!("holding {} bytes", held.len());
                sleep(Duration::MAX)
            }
            Err(_) => usage(),
        },
        ["env-is", wanted] => match wanted.split_once('=') {
            Some((name, value)) if std::env::var(name).is_ok_and(|found| found == value) => ExitCode::SUCCESS,
            Some(_) => ExitCode::FAILURE,
            None => usage(),
        },
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!(
        "usage: web [serve] | sleep SECONDS | exit CODE | check URL | allocate MIB | env-is NAME=VALUE"
    );
    ExitCode::from(EXIT_USAGE)
}

fn seconds_duration(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

/// The signals that ask this process to leave. With `IGNORE_TERM=1` they are taken and
/// forgotten, which is how a program that cannot be stopped politely looks.
fn terminations() -> std::sync::mpsc::Receiver<()> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let ignore = std::env::var_os("IGNORE_TERM").is_some_and(|value| value == "1");
    let mut signals = Signals::new([SIGTERM, SIGINT]).expect("both signals can be handled");
    std::thread::spawn(move || {
        for _ in signals.forever() {
            if !ignore && sender.send(()).is_err() {
                return;
            }
        }
    });
    receiver
}

fn sleep(duration: Duration) -> ExitCode {
    match terminations().recv_timeout(duration) {
        Ok(()) => ExitCode::from(EXIT_TERMINATED),
        Err(_) => ExitCode::SUCCESS,
    }
}

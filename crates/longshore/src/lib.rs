//! `longshore`: Amazon ECS that anyone can run.
//!
//! The program is [`main`]; a library, so that a proof can put the same server together over a store, a clock or a source
//! of chance of its own ([`machine::Machine`]).
//!
//! This crate only wires: [`control_plane`] puts store, state, controllers and front together, `up`
//! adds agents in the same process, and the other modules are the verbs of the command line. What
//! the parts do is decided in the crates below.
//!
//! Data goes to stdout, everything else to stderr; an error ends with what to do next.
#![deny(clippy::print_stdout, clippy::print_stderr)] // they panic where they cannot print; `out` does not

mod admin;
mod advertise;
mod agent;
mod agent_ports;
pub mod args;
mod check;
mod client;
mod clock;
pub mod control_plane;
pub mod domains;
mod endpoints;
mod engine;
mod exit;
mod explain;
mod iam_users;
mod join;
mod keyring_upkeep;
mod keys;
mod leftovers;
pub mod machine;
mod oidc_keys;
mod operator_api;
mod out;
mod progress;
mod registry;
mod root_key;
mod secrets_upkeep;
pub mod server;
mod shutdown;
mod simulate;
mod status;
mod task_roles;
mod tls;
mod tokens;
mod trust;
mod up;
mod values;

use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use anyhow::anyhow;
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

use crate::args::{Args, Command};
use crate::out::tell;

/// The program.
pub fn main() -> ExitCode {
    let args = match Args::read() {
        Ok(args) => args,
        Err(error) => return answer(&error),
    };
    if let Err(error) = longshore_telemetry::init_log(args.log_format, &args.log) {
        return complain(&error.into());
    }
    raise_open_files();
    match &args.command {
        Command::Up(_)
        | Command::Server(_)
        | Command::Agent(_)
        | Command::Account(_)
        | Command::User(_)
        | Command::Key(_)
        | Command::Policy(_)
        | Command::Join(_)
        | Command::Token(_) => forbid_core_dumps(),
        Command::Status(_)
        | Command::Endpoints(_)
        | Command::Check(_)
        | Command::Explain(_)
        | Command::Simulate(_) => {}
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return complain(&anyhow::Error::new(error).context("failed to start the async runtime"));
        }
    };
    let work = async {
        match args.command {
            Command::Up(options) => up::run(options).await.map(|()| ExitCode::SUCCESS),
            Command::Server(options) => server::run(options).await.map(|()| ExitCode::SUCCESS),
            Command::Agent(options) => agent::run(options).await,
            Command::Join(options) => join::run(options).await.map(|()| ExitCode::SUCCESS),
            Command::Token(command) => tokens::run(command).await.map(|()| ExitCode::SUCCESS),
            Command::Status(options) => status::run(options).await.map(|()| ExitCode::SUCCESS),
            Command::Endpoints(options) => endpoints::run(options).await.map(|()| ExitCode::SUCCESS),
            Command::Check(options) => check::run(&options),
            Command::Explain(options) => explain::run(options).await.map(|()| ExitCode::SUCCESS),
            Command::Account(options) => admin::account(options).await.map(|()| ExitCode::SUCCESS),
            Command::User(options) => admin::user(options).await.map(|()| ExitCode::SUCCESS),
            Command::Key(options) => admin::key(options).await.map(|()| ExitCode::SUCCESS),
            Command::Policy(options) => admin::policy(options).await.map(|()| ExitCode::SUCCESS),
            Command::Simulate(options) => simulate::run(options).await.map(|()| ExitCode::SUCCESS),
        }
    };
    end(runtime, work)
}

/// Runs `work` to its end, and says what went wrong. A panic ends the process as an error does.
pub fn end(
    runtime: tokio::runtime::Runtime,
    work: impl Future<Output = anyhow::Result<ExitCode>>,
) -> ExitCode {
    let result = catch_unwind(AssertUnwindSafe(|| runtime.block_on(work)));
    let result = result.unwrap_or_else(|_said| Err(anyhow!("the program panicked; start it again")));
    // Blocking calls into the container engine must not hold up the end.
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        Err(error) => complain(&error),
    }
}

/// Every agent and client holds a socket, and the usual soft limit is 1,024. What the hard limit does not
/// allow shows when it is reached.
fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "cannot raise the limit of open files");
        }
    }
}

/// What holds secrets in memory leaves none of it on a disk when it crashes. The limit is for files; a program that the
/// kernel hands the dump to (`core_pattern`) gets none of a process that may not be dumped.
fn forbid_core_dumps() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let limited = setrlimit(Resource::Core, none);
    let forbidden = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    if let Err(error) = limited.and(forbidden) {
        tracing::warn!(%error, "cannot forbid core dumps, which may hold secrets");
    }
}

/// Prints what clap has to say: what is wrong with the command line, or what was asked for with `--help`.
fn answer(error: &clap::Error) -> ExitCode {
    match error.print() {
        Ok(()) => u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from),
        Err(cause) if cause.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(cause) => complain(&anyhow::Error::new(cause).context("cannot print the answer")),
    }
}

/// Prints the error with its causes. The hint, if there is one, is the last context.
fn complain(error: &anyhow::Error) -> ExitCode {
    tell!("error: {error}");
    for cause in error.chain().skip(1) {
        tell!("  because: {cause}");
    }
    exit::status(error)
}

//! Chores of this repository: `cargo xtask help` lists them.
//!
//! [`models`] reduces a published service model to facts, [`codegen`] turns the facts into Rust,
//! [`tidy`] checks the rules that the compiler does not know, [`bench`] measures.

mod bench;
mod changed;
mod codegen;
mod documents;
mod manifest;
mod models;
mod service;
mod tidy;
mod unused;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};

const HELP: &str = "\
Chores of the Longshore repository.

Usage: cargo xtask <command>

  models [--source PATH]   write models/*.json from botocore's service models; PATH is botocore's
                           directory, its data directory, or a service-2.json[.gz]. Without it,
                           python3 is asked where botocore is
  codegen [--check]        write the generated shape crates from models/; with --check write
                           nothing and fail if anything would change
  tidy                     check layers, licences and crate headers; print the crates by layer
  changed COMMIT           print the crates that changed since then, and those that depend on them
  bench [ARGUMENT...]      build in the release profile and measure; see docs/benchmarks.md
  help                     this text
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> anyhow::Result<()> {
    let root = root();
    match arguments {
        ["models"] => models::run(&root, None),
        ["models", "--source", path] => models::run(&root, Some(Path::new(path))),
        ["codegen"] => codegen::run(&root, codegen::Mode::Write),
        ["codegen", "--check"] => codegen::run(&root, codegen::Mode::Check),
        ["tidy"] => tidy::run(&root),
        ["changed", since] => changed::run(&root, since),
        ["bench", rest @ ..] => bench::run(&root, rest),
        ["help" | "--help" | "-h"] | [] => {
            print!("{HELP}");
            Ok(())
        }
        [command, ..] => {
            eprint!("{HELP}");
            bail!("do not understand `{command}` with these arguments")
        }
    }
}

/// The workspace's directory: the parent of this crate's.
fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Reads a file, with its name in the error.
fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))
}

/// Writes a file, with its name in the error.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("failed to write {}", path.display()))
}

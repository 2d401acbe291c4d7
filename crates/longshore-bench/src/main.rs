//! The numbers that the design promises, measured: one table, each number beside a peer or a limit of the same run.
//!
//! `cargo xtask bench [--quick] [ROW...]`, or `cargo run --release -p longshore-bench`. Start at [`rows`]: each row of
//! the table is one function there. [`process`] starts the real binary, [`api`] and [`load`] are its clients, [`docker`] and
//! [`swarm`] the peers, [`registry`] what they pull from, [`limits`] what this machine allows at all; [`table`] judges and prints.
//!
//! The table goes to stdout (and as JSON to `--json FILE`), everything else to stderr. Nothing here fails because
//! a number is bad: the ratio counts, and people judge it (docs/benchmarks.md).

mod api;
mod docker;
mod limits;
mod load;
mod machine;
mod process;
mod raw;
mod registry;
mod rows;
mod samples;
mod swarm;
mod table;

use std::path::PathBuf;

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::machine::Machine;
use crate::rows::{Bench, RowId};
use crate::table::Table;

/// Measure Longshore beside its peers and the limits of this machine.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Args {
    /// Fewer and shorter rounds: minutes instead of a quarter of an hour, and more noise
    #[arg(long)]
    quick: bool,
    /// Write the table as JSON to this file too
    #[arg(long)]
    json: Option<PathBuf>,
    /// The program to measure [default: `longshore` beside this one]
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Another build of the program, measured too, row by row in turns: what has changed since then
    #[arg(long)]
    before: Option<PathBuf>,
    /// Where data directories are made; must be on the disk that is to be measured
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The rows to measure [default: all]
    rows: Vec<RowId>,
    #[command(subcommand)]
    peer: Option<Peer>,
}

#[derive(Debug, Subcommand)]
enum Peer {
    /// Serve the same few bytes for ever: the limit of an HTTP server (used by the benchmarks themselves)
    #[command(hide = true)]
    Hello,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let Some(Peer::Hello) = args.peer {
        return runtime.block_on(limits::serve_hello());
    }
    let beside = || anyhow::Ok(std::env::current_exe()?.with_file_name("longshore"));
    let binary = args.binary.map_or_else(beside, Ok)?;
    for binary in [Some(&binary), args.before.as_ref()].into_iter().flatten() {
        anyhow::ensure!(
            binary.exists(),
            "{} does not exist; build it with `cargo build --release -p longshore`, or use `cargo xtask bench`",
            binary.display()
        );
    }
    let dir = match args.dir {
        Some(dir) => tempfile::tempdir_in(dir),
        None => tempfile::tempdir(),
    };
    let dir = dir.context("failed to make a directory for data")?;
    // Each build has directories of its own: one cannot read what the other has written.
    let bench = |binary, own: &str| {
        let dir = dir.path().join(own);
        std::fs::create_dir(&dir).with_context(|| format!("failed to make {}", dir.display()))?;
        anyhow::Ok(Bench { binary, dir, quick: args.quick })
    };
    let before = args.before.map(|binary| bench(binary, "before")).transpose()?;
    let bench = bench(binary, "now")?;
    let looked = Machine::look();
    let wanted = if args.rows.is_empty() { RowId::all() } else { args.rows };
    let mut rows = Vec::new();
    match before {
        None => runtime.block_on(rows::run(&bench, &wanted, &mut rows)),
        // One after the other, so that both see the machine as it is at that time.
        Some(before) => {
            for row in wanted {
                let (mut now, mut then) = (Vec::new(), Vec::new());
                runtime.block_on(rows::run(&bench, &[row], &mut now));
                eprintln!("the same with {}:", before.binary.display());
                runtime.block_on(rows::run(&before, &[row], &mut then));
                rows.extend(table::compared(now, &then));
            }
        }
    }
    let table = Table { before: looked, after: Machine::look(), quick: args.quick, rows };
    table.print();
    if let Some(path) = args.json {
        let text = serde_json::to_string_pretty(&table.json()).context("a table is plain JSON")?;
        std::fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))?;
    }
    runtime.shutdown_background();
    Ok(())
}

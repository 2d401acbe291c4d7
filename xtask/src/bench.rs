//! `cargo xtask bench`: builds what is measured and what measures, then measures.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

/// `arguments` go to `longshore-bench` as they are (docs/benchmarks.md).
pub fn run(root: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let cargo = || {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(root);
        command
    };
    // Both in the release profile: the one looks for the other beside itself.
    let packages = ["-p", "longshore", "-p", "longshore-bench"];
    let built =
        cargo().args(["build", "--release"]).args(packages).status().context("failed to start cargo")?;
    ensure!(built.success(), "the build failed");
    let measured = cargo()
        .args(["run", "--quiet", "--release", "-p", "longshore-bench", "--"])
        .args(arguments)
        .status()
        .context("failed to start cargo")?;
    ensure!(measured.success(), "the benchmarks could not be run");
    Ok(())
}

//! The crates that a change touches: those whose files changed, and all that depend on them, tests included.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::tidy::{self, Package};

/// Prints the names, one a line.
pub fn run(root: &Path, since: &str) -> anyhow::Result<()> {
    let mut files = git(root, &["diff", "--name-only", since])?;
    files.extend(git(root, &["ls-files", "--others", "--exclude-standard"])?);
    for name in touched(&tidy::packages(root)?, &files) {
        println!("{name}");
    }
    Ok(())
}

fn git(root: &Path, arguments: &[&str]) -> anyhow::Result<Vec<String>> {
    let output =
        Command::new("git").args(arguments).current_dir(root).output().context("failed to run git")?;
    ensure!(output.status.success(), "git failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

/// The crates that `files`, relative to the workspace, have to do with.
fn touched<'a>(packages: &'a BTreeMap<String, Package>, files: &[String]) -> BTreeSet<&'a str> {
    // What the workspace says, it says of every crate.
    if files.iter().any(|file| ["Cargo.toml", "Cargo.lock"].contains(&file.as_str())) {
        return packages.keys().map(String::as_str).collect();
    }
    let home_of = |file: &str| {
        let mut parts = file.split('/');
        match parts.next()? {
            "crates" => packages.get_key_value(parts.next()?),
            // Generated code follows from the models, and is checked where it is generated.
            first @ "xtask" => packages.get_key_value(first),
            _ => None,
        }
    };
    let mut found: BTreeSet<&str> =
        files.iter().filter_map(|file| home_of(file)).map(|(name, _)| &**name).collect();
    let mut open: Vec<&str> = found.iter().copied().collect();
    while let Some(below) = open.pop() {
        for (name, package) in packages {
            if package.uses.iter().any(|(used, _)| used == below) && found.insert(name) {
                open.push(name);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_touches_what_depends_on_it() {
        let package = |name: &str, uses: &[&str]| {
            let uses = uses.iter().map(|used| ((*used).to_owned(), None)).collect();
            (name.to_owned(), Package { name: name.to_owned(), layer: None, uses })
        };
        let packages = BTreeMap::from([
            package("low", &[]),
            package("middle", &["low"]),
            package("high", &["middle"]),
            package("beside", &[]),
        ]);
        let touched = |files: &[&str]| {
            let files: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
            touched(&packages, &files).into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(touched(&["crates/middle/src/lib.rs"]), ["high", "middle"]);
        assert_eq!(touched(&["crates/low/Cargo.toml"]), ["high", "low", "middle"]);
        assert_eq!(touched(&["README.md", "crates/gone/src/lib.rs"]), [""; 0]);
        assert_eq!(touched(&["Cargo.lock"]), ["beside", "high", "low", "middle"]);
    }
}

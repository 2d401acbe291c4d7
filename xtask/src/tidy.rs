//! `cargo xtask tidy`: rules of the repository that the compiler does not know.
//!
//! Every crate declares its layer; dependencies point down or sideways; nothing that ships carries
//! a licence outside of [`LICENCES`]; a directory is named like its package; a crate says what it
//! is for before its first line of code, and depends on nothing that it does not use; diffs in the guides are of code
//! that is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

/// Licences that a dependency may have. All of them permit use in closed and open programs alike
/// and ask for no more than notices.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "Zlib",
];

/// Proof may be used by the tests of any crate, although it stands above them.
const TEST_SUPPORT: &str = "longshore-testkit";

/// What each layer is, for the printed graph.
const LAYERS: [&str; 6] = ["ground", "core", "ports", "services", "programs", "proof"];

/// A crate of ours.
pub struct Package {
    pub name: String,
    pub layer: Option<u64>,
    /// Name and kind (`None`, `dev`, `build`) of dependencies inside the workspace.
    pub uses: Vec<(String, Option<String>)>,
}

pub fn run(root: &Path) -> anyhow::Result<()> {
    let metadata = metadata(root)?;
    let members: BTreeSet<&str> =
        metadata["workspace_members"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut findings = Vec::new();
    let mut packages = BTreeMap::new();
    let all = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let libraries = crate::unused::libraries(all);
    for package in all {
        let name = package["name"].as_str().context("a package without a name")?;
        if members.contains(package["id"].as_str().unwrap_or_default()) {
            findings.extend(check_files(name, package)?);
            findings.extend(crate::unused::check(name, package, &libraries)?);
            packages.insert(name.to_owned(), read_package(name, package));
        } else {
            findings.extend(check_licence(name, package));
        }
    }
    findings.extend(check_edges(&packages));
    findings.extend(crate::documents::check(root)?);
    print_layers(&packages);
    eprintln!("{} crates of ours, {} of others", packages.len(), all.len() - packages.len());
    for finding in &findings {
        eprintln!("finding: {finding}");
    }
    match findings.len() {
        0 => Ok(()),
        count => bail!("{count} findings"),
    }
}

/// All crates of ours, by name.
pub fn packages(root: &Path) -> anyhow::Result<BTreeMap<String, Package>> {
    let metadata = metadata(root)?;
    let all = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let ours = all.iter().filter(|package| package["source"].is_null());
    ours.map(|package| {
        let name = package["name"].as_str().context("a package without a name")?;
        Ok((name.to_owned(), read_package(name, package)))
    })
    .collect()
}

fn metadata(root: &Path) -> anyhow::Result<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1"])
        .current_dir(root)
        .output()
        .context("failed to run cargo metadata")?;
    ensure!(
        output.status.success(),
        "cargo metadata failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn read_package(name: &str, package: &Value) -> Package {
    let uses = package["dependencies"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|dependency| dependency["path"].is_string())
        .filter_map(|dependency| {
            Some((dependency["name"].as_str()?.to_owned(), dependency["kind"].as_str().map(str::to_owned)))
        })
        .collect();
    Package { name: name.to_owned(), layer: package["metadata"]["longshore"]["layer"].as_u64(), uses }
}

/// The directory's name and the header of the crate's first file.
fn check_files(name: &str, package: &Value) -> anyhow::Result<Vec<String>> {
    let mut findings = Vec::new();
    let manifest = Path::new(package["manifest_path"].as_str().context("a package without a manifest")?);
    let directory = manifest.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    if directory != name {
        findings.push(format!("{name} lies in a directory called {directory}"));
    }
    for target in package["targets"].as_array().into_iter().flatten() {
        let main = target["kind"]
            .as_array()
            .is_some_and(|kinds| kinds.iter().any(|kind| kind == "lib" || kind == "bin"));
        let path = Path::new(target["src_path"].as_str().unwrap_or_default());
        if main && !crate::read(path)?.starts_with("//!") {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            findings.push(format!("{name}: {file} does not begin with a `//!` header"));
        }
    }
    Ok(findings)
}

fn check_licence(name: &str, package: &Value) -> Option<String> {
    let version = package["version"].as_str().unwrap_or_default();
    match package["license"].as_str() {
        Some(licence) if is_allowed(licence) => None,
        Some(licence) => {
            Some(format!("{name} {version} has the licence {licence}, which is not on the list"))
        }
        None => Some(format!("{name} {version} names no licence")),
    }
}

/// Evaluates an SPDX expression: one allowed alternative of an OR, every part of an AND. The slash
/// of old manifests means OR.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    alternatives(&mut rest) && rest.is_empty()
}

fn alternatives(rest: &mut &[&str]) -> bool {
    let mut allowed = conjunction(rest);
    while let ["OR", tail @ ..] = rest {
        *rest = tail;
        allowed |= conjunction(rest);
    }
    allowed
}

fn conjunction(rest: &mut &[&str]) -> bool {
    let mut allowed = one_licence(rest);
    while let ["AND", tail @ ..] = rest {
        *rest = tail;
        allowed &= one_licence(rest);
    }
    allowed
}

fn one_licence(rest: &mut &[&str]) -> bool {
    match rest {
        ["(", tail @ ..] => {
            *rest = tail;
            let allowed = alternatives(rest);
            let closed = matches!(rest, [")", ..]);
            *rest = rest.get(1..).unwrap_or_default();
            allowed && closed
        }
        [licence, "WITH", exception, tail @ ..] => {
            *rest = tail;
            LICENCES.contains(&format!("{licence} WITH {exception}").as_str())
        }
        [licence, tail @ ..] => {
            *rest = tail;
            LICENCES.contains(licence)
        }
        [] => false,
    }
}

fn check_edges(packages: &BTreeMap<String, Package>) -> Vec<String> {
    let mut findings = Vec::new();
    for package in packages.values() {
        let Some(layer) = package.layer else {
            findings.push(format!("{} declares no layer", package.name));
            continue;
        };
        if layer >= LAYERS.len() as u64 {
            findings.push(format!("{} declares layer {layer}, which does not exist", package.name));
        }
        for (used, kind) in &package.uses {
            let Some(below) = packages.get(used).and_then(|package| package.layer) else { continue };
            let for_tests = kind.as_deref() == Some("dev") && used == TEST_SUPPORT;
            if below > layer && !for_tests {
                let kind = kind.as_deref().map_or_else(String::new, |kind| format!(" ({kind})"));
                findings.push(format!(
                    "{} of layer {layer} depends upward{kind} on {used} of layer {below}",
                    package.name
                ));
            }
        }
    }
    findings
}

fn print_layers(packages: &BTreeMap<String, Package>) {
    let short = |name: &str| name.strip_prefix("longshore-").unwrap_or(name).to_owned();
    for (layer, title) in LAYERS.iter().enumerate() {
        println!("L{layer} {title}");
        for package in packages.values().filter(|package| package.layer == Some(layer as u64)) {
            let uses: BTreeSet<String> = package
                .uses
                .iter()
                .filter(|(_, kind)| kind.as_deref() != Some("dev"))
                .map(|(name, _)| short(name))
                .collect();
            let uses: Vec<String> = uses.into_iter().collect();
            println!("  {:<18} {}", short(&package.name), uses.join(" "));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences() {
        for good in [
            "MIT",
            "MIT OR GPL-3.0",
            "MIT/Apache-2.0",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR MIT",
        ] {
            assert!(is_allowed(good), "{good}");
        }
        for bad in ["GPL-3.0", "MIT AND GPL-3.0", "", "(MIT", "AGPL-3.0-only OR GPL-2.0", "MIT Apache-2.0"] {
            assert!(!is_allowed(bad), "{bad}");
        }
    }

    fn package(name: &str, layer: Option<u64>, uses: &[(&str, Option<&str>)]) -> (String, Package) {
        let uses = uses.iter().map(|(name, kind)| ((*name).to_owned(), kind.map(str::to_owned))).collect();
        (name.to_owned(), Package { name: name.to_owned(), layer, uses })
    }

    #[test]
    fn edges_point_down_or_sideways() {
        let packages = BTreeMap::from([
            package("low", Some(0), &[("high", None)]),
            package("high", Some(2), &[("low", None), ("beside", None), (TEST_SUPPORT, Some("dev"))]),
            package("beside", Some(2), &[(TEST_SUPPORT, None)]),
            package("lost", None, &[]),
            package(TEST_SUPPORT, Some(5), &[("low", None)]),
        ]);
        assert_eq!(
            check_edges(&packages),
            [
                "beside of layer 2 depends upward on longshore-testkit of layer 5",
                "lost declares no layer",
                "low of layer 0 depends upward on high of layer 2",
            ]
        );
    }
}

//! Dependencies that a crate names in its manifest and never in its code: each costs a place in the build's order.
//!
//! A dependency is used where its name stands as a word in code. What the library and the programs of a crate use is
//! looked for in `src` and `build.rs`; what its tests use, in `tests`, `examples` and `benches` too.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

/// The dependencies of `package` (of cargo's metadata) that no code of it names. `libraries` says how the code calls the
/// packages whose library has another name than they have.
pub fn check(name: &str, package: &Value, libraries: &BTreeMap<&str, &str>) -> anyhow::Result<Vec<String>> {
    let manifest = Path::new(package["manifest_path"].as_str().context("a package without a manifest")?);
    let home = manifest.parent().context("a manifest in no directory")?;
    let shipped = words_of(&[home.join("src"), home.join("build.rs")])?;
    let proof = words_of(&[home.join("tests"), home.join("examples"), home.join("benches")])?;
    let mut findings = Vec::new();
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        let full = dependency["name"].as_str().context("a dependency without a name")?;
        let called = libraries.get(full).copied().unwrap_or(full);
        let word = dependency["rename"].as_str().unwrap_or(called).replace('-', "_");
        let is_dev = dependency["kind"] == "dev";
        let in_tests = names(&proof, &word);
        match (names(&shipped, &word), is_dev) {
            (true, _) => {}
            (false, true) if in_tests => {}
            (false, false) if in_tests => {
                findings.push(format!("{name} depends on {full}, which only its tests use"));
            }
            (false, _) => findings.push(format!("{name} depends on {full} and does not use it")),
        }
    }
    Ok(findings)
}

/// How the code calls the library of each package, where that is not the package's own name.
pub fn libraries(packages: &[Value]) -> BTreeMap<&str, &str> {
    fn library(package: &Value) -> Option<(&str, &str)> {
        let targets = package["targets"].as_array()?;
        let is_library = |kind: &Value| kind == "lib" || kind == "proc-macro";
        let library = targets
            .iter()
            .find(|target| target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(is_library)))?;
        Some((package["name"].as_str()?, library["name"].as_str()?))
    }
    packages.iter().filter_map(library).collect()
}

/// The code of all Rust files there, and of those that they take in by `#[path]`, without the lines that are comments.
fn words_of(places: &[PathBuf]) -> anyhow::Result<String> {
    let mut code = String::new();
    let mut open: Vec<PathBuf> = places.to_vec();
    let mut seen = BTreeSet::new();
    while let Some(path) = open.pop() {
        let Ok(path) = path.canonicalize() else { continue };
        if !seen.insert(path.clone()) {
            continue;
        }
        if path.is_dir() {
            for entry in
                std::fs::read_dir(&path).with_context(|| format!("failed to list {}", path.display()))?
            {
                open.push(entry?.path());
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            for line in crate::read(&path)?.lines().filter(|line| !line.trim_start().starts_with("//")) {
                let other = line.trim().strip_prefix("#[path = \"").and_then(|rest| rest.strip_suffix("\"]"));
                if let (Some(other), Some(here)) = (other, path.parent()) {
                    open.push(here.join(other));
                }
                code.push_str(line);
                code.push('\n');
            }
        }
    }
    Ok(code)
}

/// Whether `word` stands in `code` as a word of its own.
fn names(code: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word)
        .any(|(at, _)| !code[..at].ends_with(is_part) && !code[at + word.len()..].starts_with(is_part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_not_a_part_of_another() {
        assert!(names("use http::Method;", "http"));
        assert!(names("#[tokio::test]", "tokio"));
        assert!(!names("use http_body::Body;", "http"));
        assert!(!names("let tokio_like = 1;", "tokio"));
    }

    #[test]
    fn what_nobody_names_is_found() {
        let home = tempfile::tempdir().expect("a directory");
        for (path, code) in [
            ("src/lib.rs", "// unused::here is a comment\nuse shipped::It;"),
            ("tests/it.rs", "use proof::It;\nuse misplaced::It;"),
        ] {
            let path = home.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            std::fs::write(path, code).expect("a file");
        }
        let package = serde_json::json!({
            "manifest_path": home.path().join("Cargo.toml"),
            "dependencies": [
                { "name": "shipped", "kind": null }, { "name": "proof", "kind": "dev" },
                { "name": "misplaced", "kind": null }, { "name": "unused", "kind": null },
                { "name": "un-used", "kind": "dev" }, { "name": "rust-shipped", "kind": null },
            ],
        });
        assert_eq!(
            check("it", &package, &BTreeMap::from([("rust-shipped", "shipped")])).expect("findings"),
            [
                "it depends on misplaced, which only its tests use",
                "it depends on unused and does not use it",
                "it depends on un-used and does not use it",
            ]
        );
    }
}

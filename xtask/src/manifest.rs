//! `models/manifest.toml`: which services have shapes, and for which of their operations.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, ensure};
use serde::Deserialize;

/// One API that we generate a crate for.
#[derive(Debug)]
pub struct Api {
    /// `models/<name>.json` and `crates/longshore-shapes-<name>`.
    pub name: String,
    /// What people call the service.
    pub title: String,
    /// The model's directory below botocore's `data`.
    pub botocore: String,
    /// The published reference of an operation or shape; `{}` is its name.
    pub reference: String,
    pub operations: Operations,
    /// How far the time of a signature may lie from the server's; `None` for what most services allow.
    pub clock_minutes: Option<u64>,
}

/// The operations that get shapes.
#[derive(Debug, PartialEq, Eq)]
pub enum Operations {
    All,
    Some(BTreeSet<String>),
}

impl Operations {
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some(names) => names.contains(name),
        }
    }

    /// Those that are named one by one.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::All => None,
            Self::Some(names) => Some(names),
        }
        .into_iter()
        .flatten()
        .map(String::as_str)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    title: String,
    botocore: String,
    reference: String,
    operations: String,
    clock_minutes: Option<u64>,
}

pub fn load(root: &Path) -> anyhow::Result<Vec<Api>> {
    parse(&crate::read(&root.join("models/manifest.toml"))?).context("models/manifest.toml")
}

fn parse(text: &str) -> anyhow::Result<Vec<Api>> {
    let entries: BTreeMap<String, Entry> = toml::from_str(text)?;
    let mut apis = Vec::new();
    for (name, entry) in entries {
        let operations = match entry.operations.trim() {
            "all" => Operations::All,
            names => {
                let words: Vec<&str> = names.split_whitespace().collect();
                let set: BTreeSet<String> = words.iter().map(|word| (*word).to_owned()).collect();
                ensure!(set.len() == words.len(), "{name} names an operation twice");
                Operations::Some(set)
            }
        };
        apis.push(Api {
            name,
            title: entry.title,
            botocore: entry.botocore,
            reference: entry.reference,
            operations,
            clock_minutes: entry.clock_minutes,
        });
    }
    Ok(apis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_words() {
        let entry = |operations: &str| {
            let text = format!(
                "[x]\ntitle = \"X\"\nbotocore = \"x/1\"\nreference = \"{{}}\"\noperations = \"{operations}\""
            );
            parse(&text).map(|mut apis| apis.remove(0).operations)
        };
        assert_eq!(entry("all").expect("it is well-formed"), Operations::All);
        let two = entry("B A").expect("it is well-formed");
        assert_eq!(two.names().collect::<Vec<_>>(), ["A", "B"]);
        assert!(two.contains("A") && !two.contains("C"));
        assert!(entry("A A").is_err());
    }
}

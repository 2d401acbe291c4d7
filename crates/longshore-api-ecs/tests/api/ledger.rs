//! The support ledger says of every operation what is true.

use std::collections::BTreeMap;

use longshore_api_ecs::OPERATIONS;
use longshore_shapes_ecs::Operation;

const LEDGER: &str = include_str!("../../../../support/ecs.toml");

#[derive(Debug, Default)]
struct Entry {
    status: String,
    reason: Option<String>,
    deviations: Vec<String>,
}

/// Reads the little of TOML that the ledger uses: tables, texts, and lists of texts line by line.
fn entries() -> BTreeMap<String, Entry> {
    let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
    let mut name = String::new();
    for line in LEDGER.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let text = |quoted: &str| -> String {
            serde_json::from_str(quoted).unwrap_or_else(|error| panic!("{line}: {error}"))
        };
        if let Some(table) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            name = table.to_owned();
            assert!(entries.insert(name.clone(), Entry::default()).is_none(), "{name} is listed twice");
            continue;
        }
        let entry = entries.get_mut(&name).unwrap_or_else(|| panic!("{line} stands before every operation"));
        match line.split_once(" = ") {
            Some(("status", quoted)) => entry.status = text(quoted),
            Some(("reason", quoted)) => entry.reason = Some(text(quoted)),
            Some(("deviations", "[")) => {}
            _ if line == "]" => {}
            _ => entry.deviations.push(text(line.trim_end_matches(','))),
        }
    }
    entries
}

#[test]
fn the_ledger_lists_every_operation_of_the_model() {
    let listed: Vec<String> = entries().into_keys().collect();
    let mut model: Vec<String> = Operation::ALL.iter().map(|operation| operation.name().to_owned()).collect();
    model.sort();
    assert_eq!(listed, model);
}

#[test]
fn what_the_ledger_says_is_what_the_server_does() {
    for (operation, entry) in entries() {
        let is_built = OPERATIONS.find(&operation).is_some();
        match entry.status.as_str() {
            "implemented" => assert!(is_built && entry.reason.is_none(), "{operation} {entry:?}"),
            "partial" => assert!(is_built && entry.reason.is_some(), "{operation} {entry:?}"),
            "not implemented" => assert!(
                !is_built && entry.reason.is_some() && entry.deviations.is_empty(),
                "{operation} {entry:?}"
            ),
            other => panic!("{operation} has the status {other:?}"),
        }
    }
}

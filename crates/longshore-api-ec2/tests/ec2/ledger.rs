//! The support ledger says of every operation what is true. EC2 has hundreds of operations that are not built; those that
//! have nothing to do with what is served are told by one entry, `[*]`.

use std::collections::BTreeSet;

use longshore_api_ec2::OPERATIONS;

const LEDGER: &str = include_str!("../../../../support/ec2.toml");

#[test]
fn the_ledger_says_what_is_built() {
    let mut listed: Vec<(&str, &str, bool)> = Vec::new();
    for line in LEDGER.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            listed.push((name.trim_matches('"'), "", false));
        } else if let Some(status) = line.strip_prefix("status = ") {
            listed.last_mut().expect("an operation").1 = status.trim_matches('"');
        } else if line.starts_with("reason = ") {
            listed.last_mut().expect("an operation").2 = true;
        }
    }
    let names: BTreeSet<&str> = listed.iter().map(|(name, ..)| *name).collect();
    assert_eq!(names.len(), listed.len(), "each is listed once");
    let model: BTreeSet<&str> = longshore_catalog::EC2.operations.iter().copied().collect();
    for (name, status, has_reason) in listed {
        assert!(name == "*" || model.contains(name), "{name} is no operation");
        let want = match status {
            "implemented" => (true, false),
            "partial" => (true, true),
            "not implemented" => (false, true),
            other => panic!("{name} has the status {other:?}"),
        };
        assert_eq!((OPERATIONS.find(name).is_some(), has_reason), want, "{name}");
    }
    for name in OPERATIONS.names {
        assert!(names.contains(name), "{name} is built and not listed");
    }
    assert!(names.contains("*"), "something is said of all the others");
}

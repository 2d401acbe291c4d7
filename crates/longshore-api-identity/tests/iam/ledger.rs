//! The support ledger says of every operation what is true.

use longshore_api_identity::OPERATIONS;

const LEDGER: &str = include_str!("../../../../support/iam.toml");

#[test]
fn the_ledger_says_what_is_built() {
    let mut listed: Vec<(&str, &str, bool)> = Vec::new();
    for line in LEDGER.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            listed.push((name, "", false));
        } else if let Some(status) = line.strip_prefix("status = ") {
            listed.last_mut().expect("an operation").1 = status.trim_matches('"');
        } else if line.starts_with("reason = ") {
            listed.last_mut().expect("an operation").2 = true;
        }
    }
    listed.sort_unstable();
    let names: Vec<&str> = listed.iter().map(|(name, ..)| *name).collect();
    let mut model = longshore_catalog::IAM.operations.to_vec();
    model.sort_unstable();
    assert_eq!(names, model);
    for (name, status, has_reason) in listed {
        let is_built = OPERATIONS.find(name).is_some();
        let want = match status {
            "implemented" => (true, false),
            "partial" => (true, true),
            "not implemented" => (false, true),
            other => panic!("{name} has the status {other:?}"),
        };
        assert_eq!((is_built, has_reason), want, "{name}");
    }
}

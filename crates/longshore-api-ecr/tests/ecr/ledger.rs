//! The support ledger says of every operation what is true.

use longshore_api::Api;

use crate::support::World;

fn check(ledger: &str, model: &[&str], built: &[&str]) {
    let mut listed: Vec<(&str, &str, bool)> = Vec::new();
    for line in ledger.lines() {
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
    let mut model = model.to_vec();
    model.sort_unstable();
    assert_eq!(names, model);
    for (name, status, has_reason) in listed {
        let want = match status {
            "implemented" => (true, false),
            "partial" => (true, true),
            "not implemented" => (false, true),
            other => panic!("{name} has the status {other:?}"),
        };
        assert_eq!((built.contains(&name), has_reason), want, "{name}");
    }
}

#[test]
fn the_ledger_says_what_is_built() {
    let ledger = include_str!("../../../../support/ecr.toml");
    check(ledger, longshore_catalog::ECR.operations, World::new().api.operations());
}

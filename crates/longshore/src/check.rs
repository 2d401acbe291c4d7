//! `longshore check`: what a data directory holds, and whether it agrees with itself.
//!
//! The store is opened as a start of the server opens it: the directory is locked meanwhile, and what a crash
//! left unfinished at the end of the journal is cut off. Nothing else is written, nothing is repaired.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use longshore_base::Clock;
use longshore_state::{Records, State};
use longshore_store::Store;
use longshore_store_embedded::EmbeddedStore;
use longshore_survey::{Note, Rule};
use longshore_tables_ecs::key::FamilyKey;
use longshore_tables_ecs::record::{FamilyCounter, TaskDefinition};
use longshore_tables_ecs::view;

use crate::args::{CheckOptions, default_data_dir};
use crate::clock::SystemClock;
use crate::domains;
use crate::operator_api;
use crate::out::{print, shown};
use crate::root_key::{self, Fit};

/// Findings that are printed; their number is always told.
const SHOWN_MAX: usize = 100;

/// Prints counts and findings to stdout.
///
/// # Errors
/// Nothing is there, it cannot be opened or read, or there are findings.
pub fn run(options: &CheckOptions) -> anyhow::Result<ExitCode> {
    let data_dir = options.data_dir.clone().unwrap_or_else(default_data_dir);
    let dir = data_dir.join("state");
    // Opening would make an empty store, which is sound and says nothing.
    if !dir.is_dir() {
        bail!("{} does not exist; name a server's data directory with --data-dir", dir.display());
    }
    let store = EmbeddedStore::open(&dir)?;
    let state = State::load(&store, &domains::all(), SystemClock.now())
        .with_context(|| format!("the records in {} cannot be used; restore a backup", dir.display()))?;
    let records = state.records();
    let root = root_key::fit(&state, options.root_key.as_deref(), &data_dir)?;
    let found = look(&state, &records, root);
    // Whether anybody reads it or not, the exit status says what was found.
    print(&report(&dir, store.revision().get(), &records, &found))?;
    let findings = found.findings;
    if findings.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    bail!(
        "{} finding(s) in {}; keep a copy of the directory and report them, each is a defect",
        findings.len(),
        dir.display()
    )
}

struct Found {
    /// What is wrong, in words.
    findings: Vec<String>,
    /// How many tasks the next start still has to end, because their instance was deregistered.
    unfinished: usize,
    /// Whether what is sealed can be opened, in words.
    root_key: String,
    /// Lines about the data keys, and how many records are under each.
    data_keys: String,
}

fn look(state: &State, records: &Records, root: Fit) -> Found {
    let mut findings = state.check();
    let root_key = match root {
        Fit::Fits => "fits".to_owned(),
        Fit::Unneeded => "not needed yet".to_owned(),
        Fit::Missing(path) => format!("not looked at, there is no {}", shown(&path)),
        Fit::Wrong(why) => {
            findings.push(format!("the root key does not fit: {why}"));
            "does not fit".to_owned()
        }
    };
    findings.extend(missing_revisions(records));
    let notes = longshore_survey::survey(&view::snapshot(records, true));
    let (unfinished, wrong): (Vec<Note>, Vec<Note>) =
        notes.into_iter().partition(|note| note.rule == Rule::Deregistration);
    findings.extend(wrong.iter().map(ToString::to_string));
    let data_keys = operator_api::data_keys(state);
    let known = data_keys.iter().map(|key| key.records).sum::<usize>();
    let sealed: usize = longshore_keyring::census(state, domains::HOLDERS).values().sum();
    if sealed > known {
        findings.push(format!("{} records are sealed under data keys that are not there", sealed - known));
    }
    let data_keys = operator_api::lines(&data_keys);
    Found { findings, unfinished: unfinished.len(), root_key, data_keys }
}

/// Revisions are given one after the other (ecs-task-definitions C1), so one that is missing was lost, unless a counter says
/// that it was removed.
fn missing_revisions(records: &Records) -> Vec<String> {
    let mut families: BTreeMap<&FamilyKey, Vec<u32>> = BTreeMap::new();
    for (key, _) in records.of::<TaskDefinition>() {
        families.entry(&key.family).or_default().push(key.revision);
    }
    let notes = families.iter().flat_map(|(&key, revisions)| {
        let last_removed = records.get::<FamilyCounter>(key).map_or(0, |counter| counter.last_revision);
        let missing = gaps(last_removed, revisions);
        let family = &key.family;
        missing.into_iter().map(move |revision| format!("task definition {family}:{revision} is missing"))
    });
    notes.collect()
}

/// What is missing between `last_removed` and the newest of `revisions`, which are in order.
fn gaps(last_removed: u32, revisions: &[u32]) -> Vec<u32> {
    let newest = revisions.last().copied().unwrap_or(0);
    (last_removed + 1..newest).filter(|revision| revisions.binary_search(revision).is_err()).collect()
}

/// `NAME NUMBER` lines, then the findings.
fn report(dir: &Path, revision: u64, records: &Records, found: &Found) -> String {
    let mut text = format!("{}\nrevision {revision}\nrecords {}\n", dir.display(), records.len());
    let mut line = |line: String| writeln!(text, "{line}").expect("a String takes everything");
    for (domain, kind, count) in records.counts() {
        line(format!("{domain}/{kind} {count}"));
    }
    line(format!("unfinished {}", found.unfinished));
    line(format!("root key: {}", found.root_key));
    found.data_keys.lines().for_each(|text| line(text.to_owned()));
    let findings = &found.findings;
    line(format!("findings {}", findings.len()));
    for finding in findings.iter().take(SHOWN_MAX) {
        line(format!("  {finding}"));
    }
    if findings.len() > SHOWN_MAX {
        line(format!("  and {} more", findings.len() - SHOWN_MAX));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_revisions_that_nobody_removed_are_missing() {
        for (last_removed, revisions, expected) in [
            (0, &[1, 2, 3][..], &[][..]),
            (0, &[1, 4], &[2, 3]),
            (0, &[2], &[1]),
            (3, &[4, 5], &[]),
            (3, &[1, 5], &[4]),
            (5, &[2, 5], &[]),
            (0, &[], &[]),
        ] {
            assert_eq!(gaps(last_removed, revisions), expected, "{last_removed} {revisions:?}");
        }
    }
}

//! An acknowledged commit survives kill -9, and no commit survives by half.

#[allow(dead_code)]
mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use longshore_base::Seed;
use longshore_store::{Commit, KeyRange, Op, Store};
use longshore_store_embedded::EmbeddedStore;

const ROUNDS: u64 = 10;
/// How many acknowledged groups a round waits for at most before it kills.
const GROUPS_MAX: usize = 100;
const CHILD_DIR: &str = "LONGSHORE_STORE_CRASH_DIR";

/// Commit `n` writes two keys, which are large together so that tables are written, too, and the counter.
fn commit(n: u64) -> Commit {
    let value = vec![n as u8; 1500];
    Commit::new(vec![
        Op::put(format!("left/{n:08}"), value.clone()),
        Op::put(format!("right/{n:08}"), value),
        Op::put("last", n.to_be_bytes().to_vec()),
    ])
}

fn last(store: &EmbeddedStore) -> u64 {
    let entry = store.get(b"last").expect("readable");
    entry.map_or(0, |entry| u64::from_be_bytes(entry.value.as_ref().try_into().expect("eight bytes")))
}

/// The victim: commits for ever, and says on stdout what was acknowledged. Does nothing unless the
/// test below starts it.
#[test]
fn child_commits_until_it_is_killed() {
    let Ok(dir) = std::env::var(CHILD_DIR) else { return };
    let store = EmbeddedStore::open(Path::new(&dir)).expect("what a kill leaves behind opens");
    let mut next = last(&store) + 1;
    let mut out = std::io::stdout();
    loop {
        let size = 1 + Seed::new(u128::from(next)).below(40) as u64;
        let group: Vec<Commit> = (next..next + size).map(commit).collect();
        let outcomes = store.commit(&group).expect("the disk takes it");
        assert!(outcomes.iter().all(Result::is_ok));
        next += size;
        writeln!(out, "\nacknowledged {}", next - 1).expect("the parent reads");
        out.flush().expect("the parent reads");
    }
}

#[test]
fn acknowledged_commits_survive_kill_9() {
    let root = tempfile::TempDir::new().expect("a temporary directory");
    let dir = root.path().join("store");
    let mut survived = 0;
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().expect("we run"))
            .args(["--exact", "child_commits_until_it_is_killed", "--nocapture"])
            .env(CHILD_DIR, &dir)
            .stdout(Stdio::piped())
            .spawn()
            .expect("we can start ourselves");
        let wanted = 1 + Seed::new(7).of(round).below(GROUPS_MAX);
        let mut acknowledged = 0;
        let mut seen = 0;
        for line in BufReader::new(child.stdout.take().expect("piped")).lines() {
            let line = line.expect("text");
            if let Some(number) = line.strip_prefix("acknowledged ") {
                acknowledged = number.parse().expect("a number");
                seen += 1;
                if seen == wanted {
                    child.kill().expect("it runs");
                }
            }
        }
        child.wait().expect("it ran");
        assert!(seen >= wanted, "the child died of something else in round {round}");

        let store = EmbeddedStore::open(&dir).expect("what a kill leaves behind opens");
        let last = last(&store);
        assert!(last >= acknowledged, "round {round}: {acknowledged} was acknowledged, {last} is there");
        assert!(last > survived, "earlier rounds are there, too");
        assert_eq!(common::check_halves(&store), last, "every commit is whole, none is missing");
        assert_eq!(store.revision().get(), last);
        survived = last;
    }
    let store = EmbeddedStore::open(&dir).expect("opens");
    let count = common::scan(&store, &KeyRange::ALL).len() as u64;
    eprintln!("{ROUNDS} kills, {survived} commits, all there");
    assert_eq!(count, 2 * survived + 1);
}

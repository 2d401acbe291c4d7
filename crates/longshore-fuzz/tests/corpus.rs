//! Replays everything that the fuzzers found worth keeping.

use std::path::{Path, PathBuf};

use longshore_fuzz::TARGETS;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

#[test]
fn the_promises_hold_for_the_corpus() {
    for target in TARGETS {
        let directory = fuzz().join("corpus").join(target.name);
        let entries = std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{directory:?}: {error}"));
        let mut count = 0;
        for entry in entries {
            let path = entry.expect("a readable directory").path();
            let bytes = std::fs::read(&path).expect("a readable file");
            let run = std::panic::catch_unwind(|| (target.run)(&bytes));
            assert!(run.is_ok(), "{} breaks a promise of {}", path.display(), target.name);
            count += 1;
        }
        assert!(count > 0, "{} has no corpus", target.name);
    }
}

/// The limit that keeps the repository light. `scripts/fuzz --minimise` makes a corpus small again.
#[test]
fn the_corpus_stays_small() {
    const BYTES_MAX: u64 = 1 << 20;
    let mut total = 0;
    for target in TARGETS {
        let directory = std::fs::read_dir(fuzz().join("corpus").join(target.name)).expect("a directory");
        for entry in directory {
            total += entry.and_then(|entry| entry.metadata()).expect("a readable file").len();
        }
    }
    assert!(total <= BYTES_MAX, "{total} bytes");
}

#[test]
fn every_target_has_its_program() {
    for target in TARGETS {
        let program = fuzz().join("fuzz_targets").join(format!("{}.rs", target.name));
        let text = std::fs::read_to_string(&program).unwrap_or_else(|error| panic!("{program:?}: {error}"));
        assert!(text.contains(&format!("\"{}\"", target.name)), "{program:?} runs another target");
    }
}

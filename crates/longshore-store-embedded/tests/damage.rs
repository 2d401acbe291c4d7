//! What a crash or a failing disk leaves behind: unfinished data is dropped silently, damage is an error.

#[allow(dead_code)]
mod common;

use std::fs;
use std::path::{Path, PathBuf};

use longshore_base::Seed;
use longshore_store::{Commit, KeyRange, Op, Store, StoreError};
use longshore_store_embedded::{EmbeddedStore, FORMAT_VERSION, OpenError};
use tempfile::TempDir;

fn open(dir: &Path) -> EmbeddedStore {
    EmbeddedStore::open(dir).expect("opens")
}

fn pair(n: usize) -> Commit {
    let value = vec![b'v'; 40];
    Commit::new(vec![Op::put(format!("left/{n:08}"), value.clone()), Op::put(format!("right/{n:08}"), value)])
}

fn write(store: &EmbeddedStore, commit: Commit) {
    let outcomes = store.commit(&[commit]).expect("the disk takes it");
    assert!(outcomes[0].is_ok());
}

fn journal(dir: &Path) -> PathBuf {
    let is_journal = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "jnl");
    common::files(&dir.join("engine")).into_iter().rfind(is_journal).expect("a journal")
}

/// The journal up to its last byte that is not zero.
fn journal_bytes(dir: &Path) -> Vec<u8> {
    let mut bytes = fs::read(journal(dir)).expect("readable");
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    bytes.truncate(end);
    bytes
}

/// A directory as a crash leaves it after `count` commits, and where the last one's bytes begin.
struct Image {
    root: TempDir,
    bytes: Vec<u8>,
    last_begins: usize,
}

impl Image {
    fn of(count: usize) -> Self {
        let root = TempDir::new().expect("a temporary directory");
        let live = root.path().join("live");
        let store = open(&live);
        for n in 1..count {
            write(&store, pair(n));
        }
        let last_begins = journal_bytes(&live).len();
        write(&store, pair(count));
        let bytes = journal_bytes(&live);
        common::copy(&live, &root.path().join("image"));
        drop(store);
        Self { root, bytes, last_begins }
    }

    /// A fresh copy of the image with another journal.
    fn with_journal(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let dir = self.root.path().join(name);
        common::copy(&self.root.path().join("image"), &dir);
        fs::write(journal(&dir), bytes).expect("written");
        dir
    }
}

#[test]
fn an_unfinished_last_commit_is_dropped_silently() {
    let image = Image::of(20);
    let seed = Seed::new(11);
    let last = image.last_begins..image.bytes.len();
    for round in 0..40 {
        let cut = last.start + seed.of(round).below(last.len());
        let mut bytes = image.bytes.clone();
        let kind = match round % 4 {
            0 => {
                bytes.truncate(cut);
                "cut off"
            }
            1 => {
                // Preallocated space that was never reached.
                bytes[cut..].fill(0);
                bytes.resize(bytes.len() + 5000, 0);
                "zero from there"
            }
            2 => {
                // Blocks reach the disk in any order: one in the middle can be missing.
                let end = (cut + 16).min(bytes.len());
                for byte in &mut bytes[cut..end] {
                    *byte = !*byte;
                }
                "garbled"
            }
            _ => {
                bytes.truncate(cut);
                bytes.extend((0..700).map(|n| seed.of(round).of(n).bits() as u8 | 0x80));
                "followed by garbage"
            }
        };
        let dir = image.with_journal(&format!("torn-{round}"), &bytes);
        let store = EmbeddedStore::open(&dir)
            .unwrap_or_else(|error| panic!("the last commit, {kind} at {cut}: {error}"));
        let whole = common::check_halves(&store);
        assert!(whole == 19 || (round % 4 == 2 && whole == 20), "{kind} at {cut}: {whole} are left");
        // And the store goes on from there.
        write(&store, pair(whole as usize + 1));
        drop(store);
        assert_eq!(common::check_halves(&open(&dir)), whole + 1);
    }
}

#[test]
fn damage_before_intact_commits_is_an_error() {
    let image = Image::of(20);
    let seed = Seed::new(12);
    for round in 0..40 {
        let at = seed.of(round).below(image.last_begins);
        let mut bytes = image.bytes.clone();
        bytes[at] ^= 0x55;
        let dir = image.with_journal(&format!("rotten-{round}"), &bytes);
        match EmbeddedStore::open(&dir).map(drop) {
            // And nothing was cut off, so that it can still be repaired.
            Err(OpenError::Corrupt { .. }) => assert_eq!(journal_bytes(&dir), bytes),
            // The number of a batch is not covered by its checksum. If it still rises, nothing is lost.
            Ok(()) => assert_eq!(common::check_halves(&open(&dir)), 20, "byte {at}"),
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
}

#[test]
fn a_damaged_table_is_an_error() {
    let root = TempDir::new().expect("a temporary directory");
    let live = root.path().join("live");
    {
        let store = open(&live);
        // Enough to fill the memtable twice, in few syncs.
        for first in (0..400).step_by(20) {
            let group: Vec<Commit> = (first..first + 20)
                .map(|n| Commit::new(vec![Op::put(format!("k{n:04}"), vec![n as u8; 100_000])]))
                .collect();
            store.commit(&group).expect("the disk takes it");
        }
    }
    let is_table = |path: &PathBuf| path.parent().is_some_and(|parent| parent.ends_with("tables"));
    let table = common::files(&live.join("engine"))
        .into_iter()
        .filter(is_table)
        .max_by_key(|path| fs::metadata(path).expect("there").len())
        .expect("a table was written");
    let mut bytes = fs::read(&table).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&table, bytes).expect("written");
    let read = EmbeddedStore::open(&live)
        .map_err(StoreError::from)
        .and_then(|store| store.scan(&KeyRange::ALL, &mut |_| std::ops::ControlFlow::Continue(())).map(drop));
    assert!(matches!(read, Err(StoreError::Corrupt { .. })), "{read:?}");
}

#[test]
fn missing_parts_are_an_error() {
    let image = Image::of(3);
    let without = |name: &str, remove: &dyn Fn(&Path)| {
        let dir = image.with_journal(name, &image.bytes);
        remove(&dir);
        match EmbeddedStore::open(&dir).map(drop) {
            Err(OpenError::Corrupt { detail, .. }) => detail,
            other => panic!("{name}: expected Corrupt, got {other:?}"),
        }
    };
    let detail = without("format", &|dir| fs::remove_file(dir.join("FORMAT")).expect("removed"));
    assert_eq!(detail, "the marker of its format is missing");
    let detail = without("engine", &|dir| fs::remove_dir_all(dir.join("engine")).expect("removed"));
    assert_eq!(detail, "its subdirectory engine is missing");
    let detail = without("journal", &|dir| fs::remove_file(journal(dir)).expect("removed"));
    assert_eq!(detail, "the journal is missing");
    let detail = without("garbage", &|dir| fs::write(dir.join("FORMAT"), "?").expect("written"));
    assert_eq!(detail, "FORMAT names no known format");
}

#[test]
fn an_interrupted_creation_is_completed() {
    let root = TempDir::new().expect("a temporary directory");
    let dir = root.path().join("store");
    drop(open(&dir));
    fs::remove_file(dir.join("FORMAT")).expect("removed");
    drop(open(&dir));
    assert!(dir.join("FORMAT").exists());

    let other = root.path().join("other");
    fs::create_dir_all(other.join("engine.new/keyspaces")).expect("created");
    fs::write(other.join("engine.new/0.jnl"), [0; 100]).expect("written");
    drop(open(&other));
    assert!(!other.join("engine.new").exists());
}

#[test]
fn a_newer_format_is_refused() {
    let root = TempDir::new().expect("a temporary directory");
    drop(open(root.path()));
    fs::write(root.path().join("FORMAT"), format!("longshore-store {}\n", FORMAT_VERSION + 1))
        .expect("written");
    let error = EmbeddedStore::open(root.path()).map(drop).expect_err("newer");
    assert!(matches!(error, OpenError::NewerFormat { found, .. } if found == FORMAT_VERSION + 1));
    assert!(error.to_string().contains("newer Longshore"), "{error}");
}

#[test]
fn a_directory_has_one_user() {
    let root = TempDir::new().expect("a temporary directory");
    let first = open(root.path());
    let error = EmbeddedStore::open(root.path()).map(drop).expect_err("in use");
    let text = error.to_string();
    assert!(matches!(error, OpenError::InUse { .. }));
    assert!(text.contains(&root.path().display().to_string()), "{text}");
    assert!(text.contains(&std::process::id().to_string()), "{text}");
    drop(first);
    drop(open(root.path()));
}

//! Full disks and read-only directories: typed errors, no further writes, nothing acknowledged lost.
//!
//! A small file system needs the right to mount one. Where that is missing, a test says so and passes.

#[allow(dead_code)]
mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use longshore_store::{Commit, Op, Store, StoreError, Unavailable};
use longshore_store_embedded::{EmbeddedStore, OpenError};
use tempfile::TempDir;

/// A file system of its own, until dropped.
struct Tmpfs(TempDir);

impl Tmpfs {
    fn mount(options: &str) -> Option<Self> {
        let dir = TempDir::new().expect("a temporary directory");
        if run("mount", &["-t", "tmpfs", "-o", options, "tmpfs"], dir.path()) {
            return Some(Self(dir));
        }
        eprintln!("skipped: no right to mount a tmpfs here");
        None
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        assert!(run("mount", &["-o", &options], self.0.path()), "what we mounted we can mount again");
    }

    fn dir(&self) -> PathBuf {
        self.0.path().join("store")
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        run("umount", &["-l"], self.0.path());
    }
}

fn run(program: &str, arguments: &[&str], path: &Path) -> bool {
    let output = Command::new(program).args(arguments).arg(path).output();
    output.is_ok_and(|output| output.status.success())
}

/// A commit of two records of 10 kB each: `common::check_halves` verifies that both are there or neither.
fn pair(n: u64) -> Commit {
    let value = vec![n as u8; 10_000];
    Commit::new(vec![Op::put(format!("left/{n:08}"), value.clone()), Op::put(format!("right/{n:08}"), value)])
}

/// Fills a disk of `size` MiB, then gives it more room. Nothing that was acknowledged is lost, and the store goes on.
fn check_full_disk(size: u32) {
    let Some(disk) = Tmpfs::mount(&format!("size={size}m")) else { return };
    let store = EmbeddedStore::open(&disk.dir()).expect("it fits");
    let mut acknowledged = 0;
    let error = loop {
        match store.commit(&[pair(acknowledged + 1)]) {
            Ok(outcomes) => assert!(outcomes[0].is_ok()),
            Err(error) => break error,
        }
        acknowledged += 1;
        assert!(acknowledged < 100_000, "the disk was never full");
    };
    eprintln!("{size} MiB were full after {acknowledged} commits");
    assert!(matches!(error, StoreError::Unavailable(Unavailable::DiskFull { .. })), "{error:?}");
    let again = store.commit(&[pair(acknowledged + 1)]).expect_err("poisoned");
    assert!(matches!(again, StoreError::Unavailable(Unavailable::Poisoned { .. })), "{again:?}");
    drop(store);

    disk.remount(&format!("size={}m", size * 4 + 64));
    let store = EmbeddedStore::open(&disk.dir()).expect("there is room again");
    let there = common::check_halves(&store);
    assert!(there == acknowledged || there == acknowledged + 1, "{acknowledged} acknowledged, {there} there");
    store.commit(&[pair(there + 1)]).expect("there is room again");
}

#[test]
fn a_disk_that_is_too_small_for_the_journal() {
    check_full_disk(6);
}

#[test]
fn a_disk_that_is_too_small_for_the_tables() {
    check_full_disk(28);
}

#[test]
fn a_read_only_directory_is_named() {
    let Some(disk) = Tmpfs::mount("size=16m") else { return };
    let dir = disk.dir();
    let store = EmbeddedStore::open(&dir).expect("it fits");
    store.commit(&[pair(1)]).expect("it fits");
    drop(store);
    disk.remount("ro");
    for dir in [dir.clone(), disk.0.path().join("new")] {
        let error = EmbeddedStore::open(&dir).map(drop).expect_err("read-only");
        let OpenError::Unavailable { source: source @ Unavailable::ReadOnly { .. }, .. } = &error else {
            panic!("expected ReadOnly, got {error:?}");
        };
        assert!(source.to_string().contains(&dir.display().to_string()), "{source}");
    }
    disk.remount("rw");
    let store = EmbeddedStore::open(&dir).expect("writable again");
    assert_eq!(common::check_halves(&store), 1);
}

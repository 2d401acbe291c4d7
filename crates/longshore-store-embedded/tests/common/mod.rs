//! What several of these tests look at.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use longshore_store::{Entry, KeyRange, Store};

pub fn scan(store: &dyn Store, range: &KeyRange) -> Vec<Entry> {
    let mut entries = Vec::new();
    store
        .scan(range, &mut |entry| {
            entries.push(Entry {
                key: Bytes::copy_from_slice(entry.key),
                value: Bytes::copy_from_slice(entry.value),
                modified: entry.modified,
            });
            ControlFlow::Continue(())
        })
        .expect("readable");
    entries
}

/// Checks that `left/n` and `right/n` are there for every n from 1 on, written by one commit each;
/// how many there are.
pub fn check_halves(store: &dyn Store) -> u64 {
    let left = scan(store, &KeyRange::prefix("left/"));
    let right = scan(store, &KeyRange::prefix("right/"));
    assert_eq!(left.len(), right.len());
    for (n, (left, right)) in (1..).zip(left.iter().zip(&right)) {
        assert_eq!(left.key, format!("left/{n:08}"));
        assert_eq!(right.key, format!("right/{n:08}"));
        assert_eq!(left.modified, right.modified);
        assert_eq!(left.value, right.value);
    }
    left.len() as u64
}

/// The files below a directory.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("readable").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Copies a directory as a crash would leave it: nobody gets to close anything first.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a new directory");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("readable");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}

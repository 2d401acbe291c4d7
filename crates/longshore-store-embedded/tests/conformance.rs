//! The embedded backend keeps the store's contract.

use std::path::PathBuf;
use std::sync::Arc;

use longshore_store::Store;
use longshore_store::conformance::{self, Subject};
use longshore_store_embedded::EmbeddedStore;
use tempfile::TempDir;

/// Stores in directories of one temporary directory.
struct Embedded {
    root: TempDir,
    opened: u32,
}

impl Embedded {
    fn dir(&self) -> PathBuf {
        self.root.path().join(self.opened.to_string())
    }

    fn open(&self) -> Arc<dyn Store> {
        Arc::new(EmbeddedStore::open(&self.dir()).expect("an intact directory opens"))
    }
}

impl Subject for Embedded {
    fn empty(&mut self) -> Arc<dyn Store> {
        self.opened += 1;
        self.open()
    }

    fn reopen(&mut self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        drop(store);
        self.open()
    }
}

#[test]
fn keeps_the_contract() {
    let root = TempDir::new().expect("a temporary directory");
    conformance::run(&mut Embedded { root, opened: 0 });
}

//! fjall, set up for our load, and its errors in our words. Nothing else in the crate names its types
//! except through here.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use fjall::config::BlockSizePolicy;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode, Readable, Snapshot};
use longshore_store::{StoreError, Unavailable};

/// How many bytes of recent writes are held in memory before they go to a table.
///
/// Measured in docs/decisions/0002-embedded-store.md: larger is faster, and costs as much memory.
const MEMTABLE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Blocks of tables that are kept for reading. State is in memory, so only conditions read one key
/// at a time, and those keys were written moments ago.
const CACHE_BYTES: u64 = 1024 * 1024;

/// Journals are dropped when their records are in tables. The least that fjall takes.
const JOURNAL_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Tables are read whole at start-up, and hardly ever otherwise: larger blocks mean a smaller index.
const BLOCK_BYTES: u32 = 16 * 1024;

/// From this many sealed memtables on, a writer waits for the flush.
///
/// fjall itself waits at 4, in steps of 100 ms, and for ever if its worker gave up (disk full). We
/// wait earlier, in short steps, and look whether it did.
const SEALED_MEMTABLES_MAX: usize = 2;

/// From this many unsorted tables on, a writer waits for the compaction. fjall halts at 30.
const UNSORTED_TABLES_MAX: usize = 24;

const THROTTLE_STEP: Duration = Duration::from_millis(1);

const KEYSPACE: &str = "longshore";

#[derive(Clone)]
pub(crate) struct Engine {
    // Before the database, so that it is dropped first.
    keyspace: Keyspace,
    database: Database,
}

/// What to write together.
pub(crate) struct Batch<'a> {
    engine: &'a Engine,
    inner: OwnedWriteBatch,
}

/// A consistent view.
pub(crate) struct View<'a> {
    engine: &'a Engine,
    snapshot: Snapshot,
}

impl Engine {
    /// Opens the engine, creating it if there is none.
    pub(crate) fn open(path: &Path) -> Result<Self, fjall::Error> {
        let open = || {
            let database = Database::builder(path)
                .cache_size(CACHE_BYTES)
                .max_journaling_size(JOURNAL_BYTES_MAX)
                .manual_journal_persist(true)
                .worker_threads(1)
                .open()?;
            let keyspace = database.keyspace(KEYSPACE, || {
                KeyspaceCreateOptions::default()
                    .max_memtable_size(MEMTABLE_BYTES_MAX)
                    .manual_journal_persist(true)
                    .data_block_size_policy(BlockSizePolicy::all(BLOCK_BYTES))
            })?;
            Ok(Self { keyspace, database })
        };
        // fjall asserts what it believes about its files. A wrong belief is damage, not a defect of ours.
        catch_unwind(AssertUnwindSafe(open)).unwrap_or(Err(fjall::Error::Unrecoverable))
    }

    pub(crate) fn batch(&self) -> Batch<'_> {
        Batch { engine: self, inner: self.database.batch().durability(Some(PersistMode::SyncData)) }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<fjall::Slice>, fjall::Error> {
        self.keyspace.get(key)
    }

    pub(crate) fn view(&self) -> View<'_> {
        View { engine: self, snapshot: self.database.snapshot() }
    }

    /// Waits until the background work has caught up so far that another batch fits in.
    fn throttle(&self) -> Result<(), fjall::Error> {
        while self.database.outstanding_flushes() >= SEALED_MEMTABLES_MAX
            || self.keyspace.l0_table_count() >= UNSORTED_TABLES_MAX
        {
            // Nothing is buffered here; this only asks whether the worker has failed.
            self.database.persist(PersistMode::Buffer)?;
            std::thread::sleep(THROTTLE_STEP);
        }
        Ok(())
    }
}

impl Batch<'_> {
    pub(crate) fn put(&mut self, key: &[u8], value: &[u8]) {
        self.inner.insert(&self.engine.keyspace, key, value);
    }

    pub(crate) fn delete(&mut self, key: &[u8]) {
        self.inner.remove(&self.engine.keyspace, key);
    }

    /// Writes and syncs, then shows the result to readers.
    pub(crate) fn commit(self) -> Result<(), fjall::Error> {
        self.engine.throttle()?;
        self.inner.commit()
    }
}

impl View<'_> {
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<fjall::Slice>, fjall::Error> {
        self.snapshot.get(&self.engine.keyspace, key)
    }

    pub(crate) fn is_empty(&self) -> Result<bool, fjall::Error> {
        self.snapshot.is_empty(&self.engine.keyspace)
    }

    pub(crate) fn range<K: AsRef<[u8]>>(
        &self,
        bounds: (std::ops::Bound<K>, std::ops::Bound<K>),
    ) -> impl Iterator<Item = Result<fjall::KvPair, fjall::Error>> + use<K> {
        self.snapshot.range::<K, _>(&self.engine.keyspace, bounds).map(fjall::Guard::into_inner)
    }
}

/// What an engine's error means. `dir` is the store's directory.
pub(crate) fn explain(dir: &Path, error: fjall::Error) -> StoreError {
    use fjall::{Error as E, LsmError as L};
    let at = dir.display().to_string();
    match error {
        E::Io(source) | E::Storage(L::Io(source)) => io_error(at, source),
        // The worker failed earlier and kept the reason to itself, so look what is wrong with the disk.
        E::Poisoned => match probe(dir) {
            Err(source) => io_error(at, source),
            Ok(()) => StoreError::Unavailable(Unavailable::Poisoned { at }),
        },
        // Our own lock shuts other servers out; this is somebody's tool on the engine's files.
        E::Locked => StoreError::Unavailable(Unavailable::from_io(at, io::ErrorKind::ResourceBusy.into())),
        other => StoreError::Corrupt { detail: format!("{at}: {other}") },
    }
}

fn io_error(at: String, source: io::Error) -> StoreError {
    match source.kind() {
        // Files that are named but gone or too short: damage, which no free space repairs.
        io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => {
            StoreError::Corrupt { detail: format!("{at}: {source}") }
        }
        _ => StoreError::Unavailable(Unavailable::from_io(at, source)),
    }
}

/// Writes and removes a small file, to learn why the directory takes no more.
fn probe(dir: &Path) -> io::Result<()> {
    let path = dir.join("PROBE");
    let written = std::fs::write(&path, [1; 64 * 1024]);
    let _ = std::fs::remove_file(&path);
    written
}

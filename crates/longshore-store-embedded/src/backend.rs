//! The [`Store`] over the engine: revisions, conditions, limits, the lead, history.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use longshore_store::{
    Change, Commit, Conflict, Entry, EntryRef, FencingToken, History, KeyRange, LeadTable, Lost, Op, Page,
    Revision, Sight, Store, StoreError, Unavailable, Update, Watch, WatchError, limits,
};
use parking_lot::Mutex;

use crate::directory::{Directory, Found};
use crate::engine::{self, Batch, Engine, View};
use crate::error::OpenError;
use crate::journal::{self, JournalError};

/// Every record's key begins with this byte, so that ours cannot meet the meta record's.
const RECORD_PREFIX: u8 = b'r';
/// The record that holds the store's revision and its last fencing token, both u64, big-endian.
const META_KEY: &[u8] = b"m";
/// Every value begins with the revision that wrote it, big-endian.
const REVISION_BYTES: usize = 8;

/// The store in a directory. See the crate's documentation.
pub struct EmbeddedStore {
    // Dropped in this order: the engine closes its files before the directory is given up.
    engine: Engine,
    writer: Mutex<Writer>,
    /// The last durable revision, for readers that must not wait for a sync.
    revision: AtomicU64,
    history: History,
    directory: Directory,
}

struct Writer {
    revision: Revision,
    lead: LeadTable,
    /// A write failed: what is durable is unknown until the store is opened again.
    poisoned: bool,
}

/// What the commits of a group, so far, make of the keys that they touch; `None`: no value.
///
/// Only this outcome goes to the engine, whose batches take a key at most once.
type Overlay<'a> = BTreeMap<&'a [u8], Option<(Revision, &'a [u8])>>;

impl EmbeddedStore {
    /// Opens the store in `dir`, creating both if need be, and recovers what is durable.
    ///
    /// An earlier process leads no more, because the directory's lock shows that it is gone.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let directory = Directory::claim(dir)?;
        let explain = |error| match engine::explain(dir, error) {
            StoreError::Unavailable(source) => OpenError::Unavailable { dir: dir.to_owned(), source },
            StoreError::Corrupt { detail } => OpenError::corrupt(dir, detail),
            StoreError::Limit { .. } | StoreError::InDoubt(_) => {
                unreachable!("an engine's error is never about a commit, and it always answers")
            }
        };
        let path = directory.engine();
        match directory.found() {
            Found::Nothing => {
                directory.create_engine(|unfinished| Engine::open(unfinished).map(drop).map_err(explain))?;
            }
            Found::Unmarked | Found::Store => journal::settle(&path).map_err(|error| match error {
                JournalError::Io(source) => OpenError::io(dir, source),
                JournalError::Damaged { .. } | JournalError::Missing => {
                    OpenError::corrupt(dir, error.to_string())
                }
            })?,
        }
        let engine = Engine::open(&path).map_err(explain)?;
        let (revision, last_token) = match engine.get(META_KEY).map_err(explain)? {
            Some(meta) => decode_meta(&meta)
                .ok_or_else(|| OpenError::corrupt(dir, "the record of its revision is unreadable"))?,
            None if !engine.view().is_empty().map_err(explain)? => {
                return Err(OpenError::corrupt(dir, "the record of its revision is missing"));
            }
            None => (Revision::ZERO, 0),
        };
        match directory.found() {
            Found::Store => {}
            Found::Unmarked if (revision, last_token) != (Revision::ZERO, 0) => {
                return Err(OpenError::corrupt(dir, "the marker of its format is missing"));
            }
            Found::Nothing | Found::Unmarked => directory.mark()?,
        }
        let writer = Writer { revision, lead: LeadTable::resume(last_token), poisoned: false };
        Ok(Self {
            engine,
            writer: Mutex::new(writer),
            revision: AtomicU64::new(revision.get()),
            history: History::starting_after(revision),
            directory,
        })
    }

    pub fn directory(&self) -> &Path {
        self.directory.root()
    }

    fn explain(&self, error: fjall::Error) -> StoreError {
        engine::explain(self.directory.root(), error)
    }

    fn refuse_if_poisoned(&self, writer: &Writer) -> Result<(), StoreError> {
        if writer.poisoned {
            return Err(Unavailable::Poisoned { at: self.directory.root().display().to_string() }.into());
        }
        Ok(())
    }

    /// Makes a batch durable, or gives up writing for good.
    fn write(&self, writer: &mut Writer, mut batch: Batch<'_>) -> Result<(), StoreError> {
        batch.put(META_KEY, &encode_meta(writer.revision, writer.lead.last_token()));
        // Until it has succeeded: a panic in the engine leaves as much in doubt as an error.
        writer.poisoned = true;
        batch.commit().map_err(|error| self.explain(error))?;
        writer.poisoned = false;
        Ok(())
    }

    /// When a key was last written, as the next commit of the group sees it.
    fn modified(&self, overlay: &Overlay<'_>, key: &[u8]) -> Result<Option<Revision>, StoreError> {
        if let Some(seen) = overlay.get(key) {
            return Ok(seen.map(|(modified, _)| modified));
        }
        let mut stored_key = Vec::with_capacity(1 + key.len());
        stored_key.push(RECORD_PREFIX);
        stored_key.extend_from_slice(key);
        let Some(stored) = self.engine.get(&stored_key).map_err(|error| self.explain(error))? else {
            return Ok(None);
        };
        let (modified, _) = self.decode(&stored)?;
        Ok(Some(modified))
    }

    fn judge(
        &self,
        writer: &Writer,
        overlay: &Overlay<'_>,
        commit: &Commit,
    ) -> Result<Result<(), Conflict>, StoreError> {
        if let Some(token) = commit.fence
            && !writer.lead.in_force(token)
        {
            return Ok(Err(Conflict::Fenced(token)));
        }
        for condition in &commit.conditions {
            let modified = self.modified(overlay, condition.key())?;
            if !condition.holds(modified) {
                return Ok(Err(Conflict::Condition { condition: condition.clone(), modified }));
            }
        }
        Ok(Ok(()))
    }

    /// Adds the commit's operations to the overlay; what they change, or `None` if that is nothing.
    fn stage<'a>(
        &self,
        writer: &mut Writer,
        overlay: &mut Overlay<'a>,
        commit: &'a Commit,
    ) -> Result<Option<Update>, StoreError> {
        let revision = writer.revision.next();
        let mut changes = Vec::with_capacity(commit.ops.len());
        for op in &commit.ops {
            match op {
                Op::Put { key, value } => {
                    overlay.insert(key, Some((revision, value)));
                }
                Op::Delete { key } => {
                    if self.modified(overlay, key)?.is_none() {
                        continue;
                    }
                    overlay.insert(key, None);
                }
            }
            changes.push(Change::from(op));
        }
        if changes.is_empty() {
            return Ok(None);
        }
        writer.revision = revision;
        Ok(Some(Update { revision, changes }))
    }

    /// The overlay in its stored form.
    fn batch(&self, overlay: &Overlay<'_>) -> Batch<'_> {
        let mut batch = self.engine.batch();
        let (mut stored_key, mut stored) = (Vec::new(), Vec::new());
        for (key, outcome) in overlay {
            stored_key.clear();
            stored_key.push(RECORD_PREFIX);
            stored_key.extend_from_slice(key);
            match outcome {
                Some((revision, value)) => {
                    stored.clear();
                    stored.extend_from_slice(&revision.get().to_be_bytes());
                    stored.extend_from_slice(value);
                    batch.put(&stored_key, &stored);
                }
                None => batch.delete(&stored_key),
            }
        }
        batch
    }

    fn decode<'a>(&self, stored: &'a [u8]) -> Result<(Revision, &'a [u8]), StoreError> {
        let Some((revision, value)) = stored.split_first_chunk::<REVISION_BYTES>() else {
            let detail = format!("{}: a record without its revision", self.directory.root().display());
            return Err(StoreError::Corrupt { detail });
        };
        Ok((Revision::new(u64::from_be_bytes(*revision)), value))
    }

    /// The revision of everything that the view shows.
    fn view_revision(&self, view: &View<'_>) -> Result<Revision, StoreError> {
        let meta = view.get(META_KEY).map_err(|error| self.explain(error))?;
        let revision = meta.and_then(|meta| decode_meta(&meta)).map(|(revision, _)| revision);
        Ok(revision.unwrap_or(Revision::ZERO))
    }

    /// Shows the entries of a range behind `after` to `visit`, until it breaks off.
    fn visit(
        &self,
        view: &View<'_>,
        range: &KeyRange,
        after: Option<&[u8]>,
        visit: &mut dyn FnMut(EntryRef<'_>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let Some((start, end)) = range.bounds_after(after) else { return Ok(()) };
        let stored = |key: &[u8]| [&[RECORD_PREFIX], key].concat();
        let end = match end.map(stored) {
            Bound::Unbounded => Bound::Excluded(vec![RECORD_PREFIX + 1]),
            bounded => bounded,
        };
        for pair in view.range((start.map(stored), end)) {
            let (key, stored) = pair.map_err(|error| self.explain(error))?;
            let (modified, value) = self.decode(&stored)?;
            if visit(EntryRef { key: &key[1..], value, modified }).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Store for EmbeddedStore {
    fn commit(&self, group: &[Commit]) -> Result<Vec<Result<Revision, Conflict>>, StoreError> {
        for (commit, candidate) in group.iter().enumerate() {
            limits::check(candidate).map_err(|source| StoreError::Limit { commit, source })?;
        }
        let mut writer = self.writer.lock();
        let writer = &mut *writer;
        self.refuse_if_poisoned(writer)?;
        let before = writer.revision;
        let mut overlay = Overlay::new();
        let mut updates = Vec::with_capacity(group.len());
        let mut outcomes = Vec::with_capacity(group.len());
        for commit in group {
            let judged = self.judge(writer, &overlay, commit);
            let outcome = judged.and_then(|judged| match judged {
                Err(conflict) => Ok(Err(conflict)),
                Ok(()) => {
                    updates.extend(self.stage(writer, &mut overlay, commit)?);
                    Ok(Ok(writer.revision))
                }
            });
            match outcome {
                Ok(outcome) => outcomes.push(outcome),
                Err(error) => {
                    // A read failed, so nothing was written and nothing is in doubt.
                    writer.revision = before;
                    return Err(error);
                }
            }
        }
        if !updates.is_empty() {
            self.write(writer, self.batch(&overlay))?;
            self.revision.store(writer.revision.get(), Ordering::Release);
            self.history.append(updates);
        }
        Ok(outcomes)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Entry>, StoreError> {
        let stored_key = [&[RECORD_PREFIX], key].concat();
        let Some(stored) = self.engine.get(&stored_key).map_err(|error| self.explain(error))? else {
            return Ok(None);
        };
        let (modified, value) = self.decode(&stored)?;
        Ok(Some(Entry { key: Bytes::copy_from_slice(key), value: Bytes::copy_from_slice(value), modified }))
    }

    fn range(&self, range: &KeyRange, limit: usize, after: Option<&[u8]>) -> Result<Page, StoreError> {
        let view = self.engine.view();
        let mut page = Page { entries: Vec::new(), more: false, revision: self.view_revision(&view)? };
        self.visit(&view, range, after, &mut |entry| {
            if page.entries.len() == limit {
                page.more = true;
                return ControlFlow::Break(());
            }
            page.entries.push(Entry {
                key: Bytes::copy_from_slice(entry.key),
                value: Bytes::copy_from_slice(entry.value),
                modified: entry.modified,
            });
            ControlFlow::Continue(())
        })?;
        Ok(page)
    }

    fn scan(
        &self,
        range: &KeyRange,
        visit: &mut dyn FnMut(EntryRef<'_>) -> ControlFlow<()>,
    ) -> Result<Revision, StoreError> {
        let view = self.engine.view();
        let revision = self.view_revision(&view)?;
        self.visit(&view, range, None, visit)?;
        Ok(revision)
    }

    fn revision(&self) -> Revision {
        Revision::new(self.revision.load(Ordering::Acquire))
    }

    fn watch(&self, prefix: &[u8], from: Revision) -> Result<Watch, WatchError> {
        self.history.watch(prefix, from)
    }

    fn sight(&self) -> Result<Sight, StoreError> {
        let writer = self.writer.lock();
        Ok(writer.lead.sight(writer.revision.get()))
    }

    fn take(&self, seen: &Sight, claim: &[u8]) -> Result<Result<FencingToken, Lost>, StoreError> {
        let mut writer = self.writer.lock();
        self.refuse_if_poisoned(&writer)?;
        let revision = writer.revision.get();
        let taken = writer.lead.take(revision, seen, claim);
        if taken.is_ok() {
            // The token has to be durable before anyone relies on its being the greatest.
            self.write(&mut writer, self.engine.batch())?;
        }
        Ok(taken)
    }

    fn beat(&self, token: FencingToken) -> Result<Result<(), Lost>, StoreError> {
        let mut writer = self.writer.lock();
        self.refuse_if_poisoned(&writer)?;
        let revision = writer.revision.get();
        Ok(writer.lead.beat(revision, token))
    }

    fn resign(&self, token: FencingToken) -> Result<Result<(), Lost>, StoreError> {
        let mut writer = self.writer.lock();
        let revision = writer.revision.get();
        Ok(writer.lead.resign(revision, token))
    }
}

fn encode_meta(revision: Revision, last_token: u64) -> [u8; 16] {
    let mut meta = [0; 16];
    meta[..8].copy_from_slice(&revision.get().to_be_bytes());
    meta[8..].copy_from_slice(&last_token.to_be_bytes());
    meta
}

fn decode_meta(meta: &[u8]) -> Option<(Revision, u64)> {
    let (revision, rest) = meta.split_first_chunk::<8>()?;
    let token: [u8; 8] = rest.try_into().ok()?;
    Some((Revision::new(u64::from_be_bytes(*revision)), u64::from_be_bytes(token)))
}

//! Loading: records are read from the store, decoded, and entered into the tables; with many of them, on a thread each.

use std::ops::ControlFlow;
use std::str;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use longshore_base::Timestamp;
use longshore_store::{EntryRef, KeyRange, Revision, Store, StoreError};

use crate::codec::CodecError;
use crate::domain::{Domains, KindEntry};
use crate::hint::Hints;
use crate::level;
use crate::record::{Record, decode, read_parts};
use crate::sharing::Sharing;
use crate::state::State;

/// How much one step hands to the next at a time. A store with less is loaded on the caller's thread alone.
const CHUNK_BYTES: usize = 1 << 20;

/// Chunks between two steps: enough that none waits for a slow one of the other, and bounded.
const CHUNKS_WAITING: usize = 4;

/// Why a store cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the store cannot be read")]
    Store(#[source] StoreError),
    #[error("a stored record cannot be used")]
    Record(#[source] CodecError),
    #[error(
        "the store was last written by {program} (level {level}), and this program reads stores up to level {known}; \
         use {program} or a newer one"
    )]
    Level { level: u8, program: String, known: u8 },
    #[error("a thread cannot be started")]
    Thread(#[source] std::io::Error),
}

impl From<CodecError> for LoadError {
    fn from(error: CodecError) -> Self {
        LoadError::Record(error)
    }
}

impl From<StoreError> for LoadError {
    fn from(error: StoreError) -> Self {
        LoadError::Store(error)
    }
}

/// Entries of the store, one behind the other.
#[derive(Default)]
struct Chunk {
    bytes: Vec<u8>,
    /// The ends of each entry's key and value in `bytes`.
    ends: Vec<(usize, usize)>,
}

impl Chunk {
    fn push(&mut self, entry: EntryRef<'_>) {
        self.bytes.extend_from_slice(entry.key);
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(entry.value);
        self.ends.push((key_end, self.bytes.len()));
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= CHUNK_BYTES
    }
}

/// Records of one kind that were read, in the order in which they were.
pub(crate) trait Run: Send {
    /// Decodes one more: its whole key, the parts of it, and the stored bytes.
    fn push(
        &mut self,
        text: &str,
        parts: &str,
        stored: &[u8],
        sharing: &mut Sharing,
    ) -> Result<(), CodecError>;

    fn enter(self: Box<Self>, state: &mut State, hints: &mut Hints);
}

pub(crate) struct RunOf<R: Record>(Vec<(R::Key, Arc<R>)>);

impl<R: Record> Default for RunOf<R> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<R: Record> Run for RunOf<R> {
    fn push(
        &mut self,
        text: &str,
        parts: &str,
        stored: &[u8],
        sharing: &mut Sharing,
    ) -> Result<(), CodecError> {
        let key = read_parts::<R>(parts).ok_or_else(|| CodecError::UnknownKey(text.to_owned()))?;
        let mut record: R = decode(text, stored)?;
        record.share(sharing);
        self.0.push((key, Arc::new(record)));
        Ok(())
    }

    fn enter(self: Box<Self>, state: &mut State, hints: &mut Hints) {
        for (key, record) in self.0 {
            state.enter::<R>(&key, Some(record), hints);
        }
    }
}

/// Decodes what is read.
struct Decoder {
    domains: Domains,
    sharing: Sharing,
}

impl Decoder {
    fn new(domains: &Domains) -> Self {
        Self { domains: domains.clone(), sharing: Sharing::default() }
    }

    /// Keeps the order: a store lists the records of a kind one behind the other, so there are few runs.
    fn decode(&mut self, chunk: &Chunk) -> Result<Vec<Box<dyn Run>>, CodecError> {
        let mut runs: Vec<Box<dyn Run>> = Vec::new();
        let mut kind: Option<&KindEntry> = None;
        let mut begin = 0;
        for &(key_end, end) in &chunk.ends {
            let (key, stored) = (&chunk.bytes[begin..key_end], &chunk.bytes[key_end..end]);
            begin = end;
            let unknown = || CodecError::UnknownKind(String::from_utf8_lossy(key).into_owned());
            let text = str::from_utf8(key).map_err(|_| unknown())?;
            let parts = match kind.and_then(|kind| kind.parts(text)) {
                Some(parts) => parts,
                None => {
                    let (next, parts) = self.domains.kind_of(text).ok_or_else(unknown)?;
                    kind = Some(next);
                    runs.push((next.run)());
                    parts
                }
            };
            let run = runs.last_mut().expect("a run begins with the kind");
            run.push(text, parts, stored, &mut self.sharing)?;
        }
        Ok(runs)
    }
}

fn enter(state: &mut State, runs: Vec<Box<dyn Run>>) {
    let mut hints = Hints::deaf();
    runs.into_iter().for_each(|run| run.enter(state, &mut hints));
}

impl State {
    /// Reads every record of the store.
    ///
    /// # Errors
    /// The store cannot be read, or holds what this program does not know: it skips nothing.
    pub fn load(store: &dyn Store, domains: &Domains, now: Timestamp) -> Result<Self, LoadError> {
        Self::load_at(store, domains, now).map(|(state, _)| state)
    }

    /// The same, with the revision as of which the records are.
    pub fn load_at(
        store: &dyn Store,
        domains: &Domains,
        now: Timestamp,
    ) -> Result<(Self, Revision), LoadError> {
        level::check(store, domains)?;
        thread::scope(|scope| {
            let mut chunk = Chunk::default();
            let mut pipeline = None;
            let mut failure = None;
            let revision = store.scan(&KeyRange::ALL, &mut |entry| {
                chunk.push(entry);
                if !chunk.is_full() {
                    return ControlFlow::Continue(());
                }
                if pipeline.is_none() {
                    match Pipeline::start(scope, State::new(domains, now), Decoder::new(domains)) {
                        Ok(started) => pipeline = Some(started),
                        Err(error) => failure = Some(error),
                    }
                }
                match &pipeline {
                    // A step that has failed takes no more, and says why when it is joined.
                    Some(pipeline) if pipeline.chunks.send(std::mem::take(&mut chunk)).is_ok() => {
                        ControlFlow::Continue(())
                    }
                    Some(_) | None => ControlFlow::Break(()),
                }
            })?;
            let (mut state, sharing) = match (failure, pipeline) {
                (Some(error), _) => return Err(error),
                (None, Some(pipeline)) => pipeline.finish(chunk)?,
                (None, None) => {
                    let (mut state, mut decoder) = (State::new(domains, now), Decoder::new(domains));
                    enter(&mut state, decoder.decode(&chunk)?);
                    (state, decoder.sharing)
                }
            };
            state.loaded(sharing);
            Ok((state, revision))
        })
    }
}

/// Decoding and entering, beside the reading on the caller's thread. Order is kept: one thread each.
struct Pipeline<'scope> {
    chunks: SyncSender<Chunk>,
    decoding: thread::ScopedJoinHandle<'scope, Result<Sharing, CodecError>>,
    entering: thread::ScopedJoinHandle<'scope, State>,
}

impl<'scope> Pipeline<'scope> {
    fn start<'env>(
        scope: &'scope thread::Scope<'scope, 'env>,
        mut state: State,
        decoder: Decoder,
    ) -> Result<Self, LoadError> {
        let (chunks, raw) = sync_channel(CHUNKS_WAITING);
        let (decoded, ready) = sync_channel(CHUNKS_WAITING);
        let thread = |name: &str| thread::Builder::new().name(name.into());
        let decoding = thread("load-decode").spawn_scoped(scope, move || decode_all(decoder, &raw, &decoded));
        let entering = thread("load-enter").spawn_scoped(scope, move || {
            while let Ok(runs) = ready.recv() {
                enter(&mut state, runs);
            }
            state
        });
        Ok(Self {
            chunks,
            decoding: decoding.map_err(LoadError::Thread)?,
            entering: entering.map_err(LoadError::Thread)?,
        })
    }

    /// Sends what is left, and waits for all of it.
    fn finish(self, last: Chunk) -> Result<(State, Sharing), LoadError> {
        // Refused only by a step that has failed, which the join below tells.
        let _ = self.chunks.send(last);
        drop(self.chunks);
        let sharing = self.decoding.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let state = self.entering.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((state, sharing))
    }
}

fn decode_all(
    mut decoder: Decoder,
    raw: &Receiver<Chunk>,
    decoded: &SyncSender<Vec<Box<dyn Run>>>,
) -> Result<Sharing, CodecError> {
    while let Ok(chunk) = raw.recv() {
        if decoded.send(decoder.decode(&chunk)?).is_err() {
            // The other thread panicked; its join says so.
            break;
        }
    }
    Ok(decoder.sharing)
}

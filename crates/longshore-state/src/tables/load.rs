//! Loading: records are read from the store, decoded, and entered into the tables; with many of them, on a thread each.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use longshore_base::{Family, Timestamp};
use longshore_domain::TaskSpec;
use longshore_domain::task_definition::{CompileError, compile};
use longshore_store::{EntryRef, KeyRange, Store, StoreError};

use super::State;
use crate::codec::{CodecError, Value};
use crate::key::Key;
use crate::sharing::Sharing;
use crate::tx::Hints;

/// How much one step hands to the next at a time. A store with less is loaded on the caller's thread alone.
const CHUNK_BYTES: usize = 1 << 20;

/// Chunks between two steps: enough that none waits for a slow one of the other, and bounded.
const CHUNKS_WAITING: usize = 4;

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the store cannot be read")]
    Store(#[from] StoreError),
    #[error("a stored record cannot be used")]
    Record(#[from] CodecError),
    #[error("the stored task definition {family}:{revision} cannot be compiled")]
    Definition {
        family: Family,
        revision: u32,
        #[source]
        source: CompileError,
    },
    #[error("a thread cannot be started")]
    Thread(#[source] std::io::Error),
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

    fn decode(&self, sharing: &mut Sharing) -> Result<Vec<Decoded>, LoadError> {
        let mut begin = 0;
        let one = |&(key_end, end): &(usize, usize)| {
            let entry = Decoded::of(&self.bytes[begin..key_end], &self.bytes[key_end..end], sharing);
            begin = end;
            entry
        };
        self.ends.iter().map(one).collect()
    }
}

/// One record, ready for its table.
struct Decoded {
    key: Key,
    value: Value,
    /// Of a task definition.
    compiled: Option<TaskSpec>,
}

impl Decoded {
    fn of(key: &[u8], value: &[u8], sharing: &mut Sharing) -> Result<Self, LoadError> {
        let text = String::from_utf8_lossy(key);
        let key = Key::decode(&text).ok_or_else(|| CodecError::UnknownKey(text.into_owned()))?;
        let mut value = Value::decode(&key, value)?;
        let mut compiled = None;
        // Nobody else has a record that was just read.
        if let Value::Task(task) = &mut value
            && let Some(task) = Arc::get_mut(task)
        {
            sharing.task(task);
        } else if let Value::Instance(instance) = &mut value
            && let Some(instance) = Arc::get_mut(instance)
        {
            sharing.instance(instance);
        }
        if let Value::TaskDefinition(record) = &value {
            compiled = Some(compile(&record.document).map_err(|source| LoadError::Definition {
                family: record.family.clone(),
                revision: record.revision,
                source,
            })?);
        }
        Ok(Self { key, value, compiled })
    }
}

impl State {
    /// Reads every record of the store.
    pub fn load(store: &dyn Store, now: Timestamp) -> Result<Self, LoadError> {
        let mut state = thread::scope(|scope| {
            let mut chunk = Chunk::default();
            let mut pipeline = None;
            let mut failure = None;
            store.scan(&KeyRange::ALL, &mut |entry| {
                chunk.push(entry);
                if !chunk.is_full() {
                    return ControlFlow::Continue(());
                }
                if pipeline.is_none() {
                    match Pipeline::start(scope, Self::new(now)) {
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
            match (failure, pipeline) {
                (Some(error), _) => Err(error),
                (None, Some(pipeline)) => pipeline.finish(chunk),
                (None, None) => {
                    let mut state = Self::new(now);
                    let mut sharing = Sharing::default();
                    state.enter(chunk.decode(&mut sharing)?);
                    state.sharing = sharing;
                    Ok(state)
                }
            }
        })?;
        state.forget_news();
        Ok(state)
    }

    fn enter(&mut self, decoded: Vec<Decoded>) {
        let mut hints = Hints::new();
        for Decoded { key, value, compiled } in decoded {
            if let (Some(spec), Value::TaskDefinition(record)) = (compiled, &value) {
                self.compiled = Some((record.document.clone(), spec));
            }
            self.apply(&key, Some(value), &mut hints);
            hints.clear();
        }
    }
}

/// Decoding and entering, beside the reading on the caller's thread. Order is kept: one thread each.
struct Pipeline<'scope> {
    chunks: SyncSender<Chunk>,
    decoding: thread::ScopedJoinHandle<'scope, Result<Sharing, LoadError>>,
    entering: thread::ScopedJoinHandle<'scope, State>,
}

impl<'scope> Pipeline<'scope> {
    fn start<'env>(scope: &'scope thread::Scope<'scope, 'env>, mut state: State) -> Result<Self, LoadError> {
        let (chunks, raw) = sync_channel(CHUNKS_WAITING);
        let (decoded, ready) = sync_channel(CHUNKS_WAITING);
        let thread = |name: &str| thread::Builder::new().name(name.into());
        let decoding = thread("load-decode").spawn_scoped(scope, move || decode_all(&raw, &decoded));
        let entering = thread("load-enter").spawn_scoped(scope, move || {
            while let Ok(decoded) = ready.recv() {
                state.enter(decoded);
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
    fn finish(self, last: Chunk) -> Result<State, LoadError> {
        // Refused only by a step that has failed, which the join below tells.
        let _ = self.chunks.send(last);
        drop(self.chunks);
        let sharing = self.decoding.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let mut state = self.entering.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        state.sharing = sharing;
        Ok(state)
    }
}

fn decode_all(raw: &Receiver<Chunk>, decoded: &SyncSender<Vec<Decoded>>) -> Result<Sharing, LoadError> {
    let mut sharing = Sharing::default();
    while let Ok(chunk) = raw.recv() {
        if decoded.send(chunk.decode(&mut sharing)?).is_err() {
            // The other thread panicked; its join says so.
            break;
        }
    }
    Ok(sharing)
}

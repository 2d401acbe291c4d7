//! The state behind its lock, and the committer that makes it durable.
//!
//! A transaction runs on the caller's thread under the writer's lock. Its batch joins a queue, in
//! order, while the lock is still held; the committer's thread takes everything that has queued up
//! meanwhile, writes it with one fsync, and then lets all the waiting callers go. Reads wait in the
//! same way for the revision that they saw: nobody learns of a change that a crash could undo.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use longshore_base::{Clock, Ids, Seed};
use longshore_store::{Commit, Op, Store, StoreError};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};

use crate::tables::{LoadError, State};
use crate::tx::{Batch, Hint, Hints, Tx};

/// How many transactions share one fsync at most. Beyond this the waiting of the first outweighs
/// what the last saves; measured on the embedded backend.
const GROUP_MAX: usize = 512;

/// A group holds at most this much, and one commit more: the store keeps it in memory until it is written.
const GROUP_BYTES_MAX: usize = 8 << 20;

/// The store refused a write, so that what memory holds can no longer be trusted to survive. The
/// process has to end and recover from disk.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the store refused a write; restart the server to recover from what is on disk")]
pub struct Stopped(#[source] pub Arc<StoreError>);

/// Draws seeds for commands. A program asks the operating system, a test counts.
pub trait SeedSource: Send + Sync {
    fn draw(&self) -> Seed;
}

/// A revision of the state in memory: counts the transactions that changed something.
type Sequence = u64;

/// The database: clone the `Arc` freely.
pub struct Db {
    state: RwLock<State>,
    queue: Mutex<Sender<(Sequence, Batch)>>,
    durable: watch::Receiver<Result<Sequence, Stopped>>,
    clock: Arc<dyn Clock>,
    seeds: Arc<dyn SeedSource>,
    board: Arc<Board>,
}

/// Called after each group is durable: its number of transactions, the last one's sequence, and how
/// long the store took.
type CommitObserver = Box<dyn Fn(u64, u64, Duration) + Send + Sync>;

/// Called with each instance whose work changed.
type InstanceWaker = Box<dyn Fn(&Hint) + Send + Sync>;

/// What controllers and connections should look at again, until somebody takes it.
#[derive(Default)]
struct Board {
    services: Mutex<Hints>,
    service_woken: Notify,
    instances: OnceLock<InstanceWaker>,
    commits: OnceLock<CommitObserver>,
}

impl Db {
    /// Loads everything from the store and starts the committer.
    pub fn open(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        seeds: Arc<dyn SeedSource>,
    ) -> Result<Arc<Self>, LoadError> {
        let state = State::load(&*store, clock.now())?;
        let (queue, batches) = channel();
        let (durable_tx, durable) = watch::channel(Ok(state.sequence()));
        let board = Arc::new(Board::default());
        *board.services.lock() = state.all_hints();
        let observed = board.clone();
        std::thread::Builder::new()
            .name("committer".into())
            .spawn(move || run_committer(&*store, &batches, &durable_tx, &observed))
            .map_err(LoadError::Thread)?;
        Ok(Arc::new(Self {
            state: RwLock::new(state),
            queue: Mutex::new(queue),
            durable,
            clock,
            seeds,
            board,
        }))
    }

    /// Reads, and waits until all that was seen is durable.
    pub async fn read<T>(&self, f: impl FnOnce(&State) -> T) -> Result<T, Stopped> {
        let (value, sequence) = {
            let state = self.state.read();
            (f(&state), state.sequence())
        };
        self.wait_durable(sequence).await?;
        Ok(value)
    }

    /// Reads without waiting. Only for what the caller has seen durable before, or does not let out.
    pub fn peek<T>(&self, f: impl FnOnce(&State) -> T) -> T {
        f(&self.state.read())
    }

    /// Runs a transaction, and waits until it is durable. One that fails leaves no trace; its error
    /// too waits for the state that it saw.
    pub async fn write<T, E>(
        &self,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<Result<T, E>, Stopped> {
        let (result, sequence) = self.submit(f);
        self.wait_durable(sequence).await?;
        Ok(result)
    }

    /// Runs a transaction without waiting; what it gives must not leave the process before
    /// [`Db::wait_durable`] of the sequence.
    pub fn submit<T, E>(&self, f: impl FnOnce(&mut Tx<'_>) -> Result<T, E>) -> (Result<T, E>, Sequence) {
        let now = self.clock.now();
        let ids = Ids::new(self.seeds.draw());
        let mut state = self.state.write();
        let (result, hints) = match state.transact(now, ids, f) {
            Ok((value, mut batch)) => {
                let hints = std::mem::take(&mut batch.hints);
                if !batch.changes.is_empty() {
                    // A send fails only after the committer has stopped; `wait_durable` tells so.
                    let _ = self.queue.lock().send((state.sequence(), batch));
                }
                (Ok(value), hints)
            }
            Err(error) => (Err(error), Hints::new()),
        };
        let sequence = state.sequence();
        drop(state);
        self.board.post(hints);
        (result, sequence)
    }

    /// Waits until everything up to `sequence` is on disk.
    pub async fn wait_durable(&self, sequence: Sequence) -> Result<(), Stopped> {
        let mut durable = self.durable.clone();
        let reached = durable
            .wait_for(|at| match at {
                Ok(at) => *at >= sequence,
                Err(_) => true,
            })
            .await;
        match reached.as_deref() {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(stopped)) => Err(stopped.clone()),
            Err(_) => unreachable!("the committer says why it stops before it drops its end"),
        }
    }

    /// Resolves when the store has refused a write. The program should then end.
    pub async fn stopped(&self) -> Stopped {
        let mut durable = self.durable.clone();
        match durable.wait_for(Result::is_err).await.as_deref() {
            Ok(Err(stopped)) => stopped.clone(),
            Ok(Ok(_)) | Err(_) => std::future::pending().await,
        }
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Takes the services (and other keys for controllers) to look at again; waits for the first.
    pub async fn next_hints(&self) -> Hints {
        loop {
            let woken = self.board.service_woken.notified();
            let hints = std::mem::take(&mut *self.board.services.lock());
            if !hints.is_empty() {
                return hints;
            }
            woken.await;
        }
    }

    /// Has `observe` told of every group that became durable. Once per database.
    pub fn on_commit(&self, observe: impl Fn(u64, u64, Duration) + Send + Sync + 'static) {
        let _ = self.board.commits.set(Box::new(observe));
    }

    /// Has `wake` called for each instance whose work changed. Once per database: the link's hub.
    pub fn on_instance_hint(&self, wake: impl Fn(&Hint) + Send + Sync + 'static) {
        // A second hub would be a wiring mistake; the first keeps its place.
        let _ = self.board.instances.set(Box::new(wake));
    }
}

impl Board {
    fn post(&self, hints: Hints) {
        if hints.is_empty() {
            return;
        }
        let (instances, rest): (BTreeSet<_>, BTreeSet<_>) =
            hints.into_iter().partition(|hint| matches!(hint, Hint::Instance(_) | Hint::Work(..)));
        if let Some(wake) = self.instances.get() {
            instances.iter().for_each(wake);
        }
        if !rest.is_empty() {
            self.services.lock().extend(rest);
            self.service_woken.notify_one();
        }
    }
}

fn run_committer(
    store: &dyn Store,
    batches: &Receiver<(Sequence, Batch)>,
    durable: &watch::Sender<Result<Sequence, Stopped>>,
    board: &Board,
) {
    // Ends when the database is dropped.
    while let Ok((mut last, first)) = batches.recv() {
        let mut group = vec![Commit::new(first.ops())];
        let mut bytes = size(&group[0]);
        while group.len() < GROUP_MAX && bytes < GROUP_BYTES_MAX {
            let Ok((sequence, batch)) = batches.try_recv() else { break };
            last = sequence;
            let commit = Commit::new(batch.ops());
            bytes += size(&commit);
            group.push(commit);
        }
        let began = Instant::now();
        match store.commit(&group) {
            Ok(outcomes) => {
                // Commits here carry no conditions, so none can have been refused.
                debug_assert!(outcomes.iter().all(Result::is_ok));
                let _previous = durable.send_replace(Ok(last));
                if let Some(observe) = board.commits.get() {
                    observe(group.len() as u64, last, began.elapsed());
                }
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the store refused a write");
                let _previous = durable.send_replace(Err(Stopped(Arc::new(error))));
                return;
            }
        }
    }
}

fn size(commit: &Commit) -> usize {
    let of = |op: &Op| match op {
        Op::Put { key, value } => key.len() + value.len(),
        Op::Delete { key } => key.len(),
    };
    commit.ops.iter().map(of).sum()
}

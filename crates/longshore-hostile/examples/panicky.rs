//! A real server in which something panics when it gets SIGUSR1.
//!
//! ```text
//! PANICKY=transaction cargo run -p longshore-hostile --example panicky -- server --data-dir DIR
//! ```
//! It is `longshore server`, put together over a store, a clock and a source of chance that panic when they are told
//! to, beside a command that panics when it has changed something. `tests/proofs/crash_panic.py` judges from outside what
//! becomes of it. The kinds are those of [`Kind`]; without one, nothing ever panics.

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};
use clap::Parser;
use longshore::args::{Args, Command};
use longshore::machine::Machine;
use longshore::server;
use longshore_base::{Clock, ClusterName, Scope, Seed, Timestamp};
use longshore_state::db::SeedSource;
use longshore_state::{
    Db, Hints, Keep, KeyReader, KeyWriter, Kind as RecordKind, Kinds, Record, RecordKey, Records, Tables, Tx,
};
use longshore_store::{
    Commit, Conflict, Entry, EntryRef, FencingToken, KeyRange, Lost, Page, Revision, Sight, Store,
    StoreError, Watch, WatchError,
};
use longshore_tables_ecs::record::Service;
use longshore_tables_ecs::{ClusterKey, EcsState, EcsTx};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

/// Where the panic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// In a command, which has made one thing and removed another.
    Transaction,
    /// In the tables, half-way through entering a record.
    Tables,
    /// In the committer: the store panics before it has written.
    StoreBefore,
    /// The same when all is on disk.
    StoreAfter,
    /// In whoever asks for the time next: a connection, a controller, a transaction that has not begun.
    Clock,
    /// In whoever needs chance next.
    Seeds,
}

impl Kind {
    fn parse(text: &str) -> anyhow::Result<Self> {
        Ok(match text {
            "transaction" => Self::Transaction,
            "tables" => Self::Tables,
            "store-before" => Self::StoreBefore,
            "store-after" => Self::StoreAfter,
            "clock" => Self::Clock,
            "seeds" => Self::Seeds,
            _ => bail!("there is no panic called {text}"),
        })
    }
}

/// A panic that is due, once.
#[derive(Debug)]
struct Due {
    kind: Option<Kind>,
    now: AtomicBool,
}

impl Due {
    fn panic(&self, here: Kind) {
        if self.kind == Some(here) && self.now.swap(false, Ordering::SeqCst) {
            panic!("on purpose: {here:?}");
        }
    }
}

struct Panicky<T: ?Sized> {
    inner: Arc<T>,
    due: Arc<Due>,
}

impl Clock for Panicky<dyn Clock> {
    fn now(&self) -> Timestamp {
        self.due.panic(Kind::Clock);
        self.inner.now()
    }
}

impl SeedSource for Panicky<dyn SeedSource> {
    fn draw(&self) -> Seed {
        self.due.panic(Kind::Seeds);
        self.inner.draw()
    }
}

impl Store for Panicky<dyn Store> {
    fn commit(&self, group: &[Commit]) -> Result<Vec<Result<Revision, Conflict>>, StoreError> {
        self.due.panic(Kind::StoreBefore);
        let outcomes = self.inner.commit(group);
        self.due.panic(Kind::StoreAfter);
        outcomes
    }

    fn get(&self, key: &[u8]) -> Result<Option<Entry>, StoreError> {
        self.inner.get(key)
    }

    fn range(&self, range: &KeyRange, limit: usize, after: Option<&[u8]>) -> Result<Page, StoreError> {
        self.inner.range(range, limit, after)
    }

    fn scan(
        &self,
        range: &KeyRange,
        visit: &mut dyn FnMut(EntryRef<'_>) -> ControlFlow<()>,
    ) -> Result<Revision, StoreError> {
        self.inner.scan(range, visit)
    }

    fn revision(&self) -> Revision {
        self.inner.revision()
    }

    fn watch(&self, prefix: &[u8], from: Revision) -> Result<Watch, WatchError> {
        self.inner.watch(prefix, from)
    }

    fn sight(&self) -> Result<Sight, StoreError> {
        self.inner.sight()
    }

    fn take(&self, seen: &Sight, claim: &[u8]) -> Result<Result<FencingToken, Lost>, StoreError> {
        self.inner.take(seen, claim)
    }

    fn beat(&self, token: FencingToken) -> Result<Result<(), Lost>, StoreError> {
        self.inner.beat(token)
    }

    fn resign(&self, token: FencingToken) -> Result<Result<(), Lost>, StoreError> {
        self.inner.resign(token)
    }
}

/// This machine, with panics in it.
fn machine(due: &Arc<Due>) -> Machine {
    let Machine { clock, seeds, open_store, domains } = Machine::this();
    let within = due.clone();
    Machine {
        clock: Arc::new(Panicky { inner: clock, due: due.clone() }),
        seeds: Arc::new(Panicky { inner: seeds, due: due.clone() }),
        open_store: Box::new(move |dir| {
            let store = Panicky { inner: open_store(dir)?, due: within };
            Ok(Arc::new(store))
        }),
        domains: domains.with::<Traps>(),
    }
}

/// Half a command, in every account: a cluster that nobody asked for, and a service less.
fn half_a_command(tx: &mut Tx<'_>) {
    let scopes: Vec<Scope> = tx.ecs().realms().map(|(scope, _)| scope.clone()).collect();
    for scope in scopes {
        let realm = tx.ecs().realm(&scope);
        let service = realm.into_iter().flat_map(|realm| realm.clusters()).find_map(|(name, tables)| {
            let (service, _) = tables.services().next()?;
            Some(ClusterKey::new(scope.clone(), name.clone()).service(&service.name))
        });
        let some =
            tx.ecs().realm(&scope).and_then(|realm| realm.clusters().find_map(|(_, own)| own.record()));
        if let Some(record) = some.cloned() {
            let mut phantom = (*record).clone();
            phantom.name = ClusterName::parse("phantom").expect("a name");
            tx.put_cluster(&scope, phantom);
        }
        if let Some(key) = service {
            tx.delete::<Service>(key);
        }
    }
}

/// A record whose tables panic while they take it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Trap;

/// There is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct TrapKey;

impl RecordKey for TrapKey {
    fn write(&self, _key: &mut KeyWriter<'_>) {}

    fn read(_key: &mut KeyReader<'_>) -> Option<Self> {
        Some(Self)
    }
}

impl Record for Trap {
    type Key = TrapKey;
    type Tables = Traps;
    const KIND: RecordKind = RecordKind { name: "traps", level: 1 };
}

#[derive(Debug)]
struct Traps;

impl Tables for Traps {
    const DOMAIN: &'static str = "panicky";

    fn new(_now: Timestamp) -> Self {
        Self
    }

    fn kinds() -> Kinds<Self> {
        Kinds::new().with::<Trap>()
    }

    fn records(&self, _records: &mut Records) {}

    fn compare(&self, _fresh: &Self) -> Vec<String> {
        Vec::new()
    }

    fn all_hints(&self, _hints: &mut Hints) {}
}

impl Keep<Trap> for Traps {
    fn replace(&mut self, _: &TrapKey, _: Option<Arc<Trap>>, _: &mut Hints) -> Option<Arc<Trap>> {
        panic!("on purpose: {:?}", Kind::Tables);
    }
}

fn strike(db: &Db, due: &Due) {
    match due.kind {
        None => {}
        Some(kind @ Kind::Transaction) => {
            let _ = db.submit(|tx| -> Result<(), ()> {
                half_a_command(tx);
                panic!("on purpose: {kind:?}");
            });
        }
        Some(Kind::Tables) => {
            let _ = db.submit(|tx| {
                half_a_command(tx);
                tx.put::<Trap>(TrapKey, Trap);
                Ok::<_, ()>(())
            });
        }
        Some(Kind::StoreBefore | Kind::StoreAfter | Kind::Clock | Kind::Seeds) => {
            due.now.store(true, Ordering::SeqCst);
        }
    }
}

async fn run() -> anyhow::Result<ExitCode> {
    let Command::Server(options) = Args::parse().command else { bail!("only `server` can be panicky") };
    let kind = std::env::var("PANICKY").ok().map(|text| Kind::parse(&text)).transpose()?;
    let due = Arc::new(Due { kind, now: AtomicBool::new(false) });
    let mut signals = signal(SignalKind::user_defined1()).context("cannot listen to SIGUSR1")?;
    let control_plane = server::start(&options, machine(&due)).await?;
    let db = control_plane.db.clone();
    tokio::spawn(async move {
        while signals.recv().await.is_some() {
            let (db, due) = (db.clone(), due.clone());
            // As a request would: on a task of its own.
            tokio::spawn(async move { strike(&db, &due) });
        }
    });
    server::serve(&options, control_plane).await?;
    Ok(ExitCode::SUCCESS)
}

fn main() -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    Ok(longshore::end(runtime, run()))
}

//! A store that fails on purpose, a clock and chance.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use longshore_base::{Clock, Seed, Timestamp};
use longshore_state::db::SeedSource;
use longshore_state::record::{encode, key_text};
use longshore_state::{Level, LevelKey};
use longshore_store::{
    Commit, Condition, Conflict, Entry, EntryRef, FencingToken, KeyRange, Lost, MemoryStore, Op, Page,
    Revision, Sight, Store, StoreError, Unavailable, Watch, WatchError,
};

use crate::notes::{NOW, domains};

/// A clock that stands still.
pub struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        NOW
    }
}

#[derive(Default)]
pub struct Counter(AtomicU64);

impl SeedSource for Counter {
    fn draw(&self) -> Seed {
        Seed::new(self.0.fetch_add(1, Ordering::Relaxed).into())
    }
}

/// How a commit goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    PanicBefore,
    PanicAfter,
    Conflict,
    TooFewOutcomes,
    Unavailable,
    /// The first two answers are lost, one before and one after it is written.
    InDoubt,
    /// It gives no answer until it is told to go on.
    Held,
}

/// A store that takes nothing as it should.
pub struct Broken {
    inner: MemoryStore,
    fault: Fault,
    asked: AtomicU64,
    goes_on: AtomicBool,
}

impl Broken {
    pub fn new(fault: Fault) -> Self {
        let inner = MemoryStore::new();
        // What a database writes at once is there, so that the first commit is that of the test.
        let level = Level { level: domains().level(), program: domains().program().into() };
        let op = Op::put(key_text::<Level>(&LevelKey), encode(&level));
        inner.commit(&[Commit::new(vec![op])]).expect("memory takes everything");
        Self { inner, fault, asked: AtomicU64::new(0), goes_on: AtomicBool::new(false) }
    }

    pub fn go_on(&self) {
        self.goes_on.store(true, Ordering::SeqCst);
    }
}

fn in_doubt() -> StoreError {
    StoreError::InDoubt(Unavailable::Poisoned { at: "somewhere".into() })
}

impl Store for Broken {
    fn commit(&self, group: &[Commit]) -> Result<Vec<Result<Revision, Conflict>>, StoreError> {
        match self.fault {
            Fault::PanicBefore => panic!("on purpose, before the commit"),
            Fault::PanicAfter => {
                self.inner.commit(group)?;
                panic!("on purpose, after the commit")
            }
            Fault::Conflict => {
                let conflict = || Conflict::Condition {
                    condition: Condition::Absent("key".into()),
                    modified: Some(Revision::new(1)),
                };
                Ok(group.iter().map(|_| Err(conflict())).collect())
            }
            Fault::TooFewOutcomes => Ok(Vec::new()),
            Fault::Unavailable => Err(Unavailable::Poisoned { at: "here".into() }.into()),
            Fault::Held => {
                while !self.goes_on.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(1));
                }
                self.inner.commit(group)
            }
            Fault::InDoubt => match self.asked.fetch_add(1, Ordering::SeqCst) {
                0 => Err(in_doubt()),
                1 => self.inner.commit(group).and(Err(in_doubt())),
                _ => self.inner.commit(group),
            },
        }
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

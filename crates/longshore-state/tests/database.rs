//! The database when something goes wrong: a panic half-way, a store that refuses, is slow or panics, a transaction
//! that is too large; and under several threads.

mod broken;
// Each of these files uses a part of it.
#[allow(dead_code)]
mod notes;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use broken::{Broken, Counter, Fault, Still};
use longshore_state::ledger::QUEUE_BYTES_MAX;
use longshore_state::{Db, State};
use longshore_store::{MemoryStore, Store};
use notes::*;

/// How long anything may take that has to happen.
const PATIENCE: Duration = Duration::from_secs(20);

fn open(store: Arc<dyn Store>) -> Arc<Db> {
    Db::open(store, &domains(), Arc::new(Still), Arc::new(Counter::default()))
        .expect("the store is empty or whole")
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("it happens in time") })
}

/// What a future gives at once, if it does.
async fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Writes a note and waits until it is durable.
async fn put(db: &Db, name: &str) -> Result<(), String> {
    let written = db.write(|tx| {
        tx.put::<Note>(NoteKey::new(name), note(""));
        Ok::<_, ()>(())
    });
    written.await.map(|done| done.expect("it does not fail")).map_err(|error| error.to_string())
}

/// The notes that the next process would find.
fn found(store: &dyn Store) -> Vec<String> {
    names(&State::load(store, &domains(), NOW).expect("the records are whole"))
}

/// Runs a transaction that changes something and panics half-way.
fn panic_half_way(db: &Db) {
    let panicked = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let _ = db.submit(|tx| {
            tx.put::<Note>(NoteKey::new("phantom"), note(""));
            if tx.changed() == 1 {
                panic!("on purpose");
            }
            Ok::<_, ()>(())
        });
    }));
    assert!(panicked.is_err(), "a panic goes on to whoever began the transaction");
}

#[test]
fn after_a_panic_in_a_transaction_nothing_is_served_or_written() {
    let store = Arc::new(MemoryStore::new());
    let db = open(store.clone());
    block_on(async {
        put(&db, "before").await.expect("all is well");
        panic_half_way(&db);
        let stopped = db.stopped().await.to_string();
        assert!(stopped.contains("on purpose"), "{stopped}");
        assert!(db.read(names).await.is_err(), "what is half there is shown to nobody");
        assert!(put(&db, "after").await.is_err(), "nothing is built on it");
    });
    drop(db);
    assert_eq!(found(&*store), ["before"]);
}

/// The panic is beneath the transaction, when some of a record's indexes are changed already.
#[test]
fn a_panic_in_the_tables_is_no_less() {
    let store = Arc::new(MemoryStore::new());
    let db = open(store.clone());
    let panicked = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let _ = db.submit(|tx| {
            tx.put::<Trap>(ProfileKey(account()), Trap);
            Ok::<_, ()>(())
        });
    }));
    assert!(panicked.is_err());
    block_on(async {
        db.stopped().await;
        assert!(put(&db, "after").await.is_err());
    });
    assert_eq!(found(&*store), [""; 0]);
}

#[test]
fn a_panic_in_the_store_is_noticed_by_all() {
    for fault in [Fault::PanicBefore, Fault::PanicAfter] {
        let store = Arc::new(Broken::new(fault));
        let db = open(store.clone());
        block_on(async {
            assert!(put(&db, "in-doubt").await.is_err(), "{fault:?}");
            db.stopped().await;
            assert!(put(&db, "after").await.is_err(), "{fault:?}");
            assert!(db.read(names).await.is_err(), "{fault:?}");
        });
        let left: &[&str] = if fault == Fault::PanicAfter { &["in-doubt"] } else { &[] };
        assert_eq!(found(&*store), left, "{fault:?}");
    }
}

#[test]
fn a_refused_commit_is_never_acknowledged() {
    for fault in [Fault::Conflict, Fault::TooFewOutcomes, Fault::Unavailable] {
        let store = Arc::new(Broken::new(fault));
        let db = open(store.clone());
        block_on(async {
            assert!(put(&db, "refused").await.is_err(), "{fault:?}");
            db.stopped().await;
        });
        assert_eq!(found(&*store), [""; 0], "{fault:?}");
    }
}

#[test]
fn a_store_that_gives_no_answer_is_asked_again() {
    let store = Arc::new(Broken::new(Fault::InDoubt));
    let db = open(store.clone());
    block_on(async {
        put(&db, "doubtful").await.expect("it is there in the end");
        put(&db, "next").await.expect("the database goes on");
        assert_eq!(db.read(names).await.expect("all is well"), ["doubtful", "next"]);
    });
    assert_eq!(found(&*store), ["doubtful", "next"]);
}

#[test]
fn what_is_too_large_is_refused_and_nothing_else() {
    let store = Arc::new(MemoryStore::new());
    let db = open(store.clone());
    block_on(async {
        put(&db, "before").await.expect("all is well");
        let text = "x".repeat(2 << 20);
        let large = db.write(|tx| {
            tx.put::<Note>(NoteKey::new("one"), note(""));
            tx.put::<Note>(NoteKey::new("large"), note(&text));
            Ok::<_, ()>(())
        });
        large.await.expect_err("a commit is smaller than this");
        let many = db.write(|tx| {
            for n in 0..200 {
                tx.put::<Note>(NoteKey::new(format!("many-{n}")), note(""));
            }
            Ok::<_, ()>(())
        });
        many.await.expect_err("a commit has fewer records");
        let long = db.write(|tx| {
            tx.put::<Note>(NoteKey::new("n".repeat(2000)), note(""));
            Ok::<_, ()>(())
        });
        long.await.expect_err("a key is shorter than this");
        assert_eq!(db.read(names).await.expect("the database goes on"), ["before"]);
        put(&db, "after").await.expect("the database goes on");
        assert_eq!(db.peek(State::check), Vec::<String>::new());
    });
    drop(db);
    assert_eq!(found(&*store), ["after", "before"]);
}

/// A store that is away lets nobody fill the memory, and holds nobody up who does not write much.
#[test]
fn who_writes_waits_for_room_and_nobody_else() {
    let store = Arc::new(Broken::new(Fault::Held));
    let db = open(store.clone());
    let text = "x".repeat(1 << 20);
    let submit = |name: &str, text: &str| {
        let (done, _) = db
            .submit(|tx| {
                tx.put::<Note>(NoteKey::new(name), note(text));
                Ok::<_, ()>(())
            })
            .expect("the database is well");
        done.expect("it does not fail");
    };
    block_on(async {
        // The first of these is with the store, so that as many are queued as there is room for.
        for n in 0..=QUEUE_BYTES_MAX >> 20 {
            db.room().await.expect("there is room");
            submit(&format!("n{n:03}"), &text);
            while db.writing_for().is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        assert!(poll_once(db.room()).await.is_none(), "the queue is full");
        let late = put(&db, "late");
        tokio::pin!(late);
        assert!(poll_once(&mut late).await.is_none());
        assert_eq!(db.peek(names).len(), (QUEUE_BYTES_MAX >> 20) + 1, "it has not run");
        submit("cannot wait", "");
        store.go_on();
        late.await.expect("there is room again");
        db.room().await.expect("there is room");
    });
    assert!(found(&*store).contains(&"late".to_owned()));
}

/// Nobody waits for a database that has stopped.
#[test]
fn who_waits_for_room_hears_of_the_end() {
    let store = Arc::new(Broken::new(Fault::Held));
    let db = open(store.clone());
    let text = "x".repeat(1 << 20);
    block_on(async {
        while poll_once(db.room()).await.is_some() {
            let submitted = db.submit(|tx| {
                tx.put::<Note>(NoteKey::new("same"), note(&text));
                Ok::<_, ()>(())
            });
            assert!(submitted.is_ok());
        }
        let late = put(&db, "late");
        tokio::pin!(late);
        assert!(poll_once(&mut late).await.is_none());
        panic_half_way(&db);
        late.await.expect_err("it has stopped");
        store.go_on();
    });
}

/// Whatever the moment of a panic, what was acknowledged is there, and what is there was asked for: each transaction
/// of a thread writes two notes, which are there together or not at all.
#[test]
fn threads_lose_nothing_to_a_panic() {
    const THREADS: usize = 4;
    for round in 0..20 {
        let store = Arc::new(MemoryStore::new());
        let db = open(store.clone());
        let write = |thread: usize| {
            let mut acknowledged = Vec::new();
            for n in 0..10_000 {
                let pair = [format!("t{thread}-{n}-a"), format!("t{thread}-{n}-b")];
                let written = block_on(db.write(|tx| {
                    for name in &pair {
                        tx.put::<Note>(NoteKey::new(name), note(""));
                    }
                    Ok::<_, ()>(())
                }));
                if written.is_err() {
                    break;
                }
                acknowledged.extend(pair);
            }
            acknowledged
        };
        let acknowledged: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || write(thread))).collect();
            while db.peek(|state| state.sequence()) < round * 17 {
                std::thread::yield_now();
            }
            panic_half_way(&db);
            threads.into_iter().flat_map(|thread| thread.join().expect("writers do not panic")).collect()
        });
        drop(db);
        let found = found(&*store);
        for name in &acknowledged {
            assert!(found.contains(name), "{name} was acknowledged and is lost");
        }
        for name in &found {
            assert_ne!(name, "phantom", "the panic's own change was written");
            let other = match name.strip_suffix("-a") {
                Some(stem) => format!("{stem}-b"),
                None => format!("{}-a", name.trim_end_matches("-b")),
            };
            assert!(found.contains(&other), "{name} is there without {other}");
        }
    }
}

//! Distributes hints: to listeners that are called, and to inboxes that are awaited.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use crate::hint::{Hint, Hints};

/// Called with the hints of every transaction.
type Listener = Box<dyn Fn(&Hints) + Send + Sync>;

/// All listeners and inboxes. A hint goes to those of its type.
#[derive(Default)]
pub(crate) struct Board {
    listeners: RwLock<Vec<Listener>>,
}

impl Board {
    pub fn listen<H: Hint>(&self, tell: impl Fn(&BTreeSet<H>) + Send + Sync + 'static) {
        self.listeners.write().push(Box::new(move |hints| {
            if let Some(own) = hints.of().filter(|own| !own.is_empty()) {
                tell(own);
            }
        }));
    }

    pub fn post(&self, hints: &Hints) {
        if !hints.is_empty() {
            self.listeners.read().iter().for_each(|tell| tell(hints));
        }
    }

    /// A new inbox with `first` in it.
    pub fn inbox<H: Hint>(&self, first: BTreeSet<H>) -> Inbox<H> {
        let held = Arc::new(Held { hints: Mutex::new(first), woken: Notify::new() });
        let to: Weak<Held<H>> = Arc::downgrade(&held);
        self.listen(move |hints| {
            // Nobody takes any more from one that was dropped.
            if let Some(held) = to.upgrade() {
                held.hints.lock().extend(hints.iter().cloned());
                held.woken.notify_one();
            }
        });
        Inbox(held)
    }
}

/// Hints of one type, each once, until somebody takes them.
#[derive(Debug)]
pub struct Inbox<H>(Arc<Held<H>>);

#[derive(Debug)]
struct Held<H> {
    hints: Mutex<BTreeSet<H>>,
    woken: Notify,
}

impl<H: Hint> Inbox<H> {
    /// Takes all that there are; waits for the first.
    pub async fn next(&self) -> BTreeSet<H> {
        loop {
            let woken = self.0.woken.notified();
            let hints = std::mem::take(&mut *self.0.hints.lock());
            if !hints.is_empty() {
                return hints;
            }
            woken.await;
        }
    }
}

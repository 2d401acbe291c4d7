//! What the tests of every API ask of its permissions: which questions a call asks, and that a no is the end of it.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use longshore_wire::Denied;
use parking_lot::Mutex;

use crate::{Access, Attempt, Guard, Values, not_authorized};

/// A guard that notes every question, and says yes to all or to none.
#[derive(Debug, Default)]
pub struct Watchman {
    seen: Mutex<Vec<Access>>,
    denies: AtomicBool,
}

impl Watchman {
    /// From now on it says no.
    pub fn deny(&self) {
        self.denies.store(true, Ordering::SeqCst);
    }

    /// What the last call asked for; nothing if none has asked since this was asked last.
    pub fn take(&self) -> Vec<Access> {
        std::mem::take(&mut *self.seen.lock())
    }
}

impl Guard for Watchman {
    /// # Panics
    /// If the call asks for nothing: an operation that everybody may call needs no watchman.
    fn allow(&self, attempt: &Attempt<'_>) -> Result<(), Denied> {
        let asked: Vec<Access> = attempt.resources().into_iter().collect();
        let first = asked.first().expect("the operation needs permission").clone();
        *self.seen.lock() = asked;
        if self.denies.load(Ordering::SeqCst) {
            let because = format!(" because no identity-based policy allows the {} action", first.action);
            return Err(not_authorized(attempt.caller, &first, &because));
        }
        Ok(())
    }
}

/// A question as the golden file of an API's permissions has it: action and resource, then a line for each condition key.
/// `short` leaves out of ARNs what is the same in all of them.
pub fn lines(access: &Access, short: impl Fn(&str) -> String) -> String {
    let mut text = format!("{} {}\n", access.action, short(&access.resource));
    for (key, values) in &access.keys {
        let values = match values {
            Values::One(value) => short(value),
            Values::Many(values) => {
                let values: Vec<_> = values.iter().map(|value| short(value)).collect();
                format!("[{}]", values.join(", "))
            }
        };
        writeln!(text, "    {key} = {values}").expect("a text takes everything");
    }
    text
}

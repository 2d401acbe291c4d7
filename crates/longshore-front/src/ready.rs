//! Whether the server is worth sending work to, and which of its parts is not well.

use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// How a part is: an error says what is wrong with it.
type Look = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What `/readyz` answers. Starts as not ready; clones share one state.
#[derive(Clone, Default)]
pub struct Ready(Arc<Parts>);

#[derive(Default)]
struct Parts {
    is_serving: AtomicBool,
    looks: RwLock<Vec<(&'static str, Look)>>,
}

impl Ready {
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether requests are taken: not before the start is complete, nor while the server shuts down.
    pub fn set(&self, is_serving: bool) {
        self.0.is_serving.store(is_serving, Ordering::Release);
    }

    /// Adds a part. `look` is called for each answer, and must be quick.
    pub fn watch(&self, name: &'static str, look: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        self.0.looks.write().unwrap_or_else(PoisonError::into_inner).push((name, Box::new(look)));
    }

    /// Whether all is well, and the answer: a line for the whole, then one for each part.
    pub fn report(&self) -> (bool, String) {
        let is_serving = self.0.is_serving.load(Ordering::Acquire);
        let mut is_ready = is_serving;
        let mut lines = String::new();
        let mut say = |name: &str, seen: Result<(), String>| {
            is_ready &= seen.is_ok();
            let text = seen.err().unwrap_or_else(|| "ok".to_owned());
            // Writing to a String cannot fail.
            let _ = writeln!(lines, "{name}: {text}");
        };
        say(
            "requests",
            if is_serving { Ok(()) } else { Err("not taken (starting or shutting down)".to_owned()) },
        );
        for (name, look) in self.0.looks.read().unwrap_or_else(PoisonError::into_inner).iter() {
            say(name, look());
        }
        let whole = if is_ready { "ready" } else { "not ready" };
        (is_ready, format!("{whole}\n{lines}"))
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ready").field(&self.report().1).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_part_that_is_not_well_is_enough() {
        let ready = Ready::new();
        let broken = Arc::new(AtomicBool::new(false));
        let seen = broken.clone();
        ready.watch("store", || Ok(()));
        ready.watch("controllers", move || match seen.load(Ordering::Relaxed) {
            true => Err("have done nothing for 31 s".to_owned()),
            false => Ok(()),
        });
        let check = |is_ready: bool, text: &str| assert_eq!(ready.report(), (is_ready, text.to_owned()));
        check(
            false,
            "not ready\nrequests: not taken (starting or shutting down)\nstore: ok\ncontrollers: ok\n",
        );
        ready.set(true);
        check(true, "ready\nrequests: ok\nstore: ok\ncontrollers: ok\n");
        broken.store(true, Ordering::Relaxed);
        check(false, "not ready\nrequests: ok\nstore: ok\ncontrollers: have done nothing for 31 s\n");
    }
}

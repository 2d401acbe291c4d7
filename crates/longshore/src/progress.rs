//! Progress on stderr: a spinner on a terminal, plain lines otherwise.

use std::borrow::Cow;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::out::tell;

/// A piece of work that takes a moment.
pub struct Step(ProgressBar);

impl Step {
    pub fn begin(what: impl Into<Cow<'static, str>>) -> Self {
        let what = what.into();
        let bar = ProgressBar::new_spinner();
        if bar.is_hidden() {
            tell!("{what} ...");
        } else {
            bar.set_style(ProgressStyle::default_spinner());
            bar.set_message(what);
            bar.enable_steady_tick(Duration::from_millis(80));
        }
        Self(bar)
    }

    /// Ends the step with what came of it.
    pub fn done(self, what: impl Into<Cow<'static, str>>) {
        let what = what.into();
        self.0.finish_and_clear();
        tell!("{what}");
    }
}

//! A bounded log of what changed, from which views catch up.

/// Where a view is in a [`Log`]. The default is before everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seen(u64);

/// A view reads each entry once: it goes on where it [ended](Log::end).
#[derive(Debug)]
pub(super) struct Log<T> {
    entries: Vec<T>,
    /// The number of the first entry that is kept. Begins at one, so that a view which has seen
    /// nothing always rebuilds.
    start: u64,
}

/// The shortest length at which old entries are forgotten.
const LEN_MIN: usize = 1024;

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), start: 1 }
    }
}

impl<T> Log<T> {
    /// Adds an entry. Beyond a few times `slots`, rebuilding a view is cheaper than catching up, so
    /// older entries go, half of them at a time.
    pub(super) fn push(&mut self, entry: T, slots: usize) {
        if self.entries.len() >= LEN_MIN.max(4 * slots) {
            let forgotten = self.entries.len() / 2;
            self.entries.drain(..forgotten);
            self.start += forgotten as u64;
        }
        self.entries.push(entry);
    }

    pub(super) fn end(&self) -> Seen {
        Seen(self.start + self.entries.len() as u64)
    }

    /// What was noted since; `None` if that is no longer known.
    pub(super) fn since(&self, seen: Seen) -> Option<&[T]> {
        let at = seen.0.checked_sub(self.start)?;
        self.entries.get(usize::try_from(at).ok()?..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_catches_up_or_learns_that_it_cannot() {
        let mut log = Log::default();
        assert_eq!(log.since(Seen::default()), None);
        let begin = log.end();
        log.push(7, 0);
        assert_eq!(log.since(begin), Some(&[7][..]));
        let middle = log.end();
        assert_eq!(log.since(middle), Some(&[][..]));
        for n in 0..LEN_MIN {
            log.push(n, 0);
        }
        assert_eq!(log.since(begin), None);
        assert!(log.since(log.end()).is_some_and(<[_]>::is_empty));
    }
}

//! Who works with the file of a digest: many who make it, or one who deletes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use longshore_images::Digest;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// A lock for each digest, in the process that leads. Cheap to clone.
///
/// It bridges what no transaction covers: a file is made before its record, and deleted before its record goes.
#[derive(Clone, Debug, Default)]
pub struct Locks(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    uses: Mutex<BTreeMap<Digest, Use>>,
    /// Somebody has let go of a digest that was taken.
    freed: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// By so many, who make the file or its record.
    Held(usize),
    /// By one who deletes it.
    Taken,
}

/// The file of this digest is not deleted as long as this is there.
#[derive(Debug)]
pub struct Hold {
    locks: Locks,
    digest: Digest,
}

/// Nobody makes the file of this digest as long as this is there.
#[derive(Debug)]
pub struct Taken {
    locks: Locks,
    digest: Digest,
}

impl Locks {
    /// Waits while the file is being deleted, which takes a commit and an unlink.
    pub async fn hold(&self, digest: &Digest) -> Hold {
        loop {
            // It listens before it looks, so that it misses nothing.
            let freed = self.0.freed.notified();
            match self.try_hold(digest) {
                Some(hold) => return hold,
                None => freed.await,
            }
        }
    }

    /// `None` while the file is being deleted.
    pub fn try_hold(&self, digest: &Digest) -> Option<Hold> {
        let mut uses = self.0.uses.lock();
        match uses.entry(digest.clone()).or_insert(Use::Held(0)) {
            Use::Held(count) => *count += 1,
            Use::Taken => return None,
        }
        Some(Hold { locks: self.clone(), digest: digest.clone() })
    }

    /// `None` while anybody holds it, or has taken it.
    pub fn try_take(&self, digest: &Digest) -> Option<Taken> {
        let mut uses = self.0.uses.lock();
        if uses.contains_key(digest) {
            return None;
        }
        uses.insert(digest.clone(), Use::Taken);
        Some(Taken { locks: self.clone(), digest: digest.clone() })
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut uses = self.locks.0.uses.lock();
        if let Some(Use::Held(count)) = uses.get_mut(&self.digest) {
            *count -= 1;
            if *count == 0 {
                uses.remove(&self.digest);
            }
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.locks.0.uses.lock().remove(&self.digest);
        self.locks.0.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use longshore_images::Algorithm;

    use super::*;

    fn digest(of: &str) -> Digest {
        Digest::of(Algorithm::Sha256, of.as_bytes())
    }

    #[test]
    fn makers_keep_out_the_one_who_deletes() {
        let locks = Locks::default();
        let (one, two) = (locks.try_hold(&digest("a")), locks.try_hold(&digest("a")));
        assert!(one.is_some() && two.is_some());
        drop(one);
        assert!(locks.try_take(&digest("a")).is_none());
        assert!(locks.try_take(&digest("b")).is_some());
        drop(two);
        let taken = locks.try_take(&digest("a")).expect("nobody holds it");
        assert!(locks.try_hold(&digest("a")).is_none() && locks.try_take(&digest("a")).is_none());
        drop(taken);
        assert!(locks.try_hold(&digest("a")).is_some());
        assert!(locks.0.uses.lock().is_empty());
    }

    #[tokio::test]
    async fn who_wants_to_make_it_waits() {
        let locks = Locks::default();
        let taken = locks.try_take(&digest("a")).expect("nobody holds it");
        let waiting = tokio::spawn({
            let locks = locks.clone();
            async move { locks.hold(&digest("a")).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(taken);
        let hold = tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("it is free");
        drop(hold);
    }
}

//! The data keys over time (identity J13): a new one takes over when the newest is old, what is under older ones is sealed
//! again, and those that nothing is under any more are dropped.
//!
//! Nothing is remembered of how far it is: each record says itself which data key it is under, so that a process that was
//! killed goes on where the last transaction ended.

use std::sync::{Arc, Weak};
use std::time::Duration;

use longshore_keyring::record::DataKeyNumber;
use longshore_keyring::{Census, KeyringError, Sealing, SealingTx, Stale, census, stale_records, unneeded};
use longshore_state::{Db, Refused, Tx};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::domains::HOLDERS;

/// How often it looks whether a data key is due, which costs next to nothing.
const EVERY: Duration = Duration::from_secs(5);
/// How often it looks at every record, where no data key is new.
const LOOK_THROUGH_EVERY: Duration = Duration::from_secs(3600);
/// How many records are found in one look through all of them.
const FOUND_MAX: usize = 1000;
/// What one transaction seals again: it holds up everybody else's.
const TOGETHER_MAX: usize = 32;
const BYTES_TOGETHER_MAX: usize = 256 * 1024;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(10);

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Records that were sealed again.
    pub sealed: usize,
    /// Records that do not open, and stay as they are.
    pub damaged: usize,
}

/// Begins to look. Whoever has made a new data key notifies what is given back. It ends with the database, which it does
/// not keep.
pub fn start(db: &Arc<Db>) -> Arc<Notify> {
    let wake = Arc::new(Notify::new());
    tokio::spawn(keep(Arc::downgrade(db), wake.clone()));
    wake
}

async fn keep(db: Weak<Db>, wake: Arc<Notify>) {
    let mut last: Option<Instant> = None;
    let mut is_told = false;
    while let Some(own) = db.upgrade() {
        let is_time = last.is_none_or(|last| last.elapsed() >= LOOK_THROUGH_EVERY);
        let looked = look(&own, is_time || is_told).await;
        drop(own);
        match looked {
            Ok(true) => last = Some(Instant::now()),
            Ok(false) => {}
            Err(Refused::Stopped(_)) => return,
            Err(Refused::TooLarge(exceeded)) => {
                tracing::error!(%exceeded, "what is under an old data key was not sealed again");
                last = Some(Instant::now());
            }
        }
        is_told = tokio::time::timeout(EVERY, wake.notified()).await.is_ok();
    }
}

/// True if it has looked at every record.
async fn look(db: &Db, mut look_through: bool) -> Result<bool, Refused> {
    let now = db.clock().now();
    if db.peek(|state| state.keyring().is_due(now)) {
        match db.write(|tx| tx.rotate_if_due()).await? {
            Ok(Some(DataKeyNumber(number))) => {
                tracing::info!(number, "a new data key seals from now on");
                look_through = true;
            }
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "there is no new data key"),
        }
    }
    if !look_through {
        return Ok(false);
    }
    let Done { sealed, damaged } = seal_again(db, PAUSE).await?;
    if damaged > 0 {
        tracing::error!(damaged, "records do not open under the data key that they name, and stay under it");
    }
    if sealed > 0 {
        tracing::info!(sealed, "records were sealed again under the newest data key");
    }
    for DataKeyNumber(number) in drop_unneeded(db).await? {
        tracing::info!(number, "dropped a data key that nothing is under");
    }
    Ok(true)
}

/// Seals everything again that is under an old data key.
///
/// # Errors
/// The database ends, or a single record is larger than a commit; what was sealed until then is.
pub async fn seal_again(db: &Db, pause: Duration) -> Result<Done, Refused> {
    let mut done = Done::default();
    loop {
        let found = db.peek(|state| stale_records(state, HOLDERS, FOUND_MAX));
        let before = done.sealed;
        done.damaged = 0;
        for together in cut(found) {
            let (sealed, damaged) =
                db.write(|tx| Ok::<_, KeyringError>(count(tx, together))).await?.unwrap_or((0, 0));
            done.sealed += sealed;
            done.damaged += damaged;
            tokio::time::sleep(pause).await;
        }
        if done.sealed == before {
            return Ok(done);
        }
    }
}

/// How many could be sealed again, and how many not.
fn count(tx: &mut Tx<'_>, together: Vec<Stale>) -> (usize, usize) {
    let outcomes: Vec<bool> = together.into_iter().map(|stale| stale.seal_again(tx).is_ok()).collect();
    let sealed = outcomes.iter().filter(|is_sealed| **is_sealed).count();
    (sealed, outcomes.len() - sealed)
}

/// Into what one transaction takes each.
fn cut(found: Vec<Stale>) -> Vec<Vec<Stale>> {
    let mut parts: Vec<Vec<Stale>> = Vec::new();
    let mut bytes = 0;
    for stale in found {
        let fits =
            |part: &&mut Vec<Stale>| part.len() < TOGETHER_MAX && bytes + stale.bytes() <= BYTES_TOGETHER_MAX;
        match parts.last_mut().filter(fits) {
            Some(part) => {
                bytes += stale.bytes();
                part.push(stale);
            }
            None => {
                bytes = stale.bytes();
                parts.push(vec![stale]);
            }
        }
    }
    parts
}

/// Drops the data keys that nothing is under; gives their numbers. Whether there are any is counted in the transaction
/// that drops them.
///
/// # Errors
/// The database ends.
pub async fn drop_unneeded(db: &Db) -> Result<Vec<DataKeyNumber>, Refused> {
    let now = db.clock().now();
    let may_be = db.peek(|state| !unneeded(state.keyring(), &Census::new(), now).is_empty());
    if !may_be {
        return Ok(Vec::new());
    }
    let dropped = db.write(|tx| {
        let unneeded = unneeded(tx.keyring(), &census(tx.state(), HOLDERS), tx.now);
        let dropped: Vec<_> = unneeded.into_iter().filter(|number| tx.forget(*number)).collect();
        Ok::<_, KeyringError>(dropped)
    });
    Ok(dropped.await?.unwrap_or_default())
}

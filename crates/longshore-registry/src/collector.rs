//! What nobody needs goes: the shell around `longshore_tables_blobs::collect`, which says in which order.

use std::convert::Infallible;
use std::sync::Arc;

use longshore_blobs::{BlobError, Blobs};
use longshore_images::Digest;
use longshore_state::Db;
use longshore_state::db::Refused;
use longshore_tables_blobs::collect::{self, Holders, Settings};
use longshore_tables_blobs::{BlobsState, Locks};

/// Takes away what nobody needs, one pass at a time.
pub struct Collector {
    db: Arc<Db>,
    blobs: Arc<dyn Blobs>,
    /// Those that everything uses which works with `blobs`.
    locks: Locks,
    /// Every domain that has holders: what none of them knows is gone.
    holders: Vec<Holders>,
    settings: Settings,
}

/// What a pass took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    pub links: usize,
    pub uploads: usize,
    pub blobs: usize,
    /// Files without a record, as a crash leaves them.
    pub stray_files: usize,
}

/// Why a pass ended early. The next one begins anew, and loses nothing.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    #[error("the state could not be changed")]
    State(#[from] Refused),
    #[error("the files could not be changed")]
    Files(#[from] BlobError),
}

impl From<longshore_state::Stopped> for CollectError {
    fn from(stopped: longshore_state::Stopped) -> Self {
        Self::State(stopped.into())
    }
}

impl Collector {
    pub fn new(
        db: Arc<Db>,
        blobs: Arc<dyn Blobs>,
        locks: Locks,
        holders: Vec<Holders>,
        settings: Settings,
    ) -> Self {
        Self { db, blobs, locks, holders, settings }
    }

    /// One pass over everything. It may be dropped at any time.
    pub async fn pass(&self) -> Result<Collected, CollectError> {
        self.clear_repositories().await?;
        Ok(Collected {
            links: self.lapse().await?,
            uploads: self.expire().await?,
            blobs: self.bury().await?,
            stray_files: self.sweep_files().await?,
        })
    }

    async fn clear_repositories(&self) -> Result<(), CollectError> {
        loop {
            let swept = self.db.write(|tx| Ok::<_, Infallible>(longshore_tables_ecr::sweep(tx)));
            let Ok(has_more) = swept.await?;
            if !has_more {
                return Ok(());
            }
        }
    }

    async fn lapse(&self) -> Result<usize, CollectError> {
        let (mut after, mut count) = (None, 0);
        loop {
            let lapsed = self.db.write(|tx| {
                let next = collect::lapse(tx, &self.holders, &self.settings, after.as_ref());
                Ok::<_, Infallible>((next, tx.changed()))
            });
            let Ok((next, changed)) = lapsed.await?;
            count += changed;
            if next.is_none() {
                return Ok(count);
            }
            after = next;
        }
    }

    async fn expire(&self) -> Result<usize, CollectError> {
        let mut count = 0;
        loop {
            let expired =
                self.db.write(|tx| Ok::<_, Infallible>(collect::expire(tx, &self.holders, &self.settings)));
            let Ok(expired) = expired.await?;
            if expired.is_empty() {
                return Ok(count);
            }
            count += expired.len();
            for id in expired {
                self.abandon(id).await?;
            }
        }
    }

    /// The file of an upload that is not recorded. Whoever still writes to it will fail to end it, and then its file is
    /// found by another pass.
    async fn abandon(&self, id: longshore_blobs::UploadId) -> Result<bool, BlobError> {
        match self.blobs.abandon(id).await {
            Ok(()) => Ok(true),
            Err(BlobError::Busy) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Blobs that nobody has.
    async fn bury(&self) -> Result<usize, CollectError> {
        let mut count = 0;
        loop {
            let marked = self.db.write(|tx| Ok::<_, Infallible>(collect::mark(tx)));
            let Ok(marked) = marked.await?;
            let mut gone = 0;
            for digest in marked {
                gone += usize::from(self.bury_one(&digest).await?);
            }
            count += gone;
            // Those that are left are being pushed.
            if gone == 0 {
                return Ok(count);
            }
        }
    }

    async fn bury_one(&self, digest: &Digest) -> Result<bool, CollectError> {
        let Some(taken) = self.locks.try_take(digest) else { return Ok(false) };
        if !self.db.read(|state| collect::may_unlink(state, digest)).await? {
            return Ok(false);
        }
        self.blobs.delete(digest).await?;
        let forgotten = self.db.write(|tx| {
            collect::forget(tx, digest);
            Ok::<_, Infallible>(())
        });
        let Ok(()) = forgotten.await?;
        drop(taken);
        Ok(true)
    }

    /// Files that no record knows.
    async fn sweep_files(&self) -> Result<usize, CollectError> {
        let mut count = 0;
        for first_byte in 0..=u8::MAX {
            for (digest, _) in self.blobs.blobs(first_byte).await? {
                let is_unknown = |state: &longshore_state::State| collect::is_unknown(state, &digest);
                if !self.db.read(is_unknown).await? {
                    continue;
                }
                let Some(_taken) = self.locks.try_take(&digest) else { continue };
                if self.db.read(is_unknown).await? {
                    count += usize::from(self.blobs.delete(&digest).await?);
                }
            }
        }
        for (id, _) in self.blobs.uploads().await? {
            if !self.db.read(|state| state.blobs().knows_upload(id)).await? {
                count += usize::from(self.abandon(id).await?);
            }
        }
        Ok(count)
    }
}

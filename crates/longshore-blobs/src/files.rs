//! Blobs in a directory: who writes to which upload, and the way from async callers to threads that block.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use longshore_base::{Ids, Seed};
use longshore_images::Digest;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use crate::depot::{Depot, Known, Partial};
use crate::disk::{Disk, DiskFile, LocalDisk};
use crate::pipe::{self, PIECE_BYTES, Pipe};
use crate::{BlobError, Blobs, Opened, Upload, UploadId};

/// How many uploads that nobody writes to are remembered with what is hashed of them, some 200 bytes each. Those that
/// are not are read again.
const KNOWN_MAX: usize = 4096;
/// What one read takes. Larger ones gain nothing: the kernel reads ahead.
const READ_BYTES: usize = 256 * 1024;

#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bytes of the disk that no blob takes: they are for the state, which is on the same disk.
    pub reserve_bytes: u64,
    /// How many uploads are written to at once; the others wait. Each takes two threads and 1 MiB.
    pub writers_max: usize,
}

impl Default for Settings {
    /// A reserve of 512 MiB is some hours of a busy state; 32 writers are more than a disk can keep apart.
    fn default() -> Self {
        Self { reserve_bytes: 512 * 1024 * 1024, writers_max: 32 }
    }
}

/// Blobs in a directory that this process alone uses. Cheap to clone.
pub struct FileBlobs<D: Disk = LocalDisk>(Arc<Shared<D>>);

struct Shared<D> {
    depot: Arc<Depot<D>>,
    sessions: Arc<Sessions>,
    writers: Arc<Semaphore>,
    seed: Seed,
    drawn: AtomicU64,
}

impl<D: Disk> Clone for FileBlobs<D> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<D: Disk> FileBlobs<D> {
    /// Opens a directory, or makes one; it blocks. `seed` is drawn anew for each process.
    pub fn open(disk: D, root: &Path, settings: Settings, seed: Seed) -> Result<Self, BlobError> {
        let depot = Arc::new(Depot::open(disk, root, settings.reserve_bytes)?);
        let writers = Arc::new(Semaphore::new(settings.writers_max));
        Ok(Self(Arc::new(Shared {
            depot,
            sessions: Arc::default(),
            writers,
            seed,
            drawn: AtomicU64::new(0),
        })))
    }

    /// Runs something that blocks.
    fn block<'a, T: Send + 'static>(
        &self,
        work: impl FnOnce(&Depot<D>) -> Result<T, BlobError> + Send + 'static,
    ) -> BoxFuture<'a, Result<T, BlobError>> {
        let depot = self.0.depot.clone();
        Box::pin(async move { blocking(move || work(&depot)).await })
    }

    fn draw_id(&self) -> UploadId {
        let drawn = self.0.drawn.fetch_add(1, Ordering::Relaxed);
        UploadId::new(Ids::new(self.0.seed.of(drawn)).container())
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, BlobError> {
    spawn_blocking(work).await.expect("what works with files does not panic, and is never aborted")
}

/// Who writes to which upload, and what is known of those that nobody writes to.
#[derive(Default)]
struct Sessions(Mutex<BTreeMap<UploadId, Session>>);

enum Session {
    Busy,
    Idle(Known),
}

/// One writer's right to an upload. Given back when the last one who has it drops it: also a thread that still writes
/// when the writer has left.
struct Claim {
    sessions: Arc<Sessions>,
    id: UploadId,
    /// What to remember of the upload.
    known: Mutex<Option<Known>>,
    /// A place among those who write.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Claim {
    fn remember(&self, known: Known) {
        *self.known.lock() = Some(known);
    }

    /// Takes what was remembered.
    fn known(&self) -> Option<Known> {
        self.known.lock().take()
    }
}

impl Sessions {
    fn claim(
        self: &Arc<Self>,
        id: UploadId,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<Arc<Claim>, BlobError> {
        let known = match self.0.lock().insert(id, Session::Busy) {
            Some(Session::Busy) => return Err(BlobError::Busy),
            Some(Session::Idle(known)) => Some(known),
            None => None,
        };
        Ok(Arc::new(Claim { sessions: self.clone(), id, known: Mutex::new(known), _permit: permit }))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut sessions = self.sessions.0.lock();
        match self.known.get_mut().take() {
            Some(known) if sessions.len() <= KNOWN_MAX => sessions.insert(self.id, Session::Idle(known)),
            Some(_) | None => sessions.remove(&self.id),
        };
    }
}

impl<D: Disk> Blobs for FileBlobs<D> {
    fn begin(&self, id: UploadId) -> BoxFuture<'_, Result<(), BlobError>> {
        self.block(move |depot| depot.begin(id))
    }

    fn progress(&self, id: UploadId) -> BoxFuture<'_, Result<Option<u64>, BlobError>> {
        self.block(move |depot| depot.progress(id))
    }

    fn append(&self, id: UploadId) -> BoxFuture<'_, Result<Box<dyn Upload>, BlobError>> {
        Box::pin(async move {
            let permit = self.0.writers.clone().acquire_owned().await;
            let permit = permit.expect("the semaphore is never closed");
            let claim = self.0.sessions.claim(id, Some(permit))?;
            let depot = self.0.depot.clone();
            // The right to the upload goes along: whoever drops this future leaves the thread working.
            let opening = move || {
                let partial = depot.resume(id, claim.known())?;
                let bytes = partial.known.bytes;
                let buffer = BytesMut::new();
                Ok(Writing { depot, claim, buffer, bytes, way: Way::Direct(partial) })
            };
            let writing = blocking(opening).await?;
            let upload: Box<dyn Upload> =
                Box::new(FileUpload { bytes: writing.bytes, writing: Some(writing) });
            Ok(upload)
        })
    }

    fn abandon(&self, id: UploadId) -> BoxFuture<'_, Result<(), BlobError>> {
        Box::pin(async move {
            let claim = self.0.sessions.claim(id, None)?;
            let depot = self.0.depot.clone();
            let removal = move || {
                claim.known();
                depot.remove_upload(id)
            };
            blocking(removal).await
        })
    }

    fn put(&self, digest: Digest, bytes: Bytes) -> BoxFuture<'_, Result<(), BlobError>> {
        let id = self.draw_id();
        Box::pin(async move {
            let claim = self.0.sessions.claim(id, None)?;
            let depot = self.0.depot.clone();
            let storing = move || {
                let _claim = claim;
                depot.put(id, &digest, &bytes)
            };
            blocking(storing).await
        })
    }

    fn stat(&self, digest: &Digest) -> BoxFuture<'_, Result<Option<u64>, BlobError>> {
        let digest = digest.clone();
        self.block(move |depot| depot.stat(&digest))
    }

    fn open(
        &self,
        digest: &Digest,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'_, Result<Option<Opened>, BlobError>> {
        let digest = digest.clone();
        self.block(move |depot| {
            let Some((file, blob_bytes)) = depot.open_blob(&digest)? else { return Ok(None) };
            let range = range.unwrap_or(0..blob_bytes);
            let range = range.start.min(blob_bytes)..range.end.min(blob_bytes);
            Ok(Some(Opened { blob_bytes, pieces: pieces(Arc::new(file), range, digest) }))
        })
    }

    fn delete(&self, digest: &Digest) -> BoxFuture<'_, Result<bool, BlobError>> {
        let digest = digest.clone();
        self.block(move |depot| depot.delete(&digest))
    }

    fn uploads(&self) -> BoxFuture<'_, Result<Vec<(UploadId, u64)>, BlobError>> {
        self.block(|depot| depot.uploads())
    }

    fn blobs(&self, first_byte: u8) -> BoxFuture<'_, Result<Vec<(Digest, u64)>, BlobError>> {
        self.block(move |depot| depot.blobs(first_byte))
    }

    fn room(&self) -> BoxFuture<'_, Result<u64, BlobError>> {
        self.block(|depot| depot.room())
    }
}

/// The bytes of a range, read piece by piece as they are asked for.
fn pieces<F: DiskFile>(
    file: Arc<F>,
    range: Range<u64>,
    digest: Digest,
) -> BoxStream<'static, Result<Bytes, BlobError>> {
    let read = move |rest: Range<u64>| {
        let (file, digest) = (file.clone(), digest.clone());
        async move {
            if rest.is_empty() {
                return None;
            }
            let next = rest.clone();
            let piece = blocking(move || {
                let wanted =
                    usize::try_from(next.end - next.start).map_or(READ_BYTES, |left| left.min(READ_BYTES));
                let mut buffer = vec![0; wanted];
                let io = |error| BlobError::io(format!("read the blob {digest}"), error);
                let count = file.read_at(&mut buffer, next.start).map_err(io)?;
                if count == 0 {
                    return Err(io(std::io::ErrorKind::UnexpectedEof.into()));
                }
                buffer.truncate(count);
                Ok(Bytes::from(buffer))
            });
            // After an error there is nothing more.
            Some(match piece.await {
                Ok(piece) => {
                    let rest = rest.start + piece.len() as u64..rest.end;
                    (Ok(piece), rest)
                }
                Err(error) => (Err(error), 0..0),
            })
        }
    };
    stream::unfold(range, read).boxed()
}

/// An upload that is being written.
struct Writing<D: Disk> {
    depot: Arc<Depot<D>>,
    claim: Arc<Claim>,
    /// What has come and was not passed on.
    buffer: BytesMut,
    /// With what is in the buffer.
    bytes: u64,
    way: Way<D::File>,
}

/// How bytes get into the file.
enum Way<F> {
    /// All of them at the end: there are few so far.
    Direct(Partial<F>),
    Piped(Pipe<F>),
}

impl<D: Disk> Writing<D> {
    /// Collects bytes, and passes on what is worth it. After an error nobody writes any more.
    async fn take(mut self, mut piece: Bytes) -> Result<Self, BlobError> {
        self.bytes += piece.len() as u64;
        while !piece.is_empty() {
            let part = piece.split_to(piece.len().min(PIECE_BYTES - self.buffer.len()));
            self.buffer.extend_from_slice(&part);
            if self.buffer.len() == PIECE_BYTES {
                self = self.pass_on().await?;
            }
        }
        Ok(self)
    }

    async fn pass_on(mut self) -> Result<Self, BlobError> {
        let pipe = match self.way {
            Way::Direct(partial) => Pipe::start(self.depot.clone(), partial, self.claim.clone()),
            Way::Piped(pipe) => pipe,
        };
        if pipe.send(self.buffer.split().freeze()).await {
            self.way = Way::Piped(pipe);
            return Ok(self);
        }
        match pipe.close().join().await {
            Err(error) => Err(error),
            Ok(_) => unreachable!("a thread that takes nothing more has failed"),
        }
    }

    /// Passes on the rest and waits until it is in the file.
    async fn end(self) -> Result<(Arc<Claim>, Partial<D::File>), BlobError> {
        let Self { depot: _, claim, mut buffer, bytes: _, way } = self;
        let partial = match way {
            Way::Direct(partial) if buffer.is_empty() => partial,
            Way::Direct(mut partial) => {
                let claim = claim.clone();
                let appending = move || {
                    let _claim = claim;
                    pipe::append(&mut partial, &buffer)?;
                    Ok(partial)
                };
                blocking(appending).await?
            }
            Way::Piped(pipe) => {
                if !buffer.is_empty() {
                    // A thread that has failed tells why when it is joined.
                    let _ = pipe.send(buffer.split().freeze()).await;
                }
                pipe.close().join().await?
            }
        };
        Ok((claim, partial))
    }
}

/// The port's end of it.
struct FileUpload<D: Disk> {
    bytes: u64,
    /// `None` after a failure, and after a `write` that nobody waited for.
    writing: Option<Writing<D>>,
}

impl<D: Disk> FileUpload<D> {
    fn writing(&mut self) -> Result<Writing<D>, BlobError> {
        self.writing.take().ok_or(BlobError::NoUpload)
    }
}

impl<D: Disk> Upload for FileUpload<D> {
    fn len(&self) -> u64 {
        self.bytes
    }

    fn write(&mut self, piece: Bytes) -> BoxFuture<'_, Result<(), BlobError>> {
        Box::pin(async move {
            let writing = self.writing()?.take(piece).await?;
            self.bytes = writing.bytes;
            self.writing = Some(writing);
            Ok(())
        })
    }

    fn pause(mut self: Box<Self>) -> BoxFuture<'static, Result<u64, BlobError>> {
        Box::pin(async move {
            let (claim, partial) = self.writing()?.end().await?;
            let bytes = partial.known.bytes;
            claim.remember(partial.known);
            Ok(bytes)
        })
    }

    fn finish(mut self: Box<Self>, digest: Digest) -> BoxFuture<'static, Result<u64, BlobError>> {
        Box::pin(async move {
            let writing = self.writing()?;
            let (depot, claim) = (writing.depot.clone(), writing.claim.clone());
            let ended = writing.end().await;
            let finishing = move || match ended {
                Ok((_, partial)) => depot.finish(claim.id, partial, &digest),
                Err(error) => {
                    // It is over in every case; the error that is told is the first.
                    let _ = depot.remove_upload(claim.id);
                    Err(error)
                }
            };
            blocking(finishing).await
        })
    }
}

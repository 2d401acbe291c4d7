//! Bytes on their way into a file: one thread writes while another hashes.
//!
//! Both get the same pieces, of which few are on their way at a time, so that memory is bounded and whoever sends waits
//! for the slower of the two.

use std::sync::Arc;

use bytes::Bytes;
use longshore_images::Hasher;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::BlobError;
use crate::depot::{Depot, Known, Partial, SYNC_EVERY_BYTES};
use crate::disk::{Disk, DiskFile};

/// What is collected before it is passed on. A piece costs two hand-overs between threads, some microseconds.
pub(crate) const PIECE_BYTES: usize = 256 * 1024;
/// With one piece that is being collected and one in hand, four of an upload are in memory.
const PIECES_WAITING: usize = 2;

/// The two threads, and the way to them.
pub(crate) struct Pipe<F> {
    writer: mpsc::Sender<Bytes>,
    hasher: mpsc::Sender<Bytes>,
    threads: Threads<F>,
}

/// Ends with the threads, which end when nobody sends any more.
pub(crate) struct Threads<F> {
    writing: JoinHandle<Result<(F, u64), BlobError>>,
    hashing: JoinHandle<Hasher>,
}

impl<F: DiskFile> Pipe<F> {
    /// `held` is dropped when nobody writes to the file any more.
    pub fn start<D: Disk<File = F>>(
        depot: Arc<Depot<D>>,
        partial: Partial<F>,
        held: impl Send + 'static,
    ) -> Self {
        let (writer, pieces) = mpsc::channel(PIECES_WAITING);
        let (hasher, copies) = mpsc::channel(PIECES_WAITING);
        let Partial { file, known: Known { bytes, hasher: state } } = partial;
        let threads = Threads {
            writing: spawn_blocking(move || {
                let _held = held;
                write(&depot, file, bytes, pieces)
            }),
            hashing: spawn_blocking(move || hash(state, copies)),
        };
        Self { writer, hasher, threads }
    }

    /// Whether both still take pieces.
    pub async fn send(&self, piece: Bytes) -> bool {
        self.writer.send(piece.clone()).await.is_ok() && self.hasher.send(piece).await.is_ok()
    }

    /// Lets the threads come to their end.
    pub fn close(self) -> Threads<F> {
        self.threads
    }
}

impl<F: DiskFile> Threads<F> {
    /// What they have made of the upload.
    pub async fn join(self) -> Result<Partial<F>, BlobError> {
        const WHY: &str = "a thread that writes or hashes does not panic, and none is aborted";
        let (written, hasher) = (self.writing.await.expect(WHY), self.hashing.await.expect(WHY));
        let (file, bytes) = written?;
        Ok(Partial { file, known: Known { bytes, hasher } })
    }
}

fn write<D: Disk>(
    depot: &Depot<D>,
    file: D::File,
    mut bytes: u64,
    mut pieces: mpsc::Receiver<Bytes>,
) -> Result<(D::File, u64), BlobError> {
    let io = |error| BlobError::io("write an upload", error);
    let mut unsynced = 0;
    while let Some(piece) = pieces.blocking_recv() {
        file.write_all_at(&piece, bytes).map_err(io)?;
        bytes += piece.len() as u64;
        unsynced += piece.len() as u64;
        if unsynced >= SYNC_EVERY_BYTES {
            file.sync_data().map_err(io)?;
            depot.check_room()?;
            unsynced = 0;
        }
    }
    Ok((file, bytes))
}

fn hash(mut hasher: Hasher, mut pieces: mpsc::Receiver<Bytes>) -> Hasher {
    while let Some(piece) = pieces.blocking_recv() {
        hasher.update(&piece);
    }
    hasher
}

/// The same for the few bytes of a short upload, which are not worth two threads.
pub(crate) fn append<F: DiskFile>(partial: &mut Partial<F>, piece: &[u8]) -> Result<(), BlobError> {
    let Partial { file, known } = partial;
    file.write_all_at(piece, known.bytes).map_err(|error| BlobError::io("write an upload", error))?;
    known.hasher.update(piece);
    known.bytes += piece.len() as u64;
    Ok(())
}

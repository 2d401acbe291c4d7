//! The port.

use std::ops::Range;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use longshore_images::Digest;

use crate::{BlobError, UploadId};

/// A store of blobs.
///
/// Who calls it has the records: a blob is asked for here when a record says that it is there, and deleted when a
/// record says that nobody is promised it (`longshore-tables-blobs`, "locks").
pub trait Blobs: Send + Sync + 'static {
    /// Makes an empty upload.
    ///
    /// # Errors
    /// `Reserve` if the disk has no room for anything new.
    fn begin(&self, id: UploadId) -> BoxFuture<'_, Result<(), BlobError>>;

    /// How many bytes of an upload are there, `None` without such an upload. What a writer has not passed on yet is not
    /// counted.
    fn progress(&self, id: UploadId) -> BoxFuture<'_, Result<Option<u64>, BlobError>>;

    /// Becomes the one writer of an upload, until what it gives is dropped. Waits while too many others write.
    ///
    /// # Errors
    /// `NoUpload`, `Busy`.
    fn append(&self, id: UploadId) -> BoxFuture<'_, Result<Box<dyn Upload>, BlobError>>;

    /// Forgets an upload, if it is there.
    ///
    /// # Errors
    /// `Busy` while somebody writes.
    fn abandon(&self, id: UploadId) -> BoxFuture<'_, Result<(), BlobError>>;

    /// Stores bytes that are in memory anyway. Durable when it returns.
    ///
    /// # Errors
    /// `WrongDigest`, `Reserve`, `DiskFull`.
    fn put(&self, digest: Digest, bytes: Bytes) -> BoxFuture<'_, Result<(), BlobError>>;

    /// How long a blob is; `None` if it is not there.
    fn stat(&self, digest: &Digest) -> BoxFuture<'_, Result<Option<u64>, BlobError>>;

    /// Opens a blob, or a range of its bytes, which is cut to what there is. What was opened can be read to its end, even
    /// if the blob is deleted meanwhile.
    fn open(
        &self,
        digest: &Digest,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'_, Result<Option<Opened>, BlobError>>;

    /// Deletes a blob; whether it was there.
    fn delete(&self, digest: &Digest) -> BoxFuture<'_, Result<bool, BlobError>>;

    /// All uploads that are there, each with its bytes.
    fn uploads(&self) -> BoxFuture<'_, Result<Vec<(UploadId, u64)>, BlobError>>;

    /// All blobs whose digest begins with this byte, each with its bytes. A store is looked through in 256 steps, so that
    /// no answer is too long.
    fn blobs(&self, first_byte: u8) -> BoxFuture<'_, Result<Vec<(Digest, u64)>, BlobError>>;

    /// How many bytes can still be stored before the reserve begins; zero within it.
    fn room(&self) -> BoxFuture<'_, Result<u64, BlobError>>;
}

/// The one writer of an upload. Dropping it ends the writing: what has reached the file stays, and the upload can be
/// opened again.
pub trait Upload: Send {
    /// How many bytes the upload has, those that were just written included.
    fn len(&self) -> u64;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes more bytes, no faster than they can be hashed and written.
    ///
    /// # Errors
    /// `Reserve` or `DiskFull`: then the upload has to be abandoned; or the disk's.
    fn write(&mut self, piece: Bytes) -> BoxFuture<'_, Result<(), BlobError>>;

    /// Passes everything on to the file, and lets go of the upload. The bytes that it has then; they are not durable,
    /// which nobody is promised before the end.
    fn pause(self: Box<Self>) -> BoxFuture<'static, Result<u64, BlobError>>;

    /// Makes the upload the blob of this digest. Durable when it returns; the blob's bytes. In every case the upload is
    /// over.
    ///
    /// # Errors
    /// `WrongDigest`, `DiskFull`, or the disk's.
    fn finish(self: Box<Self>, digest: Digest) -> BoxFuture<'static, Result<u64, BlobError>>;
}

/// A blob that is being read.
pub struct Opened {
    /// Of the whole blob, whatever range was asked for.
    pub blob_bytes: u64,
    /// The bytes, as they are read.
    pub pieces: BoxStream<'static, Result<Bytes, BlobError>>,
}

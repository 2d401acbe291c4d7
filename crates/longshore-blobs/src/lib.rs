//! Where content is kept that is too large for the state: layers and manifests of images, objects of S3.
//!
//! Start reading at [`Blobs`], the port; [`FileBlobs`] keeps blobs in a directory. What it asks of a file system is
//! [`Disk`], so that tests can stop it, fail it and cut its power at every step.
//!
//! Invariants: a blob is whole or not there, also after a crash, and its name is the digest of its bytes; what
//! [`Upload::finish`] and [`Blobs::put`] have acknowledged is durable; a path is made from digests and our own ids only;
//! an upload has one writer at most; memory is bounded, however long content is; no thread of the async runtime hashes,
//! writes or waits for a disk.
//!
//! It does not know: who may have a blob, who needs one, and so which may be deleted. The records of the state say
//! that (`longshore-tables-blobs`), and a file without a record is nothing.

mod depot;
mod disk;
mod error;
mod files;
mod id;
mod pipe;
mod port;

pub use depot::SYNC_EVERY_BYTES;
pub use disk::{Disk, DiskFile, LocalDisk};
pub use error::BlobError;
pub use files::{FileBlobs, Settings};
pub use id::UploadId;
pub use port::{Blobs, Opened, Upload};

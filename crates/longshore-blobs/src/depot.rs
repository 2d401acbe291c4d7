//! The files, and in which order they change. Everything here blocks.
//!
//! ```text
//! ROOT/blobs/sha256/<first two digits>/<64 digits>    never changes
//! ROOT/blobs/sha512/<first two digits>/<128 digits>
//! ROOT/uploads/<uuid>                                 grows, becomes a blob by a rename, or goes
//! ```
//!
//! A blob comes to be in four steps: its bytes are written and their digest is compared, `fdatasync`, rename, `fsync` of
//! the directory. So a file among the blobs is whole whenever the power fails. A rename goes over a file that is there:
//! both have the same bytes, and those that were just hashed are the ones to trust.

use std::io;
use std::path::{Path, PathBuf};

use longshore_images::{Algorithm, Digest, Hasher};

use crate::disk::{Disk, DiskFile};
use crate::{BlobError, UploadId};

/// How many bytes of an upload may be written without being on the disk. One late `fdatasync` of a whole layer holds up
/// the commits of the state on the same disk for as long as it takes; some short ones do not.
pub const SYNC_EVERY_BYTES: u64 = 8 * 1024 * 1024;
/// Reads of whole files.
const READ_BYTES: usize = 256 * 1024;

pub(crate) struct Depot<D> {
    disk: D,
    root: PathBuf,
    reserve: u64,
}

/// An upload as its writer has it: the file, and the digest of what is in it so far.
pub(crate) struct Partial<F> {
    pub file: F,
    pub known: Known,
}

/// What is remembered of an upload between two writers, so that it need not be read again.
#[derive(Clone)]
pub(crate) struct Known {
    pub bytes: u64,
    pub hasher: Hasher,
}

impl Known {
    fn nothing() -> Self {
        Self { bytes: 0, hasher: Hasher::new(Algorithm::Sha256) }
    }
}

impl<D: Disk> Depot<D> {
    /// Opens a directory, or makes one. Nobody else may use it.
    pub fn open(disk: D, root: &Path, reserve: u64) -> Result<Self, BlobError> {
        let depot = Self { disk, root: root.to_owned(), reserve };
        let io = |error| BlobError::io(format!("prepare {}", root.display()), error);
        for algorithm in Algorithm::ALL {
            let directory = depot.directory(algorithm);
            for byte in 0..=u8::MAX {
                depot.disk.make_directory(&directory.join(format!("{byte:02x}"))).map_err(io)?;
            }
            depot.disk.sync_directory(&directory).map_err(io)?;
        }
        depot.disk.make_directory(&root.join("uploads")).map_err(io)?;
        for directory in [root.join("blobs"), root.to_owned()] {
            depot.disk.sync_directory(&directory).map_err(io)?;
        }
        if let Some(above) = root.parent() {
            depot.disk.sync_directory(above).map_err(io)?;
        }
        Ok(depot)
    }

    fn directory(&self, algorithm: Algorithm) -> PathBuf {
        self.root.join("blobs").join(algorithm.name())
    }

    /// The directory of a blob, and its file there.
    fn blob(&self, digest: &Digest) -> (PathBuf, PathBuf) {
        let hex = digest.hex();
        let directory = self.directory(digest.algorithm()).join(&hex[..2]);
        let file = directory.join(hex);
        (directory, file)
    }

    fn upload(&self, id: UploadId) -> PathBuf {
        self.root.join("uploads").join(id.to_string())
    }

    /// Bytes that may be stored before the reserve begins.
    pub fn room(&self) -> Result<u64, BlobError> {
        Ok(self.available()?.saturating_sub(self.reserve))
    }

    fn available(&self) -> Result<u64, BlobError> {
        let available = self.disk.available_bytes(&self.root);
        available.map_err(|error| BlobError::io("ask how much room the disk has", error))
    }

    /// Refuses what would take of the reserve.
    pub fn check_room(&self) -> Result<(), BlobError> {
        let available = self.available()?;
        if available > self.reserve {
            Ok(())
        } else {
            Err(BlobError::Reserve { available, reserve: self.reserve })
        }
    }

    pub fn begin(&self, id: UploadId) -> Result<(), BlobError> {
        self.check_room()?;
        let made = self.disk.create(&self.upload(id));
        made.map(drop).map_err(|error| BlobError::io(format!("make the upload {id}"), error))
    }

    pub fn progress(&self, id: UploadId) -> Result<Option<u64>, BlobError> {
        let bytes = self.disk.len(&self.upload(id));
        bytes.map_err(|error| BlobError::io(format!("look at the upload {id}"), error))
    }

    /// Opens an upload for writing. What is in it is hashed again, unless it is known: after a restart it is not.
    pub fn resume(&self, id: UploadId, known: Option<Known>) -> Result<Partial<D::File>, BlobError> {
        let io = |error| BlobError::io(format!("go on with the upload {id}"), error);
        let file = match self.disk.open(&self.upload(id)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(BlobError::NoUpload),
            Err(error) => return Err(io(error)),
        };
        let bytes = file.size().map_err(io)?;
        let known = match known.filter(|known| known.bytes == bytes) {
            Some(known) => known,
            None => {
                let mut known = Known::nothing();
                known.bytes = hash(&file, &mut known.hasher).map_err(io)?;
                known
            }
        };
        Ok(Partial { file, known })
    }

    /// Makes an upload the blob of this digest. The upload is gone afterwards, one way or the other.
    pub fn finish(&self, id: UploadId, partial: Partial<D::File>, digest: &Digest) -> Result<u64, BlobError> {
        let bytes = partial.known.bytes;
        let done = self.place(&self.upload(id), partial, digest);
        if done.is_err() {
            // What is left of it is found again by its name; the error that is told is the first.
            let _ = self.remove_upload(id);
        }
        done.map(|()| bytes)
    }

    fn place(&self, from: &Path, partial: Partial<D::File>, digest: &Digest) -> Result<(), BlobError> {
        let io = |error| BlobError::io(format!("store the blob {digest}"), error);
        let Partial { file, known } = partial;
        let actual = match digest.algorithm() {
            Algorithm::Sha256 => known.hasher.finish(),
            // Rare, so that it is not hashed on the way.
            Algorithm::Sha512 => {
                let mut hasher = Hasher::new(Algorithm::Sha512);
                hash(&file, &mut hasher).map_err(io)?;
                hasher.finish()
            }
        };
        if actual != *digest {
            return Err(BlobError::WrongDigest { expected: digest.clone(), actual });
        }
        file.sync_data().map_err(io)?;
        let (directory, to) = self.blob(digest);
        self.disk.rename(from, &to).map_err(io)?;
        self.disk.sync_directory(&directory).map_err(io)
    }

    /// Stores bytes by way of an upload of this id.
    pub fn put(&self, id: UploadId, digest: &Digest, bytes: &[u8]) -> Result<(), BlobError> {
        self.check_room()?;
        let made = self.disk.create(&self.upload(id));
        let file = made.map_err(|error| BlobError::io(format!("make the upload {id}"), error))?;
        let mut partial = Partial { file, known: Known::nothing() };
        if let Err(error) = partial.file.write_all_at(bytes, 0) {
            let _ = self.remove_upload(id);
            return Err(BlobError::io(format!("store the blob {digest}"), error));
        }
        partial.known.hasher.update(bytes);
        partial.known.bytes = bytes.len() as u64;
        self.finish(id, partial, digest).map(drop)
    }

    pub fn remove_upload(&self, id: UploadId) -> Result<(), BlobError> {
        let removed = self.disk.remove(&self.upload(id));
        removed.map(drop).map_err(|error| BlobError::io(format!("remove the upload {id}"), error))
    }

    pub fn stat(&self, digest: &Digest) -> Result<Option<u64>, BlobError> {
        let bytes = self.disk.len(&self.blob(digest).1);
        bytes.map_err(|error| BlobError::io(format!("look at the blob {digest}"), error))
    }

    /// The file of a blob, and its length.
    pub fn open_blob(&self, digest: &Digest) -> Result<Option<(D::File, u64)>, BlobError> {
        let io = |error| BlobError::io(format!("open the blob {digest}"), error);
        match self.disk.open(&self.blob(digest).1) {
            Ok(file) => {
                let bytes = file.size().map_err(io)?;
                Ok(Some((file, bytes)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io(error)),
        }
    }

    /// Not made durable: a file that comes back after a crash has no record, and goes again.
    pub fn delete(&self, digest: &Digest) -> Result<bool, BlobError> {
        let removed = self.disk.remove(&self.blob(digest).1);
        removed.map_err(|error| BlobError::io(format!("delete the blob {digest}"), error))
    }

    pub fn uploads(&self) -> Result<Vec<(UploadId, u64)>, BlobError> {
        let directory = self.root.join("uploads");
        let names = self.disk.list(&directory).map_err(|error| BlobError::io("list the uploads", error))?;
        let mut uploads = Vec::new();
        for id in names.iter().filter_map(|name| UploadId::parse(name).ok()) {
            // One may have ended meanwhile.
            uploads.extend(self.progress(id)?.map(|bytes| (id, bytes)));
        }
        Ok(uploads)
    }

    pub fn blobs(&self, first_byte: u8) -> Result<Vec<(Digest, u64)>, BlobError> {
        let mut blobs = Vec::new();
        for algorithm in Algorithm::ALL {
            let directory = self.directory(algorithm).join(format!("{first_byte:02x}"));
            let names = self.disk.list(&directory).map_err(|error| BlobError::io("list the blobs", error))?;
            for name in names {
                if let Ok(digest) = Digest::parse(&format!("{}:{name}", algorithm.name()))
                    && let Some(bytes) = self.stat(&digest)?
                {
                    blobs.push((digest, bytes));
                }
            }
        }
        Ok(blobs)
    }
}

/// Feeds a whole file to a hasher; its bytes.
fn hash(file: &impl DiskFile, hasher: &mut Hasher) -> io::Result<u64> {
    let mut buffer = vec![0; READ_BYTES];
    let mut offset = 0;
    loop {
        match file.read_at(&mut buffer, offset)? {
            0 => return Ok(offset),
            count => {
                hasher.update(&buffer[..count]);
                offset += count as u64;
            }
        }
    }
}

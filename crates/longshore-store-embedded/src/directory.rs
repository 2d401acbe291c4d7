//! The directory around the engine: who may use it, and what wrote it.
//!
//! ```text
//! DIR/LOCK     locked while a process has the store open; holds that process's id
//! DIR/engine/  fjall's own files; renamed to that once they are complete
//! DIR/FORMAT   "longshore-store 1", written last when a store is created
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::error::OpenError;

/// What this version writes, and the newest that it reads. It rises with every change that an older
/// version would misread: key prefix, revision, meta record or the engine's own format.
pub const FORMAT_VERSION: u32 = 1;

const FORMAT_MAGIC: &str = "longshore-store";
const LOCK_FILE: &str = "LOCK";
const FORMAT_FILE: &str = "FORMAT";
const ENGINE_DIR: &str = "engine";
/// An engine that is being created. It becomes `engine` by a rename, so that a crash during creation
/// leaves nothing that looks like a store.
const ENGINE_DIR_NEW: &str = "engine.new";

/// What was in the directory: how far the creation of a store had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// No store: the directory was empty or new.
    Nothing,
    /// An engine without a marker: the creation was cut short before anything could be written.
    Unmarked,
    /// A store that was created completely.
    Store,
}

/// A directory that this process alone may use, until dropped.
#[derive(Debug)]
pub(crate) struct Directory {
    root: PathBuf,
    found: Found,
    /// Dropping it releases the lock, and so does the end of the process, however it ends.
    _lock: File,
}

impl Directory {
    /// Creates the directory if need be, locks it, checks which version wrote it, and removes what a creation that was
    /// cut short has left.
    ///
    /// # Errors
    /// `InUse`, `NewerFormat`, `Corrupt` if the marker is not readable or the engine is missing; else the disk's.
    pub(crate) fn claim(root: &Path) -> Result<Self, OpenError> {
        let io = |error| OpenError::io(root, error);
        create_private(root).map_err(io)?;
        let lock = lock(root)?;
        let found = check_format(root)?;
        let unfinished = root.join(ENGINE_DIR_NEW);
        if unfinished.try_exists().map_err(io)? {
            fs::remove_dir_all(&unfinished).map_err(io)?;
        }
        Ok(Self { root: root.to_owned(), found, _lock: lock })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn found(&self) -> Found {
        self.found
    }

    /// Where the engine's files are, once there are any.
    pub(crate) fn engine(&self) -> PathBuf {
        self.root.join(ENGINE_DIR)
    }

    /// Runs `create` on a place for a new engine, and moves the result to [`Directory::engine`].
    pub(crate) fn create_engine(
        &self,
        create: impl FnOnce(&Path) -> Result<(), OpenError>,
    ) -> Result<(), OpenError> {
        let unfinished = self.root.join(ENGINE_DIR_NEW);
        create(&unfinished)?;
        fs::rename(&unfinished, self.engine())
            .and_then(|()| sync_directory(&self.root))
            .map_err(|error| OpenError::io(&self.root, error))
    }

    /// Writes the marker that completes a new store.
    pub(crate) fn mark(&self) -> Result<(), OpenError> {
        write_format(&self.root).map_err(|error| OpenError::io(&self.root, error))
    }
}

/// Creates the directory for its owner only: records can hold secrets.
fn create_private(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

fn lock(root: &Path) -> Result<File, OpenError> {
    let io = |error| OpenError::io(root, error);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(root.join(LOCK_FILE))
        .map_err(io)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Only for the message, which is clear without it as well.
            let _ = file.read_to_string(&mut holder);
            let holder = match holder.trim() {
                "" => "another process".to_owned(),
                pid => format!("the process {pid}"),
            };
            return Err(OpenError::InUse { dir: root.to_owned(), holder });
        }
        Err(TryLockError::Error(error)) => return Err(io(error)),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| write!(file, "{}", std::process::id()))
        .map_err(io)?;
    Ok(file)
}

/// What the directory holds, by the marker and the engine's directory.
fn check_format(root: &Path) -> Result<Found, OpenError> {
    let io = |error| OpenError::io(root, error);
    let engine_exists = root.join(ENGINE_DIR).try_exists().map_err(io)?;
    let text = match fs::read_to_string(root.join(FORMAT_FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(if engine_exists { Found::Unmarked } else { Found::Nothing });
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => String::new(),
        Err(error) => return Err(io(error)),
    };
    let version = text.trim_end().strip_prefix(FORMAT_MAGIC).and_then(|rest| rest.trim().parse::<u32>().ok());
    match version {
        Some(0) | None => Err(OpenError::corrupt(root, format!("{FORMAT_FILE} names no known format"))),
        Some(found) if found > FORMAT_VERSION => {
            Err(OpenError::NewerFormat { dir: root.to_owned(), found, supported: FORMAT_VERSION })
        }
        Some(_) if !engine_exists => {
            Err(OpenError::corrupt(root, format!("its subdirectory {ENGINE_DIR} is missing")))
        }
        Some(_) => Ok(Found::Store),
    }
}

fn write_format(root: &Path) -> io::Result<()> {
    let unfinished = root.join("FORMAT.new");
    let mut file = File::create(&unfinished)?;
    writeln!(file, "{FORMAT_MAGIC} {FORMAT_VERSION}")?;
    file.sync_all()?;
    fs::rename(&unfinished, root.join(FORMAT_FILE))?;
    sync_directory(root)
}

/// Makes renames in a directory durable.
fn sync_directory(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

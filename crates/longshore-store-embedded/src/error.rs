//! Why a directory cannot be opened, in words for whoever starts the server.

use std::path::PathBuf;

use longshore_store::{StoreError, Unavailable};

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Two servers on one directory would each believe that the other's writes never happened.
    #[error(
        "{} is in use by {holder}; stop that server, or give this one a --data-dir of its own",
        dir.display()
    )]
    InUse { dir: PathBuf, holder: String },
    #[error(
        "{} was written by a newer Longshore (store format {found}; this one reads up to {supported}); \
         start that version, or restore a backup from before the upgrade",
        dir.display()
    )]
    NewerFormat { dir: PathBuf, found: u32, supported: u32 },
    #[error("{} is damaged: {detail}; restore a backup, or keep a copy and ask for help", dir.display())]
    Corrupt { dir: PathBuf, detail: String },
    #[error("failed to open {}", dir.display())]
    Unavailable {
        dir: PathBuf,
        #[source]
        source: Unavailable,
    },
}

/// For callers that treat opening like any other use of a store.
impl From<OpenError> for StoreError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Unavailable { source, .. } => StoreError::Unavailable(source),
            OpenError::Corrupt { dir, detail } => {
                StoreError::Corrupt { detail: format!("{}: {detail}", dir.display()) }
            }
            OpenError::InUse { .. } | OpenError::NewerFormat { .. } => {
                StoreError::Unavailable(Unavailable::Io {
                    at: error.directory().display().to_string(),
                    source: std::io::Error::other(error.to_string()),
                })
            }
        }
    }
}

impl OpenError {
    pub(crate) fn io(dir: &std::path::Path, source: std::io::Error) -> Self {
        let at = dir.display().to_string();
        OpenError::Unavailable { dir: dir.to_owned(), source: Unavailable::from_io(at, source) }
    }

    pub(crate) fn corrupt(dir: &std::path::Path, detail: impl Into<String>) -> Self {
        OpenError::Corrupt { dir: dir.to_owned(), detail: detail.into() }
    }

    fn directory(&self) -> &std::path::Path {
        match self {
            OpenError::InUse { dir, .. }
            | OpenError::NewerFormat { dir, .. }
            | OpenError::Corrupt { dir, .. }
            | OpenError::Unavailable { dir, .. } => dir,
        }
    }
}

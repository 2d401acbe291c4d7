//! The root key of a control plane: 32 bytes that open what the store has sealed, and that are never in the store
//! (identity J13).

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use longshore_keyring::{KeyringError, RootKey, Sealing, SealingTx};
use longshore_state::{Db, State};
use zeroize::Zeroizing;

use crate::keys::write_private;
use crate::out::{shown, tell};

/// In a data directory, unless `--root-key` names another file.
const FILE: &str = "root.key";

/// Gives the database the root key, before anything is served. A new store of a data directory gets a new key.
///
/// # Errors
/// The store was sealed with another key, or with one that is not there; `file` cannot be read, or is none.
pub async fn unlock(db: &Db, file: Option<&Path>, data_dir: Option<&Path>) -> anyhow::Result<()> {
    let is_sealed = db.peek(|state| !state.keyring().data_keys().is_empty());
    let root = match find(file, data_dir)? {
        Found::Key(root) => root,
        Found::Missing(path) if is_sealed => return Err(missing(&path)),
        Found::Missing(path) => make(&path)?,
        Found::Nowhere => draw(),
    };
    db.write(|tx| tx.unlock(root)).await?.map_err(|error| refused(error, file, data_dir))
}

/// What `longshore check` says of the root key of a store at rest.
#[derive(Debug, PartialEq, Eq)]
pub enum Fit {
    Fits,
    /// It is not where it would be looked for.
    Missing(PathBuf),
    /// The store has no secrets yet.
    Unneeded,
    /// With the reason.
    Wrong(String),
}

/// Whether the root key opens the store.
///
/// # Errors
/// The file cannot be read, or is no root key.
pub fn fit(state: &State, file: Option<&Path>, data_dir: &Path) -> anyhow::Result<Fit> {
    if state.keyring().data_keys().is_empty() {
        return Ok(Fit::Unneeded);
    }
    Ok(match find(file, Some(data_dir))? {
        Found::Key(root) => match state.keyring().fits(&root) {
            Ok(()) => Fit::Fits,
            Err(error) => Fit::Wrong(error.to_string()),
        },
        Found::Missing(path) => Fit::Missing(path),
        Found::Nowhere => Fit::Unneeded,
    })
}

enum Found {
    Key(RootKey),
    /// There is no such file in the data directory.
    Missing(PathBuf),
    /// No file was named, and there is no directory.
    Nowhere,
}

fn find(file: Option<&Path>, data_dir: Option<&Path>) -> anyhow::Result<Found> {
    let (path, is_named) = match (file, data_dir) {
        (Some(file), _) => (file.to_path_buf(), true),
        (None, Some(dir)) => (dir.join(FILE), false),
        (None, None) => return Ok(Found::Nowhere),
    };
    let text = match fs::read_to_string(&path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == ErrorKind::NotFound && !is_named => return Ok(Found::Missing(path)),
        Err(error) => {
            let hint = format!("cannot read the root key {}; check --root-key", shown(&path));
            return Err(anyhow::Error::new(error).context(hint));
        }
    };
    warn_if_open(&path);
    let root = RootKey::parse(&text)
        .with_context(|| format!("{} cannot be used; restore it from a backup", shown(&path)))?;
    Ok(Found::Key(root))
}

/// Whoever can read the key and the store has every secret.
fn warn_if_open(path: &Path) {
    let mode = fs::metadata(path).map_or(0, |meta| meta.permissions().mode());
    if mode & 0o077 != 0 {
        let mode = format!("{:03o}", mode & 0o777);
        tracing::warn!(path = %path.display(), mode, "others can read the root key; chmod 600 it");
    }
}

/// A new key in a new file. Both are on the disk before anything is sealed.
fn make(path: &Path) -> anyhow::Result<RootKey> {
    let root = draw();
    let mut text = root.text();
    text.push('\n');
    write_private(path, text.as_bytes())?;
    let dir = path.parent().unwrap_or(Path::new("."));
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .with_context(|| format!("cannot write {}", shown(path)))?;
    tell!(
        "made the root key {}: keep a copy of it apart from the backups. Whoever loses it loses every access key and \
         secret in the store",
        shown(path)
    );
    Ok(root)
}

fn draw() -> RootKey {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut bytes[..]).expect("the operating system has random numbers");
    RootKey::new(*bytes)
}

fn missing(path: &Path) -> anyhow::Error {
    anyhow!("there is no {}, and the store has secrets that only this key opens", shown(path)).context(
        "the root key is missing; put it back from a backup, or name it with --root-key. Without it every access key \
         and secret in the store is lost",
    )
}

fn refused(error: KeyringError, file: Option<&Path>, data_dir: Option<&Path>) -> anyhow::Error {
    let path = file.map(Path::to_path_buf).or_else(|| data_dir.map(|dir| dir.join(FILE)));
    let named = path.map_or_else(|| "the root key".to_owned(), |path| shown(&path));
    anyhow::Error::new(error).context(format!(
        "{named} does not open this store; put the right key there, or name its file with --root-key"
    ))
}

//! The root key of a control plane: 32 bytes that open what the store has sealed, and that are never in the store
//! (identity J13).
//!
//! A new one takes over in three steps, each of them whole or not done: it is written beside the old one ([`NEXT`]); the
//! store's data keys are wrapped with it, in one commit; it takes the old one's place. A process that ends in between leaves
//! both keys there, and the store says which of them counts: [`finish`] looks, at each start.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use longshore_keyring::{Fingerprint, KeyringError, RootKey, Sealing, SealingTx};
use longshore_state::{Db, State};
use zeroize::Zeroizing;

use crate::keys::write_private;
use crate::out::{shown, tell};

/// In a data directory, unless `--root-key` names another file.
const FILE: &str = "root.key";
/// Beside it, while it is to take over.
const NEXT: &str = "root.key.next";

/// Gives the database the root key, before anything is served. A new store of a data directory gets a new key.
///
/// # Errors
/// The store was sealed with another key, or with one that is not there; `file` cannot be read, or is none.
pub async fn unlock(db: &Db, file: Option<&Path>, data_dir: Option<&Path>) -> anyhow::Result<()> {
    let is_sealed = db.peek(|state| !state.keyring().data_keys().is_empty());
    if let (None, Some(dir)) = (file, data_dir) {
        db.peek(|state| finish(state, dir))?;
    }
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
    // A change that was cut short is ended by the next start.
    let has_next =
        file.is_none() && waiting(data_dir)?.is_some_and(|next| state.keyring().fits(&next).is_ok());
    if has_next {
        return Ok(Fit::Fits);
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

/// What came of a change of the root key.
#[derive(Debug)]
pub struct Renewed {
    pub new: Fingerprint,
    /// Where the old one is now, which backups from before still need; `None` where it was not ours to move.
    pub kept: Option<PathBuf>,
}

/// Makes a new root key and puts the store under it. The store is open, and nobody else has it.
///
/// # Errors
/// A file cannot be written, or the store does not take it. Whatever was done by then, the next start finds a key that
/// opens the store.
pub async fn renew(db: &Db, data_dir: &Path) -> anyhow::Result<Renewed> {
    let next = data_dir.join(NEXT);
    let root = write_new(&next)?;
    let new = root.fingerprint();
    rewrap(db, root).await?;
    let kept = put_in_place(data_dir)?;
    Ok(Renewed { new, kept })
}

/// The same with a key in a file of the operator's, which is made if it is not there.
///
/// # Errors
/// The file cannot be read or written, or the store does not take it.
pub async fn renew_with(db: &Db, file: &Path) -> anyhow::Result<Renewed> {
    let root = if file.exists() { read(file)? } else { write_new(file)? };
    let new = root.fingerprint();
    rewrap(db, root).await?;
    Ok(Renewed { new, kept: None })
}

async fn rewrap(db: &Db, root: RootKey) -> anyhow::Result<()> {
    let done = db.write(|tx| tx.rewrap(root)).await.context("the store is still under the old root key")?;
    done.context("the store is still under the old root key; look at it with `longshore check`")
}

/// Ends a change of the root key that was cut short. What the store is under counts: the new key takes its place, or it
/// never was in use and goes.
fn finish(state: &State, dir: &Path) -> anyhow::Result<()> {
    let Some(next) = waiting(dir)? else { return Ok(()) };
    let keyring = state.keyring();
    if !keyring.data_keys().is_empty() && keyring.fits(&next).is_ok() {
        put_in_place(dir)?;
        tell!("ended a change of the root key that was cut short: the store is under the new one");
        return Ok(());
    }
    let own = dir.join(FILE);
    let is_under_old = own.exists() && keyring.fits(&read(&own)?).is_ok();
    if is_under_old {
        let path = dir.join(NEXT);
        fs::remove_file(&path).with_context(|| format!("cannot remove {}; remove it", shown(&path)))?;
        tell!("a change of the root key was cut short before it began: the store is under the old one");
    }
    // Else neither opens it, and both are left to the operator.
    Ok(())
}

/// The key that waits to take over, if there is one.
fn waiting(dir: &Path) -> anyhow::Result<Option<RootKey>> {
    let path = dir.join(NEXT);
    if path.exists() { read(&path).map(Some) } else { Ok(None) }
}

/// The key that waits takes the place of the other, which stays beside it under the name of its fingerprint.
fn put_in_place(dir: &Path) -> anyhow::Result<Option<PathBuf>> {
    let (own, next) = (dir.join(FILE), dir.join(NEXT));
    let hint =
        || format!("cannot put {} in the place of {}; see who may write there", shown(&next), shown(&own));
    let mut kept = None;
    if own.exists() {
        let path = dir.join(format!("{FILE}.{}", read(&own)?.fingerprint()));
        fs::rename(&own, &path).with_context(hint)?;
        kept = Some(path);
    }
    fs::rename(&next, &own).with_context(hint)?;
    sync(dir).with_context(hint)?;
    Ok(kept)
}

/// A file's entry is on the disk when its directory is.
fn sync(dir: &Path) -> std::io::Result<()> {
    File::open(dir).and_then(|dir| dir.sync_all())
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
    match fs::metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound && !is_named => Ok(Found::Missing(path)),
        Ok(_) | Err(_) => read(&path).map(Found::Key),
    }
}

fn read(path: &Path) -> anyhow::Result<RootKey> {
    let text = fs::read_to_string(path).map(Zeroizing::new);
    let text = text.with_context(|| format!("cannot read the root key {}; check --root-key", shown(path)))?;
    warn_if_open(path);
    RootKey::parse(&text).with_context(|| format!("{} cannot be used; restore it from a backup", shown(path)))
}

/// Whoever can read the key and the store has every secret.
fn warn_if_open(path: &Path) {
    let mode = fs::metadata(path).map_or(0, |meta| meta.permissions().mode());
    if mode & 0o077 != 0 {
        let mode = format!("{:03o}", mode & 0o777);
        tracing::warn!(path = %path.display(), mode, "others can read the root key; chmod 600 it");
    }
}

/// The first key of a store.
fn make(path: &Path) -> anyhow::Result<RootKey> {
    let root = write_new(path)?;
    tell!(
        "made the root key {}: keep a copy of it apart from the backups. Whoever loses it loses every access key and \
         secret in the store",
        shown(path)
    );
    Ok(root)
}

/// A new key in a new file. Both are on the disk before anything is sealed.
fn write_new(path: &Path) -> anyhow::Result<RootKey> {
    let root = draw();
    let mut text = root.text();
    text.push('\n');
    write_private(path, text.as_bytes())?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    sync(dir).with_context(|| format!("cannot write {}", shown(path)))?;
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

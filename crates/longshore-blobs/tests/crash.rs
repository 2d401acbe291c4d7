//! A disk that fails or loses its power at any step: what was acknowledged is whole, and nothing else is under a digest.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use futures_util::TryStreamExt;
use longshore_base::{ContainerId, Seed};
use longshore_blobs::{Blobs, Disk, DiskFile, FileBlobs, Settings, UploadId};
use longshore_images::{Algorithm, Digest};

/// A disk in memory that knows what is durable.
#[derive(Clone, Default)]
struct SimDisk(Arc<Mutex<Inner>>);

#[derive(Clone, Default)]
struct Inner {
    files: Vec<Content>,
    /// Names, as processes see them.
    names: BTreeMap<PathBuf, usize>,
    /// Those that a power failure leaves for certain.
    durable_names: BTreeMap<PathBuf, usize>,
    /// How many steps until something happens.
    fault: Option<(u64, Fault)>,
    is_off: bool,
    lie: Option<Lie>,
}

#[derive(Clone, Default)]
struct Content {
    bytes: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The step fails, by half if it writes.
    Error(io::ErrorKind),
    /// Before the step, and for all that follow.
    OffBefore,
    /// The step is done, and nobody is told.
    OffAfter,
}

/// A promise that this disk does not keep, to see that the test notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    SyncData,
    SyncDirectory,
}

/// What is found after the end.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The process was killed: everything that it did is there.
    Kill,
    /// The power failed: what was not synced is lost.
    PowerOff,
    /// What was not synced is there or not, by chance.
    Chance(u64),
}

impl SimDisk {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("nobody panics with it")
    }

    fn step<T>(&self, work: impl FnOnce(&mut Inner, bool) -> io::Result<T>) -> io::Result<T> {
        let mut inner = self.inner();
        if inner.is_off {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let fault = match &mut inner.fault {
            Some((0, fault)) => Some(*fault),
            Some((left, _)) => {
                *left -= 1;
                None
            }
            None => None,
        };
        match fault {
            None => work(&mut inner, true),
            Some(Fault::Error(kind)) => {
                inner.fault = None;
                let _ = work(&mut inner, false);
                Err(kind.into())
            }
            Some(Fault::OffBefore) => {
                inner.is_off = true;
                Err(io::ErrorKind::BrokenPipe.into())
            }
            Some(Fault::OffAfter) => {
                inner.is_off = true;
                let _ = work(&mut inner, true);
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
    }

    fn after(&self, end: End) -> Self {
        let before = self.inner().clone();
        let chance = |what: u64| match end {
            End::Kill => true,
            End::PowerOff => false,
            End::Chance(seed) => Seed::new(u128::from(seed)).of(what).below(2) == 0,
        };
        let mut after = Inner::default();
        let all: BTreeSet<&PathBuf> = before.names.keys().chain(before.durable_names.keys()).collect();
        for (number, path) in all.into_iter().enumerate() {
            let names = if chance(number as u64) { &before.names } else { &before.durable_names };
            if let Some(&file) = names.get(path) {
                let Content { bytes, durable } = &before.files[file];
                let left = if chance(1000 + file as u64) { bytes } else { durable };
                after.names.insert(path.clone(), after.files.len());
                after.files.push(Content { bytes: left.clone(), durable: left.clone() });
            }
        }
        after.durable_names = after.names.clone();
        Self(Arc::new(Mutex::new(after)))
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    fn make_directory(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<SimFile> {
        let file = self.step(|inner, is_done| {
            if is_done {
                inner.files.push(Content::default());
                let file = inner.files.len() - 1;
                let old = inner.names.insert(path.to_owned(), file);
                assert_eq!(old, None, "{} is there already", path.display());
                return Ok(file);
            }
            Ok(0)
        })?;
        Ok(SimFile { disk: self.clone(), file })
    }

    fn open(&self, path: &Path) -> io::Result<SimFile> {
        let file =
            self.step(|inner, _| inner.names.get(path).copied().ok_or(io::ErrorKind::NotFound.into()))?;
        Ok(SimFile { disk: self.clone(), file })
    }

    fn len(&self, path: &Path) -> io::Result<Option<u64>> {
        self.step(|inner, _| Ok(inner.names.get(path).map(|&file| inner.files[file].bytes.len() as u64)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(|inner, is_done| {
            if is_done {
                let file = inner.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
                inner.names.insert(to.to_owned(), file);
            }
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<bool> {
        self.step(|inner, is_done| Ok(is_done && inner.names.remove(path).is_some()))
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.step(|inner, is_done| {
            if is_done && inner.lie != Some(Lie::SyncDirectory) {
                inner.durable_names.retain(|name, _| name.parent() != Some(path));
                let own = inner.names.iter().filter(|(name, _)| name.parent() == Some(path));
                let own: Vec<_> = own.map(|(name, &file)| (name.clone(), file)).collect();
                inner.durable_names.extend(own);
            }
            Ok(())
        })
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let inner = self.inner();
        let own = inner.names.keys().filter(|name| name.parent() == Some(path));
        Ok(own.filter_map(|name| Some(name.file_name()?.to_str()?.to_owned())).collect())
    }

    fn available_bytes(&self, _: &Path) -> io::Result<u64> {
        Ok(1 << 40)
    }
}

struct SimFile {
    disk: SimDisk,
    file: usize,
}

impl DiskFile for SimFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.disk.step(|inner, is_done| {
            let own = &mut inner.files[self.file].bytes;
            let written = if is_done { bytes } else { &bytes[..bytes.len() / 2] };
            let end = offset as usize + written.len();
            own.resize(own.len().max(end), 0);
            own[offset as usize..end].copy_from_slice(written);
            Ok(())
        })
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.step(|inner, _| {
            let own = &inner.files[self.file].bytes;
            let rest = &own[own.len().min(offset as usize)..];
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        })
    }

    fn size(&self) -> io::Result<u64> {
        self.disk.step(|inner, _| Ok(inner.files[self.file].bytes.len() as u64))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.step(|inner, is_done| {
            if is_done && inner.lie != Some(Lie::SyncData) {
                let own = &mut inner.files[self.file];
                own.durable = own.bytes.clone();
            }
            Ok(())
        })
    }
}

fn open(disk: &SimDisk, process: u128) -> FileBlobs<SimDisk> {
    let settings = Settings { reserve_bytes: 0, writers_max: 2 };
    FileBlobs::open(disk.clone(), Path::new("/registry"), settings, Seed::new(process))
        .expect("no fault is due yet")
}

fn id(n: u128) -> UploadId {
    UploadId::new(ContainerId::from_bits(n))
}

fn content(seed: usize, count: usize) -> Vec<u8> {
    (0..count).map(|at| (at * 31 + at / 251 + seed) as u8).collect()
}

const UPLOADS: u128 = 4;

/// What a client does, whatever fails; what it was promised.
async fn work(blobs: &FileBlobs<SimDisk>) -> BTreeMap<Digest, Vec<u8>> {
    let mut promised = BTreeMap::new();
    let mut short = Vec::new();
    for (n, algorithm) in Algorithm::ALL.into_iter().enumerate() {
        let bytes = content(n, 1000);
        let digest = Digest::of(algorithm, &bytes);
        if blobs.put(digest.clone(), bytes.clone().into()).await.is_ok() {
            promised.insert(digest.clone(), bytes);
        }
        short.push(digest);
    }
    // The second one is the first one again.
    for (n, (seed, size, algorithm)) in
        [(7, 600_000, Algorithm::Sha256), (7, 600_000, Algorithm::Sha256), (8, 5000, Algorithm::Sha512)]
            .into_iter()
            .enumerate()
    {
        let (n, bytes) = (id(n as u128), content(seed, size));
        if blobs.begin(n).await.is_err() {
            continue;
        }
        let digest = Digest::of(algorithm, &bytes);
        if push(blobs, n, &bytes, digest.clone()).await.is_some() {
            promised.insert(digest, bytes);
        }
    }
    // From here on nobody is promised it any more, whether it goes or not.
    promised.remove(&short[0]);
    let _ = blobs.delete(&short[0]).await;
    if blobs.begin(id(UPLOADS - 1)).await.is_ok()
        && let Ok(mut upload) = blobs.append(id(UPLOADS - 1)).await
    {
        let _ = upload.write(Bytes::from_static(b"half")).await;
        let _ = upload.pause().await;
    }
    promised
}

async fn push(blobs: &FileBlobs<SimDisk>, id: UploadId, bytes: &[u8], digest: Digest) -> Option<()> {
    // The rest is more than one piece, so that it goes by way of two threads.
    let half = bytes.len() / 20;
    let mut upload = blobs.append(id).await.ok()?;
    upload.write(Bytes::copy_from_slice(&bytes[..half])).await.ok()?;
    upload.pause().await.ok()?;
    let mut upload = blobs.append(id).await.ok()?;
    // Where something was lost, the client sees it here, and goes on from there.
    let there = upload.len() as usize;
    upload.write(Bytes::copy_from_slice(&bytes[there..])).await.ok()?;
    upload.finish(digest).await.ok().map(drop)
}

async fn read(blobs: &FileBlobs<SimDisk>, digest: &Digest) -> Option<Vec<u8>> {
    let opened = blobs.open(digest, None).await.ok()??;
    let pieces: Vec<Bytes> = opened.pieces.try_collect().await.ok()?;
    Some(pieces.concat())
}

/// What is broken, in words.
async fn broken(blobs: &FileBlobs<SimDisk>, promised: &BTreeMap<Digest, Vec<u8>>) -> Vec<String> {
    let mut broken = Vec::new();
    for (digest, bytes) in promised {
        match read(blobs, digest).await {
            Some(read) if read == *bytes => {}
            Some(_) => broken.push(format!("{digest} was promised and has other bytes")),
            None => broken.push(format!("{digest} was promised and is not there")),
        }
    }
    for first_byte in 0..=u8::MAX {
        for (digest, _) in blobs.blobs(first_byte).await.expect("no fault is due") {
            let read = read(blobs, &digest).await.expect("no fault is due");
            if Digest::of(digest.algorithm(), &read) != digest {
                broken.push(format!("{digest} is a blob with other bytes"));
            }
        }
    }
    // Whatever was left of uploads can be gone on with, or forgotten.
    for (id, bytes) in blobs.uploads().await.expect("no fault is due") {
        let upload = blobs.append(id).await.expect("nobody writes");
        if upload.len() != bytes {
            broken.push(format!("{id} has {} bytes, and not {bytes}", upload.len()));
        }
        upload.pause().await.expect("no fault is due");
        blobs.abandon(id).await.expect("nobody writes");
    }
    broken
}

/// How many steps the work takes when nothing happens.
async fn steps() -> u64 {
    const MANY: u64 = 1_000_000;
    let disk = SimDisk::default();
    let blobs = open(&disk, 1);
    disk.inner().fault = Some((MANY, Fault::OffBefore));
    let promised = work(&blobs).await;
    let left = disk.inner().fault.map_or(0, |(left, _)| left);
    assert_eq!(promised.len(), 3, "without a fault, all of it is done");
    MANY - left
}

async fn run(lie: Option<Lie>, step: u64, fault: Fault, end: End) -> Vec<String> {
    let disk = SimDisk::default();
    let blobs = open(&disk, 1);
    disk.inner().fault = Some((step, fault));
    disk.inner().lie = lie;
    let promised = work(&blobs).await;
    disk.inner().fault = None;
    if let Fault::Error(_) = fault {
        let broken = broken(&blobs, &promised).await;
        if !broken.is_empty() {
            return broken;
        }
    }
    drop(blobs);
    broken(&open(&disk.after(end), 2), &promised).await
}

const ENDS: [End; 4] = [End::Kill, End::PowerOff, End::Chance(1), End::Chance(2)];

#[tokio::test]
async fn what_was_acknowledged_is_whole_whatever_happens() {
    let steps = steps().await;
    for step in 0..=steps {
        for fault in [
            Fault::Error(io::ErrorKind::StorageFull),
            Fault::Error(io::ErrorKind::Other),
            Fault::OffBefore,
            Fault::OffAfter,
        ] {
            for end in ENDS {
                let broken = run(None, step, fault, end).await;
                assert_eq!(broken, Vec::<String>::new(), "{fault:?} at step {step} of {steps}, then {end:?}");
            }
        }
    }
}

/// The test above would notice if a sync were missing.
#[tokio::test]
async fn a_disk_that_lies_is_found_out() {
    let steps = steps().await;
    for lie in [Lie::SyncData, Lie::SyncDirectory] {
        let broken = run(Some(lie), steps, Fault::OffBefore, End::PowerOff).await;
        assert!(!broken.is_empty(), "{lie:?}");
    }
}

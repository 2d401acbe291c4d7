//! The file backend on a real disk: uploads in pieces, writers that leave, restarts, ranges.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use longshore_base::{ContainerId, Seed};
use longshore_blobs::{BlobError, Blobs, FileBlobs, LocalDisk, Settings, UploadId};
use longshore_images::{Algorithm, Digest};
use proptest::prelude::*;
use tempfile::TempDir;

const SMALL: Settings = Settings { reserve_bytes: 0, writers_max: 2 };

fn open(root: &Path) -> FileBlobs {
    FileBlobs::open(LocalDisk, root, SMALL, Seed::new(1)).expect("the disk takes it")
}

fn blobs() -> (TempDir, FileBlobs) {
    let root = TempDir::new().expect("a temporary directory");
    let blobs = open(&root.path().join("registry"));
    (root, blobs)
}

fn id(n: u128) -> UploadId {
    UploadId::new(ContainerId::from_bits(n))
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, bytes)
}

/// Bytes that repeat nowhere near.
fn content(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at * 31 + at / 251) as u8).collect()
}

async fn append(blobs: &FileBlobs, id: UploadId, bytes: &[u8]) -> u64 {
    let mut upload = blobs.append(id).await.expect("it is there");
    upload.write(Bytes::copy_from_slice(bytes)).await.expect("there is room");
    upload.pause().await.expect("there is room")
}

async fn finish(blobs: &FileBlobs, id: UploadId, digest: Digest) -> Result<u64, BlobError> {
    blobs.append(id).await?.finish(digest).await
}

async fn read(blobs: &FileBlobs, digest: &Digest, range: Option<std::ops::Range<u64>>) -> Option<Vec<u8>> {
    let opened = blobs.open(digest, range).await.expect("it can be read")?;
    let pieces: Vec<Bytes> = opened.pieces.try_collect().await.expect("it can be read");
    Some(pieces.concat())
}

#[tokio::test]
async fn an_upload_becomes_a_blob() {
    let (_root, blobs) = blobs();
    let bytes = content(700_000);
    blobs.begin(id(1)).await.expect("there is room");
    assert_eq!(append(&blobs, id(1), &bytes[..10]).await, 10);
    assert_eq!(append(&blobs, id(1), &bytes[10..600_000]).await, 600_000);
    assert_eq!(blobs.progress(id(1)).await.expect("readable"), Some(600_000));
    let mut upload = blobs.append(id(1)).await.expect("it is there");
    upload.write(bytes[600_000..].to_vec().into()).await.expect("there is room");
    assert_eq!(upload.len(), 700_000);
    let digest = sha256(&bytes);
    assert_eq!(upload.finish(digest.clone()).await.expect("it is what it says"), 700_000);
    assert_eq!(blobs.progress(id(1)).await.expect("readable"), None);
    assert_eq!(blobs.stat(&digest).await.expect("readable"), Some(700_000));
    assert_eq!(read(&blobs, &digest, None).await.as_deref(), Some(&bytes[..]));
    assert_eq!(read(&blobs, &digest, Some(5..300_000)).await.as_deref(), Some(&bytes[5..300_000]));
    assert_eq!(read(&blobs, &digest, Some(699_999..900_000)).await.as_deref(), Some(&bytes[699_999..]));
    let first_byte = u8::from_str_radix(&digest.hex()[..2], 16).expect("hex");
    assert_eq!(blobs.blobs(first_byte).await.expect("readable"), [(digest.clone(), 700_000)]);
    assert!(blobs.delete(&digest).await.expect("it goes"));
    assert!(!blobs.delete(&digest).await.expect("it is gone"));
    assert_eq!(read(&blobs, &digest, None).await, None);
}

#[tokio::test]
async fn nothing_is_a_blob_too() {
    let (_root, blobs) = blobs();
    blobs.begin(id(1)).await.expect("there is room");
    assert_eq!(finish(&blobs, id(1), sha256(b"")).await.expect("it is what it says"), 0);
    assert_eq!(read(&blobs, &sha256(b""), None).await.as_deref(), Some(&b""[..]));
}

#[tokio::test]
async fn the_long_digest_is_another_name() {
    let (_root, blobs) = blobs();
    let bytes = content(300_000);
    let digest = Digest::of(Algorithm::Sha512, &bytes);
    blobs.begin(id(1)).await.expect("there is room");
    append(&blobs, id(1), &bytes).await;
    finish(&blobs, id(1), digest.clone()).await.expect("it is what it says");
    assert_eq!(read(&blobs, &digest, None).await.as_deref(), Some(&bytes[..]));
    assert_eq!(blobs.stat(&sha256(&bytes)).await.expect("readable"), None);
    let short = Bytes::from_static(b"{}");
    let digest = Digest::of(Algorithm::Sha512, &short);
    blobs.put(digest.clone(), short).await.expect("it is what it says");
    assert_eq!(read(&blobs, &digest, None).await.as_deref(), Some(&b"{}"[..]));
}

#[tokio::test]
async fn wrong_content_ends_the_upload() {
    let (_root, blobs) = blobs();
    for (n, bytes) in [(1, content(9)), (2, content(600_000))] {
        blobs.begin(id(n)).await.expect("there is room");
        append(&blobs, id(n), &bytes).await;
        let error = finish(&blobs, id(n), sha256(b"other")).await.expect_err("it is something else");
        let BlobError::WrongDigest { actual, .. } = error else { panic!("{error}") };
        assert_eq!(actual, sha256(&bytes));
        assert_eq!(blobs.stat(&sha256(b"other")).await.expect("readable"), None);
        assert!(matches!(finish(&blobs, id(n), sha256(&bytes)).await, Err(BlobError::NoUpload)));
    }
    let error =
        blobs.put(sha256(b"other"), Bytes::from_static(b"one")).await.expect_err("it is something else");
    assert!(matches!(error, BlobError::WrongDigest { .. }));
    assert_eq!(blobs.uploads().await.expect("readable"), []);
}

#[tokio::test]
async fn an_upload_has_one_writer() {
    let (_root, blobs) = blobs();
    blobs.begin(id(1)).await.expect("there is room");
    let mut first = blobs.append(id(1)).await.expect("it is there");
    assert!(matches!(blobs.append(id(1)).await.err(), Some(BlobError::Busy)));
    assert!(matches!(blobs.abandon(id(1)).await, Err(BlobError::Busy)));
    first.write(Bytes::from_static(b"one")).await.expect("there is room");
    first.pause().await.expect("there is room");
    blobs.abandon(id(1)).await.expect("nobody writes");
    assert!(matches!(blobs.append(id(1)).await.err(), Some(BlobError::NoUpload)));
    blobs.abandon(id(1)).await.expect("it is gone already");
}

/// A client that leaves in the middle: the next one finds what was written, and counts and hashes it right.
#[tokio::test]
async fn a_writer_may_leave() {
    let (_root, blobs) = blobs();
    let bytes = content(3_000_000);
    blobs.begin(id(1)).await.expect("there is room");
    let mut upload = blobs.append(id(1)).await.expect("it is there");
    upload.write(Bytes::copy_from_slice(&bytes[..2_000_000])).await.expect("there is room");
    drop(upload);
    let mut upload = loop {
        match blobs.append(id(1)).await {
            Ok(upload) => break upload,
            // A thread still writes what it was given.
            Err(BlobError::Busy) => tokio::time::sleep(Duration::from_millis(1)).await,
            Err(error) => panic!("{error}"),
        }
    };
    let there = upload.len() as usize;
    assert!(there <= 2_000_000);
    upload.write(Bytes::copy_from_slice(&bytes[there..])).await.expect("there is room");
    upload.finish(sha256(&bytes)).await.expect("it is what it says");
}

#[tokio::test]
async fn uploads_go_on_after_a_restart() {
    let (root, blobs) = blobs();
    let bytes = content(500_000);
    blobs.begin(id(1)).await.expect("there is room");
    append(&blobs, id(1), &bytes[..400_000]).await;
    drop(blobs);
    let blobs = open(&root.path().join("registry"));
    assert_eq!(blobs.uploads().await.expect("readable"), [(id(1), 400_000)]);
    append(&blobs, id(1), &bytes[400_000..]).await;
    finish(&blobs, id(1), sha256(&bytes)).await.expect("it is what it says");
}

#[tokio::test]
async fn the_reserve_is_for_others() {
    let root = TempDir::new().expect("a temporary directory");
    let settings = Settings { reserve_bytes: u64::MAX, writers_max: 1 };
    let blobs = FileBlobs::open(LocalDisk, root.path(), settings, Seed::new(1)).expect("the disk takes it");
    let error = blobs.begin(id(1)).await.expect_err("no disk has so much");
    assert!(matches!(error, BlobError::Reserve { reserve: u64::MAX, .. }) && error.is_full());
    let error = blobs.put(sha256(b""), Bytes::new()).await.expect_err("no disk has so much");
    assert!(error.is_full());
    assert_eq!(blobs.room().await.expect("readable"), 0);
}

/// More uploads than writers: they wait for each other, and none is lost.
#[tokio::test]
async fn many_write_at_once() {
    let (_root, blobs) = blobs();
    let writing = (0..16_u128).map(|n| {
        let blobs = blobs.clone();
        tokio::spawn(async move {
            let bytes = content(300_000 + n as usize);
            blobs.begin(id(n)).await.expect("there is room");
            append(&blobs, id(n), &bytes).await;
            finish(&blobs, id(n), sha256(&bytes)).await.expect("it is what it says");
            assert_eq!(read(&blobs, &sha256(&bytes), None).await.as_deref(), Some(&bytes[..]));
        })
    });
    for writer in writing.collect::<Vec<_>>() {
        writer.await.expect("it ends well");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// However content is cut into pieces and writers, it is the same blob, also with restarts between.
    #[test]
    fn pieces_make_the_whole(
        sizes in proptest::collection::vec((0..300_000_usize, 0..3_u8), 0..6),
    ) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let (root, mut blobs) = blobs();
            let bytes = content(sizes.iter().map(|(size, _)| size).sum());
            blobs.begin(id(1)).await.expect("there is room");
            let mut at = 0;
            let mut upload = None;
            for (size, then) in sizes {
                let mut writer = match upload.take() {
                    Some(writer) => writer,
                    None => blobs.append(id(1)).await.expect("it is there"),
                };
                writer.write(Bytes::copy_from_slice(&bytes[at..at + size])).await.expect("there is room");
                at += size;
                assert_eq!(writer.len(), at as u64);
                match then {
                    0 => upload = Some(writer),
                    1 => assert_eq!(writer.pause().await.expect("there is room"), at as u64),
                    _ => {
                        writer.pause().await.expect("there is room");
                        blobs = open(&root.path().join("registry"));
                    }
                }
            }
            let writer = match upload.take() {
                Some(writer) => writer,
                None => blobs.append(id(1)).await.expect("it is there"),
            };
            assert_eq!(writer.finish(sha256(&bytes)).await.expect("it is what it says"), bytes.len() as u64);
            assert_eq!(read(&blobs, &sha256(&bytes), None).await.as_deref(), Some(&bytes[..]));
        });
    }
}

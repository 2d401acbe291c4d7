//! How fast blobs are taken in and given out, and what that costs.
//!
//! ```shell
//! cargo run --release -p longshore-blobs --example blob-bench -- DIR [MIB] [AT_ONCE]
//! ```
//!
//! It prints MB/s and CPU seconds per GB. Give it a directory on the disk that matters: what counts is `fdatasync`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use longshore_base::{Ids, Seed};
use longshore_blobs::{Blobs, FileBlobs, LocalDisk, Settings, UploadId};
use longshore_images::{Algorithm, Digest};

const PIECE_BYTES: usize = 64 * 1024;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().expect("a directory"));
    let mut number =
        |default: usize| arguments.next().map_or(default, |text| text.parse().expect("a number"));
    let (mib, at_once) = (number(512), number(1));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(bench(dir.join("blob-bench"), mib * 1024 * 1024, at_once));
}

async fn bench(root: PathBuf, size: usize, at_once: usize) {
    let seed = Seed::new(u128::from(std::process::id()));
    let blobs = FileBlobs::open(LocalDisk, &root, Settings::default(), seed).expect("a directory");
    let contents: Vec<(Bytes, Digest)> = (0..at_once)
        .map(|n| {
            let words = (0..size / 8).flat_map(|at| Seed::new(n as u128).of(at as u64).bits().to_le_bytes());
            let bytes: Bytes = words.collect::<Vec<u8>>().into();
            let digest = Digest::of(Algorithm::Sha256, &bytes);
            (bytes, digest)
        })
        .collect();

    let measure = Measure::begin();
    let mut ids = Ids::new(seed);
    let pushes = contents.iter().map(|(bytes, digest)| {
        let id = UploadId::new(ids.container());
        tokio::spawn(push(blobs.clone(), id, bytes.clone(), digest.clone()))
    });
    for push in pushes.collect::<Vec<_>>() {
        push.await.expect("it ends well");
    }
    measure.tell("in ", size * at_once);

    let measure = Measure::begin();
    let pulls = contents.iter().map(|(_, digest)| tokio::spawn(pull(blobs.clone(), digest.clone())));
    for pull in pulls.collect::<Vec<_>>() {
        pull.await.expect("it ends well");
    }
    measure.tell("out", size * at_once);
    for (_, digest) in &contents {
        blobs.delete(digest).await.expect("it goes");
    }
}

async fn push(blobs: FileBlobs, id: UploadId, bytes: Bytes, digest: Digest) {
    blobs.begin(id).await.expect("there is room");
    let mut upload = blobs.append(id).await.expect("it is there");
    for at in (0..bytes.len()).step_by(PIECE_BYTES) {
        let piece = bytes.slice(at..bytes.len().min(at + PIECE_BYTES));
        upload.write(piece).await.expect("there is room");
    }
    upload.finish(digest).await.expect("it is what it says");
}

async fn pull(blobs: FileBlobs, digest: Digest) {
    let mut pieces = blobs.open(&digest, None).await.expect("readable").expect("it is there").pieces;
    while let Some(piece) = pieces.next().await {
        piece.expect("readable");
    }
}

struct Measure {
    began: Instant,
    cpu: Duration,
}

impl Measure {
    fn begin() -> Self {
        Self { began: Instant::now(), cpu: cpu_time() }
    }

    fn tell(self, what: &str, bytes: usize) {
        let (took, cpu) = (self.began.elapsed(), cpu_time() - self.cpu);
        let megabytes = bytes as f64 / 1e6;
        println!(
            "{what} {:.0} MB/s, {:.2} CPU-s/GB",
            megabytes / took.as_secs_f64(),
            cpu.as_secs_f64() / megabytes * 1000.0
        );
    }
}

/// User and system time of this process, to the hundredth of a second: fields 14 and 15 of `/proc/self/stat`.
fn cpu_time() -> Duration {
    const TICKS_PER_SECOND: u64 = 100;
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux has it");
    let behind_name = stat.rsplit_once(')').expect("the name is in brackets").1;
    let ticks: u64 = behind_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().expect("a number"))
        .sum();
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}

//! Measures durable commits and recovery, beside the limit of the disk in the same run.
//!
//! ```text
//! cargo run --release -p longshore-store-embedded --example store-bench [-- DIR [ENGINE...]]
//! ```
//! Engines, by default both, which takes less than a minute: `longshore` (this crate), `log` (a checksummed log,
//! nothing else: the limit). 64 writers wait for their 500-byte commits,
//! one committer thread groups up to 512 of them into one sync. Then a child process writes 1,000,000
//! records and dies without closing, and another opens what it left and reads every record.

use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::time::{Duration, Instant};

use longshore_store::{Commit, KeyRange, Op, Store};
use longshore_store_embedded::EmbeddedStore;

type Outcome<T> = Result<T, Box<dyn Error>>;
type Record = (Vec<u8>, Vec<u8>);

const WRITERS: u64 = 64;
const GROUP_MAX: usize = 512;
const VALUE_BYTES: usize = 500;
const RECORDS: u64 = 1_000_000;
const WRITE_TIME: Duration = Duration::from_secs(6);
const LIMIT_TIME: Duration = Duration::from_secs(2);

/// As little of a store as the measurement needs.
trait Engine: Send {
    /// Makes the records durable together.
    fn write(&mut self, group: &[Record]) -> Outcome<()>;
    /// Reads every record; how many there are.
    fn read_all(&mut self) -> Outcome<u64>;
}

fn open(engine: &str, dir: &Path) -> Outcome<Box<dyn Engine>> {
    fs::create_dir_all(dir)?;
    Ok(match engine {
        "longshore" => Box::new(EmbeddedStore::open(dir)?),
        "log" => Box::new(Log::open(dir)?),
        other => return Err(format!("no engine is called {other}").into()),
    })
}

impl Engine for EmbeddedStore {
    fn write(&mut self, group: &[Record]) -> Outcome<()> {
        let commit = |(key, value): &Record| Commit::new(vec![Op::put(key.clone(), value.clone())]);
        let group: Vec<Commit> = group.iter().map(commit).collect();
        for outcome in self.commit(&group)? {
            outcome?;
        }
        Ok(())
    }

    fn read_all(&mut self) -> Outcome<u64> {
        let mut count = 0;
        self.scan(&KeyRange::ALL, &mut |entry| {
            count += u64::from(entry.value.len() == VALUE_BYTES);
            ControlFlow::Continue(())
        })?;
        Ok(count)
    }
}

/// Length, checksum, payload; nothing else. What a store cannot beat on this disk.
struct Log(File);

impl Log {
    fn open(dir: &Path) -> Outcome<Self> {
        Ok(Self(OpenOptions::new().read(true).append(true).create(true).open(dir.join("log"))?))
    }
}

impl Engine for Log {
    fn write(&mut self, group: &[Record]) -> Outcome<()> {
        let mut bytes = Vec::with_capacity(group.len() * (VALUE_BYTES + 64));
        for (key, value) in group {
            bytes.extend((key.len() as u32).to_le_bytes());
            bytes.extend((value.len() as u32).to_le_bytes());
            bytes.extend(xxhash_rust::xxh3::xxh3_64(value).to_le_bytes());
            bytes.extend(key);
            bytes.extend(value);
        }
        self.0.write_all(&bytes)?;
        self.0.sync_data()?;
        Ok(())
    }

    fn read_all(&mut self) -> Outcome<u64> {
        let mut reader = BufReader::with_capacity(1 << 20, &self.0);
        let mut head = [0; 16];
        let mut found = std::collections::BTreeMap::new();
        while reader.read_exact(&mut head).is_ok() {
            let length =
                |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize;
            let mut key = vec![0; length(0)];
            let mut value = vec![0; length(4)];
            reader.read_exact(&mut key)?;
            reader.read_exact(&mut value)?;
            assert_eq!(head[8..], xxhash_rust::xxh3::xxh3_64(&value).to_le_bytes());
            found.insert(key, value);
        }
        Ok(found.len() as u64)
    }
}

/// Keys arrive in no particular order, as ids do.
fn record(n: u64) -> Record {
    let scattered = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let key = format!("aws/123456789012/eu-central-1/task/default/{scattered:016x}{n:016x}").into_bytes();
    let value =
        (0..VALUE_BYTES as u64).map(|at| (scattered.rotate_left(at as u32 % 61) ^ at) as u8).collect();
    (key, value)
}

fn rss_mib(field: &str) -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap_or_default();
    let kib = line.split_whitespace().nth(1).and_then(|text| text.parse::<u64>().ok());
    kib.map_or_else(|| "?".to_owned(), |kib| (kib / 1024).to_string())
}

fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
}

/// 64 writers, each waiting for its commit before it sends the next.
fn bench_writes(engine: &str, dir: &Path) -> Outcome<()> {
    let mut store = open(engine, dir)?;
    println!("  {engine}: opened, {} MiB resident", rss_mib("VmRSS"));
    let (submit, queue): (SyncSender<(Record, Sender<()>)>, Receiver<_>) = mpsc::sync_channel(1024);
    let committer = std::thread::spawn(move || -> Result<(u64, u64), String> {
        let (mut groups, mut commits) = (0, 0);
        while let Ok(first) = queue.recv() {
            let mut waiting: Vec<Sender<()>> = vec![first.1];
            let mut group = vec![first.0];
            while group.len() < GROUP_MAX
                && let Ok((record, reply)) = queue.try_recv()
            {
                group.push(record);
                waiting.push(reply);
            }
            store.write(&group).map_err(|error| error.to_string())?;
            groups += 1;
            commits += group.len() as u64;
            for reply in waiting {
                // A writer that has left does not mind.
                let _ = reply.send(());
            }
        }
        Ok((groups, commits))
    });
    let stop = Arc::new(AtomicBool::new(false));
    let started = Instant::now();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (submit, stop) = (submit.clone(), Arc::clone(&stop));
            std::thread::spawn(move || {
                let (reply, done) = mpsc::channel();
                let mut times = Vec::new();
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let record = record(n * WRITERS + writer);
                    let sent = Instant::now();
                    if submit.send((record, reply.clone())).is_err() || done.recv().is_err() {
                        break;
                    }
                    times.push(sent.elapsed());
                }
                times
            })
        })
        .collect();
    drop(submit);
    std::thread::sleep(WRITE_TIME);
    stop.store(true, Ordering::Relaxed);
    let mut times = Vec::new();
    for writer in writers {
        times.extend(writer.join().map_err(|_| "a writer panicked")?);
    }
    let elapsed = started.elapsed();
    let (groups, commits) = committer.join().map_err(|_| "the committer panicked")??;
    times.sort();
    println!(
        "  {engine}: {:.0} durable commits/s, groups of {:.0}, p50 {:.2} ms, p99 {:.2} ms, max {:.0} ms; \
         {} MiB resident, at most {}",
        commits as f64 / elapsed.as_secs_f64(),
        commits as f64 / groups as f64,
        percentile(&times, 50),
        percentile(&times, 99),
        percentile(&times, 100),
        rss_mib("VmRSS"),
        rss_mib("VmHWM"),
    );
    Ok(())
}

fn fill(engine: &str, dir: &Path) -> Outcome<()> {
    let mut store = open(engine, dir)?;
    let started = Instant::now();
    for first in (0..RECORDS).step_by(GROUP_MAX) {
        let group: Vec<Record> = (first..RECORDS.min(first + GROUP_MAX as u64)).map(record).collect();
        store.write(&group)?;
    }
    println!("  {engine}: wrote {RECORDS} records in {:.1} s, then died", started.elapsed().as_secs_f64());
    io::stdout().flush()?;
    // Like kill -9: nothing is closed, flushed or dropped.
    std::process::abort()
}

fn recover(engine: &str, dir: &Path) -> Outcome<()> {
    let started = Instant::now();
    let mut store = open(engine, dir)?;
    let opened = started.elapsed();
    let after_open = rss_mib("VmRSS");
    let count = store.read_all()?;
    println!(
        "  {engine}: opened in {:.2} s, all {count} records read {:.2} s after start; {after_open} MiB \
         resident after opening, {} after reading",
        opened.as_secs_f64(),
        started.elapsed().as_secs_f64(),
        rss_mib("VmRSS"),
    );
    if count < RECORDS {
        return Err(format!("{} records are lost", RECORDS - count).into());
    }
    Ok(())
}

/// One writer that appends and syncs: first alone, then with the bytes of 64 commits at once.
fn disk_limit(dir: &Path) -> Outcome<()> {
    fs::create_dir_all(dir)?;
    for commits in [1, WRITERS] {
        let mut file =
            OpenOptions::new().append(true).create(true).open(dir.join(format!("raw-{commits}")))?;
        let bytes = vec![b'x'; (VALUE_BYTES + 80) * commits as usize];
        let started = Instant::now();
        let mut syncs = 0;
        while started.elapsed() < LIMIT_TIME {
            file.write_all(&bytes)?;
            file.sync_data()?;
            syncs += 1;
        }
        let rate = f64::from(syncs) / started.elapsed().as_secs_f64();
        println!(
            "  raw append + fdatasync of {commits} commit(s): {rate:.0} syncs/s, {:.0} commits/s",
            rate * commits as f64
        );
    }
    Ok(())
}

/// Runs one step in a process of its own, so that memory and crashes are its own, too.
fn step(name: &str, engine: &str, dir: &Path) -> Outcome<()> {
    let status = Command::new(std::env::current_exe()?)
        .args(["--step", name, engine])
        .arg(dir)
        .stdout(Stdio::inherit())
        .stderr(Stdio::inherit())
        .status()?;
    if name == "fill" || status.success() { Ok(()) } else { Err(format!("{name} {engine} failed").into()) }
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, name, engine, dir] = arguments.as_slice()
        && flag == "--step"
    {
        let dir = PathBuf::from(dir);
        return match name.as_str() {
            "limit" => disk_limit(&dir),
            "write" => bench_writes(engine, &dir),
            "fill" => fill(engine, &dir),
            "recover" => recover(engine, &dir),
            other => Err(format!("no step is called {other}").into()),
        };
    }
    let (root, engines) = match arguments.split_first() {
        Some((dir, engines)) => (tempfile::tempdir_in(dir)?, engines.to_vec()),
        None => (tempfile::tempdir_in("target").or_else(|_| tempfile::tempdir())?, Vec::new()),
    };
    let engines = if engines.is_empty() { vec!["longshore".to_owned(), "log".to_owned()] } else { engines };
    println!("writing, {WRITERS} writers, {VALUE_BYTES}-byte values, groups of at most {GROUP_MAX}");
    step("limit", "-", root.path())?;
    for engine in &engines {
        step("write", engine, &root.path().join(format!("{engine}-write")))?;
    }
    println!("recovery of {RECORDS} records");
    for engine in &engines {
        let dir = root.path().join(format!("{engine}-recover"));
        step("fill", engine, &dir)?;
        step("recover", engine, &dir)?;
        step("recover", engine, &dir)?;
    }
    Ok(())
}

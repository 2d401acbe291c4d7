//! Decides what an unfinished journal means, before the engine sees it.
//!
//! fjall's own recovery draws the line elsewhere than our promises do: it gives up on a last batch
//! whose checksum is wrong, which is what a power cut leaves behind; and it silently cuts a journal
//! off at the first byte that it cannot read, even if a thousand acknowledged batches follow.
//!
//! We know more than it does: every batch is synced before the next one is begun. So at most the last
//! batch of the newest journal can be unfinished, and it was never acknowledged. If
//! anything intact follows the damage, the damage is in acknowledged data.
//! One case stays undecidable: an acknowledged last batch that rots afterwards looks like an unfinished one.
//!
//! The format is that of fjall 3.1 (its `journal/entry.rs`), little-endian:
//! ```text
//! start  01 | items u32 | sequence number u64
//! item   02 | kind u8 | compression u8 | keyspace u64 | key length u16 | value length u32
//!           | stored value length u32 | key | value
//! end    03 | xxh3 of the items u64 | "FJL" 03
//! clear  04 | keyspace u64                       (counts as an item)
//! ```
//! A fresh journal is longer than what is in it, and zero to its end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

const TAG_START: u8 = 1;
const TAG_ITEM: u8 = 2;
const TAG_END: u8 = 3;
const TAG_CLEAR: u8 = 4;
const TRAILER: &[u8; 4] = &[b'F', b'J', b'L', 3];
const START_BYTES: usize = 1 + 4 + 8;
const ITEM_HEAD_BYTES: usize = 1 + 1 + 1 + 8 + 2 + 4 + 4;
const END_BYTES: usize = 1 + 8 + 4;
const CLEAR_BYTES: usize = 1 + 8;

#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    #[error("failed to read the journal")]
    Io(#[from] io::Error),
    #[error("{file} is damaged at byte {at}, before records that are intact")]
    Damaged { file: String, at: u64 },
    /// There is always one, also in a new store.
    #[error("the journal is missing")]
    Missing,
}

/// Cuts the unfinished batch, if there is one, off the newest journal in `dir`, and refuses damage
/// anywhere else.
pub(crate) fn settle(dir: &Path) -> Result<(), JournalError> {
    let mut journals = journals(dir)?;
    let Some((_, newest)) = journals.pop() else { return Err(JournalError::Missing) };
    let mut sequence = None;
    for (_, sealed) in journals {
        let file = File::open(&sealed)?;
        let end = intact_end(&file, &sealed, &mut sequence)?;
        if !is_zero_from(&file, end)? {
            return Err(damaged(&sealed, end));
        }
    }
    let file = OpenOptions::new().read(true).write(true).open(&newest)?;
    let end = intact_end(&file, &newest, &mut sequence)?;
    if is_zero_from(&file, end)? {
        return Ok(());
    }
    if intact_batch_behind(&file, end)? {
        return Err(damaged(&newest, end));
    }
    file.set_len(end)?;
    file.sync_all()?;
    Ok(())
}

fn damaged(path: &Path, at: u64) -> JournalError {
    let file = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    JournalError::Damaged { file, at }
}

/// The journals with their numbers, oldest first.
fn journals(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let number = match (path.extension(), path.file_stem()) {
            (Some(extension), Some(stem)) if extension == "jnl" => stem.to_string_lossy().parse().ok(),
            _ => None,
        };
        if let Some(number) = number {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found)
}

/// Where the run of intact batches at the front of the file ends.
///
/// `sequence` is that of the batch before. The checksum does not cover these numbers, but they rise,
/// and an unfinished write does not leave an intact batch with a number that does not.
fn intact_end(file: &File, path: &Path, sequence: &mut Option<u64>) -> Result<u64, JournalError> {
    let mut reader = reader_at(file, 0)?;
    let mut end = 0;
    let mut scratch = Vec::new();
    while let Some(batch) = read_batch(&mut reader, &mut scratch)? {
        if sequence.is_some_and(|last| batch.sequence <= last) {
            return Err(damaged(path, end));
        }
        *sequence = Some(batch.sequence);
        end += batch.bytes;
    }
    Ok(end)
}

fn is_zero_from(file: &File, at: u64) -> io::Result<bool> {
    let mut reader = reader_at(file, at)?;
    let mut block = [0; 64 * 1024];
    loop {
        match reader.read(&mut block)? {
            0 => return Ok(true),
            count if block[..count].iter().any(|byte| *byte != 0) => return Ok(false),
            _ => {}
        }
    }
}

/// Whether an intact batch begins anywhere behind `at`.
fn intact_batch_behind(file: &File, at: u64) -> io::Result<bool> {
    // No longer than the rest of one journal (64 MB or a memtable), and looked at only after a crash.
    let mut rest = Vec::new();
    reader_at(file, at)?.read_to_end(&mut rest)?;
    let mut scratch = Vec::new();
    for start in 1..rest.len().saturating_sub(START_BYTES + END_BYTES) {
        let candidate = &rest[start..];
        // A batch of ours has an item behind its start, so that nearly every candidate falls here.
        let plausible = candidate[0] == TAG_START && candidate[START_BYTES] == TAG_ITEM;
        if plausible && read_batch(&mut &candidate[..], &mut scratch)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn reader_at(file: &File, at: u64) -> io::Result<BufReader<&File>> {
    let mut reader = BufReader::with_capacity(256 * 1024, file);
    reader.seek(SeekFrom::Start(at))?;
    Ok(reader)
}

struct IntactBatch {
    sequence: u64,
    bytes: u64,
}

/// Reads one batch; `None` if what is there is no intact batch.
fn read_batch(reader: &mut impl Read, scratch: &mut Vec<u8>) -> io::Result<Option<IntactBatch>> {
    let mut start = [0; START_BYTES];
    if !fill(reader, &mut start)? || start[0] != TAG_START {
        return Ok(None);
    }
    let items = u32::from_le_bytes([start[1], start[2], start[3], start[4]]);
    let [.., a, b, c, d, e, f, g, h] = start;
    let sequence = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    let mut bytes = START_BYTES as u64;
    let mut hasher = Xxh3::default();
    for _ in 0..items {
        match read_item(reader, scratch)? {
            Some(()) => {
                hasher.update(scratch);
                bytes += scratch.len() as u64;
            }
            None => return Ok(None),
        }
    }
    let mut end = [0; END_BYTES];
    if !fill(reader, &mut end)? || end[0] != TAG_END || !end.ends_with(TRAILER) {
        return Ok(None);
    }
    let intact = end[1..9] == hasher.digest().to_le_bytes();
    Ok(intact.then_some(IntactBatch { sequence, bytes: bytes + END_BYTES as u64 }))
}

/// Reads one item into `scratch`; `None` if what is there is no item.
fn read_item(reader: &mut impl Read, scratch: &mut Vec<u8>) -> io::Result<Option<()>> {
    scratch.clear();
    let mut tag = [0; 1];
    if !fill(reader, &mut tag)? {
        return Ok(None);
    }
    scratch.push(tag[0]);
    let head_bytes = match tag[0] {
        TAG_ITEM => ITEM_HEAD_BYTES,
        TAG_CLEAR => CLEAR_BYTES,
        _ => return Ok(None),
    };
    if !take(reader, scratch, head_bytes as u64 - 1)? {
        return Ok(None);
    }
    if tag[0] == TAG_CLEAR {
        return Ok(Some(()));
    }
    let key_bytes = u16::from_le_bytes([scratch[11], scratch[12]]);
    let stored_bytes = u32::from_le_bytes([scratch[17], scratch[18], scratch[19], scratch[20]]);
    let complete = take(reader, scratch, u64::from(key_bytes) + u64::from(stored_bytes))?;
    Ok(complete.then_some(()))
}

/// Appends `count` bytes; whether there were that many. Allocates no more than there are.
fn take(reader: &mut impl Read, scratch: &mut Vec<u8>, count: u64) -> io::Result<bool> {
    Ok(reader.take(count).read_to_end(scratch)? as u64 == count)
}

/// Fills the buffer; whether there were that many bytes.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

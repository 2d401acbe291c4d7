//! What the agent keeps on disk: a set of named JSON texts, in one file that is only appended to.
//!
//! The file begins with a line that names its format. Then comes one line per batch: eight hex digits of its CRC-32,
//! a space, and a JSON list of `[key, text or null]`. A batch counts whole or not at all. What a crash left
//! half-written at the end is cut off when the file is opened; damage anywhere else is an error, because
//! guessing could start a task twice.
//!
//! Beside it lies a reserve of some hundred KiB. When the disk is full, it goes, so that what is under way can still
//! be written; see [`Journal::is_short`].
//!
//! When the file has grown to several times what it is worth, it is written anew beside itself and renamed.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const HEADER: &str = "longshore-agent-journal 1\n";
const FILE: &str = "agent.journal";
const FILE_NEW: &str = "agent.journal.new";
const RESERVE: &str = "agent.reserve";
const LOCK: &str = "agent.lock";

/// The file is written anew when it is larger than this and four times as large as its content.
const COMPACT_BYTES_MIN: u64 = 1 << 20;
const COMPACT_FACTOR: u64 = 4;

/// Enough for the ends of a few hundred containers.
const RESERVE_BYTES: usize = 256 << 10;

/// One change: a new text for a key, or its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub key: String,
    pub text: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("another agent uses the directory {0}")]
    InUse(PathBuf),
    #[error("{path} is not a journal of this agent")]
    Format { path: PathBuf },
    #[error("{path} is damaged at byte {offset}, before its end")]
    Damaged { path: PathBuf, offset: u64 },
    /// Nothing was written, and what was there before is as it was: the same may be tried again.
    #[error("the disk of {path} is full")]
    Full { path: PathBuf, source: io::Error },
    #[error("cannot {doing} {path}")]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
}

/// A file that is only appended to. What can fail on a real disk can be made to fail in a test.
trait Medium: std::fmt::Debug + Send + Sync {
    fn append(&mut self, text: &[u8]) -> io::Result<()>;
    /// Takes back what a failed append left behind the first `size` bytes.
    fn cut(&mut self, size: u64) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
}

impl Medium for File {
    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        self.write_all(text)
    }

    fn cut(&mut self, size: u64) -> io::Result<()> {
        self.set_len(size)?;
        self.seek(SeekFrom::End(0)).map(drop)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// An open journal. Blocking; belongs on a thread that may wait for the disk.
#[derive(Debug)]
pub struct Journal {
    directory: PathBuf,
    file: Box<dyn Medium>,
    live: BTreeMap<String, String>,
    size: u64,
    live_bytes: u64,
    /// The disk was too full to write the file anew; not tried again before it is as large as this.
    compact_from: u64,
    /// The reserve is used up.
    is_short: bool,
    /// Held as long as the journal is open.
    _lock: File,
}

impl Journal {
    /// Opens the journal of a directory, or begins one. A torn end is cut off; how many bytes that
    /// were comes back for the log.
    pub fn open(directory: &Path) -> Result<(Self, u64), JournalError> {
        let failed = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| JournalError::Io { doing, path, source }
        };
        fs::create_dir_all(directory).map_err(failed("make", directory))?;
        let lock_path = directory.join(LOCK);
        let lock = File::create(&lock_path).map_err(failed("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(JournalError::InUse(directory.to_owned())),
            Err(fs::TryLockError::Error(source)) => return Err(failed("lock", &lock_path)(source)),
        }

        let path = directory.join(FILE);
        let content = match fs::read(&path) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(failed("read", &path)(source)),
        };
        let parsed = parse(&content).map_err(|problem| match problem {
            Problem::Format => JournalError::Format { path: path.clone() },
            Problem::Damaged { offset } => JournalError::Damaged { path: path.clone(), offset },
        })?;
        let mut file = private().truncate(false).open(&path).map_err(failed("open", &path))?;
        let torn = content.len() as u64 - parsed.good;
        let mut size = parsed.good;
        file.set_len(size).map_err(failed("truncate", &path))?;
        file.seek(SeekFrom::End(0)).map_err(failed("seek in", &path))?;
        if size == 0 {
            file.write_all(HEADER.as_bytes()).map_err(failed("write", &path))?;
            size = HEADER.len() as u64;
        }
        file.sync_all().map_err(failed("sync", &path))?;
        sync_directory(directory).map_err(failed("sync", directory))?;
        let live_bytes = parsed.live.iter().map(|(key, text)| (key.len() + text.len()) as u64).sum();
        let mut journal = Self {
            directory: directory.to_owned(),
            file: Box::new(file),
            live: parsed.live,
            size,
            live_bytes,
            compact_from: COMPACT_BYTES_MIN,
            is_short: false,
            _lock: lock,
        };
        journal.keep_reserve();
        Ok((journal, torn))
    }

    /// Everything that is in it.
    pub fn content(&self) -> &BTreeMap<String, String> {
        &self.live
    }

    /// True while the reserve is used up because the disk is full. What [`Journal::write`] accepted is durable all the
    /// same, but nothing new should be begun.
    pub fn is_short(&self) -> bool {
        self.is_short
    }

    /// Makes the reserve anew if it is missing. The journal is short of space until that succeeds.
    pub fn keep_reserve(&mut self) {
        let path = self.directory.join(RESERVE);
        let is_whole = fs::metadata(&path).is_ok_and(|found| found.len() == RESERVE_BYTES as u64);
        let made = is_whole || {
            let written = private().truncate(true).open(&path).and_then(|mut file| {
                // Not a hole: the blocks have to be taken.
                file.write_all(&vec![b'.'; RESERVE_BYTES])?;
                file.sync_all()
            });
            if written.is_err() {
                // Half of it would only take space from the journal.
                let _ = fs::remove_file(&path);
            }
            written.is_ok()
        };
        self.is_short = !made;
    }

    /// Appends batches and makes them durable with one sync. After [`JournalError::Full`] nothing has changed. After
    /// any other error nothing more may be written: what is on disk is unknown.
    pub fn write(&mut self, batches: &[Vec<Change>]) -> Result<(), JournalError> {
        let mut text = String::new();
        for batch in batches {
            encode(batch.iter().map(|change| (&change.key, change.text.as_ref())), &mut text);
        }
        match self.append(text.as_bytes()) {
            Err(JournalError::Full { .. }) if !self.is_short => {
                self.is_short = true;
                let _ = fs::remove_file(self.directory.join(RESERVE));
                self.append(text.as_bytes())?;
            }
            result => result?,
        }
        self.size += text.len() as u64;
        for change in batches.iter().flatten() {
            self.apply(change);
        }
        if self.size > self.compact_from && self.size > self.live_bytes * COMPACT_FACTOR {
            match self.compact() {
                Err(JournalError::Full { .. }) => {
                    // The long file is as good, only longer.
                    let _ = fs::remove_file(self.directory.join(FILE_NEW));
                    self.compact_from = self.size + COMPACT_BYTES_MIN;
                }
                result => result?,
            }
        }
        Ok(())
    }

    fn append(&mut self, text: &[u8]) -> Result<(), JournalError> {
        if let Err(source) = self.file.append(text) {
            // A part of it may be there.
            return Err(match self.file.cut(self.size) {
                Ok(()) => self.error("write", FILE, source),
                Err(source) => {
                    let path = self.directory.join(FILE);
                    JournalError::Io { doing: "undo a write of", path, source }
                }
            });
        }
        // A sync that failed is another matter, also for want of space: the kernel may have dropped what it could not
        // write.
        self.file.sync().map_err(|source| {
            let path = self.directory.join(FILE);
            JournalError::Io { doing: "sync", path, source }
        })
    }

    fn apply(&mut self, change: &Change) {
        let weight = |text: &String| (change.key.len() + text.len()) as u64;
        let old = match &change.text {
            Some(text) => {
                self.live_bytes += weight(text);
                self.live.insert(change.key.clone(), text.clone())
            }
            None => self.live.remove(&change.key),
        };
        self.live_bytes -= old.as_ref().map_or(0, weight);
    }

    /// Writes the content to a new file and puts it in place of the old one.
    fn compact(&mut self) -> Result<(), JournalError> {
        let mut text = HEADER.to_owned();
        for (key, value) in &self.live {
            encode([(key, Some(value))].into_iter(), &mut text);
        }
        let (new, path) = (self.directory.join(FILE_NEW), self.directory.join(FILE));
        let mut file =
            private().truncate(true).open(&new).map_err(|source| self.error("make", FILE_NEW, source))?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&new, &path))
            .and_then(|()| sync_directory(&self.directory))
            .map_err(|source| self.error("write", FILE_NEW, source))?;
        self.file = Box::new(file);
        self.size = text.len() as u64;
        self.compact_from = COMPACT_BYTES_MIN;
        Ok(())
    }

    fn error(&self, doing: &'static str, name: &str, source: io::Error) -> JournalError {
        let path = self.directory.join(name);
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => JournalError::Full { path, source },
            _ => JournalError::Io { doing, path, source },
        }
    }
}

/// For the owner alone: environments of containers may hold passwords.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).write(true).mode(0o600);
    options
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn encode<'a>(changes: impl Iterator<Item = (&'a String, Option<&'a String>)>, into: &mut String) {
    let changes: Vec<_> = changes.collect();
    let json = serde_json::to_string(&changes).expect("texts always serialise");
    into.push_str(&format!("{:08x} {json}\n", crc32(json.as_bytes())));
}

struct Parsed {
    live: BTreeMap<String, String>,
    /// How many bytes from the beginning are whole batches.
    good: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Problem {
    Format,
    Damaged { offset: u64 },
}

fn parse(content: &[u8]) -> Result<Parsed, Problem> {
    let mut parsed = Parsed { live: BTreeMap::new(), good: 0 };
    let header = HEADER.as_bytes();
    let Some(mut rest) = content.strip_prefix(header) else {
        // Nothing, or a header that was not finished.
        return if header.starts_with(content) { Ok(parsed) } else { Err(Problem::Format) };
    };
    parsed.good = header.len() as u64;
    while !rest.is_empty() {
        let line = rest.iter().position(|byte| *byte == b'\n').map(|end| &rest[..end]);
        let Some((line, changes)) = line.and_then(|line| Some((line, decode(line)?))) else {
            // Torn if no whole batch follows.
            let follows = rest.split(|byte| *byte == b'\n').skip(1).any(|line| decode(line).is_some());
            return if follows { Err(Problem::Damaged { offset: parsed.good }) } else { Ok(parsed) };
        };
        for (key, text) in changes {
            match text {
                Some(text) => parsed.live.insert(key, text),
                None => parsed.live.remove(&key),
            };
        }
        rest = &rest[line.len() + 1..];
        parsed.good += line.len() as u64 + 1;
    }
    Ok(parsed)
}

/// One line without its end; `None` if it is not whole.
fn decode(line: &[u8]) -> Option<Vec<(String, Option<String>)>> {
    let (crc, json) = (line.get(..8)?, line.get(9..)?);
    let crc = u32::from_str_radix(std::str::from_utf8(crc).ok()?, 16).ok()?;
    (line[8] == b' ' && crc32(json) == crc).then(|| serde_json::from_slice(json).ok())?
}

/// CRC-32 as in gzip (reflected polynomial 0xEDB88320).
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut at = 0;
        while at < 256 {
            let mut value = at as u32;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 1 == 1 { (value >> 1) ^ 0xedb8_8320 } else { value >> 1 };
                bit += 1;
            }
            table[at] = value;
            at += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc, byte| (crc >> 8) ^ TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize])
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use proptest::prelude::*;

    use super::*;

    /// A directory that goes away with the test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let name =
                format!("longshore-journal-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            Self(std::env::temp_dir().join(name))
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn put(key: &str, text: &str) -> Change {
        Change { key: key.into(), text: Some(text.into()) }
    }

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn what_was_written_is_there_after_opening_again() {
        let scratch = Scratch::new();
        let (mut journal, torn) = Journal::open(&scratch.0).expect("a new one");
        assert_eq!((journal.content().len(), torn), (0, 0));
        journal.write(&[vec![put("a", "1"), put("b", "\n\"2\"")]]).expect("written");
        journal.write(&[vec![Change { key: "a".into(), text: None }], vec![put("c", "3")]]).expect("written");
        assert!(matches!(Journal::open(&scratch.0), Err(JournalError::InUse(_))));
        let before = journal.content().clone();
        drop(journal);
        let (journal, torn) = Journal::open(&scratch.0).expect("it is whole");
        assert_eq!(torn, 0);
        assert_eq!(journal.content(), &before);
        assert_eq!(
            before.into_iter().collect::<Vec<_>>(),
            [("b".to_owned(), "\n\"2\"".to_owned()), ("c".to_owned(), "3".to_owned())]
        );
    }

    #[test]
    fn a_grown_file_is_written_anew() {
        let scratch = Scratch::new();
        let (mut journal, _) = Journal::open(&scratch.0).expect("a new one");
        let long = "x".repeat(200_000);
        for n in 0..20 {
            journal.write(&[vec![put("same", &format!("{n}{long}"))]]).expect("written");
        }
        assert!(journal.size < 2 << 20, "{} bytes", journal.size);
        journal.write(&[vec![put("more", "1")]]).expect("written");
        drop(journal);
        let (journal, _) = Journal::open(&scratch.0).expect("it is whole");
        assert_eq!(journal.content().len(), 2);
        assert!(journal.content()["same"].starts_with("19x"));
    }

    /// A disk with room for so many bytes more.
    #[derive(Debug)]
    struct Small {
        file: File,
        room: usize,
    }

    impl Medium for Small {
        fn append(&mut self, text: &[u8]) -> io::Result<()> {
            let fits = text.len().min(self.room);
            self.file.append(&text[..fits])?;
            self.room -= fits;
            if fits < text.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }

        fn cut(&mut self, size: u64) -> io::Result<()> {
            self.file.cut(size)
        }

        fn sync(&mut self) -> io::Result<()> {
            self.file.sync()
        }
    }

    #[test]
    fn a_full_disk_loses_nothing_and_is_got_over() {
        let scratch = Scratch::new();
        let reserve = scratch.0.join(RESERVE);
        let (mut journal, _) = Journal::open(&scratch.0).expect("a new one");
        journal.write(&[vec![put("a", "1")]]).expect("written");
        assert!(!journal.is_short() && fs::metadata(&reserve).is_ok_and(|found| found.len() > 0));
        let open = || OpenOptions::new().append(true).open(scratch.0.join(FILE)).expect("it is there");
        journal.file = Box::new(Small { file: open(), room: 30 });
        let batch = [vec![put("b", &"x".repeat(100))]];
        for _ in 0..2 {
            assert!(matches!(journal.write(&batch), Err(JournalError::Full { .. })));
            assert!(journal.is_short() && !reserve.exists(), "what was kept in reserve is given up");
            assert_eq!(journal.content().len(), 1);
            assert_eq!(
                fs::metadata(scratch.0.join(FILE)).expect("there").len(),
                journal.size,
                "nothing is left over"
            );
        }
        journal.file = Box::new(Small { file: open(), room: 10_000 });
        journal.write(&batch).expect("there is room");
        assert!(journal.is_short(), "until there is a reserve again");
        journal.keep_reserve();
        assert!(!journal.is_short());
        drop(journal);
        let (journal, torn) = Journal::open(&scratch.0).expect("it is whole");
        assert_eq!((journal.content().len(), torn), (2, 0));
    }

    #[test]
    fn damage_before_the_end_is_an_error() {
        let mut text = HEADER.to_owned();
        for key in ["a", "b", "c"] {
            encode([(&key.to_owned(), Some(&"1".to_owned()))].into_iter(), &mut text);
        }
        let mut damaged = text.clone().into_bytes();
        let at = HEADER.len() + 12;
        damaged[at] ^= 1;
        assert_eq!(parse(&damaged).err(), Some(Problem::Damaged { offset: HEADER.len() as u64 }));
        assert_eq!(parse(b"something else\n").err(), Some(Problem::Format));
    }

    proptest! {
        /// Wherever a crash cuts the file, what remains is a prefix of the batches.
        #[test]
        fn a_torn_end_loses_only_the_last_batch(
            batches in prop::collection::vec(prop::collection::vec(("[a-c]", ".{0,9}"), 1..3), 1..6),
            cut in any::<prop::sample::Index>(),
            garbage in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut text = HEADER.to_owned();
            let mut states = vec![(text.len(), BTreeMap::new())];
            for batch in &batches {
                encode(batch.iter().map(|(key, value)| (key, Some(value))), &mut text);
                let mut state = states.last().expect("there is one").1.clone();
                state.extend(batch.iter().cloned());
                states.push((text.len(), state));
            }
            let cut = HEADER.len() + cut.index(text.len() - HEADER.len() + 1);
            let mut content = text.as_bytes()[..cut].to_vec();
            content.extend(&garbage);
            let parsed = parse(&content).map_err(|problem| TestCaseError::fail(format!("{problem:?}")))?;
            let expected = states.iter().rev().find(|(length, _)| *length <= cut).expect("the header is whole");
            prop_assert_eq!(parsed.live, expected.1.clone());
            prop_assert_eq!(parsed.good, expected.0 as u64);
        }
    }
}

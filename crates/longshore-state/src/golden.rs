//! What every domain proves of its records: what was stored once stays readable, and is written as it was.
//!
//! A directory holds one record of every kind and level, as hex, as a released version wrote it: `tasks.1.hex` is a task
//! of level 1. Today's code has to read the file of today's level to the sample, and to write the sample to the same
//! bytes. Both fail when a layout changes. Then the kind's level has to rise, and the files of earlier levels are read
//! but no longer written: a layout may only change in such ways that they still can be.
//!
//! With `LONGSHORE_WRITE_GOLDEN=1` files that are missing are written. A file that exists is never replaced: before the
//! first release, delete it by hand and say why.
//!
//! As with the conformance suites of the ports, everything here panics with what is wrong; the tests of a domain call it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::domain::Tables;
use crate::record::{Record, decode, encode, encoded_len, key_text};
use crate::records::Records;

/// The files of one domain.
pub struct Golden {
    directory: PathBuf,
}

impl Golden {
    /// `home` is the domain's crate (`env!("CARGO_MANIFEST_DIR")`); the files are in its `tests/golden`.
    pub fn of(home: &str) -> Self {
        Self { directory: [home, "tests", "golden"].iter().collect() }
    }

    /// Each kind of the domain has a sample, and there are no others.
    pub fn samples_cover<T: Tables>(samples: &Records) {
        let sampled: BTreeSet<_> = samples.counts().map(|(_, kind, _)| kind.to_owned()).collect();
        let domains = crate::Domains::new("test").with::<T>();
        let own = domains.kinds().filter(|(domain, _)| *domain == T::DOMAIN);
        assert_eq!(sampled, own.map(|(_, kind)| kind.name.to_owned()).collect());
    }

    /// A kind reads and writes as it did.
    pub fn is_unchanged<R: Record>(&self, samples: &Records) {
        let (key, record) = one::<R>(samples);
        let name = format!("{}.{}", R::KIND.name, R::KIND.level);
        let written = encode(record);
        assert_eq!(encoded_len(record), written.len(), "what {name} takes is counted as it is written");
        if !self.path(&name).exists() && std::env::var_os("LONGSHORE_WRITE_GOLDEN").is_some() {
            std::fs::write(self.path(&name), to_hex(&written)).expect("the directory can be written");
        }
        let golden = self.read(&name);
        let read: R = decode(&key, &golden).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(read, *record, "{name} reads as something else than was written");
        assert_eq!(
            to_hex(&written),
            to_hex(&golden),
            "{name} is written differently now: its level must rise"
        );
    }

    /// Records of earlier levels of a kind stay readable.
    pub fn earlier_levels_are_read<R: Record>(&self, samples: &Records) {
        let (key, _) = one::<R>(samples);
        for level in 1..R::KIND.level {
            let name = format!("{}.{level}", R::KIND.name);
            let read: Result<R, _> = decode(&key, &self.read(&name));
            read.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }

    /// A layout of before the first release, in `earlier/`, of the same level as what replaced it: members were appended
    /// since, and what is missing reads as its default. Kinds without a sample have none.
    pub fn earlier_layout_is_read<R: Record>(&self, samples: &Records) {
        let Some((key, record)) = samples.of::<R>().next() else { return };
        let name = format!("earlier/{}", R::KIND.name);
        let read: R =
            decode(&key_text::<R>(key), &self.read(&name)).expect("an earlier layout is a shorter one");
        assert_eq!(read, **record, "{name}");
    }

    /// A record of a newer program, and one that is torn, is refused.
    pub fn newer_is_refused<R: Record>(samples: &Records) {
        let (key, record) = one::<R>(samples);
        let mut bytes = encode(record);
        bytes[0] += 1;
        let error = decode::<R>(&key, &bytes).expect_err("its level is newer").to_string();
        assert!(error.contains(&key) && error.contains("use the program that wrote it"), "{error}");
        assert!(decode::<R>(&key, &bytes[..0]).is_err(), "an empty record");
        assert!(decode::<R>(&key, &encode(record)[..2]).is_err(), "a torn record");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.hex"))
    }

    fn read(&self, name: &str) -> Vec<u8> {
        let path = self.path(name);
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        from_hex(&text)
    }
}

/// The sample's record of a kind.
fn one<R: Record>(samples: &Records) -> (String, &R) {
    let (key, record) = samples.of::<R>().next().expect("the sample has one of each kind");
    (key_text::<R>(key), record)
}

/// Thirty-two bytes a line.
fn to_hex(bytes: &[u8]) -> String {
    let line = |line: &[u8]| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
    bytes.chunks(32).map(line).collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text
        .chars()
        .filter(|character| !character.is_whitespace())
        .map(|digit| digit.to_digit(16).expect("a golden file holds hex digits"))
        .collect();
    let byte = |pair: &[u32]| u8::try_from(pair[0] * 16 + pair[1]).expect("two digits are a byte");
    digits.chunks_exact(2).map(byte).collect()
}

//! Stored records stay readable.
//!
//! `golden/` holds one record of every kind and level, as hex, as a released version wrote it: `vpcs.1.hex` is a VPC of
//! level 1. Today's code has to read the file of today's level to the value below, and to write that value to the same
//! bytes. Both fail when a layout changes. Then the kind's level has to rise, and the files of earlier levels are read
//! but no longer written: a layout may only change in such ways that they still can be.
//!
//! With `LONGSHORE_WRITE_GOLDEN=1` files that are missing are written. A file that exists is never
//! replaced: before the first release, delete it by hand and say why.

mod sample;

use std::collections::BTreeSet;
use std::path::PathBuf;

use longshore_state::record::{decode, encode, encoded_len, key_text};
use longshore_state::{Domains, Record, Records};
use longshore_tables_ec2::Ec2Tables;
use longshore_tables_ec2::record::*;

fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "golden", &format!("{name}.hex")].iter().collect()
}

fn golden(name: &str) -> Vec<u8> {
    let path = path(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    from_hex(&text)
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

/// Calls `$check::<R>($records)` for each kind of record.
macro_rules! each_kind {
    ($check:ident, $records:expr) => {{
        let records = $records;
        $check::<DhcpOptions>(&records);
        $check::<InternetGateway>(&records);
        $check::<KeyPair>(&records);
        $check::<LaunchTemplate>(&records);
        $check::<NetworkAcl>(&records);
        $check::<RouteTable>(&records);
        $check::<SecurityGroup>(&records);
        $check::<Settled>(&records);
        $check::<Subnet>(&records);
        $check::<TemplateVersion>(&records);
        $check::<Vpc>(&records);
    }};
}

/// The sample's record of a kind.
fn one<R: Record>(records: &Records) -> (String, &R) {
    let (key, record) = records.of::<R>().next().expect("the sample has one of each kind");
    (key_text::<R>(key), record)
}

#[test]
fn every_kind_has_a_sample() {
    let sampled: BTreeSet<_> = sample::records().counts().map(|(_, kind, _)| kind.to_owned()).collect();
    let domains = Domains::new("test").with::<Ec2Tables>();
    let kinds = domains.kinds().filter(|(domain, _)| *domain == "ec2").map(|(_, kind)| kind.name.to_owned());
    assert_eq!(sampled, kinds.collect());
}

#[test]
fn every_kind_reads_and_writes_as_it_did() {
    fn check<R: Record>(records: &Records) {
        let (key, record) = one::<R>(records);
        let name = format!("{}.{}", R::KIND.name, R::KIND.level);
        let written = encode(record);
        assert_eq!(encoded_len(record), written.len(), "what {name} takes is counted as it is written");
        if !path(&name).exists() && std::env::var_os("LONGSHORE_WRITE_GOLDEN").is_some() {
            std::fs::write(path(&name), to_hex(&written)).expect("the directory can be written");
        }
        let golden = golden(&name);
        let read: R = decode(&key, &golden).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(read, *record, "{name} reads as something else than was written");
        assert_eq!(
            to_hex(&written),
            to_hex(&golden),
            "{name} is written differently now: its level must rise"
        );
    }
    each_kind!(check, sample::records());
}

#[test]
fn records_of_earlier_levels_stay_readable() {
    fn check<R: Record>(records: &Records) {
        let (key, _) = one::<R>(records);
        for level in 1..R::KIND.level {
            let name = format!("{}.{level}", R::KIND.name);
            let read: Result<R, _> = decode(&key, &golden(&name));
            read.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
    each_kind!(check, sample::records());
}

#[test]
fn a_record_of_a_newer_program_is_refused() {
    fn check<R: Record>(records: &Records) {
        let (key, record) = one::<R>(records);
        let mut bytes = encode(record);
        bytes[0] += 1;
        let error = decode::<R>(&key, &bytes).expect_err("its level is newer").to_string();
        assert!(error.contains(&key) && error.contains("use the program that wrote it"), "{error}");
        assert!(decode::<R>(&key, &bytes[..0]).is_err(), "an empty record");
        assert!(decode::<R>(&key, &encode(record)[..2]).is_err(), "a torn record");
    }
    each_kind!(check, sample::records());
}

//! Stored records stay readable.
//!
//! `golden/` holds one record of every kind, as hex, as a released version wrote it. Today's code has
//! to read each file to the value below, and to write that value to the same bytes. Both fail when a
//! layout changes in another way than by appended members with `#[serde(default)]`; then the codec's
//! version has to rise, and the old files are read from a directory of their version but no longer written.
//!
//! Where members have been appended since, the file of the shorter layout is kept in `earlier/`, which only is read.
//!
//! With `LONGSHORE_WRITE_GOLDEN=1` files that are missing are written. A file that exists is never
//! replaced: before the first release, delete it by hand and say why.

mod sample;

use std::path::PathBuf;

use longshore_state::Value;

/// Fails to compile when a kind of record is added without a golden file.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Cluster(_) => "cluster",
        Value::Instance(_) => "instance",
        Value::FamilyCounter(_) => "family-counter",
        Value::TaskDefinition(_) => "task-definition",
        Value::Task(_) => "task",
        Value::Service(_) => "service",
        Value::ServiceEvent(_) => "service-event",
        Value::ServiceDeployment(_) => "service-deployment",
        Value::ServiceRevision(_) => "service-revision",
        Value::TaskSet(_) => "task-set",
        Value::CapacityProvider(_) => "capacity-provider",
        Value::AccountSetting(_) => "account-setting",
        Value::Token(_) => "token",
    }
}
const KINDS: usize = 13;

fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "golden", "v1", &format!("{name}.hex")].iter().collect()
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

#[test]
fn every_kind_reads_and_writes_as_it_did() {
    let mut kinds = Vec::new();
    for (key, value) in sample::records() {
        let name = kind(&value);
        kinds.push(name);
        assert_eq!(
            value.encoded_len(),
            value.encode().len(),
            "what {name} takes is counted as it is written"
        );
        let path = path(name);
        let written = to_hex(&value.encode());
        if !path.exists() && std::env::var_os("LONGSHORE_WRITE_GOLDEN").is_some() {
            std::fs::write(&path, &written).expect("the directory is there and can be written");
        }
        let golden =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let read = Value::decode(&key, &from_hex(&golden)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(read, value, "{name} reads as something else than was written");
        assert_eq!(written, golden, "{name} is written differently now");
    }
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds.len(), KINDS, "{kinds:?}");
}

/// Members were appended since: what is missing reads as its default.
#[test]
fn records_of_earlier_versions_stay_readable() {
    for (key, value) in sample::earlier() {
        let path = path(&format!("earlier/{}", kind(&value)));
        let golden =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let read = Value::decode(&key, &from_hex(&golden)).expect("an earlier layout is a shorter one");
        assert_eq!(read, value, "{}", path.display());
    }
}

#[test]
fn a_record_of_a_newer_program_is_refused() {
    for (key, value) in sample::records() {
        let mut bytes = value.encode();
        bytes[0] += 1;
        let error = Value::decode(&key, &bytes).expect_err("its version is newer");
        assert!(error.to_string().contains("newer"), "{error}");
        assert!(Value::decode(&key, &bytes[..0]).is_err(), "an empty record");
        assert!(Value::decode(&key, &value.encode()[..2]).is_err(), "a torn record");
    }
}

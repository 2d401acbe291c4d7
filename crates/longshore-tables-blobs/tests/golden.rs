//! Stored records stay readable: [`longshore_state::golden`] says how, and what to do when this fails.

// The other tests use all of it.
#[allow(dead_code)]
mod sample;

use longshore_state::{Golden, Record, Records};
use longshore_tables_blobs::{Blob, BlobTables, Link, Upload};

/// Calls `$check::<R>($records)` for each kind of record.
macro_rules! each_kind {
    ($check:ident, $records:expr) => {{
        let records = $records;
        $check::<Blob>(&records);
        $check::<Link>(&records);
        $check::<Upload>(&records);
    }};
}

fn golden() -> Golden {
    Golden::of(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_kind_has_a_sample() {
    Golden::samples_cover::<BlobTables>(&sample::records());
}

#[test]
fn every_kind_reads_and_writes_as_it_did() {
    fn check<R: Record>(records: &Records) {
        golden().is_unchanged::<R>(records);
    }
    each_kind!(check, sample::records());
}

#[test]
fn records_of_earlier_levels_stay_readable() {
    fn check<R: Record>(records: &Records) {
        golden().earlier_levels_are_read::<R>(records);
    }
    each_kind!(check, sample::records());
}

#[test]
fn a_record_of_a_newer_program_is_refused() {
    fn check<R: Record>(records: &Records) {
        Golden::newer_is_refused::<R>(records);
    }
    each_kind!(check, sample::records());
}

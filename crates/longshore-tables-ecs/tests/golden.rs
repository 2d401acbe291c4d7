//! Stored records stay readable: [`longshore_state::golden`] says how, and what to do when this fails.
//!
//! `golden/earlier/` has layouts of before the first release, of the same level as what replaced them.

mod sample;

use longshore_state::{Golden, Record, Records};
use longshore_tables_ecs::EcsTables;
use longshore_tables_ecs::record::*;

fn golden() -> Golden {
    Golden::of(env!("CARGO_MANIFEST_DIR"))
}

/// Calls `$check::<R>($records)` for each kind of record.
macro_rules! each_kind {
    ($check:ident, $records:expr) => {{
        let records = $records;
        $check::<AccountSetting>(&records);
        $check::<CapacityProvider>(&records);
        $check::<Cluster>(&records);
        $check::<FamilyCounter>(&records);
        $check::<Instance>(&records);
        $check::<InstanceKey>(&records);
        $check::<JoinToken>(&records);
        $check::<Service>(&records);
        $check::<ServiceDeployment>(&records);
        $check::<ServiceEvent>(&records);
        $check::<ServiceRevision>(&records);
        $check::<Task>(&records);
        $check::<TaskDefinition>(&records);
        $check::<TaskSet>(&records);
        $check::<Token>(&records);
    }};
}

#[test]
fn every_kind_has_a_sample() {
    Golden::samples_cover::<EcsTables>(&sample::records());
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
fn records_of_before_the_first_release_stay_readable() {
    fn check<R: Record>(records: &Records) {
        golden().earlier_layout_is_read::<R>(records);
    }
    each_kind!(check, sample::earlier());
}

#[test]
fn a_record_of_a_newer_program_is_refused() {
    fn check<R: Record>(records: &Records) {
        Golden::newer_is_refused::<R>(records);
    }
    each_kind!(check, sample::records());
}

//! The tables step by step: what a client sees, what lapses when.

// The simulation uses the rest.
#[allow(dead_code)]
mod sample;

use std::time::Duration;

use longshore_state::Tx;
use longshore_tables_blobs::collect::{self, Settings};
use longshore_tables_blobs::hold::{self, LEASE};
use longshore_tables_blobs::{BlobState, BlobsState, Upload, UploadKey};
use proptest::prelude::*;
use sample::{HOLDERS, NOW, Shelf, ShelfKey, Wish, WishKey, at, digest, empty, holder, link, links, upload};

const GRACE: Duration = Duration::from_secs(24 * 3600);
const SETTINGS: Settings = Settings { grace: GRACE, upload_kept: GRACE };

fn lapse(tx: &mut Tx<'_>) -> usize {
    let (mut after, before) = (None, tx.changed());
    loop {
        after = collect::lapse(tx, &HOLDERS, &SETTINGS, after.as_ref());
        if after.is_none() {
            return tx.changed() - before;
        }
    }
}

#[test]
fn a_blob_is_seen_through_a_link() {
    let mut state = empty(2);
    at(&mut state, NOW, |tx| hold::stored(tx, &holder(0), &digest("a"), 7));
    assert_eq!(hold::find(&state, &holder(0), &digest("a")), Some(7));
    assert_eq!(hold::find(&state, &holder(1), &digest("a")), None);
    at(&mut state, NOW, |tx| {
        assert!(!hold::mount(tx, &holder(1), &holder(0), &digest("a")), "it has it not");
        assert!(hold::mount(tx, &holder(0), &holder(1), &digest("a")));
        assert!(hold::unlink(tx, &holder(0), &digest("a")) && !hold::unlink(tx, &holder(0), &digest("a")));
    });
    assert_eq!(hold::find(&state, &holder(0), &digest("a")), None);
    assert_eq!(hold::find(&state, &holder(1), &digest("a")), Some(7));
    assert_eq!(state.blobs().holders(&digest("a")).collect::<Vec<_>>(), [&holder(1)]);
    assert_eq!(state.blobs().usage(), (1, 7));
    assert_eq!(state.check(), Vec::<String>::new());
}

#[test]
fn a_link_lapses_when_nobody_needs_it_or_relies_on_it() {
    let mut state = empty(1);
    at(&mut state, NOW, |tx| {
        for name in ["needed", "told", "lapses"] {
            hold::stored(tx, &holder(0), &digest(name), 1);
        }
        tx.put::<Wish>(WishKey(link(0, "needed")), Wish);
    });
    let late = NOW + GRACE;
    assert_eq!(at(&mut state, late + Duration::from_millis(1) - LEASE, lapse), 0, "the grace is not over");
    at(&mut state, late, |tx| assert_eq!(hold::tell(tx, &holder(0), &digest("told")), Some(1)));
    assert_eq!(at(&mut state, late, lapse), 1);
    assert_eq!(hold::find(&state, &holder(0), &digest("lapses")), None);
    assert_eq!(at(&mut state, late + LEASE - Duration::from_millis(1), lapse), 0, "somebody relies on it");
    assert_eq!(at(&mut state, late + LEASE, lapse), 1);
    assert_eq!(links(&state).keys().collect::<Vec<_>>(), [&link(0, "needed")]);
}

/// A new leader does not know whom others told.
#[test]
fn a_new_leader_takes_nothing_for_a_while() {
    use longshore_state::Tables;
    let mut state = empty(1);
    at(&mut state, NOW, |tx| hold::stored(tx, &holder(0), &digest("a"), 1));
    let late = NOW + GRACE;
    at(&mut state, late, |tx| {
        tx.volatile(|tables: &mut longshore_tables_blobs::BlobTables, _| tables.lead(late))
    });
    assert_eq!(at(&mut state, late + LEASE - Duration::from_millis(1), lapse), 0);
    assert_eq!(at(&mut state, late + LEASE, lapse), 1);
}

#[test]
fn what_a_holder_that_is_gone_has_goes_at_once() {
    let mut state = empty(2);
    at(&mut state, NOW, |tx| {
        for n in 0..2 {
            hold::stored(tx, &holder(n), &digest("a"), 1);
            hold::begin(tx, &holder(n), upload(n));
        }
        tx.delete::<Shelf>(ShelfKey(holder(0)));
    });
    assert_eq!(at(&mut state, NOW, lapse), 1);
    at(&mut state, NOW, |tx| assert_eq!(collect::expire(tx, &HOLDERS, &SETTINGS), [upload(0)]));
    assert_eq!(links(&state).keys().collect::<Vec<_>>(), [&link(1, "a")]);
    assert!(
        hold::has_upload(&state, &holder(1), upload(1)) && !hold::has_upload(&state, &holder(0), upload(1))
    );
    assert!(!state.blobs().knows_upload(upload(0)) && state.blobs().knows_upload(upload(1)));
    at(&mut state, NOW + GRACE, |tx| assert_eq!(collect::expire(tx, &HOLDERS, &SETTINGS), [upload(1)]));
    at(&mut state, NOW + GRACE, |tx| hold::end(tx, &holder(1), upload(1)));
    assert_eq!(state.check(), Vec::<String>::new());
}

#[test]
fn a_blob_that_dies_lives_again_when_it_is_pushed() {
    let mut state = empty(1);
    let of = |state: &longshore_state::State| state.blobs().blob(&digest("a")).map(|blob| blob.state);
    at(&mut state, NOW, |tx| {
        hold::stored(tx, &holder(0), &digest("a"), 1);
        assert_eq!(collect::mark(tx), []);
        hold::unlink(tx, &holder(0), &digest("a"));
        assert_eq!(collect::mark(tx), [digest("a")]);
        assert_eq!(collect::mark(tx), [digest("a")], "it is still to be done");
    });
    assert_eq!(of(&state), Some(BlobState::Dying));
    assert!(collect::may_unlink(&state, &digest("a")) && !collect::is_unknown(&state, &digest("a")));
    at(&mut state, NOW, |tx| hold::stored(tx, &holder(0), &digest("a"), 1));
    assert_eq!(of(&state), Some(BlobState::Kept));
    assert!(!collect::may_unlink(&state, &digest("a")));
    at(&mut state, NOW, |tx| collect::forget(tx, &digest("a")));
    assert_eq!(of(&state), Some(BlobState::Kept), "what lives is not forgotten");
    at(&mut state, NOW, |tx| {
        hold::unlink(tx, &holder(0), &digest("a"));
        collect::mark(tx);
        collect::forget(tx, &digest("a"));
    });
    assert_eq!((of(&state), state.blobs().usage()), (None, (0, 0)));
    assert!(collect::is_unknown(&state, &digest("a")));
}

/// Long work is cut, so that each part fits a commit.
#[test]
fn steps_are_small() {
    let mut state = empty(1);
    for from in 0..6 {
        at(&mut state, NOW, |tx| {
            for n in 0..50 {
                hold::stored(tx, &holder(0), &digest(&format!("{from} {n}")), 1);
            }
        });
    }
    let late = NOW + GRACE;
    let (mut after, mut rounds) = (None, 0);
    loop {
        after = at(&mut state, late, |tx| collect::lapse(tx, &HOLDERS, &SETTINGS, after.as_ref()));
        if after.is_none() {
            break;
        }
        rounds += 1;
    }
    assert_eq!((rounds, links(&state).len()), (3, 0));
    while !at(&mut state, late, collect::mark).is_empty() {
        at(&mut state, late, |tx| collect::mark(tx).iter().for_each(|digest| collect::forget(tx, digest)));
    }
    assert_eq!(state.blobs().usage(), (0, 0));
}

proptest! {
    /// Indexes are what the records say, under any changes, and after a transaction that fails.
    #[test]
    fn what_is_derived_follows(steps in proptest::collection::vec((0..6_u8, 0..3_u128, 0..3_u8, any::<bool>()), 0..40)) {
        let mut state = empty(3);
        for (what, n, name, fails) in steps {
            let (holder, digest) = (holder(n), digest(&name.to_string()));
            let before = links(&state);
            let done = state.transact(NOW, longshore_base::Ids::new(longshore_base::Seed::new(1)), |tx| {
                match what {
                    0 | 1 => hold::stored(tx, &holder, &digest, u64::from(name)),
                    2 => {
                        hold::unlink(tx, &holder, &digest);
                    }
                    3 => {
                        hold::mount(tx, &sample::holder(0), &holder, &digest);
                    }
                    4 => collect::mark(tx).iter().for_each(|digest| collect::forget(tx, digest)),
                    _ => tx.put::<Upload>(UploadKey { holder, id: upload(n) }, Upload { began_at: NOW }),
                }
                if fails { Err(()) } else { Ok(()) }
            });
            prop_assert_eq!(done.expect("it fits").is_err(), fails);
            if fails {
                prop_assert_eq!(&links(&state), &before);
            }
            prop_assert_eq!(state.check(), Vec::<String>::new());
        }
    }
}

//! The keyring in a state: first start, restart, rotation, another root key.

use std::sync::atomic::{AtomicU64, Ordering};

use longshore_base::{AccountId, Ids, Partition, Seed, Timestamp};
use longshore_keyring::record::{DataKey, DataKeyNumber};
use longshore_keyring::{
    Census, Keyring, KeyringError, Place, RootKey, Sealed, Sealing, SealingTx, unneeded,
};
use longshore_state::{Domains, Records, State, Tables, Tx};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const DAY_MILLIS: i64 = 24 * 3600 * 1000;

fn root(byte: u8) -> RootKey {
    RootKey::new([byte; 32])
}

fn empty() -> State {
    State::new(&Domains::new("test").with::<Keyring>(), NOW)
}

fn place(id: &str) -> Place<'_> {
    let account = AccountId::parse("111122223333").expect("twelve digits");
    Place { partition: Partition::Aws, account, region: None, kind: "test", id, version: "1" }
}

fn at<T>(
    state: &mut State,
    now: Timestamp,
    f: impl FnOnce(&mut Tx<'_>) -> Result<T, KeyringError>,
) -> Result<T, KeyringError> {
    static DRAWN: AtomicU64 = AtomicU64::new(0);
    let seed = Seed::new(DRAWN.fetch_add(1, Ordering::Relaxed).into());
    let done = state.transact(now, Ids::new(seed), f).expect("it fits");
    done.map(|(value, _)| value)
}

fn tx<T>(
    state: &mut State,
    f: impl FnOnce(&mut Tx<'_>) -> Result<T, KeyringError>,
) -> Result<T, KeyringError> {
    at(state, NOW, f)
}

/// What a new process finds in the store.
fn restarted(state: &State) -> State {
    let mut stored = Records::new();
    state.of::<Keyring>().records(&mut stored);
    let mut fresh = empty();
    let entered = fresh.transact(NOW, Ids::new(Seed::new(0)), |tx| {
        for (number, record) in stored.of::<DataKey>() {
            tx.put::<DataKey>(*number, record.clone());
        }
        Ok::<_, ()>(())
    });
    entered.expect("it fits").expect("it is entered");
    fresh
}

fn sealed_secret(state: &mut State) -> Sealed {
    tx(state, |tx| tx.seal(&place("a"), b"hunter2")).expect("unlocked")
}

fn opened(state: &State, sealed: &Sealed) -> Result<String, KeyringError> {
    let plain = state.open(&place("a"), sealed)?;
    Ok(plain.as_str().expect("text").to_owned())
}

#[test]
fn nothing_is_sealed_or_opened_without_a_root_key() {
    let mut state = empty();
    assert_eq!(tx(&mut state, |tx| tx.seal(&place("a"), b"x")).err(), Some(KeyringError::Locked));
    assert_eq!(tx(&mut state, |tx| tx.rotate()).err(), Some(KeyringError::Locked));
    tx(&mut state, |tx| tx.unlock(root(1))).expect("a new store takes any");
    let sealed = sealed_secret(&mut state);
    let state = restarted(&state);
    assert_eq!(opened(&state, &sealed), Err(KeyringError::Locked));
}

#[test]
fn another_process_opens_with_the_same_root_key_and_with_no_other() {
    let mut state = empty();
    tx(&mut state, |tx| tx.unlock(root(1))).expect("a new store takes any");
    let sealed = sealed_secret(&mut state);
    let mut state = restarted(&state);
    let (wanted, given) = (root(1).fingerprint(), root(2).fingerprint());
    let refused = tx(&mut state, |tx| tx.unlock(root(2)));
    assert_eq!(refused.err(), Some(KeyringError::WrongRoot { wanted, given }));
    assert_eq!(opened(&state, &sealed), Err(KeyringError::Locked), "a refused key unlocks nothing");
    tx(&mut state, |tx| tx.unlock(root(1))).expect("its own");
    assert_eq!(opened(&state, &sealed).as_deref(), Ok("hunter2"));
    assert_eq!(state.of::<Keyring>().data_keys().len(), 1, "no second one was made");
}

#[test]
fn a_new_data_key_seals_and_the_old_one_opens() {
    let mut state = empty();
    tx(&mut state, |tx| tx.unlock(root(1))).expect("a new store takes any");
    let old = sealed_secret(&mut state);
    let later = |days| Timestamp::from_millis(NOW.as_millis() + days * DAY_MILLIS);
    assert_eq!(at(&mut state, later(29), |tx| tx.rotate_if_due()), Ok(None));
    assert_eq!(at(&mut state, later(30), |tx| tx.rotate_if_due()), Ok(Some(DataKeyNumber(2))));
    let new = sealed_secret(&mut state);
    assert_eq!((old.key(), new.key()), (Some(1), Some(2)));
    for sealed in [&old, &new] {
        assert_eq!(opened(&state, sealed).as_deref(), Ok("hunter2"));
    }
}

#[test]
fn another_root_key_wraps_the_same_data_keys() {
    let mut state = empty();
    tx(&mut state, |tx| tx.unlock(root(1))).expect("a new store takes any");
    let sealed = sealed_secret(&mut state);
    tx(&mut state, |tx| tx.rewrap(root(2))).expect("it is open");
    assert_eq!(opened(&state, &sealed).as_deref(), Ok("hunter2"));
    let mut state = restarted(&state);
    assert!(tx(&mut state, |tx| tx.unlock(root(1))).is_err());
    tx(&mut state, |tx| tx.unlock(root(2))).expect("the new one");
    assert_eq!(opened(&state, &sealed).as_deref(), Ok("hunter2"));
}

#[test]
fn a_change_of_the_root_key_that_fails_changes_nothing() {
    let mut state = empty();
    tx(&mut state, |tx| tx.unlock(root(1))).expect("a new store takes any");
    let sealed = sealed_secret(&mut state);
    let failed = tx(&mut state, |tx| {
        tx.rewrap(root(2))?;
        Err::<(), _>(KeyringError::Damaged)
    });
    assert!(failed.is_err());
    assert_eq!(opened(&state, &sealed).as_deref(), Ok("hunter2"));
    tx(&mut state, |tx| tx.rotate()).expect("it is open");
    let mut state = restarted(&state);
    tx(&mut state, |tx| tx.unlock(root(1))).expect("all of it is still under the old one");
    assert_eq!(opened(&state, &sealed).as_deref(), Ok("hunter2"));
}

#[test]
fn a_transaction_that_fails_leaves_the_keys_as_they_were() {
    let mut state = empty();
    tx(&mut state, |tx| tx.unlock(root(1))).expect("a new store takes any");
    let failed = tx(&mut state, |tx| {
        tx.rotate()?;
        Err::<(), _>(KeyringError::Damaged)
    });
    assert!(failed.is_err());
    assert_eq!(state.of::<Keyring>().active(), Some(DataKeyNumber(1)));
    assert_eq!(sealed_secret(&mut state).key(), Some(1), "the key that was taken back seals nothing");
}

#[test]
fn equal_secrets_look_different_and_seeds_tell_nothing() {
    let mut state = empty();
    tx(&mut state, |tx| tx.unlock(root(1))).expect("a new store takes any");
    let (one, two) = (sealed_secret(&mut state), sealed_secret(&mut state));
    assert_ne!(one, two);
    // The same seed with another root key draws something else.
    let draw = |root: RootKey| {
        let mut state = empty();
        tx(&mut state, |tx| tx.unlock(root)).expect("a new store takes any");
        let drawn = state.transact(NOW, Ids::new(Seed::new(7)), |tx| tx.draw()).expect("it fits");
        drawn.expect("unlocked").0
    };
    assert_eq!(draw(root(1)), draw(root(1)));
    assert_ne!(draw(root(1)), draw(root(2)));
}

#[test]
fn chance_that_is_handed_in_is_mixed_with_the_root_key() {
    let mut state = empty();
    assert!(matches!(state.mix(&[1; 32]), Err(KeyringError::Locked)));
    tx(&mut state, |tx| tx.unlock(root(1))).expect("a new store takes any");
    let drawn = |state: &State, chance: u8| *state.mix(&[chance; 32]).expect("it is open");
    assert_eq!(drawn(&state, 1), drawn(&state, 1));
    assert_ne!(drawn(&state, 1), drawn(&state, 2));
    assert_ne!(drawn(&state, 1), [1; 32]);
    let mut other = empty();
    tx(&mut other, |tx| tx.unlock(root(2))).expect("a new store takes any");
    assert_ne!(drawn(&other, 1), drawn(&state, 1), "whoever sees the chance does not see what is drawn");
}

#[test]
fn a_data_key_goes_when_nothing_can_be_under_it() {
    let mut state = empty();
    tx(&mut state, |tx| tx.unlock(root(1))).expect("a new store takes any");
    let after_hours = |hours: i64| Timestamp::from_millis(NOW.as_millis() + hours * 3600 * 1000);
    for day in 1..4 {
        at(&mut state, after_hours(24 * day), |tx| tx.rotate()).expect("it is open");
    }
    let keyring = |state: &State, census: &Census, hours: i64| -> Vec<u32> {
        let found = unneeded(state.of::<Keyring>(), census, after_hours(hours));
        found.into_iter().map(|DataKeyNumber(number)| number).collect()
    };
    // The second sealed until the first hour of the third, at 48 hours; tokens may last for 48 more.
    let none = Census::new();
    assert_eq!(keyring(&state, &none, 95), [0; 0]);
    assert_eq!(keyring(&state, &none, 96), [2]);
    assert_eq!(keyring(&state, &none, 1000), [2, 3], "neither the first nor the newest");
    let one = Census::from([(Some(DataKeyNumber(2)), 1), (Some(DataKeyNumber(3)), 0)]);
    assert_eq!(keyring(&state, &one, 1000), [3]);

    let forget = |state: &mut State, number: u32| tx(state, |tx| Ok(tx.forget(DataKeyNumber(number))));
    for (number, is_forgotten) in [(1, false), (4, false), (7, false), (2, true), (2, false)] {
        assert_eq!(forget(&mut state, number), Ok(is_forgotten), "{number}");
    }
    let lasting = *state.lasting(b"x").expect("open");
    let mut state = restarted(&state);
    tx(&mut state, |tx| tx.unlock(root(1))).expect("its own");
    assert_eq!(*state.lasting(b"x").expect("open"), lasting);
    assert_eq!(state.of::<Keyring>().data_keys().len(), 3);
}

//! The tables: indexes under random changes, values under keys, and what time brings about.

// Golden files use all of it.
#[allow(dead_code)]
mod sample;

use std::sync::Arc;
use std::time::Duration;

use longshore_base::{AccountId, Ids, Region, Scope, Seed, Timestamp};
use longshore_domain::tags::Tags;
use longshore_keyring::{Keyring, RootKey, SealingTx};
use longshore_state::{Domains, State, Tx};
use longshore_store::Op;
use longshore_tables_iam::IamTables;
use longshore_tables_secrets::find::{self, KeyAt, KeyName};
use longshore_tables_secrets::kms::{self, KmsError, Unusable};
use longshore_tables_secrets::material::{Blob, EncryptionContext};
use longshore_tables_secrets::read::{self, ReadError};
use longshore_tables_secrets::record::*;
use longshore_tables_secrets::value::{self, Cover};
use longshore_tables_secrets::{NumberKey, ScopedKey, SecretsState, SecretsTables, VersionKey, sweep};
use proptest::collection::vec;
use proptest::prelude::*;
use sample::{NOW, scope, whole};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn empty() -> State {
    let domains = Domains::new("test").with::<IamTables>().with::<Keyring>().with::<SecretsTables>();
    let mut state = State::new(&domains, NOW);
    at(&mut state, NOW, |tx| tx.unlock(RootKey::new([7; 32])).expect("a new store takes any"));
    state
}

fn at<T>(state: &mut State, now: Timestamp, f: impl FnOnce(&mut Tx<'_>) -> T) -> T {
    // Each has ids of its own.
    let seed = Seed::new(u128::from(state.sequence()) + 1);
    let done = state.transact(now, Ids::new(seed), |tx| Ok::<_, ()>(f(tx)));
    let (value, _) = done.expect("it fits").expect("it is done");
    assert_eq!(state.check(), Vec::<String>::new());
    value
}

fn named(name: &str) -> ScopedKey {
    ScopedKey { scope: scope(), name: name.into() }
}

fn make_key(tx: &mut Tx<'_>) -> KeyAt {
    let policy = kms::default_policy(scope().partition(), scope().account);
    kms::make(tx, &scope(), policy, Manager::Customer, "", Tags::new()).expect("the keyring is open")
}

fn change_key(state: &mut State, key: &KeyAt, change: impl FnOnce(&mut KmsKey)) {
    at(state, NOW, |tx| {
        let mut record = KmsKey::clone(key.record(tx.state()).expect("it is there"));
        change(&mut record);
        tx.put::<KmsKey>(ScopedKey::new(&key.scope, &key.id), record);
    });
}

/// A secret with one version, under a key.
fn put_secret(tx: &mut Tx<'_>, name: &str, birth: &str, key: &KeyAt, text: &str) {
    let cover = Cover::secret(&scope(), name, birth, "v1");
    let value = value::seal(tx, key, &cover, text.as_bytes(), false).expect("the key may be used");
    let secret = Secret { birth: birth.into(), deletion: None, key: None, ..sample::secret() };
    tx.put::<Secret>(named(name), secret);
    let at = VersionKey { scope: scope(), of: whole(name, birth), id: "v1".into() };
    tx.put::<SecretVersion>(at, SecretVersion { value, created_at: NOW });
}

#[test]
fn a_value_is_nowhere_in_the_clear_and_opens_at_its_place_alone() {
    let mut state = empty();
    let key = at(&mut state, NOW, make_key);
    at(&mut state, NOW, |tx| {
        put_secret(tx, "db", "AbCdEf", &key, "hunter2");
        put_secret(tx, "other", "GhIjKl", &key, "hunter3");
    });
    let read = |id: &str| read::secret_value(&state, &scope(), id, None, None);
    let found = read("db").expect("it is there");
    assert_eq!((found.plain.as_str(), &*found.version, found.is_binary), (Some("hunter2"), "v1", false));
    assert_eq!(found.arn, "arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-AbCdEf");
    for name in [&*found.arn, "arn:aws:secretsmanager:eu-west-1:111122223333:secret:db"] {
        assert_eq!(read(name).expect("another name").plain.as_str(), Some("hunter2"), "{name}");
    }
    for bad in ["DB", "db-AbCdEf", "arn:aws:secretsmanager:us-east-1:111122223333:secret:db-AbCdEf"] {
        assert_eq!(read(bad).err(), Some(ReadError::NoSecret), "{bad}");
    }
    let records = state.records();
    assert!(!format!("{records:?} {found:?}").contains("hunter2"));
    for op in records.ops() {
        let Op::Put { value, .. } = op else { continue };
        assert!(!value.windows(7).any(|bytes| bytes == b"hunter2"), "it is in the store");
    }

    // Moved to another place by somebody who can write the store.
    let moved = at(&mut state, NOW, |tx| {
        let own = VersionKey { scope: scope(), of: whole("other", "GhIjKl"), id: "v1".into() };
        let from = tx.secrets().realm(&scope()).secrets();
        let record = from.part(&own.of, &own.id).expect("it is there").clone();
        let to = VersionKey { of: whole("db", "AbCdEf"), ..own };
        tx.put::<SecretVersion>(to, record);
        read::secret_value(tx.state(), &scope(), "db", None, None).err()
    });
    assert!(matches!(moved, Some(ReadError::Value(KmsError::Keyring(_)))), "{moved:?}");
}

#[test]
fn a_value_is_bound_to_its_key() {
    let mut state = empty();
    let key = at(&mut state, NOW, make_key);
    at(&mut state, NOW, |tx| put_secret(tx, "db", "AbCdEf", &key, "hunter2"));
    let read = |state: &State| read::secret_value(state, &scope(), "db", None, None);
    let refused = |state: &State| match read(state).err() {
        Some(ReadError::Value(KmsError::Key(why))) => why,
        other => panic!("{other:?}"),
    };
    change_key(&mut state, &key, |key| key.state = KeyState::Disabled);
    assert_eq!(refused(&state), Unusable::Disabled(key.arn()));
    change_key(&mut state, &key, |key| key.state = KeyState::PendingDeletion { at: NOW + DAY, days: 7 });
    assert_eq!(refused(&state), Unusable::PendingDeletion(key.arn()));
    change_key(&mut state, &key, |key| key.state = KeyState::Enabled);
    assert!(read(&state).is_ok());
    // And not by its state alone.
    at(&mut state, NOW, |tx| {
        tx.delete::<KeyMaterial>(NumberKey { scope: scope(), of: whole(&key.id, ""), number: 1 });
    });
    assert!(matches!(read(&state).err(), Some(ReadError::Value(KmsError::Cipher))));
}

#[test]
fn a_key_gets_new_material_in_time_and_opens_what_the_old_one_made() {
    let mut state = empty();
    let key = at(&mut state, NOW, make_key);
    let context = EncryptionContext::from([("a".to_owned(), "b".to_owned())]);
    let old = kms::encrypt(&state, &key, &[9; 24], &context, b"x").expect("it may be used");
    change_key(&mut state, &key, |key| key.rotation = Some(Rotation { days: 90, next_at: NOW + 90 * DAY }));
    let material = |state: &State| key.record(state).expect("it is there").material;
    assert_eq!(at(&mut state, NOW + 89 * DAY, sweep), Ok(false));
    assert_eq!(material(&state), 1);
    assert_eq!(at(&mut state, NOW + 300 * DAY, sweep), Ok(false));
    assert_eq!(material(&state), 2);
    assert_eq!(
        at(&mut state, NOW + 300 * DAY, |tx| {
            sweep(tx).expect("open");
            tx.changed()
        }),
        0
    );
    let new = kms::encrypt(&state, &key, &[9; 24], &context, b"x").expect("it may be used");
    assert_ne!(old, new);
    for bytes in [&old, &new] {
        let blob = Blob::read(bytes).expect("one of ours");
        let plain = kms::decrypt(&state, &key, &blob, &context).expect("its own");
        assert_eq!(plain.as_bytes(), b"x");
        let other = kms::decrypt(&state, &key, &blob, &EncryptionContext::new());
        assert_eq!(other.err(), Some(KmsError::Cipher));
    }
}

#[test]
fn what_waits_to_be_deleted_goes_when_its_time_has_come_with_all_it_has() {
    let mut state = empty();
    let key = at(&mut state, NOW, make_key);
    at(&mut state, NOW, |tx| {
        put_secret(tx, "db", "AbCdEf", &key, "hunter2");
        let alias = Alias { target: key.id.clone(), created_at: NOW, updated_at: NOW };
        tx.put::<Alias>(named("alias/own"), alias);
    });
    at(&mut state, NOW, |tx| {
        let found = find::secret(tx.state(), &scope(), "db").expect("it is there").secret.clone();
        let deletion = Some(Deletion { asked_at: NOW, at: NOW + 7 * DAY });
        tx.put::<Secret>(named("db"), Secret { deletion, ..Secret::clone(&found) });
    });
    change_key(&mut state, &key, |key| key.state = KeyState::PendingDeletion { at: NOW + 8 * DAY, days: 8 });
    let (before, between, after) = (NOW + 6 * DAY, NOW + 7 * DAY, NOW + 8 * DAY);
    assert_eq!(
        at(&mut state, before, |tx| {
            sweep(tx).expect("open");
            tx.changed()
        }),
        0
    );
    assert_eq!(
        at(&mut state, between, |tx| {
            sweep(tx).expect("open");
            tx.changed()
        }),
        2
    );
    let realm = state.secrets().realm(&scope());
    assert!(realm.secrets().is_empty() && KeyName::Alias(scope(), "alias/own".into()).key(&state).is_some());
    assert_eq!(
        at(&mut state, after, |tx| {
            sweep(tx).expect("open");
            tx.changed()
        }),
        3
    );
    assert!(state.secrets().realms().next().is_none(), "nothing is left");
}

#[test]
fn what_a_secret_has_left_is_no_part_of_a_new_one_and_goes_in_pieces() {
    let mut state = empty();
    let key = at(&mut state, NOW, make_key);
    for hundred in 0..3 {
        at(&mut state, NOW, |tx| {
            for number in 0..100 {
                let id: Arc<str> = format!("{hundred}-{number}").into();
                let at = VersionKey { scope: scope(), of: whole("db", "OldOld"), id };
                tx.put::<SecretVersion>(at, SecretVersion { value: sample::value(), created_at: NOW });
            }
        });
    }
    at(&mut state, NOW, |tx| put_secret(tx, "db", "NewNew", &key, "hunter2"));
    let found = find::secret(&state, &scope(), "db").expect("it is there");
    let count =
        |state: &State, birth| state.secrets().realm(&scope()).secrets().count_parts(&whole("db", birth));
    assert_eq!(found.whole(), whole("db", "NewNew"));
    assert_eq!((count(&state, "NewNew"), count(&state, "OldOld")), (1, 300));
    let mut sweeps = 0;
    while at(&mut state, NOW, sweep).expect("the keyring is open") {
        sweeps += 1;
        assert!(sweeps < 10, "it comes to an end");
    }
    assert_eq!((count(&state, "NewNew"), count(&state, "OldOld")), (1, 0));
}

#[test]
fn a_parameter_is_found_by_version_and_label() {
    let mut state = empty();
    at(&mut state, NOW, |tx| {
        let of = whole("/a/b", "GhIjKl");
        for number in 2..=3 {
            let value = ParameterValue::Text(Text(format!("value {number}").into()));
            let version = ParameterVersion { value, ..sample::parameter_version() };
            tx.put::<ParameterVersion>(NumberKey { scope: scope(), of: of.clone(), number }, version);
        }
        tx.put::<Parameter>(named("/a/b"), Parameter { kind: ParameterKind::String, ..sample::parameter() });
    });
    let arn = "arn:aws:ssm:eu-west-1:111122223333:parameter/a/b";
    for (named, number) in [("/a/b", 3), ("/a/b:2", 2), ("/a/b:prod", 2), (arn, 3), (&*format!("{arn}:2"), 2)]
    {
        let read = read::parameter_value(&state, &scope(), named).expect(named);
        assert_eq!(
            (read.version, read.plain.as_str()),
            (number, Some(&*format!("value {number}"))),
            "{named}"
        );
    }
    for (named, version, since) in [
        ("/a/b", "3", NOW),
        (arn, "3", NOW),
        ("/a/b:2", "2", NOW),
        // When the label was moved is what counts, if that was later.
        ("/a/b:prod", "2", NOW),
    ] {
        let now = read::in_force(&state, &scope(), named).expect(named);
        assert_eq!((&*now.version, now.since), (version, since), "{named}");
    }
    for gone in ["/a/b:1", "/none", "arn:aws:ssm:us-east-2:111122223333:parameter/a/b"] {
        assert_eq!(read::in_force(&state, &scope(), gone), None, "{gone}");
    }
    for bad in ["/a/b:1", "/a/b:4", "/a/b:dev"] {
        let error = read::parameter_value(&state, &scope(), bad).expect_err("there is none");
        assert!(matches!(error, ReadError::NoParameterVersion { .. }), "{bad}: {error}");
    }
    assert!(matches!(read::parameter_value(&state, &scope(), "a/b"), Err(ReadError::NoParameter(_))));
    assert!(!format!("{:?}", state.records()).contains("value 2"), "nobody prints it");
}

#[test]
fn the_key_of_a_service_is_made_once() {
    let mut state = empty();
    let first = at(&mut state, NOW, |tx| kms::of_service(tx, &scope(), "ssm").expect("open"));
    let again = at(&mut state, NOW, |tx| {
        let again = kms::of_service(tx, &scope(), "ssm").expect("open");
        assert_eq!(tx.changed(), 0);
        again
    });
    assert_eq!(first, again);
    let named = KeyName::read(&scope(), "alias/aws/ssm").expect("an alias");
    assert_eq!(named.key(&state).map(|(at, _)| at), Some(first.clone()));
    assert_eq!(state.secrets().account_of_key(&scope().region, &first.id), Some(scope().account));
    let elsewhere = Scope::new(scope().account, Region::parse("us-east-1").expect("a region"));
    assert_eq!(state.secrets().account_of_key(&elsewhere.region, &first.id), None);
    assert!(KeyName::read(&elsewhere, &first.arn()).is_none(), "keys stay in their region");
}

#[derive(Clone, Debug)]
enum Step {
    Key(u8, Option<u8>),
    Alias(u8, Option<u8>),
    Secret(u8, Option<(u8, bool)>),
    Parameter(u8, Option<u8>),
    Part(u8, u8, u8, bool),
    Fail,
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    let few = 0..3_u8;
    prop_oneof![
        (few.clone(), proptest::option::of(0..4_u8)).prop_map(|(id, state)| Step::Key(id, state)),
        (few.clone(), proptest::option::of(few.clone())).prop_map(|(name, key)| Step::Alias(name, key)),
        (few.clone(), proptest::option::of((few.clone(), any::<bool>())))
            .prop_map(|(n, s)| Step::Secret(n, s)),
        (few.clone(), proptest::option::of(few.clone()))
            .prop_map(|(name, birth)| Step::Parameter(name, birth)),
        (0..3_u8, few.clone(), few, any::<bool>()).prop_map(|(kind, n, b, put)| Step::Part(kind, n, b, put)),
        Just(Step::Fail),
        Just(Step::Sweep),
    ]
}

fn id(number: u8) -> Arc<str> {
    format!("0f9d8c7b-1111-4222-8333-44445555666{number}").into()
}

fn do_step(tx: &mut Tx<'_>, step: &Step) {
    let account = AccountId::parse("111122223333").expect("digits");
    let scope = Scope::new(account, scope().region);
    let text = |kind: &str, number: &u8| -> Arc<str> { format!("{kind}{number}").into() };
    let put_or_delete = |name: &Arc<str>| ScopedKey::new(&scope, name);
    match step {
        Step::Key(number, None) => tx.delete::<KmsKey>(put_or_delete(&id(*number))),
        Step::Key(number, Some(kind)) => {
            let (state, rotation) = match kind {
                0 => (KeyState::Enabled, None),
                1 => (KeyState::Enabled, Some(Rotation { days: 90, next_at: NOW })),
                2 => (KeyState::Disabled, Some(Rotation { days: 90, next_at: NOW })),
                _ => (KeyState::PendingDeletion { at: NOW, days: 7 }, None),
            };
            tx.put::<KmsKey>(put_or_delete(&id(*number)), KmsKey { state, rotation, ..sample::key() });
        }
        Step::Alias(name, None) => tx.delete::<Alias>(put_or_delete(&text("alias/", name))),
        Step::Alias(name, Some(key)) => {
            let alias = Alias { target: id(*key), created_at: NOW, updated_at: NOW };
            tx.put::<Alias>(put_or_delete(&text("alias/", name)), alias);
        }
        Step::Secret(name, None) => tx.delete::<Secret>(put_or_delete(&text("s", name))),
        Step::Secret(name, Some((birth, is_deleted))) => {
            let deletion = is_deleted.then_some(Deletion { asked_at: NOW, at: NOW });
            let secret = Secret { birth: text("b", birth), deletion, ..sample::secret() };
            tx.put::<Secret>(put_or_delete(&text("s", name)), secret);
        }
        Step::Parameter(name, None) => tx.delete::<Parameter>(put_or_delete(&text("p", name))),
        Step::Parameter(name, Some(birth)) => {
            let parameter = Parameter { birth: text("b", birth), ..sample::parameter() };
            tx.put::<Parameter>(put_or_delete(&text("p", name)), parameter);
        }
        Step::Part(kind, name, birth, put) => part(tx, *kind, (text, *name, *birth), *put),
        Step::Fail => {}
        Step::Sweep => {
            sweep(tx).expect("the keyring is open");
        }
    }
}

fn part(tx: &mut Tx<'_>, kind: u8, (text, name, birth): (impl Fn(&str, &u8) -> Arc<str>, u8, u8), put: bool) {
    let birth = text("b", &birth);
    match kind {
        0 => {
            let of = longshore_tables_secrets::Whole { name: id(name), birth: "".into() };
            let at = NumberKey { scope: scope(), of, number: 1 };
            let sealed = longshore_keyring::Sealed::from_bytes(vec![1]);
            match put {
                true => tx.put::<KeyMaterial>(at, KeyMaterial { sealed, made_at: NOW }),
                false => tx.delete::<KeyMaterial>(at),
            }
        }
        1 => {
            let of = longshore_tables_secrets::Whole { name: text("p", &name), birth };
            let at = NumberKey { scope: scope(), of, number: 1 };
            match put {
                true => tx.put::<ParameterVersion>(at, sample::parameter_version()),
                false => tx.delete::<ParameterVersion>(at),
            }
        }
        _ => {
            let of = longshore_tables_secrets::Whole { name: text("s", &name), birth };
            let at = VersionKey { scope: scope(), of, id: "v".into() };
            match put {
                true => {
                    tx.put::<SecretVersion>(at, SecretVersion { value: sample::value(), created_at: NOW });
                }
                false => tx.delete::<SecretVersion>(at),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// `State::check` makes every index anew and compares.
    #[test]
    fn indexes_are_what_the_records_say(steps in vec(vec(step(), 1..6), 1..12)) {
        let mut state = empty();
        for steps in steps {
            let before = state.records();
            let fails = steps.iter().any(|step| matches!(step, Step::Fail));
            let seed = Seed::new(u128::from(state.sequence()) + 7);
            let done = state.transact(NOW, Ids::new(seed), |tx| {
                steps.iter().for_each(|step| do_step(tx, step));
                if fails { Err(()) } else { Ok(()) }
            });
            let done = done.expect("it fits");
            prop_assert_eq!(done.is_err(), fails);
            prop_assert_eq!(state.check(), Vec::<String>::new());
            if fails {
                prop_assert_eq!(before.differences(&state.records()), Vec::<String>::new());
            }
        }
    }
}

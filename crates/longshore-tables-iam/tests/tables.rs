//! The tables: indexes under random changes, what decides about a principal, and who is trusted.

// Golden files use all of it.
#[allow(dead_code)]
mod sample;

use std::collections::BTreeSet;
use std::sync::Arc;

use longshore_base::{AccountId, Ids, Partition, Seed};
use longshore_state::{Domains, State, Tx};
use longshore_tables_iam::record::*;
use longshore_tables_iam::{IamState, IamTables, InlineKey, OwnKey, VersionKey, trust};
use proptest::collection::vec;
use proptest::prelude::*;
use sample::{ALLOW, NOW, account, own};

fn empty() -> State {
    State::new(&Domains::new("test").with::<IamTables>(), NOW)
}

fn tx(state: &mut State, f: impl FnOnce(&mut Tx<'_>)) {
    let done = state.transact(NOW, Ids::new(Seed::new(1)), |tx| {
        f(tx);
        Ok::<_, ()>(())
    });
    done.expect("it fits").expect("it is done");
}

fn key(id: &str) -> OwnKey {
    OwnKey { account: account(), id: id.into() }
}

fn user(id: &str, name: &str) -> User {
    User { own: own(id, name), grants: Grants::default(), groups: BTreeSet::new() }
}

fn role(id: &str, name: &str) -> Role {
    let trust = TrustPolicy::new(sample::TRUST).expect("a policy");
    let (own, grants) = (own(id, name), Grants::default());
    Role { own, grants, trust, description: None, session_max: 3600, service: None, last_used: None }
}

fn policy(action: &str) -> IdentityPolicy {
    IdentityPolicy::new(&ALLOW.replace("ecs:*", action)).expect("a policy")
}

#[test]
fn the_sample_is_found_by_everything_that_names_it() {
    let mut state = empty();
    let records = sample::records();
    tx(&mut state, |tx| {
        for (key, record) in records.of::<User>() {
            tx.put::<User>(key.clone(), record.clone());
        }
        for (key, record) in records.of::<Role>() {
            tx.put::<Role>(key.clone(), record.clone());
        }
        for (key, record) in records.of::<AccessKey>() {
            tx.put::<AccessKey>(key.clone(), record.clone());
        }
        for (key, record) in records.of::<InstanceProfile>() {
            tx.put::<InstanceProfile>(key.clone(), record.clone());
        }
        for (key, record) in records.of::<AccountSettings>() {
            tx.put::<AccountSettings>(*key, record.clone());
        }
    });
    let iam = state.iam();
    let realm = iam.realm(account());
    assert!(realm.users().named("ada").is_none() && realm.users().taken("aDA").is_some());
    assert_eq!(iam.access_key("AKIA1").map(|(account, _)| account), Some(account()));
    assert_eq!(realm.keys_of("AIDA1").count(), 1);
    assert_eq!(realm.members("AGPA1").count(), 1);
    assert_eq!(realm.profiles_of("AROA1").count(), 1);
    assert_eq!(iam.account_of_alias("acme"), Some(account()));
    let attachments = realm.attachments(&PolicyRef::Own("ANPA1".into())).expect("both have it");
    assert_eq!((attachments.attached.len(), attachments.bounded.len()), (2, 2));
    assert_eq!(state.check(), Vec::<String>::new());
}

#[test]
fn what_decides_about_a_user_is_its_own_and_its_groups() {
    let mut state = empty();
    let managed = |id: &str| ManagedPolicy {
        own: own(id, id),
        description: None,
        updated_at: NOW,
        default_version: 2,
        last_version: 2,
    };
    tx(&mut state, |tx| {
        for id in ["ANPA1", "ANPA2"] {
            tx.put::<ManagedPolicy>(key(id), managed(id));
            for number in [1, 2] {
                let version = PolicyVersion { document: policy(&format!("{id}:v{number}")), created_at: NOW };
                tx.put::<PolicyVersion>(
                    VersionKey { account: account(), policy: id.into(), number },
                    version,
                );
            }
        }
        let attached = |id: &str| Grants { attached: [PolicyRef::Own(id.into())].into(), boundary: None };
        tx.put::<Group>(key("AGPA1"), Group { own: own("AGPA1", "g"), grants: attached("ANPA2") });
        let mut ada = User { grants: attached("ANPA1"), ..user("AIDA1", "ada") };
        ada.groups = BTreeSet::from([Arc::from("AGPA1"), Arc::from("AGPA-gone")]);
        ada.grants.boundary = Some(PolicyRef::Own("ANPA-gone".into()));
        tx.put::<User>(key("AIDA1"), ada);
        for (holder, action) in [("AIDA1", "own:a"), ("AGPA1", "own:g"), ("AIDA2", "own:other")] {
            let place = InlineKey { account: account(), holder: holder.into(), name: "p".into() };
            tx.put::<InlinePolicy>(place, InlinePolicy { document: policy(action) });
        }
    });
    let held = state.iam().layers_of_user(account(), "ada").expect("she is there");
    let want = ["own:a", "ANPA1:v2", "own:g", "ANPA2:v2"].map(policy);
    assert_eq!(held.identity, want.each_ref().map(|policy| policy.policy()));
    let boundary = held.boundary.expect("there is one");
    assert!(boundary.statements.is_empty(), "a boundary that is not there allows nothing");
    assert!(state.iam().layers_of_user(account(), "Ada").is_none());
    assert!(state.iam().layers_of_role(account(), "AROA1").is_none());
}

/// identity J4.
#[test]
fn who_is_trusted_is_kept_by_id_and_shown_by_arn() {
    let mut state = empty();
    tx(&mut state, |tx| {
        tx.put::<User>(key("AIDA1"), user("AIDA1", "ada"));
        tx.put::<Role>(key("AROA1"), role("AROA1", "web"));
    });
    let text = r#"{"Version":"2012-10-17",
  "Statement":[{"Effect":"Allow","Action":"sts:AssumeRole", "Principal":{"AWS":[ "arn:aws:iam::111122223333:user/ops/ada" ,"444455556666","*"],
  "Service":"ecs.amazonaws.com"},"Condition":{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111122223333:user/ops/ada"}}},
  {"Effect":"Deny","Action":"sts:AssumeRole","NotPrincipal":{"AWS":"arn:aws:iam::111122223333:role/ops/web"}}]}"#;
    let kept = trust::kept(state.iam(), text).expect("both are there");
    let want = text
        .replacen("arn:aws:iam::111122223333:user/ops/ada", "AIDA1", 1)
        .replace("arn:aws:iam::111122223333:role/ops/web", "AROA1");
    assert_eq!(kept, want, "only principals change");
    assert_eq!(trust::shown(state.iam(), Partition::Aws, &kept), text);
    assert_eq!(trust::kept(state.iam(), &kept).as_deref(), Ok(&*kept), "ids may be given, too");
    tx(&mut state, |tx| {
        tx.delete::<User>(key("AIDA1"));
        tx.put::<User>(key("AIDA2"), user("AIDA2", "ada"));
    });
    let shown = trust::shown(state.iam(), Partition::Aws, &kept);
    assert_eq!(shown, text.replacen("arn:aws:iam::111122223333:user/ops/ada", "AIDA1", 1), "not the new one");
    assert!(trust::kept(state.iam(), &shown).is_err(), "who is gone cannot be trusted anew");
    for (bad, told) in [
        (
            r#""AWS":"arn:aws:iam::111122223333:user/ada""#,
            r#"Invalid principal in policy: "AWS":"arn:aws:iam::111122223333:user/ada""#,
        ),
        (r#""AWS":["*","AIDAX"]"#, r#"Invalid principal in policy: "AWS":"AIDAX""#),
        (r#""Service":"ecs""#, r#"Invalid principal in policy: "SERVICE":"ecs""#),
    ] {
        let text = format!(
            r#"{{"Statement":{{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{{{bad}}}}}}}"#
        );
        assert_eq!(trust::kept(state.iam(), &text).expect_err("nobody").to_string(), told);
    }
}

#[test]
fn a_policy_that_does_not_compile_is_no_record() {
    let bytes = longshore_state::record::encode(&InlinePolicy { document: policy("a:b") });
    let text = String::from_utf8_lossy(&bytes).replace("Allow", "allow");
    let read = longshore_state::record::decode::<InlinePolicy>("iam/inline-policies/1", text.as_bytes());
    assert!(read.is_err());
}

/// What the random test does.
#[derive(Clone, Debug)]
enum Step {
    User(u8, u8, Vec<u8>, Vec<u8>),
    Group(u8, Vec<u8>),
    Role(u8, Option<u8>),
    Profile(u8, Option<u8>),
    Key(u8, u8),
    Alias(u8, Option<u8>),
    Gone(u8, u8),
    /// The same, and then it fails.
    Failed(Box<Step>),
}

fn step() -> impl Strategy<Value = Step> {
    let few = 0..4u8;
    let some = vec(0..4u8, 0..3);
    let step = prop_oneof![
        (few.clone(), few.clone(), some.clone(), some.clone())
            .prop_map(|(id, name, a, b)| Step::User(id, name, a, b)),
        (few.clone(), some).prop_map(|(id, policies)| Step::Group(id, policies)),
        (few.clone(), proptest::option::of(few.clone())).prop_map(|(id, bound)| Step::Role(id, bound)),
        (few.clone(), proptest::option::of(few.clone())).prop_map(|(id, role)| Step::Profile(id, role)),
        (few.clone(), few.clone()).prop_map(|(id, user)| Step::Key(id, user)),
        (few.clone(), proptest::option::of(few.clone())).prop_map(|(id, alias)| Step::Alias(id, alias)),
        (0..5u8, few).prop_map(|(kind, id)| Step::Gone(kind, id)),
    ];
    (step, 0..4u8).prop_map(|(step, luck)| if luck == 0 { Step::Failed(Box::new(step)) } else { step })
}

fn take(tx: &mut Tx<'_>, step: &Step) {
    let policies =
        |numbers: &[u8]| numbers.iter().map(|n| PolicyRef::Own(format!("ANPA{n}").into())).collect();
    match step {
        Step::User(id, name, groups, attached) => {
            let name = format!("{}{name}", if id % 2 == 0 { "u" } else { "U" });
            // Names are unique because operations see to it.
            let taken = tx.iam().realm(account()).users().taken(&name).map(|own| own.own.id.clone());
            let id = format!("AIDA{id}");
            if taken.is_none_or(|taken| *taken == *id) {
                let groups = groups.iter().map(|n| Arc::from(format!("AGPA{n}"))).collect();
                let grants = Grants { attached: policies(attached), boundary: None };
                tx.put::<User>(key(&id), User { groups, grants, ..user(&id, &name) });
            }
        }
        Step::Group(id, attached) => {
            let grants = Grants { attached: policies(attached), boundary: None };
            let id = format!("AGPA{id}");
            tx.put::<Group>(key(&id), Group { own: own(&id, &id), grants });
        }
        Step::Role(id, boundary) => {
            let id = format!("AROA{id}");
            let boundary = boundary.map(|n| PolicyRef::Own(format!("ANPA{n}").into()));
            let grants = Grants { attached: BTreeSet::new(), boundary };
            tx.put::<Role>(key(&id), Role { grants, ..role(&id, &id) });
        }
        Step::Profile(id, role) => {
            let id = format!("AIPA{id}");
            let role = role.map(|n| Arc::from(format!("AROA{n}")));
            tx.put::<InstanceProfile>(key(&id), InstanceProfile { own: own(&id, &id), role });
        }
        Step::Key(id, user) => {
            let secret = longshore_keyring::Sealed::from_bytes(vec![*id]);
            let user = format!("AIDA{user}").into();
            let record = AccessKey { user, secret, active: true, created_at: NOW, last_used: None };
            tx.put::<AccessKey>(key(&format!("AKIA{id}")), record);
        }
        Step::Alias(of, alias) => {
            let account = AccountId::parse(&format!("00000000000{of}")).expect("twelve digits");
            let alias = alias.map(|n| Arc::<str>::from(format!("alias{n}")));
            let owner = alias.as_ref().and_then(|alias| tx.iam().account_of_alias(alias));
            if owner.is_none_or(|owner| owner == account) {
                let settings = AccountSettings { alias, passwords: None };
                tx.put::<AccountSettings>(longshore_tables_iam::AccountKey(account), settings);
            }
        }
        Step::Gone(kind, id) => match kind {
            0 => tx.delete::<User>(key(&format!("AIDA{id}"))),
            1 => tx.delete::<Group>(key(&format!("AGPA{id}"))),
            2 => tx.delete::<Role>(key(&format!("AROA{id}"))),
            3 => tx.delete::<InstanceProfile>(key(&format!("AIPA{id}"))),
            _key => tx.delete::<AccessKey>(key(&format!("AKIA{id}"))),
        },
        Step::Failed(step) => take(tx, step),
    }
}

/// Every index, counted anew from the records in the plainest way: pairs of who refers and to what.
fn recount(state: &State) -> Vec<String> {
    let records = state.records();
    let mut notes = Vec::new();
    for (_, user) in records.of::<User>() {
        notes.extend(user.groups.iter().map(|group| format!("{} in {group}", user.own.id)));
        notes.extend(user.grants.attached.iter().map(|policy| format!("{} has {policy:?}", user.own.id)));
    }
    for (_, group) in records.of::<Group>() {
        notes.extend(group.grants.attached.iter().map(|policy| format!("{} has {policy:?}", group.own.id)));
    }
    for (_, role) in records.of::<Role>() {
        notes.extend(role.grants.boundary.iter().map(|policy| format!("{} within {policy:?}", role.own.id)));
    }
    for (_, profile) in records.of::<InstanceProfile>() {
        notes.extend(profile.role.iter().map(|role| format!("{} for {role}", profile.own.id)));
    }
    for (key, access_key) in records.of::<AccessKey>() {
        notes.push(format!("{} of {} in {}", key.id, access_key.user, key.account));
    }
    for (key, settings) in records.of::<AccountSettings>() {
        notes.extend(settings.alias.iter().map(|alias| format!("{alias} is {}", key.0)));
    }
    notes.sort();
    notes
}

/// The same, as the tables answer it to whoever asks.
fn told(state: &State) -> Vec<String> {
    let iam = state.iam();
    let realm = iam.realm(account());
    let mut notes = Vec::new();
    for n in 0..4 {
        let members = realm.members(&format!("AGPA{n}"));
        notes.extend(members.map(|user| format!("{} in AGPA{n}", user.own.id)));
        let policy = PolicyRef::Own(format!("ANPA{n}").into());
        if let Some(own) = realm.attachments(&policy) {
            notes.extend(own.attached.iter().map(|id| format!("{id} has {policy:?}")));
            notes.extend(own.bounded.iter().map(|id| format!("{id} within {policy:?}")));
        }
        let profiles = realm.profiles_of(&format!("AROA{n}"));
        notes.extend(profiles.map(|profile| format!("{} for AROA{n}", profile.own.id)));
        for (id, _) in realm.keys_of(&format!("AIDA{n}")) {
            let (account, _) = iam.access_key(id).expect("it is found over all accounts");
            notes.push(format!("{id} of AIDA{n} in {account}"));
        }
        let alias = format!("alias{n}");
        notes.extend(iam.account_of_alias(&alias).map(|account| format!("{alias} is {account}")));
    }
    notes.sort();
    notes
}

proptest! {
    /// Against a recount of the records.
    #[test]
    fn indexes_follow_whatever_happens(steps in vec(step(), 1..40)) {
        let mut state = empty();
        for step in &steps {
            let before = state.records();
            let done = state.transact(NOW, Ids::new(Seed::new(1)), |tx| {
                take(tx, step);
                if matches!(step, Step::Failed(_)) { Err(()) } else { Ok(()) }
            });
            if done.expect("it fits").is_err() {
                prop_assert_eq!(before.differences(&state.records()), Vec::<String>::new());
            }
            prop_assert_eq!(state.check(), Vec::<String>::new());
            prop_assert_eq!(told(&state), recount(&state));
            let realm = state.iam().realm(account());
            for user in realm.users().by_name() {
                prop_assert_eq!(&realm.users().named(&user.own.name).expect("by its name").own.id, &user.own.id);
            }
        }
    }
}

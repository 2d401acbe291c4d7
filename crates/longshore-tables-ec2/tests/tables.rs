//! The tables: the default VPC before and after it is written down, and look-ups over whatever happens.

// Golden files use all of it.
#[allow(dead_code)]
mod sample;

use longshore_base::{AccountId, Ids, Region, Scope, Seed};
use longshore_state::{Domains, State, Tx};
use longshore_tables_ec2::record::*;
use longshore_tables_ec2::{Ec2State, Ec2Tables, Ec2Tx, OwnKey, VersionKey};
use proptest::collection::vec;
use proptest::prelude::*;
use sample::{NOW, scope};

fn empty() -> State {
    State::new(&Domains::new("test").with::<Ec2Tables>(), NOW)
}

fn tx(state: &mut State, f: impl FnOnce(&mut Tx<'_>)) {
    let done = state.transact(NOW, Ids::new(Seed::new(1)), |tx| {
        f(tx);
        Ok::<_, ()>(())
    });
    done.expect("it fits").expect("it is done");
}

fn key(id: &str) -> OwnKey {
    OwnKey { scope: scope(), id: id.into() }
}

/// The realm in words, so that two can be compared.
fn told(state: &State, scope: &Scope) -> String {
    let view = state.ec2().realm(scope);
    let (vpcs, subnets, groups) = (view.vpcs(), view.subnets(), view.groups());
    let (gateways, tables, acls) = (view.gateways(), view.tables(), view.acls());
    format!("{vpcs:?} {subnets:?} {groups:?} {gateways:?} {tables:?} {acls:?} {:?}", view.dhcp_options())
}

#[test]
fn the_default_vpc_is_the_same_before_and_after_it_is_written_down() {
    let mut state = empty();
    let before = told(&state, &scope());
    assert!(!state.ec2().is_settled(&scope()));
    tx(&mut state, |tx| tx.settle(&scope()));
    assert!(state.ec2().is_settled(&scope()));
    assert_eq!(told(&state, &scope()), before);
    tx(&mut state, |tx| tx.settle(&scope()));
    assert_eq!(told(&state, &scope()), before, "to settle twice changes nothing");
    assert_eq!(state.check(), Vec::<String>::new());
}

#[test]
fn a_default_vpc_has_what_aws_gives_it() {
    let state = empty();
    let realm = state.ec2().realm(&scope());
    let (id, vpc) = realm.default_vpc().expect("there is one");
    assert_eq!((vpc.cidr.to_string(), vpc.dns_hostnames), ("172.31.0.0/16".into(), true));
    let subnets: Vec<_> = realm.subnets().values().map(|own| (own.zone.to_string(), own.cidr)).collect();
    assert_eq!(subnets.len(), 3);
    for (n, (zone, cidr)) in subnets.iter().enumerate() {
        assert!(vpc.cidr.includes(*cidr) && cidr.prefix() == 20, "{cidr}");
        assert!(subnets[..n].iter().all(|(other, own)| other != zone && !own.overlaps(*cidr)));
    }
    let (group, record) = realm.group_named(id, "default").expect("there is one");
    assert_eq!(record.rules[0].permission.peer, Peer::Group(group.clone()));
    let (gateway, _) = realm.gateway_of(id).expect("there is one");
    let table = &realm.tables()[&vpc.main_table];
    assert_eq!(table.routes.values().collect::<Vec<_>>(), [gateway]);
    assert!(realm.acl_of(id).is_some() && realm.vpc_of_association(&vpc.main_association).is_some());
    assert!(realm.dhcp_options().contains_key(&vpc.dhcp_options));
}

#[test]
fn every_realm_has_ids_of_its_own() {
    let state = empty();
    let other = |account: &str, region: &str| {
        let account = AccountId::parse(account).expect("twelve digits");
        let scope = Scope::new(account, Region::parse(region).expect("a region"));
        state.ec2().realm(&scope).vpcs().keys().next().expect("a default VPC").clone()
    };
    let ids = [
        other("111122223333", "eu-west-1"),
        other("111122223333", "eu-west-2"),
        other("111122223334", "eu-west-1"),
    ];
    assert!(ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2], "{ids:?}");
}

#[test]
fn what_is_deleted_from_a_settled_realm_does_not_come_back() {
    let mut state = empty();
    let id = state.ec2().realm(&scope()).default_vpc().expect("there is one").0.clone();
    tx(&mut state, |tx| {
        tx.settle(&scope());
        tx.delete::<Vpc>(key(&id));
    });
    assert!(state.ec2().realm(&scope()).default_vpc().is_none());
    tx(&mut state, |tx| tx.settle(&scope()));
    assert!(state.ec2().realm(&scope()).vpcs().is_empty());
}

#[test]
fn a_command_that_fails_settles_nothing() {
    let mut state = empty();
    let done = state.transact(NOW, Ids::new(Seed::new(1)), |tx| {
        tx.settle(&scope());
        Err::<(), ()>(())
    });
    assert!(done.expect("it fits").is_err());
    assert!(!state.ec2().is_settled(&scope()));
    assert_eq!(state.records().differences(&empty().records()), Vec::<String>::new());
}

#[test]
fn what_refers_to_others_is_found() {
    let mut state = empty();
    let records = sample::records();
    macro_rules! put {
        ($($record:ident,)*) => {
            tx(&mut state, |tx| {
                $(for (key, record) in records.of::<$record>() {
                    tx.put::<$record>(key.clone(), record.clone());
                })*
            })
        };
    }
    put! {
        Settled, Vpc, Subnet, SecurityGroup, InternetGateway, RouteTable, NetworkAcl, DhcpOptions, KeyPair,
        LaunchTemplate, TemplateVersion,
    }
    assert_eq!(state.records().differences(&records), Vec::<String>::new());
    let realm = state.ec2().realm(&scope());
    let id = |found: Option<&longshore_tables_ec2::key::Id>| found.map(|id| id.to_string());
    assert_eq!(id(realm.default_vpc().map(|found| found.0)), Some("vpc-1".into()));
    assert_eq!(id(realm.group_named("vpc-1", "web").map(|found| found.0)), Some("sg-1".into()));
    assert!(realm.group_named("vpc-2", "web").is_none());
    assert_eq!(id(realm.rule("sgr-2").map(|found| found.0)), Some("sg-1".into()));
    assert_eq!(id(realm.table_of_association("rtbassoc-2").map(|found| found.0)), Some("rtb-1".into()));
    assert!(realm.table_of_association("rtbassoc-1").is_none(), "that is the main one");
    assert_eq!(id(realm.vpc_of_association("rtbassoc-1").map(|found| found.0)), Some("vpc-1".into()));
    assert_eq!(id(realm.association_of("subnet-1").map(|found| found.1)), Some("rtbassoc-2".into()));
    assert_eq!(id(realm.gateway_of("vpc-1").map(|found| found.0)), Some("igw-1".into()));
    assert_eq!(id(realm.acl_of("vpc-1").map(|found| found.0)), Some("acl-1".into()));
    assert_eq!(id(realm.key_named("ada").map(|found| found.0)), Some("key-1".into()));
    assert_eq!(id(realm.template_named("web").map(|found| found.0)), Some("lt-1".into()));
    assert_eq!(realm.versions_of("lt-1").map(|(number, _)| number).collect::<Vec<_>>(), [2]);
}

/// What the random test does.
#[derive(Clone, Debug)]
enum Step {
    Settle,
    Vpc(u8, bool),
    Gateway(u8, Option<u8>),
    Version(u8, u32, bool),
    /// The same, and then it fails.
    Failed(Box<Step>),
}

fn step() -> impl Strategy<Value = Step> {
    let few = 0..3u8;
    let step = prop_oneof![
        Just(Step::Settle),
        (few.clone(), any::<bool>()).prop_map(|(id, there)| Step::Vpc(id, there)),
        (few.clone(), proptest::option::of(few.clone())).prop_map(|(id, vpc)| Step::Gateway(id, vpc)),
        (few, 1..4u32, any::<bool>()).prop_map(|(id, number, there)| Step::Version(id, number, there)),
    ];
    (step, 0..4u8).prop_map(|(step, luck)| if luck == 0 { Step::Failed(Box::new(step)) } else { step })
}

fn take(tx: &mut Tx<'_>, step: &Step) {
    match step {
        Step::Settle => tx.settle(&scope()),
        Step::Vpc(id, true) => tx.put::<Vpc>(key(&format!("vpc-{id}")), sample::vpc()),
        Step::Vpc(id, false) => tx.delete::<Vpc>(key(&format!("vpc-{id}"))),
        Step::Gateway(id, vpc) => {
            let vpc = vpc.map(|vpc| format!("vpc-{vpc}").into());
            let gateway = InternetGateway { vpc, tags: sample::tags() };
            tx.put::<InternetGateway>(key(&format!("igw-{id}")), gateway);
        }
        Step::Version(template, number, there) => {
            let key = VersionKey::new(&scope(), &format!("lt-{template}").into(), *number);
            let records = sample::records();
            let (_, version) = records.of::<TemplateVersion>().next().expect("the sample has one");
            if *there {
                tx.put::<TemplateVersion>(key, version.clone());
            } else {
                tx.delete::<TemplateVersion>(key);
            }
        }
        Step::Failed(step) => take(tx, step),
    }
}

proptest! {
    #[test]
    fn tables_follow_whatever_happens(steps in vec(step(), 1..30)) {
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
            let records = state.records();
            let versions = records.of::<TemplateVersion>().count();
            let realm = state.ec2().realm(&scope());
            let told: usize = (0..3).map(|n| realm.versions_of(&format!("lt-{n}")).count()).sum();
            prop_assert_eq!(told, versions);
            prop_assert_eq!(state.ec2().is_settled(&scope()), records.of::<Vpc>().count()
                + records.of::<InternetGateway>().count() + records.of::<Settled>().count() + versions > 0);
        }
    }
}

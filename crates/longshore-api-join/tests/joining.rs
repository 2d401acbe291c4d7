//! Tokens and keys over a state in memory: what lets a machine in, how often, and for how long.

use std::time::Duration;

use longshore_api_join::keys::{join, renew, secret_of};
use longshore_api_join::tokens::{create, list, revoke};
use longshore_api_join::{JoinError, Server};
use longshore_base::{AccountId, ClusterName, Ids, Region, Scope, Seed, Timestamp};
use longshore_domain::status::ClusterStatus;
use longshore_keyring::{Keyring, RootKey, SealingTx};
use longshore_link::Redacted;
use longshore_link::join::{CreateToken, InstanceKey as Key, Join, Token};
use longshore_service::Caller;
use longshore_state::{Domains, State, Tx};
use longshore_tables_ecs::record::{Cluster, InstanceKey};
use longshore_tables_ecs::{ClusterKey, EcsState, EcsTables};

const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);
const NONCE: &str = "0123456789abcdef0123456789abcdef";

struct World {
    state: State,
    now: Timestamp,
    drawn: u128,
}

fn scope() -> Scope {
    Scope::new(
        AccountId::parse("000000000000").expect("twelve digits"),
        Region::parse("us-east-1").expect("a region"),
    )
}

fn at() -> ClusterKey {
    ClusterKey::new(scope(), ClusterName::parse("c").expect("a name"))
}

fn root() -> Caller {
    Caller::new(scope(), "arn:aws:iam::000000000000:root")
}

fn server() -> Server {
    Server { url: "https://192.0.2.1:8722".into(), ca: Some("ab".repeat(32)) }
}

impl World {
    fn new() -> Self {
        let state = State::new(&Domains::new("test").with::<EcsTables>().with::<Keyring>(), START);
        let mut world = Self { state, now: START, drawn: 0 };
        world.act(|tx| tx.unlock(RootKey::new([7; 32]))).expect("a new store takes any root key");
        world.make_cluster();
        world
    }

    fn act<T, E>(&mut self, f: impl FnOnce(&mut Tx<'_>) -> Result<T, E>) -> Result<T, E> {
        self.drawn += 1;
        self.state
            .transact(self.now, Ids::new(Seed::new(self.drawn)), f)
            .expect("it fits a commit")
            .map(|(done, _)| done)
    }

    fn make_cluster(&mut self) {
        let cluster = Cluster {
            name: at().cluster,
            status: ClusterStatus::Active,
            created_at: self.now,
            deleted_at: None,
            container_insights: "disabled".into(),
            configuration: None,
            service_connect_namespace: None,
            capacity_providers: Vec::new(),
            default_strategy: Vec::new(),
            tags: Default::default(),
        };
        self.act(|tx| {
            tx.put::<Cluster>(at(), cluster);
            Ok::<_, ()>(())
        })
        .expect("it is made");
    }

    fn token(&mut self, request: CreateToken) -> Result<Token, JoinError> {
        let request = CreateToken { cluster: Some(request.cluster.unwrap_or_else(|| "c".into())), ..request };
        let made = self.act(|tx| create(tx, &root(), request, &server()))?;
        Ok(made.token.0.parse().expect("it is one"))
    }

    fn join(&mut self, token: &Token, nonce: &str) -> Result<Key, String> {
        let request = Join::with(token, nonce);
        self.act(|tx| join(tx, &request)).map_err(|error| error.to_string())
    }

    fn renew(&mut self, key: &str) -> Result<Key, String> {
        let caller = Caller { kind: longshore_api::PrincipalKind::Instance, id: Some("7".into()), ..root() };
        self.act(|tx| renew(tx, &caller, key)).map_err(|error| error.to_string())
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    /// Whose a key is, as whoever verifies signatures asks.
    fn instance_of(&self, key: &Key) -> Option<String> {
        Some(self.state.ecs().instance_of_key(&key.access_key_id)?.instance.to_string())
    }
}

fn uses(uses: u32) -> CreateToken {
    CreateToken { uses: Some(uses), ..CreateToken::default() }
}

#[test]
fn a_token_lets_in_as_many_as_it_says_and_a_repetition_counts_once() {
    let mut world = World::new();
    let token = world.token(uses(2)).expect("it is made");
    assert_eq!((token.url.as_str(), token.ca.clone()), ("https://192.0.2.1:8722", server().ca));
    let first = world.join(&token, NONCE).expect("it is let in");
    assert!(first.access_key_id.starts_with("LSCI") && first.access_key_id.len() == 20, "{first:?}");
    assert_eq!(first.secret_access_key.0.len(), 40);
    assert!(
        first.container_instance_arn.starts_with("arn:aws:ecs:us-east-1:000000000000:container-instance/c/")
    );
    assert_eq!(world.join(&token, NONCE), Ok(first.clone()), "the answer was lost");
    let second = world.join(&token, "another nonce of enough bytes").expect("it is let in");
    assert_ne!(first.container_instance_arn, second.container_instance_arn);
    assert_ne!(first.secret_access_key, second.secret_access_key);
    let error = world.join(&token, "and one more nonce of its own").expect_err("it is used up");
    assert!(error.contains("used as often"), "{error}");
    assert_eq!(world.join(&token, NONCE), Ok(first), "who is in stays in");
    let tokens = list(&world.state, &root()).tokens;
    let [listed] = &tokens[..] else { panic!("there is one") };
    assert_eq!((listed.used, listed.uses, listed.cluster.as_str()), (2, 2, "c"));
    assert_eq!(world.state.check(), Vec::<String>::new());
}

#[test]
fn a_token_that_is_wrong_expired_or_revoked_lets_nobody_in() {
    let mut world = World::new();
    let token = world.token(uses(9)).expect("it is made");
    for wrong in [
        Token { secret: Redacted("guessed".into()), ..token.clone() },
        Token { id: "jt-0".into(), ..token.clone() },
        Token { cluster: "d".into(), ..token.clone() },
        Token { account: "111122223333".into(), ..token.clone() },
        Token { region: "eu-west-1".into(), ..token.clone() },
        Token { region: "no region/".into(), ..token.clone() },
    ] {
        let error = world.join(&wrong, NONCE).expect_err("it is wrong");
        assert!(error.contains("is not valid"), "{error}");
    }
    let error = world.join(&token, "short").expect_err("anybody could have guessed it");
    assert!(error.contains("nonce"), "{error}");
    world.pass(Duration::from_secs(3599));
    world.join(&token, NONCE).expect("it is still good");
    world.pass(Duration::from_secs(1));
    let error = world.join(&token, NONCE).expect_err("its hour is over");
    assert!(error.contains("expired"), "{error}");
    let wrong = Token { secret: Redacted("guessed".into()), ..token };
    let error = world.join(&wrong, NONCE).expect_err("it is wrong");
    assert!(error.contains("is not valid"), "who does not know the secret learns nothing: {error}");

    let token = world.token(uses(9)).expect("it is made");
    world.act(|tx| revoke(tx, &root(), &token.id)).expect("it is there");
    assert!(world.join(&token, NONCE).expect_err("it was revoked").contains("is not valid"));
    let again = world.act(|tx| revoke(tx, &root(), &token.id));
    assert!(matches!(again, Err(JoinError::NoToken(_))));
}

#[test]
fn a_token_is_for_the_cluster_that_it_was_made_for_and_not_for_its_name() {
    let mut world = World::new();
    let token = world.token(uses(9)).expect("it is made");
    world.pass(Duration::from_secs(10));
    world.make_cluster();
    assert!(world.join(&token, NONCE).expect_err("another has the name").contains("is not valid"));
}

#[test]
fn what_cannot_be_is_not_made() {
    let mut world = World::new();
    let attribute = |name: &str, value: &str| CreateToken {
        attributes: [(name.to_owned(), value.to_owned())].into(),
        ..CreateToken::default()
    };
    for request in [
        CreateToken { ttl_seconds: Some(0), ..CreateToken::default() },
        CreateToken { ttl_seconds: Some(31 * 24 * 3600), ..CreateToken::default() },
        uses(0),
        uses(10_001),
        CreateToken { cluster: Some("nowhere".into()), ..CreateToken::default() },
        attribute("ecs.os-type", "mine"),
        attribute("a b", "c"),
    ] {
        assert!(world.token(request.clone()).is_err(), "{request:?}");
    }
    assert_eq!(list(&world.state, &root()).tokens, []);
    let pool = CreateToken { cluster: Some(".fargate".into()), ..CreateToken::default() };
    let token = world.token(pool).expect("the operator has a pool");
    let key = world.join(&token, NONCE).expect("it is let in");
    assert!(key.container_instance_arn.contains(":container-instance/.fargate/"), "{key:?}");
    // Another account has none, and sees none of these.
    let other = Scope::new(AccountId::parse("111122223333").expect("digits"), scope().region);
    let other = Caller::new(other, "arn:aws:iam::111122223333:root");
    let pool = CreateToken { cluster: Some(".fargate".into()), ..CreateToken::default() };
    assert!(world.act(|tx| create(tx, &other, pool, &server())).is_err());
    assert_eq!(list(&world.state, &other).tokens, []);
    assert!(world.act(|tx| revoke(tx, &other, &token.id)).is_err());
}

#[test]
fn a_key_and_the_one_before_it_count_and_asking_again_costs_nothing() {
    let mut world = World::new();
    let token = world.token(uses(1)).expect("it is made");
    let first = world.join(&token, NONCE).expect("it is let in");
    let second = world.renew(&first.access_key_id).expect("it is renewed");
    assert_ne!(first.access_key_id, second.access_key_id);
    assert_eq!(first.container_instance_arn, second.container_instance_arn);
    assert_eq!(world.renew(&first.access_key_id), Ok(second.clone()), "the answer was lost");
    assert!(world.instance_of(&first).is_some() && world.instance_of(&second).is_some());
    let third = world.renew(&second.access_key_id).expect("it is renewed");
    assert_eq!(world.instance_of(&first), None, "two steps back");
    assert!(world.renew(&first.access_key_id).is_err());
    assert!(world.instance_of(&second).is_some() && world.instance_of(&third).is_some());
    let secret = secret_of(&world.state, &third.access_key_id).expect("the root key is there");
    assert_eq!(*secret, third.secret_access_key.0);
    // Sealing goes on with another data key, and the secrets stay what they are.
    world.act(|tx| tx.rotate()).expect("the root key is there");
    let secret = secret_of(&world.state, &third.access_key_id).expect("the root key is there");
    assert_eq!(*secret, third.secret_access_key.0);
    assert_eq!(world.state.check(), Vec::<String>::new());
    let keys: Vec<_> = world.state.records().of::<InstanceKey>().map(|(key, _)| key.clone()).collect();
    assert_eq!(keys.len(), 1);
    let key = keys[0].clone();
    world
        .act(|tx| {
            tx.delete::<InstanceKey>(key);
            Ok::<_, ()>(())
        })
        .expect("it is there");
    assert_eq!((world.instance_of(&second), world.instance_of(&third)), (None, None));
}

#[test]
fn only_an_instance_renews_its_key() {
    let mut world = World::new();
    let done = world.act(|tx| renew(tx, &root(), "AKIAOPERATOR"));
    assert!(matches!(done, Err(JoinError::NoInstance)));
    assert!(world.renew("LSCIAAAAAAAAAAAAAAAA").is_err());
}

#[test]
fn no_secret_is_in_what_is_stored() {
    let mut world = World::new();
    let token = world.token(uses(1)).expect("it is made");
    let key = world.join(&token, NONCE).expect("it is let in");
    let stored = format!("{:?}", world.state.records());
    for secret in [&token.secret.0, &key.secret_access_key.0] {
        assert!(!stored.contains(secret.as_str()));
    }
}

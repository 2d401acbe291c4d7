//! Passwords and tokens: whose they are, until when, and what a stranger is told.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use longshore_api::{Body, Head, PrincipalKind, RequestId, Visit};
use longshore_base::{AccountId, Clock, Region, Seed, Timestamp};
use longshore_identity::{AccessKey, Identity, Keyring as Ring, Mode};
use longshore_keyring::{Keyring, RootKey, SealingTx};
use longshore_registry::ticket::{LASTS, Ticket};
use longshore_registry::{Door, Doorman};
use longshore_sigv4::{Credentials, Secret};
use longshore_state::db::SeedSource;
use longshore_state::{Db, Domains};
use longshore_store::MemoryStore;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

struct Held;

impl Clock for Held {
    fn now(&self) -> Timestamp {
        NOW
    }
}

struct Same;

impl SeedSource for Same {
    fn draw(&self) -> Seed {
        Seed::new(7)
    }
}

fn region(name: &str) -> Region {
    Region::parse(name).expect("a region")
}

/// A control plane with one key on its ring: a user's temporary one.
async fn world(mode: Mode) -> (Arc<Db>, Doorman) {
    let domains = Domains::new("test").with::<Keyring>();
    let db = Db::open(Arc::new(MemoryStore::new()), &domains, Arc::new(Held), Arc::new(Same));
    let db = db.expect("an empty store opens");
    let unlocked = db.write(|tx| tx.unlock(RootKey::new([7; 32])));
    unlocked.await.expect("the database runs").expect("a new store takes any");
    let ring = Ring::new();
    let mut credentials = Credentials::new("ASIA1", "secret");
    credentials.session_token = Some(Secret::new("token"));
    let key = AccessKey {
        credentials,
        account: AccountId::parse("111122223333").expect("twelve digits"),
        kind: PrincipalKind::User,
        name: "ada".into(),
        expires: None,
    };
    ring.add(key).expect("room");
    let identity = Arc::new(Identity::new(mode, Arc::new(ring)));
    let doorman = Doorman::new(db.clone(), identity, region("us-east-1"));
    (db, doorman)
}

fn ticket(session_token: Option<&str>, expires: Timestamp) -> Ticket {
    Ticket {
        access_key_id: "ASIA1".to_owned(),
        session_token: session_token.map(|token| token.to_owned().into()),
        region: region("eu-west-1"),
        expires,
    }
}

fn sealed(db: &Db, ticket: &Ticket) -> String {
    db.peek(|state| ticket.seal(state, Seed::new(1))).expect("the keyring is open")
}

fn visit(authorization: Option<&str>, now: Timestamp) -> Visit {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("127.0.0.1:8722"));
    if let Some(authorization) = authorization {
        let value = HeaderValue::from_str(authorization).expect("ASCII");
        headers.insert(HeaderName::from_static("authorization"), value);
    }
    Visit {
        request_id: RequestId::new("r"),
        now,
        source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        is_secure: false,
        head: Arc::new(Head { method: Method::GET, uri: "/v2/".parse().expect("a path"), headers }),
        body: Body::from(""),
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

#[tokio::test]
async fn a_ticket_lets_its_owner_in() {
    let (db, doorman) = world(Mode::Strict).await;
    let password = sealed(&db, &ticket(Some("token"), NOW + LASTS));
    for header in [basic("AWS", &password), format!("Bearer {password}"), format!("bearer  {password}")] {
        let caller = doorman.enter(&visit(Some(&header), NOW)).expect("it is good");
        assert_eq!(&*caller.principal, "arn:aws:iam::111122223333:user/ada");
        assert_eq!(caller.scope.region, region("eu-west-1"));
    }
    assert!(!password.contains("ASIA1") && !password.contains("token"));
}

#[tokio::test]
async fn everything_else_is_a_stranger() {
    let (db, doorman) = world(Mode::Strict).await;
    let good = sealed(&db, &ticket(Some("token"), NOW + LASTS));
    let of_nobody = sealed(&db, &ticket(None, NOW + LASTS));
    let mut changed = good.clone().into_bytes();
    changed[40] ^= 1;
    let changed = String::from_utf8(changed).expect("ASCII");
    let late = NOW + LASTS;
    for (header, now) in [
        (None, NOW),
        (Some(basic("AWS", &good)), late),
        (Some(basic("aws", &good)), NOW),
        (Some(basic("AWS", &of_nobody)), NOW),
        (Some(basic("AWS", &changed)), NOW),
        (Some(basic("AWS", "")), NOW),
        (Some("Basic x".to_owned()), NOW),
        (Some("Bearer".to_owned()), NOW),
        (Some(format!("Digest {good}")), NOW),
    ] {
        let stranger = doorman.enter(&visit(header.as_deref(), now)).expect_err("it is not good");
        assert_eq!(
            stranger.challenge,
            "Basic realm=\"http://127.0.0.1:8722/\",service=\"ecr.amazonaws.com\""
        );
        assert!(!stranger.message.contains(&good), "{}", stranger.message);
    }
    let expired = doorman.enter(&visit(Some(&basic("AWS", &good)), late)).expect_err("it is too late");
    assert_eq!(expired.message, "Your authorization token has expired. Reauthenticate and try again.");
}

#[tokio::test]
async fn tokens_are_given_for_passwords() {
    let (db, doorman) = world(Mode::Strict).await;
    let password = sealed(&db, &ticket(Some("token"), NOW + Duration::from_secs(90)));
    let asked = visit(Some(&basic("AWS", &password)), NOW + Duration::from_secs(30));
    let token = doorman.token(&asked, None).expect("it is good");
    assert_eq!((token.text.as_str(), token.expires_in), (password.as_str(), 60));
    let form =
        format!("grant_type=password&username=AWS&password={}", longshore_base::percent::encode(&password));
    let token = doorman.token(&visit(None, NOW), Some(&form)).expect("it is good");
    let header = format!("Bearer {}", token.text.as_str());
    doorman.enter(&visit(Some(&header), NOW)).expect("it is good");
    for form in ["", "username=AWS", "username=AWS&password=x", "username=x&password=x"] {
        assert!(doorman.token(&visit(None, NOW), Some(form)).is_err(), "{form}");
    }
    assert!(doorman.token(&visit(None, NOW), None).is_err());
}

/// Docker without credentials fetches a token where it is told `Bearer`.
#[tokio::test]
async fn open_mode_has_tokens_for_everybody() {
    let (db, doorman) = world(Mode::Open).await;
    let stranger = doorman.enter(&visit(None, NOW)).expect_err("it has no token");
    assert_eq!(
        stranger.challenge,
        "Bearer realm=\"http://127.0.0.1:8722/v2/token\",service=\"127.0.0.1:8722\""
    );
    let token = doorman.token(&visit(None, NOW), None).expect("for everybody");
    let header = format!("Bearer {}", token.text.as_str());
    let guest = doorman.enter(&visit(Some(&header), NOW)).expect("it is good");
    assert_eq!((guest.kind, &*guest.principal), (PrincipalKind::Guest, "arn:aws:iam::000000000000:root"));
    assert_eq!(guest.scope.region, region("us-east-1"));
    // Whoever was somebody does not become a guest by having ended.
    let of_nobody = sealed(&db, &ticket(None, NOW + LASTS));
    assert!(doorman.enter(&visit(Some(&basic("AWS", &of_nobody)), NOW)).is_err());
}

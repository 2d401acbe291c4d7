//! A database in memory, a clock that stands still, seeds that count, and a keyring that is open.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, Method, Uri};
use longshore_api::{Api, Body, Call, Head, Principal, PrincipalKind, Request, RequestId};
use longshore_api_identity::{Iam, OPERATIONS};
use longshore_base::{AccountId, Clock, Region, Scope, Seed, Timestamp, percent};
use longshore_keyring::{Keyring, RootKey, SealingTx};
use longshore_service::{Allow, Guard, Server};
use longshore_state::db::SeedSource;
use longshore_state::{Db, Domains, Records, Tx};
use longshore_store::MemoryStore;
use longshore_tables_ecs::EcsTables;
use longshore_tables_iam::IamTables;
use longshore_wire::Protocol;

pub const ACCOUNT: &str = "111122223333";
/// 2023-11-14T22:13:20Z.
pub const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

pub const ALLOW: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ecs:*","Resource":"*"}}"#;
pub const TRUST: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"ecs-tasks.amazonaws.com"}}}"#;

pub struct World {
    pub db: Arc<Db>,
    iam: Server<Iam>,
    account: AccountId,
    kind: PrincipalKind,
    arn: String,
    runtime: tokio::runtime::Runtime,
}

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        NOW
    }
}

#[derive(Default)]
struct Counting(AtomicU64);

impl SeedSource for Counting {
    fn draw(&self) -> Seed {
        Seed::new(u128::from(self.0.fetch_add(1, Ordering::SeqCst)))
    }
}

impl World {
    pub fn new() -> Self {
        Self::guarded(Arc::new(Allow))
    }

    pub fn guarded(guard: Arc<dyn Guard>) -> Self {
        let world = Self::locked(guard);
        world.act(|tx| tx.unlock(RootKey::new([7; 32])).expect("a new store takes any"));
        world
    }

    /// Without a root key.
    pub fn locked(guard: Arc<dyn Guard>) -> Self {
        let domains = Domains::new("test").with::<EcsTables>().with::<IamTables>().with::<Keyring>();
        let seeds = Arc::new(Counting::default());
        let db = Db::open(Arc::new(MemoryStore::new()), &domains, Arc::new(Still), seeds.clone());
        let db = db.expect("an empty store opens");
        Self {
            iam: Iam::server(db.clone(), seeds).guarded(guard),
            db,
            account: AccountId::parse(ACCOUNT).expect("twelve digits"),
            kind: PrincipalKind::Root,
            arn: format!("arn:aws:iam::{ACCOUNT}:root"),
            runtime: tokio::runtime::Builder::new_current_thread().build().expect("a runtime"),
        }
    }

    /// Everything after this is done by somebody else.
    pub fn act_as(&mut self, account: &str, kind: PrincipalKind, arn: &str) {
        self.account = AccountId::parse(account).expect("twelve digits");
        (self.kind, self.arn) = (kind, arn.to_owned());
    }

    pub fn account(&self) -> AccountId {
        self.account
    }

    /// Status and body.
    pub fn reply(&self, action: &str, members: &[(&str, &str)]) -> (u16, String) {
        let scope = Scope::new(self.account, Region::parse("eu-west-1").expect("a region"));
        let (method, uri, headers) = (Method::POST, Uri::from_static("/"), HeaderMap::new());
        let principal = Principal {
            scope,
            access_key_id: "AKIA1".into(),
            arn: self.arn.as_str().into(),
            kind: self.kind,
            name: self.arn.rsplit('/').next().unwrap_or_default().into(),
            id: None,
            session: None,
            service: "iam".into(),
        };
        let call = Call {
            principal,
            request_id: RequestId::new("id-1"),
            now: NOW,
            deadline: Timestamp::from_millis(NOW.as_millis() + 60_000),
            source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            is_secure: false,
            head: Arc::new(Head { method, uri, headers }),
        };
        let mut form = format!("Action={action}&Version=2010-05-08");
        for (name, value) in members {
            form.push_str(&format!("&{name}={}", percent::encode(value)));
        }
        let operation = OPERATIONS.names.iter().find(|name| **name == action);
        let operation = operation.unwrap_or_else(|| panic!("{action} is not built"));
        let request =
            Request { call, operation, protocol: Protocol::Query, body: Body::from(form.into_bytes()) };
        let reply = self.runtime.block_on(self.iam.call(request));
        assert_eq!(reply.content_type, "text/xml");
        let body = reply.body.bytes().expect("it is whole").to_vec();
        (reply.status, String::from_utf8(body).expect("text"))
    }

    /// The answer to a call that has to succeed.
    pub fn ok(&self, action: &str, members: &[(&str, &str)]) -> String {
        let (status, body) = self.reply(action, members);
        assert_eq!(status, 200, "{action} {members:?}: {body}");
        assert_eq!(self.db.peek(|state| state.check()), Vec::<String>::new(), "{action} {members:?}");
        body
    }

    /// The error of a call that has to fail, as `Code: message`.
    pub fn refused(&self, action: &str, members: &[(&str, &str)]) -> String {
        let before = self.records();
        let (status, body) = self.reply(action, members);
        assert_ne!(status, 200, "{action} {members:?}: {body}");
        assert_eq!(
            before.differences(&self.records()),
            Vec::<String>::new(),
            "{action} {members:?} changed something"
        );
        assert!(
            body.starts_with("<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\">"),
            "{body}"
        );
        format!("{}: {}", one(&body, "Code"), one(&body, "Message"))
    }

    pub fn records(&self) -> Records {
        self.db.peek(|state| state.records())
    }

    /// Does what somebody else would do.
    pub fn act<T>(&self, f: impl FnOnce(&mut Tx<'_>) -> T) -> T {
        let done = self.runtime.block_on(self.db.write(|tx| Ok::<T, std::convert::Infallible>(f(tx))));
        match done.expect("the memory store takes everything") {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }
}

/// What stands in each element of this name, in their order.
pub fn all(xml: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let inside = xml.split(&open).skip(1).map(|rest| rest.split(&close).next().unwrap_or_default());
    inside.map(plain).collect()
}

/// The same of the first of them.
pub fn one(xml: &str, name: &str) -> String {
    all(xml, name).first().unwrap_or_else(|| panic!("{xml} has no {name}")).clone()
}

/// Without what XML escapes.
fn plain(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    text.replace("&amp;", "&")
}

/// A document as answers have it: percent-encoded.
pub fn decoded(text: &str) -> String {
    assert!(!text.contains(['+', '"', ' ', '{']), "{text} is not encoded");
    percent::decode(text).expect("UTF-8").into_owned()
}

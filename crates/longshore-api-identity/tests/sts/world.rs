//! IAM and STS over one database in memory, with policies enforced.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, Method, Uri};
use longshore_api::{
    Api, Body, Call, Head, Principal, PrincipalKind, Request, RequestId, Session, SessionSource,
};
use longshore_api_identity::{Iam, Issuers, KeySource, Sts, WebSts, facts};
use longshore_base::{AccountId, Clock, Region, Scope, Seed, Timestamp, percent};
use longshore_guard::{Enforcement, PolicyGuard};
use longshore_keyring::{Keyring, RootKey, SealingTx};
use longshore_service::Server;
use longshore_state::db::SeedSource;
use longshore_state::{Db, Domains};
use longshore_store::MemoryStore;
use longshore_tables_ecs::EcsTables;
use longshore_tables_iam::session::{self, Of, Token};
use longshore_tables_iam::{IamState, IamTables};
use longshore_telemetry::Metrics;
use longshore_wire::Protocol;

use super::web::Published;

pub const ACCOUNT: &str = "111122223333";
pub const OTHER: &str = "444455556666";
pub const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

pub fn account(text: &str) -> AccountId {
    AccountId::parse(text).expect("twelve digits")
}

pub struct World {
    pub db: Arc<Db>,
    iam: Server<Iam>,
    sts: WebSts,
    runtime: tokio::runtime::Runtime,
}

/// Who calls.
#[derive(Clone)]
pub struct Who {
    pub kind: PrincipalKind,
    pub account: AccountId,
    pub arn: String,
    pub name: String,
    pub id: Option<Arc<str>>,
    pub session: Option<Arc<Session>>,
}

impl Who {
    pub fn new(kind: PrincipalKind, of: &str, arn: &str) -> Self {
        let name = arn.rsplit('/').next().unwrap_or_default().to_owned();
        Self { kind, account: account(of), arn: arn.to_owned(), name, id: None, session: None }
    }

    pub fn root(of: &str) -> Self {
        Self { name: String::new(), ..Self::new(PrincipalKind::Root, of, &format!("arn:aws:iam::{of}:root")) }
    }
}

/// Credentials that were issued, and what is in their token.
#[derive(Debug)]
pub struct Credentials {
    pub key: String,
    pub secret: String,
    pub token: String,
    pub seconds: i64,
    pub packed: Option<i32>,
    pub arn: String,
    pub session: session::Session,
    account: AccountId,
    caller: PrincipalKind,
}

impl Credentials {
    /// Whoever signs with them, as the server makes it of their token.
    pub fn who(&self) -> Who {
        let session = self.session.clone();
        let (kind, source, name, id) = match &session.of {
            Of::Role { id, name } => {
                let role = self.arn.split('/').nth(1).expect("a role");
                (PrincipalKind::Session, SessionSource::Role, format!("{role}/{name}"), Some(id.clone()))
            }
            Of::Federated { user, name } => {
                (PrincipalKind::User, SessionSource::Federation, name.to_string(), user.clone())
            }
            Of::User { id, name } => (self.caller, SessionSource::Token, name.to_string(), id.clone()),
            Of::Account { .. } => (self.caller, SessionSource::Token, String::new(), None),
            Of::Guest { .. } => panic!("nobody is a guest here"),
        };
        let session = facts(session, source);
        Who { kind, account: self.account, arn: self.arn.clone(), name, id, session: Some(Arc::new(session)) }
    }
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
        Self::new_with_root(7)
    }

    pub fn new_with_root(byte: u8) -> Self {
        Self::made_of(byte, Arc::new(Published(None)))
    }

    pub fn with_keys(keys: Arc<dyn KeySource>) -> Self {
        Self::made_of(7, keys)
    }

    fn made_of(byte: u8, keys: Arc<dyn KeySource>) -> Self {
        let domains = Domains::new("test").with::<EcsTables>().with::<IamTables>().with::<Keyring>();
        let seeds = Arc::new(Counting::default());
        let db = Db::open(Arc::new(MemoryStore::new()), &domains, Arc::new(Still), seeds.clone());
        let db = db.expect("an empty store opens");
        let guard = Arc::new(PolicyGuard::new(Enforcement::Enforce, Metrics::new()));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let unlocked = runtime.block_on(db.write(|tx| tx.unlock(RootKey::new([byte; 32]))));
        unlocked.expect("the memory store takes everything").expect("a new store takes any");
        let issuers = Arc::new(Issuers::new(keys));
        Self {
            iam: Iam::server(db.clone(), seeds).guarded(guard.clone()),
            sts: WebSts::new(
                Sts::server_with(db.clone(), issuers.clone()).guarded(guard),
                issuers,
                db.clone(),
            ),
            db,
            runtime,
        }
    }

    /// Status and body.
    pub fn sts(&self, who: &Who, action: &str, members: &[(&str, &str)]) -> (u16, String) {
        self.reply(&self.sts, "2011-06-15", who, action, members)
    }

    pub fn iam_as(&self, who: &Who, action: &str, members: &[(&str, &str)]) -> (u16, String) {
        self.reply(&self.iam, "2010-05-08", who, action, members)
    }

    /// What the account's root does in IAM.
    pub fn iam(&self, of: &str, action: &str, members: &[(&str, &str)]) -> String {
        let (status, body) = self.iam_as(&Who::root(of), action, members);
        assert_eq!(status, 200, "{action} {members:?}: {body}");
        body
    }

    pub fn user(&self, of: &str, name: &str, policy: Option<&str>) -> Who {
        let made = self.iam(of, "CreateUser", &[("UserName", name)]);
        if let Some(policy) = policy {
            self.iam(
                of,
                "PutUserPolicy",
                &[("UserName", name), ("PolicyName", "p"), ("PolicyDocument", policy)],
            );
        }
        let who = Who::new(PrincipalKind::User, of, &one(&made, "Arn"));
        Who { id: Some(one(&made, "UserId").into()), ..who }
    }

    pub fn role(&self, of: &str, name: &str, trust: &str) {
        self.iam(of, "CreateRole", &[("RoleName", name), ("AssumeRolePolicyDocument", trust)]);
    }

    /// The session, or the error as `Code: message`.
    pub fn assume(&self, who: &Who, role: &str, members: &[(&str, &str)]) -> Result<Credentials, String> {
        let mut all = vec![("RoleArn", role)];
        if !members.iter().any(|(name, _)| *name == "RoleSessionName") {
            all.push(("RoleSessionName", "s1"));
        }
        all.extend(members);
        self.session(who, "AssumeRole", &all)
    }

    pub fn session(&self, who: &Who, action: &str, members: &[(&str, &str)]) -> Result<Credentials, String> {
        let (status, body) = self.sts(who, action, members);
        if status != 200 {
            return Err(format!("{}: {}", one(&body, "Code"), one(&body, "Message")));
        }
        let (key, token) = (one(&body, "AccessKeyId"), one(&body, "SessionToken"));
        let opened = self.db.peek(|state| match session::open(state, &key, &token) {
            Token::Opened(opened) => {
                assert!(session::is_live(state, opened.account, &opened.session));
                assert!(state.iam().access_key(&key).is_none(), "a session is stored nowhere");
                opened
            }
            Token::Foreign | Token::Broken => panic!("{body}"),
        });
        let arn =
            body.split_once("<Arn>").map(|(_, rest)| rest.split('<').next().unwrap_or_default().to_owned());
        Ok(Credentials {
            key,
            secret: one(&body, "SecretAccessKey"),
            token,
            seconds: i64::try_from(opened.session.expires.since(NOW).as_secs()).expect("it is short"),
            packed: body
                .contains("<PackedPolicySize>")
                .then(|| one(&body, "PackedPolicySize").parse().expect("a number")),
            arn: arn.unwrap_or_else(|| who.arn.clone()),
            account: opened.account,
            session: opened.session,
            caller: who.kind,
        })
    }

    fn reply(
        &self,
        api: &dyn Api,
        version: &str,
        who: &Who,
        action: &str,
        members: &[(&str, &str)],
    ) -> (u16, String) {
        let principal = Principal {
            scope: Scope::new(who.account, Region::parse("eu-west-1").expect("a region")),
            access_key_id: "AKIA1".into(),
            arn: who.arn.as_str().into(),
            kind: who.kind,
            name: who.name.as_str().into(),
            id: who.id.clone(),
            session: who.session.clone(),
            service: "sts".into(),
        };
        let (method, uri, headers) = (Method::POST, Uri::from_static("/"), HeaderMap::new());
        let call = Call {
            principal,
            request_id: RequestId::new("id-1"),
            now: NOW,
            deadline: Timestamp::from_millis(NOW.as_millis() + 60_000),
            source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            is_secure: false,
            head: Arc::new(Head { method, uri, headers }),
        };
        let mut form = format!("Action={action}&Version={version}");
        for (name, value) in members {
            form.push_str(&format!("&{name}={}", percent::encode(value)));
        }
        let operation = api.operations().iter().find(|name| **name == action);
        let operation = operation.unwrap_or_else(|| panic!("{action} is not built"));
        let request =
            Request { call, operation, protocol: Protocol::Query, body: Body::from(form.into_bytes()) };
        let reply = self.runtime.block_on(api.call(request));
        (reply.status, String::from_utf8(reply.body.bytes().expect("it is whole").to_vec()).expect("text"))
    }
}

/// What stands in the first element of this name.
pub fn one(xml: &str, name: &str) -> String {
    let inside =
        xml.split_once(&format!("<{name}>")).map(|(_, rest)| rest.split("</").next().unwrap_or_default());
    let text = inside.unwrap_or_else(|| panic!("{xml} has no {name}"));
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    text.replace("&amp;", "&")
}

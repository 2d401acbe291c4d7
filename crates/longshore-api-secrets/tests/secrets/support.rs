//! A database in memory, a clock that is held, seeds that count, and a keyring that is open.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use http::{HeaderMap, Method, Uri};
use longshore_api::{Api, Body, Call, Head, Principal, PrincipalKind, Request, RequestId};
use longshore_api_secrets::{
    KMS_OPERATIONS, Kms, SECRETS_MANAGER_OPERATIONS, SSM_OPERATIONS, SecretsManager, Ssm,
};
use longshore_base::{AccountId, Clock, Region, Scope, Seed, Timestamp};
use longshore_keyring::{Keyring, RootKey, SealingTx};
use longshore_service::{Allow, Guard};
use longshore_state::db::SeedSource;
use longshore_state::{Db, Domains, Records, Tx};
use longshore_store::{MemoryStore, Op};
use longshore_tables_iam::IamTables;
use longshore_tables_secrets::SecretsTables;
use longshore_wire::Protocol;
use serde_json::{Value, json};

pub const ACCOUNT: &str = "111122223333";
pub const OTHER: &str = "444455556666";
pub const REGION: &str = "eu-west-1";
/// 2023-11-14T22:13:20Z.
const BEGIN: i64 = 1_700_000_000_000;
const DAY_MILLIS: i64 = 24 * 3600 * 1000;

pub struct World {
    pub db: Arc<Db>,
    secrets: Box<dyn Api>,
    ssm: Box<dyn Api>,
    kms: Box<dyn Api>,
    principal: Principal,
    clock: Arc<Held>,
    runtime: tokio::runtime::Runtime,
}

struct Held(AtomicI64);

impl Clock for Held {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

#[derive(Default)]
struct Counting(AtomicU64);

impl SeedSource for Counting {
    fn draw(&self) -> Seed {
        Seed::new(u128::from(self.0.fetch_add(1, Ordering::SeqCst)))
    }
}

pub fn account(text: &str) -> AccountId {
    AccountId::parse(text).expect("twelve digits")
}

pub fn scope(account_id: &str) -> Scope {
    Scope::new(account(account_id), Region::parse(REGION).expect("a region"))
}

fn root_of(account_id: &str) -> Principal {
    Principal {
        scope: scope(account_id),
        access_key_id: "AKIA1".into(),
        arn: format!("arn:aws:iam::{account_id}:root").into(),
        kind: PrincipalKind::Root,
        name: "".into(),
        id: None,
        session: None,
        service: "secretsmanager".into(),
    }
}

impl World {
    /// Everybody may do everything.
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
        let domains = Domains::new("test").with::<IamTables>().with::<Keyring>().with::<SecretsTables>();
        let (seeds, clock) = (Arc::new(Counting::default()), Arc::new(Held(AtomicI64::new(BEGIN))));
        let db = Db::open(Arc::new(MemoryStore::new()), &domains, clock.clone(), seeds.clone());
        let db = db.expect("an empty store opens");
        Self {
            secrets: Box::new(SecretsManager::server(db.clone(), seeds.clone()).guarded(guard.clone())),
            ssm: Box::new(Ssm::server(db.clone()).guarded(guard.clone())),
            kms: Box::new(Kms::server(db.clone(), seeds).guarded(guard)),
            db,
            principal: root_of(ACCOUNT),
            clock,
            runtime: tokio::runtime::Builder::new_current_thread().build().expect("a runtime"),
        }
    }

    /// Everything after this is done by the root of another account.
    pub fn act_as(&mut self, account_id: &str) {
        self.principal = root_of(account_id);
    }

    /// Everything after this is done by a user of IAM.
    pub fn act_as_user(&mut self, account_id: &str, name: &str, id: &str) {
        self.principal = Principal {
            arn: format!("arn:aws:iam::{account_id}:user/{name}").into(),
            kind: PrincipalKind::User,
            name: name.into(),
            id: Some(id.into()),
            ..root_of(account_id)
        };
    }

    /// Days pass.
    pub fn days(&self, days: i64) {
        self.clock.0.fetch_add(days * DAY_MILLIS, Ordering::SeqCst);
        self.millis(1);
    }

    pub fn millis(&self, millis: i64) {
        self.clock.0.fetch_add(millis, Ordering::SeqCst);
    }

    pub fn sweep(&self) {
        let mut left = 100;
        while self.act(|tx| longshore_tables_secrets::sweep(tx).expect("the keyring is open")) {
            left -= 1;
            assert!(left > 0, "it comes to an end");
        }
    }

    /// Status and body. An operation is named by its service and itself: `kms:Decrypt`.
    pub fn reply(&self, action: &str, body: &Value) -> (u16, Value) {
        let (service, name) = action.split_once(':').expect("a service");
        let (api, names) = match service {
            "secretsmanager" => (&self.secrets, SECRETS_MANAGER_OPERATIONS.names),
            "ssm" => (&self.ssm, SSM_OPERATIONS.names),
            "kms" => (&self.kms, KMS_OPERATIONS.names),
            other => panic!("{other} is none of the three"),
        };
        let (method, uri, headers) = (Method::POST, Uri::from_static("/"), HeaderMap::new());
        let now = self.clock.now();
        let call = Call {
            principal: self.principal.clone(),
            request_id: RequestId::new("id-1"),
            now,
            deadline: Timestamp::from_millis(now.as_millis() + 60_000),
            source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            is_secure: false,
            head: Arc::new(Head { method, uri, headers }),
        };
        let operation = names.iter().find(|own| **own == name);
        let operation = operation.unwrap_or_else(|| panic!("{action} is not built"));
        let body = Body::from(body.to_string().into_bytes());
        let request = Request { call, operation, protocol: Protocol::AwsJson11, body };
        let reply = self.runtime.block_on(api.call(request));
        let bytes = reply.body.bytes().expect("it is whole").to_vec();
        let body = if bytes.is_empty() { json!({}) } else { serde_json::from_slice(&bytes).expect("JSON") };
        (reply.status, body)
    }

    /// The answer to a call that has to succeed.
    pub fn ok(&self, action: &str, body: Value) -> Value {
        let (status, answer) = self.reply(action, &body);
        assert_eq!(status, 200, "{action} {body}: {answer}");
        assert_eq!(self.db.peek(|state| state.check()), Vec::<String>::new(), "{action} {body}");
        answer
    }

    /// The error of a call that has to fail, as `Code: message`.
    pub fn refused(&self, action: &str, body: Value) -> String {
        let before = self.records();
        let (status, answer) = self.reply(action, &body);
        assert_eq!(status, 400, "{action} {body}: {answer}");
        let changed = before.differences(&self.records());
        assert_eq!(changed, Vec::<String>::new(), "{action} {body} changed something");
        told(&answer)
    }

    pub fn records(&self) -> Records {
        self.db.peek(|state| state.records())
    }

    /// Nothing that is stored or printed of the records has this in it.
    pub fn is_nowhere(&self, secret: &str) {
        let records = self.records();
        assert!(!format!("{records:?}").contains(secret), "it is printed");
        for op in records.ops() {
            let Op::Put { value, .. } = op else { continue };
            assert!(
                !value.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()),
                "it is in the store"
            );
        }
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

/// An error as `Code: message`.
pub fn told(answer: &Value) -> String {
    let code = answer["__type"].as_str().expect("an error").rsplit('#').next().unwrap_or_default().to_owned();
    let text = answer.get("message").or_else(|| answer.get("Message")).and_then(Value::as_str);
    format!("{code}: {}", text.unwrap_or_default())
}

/// A text member.
pub fn text<'a>(answer: &'a Value, name: &str) -> &'a str {
    answer[name].as_str().unwrap_or_else(|| panic!("{answer} has no {name}"))
}

/// A token of the length that the model wants.
pub fn token(name: &str) -> String {
    format!("{name:0>32}")
}

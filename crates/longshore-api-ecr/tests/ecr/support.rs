//! A database in memory, a clock that is held, seeds that count, and a keyring that is open.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use longshore_api::{Api, Body, Call, Head, Principal, PrincipalKind, Request, RequestId};
use longshore_api_ecr::{EcrApi, RegistryHost};
use longshore_base::{AccountId, Clock, Region, Scope, Seed, Timestamp};
use longshore_keyring::{Keyring, RootKey, SealingTx};
use longshore_service::{Allow, Guard};
use longshore_state::db::SeedSource;
use longshore_state::{Db, Domains, Tx};
use longshore_store::MemoryStore;
use longshore_tables_blobs::BlobTables;
use longshore_tables_ecr::EcrTables;
use longshore_tables_iam::IamTables;
use longshore_wire::Protocol;
use serde_json::{Value, json};

pub const ACCOUNT: &str = "111122223333";
pub const REGION: &str = "eu-west-1";
/// 2023-11-14T22:13:20Z.
pub const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

pub struct World {
    pub db: Arc<Db>,
    pub api: EcrApi,
    runtime: tokio::runtime::Runtime,
}

struct Held;

impl Clock for Held {
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

pub fn scope() -> Scope {
    let account = AccountId::parse(ACCOUNT).expect("twelve digits");
    Scope::new(account, Region::parse(REGION).expect("a region"))
}

impl World {
    /// Everybody may do everything.
    pub fn new() -> Self {
        Self::guarded(Arc::new(Allow))
    }

    pub fn guarded(guard: Arc<dyn Guard>) -> Self {
        let domains = Domains::new("test")
            .with::<IamTables>()
            .with::<Keyring>()
            .with::<BlobTables>()
            .with::<EcrTables>();
        let db =
            Db::open(Arc::new(MemoryStore::new()), &domains, Arc::new(Held), Arc::new(Counting::default()));
        let db = db.expect("an empty store opens");
        let host = RegistryHost::Own { host: "127.0.0.1:8722".into(), is_secure: false };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let world = Self { api: EcrApi::new(db.clone(), guard, host), db, runtime };
        world.act(|tx| tx.unlock(RootKey::new([7; 32])).expect("a new store takes any"));
        world
    }

    /// Changes something beside the API.
    pub fn act<T>(&self, f: impl FnOnce(&mut Tx<'_>) -> T) -> T {
        let done = self.runtime.block_on(self.db.write(|tx| Ok::<_, ()>(f(tx))));
        done.expect("the database runs").expect("it is done")
    }

    /// Asks with further headers; the status and the answer.
    pub fn ask_with(&self, operation: &str, input: Value, headers: &[(&'static str, &str)]) -> (u16, Value) {
        let names = self.api.operations();
        let operation = names.iter().find(|name| **name == operation).expect("it is built");
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).expect("ASCII");
            map.insert(HeaderName::from_static(name), value);
        }
        let head = Head { method: Method::POST, uri: Uri::from_static("/"), headers: map };
        let principal = Principal {
            scope: scope(),
            access_key_id: "ASIA1".into(),
            arn: format!("arn:aws:iam::{ACCOUNT}:root").into(),
            kind: PrincipalKind::Root,
            name: "".into(),
            id: None,
            session: None,
            service: "ecr".into(),
        };
        let call = Call {
            principal,
            request_id: RequestId::new("5dd5c2f6-0000-4000-8000-000000000000"),
            now: NOW,
            deadline: NOW,
            source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            is_secure: false,
            head: Arc::new(head),
        };
        let body = Body::from(input.to_string());
        let request = Request { call, operation, protocol: Protocol::AwsJson11, body };
        let reply = self.runtime.block_on(self.api.call(request));
        let answer = serde_json::from_slice(reply.body.bytes().expect("it is whole")).expect("JSON");
        (reply.status, answer)
    }

    /// The answer to something that succeeds.
    #[track_caller]
    pub fn ask(&self, operation: &str, input: Value) -> Value {
        let (status, answer) = self.ask_with(operation, input, &[]);
        assert_eq!(status, 200, "{operation}: {answer}");
        answer
    }

    /// The code and the text of something that is refused.
    #[track_caller]
    pub fn refused(&self, operation: &str, input: Value) -> (String, String) {
        let (status, answer) = self.ask_with(operation, input, &[]);
        assert_eq!(status, 400, "{operation}: {answer}");
        let code = answer["__type"].as_str().expect("a code");
        let code = code.rsplit('#').next().unwrap_or(code).to_owned();
        (code, answer["message"].as_str().unwrap_or_default().to_owned())
    }

    /// A repository with its defaults.
    pub fn make(&self, name: &str) -> Value {
        self.ask("CreateRepository", json!({"repositoryName": name}))["repository"].clone()
    }
}

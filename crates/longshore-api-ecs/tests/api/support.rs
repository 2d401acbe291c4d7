//! A database in memory, a clock that stands still until it is moved, and seeds that count.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use longshore_api_ecs::{Caller, Ecs, Settings};
use longshore_base::{AccountId, Clock, ClusterName, InstanceId, Region, Scope, Seed, Timestamp};
use longshore_service::{Allow, Guard, Server};
use longshore_shapes_ecs::Operation;
use longshore_state::db::SeedSource;
use longshore_state::{Db, Domains, Records, Tx};
use longshore_store::MemoryStore;
use longshore_tables_ec2::Ec2Tables;
use longshore_tables_ecs::{ClusterKey, EcsTables, EcsTx};
use longshore_tables_iam::IamTables;
use longshore_tables_secrets::SecretsTables;
use longshore_wire::{Ask, Protocol, Reply};
use serde_json::{Value, json};

pub const ACCOUNT: &str = "123456789012";
pub const REGION: &str = "eu-west-1";
/// 2023-11-14T22:13:20.5Z.
const START_MILLIS: i64 = 1_700_000_000_500;

pub struct World {
    pub db: Arc<Db>,
    clock: Arc<HeldClock>,
    ecs: Server<Ecs>,
    caller: Caller,
    runtime: tokio::runtime::Runtime,
}

struct HeldClock(AtomicI64);

impl Clock for HeldClock {
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

pub fn caller(account: &str) -> Caller {
    let account_id = AccountId::parse(account).expect("twelve digits");
    let scope = Scope::new(account_id, Region::parse(REGION).expect("a region"));
    Caller::new(scope, format!("arn:aws:iam::{account}:user/tester"))
}

impl World {
    pub fn new() -> Self {
        Self::with(Settings::default())
    }

    pub fn with(settings: Settings) -> Self {
        Self::guarded(settings, Arc::new(Allow))
    }

    pub fn guarded(settings: Settings, guard: Arc<dyn Guard>) -> Self {
        let clock = Arc::new(HeldClock(AtomicI64::new(START_MILLIS)));
        let domains = Domains::new("test")
            .with::<Ec2Tables>()
            .with::<EcsTables>()
            .with::<IamTables>()
            .with::<SecretsTables>();
        let db =
            Db::open(Arc::new(MemoryStore::new()), &domains, clock.clone(), Arc::new(Counting::default()))
                .expect("an empty store opens");
        // Subnets need not exist.
        let opened = db.submit(|tx| {
            tx.volatile(|iam: &mut IamTables, _| iam.allow_guests());
            Ok::<_, std::convert::Infallible>(())
        });
        let (Ok(()), _) = opened.expect("the database is well");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        Self {
            ecs: Ecs::server(db.clone(), settings).guarded(guard),
            db,
            clock,
            caller: caller(ACCOUNT),
            runtime,
        }
    }

    /// Everything after this is done by the user of another account.
    pub fn act_as(&mut self, account: &str) {
        self.caller = caller(account);
    }

    /// Everything after this is done by this caller.
    pub fn be(&mut self, caller: Caller) {
        self.caller = caller;
    }

    pub fn pass(&self, time: Duration) {
        let millis = i64::try_from(time.as_millis()).expect("a sane time");
        self.clock.0.fetch_add(millis, Ordering::SeqCst);
    }

    pub fn reply(&self, operation: Operation, body: &Value) -> Reply {
        let body = body.to_string();
        let ask = Ask::of_body(Protocol::AwsJson11, body.as_bytes());
        let call = self.ecs.answer(operation.name(), &self.caller, &ask);
        self.runtime.block_on(call)
    }

    /// The output of a call that has to succeed.
    pub fn ok(&self, operation: Operation, body: Value) -> Value {
        let reply = self.reply(operation, &body);
        let output = serde_json::from_slice(&reply.body).expect("an answer is JSON");
        assert_eq!(reply.status, 200, "{operation} {body}: {output}");
        assert_eq!(self.db.peek(|state| state.check()), Vec::<String>::new(), "{operation} {body}");
        output
    }

    /// The error of a call that has to fail, as `Code: message`.
    pub fn refused(&self, operation: Operation, body: Value) -> String {
        let before = self.records();
        let reply = self.reply(operation, &body);
        let output: Value = serde_json::from_slice(&reply.body).expect("an answer is JSON");
        assert_ne!(reply.status, 200, "{operation} {body}: {output}");
        assert_eq!(self.records(), before, "{operation} {body} failed and yet changed something");
        assert_eq!(self.db.peek(|state| state.check()), Vec::<String>::new(), "{operation} {body}");
        let text = |name: &str| output[name].as_str().unwrap_or_default().to_owned();
        format!("{}: {}", text("__type"), text("message"))
    }

    pub fn records(&self) -> Records {
        self.db.peek(|state| state.records())
    }

    /// Does what a controller or an agent would do.
    pub fn act<T>(&self, f: impl FnOnce(&mut Tx<'_>) -> T) -> T {
        let done = self.runtime.block_on(self.db.write(|tx| Ok::<T, std::convert::Infallible>(f(tx))));
        match done.expect("the memory store takes everything") {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    pub fn arn(&self, resource: &str) -> String {
        format!("arn:aws:ecs:{REGION}:{}:{resource}", self.caller.scope.account)
    }

    /// The agent of a machine opens its socket.
    pub fn connect(&self, instance: &str) {
        let (at, id) = instance
            .split_once(":container-instance/")
            .expect("an instance's ARN")
            .1
            .split_once('/')
            .expect("a long one");
        let cluster = ClusterKey::new(self.caller.scope.clone(), ClusterName::parse(at).expect("a name"));
        let id = InstanceId::parse(id).expect("an id");
        self.act(|tx| tx.set_connected(&cluster.instance(id), true));
    }

    /// Registers a machine of two cores and 4096 MiB as the official agent would; gives its ARN.
    pub fn machine(&self, cluster: &str, token: &str) -> String {
        let output = self.ok(Operation::RegisterContainerInstance, registration(cluster, token));
        text(&output["containerInstance"]["containerInstanceArn"])
    }
}

/// What the official agent sends (agent-protocol G3).
pub fn registration(cluster: &str, token: &str) -> Value {
    json!({
        "cluster": cluster, "clientToken": token,
        "instanceIdentityDocument": "", "instanceIdentityDocumentSignature": "",
        "totalResources": [
            {"name": "CPU", "type": "INTEGER", "integerValue": 2048},
            {"name": "MEMORY", "type": "INTEGER", "integerValue": 4096},
            {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22", "2376", "2375", "51678", "51679"]},
            {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []}
        ],
        "attributes": [
            {"name": "stack", "value": "prod"},
            {"name": "ecs.capability.full-sync"},
            {"name": "ecs.os-type", "value": "linux"}
        ]
    })
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a text")).to_owned()
}

/// The value of one attribute of an instance; `None` if it is not there.
pub fn attribute<'v>(instance: &'v Value, name: &str) -> Option<&'v Value> {
    instance["attributes"].as_array()?.iter().find(|attribute| attribute["name"] == name)
}

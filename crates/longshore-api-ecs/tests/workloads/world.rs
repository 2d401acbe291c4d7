//! A control plane without sockets: the API over a database in memory, a clock that is set by hand,
//! controllers that are called by hand, and agents that are played.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use longshore_api_ecs::{Caller, Ecs, Settings};
use longshore_base::{AccountId, ArnFormat, Clock, ClusterName, InstanceId, Region, Scope, Seed, Timestamp};
use longshore_controllers::service;
use longshore_domain::task_definition::{Owner, normalise};
use longshore_domain::{InstanceStatus, LaunchType, TaskDefinitionStatus};
use longshore_service::Server;
use longshore_shapes_ecs::{Operation, RegisterTaskDefinitionRequest};
use longshore_state::db::SeedSource;
use longshore_state::{Db, Domains, Inbox, Tx};
use longshore_store::MemoryStore;
use longshore_tables_ec2::Ec2Tables;
use longshore_tables_ecs::{ClusterKey, EcsState, EcsTables, EcsTx, Hint, InstanceKey, ServiceKey, record};
use longshore_tables_iam::IamTables;
use longshore_tables_secrets::record::{
    Parameter, ParameterKind, ParameterValue, ParameterVersion, Text, Tier,
};
use longshore_tables_secrets::{NumberKey, ScopedKey, SecretsTables, Whole};
use longshore_wire::{Ask, Protocol, json};
use serde_json::{Value, json};

pub const CLUSTER: &str = "deep-dive-cluster";
pub const ACCOUNT: &str = "123456789012";
pub const REGION: &str = "eu-west-1";

/// A clock that only moves when it is told to.
struct ManualClock(AtomicI64);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

struct CountingSeeds(AtomicU64);

impl SeedSource for CountingSeeds {
    fn draw(&self) -> Seed {
        Seed::new(u128::from(self.0.fetch_add(1, Ordering::SeqCst)))
    }
}

pub struct World {
    pub db: Arc<Db>,
    hints: Inbox<Hint>,
    ecs: Server<Ecs>,
    clock: Arc<ManualClock>,
    store: Arc<MemoryStore>,
    seeds: Arc<CountingSeeds>,
    caller: Caller,
    controllers: longshore_controllers::Settings,
    runtime: tokio::runtime::Runtime,
}

fn open(store: &Arc<MemoryStore>, clock: &Arc<ManualClock>, seeds: &Arc<CountingSeeds>) -> Arc<Db> {
    let domains = Domains::new("test")
        .with::<Ec2Tables>()
        .with::<EcsTables>()
        .with::<IamTables>()
        .with::<SecretsTables>();
    Db::open(store.clone(), &domains, clock.clone(), seeds.clone()).expect("the records are whole")
}

impl World {
    /// With the cluster of the walk-through, still empty; in open mode, so that roles need not be there.
    pub fn new() -> Self {
        let world = Self::strict();
        world.allow_guests();
        world
    }

    /// In open mode from now on, until the next restart.
    pub fn allow_guests(&self) {
        self.act(|tx| tx.volatile(|iam: &mut IamTables, _| iam.allow_guests()));
    }

    /// The same in strict mode.
    pub fn strict() -> Self {
        let clock = Arc::new(ManualClock(AtomicI64::new(1_700_000_000_000)));
        let seeds = Arc::new(CountingSeeds(AtomicU64::new(1)));
        let store = Arc::new(MemoryStore::new());
        let db = open(&store, &clock, &seeds);
        let scope = Scope::new(
            AccountId::parse(ACCOUNT).expect("an account"),
            Region::parse(REGION).expect("a region"),
        );
        let world = Self {
            ecs: Ecs::server(db.clone(), Settings::default()),
            hints: db.inbox(),
            db,
            clock,
            store,
            seeds,
            caller: Caller::new(scope, format!("arn:aws:iam::{ACCOUNT}:user/tester")),
            controllers: longshore_controllers::Settings::default(),
            runtime: tokio::runtime::Builder::new_current_thread().build().expect("a runtime"),
        };
        world.ok("CreateCluster", json!({"clusterName": CLUSTER}));
        world
    }

    /// Does what somebody else would do.
    pub fn act(&self, f: impl FnOnce(&mut Tx<'_>)) {
        let done = self.db.submit(|tx| {
            f(tx);
            Ok::<_, std::convert::Infallible>(())
        });
        let (Ok(()), _) = done.expect("the database is well");
    }

    /// kill -9 and a new start: all that was written is there, and nothing else.
    pub fn restart(&mut self) {
        self.runtime.block_on(self.db.read(|_| ())).expect("the database is well");
        self.db = open(&self.store, &self.clock, &self.seeds);
        self.ecs = Ecs::server(self.db.clone(), Settings::default());
        self.hints = self.db.inbox();
    }

    /// With so many instances of 1024 CPU units and 1000 MiB, in zones a, b, c in turn.
    pub fn with_instances(count: usize) -> (Self, Vec<InstanceId>) {
        let world = Self::new();
        let zones = ["a", "b", "c"];
        let ids = (0..count).map(|n| world.add_instance(&format!("{REGION}{}", zones[n % 3]), 1024, 1000));
        let ids = ids.collect();
        (world, ids)
    }

    /// The status and the body of the answer.
    pub fn call(&self, operation: &str, input: &Value) -> (u16, Value) {
        self.call_as(&self.caller, operation, input)
    }

    pub fn call_as(&self, caller: &Caller, operation: &str, input: &Value) -> (u16, Value) {
        let operation = Operation::from_name(operation).expect("an operation of the model");
        let body = input.to_string();
        let ask = Ask::of_body(Protocol::AwsJson11, body.as_bytes());
        let answer = self.ecs.answer(operation.name(), caller, &ask);
        let reply = self.runtime.block_on(answer);
        (reply.status, serde_json::from_slice(&reply.body).expect("answers are JSON"))
    }

    pub fn ok(&self, operation: &str, input: Value) -> Value {
        let (status, body) = self.call(operation, &input);
        assert_eq!(status, 200, "{operation} {input}: {body}");
        body
    }

    pub fn ok_as(&self, caller: &Caller, operation: &str, input: Value) -> Value {
        let (status, body) = self.call_as(caller, operation, &input);
        assert_eq!(status, 200, "{operation} {input}: {body}");
        body
    }

    /// Somebody of another account in the same region.
    pub fn caller_of(&self, account: AccountId) -> Caller {
        let scope = Scope::new(account, self.caller.scope.region.clone());
        Caller::new(scope, format!("arn:aws:iam::{account}:user/tester"))
    }

    pub fn operator(&self) -> Caller {
        self.caller_of(AccountId::OPERATOR)
    }

    /// The error's name and text.
    pub fn refused(&self, operation: &str, input: Value) -> (String, String) {
        let (status, body) = self.call(operation, &input);
        assert_eq!(status, 400, "{operation} {input} should be refused: {body}");
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        (text("__type"), text("message"))
    }

    #[track_caller]
    pub fn check_refused(&self, operation: &str, input: Value, name: &str, text: &str) {
        let before = self.db.peek(|state| state.sequence());
        assert_eq!(self.refused(operation, input), (name.to_owned(), text.to_owned()));
        assert_eq!(self.db.peek(|state| state.sequence()), before, "a refused call changes nothing");
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn advance(&self, time: Duration) {
        let millis = i64::try_from(time.as_millis()).expect("a short time");
        self.clock.0.fetch_add(millis, Ordering::SeqCst);
    }

    pub fn at(&self) -> ClusterKey {
        ClusterKey::new(self.caller.scope.clone(), ClusterName::parse(CLUSTER).expect("valid"))
    }

    /// Registers an instance whose agent is connected.
    pub fn add_instance(&self, zone: &str, cpu: u32, memory: u32) -> InstanceId {
        let at = self.at();
        let attribute =
            |name: &str, value: &str| record::Attribute { name: name.into(), value: Some(value.into()) };
        let (added, _) = self
            .db
            .submit(|tx| {
                let id = tx.ids.instance();
                let instance = record::Instance {
                    id,
                    arn_format: ArnFormat::Long,
                    status: InstanceStatus::Active,
                    registered_at: tx.now,
                    deregistered_at: None,
                    ec2_instance_id: format!("i-{:017x}", id.bits() >> 60).into(),
                    capacity_provider: None,
                    launch_type: LaunchType::Ec2,
                    cpu,
                    memory,
                    reserved_tcp: Vec::new(),
                    reserved_udp: Vec::new(),
                    gpus: Vec::new(),
                    agent_attributes: vec![
                        attribute("ecs.availability-zone", zone),
                        attribute("ecs.cpu-architecture", "x86_64"),
                    ],
                    user_attributes: Vec::new(),
                    agent_version: Some("1.0.0".into()),
                    agent_hash: None,
                    docker_version: None,
                    version: 0,
                    link_epoch: 0,
                    connected: false,
                    connected_since: Timestamp::default(),
                    takeovers: Default::default(),
                    owes_credentials: false,
                    tags: Default::default(),
                    health: Vec::new(),
                };
                tx.put_instance(&at, instance);
                tx.set_connected(&at.instance(id), true);
                Ok::<_, ()>(id)
            })
            .expect("the database is well");
        added.expect("nothing refuses it")
    }

    /// Lets the instance take tasks in awsvpc mode, with addresses of `range`.
    pub fn give_network(&self, instance: InstanceId, range: &str, gateway: &str) {
        let at = self.at();
        let flag = |name: &str| record::Attribute { name: name.into(), value: None };
        let with =
            |name: &str, value: &str| record::Attribute { name: name.into(), value: Some(value.into()) };
        let (done, _) = self
            .db
            .submit(|tx| {
                let entry = tx.ecs().cluster(&at).and_then(|cluster| cluster.instance(instance));
                let mut record = record::Instance::clone(&entry.expect("the instance").record);
                record.agent_attributes.extend([
                    flag("com.amazonaws.ecs.capability.docker-remote-api.1.17"),
                    flag("com.amazonaws.ecs.capability.docker-remote-api.1.18"),
                    flag("ecs.capability.task-eni"),
                ]);
                record.agent_attributes.retain(|own| !own.name.starts_with("longshore."));
                record.agent_attributes.push(with("longshore.task-network", range));
                record.agent_attributes.push(with("longshore.task-gateway", gateway));
                tx.put_instance(&at, record);
                Ok::<_, ()>(())
            })
            .expect("the database is well");
        done.expect("nothing refuses it");
    }

    /// Lets the instance take tasks that need these attributes.
    pub fn give_capabilities(&self, instance: InstanceId, names: &[&str]) {
        let at = self.at();
        let (done, _) = self
            .db
            .submit(|tx| {
                let entry = tx.ecs().cluster(&at).and_then(|cluster| cluster.instance(instance));
                let mut record = record::Instance::clone(&entry.expect("the instance").record);
                let flag = |name: &&str| record::Attribute { name: (*name).into(), value: None };
                record.agent_attributes.extend(names.iter().map(flag));
                tx.put_instance(&at, record);
                Ok::<_, ()>(())
            })
            .expect("the database is well");
        done.expect("nothing refuses it");
    }

    /// Lets the instance's agent say something more.
    pub fn give_attribute(&self, instance: InstanceId, name: &str, value: &str) {
        let at = self.at();
        let submitted = self.db.submit(|tx| {
            let entry = tx.ecs().cluster(&at).and_then(|cluster| cluster.instance(instance));
            let mut record = record::Instance::clone(&entry.expect("the instance").record);
            record.agent_attributes.push(record::Attribute { name: name.into(), value: Some(value.into()) });
            tx.put_instance(&at, record);
            Ok::<_, ()>(())
        });
        let (done, _) = submitted.expect("the database is well");
        done.expect("nothing refuses it");
    }

    /// Gives the instance to a capacity provider of the cluster.
    pub fn provide(&self, instance: InstanceId, provider: &str) {
        let at = self.at();
        let (done, _) = self
            .db
            .submit(|tx| {
                let entry = tx.ecs().cluster(&at).and_then(|cluster| cluster.instance(instance));
                let mut record = record::Instance::clone(&entry.expect("the instance").record);
                record.capacity_provider = Some(provider.into());
                tx.put_instance(&at, record);
                Ok::<_, ()>(())
            })
            .expect("the database is well");
        done.expect("nothing refuses it");
    }

    pub fn connect(&self, instance: InstanceId, connected: bool) {
        let at: InstanceKey = self.at().instance(instance);
        let (done, _) = self
            .db
            .submit(|tx| {
                tx.set_connected(&at, connected);
                Ok::<_, ()>(())
            })
            .expect("the database is well");
        done.expect("nothing refuses it");
    }

    pub fn instance_arn(&self, id: InstanceId) -> String {
        self.caller.scope.instance_arn(&self.at().cluster, id, ArnFormat::Long)
    }

    /// Registers a revision as RegisterTaskDefinition would.
    pub fn register(&self, definition: Value) -> String {
        let request: RegisterTaskDefinitionRequest =
            json::from_slice(definition.to_string().as_bytes()).expect("a request of the model");
        let scope = &self.caller.scope;
        let normalised = normalise(request, &Owner { scope }).expect("a valid definition");
        let (revision, _) = self
            .db
            .submit(|tx| {
                let family = normalised.family.clone();
                let known = tx.ecs().realm(scope).and_then(|realm| realm.family(family.as_str()));
                let revision = known.map_or(1, |family| family.next_revision());
                let document = String::from_utf8(json::to_vec(&normalised.shape)).expect("JSON is text");
                let document =
                    record::Compiled::new(document.into()).expect("a normalised document compiles");
                let definition = record::TaskDefinition {
                    family,
                    revision,
                    status: TaskDefinitionStatus::Active,
                    registered_at: tx.now,
                    registered_by: "tester".into(),
                    deregistered_at: None,
                    delete_requested_at: None,
                    document,
                    tags: [("from".to_owned(), "definition".to_owned())].into(),
                };
                tx.put_definition(scope, definition);
                Ok::<_, ()>(revision)
            })
            .expect("the database is well");
        format!("{}:{}", normalised.family, revision.expect("nothing refuses it"))
    }

    pub fn deactivate(&self, family: &str, revision: u32) {
        let scope = &self.caller.scope;
        let family = longshore_base::Family::parse(family).expect("valid");
        let (done, _) = self
            .db
            .submit(|tx| {
                let known = tx.ecs().definition(scope, &family, revision).expect("registered");
                let mut definition = record::TaskDefinition::clone(known);
                definition.status = TaskDefinitionStatus::Inactive;
                tx.put_definition(scope, definition);
                Ok::<_, ()>(())
            })
            .expect("the database is well");
        done.expect("nothing refuses it");
    }

    /// Family `web` as the walk-through has it: one container, port 8080, 102 CPU units, 50 MiB.
    pub fn register_web(&self) -> String {
        self.register(json!({
            "family": "web",
            "containerDefinitions": [{
                "name": "tomcat", "image": "tomcat", "memory": 50, "cpu": 102,
                "portMappings": [{"containerPort": 8080, "hostPort": 8080}],
            }],
        }))
    }

    /// A family with one container without ports.
    pub fn register_plain(&self, family: &str, cpu: u32, memory: u32) -> String {
        self.register(json!({
            "family": family,
            "containerDefinitions": [{"name": "main", "image": "busybox", "memory": memory, "cpu": cpu}],
        }))
    }

    /// The services that changes have asked the controller to look at since the last call.
    pub fn hinted(&self) -> Vec<String> {
        let (hinted, _) = self
            .db
            .submit(|tx| {
                tx.hint(Hint::Definitions(self.caller.scope.clone()));
                Ok::<_, ()>(())
            })
            .expect("the database is well");
        hinted.expect("nothing refuses it");
        // There is one hint at least, so that this does not wait.
        let hints = self.runtime.block_on(self.hints.next());
        let services = hints.into_iter().filter_map(|hint| match hint {
            Hint::Service(key) => Some(key.service.to_string()),
            Hint::Provisioning(_) | Hint::Definitions(_) => None,
        });
        services.collect()
    }

    /// Lets the controller look at every service until nothing is left to do now.
    pub fn reconcile(&self) {
        for _ in 0..200 {
            let before = self.db.peek(|state| state.sequence());
            let mut again = false;
            for key in self.services() {
                let (next, _) = self
                    .db
                    .submit(|tx| Ok::<_, ()>(service::reconcile(tx, &key, &self.controllers)))
                    .expect("the database is well");
                again |= next.expect("nothing refuses it").is_some_and(|at| at <= self.now());
            }
            if !again && self.db.peek(|state| state.sequence()) == before {
                return;
            }
        }
        panic!("the services do not come to rest");
    }

    fn services(&self) -> Vec<ServiceKey> {
        let at = self.at();
        self.db.peek(|state| {
            let cluster = state.ecs().cluster(&at).expect("the cluster");
            cluster.services().map(|(service, _)| at.service(&service.name)).collect()
        })
    }

    /// Plays the agents for a while: what is wanted runs, what is not wanted ends; and lets the
    /// controller act on it.
    pub fn settle(&self) {
        for _ in 0..12 {
            self.reconcile();
            self.play_agents();
            self.reconcile();
            self.advance(Duration::from_secs(10));
        }
    }

    /// One round of reports of every connected agent.
    pub fn play_agents(&self) {
        for task in self.tasks() {
            // Of a task that waits for capacity no agent knows.
            if task.last_status.is_stopped() || task.instance.is_none() {
                continue;
            }
            match task.desired_status {
                longshore_domain::DesiredStatus::Running if task.last_status.is_pending() => {
                    self.report_running(&task);
                }
                longshore_domain::DesiredStatus::Running => {}
                longshore_domain::DesiredStatus::Stopped => self.report_stopped(&task, 143),
            }
        }
    }

    pub fn tasks(&self) -> Vec<Arc<record::Task>> {
        let at = self.at();
        self.db
            .peek(|state| state.ecs().cluster(&at).expect("the cluster").tasks().values().cloned().collect())
    }

    /// Tasks that are wanted.
    pub fn wanted(&self) -> Vec<Arc<record::Task>> {
        let wanted =
            |task: &Arc<record::Task>| task.desired_status == longshore_domain::DesiredStatus::Running;
        self.tasks().into_iter().filter(wanted).collect()
    }

    pub fn report_running(&self, task: &record::Task) {
        let containers: Vec<Value> = task
            .containers
            .iter()
            .map(|container| {
                json!({
                    "containerName": container.name.as_str(), "status": "RUNNING",
                    "runtimeId": format!("{:064x}", task.id.bits()),
                    "imageDigest": "sha256:0f0f",
                    "networkBindings": task.origin.needs.ports.iter().map(|(port, _)| json!({
                        "bindIP": "0.0.0.0", "containerPort": port.0, "hostPort": port.0, "protocol": "tcp",
                    })).collect::<Vec<_>>(),
                })
            })
            .collect();
        self.report(
            task,
            json!({
                "task": self.task_arn(task), "status": "RUNNING", "reason": "",
                "pullStartedAt": 1_700_000_000.5, "pullStoppedAt": 1_700_000_001.5, "containers": containers,
            }),
        );
    }

    /// An instance, and the family `web` with one container that these parameters are secrets of, each in version 1.
    pub fn with_secrets(parameters: &[&str]) -> Self {
        let (world, ids) = Self::with_instances(1);
        let names = [
            "ecs.capability.secrets.ssm.environment-variables",
            "com.amazonaws.ecs.capability.docker-remote-api.1.17",
            "com.amazonaws.ecs.capability.docker-remote-api.1.18",
        ];
        world.give_capabilities(ids[0], &names);
        let secret =
            |(n, parameter): (usize, &&str)| json!({"name": format!("S{n}"), "valueFrom": parameter});
        let secrets: Vec<Value> = parameters.iter().enumerate().map(secret).collect();
        for parameter in parameters {
            world.put_parameter(parameter, 1);
        }
        world.ok(
            "RegisterTaskDefinition",
            json!({
                "family": "web", "executionRoleArn": "arn:aws:iam::123456789012:role/r",
                "containerDefinitions": [{"name": "main", "image": "busybox", "memory": 10, "secrets": secrets}],
            }),
        );
        world
    }

    /// Reports that the task runs, and which versions of its secrets its first container was given.
    pub fn report_given(&self, task: &record::Task, secrets: &[(&str, &str)]) {
        let told = secrets.iter().map(|(name, value)| json!({"name": name, "value": value}));
        let container = json!({
            "containerName": task.containers[0].name.as_str(), "status": "RUNNING",
            "runtimeId": format!("{:064x}", task.id.bits()), "secretVersions": told.collect::<Vec<_>>(),
        });
        self.report(
            task,
            json!({"task": self.task_arn(task), "status": "RUNNING", "reason": "", "containers": [container]}),
        );
    }

    /// A parameter of the Parameter Store in this version, which becomes the newest.
    pub fn put_parameter(&self, name: &str, number: u64) {
        let scope = self.caller.scope.clone();
        self.act(|tx| {
            let of = Whole::new(&name.into(), &"GhIjKl".into());
            let version = ParameterVersion {
                value: ParameterValue::Text(Text("value".into())),
                tier: Tier::Standard,
                description: None,
                pattern: None,
                data_type: "text".into(),
                modified_at: tx.now,
                modified_by: "tester".into(),
                key_named: None,
                policies: None,
            };
            tx.put::<ParameterVersion>(NumberKey { scope: scope.clone(), of, number }, version);
            let parameter = Parameter {
                birth: "GhIjKl".into(),
                kind: ParameterKind::String,
                version: number,
                labels: Default::default(),
                tags: Default::default(),
                labelled_at: None,
            };
            tx.put::<Parameter>(ScopedKey { scope, name: name.into() }, parameter);
        });
    }

    /// What the controllers do every few seconds.
    pub fn sweep(&self) {
        self.act(|tx| {
            assert!(!longshore_controllers::upkeep::sweep(tx, &self.controllers), "one is enough");
        });
    }

    /// Reports as the agent of the task's instance does.
    fn report(&self, task: &record::Task, mut report: Value) {
        let (caller, cluster) = match task.is_pooled() {
            true => (self.operator(), longshore_base::FARGATE_POOL),
            false => (self.caller.clone(), CLUSTER),
        };
        report["cluster"] = cluster.into();
        self.ok_as(&caller, "SubmitTaskStateChange", report);
    }

    pub fn report_stopped(&self, task: &record::Task, exit_code: i32) {
        let containers: Vec<Value> = task
            .containers
            .iter()
            .map(|container| {
                json!({
                    "containerName": container.name.as_str(), "status": "STOPPED", "exitCode": exit_code,
                    "runtimeId": format!("{:064x}", task.id.bits()),
                })
            })
            .collect();
        self.report(
            task,
            json!({
                "task": self.task_arn(task), "status": "STOPPED", "reason": "",
                "executionStoppedAt": self.now().as_seconds_f64(), "containers": containers,
            }),
        );
    }

    pub fn task_arn(&self, task: &record::Task) -> String {
        self.caller.scope.task_arn(&self.at().cluster, task.id, task.origin.arn_format)
    }

    pub fn describe_service(&self, name: &str) -> Value {
        let mut answer = self.ok("DescribeServices", json!({"cluster": CLUSTER, "services": [name]}));
        assert_eq!(answer["failures"], json!([]), "{name}");
        answer["services"][0].take()
    }

    pub fn describe_task(&self, task: &str) -> Value {
        let mut answer = self.ok("DescribeTasks", json!({"cluster": CLUSTER, "tasks": [task]}));
        assert_eq!(answer["failures"], json!([]), "{task}");
        answer["tasks"][0].take()
    }

    /// Messages of the service, oldest first, with ids of tasks and deployments made equal.
    pub fn events(&self, name: &str) -> Vec<String> {
        let service = self.describe_service(name);
        let events = service["events"].as_array().expect("events").iter().rev();
        events.map(|event| anonymous(event["message"].as_str().expect("a message"))).collect()
    }

    /// All indexes agree with the records, and no instance is promised more than it has.
    pub fn check(&self) {
        let notes = self.db.peek(|state| state.check());
        assert_eq!(notes, Vec::<String>::new());
        self.db.peek(|state| {
            let own = state.ecs().cluster(&self.at()).expect("the cluster");
            let own = own.instances().iter().map(|(&id, entry)| (self.at().instance(id), entry));
            let pooled = state.ecs().pools().flat_map(|(at, pool)| {
                pool.instances().iter().map(move |(&id, entry)| (at.instance(id), entry))
            });
            for (at, entry) in own.chain(pooled) {
                let id = at.instance;
                let tasks = || state.ecs().tasks_on(&at).map(|(_, task)| task);
                assert_eq!(tasks().count(), entry.tasks().len());
                let cpu: u32 = tasks().map(|task| task.origin.needs.cpu.0).sum();
                let memory: u32 = tasks().map(|task| task.origin.needs.memory.0).sum();
                let mut ports: Vec<u16> =
                    tasks().flat_map(|t| t.origin.needs.ports.iter().map(|p| p.0.0)).collect();
                let before = ports.len();
                ports.sort_unstable();
                ports.dedup();
                assert!(cpu <= entry.record.cpu, "{id} is promised {cpu} CPU units");
                assert!(memory <= entry.record.memory, "{id} is promised {memory} MiB");
                assert_eq!(ports.len(), before, "{id} has a port twice");
            }
        });
    }
}

/// Ids that differ from run to run, replaced by what they are.
pub fn anonymous(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        let word: String = rest[at..].chars().take_while(char::is_ascii_hexdigit).collect();
        out.push_str(&rest[..at]);
        match word.len() {
            32 => out.push_str("ID"),
            19 => out.push('N'),
            _ => out.push_str(&word),
        }
        rest = &rest[at + word.len()..];
    }
    out.push_str(rest);
    out
}

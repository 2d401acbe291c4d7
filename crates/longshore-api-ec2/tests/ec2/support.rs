//! A database in memory, a clock that stands still, seeds that count, and a keyring that is open.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, Method, Uri};
use longshore_api::{Api, Body, Call, Head, Principal, PrincipalKind, Request, RequestId};
use longshore_api_ec2::{Ec2, OPERATIONS};
use longshore_base::{AccountId, Clock, ClusterName, Region, Scope, Seed, Timestamp, percent};
use longshore_domain::{InstanceStatus, LaunchType, TaskStatus};
use longshore_keyring::{Keyring, RootKey, SealingTx};
use longshore_service::{Allow, Guard, Server};
use longshore_state::db::SeedSource;
use longshore_state::{Db, Domains, Records, Tx};
use longshore_store::MemoryStore;
use longshore_tables_ec2::Ec2Tables;
use longshore_tables_ecs::record::{Cluster, Instance, Interface, Origin, Task};
use longshore_tables_ecs::{ClusterKey, EcsTables, EcsTx};
use longshore_wire::Protocol;

use crate::ecs_sample;

/// That of the records of ECS.
pub const ACCOUNT: &str = "123456789012";
pub const REGION: &str = "eu-west-1";
/// 2023-11-14T22:13:20Z.
pub const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

pub struct World {
    pub db: Arc<Db>,
    ec2: Server<Ec2>,
    account: AccountId,
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

pub fn scope() -> Scope {
    let account = AccountId::parse(ACCOUNT).expect("twelve digits");
    Scope::new(account, Region::parse(REGION).expect("a region"))
}

impl World {
    pub fn new() -> Self {
        Self::guarded(Arc::new(Allow))
    }

    pub fn guarded(guard: Arc<dyn Guard>) -> Self {
        let domains = Domains::new("test").with::<Ec2Tables>().with::<EcsTables>().with::<Keyring>();
        let seeds = Arc::new(Counting::default());
        let db = Db::open(Arc::new(MemoryStore::new()), &domains, Arc::new(Still), seeds);
        let db = db.expect("an empty store opens");
        let world = Self {
            ec2: Ec2::server(db.clone()).guarded(guard),
            db,
            account: scope().account,
            runtime: tokio::runtime::Builder::new_current_thread().build().expect("a runtime"),
        };
        world.act(|tx| tx.unlock(RootKey::new([7; 32])).expect("a new store takes any"));
        world
    }

    /// Everything after this is done by somebody else.
    pub fn act_as(&mut self, account: &str) {
        self.account = AccountId::parse(account).expect("twelve digits");
    }

    /// Status and body.
    pub fn reply(&self, action: &str, members: &[(&str, &str)]) -> (u16, String) {
        let (method, uri, headers) = (Method::POST, Uri::from_static("/"), HeaderMap::new());
        let principal = Principal {
            scope: Scope::new(self.account, scope().region),
            access_key_id: "AKIA1".into(),
            arn: format!("arn:aws:iam::{}:root", self.account).into(),
            kind: PrincipalKind::Root,
            name: "".into(),
            id: None,
            session: None,
            service: "ec2".into(),
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
        let mut form = format!("Action={action}&Version=2016-11-15");
        for (name, value) in members {
            form.push_str(&format!("&{name}={}", percent::encode(value)));
        }
        let operation = OPERATIONS.names.iter().find(|name| **name == action);
        let operation = operation.unwrap_or_else(|| panic!("{action} is not built"));
        let request =
            Request { call, operation, protocol: Protocol::Ec2Query, body: Body::from(form.into_bytes()) };
        let reply = self.runtime.block_on(self.ec2.call(request));
        assert_eq!(reply.content_type, "text/xml;charset=UTF-8");
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

    /// What stands in the first element of this name of the answer.
    pub fn get(&self, action: &str, members: &[(&str, &str)], name: &str) -> String {
        one(&self.ok(action, members), name)
    }

    /// The error of a call that has to fail, as `Code: message`.
    pub fn refused(&self, action: &str, members: &[(&str, &str)]) -> String {
        let before = self.records();
        let (status, body) = self.reply(action, members);
        assert!((400..500).contains(&status), "{action} {members:?}: {status} {body}");
        let differences = before.differences(&self.records());
        assert_eq!(differences, Vec::<String>::new(), "{action} {members:?} changed something");
        assert!(body.contains("<Response><Errors><Error><Code>"), "{body}");
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

    /// The id of the default VPC.
    pub fn default_vpc(&self) -> String {
        self.get("DescribeVpcs", &[("Filter.1.Name", "is-default"), ("Filter.1.Value.1", "true")], "vpcId")
    }

    /// A VPC of 10.1.0.0/16.
    pub fn vpc(&self) -> String {
        self.get("CreateVpc", &[("CidrBlock", "10.1.0.0/16")], "vpcId")
    }

    /// A subnet of 10.1.`n`.0/24.
    pub fn subnet(&self, vpc: &str, n: u8) -> String {
        let cidr = format!("10.1.{n}.0/24");
        self.get("CreateSubnet", &[("VpcId", vpc), ("CidrBlock", &cidr)], "subnetId")
    }

    pub fn group(&self, vpc: &str, name: &str) -> String {
        let members = [("VpcId", vpc), ("GroupName", name), ("GroupDescription", "what it is for")];
        self.get("CreateSecurityGroup", &members, "groupId")
    }

    /// A task in awsvpc mode on the machine `i-0123456789abcdef0`, and its interface's id.
    pub fn task(&self, n: u8, network: &str, status: TaskStatus, launch_type: LaunchType) -> String {
        let id = format!("eni-0000000000000000{n}");
        let records = ecs_sample::records();
        let (at, cluster) = records.of::<Cluster>().next().expect("the sample has one");
        let (_, instance) = records.of::<Instance>().next().expect("the sample has one");
        let (_, task) = records.of::<Task>().next().expect("the sample has one");
        let interface = Interface {
            attachment: format!("attachment-{n}").into(),
            id: id.as_str().into(),
            address: Ipv4Addr::new(172, 20, 0, n),
            gateway: Ipv4Addr::new(172, 20, 0, 1),
            prefix: 16,
            subnet: None,
            zone: None,
        };
        let origin = Origin {
            network: Some(network.into()),
            service: None,
            launch_type,
            ..Origin::clone(&task.origin)
        };
        let task = Task {
            id: longshore_base::TaskId::from_bits(u128::from(n)),
            origin: origin.into(),
            last_status: status,
            interface: Some(Box::new(interface)),
            ..Task::clone(task)
        };
        self.act(|tx| {
            tx.put_cluster(&at.scope, Cluster::clone(cluster));
            let status = InstanceStatus::Active;
            tx.put_instance(at, Instance { status, ..Instance::clone(instance) });
            tx.put_task(at, task);
        });
        id
    }

    /// So many RUNNING tasks that were started together: the interface of the n-th is `eni-` and n in 17 hex digits, its address
    /// 10.1 and n.
    pub fn tasks(&self, count: u16, network: &str) {
        let records = ecs_sample::records();
        let (at, cluster) = records.of::<Cluster>().next().expect("the sample has one");
        let (_, task) = records.of::<Task>().next().expect("the sample has one");
        let origin = Origin {
            network: Some(network.into()),
            service: None,
            launch_type: LaunchType::Fargate,
            ..Origin::clone(&task.origin)
        };
        let origin = std::sync::Arc::new(origin);
        self.act(|tx| tx.put_cluster(&at.scope, Cluster::clone(cluster)));
        for some in (0..count).collect::<Vec<_>>().chunks(100) {
            self.act(|tx| {
                for &n in some {
                    let [high, low] = n.to_be_bytes();
                    let interface = Interface {
                        attachment: format!("attachment-{n}").into(),
                        id: format!("eni-{n:017x}").into(),
                        address: Ipv4Addr::new(10, 1, high, low),
                        gateway: Ipv4Addr::new(10, 1, 0, 1),
                        prefix: 16,
                        subnet: None,
                        zone: None,
                    };
                    let task = Task {
                        id: longshore_base::TaskId::from_bits(u128::from(n)),
                        origin: origin.clone(),
                        last_status: TaskStatus::Running,
                        interface: Some(Box::new(interface)),
                        ..Task::clone(task)
                    };
                    tx.put_task(at, task);
                }
            });
        }
    }

    /// The cluster that tasks are in.
    pub fn cluster(&self) -> ClusterName {
        let records = ecs_sample::records();
        let at: ClusterKey = records.of::<Cluster>().next().expect("the sample has one").0.clone();
        at.cluster
    }
}

/// A network configuration.
pub fn network(subnets: &[&str], groups: &[&str]) -> String {
    let list = |ids: &[&str]| ids.iter().map(|id| format!("{id:?}")).collect::<Vec<_>>().join(",");
    format!(
        r#"{{"awsvpcConfiguration":{{"subnets":[{}],"securityGroups":[{}]}}}}"#,
        list(subnets),
        list(groups)
    )
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
    text.replace("&#xA;", "\n").replace("&amp;", "&")
}

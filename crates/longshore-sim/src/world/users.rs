//! Users: they ask, ask again when nobody answers, and remember what they were promised.
//!
//! The reference model is here: what users' calls have asked for, told by the calls alone. It is compared with the
//! records after every transaction and after every restart of the server.

use std::collections::BTreeMap;
use std::time::Duration;

use longshore_base::{AccountId, Arn, Family, InstanceId, Scope, ServiceName, TaskId};
use longshore_domain::status::ProviderStatus;
use longshore_domain::{DesiredStatus, InstanceStatus, SchedulingStrategy, ServiceStatus, TaskStatus};
use longshore_tables_ecs::ClusterKey;
use longshore_tables_ecs::key::{FamilyKey, ProviderKey};
use longshore_tables_ecs::record::{
    CapacityProvider, Cluster, Instance, Service, StrategyItem, Task, TaskDefinition,
};
use serde_json::Value;

use super::network::{Call, CallId, Caller, Reply};
use super::script::SPARE;
use super::server::DISK_FAILED;
use super::{Event, World, network, roles};

/// Operations whose requests have no cluster.
const NAMES_NO_CLUSTER: [&str; 6] = [
    "CreateCapacityProvider",
    "UpdateCapacityProvider",
    "DeleteCapacityProvider",
    "CreateCluster",
    "RegisterTaskDefinition",
    "StopServiceDeployment",
];
/// How often a user repeats a call that nobody answered.
const TRIES_MAX: u32 = 8;
/// How long users wait before they do.
const PAUSE_MILLIS: (u64, u64) = (500, 4000);
/// How long after the first call for it the last one of a wish can arrive.
pub(crate) const LAST_ARRIVAL: Duration = network::last_arrival(TRIES_MAX as u64, PAUSE_MILLIS.1);

/// A call that a user wants to succeed.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    /// Of the world's places, the one that it is about; it tells account and region, too.
    pub place: usize,
    pub operation: &'static str,
    pub body: String,
    /// It has to fail.
    pub is_bad: bool,
    tries: u32,
}

impl Wish {
    pub fn of(place: usize, operation: &'static str, body: String) -> Self {
        Self { place, operation, body, is_bad: false, tries: 0 }
    }
}

/// What a call that succeeded has settled.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fact {
    Cluster,
    Definition(Family, u32),
    Service {
        name: ServiceName,
        desired: Option<u32>,
        definition: String,
        /// It may go back to an older revision by itself.
        rollback: bool,
    },
    Updated {
        name: ServiceName,
        desired: Option<u32>,
        definition: Option<String>,
    },
    Deleted(ServiceName),
    Shown(Vec<Shown>),
    /// From here on it may go back to what it was.
    DeploymentStopped(ServiceName),
    Ran {
        started_by: String,
        count: usize,
        tasks: Vec<TaskId>,
    },
    Stopped(TaskId),
    Instance(InstanceId, InstanceStatus),
    /// What a cluster's capacity providers and its default strategy are.
    Providers(Vec<String>, Vec<StrategyItem>),
    /// The spare provider is there, or not any more.
    Spare(bool),
    /// A role is there, and trusts ECS or not; `None`: it is gone.
    Role(String, Option<bool>),
}

/// A task in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    task: TaskId,
    version: u64,
    status: TaskStatus,
}

/// A fact, and with which revision it became durable.
#[derive(Clone, Debug)]
pub(super) struct Known {
    place: usize,
    epoch: u32,
    sequence: u64,
    call: CallId,
    acknowledged: bool,
    fact: Fact,
}

/// What is expected of a service.
#[derive(Clone, Debug, Default)]
struct ExpectedService {
    desired: Option<u32>,
    created: bool,
    /// Empty: its task sets have their own.
    definition: String,
    rollback: bool,
    deleted: bool,
}

impl World {
    pub(super) fn token(&mut self) -> String {
        self.tokens += 1;
        format!("token-{}", self.tokens)
    }

    pub(super) fn ask(&mut self, place: usize, operation: &'static str, mut request: Value) {
        if !NAMES_NO_CLUSTER.contains(&operation) {
            request["cluster"] = self.places[place].cluster.as_str().into();
        }
        self.wish(Wish::of(place, operation, request.to_string()));
    }

    pub(super) fn bad_request(&mut self, kind: u8) {
        use serde_json::json;
        let (operation, request) = match kind {
            0 => ("RunTask", json!({"cluster": "nowhere", "taskDefinition": "web"})),
            1 => ("RunTask", json!({"cluster": "main", "taskDefinition": "unheard-of"})),
            2 => ("RunTask", json!({"cluster": "main", "taskDefinition": "web", "count": 11})),
            3 => ("UpdateService", json!({"cluster": "main", "service": "unheard-of", "desiredCount": 1})),
            4 => ("StopTask", json!({"cluster": "main", "task": "0123456789abcdef0123456789abcdef"})),
            5 => {
                let instance = "0123456789abcdef0123456789abcdef";
                ("DeregisterContainerInstance", json!({"cluster": "main", "containerInstance": instance}))
            }
            6 => (
                "RegisterTaskDefinition",
                json!({"family": "bad", "containerDefinitions": [{"name": "no image"}]}),
            ),
            7 => {
                let request = json!({"cluster": "main", "serviceName": "bad", "taskDefinition": "web", "desiredCount": -1});
                ("CreateService", request)
            }
            10 => {
                let id =
                    self.pool_instance().unwrap_or_else(|| "0123456789abcdef0123456789abcdef".to_owned());
                let request =
                    json!({"cluster": ".fargate", "containerInstances": [id], "status": "DRAINING"});
                ("UpdateContainerInstancesState", request)
            }
            11 => {
                let network = json!({"awsvpcConfiguration": {"subnets": ["subnet-1"]}});
                let request = json!({"cluster": "main", "taskDefinition": "web", "launchType": "FARGATE", "networkConfiguration": network});
                ("RunTask", request)
            }
            12 => {
                let mixed = json!([{"capacityProvider": "FARGATE", "weight": 1}, {"capacityProvider": "cp-a", "weight": 1}]);
                let request =
                    json!({"cluster": "main", "taskDefinition": "web", "capacityProviderStrategy": mixed});
                ("RunTask", request)
            }
            13 => ("RunTask", json!({"cluster": ".fargate", "taskDefinition": "web"})),
            14 => ("DeleteCapacityProvider", json!({"capacityProvider": "FARGATE_SPOT"})),
            15 => {
                let request = json!({"cluster": "main", "serviceName": "bad", "taskDefinition": "web", "schedulingStrategy": "DAEMON", "launchType": "FARGATE"});
                ("CreateService", request)
            }
            // Somebody else's cluster and task, if there is somebody else.
            _ => {
                let foreign = self.clusters.iter().position(|own| own.scope != self.clusters[0].scope);
                let Some(foreign) = foreign else { return };
                let (key, task) = (&self.clusters[foreign], self.some_task_of(foreign, kind.into()));
                let arn = |kind: &str, rest: &str| {
                    let scope = &key.scope;
                    format!("arn:aws:ecs:{}:{}:{kind}/{rest}", scope.region, scope.account)
                };
                let cluster = arn("cluster", key.cluster.as_str());
                match task {
                    Some(task) => {
                        let task = arn("task", &format!("{}/{task}", key.cluster));
                        ("StopTask", json!({"cluster": "main", "task": task}))
                    }
                    None => ("RunTask", json!({"cluster": cluster, "taskDefinition": "web"})),
                }
            }
        };
        self.wish(Wish { place: 0, operation, body: request.to_string(), is_bad: true, tries: 0 });
    }

    pub(super) fn wish(&mut self, wish: Wish) {
        let (operation, body) = (wish.operation, wish.body.clone());
        self.call(Caller::User(wish), operation, body);
    }

    /// A user's call is over.
    pub(super) fn heard(&mut self, mut wish: Wish, reply: Reply) {
        if let Ok((_, body)) = &reply {
            let text = String::from_utf8_lossy(body).into_owned();
            // Who names somebody else's things may be told those names.
            if !wish.is_bad {
                self.check_isolation(wish.place, &text);
            }
        }
        // The server tells that it gives up: the same as no answer at all.
        let reply = match reply {
            Ok((500, body)) if body == DISK_FAILED.as_bytes() => Err("the server gives up".to_owned()),
            other => other,
        };
        match reply {
            Ok((200, _)) if wish.is_bad => {
                self.fail("robustness", format!("{} {} succeeded", wish.operation, wish.body));
            }
            Ok((200, _)) => {}
            Ok((status, body)) if status < 500 => {
                let text = String::from_utf8_lossy(&body).into_owned();
                // What users may be told in a world that moves on: it is gone, is not active, has tasks, or nobody
                // can run it now.
                let expected = wish.is_bad
                    || match wish.operation {
                        // Nobody has a token for it: who repeats it may find that it was made.
                        "CreateCapacityProvider" => {
                            text.contains("already exists") && wish.body.contains(SPARE)
                        }
                        "CreateCluster" | "RegisterTaskDefinition" => false,
                        "RunTask" => {
                            // By a default strategy, or one over providers that the cluster has no more.
                            text.contains("No Container Instances")
                                || text.contains("ECS was unable to assume the role")
                                || text.contains("does not support launch_type FARGATE")
                                    && !wish.body.contains("launchType")
                                    && !wish.body.contains("capacityProviderStrategy")
                                || text.contains("not associated with the cluster")
                                    && wish.body.contains("capacityProviderStrategy")
                        }
                        _ => true,
                    };
                if !expected {
                    self.fail("robustness", format!("{} {} is refused: {text}", wish.operation, wish.body));
                }
            }
            Ok((_, body)) => {
                let text = String::from_utf8_lossy(&body).into_owned();
                self.fail("robustness", format!("{} {}: {text}", wish.operation, wish.body));
            }
            Err(_) => {
                wish.tries += 1;
                if wish.tries < TRIES_MAX {
                    let (low, high) = PAUSE_MILLIS;
                    let pause = self.users.millis(low, high);
                    self.push(self.now + pause, Event::Retry(wish));
                }
            }
        }
    }

    /// The server has carried out a call: notes what that settles.
    pub(super) fn learn(&mut self, id: CallId, call: &Call, answer: &[u8], sequence: u64) {
        let Caller::User(wish) = &call.caller else {
            return self.learn_from_agent(id, call, answer, sequence);
        };
        if roles::OPERATIONS.contains(&wish.operation) {
            let said = roles::said(wish.operation, &wish.body);
            let fact = said.map(|(name, trusts)| Fact::Role(name, trusts));
            return self.remember(id, wish.place, fact, sequence);
        }
        let request: Value = serde_json::from_str(&wish.body).unwrap_or_default();
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        let name = |member: &Value| member.as_str().and_then(|text| ServiceName::parse(text).ok());
        let number = |member: &Value| member.as_u64().and_then(|number| u32::try_from(number).ok());
        let fact = match wish.operation {
            "CreateCluster" => Some(Fact::Cluster),
            "RegisterTaskDefinition" => {
                let family =
                    answer["taskDefinition"]["family"].as_str().and_then(|text| Family::parse(text).ok());
                let revision = number(&answer["taskDefinition"]["revision"]);
                family.zip(revision).map(|(family, revision)| Fact::Definition(family, revision))
            }
            "CreateService" => name(&answer["service"]["serviceName"]).map(|name| Fact::Service {
                name,
                desired: number(&request["desiredCount"]),
                definition: request["taskDefinition"].as_str().unwrap_or_default().to_owned(),
                rollback: request["deploymentConfiguration"]["deploymentCircuitBreaker"]["rollback"] == true,
            }),
            "UpdateService" => name(&answer["service"]["serviceName"]).map(|name| Fact::Updated {
                name,
                desired: number(&request["desiredCount"]),
                definition: request["taskDefinition"].as_str().map(str::to_owned),
            }),
            "DeleteService" => name(&answer["service"]["serviceName"]).map(Fact::Deleted),
            "RunTask" => {
                self.check_shares(&strategy(&request["capacityProviderStrategy"]), &answer);
                let tasks = answer["tasks"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|task| id_of(&task["taskArn"]));
                Some(Fact::Ran {
                    started_by: request["startedBy"].as_str().unwrap_or_default().to_owned(),
                    count: request["count"].as_u64().unwrap_or(1) as usize,
                    tasks: tasks.collect(),
                })
            }
            "StopServiceDeployment" => {
                let arn = answer["serviceDeploymentArn"].as_str().unwrap_or_default();
                let service = arn.rsplit('/').nth(1).and_then(|name| ServiceName::parse(name).ok());
                service.map(Fact::DeploymentStopped)
            }
            "DescribeTasks" => Some(Fact::Shown(shown(&answer))),
            "PutClusterCapacityProviders" => {
                let names = request["capacityProviders"].as_array().into_iter().flatten();
                let names = names.filter_map(|name| name.as_str().map(str::to_owned)).collect();
                Some(Fact::Providers(names, strategy(&request["defaultCapacityProviderStrategy"])))
            }
            "CreateCapacityProvider" | "UpdateCapacityProvider" if request["name"] == SPARE => {
                Some(Fact::Spare(true))
            }
            "DeleteCapacityProvider" => Some(Fact::Spare(false)),
            "StopTask" => id_of(&answer["task"]["taskArn"]).map(Fact::Stopped),
            "DeregisterContainerInstance" => {
                instance_of(&answer["containerInstance"]["containerInstanceArn"])
                    .map(|id| Fact::Instance(id, InstanceStatus::Inactive))
            }
            "UpdateContainerInstancesState" => {
                let instance = instance_of(&answer["containerInstances"][0]["containerInstanceArn"]);
                let status = request["status"].as_str().and_then(InstanceStatus::parse);
                instance.zip(status).map(|(id, status)| Fact::Instance(id, status))
            }
            _ => None,
        };
        self.remember(id, wish.place, fact, sequence);
    }

    /// Nothing that a caller hears names anything of another account or region.
    pub(super) fn check_isolation(&mut self, place: usize, text: &str) {
        let own = &self.places[place];
        let foreign = self.places.iter().filter(|other| match own.is_pool() {
            // It serves every account of its region.
            true => other.scope.region != own.scope.region,
            false => other.scope != own.scope,
        });
        let leaked = foreign.map(|other| format!(":{}:{}:", other.scope.region, other.scope.account));
        if let Some(leaked) = leaked.into_iter().find(|name| text.contains(name)) {
            self.fail(
                "isolation",
                format!("{}/{} hears of {leaked}: {text}", own.scope.account, own.cluster),
            );
        }
    }

    /// What users see of a task never goes back, whatever crashes.
    fn seen(&mut self, shown: Vec<Shown>) {
        for Shown { task, version, status } in shown {
            let before = self.watch.seen.insert(task, (version, status));
            if let Some((old_version, old)) = before
                && (old > status || old_version > version)
            {
                let text = format!(
                    "task {task} was seen {old} (version {old_version}), and then {status} ({version})"
                );
                self.fail("durability", text);
            }
        }
    }

    fn learn_from_agent(&mut self, id: CallId, call: &Call, answer: &[u8], sequence: u64) {
        if call.operation != "RegisterContainerInstance" {
            return;
        }
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        let instance = instance_of(&answer["containerInstance"]["containerInstanceArn"]);
        let status = answer["containerInstance"]["status"].as_str().and_then(InstanceStatus::parse);
        let fact = instance.zip(status).map(|(id, status)| Fact::Instance(id, status));
        let Caller::Agent { machine, .. } = call.caller else { return };
        self.remember(id, self.machines[machine].place, fact, sequence);
    }

    fn remember(&mut self, call: CallId, place: usize, fact: Option<Fact>, sequence: u64) {
        if let Some(Fact::Ran { started_by, tasks, .. }) = &fact {
            self.check_replay(started_by, tasks);
        }
        if let Some(fact) = fact {
            let epoch = self.server.epoch;
            self.watch.facts.push(Known { place, epoch, sequence, call, acknowledged: false, fact });
        }
    }

    /// A RunTask that is repeated with its clientToken names no other tasks than at first (ecs-behaviour A7).
    fn check_replay(&mut self, by: &str, now: &[TaskId]) {
        let first = self.watch.facts.iter().find_map(|known| match &known.fact {
            Fact::Ran { started_by, tasks, .. } if started_by == by && !tasks.is_empty() => Some(tasks),
            _ => None,
        });
        if let Some(first) = first
            && now.iter().any(|id| !first.contains(id))
        {
            let text = format!("{by} was answered {first:?}, and then {now:?}");
            self.fail("model", text);
        }
    }

    /// The answer of a call is about to leave the server.
    pub(super) fn acknowledge(&mut self, call: CallId) {
        // From the back: it is nearly always the last.
        let Some(at) = self.watch.facts.iter().rposition(|known| known.call == call) else { return };
        self.watch.facts[at].acknowledged = true;
        if let Fact::Shown(shown) = &self.watch.facts[at].fact {
            let shown = shown.clone();
            self.watch.facts.remove(at);
            self.seen(shown);
        }
    }

    /// The server has crashed: what was not durable is gone, and must not have been acknowledged.
    pub(super) fn forget_wishes(&mut self, epoch: u32, durable: u64) {
        let is_lost = |known: &Known| known.epoch == epoch && known.sequence > durable;
        let broken = self.watch.facts.iter().find(|known| is_lost(known) && known.acknowledged).cloned();
        if let Some(known) = broken {
            self.fail("durability", format!("acknowledged, and lost in a crash: {known:?}"));
        }
        self.watch.facts.retain(|known| !is_lost(known));
    }

    /// Compares the records with what users were promised.
    pub(super) fn check_wishes(&mut self, when: &str) {
        let Some(running) = &self.server.up else { return };
        let mut problems = Vec::new();
        let mut services: BTreeMap<(usize, &ServiceName), ExpectedService> = BTreeMap::new();
        let mut instances: BTreeMap<InstanceId, (usize, InstanceStatus)> = BTreeMap::new();
        let mut providers: BTreeMap<usize, (&Vec<String>, &Vec<StrategyItem>)> = BTreeMap::new();
        let mut spares: BTreeMap<&Scope, bool> = BTreeMap::new();
        let mut roles: BTreeMap<(AccountId, &str), Option<bool>> = BTreeMap::new();
        let mut started: BTreeMap<&str, usize> = BTreeMap::new();
        for by in running.records.of::<Task>().filter_map(|(_, task)| task.origin.started_by.as_deref()) {
            *started.entry(by).or_default() += 1;
        }
        let task = |at: &ClusterKey, id: TaskId| running.records.get::<Task>(&at.task(id));
        for known in &self.watch.facts {
            let (place, at) = (known.place, &self.places[known.place]);
            match &known.fact {
                Fact::Cluster => {
                    if !self.server_has::<Cluster>(at) {
                        problems.push("the cluster is gone".to_owned());
                    }
                }
                Fact::Definition(family, revision) => {
                    let key = FamilyKey::new(at.scope.clone(), family.clone()).revision(*revision);
                    if !self.server_has::<TaskDefinition>(&key) {
                        problems.push(format!("definition {family}:{revision} is gone"));
                    }
                }
                Fact::Service { name, desired, definition, rollback } => {
                    let (desired, definition, rollback) = (*desired, definition.clone(), *rollback);
                    // A repeated call with the same token changes nothing.
                    let known = services.entry((place, name)).or_default();
                    if !known.created || known.deleted {
                        *known =
                            ExpectedService { created: true, desired, definition, rollback, deleted: false };
                    }
                }
                Fact::Updated { name, desired, definition } => {
                    let service = services.entry((place, name)).or_default();
                    service.desired = desired.or(service.desired);
                    if let Some(definition) = definition {
                        service.definition.clone_from(definition);
                    }
                }
                Fact::DeploymentStopped(name) => {
                    services.entry((place, name)).or_default().rollback = true;
                }
                Fact::Shown(_) => {}
                Fact::Deleted(name) => services.entry((place, name)).or_default().deleted = true,
                Fact::Ran { started_by, count, tasks } => {
                    let made = started.get(started_by.as_str()).copied().unwrap_or_default();
                    if made > *count || tasks.len() > *count {
                        problems.push(format!("{started_by} asked for {count} tasks and got {made}"));
                    }
                    for &id in tasks {
                        if task(at, id).is_none() && !self.watch.ended.contains(&id) {
                            problems.push(format!("task {id} of {started_by} is gone and never ended"));
                        }
                    }
                }
                Fact::Stopped(id) => {
                    if task(at, *id).is_some_and(|task| task.desired_status == DesiredStatus::Running) {
                        problems.push(format!("task {id} was stopped and is to run"));
                    }
                }
                Fact::Instance(id, status) => {
                    // Registering again does not undo what an operator has set; the answer says so.
                    instances.insert(*id, (place, *status));
                }
                Fact::Providers(names, default) => {
                    providers.insert(place, (names, default));
                }
                Fact::Spare(is_there) => {
                    spares.insert(&at.scope, *is_there);
                }
                Fact::Role(name, trusts) => {
                    roles.insert((at.scope.account, name), *trusts);
                }
            }
        }
        for ((place, name), expected) in services {
            let at = &self.places[place];
            let record = match running.records.get::<Service>(&at.service(name)) {
                Some(record) => record,
                None if expected.deleted => continue,
                None => {
                    problems.push(format!("service {name} is gone"));
                    continue;
                }
            };
            let is_active = record.status == ServiceStatus::Active;
            if is_active == expected.deleted {
                problems.push(format!("service {name} is {}, deleted: {}", record.status, expected.deleted));
            }
            if !is_active {
                continue;
            }
            if record.scheduling == SchedulingStrategy::Replica
                && expected.desired.is_some_and(|desired| desired != record.desired_count)
            {
                problems.push(format!(
                    "service {name} wants {}, and {:?} was asked for",
                    record.desired_count, expected.desired
                ));
            }
            let family =
                record.task_definition.as_ref().map(|(family, _)| family.as_str()).unwrap_or_default();
            // It may have gone back by itself.
            let given = !expected.definition.is_empty();
            if given && family != expected.definition && !expected.rollback {
                problems
                    .push(format!("service {name} runs {family}, and {} was asked for", expected.definition));
            }
        }
        for (id, (place, status)) in instances {
            let at = &self.places[place];
            match running.records.get::<Instance>(&at.instance(id)) {
                Some(record) if record.status == status => {}
                Some(record) => {
                    problems.push(format!("instance {id} is {}, and was made {status}", record.status));
                }
                None if status == InstanceStatus::Inactive => {}
                None => problems.push(format!("instance {id} is gone")),
            }
        }
        for (place, (names, default)) in providers {
            let Some(cluster) = running.records.get::<Cluster>(&self.places[place]) else { continue };
            let known: Vec<&str> = cluster.capacity_providers.iter().map(|name| &**name).collect();
            if known != names.iter().map(String::as_str).collect::<Vec<_>>()
                || cluster.default_strategy != *default
            {
                problems.push(format!(
                    "cluster {} has the providers {known:?}, and {names:?} were put",
                    cluster.name
                ));
            }
        }
        for (scope, is_there) in spares {
            let record = running.records.get::<CapacityProvider>(&ProviderKey::new(scope.clone(), SPARE));
            let active = record.is_some_and(|own| own.status == ProviderStatus::Active);
            if active != is_there {
                problems.push(format!("provider {SPARE} is active: {active}, and was made: {is_there}"));
            }
        }
        for ((account, name), said) in roles {
            let found = self.role_as_written(account, name);
            if found != said {
                problems.push(format!("role {name} of {account} trusts ECS: {found:?}, was made: {said:?}"));
            }
        }
        if !problems.is_empty() {
            self.fail("model", format!("{when}: {}", problems.join("; ")));
        }
    }
}

/// The items of a strategy, as a request has them.
fn strategy(items: &Value) -> Vec<StrategyItem> {
    let number =
        |member: &Value| member.as_u64().and_then(|number| u32::try_from(number).ok()).unwrap_or_default();
    let item = |item: &Value| {
        let provider = item["capacityProvider"].as_str()?.into();
        Some(StrategyItem { provider, base: number(&item["base"]), weight: number(&item["weight"]) })
    };
    items.as_array().into_iter().flatten().filter_map(item).collect()
}

fn shown(answer: &Value) -> Vec<Shown> {
    let shown = |task: &Value| {
        Some(Shown {
            task: id_of(&task["taskArn"])?,
            version: task["version"].as_u64()?,
            status: TaskStatus::parse(task["lastStatus"].as_str()?)?,
        })
    };
    answer["tasks"].as_array().into_iter().flatten().filter_map(shown).collect()
}

fn id_of(arn: &Value) -> Option<TaskId> {
    TaskId::parse(arn.as_str()?.rsplit('/').next()?).ok()
}

fn instance_of(arn: &Value) -> Option<InstanceId> {
    let arn = Arn::parse(arn.as_str()?).ok()?;
    InstanceId::parse(arn.rest.rsplit('/').next()?).ok()
}

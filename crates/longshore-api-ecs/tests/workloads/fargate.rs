//! Tasks on the Fargate pool (ecs-surfaces F1, ecs-services E12).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use longshore_api_ecs::Caller;
use longshore_base::{AccountId, InstanceId, ServiceName};
use longshore_controllers::link;
use longshore_domain::StopCode;
use longshore_tables_ecs::{ClusterKey, EcsState, EcsTx, InstanceKey};
use serde_json::{Value, json};

use crate::world::{CLUSTER, REGION, World};

const FULL: &str =
    "Capacity is unavailable at this time. Please try again later or in a different availability zone";

impl World {
    /// An agent of the pool, registered as agents do, and connected.
    fn add_pool_agent(&self, zone: &str, cpu: u32, memory: u32) -> InstanceId {
        let capabilities = [
            "com.amazonaws.ecs.capability.docker-remote-api.1.18",
            "com.amazonaws.ecs.capability.task-cpu-mem-limit",
            "ecs.capability.task-cpu-mem-limit",
            "ecs.capability.task-eni",
        ];
        let mut attributes: Vec<Value> = capabilities.iter().map(|name| json!({"name": name})).collect();
        attributes.push(json!({"name": "ecs.availability-zone", "value": format!("{REGION}{zone}")}));
        attributes.push(json!({"name": "ecs.cpu-architecture", "value": "x86_64"}));
        attributes.push(json!({"name": "longshore.task-network", "value": "172.20.0.0/28"}));
        let amount = |name: &str, value: u32| json!({"name": name, "type": "INTEGER", "integerValue": value});
        let answer = self.ok_as(
            &self.operator(),
            "RegisterContainerInstance",
            json!({
                "cluster": ".fargate", "attributes": attributes,
                "totalResources": [amount("CPU", cpu), amount("MEMORY", memory)],
            }),
        );
        let arn = answer["containerInstance"]["containerInstanceArn"].as_str().expect("an ARN");
        let prefix = format!("arn:aws:ecs:{REGION}:000000000000:container-instance/.fargate/");
        let id = InstanceId::parse(arn.strip_prefix(&prefix).expect("an ARN of the pool")).expect("an id");
        self.connect_pool_agent(id, true);
        id
    }

    fn pool_key(&self, id: InstanceId) -> InstanceKey {
        ClusterKey::pool(self.at().scope.region).instance(id)
    }

    fn connect_pool_agent(&self, id: InstanceId, connected: bool) {
        let at = self.pool_key(id);
        let (done, _) = self
            .db
            .submit(|tx| {
                tx.set_connected(&at, connected);
                Ok::<_, ()>(())
            })
            .expect("the database is well");
        done.expect("nothing refuses it");
    }

    fn drain_pool_agent(&self, id: InstanceId) {
        let input =
            json!({"cluster": ".fargate", "containerInstances": [id.to_string()], "status": "DRAINING"});
        let answer = self.ok_as(&self.operator(), "UpdateContainerInstancesState", input);
        assert_eq!(answer["failures"], json!([]));
    }

    /// A quarter of a core and half a GiB.
    fn register_small(&self) {
        self.register(json!({
            "family": "small", "requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", "cpu": "256",
            "memory": "512", "containerDefinitions": [{"name": "main", "image": "busybox"}],
        }));
    }

    fn attach_fargate(&self) {
        self.ok(
            "PutClusterCapacityProviders",
            json!({
                "cluster": CLUSTER, "capacityProviders": ["FARGATE", "FARGATE_SPOT"],
                "defaultCapacityProviderStrategy": [],
            }),
        );
    }

    /// Wanted tasks by what `of` says of each.
    fn count_wanted<K: Ord>(
        &self,
        of: impl Fn(&longshore_tables_ecs::record::Task) -> K,
    ) -> BTreeMap<K, usize> {
        let mut counts = BTreeMap::new();
        for task in self.wanted() {
            *counts.entry(of(&task)).or_default() += 1;
        }
        counts
    }

    fn pool_left(&self, id: InstanceId) -> (u32, u32) {
        self.db.peek(|state| {
            let pool = state.ecs().pool(&self.at().scope.region).expect("a pool");
            let left = pool.fleet().remaining(id).expect("the instance");
            (left.cpu.0, left.memory.0)
        })
    }
}

fn network() -> Value {
    json!({"awsvpcConfiguration": {"subnets": ["subnet-1"], "assignPublicIp": "ENABLED"}})
}

fn run(count: u32) -> Value {
    json!({
        "cluster": CLUSTER, "taskDefinition": "small", "count": count, "launchType": "FARGATE",
        "networkConfiguration": network(),
    })
}

fn service(desired: u32) -> Value {
    json!({
        "cluster": CLUSTER, "serviceName": "s", "taskDefinition": "small", "desiredCount": desired,
        "networkConfiguration": network(),
    })
}

fn with(mut input: Value, more: Value) -> Value {
    for (key, value) in more.as_object().expect("members") {
        input[key] = value.clone();
    }
    input
}

#[test]
fn a_task_runs_on_an_instance_that_nobody_sees() {
    let (world, instances) = World::with_instances(1);
    let agent = world.add_pool_agent("b", 1024, 2048);
    world.register_small();
    let task = world.ok("RunTask", run(1))["tasks"][0].take();
    for (member, value) in [
        ("lastStatus", json!("PROVISIONING")),
        ("launchType", json!("FARGATE")),
        ("platformVersion", json!("1.4.0")),
        ("platformFamily", json!("Linux")),
        ("cpu", json!("256")),
        ("memory", json!("512")),
        ("availabilityZone", json!("eu-west-1b")),
        ("ephemeralStorage", json!({"sizeInGiB": 20})),
        ("fargateEphemeralStorage", json!({"sizeInGiB": 20})),
        ("containerInstanceArn", Value::Null),
        ("capacityProviderName", Value::Null),
        ("clusterArn", json!("arn:aws:ecs:eu-west-1:123456789012:cluster/deep-dive-cluster")),
    ] {
        assert_eq!(task[member], value, "{member}");
    }
    assert_eq!(world.pool_left(agent), (1024 - 256, 2048 - 512));
    world.settle();
    let arn = task["taskArn"].as_str().expect("an ARN");
    let running = world.describe_task(arn);
    assert_eq!((&running["lastStatus"], &running["connectivity"]), (&json!("RUNNING"), &json!("CONNECTED")));

    let listed = world.ok("ListContainerInstances", json!({"cluster": CLUSTER}));
    assert_eq!(listed["containerInstanceArns"], json!([world.instance_arn(instances[0])]));
    let described = world.ok("DescribeClusters", json!({"clusters": [CLUSTER], "include": ["STATISTICS"]}));
    let cluster = &described["clusters"][0];
    assert_eq!(
        (&cluster["registeredContainerInstancesCount"], &cluster["runningTasksCount"]),
        (&json!(1), &json!(1))
    );
    let statistics = cluster["statistics"].as_array().expect("statistics");
    assert!(
        statistics.contains(&json!({"name": "runningFargateTasksCount", "value": "1"})),
        "{statistics:?}"
    );
    let (status, _) = world.call("ListContainerInstances", &json!({"cluster": ".fargate"}));
    assert_eq!(status, 400, "only the operator knows of the pool");
    let seen = world.ok_as(&world.operator(), "ListClusters", json!({}));
    assert_eq!(seen["clusterArns"], json!([]));
    for (operation, input) in [
        ("RunTask", with(run(1), json!({"cluster": ".fargate"}))),
        (
            "StartTask",
            json!({"cluster": ".fargate", "taskDefinition": "small", "containerInstances": [agent.to_string()]}),
        ),
        ("CreateCluster", json!({"clusterName": ".fargate"})),
        ("ListTasks", json!({"cluster": ".fargate"})),
    ] {
        assert_eq!(world.call_as(&world.operator(), operation, &input).0, 400, "{operation}");
    }

    world.ok("StopTask", json!({"cluster": CLUSTER, "task": arn}));
    world.settle();
    assert_eq!(world.describe_task(arn)["lastStatus"], "STOPPED");
    assert_eq!(world.pool_left(agent), (1024, 2048));
    world.check();
}

#[test]
fn its_agent_gets_it_with_its_own_cluster() {
    let world = World::new();
    let agent = world.add_pool_agent("a", 1024, 2048);
    world.register_small();
    let arn = world.ok("RunTask", run(1))["tasks"][0]["taskArn"].as_str().expect("an ARN").to_owned();
    let at = world.pool_key(agent);
    let payload = world.db.peek(|state| {
        let found = link::look(state, &at, &link::Look::All).expect("a registered instance");
        let wanted: Vec<_> =
            found.iter().filter_map(|(_, wish)| Some(wish.as_ref()?.task.to_string())).collect();
        assert_eq!(wanted, std::slice::from_ref(&arn));
        link::task_payload(state, &at, &arn, world.now(), longshore_base::Seed::new(0)).expect("a task of it")
    });
    assert_eq!(payload.task_cluster_arn, "arn:aws:ecs:eu-west-1:123456789012:cluster/deep-dive-cluster");
    // Agents let those of launch type FARGATE skip their queue for resources (agent-protocol G10).
    assert_eq!(payload.launch_type, "EC2");
    assert_eq!((payload.cpu, payload.memory), (Some(0.25), Some(512)));
    // Its containers, and the frameworks in them, are told all the same.
    assert_eq!(payload.containers[0].environment.0["AWS_EXECUTION_ENV"], "AWS_ECS_FARGATE");
}

/// Official agents that serve the pool name it as their cluster when a container asks for protection (agent-protocol G18).
#[test]
fn its_agent_protects_the_tasks_that_it_has() {
    let world = World::new();
    world.add_pool_agent("a", 1024, 2048);
    world.register_small();
    world.ok("CreateService", with(service(1), json!({"launchType": "FARGATE"})));
    world.settle();
    let [task] = &world.wanted()[..] else { panic!("one task") };
    let arn = world.task_arn(task);
    let ask = |extra: Value| with(json!({"cluster": ".fargate", "tasks": [arn]}), extra);
    let protect = ask(json!({"protectionEnabled": true}));
    let answer = world.ok_as(&world.operator(), "UpdateTaskProtection", protect.clone());
    assert_eq!((&answer["protectedTasks"][0]["taskArn"], &answer["failures"]), (&json!(arn), &json!([])));
    let own = world.ok("GetTaskProtection", json!({"cluster": CLUSTER, "tasks": [arn]}));
    assert_eq!(own["protectedTasks"][0]["protectionEnabled"], true, "its owner sees it");
    let seen = world.ok_as(&world.operator(), "GetTaskProtection", ask(json!({})));
    assert_eq!(seen["protectedTasks"], own["protectedTasks"]);
    let other = arn.replace("123456789012", "999999999999");
    let wrong = json!({"cluster": ".fargate", "tasks": [other], "protectionEnabled": true});
    let answer = world.ok_as(&world.operator(), "UpdateTaskProtection", wrong);
    assert_eq!(answer["failures"], json!([{"arn": other, "reason": "MISSING"}]));
    // To everybody else there is no such cluster.
    world.check_refused("UpdateTaskProtection", protect, "ClusterNotFoundException", "Cluster not found.");
    world.check();
}

/// A container asks its agent for `taskWithTags`, and the agent asks with the operator's key (agent-protocol G17).
#[test]
fn its_agent_reads_the_tags_of_the_tasks_that_it_has() {
    let world = World::new();
    world.add_pool_agent("a", 1024, 2048);
    world.register_small();
    let tags = json!([{"key": "team", "value": "blue"}]);
    let arn = world.ok("RunTask", with(run(1), json!({"tags": tags})))["tasks"][0]["taskArn"].take();
    world.settle();
    let ask = json!({"resourceArn": arn});
    assert_eq!(world.ok_as(&world.operator(), "ListTagsForResource", ask.clone())["tags"], tags);
    // Of its guests only, as they are named, to the operator only, and to read only.
    let not_found = |caller: &Caller, operation: &str, input: Value| {
        let (status, answer) = world.call_as(caller, operation, &input);
        assert_eq!(status, 400, "{operation} {input}: {answer}");
    };
    let text = arn.as_str().expect("an ARN");
    for other in [text.replace("123456789012", "999999999999"), text.replace(CLUSTER, "other")] {
        not_found(&world.operator(), "ListTagsForResource", json!({"resourceArn": other}));
    }
    let other = world.caller_of(AccountId::parse("210987654321").expect("an account"));
    not_found(&other, "ListTagsForResource", ask.clone());
    not_found(&world.operator(), "TagResource", with(ask.clone(), json!({"tags": []})));
    not_found(&world.operator(), "UntagResource", with(ask.clone(), json!({"tagKeys": ["team"]})));
    world.ok("StopTask", json!({"cluster": CLUSTER, "task": arn}));
    world.settle();
    not_found(&world.operator(), "ListTagsForResource", ask.clone());
    assert_eq!(world.ok("ListTagsForResource", ask)["tags"], tags, "its owner still sees them");
    world.check();
}

#[test]
fn without_room_the_answer_says_so() {
    let (world, _) = World::with_instances(1);
    world.register_small();
    let answer = world.ok("RunTask", run(2));
    let failure = |detail: &str| json!([{"reason": FULL, "detail": detail}]);
    let start = "No agent serves Fargate in this region: start one with `longshore agent --pool`.";
    assert_eq!((&answer["tasks"], &answer["failures"]), (&json!([]), &failure(start)));

    world.add_pool_agent("a", 512, 1024);
    let answer = world.ok("RunTask", run(3));
    let more = "No agent that serves Fargate in this region has room for the task: start another with \
                `longshore agent --pool`.";
    assert_eq!(answer["tasks"].as_array().map(Vec::len), Some(2));
    assert_eq!(answer["failures"], failure(more));
    world.check();
}

/// One more agent is no remedy for room whose agent is away.
#[test]
fn room_of_an_agent_that_is_away_is_not_said_to_be_missing() {
    let world = World::new();
    let agent = world.add_pool_agent("a", 512, 1024);
    world.register_small();
    world.connect_pool_agent(agent, false);
    let failure = || {
        let answer = world.ok("RunTask", run(1));
        assert_eq!((&answer["tasks"], &answer["failures"][0]["reason"]), (&json!([]), &json!(FULL)));
        answer["failures"][0]["detail"].as_str().expect("a detail").to_owned()
    };
    let remedy =
        "see to it that `longshore agent --pool` runs on its machine and reaches this control plane.";
    let away = "No agent that serves Fargate in this region and could take the task is connected";
    assert_eq!(failure(), format!("{away}: {remedy}"));
    world.ok("CreateService", with(service(1), json!({"launchType": "FARGATE"})));
    world.reconcile();
    assert_eq!(world.events("s"), [format!("(service s) was unable to place a task. Reason: {FULL}.")]);
    world.ok("DeleteService", json!({"cluster": CLUSTER, "service": "s", "force": true}));
    // Another is full.
    let small = world.add_pool_agent("a", 256, 512);
    assert_eq!(world.ok("RunTask", run(1))["failures"], json!([]));
    assert_eq!(world.pool_left(small), (0, 0));
    let others = "No connected agent that serves Fargate in this region has room for the task, but one that is not \
                  connected has";
    assert_eq!(failure(), format!("{others}: {remedy}"));
    world.check();
}

/// Room that is there is not said to be missing, nor one more agent said to help.
#[test]
fn what_no_agent_of_the_pool_can_ever_take_is_said() {
    let world = World::new();
    world.add_pool_agent("a", 512, 1024);
    let define = |family: &str, cpu: &str, memory: &str, container: Value| {
        let container = with(json!({"name": "main", "image": "busybox"}), container);
        world.register(json!({
            "family": family, "requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", "cpu": cpu,
            "memory": memory, "executionRoleArn": "r", "containerDefinitions": [container],
        }));
    };
    let options = json!({"awslogs-group": "/x", "awslogs-region": "r", "awslogs-stream-prefix": "x"});
    define("logs", "256", "512", json!({"logConfiguration": {"logDriver": "awslogs", "options": options}}));
    define("large", "1024", "2048", json!({}));
    let failure = |family: &str| {
        let answer = world.ok("RunTask", with(run(1), json!({"taskDefinition": family})));
        assert_eq!(answer["tasks"], json!([]));
        answer["failures"][0].clone()
    };
    let logs = failure("logs");
    let detail = logs["detail"].as_str().expect("a detail");
    assert_eq!(logs["reason"], "ATTRIBUTE");
    assert!(detail.starts_with("No agent that serves Fargate in this region offers"), "{detail}");
    assert!(
        detail.contains("the log driver awslogs") && detail.contains("LONGSHORE_AWSLOGS_DRIVER"),
        "{detail}"
    );
    let large = "No agent that serves Fargate in this region is large enough for a task of 1024 CPU units and 2048 MiB: \
                 start `longshore agent --pool` on a larger machine.";
    assert_eq!(failure("large"), json!({"reason": FULL, "detail": large}));
    // Full or not.
    world.register_small();
    assert_eq!(world.ok("RunTask", run(2))["failures"], json!([]));
    assert_eq!(failure("logs"), logs);

    world.ok("CreateService", with(service(1), json!({"launchType": "FARGATE", "taskDefinition": "logs"})));
    world.reconcile();
    assert_eq!(world.events("s"), [format!("(service s) was unable to place a task. Reason: {detail}")]);
    world.check();
}

#[test]
fn a_service_waits_for_the_pool_and_says_so() {
    let (world, _) = World::with_instances(1);
    world.register_small();
    let created = world.ok("CreateService", with(service(1), json!({"launchType": "FARGATE"})));
    let service = &created["service"];
    assert_eq!((&service["launchType"], &service["platformVersion"]), (&json!("FARGATE"), &json!("LATEST")));
    assert_eq!(service["platformFamily"], "Linux");
    assert_eq!(service["deployments"][0]["platformVersion"], "1.4.0");
    world.reconcile();
    assert_eq!(world.events("s"), [format!("(service s) was unable to place a task. Reason: {FULL}.")]);
    // No time passes: what wakes the service is the capacity.
    world.add_pool_agent("a", 512, 1024);
    world.reconcile();
    assert_eq!(world.wanted().len(), 1);
    world.settle();
    assert_eq!(world.describe_service("s")["runningCount"], 1);
    world.check();
}

/// A service of the cluster's instances was told to be about to start its tasks whenever somebody else's came and went on
/// the pool, and nobody woke it.
#[test]
fn only_who_uses_the_pool_waits_for_it() {
    let world = World::new();
    world.register_small();
    world.register_plain("plain", 10, 10);
    world.ok("CreateService", with(service(1), json!({"launchType": "FARGATE"})));
    let own = json!({"cluster": CLUSTER, "serviceName": "t", "taskDefinition": "plain", "desiredCount": 1});
    world.ok("CreateService", own);
    world.reconcile();
    let changed = || {
        ["s", "t"].map(|name| {
            let key = world.at().service(&ServiceName::parse(name).expect("a name"));
            world.db.peek(|state| state.ecs().capacity_changed_since_refusal(&key))
        })
    };
    world.hinted();
    assert_eq!(changed(), [false, false]);
    world.add_pool_agent("a", 512, 1024);
    assert_eq!((changed(), world.hinted()), ([true, false], vec!["s".to_owned()]));
    world.add_instance("a", 1024, 1024);
    assert_eq!(changed(), [true, true]);
}

#[test]
fn accounts_share_the_room_and_nothing_else() {
    let world = World::new();
    let (a, b) = (world.add_pool_agent("a", 512, 1024), world.add_pool_agent("b", 512, 1024));
    world.register_small();
    let other = world.caller_of(AccountId::parse("210987654321").expect("an account"));
    world.ok_as(&other, "CreateCluster", json!({"clusterName": CLUSTER}));
    world.ok_as(
        &other,
        "RegisterTaskDefinition",
        json!({
            "family": "small", "requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", "cpu": "256",
            "memory": "512", "containerDefinitions": [{"name": "main", "image": "busybox"}],
        }),
    );
    // Of the same group by name: each account's tasks are spread for themselves.
    let theirs = world.ok_as(&other, "RunTask", run(2))["tasks"].take();
    let ours = world.ok("RunTask", run(2))["tasks"].take();
    for tasks in [&theirs, &ours] {
        let mut zones: Vec<_> =
            tasks.as_array().expect("tasks").iter().map(|t| t["availabilityZone"].to_string()).collect();
        zones.sort();
        assert_eq!(zones, ["\"eu-west-1a\"", "\"eu-west-1b\""]);
    }
    assert_eq!((world.pool_left(a), world.pool_left(b)), ((0, 0), (0, 0)));
    let addresses: BTreeSet<_> = world.db.peek(|state| {
        let on = world.pool_key(a);
        state.ecs().tasks_on(&on).filter_map(|(_, task)| Some(task.interface.as_ref()?.address)).collect()
    });
    assert_eq!(addresses.len(), 2, "an address is given once, whoever asks");
    let listed = world.ok("ListTasks", json!({"cluster": CLUSTER}));
    assert_eq!(listed["taskArns"].as_array().map(Vec::len), Some(2));
    let arn = theirs[0]["taskArn"].as_str().expect("an ARN");
    let described = world.ok("DescribeTasks", json!({"cluster": CLUSTER, "tasks": [arn]}));
    assert_eq!(described["failures"][0]["reason"], "MISSING");
    world.check();
}

#[test]
fn only_the_pool_reports_on_its_tasks() {
    let (world, _) = World::with_instances(1);
    world.add_pool_agent("a", 1024, 2048);
    world.register_small();
    world.register_plain("plain", 10, 10);
    let fargate = world.ok("RunTask", run(1))["tasks"][0]["taskArn"].take();
    let ec2 =
        world.ok("RunTask", json!({"cluster": CLUSTER, "taskDefinition": "plain"}))["tasks"][0]["taskArn"]
            .take();
    let running =
        |cluster: &str, task: &Value| json!({"cluster": cluster, "task": task, "status": "RUNNING"});
    let (operator, unknown) = (world.operator(), "The reported task was not found.");
    world.check_refused(
        "SubmitTaskStateChange",
        running(CLUSTER, &fargate),
        "InvalidParameterException",
        unknown,
    );
    let (status, answer) = world.call_as(&operator, "SubmitTaskStateChange", &running(".fargate", &ec2));
    assert_eq!((status, &answer["message"]), (400, &json!(unknown)));
    // The id alone, of another account's task, is not enough.
    let elsewhere = fargate.as_str().expect("an ARN").replace("123456789012", "210987654321");
    let (status, _) =
        world.call_as(&operator, "SubmitTaskStateChange", &running(".fargate", &json!(elsewhere)));
    assert_eq!(status, 400);
    world.ok_as(&operator, "SubmitTaskStateChange", running(".fargate", &fargate));
    assert_eq!(world.describe_task(fargate.as_str().expect("an ARN"))["lastStatus"], "RUNNING");
    world.check();
}

#[test]
fn a_strategy_shares_tasks_out_between_both_providers() {
    let world = World::new();
    world.add_pool_agent("a", 4096, 8192);
    world.add_pool_agent("b", 4096, 8192);
    world.register_small();
    let strategy = json!([
        {"capacityProvider": "FARGATE", "base": 1, "weight": 1}, {"capacityProvider": "FARGATE_SPOT", "weight": 1},
    ]);
    let by_strategy = json!({"capacityProviderStrategy": strategy, "launchType": null});
    world.check_refused(
        "RunTask",
        with(run(5), by_strategy.clone()),
        "InvalidParameterException",
        "The specified capacity provider strategy cannot contain a capacity provider that is not associated with the cluster. Associate the capacity provider with the cluster and try again.",
    );
    world.attach_fargate();
    let tasks = world.ok("RunTask", with(run(5), by_strategy.clone()))["tasks"].take();
    let spot = |tasks: &Value| {
        let tasks = tasks.as_array().expect("tasks").iter();
        tasks
            .filter(|task| task["capacityProviderName"] == "FARGATE_SPOT" && task["launchType"] == "FARGATE")
            .count()
    };
    assert_eq!(spot(&tasks), 2);
    world.ok("CreateService", with(service(5), by_strategy));
    world.settle();
    let of_service = |task: &longshore_tables_ecs::record::Task| {
        (
            task.origin.service.is_some(),
            task.origin.capacity_provider.as_deref().unwrap_or_default().to_owned(),
            task.zone.clone(),
        )
    };
    let counts = world.count_wanted(of_service);
    let on = |provider: &str| -> usize {
        counts.iter().filter(|((own, name, _), _)| *own && name == provider).map(|(_, count)| count).sum()
    };
    assert_eq!((on("FARGATE"), on("FARGATE_SPOT")), (3, 2));
    let in_zone = |zone: &str| -> usize {
        counts
            .iter()
            .filter(|((own, _, own_zone), _)| *own && own_zone.as_deref() == Some(zone))
            .map(|(_, c)| c)
            .sum()
    };
    assert_eq!(in_zone("eu-west-1a").abs_diff(in_zone("eu-west-1b")), 1);
    let refused = json!({"cluster": CLUSTER, "capacityProviders": [], "defaultCapacityProviderStrategy": []});
    world.check_refused(
        "PutClusterCapacityProviders",
        refused,
        "ResourceInUseException",
        "The specified capacity provider is in use and cannot be removed.",
    );
    world.check();
}

#[test]
fn draining_an_agent_interrupts_spot_and_moves_services() {
    let world = World::new();
    let (first, second) = (world.add_pool_agent("a", 4096, 8192), world.add_pool_agent("a", 4096, 8192));
    world.register_small();
    world.attach_fargate();
    let strategy = |provider: &str| {
        json!({
            "launchType": null, "capacityProviderStrategy": [{"capacityProvider": provider, "weight": 1}],
        })
    };
    world.ok("RunTask", with(run(2), strategy("FARGATE_SPOT")));
    world.ok("RunTask", with(run(2), strategy("FARGATE")));
    world.ok("CreateService", with(service(4), strategy("FARGATE_SPOT")));
    world.ok("CreateService", with(with(service(4), strategy("FARGATE")), json!({"serviceName": "t"})));
    world.settle();
    let spot_on_first: Vec<_> = world
        .wanted()
        .into_iter()
        .filter(|task| {
            task.instance == Some(first) && task.origin.capacity_provider.as_deref() == Some("FARGATE_SPOT")
        })
        .collect();
    assert!(spot_on_first.len() >= 2, "both agents have some");
    world.drain_pool_agent(first);
    for task in &spot_on_first {
        let task = world.describe_task(&task.id.to_string());
        assert_eq!(task["desiredStatus"], "STOPPED");
        assert_eq!(task["stopCode"], "SpotInterruption");
        assert_eq!(task["stoppedReason"], "Your Spot Task was interrupted.");
    }
    world.settle();
    for name in ["s", "t"] {
        let service = world.describe_service(name);
        assert_eq!(service["runningCount"], json!(4), "{name}");
        assert_eq!(service["deployments"][0]["failedTasks"], json!(0), "{name}");
    }
    // What is left there are tasks of FARGATE that no service moves.
    let left = |task: &longshore_tables_ecs::record::Task| {
        task.instance == Some(first)
            && (task.origin.service.is_some() || task.origin.capacity_provider.as_deref() != Some("FARGATE"))
    };
    assert!(world.wanted().iter().all(|task| !left(task)));
    assert!(world.wanted().iter().any(|task| task.instance == Some(second)));
    world.check();
}

#[test]
fn tasks_of_an_agent_that_stays_away_are_replaced() {
    let world = World::new();
    let lost = world.add_pool_agent("a", 1024, 2048);
    world.register_small();
    world.ok("CreateService", with(service(2), json!({"launchType": "FARGATE"})));
    world.ok("RunTask", run(1));
    world.settle();
    let tasks = world.wanted();
    // In the same zone, so that nothing has to be rebalanced.
    let stays = world.add_pool_agent("a", 1024, 2048);
    world.connect_pool_agent(lost, false);
    world.advance(Duration::from_secs(60));
    world.sweep();
    world.reconcile();
    assert_eq!(world.wanted().len(), 3, "agents may come back");
    world.advance(Duration::from_secs(600));
    world.sweep();
    for task in &tasks {
        let task = world.describe_task(&task.id.to_string());
        assert_eq!(
            (&task["lastStatus"], &task["stopCode"]),
            (&json!("STOPPED"), &json!("TerminationNotice"))
        );
        assert_eq!(task["stoppedReason"], "Host of the Fargate task was lost: its agent is disconnected.");
    }
    world.settle();
    let wanted = world.wanted();
    assert_eq!(wanted.len(), 2, "only a service replaces its tasks");
    assert!(wanted.iter().all(|task| task.instance == Some(stays)));
    // The agent is told to stop what it still has, and can be removed.
    let look = |state: &longshore_state::State| link::look(state, &world.pool_key(lost), &link::Look::All);
    assert!(world.db.peek(look).expect("registered").is_empty());
    let gone = json!({"cluster": ".fargate", "containerInstance": lost.to_string()});
    world.ok_as(&world.operator(), "DeregisterContainerInstance", gone);
    let gone = json!({"cluster": ".fargate", "containerInstance": stays.to_string()});
    assert_eq!(world.call_as(&world.operator(), "DeregisterContainerInstance", &gone).0, 400, "it has tasks");
    world.ok_as(&world.operator(), "DeregisterContainerInstance", with(gone, json!({"force": true})));
    assert!(world.wanted().is_empty());
    assert!(world.tasks().iter().all(|task| task.stop_code != Some(StopCode::SpotInterruption)));
    world.check();
}

#[test]
fn a_rolling_update_keeps_within_its_bounds() {
    let world = World::new();
    // Room for three and a half tasks: a full one, and half of the next.
    world.add_pool_agent("a", 1536, 3072);
    world.register_small();
    world.ok(
        "CreateService",
        with(
            service(4),
            json!({
                "launchType": "FARGATE",
                "deploymentConfiguration": {"minimumHealthyPercent": 50, "maximumPercent": 150},
            }),
        ),
    );
    world.settle();
    world.register_small();
    world.ok("UpdateService", json!({"cluster": CLUSTER, "service": "s", "taskDefinition": "small:2"}));
    for _ in 0..30 {
        world.reconcile();
        let wanted = world.wanted().iter().filter(|task| task.last_status.is_running()).count();
        assert!((2..=6).contains(&wanted), "{wanted} of 4 run");
        world.play_agents();
        world.advance(Duration::from_secs(10));
    }
    let service = world.describe_service("s");
    assert_eq!(service["deployments"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&service["runningCount"], &service["deployments"][0]["rolloutState"]),
        (&json!(4), &json!("COMPLETED"))
    );
    assert!(world.wanted().iter().all(|task| task.origin.revision == 2));
    world.check();
}

#[test]
fn overrides_have_to_be_a_size_that_fargate_has() {
    let world = World::new();
    let agent = world.add_pool_agent("a", 1024, 4096);
    world.register_small();
    let sized = |cpu: &str, memory: &str| with(run(1), json!({"overrides": {"cpu": cpu, "memory": memory}}));
    world.check_refused(
        "RunTask",
        sized("512", "512"),
        "InvalidParameterException",
        "No Fargate configuration exists for given values.",
    );
    world.ok("RunTask", sized("512", "2048"));
    assert_eq!(world.pool_left(agent), (512, 2048));
    world.check();
}

#[test]
fn a_task_set_runs_on_the_pool() {
    let world = World::new();
    world.add_pool_agent("a", 1024, 2048);
    world.register_small();
    world.ok(
        "CreateService",
        json!({
            "cluster": CLUSTER, "serviceName": "s", "desiredCount": 4,
            "deploymentController": {"type": "EXTERNAL"},
        }),
    );
    let set = world.ok(
        "CreateTaskSet",
        json!({
            "cluster": CLUSTER, "service": "s", "taskDefinition": "small", "launchType": "FARGATE",
            "networkConfiguration": network(), "scale": {"unit": "PERCENT", "value": 50},
        }),
    )["taskSet"]
        .take();
    world.ok(
        "UpdateServicePrimaryTaskSet",
        json!({"cluster": CLUSTER, "service": "s", "primaryTaskSet": set["id"]}),
    );
    world.settle();
    let service = world.describe_service("s");
    for (member, value) in [
        ("launchType", json!("FARGATE")),
        ("platformFamily", json!("Linux")),
        ("platformVersion", json!("LATEST")),
        ("runningCount", json!(2)),
    ] {
        assert_eq!(service[member], value, "{member}");
    }
    let shown = &service["taskSets"][0];
    assert_eq!((&shown["platformVersion"], &shown["platformFamily"]), (&json!("1.4.0"), &json!("Linux")));
    assert_eq!(shown["stabilityStatus"], "STEADY_STATE");
    world.check();
}

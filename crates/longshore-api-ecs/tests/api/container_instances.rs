use std::time::Duration;

use longshore_base::{ClusterName, InstanceId, TaskId};
use longshore_domain::TaskStatus;
use longshore_shapes_ecs::Operation::*;
use longshore_tables_ecs::{ClusterKey, EcsState, EcsTx};
use serde_json::{Value, json};

use crate::support::{ACCOUNT, World, attribute, caller, registration, text};

fn with_cluster() -> World {
    let world = World::new();
    world.ok(CreateCluster, json!({"clusterName": "c"}));
    world
}

fn describe(world: &World, arn: &str) -> Value {
    world.ok(DescribeContainerInstances, json!({"cluster": "c", "containerInstances": [arn]}))["containerInstances"][0]
        .clone()
}

fn key() -> ClusterKey {
    ClusterKey::new(caller(ACCOUNT).scope, ClusterName::parse("c").expect("valid"))
}

fn id(arn: &str) -> InstanceId {
    InstanceId::parse(arn.rsplit('/').next().unwrap_or_default()).expect("an ARN ends with the id")
}

#[test]
fn w3_an_instance_joins() {
    let world = with_cluster();
    let output = world.ok(RegisterContainerInstance, registration("c", "t-1"));
    let instance = &output["containerInstance"];
    let arn = text(&instance["containerInstanceArn"]);
    assert!(arn.starts_with(&world.arn("container-instance/c/")), "{arn}");
    assert_eq!(arn.rsplit('/').next().map(str::len), Some(32));
    assert_eq!((&instance["status"], &instance["agentConnected"]), (&json!("ACTIVE"), &json!(false)));
    assert_eq!(
        instance["registeredResources"],
        json!([
            {"name": "CPU", "type": "INTEGER", "doubleValue": 0.0, "longValue": 0, "integerValue": 2048},
            {"name": "MEMORY", "type": "INTEGER", "doubleValue": 0.0, "longValue": 0, "integerValue": 4096},
            {"name": "PORTS", "type": "STRINGSET", "doubleValue": 0.0, "longValue": 0, "integerValue": 0,
             "stringSetValue": ["22", "2375", "2376", "51678", "51679"]},
            {"name": "PORTS_UDP", "type": "STRINGSET", "doubleValue": 0.0, "longValue": 0, "integerValue": 0,
             "stringSetValue": []}
        ])
    );
    assert_eq!(instance["remainingResources"], instance["registeredResources"]);
    for sent in registration("c", "")["attributes"].as_array().expect("a list") {
        assert_eq!(attribute(instance, &text(&sent["name"])), Some(sent), "every attribute comes back");
    }
    assert_eq!(
        attribute(instance, "ecs.availability-zone"),
        Some(&json!({"name": "ecs.availability-zone", "value": "eu-west-1a"}))
    );
    let machine = text(&instance["ec2InstanceId"]);
    assert!(machine.starts_with("i-") && machine.len() == 19, "{machine}");
    assert_eq!((&instance["version"], &instance["versionInfo"]), (&json!(1), &json!({})));
    world.act(|tx| tx.set_connected(&key().instance(id(&arn)), true));
    assert_eq!(describe(&world, &arn)["agentConnected"], true);
    let cluster = world.ok(DescribeClusters, json!({"clusters": ["c"]}));
    assert_eq!(cluster["clusters"][0]["registeredContainerInstancesCount"], 1);
    let listed = world.ok(ListContainerInstances, json!({"cluster": "c"}));
    assert_eq!(listed["containerInstanceArns"], json!([arn]));
}

#[test]
fn an_agent_that_asks_twice_is_one_instance() {
    let world = with_cluster();
    let first = world.machine("c", "t-1");
    let before = world.records();
    assert_eq!(world.machine("c", "t-1"), first);
    assert_eq!(world.records(), before, "the same news changes nothing");
    assert_ne!(world.machine("c", "t-2"), first);
    assert_ne!(world.machine("c", ""), first, "without a token every call is a new machine");
}

#[test]
fn a_machine_that_comes_back_keeps_what_is_its_own() {
    let world = with_cluster();
    let mut first = registration("c", "t-1");
    first["tags"] = json!([{"key": "team", "value": "blue"}]);
    let arn = text(&world.ok(RegisterContainerInstance, first)["containerInstance"]["containerInstanceArn"]);
    let put = json!({"cluster": "c", "attributes": [{"name": "rack", "value": "7", "targetId": arn}]});
    world.ok(PutAttributes, put);
    world.ok(
        UpdateContainerInstancesState,
        json!({"cluster": "c", "containerInstances": [arn], "status": "DRAINING"}),
    );
    let mut again = registration("c", "t-2");
    again["containerInstanceArn"] = json!(arn);
    again["totalResources"][0]["integerValue"] = json!(1024);
    again["attributes"] =
        json!([{"name": "ecs.os-type", "value": "linux"}, {"name": "ecs.availability-zone", "value": "z"}]);
    let back = world.ok(RegisterContainerInstance, again)["containerInstance"].clone();
    assert_eq!((text(&back["containerInstanceArn"]), &back["status"]), (arn.clone(), &json!("DRAINING")));
    assert_eq!(back["registeredResources"][0]["integerValue"], 1024);
    assert_eq!(attribute(&back, "stack").map(|own| &own["value"]), Some(&json!("prod")));
    assert_eq!(attribute(&back, "rack").map(|own| &own["value"]), Some(&json!("7")));
    assert_eq!(attribute(&back, "ecs.availability-zone").map(|own| &own["value"]), Some(&json!("z")));
    assert_eq!(attribute(&back, "ecs.capability.full-sync"), None, "what the agent no longer says is gone");
    assert_eq!(back["tags"], json!([{"key": "team", "value": "blue"}]));
}

#[test]
fn registrations_that_cannot_be() {
    let world = with_cluster();
    world.ok(CreateCluster, json!({"clusterName": "d"}));
    let arn = world.machine("c", "t-1");
    let with = |member: &str, value: Value| {
        let mut request = registration("c", "t-9");
        request[member] = value;
        request
    };
    let mut elsewhere = registration("d", "t-9");
    elsewhere["containerInstanceArn"] = json!(arn);
    let resources = "InvalidParameterException: totalResources must hold CPU and MEMORY as INTEGER, and PORTS and PORTS_UDP as STRINGSET of port numbers.";
    let strange = world.arn("container-instance/c/00000000000000000000000000000000");
    for (body, error) in [
        (registration("nope", "t"), "ClientException: Cluster not found."),
        (elsewhere, "InvalidParameterException: Identifier is for cluster c. Your cluster is d"),
        (
            with("containerInstanceArn", json!(strange)),
            "ClientException: The referenced container instance was not found.",
        ),
        (with("totalResources", json!([])), resources),
        (with("totalResources", json!([{"name": "CPU", "integerValue": -1}])), resources),
        (
            with("attributes", json!([{"value": "x"}])),
            "InvalidParameterException: attributes[0].name can not be blank.",
        ),
    ] {
        assert_eq!(world.refused(RegisterContainerInstance, body.clone()), error, "{body}");
    }
    let mut typed = registration("c", "t-2");
    typed["instanceIdentityDocument"] = json!(
        r#"{"instanceId":"i-0123456789abcdef0","availabilityZone":"eu-west-1c","instanceType":"m5.large"}"#
    );
    let instance = world.ok(RegisterContainerInstance, typed.clone())["containerInstance"].clone();
    assert_eq!(instance["ec2InstanceId"], "i-0123456789abcdef0");
    assert_eq!(
        attribute(&instance, "ecs.availability-zone").map(|own| &own["value"]),
        Some(&json!("eu-west-1c"))
    );
    typed["containerInstanceArn"] = instance["containerInstanceArn"].clone();
    typed["instanceIdentityDocument"] = json!(r#"{"instanceType":"m5.xlarge"}"#);
    assert_eq!(
        world.refused(RegisterContainerInstance, typed),
        "ClientException: Container instance type changes are not supported."
    );
}

/// Official agents send the identity document of their machine once only.
#[test]
fn a_machine_that_comes_back_without_its_document_is_still_where_it_was() {
    let world = with_cluster();
    let mut request = registration("c", "t-1");
    request["instanceIdentityDocument"] = json!(
        r#"{"instanceId":"i-0123456789abcdef0","availabilityZone":"eu-west-1c","instanceType":"m5.large","imageId":"ami-1"}"#
    );
    let first = world.ok(RegisterContainerInstance, request)["containerInstance"].clone();
    let mut again = registration("c", "t-2");
    again["containerInstanceArn"] = first["containerInstanceArn"].clone();
    again["instanceIdentityDocument"] = json!("");
    let back = world.ok(RegisterContainerInstance, again.clone())["containerInstance"].clone();
    assert_eq!(back["ec2InstanceId"], "i-0123456789abcdef0");
    for (name, value) in
        [("ecs.availability-zone", "eu-west-1c"), ("ecs.instance-type", "m5.large"), ("ecs.ami-id", "ami-1")]
    {
        assert_eq!(attribute(&back, name).map(|own| &own["value"]), Some(&json!(value)), "{name}");
    }
    again["instanceIdentityDocument"] =
        json!(r#"{"instanceId":"i-0123456789abcdef0","availabilityZone":"eu-west-1b"}"#);
    let moved = world.ok(RegisterContainerInstance, again)["containerInstance"].clone();
    let zone = attribute(&moved, "ecs.availability-zone").map(|own| &own["value"]);
    assert_eq!(zone, Some(&json!("eu-west-1b")), "what a document says counts");
}

#[test]
fn a_machine_that_was_made_up_follows_what_its_agent_says_it_is() {
    let world = with_cluster();
    let first = world.ok(RegisterContainerInstance, registration("c", "t-1"))["containerInstance"].clone();
    let mut again = registration("c", "t-2");
    again["containerInstanceArn"] = first["containerInstanceArn"].clone();
    let attributes = again["attributes"].as_array_mut().expect("a list");
    attributes.push(json!({"name": "ecs.capability.external"}));
    let back = world.ok(RegisterContainerInstance, again)["containerInstance"].clone();
    let digits = text(&first["ec2InstanceId"]).trim_start_matches("i-").to_owned();
    assert_eq!(back["ec2InstanceId"], json!(format!("mi-{digits}")));
}

#[test]
fn an_external_agent_makes_an_external_instance() {
    let world = with_cluster();
    let mut request = registration("c", "t-1");
    request["attributes"] = json!([{"name": "ecs.capability.external"}, {"name": "longshore.capacity-provider", "value": "mine"}]);
    request["platformDevices"] = json!([{"id": "gpu-1", "type": "GPU"}]);
    let output = world.ok(RegisterContainerInstance, request);
    let instance = &output["containerInstance"];
    assert_eq!(instance["capacityProviderName"], "mine");
    let machine = text(&instance["ec2InstanceId"]);
    assert!(machine.strip_prefix("mi-").is_some_and(|digits| digits.len() == 17), "{machine}");
    assert_eq!(instance["registeredResources"][4]["stringSetValue"], json!(["gpu-1"]));
    let id = id(&text(&instance["containerInstanceArn"]));
    let kind = world
        .db
        .peek(|state| state.ecs().cluster(&key()).and_then(|c| c.instance(id)).map(|e| e.record.launch_type));
    assert_eq!(kind, Some(longshore_domain::LaunchType::External));
}

/// What Longshore's agent says of its machine is not the user's, wherever a record keeps it.
#[test]
fn attributes_of_longshores_agent_are_its_own() {
    let world = with_cluster();
    let network = |range: &str| json!({"name": "longshore.task-network", "value": range});
    let mut request = registration("c", "t-1");
    request["attributes"].as_array_mut().expect("a list").push(network("172.20.0.0/28"));
    let arn =
        text(&world.ok(RegisterContainerInstance, request)["containerInstance"]["containerInstanceArn"]);
    let at = key().instance(id(&arn));
    let users = || {
        world.db.peek(|state| {
            let entry =
                state.ecs().cluster(&key()).and_then(|c| c.instance(at.instance)).expect("the instance");
            let names = entry.record.user_attributes.iter().map(|own| own.name.to_string());
            names.filter(|name| name.starts_with("longshore.")).collect::<Vec<_>>()
        })
    };
    assert_eq!(users(), Vec::<String>::new());
    // As older versions kept it.
    world.act(|tx| {
        let entry = tx.ecs().cluster(&key()).and_then(|c| c.instance(at.instance)).expect("the instance");
        let mut record = longshore_tables_ecs::record::Instance::clone(&entry.record);
        let (own, rest) =
            record.agent_attributes.into_iter().partition(|own| own.name.starts_with("longshore."));
        (record.user_attributes, record.agent_attributes) = (own, rest);
        tx.put_instance(&key(), record);
    });
    assert_eq!(users(), ["longshore.task-network"]);
    assert_eq!(attribute(&describe(&world, &arn), "longshore.task-network"), Some(&network("172.20.0.0/28")));
    let ten: Vec<Value> = (0..10).map(|n| json!({"name": format!("a{n}"), "targetId": arn})).collect();
    world.ok(PutAttributes, json!({"cluster": "c", "attributes": ten}));
    // The agent comes back with another one.
    let mut again = registration("c", "t-2");
    again["containerInstanceArn"] = json!(arn);
    again["attributes"] = json!([network("172.21.0.0/28")]);
    let back = world.ok(RegisterContainerInstance, again)["containerInstance"].clone();
    assert_eq!(attribute(&back, "longshore.task-network"), Some(&network("172.21.0.0/28")));
    assert!(attribute(&back, "a9").is_some());
    assert_eq!(users(), Vec::<String>::new());
}

#[test]
fn lists_are_filtered() {
    let world = with_cluster();
    let arns: Vec<String> = (0..5).map(|n| world.machine("c", &format!("t-{n}"))).collect();
    let put = json!({"cluster": "c", "attributes": [{"name": "rack", "value": "7", "targetId": arns[2]}]});
    world.ok(PutAttributes, put);
    world.ok(
        UpdateContainerInstancesState,
        json!({"cluster": "c", "containerInstances": [arns[1]], "status": "DRAINING"}),
    );
    world.ok(DeregisterContainerInstance, json!({"cluster": "c", "containerInstance": arns[0]}));
    let list = |mut request: Value| {
        request["cluster"] = json!("c");
        let output = world.ok(ListContainerInstances, request);
        output["containerInstanceArns"].as_array().expect("a list").iter().map(text).collect::<Vec<_>>()
    };
    assert_eq!(list(json!({})).len(), 4, "an INACTIVE one is not listed");
    assert_eq!(list(json!({"status": "DRAINING"})), [arns[1].clone()]);
    assert_eq!(list(json!({"status": "ACTIVE"})).len(), 3);
    assert_eq!(list(json!({"filter": "attribute:rack == 7"})), [arns[2].clone()]);
    assert_eq!(list(json!({"filter": "attribute:stack == prod"})).len(), 4);
    let first = world.ok(ListContainerInstances, json!({"cluster": "c", "maxResults": 3}));
    let rest = list(json!({"nextToken": first["nextToken"]}));
    assert_eq!(rest.len(), 1);
    let bad = world.refused(ListContainerInstances, json!({"cluster": "c", "filter": "attribute:rack ~ 7"}));
    assert!(bad.starts_with("InvalidParameterException: Invalid filter expression"), "{bad}");
}

#[test]
fn states_are_changed_one_by_one() {
    let world = with_cluster();
    let (active, gone) = (world.machine("c", "t-1"), world.machine("c", "t-2"));
    world.ok(DeregisterContainerInstance, json!({"cluster": "c", "containerInstance": gone}));
    let drain = json!({"cluster": "c", "containerInstances": [active, gone, "nope"], "status": "DRAINING"});
    let output = world.ok(UpdateContainerInstancesState, drain.clone());
    assert_eq!(output["containerInstances"][0]["status"], "DRAINING");
    assert_eq!(
        output["failures"],
        json!([{"arn": gone, "reason": "INACTIVE"}, {"arn": world.arn("container-instance/c/nope"), "reason": "MISSING"}])
    );
    let before = world.records();
    world.ok(UpdateContainerInstancesState, drain);
    assert_eq!(world.records(), before, "once more changes nothing");
    let status = "InvalidParameterException: Container instance status should be one of [ACTIVE, DRAINING]";
    let many: Vec<String> = (0..11).map(|n| n.to_string()).collect();
    for (body, error) in [
        (json!({"cluster": "c", "containerInstances": [active], "status": "REGISTERING"}), status),
        (json!({"cluster": "c", "containerInstances": [active], "status": "INACTIVE"}), status),
        (
            json!({"cluster": "c", "containerInstances": [], "status": "ACTIVE"}),
            "InvalidParameterException: Container Instances cannot be empty.",
        ),
        (
            json!({"cluster": "c", "containerInstances": many, "status": "ACTIVE"}),
            "InvalidParameterException: containerInstances can have at most 10 items.",
        ),
    ] {
        assert_eq!(world.refused(UpdateContainerInstancesState, body.clone()), error, "{body}");
    }
}

#[test]
fn w5_deregister_by_force() {
    let world = with_cluster();
    let arn = world.machine("c", "t-1");
    let count = 150;
    let definition =
        json!({"family": "f", "containerDefinitions": [{"name": "c", "image": "i", "memory": 10}]});
    world.ok(RegisterTaskDefinition, definition);
    world.act(|tx| tx.set_connected(&key().instance(id(&arn)), true));
    let tasks: Vec<_> = (0..count).map(|_| task(&world, &arn)).collect();
    assert_eq!(
        world.refused(DeregisterContainerInstance, json!({"cluster": "c", "containerInstance": arn})),
        "InvalidParameterException: Found running tasks on the instance."
    );
    let instance = describe(&world, &arn);
    assert_eq!((&instance["pendingTasksCount"], &instance["runningTasksCount"]), (&json!(count), &json!(0)));
    assert_eq!(instance["remainingResources"][1]["integerValue"], 4096 - 10 * count);
    let gone = world
        .ok(DeregisterContainerInstance, json!({"cluster": "c", "containerInstance": arn, "force": true}));
    assert_eq!(gone["containerInstance"]["status"], "INACTIVE");
    world.act(|tx| longshore_controllers::upkeep::sweep(tx, &longshore_controllers::Settings::default()));
    for id in tasks {
        let task = world.db.peek(|state| state.ecs().task(&key(), id).cloned()).expect("it is remembered");
        assert_eq!(task.last_status, TaskStatus::Stopped);
        assert_eq!(task.stopped_reason.as_deref(), Some("Container instance deregistration forced by user."));
    }
    assert_eq!(
        world.ok(ListContainerInstances, json!({"cluster": "c"})),
        json!({"containerInstanceArns": []})
    );
    assert_eq!(describe(&world, &arn)["status"], "INACTIVE");
    assert_eq!(
        world.refused(DeregisterContainerInstance, json!({"cluster": "c", "containerInstance": arn})),
        "InvalidParameterException: The referenced container instance was inactive."
    );
    let mut again = registration("c", "t-2");
    again["containerInstanceArn"] = json!(arn);
    assert_eq!(
        world.refused(RegisterContainerInstance, again),
        "ClientException: The referenced container instance was inactive."
    );
    assert_ne!(world.machine("c", "t-1"), arn, "an old token does not bring a dead instance back");
    world.pass(Duration::from_secs(2 * 60 * 60));
    for _ in 0..4 {
        world.act(|tx| longshore_controllers::upkeep::sweep(tx, &longshore_controllers::Settings::default()));
    }
    let missing = world.ok(DescribeContainerInstances, json!({"cluster": "c", "containerInstances": [arn]}));
    assert_eq!(missing["failures"], json!([{"arn": arn, "reason": "MISSING"}]));
}

/// A task of ten MiB, PENDING on the instance.
fn task(world: &World, instance: &str) -> TaskId {
    let started =
        world.ok(StartTask, json!({"cluster": "c", "taskDefinition": "f", "containerInstances": [instance]}));
    let arn = text(&started["tasks"][0]["taskArn"]);
    TaskId::parse(arn.rsplit('/').next().unwrap_or_default()).expect("an ARN ends with the id")
}

#[test]
fn agents_are_not_updated_from_here() {
    let world = with_cluster();
    let arn = world.machine("c", "t-1");
    let request = json!({"cluster": "c", "containerInstance": arn});
    assert_eq!(
        world.refused(UpdateContainerAgent, request.clone()),
        "MissingVersionException: The container agent's version could not be determined."
    );
    let mut again = registration("c", "t-1");
    again["versionInfo"] = json!({"agentVersion": "1.105.1"});
    world.ok(RegisterContainerInstance, again);
    assert_eq!(
        world.refused(UpdateContainerAgent, request),
        "NoUpdateAvailableException: There is no update available for your container agent."
    );
}

#[test]
fn bad_requests_are_refused() {
    let world = with_cluster();
    world.ok(CreateCluster, json!({"clusterName": "d"}));
    let arn = world.machine("c", "t-1");
    let many: Vec<String> = (0..101).map(|n| n.to_string()).collect();
    let other = "InvalidParameterException: Identifier is for cluster c. Your cluster is d";
    let not_found = "InvalidParameterException: The referenced container instance was not found.";
    for (operation, body, error) in [
        (
            DescribeContainerInstances,
            json!({"cluster": "c", "containerInstances": []}),
            "InvalidParameterException: Container Instances cannot be empty.",
        ),
        (
            DescribeContainerInstances,
            json!({"cluster": "c", "containerInstances": many}),
            "InvalidParameterException: containerInstances can have at most 100 items.",
        ),
        (
            DescribeContainerInstances,
            json!({"containerInstances": [arn]}),
            "ClusterNotFoundException: Cluster not found.",
        ),
        (DescribeContainerInstances, json!({"cluster": "d", "containerInstances": [arn]}), other),
        (DeregisterContainerInstance, json!({"cluster": "d", "containerInstance": arn}), other),
        (DeregisterContainerInstance, json!({"cluster": "c", "containerInstance": "nope"}), not_found),
        (UpdateContainerAgent, json!({"cluster": "c", "containerInstance": "nope"}), not_found),
        (
            DeregisterContainerInstance,
            json!({"cluster": "c", "containerInstance": "arn:aws:ecs:x"}),
            "InvalidParameterException: The ARN provided is invalid.",
        ),
    ] {
        assert_eq!(world.refused(operation, body.clone()), error, "{operation} {body}");
    }
    let id = arn.rsplit('/').next().unwrap_or_default();
    let output = world.ok(
        DescribeContainerInstances,
        json!({"cluster": "c", "containerInstances": [id, "nope"], "include": ["CONTAINER_INSTANCE_HEALTH"]}),
    );
    assert_eq!(output["containerInstances"][0]["healthStatus"]["overallStatus"], "INSUFFICIENT_DATA");
    assert_eq!(
        output["failures"],
        json!([{"arn": world.arn("container-instance/c/nope"), "reason": "MISSING"}])
    );
}

#[test]
fn agents_are_told_where_to_connect() {
    let world = World::new();
    assert_eq!(
        world.ok(DiscoverPollEndpoint, json!({"cluster": "c", "containerInstance": "x", "zoneId": ""})),
        json!({"endpoint": "http://127.0.0.1:8722/acs", "telemetryEndpoint": "http://127.0.0.1:8722/tcs"})
    );
}

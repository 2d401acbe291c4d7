//! Tasks with a network interface of their own (agent-protocol G12; ecs-engine D2, D3).

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use expect_test::expect;
use longshore_base::Cidr;
use longshore_controllers::payload::payload;
use longshore_tables_ec2::record::{SecurityGroup, Subnet};
use longshore_tables_ec2::{Ec2State, Ec2Tx, OwnKey};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{CLUSTER, World};

const GATEWAY: &str = "10.9.0.1/16";

fn register(world: &World) -> String {
    world.register(json!({
        "family": "vpc", "networkMode": "awsvpc",
        "containerDefinitions": [
            {"name": "web", "image": "nginx", "memory": 10, "portMappings": [{"containerPort": 80}]},
            {"name": "side", "image": "busybox", "memory": 10, "essential": false},
        ],
    }))
}

fn network() -> Value {
    json!({"awsvpcConfiguration": {"subnets": ["subnet-1", "subnet-2"]}})
}

fn run(count: i32) -> Value {
    json!({"cluster": CLUSTER, "taskDefinition": "vpc", "count": count, "networkConfiguration": network()})
}

fn reasons(answer: &Value) -> Vec<&str> {
    let failures = answer["failures"].as_array().expect("a list");
    failures.iter().filter_map(|failure| failure["reason"].as_str()).collect()
}

/// The address of every task that is not STOPPED.
fn addresses(world: &World) -> Vec<Ipv4Addr> {
    let live = world.tasks().into_iter().filter(|task| !task.last_status.is_stopped());
    live.map(|task| task.interface.as_ref().expect("it has an interface").address).collect()
}

#[test]
fn the_interface_is_planned_then_attached_then_deleted() {
    let (world, instances) = World::with_instances(1);
    world.give_network(instances[0], "10.9.1.0/24", GATEWAY);
    register(&world);
    let answer = world.ok("RunTask", run(1));
    assert_eq!(answer["failures"], json!([]));
    let task = &answer["tasks"][0];
    let arn = task["taskArn"].as_str().expect("an ARN");
    let id = &task["attachments"][0]["id"];
    assert_eq!(task["lastStatus"], "PROVISIONING");
    assert_eq!(
        task["attachments"],
        json!([{
            "id": id, "type": "ElasticNetworkInterface", "status": "PRECREATED",
            "details": [{"name": "subnetId", "value": "subnet-1"}],
        }])
    );
    assert_eq!(task["containers"][0]["networkInterfaces"], json!([]));

    world.play_agents();
    let task = world.describe_task(arn);
    let [address] = addresses(&world)[..] else { panic!("one task") };
    assert!(Cidr::of(Ipv4Addr::new(10, 9, 1, 0), 24).is_some_and(|range| range.contains(address)));
    let [a, b, c, d] = address.octets();
    let attachment = &task["attachments"][0];
    let interface = &attachment["details"][1]["value"];
    assert_eq!(task["lastStatus"], "RUNNING");
    assert_eq!(attachment["status"], "ATTACHED");
    assert_eq!(
        attachment["details"],
        json!([
            {"name": "subnetId", "value": "subnet-1"},
            {"name": "networkInterfaceId", "value": interface},
            {"name": "macAddress", "value": format!("02:42:{a:02x}:{b:02x}:{c:02x}:{d:02x}")},
            {"name": "privateDnsName", "value": format!("ip-{a}-{b}-{c}-{d}.eu-west-1.compute.internal")},
            {"name": "privateIPv4Address", "value": address.to_string()},
        ])
    );
    for container in task["containers"].as_array().expect("a list") {
        let shown = json!([{"attachmentId": id, "privateIpv4Address": address.to_string()}]);
        assert_eq!(container["networkInterfaces"], shown);
        assert_eq!(container["networkBindings"], json!([]));
    }

    world.ok("StopTask", json!({"cluster": CLUSTER, "task": arn}));
    world.play_agents();
    let ended = world.describe_task(arn);
    assert_eq!(ended["lastStatus"], "STOPPED");
    assert_eq!(ended["attachments"][0]["status"], "DELETED");
    world.check();
}

#[test]
fn the_payload_is_what_agents_expect() {
    let (world, instances) = World::with_instances(1);
    // The only address that is left is known.
    world.give_network(instances[0], "10.9.0.0/30", "10.9.0.2/30");
    register(&world);
    world.ok("RunTask", run(1));
    let [task] = &world.tasks()[..] else { panic!("one task") };
    let sent = world
        .db
        .peek(|state| payload(state, &world.at(), task, world.now(), longshore_base::Seed::new(0)))
        .expect("its definition is there");
    let mut sent = serde_json::to_value(sent).expect("serialisable");
    let interface = &mut sent["elasticNetworkInterfaces"][0];
    for (member, prefix, length) in [
        ("attachmentArn", "arn:aws:ecs:eu-west-1:123456789012:attachment/deep-dive-cluster/", 36),
        ("ec2Id", "eni-", 17),
    ] {
        let text = interface[member].as_str().expect("a text");
        assert!(text.strip_prefix(prefix).is_some_and(|id| id.len() == length), "{text}");
        interface[member] = json!("...");
    }
    expect![[r#"
        [
          {
            "attachmentArn": "...",
            "ec2Id": "...",
            "index": 0,
            "interfaceAssociationProtocol": "default",
            "ipv4Addresses": [
              {
                "primary": true,
                "privateAddress": "10.9.0.1"
              }
            ],
            "macAddress": "02:42:0a:09:00:01",
            "privateDnsName": "ip-10-9-0-1.eu-west-1.compute.internal",
            "subnetGatewayIpv4Address": "10.9.0.2/30"
          }
        ]"#]]
    .assert_eq(&serde_json::to_string_pretty(&sent["elasticNetworkInterfaces"]).expect("JSON"));
    assert_eq!(sent["networkMode"], "awsvpc");
    for container in sent["containers"].as_array().expect("a list") {
        assert_eq!(container.get("portMappings"), None, "engines refuse them beside a shared name space");
        let host: Value =
            serde_json::from_str(container["dockerConfig"]["hostConfig"].as_str().expect("a text"))
                .expect("JSON");
        assert_eq!(host.get("NetworkMode"), None);
    }
}

#[test]
fn the_name_servers_are_those_that_the_instance_tells() {
    let (world, instances) = World::with_instances(1);
    world.give_network(instances[0], "10.9.1.0/24", GATEWAY);
    world.give_attribute(instances[0], "longshore.task-name-servers", "10.9.0.2, 10.9.0.3,nonsense");
    register(&world);
    world.ok("RunTask", run(1));
    let [task] = &world.tasks()[..] else { panic!("one task") };
    let sent = world
        .db
        .peek(|state| payload(state, &world.at(), task, world.now(), longshore_base::Seed::new(0)))
        .expect("its definition is there");
    assert_eq!(sent.elastic_network_interfaces[0].domain_name_servers, ["10.9.0.2", "10.9.0.3"]);
}

#[test]
fn an_instance_has_so_many_addresses_and_no_more() {
    let (world, instances) = World::with_instances(1);
    world.give_network(instances[0], "10.9.0.0/29", GATEWAY);
    register(&world);
    // Of eight, the first is the network's and the second the gateway's; the network goes on behind the last.
    assert_eq!(world.ok("RunTask", run(6))["failures"], json!([]));
    assert_eq!(addresses(&world).into_iter().collect::<BTreeSet<_>>().len(), 6);
    assert_eq!(reasons(&world.ok("RunTask", run(1))), ["RESOURCE:ENI"]);
    let named = json!({
        "cluster": CLUSTER, "taskDefinition": "vpc", "networkConfiguration": network(),
        "containerInstances": [world.instance_arn(instances[0])],
    });
    assert_eq!(reasons(&world.ok("StartTask", named.clone())), ["RESOURCE:ENI"]);
    // A task that was told to stop still has its address; a STOPPED one has not.
    let first = world.wanted()[0].clone();
    let address = first.interface.as_ref().expect("an interface").address;
    world.ok("StopTask", json!({"cluster": CLUSTER, "task": first.id.to_string()}));
    assert_eq!(reasons(&world.ok("RunTask", run(1))), ["RESOURCE:ENI"]);
    world.play_agents();
    let again = world.ok("StartTask", named);
    assert_eq!(again["failures"], json!([]));
    assert!(addresses(&world).contains(&address));
    world.check();
}

#[test]
fn instances_without_a_network_are_passed_over() {
    let (world, instances) = World::with_instances(2);
    register(&world);
    assert_eq!(reasons(&world.ok("RunTask", run(1))), ["ATTRIBUTE", "ATTRIBUTE"]);
    world.give_network(instances[1], "10.9.0.0/24", GATEWAY);
    let answer = world.ok("RunTask", run(3));
    for task in answer["tasks"].as_array().expect("a list") {
        assert_eq!(task["containerInstanceArn"], world.instance_arn(instances[1]));
    }
    assert_eq!(addresses(&world).len(), 3);
    // A network that cannot be read has no addresses.
    world.give_network(instances[0], "10.9.0.0/24", "10.8.0.1/24");
    world.give_network(instances[1], "10.9.0.0", GATEWAY);
    assert_eq!(reasons(&world.ok("RunTask", run(1))), ["RESOURCE:ENI", "RESOURCE:ENI"]);
}

#[test]
fn tasks_of_services_have_addresses_and_a_new_network_rolls() {
    let (world, instances) = World::with_instances(2);
    world.give_network(instances[0], "10.9.0.0/25", GATEWAY);
    world.give_network(instances[1], "10.9.0.128/25", GATEWAY);
    register(&world);
    world.ok(
        "CreateService",
        json!({
            "cluster": CLUSTER, "serviceName": "s", "taskDefinition": "vpc", "desiredCount": 4,
            "networkConfiguration": network(),
        }),
    );
    world.settle();
    assert_eq!(addresses(&world).into_iter().collect::<BTreeSet<_>>().len(), 4);
    let before: BTreeSet<_> = world.wanted().iter().map(|task| task.id).collect();
    let moved = json!({"awsvpcConfiguration": {"subnets": ["subnet-9"]}});
    world.ok("UpdateService", json!({"cluster": CLUSTER, "service": "s", "networkConfiguration": moved}));
    world.settle();
    let after: BTreeSet<_> = world.wanted().iter().map(|task| task.id).collect();
    assert_eq!((after.len(), before.intersection(&after).count()), (4, 0));
    let shown = world.describe_task(&after.first().expect("some").to_string());
    assert_eq!(shown["attachments"][0]["details"][0]["value"], "subnet-9");
    world.check();
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Run(u8),
    Stop(u8),
    Reports,
    /// The first instance comes back with this network.
    Network(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_u8..4).prop_map(Step::Run),
        3 => any::<u8>().prop_map(Step::Stop),
        2 => Just(Step::Reports),
        1 => (0_u8..3).prop_map(Step::Network),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever is started, stopped and reported: no two tasks of an instance have one address, and every address
    /// is of a range that the instance had when the task was placed.
    #[test]
    fn no_address_is_given_twice(steps in prop::collection::vec(step(), 1..40)) {
        let ranges = ["10.9.0.0/29", "10.9.0.0/30", "10.9.0.4/30"];
        let (world, instances) = World::with_instances(2);
        world.give_network(instances[0], ranges[0], GATEWAY);
        world.give_network(instances[1], "10.9.0.8/29", GATEWAY);
        register(&world);
        for step in steps {
            match step {
                Step::Run(count) => drop(world.ok("RunTask", run(count.into()))),
                Step::Stop(n) => {
                    let wanted = world.wanted();
                    if let Some(task) = wanted.get(usize::from(n) % wanted.len().max(1)) {
                        world.ok("StopTask", json!({"cluster": CLUSTER, "task": task.id.to_string()}));
                    }
                }
                Step::Reports => world.play_agents(),
                Step::Network(n) => world.give_network(instances[0], ranges[usize::from(n)], GATEWAY),
            }
            let mut held: BTreeMap<_, BTreeSet<Ipv4Addr>> = BTreeMap::new();
            for task in world.tasks().iter().filter(|task| !task.last_status.is_stopped()) {
                let instance = task.instance.expect("it is placed");
                let address = task.interface.as_ref().expect("it has an interface").address;
                let range: Cidr = if instance == instances[0] { "10.9.0.0/29" } else { "10.9.0.8/29" }
                    .parse()
                    .expect("a network");
                prop_assert!(range.contains(address) && address != Ipv4Addr::new(10, 9, 0, 1));
                prop_assert!(held.entry(instance).or_default().insert(address), "{address} twice");
            }
        }
        world.check();
    }
}

/// The subnets of the default VPC, by zone.
fn default_subnets(world: &World) -> BTreeMap<String, String> {
    let own = |state: &longshore_state::State| {
        let realm = state.ec2().realm(&world.at().scope);
        realm.subnets().iter().map(|(id, own)| (own.zone.to_string(), id.to_string())).collect()
    };
    world.db.peek(own)
}

fn in_subnets(subnets: &[&str], groups: &[&str]) -> Value {
    json!({"awsvpcConfiguration": {"subnets": subnets, "securityGroups": groups}})
}

fn zones_of_tasks(world: &World) -> BTreeSet<String> {
    world.wanted().iter().filter_map(|task| task.zone.as_ref()).map(ToString::to_string).collect()
}

#[test]
fn subnets_that_exist_say_in_which_zones_tasks_run() {
    let (world, instances) = World::with_instances(3);
    for (n, instance) in instances.iter().enumerate() {
        world.give_network(*instance, &format!("10.9.{n}.0/24"), GATEWAY);
    }
    register(&world);
    let subnets = default_subnets(&world);
    let (a, b) = (&*subnets["eu-west-1a"], &*subnets["eu-west-1b"]);
    let run = |subnets: &[&str]| {
        let mut input = run(4);
        input["networkConfiguration"] = in_subnets(subnets, &[]);
        let answer = world.ok("RunTask", input);
        assert_eq!(answer["failures"], json!([]));
        let zones = zones_of_tasks(&world);
        world.play_agents();
        for task in answer["tasks"].as_array().expect("a list") {
            let arn = task["taskArn"].as_str().expect("an ARN");
            let shown = world.describe_task(arn);
            let subnet = &shown["attachments"][0]["details"][0]["value"];
            let zone = shown["availabilityZone"].as_str().expect("a zone");
            if subnets.iter().all(|own| [a, b].contains(own)) {
                assert_eq!(default_subnets(&world)[zone], *subnet, "the subnet is of the zone");
            }
            world.ok("StopTask", json!({"cluster": CLUSTER, "task": arn}));
        }
        world.play_agents();
        zones.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(run(&[b]), ["eu-west-1b"]);
    assert_eq!(run(&[b, a]), ["eu-west-1a", "eu-west-1b"]);
    // What does not exist is anywhere.
    assert_eq!(run(&[b, "subnet-elsewhere"]).len(), 3);
    assert_eq!(run(&["subnet-elsewhere"]).len(), 3);
    world.check();
}

/// Whoever gives machines no zones of his own does not mean those of the subnets.
#[test]
fn a_zone_without_machines_restricts_nothing() {
    let (world, instances) = World::with_instances(1);
    world.give_network(instances[0], "10.9.1.0/24", GATEWAY);
    register(&world);
    let subnets = default_subnets(&world);
    let mut input = run(1);
    input["networkConfiguration"] = in_subnets(&[&subnets["eu-west-1c"]], &[]);
    let answer = world.ok("RunTask", input);
    assert_eq!(
        (&answer["failures"], &answer["tasks"][0]["availabilityZone"]),
        (&json!([]), &json!("eu-west-1a"))
    );
}

/// A service whose subnets are in two of three zones is balanced over those.
#[test]
fn rebalancing_keeps_to_the_zones_of_the_subnets() {
    let (world, instances) = World::with_instances(3);
    for (n, instance) in instances.iter().enumerate() {
        world.give_network(*instance, &format!("10.9.{n}.0/24"), GATEWAY);
    }
    register(&world);
    let subnets = default_subnets(&world);
    let network = in_subnets(&[&subnets["eu-west-1a"], &subnets["eu-west-1b"]], &[]);
    world.ok(
        "CreateService",
        json!({
            "cluster": CLUSTER, "serviceName": "web", "taskDefinition": "vpc", "desiredCount": 6,
            "networkConfiguration": network, "availabilityZoneRebalancing": "ENABLED",
        }),
    );
    for _ in 0..20 {
        world.settle();
        world.advance(std::time::Duration::from_secs(60));
        world.sweep();
    }
    assert_eq!(zones_of_tasks(&world).into_iter().collect::<Vec<_>>(), ["eu-west-1a", "eu-west-1b"]);
    let events = world.events("web");
    assert!(!events.iter().any(|event| event.contains("not AZ balanced")), "{events:?}");
    world.check();
}

#[test]
fn subnets_and_groups_have_to_exist_in_strict_mode_and_to_belong_together() {
    let of = |world: &World| {
        register(world);
        let (subnet, group) = world.db.peek(|state| {
            let realm = state.ec2().realm(&world.at().scope);
            let first = |ids: Vec<String>| ids.into_iter().next().expect("a default VPC has one");
            (
                first(realm.subnets().keys().map(ToString::to_string).collect()),
                first(realm.groups().keys().map(ToString::to_string).collect()),
            )
        });
        // A second VPC with a subnet and a group.
        world.act(|tx| {
            let scope = world.at().scope;
            tx.settle(&scope);
            let (mut other, mut foreign) = {
                let realm = tx.ec2().realm(&scope);
                (Subnet::clone(&realm.subnets()[&*subnet]), SecurityGroup::clone(&realm.groups()[&*group]))
            };
            other.vpc = "vpc-other".into();
            foreign.vpc = "vpc-other".into();
            tx.put::<Subnet>(OwnKey::new(&scope, &"subnet-other".into()), other);
            tx.put::<SecurityGroup>(OwnKey::new(&scope, &"sg-other".into()), foreign);
        });
        (subnet, group)
    };
    let check = |world: &World, subnets: &[&str], groups: &[&str], text: &str| {
        let network = in_subnets(subnets, groups);
        let mut input = run(1);
        input["networkConfiguration"] = network.clone();
        world.check_refused("RunTask", input, "InvalidParameterException", text);
        let service = json!({
            "cluster": CLUSTER, "serviceName": "web", "taskDefinition": "vpc", "desiredCount": 1,
            "networkConfiguration": network,
        });
        world.check_refused("CreateService", service, "InvalidParameterException", text);
    };
    let no_subnet = "The subnet ID 'subnet-x' does not exist (Service: AmazonEC2; Status Code: 400; Error Code: \
                     InvalidSubnetID.NotFound)";
    let no_group = "The security group 'sg-x' does not exist (Service: AmazonEC2; Status Code: 400; Error Code: \
                    InvalidGroup.NotFound)";
    let strict = World::strict();
    let (subnet, group) = of(&strict);
    check(&strict, &["subnet-x"], &[], no_subnet);
    check(&strict, &[&subnet, "subnet-x"], &[], no_subnet);
    check(&strict, &[&subnet], &[&group, "sg-x"], no_group);
    let open = World::new();
    let (subnet, group) = of(&open);
    for world in [&strict, &open] {
        check(world, &[&subnet, "subnet-other"], &[], "The subnets do not belong to the same VPC.");
        let text = "Security group sg-other does not appear to belong to the same VPC as the input subnets.";
        check(world, &[&subnet], &[&group, "sg-other"], text);
    }
}

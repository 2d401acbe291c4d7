//! What RegisterTaskDefinition makes of a request: filled in, or refused with ECS's words.

use expect_test::{Expect, expect};
use longshore_base::{AccountId, Region, Scope};
use longshore_domain::task_definition::{Owner, normalise};
use longshore_shapes_ecs as shapes;
use longshore_wire::json;

fn register(request: serde_json::Value) -> Result<serde_json::Value, String> {
    let scope = Scope::new(
        AccountId::parse("123456789012").expect("digits"),
        Region::parse("us-east-1").expect("a region"),
    );
    let request: shapes::RegisterTaskDefinitionRequest =
        json::from_slice(request.to_string().as_bytes()).expect("a request of the model");
    let normalised = normalise(request, &Owner { scope: &scope }).map_err(|error| error.to_string())?;
    Ok(serde_json::from_slice(&json::to_vec(&normalised.shape)).expect("JSON"))
}

/// One container `c` with the given members over a valid minimum, in a task with the given members.
fn with(task: serde_json::Value, container: serde_json::Value) -> serde_json::Value {
    let mut whole = serde_json::json!({
        "family": "web",
        "containerDefinitions": [{"name": "c", "image": "busybox", "memory": 64}],
    });
    merge(&mut whole["containerDefinitions"][0], container);
    merge(&mut whole, task);
    whole
}

fn merge(into: &mut serde_json::Value, from: serde_json::Value) {
    let serde_json::Value::Object(from) = from else { panic!("members come as an object") };
    for (key, value) in from {
        into[key] = value;
    }
}

fn refused(task: serde_json::Value, container: serde_json::Value, text: &str) {
    assert_eq!(register(with(task, container)), Err(text.to_owned()));
}

#[test]
fn the_bare_definition_of_the_walk_through() {
    let answer = register(serde_json::json!({
        "family": "web",
        "containerDefinitions": [{
            "name": "tomcat", "image": "tomcat", "memory": 50, "cpu": 102,
            "portMappings": [{"containerPort": 8080, "hostPort": 8080}],
        }],
    }));
    let expected: Expect = expect![[r#"
        {
          "compatibilities": [
            "EXTERNAL",
            "EC2"
          ],
          "containerDefinitions": [
            {
              "cpu": 102,
              "environment": [],
              "essential": true,
              "image": "tomcat",
              "memory": 50,
              "mountPoints": [],
              "name": "tomcat",
              "portMappings": [
                {
                  "containerPort": 8080,
                  "hostPort": 8080,
                  "protocol": "tcp"
                }
              ],
              "systemControls": [],
              "volumesFrom": []
            }
          ],
          "enableFaultInjection": false,
          "family": "web",
          "placementConstraints": [],
          "volumes": []
        }"#]];
    expected.assert_eq(&serde_json::to_string_pretty(&answer.expect("accepted")).expect("JSON"));
}

#[test]
fn host_ports_follow_the_network_mode() {
    let port = |mode: Option<&str>| {
        let task = mode.map_or(serde_json::json!({}), |mode| serde_json::json!({"networkMode": mode}));
        let answer = register(with(task, serde_json::json!({"portMappings": [{"containerPort": 80}]})));
        answer.expect("accepted")["containerDefinitions"][0]["portMappings"][0]["hostPort"].clone()
    };
    assert_eq!(port(None), 0);
    assert_eq!(port(Some("bridge")), 0);
    assert_eq!(port(Some("host")), 80);
    assert_eq!(port(Some("awsvpc")), 80);
}

#[test]
fn health_checks_and_sizes_are_filled_in() {
    let answer = register(with(
        serde_json::json!({"cpu": ".5 vCPU", "memory": "1 GB", "taskRoleArn": "worker"}),
        serde_json::json!({"healthCheck": {"command": ["CMD", "true"]}}),
    ))
    .expect("accepted");
    assert_eq!((&answer["cpu"], &answer["memory"]), (&"512".into(), &"1024".into()));
    assert_eq!(answer["taskRoleArn"], "arn:aws:iam::123456789012:role/worker");
    let health = &answer["containerDefinitions"][0]["healthCheck"];
    assert_eq!(
        (&health["interval"], &health["timeout"], &health["retries"]),
        (&30.into(), &5.into(), &3.into())
    );
    assert!(health.get("startPeriod").is_none());
    let names: Vec<&str> = answer["requiresAttributes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|attribute| attribute["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(
        names,
        [
            "com.amazonaws.ecs.capability.docker-remote-api.1.17",
            "com.amazonaws.ecs.capability.docker-remote-api.1.18",
            "com.amazonaws.ecs.capability.docker-remote-api.1.24",
            "com.amazonaws.ecs.capability.task-iam-role",
            "ecs.capability.container-health-check",
            "ecs.capability.task-cpu-mem-limit",
        ]
    );
}

#[test]
fn fargate_definitions_are_recognised() {
    let answer = register(with(
        serde_json::json!({
            "networkMode": "awsvpc", "cpu": "256", "memory": "512", "requiresCompatibilities": ["FARGATE"],
        }),
        serde_json::json!({}),
    ))
    .expect("accepted");
    assert_eq!(answer["compatibilities"], serde_json::json!(["EC2", "FARGATE", "MANAGED_INSTANCES"]));
}

#[test]
fn what_ecs_refuses_is_refused_in_its_words() {
    let none = || serde_json::json!({});
    refused(serde_json::json!({"family": ""}), none(), "Family should not be null or empty.");
    refused(serde_json::json!({"family": "a b"}), none(), "Family contains invalid characters.");
    refused(serde_json::json!({"containerDefinitions": []}), none(), "Container list cannot be empty.");
    refused(none(), serde_json::json!({"name": ""}), "Container.name should not be null or empty.");
    refused(none(), serde_json::json!({"image": ""}), "Container.image should not be null or empty.");
    refused(
        none(),
        serde_json::json!({"memory": null}),
        "Invalid setting for container 'c'. At least one of 'memory' or 'memoryReservation' must be specified.",
    );
    refused(
        none(),
        serde_json::json!({"mountPoints": [{"sourceVolume": "x", "containerPath": "/x"}]}),
        "Unknown volume 'x'.",
    );
    refused(
        serde_json::json!({"networkMode": "awsvpc"}),
        serde_json::json!({"links": ["c"]}),
        "Links are not supported when networkMode=awsvpc.",
    );
    refused(
        serde_json::json!({"networkMode": "host"}),
        serde_json::json!({"portMappings": [{"containerPort": 80, "hostPort": 81}]}),
        "When networkMode=host, the host ports and container ports in port mappings must match.",
    );
    refused(
        serde_json::json!({"requiresCompatibilities": ["FARGATE"]}),
        none(),
        "Fargate only supports network mode \u{2018}awsvpc\u{2019}.",
    );
    refused(
        none(),
        serde_json::json!({"logConfiguration": {"logDriver": "awslogs"}}),
        "Log driver awslogs requires options: awslogs-region, awslogs-group",
    );
    refused(
        none(),
        serde_json::json!({"secrets": [{"name": "S", "valueFrom": "p"}]}),
        "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'.",
    );
    refused(
        none(),
        serde_json::json!({"essential": false}),
        "At least one container in the task definition must be essential.",
    );
}

#[test]
fn eleven_containers_are_too_many() {
    let container = |n: usize| serde_json::json!({"name": format!("c{n}"), "image": "i", "memory": 8});
    let request = |count: usize| serde_json::json!({"family": "f", "containerDefinitions": (0..count).map(container).collect::<Vec<_>>()});
    assert!(register(request(10)).is_ok());
    assert_eq!(register(request(11)), Err("Container list cannot have more than 10 elements.".to_owned()));
}

#[test]
fn dependencies_have_to_make_sense() {
    let two = |first: serde_json::Value, second: serde_json::Value| {
        let mut whole = serde_json::json!({"family": "f", "containerDefinitions": [
            {"name": "a", "image": "i", "memory": 8}, {"name": "b", "image": "i", "memory": 8}]});
        merge(&mut whole["containerDefinitions"][0], first);
        merge(&mut whole["containerDefinitions"][1], second);
        register(whole).err()
    };
    let on = |name: &str, condition: &str| serde_json::json!({"dependsOn": [{"containerName": name, "condition": condition}]});
    assert_eq!(two(on("b", "START"), serde_json::json!({})), None);
    let cycle = two(on("b", "START"), on("a", "START"));
    assert_eq!(cycle.as_deref(), Some("The dependencies of container 'a' form a cycle."));
    assert!(two(on("a", "START"), serde_json::json!({})).is_some());
    assert!(two(on("nobody", "START"), serde_json::json!({})).is_some());
    assert!(two(on("b", "HEALTHY"), serde_json::json!({})).is_some());
    assert!(two(on("b", "COMPLETE"), serde_json::json!({})).is_some());
    assert_eq!(two(on("b", "SUCCESS"), serde_json::json!({"essential": false})), None);
}

#[test]
fn the_same_fixed_port_twice_is_refused() {
    let ports = |ports: serde_json::Value| {
        register(with(serde_json::json!({}), serde_json::json!({"portMappings": ports})))
    };
    let port = |container: u16, host: u16, protocol: &str| serde_json::json!({"containerPort": container, "hostPort": host, "protocol": protocol});
    assert!(ports(serde_json::json!([port(80, 8080, "tcp"), port(81, 8080, "udp")])).is_ok());
    assert!(ports(serde_json::json!([port(80, 8080, "tcp"), port(81, 8080, "tcp")])).is_err());
    assert!(ports(serde_json::json!([port(80, 0, "tcp"), port(81, 0, "tcp")])).is_ok());
}

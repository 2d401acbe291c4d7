//! What RegisterTaskDefinition makes of a request: normalised with ECS's defaults, or refused with ECS's words.

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

/// A minimal valid definition with one container `c`, and these members added to the task and to the container.
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

/// Refused with exactly this text.
fn refused(task: serde_json::Value, container: serde_json::Value, text: &str) {
    assert_eq!(register(with(task, container)), Err(text.to_owned()));
}

#[test]
fn a_minimal_definition_is_answered_with_its_defaults() {
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
    let logging = |driver: &str, more: serde_json::Value| {
        let mut options = serde_json::json!({"awslogs-region": "r", "awslogs-group": "g"});
        let all = options.as_object_mut().expect("an object");
        all.extend(more.as_object().expect("an object").clone());
        serde_json::json!({"logConfiguration": {"logDriver": driver, "options": options}})
    };
    refused(
        none(),
        logging("awslogs", serde_json::json!({"awslogs-endpoint": "http://x", "awslogs-stream": "s"})),
        "Log driver awslogs disallows options: awslogs-stream, awslogs-endpoint",
    );
    refused(
        none(),
        logging(
            "awslogs",
            serde_json::json!({"awslogs-datetime-format": "%Y", "awslogs-multiline-pattern": "^x"}),
        ),
        "Log driver awslogs does not allow the options awslogs-datetime-format and awslogs-multiline-pattern together. \
         Keep one of them.",
    );
    refused(
        none(),
        logging("json-file", serde_json::json!({"mode": "lazy"})),
        "The log option mode must be blocking or non-blocking, and it is 'lazy'.",
    );
    refused(
        serde_json::json!({
            "requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", "cpu": "256", "memory": "512",
            "executionRoleArn": "arn:aws:iam::123456789012:role/x",
        }),
        logging("awslogs", serde_json::json!({})),
        "Log driver awslogs requires options: awslogs-stream-prefix",
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
fn a_hard_limit_may_equal_the_reservation() {
    let memory = |hard: u32, soft: u32| {
        let sizes = serde_json::json!({"memory": hard, "memoryReservation": soft});
        register(with(serde_json::json!({}), sizes))
    };
    let answer = memory(192, 192).expect("accepted");
    let container = &answer["containerDefinitions"][0];
    assert_eq!((&container["memory"], &container["memoryReservation"]), (&192.into(), &192.into()));
    let text =
        "Invalid setting for container 'c'. The value for memory must not be smaller than memoryReservation.";
    assert_eq!(memory(96, 192), Err(text.to_owned()));
}

#[test]
fn volumes_of_a_task_are_always_made_for_it() {
    let volume = |docker: serde_json::Value| {
        let volumes = serde_json::json!({"volumes": [{"name": "v", "dockerVolumeConfiguration": docker}]});
        let answer = register(with(volumes, serde_json::json!({})));
        answer.map(|answer| answer["volumes"][0]["dockerVolumeConfiguration"].clone())
    };
    let text = "The volume 'v' has scope task, so it is always made for the task: autoprovision can't be false. Leave it \
                out, or use scope shared.";
    assert_eq!(volume(serde_json::json!({"scope": "task", "autoprovision": false})), Err(text.to_owned()));
    for (sent, answered) in [
        (serde_json::json!({"scope": "task"}), serde_json::json!({"scope": "task", "driver": "local"})),
        (
            serde_json::json!({"scope": "task", "autoprovision": true}),
            serde_json::json!({"scope": "task", "autoprovision": true, "driver": "local"}),
        ),
        (
            serde_json::json!({"scope": "shared"}),
            serde_json::json!({"scope": "shared", "autoprovision": false, "driver": "local"}),
        ),
        (
            serde_json::json!({"scope": "shared", "autoprovision": true}),
            serde_json::json!({"scope": "shared", "autoprovision": true, "driver": "local"}),
        ),
        // What Terraform sends of a volume of which only the driver is given.
        (
            serde_json::json!({"driver": "local", "autoprovision": false}),
            serde_json::json!({"scope": "task", "driver": "local"}),
        ),
    ] {
        assert_eq!(volume(sent), Ok(answered.clone()));
        assert_eq!(volume(answered.clone()), Ok(answered), "an answer can be registered again");
    }
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

#[test]
fn port_ranges_do_not_overlap() {
    let one = |mode: &str, ports: serde_json::Value| {
        register(with(serde_json::json!({"networkMode": mode}), serde_json::json!({"portMappings": ports})))
    };
    let range = |range: &str| serde_json::json!({"containerPortRange": range});
    let udp = |range: &str| serde_json::json!({"containerPortRange": range, "protocol": "udp"});
    let port = |port: u16| serde_json::json!({"containerPort": port});
    let text = |text: &str| Err(text.to_owned());
    for mode in ["bridge", "awsvpc"] {
        for apart in [
            serde_json::json!([range("80-89"), range("90-99"), port(79), port(100)]),
            serde_json::json!([range("80-89"), udp("80-89")]),
        ] {
            assert!(one(mode, apart.clone()).is_ok(), "{mode}: {apart}");
        }
        assert_eq!(
            one(mode, serde_json::json!([range("80-89"), range("89-99")])),
            text("The container port range 89-99/tcp overlaps with another port mapping: port 89.")
        );
        for ports in [[range("80-89"), port(85)], [port(85), range("80-89")]] {
            assert_eq!(
                one(mode, serde_json::json!(ports)),
                text("The container port range 80-89/tcp overlaps with another port mapping: port 85.")
            );
        }
    }
    // Containers have ports of their own, but for awsvpc.
    let two = |mode: &str| {
        let container = |name: &str| serde_json::json!({"name": name, "image": "i", "memory": 8, "portMappings": [range("80-89")]});
        register(serde_json::json!({
            "family": "f", "networkMode": mode, "containerDefinitions": [container("a"), container("b")],
        }))
    };
    assert!(two("bridge").is_ok());
    assert!(two("awsvpc").is_err());
}

#[test]
fn fargate_bounds_the_timeouts() {
    let task = |compatibility: &str| {
        serde_json::json!({
            "networkMode": "awsvpc", "cpu": "256", "memory": "512", "requiresCompatibilities": [compatibility],
        })
    };
    let fargate = || task("FARGATE");
    for fine in [serde_json::json!({"stopTimeout": 120}), serde_json::json!({"startTimeout": 2})] {
        assert!(register(with(fargate(), fine.clone())).is_ok(), "{fine}");
    }
    for (member, seconds) in
        [("stopTimeout", 121), ("stopTimeout", 1), ("startTimeout", 121), ("startTimeout", 0)]
    {
        refused(
            fargate(),
            serde_json::json!({member: seconds}),
            &format!(
                "The {member} of container 'c' must be between 2 and 120 seconds with the FARGATE launch type."
            ),
        );
    }
    let answer = register(with(task("EC2"), serde_json::json!({"stopTimeout": 600}))).expect("accepted");
    assert_eq!(answer["compatibilities"], serde_json::json!(["EC2", "MANAGED_INSTANCES"]));
}

#[test]
fn containers_reserve_no_more_memory_than_the_task_has() {
    let two = |first: serde_json::Value, second: serde_json::Value| {
        let mut whole = serde_json::json!({"family": "f", "memory": "512", "containerDefinitions": [
            {"name": "a", "image": "i"}, {"name": "b", "image": "i"}]});
        merge(&mut whole["containerDefinitions"][0], first);
        merge(&mut whole["containerDefinitions"][1], second);
        register(whole).err()
    };
    let hard = |mib: u32| serde_json::json!({"memory": mib});
    assert_eq!(two(hard(256), hard(256)), None);
    assert_eq!(two(hard(512), serde_json::json!({})), None);
    // The soft limit is what is reserved.
    assert_eq!(two(hard(256), serde_json::json!({"memory": 512, "memoryReservation": 256})), None);
    let text =
        "The memory reserved for the containers adds up to 513 MiB, more than the 512 MiB of the task.";
    assert_eq!(two(hard(256), hard(257)).as_deref(), Some(text));
    assert_eq!(two(hard(256), serde_json::json!({"memoryReservation": 257})).as_deref(), Some(text));
}

#[test]
fn firelens_needs_one_router_and_a_container_that_uses_it() {
    let containers = |users: usize, routers: usize| {
        let user = serde_json::json!({"logConfiguration": {"logDriver": "awsfirelens"}});
        let router = serde_json::json!({"firelensConfiguration": {"type": "fluentbit"}});
        let members =
            vec![user; users].into_iter().chain(vec![router; routers]).chain([serde_json::json!({})]);
        let named = members.enumerate().map(|(n, mut container)| {
            merge(&mut container, serde_json::json!({"name": format!("c{n}"), "image": "i", "memory": 8}));
            container
        });
        let named: Vec<_> = named.collect();
        register(serde_json::json!({"family": "f", "containerDefinitions": named})).err()
    };
    assert_eq!(containers(0, 0), None);
    assert_eq!(containers(2, 1), None);
    assert_eq!(
        containers(1, 0).as_deref(),
        Some(
            "When awsfirelens log driver is specified in log configuration, a firelens configuration object must be \
             configured in one of the containers."
        )
    );
    assert_eq!(
        containers(0, 1).as_deref(),
        Some(
            "When a firelensConfiguration object is specified, at least one container has to be configured with the \
             awsfirelens log driver."
        )
    );
    assert_eq!(containers(1, 2).as_deref(), Some("At most one container can have a firelensConfiguration."));
}

#[test]
fn environment_variables_and_secrets_need_names() {
    for bare in [serde_json::json!({"name": "", "value": "x"}), serde_json::json!({"value": "x"})] {
        refused(
            serde_json::json!({}),
            serde_json::json!({"environment": [{"name": "A", "value": ""}, bare]}),
            "The name of an environment variable should not be null or empty.",
        );
    }
    refused(
        serde_json::json!({"executionRoleArn": "r"}),
        serde_json::json!({"secrets": [{"name": "", "valueFrom": "p"}]}),
        "The name of a secret should not be null or empty.",
    );
}

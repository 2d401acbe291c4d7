//! Bytes of real requests and responses, in and out.

use longshore_base::Timestamp;
use longshore_shapes_ecs::*;
use longshore_wire::{Protocol, Violations, json};

fn encoded(shape: &dyn longshore_wire::Shape) -> String {
    String::from_utf8(json::to_vec(shape)).expect("JSON is UTF-8")
}

#[test]
fn register_task_definition_in() {
    let body = br#"{
        "family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["EC2", "MOON"], "cpu": "256",
        "containerDefinitions": [{
            "name": "app", "image": "nginx", "memory": 128, "essential": true, "command": ["a", "b"],
            "portMappings": [{"containerPort": 80, "protocol": "tcp"}],
            "environment": [{"name": "PASSWORD", "value": "hunter2"}],
            "logConfiguration": {"logDriver": "splunk", "options": {"splunk-token": "hunter3"}},
            "ulimits": [{"name": "nofile", "softLimit": 1024, "hardLimit": 4096}]
        }],
        "tags": [{"key": "team", "value": "blue"}]
    }"#;
    let request: RegisterTaskDefinitionRequest = json::from_slice(body).expect("a request");
    assert_eq!(request.network_mode, Some(NetworkMode::Awsvpc));
    let compatibilities = request.requires_compatibilities.as_deref().expect("present");
    assert_eq!(compatibilities, [Compatibility::Ec2, Compatibility::Unrecognized("MOON".into())]);
    let container = &request.container_definitions.as_deref().expect("present")[0];
    assert_eq!(container.memory, Some(128));
    assert_eq!(container.cpu, None);
    assert_eq!(container.ulimits.as_ref().expect("present")[0].name, Some(UlimitName::Nofile));
    assert_eq!(
        Violations::of(&request).to_string(),
        "requiresCompatibilities[1] should be one of [EC2,FARGATE,EXTERNAL,MANAGED_INSTANCES]"
    );
    let debug = format!("{request:?}");
    assert!(debug.contains("environment: [redacted]") && debug.contains("options: [redacted]"), "{debug}");
    assert!(!debug.contains("hunter"), "{debug}");
}

#[test]
fn run_task_in() {
    let request: RunTaskRequest = json::from_slice(
        br#"{"count":2,"launchType":"MOON","capacityProviderStrategy":[{"base":100001}],"tags":null}"#,
    )
    .expect("a request");
    assert_eq!((request.count, request.tags.as_ref()), (Some(2), None));
    let violations: Vec<String> = Violations::of(&request).iter().map(ToString::to_string).collect();
    assert_eq!(
        violations,
        [
            "capacityProviderStrategy[0].base is out of range, expected 0 to 100000",
            "capacityProviderStrategy[0].capacityProvider is required",
            "launchType should be one of [EC2,FARGATE,EXTERNAL,MANAGED_INSTANCES]",
            "taskDefinition is required",
        ]
    );
    let error = json::from_slice::<RunTaskRequest>(br#"{"overrides":{"containerOverrides":[{"cpu":"1"}]}}"#);
    assert_eq!(
        error.expect_err("a string").to_string(),
        "overrides.containerOverrides[0].cpu: a string can not be converted to Integer"
    );
}

#[test]
fn register_container_instance_takes_the_agents_token() {
    let request: RegisterContainerInstanceRequest =
        json::from_slice(br#"{"clientToken":"t-1","instanceIdentityDocumentSignature":"sig-1"}"#)
            .expect("a request");
    assert_eq!(request.client_token.as_deref(), Some("t-1"));
    assert!(!format!("{request:?}").contains("sig-1"));
}

#[test]
fn describe_tasks_out() {
    let response = DescribeTasksResponse {
        tasks: Some(vec![Task {
            task_arn: Some("arn:aws:ecs:eu-1:1:task/c/1".into()),
            last_status: Some("RUNNING".into()),
            launch_type: Some(LaunchType::Ec2),
            created_at: Some(Timestamp::from_millis(1_517_730_923_303)),
            version: Some(3),
            enable_execute_command: Some(false),
            health_status: Some(HealthStatus::Unknown),
            containers: Some(vec![Container { exit_code: Some(-1), ..Container::default() }]),
            attachments: Some(vec![]),
            ..Task::default()
        }]),
        failures: Some(vec![]),
    };
    assert_eq!(
        encoded(&response),
        concat!(
            r#"{"failures":[],"tasks":[{"attachments":[],"containers":[{"exitCode":-1}],"createdAt":1517730923.303,"#,
            r#""enableExecuteCommand":false,"healthStatus":"UNKNOWN","lastStatus":"RUNNING","launchType":"EC2","#,
            r#""taskArn":"arn:aws:ecs:eu-1:1:task/c/1","version":3}]}"#,
        )
    );
}

#[test]
fn errors_out() {
    let error = RunTaskError::from(ConflictException {
        resource_ids: Some(vec!["arn:1".into()]),
        ..ConflictException::new("The token was used before.")
    });
    let reply = Protocol::AwsJson11.error(&error, None, "");
    assert_eq!(reply.status, 400);
    assert_eq!(
        String::from_utf8_lossy(&reply.body),
        r#"{"__type":"ConflictException","message":"The token was used before.","resourceIds":["arn:1"]}"#
    );
    let reply = Protocol::AwsJson11.error(&ListTasksError::from(ServerException::new("x")), None, "");
    assert_eq!((reply.status, reply.error.map(|error| error.server_fault)), (500, Some(true)));
}

/// One function can fail for many operations, and each takes its error.
#[test]
fn errors_convert_into_every_operation_that_models_them() {
    fn find() -> Result<(), ClusterNotFoundException> {
        Err(ClusterNotFoundException::new("Cluster not found."))
    }
    fn run() -> Result<(), RunTaskError> {
        Ok(find()?)
    }
    fn create() -> Result<(), CreateServiceError> {
        Ok(find()?)
    }
    assert_eq!(run().expect_err("no cluster").to_string(), "Cluster not found.");
    assert!(matches!(create(), Err(CreateServiceError::ClusterNotFoundException(_))));
}

#[test]
fn enumerations_keep_what_they_do_not_know() {
    assert_eq!(LaunchType::from("EC2"), LaunchType::Ec2);
    assert_eq!(LaunchType::from("ec2"), LaunchType::Unrecognized("ec2".into()));
    assert_eq!(LaunchType::from("ec2").to_string(), "ec2");
    assert_eq!(LaunchType::VALUES, ["EC2", "FARGATE", "EXTERNAL", "MANAGED_INSTANCES"]);
}

#[test]
fn session_tokens_stay_out_of_logs() {
    let session =
        Session { token_value: Some("t0ken".into()), session_id: Some("s-1".into()), ..Session::default() };
    assert_eq!(format!("{session:?}"), r#"Session {sessionId: "s-1", tokenValue: [redacted]}"#);
    assert!(encoded(&session).contains("t0ken"));
}

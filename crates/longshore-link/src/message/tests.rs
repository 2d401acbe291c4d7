use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Decodes `frame` with `decode`, checks the variant by `pick`, and that encoding it gives the same JSON again.
fn check<E, M: Named>(
    frame: Value,
    decode: fn(&str) -> Result<E, MessageError>,
    pick: fn(E) -> Option<M>,
) -> M {
    let message = decode(&frame.to_string()).expect("the example decodes");
    let message = pick(message).expect("it is of the right type");
    let again: Value = serde_json::from_str(&message.frame()).expect("what we write is JSON");
    assert_eq!(again, frame);
    message
}

macro_rules! variant {
    ($enum:ident :: $variant:ident) => {
        |message| match message {
            $enum::$variant(message) => Some(message),
            _ => None,
        }
    };
}

#[test]
fn acks_of_the_agent_round_trip() {
    check(
        json!({"type": "HeartbeatAckRequest", "message": {"messageId": "h"}}),
        FromAgent::decode,
        variant!(FromAgent::HeartbeatAck),
    );
    check(
        json!({"type": "AckRequest", "message": {"cluster": "c", "containerInstance": "i", "messageId": "m"}}),
        FromAgent::decode,
        variant!(FromAgent::Ack),
    );
    check(
        json!({"type": "NackRequest", "message":
            {"cluster": "c", "containerInstance": "i", "messageId": "m", "reason": "Updates are disabled"}}),
        FromAgent::decode,
        variant!(FromAgent::Nack),
    );
    let ack = check(
        json!({"type": "IAMRoleCredentialsAckRequest", "message":
            {"messageId": "m", "credentialsId": "4f1c-secret", "expiration": "2026-12-01T00:00:00Z"}}),
        FromAgent::decode,
        variant!(FromAgent::RoleCredentialsAck),
    );
    assert!(!format!("{ack:?}").contains("4f1c"), "{ack:?}");
    check(
        json!({"type": "TaskStopVerificationMessage", "message": {"messageId": "m", "stopCandidates": [
            {"taskArn": "t", "taskClusterArn": "c", "desiredStatus": "STOPPED"}]}}),
        FromAgent::decode,
        variant!(FromAgent::StopVerification),
    );
}

#[test]
fn messages_of_the_server_round_trip() {
    check(
        json!({"type": "HeartbeatMessage", "message": {"messageId": "h", "healthy": true}}),
        ToAgent::decode,
        variant!(ToAgent::Heartbeat),
    );
    check(
        json!({"type": "TaskManifestMessage", "message": {
            "messageId": "m", "clusterArn": "c", "containerInstanceArn": "i", "generatedAt": 1795210000000_i64,
            "timeline": 12, "tasks": [{"taskArn": "t", "taskClusterArn": "c", "desiredStatus": "RUNNING"}]}}),
        ToAgent::decode,
        variant!(ToAgent::Manifest),
    );
    check(
        json!({"type": "TaskStopVerificationAck", "message": {"messageId": "m", "generatedAt": 1, "stopTasks": [
            {"taskArn": "t", "taskClusterArn": "c", "desiredStatus": "STOPPED"}]}}),
        ToAgent::decode,
        variant!(ToAgent::StopVerificationAck),
    );
    let credentials = check(
        json!({"type": "IAMRoleCredentialsMessage", "message": {
            "messageId": "m", "taskArn": "t", "taskClusterArn": "c", "roleType": "TaskApplication",
            "roleCredentials": {"credentialsId": "id-hidden", "roleArn": "r", "accessKeyId": "AKIA",
                "secretAccessKey": "key-hidden", "sessionToken": "token-hidden",
                "expiration": "2026-12-01T00:00:00Z"}}}),
        ToAgent::decode,
        variant!(ToAgent::RoleCredentials),
    );
    assert!(!format!("{credentials:?}").contains("hidden"), "{credentials:?}");
    check(
        json!({"type": "ConfirmAttachmentMessage", "message": {
            "messageId": "m", "clusterArn": "c", "containerInstanceArn": "i", "taskArn": "t", "generatedAt": 3,
            "waitTimeoutMs": 5, "attachment": {"attachmentArn": "a", "attachmentType": "amazonebs",
                "attachmentProperties": [{"name": "volumeId", "value": "v"}]}}}),
        ToAgent::decode,
        variant!(ToAgent::ConfirmAttachment),
    );
    check(
        json!({"type": "StageUpdateMessage", "message": {"messageId": "m", "clusterArn": "c",
            "containerInstanceArn": "i", "updateInfo": {"location": "https://x", "signature": "00"}}}),
        ToAgent::decode,
        variant!(ToAgent::StageUpdate),
    );
    check(
        json!({"type": "AttachTaskNetworkInterfacesMessage", "message": {"messageId": "m", "clusterArn": "c",
            "containerInstanceArn": "i", "taskArn": "t", "waitTimeoutMs": 5, "elasticNetworkInterfaces": [{
                "attachmentArn": "a", "ec2Id": "eni-0aaa", "macAddress": "02:00:00:00:00:aa", "name": "eth1",
                "index": 0, "ipv4Addresses": [{"privateAddress": "10.9.1.5", "primary": true}],
                "ipv6Addresses": [{"address": "fd00::1"}], "subnetGatewayIpv4Address": "10.9.0.1/16",
                "domainNameServers": ["10.9.0.2"], "domainName": ["ec2.internal"], "privateDnsName": "ip",
                "interfaceAssociationProtocol": "vlan",
                "interfaceVlanProperties": {"vlanId": "1", "trunkInterfaceMacAddress": "02:00"}}]}}),
        ToAgent::decode,
        variant!(ToAgent::AttachTaskInterfaces),
    );
    check(
        json!({"type": "CloseMessage", "message": {"message": "bye"}}),
        ToAgent::decode,
        variant!(ToAgent::Close),
    );
}

#[test]
fn the_smallest_task_of_the_reference_decodes() {
    let text = r#"{"type": "PayloadMessage", "message": {
      "messageId": "8f1c", "seqNum": 7, "generatedAt": 1795210000000,
      "clusterArn": "arn:aws:ecs:us-east-1:111122223333:cluster/probe",
      "containerInstanceArn": "arn:aws:ecs:us-east-1:111122223333:container-instance/probe/5b4c",
      "tasks": [{
        "arn": "arn:aws:ecs:us-east-1:111122223333:task/probe/0a1b",
        "taskClusterArn": "arn:aws:ecs:us-east-1:111122223333:cluster/probe",
        "family": "web", "version": "3", "desiredStatus": "RUNNING", "overrides": "{}", "launchType": "EC2",
        "volumes": null, "unheardOf": {"x": [1]},
        "containers": [{"name": "main", "image": "bb", "essential": true, "cpu": 10, "memory": 64,
                        "entryPoint": null, "command": ["sleep", "60"]}]}]}}"#;
    let Ok(ToAgent::Payload(message)) = ToAgent::decode(text) else { panic!("it is a payload") };
    assert_eq!((message.seq_num, message.generated_at), (7, 1795210000000));
    let task = TaskPayload::decode(message.tasks[0].clone()).expect("the task is valid");
    let expected = TaskPayload {
        family: "web".into(),
        version: "3".into(),
        launch_type: "EC2".into(),
        containers: vec![ContainerPayload {
            name: "main".into(),
            image: "bb".into(),
            essential: true,
            cpu: 10,
            memory: 64,
            command: Some(vec!["sleep".into(), "60".into()]),
            ..ContainerPayload::default()
        }],
        ..TaskPayload::run(
            "arn:aws:ecs:us-east-1:111122223333:task/probe/0a1b",
            "arn:aws:ecs:us-east-1:111122223333:cluster/probe",
        )
    };
    assert_eq!(task, expected);
}

#[test]
fn a_full_task_keeps_every_name() {
    let task: Value = serde_json::from_str(r#"{
        "arn": "t", "taskClusterArn": "c", "family": "f", "version": "1", "desiredStatus": "RUNNING",
        "cpu": 0.5, "memory": 256, "overrides": "{}", "networkMode": "bridge", "pidMode": "task",
        "ipcMode": "host", "launchType": "EC2", "serviceName": "s", "group": "service:s",
        "enableFaultInjection": true,
        "proxyConfiguration": {"type": "APPMESH", "containerName": "p", "properties": {"a": "b"}},
        "associations": [{"name": "g", "type": "gpu", "content": {"encoding": "identity", "value": "v"},
            "containers": ["main"]}],
        "attachments": [{"attachmentArn": "a", "attachmentType": "amazonebs", "attachmentProperties": []}],
        "executionRoleCredentials": {"credentialsId": "x", "roleArn": "r", "accessKeyId": "a",
            "secretAccessKey": "s", "sessionToken": "t", "expiration": "e", "credentialScope": "z"},
        "volumes": [
            {"name": "h", "type": "host", "host": {"sourcePath": "/srv/x"}},
            {"name": "d", "type": "docker", "dockerVolumeConfiguration": {"scope": "task", "autoprovision": true,
                "driver": "local", "driverOpts": {}, "labels": {}}},
            {"name": "e", "type": "efs", "efsVolumeConfiguration": {"fileSystemId": "fs", "rootDirectory": "/",
                "transitEncryption": "ENABLED", "transitEncryptionPort": 2049,
                "authorizationConfig": {"accessPointId": "ap", "iam": "ENABLED"}}}],
        "containers": [{
            "name": "main", "image": "bb", "essential": true, "cpu": 10, "memory": 64,
            "entryPoint": ["sh"], "command": ["-c"], "environment": {"TOKEN": "hidden"},
            "environmentFiles": [{"value": "arn", "type": "s3"}], "overrides": "{\"command\":[]}",
            "portMappings": [{"containerPort": 80, "hostPort": 0, "protocol": "tcp"},
                {"containerPortRange": "8000-8010", "protocol": "tcp"}],
            "links": ["a:b"], "mountPoints": [{"sourceVolume": "h", "containerPath": "/x", "readOnly": true}],
            "volumesFrom": [{"sourceContainer": "a", "readOnly": false}],
            "dependsOn": [{"containerName": "a", "condition": "START"}],
            "startTimeout": 3, "stopTimeout": 4,
            "restartPolicy": {"enabled": true, "ignoredExitCodes": [0], "restartAttemptPeriod": 60},
            "healthCheckType": "docker",
            "secrets": [{"name": "n", "valueFrom": "v", "type": "ENVIRONMENT_VARIABLE", "region": "r",
                "provider": "ssm", "target": "CONTAINER"}],
            "registryAuthentication": {"type": "ecr", "ecrAuthData": {"registryId": "1", "region": "r",
                "endpointOverride": "e", "useExecutionRole": true}},
            "logsAuthStrategy": "ExecutionRole",
            "firelensConfiguration": {"type": "fluentbit", "options": {"a": "b"}},
            "managedAgents": [{"name": "ExecuteCommandAgent", "properties": {"sessionLimit": "2"}}],
            "containerArn": "ca",
            "dockerConfig": {"version": "1.18", "config": "{}", "hostConfig": "{}"}}]}"#)
    .expect("it is JSON");
    let decoded = TaskPayload::decode(task.clone()).expect("it is valid");
    assert!(!format!("{decoded:?}").contains("hidden"), "an environment may hold secrets");
    assert_eq!(serde_json::to_value(&decoded).expect("serialises"), task);
}

#[test]
fn telemetry_round_trips() {
    let set = json!({"min": 0.0, "max": 1.5, "sampleCount": 17, "sum": 3.0});
    let counter = json!({"min": 1, "max": 2, "sampleCount": 3, "sum": 4, "overflowMin": 0});
    check(
        json!({"type": "PublishMetricsRequest", "message": {
            "metadata": {"cluster": "c", "containerInstance": "i", "messageId": "m", "idle": false, "fin": true},
            "timestamp": 1795210858.897,
            "taskMetrics": [{"taskArn": "t", "taskDefinitionFamily": "f", "taskDefinitionVersion": "1",
                "containerMetrics": [{"containerName": "main", "cpuStatsSet": set, "memoryStatsSet": set,
                    "networkStatsSet": {"rxBytes": counter, "txBytesPerSecond": set},
                    "storageStatsSet": {"readSizeBytes": counter},
                    "restartStatsSet": {"restartCount": 2}}]}]}}),
        FromTelemetry::decode,
        variant!(FromTelemetry::Metrics),
    );
    check(
        json!({"type": "PublishHealthRequest", "message": {
            "metadata": {"cluster": "c", "containerInstance": "i", "messageId": "m", "fin": true},
            "tasks": [{"taskArn": "t", "taskDefinitionFamily": "f", "taskDefinitionVersion": "1", "containers":
                [{"containerName": "main", "healthStatus": "UNHEALTHY", "statusSince": 1795211329.382}]}],
            "timestamp": 1.5}}),
        FromTelemetry::decode,
        variant!(FromTelemetry::Health),
    );
    check(
        json!({"type": "PublishInstanceStatusRequest", "message": {
            "metadata": {"cluster": "c", "containerInstance": "i", "requestId": "r"},
            "statuses": [{"type": "ContainerRuntime", "status": "OK", "lastUpdated": 1.0, "lastStatusChange": 2.0}],
            "timestamp": 3.0}}),
        FromTelemetry::decode,
        variant!(FromTelemetry::InstanceStatus),
    );
    check(
        json!({"type": "AckPublishMetric", "message": {"message": ""}}),
        ToTelemetry::decode,
        variant!(ToTelemetry::AckMetric),
    );
}

#[test]
fn what_newer_agents_may_say_is_tolerated() {
    let decoded = FromAgent::decode(r#"{"type":"Novelty","message":{"a":1}}"#).expect("tolerated");
    assert_eq!(decoded, FromAgent::Unknown("Novelty".into()));
    let health = r#"{"type":"PublishHealthRequest","message":{"tasks":[{"containers":[
        {"containerName":"a","healthStatus":"STARTING"}]}]}}"#;
    let Ok(FromTelemetry::Health(health)) = FromTelemetry::decode(health) else { panic!("it is health") };
    assert_eq!(health.tasks[0].containers[0].health_status, HealthStatus::Unknown);
}

#[test]
fn signed_frames_split_at_the_first_empty_line() {
    let frame =
        "Authorization: AWS4-HMAC-SHA256 x\r\nHost: h:1\r\nX-Amz-Date: d\r\n\r\n{\"type\":\"a\"}\r\n\r\n";
    let split = split_signed(frame).expect("it has a block");
    assert_eq!(split.body, "{\"type\":\"a\"}\r\n\r\n");
    let headers: Vec<_> = split.header_lines().collect();
    assert_eq!(headers, [("Authorization", "AWS4-HMAC-SHA256 x"), ("Host", "h:1"), ("X-Amz-Date", "d")]);
    assert_eq!(join_signed(headers, split.body), frame);
    assert_eq!(split_signed("{}").expect("plain").body, "{}");
    assert!(matches!(split_signed("nothing"), Err(MessageError::Unsigned)));
}

#[test]
fn frames_are_bounded() {
    let long = format!(r#"{{"type":"{}"}}"#, "x".repeat(crate::limits::ACS_FRAME_BYTES_MAX));
    assert!(matches!(FromAgent::decode(&long), Err(MessageError::TooLarge { .. })));
}

proptest! {
    #[test]
    fn decoders_never_panic(text in any::<String>(), kind in 0..12_usize, body in "[\\[{\"a:1,}\\]]{0,40}") {
        const KINDS: [&str; 12] = ["AckRequest", "HeartbeatAckRequest", "PayloadMessage", "TaskManifestMessage",
            "PublishMetricsRequest", "PublishHealthRequest", "PublishInstanceStatusRequest", "AckPublishMetric",
            "IAMRoleCredentialsMessage", "TaskStopVerificationMessage", "CloseMessage", "X"];
        for text in [text, format!(r#"{{"type":"{}","message":{body}}}"#, KINDS[kind])] {
            let _ = FromAgent::decode(&text);
            let _ = ToAgent::decode(&text);
            let _ = FromTelemetry::decode(&text);
            let _ = ToTelemetry::decode(&text);
            let _ = split_signed(&text);
        }
    }
}

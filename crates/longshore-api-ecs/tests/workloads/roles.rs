//! Tasks and services whose roles ECS may assume, and those whose it may not (identity J8).

use longshore_base::AccountId;
use longshore_tables_iam::OwnKey;
use longshore_tables_iam::record::{Grants, Own, Role, TrustPolicy};
use serde_json::{Value, json};

use super::world::{ACCOUNT, CLUSTER, World};

const TASKS: &str = r#"{"Service": "ecs-tasks.amazonaws.com"}"#;
const EC2: &str = r#"{"Service": "ec2.amazonaws.com"}"#;

fn make_role(world: &World, name: &str, path: &str, principal: &str, condition: &str) {
    make_role_in(world, ACCOUNT, name, path, principal, condition);
}

fn make_role_in(world: &World, account: &str, name: &str, path: &str, principal: &str, condition: &str) {
    let text = format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {principal}{condition}}}}}"#
    );
    let own = Own {
        id: format!("AROA{account}{name}").into(),
        name: name.into(),
        path: path.into(),
        created_at: world.now(),
        tags: Default::default(),
    };
    let role = Role {
        own,
        grants: Grants::default(),
        trust: TrustPolicy::new(&text).expect("a policy"),
        description: None,
        session_max: 3600,
        service: None,
        last_used: None,
    };
    let account = AccountId::parse(account).expect("twelve digits");
    world.act(|tx| tx.put::<Role>(OwnKey::new(account, &role.own.id.clone()), role));
}

fn arn(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/{name}")
}

/// A name becomes the ARN of a role without a path when it is registered.
fn cannot(role: &str) -> String {
    let role = if role.starts_with("arn:") { role.to_owned() } else { arn(role) };
    format!(
        "ECS was unable to assume the role '{role}' that was provided for this task. Please verify that the role being passed \
         has the proper trust relationship and permissions and that your IAM user has permissions to pass this role."
    )
}

/// A definition with these members, and its tasks on one instance that takes roles.
fn world_with(members: &Value) -> (World, String) {
    let world = World::strict();
    let id = world.add_instance("eu-west-1a", 1024, 1000);
    world.give_capabilities(
        id,
        &[
            "com.amazonaws.ecs.capability.docker-remote-api.1.17",
            "com.amazonaws.ecs.capability.docker-remote-api.1.18",
            "com.amazonaws.ecs.capability.task-iam-role",
        ],
    );
    make_role(&world, "tasks", "/", TASKS, "");
    make_role(&world, "deep", "/a/b/", TASKS, "");
    make_role(&world, "machines", "/", EC2, "");
    let own = format!(r#", "Condition": {{"StringEquals": {{"aws:SourceAccount": "{ACCOUNT}"}}}}"#);
    make_role(&world, "ours", "/", TASKS, &own);
    make_role(&world, "theirs", "/", TASKS, &own.replace(ACCOUNT, "999999999999"));
    let mut definition = json!({
        "family": "f", "containerDefinitions": [{"name": "main", "image": "busybox", "memory": 10}],
    });
    for (key, value) in members.as_object().expect("members") {
        definition[key] = value.clone();
    }
    world.ok("RegisterTaskDefinition", definition);
    (world, id.to_string())
}

#[test]
fn a_task_runs_with_roles_that_ecs_may_assume() {
    for role in [arn("tasks"), "tasks".to_owned(), arn("a/b/deep"), arn("ours")] {
        let (world, instance) = world_with(&json!({"taskRoleArn": role, "executionRoleArn": arn("tasks")}));
        let run = json!({"cluster": CLUSTER, "taskDefinition": "f"});
        let answer = world.ok("RunTask", run.clone());
        assert_eq!(
            (&answer["failures"], &answer["tasks"][0]["lastStatus"]),
            (&json!([]), &json!("PENDING")),
            "{role}"
        );
        let mut start = run;
        start["containerInstances"] = json!([instance]);
        assert_eq!(world.ok("StartTask", start)["failures"], json!([]), "{role}");
        world.check();
    }
}

#[test]
fn a_role_that_ecs_may_not_assume_starts_nothing() {
    let of_another = "arn:aws:iam::999999999999:role/tasks".to_owned();
    for role in
        [arn("machines"), arn("missing"), "missing".to_owned(), arn("deep"), arn("theirs"), of_another]
    {
        for member in ["taskRoleArn", "executionRoleArn"] {
            let mut members = json!({});
            members[member] = json!(role);
            let (world, instance) = world_with(&members);
            let run = json!({"cluster": CLUSTER, "taskDefinition": "f"});
            let mut start = run.clone();
            start["containerInstances"] = json!([instance]);
            for (operation, input) in [("RunTask", &run), ("StartTask", &start)] {
                let (status, body) = world.call(operation, input);
                assert_eq!(
                    (status, &body["__type"]),
                    (400, &json!("ClientException")),
                    "{operation} {role}: {body}"
                );
                assert_eq!(body["message"], json!(cannot(&role)), "{operation} {member}");
            }
            let mut service = run.clone();
            service["serviceName"] = json!("s");
            service["desiredCount"] = json!(1);
            world.ok("CreateService", service);
            world.reconcile();
            let events = world.events("s");
            assert_eq!(
                events[0],
                format!("(service s) failed to launch a task with (error {}).", cannot(&role)),
                "{events:?}"
            );
            assert_eq!(world.ok("ListTasks", json!({"cluster": CLUSTER}))["taskArns"], json!([]));
            world.check();
        }
    }
}

/// What is copied from AWS names roles of an account that nobody here has heard of.
#[test]
fn in_open_mode_a_role_that_nobody_has_made_runs_in_whatever_account() {
    let copied = "arn:aws:iam::999988887777:role/ecsTaskExecutionRole";
    let world = World::new();
    let id = world.add_instance("eu-west-1a", 1024, 1000);
    let takes_roles = [
        "com.amazonaws.ecs.capability.docker-remote-api.1.17",
        "com.amazonaws.ecs.capability.docker-remote-api.1.18",
        "com.amazonaws.ecs.capability.task-iam-role",
    ];
    world.give_capabilities(id, &takes_roles);
    let definition = json!({
        "family": "f", "taskRoleArn": copied, "executionRoleArn": arn("nobody"),
        "containerDefinitions": [{"name": "main", "image": "busybox", "memory": 10}],
    });
    world.ok("RegisterTaskDefinition", definition);
    let run = json!({"cluster": CLUSTER, "taskDefinition": "f"});
    assert_eq!(world.ok("RunTask", run.clone())["failures"], json!([]));
    // One that the other account has made is not for tasks of this one.
    make_role_in(&world, "999988887777", "ecsTaskExecutionRole", "/", TASKS, "");
    let (_, body) = world.call("RunTask", &run);
    assert_eq!(body["message"], json!(cannot(copied)));
    world.check();
}

/// What a call overrides counts in the place of what the definition says.
#[test]
fn overrides_name_other_roles() {
    let (world, _) = world_with(&json!({"taskRoleArn": arn("machines")}));
    let run =
        |role: &str| json!({"cluster": CLUSTER, "taskDefinition": "f", "overrides": {"taskRoleArn": role}});
    assert_eq!(world.ok("RunTask", run(&arn("tasks")))["failures"], json!([]));
    let (_, body) = world.call("RunTask", &run(&arn("missing")));
    assert_eq!(body["message"], json!(cannot(&arn("missing"))));
    // An empty one is none (identity J8).
    let (_, body) = world.call("RunTask", &run(""));
    assert_eq!(body["message"], json!(cannot(&arn("machines"))));
}

/// A daemon starts a task on each instance, and all of them want for the same role: that is one failure.
#[test]
fn a_missing_role_counts_once_for_all_instances() {
    let (world, first) = world_with(&json!({"taskRoleArn": arn("missing")}));
    let attributes = ["docker-remote-api.1.17", "docker-remote-api.1.18", "task-iam-role"];
    let attributes = attributes.map(|name| format!("com.amazonaws.ecs.capability.{name}"));
    let second = world.add_instance("eu-west-1b", 1024, 1000);
    world.give_capabilities(second, &attributes.each_ref().map(String::as_str));
    assert_ne!(first, second.to_string());
    let service = json!({
        "cluster": CLUSTER, "taskDefinition": "f", "serviceName": "s", "schedulingStrategy": "DAEMON",
    });
    world.ok("CreateService", service);
    world.reconcile();
    let described = world.ok("DescribeServices", json!({"cluster": CLUSTER, "services": ["s"]}));
    assert_eq!(described["services"][0]["deployments"][0]["failedTasks"], json!(1), "{described}");
}

/// Once the role is there, the service goes on by itself.
#[test]
fn a_service_waits_for_its_role() {
    let (world, _) = world_with(&json!({"taskRoleArn": arn("late")}));
    world.ok(
        "CreateService",
        json!({"cluster": CLUSTER, "taskDefinition": "f", "serviceName": "s", "desiredCount": 1}),
    );
    world.reconcile();
    assert!(world.events("s")[0].contains("failed to launch a task"), "{:?}", world.events("s"));
    make_role(&world, "late", "/", TASKS, "");
    world.advance(std::time::Duration::from_secs(900));
    world.reconcile();
    assert_eq!(
        world.ok("ListTasks", json!({"cluster": CLUSTER}))["taskArns"].as_array().map(Vec::len),
        Some(1)
    );
    world.check();
}

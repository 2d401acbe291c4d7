//! What has to be allowed for each operation (identity J7), and that nothing is done or told without it.

use std::sync::Arc;

use expect_test::{expect, expect_file};
use longshore_api_ecs::{OPERATIONS, Settings};
use longshore_service::Access;
use longshore_service::watchman::{Watchman, lines};
use longshore_shapes_ecs::Operation;
use serde_json::{Value, json};

use crate::support::{World, registration, text};

/// A world with one of everything, and its watchman.
struct Scene {
    world: World,
    guard: Arc<Watchman>,
    instance: String,
    task: String,
    task_set: String,
    deployment: String,
    revision: String,
}

const ROLE: &str = "arn:aws:iam::123456789012:role/r";

impl Scene {
    fn empty() -> (World, Arc<Watchman>) {
        let guard = Arc::new(Watchman::default());
        (World::guarded(Settings::default(), guard.clone()), guard)
    }

    fn new() -> Self {
        use Operation::*;
        let (world, guard) = Self::empty();
        let group = json!({"autoScalingGroupArn": "asg"});
        world.ok(CreateCapacityProvider, json!({"name": "p", "autoScalingGroupProvider": group}));
        world.ok(CreateCluster, json!({"clusterName": "c", "tags": [{"key": "k", "value": "v"}]}));
        let instance = world.machine("c", "t");
        let definition = json!({
            "family": "f", "taskRoleArn": ROLE, "executionRoleArn": "exec",
            "containerDefinitions": [{"name": "a", "image": "i", "memory": 10}],
        });
        world.ok(RegisterTaskDefinition, definition.clone());
        world.ok(RegisterTaskDefinition, definition);
        world.ok(DeregisterTaskDefinition, json!({"taskDefinition": "f:1"}));
        // Nothing hands out roles yet, so that tasks with one do not start.
        let container = json!({"name": "a", "image": "i", "memory": 10});
        world.ok(RegisterTaskDefinition, json!({"family": "g", "containerDefinitions": [container]}));
        world.connect(&instance);
        let started = world
            .ok(StartTask, json!({"cluster": "c", "taskDefinition": "g", "containerInstances": [instance]}));
        let service = json!({"cluster": "c", "serviceName": "s", "taskDefinition": "f", "desiredCount": 1});
        world.ok(CreateService, service);
        let external = json!({"type": "EXTERNAL"});
        world
            .ok(CreateService, json!({"cluster": "c", "serviceName": "x", "deploymentController": external}));
        let set = world.ok(CreateTaskSet, json!({"cluster": "c", "service": "x", "taskDefinition": "f"}));
        let listed = world.ok(ListServiceDeployments, json!({"cluster": "c", "service": "s"}));
        let listed = &listed["serviceDeployments"][0];
        Self {
            instance,
            task: text(&started["tasks"][0]["taskArn"]),
            task_set: text(&set["taskSet"]["taskSetArn"]),
            deployment: text(&listed["serviceDeploymentArn"]),
            revision: text(&listed["targetServiceRevisionArn"]),
            world,
            guard,
        }
    }

    /// A call of each operation, so that everything which it can need permission for is in it.
    fn body(&self, operation: Operation) -> Value {
        use Operation::*;
        let tags = json!([{"key": "k", "value": "v"}]);
        let awsvpc = json!({"awsvpcConfiguration": {"subnets": ["subnet-1"], "assignPublicIp": "ENABLED"}});
        let Self { instance, task, task_set, deployment, revision, .. } = self;
        let strategy = json!([{"capacityProvider": "p", "weight": 1}]);
        match operation {
            CreateCluster => json!({"clusterName": "new", "tags": tags, "capacityProviders": ["p"]}),
            DeleteCluster => json!({"cluster": "c"}),
            DescribeClusters => json!({"clusters": ["c", "other"]}),
            ListClusters | ListTaskDefinitions | ListTaskDefinitionFamilies => json!({}),
            UpdateCluster => json!({"cluster": "c"}),
            UpdateClusterSettings => {
                json!({"cluster": "c", "settings": [{"name": "containerInsights", "value": "enabled"}]})
            }
            PutClusterCapacityProviders => {
                json!({"cluster": "c", "capacityProviders": ["p"], "defaultCapacityProviderStrategy": []})
            }
            CreateCapacityProvider => {
                let group = json!({"autoScalingGroupArn": "asg"});
                json!({"name": "new", "autoScalingGroupProvider": group, "tags": tags})
            }
            UpdateCapacityProvider => json!({"name": "p", "autoScalingGroupProvider": {}}),
            DeleteCapacityProvider => json!({"capacityProvider": "p"}),
            DescribeCapacityProviders => json!({"capacityProviders": ["p", "FARGATE"]}),
            RegisterTaskDefinition => json!({
                "family": "f", "taskRoleArn": ROLE, "executionRoleArn": "exec", "tags": tags,
                "requiresCompatibilities": ["EC2"], "cpu": "256", "memory": "512",
                "containerDefinitions": [{"name": "a", "image": "i", "privileged": true}],
            }),
            DescribeTaskDefinition | DeregisterTaskDefinition => json!({"taskDefinition": "f:2"}),
            DeleteTaskDefinitions => json!({"taskDefinitions": ["f:1", "h:1"]}),
            RegisterContainerInstance => {
                let mut body = registration("c", "new");
                body["tags"] = tags;
                body
            }
            DeregisterContainerInstance => {
                json!({"cluster": "c", "containerInstance": instance, "force": true})
            }
            DescribeContainerInstances => json!({"cluster": "c", "containerInstances": [instance]}),
            ListContainerInstances => json!({"cluster": "c"}),
            UpdateContainerInstancesState => {
                json!({"cluster": "c", "containerInstances": [instance], "status": "DRAINING"})
            }
            UpdateContainerAgent => json!({"cluster": "c", "containerInstance": instance}),
            PutAttributes | DeleteAttributes => {
                json!({"cluster": "c", "attributes": [{"name": "n", "targetId": instance}]})
            }
            ListAttributes => json!({"cluster": "c", "targetType": "container-instance"}),
            TagResource => json!({"resourceArn": self.world.arn("cluster/c"), "tags": tags}),
            UntagResource => json!({"resourceArn": self.world.arn("cluster/c"), "tagKeys": ["k"]}),
            ListTagsForResource => json!({"resourceArn": self.world.arn("cluster/c")}),
            PutAccountSetting | PutAccountSettingDefault => {
                json!({"name": "containerInsights", "value": "enabled"})
            }
            DeleteAccountSetting => json!({"name": "containerInsights"}),
            ListAccountSettings => json!({}),
            RunTask => json!({
                "cluster": "c", "taskDefinition": "f", "tags": tags, "capacityProviderStrategy": strategy,
                "networkConfiguration": awsvpc, "enableExecuteCommand": true, "enableECSManagedTags": false,
                "propagateTags": "TASK_DEFINITION", "volumeConfigurations": [],
                "overrides": {"executionRoleArn": "arn:aws:iam::123456789012:role/other"},
            }),
            StartTask => json!({
                "cluster": "c", "taskDefinition": "f", "tags": tags, "containerInstances": [instance],
                "networkConfiguration": awsvpc, "enableExecuteCommand": true, "enableECSManagedTags": false,
                "propagateTags": "TASK_DEFINITION",
            }),
            StopTask => json!({"cluster": "c", "task": task}),
            DescribeTasks | GetTaskProtection => json!({"cluster": "c", "tasks": [task]}),
            UpdateTaskProtection => json!({"cluster": "c", "tasks": [task], "protectionEnabled": true}),
            ListTasks => json!({"cluster": "c", "containerInstance": instance}),
            CreateService => json!({
                "cluster": "c", "serviceName": "new", "taskDefinition": "f", "desiredCount": 0, "role": "svc",
                "tags": tags, "capacityProviderStrategy": strategy, "networkConfiguration": awsvpc,
                "enableExecuteCommand": true, "enableECSManagedTags": false, "propagateTags": "SERVICE",
                "serviceConnectConfiguration": {"enabled": true, "namespace": "n"},
            }),
            UpdateService => json!({
                "cluster": "c", "service": "s", "taskDefinition": "f", "capacityProviderStrategy": strategy,
                "networkConfiguration": awsvpc, "enableExecuteCommand": true, "propagateTags": "SERVICE",
            }),
            DeleteService | ListServiceDeployments => json!({"cluster": "c", "service": "s"}),
            DescribeServices => json!({"cluster": "c", "services": ["s", "other"]}),
            ListServices => json!({"cluster": "c"}),
            DescribeServiceDeployments => json!({"serviceDeploymentArns": [deployment]}),
            DescribeServiceRevisions => json!({"serviceRevisionArns": [revision]}),
            StopServiceDeployment => json!({"serviceDeploymentArn": deployment}),
            CreateTaskSet => json!({
                "cluster": "c", "service": "x", "taskDefinition": "f", "tags": tags,
                "capacityProviderStrategy": strategy, "networkConfiguration": awsvpc,
            }),
            UpdateTaskSet => json!({
                "cluster": "c", "service": "x", "taskSet": task_set, "scale": {"unit": "PERCENT", "value": 1.0},
            }),
            UpdateServicePrimaryTaskSet => {
                json!({"cluster": "c", "service": "x", "primaryTaskSet": task_set})
            }
            DeleteTaskSet => json!({"cluster": "c", "service": "x", "taskSet": task_set}),
            DescribeTaskSets => json!({"cluster": "c", "service": "x"}),
            DiscoverPollEndpoint => json!({}),
            SubmitTaskStateChange => json!({"cluster": "c", "task": task, "status": "RUNNING"}),
            SubmitContainerStateChange => {
                json!({"cluster": "c", "task": task, "containerName": "a", "status": "RUNNING"})
            }
            SubmitAttachmentStateChanges => json!({"cluster": "c", "attachments": []}),
            unbuilt => panic!("{unbuilt} is built now: say here what a call looks like"),
        }
    }

    /// What is asked about a call, whether it then succeeds or not.
    fn asked(&self, operation: Operation, body: &Value) -> Vec<Access> {
        self.guard.take();
        let reply = self.world.reply(operation, body);
        let seen = self.guard.take();
        assert!(!seen.is_empty(), "{operation} {body} asked nobody: {:?}", reply.error);
        seen
    }

    fn resources(&self, operation: Operation, body: &Value) -> Vec<String> {
        self.asked(operation, body).into_iter().map(|access| access.resource).collect()
    }
}

fn built() -> impl Iterator<Item = Operation> {
    let operation = |name: &&str| Operation::from_name(name).expect("an operation of the model");
    OPERATIONS.names.iter().map(operation)
}

/// An ARN without what is the same in all of them, and ids as what they are.
fn short(resource: &str) -> String {
    let parts: Vec<&str> = resource.splitn(6, ':').collect();
    let resource = match parts.as_slice() {
        [_, _, "ecs", _, _, rest] => rest,
        [_, _, service, _, _, rest] => return format!("{service} {rest}"),
        _ => resource,
    };
    let part = |part: &str| match part.len() {
        32 => "ID".to_owned(),
        19 if part.bytes().all(|b| b.is_ascii_digit()) => "DIGITS".to_owned(),
        21 => "DEPLOYMENT".to_owned(),
        _ => part.to_owned(),
    };
    resource.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[test]
fn each_operation_asks_for_what_it_needs() {
    let mut table = String::new();
    for operation in built() {
        let scene = Scene::new();
        for (n, access) in scene.asked(operation, &scene.body(operation)).into_iter().enumerate() {
            assert_eq!(access.owner.to_string(), "123456789012", "{operation}");
            if n == 0 {
                assert_eq!(access.action, format!("ecs:{operation}"));
            }
            table.push_str(&lines(&access, short));
        }
    }
    expect_file!["permissions.txt"].assert_eq(&table);
}

/// Neither what it did nor what is there: the same answer in a world with one of everything and in an empty one.
#[test]
fn whoever_may_not_do_it_learns_nothing() {
    for operation in built() {
        let scene = Scene::new();
        let body = scene.body(operation);
        scene.guard.deny();
        let denied = scene.world.refused(operation, body.clone());
        assert!(denied.starts_with("AccessDeniedException: User: "), "{operation}: {denied}");
        let (nowhere, guard) = Scene::empty();
        guard.deny();
        let unknown = nowhere.refused(operation, body);
        assert!(unknown.starts_with("AccessDeniedException: User: "), "{operation}: {unknown}");
        // A family alone means its latest revision, and where there is none, any.
        if !denied.contains("task-definition/") {
            assert_eq!(unknown, denied, "{operation}");
        }
    }
}

#[test]
fn a_denial_is_told_in_awss_words() {
    let scene = Scene::new();
    scene.guard.deny();
    let told = scene.world.refused(Operation::RunTask, json!({"cluster": "c", "taskDefinition": "f"}));
    expect![[r#"AccessDeniedException: User: arn:aws:iam::123456789012:user/tester is not authorized to perform: ecs:RunTask on resource: arn:aws:ecs:eu-west-1:123456789012:task-definition/f:2 because no identity-based policy allows the ecs:RunTask action"#]]
    .assert_eq(&told);
}

/// A policy names a thing once, a call in many ways.
#[test]
fn however_a_thing_is_spelt_it_is_asked_about_by_one_name() {
    use Operation::*;
    let scene = Scene::new();
    let id = scene.task.rsplit('/').next().expect("an id");
    let uuid = [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-");
    for spelt in [id, &uuid, &scene.task, &scene.world.arn(&format!("task/{uuid}"))] {
        let asked = scene.resources(StopTask, &json!({"cluster": "c", "task": spelt}));
        assert_eq!(asked, [&*scene.task], "{spelt}");
        let elsewhere = scene.world.arn("cluster/c");
        let asked = scene.resources(DescribeTasks, &json!({"cluster": elsewhere, "tasks": [spelt]}));
        assert_eq!(asked, [&*scene.task], "{spelt}");
    }
    let definition = scene.world.arn("task-definition/f:2");
    for spelt in ["f", "f:2", "f:002", &definition, &scene.world.arn("task-definition/f:02")] {
        let asked = scene.asked(RunTask, &json!({"cluster": "c", "taskDefinition": spelt}));
        assert_eq!(asked[0].resource, definition, "{spelt}");
    }
    let tagged = json!({"resourceArn": scene.world.arn("task-definition/f:002"), "tagKeys": ["k"]});
    assert_eq!(scene.resources(UntagResource, &tagged), [definition]);
    let digits = scene.task_set.rsplit('/').next().expect("digits");
    for spelt in [digits, &format!("ecs-svc/{digits}"), &scene.task_set] {
        let body = json!({"cluster": "c", "service": "x", "taskSet": spelt});
        assert_eq!(scene.resources(DeleteTaskSet, &body), [&*scene.task_set], "{spelt}");
    }
    for spelt in ["s", &scene.world.arn("service/s"), &scene.world.arn("service/c/s")] {
        let asked = scene.resources(DescribeServices, &json!({"cluster": "c", "services": [spelt]}));
        assert_eq!(asked, [scene.world.arn("service/c/s")], "{spelt}");
    }
    // An ARN of another partition is nothing of ours.
    let odd = |rest: &str| format!("arn:odd:ecs:eu-west-1:123456789012:{rest}");
    let asked = scene.resources(DeleteCluster, &json!({"cluster": odd("cluster/c")}));
    assert_eq!(asked, [odd("cluster/c")]);
    let asked = scene.resources(UntagResource, &json!({"resourceArn": odd("cluster/c"), "tagKeys": ["k"]}));
    assert_eq!(asked, [odd("cluster/c")]);
    let asked =
        scene.resources(DeleteCapacityProvider, &json!({"capacityProvider": odd("capacity-provider/p")}));
    assert_eq!(asked, [odd("capacity-provider/p")]);
    // What is somebody else's is asked about as what it is.
    let theirs = "arn:aws:ecs:eu-west-1:000000000000:task/c/1";
    let asked = scene.asked(StopTask, &json!({"cluster": "c", "task": theirs}));
    assert_eq!((&*asked[0].resource, asked[0].owner.to_string()), (theirs, "000000000000".to_owned()));
}

#[test]
fn roles_are_handed_over_by_whoever_sends_a_definition() {
    use Operation::*;
    let passed = |scene: &Scene, operation, body: Value| -> Vec<String> {
        let asked = scene.asked(operation, &body);
        let roles = asked.into_iter().filter(|access| access.action == "iam:PassRole");
        roles.map(|access| short(&access.resource)).collect()
    };
    let scene = Scene::new();
    let update = |scene, more: Value| {
        let mut body = json!({"cluster": "c", "service": "s"});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        passed(scene, UpdateService, body)
    };
    assert_eq!(update(&scene, json!({"desiredCount": 2})), [""; 0]);
    assert_eq!(update(&scene, json!({"taskDefinition": "f"})), ["iam role/r", "iam role/exec"]);
    let overrides = json!({"taskRoleArn": "arn:aws:iam::123456789012:role/r2"});
    let body = json!({"cluster": "c", "taskDefinition": "f", "overrides": overrides});
    assert_eq!(passed(&scene, RunTask, body), ["iam role/r2", "iam role/exec"]);
}

#[test]
fn tags_at_creation_need_permission_unless_the_account_says_otherwise() {
    use Operation::*;
    let scene = Scene::new();
    let actions = |scene: &Scene, name: &str, tags: Value| -> Vec<String> {
        let asked = scene.asked(CreateCluster, &json!({"clusterName": name, "tags": tags}));
        asked.into_iter().map(|access| access.action).collect()
    };
    let tags = json!([{"key": "k", "value": "v"}]);
    assert_eq!(actions(&scene, "d", json!([])), ["ecs:CreateCluster"]);
    assert_eq!(actions(&scene, "e", tags.clone()), ["ecs:CreateCluster", "ecs:TagResource"]);
    scene.world.ok(PutAccountSetting, json!({"name": "tagResourceAuthorization", "value": "off"}));
    assert_eq!(actions(&scene, "f", tags), ["ecs:CreateCluster"]);
}

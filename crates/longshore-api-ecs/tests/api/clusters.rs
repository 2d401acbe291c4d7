use longshore_shapes_ecs::Operation::*;
use serde_json::{Value, json};

use crate::support::{World, text};

#[test]
fn w1_create_a_cluster() {
    let world = World::new();
    let created = world.ok(CreateCluster, json!({"clusterName": "deep-dive-cluster"}));
    assert_eq!(
        created,
        json!({"cluster": {
            "clusterArn": "arn:aws:ecs:eu-west-1:123456789012:cluster/deep-dive-cluster",
            "clusterName": "deep-dive-cluster", "status": "ACTIVE",
            "registeredContainerInstancesCount": 0, "runningTasksCount": 0, "pendingTasksCount": 0,
            "activeServicesCount": 0, "statistics": [], "tags": [],
            "settings": [{"name": "containerInsights", "value": "disabled"}],
            "capacityProviders": [], "defaultCapacityProviderStrategy": []
        }})
    );
    let again = world
        .ok(CreateCluster, json!({"clusterName": "deep-dive-cluster", "tags": [{"key": "a", "value": "b"}]}));
    assert_eq!(again, created, "a repetition changes nothing");
    assert_eq!(world.ok(CreateCluster, json!({}))["cluster"]["clusterName"], "default");
}

#[test]
fn w2_list_and_describe() {
    let world = World::new();
    assert_eq!(
        world.ok(DescribeClusters, json!({})),
        json!({"clusters": [], "failures": [{"arn": world.arn("cluster/default"), "reason": "MISSING"}]})
    );
    world.ok(CreateCluster, json!({"clusterName": "deep-dive-cluster"}));
    assert_eq!(
        world.ok(ListClusters, json!({})),
        json!({"clusterArns": [world.arn("cluster/deep-dive-cluster")]})
    );
    let named = ["deep-dive-cluster".to_owned(), world.arn("cluster/deep-dive-cluster"), "nope".to_owned()];
    let described = world.ok(DescribeClusters, json!({"clusters": named}));
    assert_eq!(described["clusters"].as_array().map(Vec::len), Some(1));
    assert_eq!(described["failures"], json!([{"arn": world.arn("cluster/nope"), "reason": "MISSING"}]));
    let foreign = "arn:aws:ecs:eu-west-1:000000000000:cluster/deep-dive-cluster";
    assert_eq!(
        world.ok(DescribeClusters, json!({"clusters": [foreign]})),
        json!({"clusters": [], "failures": [{"arn": foreign, "reason": "MISSING"}]})
    );
}

#[test]
fn what_is_not_asked_for_is_left_out() {
    let world = World::new();
    let configuration = json!({"executeCommandConfiguration": {"logging": "NONE"}});
    let created = json!({
        "clusterName": "c", "tags": [{"key": "team", "value": "blue"}], "configuration": configuration,
        "settings": [{"name": "containerInsights", "value": "enhanced"}],
        "serviceConnectDefaults": {"namespace": "internal"}
    });
    world.ok(CreateCluster, created);
    let describe = |include: Value| {
        world.ok(DescribeClusters, json!({"clusters": ["c"], "include": include}))["clusters"][0].clone()
    };
    let plain = describe(json!([]));
    assert_eq!(
        (&plain["tags"], &plain["settings"], &plain["statistics"]),
        (&json!([]), &json!([]), &json!([]))
    );
    assert_eq!(plain.get("configuration"), None);
    assert_eq!(plain["serviceConnectDefaults"], json!({"namespace": "internal"}));
    let full = describe(json!(["TAGS", "SETTINGS", "CONFIGURATIONS", "STATISTICS", "ATTACHMENTS"]));
    assert_eq!(full["tags"], json!([{"key": "team", "value": "blue"}]));
    assert_eq!(full["settings"], json!([{"name": "containerInsights", "value": "enhanced"}]));
    assert_eq!(full["configuration"], configuration);
    let statistics = full["statistics"].as_array().expect("a list");
    assert!(statistics.contains(&json!({"name": "runningEC2TasksCount", "value": "0"})), "{statistics:?}");
}

#[test]
fn bad_requests_are_refused() {
    let world = World::new();
    world.ok(CreateCluster, json!({"clusterName": "c"}));
    for (operation, body, error) in [
        (
            CreateCluster,
            json!({"clusterName": "a b"}),
            "InvalidParameterException: Cluster name contains invalid characters.",
        ),
        (
            CreateCluster,
            json!({"clusterName": "a".repeat(256)}),
            "InvalidParameterException: Cluster name cannot be longer than 255 characters.",
        ),
        (
            CreateCluster,
            json!({"settings": [{"name": "moon", "value": "on"}]}),
            "InvalidParameterException: name should be one of [containerInsights]",
        ),
        (
            CreateCluster,
            json!({"settings": [{"name": "containerInsights", "value": "on"}]}),
            "InvalidParameterException: The value of containerInsights should be one of [enhanced,enabled,disabled]",
        ),
        (
            CreateCluster,
            json!({"clusterName": 7}),
            "SerializationException: clusterName: a number can not be converted to String",
        ),
        (
            CreateCluster,
            json!({"capacityProviders": ["nope"]}),
            "InvalidParameterException: The specified capacity provider does not exist. Specify a valid name or ARN and try again.",
        ),
        (
            CreateCluster,
            json!({"tags": [{"key": "aws:x", "value": ""}]}),
            "InvalidParameterException: The tag key 'aws:x' begins with the reserved prefix 'aws:'.",
        ),
        (
            CreateCluster,
            json!({"configuration": {"executeCommandConfiguration": {"logging": "OVERRIDE"}}}),
            "InvalidParameterException: logConfiguration must be specified when the executeCommandConfiguration logging is OVERRIDE, and only then.",
        ),
        (DeleteCluster, json!({}), "InvalidParameterException: cluster can not be blank."),
        (DeleteCluster, json!({"cluster": "nope"}), "ClusterNotFoundException: Cluster not found."),
        (
            DeleteCluster,
            json!({"cluster": "arn:aws:ecs:eu-west-1:123456789012:service/c/web"}),
            "InvalidParameterException: The ARN provided is invalid.",
        ),
        (UpdateCluster, json!({"cluster": "nope"}), "ClusterNotFoundException: Cluster not found."),
        (
            UpdateClusterSettings,
            json!({"cluster": "c"}),
            "InvalidParameterException: settings can not be blank.",
        ),
        (
            PutClusterCapacityProviders,
            json!({"cluster": "c", "capacityProviders": []}),
            "InvalidParameterException: defaultCapacityProviderStrategy can not be blank.",
        ),
        (
            PutClusterCapacityProviders,
            json!({"cluster": "c", "capacityProviders": [], "defaultCapacityProviderStrategy": [{"capacityProvider": "FARGATE", "weight": 1}]}),
            "InvalidParameterException: The specified capacity provider strategy cannot contain a capacity provider that is not associated with the cluster. Associate the capacity provider with the cluster and try again.",
        ),
        (
            ListClusters,
            json!({"maxResults": 101}),
            "InvalidParameterException: maxResults should be between 1 and 100.",
        ),
        (ListClusters, json!({"nextToken": "abc"}), "InvalidParameterException: Invalid token."),
    ] {
        assert_eq!(world.refused(operation, body.clone()), error, "{operation} {body}");
    }
    let many: Vec<Value> = (0..51).map(|n| json!({"key": format!("k{n}"), "value": ""})).collect();
    assert_eq!(
        world.refused(CreateCluster, json!({"tags": many})),
        "InvalidParameterException: Tags cannot have more than 50 elements."
    );
}

#[test]
fn updates_change_what_they_name() {
    let world = World::new();
    world.ok(CreateCluster, json!({"clusterName": "c", "serviceConnectDefaults": {"namespace": "n"}}));
    let updated = world.ok(
        UpdateCluster,
        json!({"cluster": "c", "settings": [{"name": "containerInsights", "value": "enabled"}]}),
    );
    assert_eq!(updated["cluster"]["settings"][0]["value"], "enabled");
    assert_eq!(updated["cluster"]["serviceConnectDefaults"]["namespace"], "n");
    let updated =
        world.ok(UpdateCluster, json!({"cluster": "c", "serviceConnectDefaults": {"namespace": ""}}));
    assert_eq!(updated["cluster"].get("serviceConnectDefaults"), None);
    assert_eq!(updated["cluster"]["settings"][0]["value"], "enabled");
    let settings = json!([{"name": "containerInsights", "value": "disabled"}]);
    let updated = world.ok(UpdateClusterSettings, json!({"cluster": "c", "settings": settings}));
    assert_eq!(updated["cluster"]["settings"], settings);
}

#[test]
fn w14_delete_a_cluster() {
    let world = World::new();
    world.ok(CreateCluster, json!({"clusterName": "c", "tags": [{"key": "a", "value": "b"}]}));
    let instance = world.machine("c", "t-1");
    assert_eq!(
        world.refused(DeleteCluster, json!({"cluster": "c"})),
        "ClusterContainsContainerInstancesException: The Cluster cannot be deleted while Container Instances are active or draining."
    );
    world.ok(DeregisterContainerInstance, json!({"cluster": "c", "containerInstance": instance}));
    let deleted = world.ok(DeleteCluster, json!({"cluster": world.arn("cluster/c")}));
    assert_eq!(
        (&deleted["cluster"]["status"], &deleted["cluster"]["tags"]),
        (&json!("INACTIVE"), &json!([]))
    );
    assert_eq!(world.ok(ListClusters, json!({})), json!({"clusterArns": []}));
    assert_eq!(world.ok(DescribeClusters, json!({"clusters": ["c"]}))["clusters"][0]["status"], "INACTIVE");
    assert_eq!(
        world.refused(DeleteCluster, json!({"cluster": "c"})),
        "ClusterNotFoundException: The referenced cluster was inactive."
    );
    assert_eq!(
        world.refused(ListContainerInstances, json!({"cluster": "c"})),
        "ClusterNotFoundException: The referenced cluster was inactive."
    );
    let revived = world.ok(CreateCluster, json!({"clusterName": "c"}));
    assert_eq!(revived["cluster"]["status"], "ACTIVE");
}

#[test]
fn lists_come_in_pages() {
    let world = World::new();
    let names: Vec<String> = (0..25).map(|n| format!("c-{n:02}")).collect();
    for name in &names {
        world.ok(CreateCluster, json!({"clusterName": name}));
    }
    let (mut seen, mut request) = (Vec::new(), json!({"maxResults": 10}));
    loop {
        let page = world.ok(ListClusters, request.clone());
        seen.extend(page["clusterArns"].as_array().expect("a list").iter().map(text));
        match page.get("nextToken") {
            Some(token) => request["nextToken"] = token.clone(),
            None => break,
        }
    }
    let expected: Vec<String> = names.iter().map(|name| world.arn(&format!("cluster/{name}"))).collect();
    assert_eq!(seen, expected);
}

#[test]
fn another_account_sees_nothing() {
    let mut world = World::new();
    world.ok(CreateCluster, json!({"clusterName": "c"}));
    let arn = world.arn("cluster/c");
    world.act_as("999999999999");
    assert_eq!(world.ok(ListClusters, json!({})), json!({"clusterArns": []}));
    assert_eq!(world.ok(DescribeClusters, json!({"clusters": [arn]}))["clusters"], json!([]));
    for named in ["c", &arn] {
        assert_eq!(
            world.refused(DeleteCluster, json!({"cluster": named})),
            "ClusterNotFoundException: Cluster not found."
        );
    }
}

use longshore_shapes_ecs::Operation::*;
use serde_json::{Value, json};

use crate::support::World;

const GROUP: &str = "arn:aws:autoscaling:eu-west-1:123456789012:autoScalingGroup:1:autoScalingGroupName/asg";

fn provider(name: &str) -> Value {
    json!({"name": name, "autoScalingGroupProvider": {"autoScalingGroupArn": GROUP}})
}

#[test]
fn defaults_are_filled_in() {
    let world = World::new();
    let created = world.ok(CreateCapacityProvider, provider("mine"))["capacityProvider"].clone();
    assert_eq!(
        created,
        json!({
            "capacityProviderArn": world.arn("capacity-provider/mine"), "name": "mine", "status": "ACTIVE",
            "type": "EC2_AUTOSCALING", "tags": [],
            "autoScalingGroupProvider": {
                "autoScalingGroupArn": GROUP, "managedDraining": "ENABLED",
                "managedTerminationProtection": "DISABLED",
                "managedScaling": {
                    "status": "DISABLED", "targetCapacity": 100, "minimumScalingStepSize": 1,
                    "maximumScalingStepSize": 10000, "instanceWarmupPeriod": 300
                }
            }
        })
    );
    let mut wanted = provider("scaled");
    wanted["autoScalingGroupProvider"]["managedScaling"] = json!({"targetCapacity": 80});
    let created = world.ok(CreateCapacityProvider, wanted);
    let scaling = &created["capacityProvider"]["autoScalingGroupProvider"]["managedScaling"];
    assert_eq!((&scaling["status"], &scaling["targetCapacity"]), (&json!("ENABLED"), &json!(80)));
}

#[test]
fn the_group_is_an_arn_or_a_name() {
    let world = World::new();
    let with = |group: &str| json!({"name": "x", "autoScalingGroupProvider": {"autoScalingGroupArn": group}});
    let long = "a".repeat(256);
    assert_eq!(
        world.refused(CreateCapacityProvider, with("")),
        "InvalidParameterException: autoScalingGroupProvider.autoScalingGroupArn can not be blank."
    );
    for bad in [
        "arn:aws:s3:::x",
        "arn:aws:autoscaling:eu-west-1:123456789012:autoScalingGroup",
        "arn:aws:autoscaling:eu-west-1:123456789012:autoScalingGroup:1:autoScalingGroupName/",
        "arn:aws:autoscaling:eu-west-1:me:autoScalingGroup:1:autoScalingGroupName/asg",
        "arn:aws:autoscaling:eu-west-1:123456789012:launchConfiguration:1:launchConfigurationName/asg",
        "autoscaling:group",
        "a\nb",
        &long,
    ] {
        let error = world.refused(CreateCapacityProvider, with(bad));
        assert_eq!(
            error, "InvalidParameterException: The specified Auto Scaling group ARN is invalid.",
            "{bad:?}"
        );
    }
    let named = world.ok(CreateCapacityProvider, with("my group"));
    let group = &named["capacityProvider"]["autoScalingGroupProvider"]["autoScalingGroupArn"];
    assert_eq!(group, "my group", "the model allows a name");
}

#[test]
fn a_provider_lives_and_goes() {
    let world = World::new();
    world.ok(CreateCapacityProvider, provider("mine"));
    world.ok(CreateCluster, json!({"clusterName": "c", "capacityProviders": ["mine", "FARGATE"]}));
    let update =
        json!({"name": "mine", "autoScalingGroupProvider": {"managedScaling": {"status": "ENABLED"}}});
    let updated = world.ok(UpdateCapacityProvider, update)["capacityProvider"].clone();
    assert_eq!(updated["updateStatus"], "UPDATE_COMPLETE");
    assert_eq!(updated["autoScalingGroupProvider"]["managedScaling"]["status"], "ENABLED");
    assert_eq!(
        world.refused(DeleteCapacityProvider, json!({"capacityProvider": "mine"})),
        "ClientException: The capacity provider cannot be deleted because it is associated with cluster: c. \
         Remove the capacity provider from the cluster and try again."
    );
    let none = json!({"cluster": "c", "capacityProviders": [], "defaultCapacityProviderStrategy": []});
    world.ok(PutClusterCapacityProviders, none);
    let deleted =
        world.ok(DeleteCapacityProvider, json!({"capacityProvider": world.arn("capacity-provider/mine")}));
    assert_eq!(deleted["capacityProvider"]["updateStatus"], "DELETE_IN_PROGRESS");
    let described = world.ok(DescribeCapacityProviders, json!({"capacityProviders": ["mine"]}));
    let described = &described["capacityProviders"][0];
    assert_eq!(
        (&described["status"], &described["updateStatus"]),
        (&json!("INACTIVE"), &json!("DELETE_COMPLETE"))
    );
    world.ok(CreateCapacityProvider, provider("mine"));
}

#[test]
fn the_implicit_ones_are_always_there() {
    let world = World::new();
    world.ok(CreateCapacityProvider, provider("mine"));
    let all = world.ok(DescribeCapacityProviders, json!({}));
    let names: Vec<&Value> =
        all["capacityProviders"].as_array().expect("a list").iter().map(|p| &p["name"]).collect();
    assert_eq!(names, ["FARGATE", "FARGATE_SPOT", "mine"]);
    assert_eq!(all["failures"], json!([]));
    let some = world.ok(DescribeCapacityProviders, json!({"capacityProviders": ["nope", "FARGATE"]}));
    assert_eq!(some["failures"], json!([{"arn": world.arn("capacity-provider/nope"), "reason": "MISSING"}]));
    assert_eq!(some["capacityProviders"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_cluster_has_providers_and_a_strategy() {
    let world = World::new();
    world.ok(CreateCluster, json!({"clusterName": "c"}));
    world.ok(CreateCapacityProvider, provider("mine"));
    let put = |strategy: Value| json!({"cluster": "c", "capacityProviders": ["mine", "FARGATE"], "defaultCapacityProviderStrategy": strategy});
    let done = world.ok(PutClusterCapacityProviders, put(json!([{"capacityProvider": "mine", "weight": 2}])));
    assert_eq!(done["cluster"]["capacityProviders"], json!(["mine", "FARGATE"]));
    assert_eq!(
        done["cluster"]["defaultCapacityProviderStrategy"],
        json!([{"capacityProvider": "mine", "weight": 2, "base": 0}])
    );
    let mixed =
        json!([{"capacityProvider": "mine", "weight": 1}, {"capacityProvider": "FARGATE", "weight": 1}]);
    assert_eq!(
        world.refused(PutClusterCapacityProviders, put(mixed)),
        "InvalidParameterException: A capacity provider strategy cannot mix Fargate and Auto Scaling group capacity providers."
    );
}

#[test]
fn bad_requests_are_refused() {
    let world = World::new();
    world.ok(CreateCapacityProvider, provider("mine"));
    let unknown = "ClientException: The specified capacity provider does not exist. Specify a valid name or ARN and try again.";
    let name = "ClientException: The capacity provider name is invalid. A name has 1 to 255 letters, digits, hyphens and underscores, and does not begin with aws, ecs or fargate.";
    let mut protected = provider("p");
    protected["autoScalingGroupProvider"]["managedTerminationProtection"] = json!("ENABLED");
    for (operation, body, error) in [
        (
            CreateCapacityProvider,
            provider("mine"),
            "ClientException: The specified capacity provider already exists. To change the configuration of an existing capacity provider, update the capacity provider.",
        ),
        (CreateCapacityProvider, provider("AWS-mine"), name),
        (CreateCapacityProvider, provider("a b"), name),
        (
            CreateCapacityProvider,
            json!({"name": "x"}),
            "InvalidParameterException: Specify exactly one of autoScalingGroupProvider and managedInstancesProvider.",
        ),
        (
            CreateCapacityProvider,
            protected,
            "InvalidParameterException: The managed termination protection setting for the capacity provider is invalid. To enable managed termination protection for a capacity provider, managed scaling must be enabled.",
        ),
        (UpdateCapacityProvider, json!({"name": "nope", "autoScalingGroupProvider": {}}), unknown),
        (DeleteCapacityProvider, json!({"capacityProvider": "nope"}), unknown),
        (
            DeleteCapacityProvider,
            json!({"capacityProvider": "FARGATE"}),
            "ClientException: The specified capacity provider is reserved and cannot be changed or deleted.",
        ),
        (
            DescribeCapacityProviders,
            json!({"maxResults": 11}),
            "InvalidParameterException: maxResults should be between 1 and 10.",
        ),
        (
            DescribeCapacityProviders,
            json!({"cluster": "nope"}),
            "ClusterNotFoundException: Cluster not found.",
        ),
    ] {
        assert_eq!(world.refused(operation, body.clone()), error, "{operation} {body}");
    }
}

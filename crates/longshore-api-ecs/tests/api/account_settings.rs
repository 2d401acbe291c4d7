use longshore_api_ecs::Settings;
use longshore_shapes_ecs::Operation::*;
use serde_json::{Value, json};

use crate::support::{ACCOUNT, World, text};

fn user() -> String {
    format!("arn:aws:iam::{ACCOUNT}:user/tester")
}

fn root() -> String {
    format!("arn:aws:iam::{ACCOUNT}:root")
}

fn in_force(world: &World, name: &str) -> Value {
    let settings =
        world.ok(ListAccountSettings, json!({"name": name, "effectiveSettings": true}))["settings"].clone();
    settings[0]["value"].clone()
}

#[test]
fn a_user_s_value_goes_before_the_account_s() {
    let world = World::new();
    assert_eq!(in_force(&world, "containerInsights"), "disabled");
    let default =
        world.ok(PutAccountSettingDefault, json!({"name": "containerInsights", "value": "enhanced"}));
    assert_eq!(
        default,
        json!({"setting": {"name": "containerInsights", "value": "enhanced", "principalArn": root(), "type": "user"}})
    );
    assert_eq!(in_force(&world, "containerInsights"), "enhanced");
    assert_eq!(
        world.ok(ListAccountSettings, json!({})),
        json!({"settings": []}),
        "nothing stored for the user"
    );
    let own = world.ok(PutAccountSetting, json!({"name": "containerInsights", "value": "enabled"}));
    assert_eq!(own["setting"]["principalArn"], user());
    assert_eq!(world.ok(ListAccountSettings, json!({}))["settings"], json!([own["setting"]]));
    assert_eq!(
        world.ok(ListAccountSettings, json!({"principalArn": root()}))["settings"],
        json!([default["setting"]])
    );
    let created = world.ok(CreateCluster, json!({}));
    assert_eq!(created["cluster"]["settings"][0]["value"], "enabled", "new clusters take it");
    let deleted = world.ok(DeleteAccountSetting, json!({"name": "containerInsights"}));
    assert_eq!(deleted["setting"]["value"], "enhanced", "the value that is in force now");
    world.ok(DeleteAccountSetting, json!({"name": "containerInsights"}));
}

#[test]
fn effective_settings_come_in_pages_of_ten() {
    let world = World::new();
    let first = world.ok(ListAccountSettings, json!({"effectiveSettings": true}));
    assert_eq!(first["settings"].as_array().map(Vec::len), Some(10));
    let rest =
        world.ok(ListAccountSettings, json!({"effectiveSettings": true, "nextToken": first["nextToken"]}));
    assert_eq!(rest["settings"].as_array().map(Vec::len), Some(1));
    assert_eq!(rest.get("nextToken"), None);
    let guard =
        world.ok(ListAccountSettings, json!({"effectiveSettings": true, "name": "guardDutyActivate"}));
    assert_eq!(guard["settings"][0]["type"], "aws_managed");
    let on = json!({"effectiveSettings": true, "name": "awsvpcTrunking", "value": "enabled"});
    assert_eq!(world.ok(ListAccountSettings, on), json!({"settings": []}));
}

#[test]
fn short_arns_only_where_the_server_allows_them() {
    let disable = json!({"name": "containerInstanceLongArnFormat", "value": "disabled"});
    let world = World::new();
    let refused = world.refused(PutAccountSetting, disable.clone());
    assert!(
        refused.starts_with("InvalidParameterException: The long ARN format cannot be disabled"),
        "{refused}"
    );
    world.ok(PutAccountSetting, json!({"name": "taskLongArnFormat", "value": "enabled"}));

    let world = World::with(Settings { allow_short_arns: true, ..Settings::default() });
    world.ok(CreateCluster, json!({"clusterName": "c"}));
    world.ok(PutAccountSetting, disable);
    let arn = world.machine("c", "t-1");
    let id = arn.rsplit('/').next().unwrap_or_default();
    assert_eq!((arn.as_str(), id.len()), (world.arn(&format!("container-instance/{id}")).as_str(), 36));
    for named in [id, &arn, &id.replace('-', "")] {
        let found =
            world.ok(DescribeContainerInstances, json!({"cluster": "c", "containerInstances": [named]}));
        assert_eq!(text(&found["containerInstances"][0]["containerInstanceArn"]), arn);
    }
    assert_eq!(
        world.refused(TagResource, json!({"resourceArn": arn, "tags": [{"key": "a", "value": "b"}]})),
        "InvalidParameterException: Long arn format must be used for tagging operations"
    );
}

#[test]
fn bad_requests_are_refused() {
    let world = World::new();
    let names = "serviceLongArnFormat,taskLongArnFormat,containerInstanceLongArnFormat,awsvpcTrunking,containerInsights,\
                 fargateFIPSMode,tagResourceAuthorization,fargateTaskRetirementWaitPeriod,guardDutyActivate,\
                 defaultLogDriverMode,fargateEventWindows";
    let unknown = format!("InvalidParameterException: unknown should be one of [{names}]");
    let principal = "InvalidParameterException: The principalArn must be the ARN of an IAM user, role or root of this account.";
    for (operation, body, error) in [
        (PutAccountSetting, json!({"name": "unknown", "value": "enabled"}), unknown.as_str()),
        (PutAccountSettingDefault, json!({"name": "unknown", "value": "enabled"}), &unknown),
        (DeleteAccountSetting, json!({"name": "unknown"}), &unknown),
        (ListAccountSettings, json!({"name": "unknown"}), &unknown),
        (
            PutAccountSetting,
            json!({"name": "awsvpcTrunking", "value": "on"}),
            "InvalidParameterException: awsvpcTrunking should be one of [enabled,disabled]",
        ),
        (
            PutAccountSetting,
            json!({"name": "fargateTaskRetirementWaitPeriod", "value": "8"}),
            "InvalidParameterException: fargateTaskRetirementWaitPeriod should be one of [0,7,14]",
        ),
        (
            PutAccountSetting,
            json!({"name": "awsvpcTrunking"}),
            "InvalidParameterException: value can not be blank.",
        ),
        (
            PutAccountSetting,
            json!({"name": "guardDutyActivate", "value": "on"}),
            "InvalidParameterException: The setting guardDutyActivate is read-only.",
        ),
        (
            PutAccountSetting,
            json!({"name": "awsvpcTrunking", "value": "enabled", "principalArn": "arn:aws:iam::000000000000:root"}),
            principal,
        ),
        (
            PutAccountSetting,
            json!({"name": "awsvpcTrunking", "value": "enabled", "principalArn": "me"}),
            principal,
        ),
        (
            ListAccountSettings,
            json!({"value": "enabled"}),
            "InvalidParameterException: A value needs the name of its setting.",
        ),
        (
            ListAccountSettings,
            json!({"maxResults": 11}),
            "InvalidParameterException: maxResults should be between 1 and 10.",
        ),
    ] {
        assert_eq!(world.refused(operation, body.clone()), error, "{operation} {body}");
    }
}

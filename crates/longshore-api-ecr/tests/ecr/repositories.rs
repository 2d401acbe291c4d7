//! Repositories with their settings, policies and tags.

use serde_json::{Value, json};

use crate::support::World;

const POLICY: &str = r#"{"Version":"2008-10-17","Statement":[{"Sid":"x","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::444455556666:root"},"Action":["ecr:BatchGetImage"]}]}"#;

fn lifecycle() -> String {
    let selection = json!({"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14});
    let rule =
        json!({"rulePriority": 1, "description": "x", "selection": selection, "action": {"type": "expire"}});
    json!({"rules": [rule]}).to_string()
}

#[test]
fn what_a_repository_is_made_with_is_shown() {
    let world = World::new();
    let made = world.make("team/web");
    assert_eq!(
        made,
        json!({
            "repositoryArn": "arn:aws:ecr:eu-west-1:111122223333:repository/team/web",
            "registryId": "111122223333",
            "repositoryName": "team/web",
            "repositoryUri": "127.0.0.1:8722/team/web",
            "createdAt": 1_700_000_000,
            "imageTagMutability": "MUTABLE",
            "imageScanningConfiguration": {"scanOnPush": false},
            "encryptionConfiguration": {"encryptionType": "AES256"},
        })
    );
    let (code, text) = world.refused("CreateRepository", json!({"repositoryName": "team/web"}));
    assert_eq!(code, "RepositoryAlreadyExistsException");
    assert_eq!(
        text,
        "The repository with name 'team/web' already exists in the registry with id '111122223333'"
    );
    let input = json!({
        "repositoryName": "fixed",
        "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
        "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "latest*"}],
        "imageScanningConfiguration": {"scanOnPush": true},
        "encryptionConfiguration": {"encryptionType": "KMS"},
        "tags": [{"Key": "team", "Value": "red"}],
    });
    let made = &world.ask("CreateRepository", input.clone())["repository"];
    for member in ["imageTagMutability", "imageTagMutabilityExclusionFilters", "imageScanningConfiguration"] {
        assert_eq!(made[member], input[member], "{member}");
    }
    let key = "arn:aws:kms:eu-west-1:111122223333:alias/aws/ecr";
    assert_eq!(made["encryptionConfiguration"], json!({"encryptionType": "KMS", "kmsKey": key}));
    let shown = world.ask("DescribeRepositories", json!({"repositoryNames": ["fixed"]}));
    assert_eq!(shown["repositories"], json!([made]));
    let tags = world.ask("ListTagsForResource", json!({"resourceArn": made["repositoryArn"]}));
    assert_eq!(tags["tags"], input["tags"]);
}

#[test]
fn what_is_wrong_is_refused_and_changes_nothing() {
    let world = World::new();
    let filters = json!([{"filterType": "WILDCARD", "filter": "a*b*c*"}]);
    for (input, text) in [
        (
            json!({"repositoryName": "Web"}),
            "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression",
        ),
        (json!({}), "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must not be null'"),
        (
            json!({"repositoryName": "web", "imageTagMutability": "IMMUTABLE", "imageTagMutabilityExclusionFilters": filters}),
            "Invalid parameter at 'imageTagMutabilityExclusionFilters'",
        ),
        (
            json!({"repositoryName": "web", "imageTagMutability": "MUTABLE_WITH_EXCLUSION"}),
            "Invalid parameter at 'imageTagMutabilityExclusionFilters'",
        ),
        (
            json!({"repositoryName": "web", "imageTagMutability": "MUTABLE_WITH_EXCLUSION", "imageTagMutabilityExclusionFilters": filters}),
            "Invalid parameter at 'imageTagMutabilityExclusionFilters'",
        ),
        (json!({"repositoryName": "web", "registryId": "1"}), "Invalid parameter at 'registryId'"),
    ] {
        let (code, told) = world.refused("CreateRepository", input);
        assert_eq!(code, "InvalidParameterException");
        assert!(told.starts_with(text), "{told}");
    }
    let reserved = json!({"repositoryName": "web", "tags": [{"Key": "aws:x", "Value": "y"}]});
    assert_eq!(world.refused("CreateRepository", reserved).0, "InvalidTagParameterException");
    assert_eq!(world.ask("DescribeRepositories", json!({}))["repositories"], json!([]));
    let (code, text) = world.refused("DescribeRepositories", json!({"repositoryNames": ["web"]}));
    assert_eq!(code, "RepositoryNotFoundException");
    assert_eq!(text, "The repository with name 'web' does not exist in the registry with id '111122223333'");
}

#[test]
fn repositories_are_listed_in_pages() {
    let world = World::new();
    for n in 0..5 {
        world.make(&format!("r{n}"));
    }
    let (mut names, mut token) = (Vec::new(), Value::Null);
    loop {
        let mut input = json!({"maxResults": 2});
        if !token.is_null() {
            input["nextToken"] = token.clone();
        }
        let page = world.ask("DescribeRepositories", input);
        let own = page["repositories"].as_array().expect("a list");
        assert!(own.len() <= 2);
        names.extend(own.iter().map(|repository| repository["repositoryName"].clone()));
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(names, ["r0", "r1", "r2", "r3", "r4"]);
    let (code, _) = world.refused("DescribeRepositories", json!({"nextToken": "x"}));
    assert_eq!(code, "InvalidParameterException");
}

/// The registry of another account is reached through its name in the path.
#[test]
fn a_repository_of_another_account_is_named_with_it() {
    let world = World::new();
    let made = world.ask("CreateRepository", json!({"repositoryName": "web", "registryId": "444455556666"}));
    let made = &made["repository"];
    assert_eq!(made["registryId"], "444455556666");
    assert_eq!(made["repositoryUri"], "127.0.0.1:8722/444455556666.dkr.ecr.eu-west-1.amazonaws.com/web");
    assert_eq!(world.ask("DescribeRepositories", json!({}))["repositories"], json!([]));
}

#[test]
fn settings_change() {
    let world = World::new();
    world.make("web");
    let set = world
        .ask("PutImageTagMutability", json!({"repositoryName": "web", "imageTagMutability": "IMMUTABLE"}));
    assert_eq!(
        set,
        json!({"registryId": "111122223333", "repositoryName": "web", "imageTagMutability": "IMMUTABLE"})
    );
    let scanning = json!({"scanOnPush": true});
    let input = json!({"repositoryName": "web", "imageScanningConfiguration": scanning});
    assert_eq!(world.ask("PutImageScanningConfiguration", input)["imageScanningConfiguration"], scanning);
    let shown = &world.ask("DescribeRepositories", json!({}))["repositories"][0];
    assert_eq!(
        (&shown["imageTagMutability"], &shown["imageScanningConfiguration"]),
        (&json!("IMMUTABLE"), &scanning)
    );
}

#[test]
fn policies_are_kept_as_they_were_given() {
    let world = World::new();
    world.make("web");
    let on = json!({"repositoryName": "web"});
    assert_eq!(world.refused("GetRepositoryPolicy", on.clone()).0, "RepositoryPolicyNotFoundException");
    let with = |text: &str| json!({"repositoryName": "web", "policyText": text});
    assert_eq!(world.ask("SetRepositoryPolicy", with(POLICY))["policyText"], POLICY);
    assert_eq!(world.ask("GetRepositoryPolicy", on.clone())["policyText"], POLICY);
    let with_resource = POLICY.replace("\"Sid\":\"x\"", "\"Resource\":\"*\"");
    for text in ["{}", "x", &with_resource, &POLICY.replace("root", "user/nobody")] {
        let (code, told) = world.refused("SetRepositoryPolicy", with(text));
        let wanted = "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid repository policy provided'";
        assert_eq!((code.as_str(), told.as_str()), ("InvalidParameterException", wanted), "{text}");
    }
    assert_eq!(
        world.refused("SetRepositoryPolicy", with(&" ".repeat(10_241))).0,
        "InvalidParameterException"
    );
    assert_eq!(world.ask("DeleteRepositoryPolicy", on.clone())["policyText"], POLICY);
    assert_eq!(world.refused("DeleteRepositoryPolicy", on).0, "RepositoryPolicyNotFoundException");
}

#[test]
fn lifecycle_policies_are_checked() {
    let world = World::new();
    world.make("web");
    let on = json!({"repositoryName": "web"});
    let with = |text: &str| json!({"repositoryName": "web", "lifecyclePolicyText": text});
    assert_eq!(world.refused("GetLifecyclePolicy", on.clone()).0, "LifecyclePolicyNotFoundException");
    let text = lifecycle();
    assert_eq!(world.ask("PutLifecyclePolicy", with(&text))["lifecyclePolicyText"], json!(text));
    assert_eq!(world.ask("GetLifecyclePolicy", on.clone())["lifecyclePolicyText"], json!(text));
    let (code, told) = world.refused("PutLifecyclePolicy", with(&text.replace("\"days\"", "\"weeks\"")));
    let begin = "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation failure:";
    assert!(code == "InvalidParameterException" && told.starts_with(begin), "{code} {told}");
    assert_eq!(world.refused("PutLifecyclePolicy", with("{}")).0, "InvalidParameterException", "too short");
    world.ask("DeleteLifecyclePolicy", on.clone());
    assert_eq!(world.refused("GetLifecyclePolicy", on).0, "LifecyclePolicyNotFoundException");
}

#[test]
fn tags_change() {
    let world = World::new();
    let arn = world.make("web")["repositoryArn"].clone();
    let tag = |key: &str| json!({"Key": key, "Value": "x"});
    world.ask("TagResource", json!({"resourceArn": arn, "tags": [tag("a"), tag("b")]}));
    world.ask("UntagResource", json!({"resourceArn": arn, "tagKeys": ["a", "none"]}));
    assert_eq!(world.ask("ListTagsForResource", json!({"resourceArn": arn}))["tags"], json!([tag("b")]));
    let many: Vec<Value> = (0..50).map(|n| tag(&n.to_string())).collect();
    let too_many = json!({"resourceArn": arn, "tags": many});
    assert_eq!(world.refused("TagResource", too_many).0, "TooManyTagsException");
    for (bad, code) in [
        ("arn:aws:ecr:eu-west-1:111122223333:repository/none", "RepositoryNotFoundException"),
        ("arn:aws:ecs:eu-west-1:111122223333:repository/web", "InvalidParameterException"),
        ("web", "InvalidParameterException"),
    ] {
        assert_eq!(world.refused("ListTagsForResource", json!({"resourceArn": bad})).0, code, "{bad}");
    }
}

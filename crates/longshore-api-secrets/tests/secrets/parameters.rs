//! Parameters (identity J10).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{ACCOUNT, World, text};

fn put(world: &World, name: &str, value: &str, kind: &str) -> Value {
    world.ok("ssm:PutParameter", json!({"Name": name, "Value": value, "Type": kind}))
}

fn overwrite(world: &World, name: &str, value: &str) -> Value {
    world.ok("ssm:PutParameter", json!({"Name": name, "Value": value, "Overwrite": true}))
}

fn get(world: &World, name: &str) -> Value {
    world.ok("ssm:GetParameter", json!({"Name": name, "WithDecryption": true}))["Parameter"].clone()
}

#[test]
fn a_parameter_has_versions() {
    let world = World::new();
    let made = put(&world, "/app/url", "one", "String");
    assert_eq!((&made["Version"], &made["Tier"]), (&json!(1), &json!("Standard")));
    assert_eq!(
        world.refused("ssm:PutParameter", json!({"Name": "/app/url", "Value": "x", "Type": "String"})),
        "ParameterAlreadyExists: The parameter already exists. To overwrite this value, set the overwrite option in the \
         request to true."
    );
    assert_eq!(overwrite(&world, "/app/url", "two")["Version"], 2);
    let read = get(&world, "/app/url");
    assert_eq!((text(&read, "Value"), &read["Version"]), ("two", &json!(2)));
    let arn = format!("arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/app/url");
    assert_eq!((text(&read, "ARN"), text(&read, "DataType"), read.get("Selector")), (&*arn, "text", None));
    for (named, value, selector) in [("/app/url:1", "one", ":1"), (&*format!("{arn}:1"), "one", ":1")] {
        let read = get(&world, named);
        assert_eq!((text(&read, "Value"), text(&read, "Selector")), (value, selector));
        assert_eq!(text(&read, "Name"), "/app/url");
    }
    assert_eq!(text(&get(&world, &arn), "Value"), "two");
    let missing = |name: &str| world.refused("ssm:GetParameter", json!({"Name": name}));
    assert_eq!(missing("/none"), "ParameterNotFound: Parameter /none not found.");
    assert!(missing("/app/url:9").starts_with("ParameterVersionNotFound: "));
    let change = json!({"Name": "/app/url", "Value": "x", "Type": "SecureString", "Overwrite": true});
    assert!(world.refused("ssm:PutParameter", change).starts_with("HierarchyTypeMismatchException: "));
    let tags =
        json!({"Name": "/app/url", "Value": "x", "Overwrite": true, "Tags": [{"Key": "k", "Value": "v"}]});
    assert!(
        world
            .refused("ssm:PutParameter", tags)
            .starts_with("ValidationException: Invalid request: tags and overwrite can't be used together.")
    );
    assert!(
        world
            .refused("ssm:PutParameter", json!({"Name": "n", "Value": "x"}))
            .starts_with("ValidationException: ")
    );
}

#[test]
fn names_keep_their_rules() {
    let world = World::new();
    let refused =
        |name: &str| world.refused("ssm:PutParameter", json!({"Name": name, "Value": "x", "Type": "String"}));
    assert_eq!(refused("a/b"), "ValidationException: Parameter name must be a fully qualified name.");
    for bad in ["a b", "a//b", "/a/", "ssm", "SSMx", "/ssm/x", "a:b"] {
        assert!(
            refused(bad).starts_with("ValidationException: Parameter name: can't be prefixed with"),
            "{bad}"
        );
    }
    for bad in ["aws", "/aws/x", "AwsThing"] {
        assert_eq!(
            refused(bad),
            format!("AccessDeniedException: No access to reserved parameter name: {bad}.")
        );
    }
    assert!(refused(&"/l".repeat(16)).starts_with("HierarchyLevelLimitExceededException: "));
    put(&world, &"/l".repeat(15), "x", "String");
    let own = put(&world, "bare", "x", "String");
    assert_eq!(own["Version"], 1);
    assert_eq!(text(&get(&world, "bare"), "ARN"), format!("arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/bare"));
}

#[test]
fn a_secure_string_is_ciphertext_that_kms_decrypts() {
    let world = World::new();
    put(&world, "/app/password", "hunter2hunter2", "SecureString");
    world.is_nowhere("hunter2hunter2");
    assert_eq!(text(&get(&world, "/app/password"), "Value"), "hunter2hunter2");
    let shown = world.ok("ssm:GetParameter", json!({"Name": "/app/password"}))["Parameter"].clone();
    let blob = text(&shown, "Value").to_owned();
    assert!(!blob.contains("hunter2"));
    let context = json!({"PARAMETER_ARN": text(&shown, "ARN")});
    let read = world.ok("kms:Decrypt", json!({"CiphertextBlob": blob, "EncryptionContext": context}));
    assert_eq!(STANDARD.decode(text(&read, "Plaintext")).expect("base64"), b"hunter2hunter2");
    let described = world.ok("ssm:DescribeParameters", json!({}));
    assert_eq!(described["Parameters"][0]["KeyId"], "alias/aws/ssm");
    assert!(described["Parameters"][0].get("Value").is_none());
    // A key that was chosen stays chosen.
    let key = crate::keys::make(&world);
    let chosen = json!({"Name": "/app/password", "Value": "y", "Overwrite": true, "KeyId": key});
    world.ok("ssm:PutParameter", chosen);
    overwrite(&world, "/app/password", "z");
    let described = world.ok("ssm:DescribeParameters", json!({}));
    assert_eq!(described["Parameters"][0]["KeyId"], *key);
    world.ok("kms:DisableKey", json!({"KeyId": key}));
    let told =
        world.refused("ssm:PutParameter", json!({"Name": "/app/password", "Value": "a", "Overwrite": true}));
    assert!(told.starts_with("InvalidKeyId: ") && told.ends_with("is disabled."), "{told}");
    let bad = json!({"Name": "p", "Value": "x", "Type": "SecureString", "KeyId": "alias/none"});
    assert!(world.refused("ssm:PutParameter", bad).starts_with("InvalidKeyId: "));
}

#[test]
fn tiers_go_up_and_never_down() {
    let world = World::new();
    let put = |name: &str, len: usize, tier: Option<&str>, overwrite: bool| {
        let mut body = json!({"Name": name, "Value": "x".repeat(len), "Overwrite": overwrite});
        if !overwrite {
            body["Type"] = "String".into();
        }
        if let Some(tier) = tier {
            body["Tier"] = tier.into();
        }
        body
    };
    let tier = |body: Value| text(&world.ok("ssm:PutParameter", body), "Tier").to_owned();
    let long = world.refused("ssm:PutParameter", put("a", 4097, None, false));
    assert!(
        long.starts_with(
            "ValidationException: Standard tier parameters support a maximum parameter value of 4096"
        ),
        "{long}"
    );
    assert_eq!(tier(put("a", 4096, None, false)), "Standard");
    assert_eq!(tier(put("a", 4097, Some("Intelligent-Tiering"), true)), "Advanced");
    assert_eq!(tier(put("a", 1, None, true)), "Advanced");
    assert!(
        world
            .refused("ssm:PutParameter", put("a", 1, Some("Standard"), true))
            .starts_with("ValidationException: ")
    );
    assert!(
        world
            .refused("ssm:PutParameter", put("b", 8193, Some("Advanced"), false))
            .starts_with("ValidationException: Advanced tier")
    );
    let policies =
        r#"[{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2030-01-01T00:00:00Z"}}]"#;
    let mut standard = put("c", 1, None, false);
    standard["Policies"] = policies.into();
    assert!(world.refused("ssm:PutParameter", standard.clone()).starts_with("ValidationException: "));
    standard["Tier"] = "Advanced".into();
    world.ok("ssm:PutParameter", standard.clone());
    let shown =
        world.ok("ssm:DescribeParameters", json!({"ParameterFilters": [{"Key": "Name", "Values": ["c"]}]}));
    assert_eq!(shown["Parameters"][0]["Policies"][0]["PolicyType"], "Expiration");
    standard["Policies"] = r#"[{"Type":"Nonsense"}]"#.into();
    assert!(world.refused("ssm:PutParameter", standard).starts_with("InvalidPolicyTypeException: "));
}

#[test]
fn values_are_held_to_patterns_and_types() {
    let world = World::new();
    let body = |value: &str, pattern: &str| json!({"Name": "a", "Value": value, "Type": "String", "AllowedPattern": pattern});
    assert_eq!(
        world.refused("ssm:PutParameter", body("x1", "^[a-z]+$")),
        "ParameterPatternMismatchException: Parameter value, cannot be validated against allowedPattern: ^[a-z]+$"
    );
    assert!(
        world.refused("ssm:PutParameter", body("x", "(")).starts_with("InvalidAllowedPatternException: ")
    );
    let huge = body("x", "((a{100}){100}){100}");
    assert!(world.refused("ssm:PutParameter", huge).starts_with("InvalidAllowedPatternException: "));
    world.ok("ssm:PutParameter", body("abc", "^[a-z]+$"));
    let list = json!({"Name": "l", "Value": "a,,b", "Type": "StringList"});
    assert!(world.refused("ssm:PutParameter", list).starts_with("ValidationException: "));
    let data_type = json!({"Name": "d", "Value": "x", "Type": "String", "DataType": "aws:x"});
    assert!(world.refused("ssm:PutParameter", data_type).starts_with("ValidationException: "));
    assert!(
        world
            .refused("ssm:PutParameter", json!({"Name": "e", "Value": "", "Type": "String"}))
            .starts_with("ValidationException: ")
    );
    assert!(
        world
            .refused("ssm:PutParameter", json!({"Name": "e", "Value": "x", "Type": "Number"}))
            .starts_with("ValidationException: ")
    );
}

#[test]
fn labels_move_and_keep_their_versions() {
    let world = World::new();
    put(&world, "/a", "0", "String");
    for n in 1..100 {
        overwrite(&world, "/a", &n.to_string());
    }
    let label = |version: Option<i64>, labels: &[&str]| {
        let mut body = json!({"Name": "/a", "Labels": labels});
        if let Some(version) = version {
            body["ParameterVersion"] = version.into();
        }
        world.ok("ssm:LabelParameterVersion", body)
    };
    let labelled = label(Some(1), &["prod", "1bad", "aws-x", "ssmx", "a b"]);
    assert_eq!(labelled["InvalidLabels"], json!(["1bad", "aws-x", "ssmx", "a b"]));
    assert_eq!(text(&get(&world, "/a:prod"), "Value"), "0");
    let full = world.refused("ssm:PutParameter", json!({"Name": "/a", "Value": "x", "Overwrite": true}));
    assert!(full.starts_with("ParameterMaxVersionLimitExceeded: "), "{full}");
    assert_eq!(label(None, &["prod"])["ParameterVersion"], 100);
    assert_eq!(text(&get(&world, "/a:prod"), "Value"), "99");
    overwrite(&world, "/a", "x");
    assert!(
        world.refused("ssm:GetParameter", json!({"Name": "/a:1"})).starts_with("ParameterVersionNotFound: ")
    );
    let history = world.ok("ssm:GetParameterHistory", json!({"Name": "/a"}));
    assert_eq!(history["Parameters"].as_array().map(Vec::len), Some(50));
    let many: Vec<String> = (0..10).map(|n| format!("l{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    label(Some(50), &many);
    let more = json!({"Name": "/a", "ParameterVersion": 50, "Labels": ["one-more"]});
    assert!(
        world.refused("ssm:LabelParameterVersion", more).starts_with("ParameterVersionLabelLimitExceeded: ")
    );
    let un = json!({"Name": "/a", "ParameterVersion": 50, "Labels": ["l0", "none"]});
    let un = world.ok("ssm:UnlabelParameterVersion", un);
    assert_eq!((&un["RemovedLabels"], &un["InvalidLabels"]), (&json!(["l0"]), &json!(["none"])));
    let bad = json!({"Name": "/a", "ParameterVersion": 1, "Labels": ["x"]});
    assert!(world.refused("ssm:LabelParameterVersion", bad).starts_with("ParameterVersionNotFound: "));
}

#[test]
fn many_are_read_by_name() {
    let world = World::new();
    for name in ["/c", "/a", "b"] {
        put(&world, name, name, "String");
    }
    let read = world.ok("ssm:GetParameters", json!({"Names": ["/c", "none", "/a:1", "b", "/a:7"]}));
    let names: Vec<&str> =
        read["Parameters"].as_array().expect("a list").iter().map(|one| text(one, "Name")).collect();
    assert_eq!(names, ["/a", "/c", "b"]);
    assert_eq!(read["InvalidParameters"], json!(["none", "/a:7"]));
    let deleted = world.ok("ssm:DeleteParameters", json!({"Names": ["/c", "none", "b"]}));
    assert_eq!(
        (&deleted["DeletedParameters"], &deleted["InvalidParameters"]),
        (&json!(["/c", "b"]), &json!(["none"]))
    );
    world.ok("ssm:DeleteParameter", json!({"Name": "/a"}));
    assert!(world.refused("ssm:DeleteParameter", json!({"Name": "/a"})).starts_with("ParameterNotFound: "));
}

#[test]
fn a_new_parameter_of_an_old_name_begins_anew() {
    let world = World::new();
    put(&world, "/a", "0", "String");
    for name in ["/b", "/c", "/d"] {
        put(&world, name, "0", "String");
        for n in 1..60 {
            overwrite(&world, name, &n.to_string());
        }
    }
    world.ok("ssm:DeleteParameters", json!({"Names": ["/a", "/b", "/c", "/d"]}));
    assert_eq!(put(&world, "/d", "new", "SecureString")["Version"], 1);
    let history = world.ok("ssm:GetParameterHistory", json!({"Name": "/d", "WithDecryption": true}));
    assert_eq!(history["Parameters"].as_array().map(Vec::len), Some(1));
    world.sweep();
    assert_eq!(text(&get(&world, "/d"), "Value"), "new");
}

#[test]
fn below_a_path_is_one_level_or_all() {
    let world = World::new();
    for name in ["/a/x", "/a/y", "/a/b/z", "/ab/x", "root"] {
        put(&world, name, "v", "String");
    }
    let names = |body: Value| -> Vec<String> {
        let read = world.ok("ssm:GetParametersByPath", body);
        read["Parameters"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| text(one, "Name").to_owned())
            .collect()
    };
    assert_eq!(names(json!({"Path": "/a"})), ["/a/x", "/a/y"]);
    assert_eq!(names(json!({"Path": "/a/", "Recursive": true})), ["/a/b/z", "/a/x", "/a/y"]);
    assert_eq!(names(json!({"Path": "/"})), ["root"]);
    assert_eq!(names(json!({"Path": "/", "Recursive": true})).len(), 5);
    assert!(
        world.refused("ssm:GetParametersByPath", json!({"Path": "a"})).starts_with("ValidationException: ")
    );
    let label = json!({"Name": "/a/x", "Labels": ["prod"]});
    world.ok("ssm:LabelParameterVersion", label);
    let filter = |key: &str, values: Value| json!({"Path": "/a", "ParameterFilters": [{"Key": key, "Values": values}]});
    assert_eq!(names(filter("Label", json!(["prod"]))), ["/a/x"]);
    assert_eq!(names(filter("Type", json!(["SecureString"]))), Vec::<String>::new());
    assert!(
        world
            .refused("ssm:GetParametersByPath", filter("Name", json!(["x"])))
            .starts_with("InvalidFilterKey: ")
    );
}

#[test]
fn descriptions_are_filtered() {
    let world = World::new();
    put(&world, "/a/x", "v", "String");
    put(&world, "/a/b/y", "v", "SecureString");
    world.ok(
        "ssm:PutParameter",
        json!({"Name": "z", "Value": "v", "Type": "String", "Tags": [{"Key": "team", "Value": "red"}]}),
    );
    let names = |filter: Value| -> Vec<String> {
        let listed = world.ok("ssm:DescribeParameters", json!({"ParameterFilters": [filter]}));
        listed["Parameters"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| text(one, "Name").to_owned())
            .collect()
    };
    assert_eq!(names(json!({"Key": "Name", "Option": "Equals", "Values": ["/a/x"]})), ["/a/x"]);
    assert_eq!(names(json!({"Key": "Name", "Option": "BeginsWith", "Values": ["/a"]})), ["/a/b/y", "/a/x"]);
    assert_eq!(names(json!({"Key": "Name", "Option": "Contains", "Values": ["b"]})), ["/a/b/y"]);
    assert_eq!(names(json!({"Key": "Path", "Values": ["/a"]})), ["/a/x"]);
    assert_eq!(names(json!({"Key": "Path", "Option": "Recursive", "Values": ["/a"]})), ["/a/b/y", "/a/x"]);
    assert_eq!(names(json!({"Key": "Type", "Values": ["SecureString"]})), ["/a/b/y"]);
    assert_eq!(names(json!({"Key": "KeyId", "Values": ["alias/aws/ssm"]})), ["/a/b/y"]);
    assert_eq!(names(json!({"Key": "tag:team", "Values": ["red"]})), ["z"]);
    assert_eq!(names(json!({"Key": "tag:team"})), ["z"]);
    assert_eq!(names(json!({"Key": "Tier", "Values": ["Standard"]})).len(), 3);
    let old = json!({"Filters": [{"Key": "Name", "Values": ["/a"]}]});
    assert_eq!(world.ok("ssm:DescribeParameters", old)["Parameters"].as_array().map(Vec::len), Some(2));
    let bad = |filter: Value| world.refused("ssm:DescribeParameters", json!({"ParameterFilters": [filter]}));
    assert!(
        bad(json!({"Key": "Type", "Option": "Contains", "Values": ["x"]}))
            .starts_with("InvalidFilterOption: ")
    );
    assert!(bad(json!({"Key": "Type"})).starts_with("InvalidFilterValue: "));
}

#[test]
fn tags_are_on_the_name() {
    let world = World::new();
    put(&world, "/a", "v", "String");
    let named = |more: Value| {
        let mut body = json!({"ResourceType": "Parameter", "ResourceId": "/a"});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body
    };
    world.ok(
        "ssm:AddTagsToResource",
        named(json!({"Tags": [{"Key": "k", "Value": "v"}, {"Key": "l", "Value": "w"}]})),
    );
    world.ok("ssm:RemoveTagsFromResource", named(json!({"TagKeys": ["k"]})));
    let listed = world.ok("ssm:ListTagsForResource", named(json!({})));
    assert_eq!(listed["TagList"], json!([{"Key": "l", "Value": "w"}]));
    assert!(
        world
            .refused("ssm:ListTagsForResource", named(json!({"ResourceId": "/none"})))
            .starts_with("InvalidResourceId: ")
    );
    assert!(
        world
            .refused("ssm:ListTagsForResource", named(json!({"ResourceType": "Document"})))
            .starts_with("InvalidResourceType: ")
    );
}

#[test]
fn a_secret_is_read_as_a_parameter() {
    let world = World::new();
    world.ok("secretsmanager:CreateSecret", json!({"Name": "db", "SecretString": "x"}));
    let name = "/aws/reference/secretsmanager/db";
    let read = get(&world, name);
    assert_eq!((text(&read, "Value"), text(&read, "Name"), text(&read, "Type")), ("x", name, "SecureString"));
    assert!(world.refused("ssm:GetParameter", json!({"Name": name})).starts_with("ValidationException: "));
    let gone = json!({"Name": "/aws/reference/secretsmanager/none", "WithDecryption": true});
    assert!(world.refused("ssm:GetParameter", gone).starts_with("ParameterNotFound: "));
}

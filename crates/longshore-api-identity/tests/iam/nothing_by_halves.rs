//! Whatever is thrown at the API: an answer in its form, and a state that agrees with itself.

use longshore_api_identity::OPERATIONS;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::support::{ALLOW, TRUST, World};

/// Members that many operations have, with values that now and then are right.
fn member() -> impl Strategy<Value = (&'static str, &'static str)> {
    let names = select(vec!["a", "b", "A", "a b", ""]);
    let arns = select(vec![
        "arn:aws:iam::111122223333:policy/a",
        "arn:aws:iam::111122223333:policy/b",
        "arn:aws:iam::aws:policy/AdministratorAccess",
        "arn:aws:iam::111122223333:oidc-provider/a.example",
        "arn:aws:iam::111122223333:user/a",
        "arn:",
    ]);
    let documents = select(vec![
        ALLOW,
        TRUST,
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"arn:aws:iam::111122223333:user/a"}}}"#,
        "{",
    ]);
    let named = select(vec![
        "UserName",
        "GroupName",
        "RoleName",
        "InstanceProfileName",
        "PolicyName",
        "NewUserName",
        "NewGroupName",
    ]);
    prop_oneof![
        4 => (named, names),
        2 => (select(vec!["PolicyArn", "PermissionsBoundary", "PolicySourceArn", "OpenIDConnectProviderArn"]), arns),
        2 => (select(vec!["PolicyDocument", "AssumeRolePolicyDocument", "PolicyInputList.member.1"]), documents),
        1 => (select(vec!["VersionId", "AccountAlias", "Url", "AWSServiceName", "Tags.member.1.Key", "Tags.member.1.Value", "TagKeys.member.1", "MaxItems", "SetAsDefault", "ActionNames.member.1", "Path"]),
              select(vec!["v1", "v2", "acme", "https://a.example", "ecs.amazonaws.com", "k", "1", "true", "ecs:RunTask", "/x/"])),
    ]
}

/// Passwords take their time.
fn actions() -> Vec<&'static str> {
    OPERATIONS.names.iter().copied().filter(|name| !name.contains("LoginProfile")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_done_by_halves(calls in vec((select(actions()), vec(member(), 0..6)), 1..40)) {
        let world = World::new();
        for name in ["a", "b"] {
            world.ok("CreateUser", &[("UserName", name)]);
            world.ok("CreateGroup", &[("GroupName", name)]);
            world.ok("CreateRole", &[("RoleName", name), ("AssumeRolePolicyDocument", TRUST)]);
            world.ok("CreatePolicy", &[("PolicyName", name), ("PolicyDocument", ALLOW)]);
            world.ok("CreateInstanceProfile", &[("InstanceProfileName", name)]);
        }
        for (action, members) in calls {
            let before = world.records();
            let (status, body) = world.reply(action, &members);
            prop_assert!(matches!(status, 200 | 400 | 403 | 404 | 409), "{action} {members:?}: {status} {body}");
            if status != 200 {
                prop_assert_eq!(before.differences(&world.records()), Vec::<String>::new(), "{} {:?}", action, members);
            }
            prop_assert_eq!(world.db.peek(|state| state.check()), Vec::<String>::new(), "{} {:?}", action, members);
        }
    }
}

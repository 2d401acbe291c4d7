//! Access keys: ids that tell their account, secrets that are told once (identity J2, J13).

use longshore_keyring::Sealing;
use longshore_store::Op;
use longshore_tables_iam::record::AccessKey;
use longshore_tables_iam::{IamState, ids, uses};

use crate::support::{ACCOUNT, TRUST, World, all, one};

#[test]
fn a_secret_is_told_once_and_kept_sealed() {
    let world = World::new();
    world.ok("CreateUser", &[("UserName", "ada")]);
    let made = world.ok("CreateAccessKey", &[("UserName", "ada")]);
    let (id, secret) = (one(&made, "AccessKeyId"), one(&made, "SecretAccessKey"));
    assert_eq!((one(&made, "Status"), one(&made, "UserName")), ("Active".into(), "ada".into()));
    assert_eq!((id.len(), secret.len()), (20, 40), "{id}");
    assert!(id.starts_with("AKIA"), "{id}");
    assert_eq!(ids::account_of_access_key(&id), Some(world.account()));
    let listed = world.ok("ListAccessKeys", &[("UserName", "ada")]);
    assert_eq!(all(&listed, "AccessKeyId"), [&*id]);
    assert!(!listed.contains(&secret) && !listed.contains("Secret"), "{listed}");

    let records = world.records();
    assert!(!format!("{records:?}").contains(&secret));
    for op in records.ops() {
        let Op::Put { value, .. } = op else { continue };
        assert!(!value.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()), "it is in the store");
    }
    let opened = world.db.peek(|state| {
        let (account, key) = state.iam().access_key(&id).expect("it is there");
        state.open(&AccessKey::place(account, &id), &key.secret).expect("it is sealed for its place")
    });
    assert_eq!(opened.as_str(), Some(&*secret));

    let other = one(&world.ok("CreateAccessKey", &[("UserName", "ada")]), "SecretAccessKey");
    assert_ne!(other, secret);
    assert_eq!(
        world.refused("CreateAccessKey", &[("UserName", "ada")]),
        "LimitExceeded: Cannot exceed quota for AccessKeysPerUser: 2"
    );
    assert_eq!(
        world.refused("CreateAccessKey", &[("UserName", "bob")]),
        "NoSuchEntity: The user with name bob cannot be found."
    );
}

#[test]
fn a_key_is_one_of_its_user() {
    let mut world = World::new();
    for user in ["ada", "bob"] {
        world.ok("CreateUser", &[("UserName", user)]);
    }
    let id = one(&world.ok("CreateAccessKey", &[("UserName", "ada")]), "AccessKeyId");
    for action in ["DeleteAccessKey", "UpdateAccessKey"] {
        let told =
            world.refused(action, &[("UserName", "bob"), ("AccessKeyId", &id), ("Status", "Inactive")]);
        assert_eq!(told, format!("NoSuchEntity: The Access Key with id {id} cannot be found."));
    }
    world.ok("UpdateAccessKey", &[("UserName", "ada"), ("AccessKeyId", &id), ("Status", "Inactive")]);
    assert_eq!(one(&world.ok("ListAccessKeys", &[("UserName", "ada")]), "Status"), "Inactive");
    assert!(
        world
            .refused("UpdateAccessKey", &[("UserName", "ada"), ("AccessKeyId", &id), ("Status", "Off")])
            .starts_with("ValidationError: 1 validation error detected: Value at 'status'")
    );
    let used = world.ok("GetAccessKeyLastUsed", &[("AccessKeyId", &id)]);
    assert_eq!(
        (one(&used, "UserName"), one(&used, "ServiceName"), one(&used, "Region")),
        ("ada".into(), "N/A".into(), "N/A".into())
    );
    let denied = format!(
        "AccessDenied: User: arn:aws:iam::{ACCOUNT}:root is not authorized to perform: iam:GetAccessKeyLastUsed on \
         resource: access key AKIAUNKNOWNUNKNOWN00"
    );
    assert_eq!(world.refused("GetAccessKeyLastUsed", &[("AccessKeyId", "AKIAUNKNOWNUNKNOWN00")]), denied);
    let root = "arn:aws:iam::444455556666:root";
    world.act_as("444455556666", longshore_api::PrincipalKind::Root, root);
    assert!(world.refused("GetAccessKeyLastUsed", &[("AccessKeyId", &id)]).starts_with("AccessDenied: "));
}

/// What has no secret goes on without the root key, and nothing is kept in the clear instead.
#[test]
fn without_the_root_key_there_are_no_secrets() {
    let world = World::locked(std::sync::Arc::new(longshore_service::Allow));
    world.ok("CreateUser", &[("UserName", "ada")]);
    for (action, more) in
        [("CreateAccessKey", ("Path", "/")), ("CreateLoginProfile", ("Password", "correct-Horse-7"))]
    {
        let told = world.refused(action, &[("UserName", "ada"), more]);
        assert_eq!(told, "InternalFailure: An internal error occurred. Try the request again.");
    }
}

#[test]
fn when_a_key_was_used_is_told_now_and_then() {
    let world = World::new();
    world.ok("CreateUser", &[("UserName", "ada")]);
    let id = one(&world.ok("CreateAccessKey", &[("UserName", "ada")]), "AccessKeyId");
    let changed = |service: &str| {
        world.act(|tx| {
            uses::note_key(tx, &id, "eu-west-1", service);
            tx.changed()
        })
    };
    assert_eq!((changed("ecs"), changed("ecs"), changed("iam")), (1, 0, 1));
    let used = world.ok("GetAccessKeyLastUsed", &[("AccessKeyId", &id)]);
    assert_eq!((one(&used, "ServiceName"), one(&used, "Region")), ("iam".into(), "eu-west-1".into()));
    assert_eq!(one(&used, "LastUsedDate"), "2023-11-14T22:13:20Z");
    let role =
        one(&world.ok("CreateRole", &[("RoleName", "r"), ("AssumeRolePolicyDocument", TRUST)]), "RoleId");
    world.act(|tx| uses::note_role(tx, world.account(), &role, "us-east-1", "ecs"));
    let shown = world.ok("GetRole", &[("RoleName", "r")]);
    assert_eq!(
        (one(&shown, "LastUsedDate"), one(&shown, "Region")),
        ("2023-11-14T22:13:20Z".into(), "us-east-1".into())
    );
    // What is gone is not noted.
    world.act(|tx| uses::note_key(tx, "AKIA-gone", "eu-west-1", "ecs"));
}

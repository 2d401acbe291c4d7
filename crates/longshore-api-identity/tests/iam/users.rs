//! Users and groups (identity J4).

use longshore_api::PrincipalKind;

use crate::support::{ACCOUNT, ALLOW, World, all, one};

#[test]
fn a_user_is_made_shown_changed_and_deleted() {
    let world = World::new();
    let made = world.ok(
        "CreateUser",
        &[
            ("UserName", "Ada"),
            ("Path", "/ops/"),
            ("Tags.member.1.Key", "Team"),
            ("Tags.member.1.Value", "red"),
        ],
    );
    assert!(made.starts_with(
        "<CreateUserResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><CreateUserResult><User>"
    ));
    assert_eq!(one(&made, "Arn"), format!("arn:aws:iam::{ACCOUNT}:user/ops/Ada"));
    let id = one(&made, "UserId");
    assert!(id.starts_with("AIDA") && id.len() == 21, "{id}");
    assert_eq!((one(&made, "CreateDate"), one(&made, "Key")), ("2023-11-14T22:13:20Z".into(), "Team".into()));
    let shown = world.ok("GetUser", &[("UserName", "Ada")]);
    assert_eq!((one(&shown, "UserId"), one(&shown, "Value")), (id.clone(), "red".into()));

    assert_eq!(
        world.refused("CreateUser", &[("UserName", "aDA"), ("Path", "/elsewhere/")]),
        "EntityAlreadyExists: User with name aDA already exists."
    );
    assert_eq!(
        world.refused("GetUser", &[("UserName", "ada")]),
        "NoSuchEntity: The user with name ada cannot be found."
    );
    world.ok("CreateUser", &[("UserName", "bob")]);
    assert_eq!(
        world.refused("UpdateUser", &[("UserName", "bob"), ("NewUserName", "ADA")]),
        "EntityAlreadyExists: User with name ADA already exists."
    );
    // The same user, whatever it is called.
    let empty = world.ok("UpdateUser", &[("UserName", "Ada"), ("NewUserName", "ada"), ("NewPath", "/")]);
    assert_eq!(
        empty,
        "<UpdateUserResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><ResponseMetadata><RequestId>id-1\
         </RequestId></ResponseMetadata></UpdateUserResponse>"
    );
    let shown = world.ok("GetUser", &[("UserName", "ada")]);
    assert_eq!(
        (one(&shown, "UserId"), one(&shown, "Arn")),
        (id.clone(), format!("arn:aws:iam::{ACCOUNT}:user/ada"))
    );
    world.ok("DeleteUser", &[("UserName", "ada")]);
    let again = world.ok("CreateUser", &[("UserName", "ada")]);
    assert_ne!(one(&again, "UserId"), id, "a new user of an old name is somebody else");
}

#[test]
fn what_cannot_be_meant_is_told() {
    let world = World::new();
    for (members, told) in [
        (
            vec![],
            "1 validation error detected: Value null at 'userName' failed to satisfy constraint: Member must not be null",
        ),
        (
            vec![("UserName", "a b")],
            "The specified value for userName is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-",
        ),
        (
            vec![("UserName", "a"), ("Path", "ops")],
            "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.",
        ),
    ] {
        assert_eq!(world.refused("CreateUser", &members), format!("ValidationError: {told}"));
    }
    let long = "a".repeat(65);
    assert_eq!(
        world.refused("CreateUser", &[("UserName", &long)]),
        "ValidationError: 1 validation error detected: Value at 'userName' failed to satisfy constraint: Member must have length less than or equal to 64"
    );
    let error = world.reply("CreateUser", &[]);
    assert_eq!(error.0, 400);
    assert_eq!(
        error.1,
        "<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><Error><Type>Sender</Type>\
         <Code>ValidationError</Code><Message>1 validation error detected: Value null at 'userName' failed to satisfy \
         constraint: Member must not be null</Message></Error><RequestId>id-1</RequestId></ErrorResponse>"
    );
}

/// Each reason to keep a user, in the order in which it is told.
#[test]
fn a_user_goes_when_nothing_is_left() {
    let world = World::new();
    let user = ("UserName", "ada");
    world.ok("CreateUser", &[user]);
    world.ok("CreateGroup", &[("GroupName", "g")]);
    world.ok("AddUserToGroup", &[user, ("GroupName", "g")]);
    world.ok("CreateLoginProfile", &[user, ("Password", "correct-Horse-7")]);
    let key = one(&world.ok("CreateAccessKey", &[user]), "AccessKeyId");
    world.ok("PutUserPolicy", &[user, ("PolicyName", "p"), ("PolicyDocument", ALLOW)]);
    let admin = ("PolicyArn", "arn:aws:iam::aws:policy/AdministratorAccess");
    world.ok("AttachUserPolicy", &[user, admin]);
    let steps = [
        ("must detach all policies first.", "DetachUserPolicy", vec![user, admin]),
        ("must delete policies first.", "DeleteUserPolicy", vec![user, ("PolicyName", "p")]),
        ("must delete access keys first.", "DeleteAccessKey", vec![user, ("AccessKeyId", &key)]),
        ("must delete login profile first.", "DeleteLoginProfile", vec![user]),
        ("must remove users from group first.", "RemoveUserFromGroup", vec![user, ("GroupName", "g")]),
    ];
    for (told, action, members) in steps {
        assert_eq!(
            world.refused("DeleteUser", &[user]),
            format!("DeleteConflict: Cannot delete entity, {told}")
        );
        world.ok(action, &members);
    }
    world.ok("DeleteUser", &[user]);
}

#[test]
fn groups_have_users() {
    let world = World::new();
    for name in ["Zoe", "ada"] {
        world.ok("CreateUser", &[("UserName", name)]);
    }
    for n in 0..11 {
        world.ok("CreateGroup", &[("GroupName", &format!("g{n:02}"))]);
    }
    for user in ["Zoe", "ada", "ada"] {
        world.ok("AddUserToGroup", &[("UserName", user), ("GroupName", "g00")]);
    }
    assert_eq!(all(&world.ok("GetGroup", &[("GroupName", "g00")]), "UserName"), ["ada", "Zoe"]);
    for n in 1..10 {
        world.ok("AddUserToGroup", &[("UserName", "ada"), ("GroupName", &format!("g{n:02}"))]);
    }
    assert_eq!(
        world.refused("AddUserToGroup", &[("UserName", "ada"), ("GroupName", "g10")]),
        "LimitExceeded: Cannot exceed quota for GroupsPerUser: 10"
    );
    world.ok("UpdateGroup", &[("GroupName", "g00"), ("NewGroupName", "a00")]);
    let listed = world.ok("ListGroupsForUser", &[("UserName", "ada")]);
    assert_eq!(all(&listed, "GroupName")[..2], ["a00", "g01"], "members stay when a group is renamed");
    assert_eq!(
        world.refused("DeleteGroup", &[("GroupName", "a00")]),
        "DeleteConflict: Cannot delete entity, must remove users from group first."
    );
    assert_eq!(
        world.refused("AddUserToGroup", &[("UserName", "ada"), ("GroupName", "nobody")]),
        "NoSuchEntity: The group with name nobody cannot be found."
    );
    assert_eq!(
        world.refused("RemoveUserFromGroup", &[("UserName", "Zoe"), ("GroupName", "g01")]),
        "NoSuchEntity: The user with name Zoe cannot be found."
    );
}

/// identity J4: `UserName` absent = caller.
#[test]
fn who_names_nobody_means_himself() {
    let mut world = World::new();
    world.ok("CreateUser", &[("UserName", "ada"), ("Path", "/ops/")]);
    assert_eq!(one(&world.ok("GetUser", &[]), "Arn"), format!("arn:aws:iam::{ACCOUNT}:root"));
    assert_eq!(all(&world.ok("ListAccessKeys", &[]), "AccessKeyId"), [""; 0]);
    let needed = "ValidationError: Must specify userName when calling with non-User credentials";
    assert_eq!(world.refused("CreateAccessKey", &[]), needed);
    world.act_as(ACCOUNT, PrincipalKind::User, &format!("arn:aws:iam::{ACCOUNT}:user/ops/ada"));
    assert_eq!(one(&world.ok("GetUser", &[]), "UserName"), "ada");
    let key = one(&world.ok("CreateAccessKey", &[]), "AccessKeyId");
    assert_eq!(all(&world.ok("ListAccessKeys", &[]), "AccessKeyId"), [&*key]);
    world.ok("UpdateAccessKey", &[("AccessKeyId", &key), ("Status", "Inactive")]);
    world.ok("DeleteAccessKey", &[("AccessKeyId", &key)]);
    world.act_as(ACCOUNT, PrincipalKind::Session, &format!("arn:aws:sts::{ACCOUNT}:assumed-role/r/s"));
    assert_eq!(world.refused("GetUser", &[]), needed);
}

#[test]
fn accounts_do_not_see_each_other() {
    let mut world = World::new();
    world.ok("CreateUser", &[("UserName", "ada")]);
    let arn = one(&world.ok("CreatePolicy", &[("PolicyName", "p"), ("PolicyDocument", ALLOW)]), "Arn");
    world.act_as("444455556666", PrincipalKind::Root, "arn:aws:iam::444455556666:root");
    assert!(world.refused("GetUser", &[("UserName", "ada")]).starts_with("NoSuchEntity"));
    assert_eq!(all(&world.ok("ListUsers", &[]), "UserName"), [""; 0]);
    assert_eq!(
        world.refused("GetPolicy", &[("PolicyArn", &arn)]),
        format!("NoSuchEntity: Policy {arn} was not found.")
    );
    world.ok("CreateUser", &[("UserName", "ada")]);
}

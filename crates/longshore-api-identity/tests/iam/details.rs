//! Everything of an account, and how many of everything.

use crate::support::{ALLOW, TRUST, World, all, decoded, one};

#[test]
fn one_list_of_everything() {
    let world = World::new();
    world.ok("CreateUser", &[("UserName", "u")]);
    world.ok("CreateGroup", &[("GroupName", "g")]);
    world.ok("CreateRole", &[("RoleName", "r"), ("AssumeRolePolicyDocument", TRUST)]);
    world.ok("CreatePolicy", &[("PolicyName", "p"), ("PolicyDocument", ALLOW)]);
    world.ok("AddUserToGroup", &[("UserName", "u"), ("GroupName", "g")]);
    world.ok("PutUserPolicy", &[("UserName", "u"), ("PolicyName", "own"), ("PolicyDocument", ALLOW)]);
    world.ok(
        "AttachRolePolicy",
        &[("RoleName", "r"), ("PolicyArn", "arn:aws:iam::aws:policy/ReadOnlyAccess")],
    );
    world.ok("CreateInstanceProfile", &[("InstanceProfileName", "ip")]);
    world.ok("AddRoleToInstanceProfile", &[("RoleName", "r"), ("InstanceProfileName", "ip")]);
    let whole = world.ok("GetAccountAuthorizationDetails", &[]);
    assert!(whole.contains("<GroupList><member>g</member></GroupList>"), "{whole}");
    assert_eq!(one(&whole, "InstanceProfileName"), "ip");
    assert_eq!(decoded(&one(&whole, "PolicyDocument")), ALLOW);
    let (mut arns, mut marker) = (Vec::new(), None);
    loop {
        let mut members = vec![("MaxItems", "1")];
        members.extend(marker.as_deref().map(|marker| ("Marker", marker)));
        let page = world.ok("GetAccountAuthorizationDetails", &members);
        arns.push(one(&page, "Arn").rsplit(':').next().expect("the last part").to_owned());
        if one(&page, "IsTruncated") == "false" {
            break;
        }
        marker = Some(one(&page, "Marker"));
    }
    // The instance profile's ARN stands in its role.
    assert_eq!(arns[..2], ["user/u", "group/g"]);
    assert_eq!(arns[3..], ["policy/p", "policy/ReadOnlyAccess"]);
    let roles = world.ok("GetAccountAuthorizationDetails", &[("Filter.member.1", "Role")]);
    assert_eq!((all(&roles, "UserName").len(), one(&roles, "RoleId").len()), (0, 21));
}

#[test]
fn how_many_of_everything() {
    let world = World::new();
    world.ok("CreateUser", &[("UserName", "u")]);
    world.ok("CreatePolicy", &[("PolicyName", "p"), ("PolicyDocument", ALLOW)]);
    let summary = world.ok("GetAccountSummary", &[]);
    for (key, value) in
        [("Users", 1), ("Groups", 0), ("PolicyVersionsInUse", 1), ("AccessKeysPerUserQuota", 2)]
    {
        assert!(summary.contains(&format!("<key>{key}</key><value>{value}</value>")), "{key}: {summary}");
    }
}

/// Clients go through these before they delete a user.
#[test]
fn a_user_has_nothing_of_what_cannot_be_made_here() {
    let world = World::new();
    world.ok("CreateUser", &[("UserName", "u")]);
    for list in
        ["ListMFADevices", "ListSSHPublicKeys", "ListSigningCertificates", "ListServiceSpecificCredentials"]
    {
        assert_eq!(one(&world.ok(list, &[("UserName", "u")]), "IsTruncated"), "false", "{list}");
        assert!(world.refused(list, &[("UserName", "v")]).starts_with("NoSuchEntity"), "{list}");
    }
}

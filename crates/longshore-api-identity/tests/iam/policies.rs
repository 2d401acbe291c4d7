//! Managed and inline policies (identity J4, J5).

use crate::support::{ACCOUNT, ALLOW, TRUST, World, all, decoded, one};

fn deny(action: &str) -> String {
    ALLOW.replace("Allow", "Deny").replace("ecs:*", action)
}

#[test]
fn a_policy_has_versions_whose_numbers_do_not_come_again() {
    let world = World::new();
    let text = ALLOW.replace("\"Resource\":\"*\"", " \"Resource\" : \"arn:aws:s3:::a+b c/ü\"");
    let made = world.ok(
        "CreatePolicy",
        &[("PolicyName", "p"), ("Path", "/ops/"), ("PolicyDocument", &text), ("Description", "d")],
    );
    let arn = one(&made, "Arn");
    assert_eq!(arn, format!("arn:aws:iam::{ACCOUNT}:policy/ops/p"));
    assert!(one(&made, "PolicyId").starts_with("ANPA"));
    let named = ("PolicyArn", &*arn);
    let version = |id: &str| world.ok("GetPolicyVersion", &[named, ("VersionId", id)]);
    let document = one(&version("v1"), "Document");
    assert!(document.contains("%20") && document.contains("%2B"), "{document}");
    assert_eq!(decoded(&document), text);
    for n in 2..=5 {
        let made = world.ok("CreatePolicyVersion", &[named, ("PolicyDocument", &deny("a:b"))]);
        assert_eq!(
            (one(&made, "VersionId"), one(&made, "IsDefaultVersion")),
            (format!("v{n}"), "false".into())
        );
    }
    assert_eq!(
        world.refused("CreatePolicyVersion", &[named, ("PolicyDocument", ALLOW)]),
        "LimitExceeded: A managed policy can have up to 5 versions. Before you create a new version, you must delete an \
         existing version."
    );
    world.ok("SetDefaultPolicyVersion", &[named, ("VersionId", "v3")]);
    assert_eq!(
        world.refused("DeletePolicyVersion", &[named, ("VersionId", "v3")]),
        "DeleteConflict: Cannot delete the default version of a policy."
    );
    world.ok("DeletePolicyVersion", &[named, ("VersionId", "v5")]);
    let made = world.ok("CreatePolicyVersion", &[named, ("PolicyDocument", ALLOW), ("SetAsDefault", "true")]);
    assert_eq!(one(&made, "VersionId"), "v6");
    let listed = world.ok("ListPolicyVersions", &[named]);
    assert_eq!(all(&listed, "VersionId"), ["v6", "v4", "v3", "v2", "v1"]);
    assert_eq!(all(&listed, "IsDefaultVersion")[0], "true");
    assert_eq!(one(&world.ok("GetPolicy", &[named]), "DefaultVersionId"), "v6");
    for bad in ["v5", "v7"] {
        let told = format!("NoSuchEntity: Policy {arn} version {bad} does not exist or is not attachable.");
        assert_eq!(world.refused("GetPolicyVersion", &[named, ("VersionId", bad)]), told);
        assert_eq!(world.refused("SetDefaultPolicyVersion", &[named, ("VersionId", bad)]), told);
    }
    assert!(
        world
            .refused("DeletePolicy", &[named])
            .starts_with("DeleteConflict: This policy has more than one version.")
    );
    for id in ["v1", "v2", "v3", "v4"] {
        world.ok("DeletePolicyVersion", &[named, ("VersionId", id)]);
    }
    world.ok("DeletePolicy", &[named]);
    assert_eq!(world.refused("GetPolicy", &[named]), format!("NoSuchEntity: Policy {arn} was not found."));
}

#[test]
fn what_is_no_policy_is_told_in_the_words_of_iam() {
    let world = World::new();
    let with = |text: &str| world.refused("CreatePolicy", &[("PolicyName", "p"), ("PolicyDocument", text)]);
    let statement = |text: &str| format!(r#"{{"Version":"2012-10-17","Statement":{text}}}"#);
    for (text, told) in [
        ("{".to_owned(), "Syntax errors in policy."),
        (ALLOW.replace("2012-10-17", "2008-10-17"), "Policy document must be version 2012-10-17 or greater."),
        (TRUST.to_owned(), "Policy document should not specify a principal."),
        (statement(r#"{"Effect":"Allow","Resource":"*"}"#), "Policy statement must contain actions."),
        (statement(r#"{"Effect":"Allow","Action":"a:b"}"#), "Policy statement must contain resources."),
        (
            statement(r#"{"Effect":"Allow","Action":"a:b","Resource":"x"}"#),
            r#"Resource x must be in ARN format or "*"."#,
        ),
        (
            statement(r#"{"Effect":"Allow","Action":"ab","Resource":"*"}"#),
            "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
        ),
    ] {
        assert_eq!(with(&text), format!("MalformedPolicyDocument: {told}"));
    }
    let actions = (0..700).map(|n| format!("\"ecs:A{n:05}\"")).collect::<Vec<_>>().join(",");
    let long = statement(&format!(r#"{{"Effect":"Allow","Action":[{actions}],"Resource":"*"}}"#));
    assert_eq!(with(&long), "LimitExceeded: Cannot exceed quota for PolicySize: 6144");
    world.ok("CreatePolicy", &[("PolicyName", "p"), ("PolicyDocument", ALLOW)]);
    assert_eq!(
        world.refused("CreatePolicy", &[("PolicyName", "P"), ("Path", "/x/"), ("PolicyDocument", ALLOW)]),
        "EntityAlreadyExists: A policy called P already exists. Duplicate names are not allowed."
    );
}

/// identity J5.
#[test]
fn the_policies_of_aws_are_everybodys() {
    let world = World::new();
    let arn = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy";
    let shown = world.ok("GetPolicy", &[("PolicyArn", arn)]);
    assert_eq!(
        (one(&shown, "Path"), one(&shown, "DefaultVersionId")),
        ("/service-role/".into(), "v1".into())
    );
    let document = world.ok("GetPolicyVersion", &[("PolicyArn", arn), ("VersionId", "v1")]);
    assert!(decoded(&one(&document, "Document")).contains("ecr:BatchGetImage"));
    assert!(
        world
            .refused(
                "GetPolicy",
                &[("PolicyArn", "arn:aws:iam::aws:policy/AmazonECSTaskExecutionRolePolicy")]
            )
            .starts_with("NoSuchEntity")
    );
    for action in ["DeletePolicy", "SetDefaultPolicyVersion", "CreatePolicyVersion", "TagPolicy"] {
        let members = [
            ("PolicyArn", arn),
            ("VersionId", "v1"),
            ("PolicyDocument", ALLOW),
            ("Tags.member.1.Key", "k"),
            ("Tags.member.1.Value", "v"),
        ];
        assert_eq!(
            world.refused(action, &members),
            format!("NoSuchEntity: Policy {arn} was not found."),
            "{action}"
        );
    }
    world.ok("CreateUser", &[("UserName", "ada")]);
    let user = ("UserName", "ada");
    let linked = "arn:aws:iam::aws:policy/aws-service-role/AmazonECSServiceRolePolicy";
    assert_eq!(
        world.refused("AttachUserPolicy", &[user, ("PolicyArn", linked)]),
        "PolicyNotAttachable: Cannot attach a Service Role Policy to a Customer Role."
    );
    let nothing = "arn:aws:iam::aws:policy/Nothing";
    assert_eq!(
        world.refused("AttachUserPolicy", &[user, ("PolicyArn", nothing)]),
        format!("NoSuchEntity: Policy {nothing} does not exist or is not attachable.")
    );
    world.ok("CreatePolicy", &[("PolicyName", "own"), ("PolicyDocument", ALLOW)]);
    assert_eq!(all(&world.ok("ListPolicies", &[("Scope", "Local")]), "PolicyName"), ["own"]);
    let aws = all(&world.ok("ListPolicies", &[("Scope", "AWS")]), "PolicyName");
    assert!(aws.contains(&"AdministratorAccess".to_owned()) && !aws.contains(&"own".to_owned()));
    assert_eq!(all(&world.ok("ListPolicies", &[]), "PolicyName").len(), aws.len() + 1);
    assert_eq!(all(&world.ok("ListPolicies", &[("OnlyAttached", "true")]), "PolicyName"), [""; 0]);
}

#[test]
fn ten_policies_are_enough() {
    let world = World::new();
    world.ok("CreateUser", &[("UserName", "ada")]);
    let arns: Vec<String> = (0..11)
        .map(|n| {
            one(
                &world.ok(
                    "CreatePolicy",
                    &[
                        ("PolicyName", &format!("p{n:02}")),
                        ("Path", if n == 0 { "/a/" } else { "/" }),
                        ("PolicyDocument", ALLOW),
                    ],
                ),
                "Arn",
            )
        })
        .collect();
    for arn in arns[..10].iter().rev() {
        world.ok("AttachUserPolicy", &[("UserName", "ada"), ("PolicyArn", arn)]);
    }
    let last = [("UserName", "ada"), ("PolicyArn", &*arns[10])];
    assert_eq!(
        world.refused("AttachUserPolicy", &last),
        "LimitExceeded: Cannot exceed quota for PoliciesPerUser: 10"
    );
    world.ok("AttachUserPolicy", &[("UserName", "ada"), ("PolicyArn", &arns[0])]);
    let listed = world.ok("ListAttachedUserPolicies", &[("UserName", "ada"), ("MaxItems", "3")]);
    assert_eq!(all(&listed, "PolicyName"), ["p00", "p01", "p02"]);
    let rest = world.ok(
        "ListAttachedUserPolicies",
        &[("UserName", "ada"), ("MaxItems", "9"), ("Marker", &one(&listed, "Marker"))],
    );
    assert_eq!((all(&rest, "PolicyName").len(), one(&rest, "IsTruncated")), (7, "false".into()));
    let below = world.ok("ListAttachedUserPolicies", &[("UserName", "ada"), ("PathPrefix", "/a/")]);
    assert_eq!(all(&below, "PolicyArn"), [arns[0].clone()]);
}

#[test]
fn who_has_a_policy() {
    let world = World::new();
    let arn = one(&world.ok("CreatePolicy", &[("PolicyName", "p"), ("PolicyDocument", ALLOW)]), "Arn");
    let policy = ("PolicyArn", &*arn);
    world.ok("CreateUser", &[("UserName", "u")]);
    world.ok("CreateGroup", &[("GroupName", "g"), ("Path", "/x/")]);
    world.ok("CreateRole", &[("RoleName", "r"), ("AssumeRolePolicyDocument", TRUST)]);
    world.ok("AttachUserPolicy", &[("UserName", "u"), policy]);
    world.ok("AttachGroupPolicy", &[("GroupName", "g"), policy]);
    world.ok("PutRolePermissionsBoundary", &[("RoleName", "r"), ("PermissionsBoundary", &arn)]);
    let names = |members: &[(&str, &str)]| {
        let mut all_members = vec![policy];
        all_members.extend(members);
        let listed = world.ok("ListEntitiesForPolicy", &all_members);
        [all(&listed, "UserName"), all(&listed, "GroupName"), all(&listed, "RoleName")].concat().join(" ")
    };
    assert_eq!(names(&[]), "u g r");
    assert_eq!(names(&[("EntityFilter", "Role")]), "r");
    assert_eq!(names(&[("PathPrefix", "/x/")]), "g");
    assert_eq!(names(&[("PolicyUsageFilter", "PermissionsBoundary")]), "r");
    assert_eq!(names(&[("PolicyUsageFilter", "PermissionsPolicy")]), "u g");
    let first = world.ok("ListEntitiesForPolicy", &[policy, ("MaxItems", "2")]);
    let rest =
        world.ok("ListEntitiesForPolicy", &[policy, ("MaxItems", "2"), ("Marker", &one(&first, "Marker"))]);
    assert_eq!(one(&rest, "IsTruncated"), "false");
    assert_eq!(one(&world.ok("GetPolicy", &[policy]), "AttachmentCount"), "2");
    world.ok("DetachGroupPolicy", &[("GroupName", "g"), policy]);
    world.ok("DetachUserPolicy", &[("UserName", "u"), policy]);
    assert!(world.refused("DeletePolicy", &[policy]).starts_with("DeleteConflict"), "boundaries count");
}

#[test]
fn inline_policies_are_their_holders() {
    let world = World::new();
    world.ok("CreateUser", &[("UserName", "h")]);
    world.ok("CreateGroup", &[("GroupName", "h")]);
    world.ok("CreateRole", &[("RoleName", "h"), ("AssumeRolePolicyDocument", TRUST)]);
    for (kind, max) in [("User", 2048), ("Group", 5120), ("Role", 10240)] {
        let holder = format!("{kind}Name");
        let of = (&*holder, "h");
        let call = |verb: &str| format!("{verb}{kind}Policy");
        let lower = kind.to_lowercase();
        world.ok(&call("Put"), &[of, ("PolicyName", "b"), ("PolicyDocument", ALLOW)]);
        world.ok(&call("Put"), &[of, ("PolicyName", "A"), ("PolicyDocument", &deny("x:y"))]);
        world.ok(&call("Put"), &[of, ("PolicyName", "A"), ("PolicyDocument", &deny("x:z"))]);
        let shown = world.ok(&call("Get"), &[of, ("PolicyName", "A")]);
        assert_eq!(decoded(&one(&shown, "PolicyDocument")), deny("x:z"));
        assert_eq!(one(&shown, &holder), "h");
        let listed = world.ok(&format!("List{kind}Policies"), &[of]);
        assert_eq!(all(&listed, "member"), ["A", "b"]);
        // White space is free, and what is replaced does not count.
        let wide = ALLOW.replace(":{", &format!(":{}{{", " ".repeat(max)));
        world.ok(&call("Put"), &[of, ("PolicyName", "b"), ("PolicyDocument", &wide)]);
        let long = ALLOW.replace("ecs:*", &format!("ecs:{}", "a".repeat(max - 200)));
        assert_eq!(
            world.refused(&call("Put"), &[of, ("PolicyName", "c"), ("PolicyDocument", &long)]),
            format!("LimitExceeded: Maximum policy size of {max} bytes exceeded for {lower} h")
        );
        world.ok(&call("Delete"), &[of, ("PolicyName", "A")]);
        world.ok(&call("Put"), &[of, ("PolicyName", "b"), ("PolicyDocument", &long)]);
        assert_eq!(
            world.refused(&call("Get"), &[of, ("PolicyName", "A")]),
            format!("NoSuchEntity: The {lower} policy with name A cannot be found.")
        );
        assert!(world.refused(&call("Delete"), &[of, ("PolicyName", "A")]).starts_with("NoSuchEntity"));
        assert_eq!(
            world.refused(
                &call("Put"),
                &[(&*holder, "nobody"), ("PolicyName", "A"), ("PolicyDocument", ALLOW)]
            ),
            format!("NoSuchEntity: The {lower} with name nobody cannot be found.")
        );
    }
}

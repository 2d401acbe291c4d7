//! Tags: unique whatever the case of their keys (identity J4).

use crate::support::{ALLOW, TRUST, World, all, one};

/// The members of a call that tags something.
fn tag<'a>(of: (&'a str, &'a str), key: &'a str, value: &'a str) -> [(&'a str, &'a str); 3] {
    [of, ("Tags.member.1.Key", key), ("Tags.member.1.Value", value)]
}

#[test]
fn everything_that_has_tags() {
    let world = World::new();
    world.ok("CreateUser", &[("UserName", "a")]);
    world.ok("CreateRole", &[("RoleName", "a"), ("AssumeRolePolicyDocument", TRUST)]);
    world.ok("CreateInstanceProfile", &[("InstanceProfileName", "a")]);
    let policy = one(&world.ok("CreatePolicy", &[("PolicyName", "a"), ("PolicyDocument", ALLOW)]), "Arn");
    let provider = world.ok("CreateOpenIDConnectProvider", &[("Url", "https://a.example")]);
    let provider = one(&provider, "OpenIDConnectProviderArn");
    for (kind, member, name) in [
        ("User", "UserName", "a"),
        ("Role", "RoleName", "a"),
        ("InstanceProfile", "InstanceProfileName", "a"),
        ("Policy", "PolicyArn", &*policy),
        ("OpenIDConnectProvider", "OpenIDConnectProviderArn", &*provider),
    ] {
        let of = (member, name);
        world.ok(&format!("Tag{kind}"), &tag(of, "Team", "red"));
        world.ok(&format!("Tag{kind}"), &tag(of, "team", "blue"));
        world.ok(&format!("Tag{kind}"), &tag(of, "Zone", ""));
        let list = format!("List{kind}Tags");
        let listed = world.ok(&list, &[of]);
        assert_eq!(
            (all(&listed, "Key"), one(&listed, "Value")),
            (vec!["Zone".to_owned(), "team".into()], String::new()),
            "{kind}"
        );
        let first = world.ok(&list, &[of, ("MaxItems", "1")]);
        let rest = world.ok(&list, &[of, ("MaxItems", "1"), ("Marker", &one(&first, "Marker"))]);
        assert_eq!(all(&rest, "Key"), ["team"]);
        world.ok(&format!("Untag{kind}"), &[of, ("TagKeys.member.1", "TEAM"), ("TagKeys.member.2", "none")]);
        assert_eq!(all(&world.ok(&list, &[of]), "Key"), ["Zone"], "{kind}");
        let twice = [
            of,
            ("Tags.member.1.Key", "a"),
            ("Tags.member.1.Value", ""),
            ("Tags.member.2.Key", "A"),
            ("Tags.member.2.Value", ""),
        ];
        assert_eq!(
            world.refused(&format!("Tag{kind}"), &twice),
            "InvalidInput: Duplicate tag keys found. Please note that Tag keys are case insensitive."
        );
        let reserved = world.refused(&format!("Tag{kind}"), &tag(of, "aws:x", ""));
        assert!(reserved.starts_with("InvalidInput: "), "{reserved}");
        for n in 0..49 {
            let key = format!("k{n}");
            world.ok(&format!("Tag{kind}"), &tag(of, &key, ""));
        }
        assert!(
            world
                .refused(&format!("Tag{kind}"), &tag(of, "more", ""))
                .starts_with("LimitExceeded: Cannot exceed quota for TagsPer")
        );
    }
}

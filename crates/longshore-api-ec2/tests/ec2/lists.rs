//! Filters and pages, the same for every list.

use crate::support::{World, all, one};

#[test]
fn a_filter_that_is_not_there_is_refused() {
    let world = World::new();
    let named =
        |name: &str| world.refused("DescribeVpcs", &[("Filter.1.Name", name), ("Filter.1.Value.1", "x")]);
    assert_eq!(named("vpc"), "InvalidParameterValue: The filter 'vpc' is invalid");
    assert_eq!(named("VPC-ID"), "InvalidParameterValue: The filter 'VPC-ID' is invalid");
    assert_eq!(named(""), "InvalidParameterValue: The filter '' is invalid");
    assert_eq!(
        world.refused("DescribeVpcs", &[("Filter.1.Name", "vpc-id")]),
        "InvalidParameterValue: The filter 'vpc-id' has no values"
    );
    let names: Vec<String> = (1..=201).map(|n| format!("Filter.1.Value.{n}")).collect();
    let mut members = vec![("Filter.1.Name", "vpc-id")];
    members.extend(names.iter().map(|name| (name.as_str(), "x")));
    assert!(world.refused("DescribeVpcs", &members).starts_with("FilterLimitExceeded: "));
}

#[test]
fn filters_are_joined_by_and_and_their_values_by_or() {
    let world = World::new();
    let vpc = world.vpc();
    let first = world.subnet(&vpc, 1);
    world.subnet(&vpc, 2);
    let count = |members: &[(&str, &str)]| all(&world.ok("DescribeSubnets", members), "subnetId").len();
    assert_eq!(count(&[("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", &vpc)]), 2);
    let either = [
        ("Filter.1.Name", "cidr-block"),
        ("Filter.1.Value.1", "10.1.1.0/24"),
        ("Filter.1.Value.2", "172.31.*"),
    ];
    assert_eq!(count(&either), 4);
    let both = [&either[..], &[("Filter.2.Name", "default-for-az"), ("Filter.2.Value.1", "false")]].concat();
    assert_eq!(all(&world.ok("DescribeSubnets", &both), "subnetId"), [&*first]);
    // Ids are looked for among all, filters then narrow them.
    let named = [("SubnetId.1", &*first), ("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", "vpc-x")];
    assert_eq!(count(&named), 0);
}

#[test]
fn tags_are_filters() {
    let world = World::new();
    let vpc = world.vpc();
    world.ok("CreateTags", &[("ResourceId.1", &vpc), ("Tag.1.Key", "Env"), ("Tag.1.Value", "prod-1")]);
    let count = |name: &str, value: &str| {
        all(
            &world.ok("DescribeVpcs", &[("Filter.1.Name", name), ("Filter.1.Value.1", value)]),
            "cidrBlockAssociationSet",
        )
        .len()
    };
    assert_eq!(count("tag:Env", "prod-1"), 1);
    assert_eq!(count("tag:Env", "prod-?"), 1);
    assert_eq!(count("tag:Env", "prod"), 0);
    assert_eq!(count("tag:env", "prod-1"), 0, "keys have their case");
    assert_eq!(count("tag-key", "E*"), 1);
    assert_eq!(count("tag-value", "prod-1"), 1);
}

#[test]
fn lists_come_in_pages() {
    let world = World::new();
    for n in 1..=7 {
        world.group(&world.default_vpc(), &format!("g{n}"));
    }
    let mut seen = Vec::new();
    let mut token: Option<String> = None;
    loop {
        let mut members = vec![("MaxResults", "5")];
        if let Some(token) = &token {
            members.push(("NextToken", token));
        }
        let body = world.ok("DescribeSecurityGroups", &members);
        seen.extend(all(&body, "securityGroupArn"));
        match all(&body, "nextToken").pop() {
            Some(next) => token = Some(next),
            None => break,
        }
        assert!(seen.len() < 20, "it ends");
    }
    let mut unique = seen.clone();
    unique.sort();
    unique.dedup();
    assert_eq!((seen.len(), unique.len()), (8, 8));
    assert!(token.is_some(), "there were two pages");
}

#[test]
fn pages_have_their_bounds() {
    let world = World::new();
    for size in ["4", "0", "-1"] {
        assert_eq!(
            world.refused("DescribeVpcs", &[("MaxResults", size)]),
            format!(
                "InvalidParameterValue: Value ( {size} ) for parameter maxResults is invalid. Expecting a value greater than 5."
            )
        );
    }
    assert!(world.refused("DescribeVpcs", &[("MaxResults", "1001")]).contains("smaller than 1000"));
    world.ok("DescribeVpcs", &[("MaxResults", "1000")]);
    let vpc = world.default_vpc();
    assert_eq!(
        world.refused("DescribeVpcs", &[("MaxResults", "5"), ("VpcId.1", &vpc)]),
        "InvalidParameterCombination: The parameter vpcIds cannot be used with the parameter maxResults"
    );
    assert_eq!(
        world.refused("DescribeVpcs", &[("NextToken", "x")]),
        "InvalidNextToken: The token 'x' is invalid"
    );
    for n in 1..=7 {
        world.group(&vpc, &format!("g{n}"));
    }
    let token = one(&world.ok("DescribeSecurityGroups", &[("MaxResults", "5")]), "nextToken");
    assert!(
        world.refused("DescribeSubnets", &[("NextToken", &token)]).starts_with("InvalidNextToken: "),
        "a token is one of its list"
    );
}

//! Lists in pages (identity J2).

use crate::support::{TRUST, World, all, one};

#[test]
fn a_hundred_and_fifty_roles() {
    let mut names: Vec<String> =
        (0..150).map(|n| format!("{}-{n:03}", if n % 2 == 0 { "role" } else { "Role" })).collect();
    let world = World::new();
    for name in &names {
        world.reply("CreateRole", &[("RoleName", name), ("AssumeRolePolicyDocument", TRUST)]);
    }
    names.sort_by_key(|name| name.to_lowercase());
    let first = world.ok("ListRoles", &[]);
    assert_eq!((all(&first, "RoleName").len(), one(&first, "IsTruncated")), (100, "true".into()));
    let marker = one(&first, "Marker");
    let second = world.ok("ListRoles", &[("Marker", &marker)]);
    assert_eq!(one(&second, "IsTruncated"), "false");
    assert!(!second.contains("<Marker>"), "only if there is more");
    assert_eq!([all(&first, "RoleName"), all(&second, "RoleName")].concat(), names);
    // A name that goes between two pages takes no other with it.
    world.ok("DeleteRole", &[("RoleName", &names[99])]);
    assert_eq!(all(&world.ok("ListRoles", &[("Marker", &marker)]), "RoleName"), names[100..]);

    assert!(
        world
            .refused("ListRoles", &[("Marker", &marker), ("PathPrefix", "/x/")])
            .starts_with("ValidationError: Invalid Marker")
    );
    assert!(
        world.refused("ListUsers", &[("Marker", &marker)]).starts_with("ValidationError: Invalid Marker")
    );
    assert_eq!(all(&world.ok("ListRoles", &[("MaxItems", "7")]), "RoleName"), names[..7]);
    for bad in ["0", "1001"] {
        assert!(world.refused("ListRoles", &[("MaxItems", bad)]).contains("at 'maxItems'"), "{bad}");
    }
}

#[test]
fn paths_are_prefixes() {
    let world = World::new();
    for (name, path) in [("a", "/"), ("b", "/ops/"), ("c", "/ops/night/"), ("d", "/other/")] {
        world.ok("CreateUser", &[("UserName", name), ("Path", path)]);
    }
    let listed = |prefix| all(&world.ok("ListUsers", &[("PathPrefix", prefix)]), "UserName");
    assert_eq!(listed("/"), ["a", "b", "c", "d"]);
    assert_eq!(listed("/o"), ["b", "c", "d"]);
    assert_eq!(listed("/ops/n"), ["c"]);
    assert!(
        world
            .refused("ListUsers", &[("PathPrefix", "ops")])
            .starts_with("ValidationError: The specified value for pathPrefix")
    );
}

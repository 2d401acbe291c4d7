//! OpenID Connect providers.

use crate::support::{ACCOUNT, World, all, one};

#[test]
fn a_provider_is_made_changed_and_deleted() {
    let world = World::new();
    let url = ("Url", "https://token.actions.githubusercontent.com");
    let print = "6938fd4d98bab03faadb97b34396831e3780aea1";
    let made = world.ok(
        "CreateOpenIDConnectProvider",
        &[
            url,
            ("ClientIDList.member.1", "sts.amazonaws.com"),
            ("ThumbprintList.member.1", print),
            ("Tags.member.1.Key", "k"),
            ("Tags.member.1.Value", "v"),
        ],
    );
    let arn = one(&made, "OpenIDConnectProviderArn");
    assert_eq!(arn, format!("arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"));
    assert_eq!(
        world.refused("CreateOpenIDConnectProvider", &[url]),
        "EntityAlreadyExists: Provider with url https://token.actions.githubusercontent.com already exists."
    );
    let of = ("OpenIDConnectProviderArn", &*arn);
    world.ok("AddClientIDToOpenIDConnectProvider", &[of, ("ClientID", "other")]);
    world.ok("AddClientIDToOpenIDConnectProvider", &[of, ("ClientID", "other")]);
    world.ok("UpdateOpenIDConnectProviderThumbprint", &[of, ("ThumbprintList.member.1", &"a".repeat(40))]);
    let shown = world.ok("GetOpenIDConnectProvider", &[of]);
    assert_eq!(one(&shown, "Url"), "token.actions.githubusercontent.com");
    assert!(shown.contains("<member>other</member><member>sts.amazonaws.com</member>"), "{shown}");
    assert!(shown.contains(&"a".repeat(40)) && !shown.contains(print) && one(&shown, "Value") == "v");
    world.ok("RemoveClientIDFromOpenIDConnectProvider", &[of, ("ClientID", "other")]);
    world.ok("RemoveClientIDFromOpenIDConnectProvider", &[of, ("ClientID", "other")]);
    assert!(!world.ok("GetOpenIDConnectProvider", &[of]).contains("other"));
    assert_eq!(all(&world.ok("ListOpenIDConnectProviders", &[]), "Arn"), [&*arn]);
    world.ok("DeleteOpenIDConnectProvider", &[of]);
    let gone = format!("NoSuchEntity: OpenIDConnect Provider not found for arn {arn}");
    for action in ["GetOpenIDConnectProvider", "DeleteOpenIDConnectProvider", "ListOpenIDConnectProviderTags"]
    {
        assert_eq!(world.refused(action, &[of]), gone);
    }
}

#[test]
fn what_is_no_provider_is_refused() {
    let world = World::new();
    for url in [
        "http://a.example",
        "https://",
        "https://a.example:8443",
        "https://a@b.example",
        "https://a.example/?q",
    ] {
        let told = world.refused("CreateOpenIDConnectProvider", &[("Url", url)]);
        assert!(told.starts_with("InvalidInput: Invalid Open ID Connect Provider URL"), "{url}: {told}");
    }
    let url = ("Url", "https://a.example/x/");
    for print in ["a".repeat(39), "g".repeat(40)] {
        let members = [url, ("ThumbprintList.member.1", &*print)];
        assert_ne!(world.reply("CreateOpenIDConnectProvider", &members).0, 200, "{print}");
    }
    let ids: Vec<String> = (0..101).map(|n| format!("ClientIDList.member.{}", n + 1)).collect();
    let clients = ids.iter().map(|id| (&**id, &**id));
    let members: Vec<(&str, &str)> = [url].into_iter().chain(clients).collect();
    assert_eq!(
        world.refused("CreateOpenIDConnectProvider", &members),
        "LimitExceeded: Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: 100"
    );
    let arn = one(&world.ok("CreateOpenIDConnectProvider", &[url]), "OpenIDConnectProviderArn");
    assert_eq!(arn, format!("arn:aws:iam::{ACCOUNT}:oidc-provider/a.example/x"));
}

//! STS through the port: a form in, XML out; with IAM and the guard beside it, as a server has them.

mod web;
mod world;

use longshore_api::{Api, PrincipalKind};
use longshore_api_identity::{Sts, unique_id};
use longshore_tables_iam::session::{self, Token};
use world::{ACCOUNT, OTHER, Who, World, one};

const ALLOW_ALL: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;

fn trust(principal: &str) -> String {
    trust_if(principal, "")
}

fn trust_if(principal: &str, condition: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"],"Principal":{{{principal}}}{condition}}}}}"#
    )
}

fn arn(account: &str, what: &str) -> String {
    format!("arn:aws:iam::{account}:{what}")
}

/// identity J3, and J1 for guests.
#[test]
fn everybody_is_told_who_he_is() {
    let world = World::new();
    let check = |who: Who, user_id: &str| {
        assert_eq!(
            world.sts(&who, "GetCallerIdentity", &[]).1,
            format!(
                "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
                 <Account>{ACCOUNT}</Account><Arn>{}</Arn><UserId>{user_id}</UserId></GetCallerIdentityResult>\
                 <ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata></GetCallerIdentityResponse>",
                who.arn
            )
        );
    };
    let user = Who::new(PrincipalKind::User, ACCOUNT, &arn(ACCOUNT, "user/ada"));
    let session =
        Who::new(PrincipalKind::Session, ACCOUNT, &format!("arn:aws:sts::{ACCOUNT}:assumed-role/web/task-1"));
    check(Who::root(ACCOUNT), ACCOUNT);
    check(Who { kind: PrincipalKind::Guest, ..Who::root(ACCOUNT) }, ACCOUNT);
    check(user.clone(), &unique_id("AIDA", ACCOUNT, "ada"));
    check(Who { id: Some("AIDAQWERTYUIOPASDFGHJ".into()), ..user }, "AIDAQWERTYUIOPASDFGHJ");
    check(
        Who { name: "web/task-1".into(), id: Some("AROAQWERTYUIOPASDFGHJ".into()), ..session },
        "AROAQWERTYUIOPASDFGHJ:task-1",
    );
}

/// A trust policy that names the user is enough; one that names the account needs a policy of the user as well.
#[test]
fn a_role_is_assumed_by_whom_it_trusts() {
    let world = World::new();
    let ada = world.user(ACCOUNT, "ada", None);
    let bob = world.user(ACCOUNT, "bob", Some(ALLOW_ALL));
    world.role(ACCOUNT, "hers", &trust(&format!(r#""AWS":"{}""#, ada.arn)));
    world.role(ACCOUNT, "ours", &trust(&format!(r#""AWS":"{ACCOUNT}""#)));
    world.role(ACCOUNT, "tasks", &trust(r#""Service":"ecs-tasks.amazonaws.com""#));
    let root = Who::root(ACCOUNT);
    for (who, role, may) in [
        (&ada, "hers", true),
        (&bob, "hers", false),
        (&ada, "ours", false),
        (&bob, "ours", true),
        (&root, "hers", false),
        (&root, "ours", true),
        (&bob, "tasks", false),
        (&root, "tasks", false),
        (&bob, "missing", false),
    ] {
        let role = arn(ACCOUNT, &format!("role/{role}"));
        let got = world.assume(who, &role, &[]);
        match may {
            true => assert!(got.is_ok(), "{} {role}: {got:?}", who.arn),
            // Missing and forbidden look the same.
            false => assert_eq!(
                got.expect_err("it is denied"),
                format!(
                    "AccessDenied: User: {} is not authorized to perform: sts:AssumeRole on resource: {role}",
                    who.arn
                )
            ),
        }
    }
}

#[test]
fn across_accounts_both_sides_have_to_allow() {
    let world = World::new();
    let ada = world.user(ACCOUNT, "ada", None);
    let bob = world.user(ACCOUNT, "bob", Some(ALLOW_ALL));
    world.role(OTHER, "by-name", &trust(&format!(r#""AWS":["{}","{}"]"#, ada.arn, bob.arn)));
    world.role(OTHER, "by-account", &trust(&format!(r#""AWS":"{}""#, arn(ACCOUNT, "root"))));
    world.role(OTHER, "closed", &trust(&format!(r#""AWS":"{OTHER}""#)));
    for (who, role, may) in [
        (&ada, "by-name", false),
        (&bob, "by-name", true),
        (&bob, "by-account", true),
        (&ada, "by-account", false),
        (&bob, "closed", false),
        (&Who::root(ACCOUNT), "by-account", true),
        (&Who::root(ACCOUNT), "closed", false),
    ] {
        let got = world.assume(who, &arn(OTHER, &format!("role/{role}")), &[]);
        assert_eq!(got.is_ok(), may, "{} {role}: {got:?}", who.arn);
        if let Ok(session) = got {
            assert_eq!(session.arn, format!("arn:aws:sts::{OTHER}:assumed-role/{role}/s1"));
        }
    }
}

#[test]
fn a_session_lasts_as_long_as_its_role_lets_it() {
    let world = World::new();
    let ada = world.user(ACCOUNT, "ada", Some(ALLOW_ALL));
    world.role(ACCOUNT, "ours", &trust(&format!(r#""AWS":"{ACCOUNT}""#)));
    let role = arn(ACCOUNT, "role/ours");
    assert_eq!(world.assume(&ada, &role, &[]).expect("it may").seconds, 3600);
    assert_eq!(world.assume(&ada, &role, &[("DurationSeconds", "900")]).expect("it may").seconds, 900);
    let too_long = world.assume(&ada, &role, &[("DurationSeconds", "43200")]);
    assert_eq!(
        too_long.expect_err("the role says an hour"),
        "ValidationError: The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
    );
    world.iam(ACCOUNT, "UpdateRole", &[("RoleName", "ours"), ("MaxSessionDuration", "43200")]);
    let long = world.assume(&ada, &role, &[("DurationSeconds", "43200")]).expect("it may");
    assert_eq!(long.seconds, 43_200);
    world.iam(
        ACCOUNT,
        "PutRolePolicy",
        &[("RoleName", "ours"), ("PolicyName", "p"), ("PolicyDocument", ALLOW_ALL)],
    );
    let chained = world.assume(&long.who(), &role, &[("DurationSeconds", "7200")]);
    assert_eq!(
        chained.expect_err("a session of a role"),
        "ValidationError: The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
    );
    assert!(world.assume(&long.who(), &role, &[("DurationSeconds", "3600")]).is_ok());
}

#[test]
fn conditions_of_the_trust_policy_count() {
    let world = World::new();
    let ada = world.user(ACCOUNT, "ada", Some(ALLOW_ALL));
    let us = format!(r#""AWS":"{ACCOUNT}""#);
    let condition = |text: &str| format!(r#","Condition":{{{text}}}"#);
    world.role(ACCOUNT, "outside", &trust_if(&us, &condition(r#""StringEquals":{"sts:ExternalId":"42"}"#)));
    world.role(
        ACCOUNT,
        "named",
        &trust_if(&us, &condition(r#""StringLike":{"sts:RoleSessionName":"${aws:username}-*"}"#)),
    );
    for (role, members, may) in [
        ("outside", &[][..], false),
        ("outside", &[("ExternalId", "41")], false),
        ("outside", &[("ExternalId", "42")], true),
        ("named", &[], false),
        ("named", &[("RoleSessionName", "ada-1")], true),
    ] {
        let got = world.assume(&ada, &arn(ACCOUNT, &format!("role/{role}")), members);
        assert_eq!(got.is_ok(), may, "{role} {members:?}: {got:?}");
    }
}

/// A session does what its policies and those of its role allow, and no more.
#[test]
fn session_policies_limit() {
    let world = World::new();
    let ada = world.user(ACCOUNT, "ada", Some(ALLOW_ALL));
    world.role(ACCOUNT, "ours", &trust(&format!(r#""AWS":"{ACCOUNT}""#)));
    world.iam(
        ACCOUNT,
        "PutRolePolicy",
        &[("RoleName", "ours"), ("PolicyName", "p"), ("PolicyDocument", ALLOW_ALL)],
    );
    let role = arn(ACCOUNT, "role/ours");
    let only_lists =
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:ListRoles","Resource":"*"}}"#;
    let free = world.assume(&ada, &role, &[]).expect("it may");
    let inline = world.assume(&ada, &role, &[("Policy", only_lists)]).expect("it may");
    let managed = [("PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/AmazonECS_FullAccess")];
    let managed = world.assume(&ada, &role, &managed).expect("it may");
    assert_eq!(free.packed, None);
    assert_eq!(inline.packed, Some(5));
    for (session, action, may) in [
        (&free, "ListRoles", true),
        (&free, "ListUsers", true),
        (&inline, "ListRoles", true),
        (&inline, "ListUsers", false),
        (&managed, "ListUsers", false),
    ] {
        let (status, body) = world.iam_as(&session.who(), action, &[]);
        assert_eq!(status == 200, may, "{action}: {body}");
        if !may {
            assert!(
                one(&body, "Message").ends_with(" because no session policy allows the iam:ListUsers action"),
                "{body}"
            );
        }
    }
    for (member, value, error) in [
        ("Policy", "{}", "MalformedPolicyDocument: Syntax errors in policy."),
        (
            "PolicyArns.member.1.arn",
            "arn:aws:iam::aws:policy/None",
            "ValidationError: Policy arn:aws:iam::aws:policy/None was not found.",
        ),
    ] {
        assert_eq!(world.assume(&ada, &role, &[(member, value)]).expect_err("it is wrong"), error);
    }
    let long = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"ecs:*","Resource":"arn:aws:ecs:::{}"}}}}"#,
        "a".repeat(1940)
    );
    assert!(long.len() <= 2048, "{}", long.len());
    let arns = [
        ("Policy", long.as_str()),
        ("PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/AmazonECS_FullAccess"),
    ];
    let error = world.assume(&ada, &role, &arns).expect_err("together it is too much");
    assert!(error.starts_with("PackedPolicyTooLarge: Packed policy consumes "), "{error}");
}

#[test]
fn tags_and_the_source_identity_go_along() {
    let world = World::new();
    let ada = world.user(ACCOUNT, "ada", Some(ALLOW_ALL));
    for role in ["first", "second"] {
        world.role(ACCOUNT, role, &trust(&format!(r#""AWS":"{ACCOUNT}""#)));
        world.iam(
            ACCOUNT,
            "PutRolePolicy",
            &[("RoleName", role), ("PolicyName", "p"), ("PolicyDocument", ALLOW_ALL)],
        );
    }
    let (first, second) = (arn(ACCOUNT, "role/first"), arn(ACCOUNT, "role/second"));
    let tagged = [
        ("Tags.member.1.Key", "team"),
        ("Tags.member.1.Value", "red"),
        ("Tags.member.2.Key", "stage"),
        ("Tags.member.2.Value", "prod"),
        ("TransitiveTagKeys.member.1", "team"),
        ("SourceIdentity", "ada"),
    ];
    let one = world.assume(&ada, &first, &tagged).expect("it may");
    assert_eq!(one.session.tags.len(), 2);
    let two = world.assume(&one.who(), &second, &[]).expect("it may");
    assert_eq!(two.session.tags.keys().collect::<Vec<_>>(), ["team"]);
    assert_eq!(two.session.source_identity.as_deref(), Some("ada"));
    for (members, error) in [
        (
            &[("Tags.member.1.Key", "Team"), ("Tags.member.1.Value", "blue")][..],
            "ValidationError: One of the specified",
        ),
        (&[("SourceIdentity", "bob")], "AccessDenied: The SourceIdentity"),
        (&[("TransitiveTagKeys.member.1", "none")], "ValidationError: The transitive tag key none"),
    ] {
        let got = world.assume(&one.who(), &second, members).expect_err("it is refused");
        assert!(got.starts_with(error), "{got}");
    }
}

/// A session names its role by id: it ends with it, and a new role of the name is another one.
#[test]
fn a_session_ends_with_its_role() {
    let world = World::new();
    let ada = world.user(ACCOUNT, "ada", Some(ALLOW_ALL));
    let document = trust(&format!(r#""AWS":"{ACCOUNT}""#));
    world.role(ACCOUNT, "ours", &document);
    let role = arn(ACCOUNT, "role/ours");
    let session = world.assume(&ada, &role, &[]).expect("it may");
    let is_live =
        || world.db.peek(|state| session::is_live(state, world::account(ACCOUNT), &session.session));
    assert!(is_live());
    world.iam(ACCOUNT, "DeleteRole", &[("RoleName", "ours")]);
    assert!(!is_live());
    world.role(ACCOUNT, "ours", &document);
    assert!(!is_live());
}

/// What stands in a token is for its key alone, and for this store.
#[test]
fn a_token_opens_with_its_own_key() {
    let world = World::new();
    let ada = world.user(ACCOUNT, "ada", Some(ALLOW_ALL));
    world.role(ACCOUNT, "ours", &trust(&format!(r#""AWS":"{ACCOUNT}""#)));
    let role = arn(ACCOUNT, "role/ours");
    let (one, two) = (world.assume(&ada, &role, &[]), world.assume(&ada, &role, &[]));
    let (one, two) = (one.expect("it may"), two.expect("it may"));
    assert!(
        one.key.starts_with("ASIA") && one.key.len() == 20 && one.key != two.key,
        "{} {}",
        one.key,
        two.key
    );
    assert_eq!(one.secret.len(), 40);
    let opened = |key: &str, token: &str| {
        world.db.peek(|state| match session::open(state, key, token) {
            Token::Foreign => "foreign",
            Token::Broken => "broken",
            Token::Opened(opened) if *opened.secret == one.secret => "opened",
            Token::Opened(_) => "another's",
        })
    };
    let last = one.token.len() - 2;
    let swapped = if one.token.ends_with("A") { "B" } else { "A" };
    let changed = format!("{}{swapped}{}", &one.token[..last - 1], &one.token[last..]);
    assert_eq!(opened(&one.key, &one.token), "opened");
    assert_eq!(opened(&two.key, &one.token), "broken");
    assert_eq!(opened("AKIAIOSFODNN7EXAMPLE", &one.token), "broken");
    assert_eq!(opened("test", &one.token), "broken");
    assert_eq!(opened(&one.key, &changed), "broken");
    for foreign in ["", "x", "IQoJb3JpZ2luX2VjEJr", &"A".repeat(20_000)] {
        assert_eq!(opened(&one.key, foreign), "foreign", "{}", foreign.len());
    }
    assert!(!one.token.contains(&one.secret));
    let debug = world.db.peek(|state| match session::open(state, &one.key, &one.token) {
        Token::Opened(opened) => format!("{opened:?}"),
        Token::Foreign | Token::Broken => panic!("it opens"),
    });
    assert!(!debug.contains(&one.secret), "{debug}");
    // Another store has other keys.
    let other = World::new_with_root(8);
    assert!(matches!(other.db.peek(|state| session::open(state, &one.key, &one.token)), Token::Broken));
}

#[test]
fn sessions_make_no_sessions_but_by_roles() {
    let world = World::new();
    let ada = world.user(ACCOUNT, "ada", Some(ALLOW_ALL));
    let token = world.session(&ada, "GetSessionToken", &[]).expect("it may");
    assert_eq!((token.seconds, token.arn.as_str()), (43_200, ada.arn.as_str()));
    let root = world.session(&Who::root(ACCOUNT), "GetSessionToken", &[]).expect("it may");
    assert_eq!(root.seconds, 3600);
    for operation in ["GetSessionToken", "GetFederationToken"] {
        let got = world.session(&token.who(), operation, &[("Name", "fed")]).expect_err("a session");
        assert_eq!(got, format!("AccessDenied: Cannot call {operation} with session credentials"));
    }
    let mfa = [("SerialNumber", "arn:aws:iam::111122223333:mfa/ada"), ("TokenCode", "123456")];
    let got = world.session(&ada, "GetSessionToken", &mfa).expect_err("there are no devices");
    assert!(got.starts_with("AccessDenied: MultiFactorAuthentication failed"), "{got}");
}

/// Without a policy it may do nothing; with one, what both allow.
#[test]
fn a_federated_user_is_limited() {
    let world = World::new();
    let ada = world.user(ACCOUNT, "ada", Some(ALLOW_ALL));
    let none = world.session(&ada, "GetFederationToken", &[("Name", "fed")]).expect("it may");
    let some = [("Name", "fed"), ("Policy", ALLOW_ALL)];
    let some = world.session(&ada, "GetFederationToken", &some).expect("it may");
    let by_root = [("Name", "fed"), ("Policy", ALLOW_ALL)];
    let by_root = world.session(&Who::root(ACCOUNT), "GetFederationToken", &by_root).expect("it may");
    assert_eq!(some.arn, format!("arn:aws:sts::{ACCOUNT}:federated-user/fed"));
    for (session, may) in [(&none, false), (&some, true), (&by_root, true)] {
        let (status, body) = world.sts(&session.who(), "GetAccessKeyInfo", &[("AccessKeyId", &session.key)]);
        assert_eq!(status == 200, may, "{body}");
        if may {
            assert_eq!(one(&body, "Account"), ACCOUNT);
        }
    }
    let nobody = world.user(ACCOUNT, "nobody", None);
    let denied = world.session(&nobody, "GetFederationToken", &[("Name", "fed")]).expect_err("no right");
    assert!(
        denied.contains("sts:GetFederationToken on resource: arn:aws:sts::111122223333:federated-user/fed"),
        "{denied}"
    );
}

/// The ledger says of every operation of the model what is true.
#[test]
fn the_ledger_says_what_is_built() {
    let ledger = include_str!("../../../../support/sts.toml");
    let mut listed: Vec<(&str, bool)> = Vec::new();
    for line in ledger.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            listed.push((name, false));
        } else if let Some(status) = line.strip_prefix("status = ") {
            let is_built = match status {
                "\"implemented\"" | "\"partial\"" => true,
                "\"not implemented\"" => false,
                other => panic!("{other}"),
            };
            listed.last_mut().expect("an operation").1 = is_built;
        }
    }
    listed.sort_unstable();
    let sts = Sts::server(World::new().db);
    let built = sts.operations();
    let want: Vec<(&str, bool)> =
        sts.facts().operations.iter().map(|name| (*name, built.contains(name))).collect();
    assert_eq!(listed, want);
}

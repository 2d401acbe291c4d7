//! What is explained of an access, beside what the guard decides about it.

use std::collections::BTreeSet;

use longshore_api::{PrincipalKind, Session, SessionSource};
use longshore_api_ecs::Caller;
use longshore_base::{AccountId, Ids, Region, Scope, Seed, Timestamp};
use longshore_domain::tags::Tags;
use longshore_explain::{AccessQuestion, Explanation};
use longshore_guard::{Enforcement, PolicyGuard};
use longshore_service::{Access, Attempt, Guard};
use longshore_state::{Domains, State, Tx};
use longshore_tables_ecs::EcsTables;
use longshore_tables_iam::record::{
    Grants, Group, IdentityPolicy, InlinePolicy, ManagedPolicy, Own, PolicyRef, PolicyVersion, Role,
    TrustPolicy, User,
};
use longshore_tables_iam::{IamTables, InlineKey, OwnKey, VersionKey};
use longshore_tables_secrets::SecretsTables;
use longshore_telemetry::Metrics;

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);
const ACCOUNT: &str = "111122223333";
const ADA: &str = "arn:aws:iam::111122223333:user/p/ada";
const WEB: &str = "arn:aws:iam::111122223333:role/p/web";
const ROOT: &str = "arn:aws:iam::111122223333:root";
const CLUSTER: &str = "arn:aws:ecs:eu-west-1:111122223333:cluster/prod";
const SERVICE: &str = "arn:aws:ecs:eu-west-1:111122223333:service/prod/web";

fn account() -> AccountId {
    AccountId::parse(ACCOUNT).expect("twelve digits")
}

fn own(id: &str, name: &str) -> Own {
    Own { id: id.into(), name: name.into(), path: "/p/".into(), created_at: NOW, tags: Tags::default() }
}

fn document(statements: &str) -> IdentityPolicy {
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
    IdentityPolicy::new(&text).expect("a policy")
}

/// `ada`, who is in `team`, and `web`, which trusts her; with policies of her own, of the group, and a boundary of both.
fn state(of_holders: &str, of_group: &str, boundary: &str) -> State {
    let domains = Domains::new("test").with::<EcsTables>().with::<IamTables>().with::<SecretsTables>();
    let mut state = State::new(&domains, NOW);
    let fill = |tx: &mut Tx<'_>| {
        let put = |tx: &mut Tx<'_>, holder: &str, statements: &str| {
            if !statements.is_empty() {
                let key = InlineKey { account: account(), holder: holder.into(), name: "own".into() };
                tx.put::<InlinePolicy>(key, InlinePolicy { document: document(statements) });
            }
        };
        let mut grants = Grants::default();
        if !boundary.is_empty() {
            let policy = ManagedPolicy {
                own: own("ANPABOUND", "bound"),
                description: None,
                updated_at: NOW,
                default_version: 1,
                last_version: 1,
            };
            let id = policy.own.id.clone();
            tx.put::<ManagedPolicy>(OwnKey::new(account(), &id), policy);
            let key = VersionKey { account: account(), policy: id.clone(), number: 1 };
            tx.put::<PolicyVersion>(key, PolicyVersion { document: document(boundary), created_at: NOW });
            grants.boundary = Some(PolicyRef::Own(id));
        }
        let group = Group { own: own("AGPATEAM", "team"), grants: Grants::default() };
        tx.put::<Group>(OwnKey::new(account(), &group.own.id), group);
        let groups = BTreeSet::from(["AGPATEAM".into()]);
        let user = User { own: own("AIDAADA", "ada"), grants: grants.clone(), groups };
        tx.put::<User>(OwnKey::new(account(), &user.own.id), user);
        let trust = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"AIDAADA"},"Action":"sts:AssumeRole"}}"#;
        let role = Role {
            own: own("AROAWEB", "web"),
            grants,
            trust: TrustPolicy::new(trust).expect("a policy"),
            description: None,
            session_max: 3600,
            service: None,
            last_used: None,
        };
        tx.put::<Role>(OwnKey::new(account(), &role.own.id), role);
        put(tx, "AIDAADA", of_holders);
        put(tx, "AROAWEB", of_holders);
        put(tx, "AGPATEAM", of_group);
        Ok::<_, ()>(())
    };
    state.transact(NOW, Ids::new(Seed::new(1)), fill).expect("it fits").expect("it does not fail");
    state
}

/// Who makes such a call, as the signature would prove it.
fn caller(arn: &str) -> Caller {
    let scope = Scope::new(account(), Region::parse("eu-west-1").expect("a region"));
    let session = || Session {
        source: SessionSource::Role,
        issued_at: NOW,
        limits: None,
        tags: Vec::new(),
        transitive_tags: BTreeSet::new(),
        source_identity: None,
        provider: None,
    };
    let (kind, principal, name, id, session) = match arn {
        ROOT => (PrincipalKind::Root, ROOT, "", None, None),
        ADA => (PrincipalKind::User, ADA, "ada", Some("AIDAADA"), None),
        WEB => {
            let principal = "arn:aws:sts::111122223333:assumed-role/web/any-session";
            (PrincipalKind::Session, principal, "web/any-session", Some("AROAWEB"), Some(session().into()))
        }
        other => panic!("{other} is nobody"),
    };
    let source_ip = Some("192.0.2.7".parse().expect("an address"));
    let (name, id) = (name.into(), id.map(Into::into));
    Caller { kind, name, id, session, source_ip, ..Caller::new(scope, principal) }
}

fn explained(
    state: &State,
    whom: &str,
    action: &str,
    resource: &str,
    context: &[(&str, &str)],
) -> Explanation {
    let context = context.iter().map(|(key, value)| ((*key).to_owned(), vec![(*value).to_owned()]));
    let question = AccessQuestion {
        as_whom: whom.to_owned(),
        action: action.to_owned(),
        resource: resource.to_owned(),
        context: context.collect(),
    };
    longshore_explain::access(state, &caller(ROOT), &question, NOW).expect("there is such a principal")
}

fn told(explanation: &Explanation) -> String {
    let points = explanation.points.iter().flat_map(|point| [&point.text].into_iter().chain(&point.details));
    points.map(String::as_str).collect::<Vec<_>>().join("\n")
}

/// What the guard says of the same access, asked as the operation asks it.
fn is_let_through(state: &State, whom: &str, action: &str, resource: &str, context: &[(&str, &str)]) -> bool {
    let caller = caller(whom);
    let asked = || {
        let access = match action {
            "sts:AssumeRole" => {
                longshore_api_identity::question(state, &caller, action, resource).expect("of STS")
            }
            _ if resource.contains(":service/") => {
                Access::new(action, resource, &caller).with("ecs:cluster", CLUSTER)
            }
            _ => Access::new(action, resource, &caller),
        };
        context.iter().fold(access, |access, (key, value)| access.with((*key).to_owned(), *value)).into()
    };
    let guard = PolicyGuard::new(Enforcement::Enforce, Metrics::new());
    let attempt = Attempt::new(state, &caller, NOW, &asked).policed(action == "sts:AssumeRole");
    guard.allow(&attempt).is_ok()
}

fn allow(actions: &str, more: &str) -> String {
    format!(r#"{{"Sid":"Yes","Effect":"Allow","Action":"{actions}","Resource":"*"{more}}}"#)
}

fn deny(actions: &str, more: &str) -> String {
    format!(r#"{{"Sid":"No","Effect":"Deny","Action":"{actions}","Resource":"*"{more}}}"#)
}

#[test]
fn it_agrees_with_the_guard() {
    let nothing = String::new();
    let on_prod = format!(r#","Condition":{{"ArnEquals":{{"ecs:cluster":"{CLUSTER}"}}}}"#);
    let from_home = r#","Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}"#;
    let blue = r#","Condition":{"StringEquals":{"aws:RequestTag/team":"blue"}}"#;
    let young = r#","Condition":{"Null":{"aws:TokenIssueTime":"false"}}"#;
    let policies = [
        (&nothing, &nothing, &nothing),
        (&allow("ecs:*", ""), &nothing, &nothing),
        (&nothing, &allow("ecs:*", ""), &nothing),
        (&allow("ecs:*", ""), &deny("ecs:Delete*", ""), &nothing),
        (&allow("*", ""), &nothing, &allow("ecs:Describe*", "")),
        (&allow("*", ""), &nothing, &deny("ecs:Describe*", "")),
        (&allow("ecs:*", &on_prod), &nothing, &nothing),
        (&allow("ecs:*", from_home), &nothing, &nothing),
        (&allow("ecs:*", blue), &nothing, &nothing),
        (&allow("ecs:*", young), &nothing, &nothing),
        (&allow("sts:*", ""), &nothing, &nothing),
        (&deny("sts:*", ""), &nothing, &nothing),
    ];
    let questions = [
        ("ecs:ListClusters", "*"),
        ("ecs:DescribeClusters", CLUSTER),
        ("ecs:DeleteCluster", CLUSTER),
        ("ecs:UpdateService", SERVICE),
        ("sts:AssumeRole", WEB),
        ("iam:ListUsers", "arn:aws:iam::111122223333:user/"),
    ];
    let mut seen = [0, 0];
    for (of_holders, of_group, boundary) in policies {
        let state = state(of_holders, of_group, boundary);
        for (action, resource) in questions {
            for whom in [ADA, WEB, ROOT] {
                for context in
                    [&[][..], &[("aws:RequestTag/team", "blue")], &[("aws:RequestTag/team", "red")]]
                {
                    let explanation = explained(&state, whom, action, resource, context);
                    let is_allowed = is_let_through(&state, whom, action, resource, context);
                    let word = if is_allowed { "allowed: " } else { "denied: " };
                    let what = format!("{of_holders} {of_group} {boundary} {whom} {action} {context:?}");
                    assert!(explanation.subject.starts_with(word), "{what}: {explanation:?}");
                    seen[usize::from(is_allowed)] += 1;
                }
            }
        }
    }
    assert!(seen.iter().all(|count| *count > 50), "{seen:?}");
}

#[test]
fn it_says_which_statement_of_which_policy() {
    let check = |state: &State, whom: &str, action: &str, parts: &[&str]| {
        let told = told(&explained(state, whom, action, CLUSTER, &[]));
        for part in parts {
            assert!(told.contains(part), "{whom} {action}: {part}\n{told}");
        }
    };
    let own = state(&allow("ecs:Describe*", ""), &deny("ecs:Delete*", ""), "");
    check(
        &own,
        ADA,
        "ecs:DescribeClusters",
        &["statement 1 (Yes) of inline policy own of user ada, at 1:38"],
    );
    check(
        &own,
        ADA,
        "ecs:DeleteCluster",
        &["denies it", "statement 1 (No) of inline policy own of group team"],
    );
    check(
        &own,
        ADA,
        "ecs:UpdateCluster",
        &["No policy of user ada allows it.", "inline policy own of group team"],
    );
    check(&own, WEB, "ecs:DescribeClusters", &["of role web", "which are in its token"]);
    check(
        &own,
        ROOT,
        "ecs:DeleteCluster",
        &["An account's root may do everything", "the guests of open mode"],
    );
    let bounded = state(&allow("*", ""), "", &allow("ecs:Describe*", ""));
    check(&bounded, ADA, "ecs:DescribeClusters", &["(Yes) of policy bound, the permissions boundary"]);
    check(&bounded, ADA, "ecs:DeleteCluster", &["The permissions boundary of user ada does not allow it."]);
    let asking =
        state(&allow("*", r#","Condition":{"StringEquals":{"aws:RequestTag/team":"blue"}}"#), "", "");
    check(&asking, ADA, "ecs:CreateCluster", &["No policy", "what nobody told", "aws:RequestTag/team"]);
    let trusted = told(&explained(&own, ADA, "sts:AssumeRole", WEB, &[]));
    assert!(trusted.contains("statement 1 of the role's trust policy"), "{trusted}");
}

#[test]
fn nobody_else_is_somebody() {
    let state = state("", "", "");
    for whom in [
        "ada",
        "arn:aws:iam::111122223333:user/ada",
        "arn:aws:iam::111122223333:user/p/bob",
        "arn:aws:iam::999922223333:user/p/ada",
        "arn:aws:iam::999922223333:root",
        "arn:aws:iam::111122223333:group/p/team",
        "arn:aws:sts::111122223333:assumed-role/none/x",
    ] {
        let question = AccessQuestion {
            as_whom: whom.to_owned(),
            action: "ecs:ListClusters".to_owned(),
            resource: "*".to_owned(),
            context: Default::default(),
        };
        let error = longshore_explain::access(&state, &caller(ROOT), &question, NOW).expect_err(whom);
        assert!(error.to_string().contains("name the ARN of a user"), "{error}");
    }
}

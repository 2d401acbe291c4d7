//! What the guard allows, asked as the operations ask it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use longshore_api::PrincipalKind;
use longshore_base::{AccountId, Ids, Region, Scope, Seed, Timestamp};
use longshore_domain::tags::Tags;
use longshore_guard::{Enforcement, PolicyGuard};
use longshore_service::{Access, Attempt, Caller, Guard, ResourcePolicy, Resources};
use longshore_state::{Domains, State, Tx};
use longshore_tables_ecs::EcsTables;
use longshore_tables_iam::record::{
    Grants, IdentityPolicy, InlinePolicy, Own, PolicyRef, Role, TrustPolicy, User,
};
use longshore_tables_iam::{IamTables, InlineKey, OwnKey};
use longshore_telemetry::Metrics;

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);
const ACCOUNT: &str = "111122223333";
const CLUSTER: &str = "arn:aws:ecs:eu-west-1:111122223333:cluster/prod";

fn account() -> AccountId {
    AccountId::parse(ACCOUNT).expect("twelve digits")
}

fn act(state: &mut State, f: impl FnOnce(&mut Tx<'_>)) {
    let done = state.transact(NOW, Ids::new(Seed::new(1)), |tx| {
        f(tx);
        Ok::<_, ()>(())
    });
    done.expect("it fits").expect("it does not fail");
}

fn own(id: &str, name: &str) -> Own {
    let tags = Tags::from_iter([("team".to_owned(), "blue".to_owned())]);
    Own { id: id.into(), name: name.into(), path: "/p/".into(), created_at: NOW, tags }
}

/// With the user `ada`, the role `web`, and this policy in both.
fn state(statements: &str) -> State {
    let mut state = State::new(&Domains::new("test").with::<IamTables>().with::<EcsTables>(), NOW);
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
    act(&mut state, |tx| {
        let user = User { own: own("AIDAADA", "ada"), grants: Grants::default(), groups: BTreeSet::new() };
        tx.put::<User>(OwnKey::new(account(), &user.own.id), user);
        let role = Role {
            own: own("AROAWEB", "web"),
            grants: Grants::default(),
            trust: TrustPolicy::new(trust).expect("a policy"),
            description: None,
            session_max: 3600,
            service: None,
            last_used: None,
        };
        tx.put::<Role>(OwnKey::new(account(), &role.own.id), role);
        if !statements.is_empty() {
            for holder in ["AIDAADA", "AROAWEB"] {
                let key = InlineKey { account: account(), holder: holder.into(), name: "own".into() };
                let document = IdentityPolicy::new(&text).expect("a policy");
                tx.put::<InlinePolicy>(key, InlinePolicy { document });
            }
        }
    });
    state
}

fn caller(kind: PrincipalKind, name: &str, id: Option<&str>) -> Caller {
    let scope = Scope::new(account(), Region::parse("eu-west-1").expect("a region"));
    let arn = match kind {
        PrincipalKind::Session => format!("arn:aws:sts::{ACCOUNT}:assumed-role/{name}"),
        _ => format!("arn:aws:iam::{ACCOUNT}:user/p/{name}"),
    };
    Caller {
        kind,
        name: name.into(),
        id: id.map(Into::into),
        source_ip: Some("192.0.2.7".parse().expect("an address")),
        is_secure: true,
        user_agent: Some("aws-cli/2".into()),
        ..Caller::new(scope, arn)
    }
}

fn ada() -> Caller {
    caller(PrincipalKind::User, "ada", Some("AIDAADA"))
}

/// Nothing, or what the caller is told.
fn ask(state: &State, caller: &Caller, resources: impl Fn() -> Resources) -> Result<(), String> {
    let guard = PolicyGuard::new(Enforcement::Enforce, Metrics::new());
    guard.allow(&Attempt::new(state, caller, NOW, &resources)).map_err(|denied| denied.to_string())
}

fn on(action: &str, resource: &str) -> Access {
    Access::new(action, resource, &ada())
}

fn allow(actions: &str, more: &str) -> String {
    format!(r#"{{"Effect":"Allow","Action":"{actions}","Resource":"*"{more}}}"#)
}

#[test]
fn who_has_all_rights_is_asked_nothing() {
    let state = state("");
    let asked = AtomicUsize::new(0);
    for caller in [
        caller(PrincipalKind::Root, "", None),
        caller(PrincipalKind::Guest, "", None),
        // A key of a file, whose user IAM does not know (identity J1).
        caller(PrincipalKind::User, "deploy", None),
        caller(PrincipalKind::User, "Ada", None),
    ] {
        let resources = || {
            asked.fetch_add(1, Ordering::SeqCst);
            on("ecs:CreateCluster", CLUSTER).into()
        };
        assert_eq!(ask(&state, &caller, resources), Ok(()), "{caller:?}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0, "nothing was put together");
}

#[test]
fn the_rest_has_the_rights_of_its_policies() {
    let denied = "User: arn:aws:iam::111122223333:user/p/ada is not authorized to perform: ecs:CreateCluster on resource: \
                  arn:aws:ecs:eu-west-1:111122223333:cluster/prod";
    let implicit =
        Err(format!("{denied} because no identity-based policy allows the ecs:CreateCluster action"));
    let explicit = Err(format!("{denied} with an explicit deny in an identity-based policy"));
    let deny = r#",{"Effect":"Deny","Action":"ecs:Create*","Resource":"*"}"#;
    for (statements, expected) in [
        (String::new(), implicit.clone()),
        (allow("ecs:ListClusters", ""), implicit),
        (allow("ecs:*", ""), Ok(())),
        (format!("{}{deny}", allow("*", "")), explicit),
    ] {
        let state = state(&statements);
        let create = || on("ecs:CreateCluster", CLUSTER).into();
        assert_eq!(ask(&state, &ada(), create), expected, "{statements}");
        // By the name alone, as for a key of `--keys`.
        assert_eq!(ask(&state, &caller(PrincipalKind::User, "ada", None), create), expected, "{statements}");
        let session = caller(PrincipalKind::Session, "web/task", Some("AROAWEB"));
        assert_eq!(ask(&state, &session, create).is_ok(), expected.is_ok(), "{statements}");
    }
}

#[test]
fn everything_has_to_be_allowed() {
    let state = state(&allow("ecs:CreateCluster", ""));
    let both = || Resources::from(on("ecs:CreateCluster", CLUSTER)).and([on("ecs:TagResource", CLUSTER)]);
    let error = ask(&state, &ada(), both).expect_err("the second is not");
    assert!(error.contains("to perform: ecs:TagResource on resource"), "{error}");
    assert_eq!(ask(&state, &ada(), Resources::none), Ok(()), "nothing is needed");
}

/// Deleted between the signature and the lock: the id is not there any more, and a new user of the name is another one.
#[test]
fn who_is_gone_has_no_rights() {
    let state = state(&allow("*", ""));
    let create = || on("ecs:CreateCluster", CLUSTER).into();
    for gone in [
        caller(PrincipalKind::User, "ada", Some("AIDAOLD")),
        caller(PrincipalKind::User, "bob", Some("AIDABOB")),
        caller(PrincipalKind::Session, "gone/task", Some("AROAGONE")),
        caller(PrincipalKind::Anonymous, "", None),
    ] {
        assert!(ask(&state, &gone, create).is_err(), "{gone:?}");
    }
}

#[test]
fn conditions_see_what_is_known_of_the_request() {
    for (condition, expected) in [
        (r#""StringEquals":{"aws:username":"ada","aws:userid":"AIDAADA","aws:PrincipalType":"User"}"#, true),
        (r#""ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111122223333:user/p/ada"}"#, true),
        (
            r#""StringEquals":{"aws:PrincipalAccount":"111122223333","aws:ResourceAccount":"111122223333"}"#,
            true,
        ),
        (r#""StringEquals":{"aws:PrincipalTag/team":"blue"}"#, true),
        (r#""StringEquals":{"aws:PrincipalTag/team":"red"}"#, false),
        (r#""IpAddress":{"aws:SourceIp":"192.0.2.0/24"}"#, true),
        (r#""IpAddress":{"aws:SourceIp":"198.51.100.0/24"}"#, false),
        (r#""Bool":{"aws:SecureTransport":"true","aws:ViaAWSService":"false"}"#, true),
        (
            r#""StringEquals":{"aws:RequestedRegion":"eu-west-1"},"StringLike":{"aws:UserAgent":"aws-cli/*"}"#,
            true,
        ),
        (r#""DateEquals":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}"#, true),
        (r#""NumericEquals":{"aws:EpochTime":"1767225600"}"#, true),
        (r#""StringEquals":{"ecs:cluster":"c1"}"#, true),
        (r#""Null":{"aws:TokenIssueTime":"true","aws:MultiFactorAuthPresent":"true"}"#, true),
    ] {
        let state = state(&allow("ecs:StopTask", &format!(r#","Condition":{{{condition}}}"#)));
        let stop =
            || on("ecs:StopTask", "arn:aws:ecs:eu-west-1:111122223333:task/c1/1").with("ecs:cluster", "c1");
        assert_eq!(ask(&state, &ada(), || stop().into()).is_ok(), expected, "{condition}");
    }
    let state = state(&allow(
        "ecs:StopTask",
        r#","Condition":{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111122223333:role/p/web"},"StringEquals":{"aws:userid":"AROAWEB:task"},"Null":{"aws:username":"true"}}"#,
    ));
    let session = caller(PrincipalKind::Session, "web/task", Some("AROAWEB"));
    assert_eq!(ask(&state, &session, || on("ecs:StopTask", "*").into()), Ok(()));
}

/// What one resource has must not be taken for what the next one has.
#[test]
fn keys_of_a_resource_are_its_own() {
    let state =
        state(&allow("ecs:StopTask", r#","Condition":{"StringEquals":{"ecs:ResourceTag/env":"dev"}}"#));
    let dev = || on("ecs:StopTask", "a").with("ecs:ResourceTag/env", "dev");
    assert_eq!(ask(&state, &ada(), || Resources::from(dev()).and([dev()])), Ok(()));
    let untagged = || Resources::from(dev()).and([on("ecs:StopTask", "b")]);
    assert!(ask(&state, &ada(), untagged).is_err());
    // A tag cannot stand in for what is known of the caller, either, once its resource is past.
    let named = || on("ecs:StopTask", "a").with("aws:username", "eve").with("aws:username", "mallory");
    let state = self::state(&allow(
        "ecs:StopTask",
        r#","Condition":{"StringEquals":{"aws:username":["ada","mallory"]}}"#,
    ));
    assert_eq!(ask(&state, &ada(), || Resources::from(named()).and([on("ecs:StopTask", "b")])), Ok(()));
}

#[test]
fn another_account_has_to_agree() {
    let state = state(&allow("*", ""));
    let elsewhere = || on("ecs:StopTask", "arn:aws:ecs:eu-west-1:444455556666:task/c/1").into();
    let error = ask(&state, &ada(), elsewhere).expect_err("it has not");
    assert!(error.ends_with("because no resource-based policy allows the ecs:StopTask action"), "{error}");
}

const SECRET: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-AbCdEf";
const FOREIGN: &str = "arn:aws:secretsmanager:eu-west-1:444455556666:secret:db-AbCdEf";

/// The same of something that may have a policy.
fn ask_policed(
    enforcement: Enforcement,
    state: &State,
    caller: &Caller,
    resource: &str,
    policy: ResourcePolicy,
) -> Result<(), String> {
    let guard = PolicyGuard::new(enforcement, Metrics::new());
    let resources = || on("secretsmanager:GetSecretValue", resource).under(policy.clone()).into();
    let attempt = Attempt::new(state, caller, NOW, &resources).policed(true);
    guard.allow(&attempt).map_err(|denied| denied.to_string())
}

fn policy(effect: &str, principal: &str) -> ResourcePolicy {
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"{effect}","Principal":{{"AWS":"{principal}"}},"Action":"*","Resource":"*"}}]}}"#
    );
    let policy = longshore_tables_iam::record::ResourcePolicy::new(&text).expect("a policy");
    ResourcePolicy { policy: policy.shared(), is_indispensable: false }
}

#[test]
fn the_policy_of_a_resource_counts_beside_those_of_the_caller() {
    let (nothing, all) = (state(""), state(&allow("*", "")));
    let check = |state: &State, resource: &str, policy: ResourcePolicy| {
        ask_policed(Enforcement::Enforce, state, &ada(), resource, policy)
    };
    // Named by her id she needs no other policy; named by her account she does.
    assert_eq!(check(&nothing, SECRET, policy("Allow", "AIDAADA")), Ok(()));
    assert!(check(&nothing, SECRET, policy("Allow", ACCOUNT)).is_err());
    assert_eq!(check(&all, SECRET, policy("Allow", ACCOUNT)), Ok(()));
    assert_eq!(check(&all, SECRET, ResourcePolicy::none()), Ok(()));
    assert!(check(&all, SECRET, policy("Deny", "AIDAADA")).is_err());
    // In another account both have to agree.
    assert!(check(&nothing, FOREIGN, policy("Allow", "AIDAADA")).is_err());
    assert!(check(&all, FOREIGN, ResourcePolicy::none()).is_err());
    assert_eq!(check(&all, FOREIGN, policy("Allow", ACCOUNT)), Ok(()));
    // A key without a policy that names anybody is nobody's.
    let locked = ResourcePolicy { is_indispensable: true, ..policy("Allow", "444455556666") };
    assert!(check(&all, SECRET, locked.clone()).is_err());
    let root = caller(PrincipalKind::Root, "", None);
    assert!(ask_policed(Enforcement::Enforce, &all, &root, SECRET, locked).is_err());
}

#[test]
fn a_root_and_a_guest_are_bound_by_the_policies_of_resources_alone() {
    let state = state("");
    for caller in [caller(PrincipalKind::Root, "", None), caller(PrincipalKind::Guest, "", None)] {
        let check = |resource, policy| ask_policed(Enforcement::Enforce, &state, &caller, resource, policy);
        assert_eq!(check(SECRET, ResourcePolicy::none()), Ok(()));
        assert_eq!(check(SECRET, policy("Deny", "444455556666")), Ok(()));
        assert!(check(SECRET, policy("Deny", ACCOUNT)).expect_err("it denies").contains("explicit deny"));
        assert!(check(FOREIGN, ResourcePolicy::none()).is_err());
        assert_eq!(check(FOREIGN, policy("Allow", ACCOUNT)), Ok(()));
    }
}

/// `--iam report` is for those who had all rights in their account before it had policies.
#[test]
fn a_report_opens_no_other_account() {
    let (state, ada) = (state(""), ada());
    let check = |resource, policy| ask_policed(Enforcement::Report, &state, &ada, resource, policy);
    assert_eq!(check(SECRET, ResourcePolicy::none()), Ok(()));
    assert!(check(FOREIGN, ResourcePolicy::none()).is_err());
}

#[test]
fn a_denial_says_what_it_is_told_to_say() {
    let state = state("");
    let told =
        ask(&state, &ada(), || on("kms:Decrypt", "*").denied_as("Access to KMS is not allowed").into());
    assert_eq!(told, Err("Access to KMS is not allowed".to_owned()));
}

#[test]
fn a_boundary_limits() {
    let mut state = state(&allow("*", ""));
    act(&mut state, |tx| {
        let grants =
            Grants { attached: BTreeSet::new(), boundary: Some(PolicyRef::Aws("ReadOnlyAccess".into())) };
        let user = User { own: own("AIDAADA", "ada"), grants, groups: BTreeSet::new() };
        tx.put::<User>(OwnKey::new(account(), &user.own.id), user);
    });
    let error =
        ask(&state, &ada(), || on("ecs:CreateCluster", CLUSTER).into()).expect_err("it does not allow");
    assert!(
        error.ends_with("because no permissions boundary allows the ecs:CreateCluster action"),
        "{error}"
    );
    assert_eq!(ask(&state, &ada(), || on("ecs:ListClusters", "*").into()), Ok(()));
}

#[test]
fn a_report_denies_nothing_and_counts() {
    let (state, metrics) = (state(""), Metrics::new());
    let guard = PolicyGuard::new(Enforcement::Report, metrics.clone());
    for _ in 0..3 {
        let (caller, create) = (ada(), || on("ecs:CreateCluster", CLUSTER).into());
        assert!(guard.allow(&Attempt::new(&state, &caller, NOW, &create)).is_ok());
    }
    let line = r#"longshore_iam_denials_total{action="ecs:CreateCluster",outcome="reported"} 3"#;
    assert!(metrics.encode().contains(line), "{}", metrics.encode());
}

const INSTANCE: &str =
    "arn:aws:ecs:eu-west-1:111122223333:container-instance/prod/00000000000000000000000000000007";

/// No policy gives it anything, not even where denials are only reported.
#[test]
fn an_instance_may_do_what_its_agent_does_for_it() {
    let state = state(&allow("*", ""));
    let own = Caller {
        kind: PrincipalKind::Instance,
        id: Some("00000000000000000000000000000007".into()),
        ..Caller::new(ada().scope, INSTANCE)
    };
    let other = INSTANCE.replace("0007", "0008");
    let at_registration = |resource: &str| {
        on("ecs:TagResource", resource).with("ecs:CreateAction", "RegisterContainerInstance")
    };
    for (access, may) in [
        (on("ecs:Poll", INSTANCE), true),
        (on("ecs:RegisterContainerInstance", INSTANCE), true),
        (on("ecs:SubmitTaskStateChange", INSTANCE), true),
        (at_registration(INSTANCE), true),
        (on("ecs:TagResource", INSTANCE), false),
        (at_registration(&other), false),
        (on("ecs:Poll", &other), false),
        (on("ecs:Poll", "*"), false),
        (on("ecs:StartTelemetrySession", &INSTANCE.replace("prod", "test")), false),
        (on("ecs:StartTelemetrySession", &INSTANCE.replace("eu-west-1", "us-east-1")), false),
        (on("ecs:DeregisterContainerInstance", INSTANCE), false),
        (on("ecs:DescribeContainerInstances", INSTANCE), false),
        (on("iam:ListUsers", "*"), false),
        (on("longshore:CreateJoinToken", CLUSTER), false),
    ] {
        let resources = || Resources::from(access.clone());
        for enforcement in [Enforcement::Enforce, Enforcement::Report] {
            let guard = PolicyGuard::new(enforcement, Metrics::new());
            let answer = guard.allow(&Attempt::new(&state, &own, NOW, &resources));
            assert_eq!(answer.is_ok(), may, "{access:?} {enforcement:?}");
        }
    }
    // All that is asked for, or nothing.
    let both = || Resources::from(on("ecs:Poll", INSTANCE)).and([on("ecs:Poll", &other)]);
    let denied = ask(&state, &own, both).expect_err("the other is not its own");
    assert_eq!(
        denied,
        format!(
            "User: {INSTANCE} is not authorized to perform: ecs:Poll on resource: {other} because no identity-based policy \
             allows the ecs:Poll action"
        )
    );
}

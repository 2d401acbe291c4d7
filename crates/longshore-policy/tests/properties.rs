//! What holds for all policies and all requests (identity J6).

use longshore_policy::{
    Asker, Context, Decision, Kind, Layers, Policy, Question, ResourcePolicy, Statement, Who, decide,
};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

const ACCOUNT: &str = "111111111111";
const OTHER: &str = "222222222222";

fn policy(kind: Kind, statements: &Value) -> Policy {
    let document = json!({"Version": "2012-10-17", "Statement": statements});
    Policy::read(&document.to_string(), kind).unwrap_or_else(|error| panic!("{error}: {document}"))
}

fn user(account: &str) -> Who {
    let asker = Asker::User { arn: format!("arn:aws:iam::{account}:user/ann"), id: "AIDAANN".into() };
    Who { account: account.into(), asker }
}

/// All who may ask.
fn askers() -> impl Strategy<Value = Who> {
    let session = |account: &str| {
        let asker = Asker::Session {
            arn: format!("arn:aws:sts::{account}:assumed-role/app/task"),
            role_arn: format!("arn:aws:iam::{account}:role/app"),
            role_id: "AROAAPP".into(),
        };
        Who { account: account.into(), asker }
    };
    let outside = |asker| Who { account: String::new(), asker };
    select(vec![
        user(ACCOUNT),
        user(OTHER),
        session(ACCOUNT),
        session(OTHER),
        Who { account: ACCOUNT.into(), asker: Asker::Root },
        Who { account: OTHER.into(), asker: Asker::Root },
        outside(Asker::Service("ecs-tasks.amazonaws.com".into())),
        outside(Asker::Anonymous),
    ])
}

fn contexts() -> impl Strategy<Value = Context> {
    let values = prop::collection::vec(select(vec!["red", "blue", "*", "10", "true", ""]), 0..3);
    prop::collection::vec((select(vec!["aws:username", "aws:PrincipalTag/x", "aws:TagKeys"]), values), 0..3)
        .prop_map(|keys| {
            let mut context = Context::new();
            for (key, values) in keys {
                context.set_all(key, values.into_iter().map(str::to_owned));
            }
            context
        })
}

fn conditions() -> impl Strategy<Value = Value> {
    let prefix = select(vec!["", "", "ForAllValues:", "ForAnyValue:"]);
    let name = select(vec![
        "StringEquals",
        "StringNotEquals",
        "StringLike",
        "NumericLessThan",
        "Bool",
        "ArnNotLike",
    ]);
    let ending = select(vec!["", "IfExists"]);
    let key = select(vec!["aws:username", "aws:PrincipalTag/x", "aws:TagKeys", "aws:none"]);
    let values = prop::collection::vec(select(vec!["red", "r*", "${aws:username}", "20", "true"]), 1..3);
    let one = (prefix, name, ending, key, values).prop_map(
        |(prefix, name, ending, key, values)| json!({format!("{prefix}{name}{ending}"): {key: values}}),
    );
    prop_oneof![2 => Just(json!({})), 3 => one]
}

/// A statement without principals.
fn statements(effect: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let actions =
        prop::collection::vec(select(vec!["s3:Get*", "*", "ecs:*", "S3:getobject", "s3:Put?bject"]), 1..3);
    let resources = select(vec!["*", "arn:aws:s3:::b/*", "arn:aws:s3:::c", "arn:aws:s3:::b/${aws:username}"]);
    let names = (select(vec!["Action", "NotAction"]), select(vec!["Resource", "NotResource"]));
    (select(effect), names, actions, resources, conditions()).prop_map(
        |(effect, (action, resource), actions, resources, condition)| {
            json!({"Effect": effect, action: actions, resource: resources, "Condition": condition})
        },
    )
}

/// A statement of a resource's policy.
fn granting(effect: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let principals = select(vec![
        json!("*"),
        json!({"AWS": ACCOUNT}),
        json!({"AWS": OTHER}),
        json!({"AWS": "AIDAANN"}),
        json!({"AWS": format!("arn:aws:iam::{ACCOUNT}:role/app")}),
        json!({"AWS": format!("arn:aws:sts::{OTHER}:assumed-role/app/task")}),
        json!({"AWS": ["AROAAPP", "AIDABOB"], "Service": "ecs-tasks.amazonaws.com"}),
    ]);
    (statements(effect), principals, any::<bool>()).prop_map(|(mut statement, principals, all_but)| {
        let is_deny = statement["Effect"] == "Deny";
        statement[if all_but && is_deny { "NotPrincipal" } else { "Principal" }] = principals;
        statement
    })
}

const BOTH: &[&str] = &["Allow", "Deny"];
const DENY: &[&str] = &["Deny"];

/// All that has a say, as documents' statements.
#[derive(Clone, Debug)]
struct World {
    who: Who,
    action: &'static str,
    resource: &'static str,
    context: Context,
    identity: Vec<Value>,
    boundary: Option<Vec<Value>>,
    session: Option<Vec<Value>>,
    of_resource: Option<Vec<Value>>,
    is_indispensable: bool,
}

fn worlds() -> impl Strategy<Value = World> {
    let own = || prop::collection::vec(statements(BOTH), 0..4);
    let question = (
        askers(),
        select(vec!["s3:GetObject", "s3:PutObject", "ecs:RunTask"]),
        select(vec!["arn:aws:s3:::b/red", "arn:aws:s3:::c", "*"]),
        contexts(),
    );
    let limits = (prop::option::of(own()), prop::option::of(own()));
    let resource = (prop::option::of(prop::collection::vec(granting(BOTH), 0..4)), any::<bool>());
    (question, own(), limits, resource).prop_map(|(question, identity, (boundary, session), resource)| {
        let (who, action, resource_arn, context) = question;
        let (of_resource, is_indispensable) = resource;
        World {
            who,
            action,
            resource: resource_arn,
            context,
            identity,
            boundary,
            session,
            of_resource,
            is_indispensable,
        }
    })
}

/// One policy of all these statements; unlike a document, it may have none.
fn one(kind: Kind, statements: &[Value]) -> Policy {
    let read = |statement: &Value| -> Vec<Statement> { policy(kind, statement).statements };
    Policy { statements: statements.iter().flat_map(read).collect() }
}

/// What is decided, without the statements.
#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    Allowed,
    Denied(longshore_policy::By),
    NotAllowed(longshore_policy::By),
}

impl World {
    /// Decides, with a policy of its own for each `cut` statements of the identity and of the session.
    fn decided(&self, cut: usize) -> Outcome {
        let several = |statements: &[Value]| -> Vec<Policy> {
            statements.chunks(cut.max(1)).map(|some| one(Kind::Identity, some)).collect()
        };
        let identity = several(&self.identity);
        let identity: Vec<&Policy> = identity.iter().collect();
        let boundary = self.boundary.as_ref().map(|own| one(Kind::Identity, own));
        let session = self.session.as_ref().map(|own| several(own));
        let session: Option<Vec<&Policy>> = session.as_ref().map(|own| own.iter().collect());
        let of_resource = self.of_resource.as_ref().map(|own| one(Kind::Resource, own));
        let is_indispensable = self.is_indispensable;
        let layers = Layers {
            identity: &identity,
            boundary: boundary.as_ref(),
            session: session.as_deref(),
            resource: of_resource.as_ref().map(|policy| ResourcePolicy { policy, is_indispensable }),
        };
        let question = Question {
            who: &self.who,
            action: self.action,
            resource: self.resource,
            owner: ACCOUNT,
            context: &self.context,
        };
        match decide(&question, &layers) {
            Decision::Allowed(_) => Outcome::Allowed,
            Decision::ExplicitDeny(by, _) => Outcome::Denied(by),
            Decision::ImplicitDeny(by) => Outcome::NotAllowed(by),
        }
    }

    fn is_allowed(&self) -> bool {
        self.decided(usize::MAX) == Outcome::Allowed
    }

    fn layers(&mut self) -> [Option<&mut Vec<Value>>; 4] {
        [Some(&mut self.identity), self.boundary.as_mut(), self.session.as_mut(), self.of_resource.as_mut()]
    }
}

/// Whether a policy with this statement alone lets a user do this.
fn allows(statement: &Value, action: &str, resource: &str, context: &Context) -> bool {
    let policy = policy(Kind::Identity, statement);
    let who = user(ACCOUNT);
    let question = Question { who: &who, action, resource, owner: ACCOUNT, context };
    decide(&question, &Layers { identity: &[&policy], ..Layers::default() }).is_allowed()
}

/// A text of what is special in patterns, and another: the same, one that it would match if it were a pattern, or any.
fn texts() -> impl Strategy<Value = (String, String)> {
    let odd = || r"[ab*?$\{\}:/. ]{0,8}";
    (odd(), odd()).prop_flat_map(|(value, other)| {
        let as_pattern = value.replace('*', "ab").replace('?', "b");
        let with_less = value.replace("**", "*");
        let others = prop_oneof![
            2 => Just(value.clone()),
            2 => Just(as_pattern),
            1 => Just(with_less),
            1 => Just(other),
        ];
        (Just(value), others)
    })
}

proptest! {
    /// A Deny more, wherever it stands, never gives a right; a layer of Denies where there was none neither.
    #[test]
    fn a_deny_never_adds_rights(
        world in worlds(),
        denies in (statements(DENY), statements(DENY), statements(DENY), granting(DENY)),
    ) {
        let before = world.is_allowed();
        let (identity, boundary, session, of_resource) = denies;
        for (layer, deny) in [identity, boundary, session, of_resource].into_iter().enumerate() {
            let mut more = world.clone();
            match layer {
                0 => more.identity.push(deny),
                1 => more.boundary.get_or_insert_default().push(deny),
                2 => more.session.get_or_insert_default().push(deny),
                _of_resource => more.of_resource.get_or_insert_default().push(deny),
            }
            prop_assert!(before || !more.is_allowed(), "{more:?}");
        }
    }

    /// An Allow less, wherever it stood, never gives a right.
    #[test]
    fn an_allow_less_never_adds_rights(world in worlds(), drop in any::<prop::sample::Index>()) {
        let before = world.is_allowed();
        for layer in 0..4 {
            let mut less = world.clone();
            let Some(own) = less.layers()[layer].take().filter(|own| !own.is_empty()) else { continue };
            let dropped = own.remove(drop.index(own.len()));
            if dropped["Effect"] == "Allow" {
                prop_assert!(before || !less.is_allowed(), "{less:?}");
            }
        }
    }

    /// The order of statements does not matter, nor how they are spread over policies.
    #[test]
    fn order_does_not_matter(world in worlds(), turn in 0_usize..4, cut in 1_usize..4) {
        let mut turned = world.clone();
        for own in turned.layers().into_iter().flatten().filter(|own| !own.is_empty()) {
            let turn = turn % own.len();
            own.rotate_left(turn);
            own.reverse();
        }
        prop_assert_eq!(world.decided(usize::MAX), turned.decided(cut));
    }

    /// Whatever a variable holds, it is text: what it stands for matches itself and nothing else.
    #[test]
    fn variables_never_become_patterns((value, other) in texts()) {
        let context = Context::new().with("aws:username", value.as_str()).with("test:key", other.as_str());
        let is_same = value == other;
        // The last field of an ARN, so that colons are allowed in it.
        let resource = json!({
            "Effect": "Allow", "Action": "*", "Resource": "arn:aws:s3:::home/${aws:username}/end",
        });
        let arn = format!("arn:aws:s3:::home/{other}/end");
        prop_assert_eq!(allows(&resource, "s3:A", &arn, &context), is_same);
        for operator in ["StringEquals", "StringLike"] {
            let condition = json!({
                "Effect": "Allow", "Action": "*", "Resource": "*",
                "Condition": {operator: {"test:key": "${aws:username}"}},
            });
            prop_assert_eq!(allows(&condition, "s3:A", "*", &context), is_same, "{}", operator);
        }
        let like_arn = json!({
            "Effect": "Allow", "Action": "*", "Resource": "*",
            "Condition": {"ArnLike": {"test:arn": "arn:aws:s3:::home/${aws:username}/end"}},
        });
        prop_assert_eq!(allows(&like_arn, "s3:A", "*", &context.clone().with("test:arn", arn)), is_same);
        // A star beside it is one all the same.
        let beside = json!({
            "Effect": "Allow", "Action": "*", "Resource": "*",
            "Condition": {"StringLike": {"test:key": "${aws:username}*"}},
        });
        prop_assert_eq!(allows(&beside, "s3:A", "*", &context), other.starts_with(&value));
    }

    /// Defaults are as literal as values.
    #[test]
    fn defaults_never_become_patterns((value, other) in texts()) {
        // Nothing closes the variable early.
        let (value, other) = (value.replace('}', "-"), other.replace('}', "-"));
        let condition = json!({
            "Effect": "Allow", "Action": "*", "Resource": "*",
            "Condition": {"StringLike": {"test:key": format!("${{aws:none, '{value}'}}")}},
        });
        let context = Context::new().with("test:key", other.as_str());
        prop_assert_eq!(allows(&condition, "s3:A", "*", &context), value == other);
    }

    /// StringEquals compares texts, whatever is in them.
    #[test]
    fn equality_knows_no_patterns((value, other) in texts()) {
        let (value, other) = (value.replace("${", "-"), other.replace("${", "-"));
        let equals = |operator: &str| json!({
            "Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {operator: {"test:key": value}},
        });
        let context = Context::new().with("test:key", other.as_str());
        prop_assert_eq!(allows(&equals("StringEquals"), "s3:A", "*", &context), value == other);
        prop_assert_eq!(allows(&equals("StringNotEquals"), "s3:A", "*", &context), value != other);
        prop_assert_eq!(allows(&equals("StringEqualsIgnoreCase"), "s3:A", "*", &context), value == other);
    }

    /// The case of actions and of the names of keys does not matter.
    #[test]
    fn case_does_not_matter_where_it_should_not(
        action in "[a-c]{1,2}:[A-Ca-c]{1,3}",
        pattern in "[a-c?*]{1,2}:[A-Ca-c*?]{1,3}",
        key in "[a-c]{1,2}:[A-Ca-c/]{1,3}",
    ) {
        let statement = |action: &str, key: &str| json!({
            "Effect": "Allow", "Action": action, "Resource": "*", "Condition": {"StringEquals": {key: "x"}},
        });
        let context = |key: &str| Context::new().with(key, "x");
        let is = allows(&statement(&pattern, &key), &action, "*", &context(&key));
        let (upper, lower) = (|text: &str| text.to_uppercase(), |text: &str| text.to_lowercase());
        let other = allows(&statement(&upper(&pattern), &lower(&key)), &lower(&action), "*", &context(&upper(&key)));
        prop_assert_eq!(is, other);
    }

    /// What is said of some and what is said of all but those is everything, and nothing twice.
    #[test]
    fn negations_are_the_rest(
        actions in prop::collection::vec(select(vec!["s3:Get*", "*", "ecs:*", "s3:PutObject"]), 1..3),
        resources in prop::collection::vec(select(vec!["*", "arn:aws:s3:::b/*", "arn:aws:s3:::c"]), 1..3),
        action in select(vec!["s3:GetObject", "s3:PutObject", "ecs:RunTask"]),
        resource in select(vec!["arn:aws:s3:::b/red", "arn:aws:s3:::c", "*"]),
    ) {
        let none = Context::new();
        let is = |of_action: &str, of_resource: &str| {
            let statement = json!({"Effect": "Allow", of_action: actions, of_resource: resources});
            allows(&statement, action, resource, &none)
        };
        let all = json!({"Effect": "Allow", "Action": "*", "Resource": resources});
        prop_assert_eq!(is("Action", "Resource") || is("NotAction", "Resource"), allows(&all, action, resource, &none));
        prop_assert!(!(is("Action", "Resource") && is("NotAction", "Resource")));
        let all = json!({"Effect": "Allow", "Action": actions, "Resource": "*"});
        prop_assert_eq!(is("Action", "Resource") || is("Action", "NotResource"), allows(&all, action, resource, &none));
        prop_assert!(!(is("Action", "Resource") && is("Action", "NotResource")));
    }

    /// An operator and the one that negates it disagree about every single value that is there.
    #[test]
    fn negated_operators_say_the_opposite(
        names in select(vec![
            ("StringEquals", "StringNotEquals"),
            ("StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"),
            ("StringLike", "StringNotLike"),
            ("ArnLike", "ArnNotLike"),
            ("NumericEquals", "NumericNotEquals"),
            ("DateEquals", "DateNotEquals"),
            ("IpAddress", "NotIpAddress"),
        ]),
        values in prop::collection::vec(select(vec!["a", "A*", "10", "10.0.0.0/8", "arn:aws:s3:::*", "${aws:none}"]), 0..3),
        given in select(vec!["a", "A", "AB", "10.0", "10.1.1.1", "arn:aws:s3:::b", ""]),
        is_set in any::<bool>(),
    ) {
        let holds = |operator: &str| {
            let operator = if is_set { format!("ForAnyValue:{operator}") } else { operator.to_owned() };
            let statement = json!({
                "Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {operator: {"test:key": values}},
            });
            allows(&statement, "s3:A", "*", &Context::new().with("test:key", given))
        };
        prop_assert_ne!(holds(names.0), holds(names.1));
    }

    /// However a document is written down, it says the same.
    #[test]
    fn what_is_written_down_again_says_the_same(
        own in prop::collection::vec(statements(BOTH), 1..4),
        of_resource in prop::collection::vec(granting(BOTH), 1..4),
    ) {
        for (kind, statements) in [(Kind::Identity, own), (Kind::Resource, of_resource)] {
            let document = json!({"Version": "2012-10-17", "Id": "x", "Statement": statements});
            let pretty = serde_json::to_string_pretty(&document).expect("JSON");
            prop_assert_eq!(Policy::read(&pretty, kind), Policy::read(&document.to_string(), kind));
            prop_assert!(Policy::read(&pretty, kind).is_ok());
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), kind in select(vec![Kind::Identity, Kind::Trust, Kind::Resource])) {
        let _refused = Policy::read(&text, kind);
        let document = json!({"Version": "2012-10-17", "Statement": {
            "Effect": "Allow", "Principal": {"AWS": text}, "Action": format!("s3:{text}"), "Resource": format!("arn:{text}"),
            "Condition": {"StringLike": {format!("aws:{text}"): text}, "DateEquals": {"aws:CurrentTime": text}},
        }});
        if let Ok(policy) = Policy::read(&document.to_string(), Kind::Resource) {
            let who = user(ACCOUNT);
            let context = Context::new().with("aws:CurrentTime", text.as_str()).with(&format!("aws:{text}"), text.as_str());
            let (action, resource) = (format!("s3:{text}"), format!("arn:{text}"));
            let question =
                Question { who: &who, action: &action, resource: &resource, owner: ACCOUNT, context: &context };
            let resource = Some(ResourcePolicy { policy: &policy, is_indispensable: true });
            decide(&question, &Layers { resource, ..Layers::default() });
        }
    }
}

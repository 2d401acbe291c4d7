//! Beside `iam-rs`, another implementation of the language (not of how policies of several kinds combine).
//!
//! As far as both mean the same, random documents and requests have to be decided alike. Where they do not, a row of
//! [`DIFFERENCES`] says so with the reason, and the test fails when that is not so any more.

use iam_rs::{ContextValue, IAMPolicy, IAMRequest, Principal, PrincipalId};
use longshore_policy::{
    Asker, Context, Decision, Kind, Layers, Policy, Question, ResourcePolicy, Who, decide,
};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

const ACCOUNT: &str = "111111111111";
const ANN: &str = "arn:aws:iam::111111111111:user/ann";

/// Keys with their values.
type Keys = Vec<(&'static str, Vec<&'static str>)>;

/// `allow`, `deny`, `neither` or `error`.
type Outcome = &'static str;

/// The documents are those of a resource, because they may name principals and be of any version. Without other
/// policies, what they allow to the user by name, or to everybody, is allowed.
fn ours(document: &Value, action: &str, resource: &str, keys: &Keys) -> Outcome {
    let Ok(policy) = Policy::read(&document.to_string(), Kind::Resource) else { return "error" };
    let mut context = Context::new();
    for (key, values) in keys {
        context.set_all(key, values.iter().map(|value| (*value).to_owned()));
    }
    let asker = Asker::User { arn: ANN.to_owned(), id: "AIDAANN".to_owned() };
    let who = Who { account: ACCOUNT.to_owned(), asker };
    let question = Question { who: &who, action, resource, owner: ACCOUNT, context: &context };
    let resource = Some(ResourcePolicy { policy: &policy, is_indispensable: false });
    match decide(&question, &Layers { resource, ..Layers::default() }) {
        Decision::Allowed(_) => "allow",
        Decision::ExplicitDeny(..) => "deny",
        Decision::ImplicitDeny(_) => "neither",
    }
}

fn theirs(document: &Value, action: &str, resource: &str, keys: &Keys) -> Outcome {
    let Ok(policy) = serde_json::from_str::<IAMPolicy>(&document.to_string()) else { return "error" };
    let mut context = iam_rs::Context::new();
    for (key, values) in keys {
        // Its values have types, and one is not a list of one.
        let value = match values[..] {
            ["true"] => ContextValue::Boolean(true),
            ["false"] => ContextValue::Boolean(false),
            [one] => ContextValue::String(one.to_owned()),
            _ => ContextValue::StringList(values.iter().map(|value| (*value).to_owned()).collect()),
        };
        context.insert((*key).to_owned(), value);
    }
    let principal = Principal::Aws(PrincipalId::String(ANN.to_owned()));
    let arn = iam_rs::Arn::parse(resource).expect("requests have whole ARNs");
    let request = IAMRequest::new_with_context(principal, action, arn, context);
    match iam_rs::evaluate_policy(&policy, &request) {
        Ok(iam_rs::Decision::Allow) => "allow",
        Ok(iam_rs::Decision::Deny) => "deny",
        Ok(iam_rs::Decision::NotApplicable) => "neither",
        Err(_) => "error",
    }
}

/// One thing that is decided in another way. The statement allows everybody everything of S3, but for what is said of
/// it; the request is for `s3:GetObject`.
struct Difference {
    why: &'static str,
    version: &'static str,
    /// Members of the statement that are not like that; `null` leaves one out.
    statement: &'static str,
    resource: &'static str,
    keys: &'static [(&'static str, &'static [&'static str])],
    ours: Outcome,
    theirs: Outcome,
}

const fn differs(
    why: &'static str,
    statement: &'static str,
    resource: &'static str,
    keys: &'static [(&'static str, &'static [&'static str])],
    (ours, theirs): (Outcome, Outcome),
) -> Difference {
    Difference { why, version: "2012-10-17", statement, resource, keys, ours, theirs }
}

const B: &str = "arn:aws:s3:::b";

const DIFFERENCES: &[Difference] = &[
    differs(
        "ArnEquals knows wildcards, as ArnLike does (AWS's guide says that both behave the same)",
        r#"{"Condition": {"ArnEquals": {"t:arn": "arn:aws:s3:::b*"}}}"#,
        B,
        &[("t:arn", &["arn:aws:s3:::bc"])],
        ("allow", "neither"),
    ),
    differs(
        "the fields of an ARN are compared each for itself, so that a wildcard does not reach over a colon",
        r#"{"Condition": {"ArnLike": {"t:arn": "arn:aws:iam:*:role/a"}}}"#,
        B,
        &[("t:arn", &["arn:aws:iam::1:role/a"])],
        ("neither", "allow"),
    ),
    differs(
        "the service of an ARN may have wildcards",
        r#"{"Resource": "arn:aws:s?:::b"}"#,
        B,
        &[],
        ("allow", "neither"),
    ),
    differs("fields that are left out are `*`", r#"{"Resource": "arn:aws:s3"}"#, B, &[], ("allow", "error")),
    differs(
        "a resource's policy may leave the resource out",
        r#"{"Resource": null}"#,
        B,
        &[],
        ("allow", "neither"),
    ),
    differs(
        "a variable without a value matches nothing; there it is an empty text",
        r#"{"Resource": "arn:aws:s3:::${t:none}b"}"#,
        B,
        &[],
        ("neither", "allow"),
    ),
    differs(
        "a variable with several values matches nothing; there they are joined by commas",
        r#"{"Resource": "arn:aws:s3:::${t:set}"}"#,
        "arn:aws:s3:::a,b",
        &[("t:set", &["a", "b"])],
        ("neither", "allow"),
    ),
    differs(
        "a variable's value is text, never a pattern",
        r#"{"Resource": "arn:aws:s3:::${t:text}"}"#,
        B,
        &[("t:text", &["*"])],
        ("neither", "allow"),
    ),
    differs(
        "`${*}` is a star",
        r#"{"Resource": "arn:aws:s3:::b${*}"}"#,
        "arn:aws:s3:::b*",
        &[],
        ("allow", "neither"),
    ),
    differs(
        "`${*}` is a star and not nothing",
        r#"{"Resource": "arn:aws:s3:::b${*}"}"#,
        B,
        &[],
        ("neither", "allow"),
    ),
    differs(
        "a brace that is not closed is text; there it is an error",
        r#"{"Resource": "arn:aws:s3:::${b"}"#,
        "arn:aws:s3:::${b",
        &[],
        ("allow", "error"),
    ),
    Difference {
        why: "version 2008-10-17 has no variables",
        version: "2008-10-17",
        statement: r#"{"Resource": "arn:aws:s3:::${t:text}"}"#,
        resource: B,
        keys: &[("t:text", &["b"])],
        ours: "neither",
        theirs: "allow",
    },
    differs(
        "conditions have variables, too",
        r#"{"Condition": {"StringEquals": {"t:text": "${t:other}"}}}"#,
        B,
        &[("t:text", &["x"]), ("t:other", &["x"])],
        ("allow", "neither"),
    ),
    differs(
        "set operators may end in IfExists",
        r#"{"Condition": {"ForAllValues:StringEqualsIfExists": {"t:none": "x"}}}"#,
        B,
        &[],
        ("allow", "error"),
    ),
    differs(
        "set operators go with every operator, not only with those of texts, ARNs and truth values",
        r#"{"Condition": {"ForAnyValue:NumericEquals": {"t:number": "1"}}}"#,
        B,
        &[("t:number", &["1", "2"])],
        ("allow", "error"),
    ),
    differs(
        "truth values have any case",
        r#"{"Condition": {"Bool": {"t:flag": "true"}}}"#,
        B,
        &[("t:flag", &["TRUE"])],
        ("allow", "neither"),
    ),
    differs(
        "texts that look like truth values are texts",
        r#"{"Condition": {"StringEquals": {"t:text": "true"}}}"#,
        B,
        &[("t:text", &["true"])],
        ("allow", "neither"),
    ),
    differs(
        "base64 knows capitals",
        r#"{"Condition": {"BinaryEquals": {"t:bytes": "AAE="}}}"#,
        B,
        &[("t:bytes", &["aae="])],
        ("neither", "allow"),
    ),
    differs(
        "what is infinite is no decimal number",
        r#"{"Condition": {"NumericGreaterThan": {"t:number": "1"}}}"#,
        B,
        &[("t:number", &["inf"])],
        ("neither", "allow"),
    ),
    differs(
        "a number that cannot be read matches nothing; there the whole question is an error",
        r#"{"Condition": {"NumericNotEquals": {"t:number": "x"}}}"#,
        B,
        &[("t:number", &["1"])],
        ("allow", "error"),
    ),
    differs(
        "a list may have numbers in it",
        r#"{"Condition": {"NumericEquals": {"t:number": [1, "2"]}}}"#,
        B,
        &[("t:number", &["1"])],
        ("allow", "error"),
    ),
    differs(
        "ISO 8601 has days without a time",
        r#"{"Condition": {"DateEquals": {"t:date": "2026-01-01"}}}"#,
        B,
        &[("t:date", &["1767225600"])],
        ("allow", "error"),
    ),
    differs(
        "an IPv4 address is one, whatever socket it came over",
        r#"{"Condition": {"IpAddress": {"t:ip": "192.0.2.0/24"}}}"#,
        B,
        &[("t:ip", &["::ffff:192.0.2.7"])],
        ("allow", "neither"),
    ),
    differs(
        "of several values of the request none may match a negated operator",
        r#"{"Condition": {"StringNotEquals": {"t:set": "a"}}}"#,
        B,
        &[("t:set", &["a", "b"])],
        ("neither", "allow"),
    ),
    differs(
        "of several numbers of the request one is enough",
        r#"{"Condition": {"NumericEquals": {"t:set": "1"}}}"#,
        B,
        &[("t:set", &["1", "2"])],
        ("allow", "neither"),
    ),
    differs(
        "a key without values is as good as absent",
        r#"{"Condition": {"Null": {"t:set": "true"}}}"#,
        B,
        &[("t:set", &[])],
        ("allow", "neither"),
    ),
    differs(
        "a star of the request's text is a character like any other; there it uses the pattern's up",
        r#"{"Condition": {"StringLike": {"t:text": "r*"}}}"#,
        B,
        &[("t:text", &["r**"])],
        ("allow", "neither"),
    ),
    differs(
        "letters other than ASCII's have cases, too",
        r#"{"Condition": {"StringEqualsIgnoreCase": {"t:text": "ü"}}}"#,
        B,
        &[("t:text", &["Ü"])],
        ("allow", "neither"),
    ),
    differs(
        "an account means all of its users (here it denies one)",
        r#"{"Effect": "Deny", "Principal": {"AWS": "111111111111"}}"#,
        B,
        &[],
        ("deny", "neither"),
    ),
    differs(
        "principals have no wildcards",
        r#"{"Principal": {"AWS": "arn:aws:iam::111111111111:user/*"}}"#,
        B,
        &[],
        ("neither", "allow"),
    ),
    differs(
        "principals are kept by their unique ids",
        r#"{"Principal": {"AWS": "AIDAANN"}}"#,
        B,
        &[],
        ("allow", "neither"),
    ),
    differs(
        "a statement may name principals of several kinds",
        r#"{"Principal": {"AWS": "arn:aws:iam::111111111111:user/ann", "Service": "ecs.amazonaws.com"}}"#,
        B,
        &[],
        ("allow", "error"),
    ),
    differs(
        "an Allow with NotPrincipal is refused",
        r#"{"Principal": null, "NotPrincipal": {"AWS": "arn:aws:iam::111111111111:user/bob"}}"#,
        B,
        &[],
        ("error", "allow"),
    ),
    differs(
        "conditions are prefaced by a vendor",
        r#"{"Condition": {"Bool": {"flag": "true"}}}"#,
        B,
        &[("flag", &["true"])],
        ("error", "allow"),
    ),
    differs("actions are prefaced by a vendor", r#"{"Action": "Get*"}"#, B, &[], ("error", "neither")),
];

#[test]
fn the_differences_are_these() {
    for difference in DIFFERENCES {
        let mut statement = json!({"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"});
        let members: Value = serde_json::from_str(difference.statement).expect("JSON");
        for (name, value) in members.as_object().expect("an object") {
            statement[name] = value.clone();
        }
        let statement = statement.as_object_mut().expect("an object");
        statement.retain(|_, value| !value.is_null());
        let document = json!({"Version": difference.version, "Statement": statement});
        let keys: Keys = difference.keys.iter().map(|(key, values)| (*key, values.to_vec())).collect();
        let outcomes = (
            ours(&document, "s3:GetObject", difference.resource, &keys),
            theirs(&document, "s3:GetObject", difference.resource, &keys),
        );
        assert_eq!(outcomes, (difference.ours, difference.theirs), "{}", difference.why);
        assert_ne!(difference.ours, difference.theirs, "{}", difference.why);
    }
}

/// Operators, their endings, the key that they are asked about, and values of policies.
struct Group {
    operators: &'static [&'static str],
    endings: &'static [&'static str],
    key: &'static str,
    values: &'static [&'static str],
    /// The most values at a time.
    values_max: usize,
}

const fn group(
    operators: &'static [&'static str],
    key: &'static str,
    values: &'static [&'static str],
) -> Group {
    Group { operators, endings: &["", "IfExists"], key, values, values_max: 3 }
}

/// What both mean the same by.
const GROUPS: &[Group] = &[
    group(
        &["StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"],
        "t:stars",
        &["red", "RED", "r*", "r**", "blue", ""],
    ),
    group(&["StringLike", "StringNotLike"], "t:text", &["r*", "*e*", "?ed", "red", "**", "*ab*ab*", "b"]),
    group(
        &["NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericLessThanEquals"],
        "t:number",
        &["10", "10.5", "-1", "0"],
    ),
    group(&["NumericGreaterThan", "NumericGreaterThanEquals"], "t:number", &["10", "10.5", "-1", "0"]),
    group(
        &["DateEquals", "DateNotEquals", "DateLessThan", "DateLessThanEquals"],
        "t:date",
        &["2026-01-01T00:00:00Z", "1767225600", "2026-01-01T01:00:00+02:00", "2027-01-01T00:00:00.5Z"],
    ),
    group(&["DateGreaterThan", "DateGreaterThanEquals"], "t:date", &["2026-01-01T00:00:00Z", "1767225601"]),
    group(&["Bool"], "t:flag", &["true", "false"]),
    group(&["BinaryEquals"], "t:bytes", &["AAE=", "AAI="]),
    group(
        &["IpAddress", "NotIpAddress"],
        "t:ip",
        &["10.0.0.0/8", "192.0.2.1", "0.0.0.0/0", "2001:db8::/32", "10.1.2.3/16"],
    ),
    group(
        &["ArnLike", "ArnNotLike"],
        "t:arn",
        &["arn:aws:s3:::b*", "arn:aws:s3:::*/x", "arn:*:s3:::b", "arn:aws:s3:::b/?"],
    ),
    group(&["ArnEquals", "ArnNotEquals"], "t:arn", &["arn:aws:s3:::b", "arn:aws:s3:::b/x"]),
    // Of several values of a Null, theirs reads the first alone.
    Group { operators: &["Null"], endings: &[""], key: "t:text", values: &["true", "false"], values_max: 1 },
    Group {
        operators: &[
            "ForAllValues:StringEquals",
            "ForAllValues:StringNotEquals",
            "ForAllValues:StringLike",
            "ForAllValues:StringNotLike",
            "ForAllValues:StringEqualsIgnoreCase",
            "ForAnyValue:StringEquals",
            "ForAnyValue:StringNotEquals",
            "ForAnyValue:StringLike",
            "ForAnyValue:StringNotLike",
            "ForAnyValue:StringNotEqualsIgnoreCase",
        ],
        endings: &[""],
        key: "t:set",
        values: &["a", "A", "b*", "bc", "c"],
        values_max: 3,
    },
];

/// An operator, a key, and values.
fn conditions() -> impl Strategy<Value = (String, &'static str, Vec<&'static str>)> {
    (0..GROUPS.len()).prop_flat_map(|index| {
        let Group { operators, endings, key, values, values_max } = &GROUPS[index];
        let keys = select(vec![*key, *key, "t:none"]);
        let values = subsequence(*values, 1..=values.len().min(*values_max));
        (select(*operators), select(*endings), keys, values)
            .prop_map(|(operator, ending, key, values)| (format!("{operator}{ending}"), key, values))
    })
}

fn some(values: &'static [&'static str]) -> impl Strategy<Value = Value> {
    subsequence(values, 1..=2).prop_map(|values| match values[..] {
        [one] => json!(one),
        _ => json!(values),
    })
}

fn statements() -> impl Strategy<Value = Value> {
    let actions = some(&["*", "s3:*", "s3:Get*", "S3:GETOBJECT", "ecs:*Task", "s3:Put?bject"]);
    let resources = some(&[
        "*",
        "arn:aws:s3:::b",
        "arn:aws:s3:::b/*",
        "arn:aws:s3:*:*:b*",
        "arn:*:s3:::?/x",
        "arn:aws:s3:::home/${t:user}/*",
        "arn:aws:s3:::${t:none, 'b'}/*",
        "arn:aws:ecs:*:1111*:task/*",
    ]);
    let principals = select(vec![
        json!("*"),
        json!({"AWS": "*"}),
        json!({"AWS": ANN}),
        json!({"AWS": ["arn:aws:iam::111111111111:user/bob", ANN]}),
        json!({"AWS": "arn:aws:iam::111111111111:user/bob"}),
        json!({"Service": "ecs.amazonaws.com"}),
    ]);
    let names = (
        select(vec!["Action", "Action", "NotAction"]),
        select(vec!["Resource", "Resource", "NotResource"]),
        any::<bool>(),
    );
    let conditions = prop::collection::vec(conditions(), 0..3);
    (select(vec!["Allow", "Deny"]), names, principals, actions, resources, conditions).prop_map(
        |(effect, (action, resource, all_but), principals, actions, resources, conditions)| {
            let principal = if all_but && effect == "Deny" { "NotPrincipal" } else { "Principal" };
            let mut statement =
                json!({"Effect": effect, principal: principals, action: actions, resource: resources});
            for (operator, key, values) in conditions {
                statement["Condition"][operator][key] = json!(values);
            }
            statement
        },
    )
}

/// The values of a request. `t:none` is never there.
fn keys() -> impl Strategy<Value = Keys> {
    const VALUES: &[(&str, &[&str])] = &[
        ("t:text", &["red", "Red", "b", "", "aabab"]),
        ("t:stars", &["red", "Red", "r*", "r**", "b", ""]),
        ("t:number", &["10", "10.0", "11", "-1", "many"]),
        ("t:date", &["2026-01-01T00:00:00Z", "1767225600", "1798761600", "soon"]),
        ("t:flag", &["true", "false"]),
        ("t:bytes", &["AAE=", "AAI="]),
        ("t:ip", &["10.1.1.1", "192.0.2.1", "2001:db8::1", "nowhere"]),
        ("t:arn", &["arn:aws:s3:::b", "arn:aws:s3:::b/x", "arn:aws:s3:::c"]),
    ];
    const SET: &[&str] = &["a", "A", "bc", "b*"];
    let choices =
        prop::collection::vec(prop::option::weighted(0.8, any::<prop::sample::Index>()), VALUES.len());
    let set = prop::option::weighted(0.8, subsequence(SET, 0..=3));
    (choices, set).prop_map(|(choices, set)| {
        let mut keys: Keys = vec![("t:user", vec!["ann"])];
        for ((key, values), choice) in VALUES.iter().zip(choices) {
            keys.extend(choice.map(|choice| (*key, vec![*choice.get(values)])));
        }
        keys.extend(set.map(|set| ("t:set", set)));
        keys
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn everything_else_is_decided_alike(
        statements in prop::collection::vec(statements(), 1..5),
        action in select(vec!["s3:GetObject", "s3:PutObject", "ecs:RunTask", "S3:getobject"]),
        resource in select(vec![
            "arn:aws:s3:::b",
            "arn:aws:s3:::b/x",
            "arn:aws:s3:::home/ann/f",
            "arn:aws:s3:::home/bob/f",
            "arn:aws:ecs:eu-west-1:111111111111:task/c/1",
        ]),
        keys in keys(),
    ) {
        let document = json!({"Version": "2012-10-17", "Statement": statements});
        let ours = ours(&document, action, resource, &keys);
        prop_assert_ne!(ours, "error", "{}", document);
        prop_assert_eq!(ours, theirs(&document, action, resource, &keys), "{}", document);
    }
}

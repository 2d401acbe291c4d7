//! Which documents are policies, and how IAM refuses the others (identity J4).

use longshore_policy::{Invalid, Kind, Policy};

fn refusal(kind: Kind, text: &str) -> Option<String> {
    Policy::read(text, kind).err().map(|invalid: Invalid| invalid.to_string())
}

/// An identity policy with one statement.
fn with(statement: &str) -> String {
    format!(r#"{{"Version": "2012-10-17", "Statement": {statement}}}"#)
}

const FINE: &str = r#"{"Effect": "Allow", "Action": "ecs:*", "Resource": "*"}"#;

#[test]
fn identity_policies_are_accepted_or_refused_in_iams_words() {
    for good in [
        with(FINE),
        with(&format!("[{FINE}, {FINE}]")),
        with(r#"{"Sid": "", "Effect": "Deny", "NotAction": ["iam:*"], "NotResource": ["arn:aws:s3:::b"]}"#),
        with(r#"{"Effect": "Allow", "Action": "*", "Resource": "arn:aws:ecs:*:*:*", "Condition": {}}"#),
        with(
            r#"{"Effect": "Allow", "Action": "*", "Resource": "*",
                "Condition": {"Bool": {"aws:SecureTransport": true}, "NumericEquals": {"ecs:task-cpu": [256, "512"]}}}"#,
        ),
    ] {
        assert_eq!(refusal(Kind::Identity, &good), None, "{good}");
    }
    let syntax = "Syntax errors in policy.";
    for (bad, text) in [
        ("", syntax),
        ("[]", syntax),
        (r#"{"Version": "2012-10-17"}"#, syntax),
        (&with("[]"), syntax),
        (&with(r#"{"Effect": "allow", "Action": "a:b", "Resource": "*"}"#), syntax),
        (&with(r#"{"Effect": "Allow", "Action": "a:b", "NotAction": "a:c", "Resource": "*"}"#), syntax),
        (&with(r#"{"Effect": "Allow", "Action": 1, "Resource": "*"}"#), syntax),
        (&with(r#"{"Effect": "Allow", "Actions": "a:b", "Resource": "*"}"#), syntax),
        (
            &with(
                r#"{"Effect": "Allow", "Action": "a:b", "Resource": "*", "Condition": {"Near": {"aws:x": "1"}}}"#,
            ),
            syntax,
        ),
        (&format!(r#"{{"Version": "2012-10-18", "Statement": {FINE}}}"#), syntax),
        (&format!(r#"{{"Statement": {FINE}}}"#), "Policy document must be version 2012-10-17 or greater."),
        (
            &with(
                r#"[{"Sid": "a", "Effect": "Allow", "Action": "a:b", "Resource": "*"},
                    {"Sid": "a", "Effect": "Deny", "Action": "a:b", "Resource": "*"}]"#,
            ),
            "Statement IDs (SID) in a single policy must be unique.",
        ),
        (&with(r#"{"Effect": "Allow", "Resource": "*"}"#), "Policy statement must contain actions."),
        (
            &with(r#"{"Effect": "Allow", "Action": [], "Resource": "*"}"#),
            "Policy statement must contain actions.",
        ),
        (&with(r#"{"Effect": "Allow", "Action": "a:b"}"#), "Policy statement must contain resources."),
        (
            &with(r#"{"Effect": "Allow", "Action": "a:b", "Resource": "cluster/x"}"#),
            "Resource cluster/x must be in ARN format or \"*\".",
        ),
        (
            &with(r#"{"Effect": "Allow", "Action": "ListClusters", "Resource": "*"}"#),
            "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
        ),
        (
            &with(r#"{"Effect": "Allow", "Principal": "*", "Action": "a:b", "Resource": "*"}"#),
            "Policy document should not specify a principal.",
        ),
    ] {
        assert_eq!(refusal(Kind::Identity, bad).as_deref(), Some(text), "{bad}");
    }
}

#[test]
fn trust_policies_are_accepted_or_refused_in_iams_words() {
    let trust = |rest: &str| format!(r#"{{"Statement": {{"Effect": "Allow", {rest}}}}}"#);
    for good in [
        r#""Action": "sts:AssumeRole", "Principal": {"Service": "ecs-tasks.amazonaws.com"}"#,
        r#""Action": "STS:AssumeRole", "Principal": {"AWS": "*"}"#,
        r#""Action": ["sts:AssumeRole", "sts:TagSession"], "Principal": {"AWS": ["123456789012", "arn:aws:iam::1:root"]}"#,
    ] {
        assert_eq!(refusal(Kind::Trust, &trust(good)), None, "{good}");
    }
    for (bad, text) in [
        (
            r#""Action": "sts:AssumeRole", "Principal": {"AWS": "*"}, "Resource": "*""#,
            "Has prohibited field Resource",
        ),
        (
            r#""Action": "ecs:RunTask", "Principal": {"AWS": "*"}"#,
            "AssumeRole policy may only specify STS AssumeRole actions.",
        ),
        (
            r#""Action": "sts:AssumeRole", "Principal": "*""#,
            "AssumeRolepolicy contained an invalid principal: \"STAR\":\"*\".",
        ),
        (r#""Action": "sts:AssumeRole", "Principal": {}"#, "Syntax errors in policy."),
        (r#""Action": "sts:AssumeRole", "NotPrincipal": {"AWS": "*"}"#, "Syntax errors in policy."),
        (r#""Action": "sts:AssumeRole""#, "Invalid principal in policy."),
    ] {
        assert_eq!(refusal(Kind::Trust, &trust(bad)).as_deref(), Some(text), "{bad}");
    }
}

#[test]
fn a_document_that_is_not_a_policy_is_refused_without_a_panic() {
    let document = with(FINE);
    for cut in 0..document.len() {
        assert!(refusal(Kind::Identity, &document[..cut]).is_some());
    }
    // As deep as a request may be large.
    assert!(refusal(Kind::Identity, &"[".repeat(200_000)).is_some());
}

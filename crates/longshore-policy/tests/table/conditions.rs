//! What conditions say: a table, and what holds for every operator alike.

use longshore_policy::{Context, Kind, Layers, Policy, Question, decide};
use serde_json::json;

use crate::{ACCOUNT, check, user, yes};

/// Whether a condition holds. The request's values are `None` where the key is absent.
fn holds(operator: &str, values: &[&str], given: Option<&[&str]>) -> bool {
    let mut context = Context::new()
        .with("aws:username", "ann")
        .with("aws:PrincipalTag/team", "red")
        .with("aws:PrincipalTag/star", "*");
    context.set_all("aws:TagKeys", ["a", "b"].map(str::to_owned));
    context.set_all("aws:Nothing", []);
    if let Some(given) = given {
        // Names of keys are compared without regard to case.
        context.set_all("TEST:kEY", given.iter().map(|value| (*value).to_owned()));
    }
    let document = json!({
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {operator: {"test:Key": values}},
        },
    });
    let policy = Policy::read(&document.to_string(), Kind::Identity)
        .unwrap_or_else(|error| panic!("{error} {document}"));
    let who = user(ACCOUNT, "ann");
    let question = Question { who: &who, action: "s3:A", resource: "*", owner: ACCOUNT, context: &context };
    decide(&question, &Layers { identity: &[&policy], ..Layers::default() }).is_allowed()
}

#[test]
fn conditions_hold_as_the_table_says() {
    check(include_str!("conditions.txt"), 4, 1, |row| {
        let list =
            |cell: &str| cell.split(' ').map(|value| value.replace(r"\s", " ")).collect::<Vec<String>>();
        let values = list(row.cells[1]);
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let given = list(row.cells[2]);
        let given: Vec<&str> = given.iter().map(String::as_str).collect();
        yes(match row.cells[2] {
            "-" => holds(row.cells[0], &values, None),
            "[]" => holds(row.cells[0], &values, Some(&[])),
            _values => holds(row.cells[0], &values, Some(&given)),
        })
    });
}

/// An operator, the one that negates it, a value of a policy, a request's value that matches it, one that does not, and
/// another value of a policy that neither matches.
type Sample = (&'static str, Option<&'static str>, &'static str, &'static str, &'static str, &'static str);

const OPERATORS: &[Sample] = &[
    ("StringEquals", Some("StringNotEquals"), "a", "a", "b", "z"),
    ("StringEqualsIgnoreCase", Some("StringNotEqualsIgnoreCase"), "a", "A", "b", "z"),
    ("StringLike", Some("StringNotLike"), "a*", "ab", "b", "z*"),
    (
        "ArnEquals",
        Some("ArnNotEquals"),
        "arn:aws:s3:::a*",
        "arn:aws:s3:::ab",
        "arn:aws:s3:::b",
        "arn:aws:s3:::z",
    ),
    ("ArnLike", Some("ArnNotLike"), "arn:*:s3:::a", "arn:aws:s3:::a", "arn:aws:s3:::b", "arn:aws:s3:::z"),
    ("NumericEquals", Some("NumericNotEquals"), "10", "10.0", "11", "99"),
    ("NumericLessThan", None, "10", "9", "10", "1"),
    ("NumericLessThanEquals", None, "10", "10", "11", "1"),
    ("NumericGreaterThan", None, "10", "11", "10", "99"),
    ("NumericGreaterThanEquals", None, "10", "10", "9", "99"),
    ("DateEquals", Some("DateNotEquals"), "2026-01-01", "1767225600", "1767225601", "1999-01-01"),
    ("DateLessThan", None, "2026-01-01", "1767225599", "1767225600", "1999-01-01"),
    ("DateLessThanEquals", None, "2026-01-01", "1767225600", "1767225601", "1999-01-01"),
    ("DateGreaterThan", None, "2026-01-01", "1767225601", "1767225600", "2099-01-01"),
    ("DateGreaterThanEquals", None, "2026-01-01", "1767225600", "1767225599", "2099-01-01"),
    ("Bool", None, "true", "True", "false", "neither"),
    ("BinaryEquals", None, "AAE=", "AAE=", "AAA=", "AAI="),
    ("IpAddress", Some("NotIpAddress"), "10.0.0.0/8", "10.1.1.1", "11.1.1.1", "12.0.0.0/8"),
];

#[test]
fn every_operator_with_every_prefix_and_ending() {
    let mut asked = 0;
    let mut expect = |operator: &str, values: &[&str], given: Option<&[&str]>, expected: bool| {
        asked += 1;
        assert_eq!(holds(operator, values, given), expected, "{operator} {values:?} {given:?}");
    };
    for &(positive, negative, value, matching, other, unrelated) in OPERATORS {
        // Of a negated operator, what matches is bad; no value of the policy may match.
        let operators = [(positive, false)].into_iter().chain(negative.map(|negative| (negative, true)));
        for (operator, is_negated) in operators {
            let (good, bad) = if is_negated { (other, matching) } else { (matching, other) };
            for values in [&[value][..], &[unrelated, value], &[value, unrelated]] {
                let with = |prefix: &str, ending: &str| format!("{prefix}{operator}{ending}");

                for (ending, absent) in [("", is_negated), ("IfExists", true)] {
                    let plain = with("", ending);
                    expect(&plain, values, Some(&[good]), true);
                    expect(&plain, values, Some(&[bad]), false);
                    expect(&plain, values, None, absent);
                    // Of several values of the request, one has to match; negated, none may.
                    expect(&plain, values, Some(&[good, bad]), !is_negated);
                    expect(&plain, values, Some(&[bad, bad]), false);

                    let all = with("ForAllValues:", ending);
                    expect(&all, values, Some(&[good]), true);
                    expect(&all, values, Some(&[good, good]), true);
                    expect(&all, values, Some(&[good, bad]), false);
                    expect(&all, values, Some(&[bad]), false);
                    expect(&all, values, Some(&[]), true);
                    expect(&all, values, None, true);

                    let any = with("ForAnyValue:", ending);
                    expect(&any, values, Some(&[good]), true);
                    expect(&any, values, Some(&[bad, good]), true);
                    expect(&any, values, Some(&[bad, bad]), false);
                    expect(&any, values, Some(&[]), false);
                    expect(&any, values, None, ending == "IfExists");
                }
            }
            // Without values nothing matches.
            expect(operator, &[], Some(&[good]), is_negated);
        }
    }
    assert_eq!(asked, 26 * (3 * 2 * 16 + 1));
}

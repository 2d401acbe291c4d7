use std::collections::BTreeMap;

use longshore_base::Timestamp;
use proptest::prelude::*;

use super::value::timestamp;
use super::{DEPTH_MAX, EXPRESSION_LEN_MAX, Expression, Subject};

#[derive(Default)]
struct Sample {
    attributes: BTreeMap<&'static str, &'static str>,
    version: &'static str,
    registered: Timestamp,
    groups: Vec<&'static str>,
}

impl Subject for Sample {
    fn agent_connected(&self) -> bool {
        true
    }
    fn agent_version(&self) -> &str {
        self.version
    }
    fn ec2_instance_id(&self) -> &str {
        "i-abcd1234"
    }
    fn registered_at(&self) -> Timestamp {
        self.registered
    }
    fn running_tasks_count(&self) -> u32 {
        self.groups.len() as u32
    }
    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).copied()
    }
    fn any_group(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        self.groups.iter().any(|group| test(group))
    }
}

/// The instances X and Y of the vectors of ecs-engine D6.
fn x() -> Sample {
    Sample {
        attributes: BTreeMap::from([
            ("ecs.instance-type", "t2.small"),
            ("ecs.availability-zone", "us-east-1a"),
            ("stack", "prod"),
            ("cores", "9"),
            ("ecs.capability.external", ""),
        ]),
        version: "1.70.0",
        registered: timestamp("2024-05-01").expect("a date"),
        groups: vec!["service:web", "family:job"],
    }
}

fn y() -> Sample {
    Sample {
        attributes: BTreeMap::from([
            ("ecs.instance-type", "g2.2xlarge"),
            ("ecs.availability-zone", "us-east-1d"),
            ("cores", "10"),
        ]),
        version: "1.9.3",
        registered: timestamp("2024-06-01").expect("a date"),
        groups: Vec::new(),
    }
}

#[track_caller]
fn check(text: &str, on_x: bool, on_y: bool) {
    let expression = Expression::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!((expression.matches(&x()), expression.matches(&y())), (on_x, on_y), "{text}");
}

#[track_caller]
fn check_error(text: &str, problem: &str, about: &str) {
    let error = Expression::parse(text).expect_err(text);
    assert_eq!((error.problem.as_str(), &text[error.span.clone()]), (problem, about), "{text}: {error}");
    assert!(!error.hint.is_empty());
}

#[test]
fn the_vectors_of_the_reference() {
    check("attribute:stack == prod", true, false);
    check("attribute:stack != prod", false, false);
    check("not(attribute:stack == prod)", false, true);
    check("attribute:stack exists", true, false);
    check("attribute:stack !exists", false, true);
    check("attribute:ecs.instance-type =~ t2.*", true, false);
    check("attribute:ecs.instance-type in [t2.small, 'g2.2xlarge']", true, true);
    check("attribute:ecs.availability-zone not_in [us-east-1d]", true, false);
    check(
        "attribute:ecs.instance-type =~ g2.* and attribute:ecs.availability-zone != us-east-1d",
        false,
        false,
    );
    check("agentVersion < 1.14.5", false, true);
    check("runningTasksCount == 0", false, true);
    check("task:group == service:web", true, false);
    check("!(task:group == service:web)", false, true);
    check("registeredAt < 2024-05-02", true, false);
    check("(attribute:stack == prod or runningTasksCount == 0) and agentConnected == true", true, true);
}

#[test]
fn the_examples_of_the_reference() {
    check("attribute:ecs.instance-type == t2.small", true, false);
    check(
        "attribute:ecs.instance-type =~ t2.* and attribute:ecs.availability-zone != us-east-1d",
        true,
        false,
    );
    check("attribute:ecs.availability-zone in [us-east-1a, us-east-1b]", true, false);
    check("ec2InstanceId in [i-abcd1234, i-wxyx7890]", true, true);
    check("agentConnected == false", false, false);
    check("runningTasksCount > 0", true, false);
    check("not(attribute:ecs.instance-type=~t2.*)", false, true);
}

#[test]
fn operators_have_several_spellings() {
    check("attribute:stack equals prod", true, false);
    check("attribute:stack not_equals test", true, false);
    check("attribute:stack in prod", true, false);
    check("attribute:stack !in [test,dev]", true, false);
    check("attribute:stack matches p.*d", true, false);
    check("attribute:stack not_matches t.*", true, false);
    check("attribute:stack !~ t.*", true, false);
    check("attribute:stack not_exists", false, true);
    check("agentVersion greater_than 1.70", false, false);
    check("agentVersion greater_than_equal 1.70", true, false);
    check("agentVersion less_than 1.10", false, true);
    check("runningTasksCount less_than_equal 2", true, true);
    check("attribute:stack==prod&&runningTasksCount>=2", true, false);
    check("attribute:stack==prod||runningTasksCount==0", true, true);
    check("not not attribute:stack exists", true, false);
    check("attribute:stack == \"prod\"", true, false);
}

#[test]
fn and_binds_stronger_than_or() {
    check("agentConnected == true or agentConnected == true and agentConnected == false", true, true);
    check("(agentConnected == true or agentConnected == true) and agentConnected == false", false, false);
}

#[test]
fn attributes_compare_as_numbers_where_both_are() {
    check("attribute:cores < 10", true, false);
    check("attribute:cores >= 9.5", false, true);
    check("attribute:stack > alpha", true, false);
    check("attribute:missing > 0", false, false);
}

#[test]
fn an_attribute_without_value_has_the_empty_one() {
    check("attribute:ecs.capability.external exists", true, false);
    check("attribute:ecs.capability.external == ''", true, false);
    check("attribute:ecs.capability.external != a", true, false);
}

#[test]
fn patterns_match_the_whole_value() {
    check("attribute:ecs.instance-type =~ t2", false, false);
    check("attribute:ecs.instance-type =~ small", false, false);
    check("attribute:ecs.instance-type =~ (t2|g2)[.].*", true, true);
    check("(attribute:ecs.instance-type =~ (t2|t3).(small|large))", true, false);
    check("attribute:stack =~ pro|prod", true, false);
    check("task:group =~ service:.*", true, false);
}

#[test]
fn quoted_parts_of_patterns_stand_for_themselves() {
    check(r"attribute:ecs.instance-type =~ \Qt2.\E.*", true, false);
    check(r"attribute:ecs.instance-type =~ \Qt2.*\E", false, false);
    check(r"attribute:ecs.instance-type =~ \Qt2.\Esma\Qll", true, false);
    check(r"attribute:ecs.instance-type =~ (\Qt2.small\E|\Qg2.\E2x\Q\Elarge)", true, true);
    check(r"attribute:ecs.instance-type =~ '[\Q.stalm\E2]+'", true, false);
    check(r"(attribute:stack !~ \Qa)b(\E and attribute:stack == prod)", true, false);
    let matches = |pattern: &str, value: &'static str| {
        let sample = Sample { attributes: BTreeMap::from([("v", value)]), ..Sample::default() };
        Expression::parse(&format!("attribute:v =~ '{pattern}'")).expect("valid").matches(&sample)
    };
    assert!(matches(r"(?x) \Qa b\E c", "a bc"));
    assert!(matches(r"\Qab\E+", "abb"));
    // An escaped backslash before a letter.
    assert!(matches(r"a\\Qb", r"a\Qb"));
    // As in Java, only a quote that began can end.
    assert!(Expression::parse(r"attribute:v =~ a\E").is_err());
}

/// An operator on groups asks for one task for which it holds; negating it asks for none.
#[test]
fn groups_are_tested_one_by_one() {
    check("task:group != service:web", true, false);
    check("task:group in [family:job, x]", true, false);
    check("not(task:group in [family:job, x])", false, true);
    check("task:group !~ .*", false, false);
}

#[test]
fn errors_say_where_and_what_to_do() {
    check_error("attribute:stack ==", "a value is missing", "");
    check_error("foo == 1", "unknown subject `foo`", "foo");
    check_error("(attribute:a == b", "a parenthesis that is not closed", "(");
    check_error("attribute:a == b)", "a closing parenthesis without an opening one", ")");
    check_error("", "a predicate is missing", "");
    check_error("attribute:a == b and", "a predicate is missing", "");
    check_error("attribute:a == b attribute:c == d", "the expression should have ended", "attribute:c");
    check_error("attribute:a", "an operator is missing", "");
    check_error("attribute:a ~ b", "unknown operator", "~");
    check_error("attribute:a = b", "unknown operator", "=");
    check_error("attribute: == b", "the attribute has no name", "attribute:");
    check_error("attribute:a == 'b", "a quoted value that is not closed", "'b");
    check_error("attribute:a in [b, c", "a list that is not closed", "[b, c");
    check_error("attribute:a in []", "a value is missing", "");
    check_error("agentConnected == yes", "`yes` is neither true nor false", "yes");
    check_error("agentConnected > true", "operator > cannot be used with agentConnected", ">");
    check_error("agentConnected exists", "operator exists cannot be used with agentConnected", "exists");
    check_error("agentVersion =~ 1.*", "operator =~ cannot be used with agentVersion", "=~");
    check_error("agentVersion == new", "`new` is not a version", "new");
    check_error("runningTasksCount > -1", "`-1` is not a number of tasks", "-1");
    check_error("registeredAt < yesterday", "`yesterday` is not a date", "yesterday");
    let pattern = Expression::parse("attribute:a =~ 'a)(b'").expect_err("does not compile");
    assert!(pattern.problem.starts_with("`a)(b` is not a usable pattern"), "{pattern}");
    let huge = Expression::parse("attribute:a =~ ((a{1000}){1000}){1000}").expect_err("too large");
    assert!(huge.problem.contains("is not a usable pattern"), "{huge}");
    // What one pattern may not take, many may not take together.
    assert!(Expression::parse("attribute:a =~ a{300}").is_ok());
    let many = vec!["attribute:a =~ a{300}"; 80].join(" or ");
    let many = Expression::parse(&many).expect_err("too large together");
    assert!(many.problem.contains("is not a usable pattern"), "{many}");
    assert!(Expression::parse(&vec!["attribute:a =~ t2.*"; 60].join(" or ")).is_ok());
    assert_eq!(
        Expression::parse("attribute:a ==").expect_err("incomplete").to_string(),
        "a value is missing at position 15; write a word, or a text in quotes"
    );
}

#[test]
fn length_and_depth_are_bounded() {
    let of_len = |len: usize| format!("attribute:a == {}", "b".repeat(len - 15));
    assert!(Expression::parse(&of_len(EXPRESSION_LEN_MAX)).is_ok());
    assert!(Expression::parse(&of_len(EXPRESSION_LEN_MAX + 1)).is_err());
    let nested = |depth| format!("{}attribute:a == b{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Expression::parse(&nested(DEPTH_MAX)).is_ok());
    check_error(&nested(DEPTH_MAX + 1), "nested deeper than 32 levels", "(");
    assert!(Expression::parse(&"!".repeat(EXPRESSION_LEN_MAX)).is_err());
}

#[test]
fn expressions_know_what_they_read() {
    let of = |text| Expression::parse(text).expect("valid");
    assert!(of("attribute:a == b and agentConnected == true").is_static());
    assert!(!of("attribute:a == b and not(task:group == x)").is_static());
    assert!(!of("runningTasksCount == 0 or attribute:a exists").is_static());
    assert!(of("not(attribute:a > 1) or attribute:b exists").reads_attribute("b"));
    assert!(!of("attribute:ab == a").reads_attribute("a"));
}

/// Pieces of the language in any order: far more often almost right than random text is.
fn fragments() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "attribute:a",
        "attribute:",
        "task:group",
        "agentVersion",
        "runningTasksCount",
        "registeredAt",
        "agentConnected",
        "ec2InstanceId",
        " == ",
        "!=",
        "=~",
        " !~ ",
        " in ",
        "!in",
        "exists",
        "not_exists",
        ">",
        "<=",
        "(",
        ")",
        "[",
        "]",
        ",",
        "'",
        "\"",
        "true",
        "1.2",
        "2024-01-01",
        "a.*",
        "\\",
        "\\Q",
        "\\E",
        "é",
        "and",
        " or ",
        "&&",
        "||",
        "!",
        "not",
        " ",
        "|",
    ]);
    prop::collection::vec(pieces, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in prop_oneof![fragments(), ".{0,60}"]) {
        match Expression::parse(&text) {
            Ok(expression) => {
                expression.matches(&x());
                prop_assert_eq!(expression.as_str(), text);
            }
            Err(error) => {
                prop_assert!(text.get(error.span.clone()).is_some(), "{:?} in {:?}", error.span, text);
            }
        }
    }

    /// Quoted values are taken as they are.
    #[test]
    fn quoted_values_round_trip(value in "[^']{0,40}") {
        let expression = Expression::parse(&format!("attribute:v == '{value}'")).expect("valid");
        let leaked: &'static str = Box::leak(value.into_boxed_str());
        let sample = Sample { attributes: BTreeMap::from([("v", leaked)]), ..Sample::default() };
        prop_assert!(expression.matches(&sample));
    }

    /// So is what a pattern quotes.
    #[test]
    fn quoted_patterns_round_trip(value in "[^']{0,40}") {
        prop_assume!(!value.contains(r"\E"));
        let expression = Expression::parse(&format!(r"attribute:v =~ '\Q{value}\E'")).expect("valid");
        let leaked: &'static str = Box::leak(value.into_boxed_str());
        let sample = Sample { attributes: BTreeMap::from([("v", leaked)]), ..Sample::default() };
        prop_assert!(expression.matches(&sample));
    }
}

//! The cluster query language.

use std::collections::BTreeMap;

use longshore_base::Timestamp;
use longshore_placement::query::{DEPTH_MAX, EXPRESSION_LEN_MAX, Expression, Subject};

/// An instance whose attributes are spelt in the input's first line: `name=value,name,...`.
struct Instance<'a> {
    attributes: BTreeMap<&'a str, &'a str>,
    groups: Vec<&'a str>,
}

impl Subject for Instance<'_> {
    fn agent_connected(&self) -> bool {
        self.groups.len().is_multiple_of(2)
    }
    fn agent_version(&self) -> &str {
        self.attribute("version").unwrap_or("1.70.0")
    }
    fn ec2_instance_id(&self) -> &str {
        self.attribute("id").unwrap_or("i-abcd1234")
    }
    fn registered_at(&self) -> Timestamp {
        Timestamp::from_millis(1_714_521_600_000)
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

pub fn run(bytes: &[u8]) {
    let (line, rest) = crate::first_line(bytes);
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let mut instance = Instance { attributes: BTreeMap::new(), groups: Vec::new() };
    for item in line.split(',').take(8) {
        match item.split_once('=') {
            Some(("group", group)) => instance.groups.push(group),
            Some((name, value)) => drop(instance.attributes.insert(name, value)),
            None => drop(instance.attributes.insert(item, "")),
        }
    }
    let expression = match Expression::parse(text) {
        Ok(expression) => expression,
        Err(error) => {
            // The span is a part of the text, and the message does not grow with it.
            assert!(text.get(error.span.clone()).is_some(), "{text:?}: {:?}", error.span);
            assert!(!error.hint.is_empty() && error.to_string().len() < 1000, "{error}");
            return;
        }
    };
    assert!(text.chars().count() <= EXPRESSION_LEN_MAX);
    assert_eq!(expression.as_str(), text);
    let holds = expression.matches(&instance);
    // The laws of logic, where the longer text is still within the limits of length and depth.
    for (longer, expected) in [
        (format!("({text})"), holds),
        (format!("not({text})"), !holds),
        (format!("({text}) and ({text})"), holds),
        (format!("({text}) or not({text})"), true),
    ] {
        match Expression::parse(&longer) {
            Ok(longer) => {
                assert_eq!(longer.matches(&instance), expected, "{longer}");
                assert_eq!(longer.is_static(), expression.is_static(), "{longer}");
            }
            Err(error) => {
                let nested = text.matches(['(', '!']).count() + text.matches("not").count();
                let is_at_limit = longer.chars().count() > EXPRESSION_LEN_MAX || nested + 2 > DEPTH_MAX;
                assert!(
                    is_at_limit || text.contains("=~") || text.contains("!~") || text.contains("match"),
                    "{longer}: {error}"
                );
            }
        }
    }
}

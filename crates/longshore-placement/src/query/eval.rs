//! Whether an instance satisfies an expression.

use longshore_base::Timestamp;

use super::parse::{Node, Ordering, Predicate, TextTest};
use super::value::{Version, number};

/// An instance, as the language sees it.
pub trait Subject {
    fn agent_connected(&self) -> bool;
    /// Empty if the agent sent none.
    fn agent_version(&self) -> &str;
    fn ec2_instance_id(&self) -> &str;
    fn registered_at(&self) -> Timestamp;
    fn running_tasks_count(&self) -> u32;
    /// `None` if it lacks the attribute, `Some("")` if the attribute has no value.
    fn attribute(&self, name: &str) -> Option<&str>;
    /// True if `test` holds for the group of a task that is not STOPPED.
    fn any_group(&self, test: &mut dyn FnMut(&str) -> bool) -> bool;
}

impl Node {
    pub(crate) fn matches(&self, subject: &impl Subject) -> bool {
        match self {
            Node::Or(parts) => parts.iter().any(|part| part.matches(subject)),
            Node::And(parts) => parts.iter().all(|part| part.matches(subject)),
            Node::Not(inner) => !inner.matches(subject),
            Node::Predicate(predicate) => predicate.matches(subject),
        }
    }
}

impl Predicate {
    fn matches(&self, subject: &impl Subject) -> bool {
        match self {
            Predicate::AgentConnected(test) => {
                test.matches(if subject.agent_connected() { "true" } else { "false" })
            }
            Predicate::AgentVersion(ordering, version) => {
                Version::parse(subject.agent_version()).is_some_and(|own| ordering.holds(own.cmp(version)))
            }
            Predicate::Ec2InstanceId(test) => test.matches(subject.ec2_instance_id()),
            Predicate::RegisteredAt(ordering, at) => ordering.holds(subject.registered_at().cmp(at)),
            Predicate::RunningTasksCount(ordering, count) => {
                ordering.holds(u64::from(subject.running_tasks_count()).cmp(count))
            }
            Predicate::AttributeExists { name, exists } => subject.attribute(name).is_some() == *exists,
            Predicate::AttributeText { name, test } => {
                subject.attribute(name).is_some_and(|value| test.matches(value))
            }
            Predicate::AttributeOrder { name, ordering, value } => {
                subject.attribute(name).is_some_and(|own| match (number(own), number(value)) {
                    (Some(own), Some(value)) => ordering.holds(own.total_cmp(&value)),
                    (Some(_), None) | (None, Some(_)) | (None, None) => ordering.holds(own.cmp(value)),
                })
            }
            Predicate::Group(test) => subject.any_group(&mut |group| test.matches(group)),
        }
    }
}

impl TextTest {
    pub(crate) fn matches(&self, value: &str) -> bool {
        match self {
            TextTest::In { values, negated } => values.iter().any(|v| v == value) != *negated,
            TextTest::Pattern { regex, negated } => regex.is_match(value) != *negated,
        }
    }
}

impl Ordering {
    pub(crate) fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Ordering::Equal => order.is_eq(),
            Ordering::NotEqual => order.is_ne(),
            Ordering::Greater => order.is_gt(),
            Ordering::GreaterOrEqual => order.is_ge(),
            Ordering::Less => order.is_lt(),
            Ordering::LessOrEqual => order.is_le(),
        }
    }
}

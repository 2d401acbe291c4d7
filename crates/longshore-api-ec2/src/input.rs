//! What the model demands of a request, refused in the words of EC2.

use longshore_wire::{Fault, Rule, Structure, Violation, Violations};

use crate::errors;

/// Refuses a request that breaks a constraint of the model.
pub(crate) fn check(request: &dyn Structure) -> Result<(), Fault> {
    match Violations::of(request).first() {
        Some(violation) => Err(refusal(violation)),
        None => Ok(()),
    }
}

/// A member that the model requires and [`check`] has seen.
pub(crate) fn given(member: &Option<String>) -> &str {
    member.as_deref().unwrap_or_default()
}

/// The members of a list; none if it was not given.
pub(crate) fn listed<T>(list: &Option<Vec<T>>) -> &[T] {
    list.as_deref().unwrap_or_default()
}

/// Refuses what is not built, instead of dropping it: `what` is said to be there or not.
pub(crate) fn none_of(parts: &[(&str, bool)]) -> Result<(), Fault> {
    match parts.iter().find(|(_, is_there)| *is_there) {
        Some((what, _)) => Err(errors::unsupported(what)),
        None => Ok(()),
    }
}

fn refusal(violation: &Violation) -> Fault {
    let name = lower(&violation.path);
    match &violation.rule {
        // Names of launch templates have an error of their own.
        Rule::Length { .. } | Rule::Pattern(_) if violation.shape == "LaunchTemplateName" => {
            errors::template_name()
        }
        Rule::Missing => errors::missing(&name),
        Rule::UnknownValue { value: Some(value), allowed } => errors::invalid(format!(
            "Value ({value}) for parameter {name} is invalid. Valid values are: {}.",
            allowed.join(", ")
        )),
        Rule::UnknownValue { value: None, .. } => {
            errors::invalid(format!("Value for parameter {name} is invalid."))
        }
        Rule::Length { min, max, .. } => {
            errors::invalid(format!("The length of parameter {name} is invalid. {}", bounds(*min, *max)))
        }
        Rule::Range { min, max } => {
            errors::invalid(format!("Value for parameter {name} is invalid. {}", bounds(*min, *max)))
        }
        Rule::Pattern(_) => errors::invalid(format!("Value for parameter {name} is invalid.")),
    }
}

fn bounds(min: Option<i64>, max: Option<i64>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("Expecting {min} to {max}."),
        (Some(min), None) => format!("Expecting at least {min}."),
        (None, Some(max)) => format!("Expecting at most {max}."),
        (None, None) => String::new(),
    }
}

/// `VpcId` as `vpcId`.
fn lower(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

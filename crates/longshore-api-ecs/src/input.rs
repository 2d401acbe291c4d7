//! What the model demands of a request, refused in the words of ECS.

use longshore_shapes_ecs::{ClientException, InvalidParameterException};
use longshore_wire::{Rule, Structure, Violation, Violations};

use crate::texts;

/// Refuses a request that breaks a constraint of the model.
pub fn check(request: &dyn Structure) -> Result<(), InvalidParameterException> {
    match violation(request) {
        Some(text) => Err(InvalidParameterException::new(text)),
        None => Ok(()),
    }
}

/// The same for operations that call the mistake a ClientException (ecs-operations B3).
pub fn check_client(request: &dyn Structure) -> Result<(), ClientException> {
    match violation(request) {
        Some(text) => Err(ClientException::new(text)),
        None => Ok(()),
    }
}

/// What the request breaks first, in words.
fn violation(request: &dyn Structure) -> Option<String> {
    Violations::of(request).iter().find(|violation| !is_about_tags(violation)).map(describe)
}

/// [`crate::tags::parse`] says more clearly what is wrong with a tag.
fn is_about_tags(violation: &Violation) -> bool {
    violation.rule != Rule::Missing && matches!(violation.shape, "Tags" | "TagKey" | "TagValue")
}

fn describe(violation: &Violation) -> String {
    match &violation.rule {
        Rule::UnknownValue { allowed, .. } => texts::one_of(&words(violation.member), allowed),
        Rule::Missing => texts::required(&violation.path),
        Rule::Length { .. } | Rule::Range { .. } | Rule::Pattern(_) => format!("{violation}."),
    }
}

/// `launchType` as `launch type`.
fn words(member: &str) -> String {
    let mut words = String::with_capacity(member.len() + 4);
    for letter in member.chars() {
        if letter.is_ascii_uppercase() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

/// A count as the API shows it.
pub(crate) fn count(number: usize) -> Option<i32> {
    Some(i32::try_from(number).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_shapes_ecs::{
        CapacityProviderStrategyItem, LaunchType, ListServicesRequest, RunTaskRequest, StopTaskRequest,
    };

    #[test]
    fn constraints_are_told_in_the_words_of_ecs() {
        let unknown =
            ListServicesRequest { launch_type: Some(LaunchType::from("MOON")), ..Default::default() };
        let text = check(&unknown).expect_err("no such launch type").to_string();
        assert_eq!(text, "launch type should be one of [EC2,FARGATE,EXTERNAL,MANAGED_INSTANCES]");
        let text = check(&StopTaskRequest::default()).expect_err("no task").to_string();
        assert_eq!(text, "task can not be blank.");
        let item = CapacityProviderStrategyItem { weight: Some(1001), ..Default::default() };
        let heavy = RunTaskRequest { capacity_provider_strategy: Some(vec![item]), ..Default::default() };
        let text = check_client(&heavy).expect_err("too heavy").to_string();
        assert_eq!(text, "capacityProviderStrategy[0].weight is out of range, expected 0 to 1000.");
    }
}

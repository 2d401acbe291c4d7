//! What the model demands of a request, refused as the three services refuse it: a `ValidationException`.

use longshore_wire::{Fault, Rule, Structure, Violation, Violations};

/// Refuses a request that breaks a constraint of the model.
pub(crate) fn check(request: &dyn Structure) -> Result<(), Fault> {
    match Violations::of(request).first() {
        Some(violation) => Err(Fault::validation(describe(violation))),
        None => Ok(()),
    }
}

/// A member that the model requires and [`check`] has seen.
pub(crate) fn given(member: &Option<String>) -> &str {
    member.as_deref().unwrap_or_default()
}

/// Without the value, which may be a secret.
fn describe(violation: &Violation) -> String {
    let member = member(&violation.path);
    let (value, constraint) = match &violation.rule {
        Rule::Missing => ("Value null", "Member must not be null".to_owned()),
        Rule::UnknownValue { allowed, .. } => {
            ("Value", format!("Member must satisfy enum value set: [{}]", allowed.join(", ")))
        }
        Rule::Length { length, min, max } => {
            let found = i64::try_from(*length).unwrap_or(i64::MAX);
            ("Value", bound("length ", min.is_some_and(|min| found < min), *min, *max))
        }
        Rule::Range { min, max } => ("Value", range(*min, *max)),
        Rule::Pattern(pattern) => {
            ("Value", format!("Member must satisfy regular expression pattern: {pattern}"))
        }
    };
    format!("1 validation error detected: {value} at '{member}' failed to satisfy constraint: {constraint}")
}

fn range(min: Option<i64>, max: Option<i64>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("Member must have value between {min} and {max}"),
        (min, max) => bound("value ", min.is_some(), min, max),
    }
}

fn bound(what: &str, is_small: bool, min: Option<i64>, max: Option<i64>) -> String {
    match (is_small, min, max) {
        (true, Some(min), _) => format!("Member must have {what}greater than or equal to {min}"),
        (_, _, Some(max)) => format!("Member must have {what}less than or equal to {max}"),
        (_, _, None) => format!("Member must have a possible {what}").trim_end().to_owned(),
    }
}

/// `SecretId` as `secretId`, and `Tags[0].Key` as `tags.1.member.key`.
fn member(path: &str) -> String {
    let lower = |name: &str| {
        let mut letters = name.chars();
        let first = letters.next().map(|first| first.to_ascii_lowercase().to_string());
        first.unwrap_or_default() + letters.as_str()
    };
    let index = |part: &str| -> Option<String> {
        let (name, index) = part.split_once('[')?;
        let index: usize = index.strip_suffix(']')?.parse().ok()?;
        Some(format!("{}.{}.member", lower(name), index + 1))
    };
    path.split('.').map(|part| index(part).unwrap_or_else(|| lower(part))).collect::<Vec<_>>().join(".")
}

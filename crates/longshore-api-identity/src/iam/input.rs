//! What the model demands of a request, refused in the words of IAM: a `ValidationError`.

use longshore_wire::{Fault, Rule, Structure, Violation, Violations};

/// Refuses a request that breaks a constraint of the model.
pub(crate) fn check(request: &dyn Structure) -> Result<(), Fault> {
    match Violations::of(request).first() {
        Some(violation) => Err(Fault::final_refusal(describe(violation))),
        None => Ok(()),
    }
}

/// A member that the model requires and [`check`] has seen.
pub(crate) fn given(member: &Option<String>) -> &str {
    member.as_deref().unwrap_or_default()
}

/// The path of something that is made or moved; `/` if none is given.
pub(super) fn path(given: Option<&str>) -> Result<&str, Fault> {
    let path = given.unwrap_or("/");
    let is_right =
        path.starts_with('/') && path.ends_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
    if is_right {
        return Ok(path);
    }
    Err(Fault::final_refusal(
        "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric \
         characters and/or / characters.",
    ))
}

/// What paths have to begin with; `/` if nothing is given.
pub(super) fn prefix(given: Option<&str>) -> Result<&str, Fault> {
    match given {
        None => Ok("/"),
        Some(prefix) if prefix.starts_with('/') => Ok(prefix),
        Some(_) => Err(Fault::final_refusal(
            "The specified value for pathPrefix is invalid. It must begin with the / character and contain only \
             alphanumeric characters and/or / characters.",
        )),
    }
}

/// Policies are of printable characters.
const POLICY_PATTERN: &str = "[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+";

/// Names have a text of their own; the rest is told as the model's constraint.
fn describe(violation: &Violation) -> String {
    let member = member(&violation.path);
    if matches!(violation.rule, Rule::Pattern("[\\w+=,.@-]+")) {
        return format!(
            "The specified value for {member} is invalid. It must contain only alphanumeric characters and/or the \
             following: +=,.@_-"
        );
    }
    if violation.rule == Rule::Pattern(POLICY_PATTERN) {
        return format!(
            "The specified value for {member} is invalid. It must contain only printable ASCII characters."
        );
    }
    let (value, constraint) = match &violation.rule {
        Rule::Missing => ("Value null", "Member must not be null".to_owned()),
        Rule::UnknownValue { allowed, .. } => {
            ("Value", format!("Member must satisfy enum value set: [{}]", allowed.join(", ")))
        }
        Rule::Length { length, min, max } => {
            ("Value", bound("length ", i64::try_from(*length).ok(), *min, *max))
        }
        Rule::Range { min, max } => ("Value", bound("value ", None, *min, *max)),
        Rule::Pattern(pattern) => {
            ("Value", format!("Member must satisfy regular expression pattern: {pattern}"))
        }
    };
    format!("1 validation error detected: {value} at '{member}' failed to satisfy constraint: {constraint}")
}

fn bound(what: &str, found: Option<i64>, min: Option<i64>, max: Option<i64>) -> String {
    match (min, max) {
        (Some(min), Some(max)) if found.is_none() => {
            format!("Member must have {what}between {min} and {max}")
        }
        (Some(min), _) if found.is_none_or(|found| found < min) => {
            format!("Member must have {what}greater than or equal to {min}")
        }
        (_, Some(max)) => format!("Member must have {what}less than or equal to {max}"),
        (_, None) => format!("Member must have a possible {what}").trim_end().to_owned(),
    }
}

/// `UserName` as `userName`, and `Tags[0].Key` as `tags.1.member.key`.
fn member(path: &str) -> String {
    let lower = |name: &str| {
        let mut letters = name.chars();
        letters
            .next()
            .map(|first| first.to_ascii_lowercase().to_string() + letters.as_str())
            .unwrap_or_default()
    };
    let part = |part: &str| match part
        .split_once('[')
        .and_then(|(name, index)| Some((name, index.strip_suffix(']')?.parse::<usize>().ok()?)))
    {
        Some((name, index)) => format!("{}.{}.member", lower(name), index + 1),
        None => lower(part),
    };
    path.split('.').map(part).collect::<Vec<_>>().join(".")
}

//! What the model demands of a request, refused in ECR's words (registry I3).

use longshore_service::Cx;
use longshore_shapes_ecr::InvalidParameterException;
use longshore_wire::{Rule, Structure, Violation, Violations};

use crate::{Ecr, RegistryHost, texts};

/// A request that the model allows.
pub struct Asked<I> {
    pub input: I,
    pub host: RegistryHost,
}

impl<I: Structure> Asked<I> {
    pub(crate) fn read(cx: &Cx<'_, Ecr>, input: I) -> Result<Self, InvalidParameterException> {
        check(&input)?;
        Ok(Self { input, host: cx.api.host.clone() })
    }
}

/// Refuses a request that breaks a constraint of the model.
pub(crate) fn check(request: &dyn Structure) -> Result<(), InvalidParameterException> {
    match Violations::of(request).first() {
        Some(violation) => Err(refused(&lower(&violation.path), &rule(violation))),
        None => Ok(()),
    }
}

/// `member`, as ECR calls it here, is not what it has to be.
pub(crate) fn refused(member: &str, rule: &str) -> InvalidParameterException {
    InvalidParameterException::new(texts::invalid(member, rule))
}

/// A member that the model requires and [`check`] has seen.
pub(crate) fn given(member: &Option<String>) -> &str {
    member.as_deref().unwrap_or_default()
}

fn rule(violation: &Violation) -> String {
    match &violation.rule {
        Rule::Missing => "must not be null".to_owned(),
        Rule::UnknownValue { allowed, .. } => {
            format!("must satisfy enum value set: [{}]", allowed.join(", "))
        }
        Rule::Length { length, min, max } => {
            let found = i64::try_from(*length).unwrap_or(i64::MAX);
            bound("have length ", min.is_some_and(|min| found < min), *min, *max)
        }
        Rule::Range { min, max } => match (min, max) {
            (Some(min), Some(max)) => format!("must have value between {min} and {max}"),
            (min, max) => bound("have value ", min.is_some(), *min, *max),
        },
        Rule::Pattern(pattern) => format!("must satisfy regular expression '{pattern}'"),
    }
}

fn bound(what: &str, is_small: bool, min: Option<i64>, max: Option<i64>) -> String {
    match (is_small, min, max) {
        (true, Some(min), _) => format!("must {what}greater than or equal to {min}"),
        (_, _, Some(max)) => format!("must {what}less than or equal to {max}"),
        (_, _, None) => format!("must {what}in range"),
    }
}

/// `RepositoryName` as `repositoryName`; a path keeps its indexes.
fn lower(path: &str) -> String {
    let part = |part: &str| {
        let mut letters = part.chars();
        let first = letters.next().map(|first| first.to_ascii_lowercase().to_string());
        first.unwrap_or_default() + letters.as_str()
    };
    path.split('.').map(part).collect::<Vec<_>>().join(".")
}

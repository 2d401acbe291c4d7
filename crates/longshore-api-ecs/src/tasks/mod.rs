//! Tasks: started, stopped, described and listed (ecs-operations B5, ecs-engine D3 to D5).

mod answer;
mod attachment;
mod describe;
mod list;
mod overrides;
mod request;
mod run;
mod shape;
mod start;
mod stop;

pub use answer::{DescribedTasks, StartedTasks};

use longshore_shapes_ecs::{InvalidParameterException, TaskField};

use crate::identifiers::NoMember;
use crate::texts;

/// A task that a call names and that is not there, for operations about a single one.
pub(crate) fn not_found(error: &NoMember) -> InvalidParameterException {
    InvalidParameterException::new(match error {
        NoMember::NotFound => texts::TASK_NOT_FOUND.to_owned(),
        NoMember::OtherCluster { .. } | NoMember::Malformed => error.to_string(),
    })
}

/// Reads `include`; TAGS is all that there is to ask for.
fn includes_tags(include: Option<&[TaskField]>) -> Result<bool, InvalidParameterException> {
    let fields = include.unwrap_or_default();
    if fields.iter().any(|field| matches!(field, TaskField::Unrecognized(_))) {
        return Err(InvalidParameterException::new(texts::one_of("include", TaskField::VALUES)));
    }
    Ok(fields.contains(&TaskField::Tags))
}

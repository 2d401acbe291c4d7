//! What a caller needs permission for: to see with ECS's own operations what is explained.

use longshore_api_ecs::{Caller, identifiers, to_see};
use longshore_service::{Access, Resources};
use longshore_state::State;

use crate::{Question, prefix};

/// The questions of one call. An abbreviated id is asked about as the id that it stands for, so that a policy about that one
/// cannot be got around.
pub(crate) fn of(state: &State, caller: &Caller, operation: &str, question: &Question) -> Resources {
    let Question { cluster, subject } = question;
    let cluster = cluster.as_deref();
    let tables = identifiers::cluster(state, caller, cluster).map(|(_, tables)| tables).ok();
    match operation {
        "ExplainTask" => {
            let ids = tables.into_iter().flat_map(|tables| tables.tasks().keys().copied());
            let named = whole(prefix::find(ids, subject), subject);
            to_see(state, caller, "DescribeTasks", cluster, "task", &named)
        }
        "ExplainContainerInstance" => {
            let ids = tables.into_iter().flat_map(|tables| tables.instances().keys().copied());
            let named = whole(prefix::find(ids, subject), subject);
            to_see(state, caller, "DescribeContainerInstances", cluster, "container-instance", &named)
        }
        "ExplainService" => to_see(state, caller, "DescribeServices", cluster, "service", subject),
        "ListDrainingServices" => to_see(state, caller, "DescribeServices", cluster, "service", "*"),
        _ => Access::new("ecs:DescribeTaskDefinition", "*", caller).into(),
    }
}

/// What several ids begin with is told to whoever may see all of them.
fn whole<I: std::fmt::Display>(found: Result<Option<I>, prefix::Ambiguous>, subject: &str) -> String {
    match found {
        Ok(Some(id)) => id.to_string(),
        Ok(None) => subject.to_owned(),
        Err(prefix::Ambiguous(_)) => "*".to_owned(),
    }
}

//! What a container instance's own key may do: what its agent does for it, and for no other (decision 50).
//!
//! No policy is asked, and none can give or take any of it. Operations that name a cluster or a task and mean the instance
//! say so in their questions: to an instance they ask about the instance that the call is for (`permission` of
//! `longshore-api-ecs`).

use longshore_base::{Arn, InstanceId};
use longshore_domain::InstanceStatus;
use longshore_service::{Access, Caller, Values};
use longshore_state::State;
use longshore_tables_ecs::{ClusterKey, EcsState};

/// What an agent asks for (agent-protocol G3, G5, G8, G9, G17 and G18).
const OF_AN_AGENT: [&str; 11] = [
    "ecs:DiscoverPollEndpoint",
    "ecs:GetTaskProtection",
    "ecs:ListTagsForResource",
    POLL,
    REGISTER,
    "ecs:StartTelemetrySession",
    "ecs:SubmitAttachmentStateChanges",
    "ecs:SubmitContainerStateChange",
    "ecs:SubmitTaskStateChange",
    "ecs:UpdateContainerInstancesState",
    "ecs:UpdateTaskProtection",
];

const POLL: &str = "ecs:Poll";
const REGISTER: &str = "ecs:RegisterContainerInstance";

/// Of an instance that was deregistered: by what these two answer its agent learns that.
const OF_THE_DEREGISTERED: [&str; 2] = [POLL, REGISTER];

/// The tags of a machine, as it registers.
const TAG: &str = "ecs:TagResource";
const TAGGED_BY: (&str, &str) = ("ecs:CreateAction", "RegisterContainerInstance");

/// Whether the instance that calls may do this.
pub(crate) fn may(state: &State, caller: &Caller, access: &Access) -> bool {
    let action = access.action.as_str();
    let is_its_agents = match status(state, &caller.principal) {
        Some(InstanceStatus::Inactive) => OF_THE_DEREGISTERED.contains(&action),
        // It is about to register.
        None
        | Some(
            InstanceStatus::Registering
            | InstanceStatus::RegistrationFailed
            | InstanceStatus::Active
            | InstanceStatus::Draining
            | InstanceStatus::Deregistering,
        ) => OF_AN_AGENT.contains(&action) || action == TAG && is_at_registration(access),
    };
    is_its_agents && access.resource == *caller.principal
}

fn is_at_registration(access: &Access) -> bool {
    let (name, wanted) = TAGGED_BY;
    access.keys.iter().any(|(key, value)| key == name && *value == Values::One(wanted.to_owned()))
}

fn status(state: &State, arn: &str) -> Option<InstanceStatus> {
    let arn = Arn::parse(arn).ok()?;
    let (cluster, id) = arn.rest.split_once('/')?;
    let at = ClusterKey::named(arn.scope, cluster)?;
    Some(state.ecs().cluster(&at)?.instance(InstanceId::parse(id).ok()?)?.record.status)
}

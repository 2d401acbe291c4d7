//! The container that holds the network of a task in awsvpc mode: what is special about it on the way up.

use std::time::Duration;

use crate::action::Action;
use crate::input::{OpError, OpErrorKind};
use crate::network;
use crate::spec::{ContainerRole, NetworkPlace};
use crate::task::{ImageStep, KnownStatus, OpKind, Task};

use super::Cx;
use super::ask::{backoff, key_of};

/// Making an image of some hundred bytes and a network, on an engine that may be busy.
const PREPARE_TIMEOUT: Duration = Duration::from_secs(60);
const TRIES_MAX: u32 = 5;
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// Asks for the image and the network. They are there already but for the first time, and when somebody removed them.
pub(super) fn prepare(task: &mut Task, index: usize, cx: &mut Cx) {
    let Some(network) = cx.settings.task_network.clone() else {
        let reason = "this instance has no network for tasks (ECS_ENABLE_TASK_ENI is off, or its network could not be made)";
        task.mark_stopped(index, cx.now, None, None, reason.to_owned());
        return;
    };
    let op = cx.op(OpKind::Prepare, PREPARE_TIMEOUT);
    task.containers[index].op = Some(op);
    let container = key_of(task, index);
    cx.emit(Action::PrepareNetwork { op: op.id, container, network, timeout: PREPARE_TIMEOUT });
}

pub(super) fn prepared(task: &mut Task, index: usize, result: Result<(), OpError>, cx: &mut Cx) {
    let container = &mut task.containers[index];
    let Err(error) = result else {
        container.image = ImageStep::Done;
        container.phase = container.phase.max(KnownStatus::Pulled);
        container.tries = 0;
        return;
    };
    container.tries += 1;
    cx.no_space |= error.kind == OpErrorKind::NoSpace;
    if container.tries < TRIES_MAX && may_pass(&error.kind) {
        container.retry_at = Some(cx.now + backoff(PAUSE, container.tries - 1));
    } else {
        task.mark_stopped(index, cx.now, None, None, error.text);
    }
}

/// True if another try may go better.
fn may_pass(kind: &OpErrorKind) -> bool {
    match kind {
        // Space may come of the clean-up that a full disk sets off.
        OpErrorKind::Timeout | OpErrorKind::Unavailable | OpErrorKind::NoSpace | OpErrorKind::Other => true,
        OpErrorKind::PortTaken(_)
        | OpErrorKind::NotFound
        | OpErrorKind::NameInUse(_)
        | OpErrorKind::Denied
        | OpErrorKind::NoLogin
        | OpErrorKind::Refused
        | OpErrorKind::BadConfig
        | OpErrorKind::BadHostConfig => false,
    }
}

/// Where a container is to be created; `None` if that is not known yet.
pub(super) fn place(task: &Task, index: usize, cx: &Cx) -> Option<NetworkPlace> {
    match (task.spec.containers[index].role, network::pause_of(&task.spec)) {
        (ContainerRole::Ordinary, None) => Some(NetworkPlace::ByMode),
        (ContainerRole::Ordinary, Some(pause)) => {
            task.containers[pause].runtime_id.clone().map(NetworkPlace::Shared)
        }
        (ContainerRole::Pause, _) => {
            let network = cx.settings.task_network.as_ref()?.name.clone();
            Some(NetworkPlace::Own { network, interface: task.spec.interface.clone()? })
        }
    }
}

/// A task whose containers have all ended has nothing left to hold a network for. (One with an essential container
/// stops by itself when that ends.)
pub(super) fn let_go(task: &mut Task) {
    let over = network::pause_of(&task.spec).is_some()
        && !task.is_stopping()
        && task.ordinary().all(|container| container.is_stopped());
    if over {
        task.desired = crate::spec::Desired::Stopped;
    }
}

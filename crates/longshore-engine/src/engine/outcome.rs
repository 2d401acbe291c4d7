//! What the result of an operation changes, and what happens if there is none.

use std::time::Duration;

use longshore_base::{Port, Timestamp};

use crate::input::{
    LocalImage, Observation, ObservedStatus, OpError, OpErrorKind, ResolvedSecrets, SecretFailure,
};
use crate::journal::{JournalKey, JournalRecord};
use crate::note::Note;
use crate::settings::go_duration;
use crate::spec::{OpId, RuntimeId};
use crate::task::{KnownStatus, Op, OpKind, ResourceState, SecretsState, SideOp, Task};

use super::ask::{backoff, inspect, timed_out};
use super::{Cx, cleanup, observe, pause, pull, stop};

/// Tries of creating and starting while the runtime cannot be reached, and the pause between them: 25 seconds in all,
/// in which an engine has restarted.
const TRIES_MAX: u32 = 7;
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// How often a container gets other host ports because another program has them.
const PORT_TRIES_MAX: u32 = 8;
/// Credentials that have not arrived are looked for each minute (G7).
const CREDENTIALS_PAUSE: Duration = Duration::from_secs(60);

/// The result of a container's operation.
#[derive(Debug)]
pub(super) enum Outcome {
    Image(Result<LocalImage, OpError>),
    Manifest(Result<String, OpError>),
    Created(Result<RuntimeId, OpError>),
    Started(Result<Observation, OpError>),
    Stopped(Result<Option<Observation>, OpError>),
    Inspected(Result<Observation, OpError>),
    Removed(Result<(), OpError>),
    Prepared(Result<(), OpError>),
}

/// Takes in a result. One that nobody waits for any more still may tell how a container is.
pub(super) fn finished(task: &mut Task, index: usize, id: OpId, outcome: Outcome, cx: &mut Cx) {
    let op = task.containers[index].op.take_if(|op| op.id == id);
    let Some(op) = op else {
        late(task, index, outcome, cx);
        return;
    };
    match (op.kind, outcome) {
        (OpKind::InspectImage, Outcome::Image(result)) => pull::inspected(task, index, result, cx),
        (OpKind::ResolveManifest, Outcome::Manifest(result)) => {
            pull::manifest_resolved(task, index, result, cx);
        }
        (OpKind::Pull, Outcome::Image(result)) => pull::pulled(task, index, result, cx),
        (OpKind::Prepare, Outcome::Prepared(result)) => pause::prepared(task, index, result, cx),
        (OpKind::Create, Outcome::Created(result)) => created(task, index, op, result, cx),
        (OpKind::Adopt, Outcome::Inspected(result)) => adopted(task, index, result, cx),
        (OpKind::Start, Outcome::Started(result)) => started(task, index, result, cx),
        (OpKind::VerifyStart, Outcome::Inspected(result)) => start_verified(task, index, op, result, cx),
        (OpKind::RegularInspect, Outcome::Inspected(result)) => regularly_inspected(task, index, result, cx),
        (OpKind::Stop, Outcome::Stopped(result)) => stop::stopped(task, index, result, cx),
        (OpKind::VerifyStop, Outcome::Inspected(result)) => stop::verified(task, index, result, cx),
        (OpKind::ForceRemove, Outcome::Removed(result)) => stop::force_removed(task, index, result, cx),
        (OpKind::Kill, Outcome::Stopped(result)) => stop::killed(task, index, result, cx),
        (OpKind::Remove, Outcome::Removed(result)) => cleanup::removed(task, index, result, cx),
        (OpKind::Discard, Outcome::Removed(result)) => discarded(task, index, result, cx),
        // An answer of the wrong kind is none: the operation stays under way until its backstop.
        (
            OpKind::InspectImage
            | OpKind::ResolveManifest
            | OpKind::Pull
            | OpKind::Prepare
            | OpKind::Create
            | OpKind::Adopt
            | OpKind::Start
            | OpKind::VerifyStart
            | OpKind::RegularInspect
            | OpKind::Stop
            | OpKind::VerifyStop
            | OpKind::ForceRemove
            | OpKind::Kill
            | OpKind::Remove
            | OpKind::Discard,
            _,
        ) => task.containers[index].op = Some(op),
    }
}

fn late(task: &mut Task, index: usize, outcome: Outcome, cx: &mut Cx) {
    match outcome {
        Outcome::Started(Ok(seen)) | Outcome::Stopped(Ok(Some(seen))) | Outcome::Inspected(Ok(seen)) => {
            observe::observed(task, index, &seen, cx);
        }
        Outcome::Created(Ok(runtime_id)) => {
            let container = &mut task.containers[index];
            if container.runtime_id.is_none() && !container.removed {
                // Created after all. A live attempt takes it; a container that has ended keeps the id
                // for clean-up.
                container.runtime_id = Some(runtime_id);
                if !container.is_stopped() && container.phase == KnownStatus::Pulled {
                    container.op = None;
                    container.retry_at = None;
                    container.created_at = Some(cx.now);
                    container.phase = KnownStatus::Created;
                }
            }
        }
        Outcome::Image(Ok(image)) => {
            // Nobody waits for it, but it is on the disk: clean-up should know.
            let reference = task.spec.containers[index].image.clone();
            let record = cx.images.used(&reference, &image.id, false, cx.now);
            cx.put(JournalKey::Image(reference), JournalRecord::Image(record));
        }
        Outcome::Started(Err(error)) => {
            // Given up, and only now it comes back, without a word on what it did meanwhile: the look
            // that found nothing running may have been earlier.
            let container = &mut task.containers[index];
            if container.is_stopped() && error.kind != OpErrorKind::NotFound {
                container.want_kill();
            }
        }
        Outcome::Image(Err(_))
        | Outcome::Manifest(_)
        | Outcome::Created(Err(_))
        | Outcome::Stopped(Ok(None) | Err(_))
        | Outcome::Inspected(Err(_))
        | Outcome::Prepared(_)
        | Outcome::Removed(_) => {}
    }
}

/// Gives up on operations that were never answered.
pub(super) fn expire(task: &mut Task, cx: &mut Cx) {
    let silent = |timeout: Duration| OpError {
        kind: OpErrorKind::Timeout,
        text: format!("no answer within {}", go_duration(timeout)),
    };
    for index in 0..task.containers.len() {
        if let Some(op) = task.containers[index].op.filter(|op| op.backstop <= cx.now) {
            let error = silent(op.timeout);
            let outcome = match op.kind {
                OpKind::InspectImage | OpKind::Pull => Outcome::Image(Err(error)),
                OpKind::ResolveManifest => Outcome::Manifest(Err(error)),
                OpKind::Prepare => Outcome::Prepared(Err(error)),
                OpKind::Create => Outcome::Created(Err(error)),
                OpKind::Start => Outcome::Started(Err(error)),
                OpKind::Stop | OpKind::Kill => Outcome::Stopped(Err(error)),
                OpKind::Adopt | OpKind::VerifyStart | OpKind::VerifyStop | OpKind::RegularInspect => {
                    Outcome::Inspected(Err(error))
                }
                OpKind::ForceRemove | OpKind::Remove | OpKind::Discard => Outcome::Removed(Err(error)),
            };
            finished(task, index, op.id, outcome, cx);
        }
        if let SecretsState::Asked(op) = task.containers[index].secrets
            && op.backstop <= cx.now
        {
            let text = "ResourceInitializationError: secrets could not be fetched in time".to_owned();
            secrets(task, index, op.id, Err(SecretFailure::Failed(text)), cx.now);
        }
    }
    let overdue = |state: ResourceState, now: Timestamp| match state {
        ResourceState::Creating(op) | ResourceState::Removing(op) if op.backstop <= now => Some(op.id),
        ResourceState::NotNeeded
        | ResourceState::Wanted
        | ResourceState::Creating(_)
        | ResourceState::Ready
        | ResourceState::Removing(_)
        | ResourceState::Gone => None,
    };
    if let Some(id) = overdue(task.cgroup, cx.now) {
        cgroup_created(task, id, Err(silent(Duration::ZERO)));
        cgroup_removed(task, id);
    }
    for index in 0..task.volumes.len() {
        if let Some(id) = overdue(task.volumes[index], cx.now) {
            let name = task.spec.volumes[index].name.clone();
            volume_created(task, &name, id, Err(silent(Duration::ZERO)));
            volume_removed(task, &name, id);
        }
    }
}

pub(super) fn secrets(
    task: &mut Task,
    index: usize,
    id: OpId,
    result: Result<ResolvedSecrets, SecretFailure>,
    now: Timestamp,
) {
    let SecretsState::Asked(op) = task.containers[index].secrets else { return };
    if op.id != id {
        return;
    }
    task.containers[index].secrets = match result {
        Ok(mut secrets) => {
            task.containers[index].secret_versions = std::mem::take(&mut secrets.versions);
            SecretsState::Resolved(secrets)
        }
        Err(SecretFailure::NoCredentials) => SecretsState::Wanted(Some(now + CREDENTIALS_PAUSE)),
        Err(SecretFailure::Failed(text)) => {
            task.fail(text);
            SecretsState::Wanted(None)
        }
    };
}

fn created(task: &mut Task, index: usize, op: Op, result: Result<RuntimeId, OpError>, cx: &mut Cx) {
    let error = match result {
        Ok(runtime_id) => {
            let container = &mut task.containers[index];
            container.runtime_id = Some(runtime_id);
            container.created_at = Some(cx.now);
            container.phase = KnownStatus::Created;
            container.tries = 0;
            return;
        }
        Err(error) => error,
    };
    let container = &mut task.containers[index];
    cx.no_space |= error.kind == OpErrorKind::NoSpace;
    let reason = match error.kind {
        OpErrorKind::NameInUse(runtime_id) => {
            // Names are unique to this container: an earlier attempt got through.
            container.runtime_id = runtime_id;
            inspect(task, index, OpKind::Adopt, cx);
            return;
        }
        OpErrorKind::Unavailable if container.tries + 1 < TRIES_MAX => {
            container.retry_at = Some(cx.now + backoff(PAUSE, container.tries));
            container.tries += 1;
            return;
        }
        OpErrorKind::Timeout => timed_out("created", op.timeout),
        OpErrorKind::BadHostConfig => {
            format!("HostConfigError: Unable to decode given host config: {}", error.text)
        }
        OpErrorKind::BadConfig => {
            format!("DockerClientConfigError: Unable to decode given docker config: {}", error.text)
        }
        OpErrorKind::NotFound
        | OpErrorKind::Denied
        | OpErrorKind::NoLogin
        | OpErrorKind::Unavailable
        | OpErrorKind::Refused
        | OpErrorKind::PortTaken(_)
        | OpErrorKind::NoSpace
        | OpErrorKind::Other => format!("CannotCreateContainerError: {}", error.text),
    };
    task.mark_stopped(index, cx.now, None, None, reason);
}

fn adopted(task: &mut Task, index: usize, result: Result<Observation, OpError>, cx: &mut Cx) {
    match result {
        Ok(seen) => {
            let container = &mut task.containers[index];
            container.runtime_id = Some(seen.runtime_id.clone());
            container.created_at = seen.created_at.or(Some(cx.now));
            container.phase = KnownStatus::Created;
            container.tries = 0;
            observe::observed(task, index, &seen, cx);
        }
        Err(error) => {
            let container = &mut task.containers[index];
            container.runtime_id = None;
            container.tries += 1;
            if container.tries < TRIES_MAX {
                container.retry_at = Some(cx.now + backoff(PAUSE, container.tries));
            } else {
                let reason = format!("CannotInspectContainerError: {}", error.text);
                task.mark_stopped(index, cx.now, None, None, reason);
            }
        }
    }
}

fn started(task: &mut Task, index: usize, result: Result<Observation, OpError>, cx: &mut Cx) {
    match result {
        Ok(seen) => {
            observe::observed(task, index, &seen, cx);
            let container = &task.containers[index];
            let settled =
                container.is_stopped() || (container.phase == KnownStatus::Running && !container.restarting);
            if !settled && container.op.is_none() {
                // The call succeeded, but its observation shows no run: inspect again.
                inspect(task, index, OpKind::VerifyStart, cx);
            }
        }
        Err(error) => {
            task.containers[index].start_error = Some(error);
            inspect(task, index, OpKind::VerifyStart, cx);
        }
    }
}

/// The inspection after a start without success: what runs is adopted, what never ran is tried again only if the
/// runtime could not be reached. So nothing is started twice.
fn start_verified(task: &mut Task, index: usize, op: Op, result: Result<Observation, OpError>, cx: &mut Cx) {
    let inspect_failed = match result {
        Ok(seen) => {
            let is_old = observe::is_outdated(&task.containers[index], &seen);
            observe::observed(task, index, &seen, cx);
            let ran = match seen.status {
                ObservedStatus::Created => false,
                ObservedStatus::Running => true,
                ObservedStatus::Exited { .. } => seen.started_at.is_some() && !is_old,
            };
            if ran {
                return;
            }
            false
        }
        Err(error) if error.kind == OpErrorKind::NotFound => {
            observe::note_removed(task, index, cx);
            return;
        }
        Err(_) => true,
    };
    // As long as there is an error, the container is inspected before it is started or given up.
    let error = task.containers[index].start_error.get_or_insert_with(|| OpError {
        kind: OpErrorKind::Other,
        text: "the container did not start".to_owned(),
    });
    let error = error.clone();
    if !try_again(task, index, op, &error, inspect_failed, cx) {
        give_up_start(task, index, &error, inspect_failed, cx);
    }
}

/// Prepares another inspection or another start of a container that did not start. False if it is to be given up: the
/// task stops, there were enough tries, or another one would give the same.
fn try_again(
    task: &mut Task,
    index: usize,
    op: Op,
    error: &OpError,
    inspect_failed: bool,
    cx: &mut Cx,
) -> bool {
    if task.is_stopping() {
        return false;
    }
    let container = &mut task.containers[index];
    if container.start_settles_at.is_some_and(|at| op.asked_at < at) {
        container.retry_at = Some(cx.now + PAUSE.0);
        return true;
    }
    if container.tries + 1 >= TRIES_MAX {
        return false;
    }
    if inspect_failed {
        // Inspected again after a pause, because a runtime that restarts refuses at once.
        container.retry_at = Some(cx.now + backoff(PAUSE, container.tries));
        container.tries += 1;
        return true;
    }
    match error.kind {
        OpErrorKind::Unavailable => {
            container.start_error = None;
            container.retry_at = Some(cx.now + backoff(PAUSE, container.tries));
            container.tries += 1;
            true
        }
        OpErrorKind::PortTaken(taken) => move_ports(task, index, taken, cx),
        OpErrorKind::Timeout
        | OpErrorKind::NotFound
        | OpErrorKind::NameInUse(_)
        | OpErrorKind::Denied
        | OpErrorKind::NoLogin
        | OpErrorKind::Refused
        | OpErrorKind::BadConfig
        | OpErrorKind::BadHostConfig
        | OpErrorKind::NoSpace
        | OpErrorKind::Other => false,
    }
}

/// The container has stopped without having started, for the reason that `error` gives.
fn give_up_start(task: &mut Task, index: usize, error: &OpError, inspect_failed: bool, cx: &mut Cx) {
    cx.no_space |= error.kind == OpErrorKind::NoSpace;
    let container = &mut task.containers[index];
    // If nobody can say whether it runs, or will as soon as the runtime gets to the start that it did
    // not answer, make sure that it does not.
    let unanswered = match error.kind {
        OpErrorKind::Timeout | OpErrorKind::Unavailable => true,
        OpErrorKind::NotFound
        | OpErrorKind::NameInUse(_)
        | OpErrorKind::Denied
        | OpErrorKind::NoLogin
        | OpErrorKind::Refused
        | OpErrorKind::BadConfig
        | OpErrorKind::BadHostConfig
        | OpErrorKind::PortTaken(_)
        | OpErrorKind::NoSpace
        | OpErrorKind::Other => false,
    };
    container.kill_wanted = inspect_failed || unanswered;
    let reason = if error.kind == OpErrorKind::Timeout {
        timed_out("started", cx.settings.start_timeout)
    } else {
        format!("CannotStartContainerError: {}", error.text)
    };
    let exit_code = if container.restarting { container.exit_code } else { None };
    task.mark_stopped(index, cx.now, None, exit_code, reason);
}

/// Another program has a host port of a container that has not run: if the port was our choice, chooses another one
/// and has the container made anew, because the runtime binds ports when it creates. True if it did.
fn move_ports(task: &mut Task, index: usize, taken: Option<Port>, cx: &mut Cx) -> bool {
    let container = &mut task.containers[index];
    if container.phase != KnownStatus::Created || container.port_tries >= PORT_TRIES_MAX {
        return false;
    }
    let Some(ports) = cx.ledger.choose_again(&task.spec, index, &container.ports, taken, cx.now) else {
        return false;
    };
    let text = container.start_error.as_ref().map(|error| error.text.clone()).unwrap_or_default();
    cx.note(Note::PortMoved { task: task.spec.key.clone(), error: text });
    container.ports = ports;
    container.port_tries += 1;
    container.discard = container.runtime_id.take();
    // It was inspected and did not run, so the next one may be started.
    container.start_asked = false;
    container.start_error = None;
    container.tries = 0;
    true
}

fn discarded(task: &mut Task, index: usize, result: Result<(), OpError>, cx: &mut Cx) {
    let container = &mut task.containers[index];
    match result {
        Ok(()) => {
            container.discard = None;
            container.tries = 0;
        }
        Err(_) if container.tries + 1 < TRIES_MAX => {
            container.retry_at = Some(cx.now + backoff(PAUSE, container.tries));
            container.tries += 1;
        }
        Err(error) => {
            container.runtime_id = container.discard.take();
            let reason = format!(
                "CannotStartContainerError: a host port is taken, and the container cannot be removed to take another: {}",
                error.text
            );
            task.mark_stopped(index, cx.now, None, None, reason);
        }
    }
}

fn regularly_inspected(task: &mut Task, index: usize, result: Result<Observation, OpError>, cx: &mut Cx) {
    match result {
        Ok(seen) => observe::observed(task, index, &seen, cx),
        Err(error) if error.kind == OpErrorKind::NotFound => observe::note_removed(task, index, cx),
        Err(_) => {}
    }
    observe::inspect_later(&mut task.containers[index], cx);
}

fn created_resource(state: &mut ResourceState, id: OpId, ok: bool) -> bool {
    let due = matches!(state, ResourceState::Creating(op) if op.id == id);
    if due {
        *state = if ok { ResourceState::Ready } else { ResourceState::Gone };
    }
    due
}

fn removed_resource(state: &mut ResourceState, id: OpId) {
    if matches!(state, ResourceState::Removing(SideOp { id: under_way, .. }) if *under_way == id) {
        *state = ResourceState::Gone;
    }
}

pub(super) fn cgroup_created(task: &mut Task, id: OpId, result: Result<(), OpError>) {
    let due = created_resource(&mut task.cgroup, id, result.is_ok());
    if let (true, Err(error)) = (due, result) {
        let arn = task.spec.key.arn();
        task.fail(format!("resource cannot be initialized for task {arn}: cgroup: {}", error.text));
    }
}

/// A cgroup or volume that cannot be removed is left behind: clean-up must come to an end.
pub(super) fn cgroup_removed(task: &mut Task, id: OpId) {
    removed_resource(&mut task.cgroup, id);
}

pub(super) fn volume_created(task: &mut Task, volume: &str, id: OpId, result: Result<(), OpError>) {
    let Some(index) = task.spec.volumes.iter().position(|v| v.name == volume) else { return };
    let due = created_resource(&mut task.volumes[index], id, result.is_ok());
    if let (true, Err(error)) = (due, result) {
        let arn = task.spec.key.arn();
        let text = &error.text;
        task.fail(format!("resource cannot be initialized for task {arn}: initialize volume: {text}"));
    }
}

pub(super) fn volume_removed(task: &mut Task, volume: &str, id: OpId) {
    if let Some(index) = task.spec.volumes.iter().position(|v| v.name == volume) {
        removed_resource(&mut task.volumes[index], id);
    }
}

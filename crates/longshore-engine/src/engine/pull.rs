//! From an image's name to a local image (agent-protocol G10, Pull).

use std::time::Duration;

use crate::action::Action;
use crate::input::{LocalImage, OpError, OpErrorKind};
use crate::journal::{JournalKey, JournalRecord};
use crate::report::ReportedStatus;
use crate::settings::PullBehavior;
use crate::spec::RegistryAuth;
use crate::task::{ImageStep, KnownStatus, OpKind, Task};

use super::Cx;
use super::ask::{INSPECT_TIMEOUT, backoff, key_of, timed_out};

/// Tries of a pull, and the pause between them.
const PULL_TRIES_MAX: u32 = 5;
const PULL_PAUSE: (Duration, Duration) = (Duration::from_millis(1100), Duration::from_secs(5));
/// The pause between tries to resolve a tag; the limit is `ECS_MANIFEST_PULL_TIMEOUT`.
const MANIFEST_PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(5));

/// Asks for the next operation. `open`: the container's dependencies are met, so it may be pulled.
pub(super) fn step(task: &mut Task, index: usize, open: bool, cx: &mut Cx) {
    let image = task.spec.containers[index].image.clone();
    begin(task, index, &image, cx);
    let key = key_of(task, index);
    let auth = task.spec.containers[index].registry_auth.clone();
    let container = match &task.containers[index].image {
        ImageStep::LookLocal | ImageStep::Fallback { .. } => {
            let op = cx.op(OpKind::InspectImage, INSPECT_TIMEOUT);
            task.containers[index].op = Some(op);
            cx.emit(Action::InspectImage { op: op.id, container: key, image });
            return;
        }
        ImageStep::Done => return,
        ImageStep::Manifest | ImageStep::Pull => &mut task.containers[index],
    };
    if container.image == ImageStep::Manifest {
        let until = *container.image_until.get_or_insert(cx.now + cx.settings.manifest_timeout);
        let timeout = until.since(cx.now).max(Duration::from_secs(1));
        let op = cx.op(OpKind::ResolveManifest, timeout);
        container.op = Some(op);
        cx.emit(Action::ResolveManifest { op: op.id, container: key, image, auth, timeout });
    } else if open {
        let until = *container.image_until.get_or_insert(cx.now + cx.settings.pull_timeout);
        let timeout = until.since(cx.now).max(Duration::from_secs(1));
        let op = cx.op(OpKind::Pull, timeout);
        container.op = Some(op);
        let digest = container.image_digest.clone();
        task.pull_started_at.get_or_insert(cx.now);
        let inactivity_timeout = cx.settings.pull_inactivity_timeout;
        cx.emit(Action::Pull { op: op.id, container: key, image, digest, auth, timeout, inactivity_timeout });
    }
}

/// Chooses the first step by the configured behaviour, once.
fn begin(task: &mut Task, index: usize, image: &str, cx: &Cx) {
    let container = &mut task.containers[index];
    if container.phase != KnownStatus::None || container.image != ImageStep::Manifest || container.tries > 0 {
        return;
    }
    let look_first = match cx.settings.pull_behavior {
        PullBehavior::Default | PullBehavior::Always => false,
        PullBehavior::Once => cx.images.was_pulled(image),
        PullBehavior::PreferCached => true,
    };
    if look_first && !container.looked_local {
        container.looked_local = true;
        container.image = ImageStep::LookLocal;
    } else if let Some((_, digest)) = image.split_once('@') {
        // The name says which manifest: nothing to ask the registry.
        container.image_digest = Some(digest.to_owned());
        to_pull(task, index);
    }
}

fn to_pull(task: &mut Task, index: usize) {
    let container = &mut task.containers[index];
    container.phase = container.phase.max(KnownStatus::ManifestPulled);
    container.image = ImageStep::Pull;
    container.image_until = None;
    container.tries = 0;
}

fn is_final(error: &OpError) -> bool {
    match error.kind {
        OpErrorKind::NotFound
        | OpErrorKind::Denied
        | OpErrorKind::NoLogin
        | OpErrorKind::Refused
        | OpErrorKind::NameInUse(_)
        | OpErrorKind::BadConfig
        | OpErrorKind::BadHostConfig
        | OpErrorKind::PortTaken(_) => true,
        OpErrorKind::Timeout | OpErrorKind::Unavailable | OpErrorKind::NoSpace | OpErrorKind::Other => false,
    }
}

/// Retries the step unless it is hopeless, spent, or out of time. True if it is over.
fn give_up(task: &mut Task, index: usize, error: &OpError, pause: Duration, tries_max: u32, cx: &Cx) -> bool {
    let container = &mut task.containers[index];
    container.tries += 1;
    let next = cx.now + pause;
    if is_final(error)
        || container.tries >= tries_max
        || container.image_until.is_some_and(|until| until <= next)
    {
        return true;
    }
    container.retry_at = Some(next);
    false
}

/// Tells, at the first of several tries, why the image is not there yet: a task that waits for a registry looks like
/// one that hangs.
fn tell(task: &mut Task, index: usize, why: String) {
    let container = &mut task.containers[index];
    if container.reason.is_empty() {
        container.reason = why;
        task.reporting.changes.push((index, ReportedStatus::Pending));
        task.reporting.urgent = true;
    }
}

pub(super) fn manifest_resolved(task: &mut Task, index: usize, result: Result<String, OpError>, cx: &mut Cx) {
    match result {
        Ok(digest) => {
            task.containers[index].image_digest = Some(digest);
            task.containers[index].reason.clear();
            task.reporting.changes.push((index, ReportedStatus::Pending));
            task.reporting.urgent = true;
            to_pull(task, index);
        }
        Err(error) if error.kind == OpErrorKind::NoLogin => no_login(task, index, &error, cx),
        Err(error) => {
            let pause = backoff(MANIFEST_PAUSE, task.containers[index].tries);
            let sticky = format!("CannotPullImageManifestError: {}", error.text);
            if give_up(task, index, &error, pause, u32::MAX, cx) {
                let failure = failure(&task.spec.containers[index].registry_auth, &error);
                registry_failed(task, index, failure, sticky, cx);
            } else {
                tell(task, index, sticky);
            }
        }
    }
}

pub(super) fn pulled(task: &mut Task, index: usize, result: Result<LocalImage, OpError>, cx: &mut Cx) {
    match result {
        Ok(image) => {
            task.pull_stopped_at = Some(cx.now);
            have(task, index, image, true, cx);
        }
        Err(error) if error.kind == OpErrorKind::NoLogin => {
            task.pull_stopped_at = Some(cx.now);
            no_login(task, index, &error, cx);
        }
        Err(error) => {
            // What is cleaned up now may make room for the next try.
            cx.no_space |= error.kind == OpErrorKind::NoSpace;
            let pause = backoff(PULL_PAUSE, task.containers[index].tries);
            let out_of_time = task.containers[index].image_until.is_some_and(|until| until <= cx.now);
            if give_up(task, index, &error, pause, PULL_TRIES_MAX, cx) {
                task.pull_stopped_at = Some(cx.now);
                let failure = if out_of_time {
                    timed_out("pulled", cx.settings.pull_timeout)
                } else {
                    failure(&task.spec.containers[index].registry_auth, &error)
                };
                registry_failed(task, index, failure, String::new(), cx);
            } else {
                let why = failure(&task.spec.containers[index].registry_auth, &error);
                tell(task, index, why);
            }
        }
    }
}

/// The registry gave nothing: a local image will do, if the behaviour allows.
fn registry_failed(task: &mut Task, index: usize, failure: String, sticky: String, cx: &Cx) {
    let container = &mut task.containers[index];
    container.tries = 0;
    container.image_until = None;
    match cx.settings.pull_behavior {
        PullBehavior::Default | PullBehavior::Once => {
            container.image = ImageStep::Fallback { sticky, failure };
        }
        // Always: a local image is not wanted. PreferCached: there is none.
        PullBehavior::Always | PullBehavior::PreferCached => {
            task.mark_stopped(index, cx.now, None, None, failure);
        }
    }
}

/// Whoever may not have the credentials of a registry does not get its image from what others pulled either. A secret
/// that cannot be read is the task's failure, as one of its environment is (identity J12).
fn no_login(task: &mut Task, index: usize, error: &OpError, cx: &Cx) {
    match &task.spec.containers[index].registry_auth {
        RegistryAuth::Asm { .. } => task.fail(error.text.clone()),
        auth @ (RegistryAuth::Node | RegistryAuth::Ecr { .. }) => {
            let reason = failure(auth, error);
            task.mark_stopped(index, cx.now, None, None, reason);
        }
    }
}

fn failure(auth: &RegistryAuth, error: &OpError) -> String {
    let name = match (auth, &error.kind) {
        (RegistryAuth::Ecr { .. }, OpErrorKind::Denied | OpErrorKind::NoLogin) => {
            "CannotPullECRContainerError"
        }
        (RegistryAuth::Node | RegistryAuth::Ecr { .. } | RegistryAuth::Asm { .. }, _) => {
            "CannotPullContainerError"
        }
    };
    format!("{name}: {}", error.text)
}

pub(super) fn inspected(task: &mut Task, index: usize, result: Result<LocalImage, OpError>, cx: &mut Cx) {
    let step = task.containers[index].image.clone();
    match (step, result) {
        (ImageStep::Fallback { sticky, .. }, Ok(image)) => {
            have(task, index, image, false, cx);
            task.containers[index].reason = sticky;
        }
        (ImageStep::Fallback { failure, .. }, Err(_)) => {
            task.mark_stopped(index, cx.now, None, None, failure);
        }
        (ImageStep::LookLocal, Ok(image)) => have(task, index, image, false, cx),
        (ImageStep::LookLocal, Err(_)) => task.containers[index].image = ImageStep::Manifest,
        (ImageStep::Manifest | ImageStep::Pull | ImageStep::Done, _) => {}
    }
}

fn have(task: &mut Task, index: usize, image: LocalImage, pulled: bool, cx: &mut Cx) {
    let reference = task.spec.containers[index].image.clone();
    let record = cx.images.used(&reference, &image.id, pulled, cx.now);
    cx.put(JournalKey::Image(reference), JournalRecord::Image(record));
    let container = &mut task.containers[index];
    // Whatever it had to wait for.
    container.reason.clear();
    if container.image_digest.is_none() {
        container.image_digest = image.digest.clone();
    }
    container.local_image = Some(image);
    container.image = ImageStep::Done;
    container.phase = container.phase.max(KnownStatus::Pulled);
    container.tries = 0;
    container.retry_at = None;
    container.image_until = None;
}

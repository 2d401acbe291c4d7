//! Holds a group of tasks at its number: the arithmetic of a rolling update (ecs-services E2, E5,
//! ecs-engine D2 "DRAINING", D4 "Scale-in choice").
//!
//! A crew is what is held together: all tasks of a REPLICA service, or those of one task set. Its
//! tasks fall into these parts:
//! - *kept*: of the deployment that is wanted, on instances that stay; they count towards D;
//! - *replaceable*: serving, but of an older deployment or on a DRAINING instance;
//! - *bad*: RUNNING with failed health checks;
//! - *leaving*: told to stop; they take up room until they are STOPPED.
//!
//! Why the bounds hold: starts never exceed `max` minus all tasks that are not STOPPED; every stop
//! of a healthy task is taken from one budget, the healthy tasks above `min`; all others that are
//! stopped were not healthy.

use longshore_base::{DeploymentId, Timestamp};
use longshore_placement::removal::{self, Removable};

use crate::bounds::Bounds;
use crate::draft::Draft;
use crate::event::ServiceEvent;
use crate::memory::Topic;
use crate::outcome::StopReason;
use crate::standing::{FailedCheck, Member, Standing};
use crate::waiting::Waiting;

/// What is held, and how.
pub(crate) struct Crew<'a, 'v> {
    /// The deployment or task set whose tasks are wanted.
    pub id: DeploymentId,
    /// An older deployment that fills up to a number while the wanted one cannot.
    pub fallback: Option<Fallback>,
    pub desired: u32,
    /// One more task is wanted for a while, to even out the zones.
    pub extra: u32,
    pub bounds: Bounds,
    /// The wanted deployment failed: it starts nothing any more.
    pub failed: bool,
    pub members: &'a [Member<'v>],
}

/// The deployment that served before one that fails.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fallback {
    pub id: DeploymentId,
    /// It is filled up until so many tasks are there, the wanted deployment's running ones included.
    pub up_to: u32,
}

/// How the crew stands before this plan's own changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    /// Exactly the desired tasks of the wanted deployment, all healthy, and none to be replaced.
    pub in_place: bool,
    /// Tasks of other deployments that are not STOPPED.
    pub others: u32,
    pub changed: bool,
}

/// Positions in the crew's members, by part.
#[derive(Default)]
struct Parts {
    kept: Vec<usize>,
    replaceable: Vec<usize>,
    bad: Vec<usize>,
    bad_old: Vec<usize>,
    /// Replaceable, were they not protected; and until when the first of them is.
    protected: u32,
    protected_until: Option<Timestamp>,
    /// The older deployment of one of them.
    protected_of: Option<DeploymentId>,
    at_once: Vec<(usize, StopReason)>,
    healthy: u32,
    kept_healthy: u32,
    kept_running: u32,
    fallback_kept: u32,
    pending: u32,
    settling: u32,
    settled_at: Option<Timestamp>,
    leaving: u32,
    others: u32,
}

pub(crate) fn hold(draft: &mut Draft<'_>, crew: &Crew<'_, '_>) -> Held {
    let parts = divide(crew);
    let before = draft.plan.stops.len() + draft.plan.starts.len();
    let mut stopping = vec![false; crew.members.len()];
    let mut stop = |draft: &mut Draft<'_>, at: usize, reason: StopReason| {
        let done = !stopping[at] && draft.stop(&crew.members[at], reason);
        stopping[at] |= done;
        done
    };

    for (at, reason) in &parts.at_once {
        stop(draft, *at, reason.clone());
    }
    let freed = (draft.plan.stops.len() + draft.plan.starts.len() - before) as u32;

    let Wanted { unplaced, own, starts } = start(draft, crew, &parts);

    // Room that must be made by stopping first, less what is on its way out already.
    let mut make_room = unplaced.saturating_sub(parts.leaving + freed);
    let serving = parts.kept_running + parts.replaceable.len() as u32;
    let goal = crew.desired + crew.extra;

    // Unhealthy tasks: once something runs in their place; else one after the other.
    let bad = parts.bad_old.len() as u32 + parts.bad.len() as u32;
    let mut spare = (serving + bad).saturating_sub(goal).min(bad);
    let quiet = parts.leaving + freed + parts.pending + starts == 0;
    for &at in &parts.bad_old {
        if spare > 0 || make_room > 0 {
            spare = spare.saturating_sub(1);
            make_room = make_room.saturating_sub(1);
            stop(draft, at, StopReason::Scaling(crew.id));
        }
    }
    let mut one = u32::from(quiet && make_room > 0);
    for &at in &parts.bad {
        if spare > 0 || one > 0 {
            one = if spare > 0 { one } else { 0 };
            spare = spare.saturating_sub(1);
            make_room = make_room.saturating_sub(1);
            stop(draft, at, unhealthy_reason(&crew.members[at]));
        }
    }

    // Everything below may stop healthy tasks, out of one budget.
    let mut budget = parts.healthy.saturating_sub(crew.bounds.min);
    let surplus = surplus(draft, crew, &parts, &mut budget);
    let dismissed =
        surplus.iter().filter(|&&at| crew.members[at].standing != Standing::Pending).count() as u32;
    for at in surplus {
        stop(draft, at, StopReason::Scaling(crew.id));
    }
    let over = if crew.failed {
        (serving - dismissed).saturating_sub(goal)
    } else {
        serving.saturating_sub(goal.max(parts.kept.len() as u32))
    };
    let mut held_back = 0;
    // Serving tasks make room for the wanted deployment only. Those of the fallback would make room for its
    // own next ones, and so on in a circle; so they would for the wanted one, if more of them went than
    // the fallback holds on to.
    let room = make_room.min(own).min(yielding(crew, &parts));
    // A task on a DRAINING instance waits for its replacement. Where none is on its way, because it has no place, or is
    // not to be started, the minimum alone keeps the task.
    let drained = if starts + parts.pending + parts.settling == 0 {
        let draining = parts.replaceable.iter().filter(|&&at| crew.members[at].on_draining());
        draining.count() as u32
    } else {
        0
    };
    let order = replacement_order(draft, crew, &parts, over.max(room).max(drained) as usize);
    for at in order {
        let member = &crew.members[at];
        if member.is_healthy() {
            if budget == 0 {
                held_back += 1;
                continue;
            }
            budget -= 1;
        }
        let old = member.task.deployment != crew.id;
        let reason = match (old, member.on_draining()) {
            (_, true) => StopReason::InstanceDraining,
            (true, false) | (false, false) => StopReason::Scaling(crew.id),
        };
        stop(draft, at, reason);
    }

    let changed = draft.plan.stops.len() + draft.plan.starts.len() > before;
    let stuck = !changed
        && unplaced > 0
        && parts.leaving + parts.pending + parts.settling == 0
        && draft.refusal(crew.id).is_none();
    if stuck {
        draft.wait(Waiting::Bounds { min: crew.bounds.min, max: crew.bounds.max });
        draft.situation(Topic::Bounds, ServiceEvent::BoundsTooTight);
    } else if held_back > 0 && !changed {
        draft.wait(Waiting::MinimumHealthy { healthy: parts.healthy, min: crew.bounds.min });
    }
    // All that is left to do is to stop what must not be stopped.
    if !changed
        && parts.leaving + parts.pending + parts.settling == 0
        && parts.kept_healthy == crew.desired
        && let Some(of) = parts.protected_of
    {
        draft.situation(Topic::Protection, ServiceEvent::ProtectedFromScaleIn(of));
    }
    explain(draft, &parts);

    Held {
        in_place: parts.kept.len() as u32 == crew.desired
            && parts.kept_healthy == crew.desired
            && crew.extra == 0
            && parts.replaceable.is_empty()
            && parts.bad.is_empty()
            && parts.bad_old.is_empty()
            && !changed,
        others: parts.others,
        changed,
    }
}

fn divide(crew: &Crew<'_, '_>) -> Parts {
    let mut parts = Parts::default();
    for (at, member) in crew.members.iter().enumerate() {
        let wanted = member.task.deployment == crew.id;
        let fallback = crew.fallback.is_some_and(|fallback| fallback.id == member.task.deployment);
        parts.others += u32::from(!wanted);
        match member.standing {
            Standing::Leaving => parts.leaving += 1,
            Standing::Lost => {
                let reason = match member.task.instance {
                    Some(instance) => StopReason::InstanceLost(instance),
                    None => StopReason::Scaling(crew.id),
                };
                parts.at_once.push((at, reason));
            }
            Standing::Pending if member.on_draining() => {
                parts.at_once.push((at, StopReason::InstanceDraining));
            }
            Standing::Pending if wanted => {
                parts.pending += 1;
                parts.kept.push(at);
            }
            Standing::Pending if fallback => {
                parts.pending += 1;
                parts.fallback_kept += 1;
            }
            Standing::Pending => parts.at_once.push((at, StopReason::Scaling(crew.id))),
            Standing::Unhealthy(_) if wanted => parts.bad.push(at),
            Standing::Unhealthy(_) if member.protected => protect(&mut parts, member, crew),
            Standing::Unhealthy(_) => parts.bad_old.push(at),
            Standing::Settling { .. } | Standing::Healthy => {
                parts.healthy += u32::from(member.is_healthy());
                if let Standing::Settling { until } = member.standing {
                    parts.settling += 1;
                    parts.settled_at = parts.settled_at.max(until);
                }
                parts.fallback_kept += u32::from(fallback && !member.on_draining());
                if wanted && (!member.on_draining() || member.protected) {
                    if member.on_draining() {
                        protect(&mut parts, member, crew);
                    }
                    parts.kept_running += 1;
                    parts.kept_healthy += u32::from(member.is_healthy());
                    parts.kept.push(at);
                } else if member.protected {
                    protect(&mut parts, member, crew);
                } else {
                    parts.replaceable.push(at);
                }
            }
        }
    }
    parts
}

fn protect(parts: &mut Parts, member: &Member<'_>, crew: &Crew<'_, '_>) {
    parts.protected += 1;
    let of = member.task.deployment;
    parts.protected_of = parts.protected_of.or((of != crew.id).then_some(of));
    let until = member.task.protected_until;
    parts.protected_until = match (parts.protected_until, until) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
}

struct Wanted {
    /// Tasks that should be started but have no room, in the bounds or in the cluster.
    unplaced: u32,
    /// Those of them that are of the wanted deployment itself.
    own: u32,
    starts: u32,
}

/// Starts what is missing, as far as the bounds, the throttle and the round allow.
fn start(draft: &mut Draft<'_>, crew: &Crew<'_, '_>, parts: &Parts) -> Wanted {
    let total = crew.members.len() as u32;
    let mut room = crew.bounds.max.saturating_sub(total);
    let mut wanted = Wanted { unplaced: 0, own: 0, starts: 0 };
    let missing = (crew.desired + crew.extra).saturating_sub(parts.kept.len() as u32);
    if crew.failed {
        draft.wait(Waiting::DeploymentFailed { deployment: crew.id });
    } else if missing > 0 {
        launch(draft, crew.id, missing, &mut room, &mut wanted);
    }
    wanted.own = wanted.unplaced;
    if let Some(fallback) = crew.fallback {
        let there = parts.fallback_kept + parts.kept_running;
        let missing = fallback.up_to.saturating_sub(there);
        if missing > 0 {
            launch(draft, fallback.id, missing, &mut room, &mut wanted);
        }
    }
    wanted
}

fn launch(draft: &mut Draft<'_>, id: DeploymentId, missing: u32, room: &mut u32, wanted: &mut Wanted) {
    if draft.is_throttled(id) {
        return;
    }
    let refusal = draft.refusal(id);
    if let Some(refusal) = refusal {
        if refusal.room_may_help {
            wanted.unplaced += missing;
        }
        if draft.pauses(refusal) {
            return;
        }
    }
    let possible = missing.min(*room);
    let count = possible.min(draft.left());
    if count < possible {
        draft.cut();
    }
    draft.start(id, count, None, None);
    *room -= count;
    wanted.starts += count;
    if refusal.is_none() {
        wanted.unplaced += missing - possible;
    }
}

/// The kept tasks that are too many, most dispensable first. Draws on the budget.
///
/// Those of a deployment that failed give way to what served before: what is on its way of them is not waited for,
/// and its predecessor's tasks go on (ecs-services E4).
fn surplus(draft: &mut Draft<'_>, crew: &Crew<'_, '_>, parts: &Parts, budget: &mut u32) -> Vec<usize> {
    let goal = crew.desired + crew.extra;
    let kept = parts.kept.len() as u32;
    let before = if crew.failed { parts.fallback_kept } else { 0 };
    let mut surplus = (kept + before).saturating_sub(goal).min(kept);
    if surplus == 0 {
        return Vec::new();
    }
    let mut chosen = Vec::new();
    let free = parts.kept.iter().copied().filter(|&at| !crew.members[at].protected);
    let mut classes: [Vec<usize>; 3] = Default::default();
    for at in free {
        let class = match crew.members[at].standing {
            Standing::Pending => 0,
            Standing::Settling { .. } => 1,
            Standing::Healthy => 2,
            // Kept tasks are none of these.
            Standing::Leaving | Standing::Lost | Standing::Unhealthy(_) => continue,
        };
        classes[class].push(at);
    }
    let [pending, settling, healthy] = classes;
    let available = (pending.len() + settling.len() + healthy.len()) as u32;
    if surplus > available {
        let protected = parts.kept.iter().filter(|&&at| crew.members[at].protected);
        if let Some(until) = protected.filter_map(|&at| crew.members[at].task.protected_until).min() {
            draft.looks.at(until);
            draft.wait(Waiting::Protection { count: surplus - available, until });
            draft.situation(Topic::Protection, ServiceEvent::ProtectedFromScaleIn(crew.id));
        }
    }
    for (class, limit) in [(pending, u32::MAX), (settling, u32::MAX), (healthy, *budget)] {
        let count = surplus.min(limit).min(class.len() as u32);
        let picked = pick(draft, crew, &class, count as usize, &chosen);
        if class.first().is_some_and(|&at| crew.members[at].is_healthy()) {
            *budget -= picked.len() as u32;
        }
        surplus -= picked.len() as u32;
        chosen.extend(picked);
    }
    chosen
}

/// How many of the replaceable tasks may make room. The fallback holds on to a number that healthy tasks of the wanted
/// deployment are part of.
fn yielding(crew: &Crew<'_, '_>, parts: &Parts) -> u32 {
    let Some(fallback) = crew.fallback else { return u32::MAX };
    let others = parts.replaceable.iter().filter(|&&at| crew.members[at].task.deployment != fallback.id);
    others.count() as u32 + (parts.fallback_kept + parts.kept_healthy).saturating_sub(fallback.up_to)
}

/// The replaceable tasks in the order in which they go, at most `count`: first those that are not
/// healthy, then those on DRAINING instances, then the others. The deployment that fills in goes
/// last, however its tasks are: what it just started must not be what makes room.
fn replacement_order(draft: &Draft<'_>, crew: &Crew<'_, '_>, parts: &Parts, count: usize) -> Vec<usize> {
    if count == 0 {
        return Vec::new();
    }
    let mut classes: [Vec<usize>; 5] = Default::default();
    for &at in &parts.replaceable {
        let member = &crew.members[at];
        let fills_in = crew.fallback.is_some_and(|fallback| fallback.id == member.task.deployment);
        let class = match (member.is_healthy(), member.on_draining()) {
            (false, false) if fills_in => 3,
            (true, false) if fills_in => 4,
            (false, _) => 0,
            (true, true) => 1,
            (true, false) => 2,
        };
        classes[class].push(at);
    }
    let mut order = Vec::with_capacity(count);
    for class in classes {
        let picked = pick(draft, crew, &class, count - order.len(), &order);
        order.extend(picked);
    }
    order
}

/// Chooses `count` of `class`; balance is judged over all tasks that stay, less those in `gone`.
fn pick(draft: &Draft<'_>, crew: &Crew<'_, '_>, class: &[usize], count: usize, gone: &[usize]) -> Vec<usize> {
    // Beyond the round nothing is stopped; one more lets the round notice that there is more.
    let count = count.min(draft.left() as usize + 1);
    if count == 0 || class.is_empty() {
        return Vec::new();
    }
    let mut candidate = vec![false; crew.members.len()];
    for &at in class {
        candidate[at] = true;
    }
    let mut stays: Vec<bool> = crew.members.iter().map(|member| !member.is_leaving()).collect();
    for &at in gone {
        stays[at] = false;
    }
    let tasks: Vec<Removable> = (crew.members.iter().enumerate())
        .filter(|(at, _)| stays[*at])
        .map(|(at, member)| Removable {
            task: member.task.id,
            instance: member.task.instance,
            zone: member.task.zone.clone(),
            // The classes are this crate's, because only here the bounds are known: within one,
            // every task counts alike, and the others only for the balance.
            running: true,
            healthy: true,
            draining: false,
            protected: !candidate[at],
            created_at: member.task.created_at,
            cpu: member.task.cpu,
            memory: member.task.memory,
        })
        .collect();
    let chosen = removal::choose(&tasks, count, &draft.view.strategies, draft.fleet);
    let mut places: Vec<_> = class.iter().map(|&at| (crew.members[at].task.id, at)).collect();
    places.sort_unstable();
    let place = |id| places.binary_search_by_key(&id, |(task, _)| *task).map(|found| places[found].1);
    chosen.into_iter().filter_map(|id| place(id).ok()).collect()
}

fn unhealthy_reason(member: &Member<'_>) -> StopReason {
    match member.standing {
        Standing::Unhealthy(FailedCheck::Target) => StopReason::TargetHealth,
        Standing::Unhealthy(FailedCheck::Container)
        | Standing::Leaving
        | Standing::Lost
        | Standing::Pending
        | Standing::Settling { .. }
        | Standing::Healthy => StopReason::ContainerHealth,
    }
}

/// Says what is under way.
fn explain(draft: &mut Draft<'_>, parts: &Parts) {
    if parts.pending > 0 {
        draft.wait(Waiting::TasksToStart { count: parts.pending });
    }
    if parts.settling > 0 {
        draft.wait(Waiting::TasksToBecomeHealthy { count: parts.settling, until: parts.settled_at });
    }
    let bad = (parts.bad.len() + parts.bad_old.len()) as u32;
    if bad > 0 {
        draft.wait(Waiting::TasksUnhealthy { count: bad });
    }
    if parts.leaving > 0 {
        draft.wait(Waiting::TasksToStop { count: parts.leaving });
    }
    if let Some(until) = parts.protected_until {
        draft.looks.at(until);
        draft.wait(Waiting::Protection { count: parts.protected, until });
    }
}

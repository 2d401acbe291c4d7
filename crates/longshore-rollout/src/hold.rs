//! Holds tasks at a number: the arithmetic of a rolling update (ecs-services E2, E5,
//! ecs-engine D2 "DRAINING", D4 "Scale-in choice").
//!
//! What is held together are all tasks of a REPLICA service, or those of one task set. They fall into these parts:
//! - *kept*: of the deployment that is wanted, on instances that stay; they count towards the desired count;
//! - *replaceable*: serving, but of an older deployment or on a DRAINING instance;
//! - *unhealthy*: RUNNING with failed health checks;
//! - *leaving*: told to stop; they take up room until they are STOPPED.
//!
//! Why the bounds hold: starts never exceed `max` minus all tasks that are not STOPPED; every stop
//! of a healthy task is taken from one [`Budget`], the healthy tasks above `min`; all others that are
//! stopped were not healthy.
//!
//! # A worked example
//!
//! A service of four tasks with minimumHealthyPercent 75 and maximumPercent 125, so that `min` is 3 and `max` is 5, is
//! updated. `o` is a healthy task of the old deployment, `n` one of the new, `(n)` one that does not count as healthy
//! yet. A row is one call of [`hold`]; in between what was told to stop does, and what was started runs.
//!
//! | tasks | missing | started: `max` - all | unplaced | over the goal | budget: healthy - `min` | stopped |
//! |---|---|---|---|---|---|---|
//! | oooo | 4 | 5 - 4 = 1 | 3 | 0 | 4 - 3 = 1 | 1, to make room |
//! | ooo(n) | 3 | 5 - 4 = 1 | 2 | 0 | 3 - 3 = 0 | 0: the minimum keeps what should make room |
//! | ooonn | 2 | 5 - 5 = 0 | 2 | 1 | 5 - 3 = 2 | 2, to make room |
//! | onn | 2 | 5 - 3 = 2 | 0 | 0 | 3 - 3 = 0 | 0 |
//! | onn(n)(n) | 0 | 0 | 0 | 1 | 3 - 3 = 0 | 0: the minimum keeps it |
//! | onnnn | 0 | 0 | 0 | 1 | 5 - 3 = 2 | 1, since one is over the goal |
//!
//! So a task that serves goes for one of two reasons: others serve in its place (*over*), or a new one needs its room
//! (*unplaced*), whichever asks for more stops. A task that `max` allows and placement refuses is unplaced as well. The
//! third reason is a DRAINING instance that no replacement is on its way for.

use longshore_base::{DeploymentId, Timestamp};
use longshore_placement::removal::{self, Removable};

use crate::bounds::Bounds;
use crate::budget::Budget;
use crate::draft::Draft;
use crate::event::ServiceEvent;
use crate::memory::Topic;
use crate::outcome::StopReason;
use crate::standing::{FailedCheck, Member, Standing};
use crate::waiting::Waiting;

/// What is wanted: how many tasks, of which deployment, within which bounds; and the tasks that there are.
pub(crate) struct Wanted<'a, 'v> {
    /// The deployment or task set whose tasks are wanted.
    pub id: DeploymentId,
    /// An older deployment that fills up to a number while the wanted one cannot.
    pub fallback: Option<Fallback>,
    pub desired: u32,
    /// One more task is wanted for a while, to even out the zones.
    pub extra: u32,
    pub bounds: Bounds,
    /// The wanted deployment has FAILED: it starts nothing any more.
    pub failed: bool,
    pub members: &'a [Member<'v>],
}

impl Wanted<'_, '_> {
    /// How many tasks are to serve in the end.
    fn goal(&self) -> u32 {
        self.desired + self.extra
    }

    /// True if the task is of the deployment that fills in.
    fn fills_in(&self, member: &Member<'_>) -> bool {
        self.fallback.is_some_and(|fallback| fallback.id == member.task.deployment)
    }
}

/// The deployment that served before one that fails.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fallback {
    pub id: DeploymentId,
    /// It is filled up until so many tasks are there, the wanted deployment's running ones included.
    pub up_to: u32,
}

/// How the tasks stood before this plan's own changes, and whether there are any.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    /// Exactly the desired tasks of the wanted deployment, all healthy, and none to be replaced.
    pub in_place: bool,
    /// Tasks of other deployments that are not STOPPED.
    pub others: u32,
    pub changed: bool,
}

/// Does what can be done now to come closer to what is wanted.
pub(crate) fn hold(draft: &mut Draft<'_>, wanted: &Wanted<'_, '_>) -> Outcome {
    let mut round = Round::new(draft, wanted);
    round.stop_at_once();
    round.start();
    round.stop_unhealthy();
    round.stop_surplus();
    round.stop_replaceable();
    round.explain();
    round.outcome()
}

/// Positions in [`Wanted::members`], by part.
#[derive(Default)]
struct Parts {
    kept: Vec<usize>,
    replaceable: Vec<usize>,
    unhealthy: Vec<usize>,
    unhealthy_old: Vec<usize>,
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

/// One call of [`hold`], while it is under way.
struct Round<'r, 'd, 'v> {
    draft: &'r mut Draft<'d>,
    wanted: &'r Wanted<'r, 'v>,
    parts: Parts,
    /// How many changes the plan had before.
    changes_before: usize,
    /// Members that this round stops.
    stopping: Vec<bool>,
    /// Tasks on their way out, with those that this round stops whatever else there is to do.
    leaving: u32,
    started: u32,
    /// Tasks that should be started but have no room, in the bounds or in the cluster.
    unplaced: u32,
    /// Those of them that are of the wanted deployment itself.
    unplaced_own: u32,
    /// How many tasks have to be told to stop so that there is room for the unplaced ones.
    make_room: u32,
    /// Which tasks may still be stopped.
    budget: Budget,
    /// Tasks that are more than are wanted and that this round stops although they serve, or will.
    dismissed: u32,
    /// Tasks that should be stopped, but are kept by the minimum.
    held_back: u32,
}

impl<'r, 'd, 'v> Round<'r, 'd, 'v> {
    fn new(draft: &'r mut Draft<'d>, wanted: &'r Wanted<'r, 'v>) -> Self {
        let parts = divide(wanted);
        let changes_before = draft.plan.stops.len() + draft.plan.starts.len();
        Self {
            changes_before,
            stopping: vec![false; wanted.members.len()],
            leaving: parts.leaving,
            started: 0,
            unplaced: 0,
            unplaced_own: 0,
            make_room: 0,
            budget: Budget::new(wanted.members, wanted.bounds.min),
            dismissed: 0,
            held_back: 0,
            draft,
            wanted,
            parts,
        }
    }

    fn changes(&self) -> usize {
        self.draft.plan.stops.len() + self.draft.plan.starts.len() - self.changes_before
    }

    /// Tasks that serve, now or when they have settled.
    fn serving(&self) -> u32 {
        self.parts.kept_running + self.parts.replaceable.len() as u32
    }

    /// True if no task is on its way to serve.
    fn nothing_comes(&self) -> bool {
        self.started + self.parts.pending + self.parts.settling == 0
    }

    fn stop(&mut self, at: usize, reason: StopReason) {
        if !self.stopping[at] {
            self.stopping[at] = self.draft.stop(&self.wanted.members[at], reason);
        }
    }

    /// What serves nobody and is not wanted.
    fn stop_at_once(&mut self) {
        for (at, reason) in std::mem::take(&mut self.parts.at_once) {
            self.stop(at, reason);
        }
        self.leaving += self.changes() as u32;
    }

    /// Starts what is missing, as far as the bounds, the throttle and the round allow.
    fn start(&mut self) {
        let wanted = self.wanted;
        let total = wanted.members.len() as u32;
        let mut room = wanted.bounds.max.saturating_sub(total);
        if wanted.failed {
            self.draft.wait(Waiting::DeploymentFailed { deployment: wanted.id });
        } else {
            let missing = wanted.goal().saturating_sub(self.parts.kept.len() as u32);
            self.launch(wanted.id, missing, &mut room);
        }
        self.unplaced_own = self.unplaced;
        if let Some(fallback) = wanted.fallback {
            let there = self.parts.fallback_kept + self.parts.kept_running;
            self.launch(fallback.id, fallback.up_to.saturating_sub(there), &mut room);
        }
        self.make_room = self.unplaced.saturating_sub(self.leaving);
    }

    fn launch(&mut self, id: DeploymentId, missing: u32, room: &mut u32) {
        if missing == 0 || self.draft.is_throttled(id) {
            return;
        }
        let refusal = self.draft.refusal(id);
        if let Some(refusal) = refusal {
            if refusal.room_may_help {
                self.unplaced += missing;
            }
            if self.draft.pauses(refusal) {
                return;
            }
        }
        let possible = missing.min(*room);
        let count = possible.min(self.draft.left());
        if count < possible {
            self.draft.cut();
        }
        self.draft.start(id, count, None, None);
        *room -= count;
        self.started += count;
        if refusal.is_none() {
            self.unplaced += missing - possible;
        }
    }

    /// Unhealthy tasks go once something runs in their place; where nothing can, one after the other (ecs-services E5).
    fn stop_unhealthy(&mut self) {
        let old = std::mem::take(&mut self.parts.unhealthy_old);
        let own = std::mem::take(&mut self.parts.unhealthy);
        let count = (old.len() + own.len()) as u32;
        let mut replaced = (self.serving() + count).saturating_sub(self.wanted.goal()).min(count);
        for &at in &old {
            if replaced > 0 || self.make_room > 0 {
                replaced = replaced.saturating_sub(1);
                self.make_room = self.make_room.saturating_sub(1);
                self.stop(at, StopReason::Scaling(self.wanted.id));
            }
        }
        let quiet = self.leaving + self.parts.pending + self.started == 0;
        let mut one = quiet && self.make_room > 0;
        for &at in &own {
            if replaced > 0 || one {
                one &= replaced > 0;
                replaced = replaced.saturating_sub(1);
                self.make_room = self.make_room.saturating_sub(1);
                self.stop(at, unhealthy_reason(&self.wanted.members[at]));
            }
        }
        (self.parts.unhealthy_old, self.parts.unhealthy) = (old, own);
    }

    /// The kept tasks that are too many, most dispensable first.
    ///
    /// Those of a deployment that failed give way to what served before: what is on its way of them is not waited for,
    /// and its predecessor's tasks go on (ecs-services E4).
    fn stop_surplus(&mut self) {
        let wanted = self.wanted;
        let kept = self.parts.kept.len() as u32;
        let before = if wanted.failed { self.parts.fallback_kept } else { 0 };
        let mut surplus = (kept + before).saturating_sub(wanted.goal()).min(kept);
        if surplus == 0 {
            return;
        }
        let mut classes: [Vec<usize>; 4] = Default::default();
        for &at in self.parts.kept.iter().filter(|&&at| !wanted.members[at].protected) {
            let class = match wanted.members[at].standing {
                Standing::Pending => 0,
                Standing::Settling { .. } => 1,
                Standing::Proving { .. } => 2,
                Standing::Healthy => 3,
                // Kept tasks are none of these.
                Standing::Leaving | Standing::Lost | Standing::Unhealthy(_) => continue,
            };
            classes[class].push(at);
        }
        let available: u32 = classes.iter().map(|class| class.len() as u32).sum();
        if surplus > available {
            let protected = self.parts.kept.iter().filter(|&&at| wanted.members[at].protected);
            if let Some(until) = protected.filter_map(|&at| wanted.members[at].task.protected_until).min() {
                self.draft.looks.at(until);
                self.draft.wait(Waiting::Protection { count: surplus - available, until });
                self.draft.situation(Topic::Protection, ServiceEvent::ProtectedFromScaleIn(wanted.id));
            }
        }
        let mut chosen = Vec::new();
        for class in classes {
            let Some(&first) = class.first() else { continue };
            let limit = self.budget.left(wanted.members[first].standing);
            let picked = self.pick(&class, surplus.min(limit) as usize, &chosen);
            surplus -= picked.len() as u32;
            chosen.extend(picked);
        }
        for at in chosen {
            let standing = wanted.members[at].standing;
            if self.budget.take(standing) {
                self.dismissed += u32::from(standing != Standing::Pending);
                self.stop(at, StopReason::Scaling(wanted.id));
            }
        }
    }

    /// Replaceable tasks go when others serve in their place, or when a new one needs their room; in both cases only as far
    /// as the minimum allows.
    fn stop_replaceable(&mut self) {
        let count = self.over().max(self.room_to_make()).max(self.drained());
        for at in self.replacement_order(count as usize) {
            let member = &self.wanted.members[at];
            if !self.budget.take(member.standing) {
                self.held_back += 1;
                continue;
            }
            let reason = match member.on_draining() {
                true => StopReason::InstanceDraining,
                false => StopReason::Scaling(self.wanted.id),
            };
            self.stop(at, reason);
        }
    }

    /// How many more tasks serve than are to.
    fn over(&self) -> u32 {
        let (serving, goal) = (self.serving(), self.wanted.goal());
        if self.wanted.failed {
            (serving - self.dismissed).saturating_sub(goal)
        } else {
            // Of kept ones that are too many the surplus takes care.
            serving.saturating_sub(goal.max(self.parts.kept.len() as u32))
        }
    }

    /// How many replaceable tasks go to make room.
    ///
    /// They make room for tasks of the wanted deployment only: a task of the fallback that goes for the next one of the
    /// fallback would be replaced for ever. For the same reason the fallback keeps as many as it would start again at
    /// once: it is filled up to a number, which healthy tasks of the wanted deployment are part of.
    fn room_to_make(&self) -> u32 {
        let room = self.make_room.min(self.unplaced_own);
        let Some(fallback) = self.wanted.fallback else { return room };
        let parts = &self.parts;
        let others = parts.replaceable.iter().filter(|&&at| !self.wanted.fills_in(&self.wanted.members[at]));
        let beyond = (parts.fallback_kept + parts.kept_healthy).saturating_sub(fallback.up_to);
        room.min(others.count() as u32 + beyond)
    }

    /// How many tasks leave DRAINING instances without having been replaced.
    ///
    /// They wait for their replacements. Where none is on its way, because it has no place or is not to be started, the
    /// minimum alone keeps them (ecs-engine D2).
    fn drained(&self) -> u32 {
        if !self.nothing_comes() {
            return 0;
        }
        let draining = self.parts.replaceable.iter().filter(|&&at| self.wanted.members[at].on_draining());
        draining.count() as u32
    }

    /// The replaceable tasks in the order in which they go, at most `count`: first those that are not
    /// healthy, then those that have yet to prove themselves, then those on DRAINING instances, then the others. The
    /// deployment that fills in goes last, however its tasks are: what it just started must not be what makes room.
    fn replacement_order(&self, count: usize) -> Vec<usize> {
        if count == 0 {
            return Vec::new();
        }
        let mut classes: [Vec<usize>; 7] = Default::default();
        for &at in &self.parts.replaceable {
            let member = &self.wanted.members[at];
            let last = self.wanted.fills_in(member) && !member.on_draining();
            let class = match (last, member.is_healthy(), member.is_proving()) {
                (false, false, false) => 0,
                (false, false, true) => 1,
                (false, true, _) if member.on_draining() => 2,
                (false, true, _) => 3,
                (true, false, false) => 4,
                (true, false, true) => 5,
                (true, true, _) => 6,
            };
            classes[class].push(at);
        }
        let mut order = Vec::with_capacity(count);
        for class in classes {
            let picked = self.pick(&class, count - order.len(), &order);
            order.extend(picked);
        }
        order
    }

    /// Chooses `count` of `class`; balance is judged over all tasks that stay, less those in `gone`.
    fn pick(&self, class: &[usize], count: usize, gone: &[usize]) -> Vec<usize> {
        let members = self.wanted.members;
        // Beyond the round nothing is stopped; one more lets the round notice that there is more.
        let count = count.min(self.draft.left() as usize + 1);
        if count == 0 || class.is_empty() {
            return Vec::new();
        }
        let mut candidate = vec![false; members.len()];
        for &at in class {
            candidate[at] = true;
        }
        let mut stays: Vec<bool> = members.iter().map(|member| !member.is_leaving()).collect();
        for &at in gone {
            stays[at] = false;
        }
        let tasks: Vec<Removable> = (members.iter().enumerate())
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
        let chosen = removal::choose(&tasks, count, &self.draft.view.strategies, self.draft.fleet);
        let mut places: Vec<_> = class.iter().map(|&at| (members[at].task.id, at)).collect();
        places.sort_unstable();
        let place = |id| places.binary_search_by_key(&id, |(task, _)| *task).map(|found| places[found].1);
        chosen.into_iter().filter_map(|id| place(id).ok()).collect()
    }

    /// Says what is under way, and what stands in the way.
    fn explain(&mut self) {
        let (parts, wanted) = (&self.parts, self.wanted);
        let unchanged = self.changes() == 0;
        let quiet = unchanged && self.leaving + parts.pending + parts.settling == 0;
        if quiet && self.unplaced > 0 && self.draft.refusal(wanted.id).is_none() {
            self.draft.wait(Waiting::Bounds { min: wanted.bounds.min, max: wanted.bounds.max });
            self.draft.situation(Topic::Bounds, ServiceEvent::BoundsTooTight);
        } else if unchanged && self.held_back > 0 {
            self.draft.wait(Waiting::MinimumHealthy { healthy: parts.healthy, min: wanted.bounds.min });
        }
        // All that is left to do is to stop what must not be stopped.
        if quiet
            && parts.kept_healthy == wanted.desired
            && let Some(of) = parts.protected_of
        {
            self.draft.situation(Topic::Protection, ServiceEvent::ProtectedFromScaleIn(of));
        }
        if parts.pending > 0 {
            self.draft.wait(Waiting::TasksToStart { count: parts.pending });
        }
        if parts.settling > 0 {
            self.draft.wait(Waiting::TasksToBecomeHealthy { count: parts.settling, until: parts.settled_at });
        }
        let unhealthy = (parts.unhealthy.len() + parts.unhealthy_old.len()) as u32;
        if unhealthy > 0 {
            self.draft.wait(Waiting::TasksUnhealthy { count: unhealthy });
        }
        if parts.leaving > 0 {
            self.draft.wait(Waiting::TasksToStop { count: parts.leaving });
        }
        if let Some(until) = parts.protected_until {
            self.draft.looks.at(until);
            self.draft.wait(Waiting::Protection { count: parts.protected, until });
        }
    }

    fn outcome(&self) -> Outcome {
        let (parts, desired) = (&self.parts, self.wanted.desired);
        let changed = self.changes() > 0;
        Outcome {
            in_place: parts.kept.len() as u32 == desired
                && parts.kept_healthy == desired
                && self.wanted.extra == 0
                && parts.replaceable.is_empty()
                && parts.unhealthy.is_empty()
                && parts.unhealthy_old.is_empty()
                && !changed,
            others: parts.others,
            changed,
        }
    }
}

fn divide(wanted: &Wanted<'_, '_>) -> Parts {
    let mut parts = Parts::default();
    for (at, member) in wanted.members.iter().enumerate() {
        let own = member.task.deployment == wanted.id;
        let fallback = wanted.fills_in(member);
        parts.others += u32::from(!own);
        match member.standing {
            Standing::Leaving => parts.leaving += 1,
            Standing::Lost => {
                let reason = match member.task.instance {
                    Some(instance) => StopReason::InstanceLost(instance),
                    None => StopReason::Scaling(wanted.id),
                };
                parts.at_once.push((at, reason));
            }
            Standing::Pending if member.on_draining() => {
                parts.at_once.push((at, StopReason::InstanceDraining));
            }
            Standing::Pending if own => {
                parts.pending += 1;
                parts.kept.push(at);
            }
            Standing::Pending if fallback => {
                parts.pending += 1;
                parts.fallback_kept += 1;
            }
            Standing::Pending => parts.at_once.push((at, StopReason::Scaling(wanted.id))),
            Standing::Unhealthy(_) if own => parts.unhealthy.push(at),
            Standing::Unhealthy(_) if member.protected => protect(&mut parts, member, wanted),
            Standing::Unhealthy(_) => parts.unhealthy_old.push(at),
            Standing::Settling { .. } | Standing::Proving { .. } | Standing::Healthy => {
                parts.healthy += u32::from(member.is_healthy());
                parts.settling += u32::from(!member.is_healthy());
                parts.settled_at = parts.settled_at.max(member.healthy_at());
                parts.fallback_kept += u32::from(fallback && !member.on_draining());
                if own && (!member.on_draining() || member.protected) {
                    if member.on_draining() {
                        protect(&mut parts, member, wanted);
                    }
                    parts.kept_running += 1;
                    parts.kept_healthy += u32::from(member.is_healthy());
                    parts.kept.push(at);
                } else if member.protected {
                    protect(&mut parts, member, wanted);
                } else {
                    parts.replaceable.push(at);
                }
            }
        }
    }
    parts
}

fn protect(parts: &mut Parts, member: &Member<'_>, wanted: &Wanted<'_, '_>) {
    parts.protected += 1;
    let of = member.task.deployment;
    parts.protected_of = parts.protected_of.or((of != wanted.id).then_some(of));
    let until = member.task.protected_until;
    parts.protected_until = match (parts.protected_until, until) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
}

fn unhealthy_reason(member: &Member<'_>) -> StopReason {
    match member.standing {
        Standing::Unhealthy(FailedCheck::Target) => StopReason::TargetHealth,
        Standing::Unhealthy(FailedCheck::Container)
        | Standing::Leaving
        | Standing::Lost
        | Standing::Pending
        | Standing::Settling { .. }
        | Standing::Proving { .. }
        | Standing::Healthy => StopReason::ContainerHealth,
    }
}

//! A plan while it is being made.

use std::collections::BTreeMap;
use std::sync::Arc;

use longshore_base::{DeploymentId, InstanceId, Seed, TaskId, Timestamp};
use longshore_domain::status::RolloutState;
use longshore_placement::Fleet;

use crate::ROUND_MAX;
use crate::event::ServiceEvent;
use crate::memory::{FAILURES_NOTICED, Throttle, Topic, refusal_pause};
use crate::outcome::{
    DeploymentChange, Plan, RolloutReason, ServiceDeploymentChange, Start, Stop, StopReason,
};
use crate::progress::reserve;
use crate::standing::{Member, Standing};
use crate::view::{DeploymentView, Refusal, ServiceDeploymentStatus, ServiceView};
use crate::waiting::Waiting;

/// When time alone will change the decision.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    earliest: Option<Timestamp>,
}

impl Looks {
    pub fn at(&mut self, at: Timestamp) {
        self.earliest = Some(self.earliest.map_or(at, |earliest| earliest.min(at)));
    }
}

pub(crate) struct Draft<'v> {
    pub view: &'v ServiceView,
    pub now: Timestamp,
    /// The instances, where the caller has them at hand.
    pub fleet: Option<&'v Fleet>,
    pub seed: Seed,
    pub plan: Plan,
    pub looks: Looks,
    /// The throttle after what happened since the last plan.
    pub throttle: Throttle,
    /// The same of the deployment that fills in.
    fallback_throttle: Throttle,
    /// Lasting situations that hold now.
    situations: Vec<(Topic, ServiceEvent)>,
    /// Events about deployments: after those about tasks.
    deployment_events: Vec<ServiceEvent>,
    /// Situations that go on, whatever was said of them last.
    lasting: Vec<Topic>,
    changes: BTreeMap<DeploymentId, DeploymentChange>,
    service_deployments: BTreeMap<DeploymentId, ServiceDeploymentChange>,
    stopped_running: Vec<TaskId>,
    stopped_pending: u32,
    /// Starts and stops that are still possible in this round.
    left: usize,
    /// The round was full before everything was said.
    cut: bool,
}

impl<'v> Draft<'v> {
    pub fn new(view: &'v ServiceView, fleet: Option<&'v Fleet>, now: Timestamp, seed: Seed) -> Self {
        Self {
            view,
            now,
            fleet,
            seed,
            plan: Plan::default(),
            looks: Looks::default(),
            throttle: view.throttle.clone(),
            fallback_throttle: Throttle::default(),
            situations: Vec::new(),
            deployment_events: Vec::new(),
            lasting: Vec::new(),
            changes: BTreeMap::new(),
            service_deployments: BTreeMap::new(),
            stopped_running: Vec::new(),
            stopped_pending: 0,
            left: ROUND_MAX,
            cut: false,
        }
    }

    /// How many more tasks this round may start or stop.
    pub fn left(&self) -> u32 {
        self.left as u32
    }

    /// The round has no room for something that should happen now.
    pub fn cut(&mut self) {
        self.cut = true;
    }

    /// Starts tasks, anywhere or only on one instance or in one zone.
    pub fn start(
        &mut self,
        deployment: DeploymentId,
        count: u32,
        on: Option<InstanceId>,
        zone: Option<Arc<str>>,
    ) {
        if count == 0 {
            return;
        }
        let early = self.tries_early(deployment);
        if early {
            self.lasts(Topic::Placement);
        }
        self.left = self.left.saturating_sub(count as usize);
        self.plan.starts.push(Start { deployment, count, on, zone, early });
    }

    /// Stops a task, if the round has room for it. Tells whether it does.
    pub fn stop(&mut self, member: &Member<'_>, reason: StopReason) -> bool {
        if self.left == 0 {
            self.cut = true;
            return false;
        }
        self.left -= 1;
        match member.standing {
            Standing::Pending => self.stopped_pending += 1,
            Standing::Leaving
            | Standing::Lost
            | Standing::Settling { .. }
            | Standing::Proving { .. }
            | Standing::Healthy
            | Standing::Unhealthy(_) => self.stopped_running.push(member.task.id),
        }
        if reason == StopReason::ContainerHealth {
            self.plan.events.push(ServiceEvent::ContainerUnhealthy(member.task.id));
        }
        self.plan.stops.push(Stop { task: member.task.id, reason });
        true
    }

    /// Stops a healthy task to even out the zones, which has a message of its own.
    pub fn stop_to_rebalance(&mut self, member: &Member<'_>, zone: Arc<str>, reason: StopReason) {
        if self.stop(member, reason) {
            self.stopped_running.pop();
            let tasks = vec![member.task.id];
            self.plan.events.push(ServiceEvent::StoppedToRebalance { zone, tasks });
        }
    }

    pub fn wait(&mut self, waiting: Waiting) {
        self.plan.waiting_for.push(waiting);
    }

    /// A situation holds whose event is not to be repeated while it lasts.
    pub fn situation(&mut self, topic: Topic, event: ServiceEvent) {
        if self.situations.iter().all(|(known, _)| *known != topic) {
            self.situations.push((topic, event));
        }
    }

    /// A situation goes on with nothing new to say.
    pub fn lasts(&mut self, topic: Topic) {
        self.lasting.push(topic);
    }

    pub fn deployment_event(&mut self, event: ServiceEvent) {
        self.deployment_events.push(event);
    }

    pub fn change(&mut self, id: DeploymentId) -> &mut DeploymentChange {
        self.changes.entry(id).or_insert(DeploymentChange {
            id,
            desired_count: None,
            rollout: None,
            failed_tasks: None,
            ever_running: false,
            baking_since: None,
        })
    }

    /// The rollout state of a deployment once this plan is applied.
    pub fn rollout_of(&self, deployment: &DeploymentView) -> RolloutState {
        let changed = self.changes.get(&deployment.id).and_then(|change| change.rollout);
        changed.map_or(deployment.rollout, |(state, _)| state)
    }

    /// The failed tasks of a deployment once this plan is applied.
    pub fn failed_tasks_of(&self, deployment: &DeploymentView) -> u32 {
        let changed = self.changes.get(&deployment.id).and_then(|change| change.failed_tasks);
        changed.unwrap_or(deployment.failed_tasks)
    }

    pub fn set_rollout(&mut self, id: DeploymentId, state: RolloutState, reason: RolloutReason) {
        self.change(id).rollout = Some((state, reason));
    }

    pub fn set_desired_count(&mut self, deployment: &DeploymentView, count: u32) {
        if deployment.desired_count != count {
            self.change(deployment.id).desired_count = Some(count);
        }
    }

    /// Moves the service deployment that `deployment` belongs to, if it has one and is elsewhere.
    pub fn progress(
        &mut self,
        deployment: &DeploymentView,
        status: ServiceDeploymentStatus,
        reason: Option<String>,
    ) {
        if deployment.progress.is_none_or(|present| present == status || present.is_final()) {
            return;
        }
        let id = deployment.rolled_back_from.unwrap_or(deployment.id);
        self.service_deployments.insert(id, ServiceDeploymentChange { deployment: id, status, reason });
    }

    /// See [`crate::reserve`].
    pub fn reserve(&self, primary: &DeploymentView) -> Option<&'v DeploymentView> {
        reserve(&self.view.deployments, self.view.last_completed, primary.id)
    }

    /// The last refusal of a deployment, unless the cluster has changed since.
    pub fn refusal(&self, id: DeploymentId) -> Option<&'v Refusal> {
        self.view.refusals.iter().find(|refusal| refusal.deployment == id && !refusal.capacity_changed)
    }

    /// Takes in what the throttles have to notice: of the deployment that starts tasks, and of the one that fills in.
    pub fn observe_deployments(&mut self, starting: Option<DeploymentId>, filling_in: Option<DeploymentId>) {
        // A deployment keeps its throttle when it comes to be the other one.
        let known = [&self.view.throttle, &self.view.fallback_throttle];
        let of = |id| known.into_iter().find(|known| known.deployment == id).cloned().unwrap_or_default();
        self.throttle = self.observe(&of(starting), starting);
        if filling_in.is_some() {
            self.fallback_throttle = self.observe(&of(filling_in), filling_in);
        }
    }

    /// Takes in what a throttle has to notice, and looks again when its failures may be over.
    pub fn observe(&mut self, before: &Throttle, starting: Option<DeploymentId>) -> Throttle {
        let throttle = before.observe(self.view, starting, self.now);
        if let Some(over) = throttle.over_at(self.view, self.now) {
            self.looks.at(over);
        }
        throttle
    }

    fn throttle_of(&self, id: DeploymentId) -> &Throttle {
        let fills_in = self.fallback_throttle.deployment == Some(id);
        if fills_in { &self.fallback_throttle } else { &self.throttle }
    }

    /// True if tasks of the deployment failed to start so often that no other one is to be started yet; then it says so.
    pub fn is_throttled(&mut self, id: DeploymentId) -> bool {
        let throttle = self.throttle_of(id);
        let Some(until) = throttle.closed_until(self.now) else { return false };
        let failures = throttle.failures;
        self.looks.at(until);
        self.wait(Waiting::Throttle { until, failures });
        true
    }

    /// True if tasks of what starts tasks, or of what fills in, keep failing to start.
    pub fn cannot_start(&self) -> bool {
        [&self.throttle, &self.fallback_throttle].into_iter().any(|it| it.failures >= FAILURES_NOTICED)
    }

    /// Says that placement refuses a task. True if it is not to be asked again yet.
    pub fn pauses(&mut self, refusal: &Refusal) -> bool {
        let (deployment, reason) = (refusal.deployment, refusal.reason.clone());
        let next_attempt = self.refused_until(refusal);
        self.situation(Topic::Placement, ServiceEvent::CannotPlace(reason.clone()));
        self.wait(Waiting::Placement { deployment, reason, next_attempt });
        let pauses = next_attempt > self.now;
        if pauses {
            self.looks.at(next_attempt);
        }
        pauses
    }

    /// True if the deployment was refused and would still pause, had the cluster not changed since.
    fn tries_early(&self, id: DeploymentId) -> bool {
        let refused = self.view.refusals.iter().find(|refusal| refusal.deployment == id);
        refused.is_some_and(|refusal| refusal.capacity_changed && self.refused_until(refusal) > self.now)
    }

    /// When the pause after that refusal ends.
    pub fn refused_until(&self, refusal: &Refusal) -> Timestamp {
        refusal.at + refusal_pause(refusal.attempts, &self.view.settings)
    }

    /// Puts everything in its place: events in ECS's order, then the next look.
    pub fn finish(mut self) -> Plan {
        let mut plan = self.plan;
        plan.events.extend(ServiceEvent::stopped_running(&self.stopped_running));
        if self.stopped_pending > 0 {
            plan.events.push(ServiceEvent::StoppedPending(self.stopped_pending));
        }
        plan.events.append(&mut self.deployment_events);
        let (mut memory, said, repeat) = self.view.memory.settle(self.situations, self.view, self.now);
        plan.events.extend(said);
        for topic in self.lasting {
            if let Some(said) = self.view.memory.said.get(&topic) {
                memory.said.entry(topic).or_insert_with(|| said.clone());
            }
        }
        plan.memory = memory;
        if let Some(repeat) = repeat {
            self.looks.at(repeat);
        }
        if self.cut {
            self.looks.at(self.now);
        }
        let starts: u32 = plan.starts.iter().map(|start| start.count).sum();
        if starts > 0 || !plan.stops.is_empty() {
            plan.waiting_for.push(Waiting::NextRound { starts, stops: plan.stops.len() as u32 });
        }
        plan.deployments = self.changes.into_values().collect();
        plan.service_deployments = self.service_deployments.into_values().collect();
        plan.throttle = self.throttle;
        plan.fallback_throttle = self.fallback_throttle;
        plan.next_look = self.looks.earliest.map(|at| at.max(self.now));
        plan
    }
}

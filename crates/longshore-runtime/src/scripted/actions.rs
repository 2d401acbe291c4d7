//! The scripted runtime as simulations use it: actions in, inputs out, time as an argument.

use std::collections::BTreeMap;
use std::time::Duration;

use longshore_base::{Seed, Timestamp};
use longshore_engine::Action;
use longshore_engine::input::{FoundContainer, Input, OpError};
use longshore_engine::spec::RuntimeId;

use crate::error::{ErrorKind, RuntimeError};
use crate::executor::{input_of, request_of, timed_out};
use crate::limits;
use crate::port::LabelFilter;
use crate::scripted::script::Operation;
use crate::scripted::world::{Fate, FateEnd, World};

/// Performs the engine's actions in virtual time.
///
/// Give it actions with [`Self::perform`]; no later than [`Self::deadline`] call [`Self::advance`], and
/// hand the inputs that it yields to the engine. What a container does by itself comes the same way, which is why
/// inputs are not known when an action is performed: a stop may come in between.
#[derive(Debug)]
pub struct ScriptedRuntime {
    pub world: World,
    under_way: BTreeMap<(Timestamp, u64), UnderWay>,
    performed: u64,
}

#[derive(Debug)]
struct UnderWay {
    action: Box<Action>,
    end: FateEnd,
    phase: Phase,
    /// When its limit of time is over.
    limit_at: Timestamp,
    /// False once the agent that asked is gone.
    heard: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Effect,
    /// A stop waits for the end of its container.
    AwaitEnd,
    /// Nothing happened; all that is left is the error of its limit.
    TimeOut,
}

impl ScriptedRuntime {
    pub fn new(seed: Seed) -> Self {
        Self::over(World::new(seed))
    }

    pub fn over(world: World) -> Self {
        Self { world, under_way: BTreeMap::new(), performed: 0 }
    }

    /// Begins one action. What is not a runtime's (journal, reports, secrets) comes back as `Err`;
    /// cgroups are done here, because a simulation has nobody else for them.
    pub fn perform(&mut self, now: Timestamp, action: Action) -> Result<(), Box<Action>> {
        let Some((operation, image, limit)) = self.what(&action) else { return Err(Box::new(action)) };
        self.world.advance(now);
        let Fate { after, end } = self.world.fate(now, operation, image.as_deref());
        let mut limit = limit;
        if let Action::Pull { inactivity_timeout, .. } = &action
            && end == FateEnd::Hangs
        {
            // A pull that hangs makes no progress.
            limit = limit.min(*inactivity_timeout);
        }
        let in_time = after <= limit && end != FateEnd::Hangs;
        let (at, phase) = if in_time { (now + after, Phase::Effect) } else { (now + limit, Phase::TimeOut) };
        self.push(at, UnderWay { action: Box::new(action), end, phase, limit_at: now + limit, heard: true });
        Ok(())
    }

    /// When something is due next.
    pub fn deadline(&self) -> Option<Timestamp> {
        let operation = self.under_way.first_key_value().map(|((at, _), _)| *at);
        [operation, self.world.deadline()].into_iter().flatten().min()
    }

    /// Lets everything happen that is due, and gives what the agent hears of it, in order.
    pub fn advance(&mut self, now: Timestamp) -> Vec<(Timestamp, Input)> {
        let mut heard = Vec::new();
        while let Some(entry) = self.under_way.first_entry()
            && entry.key().0 <= now
        {
            let ((at, _), under_way) = entry.remove_entry();
            self.world.advance(at);
            self.hear(&mut heard);
            if let Some(input) = self.finish(at, under_way) {
                // What an effect makes known as an event is heard before its answer, as with Docker.
                self.hear(&mut heard);
                heard.push((at, input));
            }
        }
        self.world.advance(now);
        self.hear(&mut heard);
        heard
    }

    /// The agent was killed: answers under way reach nobody, their effects happen all the same,
    /// and unheard events are lost. Containers live on; [`Self::found`] is what the next agent finds.
    pub fn agent_restarted(&mut self, now: Timestamp) {
        let lost = self.advance(now);
        drop(lost);
        for under_way in self.under_way.values_mut() {
            under_way.heard = false;
        }
    }

    /// All containers of tasks, for [`Input::Restored`].
    pub fn found(&self) -> Vec<FoundContainer> {
        self.world.list(&LabelFilter::default())
    }

    fn hear(&mut self, heard: &mut Vec<(Timestamp, Input)>) {
        for emitted in self.world.take_events() {
            heard.extend(input_of(emitted.event).map(|input| (emitted.at, input)));
        }
    }

    fn push(&mut self, at: Timestamp, under_way: UnderWay) {
        self.performed += 1;
        self.under_way.insert((at, self.performed), under_way);
    }

    /// The kind of operation, the image that it concerns, and how long it may take.
    fn what(&self, action: &Action) -> Option<(Operation, Option<String>, Duration)> {
        let image_of = |id: &RuntimeId| self.world.image_of(id).map(str::to_owned);
        Some(match action {
            Action::InspectImage { image, .. } => {
                (Operation::ImageInspect, Some(image.clone()), limits::IMAGE_INSPECT)
            }
            Action::ResolveManifest { image, timeout, .. } => {
                (Operation::ImageDigest, Some(image.clone()), *timeout)
            }
            // A pull is steady here, so that only the whole counts.
            Action::Pull { image, timeout, .. } => (Operation::ImagePull, Some(image.clone()), *timeout),
            Action::PrepareNetwork { timeout, .. } => (Operation::Network, None, *timeout),
            Action::CreateCgroup { .. } | Action::RemoveCgroup { .. } => {
                (Operation::Cgroup, None, Duration::MAX)
            }
            Action::CreateVolume { timeout, .. } => (Operation::Volume, None, *timeout),
            Action::RemoveVolume { .. } => (Operation::Volume, None, limits::VOLUME),
            Action::CreateContainer { spec, timeout, .. } => {
                (Operation::Create, Some(spec.image.clone()), *timeout)
            }
            Action::StartContainer { runtime_id, timeout, .. } => {
                (Operation::Start, image_of(runtime_id), *timeout)
            }
            Action::StopContainer { runtime_id, timeout, .. } => {
                (Operation::Stop, image_of(runtime_id), *timeout)
            }
            Action::InspectContainer { runtime_id, .. } => {
                (Operation::Inspect, image_of(runtime_id), limits::INSPECT)
            }
            Action::RemoveContainer { runtime_id, .. } => {
                (Operation::Remove, image_of(runtime_id), limits::REMOVE)
            }
            Action::ListImages { .. } => (Operation::ImageList, None, limits::LIST),
            Action::RemoveImage { image, .. } => {
                (Operation::ImageRemove, Some(image.clone()), limits::IMAGE_REMOVE)
            }
            Action::Persist(_)
            | Action::AckReady(_)
            | Action::Report(_)
            | Action::ResolveSecrets { .. }
            | Action::TaskForgotten(_) => return None,
        })
    }

    /// Lets an operation have its effect, and gives its answer if that is due and somebody hears it.
    fn finish(&mut self, now: Timestamp, under_way: UnderWay) -> Option<Input> {
        let UnderWay { action, end, phase, limit_at, heard } = under_way;
        // A stop ends twice: the signal is sent, and then the container ends.
        if let (Action::StopContainer { runtime_id, grace, .. }, Phase::Effect) = (&*action, phase)
            && end != FateEnd::Failed
            && let Ok(ends_at) = self.world.stop(now, runtime_id, *grace)
        {
            let in_time = ends_at <= limit_at;
            let phase = if in_time { Phase::AwaitEnd } else { Phase::TimeOut };
            self.push(ends_at.min(limit_at), UnderWay { action, end, phase, limit_at, heard });
            return None;
        }
        let reply = Reply { end, timed_out: phase == Phase::TimeOut };
        let world = &mut self.world;
        let input = match *action {
            Action::InspectImage { op, container, image } => {
                let result = reply.to(limits::IMAGE_INSPECT, "inspect image", || world.image_inspect(&image));
                Input::ImageInspected { op, container, result }
            }
            Action::ResolveManifest { op, container, image, timeout, .. } => {
                let result = reply.to(timeout, "resolve manifest", || world.image_digest(&image));
                Input::ManifestResolved { op, container, result }
            }
            Action::Pull { op, container, image, timeout, .. } => {
                let result = reply.to(timeout, "transition to pulled", || world.image_pull(&image));
                Input::PullFinished { op, container, result }
            }
            Action::PrepareNetwork { op, container, network, timeout } => {
                let request = request_of(network);
                let effect = || {
                    world.pause_image();
                    world.network_create(&request).map(drop)
                };
                let result = reply.to(timeout, "prepare the task's network", effect);
                Input::NetworkPrepared { op, container, result }
            }
            Action::CreateCgroup { op, task, .. } => {
                Input::CgroupCreated { op, task, result: reply.to(Duration::MAX, "create cgroup", || Ok(())) }
            }
            Action::RemoveCgroup { op, task, .. } => {
                Input::CgroupRemoved { op, task, result: reply.to(Duration::MAX, "remove cgroup", || Ok(())) }
            }
            Action::CreateVolume { op, task, volume, spec, timeout } => {
                let result = reply.to(timeout, "create volume", || world.volume_create(&spec));
                Input::VolumeCreated { op, task, volume, result }
            }
            Action::RemoveVolume { op, task, volume, name } => {
                let effect = || missing_is_fine(world.volume_remove(&name));
                Input::VolumeRemoved {
                    op,
                    task,
                    volume,
                    result: reply.to(limits::VOLUME, "remove volume", effect),
                }
            }
            Action::CreateContainer { op, container, spec, timeout } => {
                let result = reply.to(timeout, "transition to created", || world.create(now, &spec));
                Input::ContainerCreated { op, container, result }
            }
            Action::StartContainer { op, container, runtime_id, timeout } => {
                let result = reply.to(timeout, "transition to running", || world.start(now, &runtime_id));
                Input::ContainerStarted { op, container, result }
            }
            Action::StopContainer { op, container, runtime_id, timeout, .. } => {
                let effect = || Ok(world.inspect(&runtime_id).ok());
                let result = reply.to(timeout, "transition to stopped", effect);
                Input::ContainerStopped { op, container, result }
            }
            Action::InspectContainer { op, container, runtime_id } => {
                let result = reply.to(limits::INSPECT, "inspect container", || world.inspect(&runtime_id));
                Input::ContainerInspected { op, container, result }
            }
            Action::RemoveContainer { op, container, runtime_id } => {
                let effect = || missing_is_fine(world.remove(now, &runtime_id));
                let result = reply.to(limits::REMOVE, "remove container", effect);
                Input::ContainerRemoved { op, container, result }
            }
            Action::ListImages { op } => Input::ImagesListed {
                op,
                result: reply.to(limits::LIST, "list images", || Ok(world.image_list())),
            },
            Action::RemoveImage { op, image } => {
                let result = reply.to(limits::IMAGE_REMOVE, "remove image", || world.image_remove(&image));
                Input::ImageRemoved { op, result }
            }
            Action::Persist(_)
            | Action::AckReady(_)
            | Action::Report(_)
            | Action::ResolveSecrets { .. }
            | Action::TaskForgotten(_) => return None,
        };
        heard.then_some(input)
    }
}

/// How an operation is answered.
struct Reply {
    end: FateEnd,
    timed_out: bool,
}

impl Reply {
    fn to<T>(
        self,
        limit: Duration,
        what: &str,
        effect: impl FnOnce() -> Result<T, RuntimeError>,
    ) -> Result<T, OpError> {
        if self.timed_out {
            return Err(timed_out(what, limit).into());
        }
        match self.end {
            FateEnd::Answered => effect().map_err(OpError::from),
            FateEnd::AnswerLost => {
                effect()?;
                Err(fault("the scripted engine lost the answer").into())
            }
            FateEnd::Failed | FateEnd::Hangs => Err(fault("the scripted engine is not available").into()),
        }
    }
}

pub(super) fn fault(text: &str) -> RuntimeError {
    RuntimeError::new(ErrorKind::Unavailable, text)
}

fn missing_is_fine(result: Result<(), RuntimeError>) -> Result<(), RuntimeError> {
    match result {
        Err(RuntimeError { kind: ErrorKind::NotFound, .. }) => Ok(()),
        result => result,
    }
}

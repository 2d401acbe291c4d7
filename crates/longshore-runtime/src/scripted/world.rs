//! A scripted machine: its images, containers, volumes and networks, and the events that are due.

mod networks;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use longshore_base::seed::Ids;
use longshore_base::{ContainerName, Seed, Timestamp};
use longshore_engine::input::{
    FoundContainer, HealthStatus, ListedImage, LocalImage, Observation, ObservedHealth, ObservedNetwork,
    ObservedStatus,
};
use longshore_engine::spec::{
    ContainerKey, ContainerSpec, NetworkMode, NetworkPlace, PortBinding, RuntimeId, TaskKey, VolumeCreate,
    VolumeMode,
};

use crate::error::{ErrorKind, RuntimeError};
use crate::port::{
    LABEL_CONTAINER, LABEL_TASK, LabelFilter, NetworkInfo, RuntimeEvent, StatsSample, VolumeInfo,
};
use crate::scripted::script::{Faults, ImageScript, Operation};

/// The exit code of a process that got SIGKILL.
const EXIT_KILLED: i32 = 137;
/// How long a question takes that changes nothing.
const QUESTION_TIME: Duration = Duration::from_millis(1);
/// How long removals take, and other changes without a script of their own.
const CHANGE_TIME: Duration = Duration::from_millis(20);

/// When and how one operation ends: drawn when it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    /// From its beginning.
    pub after: Duration,
    pub end: FateEnd,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FateEnd {
    /// It takes effect, and its result is answered.
    Answered,
    /// It takes effect, and an error is answered.
    AnswerLost,
    /// It takes no effect, and an error is answered.
    Failed,
    /// It takes no effect, and is never answered.
    Hangs,
}

/// Something that happened, with the labels of the container it happened to.
#[derive(Clone, Debug)]
pub struct Emitted {
    pub at: Timestamp,
    /// `None` for what concerns all containers.
    pub labels: Option<Arc<BTreeMap<String, String>>>,
    pub event: RuntimeEvent,
}

/// A machine with a container engine. All methods take the time, which must not run backwards.
#[derive(Debug)]
pub struct World {
    scripts: BTreeMap<String, Arc<ImageScript>>,
    fallback: Option<Arc<ImageScript>>,
    faults: Faults,
    seed: Seed,
    drawn: u64,
    ids: Ids,
    images: BTreeMap<String, LocalImage>,
    containers: BTreeMap<RuntimeId, Container>,
    volumes: BTreeMap<String, VolumeCreate>,
    networks: BTreeMap<String, NetworkInfo>,
    due: BTreeMap<(Timestamp, u64), Due>,
    due_count: u64,
    away_until: Option<Timestamp>,
    emitted: VecDeque<Emitted>,
    starts: BTreeMap<String, u32>,
    double_creates: Vec<ContainerKey>,
}

#[derive(Debug)]
struct Container {
    key: Option<ContainerKey>,
    spec: Box<ContainerSpec>,
    name: String,
    image: String,
    labels: Arc<BTreeMap<String, String>>,
    ports: Vec<PortBinding>,
    network: NetworkMode,
    place: NetworkPlace,
    script: Arc<ImageScript>,
    status: ObservedStatus,
    /// Counts starts, so that what was due in an earlier run is not taken for this one.
    run: u32,
    pid: u32,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    health: Option<HealthStatus>,
    /// The earliest end that is bound to come.
    ends_at: Option<Timestamp>,
}

#[derive(Debug)]
enum Due {
    Exit {
        id: RuntimeId,
        run: u32,
        exit_code: i32,
        out_of_memory: bool,
    },
    Health {
        id: RuntimeId,
        run: u32,
        status: HealthStatus,
    },
    /// The engine is back after an interruption.
    Back,
}

impl World {
    pub fn new(seed: Seed) -> Self {
        Self {
            scripts: BTreeMap::new(),
            fallback: Some(Arc::default()),
            faults: Faults::default(),
            seed: seed.of(0),
            drawn: 0,
            ids: Ids::new(seed.of(1)),
            images: BTreeMap::new(),
            containers: BTreeMap::new(),
            volumes: BTreeMap::new(),
            networks: BTreeMap::new(),
            due: BTreeMap::new(),
            due_count: 0,
            away_until: None,
            emitted: VecDeque::new(),
            starts: BTreeMap::new(),
            double_creates: Vec::new(),
        }
    }

    /// Sets how an image behaves, from now on; containers that exist keep their script.
    pub fn script(&mut self, image: &str, script: ImageScript) {
        if script.present {
            self.images.insert(image.to_owned(), local(image, &script));
        } else {
            self.images.remove(image);
        }
        self.scripts.insert(image.to_owned(), Arc::new(script));
    }

    /// How images without a script of their own behave; `None`: they do not exist.
    pub fn fallback(&mut self, script: Option<ImageScript>) {
        self.fallback = script.map(Arc::new);
    }

    pub fn faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// How often a container of this name was started, restarts in place included.
    pub fn starts(&self, container_name: &str) -> u32 {
        self.starts.get(container_name).copied().unwrap_or(0)
    }

    /// All names that were ever started, with their counts.
    pub fn all_starts(&self) -> &BTreeMap<String, u32> {
        &self.starts
    }

    /// The containers as they were asked for.
    pub fn specs(&self) -> impl Iterator<Item = &ContainerSpec> {
        self.containers.values().map(|container| &*container.spec)
    }

    /// Containers of tasks that were created while another of the same key ran: the double starts
    /// that must not happen.
    pub fn double_creates(&self) -> &[ContainerKey] {
        &self.double_creates
    }

    /// Number of containers that run now.
    pub fn running(&self) -> usize {
        self.containers.values().filter(|container| container.status == ObservedStatus::Running).count()
    }

    /// Everything that the engine has.
    pub fn list(&self, filter: &LabelFilter) -> Vec<FoundContainer> {
        let matching = self.containers.iter().filter(|(_, container)| filter.matches(&container.labels));
        matching
            .filter_map(|(id, container)| {
                let key = container.key.clone()?;
                let name = container.name.clone();
                Some(FoundContainer { container: key, name, observation: container.observe(id) })
            })
            .collect()
    }

    /// The engine goes away for a while: operations fail, events are not heard. With
    /// `containers_die` all containers end too, as with a reboot.
    pub fn interrupt(&mut self, now: Timestamp, duration: Duration, containers_die: bool) {
        self.advance(now);
        self.away_until = Some(now + duration);
        self.push_due(now + duration, Due::Back);
        self.emitted.push_back(Emitted {
            at: now,
            labels: None,
            event: RuntimeEvent::Lost(RuntimeError::new(
                ErrorKind::Unavailable,
                "the scripted engine is interrupted",
            )),
        });
        if containers_die {
            let ids: Vec<RuntimeId> = self.containers.keys().cloned().collect();
            for id in ids {
                self.exit(now, &id, None, EXIT_KILLED, false);
            }
        }
    }

    /// Ends a container from outside, as `docker kill` would. False if it does not run.
    pub fn kill_from_outside(&mut self, now: Timestamp, id: &RuntimeId, exit_code: i32) -> bool {
        self.advance(now);
        self.exit(now, id, None, exit_code, false)
    }

    /// When something is due next.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// Lets everything happen that is due, in order.
    pub fn advance(&mut self, now: Timestamp) {
        while let Some(entry) = self.due.first_entry()
            && entry.key().0 <= now
        {
            let ((at, _), due) = entry.remove_entry();
            match due {
                Due::Exit { id, run, exit_code, out_of_memory } => {
                    self.exit(at, &id, Some(run), exit_code, out_of_memory);
                }
                Due::Health { id, run, status } => {
                    if let Some(container) = self.containers.get_mut(&id)
                        && container.run == run
                        && container.status == ObservedStatus::Running
                    {
                        container.health = Some(status);
                        self.emit_observed(at, &id);
                    }
                }
                Due::Back => {
                    // A longer interruption may have begun in the meantime.
                    if self.away_until.is_some_and(|until| until <= at) {
                        self.away_until = None;
                        let event = RuntimeEvent::Resynced(self.list(&LabelFilter::default()));
                        self.emitted.push_back(Emitted { at, labels: None, event });
                    }
                }
            }
        }
    }

    /// What has happened since the last call.
    pub fn take_events(&mut self) -> Vec<Emitted> {
        self.emitted.drain(..).collect()
    }

    /// Draws what becomes of an operation on an image's behalf (`None` if no image is concerned).
    pub fn fate(&mut self, now: Timestamp, operation: Operation, image: Option<&str>) -> Fate {
        let script = image.and_then(|image| self.script_of(image));
        let usual = |pick: fn(&ImageScript) -> Duration| script.as_deref().map_or(CHANGE_TIME, pick);
        let mut after = match operation {
            Operation::ImagePull => usual(|script| script.pull_time),
            Operation::Create => usual(|script| script.create_time),
            Operation::Start => usual(|script| script.start_time),
            Operation::Remove
            | Operation::ImageRemove
            | Operation::Volume
            | Operation::Network
            | Operation::Cgroup => CHANGE_TIME,
            Operation::ImageInspect
            | Operation::ImageDigest
            | Operation::ImageList
            | Operation::Stop
            | Operation::Kill
            | Operation::Inspect
            | Operation::List
            | Operation::Stats => QUESTION_TIME,
        };
        if script.is_some_and(|script| script.hangs.contains(&operation)) {
            return Fate { after, end: FateEnd::Hangs };
        }
        if self.away_until.is_some_and(|until| now < until) {
            return Fate { after: Duration::ZERO, end: FateEnd::Failed };
        }
        let faults = self.faults;
        if self.chance(faults.slow) {
            after += faults.slowness;
        }
        let end = if self.chance(faults.fail) {
            FateEnd::Failed
        } else if self.chance(faults.lose_answer) {
            FateEnd::AnswerLost
        } else {
            FateEnd::Answered
        };
        Fate { after, end }
    }

    /// The image a container was made of.
    pub fn image_of(&self, id: &RuntimeId) -> Option<&str> {
        let id = self.resolve(id)?;
        self.containers.get(id).map(|container| container.image.as_str())
    }

    pub fn image_inspect(&self, image: &str) -> Result<LocalImage, RuntimeError> {
        if let Some(found) = self.images.get(image) {
            return Ok(found.clone());
        }
        match &self.fallback {
            Some(script) if script.present && !self.scripts.contains_key(image) => Ok(local(image, script)),
            _ => Err(RuntimeError::new(ErrorKind::ImageMissing, format!("No such image: {image}"))),
        }
    }

    pub fn image_digest(&self, image: &str) -> Result<String, RuntimeError> {
        match self.script_of(image) {
            Some(script) => script.registry.clone(),
            None => Err(manifest_unknown(image)),
        }
    }

    pub fn image_pull(&mut self, image: &str) -> Result<LocalImage, RuntimeError> {
        let script = self.script_of(image).ok_or_else(|| manifest_unknown(image))?;
        script.registry.clone()?;
        let pulled = local(image, &script);
        self.images.insert(image.to_owned(), pulled.clone());
        Ok(pulled)
    }

    pub fn image_list(&self) -> Vec<ListedImage> {
        let listed = self.images.iter().map(|(reference, image)| ListedImage {
            id: image.id.clone(),
            references: vec![reference.clone()],
            size_bytes: image.size_bytes,
            created_at: None,
            in_use: self.uses(reference),
        });
        listed.collect()
    }

    pub fn image_remove(&mut self, image: &str) -> Result<(), RuntimeError> {
        let found = self.images.iter().find(|(reference, local)| *reference == image || local.id == image);
        let Some((reference, _)) = found else {
            return Err(RuntimeError::new(ErrorKind::NotFound, format!("No such image: {image}")));
        };
        let reference = reference.clone();
        if self.uses(&reference) {
            let text = format!("conflict: unable to remove {image}: a container uses it");
            return Err(RuntimeError::new(ErrorKind::Conflict, text));
        }
        self.images.remove(&reference);
        Ok(())
    }

    pub fn create(&mut self, now: Timestamp, spec: &ContainerSpec) -> Result<RuntimeId, RuntimeError> {
        self.image_inspect(&spec.image)?;
        if let Some((id, _)) = self.containers.iter().find(|(_, container)| container.name == spec.name) {
            let text = format!("Conflict. The container name {:?} is already in use", spec.name);
            return Err(RuntimeError::new(ErrorKind::NameInUse(Some(id.clone())), text));
        }
        let script = self.script_of(&spec.image).unwrap_or_default();
        if let Some(error) = &script.create_failure {
            return Err(error.clone());
        }
        let key = key(&spec.labels);
        let twin_runs = |container: &Container| {
            container.key.is_some() && container.key == key && container.status == ObservedStatus::Running
        };
        if let Some(key) = &key
            && self.containers.values().any(twin_runs)
        {
            self.double_creates.push(key.clone());
        }
        let id = RuntimeId::new(&format!("{}{}", self.ids.task(), self.ids.task()));
        let container = Container {
            key,
            spec: Box::new(spec.clone()),
            name: spec.name.clone(),
            image: spec.image.clone(),
            labels: Arc::new(spec.labels.clone()),
            ports: spec.ports.clone(),
            network: spec.network_mode,
            place: spec.network.clone(),
            health: (!script.health.is_empty()).then_some(HealthStatus::Unknown),
            script,
            status: ObservedStatus::Created,
            run: 0,
            pid: 0,
            created_at: now,
            started_at: None,
            finished_at: None,
            ends_at: None,
        };
        self.containers.insert(id.clone(), container);
        Ok(id)
    }

    pub fn start(&mut self, now: Timestamp, id: &RuntimeId) -> Result<Observation, RuntimeError> {
        let faults = self.faults;
        let dies = self.chance(faults.die);
        let die_after = Duration::from_millis(self.draw(millis(faults.die_within)));
        let pid = 1000 + self.draw(30_000) as u32;
        let taken = self.taken_ports(id);
        let misplaced = self.misplaced(id);
        let container = self.containers.get_mut(id).ok_or_else(|| no_such_container(id))?;
        if container.status == ObservedStatus::Running {
            return Ok(container.observe(id));
        }
        let script = Arc::clone(&container.script);
        if let Some(error) = &script.start_failure {
            return Err(error.clone());
        }
        if let Some(port) = container.ports.iter().find(|port| taken.contains(&(port.host, port.protocol))) {
            let text = format!("Bind for 0.0.0.0:{} failed: port is already allocated", port.host);
            return Err(RuntimeError::new(ErrorKind::PortTaken(Some(port.host)), text));
        }
        if let Some(error) = misplaced {
            return Err(error);
        }
        container.run += 1;
        container.status = ObservedStatus::Running;
        container.pid = pid;
        container.started_at = Some(now);
        container.finished_at = None;
        container.ends_at = None;
        container.health = (!script.health.is_empty()).then_some(HealthStatus::Unknown);
        let run = container.run;
        *self.starts.entry(container.name.clone()).or_default() += 1;
        if let Some(run_time) = script.run_time {
            self.exit_at(now + run_time, id, run, script.exit_code, script.out_of_memory);
        }
        if dies {
            self.exit_at(now + die_after, id, run, 1, false);
        }
        for (after, status) in &script.health {
            self.push_due(now + *after, Due::Health { id: id.clone(), run, status: *status });
        }
        self.emit_observed(now, id);
        self.inspect(id)
    }

    /// Sends SIGTERM and, after `grace`, SIGKILL. Gives the time at which the container will have ended.
    pub fn stop(
        &mut self,
        now: Timestamp,
        id: &RuntimeId,
        grace: Duration,
    ) -> Result<Timestamp, RuntimeError> {
        let container = self.containers.get(id).ok_or_else(|| no_such_container(id))?;
        if container.status != ObservedStatus::Running {
            return Ok(now);
        }
        let (run, script) = (container.run, Arc::clone(&container.script));
        if script.ignores_term || script.term_time > grace {
            self.exit_at(now + grace, id, run, EXIT_KILLED, false);
        } else {
            self.exit_at(now + script.term_time, id, run, script.term_exit_code, false);
        }
        Ok(self.containers.get(id).and_then(|container| container.ends_at).unwrap_or(now))
    }

    pub fn kill(&mut self, now: Timestamp, id: &RuntimeId, signal: &str) -> Result<(), RuntimeError> {
        let container = self.containers.get(id).ok_or_else(|| no_such_container(id))?;
        if container.status != ObservedStatus::Running {
            let text = format!("Cannot kill container: {id}: Container {id} is not running");
            return Err(RuntimeError::new(ErrorKind::Conflict, text));
        }
        let (run, script) = (container.run, Arc::clone(&container.script));
        match signal {
            "SIGKILL" | "KILL" | "9" => {
                self.exit(now, id, Some(run), EXIT_KILLED, false);
            }
            "SIGTERM" | "TERM" | "15" if !script.ignores_term => {
                self.exit_at(now + script.term_time, id, run, script.term_exit_code, false);
            }
            // Scripts know no other signals; a program without a handler takes them as it pleases.
            _ => {}
        }
        Ok(())
    }

    /// By id or by name, like [`Self::remove`].
    pub fn inspect(&self, id: &RuntimeId) -> Result<Observation, RuntimeError> {
        self.resolve(id)
            .and_then(|id| self.containers.get(id).map(|container| container.observe(id)))
            .ok_or_else(|| no_such_container(id))
    }

    pub fn remove(&mut self, now: Timestamp, id: &RuntimeId) -> Result<(), RuntimeError> {
        let id = self.resolve(id).cloned().ok_or_else(|| no_such_container(id))?;
        self.exit(now, &id, None, EXIT_KILLED, false);
        if let Some(container) = self.containers.remove(&id)
            && let Some(key) = container.key
        {
            let event = RuntimeEvent::Vanished { container: key, runtime_id: id };
            self.emit(now, container.labels, event);
        }
        Ok(())
    }

    pub fn stats(&self, now: Timestamp, id: &RuntimeId) -> Result<StatsSample, RuntimeError> {
        let container = self.containers.get(id).ok_or_else(|| no_such_container(id))?;
        let up = container.started_at.map_or(Duration::ZERO, |started| now.since(started));
        // One per cent of one core, so that the numbers move and differ from zero.
        let nanos = u64::try_from(up.as_nanos()).unwrap_or(u64::MAX);
        Ok(StatsSample {
            read_at: Some(now),
            cpu_nanos: nanos / 100,
            system_cpu_nanos: nanos,
            online_cpus: 1,
            memory_bytes: 8 << 20,
            pids: Some(1),
            ..StatsSample::default()
        })
    }

    pub fn volume_create(&mut self, spec: &VolumeCreate) -> Result<(), RuntimeError> {
        match (self.volumes.get(&spec.name), spec.mode) {
            (Some(found), _) if found.driver != spec.driver => Err(RuntimeError::new(
                ErrorKind::Conflict,
                format!("a volume named {} exists with another driver", spec.name),
            )),
            (Some(_), _) => Ok(()),
            (None, VolumeMode::MustExist) => Err(no_such_volume(&spec.name)),
            (None, VolumeMode::Create) => {
                self.volumes.insert(spec.name.clone(), spec.clone());
                Ok(())
            }
        }
    }

    pub fn volume_inspect(&self, name: &str) -> Result<VolumeInfo, RuntimeError> {
        let spec = self.volumes.get(name).ok_or_else(|| no_such_volume(name))?;
        Ok(VolumeInfo {
            name: name.to_owned(),
            driver: spec.driver.clone(),
            mountpoint: format!("/scripted/{name}"),
            labels: spec.labels.clone(),
            options: spec.options.clone(),
        })
    }

    pub fn volume_remove(&mut self, name: &str) -> Result<(), RuntimeError> {
        self.volumes.remove(name).map(drop).ok_or_else(|| no_such_volume(name))
    }

    fn script_of(&self, image: &str) -> Option<Arc<ImageScript>> {
        self.scripts.get(image).or(self.fallback.as_ref()).cloned()
    }

    /// The id that an id or a container's name stands for.
    fn resolve(&self, id: &RuntimeId) -> Option<&RuntimeId> {
        let entry = self.containers.get_key_value(id);
        let entry =
            entry.or_else(|| self.containers.iter().find(|(_, container)| container.name == id.as_str()));
        entry.map(|(id, _)| id)
    }

    fn uses(&self, image: &str) -> bool {
        self.containers.values().any(|container| container.image == image)
    }

    /// Host ports of running containers other than `id` with a network of their own.
    fn taken_ports(&self, id: &RuntimeId) -> Vec<(longshore_base::Port, longshore_base::Protocol)> {
        self.containers
            .iter()
            .filter(|(other, container)| *other != id && container.status == ObservedStatus::Running)
            .filter(|(_, container)| container.network == NetworkMode::Bridge)
            .flat_map(|(_, container)| container.ports.iter().map(|port| (port.host, port.protocol)))
            .collect()
    }

    fn push_due(&mut self, at: Timestamp, due: Due) {
        self.due_count += 1;
        self.due.insert((at, self.due_count), due);
    }

    fn exit_at(&mut self, at: Timestamp, id: &RuntimeId, run: u32, exit_code: i32, out_of_memory: bool) {
        if let Some(container) = self.containers.get_mut(id) {
            container.ends_at = Some(container.ends_at.map_or(at, |earlier| earlier.min(at)));
        }
        self.push_due(at, Due::Exit { id: id.clone(), run, exit_code, out_of_memory });
    }

    /// Ends a container if it runs, and if it is still the run that was meant.
    fn exit(
        &mut self,
        at: Timestamp,
        id: &RuntimeId,
        run: Option<u32>,
        exit_code: i32,
        oom_killed: bool,
    ) -> bool {
        let Some(container) = self.containers.get_mut(id) else { return false };
        if container.status != ObservedStatus::Running || run.is_some_and(|run| run != container.run) {
            return false;
        }
        container.status = ObservedStatus::Exited { exit_code, oom_killed, error: None };
        container.finished_at = Some(at);
        container.ends_at = None;
        self.emit_observed(at, id);
        true
    }

    fn emit_observed(&mut self, at: Timestamp, id: &RuntimeId) {
        let Some(container) = self.containers.get(id) else { return };
        let Some(key) = container.key.clone() else { return };
        let event = RuntimeEvent::Observed { container: key, observation: container.observe(id) };
        let labels = Arc::clone(&container.labels);
        self.emit(at, labels, event);
    }

    fn emit(&mut self, at: Timestamp, labels: Arc<BTreeMap<String, String>>, event: RuntimeEvent) {
        let away = self.away_until.is_some_and(|until| at < until);
        if !away && !self.chance(self.faults.lose_event) {
            self.emitted.push_back(Emitted { at, labels: Some(labels), event });
        }
    }

    fn draw(&mut self, bound: usize) -> u64 {
        self.drawn += 1;
        self.seed.of(self.drawn).below(bound) as u64
    }

    /// Draws only where something can happen, so that a run without faults spends no chance on them.
    fn chance(&mut self, per_thousand: u16) -> bool {
        per_thousand > 0 && self.draw(1000) < u64::from(per_thousand)
    }
}

impl Container {
    fn observe(&self, id: &RuntimeId) -> Observation {
        let running = self.status == ObservedStatus::Running;
        let has_network = running && self.network == NetworkMode::Bridge;
        Observation {
            runtime_id: id.clone(),
            status: self.status.clone(),
            created_at: Some(self.created_at),
            started_at: self.started_at,
            finished_at: self.finished_at,
            pid: running.then_some(self.pid),
            image_id: Some(image_id(&self.image)),
            ports: if self.network == NetworkMode::Bridge { self.ports.clone() } else { Vec::new() },
            networks: has_network
                .then(|| ObservedNetwork {
                    name: "bridge".to_owned(),
                    ipv4: Some(format!("172.17.{}.{}", self.pid / 250 % 250, self.pid % 250 + 2)),
                    ipv6: None,
                    mac: None,
                })
                .into_iter()
                .collect(),
            health: self.health.map(|status| ObservedHealth {
                status,
                exit_code: match status {
                    HealthStatus::Unknown => None,
                    HealthStatus::Healthy => Some(0),
                    HealthStatus::Unhealthy => Some(1),
                },
                output: String::new(),
            }),
            mounts: Vec::new(),
        }
    }
}

fn key(labels: &BTreeMap<String, String>) -> Option<ContainerKey> {
    let task = TaskKey::new(labels.get(LABEL_TASK)?);
    let name = ContainerName::of_agent(labels.get(LABEL_CONTAINER)?).ok()?;
    Some(ContainerKey { task, name })
}

fn local(image: &str, script: &ImageScript) -> LocalImage {
    LocalImage {
        id: image_id(image),
        digest: script.registry.as_ref().ok().cloned(),
        size_bytes: script.size_bytes,
    }
}

/// An id that depends on nothing but the name.
fn image_id(image: &str) -> String {
    let bits =
        image.bytes().fold(Seed::new(0), |seed, byte| Seed::new(u128::from(seed.bits())).of(u64::from(byte)));
    format!("sha256:{:016x}{:048x}", bits.bits(), 0)
}

fn millis(duration: Duration) -> usize {
    usize::try_from(duration.as_millis()).unwrap_or(usize::MAX)
}

fn no_such_container(id: &RuntimeId) -> RuntimeError {
    RuntimeError::new(ErrorKind::NotFound, format!("No such container: {id}"))
}

fn no_such_volume(name: &str) -> RuntimeError {
    RuntimeError::new(ErrorKind::NotFound, format!("no such volume: {name}"))
}

fn manifest_unknown(image: &str) -> RuntimeError {
    RuntimeError::new(ErrorKind::NotFound, format!("manifest for {image} not found: manifest unknown"))
}

//! Independent checks of every change: of records, of rollouts, of containers.
//!
//! Nothing here asks the parts what they think; it reads records and what really runs, and counts again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use longshore_base::{DeploymentId, InstanceId, Port, Protocol, TaskId, Timestamp};
use longshore_domain::{DesiredStatus, InstanceStatus, Needs, TaskStatus};
use longshore_engine::Action;
use longshore_engine::input::ObservedStatus;
use longshore_engine::spec::{ContainerKey, NetworkPlace, RuntimeId};
use longshore_engine::view::KnownStatus;
use longshore_runtime::port::LabelFilter;
use longshore_state::{Changes, Record, Records};
use longshore_survey::Note;
use longshore_tables_ecs::key::TaskKey;
use longshore_tables_ecs::record::{Instance, Service, ServiceEvent, Task, TaskSet};
use longshore_tables_ecs::{InstanceKey, ServiceKey, view};
use longshore_tables_iam::record::Role;

use super::World;
use super::server::Writer;
use super::users::Known;
use crate::images::{Image, RESTART_PERIOD};

/// How many transactions go by between two comparisons of everything.
const COMPARE_EVERY: u64 = 64;

#[derive(Default)]
pub(super) struct Watch {
    pub facts: Vec<Known>,
    /// What users were last shown of a task: version and status.
    pub seen: BTreeMap<TaskId, (u64, TaskStatus)>,
    /// Tasks that were STOPPED at some time, whether they are remembered or not.
    pub ended: BTreeSet<TaskId>,
    /// What containers were made for, by machine and name.
    names: BTreeMap<(usize, String), ContainerKey>,
    /// Instances that were INACTIVE at some time.
    pub retired: BTreeSet<InstanceId>,
    /// Tasks of images that do not run until they are stopped.
    pub restless: BTreeSet<TaskId>,
    /// Tasks whose container may be started again by its restart policy.
    phoenixes: BTreeSet<TaskId>,
    needs: BTreeMap<TaskId, Needs>,
    /// Host ports that a container was made with.
    ports: BTreeMap<(usize, ContainerKey), Vec<(Port, Protocol)>>,
    /// The address that a container, which holds its task's network, was made with.
    pub addresses: BTreeMap<(usize, ContainerKey), Ipv4Addr>,
    /// Starts of a container by name, and when the last was seen.
    runs: BTreeMap<(usize, String), (u32, Timestamp)>,
    /// Starts for a key, whatever its containers are called.
    totals: BTreeMap<(usize, ContainerKey), u32>,
    /// Tasks of a deployment that ended in a way that counts as a failure.
    pub failures: BTreeMap<DeploymentId, BTreeSet<TaskId>>,
    /// Attempts of a deployment that placement refused; the last one, by its number in a row and its time.
    pub refusals: BTreeMap<DeploymentId, (u32, Option<(u32, Timestamp)>)>,
    /// Starts seen so far, by machine.
    starts: BTreeMap<usize, u64>,
}

impl World {
    /// Checks and remembers the changes of a transaction.
    pub(super) fn watch_changes(&mut self, writer: &Writer, changes: &Changes) {
        let Some(running) = &mut self.server.up else { return };
        let mut before = Records::new();
        old::<Instance>(&running.records, changes, &mut before);
        old::<Task>(&running.records, changes, &mut before);
        old::<Service>(&running.records, changes, &mut before);
        running.records.apply(changes);
        if changes.touches::<Role>() {
            self.watch_roles();
        }
        for (key, after) in changes.of::<Instance>() {
            self.watch_instance(writer, key, before.get::<Instance>(key), after);
        }
        for (key, after) in changes.of::<Task>() {
            self.watch_task(writer, key, before.get::<Task>(key), after);
        }
        for (key, after) in changes.of::<Service>() {
            self.watch_service(writer, key, before.get::<Service>(key), after);
        }
        for (key, event) in changes.of::<ServiceEvent>().filter_map(|(key, event)| Some((key, event?))) {
            self.note(|| format!("event of {}: {}", key.service.service, event.message));
        }
        if let Writer::Controller(service) = writer {
            self.watch_rollout(service, changes, &before);
        }
        self.watch_capacity(changes);
        if changes.touches::<Task>() || changes.touches::<Instance>() || changes.touches::<Service>() {
            self.survey(false);
            // What a call has settled is not known yet.
            if !matches!(writer, Writer::Api) {
                self.check_wishes("after a transaction");
            }
        }
        if self.tally.transactions.is_multiple_of(COMPARE_EVERY) {
            self.compare_everything();
        }
    }

    fn watch_task(
        &mut self,
        writer: &Writer,
        key: &TaskKey,
        before: Option<&Arc<Task>>,
        after: Option<&Arc<Task>>,
    ) {
        let (at, id, before) = (&key.cluster, key.task, before.map(|task| &**task));
        let Some(task) = after else {
            if let Some(task) = before.filter(|task| !task.last_status.is_stopped()) {
                let text = format!("{writer:?} forgets task {id}, which is {}", task.last_status);
                self.fail("forgotten", text);
            }
            return;
        };
        if before.is_none() {
            self.tally.tasks += 1;
            self.watch.needs.insert(id, task.origin.needs.clone());
            let image = Image::of_family(task.origin.family.as_str());
            if !image.is_some_and(Image::is_good) {
                self.watch.restless.insert(id);
            }
            if image.is_some_and(Image::may_restart) {
                self.watch.phoenixes.insert(id);
            }
        }
        self.note(|| {
            format!(
                "{writer:?}: task {id} {} -> {} on {:?} {:?} {:?}",
                task.last_status,
                task.desired_status,
                task.instance.map(|id| id.to_string()),
                task.stop_code,
                task.stopped_reason
            )
        });
        if task.last_status.is_stopped() {
            self.watch.ended.insert(id);
            self.note_failure(task);
        }
        self.watch_place(at, before, task);
        self.watch_role_of(task);
        self.watch_started(before, task);
        if let (Some(before), Some(running)) = (before, &self.server.up) {
            let view = |task: &Task| view::task(task, &running.records, &at.scope);
            let notes = longshore_survey::step::task(&view(before), &view(task));
            self.fail_noted(writer, &notes);
        }
    }

    fn watch_service(
        &mut self,
        writer: &Writer,
        key: &ServiceKey,
        before: Option<&Arc<Service>>,
        after: Option<&Arc<Service>>,
    ) {
        let Some(service) = after else { return };
        self.note(|| {
            let deployments: Vec<String> = service
                .deployments
                .iter()
                .map(|own| {
                    format!(
                        "{}{} {:?} {} failed {}",
                        if own.primary { "*" } else { "" },
                        own.id,
                        own.task_definition,
                        own.rollout_state,
                        own.failed_tasks
                    )
                })
                .collect();
            format!(
                "{writer:?}: service {} {} wants {}: {}",
                key.service,
                service.status,
                service.desired_count,
                deployments.join(", ")
            )
        });
        self.check_failures(service);
        if let (Some(before), Some(running)) = (before, &self.server.up) {
            let view = |service| view::service(service, &running.records, &key.cluster);
            let notes = longshore_survey::step::service(&view(before), &view(service));
            self.fail_noted(writer, &notes);
        }
    }

    fn watch_instance(
        &mut self,
        writer: &Writer,
        key: &InstanceKey,
        before: Option<&Arc<Instance>>,
        after: Option<&Arc<Instance>>,
    ) {
        let Some(instance) = after else { return };
        self.note(|| format!("{writer:?}: instance {} {}", key.instance, instance.status));
        if instance.status == InstanceStatus::Inactive {
            self.watch.retired.insert(key.instance);
        }
        if let Some(before) = before {
            let notes = longshore_survey::step::instance(&view::instance(before), &view::instance(instance));
            self.fail_noted(writer, &notes);
        }
    }

    fn fail_noted(&mut self, writer: &Writer, notes: &[Note]) {
        if let Some(note) = notes.first() {
            self.fail("survey", format!("{writer:?}: {note}"));
        }
    }

    /// A task counts as one that ran only if each of its essential containers did (decision 29).
    fn watch_started(&mut self, known: Option<&Task>, task: &Task) {
        if task.started_at.is_none() || known.is_none_or(|known| known.started_at.is_some()) {
            return;
        }
        let idle = task.containers.iter().filter(|own| Image::is_essential(own.name.as_str())).find(|own| {
            let is_it = |key: &ContainerKey| task_of(key) == Some(task.id) && key.name == own.name;
            !self.watch.totals.iter().any(|((_, key), &starts)| starts > 0 && is_it(key))
        });
        if let Some(idle) = idle {
            let text = format!("task {} has startedAt, and its container {} never ran", task.id, idle.name);
            self.fail("started", text);
        }
    }

    /// Surveys what lives; with `all`, everything that is remembered.
    fn survey(&mut self, all: bool) {
        let Some(running) = &self.server.up else { return };
        let snapshot = view::snapshot(&running.records, all);
        let notes = longshore_survey::survey(&snapshot);
        if let Some(note) = notes.first() {
            self.fail("survey", format!("{note} ({} notes)", notes.len()));
        }
    }

    pub(super) fn check_everything(&mut self) {
        self.survey(true);
        self.compare_everything();
        self.check_wishes("at the end");
        self.check_bindings();
        self.check_set_tokens();
    }

    /// At rest, no two running containers of an instance show the same host port.
    fn check_bindings(&mut self) {
        let Some(running) = &self.server.up else { return };
        let mut taken: BTreeMap<(InstanceId, Port, Protocol), TaskId> = BTreeMap::new();
        let mut twice = None;
        for (_, task) in running.records.of::<Task>() {
            let Some(instance) = task.instance.filter(|_| task.last_status == TaskStatus::Running) else {
                continue;
            };
            for binding in task.containers.iter().flat_map(|own| &own.bindings) {
                let Some(port) = binding.host_port else { continue };
                let other = taken.insert((instance, port, binding.protocol), task.id);
                if let Some(other) = other.filter(|&other| other != task.id) {
                    twice = Some(format!("tasks {other} and {} both show host port {port:?}", task.id));
                }
            }
        }
        if let Some(text) = twice {
            self.fail("ports", text);
        }
    }

    /// However often CreateTaskSet is repeated, one clientToken makes one set.
    fn check_set_tokens(&mut self) {
        let Some(running) = &self.server.up else { return };
        let mut seen = BTreeSet::new();
        let tokens = running.records.of::<TaskSet>().filter_map(|(_, set)| set.client_token.clone());
        let twice = { tokens }.find(|token| !seen.insert(token.clone()));
        if let Some(token) = twice {
            self.fail("model", format!("{token} made two task sets"));
        }
    }

    /// Compares indexes with records, and records with what was written.
    fn compare_everything(&mut self) {
        let Some(running) = &self.server.up else { return };
        let notes = running.state.check();
        if let Some(note) = notes.first() {
            return self.fail("indexes", format!("{note} ({} notes)", notes.len()));
        }
        let differences = running.records.differences(&running.state.records());
        self.fail_different("atomicity", "in memory", differences);
        self.compare_follower();
    }

    /// Complains of records that are not what they should be.
    pub(super) fn fail_different(&mut self, rule: &'static str, when: &str, mut differences: Vec<String>) {
        if !differences.is_empty() {
            differences.truncate(3);
            self.fail(rule, format!("{when}: {}", differences.join("; ")));
        }
    }

    /// The record of a task as the control plane has it, or had it before it crashed.
    pub(super) fn task_record(&self, id: TaskId) -> Option<&Task> {
        let records = self.server.up.as_ref().map_or(&self.server.stored, |running| &running.records);
        self.clusters.iter().find_map(|at| records.get::<Task>(&at.task(id))).map(|task| &**task)
    }

    /// Before a machine's container engine is asked for something.
    pub(super) fn watch_action(&mut self, index: usize, action: &Action) {
        match action {
            Action::CreateContainer { container, spec, .. } => {
                self.watch.names.insert((index, spec.name.clone()), container.clone());
                self.watch_environment(index, container, spec);
                let id = task_of(container);
                let stored =
                    id.is_some_and(|id| self.is_at_home(index, id) || self.watch.ended.contains(&id));
                if let NetworkPlace::Own { interface, .. } = &spec.network {
                    self.watch.addresses.insert((index, container.clone()), interface.address);
                }
                let ports = spec.ports.iter().map(|port| (port.host, port.protocol)).collect();
                self.watch.ports.insert((index, container.clone()), ports);
                if !stored {
                    self.fail(
                        "durability",
                        format!("m{index} makes {container:?}, and its task is not durable"),
                    );
                }
            }
            Action::StartContainer { container, .. } => self.watch_start(index, container),
            Action::StopContainer { container, runtime_id, .. }
            | Action::RemoveContainer { container, runtime_id, .. } => {
                self.watch_end(index, container, runtime_id);
            }
            Action::Persist(_)
            | Action::AckReady(_)
            | Action::Report(_)
            | Action::ResolveSecrets { .. }
            | Action::InspectImage { .. }
            | Action::ResolveManifest { .. }
            | Action::Pull { .. }
            | Action::PrepareNetwork { .. }
            | Action::CreateCgroup { .. }
            | Action::RemoveCgroup { .. }
            | Action::CreateVolume { .. }
            | Action::RemoveVolume { .. }
            | Action::InspectContainer { .. }
            | Action::ListImages { .. }
            | Action::RemoveImage { .. }
            | Action::TaskForgotten(_) => {}
        }
    }

    /// A running container may only be stopped because somebody wants that, or because a container of its
    /// task failed; never because some part was restarted.
    fn watch_end(&mut self, index: usize, container: &ContainerKey, runtime_id: &RuntimeId) {
        let machine = &self.machines[index];
        let status = machine.docker.world.inspect(runtime_id).map(|observed| observed.status);
        if !matches!(status, Ok(ObservedStatus::Running)) {
            return;
        }
        let Some(id) = task_of(container) else {
            return self.fail("containers", format!("{container:?} is of no task"));
        };
        if machine.orphans.contains(&id) {
            let text = format!("m{index} ends {container:?}, of which it cannot know any more");
            return self.fail("containers", text);
        }
        let wanted = self.task_record(id).is_some_and(|task| {
            task.desired_status == DesiredStatus::Running && !task.last_status.is_stopped()
        });
        let view = machine.agent.as_ref().and_then(|agent| agent.core.engine().task_view(&container.task));
        let failed = view.is_some_and(|task| {
            !task.reason().is_empty()
                || task
                    .containers()
                    .any(|own| own.status() == KnownStatus::Stopped || !own.reason().is_empty())
        });
        if wanted && !failed {
            self.fail(
                "containers",
                format!("m{index} ends the running container {container:?}, and nobody wants that"),
            );
        }
    }

    /// After a machine's container engine has moved on.
    pub(super) fn watch_engine(&mut self, index: usize) {
        let world = &self.machines[index].docker.world;
        let starts: u64 = world.all_starts().values().map(|&count| u64::from(count)).sum();
        let seen = self.watch.starts.entry(index).or_default();
        if *seen == starts {
            return;
        }
        self.tally.containers_started += starts - *seen;
        *seen = starts;
        let now = self.now;
        let mut wrong = None;
        for (name, &count) in world.all_starts() {
            let Some(key) = self.watch.names.get(&(index, name.clone())) else {
                wrong = Some(("containers", format!("m{index} has started {name}, which nobody made")));
                break;
            };
            let seen = self.watch.runs.entry((index, name.clone())).or_default();
            if seen.0 == count {
                continue;
            }
            let before = std::mem::replace(seen, (count, now));
            // The second container of a key counts, too.
            let total = self.watch.totals.entry((index, key.clone())).or_default();
            *total += count - before.0;
            let may_restart = task_of(key).is_some_and(|id| self.watch.phoenixes.contains(&id));
            let rested = before.0 == 0 || now.since(before.1) >= RESTART_PERIOD;
            if *total > 1 && !(may_restart && rested && count == before.0 + 1 && *total == count) {
                wrong = Some(("at most once", format!("m{index} has started {key:?} {total} times")));
                break;
            }
        }
        if let Some((rule, text)) = wrong {
            return self.fail(rule, text);
        }
        self.watch_host(index);
    }

    /// Every task that the agents of a machine have made containers for.
    pub(super) fn tasks_made_on(&self, index: usize) -> BTreeSet<TaskId> {
        let own = self.watch.names.iter().filter(|((machine, _), _)| *machine == index);
        own.filter_map(|(_, key)| task_of(key)).collect()
    }

    /// No container is started on a host port or at an address that another one has, or of a task that is not known
    /// here any more.
    fn watch_start(&mut self, index: usize, container: &ContainerKey) {
        let machine = &self.machines[index];
        let orphan = |key: &ContainerKey| task_of(key).is_some_and(|id| machine.orphans.contains(&id));
        if orphan(container) {
            let text = format!("m{index} starts {container:?}, of which it cannot know any more");
            return self.fail("containers", text);
        }
        let Some(wanted) = self.watch.ports.get(&(index, container.clone())) else { return };
        let address = self.watch.addresses.get(&(index, container.clone()));
        if wanted.is_empty() && address.is_none() {
            return;
        }
        for found in machine.docker.world.list(&LabelFilter::default()) {
            let other = &found.container;
            if other == container || orphan(other) || found.observation.status != ObservedStatus::Running {
                continue;
            }
            let taken = self.watch.ports.get(&(index, other.clone()));
            let taken = taken.and_then(|taken| taken.iter().find(|port| wanted.contains(port)));
            if let Some((port, protocol)) = taken {
                let text =
                    format!("m{index} starts {container:?} on {port:?}/{protocol:?}, which {other:?} has");
                return self.fail("ports", text);
            }
            let same = address.filter(|_| self.watch.addresses.get(&(index, other.clone())) == address);
            if let Some(address) = same {
                let text = format!("m{index} starts {container:?} at {address}, which {other:?} has");
                return self.fail("addresses", text);
            }
        }
    }

    /// What really runs fits the machine.
    fn watch_host(&mut self, index: usize) {
        let machine = &self.machines[index];
        let mut tasks: BTreeSet<TaskId> = BTreeSet::new();
        for found in machine.docker.world.list(&LabelFilter::default()) {
            if let (ObservedStatus::Running, Some(id)) = (found.observation.status, task_of(&found.container))
            {
                tasks.insert(id);
            }
        }
        // Nobody can reckon with what nobody knows.
        tasks.retain(|id| !machine.orphans.contains(id));
        let total = |of: fn(&Needs) -> u32| {
            tasks.iter().filter_map(|id| self.watch.needs.get(id)).map(of).sum::<u32>()
        };
        let (cpu, memory) = (total(|needs| needs.cpu.0), total(|needs| needs.memory.0));
        let setup = machine.setup;
        if cpu > setup.cpu || memory > setup.memory {
            let text = format!(
                "m{index} runs {} tasks with CPU {cpu} of {} and memory {memory} of {}",
                tasks.len(),
                setup.cpu,
                setup.memory
            );
            self.fail("host capacity", text);
        }
    }
}

pub(super) fn task_of(container: &ContainerKey) -> Option<TaskId> {
    TaskId::parse(container.task.arn().rsplit('/').next()?).ok()
}

/// What the records of a kind were that a transaction changed.
fn old<R: Record>(records: &Records, changes: &Changes, old: &mut Records) {
    for (key, _) in changes.of::<R>() {
        if let Some(record) = records.get::<R>(key) {
            old.insert::<R>(key.clone(), record.clone());
        }
    }
}

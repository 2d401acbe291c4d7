//! One scripted instance: which tasks it was told to run, and what it reports about them, without I/O.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use longshore_base::{Seed, Timestamp};
use longshore_link::message::{DesiredStatus, TaskIdentity, TaskManifest};
use longshore_shapes_ecs::{ContainerStateChange, NetworkBinding, SubmitTaskStateChangeRequest};
use serde_json::Value;

use crate::payload::{Assigned, AssignedPort};

/// How tasks behave on every instance of a crowd.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// From the payload to RUNNING: the pull and the start of the containers.
    pub start_delay: Duration,
    /// From the order to stop to STOPPED.
    pub stop_delay: Duration,
    /// After this, tasks end by themselves with exit code 0.
    pub run_for: Option<Duration>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            start_delay: Duration::from_millis(200),
            stop_delay: Duration::from_millis(100),
            run_for: None,
        }
    }
}

/// What a task's state is reported with (agent-protocol G8).
pub type Report = SubmitTaskStateChangeRequest;

/// A port of a container that was bound. Of these there are as many as tasks, so it is smaller than its shape.
#[derive(Clone, Debug)]
struct Binding {
    container_port: u16,
    host_port: u16,
    protocol: Arc<str>,
}

impl Binding {
    fn shape(&self) -> NetworkBinding {
        NetworkBinding {
            bind_ip: Some("0.0.0.0".to_owned()),
            container_port: Some(self.container_port.into()),
            host_port: Some(self.host_port.into()),
            protocol: Some((&*self.protocol).into()),
            ..NetworkBinding::default()
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Starting,
    Running,
    /// `signalled`: told to stop, so it ends by SIGTERM; otherwise it ends by itself with exit code 0.
    Ending {
        signalled: bool,
    },
}

#[derive(Debug)]
struct Task {
    status: Status,
    /// When its status changes next; `None`: never by itself.
    due: Option<Timestamp>,
    /// It has been RUNNING.
    started: bool,
    containers: Box<[Container]>,
}

#[derive(Debug)]
struct Container {
    name: Arc<str>,
    bindings: Vec<Binding>,
}

/// Dynamic host ports are taken from here in turn: the default range of the official agent (agent-protocol G11).
const DYNAMIC_PORTS: std::ops::RangeInclusive<u16> = 32_768..=60_999;

/// The exit code of a process that SIGTERM ended: 128 and the number of the signal.
const EXIT_TERMINATED: i32 = 143;

/// The tasks of one instance by their ARNs, and what is still to be reported of them.
#[derive(Debug)]
pub struct Instance {
    script: Script,
    cluster: Arc<str>,
    seed: Seed,
    tasks: BTreeMap<Arc<str>, Task>,
    /// The same tasks by the time of [`Task::due`].
    due: BTreeSet<(Timestamp, Arc<str>)>,
    /// Reports that [`Instance::poll`] has not given yet, oldest first.
    outbox: VecDeque<Report>,
    next_port: u16,
    next_container: u64,
}

impl Instance {
    pub fn new(cluster: Arc<str>, script: Script, seed: Seed) -> Self {
        Self {
            script,
            cluster,
            seed,
            tasks: BTreeMap::new(),
            due: BTreeSet::new(),
            outbox: VecDeque::new(),
            next_port: *DYNAMIC_PORTS.start(),
            next_container: 0,
        }
    }

    /// How many tasks are here and have not ended.
    pub fn task_count(&self) -> usize {
        self.tasks.len()
    }

    /// Starts or stops one task of a payload, as its desired status asks. `false` if it could not be read; the payload
    /// must not be acknowledged then.
    pub fn assign(&mut self, now: Timestamp, task: Value) -> bool {
        let Ok(assigned) = serde_json::from_value::<Assigned>(task) else {
            return false;
        };
        match assigned.desired_status {
            DesiredStatus::Running if !self.tasks.contains_key(&assigned.arn) => self.start(now, assigned),
            // A repetition: the server sends all tasks of an instance after each connect.
            DesiredStatus::Running => {}
            DesiredStatus::Stopped if self.tasks.contains_key(&assigned.arn) => {
                self.stop(now, &assigned.arn);
            }
            // A task that is not here has ended; a server that wants it stopped has missed the report.
            DesiredStatus::Stopped => {
                let report = self.report_of(&assigned.arn, "STOPPED", Vec::new());
                self.outbox.push_back(report);
            }
        }
        true
    }

    /// Tasks that run here although the manifest does not list them (agent-protocol G7).
    pub fn unlisted(&self, manifest: &TaskManifest) -> Vec<TaskIdentity> {
        let listed: BTreeSet<&str> = manifest.tasks.iter().map(|task| task.task_arn.as_str()).collect();
        let unlisted = self.tasks.keys().filter(|arn| !listed.contains(arn.as_ref()));
        unlisted
            .map(|arn| TaskIdentity {
                task_arn: arn.to_string(),
                task_cluster_arn: manifest.cluster_arn.clone(),
                desired_status: DesiredStatus::Stopped,
            })
            .collect()
    }

    /// Lets a task end after the script's stop delay. A task that is not here, or is being stopped already, is left
    /// alone.
    pub fn stop(&mut self, now: Timestamp, arn: &str) {
        let Some((arn, task)) = self.tasks.get_key_value(arn) else { return };
        if task.status == (Status::Ending { signalled: true }) {
            return;
        }
        let arn = arn.clone();
        self.set(&arn, Status::Ending { signalled: true }, Some(now + self.script.stop_delay));
    }

    /// Lets everything happen that is due, then gives the next report.
    pub fn poll(&mut self, now: Timestamp) -> Option<Report> {
        while let Some((at, arn)) = self.due.first().cloned()
            && at <= now
        {
            self.step(now, &arn);
        }
        self.outbox.pop_front()
    }

    /// When [`Instance::poll`] has something to do next; `None` if never by itself.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    fn start(&mut self, now: Timestamp, assigned: Assigned) {
        let containers = assigned.containers.into_iter().map(|container| Container {
            name: container.name,
            bindings: container.port_mappings.iter().filter_map(|port| self.bind(port)).collect(),
        });
        let containers = containers.collect();
        let due = now + self.script.start_delay;
        let task = Task { status: Status::Starting, due: Some(due), started: false, containers };
        self.due.insert((due, assigned.arn.clone()));
        self.tasks.insert(assigned.arn, task);
    }

    fn bind(&mut self, port: &AssignedPort) -> Option<Binding> {
        let container_port = port.container_port?;
        let host_port = port.host_port.filter(|port| *port != 0).unwrap_or_else(|| {
            let drawn = self.next_port;
            self.next_port = if drawn == *DYNAMIC_PORTS.end() { *DYNAMIC_PORTS.start() } else { drawn + 1 };
            drawn
        });
        let protocol = port.protocol.clone().unwrap_or_else(|| "tcp".into());
        Some(Binding { container_port, host_port, protocol })
    }

    /// Takes a task whose time has come to its next status.
    fn step(&mut self, now: Timestamp, arn: &Arc<str>) {
        let Some(task) = self.tasks.get(arn) else { return };
        match task.status {
            Status::Starting => {
                self.report(arn, "RUNNING", None);
                let end = self.script.run_for.map(|run_for| now + run_for);
                self.set(arn, Status::Running, end);
            }
            Status::Running => self.set(arn, Status::Ending { signalled: false }, Some(now)),
            Status::Ending { signalled } => {
                self.report(arn, "STOPPED", Some(if signalled { EXIT_TERMINATED } else { 0 }));
                self.remove(arn);
            }
        }
    }

    /// Changes status and due time together, so that both orders of the tasks agree.
    fn set(&mut self, arn: &Arc<str>, status: Status, due: Option<Timestamp>) {
        let Some(task) = self.tasks.get_mut(arn) else { return };
        if let Some(old) = task.due {
            self.due.remove(&(old, arn.clone()));
        }
        task.status = status;
        task.due = due;
        task.started |= status == Status::Running;
        if let Some(due) = due {
            self.due.insert((due, arn.clone()));
        }
    }

    fn remove(&mut self, arn: &Arc<str>) {
        if let Some(Task { due: Some(due), .. }) = self.tasks.remove(arn) {
            self.due.remove(&(due, arn.clone()));
        }
    }

    fn report(&mut self, arn: &Arc<str>, status: &'static str, exit_code: Option<i32>) {
        let Some(task) = self.tasks.get(arn) else { return };
        let is_running = status == "RUNNING";
        let mut drawn = self.next_container;
        let containers = task.containers.iter().map(|container| {
            drawn += 1;
            let bindings: Vec<NetworkBinding> = container.bindings.iter().map(Binding::shape).collect();
            ContainerStateChange {
                container_name: Some(container.name.to_string()),
                status: Some(status.to_owned()),
                runtime_id: is_running.then(|| runtime_id(self.seed.of(drawn))),
                // A container that was never started has no exit code of its own.
                exit_code: exit_code.filter(|_| task.started),
                network_bindings: Some(bindings).filter(|bindings| is_running && !bindings.is_empty()),
                ..ContainerStateChange::default()
            }
        });
        let containers = containers.collect();
        self.next_container = drawn;
        let report = self.report_of(arn, status, containers);
        self.outbox.push_back(report);
    }

    fn report_of(&self, task: &str, status: &str, containers: Vec<ContainerStateChange>) -> Report {
        Report {
            cluster: Some(self.cluster.to_string()),
            task: Some(task.to_owned()),
            status: Some(status.to_owned()),
            reason: Some(String::new()),
            containers: Some(containers),
            ..Report::default()
        }
    }
}

/// 64 hex digits, as container engines name containers.
fn runtime_id(seed: Seed) -> String {
    (0..4).map(|part| format!("{:016x}", seed.of(part).bits())).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const T0: Timestamp = Timestamp::from_millis(1_000_000);

    fn instance(run_for: Option<Duration>) -> Instance {
        Instance::new("c".into(), Script { run_for, ..Script::default() }, Seed::new(1))
    }

    fn payload(arn: &str, desired: &str) -> Value {
        json!({"arn": arn, "desiredStatus": desired, "containers":
            [{"name": "main", "portMappings": [{"containerPort": 80, "hostPort": 0, "protocol": "tcp"}]}]})
    }

    fn all(instance: &mut Instance, now: Timestamp) -> Vec<(String, &'static str, Option<i32>)> {
        let status = |report: &Report| match report.status.as_deref() {
            Some("RUNNING") => "RUNNING",
            Some("STOPPED") => "STOPPED",
            other => panic!("{other:?}"),
        };
        std::iter::from_fn(|| instance.poll(now))
            .map(|report| {
                let status = status(&report);
                let exit_code = report.containers.iter().flatten().next().and_then(|first| first.exit_code);
                (report.task.expect("it is about a task"), status, exit_code)
            })
            .collect()
    }

    #[test]
    fn a_task_runs_after_its_delay_and_stops_when_told() {
        let mut instance = instance(None);
        assert!(instance.assign(T0, payload("t", "RUNNING")));
        assert_eq!(all(&mut instance, T0), []);
        let at = instance.deadline().expect("a start is due");
        assert_eq!(at, T0 + Duration::from_millis(200));
        assert_eq!(all(&mut instance, at), [("t".to_owned(), "RUNNING", None)]);
        assert_eq!(instance.deadline(), None);
        assert!(instance.assign(at, payload("t", "RUNNING")), "a repetition changes nothing");
        assert!(instance.assign(at, payload("t", "STOPPED")));
        let at = instance.deadline().expect("a stop is due");
        assert_eq!(all(&mut instance, at), [("t".to_owned(), "STOPPED", Some(143))]);
        assert_eq!(instance.task_count(), 0);
        assert!(instance.assign(at, payload("t", "STOPPED")));
        assert_eq!(all(&mut instance, at), [("t".to_owned(), "STOPPED", None)], "the server asked again");
    }

    #[test]
    fn a_task_may_end_by_itself() {
        let mut instance = instance(Some(Duration::from_secs(5)));
        instance.assign(T0, payload("t", "RUNNING"));
        let later = T0 + Duration::from_secs(1);
        assert_eq!(all(&mut instance, later).len(), 1);
        assert_eq!(
            all(&mut instance, later + Duration::from_secs(5)),
            [("t".to_owned(), "STOPPED", Some(0))]
        );
    }

    #[test]
    fn tasks_that_a_manifest_does_not_list_are_found() {
        let mut instance = instance(None);
        instance.assign(T0, payload("a", "RUNNING"));
        instance.assign(T0, payload("b", "RUNNING"));
        let manifest = TaskManifest {
            message_id: "m".into(),
            cluster_arn: "c".into(),
            container_instance_arn: "i".into(),
            generated_at: 0,
            timeline: 1,
            tasks: vec![TaskIdentity {
                task_arn: "a".into(),
                task_cluster_arn: String::new(),
                desired_status: DesiredStatus::Running,
            }],
        };
        let unlisted = instance.unlisted(&manifest);
        assert_eq!(unlisted.len(), 1);
        assert_eq!(unlisted[0].task_arn, "b");
    }

    #[test]
    fn what_cannot_be_read_is_not_taken() {
        assert!(!instance(None).assign(T0, json!({"arn": 5})));
    }

    proptest! {
        /// Whatever is told in whatever order: reports of a task only move forward, and the times agree.
        #[test]
        fn reports_only_move_forward(steps in prop::collection::vec((0..4_u8, any::<bool>(), 0..400_u64), 1..60)) {
            let mut instance = instance(Some(Duration::from_millis(300)));
            let mut now = T0;
            let mut seen: BTreeMap<String, &str> = BTreeMap::new();
            for (task, run, wait) in steps {
                let arn = format!("t{task}");
                // A control plane never asks a stopped task to run.
                if !run || seen.get(&arn) != Some(&"STOPPED") {
                    instance.assign(now, payload(&arn, if run { "RUNNING" } else { "STOPPED" }));
                }
                now = now + Duration::from_millis(wait);
                for (arn, status, _) in all(&mut instance, now) {
                    let before = seen.insert(arn, status);
                    prop_assert!(before != Some("STOPPED") || status == "STOPPED");
                    prop_assert!(before != Some("RUNNING") || status == "STOPPED");
                }
                prop_assert!(instance.deadline().is_none_or(|at| at > now));
                let with_due = instance.tasks.values().filter(|task| task.due.is_some()).count();
                prop_assert_eq!(with_due, instance.due.len());
            }
        }
    }
}

//! Carries out the steps of a script.

use std::time::Duration;

use longshore_base::{ServiceName, TaskId};
use longshore_domain::DesiredStatus;
use longshore_engine::input::ObservedStatus;
use longshore_engine::spec::RuntimeId;
use longshore_runtime::port::LabelFilter;
use longshore_runtime::scripted::Faults;
use longshore_runtime::{ErrorKind, RuntimeError};
use longshore_state::Key;
use serde_json::json;

use super::{Event, World};
use crate::images::Image;
use crate::scenario::Step;

impl World {
    /// A machine that is there, by a number of the script; `None` if there is none.
    fn machine(&self, number: u8) -> Option<usize> {
        let alive: Vec<usize> =
            (0..self.machines.len()).filter(|&index| self.machines[index].alive).collect();
        (!alive.is_empty()).then(|| alive[usize::from(number) % alive.len()])
    }

    pub(super) fn step(&mut self, index: usize) {
        let Timed { step, number } = {
            let timed = &self.steps[index];
            Timed { step: timed.step, number: timed.number }
        };
        self.note(|| format!("STEP {number}: {step:?}"));
        match step {
            Step::CreateService {
                service,
                image,
                ports,
                desired,
                percent: (min, max),
                breaker,
                daemon,
                spread,
            } => {
                self.create_service(service, image, ports, desired, (min, max), breaker, daemon, spread);
            }
            Step::Scale { service, desired } => {
                self.ask("UpdateService", json!({"service": service_name(service), "desiredCount": desired}));
            }
            Step::Roll { service, image } => {
                let request =
                    json!({"service": service_name(service), "taskDefinition": image.family(false)});
                self.ask("UpdateService", image.request(request));
            }
            Step::ForceDeployment { service } => {
                self.ask(
                    "UpdateService",
                    json!({"service": service_name(service), "forceNewDeployment": true}),
                );
            }
            Step::DeleteService { service, force } => {
                self.ask("DeleteService", json!({"service": service_name(service), "force": force}));
            }
            Step::RunTask { image, count, ports } => {
                let token = self.token();
                let request = json!({
                    "taskDefinition": image.family(ports), "count": count, "startedBy": token, "clientToken": token,
                });
                self.ask("RunTask", image.request(request));
            }
            Step::StopTask { pick } => {
                if let Some(task) = self.some_task(pick) {
                    self.ask("StopTask", json!({"task": task.to_string(), "reason": "a user wants it"}));
                }
            }
            Step::StartTask { machine, image } => {
                if let Some(arn) = self.machine(machine).and_then(|index| self.instance_arn(index)) {
                    let request = json!({"taskDefinition": image.family(false), "containerInstances": [arn]});
                    self.ask("StartTask", image.request(request));
                }
            }
            Step::Protect { pick, on } => {
                if let Some(task) = self.some_task(pick) {
                    let mut request = json!({"tasks": [task.to_string()], "protectionEnabled": on});
                    if on {
                        request["expiresInMinutes"] = json!(1);
                    }
                    self.ask("UpdateTaskProtection", request);
                }
            }
            Step::StopDeployment { service } => {
                if let Some(arn) = self.newest_deployment(service) {
                    self.ask(
                        "StopServiceDeployment",
                        json!({"serviceDeploymentArn": arn, "stopType": "ROLLBACK"}),
                    );
                }
            }
            Step::Register { image } => self.ask("RegisterTaskDefinition", image.definition(false)),
            Step::Describe { pick } => {
                let tasks: Vec<String> =
                    (0..10).filter_map(|more| self.some_task(pick + more)).map(|id| id.to_string()).collect();
                if !tasks.is_empty() {
                    self.ask("DescribeTasks", json!({"tasks": tasks}));
                }
            }
            Step::Drain { machine } => self.set_instance(machine, "DRAINING"),
            Step::Activate { machine } => self.set_instance(machine, "ACTIVE"),
            Step::Deregister { machine, force } => {
                if let Some(arn) = self.machine(machine).and_then(|index| self.instance_arn(index)) {
                    self.ask(
                        "DeregisterContainerInstance",
                        json!({"containerInstance": arn, "force": force}),
                    );
                }
            }
            Step::BadRequest { kind } => self.bad_request(kind),
            Step::ServerCrash { down_millis } => self.server_crash(millis(down_millis)),
            Step::AgentCrash { machine, down_millis } => {
                if let Some(index) = self.machine(machine) {
                    self.agent_crash(index, millis(down_millis));
                }
            }
            Step::AgentStop { machine, down_millis } => {
                if let Some(index) = self.machine(machine) {
                    self.agent_stop(index, millis(down_millis));
                }
            }
            Step::Partition { machine, millis: duration, breaks } => {
                if let Some(index) = self.machine(machine) {
                    self.cut(index, millis(duration), breaks);
                }
            }
            Step::Disconnect { machine } => {
                if let Some(index) = self.machine(machine) {
                    self.disconnect(index);
                }
            }
            Step::Vanish { machine } => {
                if let Some(index) = self.machine(machine) {
                    self.vanish(index);
                }
            }
            Step::Join { machine } => {
                let setups = &self.setup.machines;
                let setup = setups[usize::from(machine) % setups.len()];
                self.add_machine(setup);
            }
            Step::ContainerDies { pick, exit_code } => self.container_dies(pick, exit_code),
            Step::PullsSlow { machine, millis: duration } => {
                self.trouble(machine, duration, |script| script.pull_time = Duration::from_secs(25));
            }
            Step::PullsFail { machine, millis: duration } => {
                let error = RuntimeError::new(ErrorKind::Unavailable, "the registry cannot be reached");
                self.trouble(machine, duration, move |script| script.registry = Err(error.clone()));
            }
            Step::StartsFail { machine, millis: duration } => {
                let error = RuntimeError::new(ErrorKind::Other, "the scripted engine cannot start this");
                self.trouble(machine, duration, move |script| script.start_failure = Some(error.clone()));
            }
            Step::IgnoreTerm { machine, millis: duration } => {
                self.trouble(machine, duration, |script| script.ignores_term = true);
            }
            Step::EngineAway { machine, millis: duration, reboot } => {
                if let Some(index) = self.machine(machine) {
                    let until = self.now + millis(duration);
                    let machine = &mut self.machines[index];
                    machine.engine_away_until = machine.engine_away_until.max(Some(until));
                    machine.docker.world.interrupt(self.now, until.since(self.now), reboot);
                }
            }
            Step::EngineFlaky { machine, millis: duration } => {
                if let Some(index) = self.machine(machine) {
                    let faults = Faults {
                        slow: 100,
                        slowness: Duration::from_secs(3),
                        fail: 100,
                        lose_answer: 50,
                        lose_event: 50,
                        die: 30,
                        die_within: Duration::from_secs(5),
                    };
                    self.machines[index].docker.world.faults(faults);
                    self.push(self.now + millis(duration), Event::Mend { machine: index });
                }
            }
            Step::ClockJump { machine, millis: jump } => {
                // One number more than there are machines: the server.
                let count = self.machines.len();
                let index = usize::from(machine) % (count + 1);
                let skew =
                    if index == count { &mut self.server.skew } else { &mut self.machines[index].skew };
                skew.0 += i64::from(jump);
            }
        }
    }

    fn trouble(
        &mut self,
        machine: u8,
        duration: u32,
        change: impl Fn(&mut longshore_runtime::scripted::ImageScript),
    ) {
        if let Some(index) = self.machine(machine) {
            self.machines[index].images(change);
            self.push(self.now + millis(duration), Event::Mend { machine: index });
        }
    }

    /// From here on nothing goes wrong any more, and what is down comes back.
    pub(super) fn calm_down(&mut self) {
        self.note(|| "faults cease".into());
        self.calm = true;
        for index in 0..self.machines.len() {
            if !self.machines[index].alive {
                continue;
            }
            self.mend(index);
            if self.machines[index].cut_until.is_some() {
                self.machines[index].cut_until = Some(self.now);
                self.heal(index);
            }
        }
    }

    fn container_dies(&mut self, pick: u32, exit_code: i32) {
        let mut running: Vec<(usize, RuntimeId)> = Vec::new();
        for (index, machine) in self.machines.iter().enumerate().filter(|(_, machine)| machine.alive) {
            let found = machine.docker.world.list(&LabelFilter::default());
            let found = found.into_iter().filter(|found| found.observation.status == ObservedStatus::Running);
            running.extend(found.map(|found| (index, found.observation.runtime_id)));
        }
        if !running.is_empty() {
            let (index, id) = &running[pick as usize % running.len()];
            self.machines[*index].docker.world.kill_from_outside(self.now, id, exit_code);
        }
    }

    /// A task that shall run, as ListTasks would tell.
    fn some_task(&self, pick: u32) -> Option<TaskId> {
        let running = self.server.up.as_ref()?;
        let tasks = running.state.cluster(&self.cluster)?.tasks();
        let wanted: Vec<TaskId> = tasks
            .values()
            .filter(|task| task.desired_status == DesiredStatus::Running)
            .map(|task| task.id)
            .collect();
        (!wanted.is_empty()).then(|| wanted[pick as usize % wanted.len()])
    }

    fn instance_arn(&self, index: usize) -> Option<String> {
        self.machines[index].instance.clone()
    }

    /// ARN of the service deployment that was begun last.
    fn newest_deployment(&self, service: u8) -> Option<String> {
        let name = ServiceName::parse(&service_name(service)).ok()?;
        let entry = self.server.up.as_ref()?.state.cluster(&self.cluster)?.service(&name)?;
        let newest = entry.deployments().values().max_by_key(|record| (record.created_at, record.id))?;
        Some(self.scope.service_deployment_arn(&self.cluster.cluster, &name, newest.id))
    }

    fn set_instance(&mut self, machine: u8, status: &str) {
        if let Some(arn) = self.machine(machine).and_then(|index| self.instance_arn(index)) {
            let request = json!({"containerInstances": [arn], "status": status});
            self.ask("UpdateContainerInstancesState", request);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the members of one step")]
    fn create_service(
        &mut self,
        service: u8,
        image: Image,
        ports: bool,
        desired: u32,
        (min, max): (u32, u32),
        breaker: bool,
        daemon: bool,
        spread: bool,
    ) {
        // A daemon service may not start before it stops.
        let (min, max) = if daemon { (min.min(99), 100) } else { (min, max) };
        let mut request = json!({
            "serviceName": service_name(service),
            "taskDefinition": image.family(ports),
            "launchType": "EC2",
            "clientToken": self.token(),
            "schedulingStrategy": if daemon { "DAEMON" } else { "REPLICA" },
            "deploymentConfiguration": {
                "minimumHealthyPercent": min,
                "maximumPercent": max,
                "deploymentCircuitBreaker": {"enable": breaker, "rollback": breaker},
            },
        });
        if !daemon {
            request["desiredCount"] = json!(desired);
            if spread {
                request["placementStrategy"] = json!([{"type": "spread", "field": "instanceId"}]);
            } else {
                request["placementStrategy"] = json!([{"type": "binpack", "field": "memory"}]);
            }
        }
        self.ask("CreateService", image.request(request));
    }

    /// Everything that users need before they begin.
    pub(super) fn prepare(&mut self) {
        self.ask("CreateCluster", json!({"clusterName": "main"}));
        for image in Image::ALL {
            for ports in [false, true] {
                self.ask("RegisterTaskDefinition", image.definition(ports));
            }
        }
    }

    pub(super) fn is_prepared(&self) -> bool {
        let records = self.server.stored.keys();
        let definitions = records.filter(|key| matches!(key, Key::TaskDefinition(..))).count();
        self.calls.is_empty() && definitions >= 2 * Image::ALL.len()
    }

    pub(super) fn cluster_has(&self, key: &Key) -> bool {
        self.server.up.as_ref().is_some_and(|running| running.records.contains_key(key))
    }
}

struct Timed {
    step: Step,
    number: usize,
}

pub(super) fn service_name(service: u8) -> String {
    format!("svc-{service}")
}

fn millis(millis: u32) -> Duration {
    Duration::from_millis(millis.into())
}

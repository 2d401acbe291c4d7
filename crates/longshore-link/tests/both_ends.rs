//! The two ends of ACS against each other, in virtual time, over a network that loses, repeats and
//! reorders frames, with connections, agents and control planes that come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use longshore_base::{Seed, Timestamp};
use longshore_link::message::{
    Ack, DesiredStatus, Named, RoleCredentials, RoleCredentialsAck, TaskIdentity, TaskPayload, ToAgent,
};
use longshore_link::server::DesiredTask;
use longshore_link::{client, server};
use proptest::prelude::*;

const CLUSTER: &str = "arn:aws:ecs:us-east-1:111122223333:cluster/c";
const INSTANCE: &str = "arn:aws:ecs:us-east-1:111122223333:container-instance/c/1";

#[derive(Clone, Debug)]
enum Step {
    Place,
    /// Stops the task of this index, modulo how many there are.
    Stop(usize),
    /// The task of this index ends by itself.
    Finish(usize),
    /// The agent runs a task that the control plane does not know.
    Stray,
    Wait(u64),
    /// The network, or the control plane, which keeps nothing but its store.
    BreakConnection,
    RestartAgent,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Place),
        3 => (0..50_usize).prop_map(Step::Stop),
        1 => (0..50_usize).prop_map(Step::Finish),
        1 => Just(Step::Stray),
        5 => (1..90_000_u64).prop_map(Step::Wait),
        2 => Just(Step::BreakConnection),
        1 => Just(Step::RestartAgent),
    ]
}

/// What the agent's process and disk know of a task.
#[derive(Debug, Default)]
struct AgentTask {
    started: u32,
    stopped: bool,
    has_credentials: bool,
}

struct World {
    now: Timestamp,
    seed: Seed,
    draws: u64,
    /// Chance in percent that a frame is lost; the same again that it comes twice.
    faults: u64,
    /// What the control plane has durably: want, and whether it was acked.
    desired: BTreeMap<Arc<str>, (DesiredStatus, bool)>,
    placed: BTreeSet<Arc<str>>,
    epoch: u32,
    owes_credentials: bool,
    server: Option<server::Session>,
    agent: BTreeMap<String, AgentTask>,
    manifest_number: i64,
    client: client::Session,
    down: Vec<(Timestamp, String)>,
    up: Vec<(Timestamp, String)>,
    /// The highest number ever sent to the instance.
    highest: i64,
    connects: u32,
}

impl World {
    fn new(seed: u64, faults: u64) -> Self {
        let now = Timestamp::from_millis(1_795_210_000_000);
        let seed = Seed::new(seed.into());
        Self {
            now,
            seed,
            draws: 0,
            faults,
            desired: BTreeMap::new(),
            placed: BTreeSet::new(),
            epoch: 0,
            owes_credentials: false,
            server: None,
            agent: BTreeMap::new(),
            manifest_number: 0,
            client: client::Session::new(now, seed, 0),
            down: Vec::new(),
            up: Vec::new(),
            highest: 0,
            connects: 0,
        }
    }

    fn draw(&mut self, bound: usize) -> usize {
        self.draws += 1;
        self.seed.of(self.draws).below(bound)
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Place => {
                let task: Arc<str> = format!("arn:task/c/{}", self.placed.len()).into();
                self.placed.insert(task.clone());
                self.desired.insert(task.clone(), (DesiredStatus::Running, false));
                self.tell(task);
            }
            Step::Stop(at) => {
                if let Some(task) = self.nth(*at) {
                    self.desired.insert(task.clone(), (DesiredStatus::Stopped, false));
                    self.tell(task);
                }
            }
            Step::Finish(at) => {
                if let Some(task) = self.nth(*at)
                    && let Some(on_agent) = self.agent.get_mut(&*task)
                {
                    on_agent.stopped = true;
                }
            }
            Step::Stray => {
                let stray = format!("arn:task/stray/{}", self.agent.len());
                self.agent.insert(stray, AgentTask { started: 1, ..AgentTask::default() });
            }
            Step::Wait(millis) => self.run(Duration::from_millis(*millis)),
            Step::BreakConnection => self.disconnect(),
            Step::RestartAgent => {
                self.disconnect();
                self.agent.values_mut().for_each(|task| task.has_credentials = false);
                self.client = client::Session::new(self.now, self.seed, self.manifest_number);
            }
        }
        self.settle();
    }

    fn nth(&self, at: usize) -> Option<Arc<str>> {
        let count = self.desired.len().max(1);
        self.desired.keys().nth(at % count).cloned()
    }

    fn tell(&mut self, task: Arc<str>) {
        let (want, confirmed) = self.desired[&task];
        if let Some(server) = &mut self.server {
            server.handle(self.now, server::Input::Changed(vec![DesiredTask { task, want, confirmed }]));
        }
    }

    fn disconnect(&mut self) {
        if self.server.take().is_some() {
            self.down.clear();
            self.up.clear();
            self.client.handle(self.now, client::Input::Lost(client::Loss::Broken));
        }
    }

    fn connect(&mut self, send_credentials: bool) {
        self.epoch += 1;
        self.connects += 1;
        self.owes_credentials |= send_credentials;
        let mut server = server::Session::new(
            self.now,
            server::Connection {
                instance_arn: INSTANCE.into(),
                cluster_arn: CLUSTER.into(),
                send_credentials: self.owes_credentials,
                first_number: server::first_number(self.epoch),
                seed: self.seed,
            },
        );
        let desired = self
            .desired
            .iter()
            .map(|(task, (want, confirmed))| DesiredTask {
                task: task.clone(),
                want: *want,
                confirmed: *confirmed,
            })
            .collect();
        server.handle(self.now, server::Input::Desired(desired));
        self.server = Some(server);
        self.client.handle(self.now, client::Input::Opened);
    }

    /// Runs for `duration` of virtual time.
    fn run(&mut self, duration: Duration) {
        let until = self.now + duration;
        self.settle();
        loop {
            let server = self.server.as_ref().and_then(server::Session::deadline);
            let frames = self.down.iter().chain(&self.up).map(|(at, _)| *at).min();
            let next = [server, self.client.deadline(), frames].into_iter().flatten().min();
            match next {
                Some(at) if at <= until => self.now = self.now.max(at),
                _ => break,
            }
            self.settle();
        }
        self.now = until;
    }

    /// Does everything that is due now.
    fn settle(&mut self) {
        loop {
            let delivered = self.deliver();
            if let Some(server) = &mut self.server {
                server.handle(self.now, server::Input::Tick);
            }
            self.client.handle(self.now, client::Input::Tick);
            let acted = self.poll_server() | self.poll_client();
            self.report_stops();
            if !delivered && !acted {
                return;
            }
        }
    }

    fn deliver(&mut self) -> bool {
        let now = self.now;
        let take = |queue: &mut Vec<(Timestamp, String)>| {
            let at = queue.iter().position(|(at, _)| *at <= now)?;
            Some(queue.swap_remove(at).1)
        };
        let down = take(&mut self.down);
        let up = take(&mut self.up);
        if let Some(text) = &down {
            self.client.handle(now, client::Input::Received(text));
        }
        if let (Some(text), Some(server)) = (&up, &mut self.server) {
            server.handle(now, server::Input::Received(text));
        }
        down.is_some() || up.is_some()
    }

    /// When copies of a frame arrive: never, once, or twice.
    fn fates(&mut self) -> Vec<Timestamp> {
        let copies = match self.draw(100) as u64 {
            lot if lot < self.faults => 0,
            lot if lot < self.faults * 2 => 2,
            _ => 1,
        };
        (0..copies)
            .map(|_| {
                let delay = if self.faults > 0 { self.draw(60) } else { 1 };
                self.now + Duration::from_millis(delay as u64)
            })
            .collect()
    }

    fn poll_server(&mut self) -> bool {
        let mut acted = false;
        while let Some(server) = &mut self.server {
            let mut payloads = |task: &str| {
                let mut payload = TaskPayload::run(task, CLUSTER);
                payload.role_credentials =
                    Some(RoleCredentials { credentials_id: task.to_owned().into(), ..Default::default() });
                Some(payload)
            };
            let Some(output) = server.poll(&mut payloads) else { break };
            acted = true;
            match output {
                server::Output::Send(text) => {
                    self.check_numbers(&text);
                    for at in self.fates() {
                        self.down.push((at, text.clone()));
                    }
                }
                server::Output::TaskAcked { task, want } => {
                    if let Some(entry) = self.desired.get_mut(&task)
                        && entry.0 == want
                    {
                        entry.1 = true;
                    }
                }
                server::Output::CredentialsSettled => self.owes_credentials = false,
                server::Output::Close(_) => self.disconnect(),
                server::Output::Malformed(error) => panic!("our own frame: {error}"),
                server::Output::HeartbeatSeen
                | server::Output::CredentialsAcked { .. }
                | server::Output::Strays(_) => {}
            }
        }
        acted
    }

    /// Numbers only rise, over all connections; a payload has one task.
    fn check_numbers(&mut self, text: &str) {
        let number = match ToAgent::decode(text).expect("our own frame") {
            ToAgent::Payload(payload) => {
                assert_eq!(payload.tasks.len(), 1);
                payload.seq_num
            }
            ToAgent::Manifest(manifest) => manifest.timeline,
            _ => return,
        };
        assert!(number > self.highest, "{number} after {}", self.highest);
        self.highest = number;
    }

    fn poll_client(&mut self) -> bool {
        let mut acted = false;
        while let Some(output) = self.client.poll() {
            acted = true;
            match output {
                client::Output::Connect { send_credentials } => self.connect(send_credentials),
                client::Output::Send(text) => {
                    for at in self.fates() {
                        self.up.push((at, text.clone()));
                    }
                }
                client::Output::End(_) => {
                    self.server = None;
                    self.down.clear();
                    self.up.clear();
                }
                client::Output::Payload(payload) => {
                    for task in payload.tasks {
                        self.take_over(&payload.message_id, TaskPayload::decode(task).expect("valid"));
                    }
                    let ack = Ack {
                        cluster: payload.cluster_arn,
                        container_instance: payload.container_instance_arn,
                        message_id: payload.message_id,
                    };
                    self.client.handle(self.now, client::Input::Acknowledge(ack));
                }
                client::Output::Manifest(manifest) => {
                    self.manifest_number = manifest.timeline;
                    let listed: BTreeSet<_> = manifest
                        .tasks
                        .iter()
                        .filter(|task| task.desired_status == DesiredStatus::Running)
                        .map(|task| &task.task_arn)
                        .collect();
                    let candidates = self
                        .agent
                        .iter()
                        .filter(|(arn, task)| !task.stopped && !listed.contains(arn))
                        .map(|(arn, _)| TaskIdentity {
                            task_arn: arn.clone(),
                            task_cluster_arn: CLUSTER.to_owned(),
                            desired_status: DesiredStatus::Stopped,
                        })
                        .collect();
                    self.client.handle(self.now, client::Input::ManifestStored { manifest, candidates });
                }
                client::Output::StopTasks(tasks) => {
                    for task in tasks {
                        let wanted = self.desired.get(&*task.task_arn);
                        assert!(
                            wanted.is_none_or(|(want, _)| *want == DesiredStatus::Stopped),
                            "{} was stopped although it is wanted",
                            task.task_arn
                        );
                        self.agent.entry(task.task_arn).or_default().stopped = true;
                    }
                }
                client::Output::CheckRuntime
                | client::Output::Credentials(_)
                | client::Output::AttachmentIgnored { .. }
                | client::Output::ServerSays(_) => {}
                client::Output::Malformed(error) => panic!("our own frame: {error}"),
            }
        }
        acted
    }

    fn take_over(&mut self, message_id: &str, payload: TaskPayload) {
        let task = self.agent.entry(payload.arn).or_default();
        match payload.desired_status {
            DesiredStatus::Stopped => task.stopped = true,
            DesiredStatus::Running => {
                if task.started == 0 && !task.stopped {
                    task.started += 1;
                }
                if let Some(credentials) = payload.role_credentials {
                    task.has_credentials = true;
                    let ack = RoleCredentialsAck {
                        message_id: message_id.to_owned(),
                        credentials_id: credentials.credentials_id.0,
                        expiration: credentials.expiration,
                    };
                    self.client.handle(self.now, client::Input::CredentialsStored(ack));
                }
            }
        }
    }

    /// The agent reports what has stopped, and the control plane forgets it.
    fn report_stops(&mut self) {
        for (arn, task) in &self.agent {
            if task.stopped
                && self.desired.remove(&**arn).is_some()
                && let Some(server) = &mut self.server
            {
                server.handle(self.now, server::Input::Removed(arn.as_str().into()));
            }
        }
    }

    /// Lets everything come to rest without faults, then compares.
    fn check(&mut self) {
        self.faults = 0;
        // More than the age of a connection and the longest resend, so that whatever was lost is repaired.
        self.run(Duration::from_secs(3600));
        for (task, (want, _)) in &self.desired {
            let on_agent = self.agent.get(&**task);
            assert_eq!(*want, DesiredStatus::Running, "{task} should have been stopped");
            let on_agent = on_agent.unwrap_or_else(|| panic!("{task} never arrived"));
            assert_eq!((on_agent.started, on_agent.stopped), (1, false), "{task}: {on_agent:?}");
            assert!(on_agent.has_credentials, "{task} has no credentials");
        }
        for (arn, task) in &self.agent {
            assert!(task.started <= 1, "{arn} was started twice");
            assert!(task.stopped || self.desired.contains_key(&**arn), "{arn} runs, and nobody wants it");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn both_ends_agree_in_the_end(
        seed in any::<u64>(),
        faults in 0..25_u64,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut world = World::new(seed, faults);
        for step in &steps {
            world.apply(step);
        }
        world.check();
    }
}

#[test]
fn a_quiet_link_stays_open_and_costs_little() {
    let mut world = World::new(1, 0);
    for _ in 0..3 {
        world.apply(&Step::Place);
    }
    world.run(Duration::from_secs(25 * 60));
    assert_eq!(world.connects, 1, "heartbeats keep it open");
    world.run(Duration::from_secs(3 * 3600));
    assert!(
        (4..=7).contains(&world.connects),
        "connections are renewed about twice an hour: {}",
        world.connects
    );
}

#[test]
fn a_new_agent_process_gets_every_payload_again_and_an_old_one_does_not() {
    let mut world = World::new(2, 0);
    for _ in 0..5 {
        world.apply(&Step::Place);
    }
    world.run(Duration::from_secs(5));
    let before = world.highest;
    world.apply(&Step::BreakConnection);
    world.run(Duration::from_secs(10));
    assert_eq!(world.highest, server::first_number(2), "a reconnect sends the manifest alone (was {before})");
    world.apply(&Step::RestartAgent);
    world.run(Duration::from_secs(10));
    assert_eq!(world.highest, server::first_number(3) + 5, "a new process needs all credentials");
}

#[test]
fn a_server_that_closes_at_once_is_not_hammered() {
    let mut now = Timestamp::from_millis(0);
    let mut client = client::Session::new(now, Seed::new(1), 0);
    let mut connects = 0;
    while now < Timestamp::from_millis(60_000) {
        client.handle(now, client::Input::Tick);
        while let Some(output) = client.poll() {
            if matches!(output, client::Output::Connect { .. }) {
                connects += 1;
                client.handle(now, client::Input::Opened);
                client.handle(now, client::Input::Lost(client::Loss::Closed(1000)));
            }
        }
        now = client.deadline().expect("it tries again");
    }
    assert!(connects < 20, "{connects} connects in a minute");
}

#[test]
fn old_manifests_are_ignored() {
    let now = Timestamp::from_millis(0);
    let mut client = client::Session::new(now, Seed::new(1), 7);
    client.handle(now, client::Input::Tick);
    client.handle(now, client::Input::Opened);
    while client.poll().is_some() {}
    let mut seen = |timeline| {
        let manifest = longshore_link::message::TaskManifest {
            message_id: "m".into(),
            cluster_arn: CLUSTER.into(),
            container_instance_arn: INSTANCE.into(),
            generated_at: 0,
            timeline,
            tasks: Vec::new(),
        };
        client.handle(now, client::Input::Received(&manifest.frame()));
        client.poll().is_some()
    };
    assert!(!seen(7), "the stored number counts");
    assert!(seen(8));
    assert!(!seen(8));
}

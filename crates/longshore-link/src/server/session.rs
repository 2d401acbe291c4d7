//! The control plane's end of one ACS connection.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use longshore_base::{Seed, TaskId, Timestamp};

use super::outstanding::Outstanding;
use crate::limits::{
    ACS_SILENCE_MAX, CREDENTIALS_TRIES_MAX, HEARTBEAT_EVERY, HEARTBEAT_JITTER, MANIFEST_EVERY, RESEND_AFTER,
};
use crate::message::{
    Ack, DesiredStatus, FromAgent, Heartbeat, MessageError, Named, PayloadMessage, RoleCredentials,
    RoleCredentialsMessage, RoleType, StopVerification, StopVerificationAck, TaskIdentity, TaskManifest,
    TaskPayload,
};

/// What is known when an upgrade was accepted.
#[derive(Clone, Debug)]
pub struct Connection {
    pub instance_arn: Arc<str>,
    pub cluster_arn: Arc<str>,
    /// The agent's process is new: it has no credentials, and may have lost tasks.
    ///
    /// An agent says so on its first connection only, even if that broke before everything arrived. So
    /// the control plane has to remember it, durably, until [`Output::CredentialsSettled`]:
    /// this is true if the upgrade says `sendCredentials=true` *or* an earlier one did and was not settled.
    pub send_credentials: bool,
    /// See [`first_number`](super::first_number). Above everything that this instance was ever sent.
    pub first_number: i64,
    /// Feeds jitter only.
    pub seed: Seed,
}

/// What the instance shall do with one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredTask {
    /// The task's ARN.
    pub task: Arc<str>,
    pub want: DesiredStatus,
    /// The agent is known to follow: it acked this very want, or reported a state that implies it.
    pub confirmed: bool,
}

/// New credentials for a task that the agent has already.
#[derive(Clone, Debug)]
pub struct FreshCredentials {
    pub task: Arc<str>,
    pub role: RoleType,
    pub credentials: RoleCredentials,
}

#[derive(Debug)]
pub enum Input<'a> {
    /// Everything that the instance shall run or stop. The first one starts the conversation.
    Desired(Vec<DesiredTask>),
    /// Some tasks are new or have changed.
    Changed(Vec<DesiredTask>),
    /// A task is over, or not for this instance any more.
    Removed(Arc<str>),
    Credentials(Box<FreshCredentials>),
    /// A text frame from the agent.
    Received(&'a str),
    /// The connection shall end.
    Close(CloseReason),
    Tick,
}

#[derive(Debug)]
pub enum Output {
    /// A text frame for the agent.
    Send(String),
    /// The agent answers.
    HeartbeatSeen,
    /// The agent has taken over what was wanted of this task.
    TaskAcked { task: Arc<str>, want: DesiredStatus },
    /// The agent's new process has the payload, and with it the credentials, of every task that shall run. Said once,
    /// if `send_credentials` was set.
    CredentialsSettled,
    /// The agent has stored refreshed credentials.
    CredentialsAcked { task: Arc<str>, role: RoleType },
    /// The agent runs tasks that nobody wants there; it was told to stop these.
    Strays(Vec<String>),
    /// The agent sent something that is no message. It was skipped.
    Malformed(MessageError),
    /// Close the socket with this code. Nothing comes after it.
    Close(CloseReason),
}

/// Why the server ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The agent does not answer.
    Silent,
    /// The same instance has connected again.
    Superseded,
    /// The instance was deregistered; its next upgrade is refused.
    Deregistered,
    /// This server goes away, and the agent should come back after a pause.
    Draining,
}

impl CloseReason {
    /// The websocket close code. All make the agent back off: on 1000, 1001 and 1011 it reconnects at once, in
    /// a hot loop if need be (agent-protocol G5).
    pub fn code(self) -> u16 {
        match self {
            CloseReason::Silent => 4000,
            CloseReason::Superseded => 4001,
            CloseReason::Deregistered => 4002,
            CloseReason::Draining => 4003,
        }
    }

    pub fn text(self) -> &'static str {
        match self {
            CloseReason::Silent => "heartbeats were not answered",
            CloseReason::Superseded => "the instance has connected again",
            CloseReason::Deregistered => "the instance was deregistered",
            CloseReason::Draining => "the server is going away",
        }
    }
}

#[derive(Debug)]
struct UnackedCredentials {
    fresh: FreshCredentials,
    tries: u32,
    /// `None` if it was not sent yet.
    again_at: Option<Timestamp>,
}

/// One ACS connection, from the accepted upgrade to its end.
///
/// After every [`handle`](Self::handle), call [`poll`](Self::poll) until it gives `None`; call
/// `handle(now, Tick)` no later than [`deadline`](Self::deadline).
///
/// Nothing but heartbeats is sent before the first [`Input::Desired`]. Then comes the manifest, so that the agent
/// finds what it should not run, then a payload for each task that is not confirmed, one task per message. With
/// `send_credentials` that is every task that shall run.
#[derive(Debug)]
pub struct Session {
    connection: Connection,
    tasks: Outstanding,
    credentials: BTreeMap<i64, UnackedCredentials>,
    outbox: VecDeque<Output>,
    next_number: i64,
    /// The number of the latest manifest, while the agent may still ask about it.
    manifest: Option<i64>,
    /// `None` before the first list of tasks.
    manifest_at: Option<Timestamp>,
    heartbeat_at: Timestamp,
    heartbeats: u64,
    heard_at: Timestamp,
    now: Timestamp,
    /// `send_credentials` was set, and not everything has arrived.
    owes_credentials: bool,
    closing: Option<CloseReason>,
    closed: bool,
}

impl Session {
    pub fn new(now: Timestamp, connection: Connection) -> Self {
        Self {
            next_number: connection.first_number,
            owes_credentials: connection.send_credentials,
            connection,
            tasks: Outstanding::default(),
            credentials: BTreeMap::new(),
            outbox: VecDeque::new(),
            manifest: None,
            manifest_at: None,
            // At once: the agent checks its container runtime only when a heartbeat comes.
            heartbeat_at: now,
            heartbeats: 0,
            heard_at: now,
            now,
            closing: None,
            closed: false,
        }
    }

    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The ARN of a task that the session knows of.
    pub fn arn(&self, task: TaskId) -> Option<Arc<str>> {
        self.tasks.arn(task).map(Into::into)
    }

    pub fn handle(&mut self, now: Timestamp, input: Input<'_>) {
        self.now = self.now.max(now);
        match input {
            Input::Desired(list) => self.desired(list),
            Input::Changed(list) => {
                for task in list {
                    self.tasks.set(task, false);
                }
            }
            Input::Removed(task) => self.forget(&task),
            Input::Credentials(fresh) => self.refresh(*fresh),
            Input::Received(text) => {
                self.heard_at = self.now;
                match FromAgent::decode(text) {
                    Ok(message) => self.received(message),
                    Err(error) => self.outbox.push_back(Output::Malformed(error)),
                }
            }
            Input::Close(reason) => self.closing = self.closing.or(Some(reason)),
            Input::Tick => {}
        }
        self.tasks.tick(self.now);
        if self.heard_at + ACS_SILENCE_MAX <= self.now {
            self.closing = self.closing.or(Some(CloseReason::Silent));
        }
    }

    /// The next thing to do. `payloads` makes the message for a task that shall run, with fresh
    /// credentials; `None` if there is no such task any more.
    pub fn poll(&mut self, payloads: &mut dyn FnMut(&str) -> Option<TaskPayload>) -> Option<Output> {
        if self.closed {
            return None;
        }
        if let Some(output) = self.outbox.pop_front() {
            return Some(output);
        }
        if let Some(reason) = self.closing {
            self.closed = true;
            return Some(Output::Close(reason));
        }
        if self.heartbeat_at <= self.now {
            return Some(Output::Send(self.heartbeat()));
        }
        let manifest_at = self.manifest_at?; // Nothing else before the first list.
        if manifest_at <= self.now {
            return Some(Output::Send(self.manifest()));
        }
        if let Some(text) = self.payload(payloads) {
            return Some(Output::Send(text));
        }
        if self.owes_credentials && !self.tasks.owes_credentials() {
            self.owes_credentials = false;
            return Some(Output::CredentialsSettled);
        }
        self.credentials().map(Output::Send)
    }

    /// When `handle(now, Tick)` is needed if nothing else happens. `None` after the end.
    pub fn deadline(&self) -> Option<Timestamp> {
        if self.closed {
            return None;
        }
        let credentials = self.credentials.values().filter_map(|unacked| unacked.again_at).min();
        [self.tasks.deadline(), self.manifest_at, credentials]
            .into_iter()
            .flatten()
            .chain([self.heartbeat_at, self.heard_at + ACS_SILENCE_MAX])
            .min()
    }

    fn desired(&mut self, list: Vec<DesiredTask>) {
        let first = self.manifest_at.is_none();
        let named: BTreeSet<Arc<str>> = list.iter().map(|desired| desired.task.clone()).collect();
        self.tasks.retain(&named);
        self.credentials.retain(|_, unacked| named.contains(&unacked.fresh.task));
        for desired in list {
            self.tasks.set(desired, first && self.connection.send_credentials);
        }
        if first {
            self.manifest_at = Some(self.now);
        }
    }

    fn forget(&mut self, task: &str) {
        self.tasks.remove(task);
        self.credentials.retain(|_, unacked| &*unacked.fresh.task != task);
    }

    /// Queues credentials, in place of older ones for the same task and role that were not acked yet.
    fn refresh(&mut self, fresh: FreshCredentials) {
        self.credentials
            .retain(|_, unacked| unacked.fresh.task != fresh.task || unacked.fresh.role != fresh.role);
        if self.tasks.want(&fresh.task) == Some(DesiredStatus::Running) {
            let number = self.number();
            self.credentials.insert(number, UnackedCredentials { fresh, tries: 0, again_at: None });
        }
    }

    fn received(&mut self, message: FromAgent) {
        match message {
            FromAgent::HeartbeatAck(_) => self.outbox.push_back(Output::HeartbeatSeen),
            FromAgent::Ack(Ack { message_id, .. }) => {
                let acked = message_id.parse().ok().and_then(|id| self.tasks.acked(id));
                if let Some((task, want)) = acked {
                    self.outbox.push_back(Output::TaskAcked { task, want });
                }
            }
            FromAgent::RoleCredentialsAck(ack) => {
                // Acks of credentials that came with a payload find nothing here.
                let unacked = ack.message_id.parse().ok().and_then(|id| self.credentials.remove(&id));
                if let Some(UnackedCredentials { fresh, .. }) = unacked {
                    self.outbox.push_back(Output::CredentialsAcked { task: fresh.task, role: fresh.role });
                }
            }
            FromAgent::StopVerification(question) => self.verify(question),
            // Agents refuse updates this way, and we send none.
            FromAgent::Nack(_) | FromAgent::Unknown(_) => {}
        }
    }

    /// Confirms which tasks shall stop: those that are not wanted *now*. A task which was placed after the
    /// manifest was written is a candidate too, and must survive.
    fn verify(&mut self, question: StopVerification) {
        let asked = question.message_id.parse().ok();
        if asked.is_none() || asked != self.manifest {
            return;
        }
        self.manifest = None; // An answer works once.
        let stop_tasks: Vec<TaskIdentity> = question
            .stop_candidates
            .into_iter()
            .filter(|candidate| self.tasks.want(&candidate.task_arn) != Some(DesiredStatus::Running))
            .map(|candidate| TaskIdentity { desired_status: DesiredStatus::Stopped, ..candidate })
            .collect();
        if stop_tasks.is_empty() {
            return;
        }
        let strays = stop_tasks.iter().map(|task| task.task_arn.clone()).collect();
        let answer = StopVerificationAck {
            message_id: question.message_id,
            generated_at: self.now.as_millis(),
            stop_tasks,
        };
        self.outbox.push_back(Output::Send(answer.frame()));
        self.outbox.push_back(Output::Strays(strays));
    }

    fn heartbeat(&mut self) -> String {
        self.heartbeats += 1;
        self.heartbeat_at = self.now + HEARTBEAT_EVERY + self.jitter(self.heartbeats, HEARTBEAT_JITTER);
        Heartbeat { message_id: format!("heartbeat-{}", self.heartbeats), healthy: true }.frame()
    }

    fn manifest(&mut self) -> String {
        let number = self.number();
        self.manifest = Some(number);
        self.manifest_at = Some(self.now + MANIFEST_EVERY + self.jitter(number as u64, MANIFEST_EVERY));
        let cluster_arn = self.connection.cluster_arn.to_string();
        let tasks = self
            .tasks
            .iter()
            .map(|(name, want)| {
                let task_arn = name.to_string();
                let task_cluster_arn = cluster_of(&task_arn, &cluster_arn);
                TaskIdentity { task_cluster_arn, task_arn, desired_status: want }
            })
            .collect();
        TaskManifest {
            message_id: number.to_string(),
            cluster_arn,
            container_instance_arn: self.connection.instance_arn.to_string(),
            generated_at: self.now.as_millis(),
            timeline: number,
            tasks,
        }
        .frame()
    }

    fn payload(&mut self, payloads: &mut dyn FnMut(&str) -> Option<TaskPayload>) -> Option<String> {
        loop {
            let (name, want, id) = self.tasks.next_due()?;
            let task = name.to_string();
            let payload = match want {
                DesiredStatus::Stopped => {
                    Some(TaskPayload::stop(&task, &cluster_of(&task, &self.connection.cluster_arn)))
                }
                DesiredStatus::Running => payloads(&task),
            };
            let Some(payload) = payload else {
                // It is gone already, and the news is on its way. Should there be none, look again.
                self.tasks.postpone(self.now, &name, RESEND_AFTER);
                continue;
            };
            let number = self.number();
            let id = id.unwrap_or(number);
            self.tasks.sent(self.now, &name, id);
            let message = PayloadMessage {
                message_id: id.to_string(),
                cluster_arn: self.connection.cluster_arn.to_string(),
                container_instance_arn: self.connection.instance_arn.to_string(),
                generated_at: self.now.as_millis(),
                seq_num: number,
                // One task per message: a task that the agent cannot read spoils no other's ack.
                tasks: vec![payload],
            };
            return Some(message.frame());
        }
    }

    fn credentials(&mut self) -> Option<String> {
        let now = self.now;
        let is_due = |unacked: &UnackedCredentials| unacked.again_at.is_none_or(|at| at <= now);
        loop {
            let (&number, unacked) = self.credentials.iter_mut().find(|(_, unacked)| is_due(unacked))?;
            if unacked.tries >= CREDENTIALS_TRIES_MAX {
                self.credentials.remove(&number);
                continue;
            }
            unacked.tries += 1;
            unacked.again_at = Some(now + RESEND_AFTER * unacked.tries);
            let message = RoleCredentialsMessage {
                message_id: number.to_string(),
                task_arn: unacked.fresh.task.to_string(),
                task_cluster_arn: cluster_of(&unacked.fresh.task, &self.connection.cluster_arn),
                role_type: unacked.fresh.role,
                role_credentials: unacked.fresh.credentials.clone(),
            };
            return Some(message.frame());
        }
    }

    fn number(&mut self) -> i64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }

    fn jitter(&self, n: u64, most: std::time::Duration) -> std::time::Duration {
        std::time::Duration::from_millis(self.connection.seed.of(n).below(most.as_millis() as usize) as u64)
    }
}

/// The ARN of a task's cluster. On an instance of a pool that is not the instance's own. Only the old format of
/// a task's ARN does not tell it.
fn cluster_of(task: &str, instances_own: &str) -> String {
    let parts = task.rsplit_once(":task/");
    match parts.and_then(|(scope, rest)| Some((scope, rest.split_once('/')?.0))) {
        Some((scope, cluster)) => format!("{scope}:cluster/{cluster}"),
        None => instances_own.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_names_its_cluster() {
        let own = "arn:aws:ecs:eu-west-1:000000000000:cluster/.fargate";
        let of = |task: &str| cluster_of(&format!("arn:aws:ecs:eu-west-1:123456789012:{task}"), own);
        assert_eq!(of("task/web/0123"), "arn:aws:ecs:eu-west-1:123456789012:cluster/web");
        assert_eq!(of("task/0123"), own);
    }
}

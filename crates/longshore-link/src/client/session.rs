//! The agent's end of ACS, over all the connections of one process.

use std::collections::VecDeque;

use longshore_base::{Seed, Timestamp};
use serde_json::Value;

use super::backoff::Backoff;
use super::connection::{Due, Ending, Lifecycle, Loss, Rules};
use crate::message::{
    Ack, HeartbeatAck, MessageError, Nack, Named, PayloadMessage, RoleCredentialsAck, RoleCredentialsMessage,
    StopVerification, TaskIdentity, TaskManifest, ToAgent,
};
use crate::upgrade::Refusal;

#[derive(Debug)]
pub enum Input<'a> {
    /// The socket is open.
    Opened,
    /// The socket could not be opened; with the refusal if the server named one it knows.
    Refused(Option<Refusal>),
    /// The socket is gone.
    Lost(Loss),
    /// A text frame.
    Received(&'a str),
    /// A message was taken over, and its effect is durable.
    Acknowledge(Ack),
    /// Credentials were stored for a task that is there.
    CredentialsStored(RoleCredentialsAck),
    /// A manifest's number is durable; these tasks run here and are not in it.
    ManifestStored {
        manifest: Box<TaskManifest>,
        candidates: Vec<TaskIdentity>,
    },
    /// No more connections.
    Stop,
    Tick,
}

#[derive(Debug)]
pub enum Output {
    /// Open the socket with this `sendCredentials`. Answered by `Opened`, `Refused` or `Lost`.
    Connect {
        send_credentials: bool,
    },
    Send(String),
    /// End the connection. No `Lost` is expected.
    End(Ending),
    /// Look whether the container runtime is well: a heartbeat has come.
    CheckRuntime,
    /// Take these tasks over, then acknowledge if every one of them was understood.
    Payload(PayloadMessage<Value>),
    /// Store the number, then answer `ManifestStored`.
    Manifest(Box<TaskManifest>),
    /// The server has confirmed that these shall stop.
    StopTasks(Vec<TaskIdentity>),
    /// Store these. Answer `CredentialsStored` if the task is known.
    Credentials(Box<RoleCredentialsMessage>),
    /// Acked already: an interface or a volume for the host, which this agent does not wait for.
    AttachmentIgnored {
        message_id: String,
    },
    /// Text for the log.
    ServerSays(String),
    Malformed(MessageError),
}

/// Connects, keeps connected, and answers.
///
/// It keeps the highest number of payloads and manifests, so that an old manifest stops nothing
/// (agent-protocol G6).
#[derive(Debug)]
pub struct Session {
    lifecycle: Lifecycle,
    outbox: VecDeque<Output>,
    /// Highest number of this process's payloads and of manifests ever accepted.
    latest: i64,
    /// The manifest whose candidates may be confirmed, once.
    verifying: Option<String>,
    /// No connection has succeeded yet.
    is_new: bool,
    now: Timestamp,
}

impl Session {
    /// `manifest_number` is the one that was last stored, 0 for none.
    pub fn new(now: Timestamp, seed: Seed, manifest_number: i64) -> Self {
        let rules = Rules { silence: Ending::Drop, silence_backs_off: true };
        Self {
            lifecycle: Lifecycle::new(now, rules, Backoff::acs(seed)),
            outbox: VecDeque::new(),
            latest: manifest_number,
            verifying: None,
            is_new: true,
            now,
        }
    }

    pub fn is_open(&self) -> bool {
        self.lifecycle.is_open()
    }

    pub fn handle(&mut self, now: Timestamp, input: Input<'_>) {
        self.now = self.now.max(now);
        match input {
            Input::Opened => {
                self.is_new = false;
                self.lifecycle.opened(self.now);
            }
            Input::Refused(refusal) => self.lifecycle.refused(self.now, refusal),
            Input::Lost(loss) => {
                self.verifying = None;
                self.lifecycle.lost(self.now, loss);
            }
            Input::Received(text) => {
                self.lifecycle.heard(self.now);
                match ToAgent::decode(text) {
                    Ok(message) => self.received(message),
                    Err(error) => self.outbox.push_back(Output::Malformed(error)),
                }
            }
            Input::Acknowledge(ack) => self.send(&ack),
            Input::CredentialsStored(ack) => self.send(&ack),
            Input::ManifestStored { manifest, candidates } => self.manifest_stored(*manifest, candidates),
            Input::Stop => {
                if let Some(ending) = self.lifecycle.end() {
                    self.outbox.push_back(Output::End(ending));
                }
            }
            Input::Tick => {}
        }
    }

    pub fn poll(&mut self) -> Option<Output> {
        if let Some(output) = self.outbox.pop_front() {
            return Some(output);
        }
        self.lifecycle.due(self.now).map(|due| match due {
            Due::Connect => Output::Connect { send_credentials: self.is_new },
            Due::End(ending) => {
                self.verifying = None;
                Output::End(ending)
            }
        })
    }

    pub fn deadline(&self) -> Option<Timestamp> {
        self.lifecycle.deadline()
    }

    fn received(&mut self, message: ToAgent) {
        match message {
            ToAgent::Heartbeat(heartbeat) => {
                self.send(&HeartbeatAck { message_id: heartbeat.message_id });
                self.outbox.push_back(Output::CheckRuntime);
            }
            ToAgent::Payload(payload) => {
                self.latest = self.latest.max(payload.seq_num);
                self.outbox.push_back(Output::Payload(payload));
            }
            ToAgent::Manifest(manifest) => {
                if manifest.timeline > self.latest {
                    self.latest = manifest.timeline;
                    self.outbox.push_back(Output::Manifest(Box::new(manifest)));
                }
            }
            ToAgent::StopVerificationAck(answer) => {
                if self.verifying.as_ref() == Some(&answer.message_id) {
                    self.verifying = None;
                    self.outbox.push_back(Output::StopTasks(answer.stop_tasks));
                }
            }
            ToAgent::RoleCredentials(message) => {
                self.outbox.push_back(Output::Credentials(Box::new(message)));
            }
            ToAgent::AttachTaskInterfaces(attach) => {
                self.attachment(attach.message_id, attach.cluster_arn, attach.container_instance_arn);
            }
            ToAgent::AttachInstanceInterfaces(attach) => {
                self.attachment(attach.message_id, attach.cluster_arn, attach.container_instance_arn);
            }
            ToAgent::ConfirmAttachment(confirm) => {
                self.attachment(confirm.message_id, confirm.cluster_arn, confirm.container_instance_arn);
            }
            ToAgent::StageUpdate(update) => {
                self.refuse_update(update.message_id, update.cluster_arn, update.container_instance_arn);
            }
            ToAgent::PerformUpdate(update) => {
                self.refuse_update(update.message_id, update.cluster_arn, update.container_instance_arn);
            }
            ToAgent::Error(text) => self.outbox.push_back(Output::ServerSays(text.message)),
            ToAgent::Close(text) => self.outbox.push_back(Output::ServerSays(text.message)),
            ToAgent::Unknown(_) => {}
        }
    }

    fn manifest_stored(&mut self, manifest: TaskManifest, candidates: Vec<TaskIdentity>) {
        self.send(&Ack {
            cluster: manifest.cluster_arn,
            container_instance: manifest.container_instance_arn,
            message_id: manifest.message_id.clone(),
        });
        if !candidates.is_empty() && self.lifecycle.is_open() {
            self.verifying = Some(manifest.message_id.clone());
            self.send(&StopVerification { message_id: manifest.message_id, stop_candidates: candidates });
        }
    }

    fn attachment(&mut self, message_id: String, cluster: String, container_instance: String) {
        self.send(&Ack { cluster, container_instance, message_id: message_id.clone() });
        self.outbox.push_back(Output::AttachmentIgnored { message_id });
    }

    fn refuse_update(&mut self, message_id: String, cluster: String, container_instance: String) {
        let reason = "Updates are disabled".to_owned();
        self.send(&Nack { cluster, container_instance, message_id, reason });
    }

    /// Sends if there is a connection. Otherwise the answer is dropped: the server repeats itself after
    /// the next connect.
    fn send<M: Named>(&mut self, message: &M) {
        if self.lifecycle.is_open() {
            self.outbox.push_back(Output::Send(message.frame()));
        }
    }
}

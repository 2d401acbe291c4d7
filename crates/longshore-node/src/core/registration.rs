//! From the start to the sockets: registration and discovery (agent-protocol G3).

use std::time::Duration;

use longshore_base::{Seed, Timestamp};
use longshore_link::client::{self, Backoff};
use longshore_link::limits::DISCOVERY_TTL;
use longshore_shapes_ecs::{
    CreateClusterRequest, DiscoverPollEndpointRequest, RegisterContainerInstanceRequest, Tag,
};

use super::telemetry::Publisher;
use super::{AgentCore, ExitReason, LogLine, Pending, capacity, port_numbers, saved};
use crate::api::{
    ApiCall, ApiError, Endpoints, Registered, RegistrationFailure, integer, missing_attributes, ports,
};
use crate::capability::{self, Attribute};
use crate::journal::Change;

/// How long a server may answer with trouble before the agent gives up and leaves it to its supervisor.
const GIVE_UP_AFTER: Duration = Duration::from_secs(3600);

/// After so many connections in a row that failed, the addresses are asked for again. The official agent
/// keeps them for twelve hours, which would keep it away from a control plane that has moved.
const FAILURES_BEFORE_DISCOVERY: u32 = 3;

#[derive(Debug)]
enum Step {
    /// To be done at this time.
    Register(Timestamp),
    Discover(Timestamp),
    /// A call is under way.
    Calling,
    /// The sockets have been opened at least once.
    Linked,
}

#[derive(Debug)]
pub(super) struct Phase {
    step: Step,
    backoff: Backoff,
    /// Since when registration fails because of the server.
    failing_since: Option<Timestamp>,
    endpoints: Option<Endpoints>,
    discovered_at: Timestamp,
    discovering: bool,
    failed_connections: u32,
}

impl Phase {
    pub fn start(now: Timestamp, seed: Seed) -> Self {
        Self {
            step: Step::Register(now),
            backoff: Backoff::registration(seed),
            failing_since: None,
            endpoints: None,
            discovered_at: now,
            discovering: false,
            failed_connections: 0,
        }
    }

    pub fn deadline(&self) -> Option<Timestamp> {
        match self.step {
            Step::Register(at) | Step::Discover(at) => Some(at),
            Step::Calling | Step::Linked => None,
        }
    }

    pub fn endpoints(&self) -> Option<&Endpoints> {
        self.endpoints.as_ref()
    }

    pub fn connected(&mut self) {
        self.failed_connections = 0;
    }

    pub fn connection_failed(&mut self) {
        self.failed_connections += 1;
    }
}

impl AgentCore {
    pub(super) fn step_registration(&mut self) {
        if self.stopping {
            return;
        }
        match self.phase.step {
            Step::Register(at) if at <= self.now => self.register(),
            Step::Discover(at) if at <= self.now => self.discover(),
            Step::Register(_) | Step::Discover(_) | Step::Calling | Step::Linked => {}
        }
    }

    fn register(&mut self) {
        let capacity = capacity(&self.config, &self.runtime);
        let sent = capability::attributes(&self.config, &self.runtime, self.instance_arn.is_none());
        let tags = self.config.tags.iter();
        let tags: Vec<Tag> =
            tags.map(|(key, value)| Tag { key: Some(key.clone()), value: Some(value.clone()) }).collect();
        let request = RegisterContainerInstanceRequest {
            cluster: Some(self.config.cluster_name().to_owned()),
            client_token: Some(self.ids.uuid()),
            // Only when it registers again.
            container_instance_arn: self.instance_arn.clone(),
            // There is no instance metadata service here.
            instance_identity_document: Some(String::new()),
            instance_identity_document_signature: Some(String::new()),
            total_resources: Some(vec![
                integer("CPU", capacity.cpu.0),
                integer("MEMORY", capacity.memory.0),
                ports("PORTS", port_numbers(&capacity.reserved_tcp)),
                ports("PORTS_UDP", port_numbers(&capacity.reserved_udp)),
            ]),
            attributes: Some(sent.iter().cloned().map(Into::into).collect()),
            tags: (!tags.is_empty()).then_some(tags),
            ..RegisterContainerInstanceRequest::default()
        };
        self.phase.step = Step::Calling;
        self.call(ApiCall::RegisterContainerInstance(Box::new(request)), Pending::Register { sent });
    }

    pub(super) fn registered(&mut self, sent: &[Attribute], result: Result<Vec<u8>, ApiError>) {
        let Registered { instance_arn, attributes } = match result.and_then(|body| Registered::read(&body)) {
            Ok(registered) => registered,
            Err(error) => return self.registration_failed(error),
        };
        let missing = missing_attributes(sent, &attributes);
        if !missing.is_empty() {
            let text = format!("Attribute validation failed: {} did not come back", missing.join(", "));
            return self.exit(ExitReason::Terminal(text));
        }
        self.log(LogLine::Registered { instance_arn: instance_arn.clone() });
        if self.instance_arn.as_deref() != Some(&instance_arn) {
            self.write(vec![
                Change { key: saved::INSTANCE_ARN.to_owned(), text: Some(instance_arn.clone()) },
                Change { key: saved::CLUSTER.to_owned(), text: Some(self.config.cluster_name().to_owned()) },
            ]);
        }
        self.publisher = Some(Publisher {
            cluster: self.config.cluster_name().to_owned(),
            instance_arn: instance_arn.clone(),
        });
        self.instance_arn = Some(instance_arn);
        self.phase.failing_since = None;
        self.phase.backoff = Backoff::acs(self.seed.of(5));
        self.discover();
    }

    fn registration_failed(&mut self, error: ApiError) {
        let is_known = self.instance_arn.is_some();
        if is_known && self.config.joins_anew && (error.is_deregistered() || error.is_unknown_instance()) {
            return self.join_anew();
        }
        if is_known && error.is_deregistered() {
            return self.leave(error);
        }
        if self.config.instance_arn.is_some() && error.is_unknown_key() {
            // There is no other key that it could be started with again.
            return self.exit(ExitReason::Terminal(self.with_advice(&error)));
        }
        match error.on_registration(self.config.cluster.is_some()) {
            RegistrationFailure::CreateCluster => {
                let cluster_name = Some(self.config.cluster_name().to_owned());
                let request = CreateClusterRequest { cluster_name, ..CreateClusterRequest::default() };
                self.call(ApiCall::CreateCluster(Box::new(request)), Pending::CreateCluster);
            }
            RegistrationFailure::Terminal => {
                self.exit(ExitReason::Terminal(self.with_advice(&error)));
            }
            RegistrationFailure::Restart => {
                self.exit(ExitReason::Failed(self.with_advice(&error)));
            }
            RegistrationFailure::Retry => self.register_later(error),
        }
    }

    /// Forgets which instance this was, and nothing else: the tasks in the journal are unknown to the new one, whose
    /// first manifest ends them. Manifests are numbered anew as well.
    pub(super) fn join_anew(&mut self) {
        if let Some(instance_arn) = self.instance_arn.take() {
            self.log(LogLine::JoinsAnew { instance_arn });
        }
        self.manifest_number = 0;
        let forget = |key: &str| Change { key: key.to_owned(), text: None };
        self.write(vec![forget(saved::INSTANCE_ARN), forget(saved::MANIFEST)]);
        self.phase.step = Step::Register(self.now);
    }

    /// A server that cannot be reached is waited for without end and asked often; one that answers with trouble, for
    /// an hour.
    fn register_later(&mut self, error: ApiError) {
        let wait = match &error {
            ApiError::Transport(_) => {
                self.phase.failing_since = None;
                self.phase.backoff.fail().min(Duration::from_secs(5))
            }
            ApiError::Service { .. } => {
                let since = *self.phase.failing_since.get_or_insert(self.now);
                if self.now.since(since) >= GIVE_UP_AFTER {
                    let text = format!("registration failed for an hour: {error}");
                    return self.exit(ExitReason::Failed(text));
                }
                self.phase.backoff.fail()
            }
        };
        self.log(LogLine::CallFailed { operation: "RegisterContainerInstance", error });
        self.phase.step = Step::Register(self.now + wait);
    }

    pub(super) fn cluster_created(&mut self, result: Result<Vec<u8>, ApiError>) {
        match result {
            Ok(_) => self.phase.step = Step::Register(self.now),
            Err(error) => self.register_later(error),
        }
    }

    fn discover(&mut self) {
        let Some(instance_arn) = self.instance_arn.clone() else { return };
        let request = DiscoverPollEndpointRequest {
            cluster: Some(self.config.cluster_name().to_owned()),
            container_instance: Some(instance_arn),
        };
        if !matches!(self.phase.step, Step::Linked) {
            self.phase.step = Step::Calling;
        }
        self.phase.discovering = true;
        self.call(ApiCall::DiscoverPollEndpoint(request), Pending::Discover);
    }

    /// Asks for the addresses again if they are old or useless. What is known is used meanwhile.
    pub(super) fn refresh_discovery(&mut self) {
        let is_old = self.now.since(self.phase.discovered_at) >= DISCOVERY_TTL;
        let is_useless = self.phase.failed_connections >= FAILURES_BEFORE_DISCOVERY;
        if (is_old || is_useless) && !self.phase.discovering && !self.stopping {
            self.phase.failed_connections = 0;
            self.discover();
        }
    }

    pub(super) fn discovered(&mut self, result: Result<Vec<u8>, ApiError>) {
        self.phase.discovering = false;
        let operation = "DiscoverPollEndpoint";
        match result.and_then(|body| Endpoints::read(&body)) {
            Ok(endpoints) => {
                self.phase.endpoints = Some(endpoints);
                self.phase.discovered_at = self.now;
                self.open_link();
            }
            Err(error) => {
                self.log(LogLine::CallFailed { operation, error });
                if !matches!(self.phase.step, Step::Linked) {
                    let wait = self.phase.backoff.fail().min(Duration::from_secs(30));
                    self.phase.step = Step::Discover(self.now + wait);
                }
            }
        }
    }

    fn open_link(&mut self) {
        self.phase.step = Step::Linked;
        if self.commands.is_none() && !self.stopping {
            let session = client::Session::new(self.now, self.seed.of(6), self.manifest_number);
            self.commands = Some(session);
            self.telemetry = Some(client::Telemetry::new(self.now, self.seed.of(7)));
        }
    }
}

//! The server's ends of the agents' sockets: what `longshore_controllers::hub` does around tokio.

use std::collections::VecDeque;

use longshore_base::{Seed, TaskId, Timestamp};
use longshore_controllers::link::{self, Found, Look};
use longshore_link::client::Loss;
use longshore_link::server::{CloseReason, Input, Observation, Output, Session, Telemetry, TelemetryOutput};
use longshore_link::upgrade::{AcsQuery, TcsQuery};
use longshore_node::core::{Socket, SocketEvent};
use longshore_tables_ecs::InstanceKey;
use serde_json::Value;

use super::World;
use super::network::PipeId;
use super::server::{Then, Writer};

/// One open socket.
pub(super) struct Served {
    pub at: InstanceKey,
    generation: u64,
    kind: Kind,
    /// Frames that nobody has read yet; `None` is the end of the connection.
    inbox: VecDeque<Option<String>>,
    /// The instance's work has changed, or a newer connection has come.
    woken: bool,
    /// What is to be looked at then.
    look: Look,
    /// It waits for the disk, and does nothing meanwhile.
    waits: bool,
}

enum Kind {
    /// `None` until the connection is noted.
    Acs {
        session: Option<Box<Session>>,
    },
    Tcs(Telemetry),
}

/// What a socket waited for.
pub(super) enum Wake {
    /// Who it is has been found out, from durable state.
    Identified { socket: Socket, at: Result<InstanceKey, longshore_link::upgrade::Refusal>, query: AcsQuery },
    /// The connection is noted.
    Noted(Option<longshore_link::server::Connection>),
    /// What a look at the instance's work has found; `None` if it is not served any more.
    Looked(Look, Option<Found>),
    /// Something was written.
    Written,
}

impl Served {
    pub fn deadline(&self) -> Option<Timestamp> {
        if self.waits {
            return None;
        }
        match &self.kind {
            Kind::Acs { session } => session.as_ref().and_then(|session| session.deadline()),
            Kind::Tcs(telemetry) => telemetry.deadline(),
        }
    }
}

impl World {
    fn served(&mut self, pipe: PipeId) -> Option<&mut Served> {
        self.server.up.as_mut()?.sessions.get_mut(&pipe)
    }

    pub(super) fn upgrade(&mut self, pipe: PipeId, query: &str) {
        let Some((socket, machine)) = self.pipes.get(&pipe).map(|pipe| (pipe.socket, pipe.machine)) else {
            return;
        };
        let scope = self.host_of(machine).scope.clone();
        let Some(running) = &self.server.up else {
            return self.send_down(pipe, SocketEvent::Refused(None));
        };
        let acs = AcsQuery::parse(query);
        let arn = match socket {
            Socket::Commands => acs.container_instance_arn.clone(),
            Socket::Telemetry => TcsQuery::parse(query).container_instance_arn,
        };
        let at = link::identify(&running.state, &scope, &arn);
        let sequence = running.state.sequence();
        self.when_durable(sequence, Then::Session(pipe, Wake::Identified { socket, at, query: acs }));
    }

    /// A frame from the agent, or the end of the connection.
    pub(super) fn server_hears(&mut self, pipe: PipeId, frame: Option<String>) {
        match self.served(pipe) {
            Some(served) => {
                served.inbox.push_back(frame);
                self.pump(pipe);
            }
            // It was never opened here, or a server that is gone had it.
            None if frame.is_some() => self.send_down(pipe, SocketEvent::Lost(Loss::Broken)),
            None => {
                self.pipes.remove(&pipe);
            }
        }
    }

    /// Wakes a session, to look at `task` if one is named.
    pub(super) fn wake_session(&mut self, pipe: PipeId, task: Option<TaskId>) {
        if let Some(served) = self.served(pipe) {
            served.woken = true;
            if let Some(task) = task {
                served.look.also(task);
            }
            self.pump(pipe);
        }
    }

    pub(super) fn session_wakes(&mut self, pipe: PipeId, wake: Wake) {
        let now = self.server_now();
        match wake {
            Wake::Identified { at: Err(refusal), .. } => {
                return self.send_down(pipe, SocketEvent::Refused(Some(refusal)));
            }
            Wake::Identified { socket, at: Ok(at), query } => return self.accept(pipe, socket, at, &query),
            Wake::Noted(connection) => {
                let Some(connection) = connection else {
                    return self.close(pipe, Some(CloseReason::Deregistered));
                };
                let Some(served) = self.served(pipe) else { return };
                if let Kind::Acs { session } = &mut served.kind {
                    *session = Some(Box::new(Session::new(now, connection)));
                }
                // The first list starts the conversation, whatever it says.
                return self.look_at_work(pipe, Look::All);
            }
            Wake::Looked(look, found) => {
                let Some(served) = self.served(pipe) else { return };
                served.waits = false;
                if let Kind::Acs { session: Some(session) } = &mut served.kind {
                    match found {
                        Some(found) => link::tell(session, now, &look, found),
                        None => session.handle(now, Input::Close(CloseReason::Deregistered)),
                    }
                }
            }
            Wake::Written => {
                if let Some(served) = self.served(pipe) {
                    served.waits = false;
                }
            }
        }
        self.pump(pipe);
    }

    fn accept(&mut self, pipe: PipeId, socket: Socket, at: InstanceKey, query: &AcsQuery) {
        if !self.pipes.contains_key(&pipe) {
            return;
        }
        let now = self.server_now();
        self.send_down(pipe, SocketEvent::Opened);
        let Some(running) = &mut self.server.up else { return };
        running.generations += 1;
        let generation = running.generations;
        let seed = Seed::new(generation.into());
        let kind = match socket {
            Socket::Commands => Kind::Acs { session: None },
            Socket::Telemetry => Kind::Tcs(Telemetry::new(now, seed)),
        };
        let served = Served {
            at: at.clone(),
            generation,
            kind,
            inbox: VecDeque::new(),
            woken: false,
            look: Look::default(),
            waits: false,
        };
        running.sessions.insert(pipe, served);
        if socket == Socket::Telemetry {
            return;
        }
        let older = running.newest.insert(at.clone(), (generation, pipe));
        if let Some((_, older)) = older {
            self.wake_session(older, None);
        }
        if let Some(served) = self.served(pipe) {
            served.waits = true;
        }
        let noted = self.submit(&Writer::Link, |tx| Ok::<_, ()>(link::connected(tx, &at, query, seed)));
        if let Some((Ok(connection), sequence)) = noted {
            self.when_durable(sequence, Then::Session(pipe, Wake::Noted(connection)));
        }
    }

    /// Looks at what the instance should run, and goes on when that is durable.
    fn look_at_work(&mut self, pipe: PipeId, look: Look) {
        let Some(running) = &mut self.server.up else { return };
        let Some(served) = running.sessions.get_mut(&pipe) else { return };
        served.waits = true;
        let found = link::look(&running.state, &served.at, &look);
        let sequence = running.state.sequence();
        self.when_durable(sequence, Then::Session(pipe, Wake::Looked(look, found)));
    }

    pub(super) fn tick_sessions(&mut self) {
        let now = self.server_now();
        let Some(running) = &mut self.server.up else { return };
        let due: Vec<PipeId> = running
            .sessions
            .iter()
            .filter(|(_, served)| served.deadline().is_some_and(|at| at <= now))
            .map(|(&pipe, _)| pipe)
            .collect();
        for pipe in due {
            if let Some(served) = self.served(pipe) {
                match &mut served.kind {
                    Kind::Acs { session: Some(session) } => session.handle(now, Input::Tick),
                    Kind::Acs { session: None } => {}
                    Kind::Tcs(telemetry) => telemetry.tick(now),
                }
            }
            self.pump(pipe);
        }
    }

    /// Lets a socket do all that it can: first what it has to say, then what it hears.
    fn pump(&mut self, pipe: PipeId) {
        let now = self.server_now();
        loop {
            let Some(running) = &mut self.server.up else { return };
            let Some(served) = running.sessions.get_mut(&pipe) else { return };
            if served.waits {
                return;
            }
            let step = match &mut served.kind {
                Kind::Acs { session: None } => return,
                Kind::Acs { session: Some(session) } => {
                    let (state, at) = (&running.state, &served.at);
                    match session.poll(&mut |arn| link::task_payload(state, at, arn)) {
                        Some(output) => Step::Acs(output),
                        None => Step::Hear,
                    }
                }
                Kind::Tcs(telemetry) => match telemetry.poll() {
                    Some(output) => Step::Tcs(Box::new(output)),
                    None => Step::Hear,
                },
            };
            match step {
                Step::Acs(output) => {
                    if !self.acs_output(pipe, output) {
                        return;
                    }
                }
                Step::Tcs(output) => {
                    if !self.tcs_output(pipe, *output) {
                        return;
                    }
                }
                Step::Hear => {
                    let newest = running.newest.get(&served.at).map(|(generation, _)| *generation);
                    if let Some(frame) = served.inbox.pop_front() {
                        let Some(text) = frame else { return self.close(pipe, None) };
                        match &mut served.kind {
                            Kind::Acs { session: Some(session) } => {
                                session.handle(now, Input::Received(&text))
                            }
                            Kind::Acs { session: None } => {}
                            Kind::Tcs(telemetry) => {
                                // Frames carry their signature, as on the wire.
                                let signed = longshore_link::message::join_signed([("Host", "sim")], &text);
                                telemetry.received(now, &signed);
                            }
                        }
                    } else if std::mem::take(&mut served.woken) {
                        if newest == Some(served.generation) {
                            let look = std::mem::take(&mut served.look);
                            return self.look_at_work(pipe, look);
                        }
                        if let Kind::Acs { session: Some(session) } = &mut served.kind {
                            session.handle(now, Input::Close(CloseReason::Superseded));
                        }
                    } else {
                        return;
                    }
                }
            }
        }
    }

    /// Takes one task out of a manifest, if a step asks for that: so a control plane would speak that does not know yet
    /// what another one has placed. The agent has to ask before it stops anything.
    fn make_stale(&mut self, pipe: PipeId, text: String) -> String {
        let Some(machine) = self.pipes.get(&pipe).map(|pipe| pipe.machine) else { return text };
        if !self.machines[machine].stale_manifest {
            return text;
        }
        let Ok(mut frame) = serde_json::from_str::<Value>(&text) else { return text };
        if frame["type"] != "TaskManifestMessage" {
            return text;
        }
        self.machines[machine].stale_manifest = false;
        let Some(tasks) = frame["message"]["tasks"].as_array_mut().filter(|tasks| !tasks.is_empty()) else {
            return text;
        };
        tasks.remove(self.network.below(tasks.len()));
        frame.to_string()
    }

    /// True if the socket goes on at once.
    fn acs_output(&mut self, pipe: PipeId, output: Output) -> bool {
        match output {
            Output::Send(text) => {
                let text = self.make_stale(pipe, text);
                self.note(|| format!("server says on {}: {text}", pipe.0));
                if let Some(machine) = self.pipes.get(&pipe).map(|pipe| pipe.machine) {
                    self.check_isolation(self.machines[machine].place, &text);
                }
                self.send_down(pipe, SocketEvent::Received(text));
            }
            Output::Close(reason) => {
                self.close(pipe, Some(reason));
                return false;
            }
            Output::CredentialsSettled => {
                let Some(served) = self.served(pipe) else { return false };
                served.waits = true;
                let at = served.at.clone();
                if let Some(sequence) = self.settle_credentials(&at) {
                    self.when_durable(sequence, Then::Session(pipe, Wake::Written));
                }
                return false;
            }
            Output::Malformed(error) => {
                self.fail("link", format!("the server cannot read an agent: {error}"))
            }
            Output::Strays(tasks) => self.note(|| format!("strays: {tasks:?}")),
            Output::HeartbeatSeen | Output::TaskAcked { .. } | Output::CredentialsAcked { .. } => {}
        }
        true
    }

    fn tcs_output(&mut self, pipe: PipeId, output: TelemetryOutput) -> bool {
        match output {
            TelemetryOutput::Send(text) => self.send_down(pipe, SocketEvent::Received(text)),
            TelemetryOutput::Observed(Observation::Health(published)) => {
                let Some(served) = self.served(pipe) else { return false };
                served.waits = true;
                let at = served.at.clone();
                let mut last = None;
                for tasks in link::health_parts(&published.tasks) {
                    let written = self.submit(&Writer::Link, |tx| {
                        link::health(tx, &at, tasks);
                        Ok::<_, ()>(())
                    });
                    last = written.map(|(_, sequence)| sequence).or(last);
                }
                match last {
                    Some(sequence) => self.when_durable(sequence, Then::Session(pipe, Wake::Written)),
                    // It told of nothing.
                    None => {
                        let Some(served) = self.served(pipe) else { return false };
                        served.waits = false;
                        return true;
                    }
                }
                return false;
            }
            TelemetryOutput::Observed(Observation::Metrics(_) | Observation::InstanceStatus(_)) => {}
            TelemetryOutput::Malformed(error) => {
                self.fail("link", format!("the server cannot read telemetry: {error}"))
            }
            TelemetryOutput::Close(reason) => {
                self.close(pipe, Some(reason));
                return false;
            }
        }
        true
    }

    /// The connection is over on this side.
    fn close(&mut self, pipe: PipeId, reason: Option<CloseReason>) {
        let Some(running) = &mut self.server.up else { return };
        let Some(served) = running.sessions.remove(&pipe) else { return };
        match reason {
            Some(reason) => self.send_down(pipe, SocketEvent::Lost(Loss::Closed(reason.code()))),
            None => {
                self.pipes.remove(&pipe);
            }
        }
        if matches!(served.kind, Kind::Acs { .. }) {
            self.leave(&served.at, served.generation);
        }
    }
}

enum Step {
    Acs(Output),
    Tcs(Box<TelemetryOutput>),
    Hear,
}

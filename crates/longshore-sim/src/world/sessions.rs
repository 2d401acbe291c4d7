//! The server's ends of the agents' sockets.
//!
//! What `longshore-hub` is around tokio, this is around the event queue: the same `CommandChannel` says what a connection
//! does. What is told here alone: frames that nobody has read, and answers that come once the disk has written.

use std::collections::VecDeque;

use longshore_base::{Seed, Timestamp};
use longshore_controllers::connection::{CommandChannel, Generation, Input, Output};
use longshore_controllers::link::{self, Found, Look, Renewal, Renewed};
use longshore_link::client::Loss;
use longshore_link::server::{CloseReason, Connection, Observation, Telemetry, TelemetryOutput};
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
    generation: Generation,
    kind: Kind,
    /// Frames that nobody has read yet; `None` is the end of the connection.
    inbox: VecDeque<Option<String>>,
    /// The instance's work has changed, or a newer connection has come.
    woken: bool,
    /// A message waits for what it was made of to be durable; nothing else happens meanwhile.
    is_held: bool,
    /// When the agent was noted as connected, by the world's time.
    begun: Option<Timestamp>,
}

enum Kind {
    Acs {
        channel: Box<CommandChannel>,
        /// What the upgrade said.
        query: AcsQuery,
    },
    Tcs {
        session: Telemetry,
        /// It waits for the disk, and hears nothing meanwhile.
        waits: bool,
    },
}

/// What a socket waited for.
pub(super) enum Wake {
    /// Who it is has been found out, from durable state.
    Identified { socket: Socket, at: Result<InstanceKey, longshore_link::upgrade::Refusal>, query: AcsQuery },
    /// The connection is noted; `None` if the instance has gone meanwhile.
    Connected(Option<Connection>),
    /// What a look at the instance's work has found; `None` if it is not served any more.
    Looked(Look, Option<Found>),
    /// New credentials, made of durable state.
    Renewed(Renewal, Renewed),
    /// A message that was made of durable state.
    Made(String),
    /// The agent is noted as one that has its credentials.
    Settled,
    /// What it observed is written down.
    TakenIn,
}

impl Served {
    pub fn deadline(&self) -> Option<Timestamp> {
        match &self.kind {
            Kind::Acs { .. } if self.is_held => None,
            Kind::Acs { channel, .. } => channel.deadline(),
            Kind::Tcs { session, waits } => session.deadline().filter(|_| !waits),
        }
    }

    fn waits(&self) -> bool {
        match &self.kind {
            Kind::Acs { .. } if self.is_held => true,
            Kind::Acs { channel, .. } => channel.waits(),
            Kind::Tcs { waits, .. } => *waits,
        }
    }

    fn tick(&mut self, now: Timestamp) {
        match &mut self.kind {
            Kind::Acs { channel, .. } => channel.handle(now, Input::Tick),
            Kind::Tcs { session, .. } => session.tick(now),
        }
    }

    fn hears(&mut self, now: Timestamp, text: &str) {
        match &mut self.kind {
            Kind::Acs { channel, .. } => channel.handle(now, Input::Received(text)),
            Kind::Tcs { session, .. } => {
                // Frames carry their signature, as on the wire.
                let signed = longshore_link::message::join_signed([("Host", "sim")], text);
                session.received(now, &signed);
            }
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

    pub(super) fn wake_session(&mut self, pipe: PipeId) {
        if let Some(served) = self.served(pipe) {
            served.woken = true;
            self.pump(pipe);
        }
    }

    pub(super) fn session_wakes(&mut self, pipe: PipeId, wake: Wake) {
        let answer = match wake {
            Wake::Identified { at: Err(refusal), .. } => {
                return self.send_down(pipe, SocketEvent::Refused(Some(refusal)));
            }
            Wake::Identified { socket, at: Ok(at), query } => return self.accept(pipe, socket, at, query),
            Wake::Connected(connection) => Some(Input::Connected(connection)),
            Wake::Looked(look, found) => Some(Input::Looked(look, found)),
            Wake::Renewed(renewal, made) => Some(Input::Renewed(renewal, made)),
            Wake::Made(text) => {
                let Some(served) = self.served(pipe) else { return };
                served.is_held = false;
                self.say(pipe, text);
                return self.pump(pipe);
            }
            Wake::Settled => Some(Input::Settled),
            Wake::TakenIn => None,
        };
        let (now, world_now) = (self.server_now(), self.now);
        let Some(served) = self.served(pipe) else { return };
        if let Some(Input::Connected(Some(_))) = &answer {
            served.begun = Some(world_now);
        }
        match (&mut served.kind, answer) {
            (Kind::Acs { channel, .. }, Some(answer)) => channel.handle(now, answer),
            (Kind::Tcs { waits, .. }, None) => *waits = false,
            (Kind::Acs { .. }, None) | (Kind::Tcs { .. }, Some(_)) => {
                self.fail("link", "a socket gets the answer of another kind");
            }
        }
        self.pump(pipe);
    }

    fn accept(&mut self, pipe: PipeId, socket: Socket, at: InstanceKey, query: AcsQuery) {
        if !self.pipes.contains_key(&pipe) {
            return;
        }
        let now = self.server_now();
        self.send_down(pipe, SocketEvent::Opened);
        let Some(running) = &mut self.server.up else { return };
        let (generation, older, kind) = match socket {
            Socket::Commands => {
                let (generation, older) = running.registry.enter(&at, pipe);
                (generation, older, Kind::Acs { channel: Box::new(CommandChannel::new(now)), query })
            }
            Socket::Telemetry => {
                let generation = running.registry.generation();
                let session = Telemetry::new(now, generation.seed());
                (generation, None, Kind::Tcs { session, waits: false })
            }
        };
        let inbox = VecDeque::new();
        let served = Served { at, generation, kind, inbox, woken: false, is_held: false, begun: None };
        running.sessions.insert(pipe, served);
        if let Some(older) = older {
            self.wake_session(older);
        }
        self.pump(pipe);
    }

    /// Notes that the agent is connected, and goes on when that is durable.
    fn write_connected(&mut self, pipe: PipeId) {
        let Some(served) = self.served(pipe) else { return };
        let Kind::Acs { query, .. } = &served.kind else { return };
        let (at, query, seed) = (served.at.clone(), query.clone(), served.generation.seed());
        let noted = self.submit(&Writer::Link, |tx| Ok::<_, ()>(link::connected(tx, &at, &query, seed)));
        if let Some((Ok(connection), sequence)) = noted {
            self.when_durable(sequence, Then::Session(pipe, Wake::Connected(connection)));
        }
    }

    /// Looks at what the instance should run, and goes on when that is durable.
    fn look_at_work(&mut self, pipe: PipeId, look: Look) {
        let Some(running) = &mut self.server.up else { return };
        let Some(served) = running.sessions.get(&pipe) else { return };
        let found = link::look(&running.state, &served.at, &look);
        let sequence = running.state.sequence();
        self.when_durable(sequence, Then::Session(pipe, Wake::Looked(look, found)));
    }

    fn write_settled(&mut self, pipe: PipeId) {
        let Some(served) = self.served(pipe) else { return };
        let at = served.at.clone();
        let settled = self.submit(&Writer::Link, |tx| {
            link::credentials_settled(tx, &at);
            Ok::<_, ()>(())
        });
        if let Some((_, sequence)) = settled {
            self.when_durable(sequence, Then::Session(pipe, Wake::Settled));
        }
    }

    fn renew(&mut self, pipe: PipeId, renewal: Renewal) {
        let (now, secrets) = (self.server_now(), self.draw_secrets());
        let Some(running) = &mut self.server.up else { return };
        let Some(served) = running.sessions.get(&pipe) else { return };
        let made = link::fresh_credentials(&running.state, &served.at, &renewal, now, secrets);
        let sequence = running.state.sequence();
        self.when_durable(sequence, Then::Session(pipe, Wake::Renewed(renewal, made)));
    }

    /// When the connection began that a machine's agent has, and since when it has had no trouble of its network.
    pub(super) fn connected_since(&self, index: usize) -> Option<(Timestamp, Timestamp)> {
        let machine = &self.machines[index];
        let pipe = machine.agent.as_ref().filter(|_| machine.cut_until.is_none())?.commands()?;
        let begun = self.server.up.as_ref()?.sessions.get(&pipe)?.begun?;
        Some((begun, begun.max(machine.healed_at)))
    }

    /// A seed for the secrets of one message; apart from those that decide what happens.
    fn draw_secrets(&mut self) -> Seed {
        self.secrets += 1;
        self.seed.of(5).of(self.secrets)
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
                served.tick(now);
            }
            self.pump(pipe);
        }
    }

    /// Lets a socket do all that it can: first what it has to say, then what it hears.
    fn pump(&mut self, pipe: PipeId) {
        let now = self.server_now();
        loop {
            let secrets = self.draw_secrets();
            let Some(running) = &mut self.server.up else { return };
            let Some(served) = running.sessions.get_mut(&pipe).filter(|served| !served.is_held) else {
                return;
            };
            let goes_on = match &mut served.kind {
                Kind::Acs { channel, .. } => {
                    let (state, at, mut is_made) = (&running.state, &served.at, false);
                    let output = channel.poll(&mut |arn| {
                        is_made = true;
                        link::task_payload(state, at, arn, now, secrets)
                    });
                    match output {
                        Some(Output::Send(text)) if is_made => {
                            served.is_held = true;
                            let sequence = running.state.sequence();
                            return self.when_durable(sequence, Then::Session(pipe, Wake::Made(text)));
                        }
                        output => output.map(|output| self.acs_output(pipe, output)),
                    }
                }
                Kind::Tcs { waits: true, .. } => None,
                Kind::Tcs { session, .. } => {
                    let output = session.poll();
                    output.map(|output| self.tcs_output(pipe, output))
                }
            };
            if !goes_on.unwrap_or_else(|| self.listen(pipe)) {
                return;
            }
        }
    }

    /// Hears what is next. False if there is nothing, or nobody who hears.
    fn listen(&mut self, pipe: PipeId) -> bool {
        let now = self.server_now();
        let Some(running) = &mut self.server.up else { return false };
        let Some(served) = running.sessions.get_mut(&pipe) else { return false };
        if served.waits() {
            return false;
        }
        match served.inbox.pop_front() {
            Some(Some(text)) => served.hears(now, &text),
            Some(None) => {
                self.close(pipe, None);
                return false;
            }
            None if std::mem::take(&mut served.woken) => {
                if let Kind::Acs { channel, .. } = &mut served.kind {
                    channel.handle(now, Input::News(running.registry.news(&served.at, served.generation)));
                }
            }
            None => return false,
        }
        true
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

    fn say(&mut self, pipe: PipeId, text: String) {
        let text = self.make_stale(pipe, text);
        self.note(|| format!("server says on {}: {text}", pipe.0));
        if let Some(machine) = self.pipes.get(&pipe).map(|pipe| pipe.machine) {
            self.check_isolation(self.machines[machine].place, &text);
        }
        self.send_down(pipe, SocketEvent::Received(text));
    }

    /// True if the socket goes on at once.
    fn acs_output(&mut self, pipe: PipeId, output: Output) -> bool {
        match output {
            Output::Send(text) => self.say(pipe, text),
            Output::Close(reason) => {
                self.close(pipe, Some(reason));
                return false;
            }
            Output::Malformed(error) => {
                self.fail("link", format!("the server cannot read an agent: {error}"))
            }
            Output::Strays(tasks) => self.note(|| format!("strays: {tasks:?}")),
            // Each of these answers, perhaps at once.
            Output::WriteConnected => self.write_connected(pipe),
            Output::Look(look) => self.look_at_work(pipe, look),
            Output::WriteSettled => self.write_settled(pipe),
            Output::Renew(renewal) => self.renew(pipe, renewal),
        }
        true
    }

    fn tcs_output(&mut self, pipe: PipeId, output: TelemetryOutput) -> bool {
        match output {
            TelemetryOutput::Send(text) => self.send_down(pipe, SocketEvent::Received(text)),
            TelemetryOutput::Observed(observation) => self.take_in(pipe, &observation),
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

    /// Takes in what an agent observed, and hears it again when that is durable.
    fn take_in(&mut self, pipe: PipeId, observation: &Observation) {
        let Some(Served { at, kind: Kind::Tcs { waits, .. }, .. }) = self.served(pipe) else { return };
        *waits = true;
        let at = at.clone();
        let mut last = None;
        for part in link::parts(observation) {
            let written = self.submit(&Writer::Link, |tx| {
                link::take_in(tx, &at, &part);
                Ok::<_, ()>(())
            });
            last = written.map(|(_, sequence)| sequence).or(last);
        }
        match last {
            Some(sequence) => self.when_durable(sequence, Then::Session(pipe, Wake::TakenIn)),
            // It told of nothing.
            None => self.session_wakes(pipe, Wake::TakenIn),
        }
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

//! Delays, losses, cuts. Inside one connection order holds; between connections and calls it does not.

use std::time::Duration;

use longshore_base::Timestamp;
use longshore_link::client::Loss;
use longshore_node::api::ApiError;
use longshore_node::core::{Input, Socket, SocketEvent};

use super::users::Wish;
use super::{Event, World};

/// How long callers wait for an answer.
const PATIENCE_MILLIS: u64 = 15_000;
const PATIENCE: Duration = Duration::from_millis(PATIENCE_MILLIS);
/// How late a request can arrive a second time, after others that were sent later.
const REPEAT_MAX_MILLIS: u64 = 30_000;
/// How long after its caller gave up a request can still arrive.
const LATE_MAX_MILLIS: u64 = 20_000;

/// How long after the first of `tries` calls, with pauses of at most `pause_millis` in between, the last one can arrive.
pub(super) const fn last_arrival(tries: u64, pause_millis: u64) -> Duration {
    let latest = if REPEAT_MAX_MILLIS > PATIENCE_MILLIS + LATE_MAX_MILLIS {
        REPEAT_MAX_MILLIS
    } else {
        PATIENCE_MILLIS + LATE_MAX_MILLIS
    };
    Duration::from_millis(tries * (PATIENCE_MILLIS + pause_millis) + latest)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CallId(pub u64);

/// Who calls.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    Agent { machine: usize, incarnation: u64, call: longshore_node::core::CallId },
    User(Wish),
}

/// An HTTP call that somebody still waits for, or that is still on its way.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub caller: Caller,
    pub operation: &'static str,
    pub body: String,
    lose_answer: bool,
    /// Nobody waits any more.
    given_up: bool,
    /// The server has it, or had it.
    arrived: bool,
}

/// What comes back: a status and a body, or nothing at all.
pub(super) type Reply = Result<(u16, Vec<u8>), String>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PipeId(pub u64);

/// A TCP connection that carries a websocket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pipe {
    pub machine: usize,
    pub incarnation: u64,
    pub socket: Socket,
    /// The agent's number for it.
    pub connection: u64,
    up_at: Timestamp,
    down_at: Timestamp,
}

impl World {
    fn delay(&mut self) -> Duration {
        let (low, high) = self.setup.network.delay_millis;
        self.network.millis(low, high)
    }

    /// Sends a request over a connection of its own.
    pub(super) fn call(&mut self, caller: Caller, operation: &'static str, body: String) {
        self.next_call += 1;
        let id = CallId(self.next_call);
        let faults = self.setup.network;
        let mut chance = |share| !self.calm && self.network.per_mille(share);
        let (lost, lose_answer, late) =
            (chance(faults.lose_request), chance(faults.lose_answer), chance(faults.late_request));
        let repeated = chance(faults.repeat_request);
        self.note(|| format!("call {} {operation} {body}", id.0));
        let call = Call { caller, operation, body, lose_answer, given_up: false, arrived: false };
        if repeated {
            self.next_call += 1;
            let again = CallId(self.next_call);
            self.calls.insert(again, Call { given_up: true, ..call.clone() });
            let at = self.now + self.network.millis(0, REPEAT_MAX_MILLIS);
            self.push(at, Event::Request(again));
        }
        self.calls.insert(id, call);
        let delay = self.delay();
        if late {
            let more = PATIENCE + self.network.millis(0, LATE_MAX_MILLIS);
            self.push(self.now + more, Event::Request(id));
        } else if !lost {
            self.push(self.now + delay, Event::Request(id));
        }
        self.push(self.now + PATIENCE, Event::GiveUp(id));
    }

    /// The request is here.
    pub(super) fn request(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        if std::mem::replace(&mut call.arrived, true) {
            return;
        }
        let call = call.clone();
        self.serve(id, &call);
    }

    /// The server, or the network in its place, answers.
    pub(super) fn send_answer(&mut self, id: CallId, reply: Reply) {
        let Some(call) = self.calls.get(&id) else { return };
        if call.lose_answer && reply.is_ok() {
            return self.note(|| format!("answer to call {} is lost", id.0));
        }
        let delay = self.delay();
        self.push(self.now + delay, Event::Answer { call: id, reply });
    }

    pub(super) fn answer(&mut self, id: CallId, reply: Reply) {
        let Some(call) = self.calls.remove(&id) else { return };
        if call.given_up {
            return;
        }
        self.note(|| match &reply {
            Ok((status, body)) => format!("answer {} {status} {}", id.0, String::from_utf8_lossy(body)),
            Err(error) => format!("no answer {}: {error}", id.0),
        });
        self.tally.answers += 1;
        self.tally.refusals += u64::from(!matches!(reply, Ok((200, _))));
        self.hear(call, reply);
    }

    pub(super) fn give_up(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        if !std::mem::replace(&mut call.given_up, true) {
            let call = call.clone();
            self.note(|| format!("call {} is given up", id.0));
            self.hear(call, Err("timed out".into()));
        }
    }

    fn hear(&mut self, call: Call, reply: Reply) {
        match call.caller {
            Caller::Agent { machine, incarnation, call } => {
                if self.machines[machine].incarnation == incarnation {
                    let result = match reply {
                        Ok((200, body)) => Ok(body),
                        Ok((status, body)) => Err(ApiError::of_answer(status, &body)),
                        Err(text) => Err(ApiError::Transport(text)),
                    };
                    self.agent_input(machine, Input::Answered { call, result });
                }
            }
            Caller::User(wish) => self.heard(wish, reply),
        }
    }

    /// All calls that the server has and has not answered end with an error: it crashed.
    pub(super) fn break_calls(&mut self, under_way: Vec<CallId>) {
        for call in under_way {
            self.send_answer(call, Err("connection reset".into()));
        }
    }

    pub(super) fn open_pipe(
        &mut self,
        machine: usize,
        socket: Socket,
        connection: u64,
        query: String,
    ) -> PipeId {
        self.next_pipe += 1;
        let id = PipeId(self.next_pipe);
        let incarnation = self.machines[machine].incarnation;
        let delay = self.delay();
        let at = self.now + delay;
        let pipe = Pipe { machine, incarnation, socket, connection, up_at: at, down_at: self.now };
        self.pipes.insert(id, pipe);
        self.push(at, Event::Upgrade { pipe: id, query });
        id
    }

    pub(super) fn send_up(&mut self, id: PipeId, frame: Option<String>) {
        let delay = self.delay();
        let now = self.now;
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        pipe.up_at = pipe.up_at.max(now + delay);
        let at = pipe.up_at;
        self.push(at, Event::ToServer { pipe: id, frame });
    }

    pub(super) fn send_down(&mut self, id: PipeId, event: SocketEvent) {
        let delay = self.delay();
        let now = self.now;
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        pipe.down_at = pipe.down_at.max(now + delay);
        let at = pipe.down_at;
        self.push(at, Event::ToAgent { pipe: id, event });
    }

    pub(super) fn agent_hears(&mut self, id: PipeId, event: SocketEvent) {
        let Some(&pipe) = self.pipes.get(&id) else { return };
        let ends = matches!(event, SocketEvent::Refused(_) | SocketEvent::Lost(_));
        if self.machines[pipe.machine].incarnation == pipe.incarnation {
            self.note(|| format!("m{} hears {:?} {event:?}", pipe.machine, pipe.socket));
            let (socket, connection) = (pipe.socket, pipe.connection);
            self.agent_input(pipe.machine, Input::Socket { socket, connection, event });
        } else if !ends {
            // Nobody is there: the machine's kernel says so.
            self.send_up(id, None);
        }
        if ends {
            self.pipes.remove(&id);
        }
    }

    /// Keeps back what cannot get through now. It goes on when the cut heals, as TCP has it.
    pub(super) fn hold_if_cut(&mut self, event: Event) -> Option<Event> {
        let machine = match &event {
            Event::Request(call) | Event::Answer { call, .. } => {
                match self.calls.get(call).map(|call| &call.caller) {
                    Some(Caller::Agent { machine, .. }) => *machine,
                    Some(Caller::User(_)) | None => return Some(event),
                }
            }
            Event::Upgrade { pipe, .. } | Event::ToServer { pipe, .. } | Event::ToAgent { pipe, .. } => {
                match self.pipes.get(pipe) {
                    Some(pipe) => pipe.machine,
                    None => return Some(event),
                }
            }
            Event::Step(_)
            | Event::GiveUp(_)
            | Event::Retry(_)
            | Event::Committed { .. }
            | Event::ServerUp
            | Event::Look { .. }
            | Event::Synced { .. }
            | Event::AgentUp { .. }
            | Event::Kill { .. }
            | Event::Heal { .. }
            | Event::Mend { .. }
            | Event::Ask => return Some(event),
        };
        let machine = &mut self.machines[machine];
        if machine.cut_until.is_some() {
            machine.held.push(event);
            return None;
        }
        Some(event)
    }

    pub(super) fn cut(&mut self, machine: usize, duration: Duration, breaks: bool) {
        let until = self.now + duration;
        self.note(|| format!("m{machine} is cut off for {duration:?}"));
        if breaks {
            self.break_pipes(machine);
        }
        let own = &mut self.machines[machine];
        own.cut_until = Some(own.cut_until.map_or(until, |earlier| earlier.max(until)));
        self.push(until, Event::Heal { machine });
    }

    /// Both ends of the machine's connections hear at once that they are over.
    pub(super) fn break_pipes(&mut self, machine: usize) {
        let ids: Vec<_> =
            self.pipes.iter().filter(|(_, pipe)| pipe.machine == machine).map(|(&id, _)| id).collect();
        for id in ids {
            self.agent_hears(id, SocketEvent::Lost(Loss::Broken));
            self.server_hears(id, None);
        }
    }

    pub(super) fn heal(&mut self, machine: usize) {
        let own = &mut self.machines[machine];
        if own.cut_until.is_none_or(|until| until > self.now) {
            return;
        }
        own.cut_until = None;
        own.healed_at = self.now;
        let held = std::mem::take(&mut own.held);
        self.note(|| format!("m{machine} is reachable again, {} held", held.len()));
        for event in held {
            self.push(self.now, event);
        }
    }
}

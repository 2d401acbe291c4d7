//! The life of one command channel (ACS), from its entry in the registry to its end.

use std::time::Duration;

use longshore_base::Timestamp;
use longshore_link::message::{MessageError, TaskPayload};
use longshore_link::server::{self, CloseReason, Connection, Session};

use super::registry::News;
use crate::link::{self, Found, Look};

/// How often a connection compares everything with what it has told. Hints make that unnecessary; should one ever be
/// missing, it costs this much time.
pub const LOOK_AT_ALL_EVERY: Duration = Duration::from_secs(300);

/// What has happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// The answer to [`Output::WriteConnected`]: `None` if the instance has gone meanwhile.
    Connected(Option<Connection>),
    /// The answer to [`Output::Look`]: `None` if the instance is not served any more.
    Looked(Look, Option<Found>),
    /// The answer to [`Output::WriteSettled`].
    Settled,
    /// A text frame from the agent.
    Received(&'a str),
    /// The connection was woken, and this is what the registry has for it.
    News(News),
    /// The server goes away.
    Draining,
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Debug)]
pub enum Output {
    /// Write down that the agent is connected ([`link::connected`]), and answer with [`Input::Connected`].
    WriteConnected,
    /// Look at what the instance should run ([`link::look`]), and answer with [`Input::Looked`].
    Look(Look),
    /// Write down that the agent has its credentials ([`link::credentials_settled`]), and answer with [`Input::Settled`].
    WriteSettled,
    /// A text frame for the agent.
    Send(String),
    /// For the log: the agent ran tasks that nobody wants there, and was told to stop these.
    Strays(Vec<String>),
    /// For the log: the agent sent something that is no message. It was skipped.
    Malformed(MessageError),
    /// Close the socket with this code. Nothing comes after it.
    Close(CloseReason),
}

/// One command channel. After every [`handle`](Self::handle), call [`poll`](Self::poll) until it gives `None`; call
/// `handle(now, Tick)` no later than [`deadline`](Self::deadline).
#[derive(Debug)]
pub struct CommandChannel {
    step: Step,
    /// `None` until the connection is written down.
    session: Option<Session>,
    /// What is looked at next.
    look: Option<Look>,
    look_at_all_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It has entered, and nothing more.
    Entered,
    /// An answer is out.
    Waits,
    Talks,
    /// To be closed, whatever else there is to do or to wait for.
    Closes(CloseReason),
    Closed,
}

impl CommandChannel {
    /// Of a connection that has just entered the registry.
    pub fn new(now: Timestamp) -> Self {
        Self { step: Step::Entered, session: None, look: None, look_at_all_at: now }
    }

    pub fn handle(&mut self, now: Timestamp, input: Input<'_>) {
        match self.step {
            // An answer that is late, or words that nobody can reply to.
            Step::Closes(_) | Step::Closed => return,
            Step::Entered | Step::Waits | Step::Talks => {}
        }
        match input {
            Input::Connected(Some(connection)) => {
                self.step = Step::Talks;
                self.session = Some(Session::new(now, connection));
                // The first list starts the conversation, whatever it says.
                self.look = Some(Look::All);
            }
            Input::Connected(None) => self.step = Step::Closes(CloseReason::Deregistered),
            Input::Looked(look, found) => {
                self.step = Step::Talks;
                self.looked(now, &look, found);
            }
            Input::Settled => self.step = Step::Talks,
            Input::Received(text) => self.tell(now, server::Input::Received(text)),
            Input::News(News::Work(look)) => self.look_also(look),
            Input::News(News::Superseded) => {
                self.look = None;
                match &mut self.session {
                    Some(session) => session.handle(now, server::Input::Close(CloseReason::Superseded)),
                    None => self.step = Step::Closes(CloseReason::Superseded),
                }
            }
            Input::Draining => self.step = Step::Closes(CloseReason::Draining),
            Input::Tick => {
                self.tell(now, server::Input::Tick);
                if self.step == Step::Talks && self.look_at_all_at <= now {
                    self.look_also(Look::All);
                }
            }
        }
    }

    /// The next thing to do; `None` while an answer is out. `payloads` makes the message for a task that shall run,
    /// `None` if there is no such task any more.
    pub fn poll(&mut self, payloads: &mut dyn FnMut(&str) -> Option<TaskPayload>) -> Option<Output> {
        match self.step {
            Step::Entered => {
                self.step = Step::Waits;
                return Some(Output::WriteConnected);
            }
            Step::Closes(reason) => {
                self.step = Step::Closed;
                return Some(Output::Close(reason));
            }
            Step::Waits | Step::Closed => return None,
            Step::Talks => {}
        }
        // First: what is sent should be what is wanted now.
        if let Some(look) = self.look.take() {
            self.step = Step::Waits;
            return Some(Output::Look(look));
        }
        let session = self.session.as_mut()?;
        loop {
            return Some(match session.poll(payloads)? {
                server::Output::Send(text) => Output::Send(text),
                server::Output::Strays(tasks) => Output::Strays(tasks),
                server::Output::Malformed(error) => Output::Malformed(error),
                server::Output::CredentialsSettled => {
                    self.step = Step::Waits;
                    Output::WriteSettled
                }
                server::Output::Close(reason) => {
                    self.step = Step::Closed;
                    Output::Close(reason)
                }
                server::Output::HeartbeatSeen
                | server::Output::TaskAcked { .. }
                | server::Output::CredentialsAcked { .. } => continue,
            });
        }
    }

    /// When `handle(now, Tick)` is needed if nothing else happens. `None` while an answer is out, and after the end.
    pub fn deadline(&self) -> Option<Timestamp> {
        match (self.step, &self.session) {
            (Step::Talks, Some(session)) => Some(session.deadline()?.min(self.look_at_all_at)),
            (Step::Talks, None) | (Step::Entered | Step::Waits | Step::Closes(_) | Step::Closed, _) => None,
        }
    }

    /// Whether an answer is out. Until it is there, the agent's text and other news had better wait.
    pub fn waits(&self) -> bool {
        self.step == Step::Waits
    }

    fn tell(&mut self, now: Timestamp, input: server::Input<'_>) {
        if let Some(session) = &mut self.session {
            session.handle(now, input);
        }
    }

    fn looked(&mut self, now: Timestamp, look: &Look, found: Option<Found>) {
        let Some(session) = &mut self.session else { return };
        match found {
            Some(found) => link::tell(session, now, look, found),
            None => session.handle(now, server::Input::Close(CloseReason::Deregistered)),
        }
        if *look == Look::All {
            self.look_at_all_at = now + LOOK_AT_ALL_EVERY;
        }
    }

    fn look_also(&mut self, look: Look) {
        self.look = Some(match self.look.take() {
            Some(own) => own.and(look),
            None => look,
        });
    }
}

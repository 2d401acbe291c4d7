//! The life of one command channel (ACS), from its entry in the registry to its end.

use std::collections::BTreeSet;
use std::time::Duration;

use longshore_base::{Seed, TaskId, Timestamp};
use longshore_link::message::{MessageError, RoleCredentials, TaskPayload};
use longshore_link::server::{self, CloseReason, Connection, Session};

use super::registry::News;
use crate::link::{self, Found, Look, Renewal, Renewed};

/// How often a connection compares everything with what it has told. Hints make that unnecessary; should one ever be
/// missing, it costs this much time.
pub const LOOK_AT_ALL_EVERY: Duration = Duration::from_secs(300);

/// How often a connection renews the credentials of its tasks' roles: at half their life, a tenth of it sooner or later,
/// so that not all of a cluster's are made at once.
const RENEW_EVERY: Duration = crate::roles::LIFE.checked_div(2).expect("two is not zero");
const RENEW_JITTER: Duration = RENEW_EVERY.checked_div(5).expect("five is not zero");

/// A connection of an agent that has credentials already renews them within this time. How old they are nobody knows:
/// another connection has sent them, perhaps of a control plane that is gone.
const RENEW_SOON: Duration = Duration::from_secs(60);

/// How soon it is tried again for tasks with a role that could not be assumed (identity J8).
const RETRY_EVERY: Duration = Duration::from_secs(60);

/// What has happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// The answer to [`Output::WriteConnected`]: `None` if the instance has gone meanwhile.
    Connected(Option<Connection>),
    /// The answer to [`Output::Look`]: `None` if the instance is not served any more.
    Looked(Look, Option<Found>),
    /// The answer to [`Output::WriteSettled`].
    Settled,
    /// The answer to [`Output::Renew`].
    Renewed(Renewal, Renewed),
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
    /// Make new credentials for these tasks ([`link::fresh_credentials`]), and answer with [`Input::Renewed`].
    Renew(Renewal),
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
    /// When the credentials of the tasks are renewed. Never, before the connection is written down.
    renew_at: Option<Timestamp>,
    renewals: u64,
    /// Tasks with a role that could not be assumed, and when that is tried again.
    lacking: BTreeSet<TaskId>,
    retry_at: Option<Timestamp>,
    /// Sessions of roles that were made until then have been sent, or will be with the renewal that is to come.
    roles_seen_at: Timestamp,
    is_renewal_due: bool,
    is_retry_due: bool,
    now: Timestamp,
    /// Of the connection, for its jitter.
    seed: Seed,
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
        Self {
            step: Step::Entered,
            session: None,
            look: None,
            look_at_all_at: now,
            renew_at: None,
            renewals: 0,
            lacking: BTreeSet::new(),
            retry_at: None,
            roles_seen_at: now,
            is_renewal_due: false,
            is_retry_due: false,
            now,
            seed: Seed::new(0),
        }
    }

    pub fn handle(&mut self, now: Timestamp, input: Input<'_>) {
        self.now = self.now.max(now);
        match self.step {
            // An answer that is late, or words that nobody can reply to.
            Step::Closes(_) | Step::Closed => return,
            Step::Entered | Step::Waits | Step::Talks => {}
        }
        match input {
            Input::Connected(Some(connection)) => {
                self.step = Step::Talks;
                self.roles_seen_at = now;
                self.seed = connection.seed;
                // A new process gets them with its payloads.
                self.renew_at = Some(match connection.send_credentials {
                    true => self.next_renewal(now),
                    false => now + self.part(RENEW_SOON),
                });
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
            Input::Renewed(renewal, renewed) => {
                self.step = Step::Talks;
                for credentials in renewed.fresh {
                    self.tell(now, server::Input::Credentials(Box::new(credentials)));
                }
                self.lacking = renewed.lacking;
                self.retry_at = (!self.lacking.is_empty()).then_some(now + RETRY_EVERY);
                self.roles_seen_at = renewed.at;
                match renewal {
                    Renewal::All => self.renew_at = Some(self.next_renewal(now)),
                    Renewal::Late { .. } => {}
                }
            }
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
                let is_due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
                self.is_renewal_due = self.step == Step::Talks && is_due(self.renew_at);
                self.is_retry_due = self.step == Step::Talks && is_due(self.retry_at);
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
        let is_retry_due = std::mem::take(&mut self.is_retry_due);
        if std::mem::take(&mut self.is_renewal_due) {
            self.step = Step::Waits;
            return Some(Output::Renew(Renewal::All));
        }
        if is_retry_due {
            self.step = Step::Waits;
            let lacking = self.lacking.clone();
            return Some(Output::Renew(Renewal::Late { lacking, made_after: self.roles_seen_at }));
        }
        let session = self.session.as_mut()?;
        let (lacking, retry_at, now) = (&mut self.lacking, &mut self.retry_at, self.now);
        let mut payloads = |task: &str| {
            let payload = payloads(task)?;
            let own = [&payload.role_credentials, &payload.execution_role_credentials];
            if own.into_iter().flatten().any(RoleCredentials::are_announced_only) {
                lacking.extend(task.rsplit('/').next().and_then(|id| TaskId::parse(id).ok()));
                retry_at.get_or_insert(now + RETRY_EVERY);
            }
            Some(payload)
        };
        loop {
            return Some(match session.poll(&mut payloads)? {
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
            (Step::Talks, Some(session)) => {
                let renewals = [self.renew_at, self.retry_at].into_iter().flatten();
                renewals.chain([session.deadline()?, self.look_at_all_at]).min()
            }
            (Step::Talks, None) | (Step::Entered | Step::Waits | Step::Closes(_) | Step::Closed, _) => None,
        }
    }

    /// Whether an answer is out. Until it is there, the agent's text and other news had better wait.
    pub fn waits(&self) -> bool {
        self.step == Step::Waits
    }

    fn next_renewal(&mut self, now: Timestamp) -> Timestamp {
        now + (RENEW_EVERY - RENEW_JITTER / 2) + self.part(RENEW_JITTER)
    }

    /// A part of a time, another one each time.
    fn part(&mut self, most: Duration) -> Duration {
        self.renewals += 1;
        let millis = usize::try_from(most.as_millis()).unwrap_or(usize::MAX);
        // Apart from the jitter of the session, which has the same seed.
        Duration::from_millis(self.seed.of(u64::MAX - self.renewals).below(millis) as u64)
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
            // A role may have been deleted and made again meanwhile, of which no hint tells.
            self.is_retry_due = self.roles_seen_at < now;
        }
    }

    fn look_also(&mut self, look: Look) {
        self.look = Some(match self.look.take() {
            Some(own) => own.and(look),
            None => look,
        });
    }
}

//! The API calls of all instances, over a bounded number of connections.
//!
//! Instances share connections, because ten thousand agents that report at once would each need one. The
//! calls of one instance all go through the same worker, which keeps the order of its reports.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use longshore_base::Seed;
use longshore_link::client::Backoff;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::http::{Caller, Connection};
use crate::stats::{Counters, add};

/// Calls that wait at one worker before its instances have to wait themselves.
const QUEUED_MAX: usize = 256;

/// As the official agent's HTTP client (agent-protocol G3).
const CALL_TIMEOUT: Duration = Duration::from_secs(42);

pub(crate) enum Job {
    /// Repeated until the server has taken or refused it for good.
    Report { body: String, is_running: bool },
    /// One try.
    Call { operation: &'static str, body: String, reply: oneshot::Sender<Result<Vec<u8>, CallError>> },
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("there was no answer")]
    Transport(#[source] io::Error),
    #[error("{code} (HTTP {status})")]
    Refused { status: u16, code: String },
    #[error("the crowd has ended")]
    Ended,
}

impl CallError {
    /// The report can never be taken (agent-protocol G8).
    fn is_final(&self) -> bool {
        match self {
            CallError::Refused { code, .. } => code == "InvalidParameterException",
            CallError::Transport(_) | CallError::Ended => false,
        }
    }
}

#[derive(Clone)]
pub(crate) struct Pool {
    workers: Arc<[mpsc::Sender<Job>]>,
}

impl Pool {
    /// The workers end when the pool and all its clones are gone, or with the set.
    pub fn start(
        caller: &Arc<Caller>,
        connections: usize,
        counters: &Arc<Counters>,
        seed: Seed,
        tasks: &mut JoinSet<()>,
    ) -> Self {
        let workers = (0..connections.max(1)).map(|index| {
            let (sender, jobs) = mpsc::channel(QUEUED_MAX);
            let worker = Worker {
                caller: caller.clone(),
                counters: counters.clone(),
                connection: None,
                backoff: Backoff::report(seed.of(index as u64)),
            };
            tasks.spawn(worker.run(jobs));
            sender
        });
        Self { workers: workers.collect() }
    }

    pub async fn report(&self, instance: usize, body: String, is_running: bool) {
        // An error means that the crowd ends.
        let _ = self.worker(instance).send(Job::Report { body, is_running }).await;
    }

    pub async fn call(
        &self,
        instance: usize,
        operation: &'static str,
        body: String,
    ) -> Result<Vec<u8>, CallError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.worker(instance).send(Job::Call { operation, body, reply }).await;
        sent.map_err(|_| CallError::Ended)?;
        answer.await.map_err(|_| CallError::Ended)?
    }

    fn worker(&self, instance: usize) -> &mpsc::Sender<Job> {
        &self.workers[instance % self.workers.len()]
    }
}

struct Worker {
    caller: Arc<Caller>,
    counters: Arc<Counters>,
    connection: Option<Connection>,
    backoff: Backoff,
}

impl Worker {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(job) = jobs.recv().await {
            match job {
                Job::Report { body, is_running } => self.report(&body, is_running).await,
                Job::Call { operation, body, reply } => {
                    let result = self.call(operation, body.as_bytes()).await;
                    if result.is_err() {
                        add(&self.counters.errors, 1);
                    }
                    // Nobody waits any more if the crowd ends.
                    let _ = reply.send(result);
                }
            }
        }
    }

    async fn report(&mut self, body: &str, is_running: bool) {
        loop {
            match self.call("SubmitTaskStateChange", body.as_bytes()).await {
                Ok(_) => {
                    self.backoff.reset();
                    let counter: &AtomicU64 = match is_running {
                        true => &self.counters.running_reported,
                        false => &self.counters.stopped_reported,
                    };
                    return add(counter, 1);
                }
                Err(error) if error.is_final() => return add(&self.counters.reports_dropped, 1),
                Err(_) => {
                    add(&self.counters.reports_repeated, 1);
                    tokio::time::sleep(self.backoff.fail()).await;
                }
            }
        }
    }

    async fn call(&mut self, operation: &str, body: &[u8]) -> Result<Vec<u8>, CallError> {
        let request = self.caller.request(operation, body, crate::now());
        let was_open = self.connection.is_some();
        match self.exchange(&request).await {
            // The server may close a connection that was idle; that is no failure of the call. Everything that
            // instances call may be repeated.
            Err(CallError::Transport(_)) if was_open => self.exchange(&request).await,
            result => result,
        }
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, CallError> {
        let authority = &self.caller.endpoint.authority;
        let exchange = async {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => Connection::open(authority).await?,
            };
            let answer = connection.call(request).await?;
            let answer = match answer.is_success() {
                true => Ok(answer.body.to_vec()),
                false => Err(CallError::Refused { status: answer.status, code: answer.error_code() }),
            };
            Ok((connection, answer))
        };
        let timely = tokio::time::timeout(CALL_TIMEOUT, exchange).await;
        match timely.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok((connection, answer)) => {
                self.connection = Some(connection);
                answer
            }
            Err(error) => Err(CallError::Transport(error)),
        }
    }
}

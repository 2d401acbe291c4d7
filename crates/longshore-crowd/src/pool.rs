//! The API calls of all instances, over a bounded number of connections.
//!
//! Instances share connections, because ten thousand agents that report at once would each need one. The
//! calls of one instance all go through the same worker, which keeps the order of its reports.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use longshore_base::Seed;
use longshore_client::{CallError, Client};
use longshore_link::client::Backoff;
use longshore_shapes_ecs::{
    DiscoverPollEndpointRequest, DiscoverPollEndpointResponse, RegisterContainerInstanceRequest,
    RegisterContainerInstanceResponse, SubmitTaskStateChangeRequest, ops,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::stats::{Counters, add};

/// Calls that wait at one worker before its instances have to wait themselves.
const QUEUED_MAX: usize = 256;

enum Job {
    /// Repeated until the server has taken or refused it for good.
    Report {
        request: Box<SubmitTaskStateChangeRequest>,
        is_running: bool,
    },
    /// One try.
    Register(Box<RegisterContainerInstanceRequest>, Reply<RegisterContainerInstanceResponse>),
    Discover(DiscoverPollEndpointRequest, Reply<DiscoverPollEndpointResponse>),
}

type Reply<T> = oneshot::Sender<Option<T>>;

/// The report can never be taken (agent-protocol G8).
fn is_final(error: &CallError) -> bool {
    matches!(error, CallError::Refused { error, .. } if error.code == "InvalidParameterException")
}

#[derive(Clone)]
pub(crate) struct Pool {
    workers: Arc<[mpsc::Sender<Job>]>,
}

impl Pool {
    /// The workers end when the pool and all its clones are gone, or with the set.
    pub fn start(
        client: &Client,
        connections: usize,
        counters: &Arc<Counters>,
        seed: Seed,
        tasks: &mut JoinSet<()>,
    ) -> Self {
        // Everything that instances call may arrive twice.
        let client = client.clone().repeating();
        let workers = (0..connections.max(1)).map(|index| {
            let (sender, jobs) = mpsc::channel(QUEUED_MAX);
            let worker = Worker {
                client: client.clone(),
                counters: counters.clone(),
                backoff: Backoff::report(seed.of(index as u64)),
            };
            tasks.spawn(worker.run(jobs));
            sender
        });
        Self { workers: workers.collect() }
    }

    pub async fn report(&self, instance: usize, request: SubmitTaskStateChangeRequest, is_running: bool) {
        let job = Job::Report { request: Box::new(request), is_running };
        // An error means that the crowd ends.
        let _ = self.worker(instance).send(job).await;
    }

    /// `None` if the server did not take it, or the crowd ends.
    pub async fn register(
        &self,
        instance: usize,
        request: RegisterContainerInstanceRequest,
    ) -> Option<RegisterContainerInstanceResponse> {
        let (reply, answer) = oneshot::channel();
        self.worker(instance).send(Job::Register(Box::new(request), reply)).await.ok()?;
        answer.await.ok()?
    }

    /// The same.
    pub async fn discover(
        &self,
        instance: usize,
        request: DiscoverPollEndpointRequest,
    ) -> Option<DiscoverPollEndpointResponse> {
        let (reply, answer) = oneshot::channel();
        self.worker(instance).send(Job::Discover(request, reply)).await.ok()?;
        answer.await.ok()?
    }

    fn worker(&self, instance: usize) -> &mpsc::Sender<Job> {
        &self.workers[instance % self.workers.len()]
    }
}

struct Worker {
    client: Client,
    counters: Arc<Counters>,
    backoff: Backoff,
}

impl Worker {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(job) = jobs.recv().await {
            match job {
                Job::Report { request, is_running } => self.report(&request, is_running).await,
                Job::Register(request, reply) => {
                    self.answer(reply, self.client.call::<ops::RegisterContainerInstance>(&request).await);
                }
                Job::Discover(request, reply) => {
                    self.answer(reply, self.client.call::<ops::DiscoverPollEndpoint>(&request).await);
                }
            }
        }
    }

    fn answer<T>(&self, reply: Reply<T>, result: Result<T, CallError>) {
        if result.is_err() {
            add(&self.counters.errors, 1);
        }
        // Nobody waits any more if the crowd ends.
        let _ = reply.send(result.ok());
    }

    async fn report(&mut self, request: &SubmitTaskStateChangeRequest, is_running: bool) {
        loop {
            match self.client.call::<ops::SubmitTaskStateChange>(request).await {
                Ok(_) => {
                    self.backoff.reset();
                    let counter: &AtomicU64 = match is_running {
                        true => &self.counters.running_reported,
                        false => &self.counters.stopped_reported,
                    };
                    return add(counter, 1);
                }
                Err(error) if is_final(&error) => return add(&self.counters.reports_dropped, 1),
                Err(_) => {
                    add(&self.counters.reports_repeated, 1);
                    tokio::time::sleep(self.backoff.fail()).await;
                }
            }
        }
    }
}

//! The listener, its connections and their end.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use longshore_api::{Api, Place, Sockets};
use longshore_base::Clock;
use longshore_identity::Identity;
use longshore_telemetry::{Damper, InFlight, Metrics};
use longshore_wire::route::{Known, ServiceFacts};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;

use crate::config::{Config, Limits, Tls};
use crate::handle::{self, handle};
use crate::handshake;
use crate::patience::Patience;
use crate::ready::Ready;
use crate::site::Site;

/// How long to wait after `accept` failed (no file descriptors, mostly), so that the loop leaves
/// the processor to the connections whose end makes room again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How many refusals of a peer's sockets are told, within which time, and of how many peers.
const REFUSALS_TOLD: u32 = 3;
const REFUSALS_PERIOD: Duration = Duration::from_secs(600);
const REFUSED_PEERS_MAX: usize = 1024;

/// The smallest buffer bound that hyper accepts.
const BUFFER_BYTES_MIN: usize = 8 << 10;

/// What is served, and with whose help.
#[derive(Clone)]
pub struct Services {
    pub apis: Vec<Arc<dyn Api>>,
    /// Services that are known. What one that nobody serves is asked for is told by its name.
    pub catalog: &'static [&'static ServiceFacts],
    pub sockets: Option<Arc<dyn Sockets>>,
    /// What has paths of its own, and authenticates by itself.
    pub places: Vec<Arc<dyn Place>>,
    pub identity: Arc<Identity>,
    pub metrics: Metrics,
    pub clock: Arc<dyn Clock>,
    /// What `/readyz` says; the server itself only takes it back when it drains.
    pub ready: Ready,
}

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("{address} is in use: stop the program that listens there, or choose another port with --listen")]
    InUse { address: SocketAddr },
    #[error("not permitted to listen on {address}: choose a port above 1023 with --listen")]
    NotPermitted { address: SocketAddr },
    #[error("{address} is not an address of this machine: choose one that is with --listen")]
    NotLocal { address: SocketAddr },
    #[error("failed to listen on {address}")]
    Bind {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
}

impl ServeError {
    fn from_bind(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => ServeError::InUse { address },
            io::ErrorKind::PermissionDenied => ServeError::NotPermitted { address },
            io::ErrorKind::AddrNotAvailable => ServeError::NotLocal { address },
            _other => ServeError::Bind { address, source },
        }
    }
}

/// A server at work.
#[derive(Debug)]
pub struct Running {
    local_addr: SocketAddr,
    task: JoinHandle<Ended>,
    /// Its sender is the task's.
    alive: watch::Receiver<()>,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every request and socket finished within the grace period.
    Drained,
    /// This many connections were cut when it was over.
    Cut(usize),
}

impl Running {
    /// The address it listens on, with the port that the system chose if 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Resolves when it accepts connections no more: when it has shut down, or has panicked.
    pub async fn closed(&self) {
        let mut alive = self.alive.clone();
        while alive.changed().await.is_ok() {}
    }

    /// Waits until the server has shut down.
    pub async fn ended(self) -> Ended {
        // Whoever waited on `closed` has heard of a panic.
        self.task.await.unwrap_or(Ended::Cut(0))
    }
}

/// Where the server is in its life. Connections watch it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Serving,
    /// No new requests and sockets; those that run may finish.
    Draining,
    /// Time is up.
    Cutting,
}

/// The router's table: the APIs that are served, in their order, then all others that are known.
fn known(services: &Services) -> Vec<Known> {
    let served: Vec<Known> = services.apis.iter().map(|api| longshore_api::known(&**api)).collect();
    let is_served = |facts: &ServiceFacts| served.iter().any(|known| known.facts.name == facts.name);
    let others = services.catalog.iter().filter(|facts| !is_served(facts));
    let others: Vec<Known> = others.map(|&facts| Known { facts, built: None }).collect();
    [served, others].concat()
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) services: Services,
    pub(crate) known: Vec<Known>,
    /// Whether S3 is among what is served, so that hosts may name buckets.
    pub(crate) has_buckets: bool,
    pub(crate) limits: Limits,
    pub(crate) site: Site,
    /// `http` or `https`.
    pub(crate) scheme: &'static str,
    pub(crate) phase: watch::Sender<Phase>,
    pub(crate) request_ids: longshore_base::Seed,
    pub(crate) requests_drawn: AtomicU64,
    /// One permit per KiB of [`Limits::bodies_bytes_max`].
    pub(crate) bodies: Arc<Semaphore>,
    /// The same of [`Limits::messages_bytes_max`].
    pub(crate) messages: Arc<Semaphore>,
    pub(crate) failed_handshakes: handshake::Failures,
    /// Agents whose signature is refused come again on their own.
    pub(crate) refused_sockets: Damper<IpAddr>,
}

/// One connection's place; held by its task and by the socket it may turn into.
pub(crate) struct Slot {
    /// Whether a request ever came.
    pub(crate) is_used: AtomicBool,
    _permit: OwnedSemaphorePermit,
    _counted: InFlight,
}

/// What a request knows of its connection.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) ip: IpAddr,
    pub(crate) slot: Arc<Slot>,
}

/// An open port that nobody answers on yet. A program that has to tell others its address before it
/// can serve binds first.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    local_addr: SocketAddr,
}

impl Bound {
    /// Opens the port. Must be called on a Tokio runtime.
    pub async fn new(listen: SocketAddr) -> Result<Self, ServeError> {
        let bind_error = |source| ServeError::from_bind(listen, source);
        let listener = TcpListener::bind(listen).await.map_err(bind_error)?;
        let local_addr = listener.local_addr().map_err(bind_error)?;
        Ok(Self { listener, local_addr })
    }

    /// The address, with the port that the system chose if 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until `shutdown` resolves, then drains for at most the grace period. Of `config`,
    /// the address is not read again.
    pub fn serve(
        self,
        config: Config,
        services: Services,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Running {
        let Self { listener, local_addr } = self;
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        let kibibytes = |max: usize| Arc::new(Semaphore::new((max / 1024).clamp(1, Semaphore::MAX_PERMITS)));
        let shared = Arc::new(Shared {
            bodies: kibibytes(config.limits.bodies_bytes_max),
            messages: kibibytes(config.limits.messages_bytes_max),
            known: known(&services),
            has_buckets: services.apis.iter().any(|api| api.facts().schema.signing_name == handle::S3),
            services,
            limits: config.limits,
            site: config.site,
            scheme,
            phase: watch::Sender::new(Phase::Serving),
            request_ids: config.request_ids,
            requests_drawn: AtomicU64::new(0),
            failed_handshakes: handshake::Failures::new(),
            refused_sockets: Damper::new(1, REFUSALS_TOLD, REFUSALS_PERIOD, REFUSED_PEERS_MAX),
        });
        let (living, alive) = watch::channel(());
        let task = tokio::spawn(async move {
            let _living = living;
            run(listener, config.tls, shared, shutdown).await
        });
        Running { local_addr, task, alive }
    }
}

/// Listens and serves until `shutdown` resolves, then drains for at most the grace period.
///
/// Returns once the port is open. Must be called on a Tokio runtime.
pub async fn serve(
    config: Config,
    services: Services,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<Running, ServeError> {
    Ok(Bound::new(config.listen).await?.serve(config, services, shutdown))
}

async fn run(
    listener: TcpListener,
    tls: Option<Tls>,
    shared: Arc<Shared>,
    shutdown: impl Future<Output = ()> + Send,
) -> Ended {
    let connections_max = shared.limits.connections_max.clamp(1, Semaphore::MAX_PERMITS);
    let slots = Arc::new(Semaphore::new(connections_max));
    let accept_all = async {
        loop {
            // The slot comes first: at the limit, clients wait in the backlog of the system.
            let permit = slots.clone().acquire_owned().await.expect("the semaphore is never closed");
            match listener.accept().await {
                Ok((stream, address)) => {
                    let _counted = shared.services.metrics.connection_opens();
                    let slot = Arc::new(Slot { is_used: AtomicBool::new(false), _permit: permit, _counted });
                    let peer = Peer { ip: address.ip(), slot };
                    tokio::spawn(connection(stream, tls.clone(), shared.clone(), peer));
                }
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = shutdown => {}
        () = accept_all => unreachable!("the loop above has no end"),
    }
    // Closing the listener first: a client that comes now is refused and tries another server.
    drop(listener);
    shared.services.ready.set(false);
    shared.phase.send_replace(Phase::Draining);
    let all = u32::try_from(connections_max).unwrap_or(u32::MAX);
    let drained = slots.acquire_many(all);
    match tokio::time::timeout(shared.limits.grace, drained).await {
        Ok(_) => Ended::Drained,
        Err(_elapsed) => {
            let open = connections_max - slots.available_permits();
            shared.phase.send_replace(Phase::Cutting);
            tracing::warn!(open, "cut the connections that outlived the grace period");
            Ended::Cut(open)
        }
    }
}

async fn connection(stream: TcpStream, tls: Option<Tls>, shared: Arc<Shared>, peer: Peer) {
    // Answers are small and written at once; waiting to fill a segment only adds latency.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "failed to set TCP_NODELAY");
    }
    let stream = Patience::new(stream, shared.limits.write_timeout);
    let Some(tls) = tls else {
        return http(stream, shared, peer).await;
    };
    match handshake::accept(&tls, stream, shared.limits.handshake_timeout).await {
        Ok(stream) => http(stream, shared, peer).await,
        Err(failed) => shared.failed_handshakes.note(peer.ip, &failed),
    }
}

async fn http<S>(stream: S, shared: Arc<Shared>, peer: Peer)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut phase = shared.phase.subscribe();
    let limits = &shared.limits;
    // Not `pipeline_flush`: it holds every answer back while further requests are in the buffer, without a bound, so
    // that whoever asks faster than it reads makes the server keep hundreds of megabytes.
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_header_size(limits.head_bytes_max)
        .max_buf_size(limits.head_bytes_max.max(BUFFER_BYTES_MIN))
        .half_close(false);
    let (ip, slot) = (peer.ip, Arc::downgrade(&peer.slot));
    let service = {
        let shared = shared.clone();
        service_fn(move |request| handle(shared.clone(), peer.clone(), request))
    };
    let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let is_used = || slot.upgrade().is_some_and(|slot| slot.is_used.load(Ordering::Relaxed));
    loop {
        let now = *phase.borrow_and_update();
        match now {
            Phase::Serving => {}
            // hyper ends a connection between two requests by itself, but would wait for the first.
            Phase::Draining if !is_used() => return,
            Phase::Draining => connection.as_mut().graceful_shutdown(),
            Phase::Cutting => return,
        }
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, peer = %ip, "connection ended early");
                }
                return;
            }
            changed = phase.changed() => if changed.is_err() { return },
        }
    }
}

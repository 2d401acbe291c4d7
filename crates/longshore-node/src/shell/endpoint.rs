//! 169.254.170.2: where SDKs in containers ask for the credentials of their task's role.
//!
//! They ask there and nowhere else: what the agent says in `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` is a path, and a whole
//! URL they take for loopback only. The official agent's hosts rewrite that address with rules of the packet filter. Here the
//! machine simply has it, on its loopback interface: the default route of each container leads to the machine, whatever
//! network it is in, and a container in the machine's own network has it itself. It is one address for the machine, and one
//! listener for all agents of a process ([`CredentialsEndpoint::join`]).
//!
//! Who asks is told by the connection and not by the URL: [`super::caller`].

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tracing::info;

use super::gateway::Peers;
use super::serve::{self, Ends, Query, Surface};
use crate::surface::{Answer, Asked};

pub(super) const ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 170, 2);
const PORT: u16 = 80;

/// Requests that wait to be handed on.
const WAITING_MAX: usize = 64;

/// The address, for as long as it lives.
#[derive(Debug)]
pub struct CredentialsEndpoint {
    agents: Arc<Agents>,
    /// The address was given to the machine here, and is taken away again.
    is_ours: bool,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Agents(Mutex<Vec<Agent>>);

#[derive(Clone, Debug)]
struct Agent {
    number: u64,
    queries: mpsc::Sender<Query>,
    peers: Peers,
}

impl Agents {
    fn who_may_know(&self, asked: &Asked) -> Vec<Agent> {
        let may_know = |agent: &&Agent| asked.peer.is_some_and(|peer| agent.peers.allow(peer));
        self.0.lock().iter().filter(may_know).cloned().collect()
    }
}

/// Why the address cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum EndpointUnavailable {
    #[error(
        "this process may not give the machine the address {ADDRESS}: start it as root, or with CAP_NET_ADMIN"
    )]
    Address(#[source] io::Error),
    #[error("another process listens at {ADDRESS}:{PORT}: tasks get their roles of one agent on a machine")]
    Taken,
    #[error("cannot listen at {ADDRESS}:{PORT}: start it as root, or with CAP_NET_BIND_SERVICE")]
    Port(#[source] io::Error),
}

impl CredentialsEndpoint {
    /// Gives the machine the address if it does not have it, and listens there.
    ///
    /// # Errors
    /// Where this process may not do that; agents run all the same, and take no tasks with a role.
    pub async fn open() -> Result<Arc<Self>, EndpointUnavailable> {
        let (listener, is_ours) = match bind().await {
            Ok(listener) => (listener, false),
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                address::add(ADDRESS).map_err(EndpointUnavailable::Address)?;
                match bind().await {
                    Ok(listener) => (listener, true),
                    Err(error) => {
                        let _ = address::remove(ADDRESS);
                        return Err(EndpointUnavailable::Port(error));
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(EndpointUnavailable::Taken),
            Err(error) => return Err(EndpointUnavailable::Port(error)),
        };
        info!("credentials of tasks' roles are served at {ADDRESS}:{PORT}");
        let agents = Arc::new(Agents::default());
        let (queries, asked) = mpsc::channel(WAITING_MAX);
        let tasks = vec![
            tokio::spawn(serve::accept(listener, None, Surface::Tasks, queries, "all".to_owned())),
            tokio::spawn(hand_on(agents.clone(), asked)),
        ];
        Ok(Arc::new(Self { agents, is_ours, tasks: Mutex::new(tasks) }))
    }

    /// Ends with this.
    pub(super) fn own(&self, task: JoinHandle<()>) {
        self.tasks.lock().push(task);
    }

    /// Whether a container of a task is at the other end: what is answered to nobody else asks this.
    pub(super) async fn is_for(&self, ends: Ends) -> bool {
        let asked = Asked {
            method: "GET".to_owned(),
            path: "/".to_owned(),
            query: String::new(),
            body: Vec::new(),
            peer: Some(ends.peer.ip()),
            container: ends.container().await,
        };
        let agents = self.agents.who_may_know(&asked);
        ask(&agents, Surface::Callers, &asked).await.status == 200
    }

    /// Has an agent asked about whoever `peers` allows, for as long as the answer lives.
    pub(super) fn join(self: &Arc<Self>, queries: mpsc::Sender<Query>, peers: Peers) -> Joined {
        let mut agents = self.agents.0.lock();
        let number = agents.last().map_or(0, |last| last.number + 1);
        agents.push(Agent { number, queries, peers });
        Joined { endpoint: self.clone(), number }
    }
}

impl Drop for CredentialsEndpoint {
    fn drop(&mut self) {
        self.tasks.lock().iter().for_each(JoinHandle::abort);
        if self.is_ours {
            // Whoever ends the process by force leaves it, and the next one finds it.
            let _ = address::remove(ADDRESS);
        }
    }
}

/// An agent's place at the endpoint.
pub(super) struct Joined {
    endpoint: Arc<CredentialsEndpoint>,
    number: u64,
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.endpoint.agents.0.lock().retain(|agent| agent.number != self.number);
    }
}

async fn bind() -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from((ADDRESS, PORT))).await
}

async fn hand_on(agents: Arc<Agents>, mut asked: mpsc::Receiver<Query>) {
    while let Some(query) = asked.recv().await {
        let asked = agents.who_may_know(query.asked());
        tokio::spawn(async move {
            let answer = ask(&asked, Surface::Tasks, query.asked()).await;
            query.reply(answer);
        });
    }
}

/// The answer of the agent whose container asks. The others know nothing of what is asked for.
async fn ask(agents: &[Agent], surface: Surface, asked: &Asked) -> Answer {
    let mut best: Option<Answer> = None;
    for agent in agents {
        let (answer, answered) = oneshot::channel();
        if agent.queries.send(Query::new(surface, asked.clone(), answer)).await.is_err() {
            continue;
        }
        let Ok(answer) = answered.await else { continue };
        match rank(&answer) {
            0 => return answer,
            own if best.as_ref().is_none_or(|best| own < rank(best)) => best = Some(answer),
            _worse => {}
        }
    }
    best.unwrap_or(Answer { status: 503, body: String::new() })
}

/// How much an agent knows: all; that the credentials are to come; that it knows nothing.
fn rank(answer: &Answer) -> u8 {
    match answer.status {
        ..400 => 0,
        503 => 1,
        _ => 2,
    }
}

/// An address on the loopback interface, by the kernel's routing socket (rtnetlink(7)).
#[cfg(target_os = "linux")]
mod address {
    use std::io;
    use std::net::Ipv4Addr;

    use rustix::net::netlink::SocketAddrNetlink;
    use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, bind, recv, send, socket};

    const RTM_NEWADDR: u16 = 20;
    const RTM_DELADDR: u16 = 21;
    const NLMSG_ERROR: u16 = 2;
    const REQUEST_AND_ACK: u16 = 1 | 4;
    const CREATE_NEW: u16 = 0x400 | 0x200;
    const IFA_ADDRESS: u16 = 1;
    const IFA_LOCAL: u16 = 2;
    const INET: u8 = 2;
    /// Valid on this machine alone.
    const SCOPE_HOST: u8 = 254;
    /// The loopback interface is the first of each network name space.
    const LOOPBACK: u32 = 1;

    pub fn add(address: Ipv4Addr) -> io::Result<()> {
        match ask(RTM_NEWADDR, REQUEST_AND_ACK | CREATE_NEW, address) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result,
        }
    }

    pub fn remove(address: Ipv4Addr) -> io::Result<()> {
        ask(RTM_DELADDR, REQUEST_AND_ACK, address)
    }

    fn ask(kind: u16, flags: u16, address: Ipv4Addr) -> io::Result<()> {
        // Without a number it is the one for routes.
        let kernel = socket(AddressFamily::NETLINK, SocketType::RAW, None)?;
        bind(&kernel, &SocketAddrNetlink::new(0, 0))?;
        send(&kernel, &message(kind, flags, address), SendFlags::empty())?;
        let mut answer = [0; 256];
        let (length, _) = recv(&kernel, &mut answer[..], RecvFlags::empty())?;
        // A header of sixteen bytes, with the kind in the fifth and sixth, then the error, negative, or 0.
        let kind = answer.get(4..6).map(|bytes| u16::from_ne_bytes([bytes[0], bytes[1]]));
        let code = answer.get(16..20).filter(|_| length >= 20);
        let code = code.map(|bytes| i32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        match (kind, code) {
            (Some(NLMSG_ERROR), Some(0)) => Ok(()),
            (Some(NLMSG_ERROR), Some(code)) => Err(io::Error::from_raw_os_error(-code)),
            _ => Err(io::Error::other("the kernel gave no answer to the request for an address")),
        }
    }

    fn message(kind: u16, flags: u16, address: Ipv4Addr) -> Vec<u8> {
        let mut body = vec![INET, 32, 0, SCOPE_HOST];
        body.extend(LOOPBACK.to_ne_bytes());
        for attribute in [IFA_LOCAL, IFA_ADDRESS] {
            body.extend(8u16.to_ne_bytes());
            body.extend(attribute.to_ne_bytes());
            body.extend(address.octets());
        }
        let mut message = Vec::new();
        message.extend((16 + body.len() as u32).to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        // Number and port: there is one request, and the kernel knows who asks.
        message.extend([0; 8]);
        message.extend(body);
        message
    }
}

#[cfg(not(target_os = "linux"))]
mod address {
    use std::io;
    use std::net::Ipv4Addr;

    pub fn add(_: Ipv4Addr) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn remove(_: Ipv4Addr) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

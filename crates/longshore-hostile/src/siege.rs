//! Clients that cost a server most by doing least, and one that behaves, to be served beside them.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::client::{Caller, Connection, Outcome};

/// Beyond this a slow connection has outlived every limit: thirty seconds for a head, twenty for a body, and
/// what a busy machine adds.
pub const SLOW_LIFE_MAX: Duration = Duration::from_secs(45);

/// How many clients ask and never read. Few: each makes the server write megabytes.
const DEAF: usize = 8;

/// Connections that are held open. Most are silent, or send a head or a body by the byte; a few ask for long answers
/// and never read them.
pub struct Siege {
    held: Vec<Held>,
    /// Their end cannot be seen from here without reading: the server's count of connections tells.
    _deaf: Vec<TcpStream>,
    began: Instant,
    /// The longest that a connection was held before the server ended it.
    pub longest: Duration,
    pub ended: usize,
}

struct Held {
    stream: TcpStream,
    trickle: &'static [u8],
    sent: usize,
    opened: Instant,
}

const HEAD: &[u8] =
    b"POST / HTTP/1.1\r\nhost: localhost\r\nx-slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const BODY: &[u8] = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\n{                                                                           ";

impl Siege {
    /// Opens `count` connections, or as many as the system allows.
    pub fn lay(address: SocketAddr, count: usize) -> Self {
        let mut held = Vec::with_capacity(count);
        for n in 0..count {
            let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_secs(5)) else { break };
            if stream.set_nonblocking(true).is_err() {
                break;
            }
            let (trickle, sent): (&'static [u8], usize) = match n % 4 {
                0 | 1 => (b"", 0),
                2 => (HEAD, 0),
                _ => (BODY, BODY.len() - 70),
            };
            let mut connection = Held { stream, trickle, sent, opened: Instant::now() };
            // A connection that fails at once shows in the next round.
            let _ = connection.stream.write_all(&trickle[..sent]);
            held.push(connection);
        }
        let deaf =
            if count > DEAF { (0..DEAF).filter_map(|_| deaf(address).ok()).collect() } else { Vec::new() };
        Self { held, _deaf: deaf, began: Instant::now(), longest: Duration::ZERO, ended: 0 }
    }

    pub fn open(&self) -> usize {
        self.held.len()
    }

    pub fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// One byte more from each that trickles; forgets those that the server has ended.
    pub fn tick(&mut self) {
        let (longest, ended) = (&mut self.longest, &mut self.ended);
        self.held.retain_mut(|held| {
            if let Some(byte) = held.trickle.get(held.sent) {
                held.sent += usize::from(held.stream.write(&[*byte]).is_ok());
            }
            let mut buffer = [0; 1024];
            let is_open = match held.stream.read(&mut buffer) {
                Ok(0) => false,
                Ok(_) => true,
                Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
            };
            if !is_open {
                *longest = (*longest).max(held.opened.elapsed());
                *ended += 1;
            }
            is_open
        });
    }
}

/// Asks for far more than the buffers of both systems hold.
fn deaf(address: SocketAddr) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_nonblocking(true)?;
    let asks = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(2000);
    // What the server does not take now is no loss.
    let _ = stream.write(&asks);
    Ok(stream)
}

/// A client that asks small things all the time. Its times are told, not judged: they depend on the machine.
pub struct Witness {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<Duration>, String>>,
}

impl Witness {
    pub fn start(caller: Caller) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut times = Vec::new();
            let mut connection: Option<Connection> = None;
            while !stopping.load(Ordering::Relaxed) {
                let began = Instant::now();
                let mut open = match connection.take() {
                    Some(open) => open,
                    None => Connection::open(caller.address)
                        .map_err(|error| format!("cannot connect: {error}"))?,
                };
                let request = caller.draft("ListClusters", "{}").bytes();
                let outcome = open.send(&request).map(|()| open.answer());
                match outcome {
                    Ok(Outcome::Answer(answer)) if answer.status == 200 => connection = Some(open),
                    other => return Err(format!("a well-behaved client got {other:?}")),
                }
                times.push(began.elapsed());
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(times)
        });
        Self { stop, thread }
    }

    /// Its times, sorted.
    pub fn finish(self) -> anyhow::Result<Vec<Duration>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut times = self
            .thread
            .join()
            .map_err(|_| anyhow::anyhow!("the well-behaved client panicked"))?
            .map_err(anyhow::Error::msg)?;
        times.sort_unstable();
        Ok(times)
    }
}

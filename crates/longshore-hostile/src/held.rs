//! Clients that cost a server most by doing least, held open during a run, and one that behaves well, which the server
//! has to serve beside them.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use longshore_base::Seed;

use crate::chance::Chance;
use crate::client::{Caller, Connection, Outcome};
use crate::gate::{Gate, Wire};

/// Beyond this a slow connection has outlived every limit: thirty seconds for a head, twenty for a body, and
/// what a busy machine adds.
pub const SLOW_LIFE_MAX: Duration = Duration::from_secs(45);

/// How long the server may take to accept one of these.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many broken handshakes [`HeldConnections::break_handshakes`] sends: it is called once a second.
const BROKEN_HANDSHAKES: usize = 20;

/// How many clients send requests and never read the answers. Few: each makes the server write megabytes.
const NEVER_READING: usize = 8;

/// Connections that are held open. Most are silent, or send a head or a body by the byte; a few ask for long answers
/// and never read them. With TLS, half of them are so after a handshake and half never finish one.
pub struct HeldConnections {
    gate: Gate,
    chance: Chance,
    held: Vec<Held>,
    /// Without reading, their end cannot be seen from here: the server's own count of connections tells it.
    _never_reading: Vec<Wire>,
    began: Instant,
    /// The longest that a connection was held before the server ended it.
    pub longest: Duration,
    pub ended: usize,
    /// How many handshakes were broken, besides those that are only slow.
    pub broken: usize,
}

struct Held {
    wire: Wire,
    trickle: Vec<u8>,
    sent: usize,
    opened: Instant,
}

impl Held {
    /// Sends the first `sent` bytes at once, the others of `trickle` one by one.
    fn new(wire: Wire, trickle: &[u8], sent: usize) -> std::io::Result<Self> {
        wire.socket().set_nonblocking(true)?;
        let mut held = Self { wire, trickle: trickle.to_vec(), sent, opened: Instant::now() };
        // A connection that fails at once shows in the next round.
        let _ = held.wire.write_all(&trickle[..sent]);
        Ok(held)
    }
}

const HEAD: &[u8] =
    b"POST / HTTP/1.1\r\nhost: localhost\r\nx-slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const BODY: &[u8] = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\n{                                                                           ";

/// The same to an API that takes forms.
const FORM: &[u8] = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 100000\r\n\r\nAction=CreateUser&Version=2010-05-08&UserName=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

impl HeldConnections {
    /// Opens `count` connections, or as many as the system allows.
    pub fn open_all(gate: &Gate, count: usize, seed: u64) -> Self {
        let held = (0..count).map_while(|n| hold(gate, n).ok()).collect();
        let never_reading = if count > NEVER_READING {
            (0..NEVER_READING).filter_map(|_| never_reading(gate).ok()).collect()
        } else {
            Vec::new()
        };
        Self {
            gate: gate.clone(),
            chance: Chance::new(Seed::new(seed.into())),
            held,
            _never_reading: never_reading,
            began: Instant::now(),
            longest: Duration::ZERO,
            ended: 0,
            broken: 0,
        }
    }

    /// How many the server has not ended.
    pub fn count(&self) -> usize {
        self.held.len()
    }

    pub fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// With TLS, sends a second's worth of bytes that are no handshake.
    pub fn break_handshakes(&mut self) {
        if !self.gate.is_tls() {
            return;
        }
        for _ in 0..BROKEN_HANDSHAKES {
            // The backlog may be full, which is no finding: the well-behaved client would say so.
            let Ok(stream) = self.gate.open_bare(PATIENCE) else { return };
            let bytes = broken_handshake(&self.gate, &mut self.chance);
            self.held.extend(Held::new(Wire::Plain(stream), &bytes, bytes.len()));
            self.broken += 1;
        }
    }

    /// One byte more from each that trickles; forgets those that the server has ended.
    pub fn tick(&mut self) {
        let (longest, ended) = (&mut self.longest, &mut self.ended);
        self.held.retain_mut(|held| {
            if let Some(byte) = held.trickle.get(held.sent) {
                held.sent += usize::from(held.wire.write(&[*byte]).is_ok());
            }
            let mut buffer = [0; 1024];
            let is_open = match held.wire.read(&mut buffer) {
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

/// The `n`th connection.
fn hold(gate: &Gate, n: usize) -> std::io::Result<Held> {
    let after_handshake = |n: usize| {
        let (trickle, sent): (&[u8], usize) = match n {
            0 | 1 => (b"", 0),
            2 => (HEAD, 0),
            3 => (BODY, BODY.len() - 70),
            _ => (FORM, FORM.len() - 70),
        };
        Held::new(gate.open(PATIENCE)?, trickle, sent)
    };
    if !gate.is_tls() || n % 8 < 4 {
        return after_handshake(if gate.is_tls() { n / 8 % 5 } else { n % 5 });
    }
    let hello = gate.hello()?;
    let bare = Wire::Plain(gate.open_bare(PATIENCE)?);
    match n % 8 {
        4 => Held::new(bare, b"", 0),
        5 => Held::new(bare, &hello, 0),
        6 => Held::new(bare, &hello[..hello.len() / 2], hello.len() / 2),
        // All that it says, and then nothing to what is answered.
        _ => Held::new(bare, &hello, hello.len()),
    }
}

/// Bytes that a port with TLS has to refuse.
fn broken_handshake(gate: &Gate, chance: &mut Chance) -> Vec<u8> {
    let hello = gate.hello().unwrap_or_default();
    let record = |kind: u8, length: u16, body: &[u8]| {
        let [high, low] = length.to_be_bytes();
        [&[kind, 3, 3, high, low][..], body].concat()
    };
    let length = chance.below(3000);
    match chance.below(12) {
        0 => chance.bytes(length),
        1 => b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec(),
        2 => b"SSH-2.0-OpenSSH_9.9\r\n".to_vec(),
        // A record longer than records are, and one that claims a message of 16 MiB.
        3 => record(0x16, u16::MAX, &[1; 70_000]),
        4 => record(0x16, 0x4000, &[&[1, 0xff, 0xff, 0xff][..], &[0; 0x4000 - 4]].concat()).repeat(8),
        // Data, an alert and a change of cipher before anything was agreed; an empty record, many times.
        5 => record(0x17, 5, b"hello"),
        6 => record(0x15, 2, &[1, 0]).repeat(100),
        7 => record(0x14, 1, &[1]).repeat(1000),
        8 => record(0x16, 0, b"").repeat(1000),
        // A hello in records of one byte, one that is cut, one with a bit turned over.
        9 => hello.iter().skip(5).flat_map(|byte| record(0x16, 1, &[*byte])).collect(),
        10 => hello[..chance.below(hello.len().max(1))].to_vec(),
        _ => {
            let mut bytes = hello;
            let at = chance.below(bytes.len().max(1));
            bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << chance.below(8));
            bytes
        }
    }
}

/// Asks for far more than the buffers of both systems hold.
fn never_reading(gate: &Gate) -> std::io::Result<Wire> {
    let mut wire = gate.open(PATIENCE)?;
    wire.socket().set_nonblocking(true)?;
    let asks = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(2000);
    // What the server does not take now is no loss.
    let _ = wire.write(&asks);
    Ok(wire)
}

/// A client that behaves well and sends small requests all the time. Its times are reported, not judged: they depend on
/// the machine.
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
                    None => {
                        Connection::open(&caller.gate).map_err(|error| format!("cannot connect: {error}"))?
                    }
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

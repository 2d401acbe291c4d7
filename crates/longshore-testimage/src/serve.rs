//! The HTTP server.
//!
//! | path | answer |
//! |---|---|
//! | `/` | `<hostname> <VERSION> <MESSAGE>` |
//! | `/healthz` | 200, or 503 after `/fail-health` |
//! | `/fail-health` | makes `/healthz` fail from now on |
//! | `/exit?code=N` | ends the process at once, without an answer |
//! | `/allocate?mib=N` | takes and touches that much more memory, and keeps it |
//! | `/slow?ms=N` | answers after that time |
//! | `/env?name=X` | the value of an environment variable; 404 if it is not set |
//!
//! On SIGTERM it goes on for `LINGER_MS`, then accepts what the kernel has queued, closes the port, finishes the
//! requests in flight and leaves with 0.

use std::io::{self, BufReader};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::http::{self, Request};

/// How long a connection may be open without a request.
const IDLE_MAX: Duration = Duration::from_secs(75);
/// Threads only read a request and write an answer.
const STACK_BYTES: usize = 128 * 1024;
const PAGE_BYTES: usize = 4096;

/// What the environment asks for; `main.rs` lists the variables.
pub struct Settings {
    port: u16,
    version: String,
    message: String,
    start_delay: Duration,
    linger: Duration,
    drain: Duration,
}

impl Settings {
    pub fn from_env() -> Settings {
        let text = |name: &str| std::env::var(name).unwrap_or_default();
        let number = |name: &str| text(name).parse::<u64>().ok();
        Settings {
            port: text("PORT").parse().unwrap_or(8080),
            version: text("VERSION"),
            message: text("MESSAGE"),
            start_delay: Duration::from_millis(number("START_DELAY_MS").unwrap_or(0)),
            linger: Duration::from_millis(number("LINGER_MS").unwrap_or(0)),
            drain: Duration::from_secs(number("DRAIN_SECONDS").unwrap_or(10)),
        }
    }
}

struct Server {
    greeting: String,
    failing: AtomicBool,
    draining: AtomicBool,
    /// How many connections wait for their first request, or for the answer to one.
    busy: Mutex<usize>,
    /// Notified when `busy` falls.
    fell_idle: Condvar,
    /// What `/allocate` has taken.
    allocated: Mutex<Vec<Vec<u8>>>,
}

/// Serves until a signal comes.
pub fn run(settings: Settings, terminations: Receiver<()>) -> ExitCode {
    if terminations.recv_timeout(settings.start_delay).is_ok() {
        return ExitCode::SUCCESS;
    }
    let listener = match listen(settings.port) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("cannot listen on port {}: {error}", settings.port);
            return ExitCode::FAILURE;
        }
    };
    let greeting = format!("{} {} {}", hostname(), settings.version, settings.message);
    println!("listening on port {}: {}", settings.port, greeting.trim_end());
    let server = Arc::new(Server {
        greeting: format!("{}\n", greeting.trim_end()),
        failing: AtomicBool::new(false),
        draining: AtomicBool::new(false),
        busy: Mutex::new(0),
        fell_idle: Condvar::new(),
        allocated: Mutex::new(Vec::new()),
    });
    let acceptor = {
        let server = Arc::clone(&server);
        std::thread::spawn(move || server.accept(listener))
    };
    if terminations.recv().is_err() {
        // Only when the signal thread has ended, which it does not.
        return ExitCode::FAILURE;
    }
    println!("asked to stop");
    // Clients learn a little later than we do that they should go elsewhere.
    std::thread::sleep(settings.linger);
    server.draining.store(true, Ordering::SeqCst);
    // The acceptor looks at the flag after each connection; this is one.
    drop(TcpStream::connect((Ipv4Addr::LOCALHOST, settings.port)));
    let accepted_all = acceptor.join().is_ok();
    let drained = server.wait_idle(settings.drain);
    if accepted_all && drained { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// All addresses; IPv4 alone where the kernel has no IPv6.
fn listen(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))
        .or_else(|_| TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))))
}

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

/// So many MiB of memory that is resident, because every page was written.
pub fn touched(mib: usize) -> Vec<u8> {
    let mut block = vec![0_u8; mib.saturating_mul(1024 * 1024)];
    for page in block.chunks_mut(PAGE_BYTES) {
        page[0] = 1;
    }
    block
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    fn accept(self: Arc<Self>, listener: TcpListener) {
        while !self.draining.load(Ordering::SeqCst) {
            match listener.accept() {
                Ok((stream, _)) => self.spawn(stream),
                Err(error) => eprintln!("accept: {error}"),
            }
        }
        // What the kernel has completed already must not be reset by closing the port.
        if listener.set_nonblocking(true).is_ok() {
            while let Ok((stream, _)) = listener.accept() {
                if stream.set_nonblocking(false).is_ok() {
                    self.spawn(stream);
                }
            }
        }
    }

    fn spawn(self: &Arc<Self>, stream: TcpStream) {
        *lock(&self.busy) += 1;
        let server = Arc::clone(self);
        let started = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
            let mut busy = Busy { server: &server, counted: true };
            if let Err(error) = server.converse(stream, &mut busy) {
                eprintln!("connection: {error}");
            }
        });
        if started.is_err() {
            self.less_busy();
        }
    }

    fn less_busy(&self) {
        *lock(&self.busy) -= 1;
        self.fell_idle.notify_all();
    }

    /// False if requests were still in flight after `limit`.
    fn wait_idle(&self, limit: Duration) -> bool {
        let busy = lock(&self.busy);
        let (busy, _) = self
            .fell_idle
            .wait_timeout_while(busy, limit, |busy| *busy > 0)
            .unwrap_or_else(PoisonError::into_inner);
        *busy == 0
    }

    fn converse(&self, stream: TcpStream, busy: &mut Busy<'_>) -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(IDLE_MAX))?;
        let mut writer = stream.try_clone()?;
        let mut reader = BufReader::new(stream);
        loop {
            if self.draining.load(Ordering::SeqCst) {
                // A connection that says nothing must not hold up the end.
                reader.get_ref().set_read_timeout(Some(Duration::from_millis(200)))?;
            }
            let request = match Request::read(&mut reader) {
                Ok(Some(request)) => request,
                Ok(None) => return Ok(()),
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock
                            | io::ErrorKind::TimedOut
                            | io::ErrorKind::ConnectionReset
                            | io::ErrorKind::UnexpectedEof
                    ) =>
                {
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            busy.set(true);
            let (status, body) = self.answer(&request);
            let keep_alive = request.keep_alive && !self.draining.load(Ordering::SeqCst);
            http::respond(&mut writer, status, &body, keep_alive)?;
            busy.set(false);
            if !keep_alive {
                return Ok(());
            }
        }
    }

    fn answer(&self, request: &Request) -> (u16, String) {
        let number = |name| request.parameter(name).and_then(|text| text.parse::<usize>().ok());
        match request.path.as_str() {
            "/" => (200, self.greeting.clone()),
            "/healthz" if self.failing.load(Ordering::SeqCst) => (503, "unhealthy\n".to_owned()),
            "/healthz" => (200, "healthy\n".to_owned()),
            "/fail-health" => {
                self.failing.store(true, Ordering::SeqCst);
                (200, "unhealthy from now on\n".to_owned())
            }
            "/exit" => {
                let code = number("code").and_then(|code| i32::try_from(code).ok()).unwrap_or(0);
                println!("asked to exit with {code}");
                std::process::exit(code)
            }
            "/allocate" => match number("mib") {
                Some(mib) => {
                    lock(&self.allocated).push(touched(mib));
                    (200, format!("holding {mib} MiB more\n"))
                }
                None => (400, "mib is missing\n".to_owned()),
            },
            "/slow" => {
                let pause = Duration::from_millis(number("ms").unwrap_or(1000) as u64);
                std::thread::sleep(pause);
                (200, self.greeting.clone())
            }
            "/env" => match request.parameter("name").and_then(|name| std::env::var(name).ok()) {
                Some(value) => (200, format!("{value}\n")),
                None => (404, "not set\n".to_owned()),
            },
            _ => (404, "no such path\n".to_owned()),
        }
    }
}

/// Counts its connection as busy, and stops counting it at the latest when it is dropped.
struct Busy<'a> {
    server: &'a Server,
    counted: bool,
}

impl Busy<'_> {
    fn set(&mut self, busy: bool) {
        if busy == self.counted {
            return;
        }
        self.counted = busy;
        if busy {
            *lock(&self.server.busy) += 1;
        } else {
            self.server.less_busy();
        }
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.set(false);
    }
}

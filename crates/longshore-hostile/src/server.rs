//! The server under test: a real process, watched from outside.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use longshore_sigv4::Credentials;

use crate::client::Caller;
use crate::gate::{Certificate, Gate};

/// How long the server may take to answer that it is ready.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A running server in a directory of its own; ended, and the directory removed, when dropped.
pub struct Server {
    child: Child,
    pub caller: Caller,
    directory: tempfile::TempDir,
}

impl Server {
    /// Starts `binary`; with its state on disk if `durable`, serving TLS if `tls`.
    pub fn start(binary: &Path, durable: bool, tls: bool) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        // A port that was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let out = File::create(directory.path().join("out"))?;
        let log = File::create(directory.path().join("log"))?;
        let mut command = Command::new(binary);
        command
            .args(["server", "--auth", "strict", "--instance-lost-secs", "0"])
            .args(["--listen", &address.to_string()])
            .env("LONGSHORE_LOG", "info")
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(log);
        if durable {
            command.arg("--data-dir").arg(directory.path().join("data"));
        } else {
            command.arg("--ephemeral");
        }
        let certificate = tls.then(Certificate::make).transpose()?;
        if let Some(certificate) = &certificate {
            let file = |name: &str| directory.path().join(name);
            fs::write(file("cert.pem"), &certificate.chain)?;
            fs::write(file("key.pem"), &certificate.key)?;
            command.arg("--tls-cert").arg(file("cert.pem")).arg("--tls-key").arg(file("key.pem"));
        }
        let child = command.spawn().with_context(|| {
            format!(
                "cannot run {}: build it with `cargo build -p longshore`, or name it with --bin",
                binary.display()
            )
        })?;
        let gate = Gate::new(address, certificate.as_ref());
        let caller = Caller::new(gate, Credentials::new("unknown", "unknown"))?;
        let mut server = Self { child, caller, directory };
        let deadline = Instant::now() + START_TIMEOUT;
        while !server.caller.get("/readyz").is_ok_and(|text| text.starts_with("ready\n")) {
            server.check_alive()?;
            ensure!(Instant::now() < deadline, "the server was not ready in time:\n{}", server.log_tail());
            std::thread::sleep(Duration::from_millis(50));
        }
        // It is written down just after the server is ready.
        let operator = loop {
            match server.operator(durable) {
                Ok(operator) => break operator,
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(_early) => std::thread::sleep(Duration::from_millis(50)),
            }
        };
        server.caller.client = server.caller.client.of(operator);
        Ok(server)
    }

    /// The operator's access key: from the `env` file of the data directory, or from what the server printed.
    fn operator(&self, durable: bool) -> anyhow::Result<Credentials> {
        let (file, id, secret) = if durable {
            ("data/env", "export AWS_ACCESS_KEY_ID=", "export AWS_SECRET_ACCESS_KEY=")
        } else {
            ("out", "access key id:", "secret access key:")
        };
        let text = fs::read_to_string(self.directory.path().join(file))?;
        let value = |prefix: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(prefix));
            line.map(|value| value.trim().trim_matches(['\'', '"']).to_owned())
                .with_context(|| format!("{file} has no line with {prefix}"))
        };
        Ok(Credentials::new(value(id)?, value(secret)?))
    }

    pub fn gate(&self) -> &Gate {
        &self.caller.gate
    }

    /// # Errors
    /// The server has ended; with the end of its log.
    pub fn check_alive(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the server has ended with {status}:\n{}", self.log_tail()),
        }
    }

    /// Resident memory now, and the most that there ever was, in KiB.
    pub fn memory_kib(&self) -> anyhow::Result<(u64, u64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let of = |name: &str| -> anyhow::Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number =
                line.and_then(|rest| rest.split_whitespace().next()).context("a line of /proc/PID/status")?;
            Ok(number.parse()?)
        };
        Ok((of("VmRSS:")?, of("VmHWM:")?))
    }

    /// How many file descriptors it has open, sockets among them.
    pub fn files(&self) -> anyhow::Result<u64> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.child.id()))?.count() as u64)
    }

    /// The value of one of its metrics that has no labels.
    pub fn metric(&self, name: &str) -> anyhow::Result<u64> {
        let metrics = self.caller.get("/metrics")?;
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.trim().parse().ok()).with_context(|| format!("/metrics has no {name}"))
    }

    fn log(&self) -> String {
        let path: PathBuf = self.directory.path().join("log");
        fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The last thirty lines of the log.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().rev().take(30).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Lines of the log that no client should be able to cause, the first twenty.
    pub fn log_faults(&self) -> Vec<String> {
        let is_fault = |line: &&str| line.contains("panicked") || line.contains(" ERROR ");
        self.log().lines().filter(is_fault).take(20).map(str::to_owned).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

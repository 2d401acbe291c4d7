//! The real program, in its own process and data directory.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use longshore_client::{Client, HttpClient, SystemClock};
use longshore_sigv4::Credentials;

/// How long a start may take before it counts as failed.
const START_MAX: Duration = Duration::from_secs(120);

/// How long a process has to end when it is asked.
const END_MAX: Duration = Duration::from_secs(30);

const LOOK_EVERY: Duration = Duration::from_millis(1);

/// A running control plane, killed when dropped.
pub struct Process {
    child: Child,
    pub data_dir: PathBuf,
    pub client: Client,
    /// From the start of the process to its first `env` file, which says that it is ready.
    pub ready_after: Duration,
}

impl Process {
    /// Runs `longshore VERB --data-dir DIR --listen LISTEN ARGS...` and waits until it is ready. `DIR/env`
    /// appears last, with the endpoint and the operator's key.
    pub async fn start(
        binary: &Path,
        verb: &str,
        data_dir: &Path,
        listen: &str,
        args: &[&str],
    ) -> anyhow::Result<Self> {
        // Images are present and no registry is asked, neither here nor at the peers.
        Self::start_pulling(binary, verb, data_dir, listen, args, "prefer-cached").await
    }

    /// The same with agents that get images in this way (ECS_IMAGE_PULL_BEHAVIOR).
    pub async fn start_pulling(
        binary: &Path,
        verb: &str,
        data_dir: &Path,
        listen: &str,
        args: &[&str],
        pull_behavior: &str,
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(data_dir)?;
        let env = data_dir.join("env");
        if env.exists() {
            std::fs::remove_file(&env)?;
        }
        let log = std::fs::File::options().create(true).append(true).open(data_dir.join("log.txt"))?;
        let begun = Instant::now();
        let mut child = Command::new(binary)
            .arg(verb)
            .arg("--data-dir")
            .arg(data_dir)
            .args(["--listen", listen])
            .args(args)
            .env("ECS_IMAGE_PULL_BEHAVIOR", pull_behavior)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("failed to start {}", binary.display()))?;
        let client = loop {
            if let Some(client) = read_env(&env)? {
                break client;
            }
            if let Some(status) = child.try_wait()? {
                let log = std::fs::read_to_string(data_dir.join("log.txt")).unwrap_or_default();
                bail!("`longshore {verb}` ended with {status}: {}", log.trim());
            }
            if begun.elapsed() > START_MAX {
                child.kill()?;
                child.wait()?;
                bail!("`longshore {verb}` was not ready after {START_MAX:?}");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        };
        Ok(Self { child, data_dir: data_dir.to_owned(), client, ready_after: begun.elapsed() })
    }

    pub fn resident_mb(&self) -> f64 {
        resident_mb(self.child.id())
    }

    /// Processor time that it has taken so far, in seconds. Unlike a rate, it hardly depends on what else the
    /// machine does.
    pub fn cpu_seconds(&self) -> f64 {
        cpu_seconds(self.child.id()).unwrap_or(0.0)
    }

    /// `HOST:PORT`.
    pub fn authority(&self) -> &str {
        &self.client.endpoint().authority
    }

    /// SIGKILL, now.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and waits.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status()?;
        anyhow::ensure!(asked.success(), "failed to signal the process");
        let begun = Instant::now();
        while self.child.try_wait()?.is_none() {
            if begun.elapsed() > END_MAX {
                bail!("the process did not end within {END_MAX:?} of SIGTERM");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running `longshore agent`, killed when dropped.
pub struct Agent(Child);

impl Agent {
    /// Configured as the official agent is.
    pub fn start(binary: &Path, data_dir: &Path, client: &Client) -> anyhow::Result<Self> {
        std::fs::create_dir_all(data_dir)?;
        let log = std::fs::File::options().create(true).append(true).open(data_dir.join("log.txt"))?;
        let child = Command::new(binary)
            .arg("agent")
            .env("ECS_CLUSTER", "default")
            .env("ECS_DATADIR", data_dir)
            .env("ECS_BACKEND_HOST", client.endpoint().to_string())
            .env("AWS_DEFAULT_REGION", client.signer().region())
            .env("AWS_ACCESS_KEY_ID", &client.signer().credentials().access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", client.signer().credentials().secret.reveal())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("failed to start {}", binary.display()))?;
        Ok(Self(child))
    }

    pub fn resident_mb(&self) -> f64 {
        resident_mb(self.0.id())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Linux counts processor time in hundredths of a second, on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

fn cpu_seconds(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; the 14th and 15th field are time in user and in system mode.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

pub fn resident_mb(pid: u32) -> f64 {
    longshore_crowd::resident_bytes(pid).unwrap_or(0) as f64 / 1e6
}

/// What `source DIR/env` would set; `None` while it is not there.
fn read_env(path: &Path) -> anyhow::Result<Option<Client>> {
    let Ok(text) = std::fs::read_to_string(path) else { return Ok(None) };
    let get = |name: &str| {
        text.lines()
            .filter_map(|line| line.strip_prefix("export ").unwrap_or(line).split_once('='))
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value.trim_matches(['\'', '"']).to_owned())
            .with_context(|| format!("{} does not set {name}", path.display()))
    };
    let credentials = Credentials::new(get("AWS_ACCESS_KEY_ID")?, get("AWS_SECRET_ACCESS_KEY")?);
    let (endpoint, region) = (get("AWS_ENDPOINT_URL")?, get("AWS_REGION")?);
    Ok(Some(Client::new(HttpClient::default(), &endpoint, credentials, &region, Arc::new(SystemClock))?))
}

//! The Docker Engine API with nothing around it: the peer that container starts are compared with. Its HTTP is written by
//! hand, over a Unix socket, because the peer is to cost as little as it can.

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use longshore_base::Clock;
use longshore_client::SystemClock;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

const SOCKET: &str = "/var/run/docker.sock";

/// What the measured tasks run, here and in Longshore. It serves HTTP until SIGTERM.
pub const IMAGE: &str = "longshore/web:1";
/// The same program in another image, for updates.
pub const NEXT_IMAGE: &str = "longshore/web:2";

/// The memory limit of each container, in MiB, here and in Longshore.
pub const MEMORY_MIB: u32 = 32;

/// Every container that the raw peer makes carries this label.
pub const RAW_LABEL: &str = "longshore-bench";

/// One connection to the engine, kept open.
pub struct Docker(BufReader<UnixStream>);

impl Docker {
    pub async fn connect() -> anyhow::Result<Self> {
        let stream = UnixStream::connect(SOCKET).await.with_context(|| {
            format!("cannot reach Docker at {SOCKET}; is it running, and may you use it?")
        })?;
        Ok(Self(BufReader::new(stream)))
    }

    /// The engine is there and has the images.
    pub async fn check() -> anyhow::Result<()> {
        let mut docker = Self::connect().await?;
        for image in [IMAGE, NEXT_IMAGE] {
            docker
                .call("GET", &format!("/images/{image}/json"), None)
                .await
                .with_context(|| format!("image {image} is not there; scripts/make-test-images makes it"))?;
        }
        Ok(())
    }

    /// The JSON answer, or `null` if it has no body. Anything but 2xx is an error.
    pub async fn call(&mut self, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let (status, body) = self.exchange(method, path, body).await?;
        if !(200..300).contains(&status) {
            bail!("{method} {path}: HTTP {status}: {}", String::from_utf8_lossy(&body));
        }
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).with_context(|| format!("{method} {path}: the answer is no JSON"))
    }

    async fn exchange(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(u16, Vec<u8>)> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: docker\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0.write_all(request.as_bytes()).await?;
        let status: u16 = self.line().await?.get(9..12).and_then(|s| s.parse().ok()).context("a status")?;
        let (mut length, mut chunked) = (0, false);
        loop {
            let line = self.line().await?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            chunked |= line.starts_with("transfer-encoding:") && line.contains("chunked");
        }
        if !chunked {
            let mut body = vec![0; length];
            self.0.read_exact(&mut body).await?;
            return Ok((status, body));
        }
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(&self.line().await?, 16)?;
            let from = body.len();
            body.resize(from + size, 0);
            self.0.read_exact(&mut body[from..]).await?;
            self.line().await?;
            if size == 0 {
                return Ok((status, body));
            }
        }
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.truncate(line.trim_end().len());
        Ok(line)
    }

    /// Creates and starts a container on the default bridge; its id.
    pub async fn create_and_start(&mut self) -> anyhow::Result<String> {
        let body = json!({
            "Image": IMAGE,
            "Labels": {RAW_LABEL: "1"},
            "HostConfig": {"Memory": u64::from(MEMORY_MIB) << 20, "CpuShares": 2},
        });
        let created = self.call("POST", "/containers/create", Some(&body)).await?;
        let id = created["Id"].as_str().context("a created container has an id")?.to_owned();
        self.call("POST", &format!("/containers/{id}/start"), None).await?;
        Ok(id)
    }

    pub async fn remove(&mut self, id: &str) -> anyhow::Result<()> {
        // It may remove itself at the same moment.
        self.exchange("DELETE", &format!("/containers/{id}?force=1&v=1"), None).await.map(|_| ())
    }

    /// Removes all containers with this label, whatever they do.
    pub async fn remove_all(&mut self, label: &str) -> anyhow::Result<()> {
        let filters = json!({"label": [label]}).to_string();
        let path = format!("/containers/json?all=1&filters={}", encode(&filters));
        let list = self.call("GET", &path, None).await?;
        for id in list.as_array().into_iter().flatten().filter_map(|container| container["Id"].as_str()) {
            self.remove(id).await?;
        }
        Ok(())
    }

    pub async fn kill(&mut self, id: &str) -> anyhow::Result<()> {
        self.call("POST", &format!("/containers/{id}/kill"), None).await.map(|_| ())
    }

    /// The ids of the running containers with this label.
    pub async fn running(&mut self, label: &str) -> anyhow::Result<BTreeSet<String>> {
        let filters = json!({"label": [label], "status": ["running"]}).to_string();
        let list = self.call("GET", &format!("/containers/json?filters={}", encode(&filters)), None).await?;
        let list = list.as_array().context("a list of containers")?;
        Ok(list.iter().filter_map(|container| container["Id"].as_str()).map(str::to_owned).collect())
    }

    /// One of the running containers with this label.
    pub async fn any_running(&mut self, label: &str) -> anyhow::Result<String> {
        let running = self.running(label).await?;
        running.into_iter().next().with_context(|| format!("no container with {label} runs"))
    }

    /// When the engine said that a container has ended, in nanoseconds since the epoch.
    pub async fn died_at(&mut self, id: &str) -> anyhow::Result<i128> {
        let times = self.events(&json!({"container": [id], "event": ["die"]})).await?;
        times.first().copied().context("the engine has no such event")
    }

    /// How long after `since` the engine said for the last time that a container with this label has started. It
    /// remembers its last 256 events.
    pub async fn last_start(&mut self, label: &str, since: SystemTime) -> anyhow::Result<Duration> {
        let times = self.events(&json!({"label": [label], "event": ["start"]})).await?;
        let last = times.into_iter().max().context("the engine has started none")?;
        let since = i128::try_from(since.duration_since(UNIX_EPOCH)?.as_nanos())?;
        let after = u64::try_from(last - since).context("the engine has started none since then")?;
        Ok(Duration::from_nanos(after))
    }

    /// The times of the engine's own events of the last minutes, in nanoseconds since the epoch, in order.
    async fn events(&mut self, filters: &Value) -> anyhow::Result<Vec<i128>> {
        let until = SystemClock.now().as_millis() / 1000 + 1;
        let filters = encode(&filters.to_string());
        let path = format!("/events?since={}&until={until}&filters={filters}", until - 600);
        let body = self.bytes(&path).await?;
        let events = serde_json::Deserializer::from_slice(&body).into_iter::<Value>();
        let time = |event: Value| event["timeNano"].as_i64().map(i128::from).context("an event has a time");
        events.map(|event| time(event?)).collect()
    }

    /// The body of an answer that is no JSON.
    pub async fn bytes(&mut self, path: &str) -> anyhow::Result<bytes::Bytes> {
        let (status, body) = self.exchange("GET", path, None).await?;
        anyhow::ensure!(status == 200, "GET {path}: HTTP {status}");
        Ok(body.into())
    }
}

pub fn encode(text: &str) -> String {
    longshore_base::percent::encode(text)
}

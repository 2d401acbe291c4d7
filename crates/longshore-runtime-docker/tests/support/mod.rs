//! A Docker API on a socket of our own.

// Each test file uses a part of it.
#![allow(dead_code)]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use longshore_engine::Action;
use longshore_engine::input::Input;
use longshore_runtime::{Executor, NoLogins};
use longshore_runtime_docker::{DockerHost, DockerRuntime};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Longer than any answer here takes.
pub const PATIENCE: Duration = Duration::from_secs(20);

const LINES_HEAD: &str =
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: application/json\r\n\r\n";

/// What the engine does with a request.
pub enum Reply {
    Answer(u16, Value),
    /// The same with 200, after a while.
    Late(Duration, Value),
    /// Accepts the request and says nothing, for ever.
    Hang,
    /// Breaks the connection off.
    Close,
    /// Begins an answer of JSON lines as they are fed; it ends when the feeder is gone.
    Fed(mpsc::UnboundedReceiver<Value>),
    /// Begins an answer of JSON lines, each after a pause, and then ends it or goes on without a word.
    Lines {
        lines: Vec<Value>,
        pause: Duration,
        ends: bool,
    },
}

/// The Docker API as `reply` has it, on a socket that goes away with the test.
pub struct FakeDocker {
    pub path: PathBuf,
    serving: JoinHandle<()>,
}

impl FakeDocker {
    pub fn start(reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("longshore-faults-{}-{number}.sock", std::process::id()));
        let listener = UnixListener::bind(&path).expect("a new socket");
        let reply = Arc::new(reply);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, reply.clone()));
            }
        });
        Self { path, serving }
    }

    pub fn runtime(&self) -> DockerRuntime {
        DockerRuntime::new(&DockerHost::Unix(self.path.clone())).expect("a client")
    }

    /// Does one action as the agent does.
    pub async fn perform(&self, action: Action) -> Input {
        let executor = Executor::new(Arc::new(self.runtime()), Arc::new(NoLogins));
        let performed = tokio::time::timeout(PATIENCE, executor.perform(action)).await;
        performed.expect("every action comes to an end").expect("an action of the runtime")
    }
}

impl Drop for FakeDocker {
    fn drop(&mut self) {
        self.serving.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}

pub async fn serve(stream: UnixStream, reply: Arc<impl Fn(&str) -> Reply>) {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut line, mut first, mut length) = (String::new(), String::new(), 0);
        while stream.read_line(&mut line).await.is_ok_and(|bytes| bytes > 2) {
            if first.is_empty() {
                first = line.trim().to_owned();
            } else if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().expect("a length");
            }
            line.clear();
        }
        if first.is_empty() {
            return;
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.expect("the body is whole");
        let mut outcome = reply(&first);
        if let Reply::Late(pause, body) = outcome {
            tokio::time::sleep(pause).await;
            outcome = Reply::Answer(200, body);
        }
        let written = match outcome {
            Reply::Late(..) => unreachable!("made an answer above"),
            Reply::Answer(status, body) => {
                let body = if status == 204 { String::new() } else { body.to_string() };
                let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n", body.len());
                stream
                    .write_all(format!("{head}content-type: application/json\r\n\r\n{body}").as_bytes())
                    .await
            }
            Reply::Hang => std::future::pending().await,
            Reply::Close => return,
            Reply::Fed(mut lines) => {
                let mut written = stream.write_all(LINES_HEAD.as_bytes()).await;
                while written.is_ok()
                    && let Some(line) = lines.recv().await
                {
                    let line = format!("{line}\n");
                    written = stream.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes()).await;
                }
                written.and(stream.write_all(b"0\r\n\r\n").await)
            }
            Reply::Lines { lines, pause, ends } => {
                let mut written = stream.write_all(LINES_HEAD.as_bytes()).await;
                for line in lines {
                    tokio::time::sleep(pause).await;
                    let line = format!("{line}\n");
                    written = stream.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes()).await;
                }
                if !ends {
                    std::future::pending::<()>().await;
                }
                written.and(stream.write_all(b"0\r\n\r\n").await)
            }
        };
        if written.is_err() {
            return;
        }
    }
}

//! What this machine allows at all: durable writes without a database, answers without an application.

use std::convert::Infallible;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// As many commits as one sync may serve.
const GROUP_MAX: usize = 512;

/// How many commits of `bytes` each become durable per second when `writers` threads wait for theirs, and one
/// thread writes what has gathered and syncs it. No store that syncs can be faster on this disk.
pub fn durable_commits_per_second(
    dir: &Path,
    writers: usize,
    bytes: usize,
    time: Duration,
) -> anyhow::Result<f64> {
    let path = dir.join("durable-limit");
    let mut file = File::create(&path)?;
    let (sender, receiver) = channel::<SyncSender<()>>();
    let begun = Instant::now();
    let commits = std::thread::scope(|scope| -> anyhow::Result<usize> {
        let clients: Vec<_> = (0..writers)
            .map(|_| {
                let sender = sender.clone();
                scope.spawn(move || write_until(&sender, begun + time))
            })
            .collect();
        drop(sender);
        commit_groups(&mut file, &receiver, bytes)?;
        Ok(clients.into_iter().map(|client| client.join().unwrap_or(0)).sum())
    })?;
    let took = begun.elapsed();
    drop(file);
    std::fs::remove_file(path)?;
    Ok(commits as f64 / took.as_secs_f64())
}

fn write_until(sender: &Sender<SyncSender<()>>, end: Instant) -> usize {
    let (done, durable) = sync_channel(1);
    let mut count = 0;
    while Instant::now() < end {
        if sender.send(done.clone()).is_err() || durable.recv().is_err() {
            break;
        }
        count += 1;
    }
    count
}

fn commit_groups(file: &mut File, receiver: &Receiver<SyncSender<()>>, bytes: usize) -> anyhow::Result<()> {
    let block = vec![0x5a; bytes * GROUP_MAX];
    while let Ok(first) = receiver.recv() {
        let mut group = vec![first];
        group.extend(receiver.try_iter().take(GROUP_MAX - 1));
        file.write_all(&block[..bytes * group.len()])?;
        file.sync_data()?;
        for writer in group {
            // A writer that has gone does not wait.
            let _ = writer.send(());
        }
    }
    Ok(())
}

/// A bare hyper server in a process of its own, killed when dropped.
pub struct Hello {
    child: Child,
    pub authority: String,
}

impl Hello {
    pub fn start() -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?).arg("hello").stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().context("its output is a pipe")?;
        let mut authority = String::new();
        BufReader::new(stdout).read_line(&mut authority)?;
        Ok(Self { child, authority: authority.trim().to_owned() })
    }
}

impl Drop for Hello {
    fn drop(&mut self) {
        // It does not end by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Prints its address, then answers every request with the same line.
pub async fn serve_hello() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let service = service_fn(hello);
            // The client closes when it has measured enough.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn hello(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    // A body that cannot be read ends the connection, which hyper notices by itself.
    let _ = request.into_body().collect().await;
    Ok(Response::new(Full::new(Bytes::from_static(b"{}"))))
}

//! Many requests over several connections, as fast as the server answers.
//!
//! The requests are built and signed before the clock starts (a signature is good for five minutes), so that
//! of the two cores that client and server share, the client takes as little as it can. The client has one thread of its
//! own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::raw::Connection;
use crate::samples::Samples;

/// The requests of one connection.
pub enum Script {
    /// Each once.
    Once(Vec<Vec<u8>>),
    /// The same ones again and again until this time has passed.
    Repeat(Arc<[Vec<u8>]>, Duration),
}

pub struct Outcome {
    pub calls: usize,
    pub took: Duration,
    pub latencies: Samples,
}

impl Outcome {
    pub fn per_second(&self) -> f64 {
        self.calls as f64 / self.took.as_secs_f64()
    }
}

/// Runs all scripts at once, each on its connection. The first answer that `accept` refuses ends it with an error.
pub async fn run(
    authority: &str,
    scripts: Vec<Script>,
    accept: fn(&[u8]) -> bool,
) -> anyhow::Result<Outcome> {
    let authority = authority.to_owned();
    tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(run_here(&authority, scripts, accept))
    })
    .await?
}

async fn run_here(
    authority: &str,
    scripts: Vec<Script>,
    accept: fn(&[u8]) -> bool,
) -> anyhow::Result<Outcome> {
    let mut connections = Vec::new();
    for _ in &scripts {
        connections.push(Connection::open(authority).await.context("failed to connect")?);
    }
    let begun = Instant::now();
    let clients =
        connections.into_iter().zip(scripts).map(|(connection, script)| client(connection, script, accept));
    let all = futures_util::future::try_join_all(clients).await?;
    let took = begun.elapsed();
    let mut latencies = Samples::default();
    all.into_iter().for_each(|samples| latencies.extend(samples));
    Ok(Outcome { calls: latencies.len(), took, latencies })
}

async fn client(
    mut connection: Connection,
    script: Script,
    accept: fn(&[u8]) -> bool,
) -> anyhow::Result<Samples> {
    let mut samples = Samples::default();
    match script {
        Script::Once(requests) => {
            for request in &requests {
                samples.push(one(&mut connection, request, accept).await?);
            }
        }
        Script::Repeat(requests, time) => {
            let begun = Instant::now();
            for request in requests.iter().cycle().take_while(|_| begun.elapsed() < time) {
                samples.push(one(&mut connection, request, accept).await?);
            }
        }
    }
    Ok(samples)
}

async fn one(
    connection: &mut Connection,
    request: &[u8],
    accept: fn(&[u8]) -> bool,
) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let answer = connection.call(request).await?;
    let took = begun.elapsed();
    if !answer.is_success() || !accept(answer.body) {
        let shown = String::from_utf8_lossy(&answer.body[..answer.body.len().min(500)]).into_owned();
        bail!("HTTP {}: {shown}", answer.status);
    }
    Ok(took)
}

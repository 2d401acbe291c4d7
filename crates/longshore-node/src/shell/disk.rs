//! The journal's own task: what has piled up while one sync ran is written with the next. A full disk is waited for.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use crate::core::Input;
use crate::journal::{Change, Journal, JournalError};

pub(super) struct Disk {
    writes: mpsc::UnboundedSender<(u64, Vec<Change>)>,
}

impl Disk {
    pub fn start(
        tasks: &mut JoinSet<()>,
        journal: Journal,
        inputs: mpsc::Sender<Input>,
        agent: String,
    ) -> Self {
        let (writes, received) = mpsc::unbounded_channel();
        tasks.spawn(run(journal, received, inputs, agent));
        Self { writes }
    }

    /// Queues a write. Unbounded, because what could be dropped? Everything that would make more waits for
    /// the disk anyway.
    pub fn write(&self, number: u64, changes: Vec<Change>) {
        // Fails only when the task has ended, which ends the agent.
        let _ = self.writes.send((number, changes));
    }
}

/// How often a full disk is asked whether it has space again.
const FULL_RETRY: Duration = Duration::from_secs(1);

async fn run(
    mut journal: Journal,
    mut writes: mpsc::UnboundedReceiver<(u64, Vec<Change>)>,
    inputs: mpsc::Sender<Input>,
    agent: String,
) {
    let mut told_short = false;
    if !tell(&journal, &mut told_short, &inputs, &agent).await {
        return;
    }
    loop {
        // A disk that was full: as soon as there is room for the reserve, everything is as before.
        let patience = if told_short { FULL_RETRY } else { Duration::MAX };
        let (mut number, changes) = match tokio::time::timeout(patience, writes.recv()).await {
            Ok(Some(write)) => write,
            Ok(None) => return,
            Err(_) => {
                journal = blocking(journal, |journal| journal.keep_reserve()).await.0;
                if !tell(&journal, &mut told_short, &inputs, &agent).await {
                    return;
                }
                continue;
            }
        };
        let mut batches = vec![changes];
        let mut is_stuck = false;
        loop {
            while let Ok((next, changes)) = writes.try_recv() {
                number = next;
                batches.push(changes);
            }
            let result;
            (journal, (batches, result)) = blocking(journal, move |journal| {
                let result = journal.write(&batches);
                (batches, result)
            })
            .await;
            match result {
                Ok(()) => break,
                Err(JournalError::Full { path, source }) => {
                    if !std::mem::replace(&mut is_stuck, true) {
                        error!(
                            %agent, path = %path.display(), %source,
                            "the data directory is full: nothing is acknowledged, started or reported until there is \
                             space; containers go on"
                        );
                    }
                    if !tell(&journal, &mut told_short, &inputs, &agent).await {
                        return;
                    }
                    tokio::time::sleep(FULL_RETRY).await;
                }
                Err(error) => {
                    // What is on disk is unknown now, so nothing more may be acknowledged or started. The supervisor
                    // starts the agent again, which reads what is there.
                    error!(%agent, %error, cause = ?std::error::Error::source(&error), "cannot write the journal");
                    let _ = inputs.send(Input::JournalFailed(error.to_string())).await;
                    return;
                }
            }
        }
        if is_stuck {
            info!(%agent, "the data directory has space again; what had to wait is written");
        }
        let told = inputs.send(Input::Durable(number)).await.is_ok();
        if !told || !tell(&journal, &mut told_short, &inputs, &agent).await {
            return;
        }
    }
}

/// Work on the journal, on a thread that may wait for the disk.
async fn blocking<T: Send + 'static>(
    mut journal: Journal,
    work: impl FnOnce(&mut Journal) -> T + Send + 'static,
) -> (Journal, T) {
    let done = tokio::task::spawn_blocking(move || {
        let result = work(&mut journal);
        (journal, result)
    });
    done.await.expect("writing does not panic")
}

/// Tells when the journal becomes short of space, and when it no longer is; false if nobody listens any more.
async fn tell(journal: &Journal, told: &mut bool, inputs: &mpsc::Sender<Input>, agent: &str) -> bool {
    let is_short = journal.is_short();
    if std::mem::replace(told, is_short) == is_short {
        return true;
    }
    if is_short {
        warn!(%agent, "the data directory is full; from its reserve the agent writes what is under way, and declines new tasks");
    } else {
        info!(%agent, "the data directory has space again; the agent takes new tasks");
    }
    inputs.send(Input::JournalShort(is_short)).await.is_ok()
}

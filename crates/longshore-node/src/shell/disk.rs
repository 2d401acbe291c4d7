//! The journal's own task: what has piled up while one sync ran is written with the next. A full disk is waited for.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use crate::core::Input;
use crate::journal::{Change, Journal, JournalError};

pub(super) struct Disk {
    writes: mpsc::UnboundedSender<Write>,
    /// The last write that more than an ack waits for.
    pressing: watch::Sender<u64>,
}

struct Write {
    number: u64,
    changes: Vec<Change>,
}

/// How long a write that is not pressing waits for one that is, so that one sync does for both. A task that has come is
/// such a write: what its container waits for is known as soon as its image was looked at and its cgroup is made, which
/// takes a few milliseconds; a sync of its own would have to end first.
const COMPANY_MAX: Duration = Duration::from_millis(5);

impl Disk {
    pub fn start(
        tasks: &mut JoinSet<()>,
        journal: Journal,
        inputs: mpsc::Sender<Input>,
        agent: String,
    ) -> Self {
        let (writes, received) = mpsc::unbounded_channel();
        let pressing = watch::Sender::new(0);
        tasks.spawn(run(journal, received, pressing.subscribe(), inputs, agent));
        Self { writes, pressing }
    }

    /// Queues a write. Unbounded, because what could be dropped? Everything that would make more waits for
    /// the disk anyway.
    pub fn write(&self, number: u64, changes: Vec<Change>) {
        // Fails only when the task has ended, which ends the agent.
        let _ = self.writes.send(Write { number, changes });
    }

    /// Writes up to this number, queued already or not, need no company.
    pub fn press(&self, number: u64) {
        self.pressing.send_if_modified(|pressing| {
            let is_news = *pressing < number;
            *pressing = number.max(*pressing);
            is_news
        });
    }
}

/// How often a full disk is asked whether it has space again.
const FULL_RETRY: Duration = Duration::from_secs(1);

async fn run(
    mut journal: Journal,
    mut writes: mpsc::UnboundedReceiver<Write>,
    mut pressing: watch::Receiver<u64>,
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
        let first = match tokio::time::timeout(patience, writes.recv()).await {
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
        let Write { mut number, changes } = first;
        let mut batches = vec![changes];
        // What is pressing on account of a later write is pressing on account of this one too.
        let first = number;
        let company_until = tokio::time::Instant::now() + COMPANY_MAX;
        while *pressing.borrow_and_update() < first {
            let next = tokio::select! {
                next = writes.recv() => next,
                Ok(()) = pressing.changed() => continue,
                () = tokio::time::sleep_until(company_until) => None,
            };
            let Some(next) = next else { break };
            number = next.number;
            batches.push(next.changes);
        }
        let mut is_stuck = false;
        loop {
            while let Ok(next) = writes.try_recv() {
                number = next.number;
                batches.push(next.changes);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers that are told durable.
    async fn durable(received: &mut mpsc::Receiver<Input>) -> u64 {
        match tokio::time::timeout(Duration::from_secs(20), received.recv()).await {
            Ok(Some(Input::Durable(number))) => number,
            other => panic!("{other:?}"),
        }
    }

    fn change(key: &str) -> Vec<Change> {
        vec![Change { key: key.to_owned(), text: Some("1".to_owned()) }]
    }

    #[tokio::test]
    async fn what_is_not_pressing_shares_the_next_sync_and_does_not_wait_for_ever() {
        let directory = std::env::temp_dir().join(format!("longshore-disk-{}", std::process::id()));
        let (journal, _) = Journal::open(&directory).expect("a new journal");
        let (inputs, mut received) = mpsc::channel(8);
        let mut tasks = JoinSet::new();
        let disk = Disk::start(&mut tasks, journal, inputs, "test".to_owned());
        disk.write(1, change("assignment"));
        disk.write(2, change("created"));
        disk.press(2);
        assert_eq!(durable(&mut received).await, 2, "one sync for both");
        disk.write(3, change("assignment"));
        assert_eq!(durable(&mut received).await, 3, "nothing else comes");
        drop(disk);
        while tasks.join_next().await.is_some() {}
        let (journal, _) = Journal::open(&directory).expect("it can be read");
        assert_eq!(journal.content().len(), 2);
        let _ = std::fs::remove_dir_all(directory);
    }

    /// In virtual time, which stands still while something is being done.
    #[tokio::test(start_paused = true)]
    async fn what_becomes_pressing_while_it_waits_for_company_waits_no_longer() {
        let directory = std::env::temp_dir().join(format!("longshore-disk-pressed-{}", std::process::id()));
        let (journal, _) = Journal::open(&directory).expect("a new journal");
        let (inputs, mut received) = mpsc::channel(8);
        let mut tasks = JoinSet::new();
        let disk = Disk::start(&mut tasks, journal, inputs, "test".to_owned());
        let begun = tokio::time::Instant::now();
        disk.write(1, change("image"));
        tokio::time::sleep(COMPANY_MAX / 2).await;
        disk.press(1);
        assert_eq!(durable(&mut received).await, 1);
        assert!(begun.elapsed() < COMPANY_MAX, "it waited for company: {:?}", begun.elapsed());
        drop(disk);
        while tasks.join_next().await.is_some() {}
        let _ = std::fs::remove_dir_all(directory);
    }
}

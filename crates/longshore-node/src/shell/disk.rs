//! The journal's own task: what has piled up while one sync ran is written with the next.

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::error;

use crate::core::Input;
use crate::journal::{Change, Journal};

pub(super) struct Disk {
    writes: mpsc::UnboundedSender<(u64, Vec<Change>)>,
}

impl Disk {
    pub fn start(tasks: &mut JoinSet<()>, journal: Journal, inputs: mpsc::Sender<Input>) -> Self {
        let (writes, received) = mpsc::unbounded_channel();
        tasks.spawn(run(journal, received, inputs));
        Self { writes }
    }

    /// Queues a write. Unbounded, because what could be dropped? Everything that would make more waits for
    /// the disk anyway.
    pub fn write(&self, number: u64, changes: Vec<Change>) {
        // Fails only when the task has ended, which ends the agent.
        let _ = self.writes.send((number, changes));
    }
}

async fn run(
    mut journal: Journal,
    mut writes: mpsc::UnboundedReceiver<(u64, Vec<Change>)>,
    inputs: mpsc::Sender<Input>,
) {
    while let Some((mut number, changes)) = writes.recv().await {
        let mut batches = vec![changes];
        while let Ok((next, changes)) = writes.try_recv() {
            number = next;
            batches.push(changes);
        }
        let written = tokio::task::spawn_blocking(move || {
            let result = journal.write(&batches);
            (journal, result)
        });
        let result;
        (journal, result) = written.await.expect("writing does not panic");
        let input = match result {
            Ok(()) => Input::Durable(number),
            Err(error) => {
                // What is on disk is unknown now, so nothing more may be acknowledged or started. The supervisor
                // starts the agent again, which reads what is there.
                error!(%error, cause = ?std::error::Error::source(&error), "cannot write the journal");
                let _ = inputs.send(Input::JournalFailed(error.to_string())).await;
                return;
            }
        };
        if inputs.send(input).await.is_err() {
            return;
        }
    }
}

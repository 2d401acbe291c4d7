//! Measures the disk of the container runtime.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use longshore_engine::Input as EngineInput;
use longshore_engine::pressure::{DiskMarks, DiskUsage};
use tokio::sync::mpsc;
use tracing::warn;

use crate::core::Input;

/// A pull of a large image takes longer than this.
const INTERVAL: Duration = Duration::from_secs(30);
/// While the disk is nearly full, so that each step of cleaning is followed by a measurement.
const INTERVAL_SHORT: Duration = Duration::from_secs(5);

/// Measures for ever. A runtime on another machine, or in another mount name space, has no disk to be seen here.
pub(super) async fn watch(root: PathBuf, marks: DiskMarks, inputs: mpsc::Sender<Input>, agent: String) {
    loop {
        let path = root.clone();
        let measured = tokio::task::spawn_blocking(move || measure(&path)).await;
        let usage = match measured {
            Ok(Ok(usage)) => usage,
            Ok(Err(error)) => {
                return warn!(
                    %agent, root = %root.display(), %error,
                    "cannot measure the disk of the container runtime; nothing is cleaned up before its time"
                );
            }
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The process ends.
                Err(_cancelled) => return,
            },
        };
        if inputs.send(Input::Engine(Box::new(EngineInput::DiskMeasured(usage)))).await.is_err() {
            return;
        }
        let pause = if usage.used_percent() >= marks.low { INTERVAL_SHORT } else { INTERVAL };
        tokio::time::sleep(pause).await;
    }
}

/// As `df` does: what only root may use counts neither as used nor as free.
fn measure(path: &Path) -> io::Result<DiskUsage> {
    let found = rustix::fs::statvfs(path)?;
    let used = found.f_blocks.saturating_sub(found.f_bfree);
    let blocks = used.saturating_add(found.f_bavail);
    Ok(DiskUsage {
        size_bytes: blocks.saturating_mul(found.f_frsize),
        free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_a_disk_and_a_missing_one_has_none() {
        let usage = measure(Path::new("/")).expect("there is a root");
        assert!(usage.size_bytes > 0 && usage.free_bytes <= usage.size_bytes, "{usage:?}");
        assert!(measure(Path::new("/no/such/place")).is_err());
    }
}

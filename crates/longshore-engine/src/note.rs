//! What an operator should read about the engine's own housekeeping.

use crate::spec::TaskKey;

/// One line for the log. Nothing depends on it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Note {
    #[error(
        "the disk of the container runtime is {used} % full, and {high} % is the mark: the oldest stopped containers and \
         unused images go now, until it is below {low} %"
    )]
    DiskShort { used: u8, high: u8, low: u8 },
    #[error("the disk of the container runtime is {used} % full: clean-up waits for age again")]
    DiskRelieved { used: u8 },
    #[error(
        "the disk of the container runtime is {used} % full, and nothing is left to clean up here; free some space"
    )]
    NothingToClean { used: u8 },
    #[error("the container runtime says that its disk is full; cleaning up what is not in use")]
    NoSpace,
    #[error("the containers of the stopped task {task} go early, because the disk is full")]
    CleanedEarly { task: TaskKey },
    #[error("removed the unused image {image}")]
    ImageRemoved { image: String },
    #[error("cannot remove the unused image {image}: {error}")]
    ImageKept { image: String, error: String },
    #[error("a host port chosen for task {task} belongs to something else, trying another one: {error}")]
    PortMoved { task: TaskKey, error: String },
}

//! How a container ended.
//!
//! Agents tell it as an exit code and a text (`<Name>: what the engine said`, agent-protocol G8). The text is shown; what
//! it means is read here, once, where a report comes in. Whoever decides something by an end asks [`ContainerEnd`].

use serde::{Deserialize, Serialize};

/// What the `reason` of a container says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Cause {
    /// The kernel killed it, because its memory was used up.
    OutOfMemory,
    /// Something on the way to its first process failed.
    Start(StartFailure),
    /// Nothing that anybody decides by. A reason alone is no failure.
    Other,
}

/// What failed on the way to a container's first process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum StartFailure {
    /// The image. It sticks to a container that then runs on an image which was there already.
    Pull,
    /// No registry knew the image. It sticks as [`StartFailure::Pull`] does, and to the containers whose images are only
    /// local: it explains an end that nothing else does.
    Manifest,
    /// Volume, network, creation, start, or what it had to wait for: it never ran, whatever its exit code is.
    Start,
}

/// The names that reasons begin with, as far as something is decided by them (agent-protocol G8, ecs-engine D3).
const CAUSES: &[(&str, Cause)] = &[
    ("OutOfMemoryError", Cause::OutOfMemory),
    ("CannotPullContainerError", Cause::Start(StartFailure::Pull)),
    ("CannotPullECRContainerError", Cause::Start(StartFailure::Pull)),
    ("CannotPullContainerAuthError", Cause::Start(StartFailure::Pull)),
    ("CannotPullImageManifestError", Cause::Start(StartFailure::Manifest)),
    ("CannotCreateContainerError", Cause::Start(StartFailure::Start)),
    ("CannotStartContainerError", Cause::Start(StartFailure::Start)),
    ("CannotCreateVolumeError", Cause::Start(StartFailure::Start)),
    ("ContainerNetworkingError", Cause::Start(StartFailure::Start)),
    ("DockerTimeoutError", Cause::Start(StartFailure::Start)),
    ("HostConfigError", Cause::Start(StartFailure::Start)),
    ("DockerClientConfigError", Cause::Start(StartFailure::Start)),
    ("TaskDependencyError", Cause::Start(StartFailure::Start)),
    ("InvalidVolumeError", Cause::Start(StartFailure::Start)),
    ("ResourceInitializationError", Cause::Start(StartFailure::Start)),
    ("TaskStoppedBeforePullBeginError", Cause::Start(StartFailure::Start)),
];

impl Cause {
    /// Reads a reason. Every text has a meaning: agents may say what they like.
    pub fn parse(reason: &str) -> Self {
        let known = CAUSES.iter().find(|(name, _)| reason.starts_with(name));
        known.map_or(Self::Other, |&(_, cause)| cause)
    }
}

/// How a container ended, as far as anything is decided by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ContainerEnd {
    /// Its process ended by itself, well or badly.
    Exited,
    /// SIGKILL or SIGTERM ended it, and not for want of memory.
    Killed,
    /// It was killed for want of memory.
    OutOfMemory,
    /// It ran, and its agent could not tell how it ended.
    Unknown,
    /// No process of it ever ran; why, if anybody said.
    NeverRan(Option<StartFailure>),
}

/// The exit codes of a process that SIGKILL or SIGTERM ended: 128 and the signal's number.
const SIGKILLED: i32 = 128 + 9;
const SIGTERMED: i32 = 128 + 15;

impl ContainerEnd {
    /// `ran`: it was seen running. Agents may leave that out; then the exit code of a container that was created tells it,
    /// but not that of one which was given up before it started (agent-protocol G8: 143 and a reason).
    pub fn of(ran: bool, created: bool, exit_code: Option<i32>, cause: Option<Cause>) -> Self {
        match (cause, exit_code) {
            (Some(Cause::OutOfMemory), _) => Self::OutOfMemory,
            (Some(Cause::Start(failure @ StartFailure::Start)), _) if !ran => Self::NeverRan(Some(failure)),
            (_, Some(SIGKILLED | SIGTERMED)) if ran || created => Self::Killed,
            (_, Some(_)) if ran || created => Self::Exited,
            (_, None) if ran => Self::Unknown,
            (Some(Cause::Start(failure)), _) => Self::NeverRan(Some(failure)),
            (Some(Cause::Other) | None, _) => Self::NeverRan(None),
        }
    }

    /// True if a process of the container ran.
    pub fn has_run(self) -> bool {
        match self {
            Self::Exited | Self::Killed | Self::OutOfMemory | Self::Unknown => true,
            Self::NeverRan(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_read_by_their_names() {
        for &(name, cause) in CAUSES {
            assert_eq!(Cause::parse(name), cause);
            assert_eq!(Cause::parse(&format!("{name}: why")), cause);
        }
        // No name is the beginning of another, or their order would decide.
        for (index, (name, _)) in CAUSES.iter().enumerate() {
            let others = CAUSES.iter().enumerate().filter(|&(other, _)| other != index);
            assert!(others.clone().all(|(_, (other, _))| !other.starts_with(name)), "{name}");
        }
        for other in ["", "DockerStateError: x", "ContainerVanishedError: x", "it said OutOfMemoryError: x"] {
            assert_eq!(Cause::parse(other), Cause::Other, "{other:?}");
        }
    }

    /// Each line: seen running, created, exit code, reason, and how it ended then.
    #[test]
    fn an_end_follows_from_what_was_told() {
        use StartFailure::{Manifest, Pull, Start};
        let ends: &[(bool, bool, Option<i32>, &str, ContainerEnd)] = &[
            (true, true, Some(0), "", ContainerEnd::Exited),
            (true, true, Some(3), "", ContainerEnd::Exited),
            (true, true, Some(-1), "DockerStateError: x", ContainerEnd::Exited),
            (true, true, Some(137), "", ContainerEnd::Killed),
            (true, true, Some(143), "", ContainerEnd::Killed),
            (true, true, Some(137), "DockerStateError: x", ContainerEnd::Killed),
            // The engine was slow to stop what ran.
            (true, true, Some(137), "DockerTimeoutError: x", ContainerEnd::Killed),
            (true, true, Some(137), "OutOfMemoryError: x", ContainerEnd::OutOfMemory),
            (true, true, Some(143), "OutOfMemoryError: x", ContainerEnd::OutOfMemory),
            (false, true, None, "OutOfMemoryError: x", ContainerEnd::OutOfMemory),
            (true, true, None, "", ContainerEnd::Unknown),
            (true, true, None, "ContainerVanishedError: x", ContainerEnd::Unknown),
            // Its RUNNING was left out, as a short one's may be.
            (false, true, Some(0), "", ContainerEnd::Exited),
            (false, true, Some(137), "", ContainerEnd::Killed),
            // It ran on an image that was there.
            (false, true, Some(0), "CannotPullContainerError: x", ContainerEnd::Exited),
            (false, true, Some(1), "CannotPullImageManifestError: x", ContainerEnd::Exited),
            (true, true, Some(143), "CannotPullImageManifestError: x", ContainerEnd::Killed),
            (false, false, None, "CannotPullContainerError: x", ContainerEnd::NeverRan(Some(Pull))),
            (false, false, None, "CannotPullImageManifestError: x", ContainerEnd::NeverRan(Some(Manifest))),
            (false, false, None, "CannotCreateContainerError: x", ContainerEnd::NeverRan(Some(Start))),
            (false, true, None, "CannotStartContainerError: x", ContainerEnd::NeverRan(Some(Start))),
            // Given up because of what it depends on.
            (false, true, Some(143), "CannotStartContainerError: x", ContainerEnd::NeverRan(Some(Start))),
            // Stopped with its task, before it was created or started.
            (false, false, Some(143), "", ContainerEnd::NeverRan(None)),
            (false, false, None, "", ContainerEnd::NeverRan(None)),
            (false, true, None, "", ContainerEnd::NeverRan(None)),
            (false, false, None, "DockerStateError: x", ContainerEnd::NeverRan(None)),
        ];
        for &(ran, created, exit_code, reason, end) in ends {
            let cause = (!reason.is_empty()).then(|| Cause::parse(reason));
            assert_eq!(
                ContainerEnd::of(ran, created, exit_code, cause),
                end,
                "{ran} {created} {exit_code:?} {reason}"
            );
            assert!(!ran || end.has_run(), "{ran} {created} {exit_code:?} {reason}");
        }
    }
}

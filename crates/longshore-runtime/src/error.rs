//! Why a runtime could not do something.

use longshore_base::Port;
use longshore_engine::input::{OpError, OpErrorKind};
use longshore_engine::spec::RuntimeId;

/// A failed operation. The text is what users read in a container's reason (agent-protocol G8),
/// so it holds no secret and is in the runtime's own words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct RuntimeError {
    pub kind: ErrorKind,
    pub text: String,
}

/// What callers act upon differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// No such container or volume, or no such image in a registry.
    NotFound,
    /// The local image that a container needs is not there.
    ImageMissing,
    /// A container of that name exists; its id if the runtime told.
    NameInUse(Option<RuntimeId>),
    /// The container, image, volume or network is in a state that does not allow this: an image in use, a removal under
    /// way.
    Conflict,
    /// The registry wants (other) credentials.
    Denied,
    /// The credentials that a container's definition names for the registry could not be had.
    NoLogin,
    Timeout,
    /// The runtime or a registry cannot be reached just now.
    Unavailable,
    /// The disk is full.
    NoSpace,
    /// Another program or container has a host port; which port, if the runtime told.
    PortTaken(Option<Port>),
    /// Understood and refused; another try gives the same.
    Refused,
    /// The `config` text of a container could not be decoded.
    BadConfig,
    /// The `hostConfig` text of a container could not be decoded.
    BadHostConfig,
    Other,
}

impl RuntimeError {
    pub fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

impl From<RuntimeError> for OpError {
    /// The engine tells fewer kinds apart; the text keeps the rest.
    fn from(error: RuntimeError) -> Self {
        let kind = match error.kind {
            ErrorKind::NotFound | ErrorKind::ImageMissing => OpErrorKind::NotFound,
            ErrorKind::NameInUse(id) => OpErrorKind::NameInUse(id),
            ErrorKind::Denied => OpErrorKind::Denied,
            ErrorKind::NoLogin => OpErrorKind::NoLogin,
            ErrorKind::Timeout => OpErrorKind::Timeout,
            ErrorKind::Unavailable => OpErrorKind::Unavailable,
            ErrorKind::Refused => OpErrorKind::Refused,
            ErrorKind::BadConfig => OpErrorKind::BadConfig,
            ErrorKind::BadHostConfig => OpErrorKind::BadHostConfig,
            ErrorKind::NoSpace => OpErrorKind::NoSpace,
            ErrorKind::PortTaken(port) => OpErrorKind::PortTaken(port),
            ErrorKind::Conflict | ErrorKind::Other => OpErrorKind::Other,
        };
        OpError { kind, text: error.text }
    }
}

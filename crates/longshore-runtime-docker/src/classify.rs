//! What a failure of the engine means.
//!
//! The API has status codes and, for most of what callers must tell apart, only prose. All
//! reading of that prose happens here; a text that changed in a new engine costs us the precise
//! kind (it becomes `Other`), never correctness.

use std::error::Error as _;

use bollard::errors::Error;
use longshore_base::Port;
use longshore_engine::spec::RuntimeId;
use longshore_runtime::{ErrorKind, RuntimeError};

/// What was asked, because the same status means different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Ask,
    Create,
    Start,
    Stop,
    Kill,
    Inspect,
    Remove,
    List,
    Stats,
    ImageInspect,
    ImageList,
    ImageRemove,
    /// Pulls, and questions to a registry.
    Registry,
    Volume,
    Network,
}

/// Turns the client's error into the port's.
pub(crate) fn refine(call: Call, error: Error) -> RuntimeError {
    match &error {
        Error::DockerResponseServerError { status_code, message } => answered(call, *status_code, message),
        Error::DockerStreamError { error } => {
            RuntimeError::new(registry_kind(error).unwrap_or(ErrorKind::Other), error.clone())
        }
        Error::RequestTimeoutError => {
            RuntimeError::new(ErrorKind::Timeout, "the container engine did not answer in time")
        }
        Error::HyperLegacyError { .. } | Error::HyperResponseError { .. } | Error::IOError { .. } => {
            RuntimeError::new(
                ErrorKind::Unavailable,
                format!("Cannot connect to the Docker daemon: {}", chain(&error)),
            )
        }
        _ => RuntimeError::new(ErrorKind::Other, chain(&error)),
    }
}

/// An error with its causes; the client's own texts repeat some of them.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        if !text.contains(&next_text) {
            text = format!("{text}: {next_text}");
        }
        cause = next.source();
    }
    text
}

fn answered(call: Call, status: u16, message: &str) -> RuntimeError {
    // As the Docker client writes it, and therefore as it appears in reasons on ECS.
    RuntimeError::new(kind(call, status, message), format!("Error response from daemon: {message}"))
}

fn kind(call: Call, status: u16, message: &str) -> ErrorKind {
    let lower = message.to_ascii_lowercase();
    if lower.contains("no space left on device") {
        return ErrorKind::NoSpace;
    }
    if call == Call::Registry
        && let Some(kind) = registry_kind(message)
    {
        return kind;
    }
    match status {
        404 if call == Call::ImageInspect => ErrorKind::ImageMissing,
        404 if call == Call::Create && lower.contains("no such image") => ErrorKind::ImageMissing,
        404 => ErrorKind::NotFound,
        409 if call == Call::Create => name_in_use(message).unwrap_or(ErrorKind::Conflict),
        409 => ErrorKind::Conflict,
        400 | 403 | 405 | 422 => ErrorKind::Refused,
        401 => ErrorKind::Denied,
        408 | 504 => ErrorKind::Timeout,
        502 | 503 => ErrorKind::Unavailable,
        // The proxy of a published port, or the kernel.
        500 if lower.contains("port is already allocated") || lower.contains("address already in use") => {
            ErrorKind::PortTaken(taken_port(message))
        }
        _ => ErrorKind::Other,
    }
}

/// Reads `Conflict. The container name "/x" is already in use by container "<64 hex>"`.
fn name_in_use(message: &str) -> Option<ErrorKind> {
    if !message.contains("already in use by container") {
        return None;
    }
    let id =
        message.split(|c: char| !c.is_ascii_hexdigit()).find(|word| word.len() == 64).map(RuntimeId::new);
    Some(ErrorKind::NameInUse(id))
}

/// The host port in `Bind for 0.0.0.0:80 failed`, `listen tcp4 0.0.0.0:22: bind: ...`, `listen udp6 [::]:53: ...` or
/// `failed to bind host port for 0.0.0.0:80:172.17.0.2:8080/tcp`: the number behind the first address.
fn taken_port(message: &str) -> Option<Port> {
    message.split_whitespace().find_map(|word| {
        let (_, behind) = match word.strip_prefix('[') {
            Some(word) => word.split_once("]:")?,
            None => word.split_once(':')?,
        };
        let behind = behind.trim_start_matches(':');
        let digits = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
        behind[..digits].parse().ok().filter(|port| *port > 0).map(Port)
    })
}

/// What a registry's refusal means, as the engine passes it on.
fn registry_kind(message: &str) -> Option<ErrorKind> {
    let lower = message.to_ascii_lowercase();
    let says = |texts: &[&str]| texts.iter().any(|text| lower.contains(text));
    if says(&["no space left on device"]) {
        Some(ErrorKind::NoSpace)
    } else if says(&[
        "pull access denied",
        "unauthorized",
        "no basic auth credentials",
        "authentication required",
        "denied:",
    ]) {
        Some(ErrorKind::Denied)
    } else if says(&["manifest unknown", "not found", "name unknown", "no matching manifest"]) {
        Some(ErrorKind::NotFound)
    } else if says(&[
        "invalid reference format",
        // The name server has answered: there is no such registry. One that did not answer is transient, see below.
        "no such host",
        // These need a change of the registry's certificate or of the engine's configuration.
        "x509:",
        "server gave http response to https client",
        "unsupported protocol scheme",
    ]) {
        Some(ErrorKind::Refused)
    } else if says(&[
        "connection refused",
        "connection reset",
        "i/o timeout",
        "tls handshake timeout",
        "timeout exceeded",
        "request canceled",
        "network is unreachable",
        "toomanyrequests",
        "unexpected eof",
        "temporary failure in name resolution",
        "server misbehaving",
    ]) {
        Some(ErrorKind::Unavailable)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts as engines 20.10 to 28 write them.
    #[test]
    fn engine_answers_are_told_apart() {
        let id = "29d0971b0ea935be54a1fbee3bedc15bcea7b16baaf9cf9328f93b2e73750f7b";
        let conflict = format!(
            "Conflict. The container name \"/x\" is already in use by container \"{id}\". You have to remove (or rename) that container to be able to reuse that name."
        );
        let check = |call, status, message: &str, expected: ErrorKind| {
            assert_eq!(answered(call, status, message).kind, expected, "{message}");
        };
        check(Call::Create, 409, &conflict, ErrorKind::NameInUse(Some(RuntimeId::new(id))));
        check(Call::Create, 404, "No such image: nothing:1", ErrorKind::ImageMissing);
        check(Call::Create, 400, "invalid mount path: 'x' mount path must be absolute", ErrorKind::Refused);
        check(Call::ImageInspect, 404, "no such image: nothing:1", ErrorKind::ImageMissing);
        check(Call::Start, 404, "No such container: x", ErrorKind::NotFound);
        check(
            Call::Start,
            500,
            "driver failed programming external connectivity on endpoint x: Bind for 0.0.0.0:80 failed: port is already allocated",
            ErrorKind::PortTaken(Some(Port(80))),
        );
        check(
            Call::Start,
            500,
            "driver failed programming external connectivity on endpoint x: Error starting userland proxy: listen tcp4 0.0.0.0:22: bind: address already in use",
            ErrorKind::PortTaken(Some(Port(22))),
        );
        check(
            Call::Start,
            500,
            "driver failed programming external connectivity on endpoint x (0f): failed to bind host port for 0.0.0.0:80:172.17.0.2:8080/tcp: address already in use",
            ErrorKind::PortTaken(Some(Port(80))),
        );
        check(
            Call::Start,
            500,
            "Error starting userland proxy: listen udp6 [::]:53: bind: address already in use",
            ErrorKind::PortTaken(Some(Port(53))),
        );
        check(Call::Start, 500, "a port: address already in use", ErrorKind::PortTaken(None));
        check(Call::Create, 500, "mkdir /var/lib/docker/x: no space left on device", ErrorKind::NoSpace);
        check(Call::Volume, 409, "remove x: volume is in use - [..]", ErrorKind::Conflict);
        check(
            Call::Registry,
            404,
            "pull access denied for x, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
            ErrorKind::Denied,
        );
        check(Call::Registry, 404, "manifest for x:1 not found: manifest unknown", ErrorKind::NotFound);
        check(
            Call::Registry,
            500,
            "Get \"https://r/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
            ErrorKind::Unavailable,
        );
        for hopeless in [
            "Get \"https://r.invalid/v2/\": dial tcp: lookup r.invalid on 10.0.0.2:53: no such host",
            "Get \"https://r/v2/\": tls: failed to verify certificate: x509: certificate signed by unknown authority",
            "Get \"https://r:5000/v2/\": http: server gave HTTP response to HTTPS client",
            "invalid reference format: repository name must be lowercase",
        ] {
            check(Call::Registry, 500, hopeless, ErrorKind::Refused);
        }
        for transient in [
            "Get \"https://r/v2/\": dial tcp: lookup r on 10.0.0.2:53: server misbehaving",
            "Get \"https://r/v2/\": dial tcp: lookup r: Temporary failure in name resolution",
        ] {
            check(Call::Registry, 500, transient, ErrorKind::Unavailable);
        }
        check(Call::Start, 500, "OCI runtime create failed: ...", ErrorKind::Other);
    }

    #[test]
    fn the_text_is_the_daemons() {
        let error = answered(Call::Start, 500, "something");
        assert_eq!(error.to_string(), "Error response from daemon: something");
    }
}

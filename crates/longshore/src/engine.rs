//! What to do about a container engine that does not answer.

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;

use longshore_runtime_docker::DockerHost;

/// Looks at the engine's socket and says what a person can do.
pub fn advice(host: &DockerHost) -> String {
    match host {
        DockerHost::Unix(path) => {
            let kind = UnixStream::connect(path).err().map(|error| error.kind());
            of_socket(&path.display().to_string(), kind)
        }
        DockerHost::Tcp(address) => {
            format!(
                "start the engine that DOCKER_HOST names, tcp://{address}, or unset DOCKER_HOST to use the one of this machine"
            )
        }
    }
}

fn of_socket(path: &str, problem: Option<ErrorKind>) -> String {
    match problem {
        Some(ErrorKind::PermissionDenied) => format!(
            "this user may not use {path}: join its group (sudo usermod -aG docker $USER, then log in again), or run \
             this as root"
        ),
        Some(ErrorKind::NotFound) => format!(
            "there is no {path}: install and start Docker (sudo systemctl start docker, or dockerd), or set DOCKER_HOST \
             to its socket"
        ),
        None => format!("something listens on {path} but does not answer as Docker does: look at its log"),
        Some(_) => format!(
            "nothing listens on {path}: start Docker (sudo systemctl start docker, or dockerd), or set DOCKER_HOST to \
             its socket"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_does_not_answer_says_what_to_do() {
        for (problem, expected) in [
            (Some(ErrorKind::PermissionDenied), "usermod -aG docker"),
            (Some(ErrorKind::NotFound), "there is no /run/x: install and start"),
            (Some(ErrorKind::ConnectionRefused), "nothing listens on /run/x: start Docker"),
            (None, "look at its log"),
        ] {
            assert!(of_socket("/run/x", problem).contains(expected), "{problem:?}");
        }
        assert!(
            advice(&DockerHost::Unix("/nonexistent/socket".into()))
                .starts_with("there is no /nonexistent/socket")
        );
    }
}

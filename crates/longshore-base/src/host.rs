//! Host names and addresses, as URLs and `Host` headers have them.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The header with which an agent says that it hands on a request of a container on its machine (decision 50). Whoever says it
/// has fewer rights by it and never more: no unknown key counts, whatever the mode.
pub const FROM_CONTAINER: &str = "x-longshore-from-container";

/// True if nobody can point `host` somewhere by the public DNS: an address (IPv6 in brackets), a name without dots, and
/// names below `localhost` and `internal`, which are reserved. A web page that is served under another name may have
/// had it pointed at this machine (DNS rebinding).
pub fn is_outside_public_dns(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let ends_with = |ending: &str| {
        let start = host.len().checked_sub(ending.len());
        start.and_then(|start| host.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(ending))
    };
    is_address(host) || !host.contains('.') || ends_with(".localhost") || ends_with(".internal")
}

/// An address as a host: IPv6 stands in brackets.
pub fn is_address(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(v6) => v6.parse::<Ipv6Addr>().is_ok(),
        None => host.parse::<Ipv4Addr>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_somebody_may_own() {
        for host in [
            "127.0.0.1",
            "[::1]",
            "localhost",
            "LOCALHOST.",
            "longshore",
            "a.localhost",
            "host.docker.Internal",
        ] {
            assert!(is_outside_public_dns(host), "{host}");
        }
        for host in [
            "other.example",
            "127.0.0.1.other.example",
            "127.1",
            "1.2.3.4.5",
            "internal.example",
            "é.localhosté.x",
        ] {
            assert!(!is_outside_public_dns(host), "{host}");
        }
    }
}

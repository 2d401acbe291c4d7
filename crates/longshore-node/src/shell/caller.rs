//! Which container is at the other end of a connection from this machine: socket, process, control group.
//!
//! A container in the host's network has the host's addresses, so that its address tells nothing. The kernel knows whose
//! socket it is (proc(5)). Without the right to look into other processes nothing is found, and nobody gets anything.

use std::fs;
use std::net::{IpAddr, SocketAddr};

/// How an engine's container is called in the path of its control group: 64 hexadecimal digits.
const ID_CHARS: usize = 64;

/// The engine's id of the container whose process has this connection, by both of its ends. Reads files for some
/// milliseconds.
pub(super) fn container_of(peer: SocketAddr, local: SocketAddr) -> Option<String> {
    let connections = fs::read_to_string("/proc/net/tcp").ok()?;
    let inode = inode(&connections, peer, local)?;
    let process = process_with(&format!("socket:[{inode}]"))?;
    container_in(&fs::read_to_string(format!("/proc/{process}/cgroup")).ok()?)
}

/// Of the socket that is bound to `peer` and connected to `local`: from the machine's point of view it is the client's.
fn inode(connections: &str, peer: SocketAddr, local: SocketAddr) -> Option<&str> {
    let (peer, local) = (in_hex(peer)?, in_hex(local)?);
    connections.lines().find_map(|line| {
        // sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let is_it = *columns.get(1)? == peer && *columns.get(2)? == local;
        columns.get(9).copied().filter(|inode| is_it && *inode != "0")
    })
}

/// `0100007F:0050`: the bytes of the address as the machine has them in memory.
fn in_hex(address: SocketAddr) -> Option<String> {
    match address.ip() {
        IpAddr::V4(ip) => Some(format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port())),
        IpAddr::V6(_) => None,
    }
}

fn process_with(socket: &str) -> Option<String> {
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let name = process.file_name().into_string().unwrap_or_default();
        if !name.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        // It may be gone, or be another user's.
        let Ok(files) = fs::read_dir(process.path().join("fd")) else { continue };
        let has_it = |file: fs::DirEntry| fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == socket);
        if files.flatten().any(has_it) {
            return Some(name);
        }
    }
    None
}

/// `/docker/ID`, `/ecs/TASK/ID`, `/system.slice/docker-ID.scope`.
fn container_in(groups: &str) -> Option<String> {
    let mut parts = groups.split(|character: char| !character.is_ascii_hexdigit());
    parts.rfind(|part| part.len() == ID_CHARS).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn connections_are_read() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
                      0: 02AAFEA9:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 x\n\
                      1: 02AAFEA9:0050 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 22 1 x\n\
                      2: 0100007F:C350 02AAFEA9:0050 01 00000000:00000000 00:00000000 00000000     0        0 33 1 x\n";
        let at = |text: &str| text.parse().expect("an address");
        let (peer, local) = (at("127.0.0.1:50000"), at("169.254.170.2:80"));
        if cfg!(target_endian = "little") {
            assert_eq!(inode(text, peer, local), Some("33"), "the client's end");
            assert_eq!(inode(text, at("127.0.0.1:50001"), local), None);
        }
        assert_eq!(inode(text, at("[::1]:50000"), local), None);
    }

    #[test]
    fn containers_are_found_in_control_groups() {
        let id = "0123456789abcdef".repeat(4);
        for (groups, expected) in [
            (format!("12:cpu,cpuacct:/docker/{id}\n1:name=systemd:/docker/{id}\n"), Some(&id)),
            (format!("4:memory:/ecs/0123456789abcdef0123456789abcdef/{id}\n"), Some(&id)),
            (format!("0::/system.slice/docker-{id}.scope\n"), Some(&id)),
            ("0::/user.slice/user-0.slice/session-1.scope\n".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(container_in(&groups).as_ref(), expected, "{groups}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_process_at_the_other_end_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let local = listener.local_addr().expect("an address");
        let client = TcpStream::connect(local).expect("somebody listens");
        let (mut served, peer) = listener.accept().expect("a client");
        let connections = fs::read_to_string("/proc/net/tcp").expect("this is Linux");
        let inode = inode(&connections, peer, local).expect("the client's socket");
        let found = process_with(&format!("socket:[{inode}]")).expect("it is this process");
        assert_eq!(found, std::process::id().to_string());
        drop(client);
        assert_eq!(served.read(&mut [0; 1]).expect("it has ended"), 0);
    }
}

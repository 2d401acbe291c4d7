//! Port mappings (ecs-task-definitions C6).

use std::collections::BTreeSet;

use longshore_shapes_ecs as shapes;

use super::Invalid;
use super::containers::of_mut;
use crate::NetworkMode;

/// The most port ranges of one container.
const RANGES_MAX: usize = 100;
const NAME_CHARS_MAX: usize = 64;

pub fn normalise(shape: &mut shapes::TaskDefinition, mode: NetworkMode) -> Result<(), Invalid> {
    let mut taken: BTreeSet<(i32, String)> = BTreeSet::new();
    let mut spans: Vec<Span> = Vec::new();
    for container in of_mut(shape) {
        let name = container.name.clone().unwrap_or_default();
        let mappings = container.port_mappings.get_or_insert_default();
        if mode == NetworkMode::None && !mappings.is_empty() {
            return Err(Invalid::new(format!(
                "Port mappings are not supported when networkMode=none (container '{name}')."
            )));
        }
        let ranges = mappings.iter().filter(|mapping| mapping.container_port_range.is_some()).count();
        if ranges > RANGES_MAX {
            return Err(Invalid::new(format!("Container '{name}' has more than {RANGES_MAX} port ranges.")));
        }
        // The containers of a task in awsvpc mode share their ports; elsewhere each has its own.
        if mode != NetworkMode::Awsvpc {
            spans.clear();
        }
        for mapping in mappings {
            let protocol = protocol(mapping)?;
            check_name(mapping)?;
            if mapping.container_port_range.is_some() {
                let (first, last) = check_range(mapping, mode)?;
                add_span(&mut spans, Span { first, last, range: true, protocol })?;
                continue;
            }
            fill_host_port(mapping, mode)?;
            let fixed = match mode {
                NetworkMode::Awsvpc => mapping.container_port,
                NetworkMode::Bridge | NetworkMode::Host | NetworkMode::None => {
                    mapping.host_port.filter(|&port| port > 0)
                }
            };
            if let Some(port) = fixed
                && !taken.insert((port, protocol.clone()))
            {
                return Err(Invalid::new(format!(
                    "Port {port}/{protocol} is mapped more than once in the task definition."
                )));
            }
            let port = mapping.container_port.unwrap_or(0);
            add_span(&mut spans, Span { first: port, last: port, range: false, protocol })?;
        }
    }
    Ok(())
}

/// Container ports of one mapping, both ends included.
struct Span {
    first: i32,
    last: i32,
    /// Given as `containerPortRange`, and not a single port.
    range: bool,
    protocol: String,
}

/// Refuses a range that has ports of another mapping. Two single ports may be the same one, which then is
/// reached by two host ports.
fn add_span(spans: &mut Vec<Span>, new: Span) -> Result<(), Invalid> {
    let meets = |old: &Span| {
        (old.range || new.range)
            && old.protocol == new.protocol
            && old.first <= new.last
            && new.first <= old.last
    };
    if let Some(old) = spans.iter().find(|old| meets(old)) {
        let (range, port) = if new.range { (&new, old) } else { (old, &new) };
        return Err(Invalid::new(format!(
            "The container port range {}-{}/{} overlaps with another port mapping: port {}.",
            range.first,
            range.last,
            range.protocol,
            range.first.max(port.first)
        )));
    }
    spans.push(new);
    Ok(())
}

fn protocol(mapping: &mut shapes::PortMapping) -> Result<String, Invalid> {
    let protocol = mapping.protocol.get_or_insert_with(|| "tcp".into());
    match protocol.as_str() {
        "tcp" | "udp" => Ok(protocol.as_str().to_owned()),
        _ => Err(Invalid::new("protocol should be one of [tcp,udp]")),
    }
}

fn check_name(mapping: &shapes::PortMapping) -> Result<(), Invalid> {
    let Some(name) = &mapping.name else { return Ok(()) };
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    if name.is_empty() || name.len() > NAME_CHARS_MAX || name.starts_with('-') || !name.bytes().all(allowed) {
        return Err(Invalid::new(format!("The port mapping name '{name}' is invalid.")));
    }
    Ok(())
}

/// The first and the last port of the range.
fn check_range(mapping: &shapes::PortMapping, mode: NetworkMode) -> Result<(i32, i32), Invalid> {
    let text = mapping.container_port_range.as_deref().unwrap_or_default();
    let bounds = text.split_once('-').and_then(|(low, high)| Some((low.parse().ok()?, high.parse().ok()?)));
    let bounds = bounds.filter(|&(low, high): &(u16, u16)| 0 < low && low <= high);
    let alone = mapping.container_port.is_none() && mapping.host_port.is_none();
    let Some((first, last)) = bounds.filter(|_| alone) else {
        return Err(Invalid::new(format!(
            "The container port range '{text}' is invalid: give it as first-last, without containerPort and hostPort."
        )));
    };
    match mode {
        NetworkMode::Bridge | NetworkMode::Awsvpc => Ok((first.into(), last.into())),
        NetworkMode::Host | NetworkMode::None => {
            Err(Invalid::new("Container port ranges need the network mode bridge or awsvpc."))
        }
    }
}

/// bridge: absent means dynamic, shown as 0. host and awsvpc: the same as inside.
fn fill_host_port(mapping: &mut shapes::PortMapping, mode: NetworkMode) -> Result<(), Invalid> {
    let container_port = mapping.container_port.unwrap_or(0);
    if !(1..=65535).contains(&container_port) {
        return Err(Invalid::new(format!(
            "Invalid container port {container_port}: it must be between 1 and 65535."
        )));
    }
    let host_port = mapping.host_port.unwrap_or(0);
    if !(0..=65535).contains(&host_port) {
        return Err(Invalid::new(format!("Invalid host port {host_port}: it must be between 0 and 65535.")));
    }
    mapping.host_port = Some(match mode {
        NetworkMode::Bridge | NetworkMode::None => host_port,
        NetworkMode::Host | NetworkMode::Awsvpc => {
            if host_port != 0 && host_port != container_port {
                let name = if mode == NetworkMode::Host { "host" } else { "awsvpc" };
                return Err(Invalid::new(format!(
                    "When networkMode={name}, the host ports and container ports in port mappings must match."
                )));
            }
            container_port
        }
    });
    Ok(())
}

//! Reading the engine's descriptions of containers.

use std::collections::BTreeSet;

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum, ContainerSummary, EndpointSettings, Health,
    HealthStatusEnum, PortMap,
};
use longshore_base::{ContainerName, Port, Protocol, Timestamp};
use longshore_engine::input::{
    HealthStatus, Observation, ObservedHealth, ObservedMount, ObservedNetwork, ObservedStatus,
};
use longshore_engine::spec::{ContainerKey, PortBinding, RuntimeId, TaskKey};
use longshore_runtime::port::{LABEL_CONTAINER, LABEL_TASK};

/// A container of a task, as the engine's list has it.
pub(crate) struct Listed {
    pub id: RuntimeId,
    pub container: ContainerKey,
    pub name: String,
}

/// `None` for containers that do not carry the labels of a task.
pub(crate) fn listed(summary: ContainerSummary) -> Option<Listed> {
    let labels = summary.labels.unwrap_or_default();
    let container = key(|label| labels.get(label).map(String::as_str))?;
    // A linked container is listed under its aliases too; those have another slash.
    let names = summary.names.unwrap_or_default();
    let name = names.iter().map(|name| name.trim_start_matches('/')).find(|name| !name.contains('/'))?;
    Some(Listed { id: RuntimeId::new(summary.id.as_deref()?), container, name: name.to_owned() })
}

/// The container that labels name.
pub(crate) fn key<'a>(label: impl Fn(&str) -> Option<&'a str>) -> Option<ContainerKey> {
    let task = TaskKey::new(label(LABEL_TASK)?);
    let name = ContainerName::of_agent(label(LABEL_CONTAINER)?).ok()?;
    Some(ContainerKey { task, name })
}

/// Reads an inspection. It was asked for by `asked`, an id or a name.
pub(crate) fn observation(asked: &RuntimeId, response: ContainerInspectResponse) -> Observation {
    let state = response.state.unwrap_or_default();
    let settings = response.network_settings.unwrap_or_default();
    let status = match state.status {
        Some(
            ContainerStateStatusEnum::RUNNING
            | ContainerStateStatusEnum::PAUSED
            | ContainerStateStatusEnum::RESTARTING
            | ContainerStateStatusEnum::STOPPING,
        ) => ObservedStatus::Running,
        // A start that failed leaves a code and an error behind, but the container never ran.
        Some(ContainerStateStatusEnum::CREATED | ContainerStateStatusEnum::EMPTY) | None => {
            ObservedStatus::Created
        }
        Some(
            ContainerStateStatusEnum::EXITED
            | ContainerStateStatusEnum::DEAD
            | ContainerStateStatusEnum::REMOVING,
        ) => ObservedStatus::Exited {
            exit_code: state.exit_code.and_then(|code| i32::try_from(code).ok()).unwrap_or(-1),
            oom_killed: state.oom_killed.unwrap_or_default(),
            error: state.error.filter(|text| !text.is_empty()),
        },
    };
    // What an ended container was bound to is only left in its configuration.
    let bound = bindings(settings.ports.unwrap_or_default());
    let ports = if bound.is_empty() && status != ObservedStatus::Running {
        bindings(response.host_config.and_then(|host| host.port_bindings).unwrap_or_default())
    } else {
        bound
    };
    let mut networks: Vec<ObservedNetwork> =
        settings.networks.unwrap_or_default().into_iter().map(network).collect();
    networks.sort_by(|a, b| a.name.cmp(&b.name));
    let mounts = response.mounts.unwrap_or_default().into_iter().map(|mount| ObservedMount {
        name: mount.name.unwrap_or_default(),
        source: mount.source.unwrap_or_default(),
        destination: mount.destination.unwrap_or_default(),
    });
    Observation {
        runtime_id: response.id.as_deref().map_or_else(|| asked.clone(), RuntimeId::new),
        status,
        created_at: response.created.as_deref().and_then(time),
        started_at: state.started_at.as_deref().and_then(time),
        finished_at: state.finished_at.as_deref().and_then(time),
        pid: state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0),
        image_id: response.image,
        ports,
        networks,
        health: state.health.and_then(health),
        mounts: mounts.collect(),
    }
}

/// One entry per container port, host port and protocol: an engine with IPv6 binds each twice.
fn bindings(map: PortMap) -> Vec<PortBinding> {
    let mut found = BTreeSet::new();
    for (port, bindings) in map {
        let (number, protocol) = port.split_once('/').unwrap_or((port.as_str(), "tcp"));
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            // ECS has no SCTP.
            _ => continue,
        };
        let Some(container) = port_number(number) else { continue };
        for binding in bindings.unwrap_or_default() {
            if let Some(host) = binding.host_port.as_deref().and_then(port_number) {
                found.insert(PortBinding { container, host, protocol });
            }
        }
    }
    found.into_iter().collect()
}

fn port_number(text: &str) -> Option<Port> {
    text.parse().ok().filter(|port| *port > 0).map(Port)
}

fn network((name, settings): (String, EndpointSettings)) -> ObservedNetwork {
    let some = |text: Option<String>| text.filter(|text| !text.is_empty());
    ObservedNetwork {
        name,
        ipv4: some(settings.ip_address),
        ipv6: some(settings.global_ipv6_address),
        mac: some(settings.mac_address),
    }
}

/// `None` if there is no health check: the engine writes that as absent or as `none`.
fn health(health: Health) -> Option<ObservedHealth> {
    let status = match health.status? {
        HealthStatusEnum::EMPTY | HealthStatusEnum::NONE => return None,
        HealthStatusEnum::STARTING => HealthStatus::Unknown,
        HealthStatusEnum::HEALTHY => HealthStatus::Healthy,
        HealthStatusEnum::UNHEALTHY => HealthStatus::Unhealthy,
    };
    let last = health.log.unwrap_or_default().pop();
    Some(ObservedHealth {
        status,
        exit_code: last.as_ref().and_then(|check| check.exit_code).and_then(|code| i32::try_from(code).ok()),
        output: last.and_then(|check| check.output).unwrap_or_default(),
    })
}

/// RFC 3339 with nanoseconds. The engine's "never" is the year 1.
pub(crate) fn time(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    let millis = time.as_millisecond();
    (millis > 0).then(|| Timestamp::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(json: serde_json::Value) -> Observation {
        observation(&RuntimeId::new("id"), serde_json::from_value(json).expect("an inspection"))
    }

    #[test]
    fn a_running_container() {
        let observation = read(json!({
            "Id": "id", "Created": "2026-01-02T03:04:05.123456789Z", "Image": "sha256:1",
            "State": {"Status": "running", "Pid": 42, "ExitCode": 0, "OOMKilled": false,
                      "StartedAt": "2026-01-02T03:04:06Z", "FinishedAt": "0001-01-01T00:00:00Z",
                      "Health": {"Status": "unhealthy", "FailingStreak": 3,
                                 "Log": [{"ExitCode": 0, "Output": "a"}, {"ExitCode": 1, "Output": "b"}]}},
            "HostConfig": {"PortBindings": {"81/tcp": [{"HostIp": "", "HostPort": "81"}]}},
            "Mounts": [{"Type": "volume", "Name": "v", "Source": "/x", "Destination": "/y"}],
            "NetworkSettings": {
                "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "32768"}, {"HostIp": "::", "HostPort": "32768"}],
                          "81/udp": null},
                "Networks": {"bridge": {"IPAddress": "172.17.0.2", "MacAddress": "02:42", "GlobalIPv6Address": ""}}}
        }));
        assert_eq!(observation.status, ObservedStatus::Running);
        assert_eq!(observation.created_at, Some(Timestamp::from_millis(1_767_323_045_123)));
        assert_eq!(observation.finished_at, None);
        assert_eq!(observation.pid, Some(42));
        let port = PortBinding { container: Port(80), host: Port(32768), protocol: Protocol::Tcp };
        assert_eq!(observation.ports, [port]);
        assert_eq!(observation.networks[0].ipv4.as_deref(), Some("172.17.0.2"));
        assert_eq!(observation.networks[0].ipv6, None);
        let health = observation.health.expect("a health check");
        assert_eq!(
            (health.status, health.exit_code, health.output.as_str()),
            (HealthStatus::Unhealthy, Some(1), "b")
        );
        assert_eq!(observation.mounts[0].name, "v");
    }

    #[test]
    fn an_ended_container() {
        let observation = read(json!({
            "State": {"Status": "exited", "Pid": 0, "ExitCode": 137, "OOMKilled": true, "Error": ""},
            "HostConfig": {"PortBindings": {"81/tcp": [{"HostIp": "", "HostPort": "81"}]}},
            "NetworkSettings": {"Ports": {}}
        }));
        assert_eq!(
            observation.status,
            ObservedStatus::Exited { exit_code: 137, oom_killed: true, error: None }
        );
        assert_eq!(observation.ports.len(), 1);
        assert_eq!(observation.pid, None);
    }

    #[test]
    fn a_container_that_failed_to_start_never_ran() {
        let observation =
            read(json!({"State": {"Status": "created", "ExitCode": 127, "Error": "exec failed"}}));
        assert_eq!(observation.status, ObservedStatus::Created);
    }

    #[test]
    fn listed_containers_need_the_labels_of_a_task() {
        let summary = |json| listed(serde_json::from_value(json).expect("a summary"));
        let labels = json!({LABEL_TASK: "arn:aws:ecs:x:1:task/c/1", LABEL_CONTAINER: "main"});
        let found =
            summary(json!({"Id": "1", "Names": ["/other/alias", "/ecs-x"], "Labels": labels})).expect("ours");
        assert_eq!((found.name.as_str(), found.container.name.as_str()), ("ecs-x", "main"));
        assert!(summary(json!({"Id": "1", "Names": ["/ecs-x"], "Labels": {LABEL_TASK: "x"}})).is_none());
    }
}

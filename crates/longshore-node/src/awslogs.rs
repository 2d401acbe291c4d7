//! What stands in for CloudWatch Logs until there is such a service to write to: the engine keeps what a container
//! with the log driver `awslogs` writes, in files of a bounded size, and `docker logs` shows it (decision 28).
//!
//! This is the only place that knows of it. The payload, the journal and the metadata keep `awslogs` as the definition
//! has it; the request that creates the container is changed on its way to the runtime.

use longshore_engine::spec::{ContainerSpec, Opaque};
use serde_json::{Map, Value, json};

use crate::capability::Attribute;

/// The driver as definitions name it.
pub const AWSLOGS: &str = "awslogs";

/// What is kept of one container: five files of 20 MiB.
const FILES_MAX: &str = "5";
const FILE_SIZE_MAX: &str = "20m";

/// The engine's driver that takes the place of `awslogs` (`LONGSHORE_AWSLOGS_DRIVER`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandIn {
    JsonFile,
    Local,
}

impl StandIn {
    pub fn as_str(self) -> &'static str {
        match self {
            StandIn::JsonFile => "json-file",
            StandIn::Local => "local",
        }
    }

    /// `None` for what is no driver that keeps a bounded number of bytes.
    pub fn parse(text: &str) -> Option<Self> {
        [StandIn::JsonFile, StandIn::Local].into_iter().find(|driver| driver.as_str() == text)
    }

    /// What the instance says of itself: definitions with `awslogs` can be placed here, with an execution role too
    /// (nobody is asked for credentials), and where their lines go.
    pub(crate) fn attributes(self) -> Vec<Attribute> {
        vec![
            Attribute::flag("com.amazonaws.ecs.capability.logging-driver.awslogs"),
            Attribute::flag("ecs.capability.execution-role-awslogs"),
            Attribute::new("longshore.awslogs-driver", self.as_str()),
        ]
    }

    /// Puts itself into the place of `awslogs`, and tells whether it had one. Whatever else a container names is left
    /// alone, and so is a text that cannot be read: the runtime will say what is wrong with it.
    pub fn take_over(self, spec: &mut ContainerSpec) -> bool {
        let Some(Opaque(text)) = &spec.docker_host_config else { return false };
        let Ok(Value::Object(mut host)) = serde_json::from_str(text) else { return false };
        let Some(Value::Object(log)) = host.get("LogConfig") else { return false };
        if log.get("Type").and_then(Value::as_str) != Some(AWSLOGS) {
            return false;
        }
        let options = self.options(log.get("Config"));
        host.insert("LogConfig".to_owned(), json!({"Type": self.as_str(), "Config": options}));
        spec.docker_host_config = Some(Opaque(Value::Object(host).to_string()));
        // They were options of the other driver.
        spec.log_secrets.clear();
        true
    }

    /// Groups, streams and patterns mean nothing to an engine's own driver. How a container is to be held up by its
    /// log is a matter of all drivers; the size of the buffer is refused without `non-blocking`.
    fn options(self, given: Option<&Value>) -> Map<String, Value> {
        let given = |name: &str| given.and_then(|options| options.get(name)).cloned();
        let mut options = Map::new();
        options.insert("max-size".to_owned(), FILE_SIZE_MAX.into());
        options.insert("max-file".to_owned(), FILES_MAX.into());
        if let Some(mode) = given("mode") {
            let buffer = given("max-buffer-size").filter(|_| mode == "non-blocking");
            options.insert("mode".to_owned(), mode);
            options.extend(buffer.map(|size| ("max-buffer-size".to_owned(), size)));
        }
        options
    }
}

/// The driver and the options of a container's `hostConfig` text, as its definition has them.
pub(crate) fn log_config(host_config: &Opaque) -> Option<(String, Value)> {
    let mut host: Value = serde_json::from_str(&host_config.0).ok()?;
    let log = host.get_mut("LogConfig")?;
    let driver = log.get("Type")?.as_str().filter(|driver| !driver.is_empty())?.to_owned();
    Some((driver, log.get_mut("Config").map(Value::take).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use longshore_engine::spec::{Environment, NetworkMode, NetworkPlace, SecretText};

    use super::*;

    fn spec(host_config: &str) -> ContainerSpec {
        ContainerSpec {
            name: "ecs-web-1-main-0".to_owned(),
            image: "bb".to_owned(),
            entry_point: None,
            command: None,
            environment: Environment::default(),
            environment_defaults: Environment::default(),
            cpu_shares: 2,
            memory_bytes: None,
            ports: Vec::new(),
            bind_address: None,
            binds: Vec::new(),
            volumes_from: Vec::new(),
            links: Vec::new(),
            labels: BTreeMap::new(),
            network_mode: NetworkMode::Bridge,
            network: NetworkPlace::ByMode,
            pid_mode: None,
            ipc_mode: None,
            cgroup_parent: None,
            log_secrets: vec![("token".to_owned(), SecretText::new("s3cret"))],
            stop_timeout: Duration::from_secs(30),
            docker_config: None,
            docker_host_config: Some(Opaque(host_config.to_owned())),
        }
    }

    /// What becomes of a log configuration.
    fn check(log: &Value, expected: Option<Value>) {
        let before = spec(&json!({"LogConfig": log, "Privileged": true}).to_string());
        let mut after = before.clone();
        let taken = StandIn::JsonFile.take_over(&mut after);
        assert_eq!(taken, expected.is_some(), "{log}");
        let Some(expected) = expected else { return assert_eq!(after, before) };
        let text = after.docker_host_config.expect("it is still there").0;
        let host: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(host, json!({"LogConfig": {"Type": "json-file", "Config": expected}, "Privileged": true}));
        assert_eq!(after.log_secrets, [], "they were for the other driver");
    }

    #[test]
    fn a_bounded_log_takes_the_place_of_awslogs() {
        let bounded = json!({"max-size": "20m", "max-file": "5"});
        let options = json!({"awslogs-group": "/shop/web", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "web",
                             "awslogs-create-group": "true"});
        check(&json!({"Type": "awslogs", "Config": options}), Some(bounded.clone()));
        check(&json!({"Type": "awslogs"}), Some(bounded.clone()));
        check(&json!({"Type": "awslogs", "Config": null}), Some(bounded.clone()));
        // Engines refuse the size of a buffer that is not used.
        check(&json!({"Type": "awslogs", "Config": {"max-buffer-size": "25m"}}), Some(bounded));
        check(
            &json!({"Type": "awslogs", "Config": {"mode": "non-blocking", "max-buffer-size": "25m"}}),
            Some(
                json!({"max-size": "20m", "max-file": "5", "mode": "non-blocking", "max-buffer-size": "25m"}),
            ),
        );
        check(
            &json!({"Type": "awslogs", "Config": {"mode": "blocking", "max-buffer-size": "25m"}}),
            Some(json!({"max-size": "20m", "max-file": "5", "mode": "blocking"})),
        );
    }

    #[test]
    fn other_drivers_and_other_texts_are_left_alone() {
        check(&json!({"Type": "splunk", "Config": {"splunk-url": "u"}}), None);
        check(&json!({"Type": ""}), None);
        check(&Value::Null, None);
        for text in ["", "[]", "{", r#"{"LogConfig": "awslogs"}"#] {
            let mut own = spec(text);
            assert!(!StandIn::Local.take_over(&mut own), "{text}");
            assert_eq!(own, spec(text));
        }
    }

    #[test]
    fn metadata_shows_what_the_definition_says() {
        let text =
            Opaque(json!({"LogConfig": {"Type": "awslogs", "Config": {"awslogs-group": "g"}}}).to_string());
        assert_eq!(log_config(&text), Some((AWSLOGS.to_owned(), json!({"awslogs-group": "g"}))));
        assert_eq!(log_config(&Opaque("{}".to_owned())), None);
        assert_eq!(log_config(&Opaque("nonsense".to_owned())), None);
    }
}

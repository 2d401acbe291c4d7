//! What the instance says it can do (agent-protocol G4).
//!
//! Only what this agent does is announced, because the scheduler believes it. Not announced: environment files, private
//! registries by secret, ECR, FireLens, EFS with authorisation, shared PID and
//! IPC name spaces, GPUs, ExecuteCommand.

use longshore_engine::settings::TaskCgroups;
use longshore_runtime::RuntimeInfo;
use longshore_shapes_ecs as shapes;

use crate::awslogs::AWSLOGS;
use crate::config::Config;
use crate::network;

/// A name, usually without a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attribute {
    pub name: String,
    pub value: Option<String>,
}

impl From<Attribute> for shapes::Attribute {
    fn from(Attribute { name, value }: Attribute) -> Self {
        Self { name: Some(name), value, ..Self::default() }
    }
}

impl Attribute {
    /// `None` for one without a name, which says nothing.
    pub(crate) fn of(shape: shapes::Attribute) -> Option<Self> {
        Some(Self { name: shape.name?, value: shape.value })
    }

    pub(crate) fn flag(name: impl Into<String>) -> Self {
        Self { name: name.into(), value: None }
    }

    pub(crate) fn new(name: &str, value: impl Into<String>) -> Self {
        Self { name: name.to_owned(), value: Some(value.into()) }
    }
}

/// The minor versions of the Engine API 1.x that agents ever announce.
const API_MINORS: [u32; 13] = [17, 18, 19, 20, 21, 22, 23, 24, 25, 28, 29, 30, 32];

/// Log drivers and the minor API version that each needs.
const LOG_DRIVERS: [(&str, u32); 10] = [
    ("json-file", 18),
    ("syslog", 18),
    ("journald", 19),
    ("none", 19),
    ("gelf", 20),
    ("fluentd", 20),
    ("awslogs", 21),
    ("splunk", 22),
    ("logentries", 25),
    ("sumologic", 29),
];

/// Everything that goes into a registration. Custom attributes come first and only in the first one,
/// because the server keeps them (agent-protocol G3).
pub fn attributes(config: &Config, runtime: &RuntimeInfo, first_registration: bool) -> Vec<Attribute> {
    let mut all = Vec::new();
    if first_registration {
        all.extend(config.attributes.iter().map(|(name, value)| Attribute::new(name, value.clone())));
    }
    all.extend(capabilities(config, runtime));
    all.extend(built_in(config, runtime));
    all.extend(config.engine.task_network.iter().flat_map(network::attributes));
    all
}

fn capabilities(config: &Config, runtime: &RuntimeInfo) -> Vec<Attribute> {
    let (major, minor) = runtime.api_version;
    // An engine of a later major version is taken to serve all of 1.x.
    let supports = |needed: u32| major > 1 || (major == 1 && minor >= needed);
    let mut all: Vec<Attribute> = [
        "ecs.capability.container-ordering",
        "ecs.capability.full-sync",
        "ecs.capability.network.container-port-range",
        "ecs.capability.container-restart-policy",
        "ecs.capability.efs",
    ]
    .map(Attribute::flag)
    .to_vec();
    let mut add_if = |condition: bool, name: &str| {
        if condition {
            all.push(Attribute::flag(name));
        }
    };
    for provider in ["ssm", "asm"] {
        add_if(true, &format!("ecs.capability.secrets.{provider}.environment-variables"));
        add_if(true, &format!("ecs.capability.secrets.{provider}.bootstrap.log-driver"));
    }
    add_if(true, "ecs.capability.private-registry-authentication.secretsmanager");
    add_if(config.privileged, "com.amazonaws.ecs.capability.privileged-container");
    add_if(config.selinux, "com.amazonaws.ecs.capability.selinux");
    add_if(config.apparmor, "com.amazonaws.ecs.capability.apparmor");
    add_if(config.task_role, "com.amazonaws.ecs.capability.task-iam-role");
    add_if(config.task_role_host_network, "com.amazonaws.ecs.capability.task-iam-role-network-host");
    // A deviation: the official agent announces these only if it can make cgroups for tasks. Here a task's limits
    // also count without them, in placement and in the host's ledger, and each container is held to its task's memory;
    // what is missing then is the kernel's enforcement on the sum of the containers. Not announcing would keep such
    // tasks from running at all.
    add_if(config.task_limits != Some(false), "ecs.capability.task-cpu-mem-limit");
    add_if(config.task_limits != Some(false), "ecs.capability.increased-task-cpu-limit");
    add_if(config.health_checks && supports(24), "ecs.capability.container-health-check");
    add_if(config.external, "ecs.capability.external");
    add_if(true, "ecs.capability.docker-plugin.local");
    for minor in API_MINORS {
        add_if(supports(minor), &format!("com.amazonaws.ecs.capability.docker-remote-api.1.{minor}"));
    }
    for (driver, needed) in LOG_DRIVERS {
        let is_available = config.log_drivers.iter().any(|available| available == driver)
            && engine_has(runtime, driver)
            // Announced below.
            && !(driver == AWSLOGS && config.awslogs.is_some());
        add_if(
            is_available && supports(needed),
            &format!("com.amazonaws.ecs.capability.logging-driver.{driver}"),
        );
    }
    for plugin in &runtime.volume_drivers {
        // A colon separates a tag, which attribute names cannot hold.
        let name = plugin.replace(':', ".");
        add_if(name != "local", &format!("ecs.capability.docker-plugin.{name}"));
        if let Some(plain) = plugin.strip_suffix(":latest") {
            add_if(true, &format!("ecs.capability.docker-plugin.{plain}"));
        }
    }
    all.extend(config.awslogs.iter().flat_map(|driver| driver.attributes()));
    all
}

/// The usual two go by several names. An engine that lists none of the others is not doubted.
fn engine_has(runtime: &RuntimeInfo, driver: &str) -> bool {
    matches!(driver, "json-file" | "none")
        || runtime.log_drivers.is_empty()
        || runtime.log_drivers.iter().any(|known| known == driver)
}

fn built_in(config: &Config, runtime: &RuntimeInfo) -> Vec<Attribute> {
    let architecture = match runtime.architecture.as_str() {
        "aarch64" | "arm64" => "arm64",
        _ => "x86_64",
    };
    let mut all = vec![
        Attribute::new("ecs.os-type", "linux"),
        Attribute::new("ecs.os-family", "LINUX"),
        Attribute::new("ecs.os-type-detailed", config.detailed_os_family.clone()),
        Attribute::new("ecs.cpu-architecture", architecture),
    ];
    // For people: what the kernel holds to the limits of a task.
    let held = match config.engine.task_cgroups {
        TaskCgroups::Off => "each-container",
        TaskCgroups::V1 | TaskCgroups::V2 => "task",
    };
    all.push(Attribute::new("longshore.task-limits", held));
    if let Some(zone) = &config.zone {
        // The official agent leaves it to the server, which knows it from EC2. Nobody knows ours but us.
        all.push(Attribute::new("ecs.availability-zone", zone.clone()));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Config {
        let pairs = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")]
            .iter()
            .chain(pairs)
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Config::read(pairs, None).expect("valid").0
    }

    fn names(config: &Config, api: (u32, u32), first: bool) -> Vec<String> {
        let runtime = RuntimeInfo { api_version: api, ..RuntimeInfo::default() };
        attributes(config, &runtime, first).into_iter().map(|attribute| attribute.name).collect()
    }

    #[test]
    fn the_engine_api_limits_what_is_announced() {
        let config = config(&[("ECS_AVAILABLE_LOGGING_DRIVERS", r#"["json-file","splunk"]"#)]);
        let old = names(&config, (1, 21), true);
        assert!(old.contains(&"com.amazonaws.ecs.capability.docker-remote-api.1.21".to_owned()));
        assert!(!old.contains(&"com.amazonaws.ecs.capability.docker-remote-api.1.22".to_owned()));
        assert!(!old.contains(&"ecs.capability.container-health-check".to_owned()));
        assert!(!old.contains(&"com.amazonaws.ecs.capability.logging-driver.splunk".to_owned()));
        let new = names(&config, (1, 41), true);
        assert!(new.contains(&"com.amazonaws.ecs.capability.docker-remote-api.1.32".to_owned()));
        assert!(new.contains(&"ecs.capability.container-health-check".to_owned()));
        assert!(new.contains(&"com.amazonaws.ecs.capability.logging-driver.splunk".to_owned()));
        assert!(!new.contains(&"com.amazonaws.ecs.capability.logging-driver.none".to_owned()));
    }

    #[test]
    fn awslogs_is_announced_if_something_stands_in_for_it() {
        const DRIVER: &str = "com.amazonaws.ecs.capability.logging-driver.awslogs";
        const ROLE: &str = "ecs.capability.execution-role-awslogs";
        let said = |pairs: &[(&str, &str)]| {
            let names = names(&config(pairs), (1, 41), true);
            [DRIVER, ROLE].map(|name| names.iter().filter(|own| *own == name).count())
        };
        assert_eq!(said(&[]), [0, 0]);
        let stand_in = ("LONGSHORE_AWSLOGS_DRIVER", "json-file");
        assert_eq!(said(&[stand_in]), [1, 1]);
        assert_eq!(said(&[stand_in, ("LONGSHORE_POOL", "true")]), [1, 1]);
        let engines = ("ECS_AVAILABLE_LOGGING_DRIVERS", r#"["awslogs"]"#);
        assert_eq!(said(&[stand_in, engines]), [1, 1]);
        assert_eq!(said(&[engines]), [1, 0]);
    }

    #[test]
    fn a_driver_that_the_engine_lacks_is_not_announced() {
        let config = config(&[("LONGSHORE_POOL", "true")]);
        let said = |log_drivers: &[&str]| {
            let log_drivers = log_drivers.iter().map(|driver| (*driver).to_owned()).collect();
            let runtime = RuntimeInfo { api_version: (1, 41), log_drivers, ..RuntimeInfo::default() };
            let all = attributes(&config, &runtime, true).into_iter().map(|own| own.name);
            let prefix = "com.amazonaws.ecs.capability.logging-driver.";
            all.filter_map(|name| Some(name.strip_prefix(prefix)?.to_owned())).collect::<Vec<_>>()
        };
        assert_eq!(said(&["json-file", "splunk"]), ["json-file", "none", "splunk"]);
        assert_eq!(said(&["k8s-file", "journald"]), ["json-file", "none"]);
    }

    #[test]
    fn custom_attributes_go_first_and_once() {
        let config = config(&[("ECS_INSTANCE_ATTRIBUTES", r#"{"stack":"a"}"#)]);
        assert_eq!(names(&config, (1, 41), true)[0], "stack");
        assert!(!names(&config, (1, 41), false).contains(&"stack".to_owned()));
    }

    #[test]
    fn the_zone_is_announced_if_it_is_known() {
        let runtime = RuntimeInfo::default();
        let zone = |config: &Config| {
            let all = attributes(config, &runtime, false);
            all.into_iter().find(|attribute| attribute.name == "ecs.availability-zone")
        };
        assert_eq!(zone(&config(&[])), None);
        let found = zone(&config(&[("LONGSHORE_AVAILABILITY_ZONE", "us-east-1b")])).expect("it is set");
        assert_eq!(found.value.as_deref(), Some("us-east-1b"));
    }
}

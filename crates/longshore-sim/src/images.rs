//! The images of a simulated world: each behaves in one way, and has a task definition of its own.

use std::time::Duration;

use longshore_base::Scope;
use longshore_engine::input::HealthStatus;
use longshore_runtime::scripted::ImageScript;
use longshore_runtime::{ErrorKind, RuntimeError};
use longshore_tables_ec2::defaults;
use serde_json::{Value, json};

use crate::chance::Chance;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Image {
    /// Runs until it is stopped.
    Web,
    /// The same, in another version.
    Web2,
    /// Has a health check, which it passes after a while.
    Checked,
    /// Has a health check, which it fails after a while.
    Sick,
    /// Does its work and leaves with 0.
    Job,
    /// Starts and leaves with 1.
    Crash,
    /// Does not exist.
    Missing,
    /// Needs longer for SIGTERM.
    Slow,
    /// Two containers, of which one waits for the other.
    Pair,
    /// A main container, and a non-essential one that leaves at once.
    Helper,
    /// Leaves after a while, and is started again by its restart policy.
    Phoenix,
    /// Two host ports that the agent chooses.
    Dynamic,
    /// Two containers in awsvpc mode.
    Vpc,
}

/// Each image has a task definition of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// As the image wants it.
    Plain,
    /// With a fixed host port.
    Port,
    /// In awsvpc mode and with a size, so that Fargate takes it, too.
    Fargate,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Plain, Kind::Port, Kind::Fargate];

    fn suffix(self) -> &'static str {
        match self {
            Kind::Plain => "",
            Kind::Port => "-port",
            Kind::Fargate => "-fargate",
        }
    }
}

/// The roles that every account has until a user deletes them. Tasks of some images run with them.
pub const ROLES: [&str; 3] = ["app", "batch", "starter"];

/// What each container has, in MiB; so no task has less.
pub const MEMORY_LEAST: u32 = 128;
/// How long Phoenix runs, a little longer than [`RESTART_PERIOD`].
const PHOENIX_LIFE: Duration = Duration::from_secs(64);
/// How long a container must have run to be started again; the least that ECS allows.
pub const RESTART_PERIOD: Duration = Duration::from_secs(60);

impl Image {
    pub const ALL: [Image; 13] = [
        Image::Web,
        Image::Web2,
        Image::Checked,
        Image::Sick,
        Image::Job,
        Image::Crash,
        Image::Missing,
        Image::Slow,
        Image::Pair,
        Image::Helper,
        Image::Phoenix,
        Image::Dynamic,
        Image::Vpc,
    ];

    /// Images that work are drawn more often.
    pub fn draw(chance: &mut Chance) -> Self {
        const GOOD: [Image; 9] = [
            Image::Web,
            Image::Web2,
            Image::Checked,
            Image::Slow,
            Image::Pair,
            Image::Helper,
            Image::Phoenix,
            Image::Dynamic,
            Image::Vpc,
        ];
        if chance.per_mille(700) { *chance.pick(&GOOD) } else { *chance.pick(&Self::ALL) }
    }

    /// Also the family of its task definition.
    pub fn name(self) -> &'static str {
        match self {
            Image::Web => "web",
            Image::Web2 => "web2",
            Image::Checked => "checked",
            Image::Sick => "sick",
            Image::Job => "job",
            Image::Crash => "crash",
            Image::Missing => "missing",
            Image::Slow => "slow",
            Image::Pair => "pair",
            Image::Helper => "helper",
            Image::Phoenix => "phoenix",
            Image::Dynamic => "dynamic",
            Image::Vpc => "vpc",
        }
    }

    /// The family of its task definition of a kind.
    pub fn family(self, kind: Kind) -> String {
        format!("{}{}", self.name(), kind.suffix())
    }

    /// CPU units and MiB of its tasks on Fargate: sizes that Fargate has (ecs-task-definitions C5).
    pub fn size(self) -> (u32, u32) {
        match self {
            Image::Pair | Image::Checked => (256, 1024),
            Image::Slow | Image::Vpc => (512, 1024),
            Image::Web
            | Image::Web2
            | Image::Sick
            | Image::Job
            | Image::Crash
            | Image::Missing
            | Image::Helper
            | Image::Phoenix
            | Image::Dynamic => (256, 512),
        }
    }

    /// The names of the roles of its tasks: that of its containers, and that of the agent that starts them.
    pub fn roles(self) -> (Option<&'static str>, Option<&'static str>) {
        match self {
            Image::Web | Image::Pair | Image::Phoenix => (Some("app"), None),
            Image::Checked => (Some("batch"), None),
            Image::Vpc => (Some("app"), Some("starter")),
            Image::Web2
            | Image::Sick
            | Image::Job
            | Image::Crash
            | Image::Missing
            | Image::Slow
            | Image::Helper
            | Image::Dynamic => (None, None),
        }
    }

    /// A service of it can become steady.
    pub fn is_good(self) -> bool {
        match self {
            Image::Web
            | Image::Web2
            | Image::Checked
            | Image::Slow
            | Image::Pair
            | Image::Helper
            | Image::Phoenix
            | Image::Dynamic
            | Image::Vpc => true,
            Image::Sick | Image::Job | Image::Crash | Image::Missing => false,
        }
    }

    /// A container of it may be started again under its restart policy.
    pub fn may_restart(self) -> bool {
        self == Image::Phoenix
    }

    /// True for the containers that end their task: all but the helper.
    pub fn is_essential(container: &str) -> bool {
        container != "init"
    }

    pub fn has_health_check(self) -> bool {
        matches!(self, Image::Checked | Image::Sick)
    }

    /// The image whose family this is.
    pub fn of_family(family: &str) -> Option<Self> {
        Self::and_kind(family).map(|(image, _)| image)
    }

    /// The image whose family this is, and the kind of its definition.
    pub fn and_kind(family: &str) -> Option<(Self, Kind)> {
        let all = Self::ALL.into_iter().flat_map(|image| Kind::ALL.map(|kind| (image, kind)));
        all.into_iter()
            .find(|(image, kind)| family.strip_prefix(image.name()).is_some_and(|rest| rest == kind.suffix()))
    }

    /// The images of the world by reference, with their behaviour.
    pub fn scripts(self) -> Vec<(&'static str, ImageScript)> {
        let seconds = Duration::from_secs;
        let usual = ImageScript::remote(seconds(1));
        match self {
            Image::Web | Image::Web2 | Image::Pair | Image::Dynamic | Image::Vpc => {
                vec![(self.name(), usual)]
            }
            Image::Phoenix => {
                vec![(self.name(), ImageScript { run_time: Some(PHOENIX_LIFE), exit_code: 3, ..usual })]
            }
            Image::Checked => {
                let health = vec![(seconds(2), HealthStatus::Healthy)];
                vec![(self.name(), ImageScript { health, ..usual })]
            }
            Image::Sick => {
                let health = vec![(seconds(1), HealthStatus::Healthy), (seconds(9), HealthStatus::Unhealthy)];
                vec![(self.name(), ImageScript { health, ..usual })]
            }
            Image::Job => vec![(self.name(), ImageScript { run_time: Some(seconds(15)), ..usual })],
            Image::Crash => {
                vec![(
                    self.name(),
                    ImageScript { run_time: Some(Duration::from_millis(700)), exit_code: 1, ..usual },
                )]
            }
            Image::Missing => {
                let registry = Err(RuntimeError::new(ErrorKind::NotFound, "manifest unknown"));
                vec![(self.name(), ImageScript { registry, ..usual })]
            }
            Image::Slow => vec![(self.name(), ImageScript { term_time: seconds(6), ..usual })],
            Image::Helper => {
                let short = ImageScript { run_time: Some(seconds(1)), ..usual.clone() };
                vec![(self.name(), usual), ("helper-init", short)]
            }
        }
    }

    /// The body of RegisterTaskDefinition.
    pub fn definition(self, kind: Kind) -> Value {
        let ports = kind == Kind::Port;
        let container = |name: &str, image: &str, essential: bool| json!({"name": name, "image": image, "essential": essential, "cpu": 128, "memory": MEMORY_LEAST});
        let mut containers = vec![container("main", self.name(), true)];
        if self.has_health_check() {
            containers[0]["healthCheck"] = json!({"command": ["CMD-SHELL", "true"], "startPeriod": 5});
        }
        if ports && self == Image::Vpc {
            // At an address of its own a task has all ports to itself.
            containers[0]["portMappings"] = json!([{"containerPort": 8080}]);
        } else if ports {
            containers[0]["portMappings"] = json!([{"containerPort": 80, "hostPort": 8080}]);
        }
        match self {
            Image::Phoenix => {
                let seconds = RESTART_PERIOD.as_secs();
                containers[0]["restartPolicy"] = json!({"enabled": true, "restartAttemptPeriod": seconds});
            }
            Image::Dynamic if ports => {}
            Image::Dynamic => {
                containers[0]["portMappings"] = json!([{"containerPort": 80}, {"containerPort": 81}]);
            }
            Image::Pair | Image::Vpc => {
                let mut second = container("second", self.name(), true);
                second["dependsOn"] = json!([{"containerName": "main", "condition": "START"}]);
                containers.push(second);
            }
            Image::Helper => containers.push(container("init", "helper-init", false)),
            Image::Web
            | Image::Web2
            | Image::Checked
            | Image::Sick
            | Image::Job
            | Image::Crash
            | Image::Missing
            | Image::Slow => {}
        }
        let mut definition = json!({"family": self.family(kind), "containerDefinitions": containers});
        if self.is_awsvpc(kind) {
            definition["networkMode"] = json!("awsvpc");
        }
        let (task, execution) = self.roles();
        for (member, role) in [("taskRoleArn", task), ("executionRoleArn", execution)] {
            if let Some(role) = role {
                definition[member] = json!(role);
            }
        }
        if kind == Kind::Fargate {
            let (cpu, memory) = self.size();
            definition["requiresCompatibilities"] = json!(["FARGATE", "EC2"]);
            (definition["cpu"], definition["memory"]) = (json!(cpu.to_string()), json!(memory.to_string()));
        }
        definition
    }

    pub fn is_awsvpc(self, kind: Kind) -> bool {
        self == Image::Vpc || kind == Kind::Fargate
    }

    /// A request for its tasks in `scope`, with the network that awsvpc mode asks for: that of the default VPC, in all
    /// zones.
    pub fn request(self, kind: Kind, scope: &Scope, mut request: Value) -> Value {
        if self.is_awsvpc(kind) {
            let realm = defaults::realm(scope);
            let subnets: Vec<&str> = realm.subnets().keys().map(|id| &**id).collect();
            request["networkConfiguration"] = json!({"awsvpcConfiguration": {"subnets": subnets}});
        }
        request
    }
}

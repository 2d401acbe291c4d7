//! `requiresAttributes`: what an instance must have to run a definition (ecs-task-definitions C4).

use std::collections::BTreeSet;

use longshore_base::value_from::is_secrets_manager;
use longshore_shapes_ecs as shapes;

use super::Owner;
use super::containers::of;
use super::{text, word};
use crate::NetworkMode;

const PREFIX: &str = "com.amazonaws.ecs.capability";

/// The names, in alphabetical order.
pub fn required(shape: &shapes::TaskDefinition, mode: NetworkMode, _owner: &Owner<'_>) -> BTreeSet<String> {
    let mut needs = Needs::default();
    needs.of_task(shape, mode);
    for container in of(shape) {
        needs.of_container(container, shape.execution_role_arn.is_some());
    }
    needs.0
}

/// An image in a registry of the ECR kind: `<account>.dkr.ecr.<region>.<domain>/...`.
pub fn is_ecr_image(image: &str) -> bool {
    let host = image.split('/').next().unwrap_or_default();
    let mut parts = host.split('.');
    let account = parts.next().unwrap_or_default();
    account.len() == 12
        && account.bytes().all(|b| b.is_ascii_digit())
        && parts.next() == Some("dkr")
        && parts.next() == Some("ecr")
}

#[derive(Default)]
struct Needs(BTreeSet<String>);

impl Needs {
    fn add(&mut self, name: impl Into<String>) {
        self.0.insert(name.into());
    }

    /// A minimum of Docker's remote API. Every level stands as an attribute of its own.
    fn api(&mut self, minor: u32) {
        self.add(format!("{PREFIX}.docker-remote-api.1.{minor}"));
    }

    fn of_task(&mut self, shape: &shapes::TaskDefinition, mode: NetworkMode) {
        if shape.task_role_arn.is_some() {
            self.api(17);
            match mode {
                NetworkMode::Host => self.add(format!("{PREFIX}.task-iam-role-network-host")),
                NetworkMode::Bridge | NetworkMode::Awsvpc | NetworkMode::None => {
                    self.add(format!("{PREFIX}.task-iam-role"));
                }
            }
        }
        if mode == NetworkMode::Awsvpc {
            self.api(18);
            self.add("ecs.capability.task-eni");
        } else if shape.cpu.is_some() || shape.memory.is_some() {
            self.api(18);
            self.add("ecs.capability.task-cpu-mem-limit");
            let units: u32 = shape.cpu.as_deref().and_then(|cpu| cpu.parse().ok()).unwrap_or(0);
            if units > 10 * 1024 {
                self.add("ecs.capability.increased-task-cpu-limit");
            }
        }
        if shape.pid_mode.is_some() || shape.ipc_mode.is_some() {
            self.add("ecs.capability.pid-ipc-namespace-sharing");
        }
        if shape.proxy_configuration.is_some() {
            self.add("ecs.capability.aws-appmesh");
        }
        if shape.enable_fault_injection == Some(true) {
            self.add("ecs.capability.fault-injection");
        }
        for volume in shape.volumes.iter().flatten() {
            self.of_volume(volume);
        }
    }

    fn of_volume(&mut self, volume: &shapes::Volume) {
        if let Some(docker) = &volume.docker_volume_configuration {
            let driver = docker.driver.as_deref().unwrap_or("local").replace(':', ".");
            self.api(25);
            self.add(format!("ecs.capability.docker-plugin.{driver}"));
        }
        if let Some(efs) = &volume.efs_volume_configuration {
            self.api(25);
            self.add("ecs.capability.efs");
            let encrypted = efs.transit_encryption.as_ref().is_some_and(|e| e.as_str() == "ENABLED");
            if encrypted || efs.authorization_config.is_some() {
                self.add("ecs.capability.efsAuth");
            }
        }
        if volume.fsx_windows_file_server_volume_configuration.is_some() {
            self.add("ecs.capability.fsxWindowsFileServer");
        }
    }

    fn of_container(&mut self, container: &shapes::ContainerDefinition, execution_role: bool) {
        if container.image.as_deref().is_some_and(is_ecr_image) {
            self.api(19);
            self.add(format!("{PREFIX}.ecr-auth"));
            if execution_role {
                self.add("ecs.capability.execution-role-ecr-pull");
            }
        }
        if let Some(log) = &container.log_configuration {
            self.of_logging(log, execution_role);
        }
        if container.privileged == Some(true) {
            self.add(format!("{PREFIX}.privileged-container"));
        }
        if let Some(health) = &container.health_check {
            self.api(24);
            self.add("ecs.capability.container-health-check");
            if health.start_period.is_some() {
                self.api(29);
            }
        }
        let ordered = container.depends_on.as_ref().is_some_and(|list| !list.is_empty());
        if ordered || container.start_timeout.is_some() || container.stop_timeout.is_some() {
            self.add("ecs.capability.container-ordering");
        }
        if container.restart_policy.is_some() {
            self.add("ecs.capability.container-restart-policy");
        }
        if container.port_mappings.iter().flatten().any(|mapping| mapping.container_port_range.is_some()) {
            self.add("ecs.capability.network.container-port-range");
        }
        for secret in container.secrets.iter().flatten() {
            let provider = if is_secrets_manager(text(&secret.value_from)) { "asm" } else { "ssm" };
            self.add(format!("ecs.capability.secrets.{provider}.environment-variables"));
        }
        if container.repository_credentials.is_some() {
            self.add("ecs.capability.private-registry-authentication.secretsmanager");
        }
        if container.environment_files.as_ref().is_some_and(|files| !files.is_empty()) {
            self.add("ecs.capability.env-files.s3");
        }
        if let Some(firelens) = &container.firelens_configuration {
            self.add(format!("ecs.capability.firelens.{}", word!(firelens.r#type)));
        }
        for option in container.docker_security_options.iter().flatten() {
            if option.starts_with("label:") {
                self.add(format!("{PREFIX}.selinux"));
            } else if option.starts_with("apparmor:") {
                self.add(format!("{PREFIX}.apparmor"));
            }
        }
        for spec in container.credential_specs.iter().flatten() {
            let domainless = spec.starts_with("credentialspecdomainless:");
            self.add(if domainless { "ecs.capability.gmsa-domainless" } else { "ecs.capability.gmsa" });
        }
        self.of_linux(container.linux_parameters.as_ref());
    }

    fn of_logging(&mut self, log: &shapes::LogConfiguration, execution_role: bool) {
        let driver = word!(log.log_driver);
        self.add(format!("{PREFIX}.logging-driver.{driver}"));
        match driver {
            "awslogs" => {
                self.api(19);
                if execution_role {
                    self.add("ecs.capability.execution-role-awslogs");
                }
            }
            "gelf" | "fluentd" => self.api(20),
            "splunk" => self.api(22),
            _ => self.api(18),
        }
        for secret in log.secret_options.iter().flatten() {
            let provider = if is_secrets_manager(text(&secret.value_from)) { "asm" } else { "ssm" };
            self.add(format!("ecs.capability.secrets.{provider}.bootstrap.log-driver"));
        }
    }

    fn of_linux(&mut self, linux: Option<&shapes::LinuxParameters>) {
        let Some(linux) = linux else { return };
        let swap_or_tmpfs = linux.max_swap.is_some()
            || linux.swappiness.is_some()
            || linux.tmpfs.as_ref().is_some_and(|list| !list.is_empty());
        if linux.init_process_enabled == Some(true) || swap_or_tmpfs {
            self.api(25);
        }
        if linux.shared_memory_size.is_some() || linux.devices.as_ref().is_some_and(|list| !list.is_empty()) {
            self.api(22);
        }
    }
}

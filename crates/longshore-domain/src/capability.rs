//! What the attributes that instances offer mean to people (agent-protocol G4), so that a refusal can name what is
//! missing and what to do about it.

use std::fmt;

use longshore_placement::RequiredAttribute;

use crate::interface::NETWORK_ATTRIBUTE;

const DOCKER: &str = "com.amazonaws.ecs.capability.";
const ECS: &str = "ecs.capability.";
/// There is no CloudWatch Logs, so that the engine's own driver of that name has nowhere to write to.
const AWSLOGS_REMEDY: &str = "Start the instance's agent with LONGSHORE_AWSLOGS_DRIVER=json-file, which keeps the \
                              lines there, or register the task definition with another logDriver.";

/// Attributes that a task requires and an instance lacks, as sentences: what it is, and what helps.
#[derive(Clone, Copy, Debug)]
pub struct Missing<'a>(pub &'a [RequiredAttribute]);

impl fmt::Display for Missing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut remedies: Vec<String> = Vec::new();
        for (at, required) in self.0.iter().enumerate() {
            let (what, remedy) = describe(required);
            f.write_str(if at == 0 { "" } else { ", " })?;
            match &required.value {
                Some(value) => write!(f, "{what} (attribute {} = {value})", required.name)?,
                None => write!(f, "{what} (attribute {})", required.name)?,
            }
            if !remedies.contains(&remedy) {
                remedies.push(remedy);
            }
        }
        write!(f, ". {}", remedies.join(" "))
    }
}

/// What an attribute stands for, and what to do where it is missing, as a sentence.
fn describe(required: &RequiredAttribute) -> (String, String) {
    let name = &*required.name;
    if let Some(driver) = name.strip_prefix("com.amazonaws.ecs.capability.logging-driver.") {
        if driver == "awslogs" {
            return ("the log driver awslogs".to_owned(), AWSLOGS_REMEDY.to_owned());
        }
        return (
            format!("the log driver {driver}"),
            format!(
                "Add {driver} to ECS_AVAILABLE_LOGGING_DRIVERS of the instance's agent, or register the task definition \
                 with another logDriver."
            ),
        );
    }
    if let Some(plugin) = name.strip_prefix("ecs.capability.docker-plugin.") {
        return (
            format!("the volume driver {plugin}"),
            "Install that plugin in the instance's container engine and start its agent again.".to_owned(),
        );
    }
    if let Some(version) = name.strip_prefix("com.amazonaws.ecs.capability.docker-remote-api.") {
        return (
            format!("version {version} of the Docker API"),
            "Bring the instance's container engine up to date.".to_owned(),
        );
    }
    let feature = name.strip_prefix(DOCKER).or_else(|| name.strip_prefix(ECS)).unwrap_or(name);
    let (what, remedy) = match feature {
        "ecs.cpu-architecture" | "ecs.os-type" => (
            "the platform that the task definition is for",
            "Add an instance of that platform, or register the task definition with another runtimePlatform.",
        ),
        "ecr-auth" | "execution-role-ecr-pull" => (
            "signing in to Amazon ECR",
            "Register the task definition with an image of a registry that the instances can pull from without ECR.",
        ),
        "execution-role-awslogs" => ("the log driver awslogs with an executionRoleArn", AWSLOGS_REMEDY),
        "task-iam-role" | "task-iam-role-network-host" => (
            "task roles (taskRoleArn)",
            "Start the instance's agent as root, on a machine where no other agent has 169.254.170.2, or register the \
                 task definition without taskRoleArn.",
        ),
        "task-eni" | NETWORK_ATTRIBUTE => (
            "the network mode awsvpc",
            "Start the instance's agent with ECS_ENABLE_TASK_ENI=true, or register the task definition with another \
             networkMode.",
        ),
        "container-health-check" => (
            "container health checks",
            "Start the instance's agent without ECS_DISABLE_DOCKER_HEALTH_CHECK, with an engine that has them.",
        ),
        "privileged-container" => {
            ("privileged containers", "Start the instance's agent without ECS_DISABLE_PRIVILEGED.")
        }
        "selinux" => ("SELinux labels", "Start the instance's agent with ECS_SELINUX_CAPABLE=true."),
        "apparmor" => ("AppArmor profiles", "Start the instance's agent with ECS_APPARMOR_CAPABLE=true."),
        "task-cpu-mem-limit" | "increased-task-cpu-limit" => (
            "cpu and memory of the task as a whole",
            "Start the instance's agent without ECS_ENABLE_TASK_CPU_MEM_LIMIT=false.",
        ),
        "execute-command" => (
            "ExecuteCommand",
            "Start the task or service without enableExecuteCommand, or use an agent that has it.",
        ),
        "firelens.fluentd" | "firelens.fluentbit" => (
            "log routing with FireLens",
            "Register the task definition without firelensConfiguration, or use an agent that has it.",
        ),
        "private-registry-authentication.secretsmanager" => (
            "repositoryCredentials",
            "Leave repositoryCredentials out and log the instances in with ECS_ENGINE_AUTH_TYPE and ECS_ENGINE_AUTH_DATA, or use \
             an agent that has it.",
        ),
        "env-files.s3" => ("environmentFiles", "Use environment instead."),
        "secrets.ssm.environment-variables" => ("secrets of Parameter Store", "Use environment instead."),
        "secrets.asm.environment-variables" => ("secrets of Secrets Manager", "Use environment instead."),
        "secrets.ssm.bootstrap.log-driver" | "secrets.asm.bootstrap.log-driver" => {
            ("secretOptions of log drivers", "Use options instead.")
        }
        "efs" | "efsAuth" => (
            "Amazon EFS volumes",
            "Use a host or Docker volume, or list the plugin in ECS_VOLUME_PLUGIN_CAPABILITIES of the instance's agent.",
        ),
        "fsxWindowsFileServer" => ("FSx volumes", "Use a host or Docker volume."),
        "aws-appmesh" => ("App Mesh proxies", "Register the task definition without proxyConfiguration."),
        "pid-ipc-namespace-sharing" => {
            ("pidMode and ipcMode", "Register the task definition without pidMode and ipcMode.")
        }
        "fault-injection" => {
            ("fault injection", "Register the task definition without enableFaultInjection.")
        }
        "gmsa" | "gmsa-domainless" => {
            ("credential specifications", "Register the task definition without credentialSpecs.")
        }
        "container-ordering" => {
            ("dependsOn, startTimeout and stopTimeout", "Bring the instance's agent up to date.")
        }
        "container-restart-policy" => ("restart policies", "Bring the instance's agent up to date."),
        "network.container-port-range" => ("port ranges", "Bring the instance's agent up to date."),
        _ => (
            "something that the task definition requires",
            "Run the task on an instance that has the attribute, or register the task definition without what requires it.",
        ),
    };
    (what.to_owned(), remedy.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(names: &[(&str, Option<&str>)]) -> String {
        let required: Vec<RequiredAttribute> = names
            .iter()
            .map(|(name, value)| RequiredAttribute { name: (*name).into(), value: value.map(Into::into) })
            .collect();
        Missing(&required).to_string()
    }

    #[test]
    fn what_is_missing_is_named_with_its_remedy() {
        assert_eq!(
            missing(&[("com.amazonaws.ecs.capability.logging-driver.syslog", None)]),
            "the log driver syslog (attribute com.amazonaws.ecs.capability.logging-driver.syslog). Add syslog to \
             ECS_AVAILABLE_LOGGING_DRIVERS of the instance's agent, or register the task definition with another \
             logDriver."
        );
        assert_eq!(
            missing(&[("ecs.cpu-architecture", Some("arm64")), ("my-own", None)]),
            "the platform that the task definition is for (attribute ecs.cpu-architecture = arm64), something that the \
             task definition requires (attribute my-own). Add an instance of that platform, or register the task \
             definition with another runtimePlatform. Run the task on an instance that has the attribute, or register \
             the task definition without what requires it."
        );
    }

    #[test]
    fn what_stands_for_the_same_has_one_remedy() {
        let both = missing(&[("ecs.capability.task-eni", None), (NETWORK_ATTRIBUTE, None)]);
        assert_eq!(both.matches("ECS_ENABLE_TASK_ENI=true").count(), 1, "{both}");
        let both = missing(&[
            ("com.amazonaws.ecs.capability.logging-driver.awslogs", None),
            ("ecs.capability.execution-role-awslogs", None),
        ]);
        assert_eq!(both.matches("LONGSHORE_AWSLOGS_DRIVER").count(), 1, "{both}");
    }
}

//! What is refused before anything is done for a task, and with which words.

use crate::dependencies::Graph;
use crate::settings::{Settings, TaskCgroups};
use crate::spec::{NamespaceMode, NetworkMode, TaskSpec, VolumeSource};

/// The order of the containers, or the reason why this task cannot run here (agent-protocol G8, Reasons).
pub(crate) fn check(spec: &TaskSpec, settings: &Settings) -> Result<Graph, String> {
    let arn = spec.key.arn();
    let resource = |cause: String| format!("resource cannot be initialized for task {arn}: {cause}");
    if spec.containers.is_empty() {
        return Err("TaskStateError: the task has no containers".to_owned());
    }
    let graph =
        Graph::of(spec).map_err(|_| format!("Task dependencies cannot be resolved, taskArn: {arn}"))?;
    // Not announced as capabilities, so the scheduler does not send such tasks; said aloud if one comes.
    match spec.network_mode {
        NetworkMode::Bridge | NetworkMode::Host | NetworkMode::None => {}
        NetworkMode::Awsvpc => {
            if spec.interface.is_none() {
                return Err(resource("network mode awsvpc without a network interface".to_owned()));
            }
        }
    }
    for (what, mode) in [("pidMode", spec.pid_mode), ("ipcMode", spec.ipc_mode)] {
        match mode {
            NamespaceMode::Private | NamespaceMode::Host | NamespaceMode::None => {}
            NamespaceMode::Task => return Err(resource(format!("{what} task is not available here"))),
        }
    }
    for volume in &spec.volumes {
        match &volume.source {
            VolumeSource::HostPath(_) | VolumeSource::Anonymous | VolumeSource::Docker(_) => {}
            VolumeSource::Efs(efs) => {
                if efs.transit_encryption || efs.iam || efs.access_point_id.is_some() {
                    return Err(resource(format!(
                        "volume {}: encryption in transit, access points and IAM need the efsAuth plugin",
                        volume.name
                    )));
                }
            }
        }
    }
    for container in &spec.containers {
        for mount in &container.mounts {
            if !spec.volumes.iter().any(|volume| volume.name == mount.volume) {
                return Err(resource(format!("unknown volume {}", mount.volume)));
            }
        }
        if settings.task_cgroups != TaskCgroups::Off
            && let (Some(own), Some(task)) = (container.memory, spec.memory)
            && own > task
        {
            return Err(resource(format!(
                "container {} memory {own} MiB is above the task's {task} MiB",
                container.name
            )));
        }
    }
    Ok(graph)
}

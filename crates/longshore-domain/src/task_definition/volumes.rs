//! Volumes and mount points (ecs-task-definitions C7).

use std::collections::BTreeSet;

use longshore_shapes_ecs as shapes;

use super::Invalid;
use super::containers::{of, of_mut};

pub fn normalise(shape: &mut shapes::TaskDefinition) -> Result<(), Invalid> {
    let mut names = BTreeSet::new();
    for volume in shape.volumes.iter_mut().flatten() {
        let name = volume.name.clone().unwrap_or_default();
        let valid = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if name.is_empty() || name.len() > 255 || !name.bytes().all(valid) {
            return Err(Invalid::new(format!("The volume name '{name}' is invalid.")));
        }
        if !names.insert(name.clone()) {
            return Err(Invalid::new(format!("The volume name '{name}' is used more than once.")));
        }
        normalise_one(volume, &name)?;
    }
    let launch = shape.volumes.iter().flatten().filter(|v| v.configured_at_launch == Some(true)).count();
    if launch > 1 {
        return Err(Invalid::new("Only one volume can be configured at launch."));
    }
    for container in of_mut(shape) {
        for mount in container.mount_points.get_or_insert_default() {
            let source = mount.source_volume.as_deref().unwrap_or_default();
            if !names.contains(source) {
                return Err(Invalid::new(format!("Unknown volume '{source}'.")));
            }
            if mount.container_path.as_deref().unwrap_or_default().is_empty() {
                return Err(Invalid::new(format!(
                    "The mount point of volume '{source}' has no containerPath."
                )));
            }
        }
    }
    debug_assert!(of(shape).iter().all(|c| c.mount_points.is_some()));
    Ok(())
}

fn normalise_one(volume: &mut shapes::Volume, name: &str) -> Result<(), Invalid> {
    let kinds = [
        volume.host.is_some(),
        volume.docker_volume_configuration.is_some(),
        volume.efs_volume_configuration.is_some(),
        volume.fsx_windows_file_server_volume_configuration.is_some(),
    ];
    if kinds.iter().filter(|&&given| given).count() > 1 {
        return Err(Invalid::new(format!("Only one volume configuration can be given for volume '{name}'.")));
    }
    if let Some(docker) = &mut volume.docker_volume_configuration {
        if docker.scope.is_none() {
            // Terraform sends `false` for what its user left out. It means nothing here, and the answer, in which the
            // scope is filled in, has to be one that can be registered again.
            docker.autoprovision.take_if(|autoprovision| !*autoprovision);
        }
        let scope = docker.scope.get_or_insert_with(|| "task".into()).as_str().to_owned();
        match scope.as_str() {
            "task" if docker.autoprovision == Some(false) => {
                return Err(Invalid::new(format!(
                    "The volume '{name}' has scope task, so it is always made for the task: autoprovision can't be \
                     false. Leave it out, or use scope shared."
                )));
            }
            "task" => {}
            "shared" => {
                docker.autoprovision.get_or_insert(false);
            }
            _ => return Err(Invalid::new("scope should be one of [task,shared]")),
        }
        docker.driver.get_or_insert_with(|| "local".into());
    }
    if let Some(efs) = &mut volume.efs_volume_configuration {
        efs.root_directory.get_or_insert_with(|| "/".into());
        let encrypted = efs.transit_encryption.as_ref().is_some_and(|e| e.as_str() == "ENABLED");
        let authorization = efs.authorization_config.as_ref();
        let access_point = authorization.is_some_and(|a| a.access_point_id.is_some());
        let iam = authorization.and_then(|a| a.iam.as_ref()).is_some_and(|iam| iam.as_str() == "ENABLED");
        if access_point && efs.root_directory.as_deref() != Some("/") {
            return Err(Invalid::new("With an EFS access point, rootDirectory must be absent or '/'."));
        }
        if (access_point || iam) && !encrypted {
            return Err(Invalid::new(
                "EFS access points and IAM authorization need transitEncryption ENABLED.",
            ));
        }
    }
    if volume.configured_at_launch != Some(true) && !kinds.contains(&true) {
        // A volume of which only the name is given is an empty one on the host.
        volume.host = Some(shapes::HostVolumeProperties::default());
    }
    Ok(())
}

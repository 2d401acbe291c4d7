//! Volumes: created, inspected and removed through the Docker Engine API.

use bollard::Docker;
use bollard::models::{Volume, VolumeCreateRequest};
use bollard::query_parameters::RemoveVolumeOptions;
use longshore_engine::spec::{VolumeCreate, VolumeMode};
use longshore_runtime::RuntimeError;
use longshore_runtime::port::VolumeInfo;

use crate::classify::{Call, refine};

pub(crate) async fn create(docker: &Docker, spec: &VolumeCreate) -> Result<(), RuntimeError> {
    match spec.mode {
        VolumeMode::MustExist => inspect(docker, &spec.name).await.map(drop),
        VolumeMode::Create => {
            let request = VolumeCreateRequest {
                name: Some(spec.name.clone()),
                driver: Some(spec.driver.clone()),
                driver_opts: Some(spec.options.clone().into_iter().collect()),
                labels: Some(spec.labels.clone().into_iter().collect()),
                ..VolumeCreateRequest::default()
            };
            docker.create_volume(request).await.map(drop).map_err(|error| refine(Call::Volume, error))
        }
    }
}

pub(crate) async fn inspect(docker: &Docker, name: &str) -> Result<VolumeInfo, RuntimeError> {
    let Volume { name, driver, mountpoint, labels, options, .. } =
        docker.inspect_volume(name).await.map_err(|error| refine(Call::Volume, error))?;
    Ok(VolumeInfo {
        name,
        driver,
        mountpoint,
        labels: labels.into_iter().collect(),
        options: options.into_iter().collect(),
    })
}

pub(crate) async fn remove(docker: &Docker, name: &str) -> Result<(), RuntimeError> {
    docker.remove_volume(name, None::<RemoveVolumeOptions>).await.map_err(|error| refine(Call::Volume, error))
}

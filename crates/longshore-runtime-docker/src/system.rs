//! What the engine and its machine offer.

use bollard::Docker;
use bollard::models::SystemInfoCgroupVersionEnum;
use longshore_runtime::{RuntimeError, RuntimeInfo};

use crate::classify::{Call, refine};

pub(crate) async fn info(docker: &Docker) -> Result<RuntimeInfo, RuntimeError> {
    let (version, info) =
        futures_util::try_join!(docker.version(), docker.info()).map_err(|error| refine(Call::Ask, error))?;
    let plugins = info.plugins.unwrap_or_default();
    let podman = version
        .components
        .unwrap_or_default()
        .iter()
        .any(|component| component.name.to_ascii_lowercase().contains("podman"));
    let mut runtimes: Vec<String> = info.runtimes.unwrap_or_default().into_keys().collect();
    runtimes.sort();
    Ok(RuntimeInfo {
        name: if podman { "podman" } else { "docker" }.to_owned(),
        version: version.version.unwrap_or_default(),
        api_version: version.api_version.as_deref().and_then(api_version).unwrap_or_default(),
        cores: info.ncpu.and_then(|cores| u32::try_from(cores).ok()).unwrap_or(0),
        memory_bytes: info.mem_total.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0),
        operating_system: info.operating_system.unwrap_or_default(),
        architecture: info.architecture.unwrap_or_default(),
        kernel: info.kernel_version.unwrap_or_default(),
        hostname: info.name.unwrap_or_default(),
        cgroup_version: match info.cgroup_version {
            Some(SystemInfoCgroupVersionEnum::_2) => 2,
            Some(SystemInfoCgroupVersionEnum::_1 | SystemInfoCgroupVersionEnum::EMPTY) | None => 1,
        },
        cgroup_driver: info.cgroup_driver.map(|driver| driver.to_string()).unwrap_or_default(),
        log_drivers: plugins.log.unwrap_or_default(),
        volume_drivers: plugins.volume.unwrap_or_default(),
        network_drivers: plugins.network.unwrap_or_default(),
        root_directory: info.docker_root_dir.unwrap_or_default(),
        security_options: info.security_options.unwrap_or_default(),
        runtimes,
    })
}

pub(crate) fn api_version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

//! The cgroups of tasks, cgroup v1 (agent-protocol G11). Only with `ECS_ENABLE_TASK_CPU_MEM_LIMIT=true`: a wrong
//! parent keeps every container from being created, and whether the engine shares our hierarchy cannot be seen.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use longshore_engine::Action;
use longshore_engine::input::{Input, OpError, OpErrorKind};
use longshore_engine::settings::TaskCgroups;
use longshore_engine::spec::CgroupSpec;
use longshore_runtime::RuntimeInfo;
use tracing::warn;

use crate::config::Config;

/// The controllers that limits are written to.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

/// What this host and the configuration allow.
pub(super) fn choose(config: &Config, runtime: &RuntimeInfo) -> TaskCgroups {
    let agent = &config.name;
    if config.task_limits != Some(true) {
        if config.engine.task_pids_limit.is_some() {
            warn!(%agent, "ECS_TASK_PIDS_LIMIT has no effect without ECS_ENABLE_TASK_CPU_MEM_LIMIT=true");
        }
        return TaskCgroups::Off;
    }
    let (version, driver) = (runtime.cgroup_version, &runtime.cgroup_driver);
    if version != 1 || driver != "cgroupfs" {
        warn!(
            %agent, cgroup_version = version, cgroup_driver = %driver,
            "ECS_ENABLE_TASK_CPU_MEM_LIMIT=true cannot be kept: it needs cgroup v1 and the cgroupfs driver. Limits of whole \
             tasks are counted, but the kernel does not enforce them; limits of containers hold"
        );
        return TaskCgroups::Off;
    }
    match fs::create_dir_all(config.cgroup_path.join("memory/ecs")) {
        Ok(()) => TaskCgroups::V1,
        Err(error) => {
            warn!(
                %agent, path = %config.cgroup_path.display(), %error,
                "ECS_ENABLE_TASK_CPU_MEM_LIMIT=true cannot be kept: cannot make cgroups. Limits of whole tasks are counted, \
                 but the kernel does not enforce them; check ECS_CGROUP_PATH and that the agent is root"
            );
            TaskCgroups::Off
        }
    }
}

pub(super) struct Cgroups {
    pub root: PathBuf,
    pub are_on: bool,
}

impl Cgroups {
    /// Does an action about cgroups; `None` if it is not one.
    pub async fn perform(self, action: Action) -> Option<Input> {
        match action {
            Action::CreateCgroup { op, task, spec } => {
                let result = self.blocking(move |root| create(root, &spec)).await;
                Some(Input::CgroupCreated { op, task, result })
            }
            Action::RemoveCgroup { op, task, parent } => {
                let result = self.blocking(move |root| remove(root, &parent)).await;
                Some(Input::CgroupRemoved { op, task, result })
            }
            _ => None,
        }
    }

    async fn blocking(
        self,
        work: impl FnOnce(&Path) -> io::Result<()> + Send + 'static,
    ) -> Result<(), OpError> {
        if !self.are_on {
            return Ok(());
        }
        let done = tokio::task::spawn_blocking(move || work(&self.root)).await;
        let done = done.unwrap_or_else(|_| Err(io::Error::other("interrupted")));
        done.map_err(|error| OpError { kind: OpErrorKind::Other, text: format!("cgroup: {error}") })
    }
}

fn create(root: &Path, spec: &CgroupSpec) -> io::Result<()> {
    let parent = spec.parent.trim_start_matches('/');
    for controller in CONTROLLERS {
        fs::create_dir_all(root.join(controller).join(parent))?;
    }
    let write = |controller: &str, file: &str, value: u128| {
        fs::write(root.join(controller).join(parent).join(file), value.to_string())
    };
    if let Some(quota) = spec.quota {
        write("cpu", "cpu.cfs_period_us", quota.period.as_micros())?;
        write("cpu", "cpu.cfs_quota_us", quota.quota.as_micros())?;
    }
    if let Some(shares) = spec.shares {
        write("cpu", "cpu.shares", shares.into())?;
    }
    if let Some(bytes) = spec.memory_bytes {
        write("memory", "memory.limit_in_bytes", bytes.into())?;
    }
    if let Some(limit) = spec.pids_limit {
        write("pids", "pids.max", limit.into())?;
    }
    Ok(())
}

/// In every controller, because the engine made it in those that we did not.
fn remove(root: &Path, parent: &str) -> io::Result<()> {
    for controller in fs::read_dir(root)? {
        match fs::remove_dir(controller?.path().join(parent.trim_start_matches('/'))) {
            Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Err(error);
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

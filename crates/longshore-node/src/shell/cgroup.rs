//! The cgroups of tasks (agent-protocol G11): the kernel holds all containers of a task together to the task's limits.
//!
//! The agent makes them, the engine puts containers into them. So both have to see the same hierarchy, and the engine
//! must not keep to systemd's, in which only systemd may make anything. Where that is not so, each container without a
//! limit of its own is held to its task's memory instead ([`TaskCgroups::Off`]), and the sum is only counted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use longshore_engine::Action;
use longshore_engine::input::{Input, OpError, OpErrorKind};
use longshore_engine::settings::TaskCgroups;
use longshore_engine::spec::CgroupSpec;
use longshore_runtime::RuntimeInfo;
use tracing::{info, warn};

use crate::config::Config;

/// The controllers that limits are written to.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

/// The parent of all tasks' cgroups.
const PARENT: &str = "ecs";

/// The name of the kernel's first cgroup name space, which is the host's own.
const HOST_NAMESPACE: &str = "cgroup:[4026531835]";

/// What this host and the configuration allow.
pub(super) fn choose(config: &Config, runtime: &RuntimeInfo) -> TaskCgroups {
    let agent = &config.name;
    let chosen = decide(config.task_limits, runtime, &Here::look()).and_then(|cgroups| {
        prepare(&config.cgroup_path, cgroups).map(|()| cgroups).map_err(|error| {
            let path = config.cgroup_path.display();
            format!(
                "cannot make cgroups in {path}: {error}; check ECS_CGROUP_PATH and that the agent is root"
            )
        })
    });
    let why = match chosen {
        Ok(cgroups) => return cgroups,
        Err(why) => why,
    };
    if config.task_limits == Some(true) {
        warn!(
            %agent,
            "ECS_ENABLE_TASK_CPU_MEM_LIMIT=true cannot be kept: {why}. Each container is held to the memory of its task, but \
             nothing holds all containers of a task to it together, and cpu of tasks is only counted"
        );
    } else {
        info!(%agent, "no cgroups for whole tasks: {why}. Each container is held to the memory of its task");
    }
    if config.engine.task_pids_limit.is_some() {
        warn!(%agent, "ECS_TASK_PIDS_LIMIT has no effect without cgroups for whole tasks");
    }
    TaskCgroups::Off
}

/// The machine as the agent sees it.
struct Here {
    hostname: String,
    kernel: String,
    /// In a name space of its own the agent sees a part of the hierarchy as if it were the whole.
    sees_all: bool,
}

impl Here {
    fn look() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let namespace = fs::read_link("/proc/self/ns/cgroup").unwrap_or_default();
        Self {
            hostname: read("/proc/sys/kernel/hostname"),
            kernel: read("/proc/sys/kernel/osrelease"),
            sees_all: namespace == Path::new(HOST_NAMESPACE),
        }
    }
}

/// Whether the engine and the agent surely use the same cgroups; otherwise why not. Whoever asks for them by name
/// (`true`) is believed about what cannot be seen.
fn decide(asked: Option<bool>, runtime: &RuntimeInfo, here: &Here) -> Result<TaskCgroups, String> {
    let refuse = |why: &str| Err(why.to_owned());
    let is_here = here.sees_all && runtime.hostname == here.hostname && runtime.kernel == here.kernel;
    match (asked, runtime.cgroup_version, runtime.cgroup_driver.as_str()) {
        (Some(false), _, _) => refuse("ECS_ENABLE_TASK_CPU_MEM_LIMIT is false"),
        (Some(true) | None, version, "cgroupfs") => match (asked, is_here, version) {
            (None, false, _) => refuse(
                "the engine may be on another machine or see other cgroups than the agent; if it does not, set \
                 ECS_ENABLE_TASK_CPU_MEM_LIMIT=true",
            ),
            (_, _, 1) => Ok(TaskCgroups::V1),
            (_, _, 2) => Ok(TaskCgroups::V2),
            (_, _, version) => Err(format!("the engine uses cgroups of version {version}")),
        },
        (Some(true) | None, _, driver) => {
            Err(format!("they need an engine with the cgroup driver cgroupfs, and this one has '{driver}'"))
        }
    }
}

/// Makes the parent of all.
fn prepare(root: &Path, cgroups: TaskCgroups) -> io::Result<()> {
    match cgroups {
        TaskCgroups::Off => Ok(()),
        TaskCgroups::V1 => CONTROLLERS
            .iter()
            .try_for_each(|controller| fs::create_dir_all(root.join(controller).join(PARENT))),
        TaskCgroups::V2 => {
            // A child has the files of a controller only if its parent passes it on.
            let wanted = CONTROLLERS.map(|controller| format!("+{controller}")).join(" ");
            fs::create_dir_all(root.join(PARENT))?;
            [root.to_owned(), root.join(PARENT)]
                .iter()
                .try_for_each(|directory| fs::write(directory.join("cgroup.subtree_control"), &wanted))
        }
    }
}

pub(super) struct Cgroups {
    pub root: PathBuf,
    pub version: TaskCgroups,
}

impl Cgroups {
    /// Does an action about cgroups; `None` if it is not one.
    pub async fn perform(self, action: Action) -> Option<Input> {
        match action {
            Action::CreateCgroup { op, task, spec } => {
                let version = self.version;
                let result = self.blocking(move |root| create(root, version, &spec)).await;
                Some(Input::CgroupCreated { op, task, result })
            }
            Action::RemoveCgroup { op, task, parent } => {
                let version = self.version;
                let result = self.blocking(move |root| remove(root, version, &parent)).await;
                Some(Input::CgroupRemoved { op, task, result })
            }
            _ => None,
        }
    }

    async fn blocking(
        self,
        work: impl FnOnce(&Path) -> io::Result<()> + Send + 'static,
    ) -> Result<(), OpError> {
        let done = tokio::task::spawn_blocking(move || work(&self.root)).await;
        let done = done.unwrap_or_else(|_| Err(io::Error::other("interrupted")));
        done.map_err(|error| OpError { kind: OpErrorKind::Other, text: format!("cgroup: {error}") })
    }
}

/// One file of a cgroup: the controller that it belongs to, its name, its text.
type Setting = (&'static str, &'static str, String);

fn settings(version: TaskCgroups, spec: &CgroupSpec) -> Vec<Setting> {
    let mut all: Vec<Setting> = Vec::new();
    match version {
        TaskCgroups::Off => {}
        TaskCgroups::V1 => {
            if let Some(quota) = spec.quota {
                all.push(("cpu", "cpu.cfs_period_us", quota.period.as_micros().to_string()));
                all.push(("cpu", "cpu.cfs_quota_us", quota.quota.as_micros().to_string()));
            }
            all.extend(spec.shares.map(|shares| ("cpu", "cpu.shares", shares.to_string())));
            all.extend(spec.memory_bytes.map(|bytes| ("memory", "memory.limit_in_bytes", bytes.to_string())));
        }
        TaskCgroups::V2 => {
            all.extend(spec.quota.map(|quota| {
                ("cpu", "cpu.max", format!("{} {}", quota.quota.as_micros(), quota.period.as_micros()))
            }));
            all.extend(spec.shares.map(|shares| ("cpu", "cpu.weight", weight(shares).to_string())));
            all.extend(spec.memory_bytes.map(|bytes| ("memory", "memory.max", bytes.to_string())));
        }
    }
    all.extend(spec.pids_limit.map(|limit| ("pids", "pids.max", limit.to_string())));
    all
}

/// Shares of version 1 (2 to 262144) as a weight of version 2 (1 to 10000), as engines convert them.
fn weight(shares: u32) -> u64 {
    1 + (u64::from(shares.clamp(2, 262_144)) - 2) * 9999 / 262_142
}

/// The directory of a controller in a cgroup. In version 2 all controllers share one.
fn directory(root: &Path, version: TaskCgroups, controller: &str, parent: &str) -> PathBuf {
    let parent = parent.trim_start_matches('/');
    match version {
        TaskCgroups::V1 => root.join(controller).join(parent),
        TaskCgroups::V2 | TaskCgroups::Off => root.join(parent),
    }
}

fn create(root: &Path, version: TaskCgroups, spec: &CgroupSpec) -> io::Result<()> {
    if version == TaskCgroups::Off {
        return Ok(());
    }
    // Somebody may have removed it since the start.
    prepare(root, version)?;
    for controller in CONTROLLERS {
        fs::create_dir_all(directory(root, version, controller, &spec.parent))?;
    }
    for (controller, file, text) in settings(version, spec) {
        fs::write(directory(root, version, controller, &spec.parent).join(file), text)?;
    }
    Ok(())
}

/// With version 1 in every controller, because the engine made it in those that we did not.
fn remove(root: &Path, version: TaskCgroups, parent: &str) -> io::Result<()> {
    let all = match version {
        TaskCgroups::Off => Vec::new(),
        TaskCgroups::V1 => {
            let controllers = fs::read_dir(root)?;
            let paths = controllers.map(|entry| Ok(entry?.path().join(parent.trim_start_matches('/'))));
            paths.collect::<io::Result<_>>()?
        }
        TaskCgroups::V2 => vec![directory(root, version, "", parent)],
    };
    for path in all {
        match fs::remove_dir(path) {
            Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Err(error);
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use longshore_engine::spec::CpuQuota;

    use super::*;

    fn engine(version: u32, driver: &str) -> RuntimeInfo {
        RuntimeInfo {
            cgroup_version: version,
            cgroup_driver: driver.to_owned(),
            hostname: "here".to_owned(),
            kernel: "6.1".to_owned(),
            ..RuntimeInfo::default()
        }
    }

    fn here() -> Here {
        Here { hostname: "here".to_owned(), kernel: "6.1".to_owned(), sees_all: true }
    }

    #[test]
    fn on_unless_it_is_turned_off_or_cannot_be_had() {
        let check = |asked, engine: &RuntimeInfo, here: &Here, expected: Result<TaskCgroups, &str>| {
            let decided = decide(asked, engine, here);
            match (&decided, expected) {
                (Ok(decided), Ok(expected)) => assert_eq!(*decided, expected),
                (Err(why), Err(part)) => assert!(why.contains(part), "{why}"),
                (Ok(_), Err(_)) | (Err(_), Ok(_)) => panic!("{decided:?}, not {expected:?}"),
            }
        };
        check(None, &engine(1, "cgroupfs"), &here(), Ok(TaskCgroups::V1));
        check(None, &engine(2, "cgroupfs"), &here(), Ok(TaskCgroups::V2));
        check(Some(true), &engine(1, "cgroupfs"), &here(), Ok(TaskCgroups::V1));
        check(Some(false), &engine(1, "cgroupfs"), &here(), Err("is false"));
        check(None, &engine(2, "systemd"), &here(), Err("'systemd'"));
        check(Some(true), &engine(2, "none"), &here(), Err("'none'"));
        for elsewhere in [
            Here { hostname: "laptop".to_owned(), ..here() },
            Here { kernel: "5.1".to_owned(), ..here() },
            Here { sees_all: false, ..here() },
        ] {
            check(None, &engine(1, "cgroupfs"), &elsewhere, Err("another machine"));
            check(Some(true), &engine(1, "cgroupfs"), &elsewhere, Ok(TaskCgroups::V1));
        }
    }

    /// Every file below a directory, with its text.
    fn files(root: &Path) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let mut open = vec![root.to_owned()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).expect("it is there") {
                let path = entry.expect("readable").path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    let name = path.strip_prefix(root).expect("below it").display().to_string();
                    found.insert(name, fs::read_to_string(path).expect("text"));
                }
            }
        }
        found
    }

    /// What is written; only a kernel can say whether it takes it.
    #[test]
    fn limits_are_written_where_each_version_has_them() {
        let spec = CgroupSpec {
            parent: "/ecs/t1".to_owned(),
            quota: Some(CpuQuota { quota: Duration::from_millis(25), period: Duration::from_millis(100) }),
            shares: None,
            memory_bytes: Some(64 << 20),
            pids_limit: Some(50),
        };
        let by_shares = CgroupSpec {
            quota: None,
            shares: Some(1024),
            memory_bytes: None,
            pids_limit: None,
            ..spec.clone()
        };
        let check = |version, spec: &CgroupSpec, expected: &[(&str, &str)]| {
            let root =
                std::env::temp_dir().join(format!("longshore-cgroup-{}-{version:?}", std::process::id()));
            create(&root, version, spec).expect("a plain directory takes everything");
            let written = files(&root);
            let expected = expected.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
            fs::remove_dir_all(&root).expect("ours");
            assert_eq!(written, expected.collect());
        };
        check(
            TaskCgroups::V1,
            &spec,
            &[
                ("cpu/ecs/t1/cpu.cfs_period_us", "100000"),
                ("cpu/ecs/t1/cpu.cfs_quota_us", "25000"),
                ("memory/ecs/t1/memory.limit_in_bytes", "67108864"),
                ("pids/ecs/t1/pids.max", "50"),
            ],
        );
        check(TaskCgroups::V1, &by_shares, &[("cpu/ecs/t1/cpu.shares", "1024")]);
        let passed_on = [
            ("cgroup.subtree_control", "+cpu +memory +pids"),
            ("ecs/cgroup.subtree_control", "+cpu +memory +pids"),
        ];
        let with = |own: &[(&'static str, &'static str)]| [&passed_on[..], own].concat();
        check(
            TaskCgroups::V2,
            &spec,
            &with(&[
                ("ecs/t1/cpu.max", "25000 100000"),
                ("ecs/t1/memory.max", "67108864"),
                ("ecs/t1/pids.max", "50"),
            ]),
        );
        check(TaskCgroups::V2, &by_shares, &with(&[("ecs/t1/cpu.weight", "39")]));
    }

    #[test]
    fn shares_become_weights() {
        assert_eq!([0, 2, 1024, 262_144, u32::MAX].map(weight), [1, 1, 39, 10_000, 10_000]);
    }

    #[test]
    fn what_is_gone_already_is_removed() {
        let root = std::env::temp_dir().join(format!("longshore-cgroup-{}-removed", std::process::id()));
        fs::create_dir_all(root.join("memory/ecs/t1")).expect("a scratch directory");
        fs::create_dir_all(root.join("blkio")).expect("a scratch directory");
        remove(&root, TaskCgroups::V1, "/ecs/t1").expect("one of two");
        assert!(!root.join("memory/ecs/t1").exists() && root.join("memory/ecs").exists());
        remove(&root, TaskCgroups::V2, "/ecs/t1").expect("nothing to do");
        fs::remove_dir_all(&root).expect("ours");
    }
}

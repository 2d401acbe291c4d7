//! The plain types that the whole engine speaks in: the bottom of the crate, with no rule in it.
//!
//! [`TaskSpec`] is a task as the control plane assigns it, the payload of agent-protocol G7 after parsing; it derives
//! serde because the journal stores it. [`ContainerSpec`], [`VolumeCreate`], [`CgroupSpec`] and [`TaskNetwork`] are
//! what the runtime is asked to create for it. Values that may reveal a secret print redacted.

mod assigned;
mod created;
mod ids;
mod redacted;

pub use assigned::{
    Condition, ContainerDefinition, ContainerRole, Dependency, Desired, DockerVolume, EfsVolume,
    EnvironmentFile, HealthTracking, MountPoint, NamespaceMode, NetworkMode, PortMapping, RegistryAuth,
    RestartPolicy, SecretReference, SecretTarget, SecretVersion, TaskInterface, TaskSpec, VolumeDefinition,
    VolumeSource, VolumesFrom,
};
pub use created::{
    CgroupSpec, ContainerSpec, CpuQuota, NetworkPlace, PortBinding, TaskNetwork, VolumeCreate, VolumeMode,
};
pub use ids::{ContainerKey, CredentialsId, OpId, ReportId, RuntimeId, TaskKey, VolumeKey};
pub use redacted::{Environment, Opaque, SecretText};

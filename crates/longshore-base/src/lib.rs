//! Values that every layer shares: ids, ARNs, names, units, time and seeds.
//!
//! Start reading at [`scope`] (who owns a record), [`ids`] and [`arn`] (what it is called) and
//! [`time`] (when it happened). Nothing here does I/O, reads a clock or draws a random number:
//! time and seeds come in as arguments, so that every layer above can be replayed.
//!
//! Invariant: a value of one of these types is valid. Parsing happens once, at the border.

pub mod arn;
pub mod cidr;
pub mod civil;
pub mod host;
pub mod ids;
pub mod names;
pub mod percent;
pub mod scope;
pub mod seed;
pub mod time;
pub mod units;
pub mod value_from;
pub mod words;

pub use arn::{Arn, ArnError, ArnFormat};
pub use cidr::{Cidr, CidrError};
pub use civil::Civil;
pub use ids::{ContainerId, DeploymentId, IdError, InstanceId, ServiceDeploymentId, TaskId};
pub use names::{ClusterName, ContainerName, FARGATE_POOL, Family, NameError, ServiceName};
pub use scope::{AccountId, Partition, Region, Scope};
pub use seed::{Ids, Seed};
pub use time::{Clock, Timestamp};
pub use units::{CpuUnits, MemoryMib, Port, Protocol};
pub use value_from::SecretSelector;
pub use words::ReportedStatus;

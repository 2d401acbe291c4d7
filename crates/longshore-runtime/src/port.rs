//! The port: [`Runtime`], and what its calls take and give.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use longshore_base::{Cidr, Timestamp};
use longshore_engine::input::{FoundContainer, ListedImage, LocalImage, Observation};
use longshore_engine::spec::{ContainerKey, ContainerSpec, RuntimeId, SecretText, VolumeCreate};

use crate::error::RuntimeError;

/// The label that holds the ARN of a container's task.
pub const LABEL_TASK: &str = "com.amazonaws.ecs.task-arn";
/// The label that holds a container's name within its task definition.
pub const LABEL_CONTAINER: &str = "com.amazonaws.ecs.container-name";
/// The label of a network that an agent made for tasks: the network's name.
pub const LABEL_NETWORK: &str = "longshore.task-network";
/// The label of such a network that says which agent made it: its data directory, or its name.
pub const LABEL_OWNER: &str = "longshore.owner";

/// What a call of the port gives: a future of its result.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, RuntimeError>>;

/// Something that runs containers.
///
/// Object-safe on purpose: which runtime a node uses is decided when it starts, and a boxed
/// future costs nothing next to a container start. Calls may run concurrently, and dropping a
/// future abandons the answer, not the effect. A call has no time limit of its own except where an
/// argument gives one; [`crate::Executor`] adds them. A comment names the kinds of errors that callers tell apart; any
/// call may also fail with `Unavailable`, `Timeout` or `Other`.
pub trait Runtime: Send + Sync + 'static {
    /// Succeeds when the runtime answers at all.
    fn ping(&self) -> Answer<'_, ()>;

    /// What the machine and the runtime offer; for registration.
    fn info(&self) -> Answer<'_, RuntimeInfo>;

    /// `ImageMissing` if there is none.
    fn image_inspect<'a>(&'a self, image: &'a str) -> Answer<'a, LocalImage>;

    /// Asks the registry for the digest of a tag.
    fn image_digest<'a>(
        &'a self,
        image: &'a str,
        credentials: Option<&'a RegistryCredentials>,
    ) -> Answer<'a, String>;

    /// Pulls an image; with `digest` exactly that manifest, which is then tagged as `image`.
    fn image_pull<'a>(&'a self, pull: PullRequest<'a>) -> Answer<'a, LocalImage>;

    fn image_list(&self) -> Answer<'_, Vec<ListedImage>>;

    /// Removes a reference or an image, without force: `Conflict` if a container uses it.
    fn image_remove<'a>(&'a self, image: &'a str) -> Answer<'a, ()>;

    /// `NameInUse` if there is a container of that name.
    fn container_create<'a>(&'a self, spec: &'a ContainerSpec) -> Answer<'a, RuntimeId>;

    /// Starts a container that was created or has ended; one that runs already is left alone.
    ///
    /// What comes back is what is known without another question to the runtime; the full
    /// picture follows as an event.
    fn container_start<'a>(&'a self, id: &'a RuntimeId) -> Answer<'a, Observation>;

    /// The image's stop signal (SIGTERM by default), and SIGKILL after `grace`. Returns when the
    /// container has ended, with a last look at it if that costs little. One that does not run is left alone.
    fn container_stop<'a>(&'a self, id: &'a RuntimeId, grace: Duration) -> Answer<'a, Option<Observation>>;

    /// Sends a signal, by name.
    fn container_kill<'a>(&'a self, id: &'a RuntimeId, signal: &'a str) -> Answer<'a, ()>;

    /// Takes a name in place of an id, too; the observation has the id.
    fn container_inspect<'a>(&'a self, id: &'a RuntimeId) -> Answer<'a, Observation>;

    /// By force, with its anonymous volumes. Takes a name in place of an id, too.
    fn container_remove<'a>(&'a self, id: &'a RuntimeId) -> Answer<'a, ()>;

    /// Containers in any state that match the filter and carry the labels of a task.
    fn container_list<'a>(&'a self, filter: &'a LabelFilter) -> Answer<'a, Vec<FoundContainer>>;

    /// One reading of what a running container uses, without waiting for a second one.
    fn container_stats<'a>(&'a self, id: &'a RuntimeId) -> Answer<'a, Reading>;

    /// Two readings, a moment apart, of everything that the runtime knows of what a running container uses: each a JSON
    /// text as the Docker Engine API has it.
    fn container_readings<'a>(&'a self, id: &'a RuntimeId) -> Answer<'a, [String; 2]>;

    /// Creates a volume unless it exists. With `VolumeMode::MustExist` it creates none: `NotFound` if there is none.
    fn volume_create<'a>(&'a self, spec: &'a VolumeCreate) -> Answer<'a, ()>;

    fn volume_inspect<'a>(&'a self, name: &'a str) -> Answer<'a, VolumeInfo>;

    /// `Conflict` while a container uses it.
    fn volume_remove<'a>(&'a self, name: &'a str) -> Answer<'a, ()>;

    /// Makes the image of pause containers ([`longshore_engine::network::PAUSE_IMAGE`]) unless it is there: a program
    /// that only waits. It is in no registry.
    fn pause_image(&self) -> Answer<'_, ()>;

    /// Creates a bridge network for tasks unless one of that name exists. An existing one is left as it is, and has to
    /// have the subnet asked for: `Conflict` otherwise. Without a subnet the runtime chooses one.
    fn network_create<'a>(&'a self, request: &'a NetworkRequest) -> Answer<'a, NetworkInfo>;

    /// A network that exists already, such as the engine's own `bridge`.
    fn network_inspect<'a>(&'a self, name: &'a str) -> Answer<'a, NetworkInfo>;

    /// `Conflict` while a container is in it.
    fn network_remove<'a>(&'a self, name: &'a str) -> Answer<'a, ()>;

    /// What happens to matching containers from now on. Never ends.
    ///
    /// The first item, and the first after every interruption, is a
    /// [`RuntimeEvent::Resynced`], and no event since is left out; thus nothing that happened in a
    /// gap goes unseen. An event may come twice.
    fn events(&self, filter: &LabelFilter) -> BoxStream<'static, RuntimeEvent>;
}

/// A network that has to exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkRequest {
    pub name: String,
    pub subnet: Option<Cidr>,
    /// For people who find it: whose it is. Kept as the label [`LABEL_OWNER`].
    pub owner: String,
}

/// A network as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkInfo {
    pub subnet: Cidr,
    pub gateway: Ipv4Addr,
}

/// A request to pull.
pub struct PullRequest<'a> {
    pub image: &'a str,
    pub digest: Option<&'a str>,
    pub credentials: Option<&'a RegistryCredentials>,
    /// Fail with `Timeout` after this long without any progress.
    pub inactivity: Duration,
    /// Called with each line of progress; must not block.
    pub progress: &'a (dyn Fn(PullProgress<'_>) + Send + Sync),
}

impl<'a> PullRequest<'a> {
    /// A pull without credentials whose progress nobody follows.
    pub fn of(image: &'a str) -> Self {
        Self {
            image,
            digest: None,
            credentials: None,
            inactivity: Duration::from_secs(60),
            progress: &|_| {},
        }
    }
}

/// One step of a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PullProgress<'a> {
    /// The layer, if it is about one.
    pub layer: Option<&'a str>,
    pub status: &'a str,
    pub done_bytes: Option<u64>,
    pub total_bytes: Option<u64>,
}

/// A login at a registry. `Debug` does not show the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryCredentials {
    pub username: String,
    pub password: SecretText,
    /// Host of the registry, if the runtime wants to be told.
    pub server: Option<String>,
}

/// Labels that a container must carry, each `key` or `key=value`. Empty matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelFilter(pub Vec<String>);

impl LabelFilter {
    pub fn new<S: Into<String>>(labels: impl IntoIterator<Item = S>) -> Self {
        Self(labels.into_iter().map(Into::into).collect())
    }

    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|wanted| match wanted.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|found| found == value),
            None => labels.contains_key(wanted),
        })
    }
}

/// Something that happened to a container, or to the connection to the runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuntimeEvent {
    /// A container was inspected after it changed.
    Observed { container: ContainerKey, observation: Observation },
    /// The runtime no longer has the container.
    Vanished { container: ContainerKey, runtime_id: RuntimeId },
    /// Every matching container, after the stream was connected or connected again.
    Resynced(Vec<FoundContainer>),
    /// The runtime cannot be reached; a `Resynced` follows when it can. Said once per interruption.
    Lost(RuntimeError),
}

/// What a runtime and its machine offer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeInfo {
    /// `docker`, `podman`, `scripted`, ...
    pub name: String,
    pub version: String,
    /// Highest version of the Engine API that it serves, as (major, minor).
    pub api_version: (u32, u32),
    pub cores: u32,
    pub memory_bytes: u64,
    pub operating_system: String,
    pub architecture: String,
    pub kernel: String,
    pub hostname: String,
    /// 1 or 2.
    pub cgroup_version: u32,
    /// `cgroupfs`, `systemd` or `none`.
    pub cgroup_driver: String,
    pub log_drivers: Vec<String>,
    pub volume_drivers: Vec<String>,
    pub network_drivers: Vec<String>,
    /// Where the runtime keeps images and containers, on its own machine. Empty if it has no such place.
    pub root_directory: String,
    pub security_options: Vec<String>,
    pub runtimes: Vec<String>,
}

/// A volume as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeInfo {
    pub name: String,
    pub driver: String,
    pub mountpoint: String,
    pub labels: BTreeMap<String, String>,
    pub options: BTreeMap<String, String>,
}

/// One reading of what a container uses.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    pub sample: StatsSample,
    /// Everything that the runtime knows of it, a JSON text as the Docker Engine API has it. Its `precpu_stats` are
    /// empty, because there was no reading before.
    pub text: String,
}

/// What a container has used since its start, in the units of the names: counters that only rise, but for memory and
/// pids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatsSample {
    pub read_at: Option<Timestamp>,
    /// CPU time of the container and of the whole machine, in nanoseconds.
    pub cpu_nanos: u64,
    pub system_cpu_nanos: u64,
    pub online_cpus: u32,
    /// Without the page cache that can be dropped, as `docker stats` counts it.
    pub memory_bytes: u64,
    pub memory_limit_bytes: Option<u64>,
    pub pids: Option<u64>,
    pub block_read_bytes: u64,
    pub block_write_bytes: u64,
    /// By interface; empty without a network of its own.
    pub networks: BTreeMap<String, NetworkSample>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetworkSample {
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub rx_errors: u64,
    pub rx_dropped: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_errors: u64,
    pub tx_dropped: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match_keys_and_values() {
        let labels = BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())]);
        let check = |filter: &[&str], expected| {
            assert_eq!(LabelFilter::new(filter.iter().copied()).matches(&labels), expected, "{filter:?}");
        };
        check(&[], true);
        check(&["a", "b"], true);
        check(&["a=1"], true);
        check(&["a=2"], false);
        check(&["c"], false);
    }
}

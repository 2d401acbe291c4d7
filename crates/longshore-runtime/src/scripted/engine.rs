//! The scripted runtime behind the asynchronous port, on tokio's clock.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use longshore_base::{Seed, Timestamp};
use longshore_engine::input::{FoundContainer, ListedImage, LocalImage, Observation};
use longshore_engine::spec::{ContainerSpec, RuntimeId, VolumeCreate};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::error::{ErrorKind, RuntimeError};
use crate::port::{
    Answer, LabelFilter, NetworkInfo, NetworkRequest, PullRequest, Reading, RegistryCredentials, Runtime,
    RuntimeEvent, RuntimeInfo, StatsSample, VolumeInfo,
};
use crate::scripted::actions::fault;
use crate::scripted::script::Operation;
use crate::scripted::world::{Fate, FateEnd, World};

/// A [`World`] on tokio's clock, which tests can pause. A cheap handle; the last one takes the world along.
#[derive(Clone)]
pub struct ScriptedEngine {
    shared: Arc<Shared>,
}

struct Shared {
    started: Instant,
    /// The world's time at `started`.
    epoch: Timestamp,
    inner: Mutex<Inner>,
    /// Something is due earlier than thought.
    sooner: Arc<Notify>,
}

struct Inner {
    world: World,
    subscribers: Vec<(LabelFilter, mpsc::UnboundedSender<RuntimeEvent>)>,
}

impl ScriptedEngine {
    /// Must be called within a tokio runtime: a task lets happen what is due.
    pub fn new(seed: Seed) -> Self {
        Self::over(World::new(seed), Timestamp::from_millis(0))
    }

    /// A world whose time is `epoch` now.
    pub fn over(world: World, epoch: Timestamp) -> Self {
        let shared = Arc::new(Shared {
            started: Instant::now(),
            epoch,
            inner: Mutex::new(Inner { world, subscribers: Vec::new() }),
            sooner: Arc::default(),
        });
        tokio::spawn(drive(Arc::downgrade(&shared), Arc::clone(&shared.sooner)));
        Self { shared }
    }

    /// Looks at the world or changes it from outside.
    pub fn with_world<T>(&self, look: impl FnOnce(&mut World, Timestamp) -> T) -> T {
        self.shared.with(look)
    }

    fn sample(&self, id: &RuntimeId) -> Answer<'_, StatsSample> {
        let image = self.image_of(id);
        let id = id.clone();
        self.run(Operation::Stats, image, move |world, now| world.stats(now, &id))
    }

    /// Runs one operation to its end even if nobody waits for it any more.
    fn run<T: Send + 'static>(
        &self,
        operation: Operation,
        image: Option<String>,
        effect: impl FnOnce(&mut World, Timestamp) -> Result<T, RuntimeError> + Send + 'static,
    ) -> Answer<'static, T> {
        let shared = Arc::clone(&self.shared);
        let task = tokio::spawn(async move {
            let Fate { after, end } = shared.with(|world, now| world.fate(now, operation, image.as_deref()));
            if end == FateEnd::Hangs {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(after).await;
            match end {
                FateEnd::Answered => shared.with(effect),
                FateEnd::AnswerLost => {
                    shared.with(effect)?;
                    Err(fault("the scripted engine lost the answer"))
                }
                FateEnd::Failed | FateEnd::Hangs => Err(fault("the scripted engine is not available")),
            }
        });
        Box::pin(async move {
            task.await
                .unwrap_or_else(|_| Err(RuntimeError::new(ErrorKind::Other, "the operation was aborted")))
        })
    }

    fn image_of(&self, id: &RuntimeId) -> Option<String> {
        self.with_world(|world, _| world.image_of(id).map(str::to_owned))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        self.epoch + self.started.elapsed()
    }

    fn with<T>(&self, change: impl FnOnce(&mut World, Timestamp) -> T) -> T {
        let now = self.now();
        let mut inner = self.lock();
        inner.world.advance(now);
        let before = inner.world.deadline();
        let result = change(&mut inner.world, now);
        inner.publish();
        if inner.world.deadline() != before {
            self.sooner.notify_one();
        }
        result
    }
}

impl Inner {
    fn publish(&mut self) {
        for emitted in self.world.take_events() {
            self.subscribers.retain(|(filter, sender)| {
                let matches = emitted.labels.as_ref().is_none_or(|labels| filter.matches(labels));
                if !matches {
                    return !sender.is_closed();
                }
                let event = match &emitted.event {
                    RuntimeEvent::Resynced(_) => RuntimeEvent::Resynced(self.world.list(filter)),
                    event => event.clone(),
                };
                sender.send(event).is_ok()
            });
        }
    }
}

/// A reading as the Docker Engine API has it, `more` nanoseconds of CPU later.
fn reading(id: &RuntimeId, sample: &StatsSample, more: u64) -> String {
    format!(
        r#"{{"id":"{id}","cpu_stats":{{"cpu_usage":{{"total_usage":{}}},"system_cpu_usage":{}}},"memory_stats":{{"usage":{}}}}}"#,
        sample.cpu_nanos + more,
        sample.system_cpu_nanos + more,
        sample.memory_bytes
    )
}

/// Lets happen what is due, until the last handle is gone.
async fn drive(shared: Weak<Shared>, sooner: Arc<Notify>) {
    /// How often to look whether anybody is left.
    const LOOK: Duration = Duration::from_secs(60);
    loop {
        let Some(strong) = shared.upgrade() else { return };
        let wait = strong.with(|world, now| world.deadline().map_or(LOOK, |at| at.since(now))).min(LOOK);
        drop(strong);
        // Rounded up, because deadlines are whole milliseconds and the clock is not.
        let pause = tokio::time::sleep(wait + Duration::from_millis(1));
        tokio::select! {
            () = pause => {}
            () = sooner.notified() => {}
        }
    }
}

impl Runtime for ScriptedEngine {
    fn ping(&self) -> Answer<'_, ()> {
        self.run(Operation::List, None, |_, _| Ok(()))
    }

    fn info(&self) -> Answer<'_, RuntimeInfo> {
        self.run(Operation::List, None, |_, _| {
            Ok(RuntimeInfo {
                name: "scripted".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                api_version: (1, 41),
                cores: 4,
                memory_bytes: 16 << 30,
                operating_system: "scripted".to_owned(),
                architecture: "x86_64".to_owned(),
                cgroup_version: 2,
                log_drivers: vec!["json-file".to_owned()],
                volume_drivers: vec!["local".to_owned()],
                ..RuntimeInfo::default()
            })
        })
    }

    fn image_inspect<'a>(&'a self, image: &'a str) -> Answer<'a, LocalImage> {
        let name = image.to_owned();
        self.run(Operation::ImageInspect, Some(name.clone()), move |world, _| world.image_inspect(&name))
    }

    fn image_digest<'a>(
        &'a self,
        image: &'a str,
        _credentials: Option<&'a RegistryCredentials>,
    ) -> Answer<'a, String> {
        let name = image.to_owned();
        self.run(Operation::ImageDigest, Some(name.clone()), move |world, _| world.image_digest(&name))
    }

    fn image_pull<'a>(&'a self, pull: PullRequest<'a>) -> Answer<'a, LocalImage> {
        let name = pull.image.to_owned();
        self.run(Operation::ImagePull, Some(name.clone()), move |world, _| world.image_pull(&name))
    }

    fn image_list(&self) -> Answer<'_, Vec<ListedImage>> {
        self.run(Operation::ImageList, None, |world, _| Ok(world.image_list()))
    }

    fn image_remove<'a>(&'a self, image: &'a str) -> Answer<'a, ()> {
        let name = image.to_owned();
        self.run(Operation::ImageRemove, Some(name.clone()), move |world, _| world.image_remove(&name))
    }

    fn container_create<'a>(&'a self, spec: &'a ContainerSpec) -> Answer<'a, RuntimeId> {
        let spec = spec.clone();
        self.run(Operation::Create, Some(spec.image.clone()), move |world, now| world.create(now, &spec))
    }

    fn container_start<'a>(&'a self, id: &'a RuntimeId) -> Answer<'a, Observation> {
        let image = self.image_of(id);
        let id = id.clone();
        self.run(Operation::Start, image, move |world, now| world.start(now, &id))
    }

    fn container_stop<'a>(&'a self, id: &'a RuntimeId, grace: Duration) -> Answer<'a, Option<Observation>> {
        let image = self.image_of(id);
        let target = id.clone();
        let sent = self.run(Operation::Stop, image, move |world, now| {
            world.stop(now, &target, grace).map(|ends_at| ends_at.since(now))
        });
        Box::pin(async move {
            tokio::time::sleep(sent.await?).await;
            Ok(self.with_world(|world, _| world.inspect(id).ok()))
        })
    }

    fn container_kill<'a>(&'a self, id: &'a RuntimeId, signal: &'a str) -> Answer<'a, ()> {
        let image = self.image_of(id);
        let (id, signal) = (id.clone(), signal.to_owned());
        self.run(Operation::Kill, image, move |world, now| world.kill(now, &id, &signal))
    }

    fn container_inspect<'a>(&'a self, id: &'a RuntimeId) -> Answer<'a, Observation> {
        let image = self.image_of(id);
        let id = id.clone();
        self.run(Operation::Inspect, image, move |world, _| world.inspect(&id))
    }

    fn container_remove<'a>(&'a self, id: &'a RuntimeId) -> Answer<'a, ()> {
        let image = self.image_of(id);
        let id = id.clone();
        self.run(Operation::Remove, image, move |world, now| world.remove(now, &id))
    }

    fn container_list<'a>(&'a self, filter: &'a LabelFilter) -> Answer<'a, Vec<FoundContainer>> {
        let filter = filter.clone();
        self.run(Operation::List, None, move |world, _| Ok(world.list(&filter)))
    }

    fn container_readings<'a>(&'a self, id: &'a RuntimeId) -> Answer<'a, [String; 2]> {
        Box::pin(async move {
            let sample = self.sample(id).await?;
            Ok([reading(id, &sample, 0), reading(id, &sample, 1)])
        })
    }

    fn container_stats<'a>(&'a self, id: &'a RuntimeId) -> Answer<'a, Reading> {
        Box::pin(async move {
            let sample = self.sample(id).await?;
            let text = reading(id, &sample, 0);
            Ok(Reading { sample, text })
        })
    }

    fn volume_create<'a>(&'a self, spec: &'a VolumeCreate) -> Answer<'a, ()> {
        let spec = spec.clone();
        self.run(Operation::Volume, None, move |world, _| world.volume_create(&spec))
    }

    fn volume_inspect<'a>(&'a self, name: &'a str) -> Answer<'a, VolumeInfo> {
        let name = name.to_owned();
        self.run(Operation::Volume, None, move |world, _| world.volume_inspect(&name))
    }

    fn volume_remove<'a>(&'a self, name: &'a str) -> Answer<'a, ()> {
        let name = name.to_owned();
        self.run(Operation::Volume, None, move |world, _| world.volume_remove(&name))
    }

    fn pause_image(&self) -> Answer<'_, ()> {
        self.run(Operation::Network, None, |world, _| {
            world.pause_image();
            Ok(())
        })
    }

    fn network_create<'a>(&'a self, request: &'a NetworkRequest) -> Answer<'a, NetworkInfo> {
        let request = request.clone();
        self.run(Operation::Network, None, move |world, _| world.network_create(&request))
    }

    fn network_inspect<'a>(&'a self, name: &'a str) -> Answer<'a, NetworkInfo> {
        let name = name.to_owned();
        self.run(Operation::Network, None, move |world, _| world.network_inspect(&name))
    }

    fn network_remove<'a>(&'a self, name: &'a str) -> Answer<'a, ()> {
        let name = name.to_owned();
        self.run(Operation::Network, None, move |world, _| world.network_remove(&name))
    }

    fn events(&self, filter: &LabelFilter) -> BoxStream<'static, RuntimeEvent> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut inner = self.shared.lock();
        let found = inner.world.list(filter);
        // The receiver is right here, so this cannot fail.
        let _ = sender.send(RuntimeEvent::Resynced(found));
        inner.subscribers.push((filter.clone(), sender));
        // The stream keeps the world, because it never ends.
        let shared = Arc::clone(&self.shared);
        stream::unfold((receiver, shared), |(mut receiver, shared)| async move {
            let event = receiver.recv().await?;
            Some((event, (receiver, shared)))
        })
        .boxed()
    }
}

//! The registry of a control plane: its files, its door, its API, and what takes away what nobody needs.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::Context;
use longshore_api_ecr::{EcrApi, RegistryHost};
use longshore_base::{Region, Seed};
use longshore_blobs::{Blobs, FileBlobs, LocalDisk, Settings};
use longshore_domain::TaskStatus;
use longshore_identity::Identity;
use longshore_images::Digest;
use longshore_registry::{Collected, Collector, Doorman, Registry};
use longshore_service::Guard;
use longshore_state::{Db, Refused, State};
use longshore_tables_blobs::{Locks, collect};
use longshore_tables_ecr::expiry;
use longshore_tables_ecs::EcsState;

use crate::advertise::Url;

/// What nobody needs is there for a day anyway.
const COLLECTED_EVERY: Duration = Duration::from_secs(3600);

/// Images of a control plane.
pub struct Images {
    pub place: Arc<Registry>,
    pub api: Arc<EcrApi>,
    /// Gone with it, without a data directory.
    pub scratch: Option<Scratch>,
}

/// A directory of our own, removed at the end.
pub struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(directory = %self.0.display(), %error, "what images left could not be removed");
        }
    }
}

/// Opens the files, in `DIR/registry` or somewhere temporary, and begins to clear away.
pub async fn start(
    db: &Arc<Db>,
    guard: &Arc<dyn Guard>,
    identity: &Arc<Identity>,
    data_dir: Option<&Path>,
    url: &Url,
    region: &str,
    seed: Seed,
) -> anyhow::Result<Images> {
    let (root, scratch) = match data_dir {
        Some(dir) => (dir.join("registry"), None),
        None => {
            let name = format!("longshore-registry-{}-{:016x}", std::process::id(), seed.of(1).bits());
            let root = std::env::temp_dir().join(name);
            (root.clone(), Some(Scratch(root)))
        }
    };
    let opening = root.clone();
    let open = move || FileBlobs::open(LocalDisk, &opening, Settings::default(), seed);
    let opened =
        tokio::task::spawn_blocking(open).await.context("the thread that opens the registry ended")?;
    let blobs = opened.with_context(|| {
        format!("cannot use {} for images; choose another directory with --data-dir", root.display())
    })?;
    let blobs: Arc<dyn Blobs> = Arc::new(blobs);
    let locks = Locks::default();
    let region = Region::parse(region).with_context(|| format!("{region} is not the name of a region"))?;
    let door = Doorman::new(db.clone(), identity.clone(), region);
    let place = Registry::new(db.clone(), blobs.clone(), locks.clone(), guard.clone(), Arc::new(door));
    let text = url.to_string();
    let (scheme, host) = text.split_once("://").context("a URL has a scheme")?;
    let host = RegistryHost::Own { host: host.into(), is_secure: scheme == "https" };
    let api = EcrApi::new(db.clone(), guard.clone(), host);
    tokio::spawn(clear_away(Arc::downgrade(db), blobs, locks));
    Ok(Images { place: Arc::new(place), api: Arc::new(api), scratch })
}

/// Ends with the database, which it does not keep.
async fn clear_away(db: Weak<Db>, blobs: Arc<dyn Blobs>, locks: Locks) {
    loop {
        tokio::time::sleep(COLLECTED_EVERY).await;
        let Some(db) = db.upgrade() else { return };
        if let Err(error) = expire(&db).await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "images were not expired by their policies; it is tried again in an hour");
        }
        let holders = vec![longshore_tables_ecr::HOLDERS];
        let settings = collect::Settings::default();
        match Collector::new(db, blobs.clone(), locks.clone(), holders, settings).pass().await {
            Ok(Collected { links: 0, uploads: 0, blobs: 0, stray_files: 0 }) => {}
            Ok(Collected { links, uploads, blobs, stray_files }) => {
                tracing::info!(
                    links,
                    uploads,
                    blobs,
                    stray_files,
                    "images that nobody needs were cleared away"
                );
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(
                    error,
                    "images that nobody needs were not cleared away; it is tried again in an hour"
                );
            }
        }
    }
}

/// Goes by the lifecycle policies of repositories.
async fn expire(db: &Db) -> Result<(), Refused> {
    let now = db.clock().now();
    for (scope, name) in db.read(|state| expiry::due(state, now)).await? {
        let in_use = db.read(in_use).await?;
        loop {
            let swept = db.write(|tx| Ok::<_, Infallible>(expiry::sweep(tx, &scope, &name, &in_use)));
            let Ok(expiry::Swept { images, has_more }) = swept.await?;
            if images > 0 {
                tracing::info!(account = %scope.account, repository = %name, images, "images expired by policy");
            }
            if !has_more {
                break;
            }
        }
    }
    Ok(())
}

/// What the containers of tasks run that have not stopped, and what services may start again: no policy takes it away
/// (registry I5).
fn in_use(state: &State) -> BTreeSet<Digest> {
    let mut in_use = BTreeSet::new();
    for (_, realm) in state.ecs().realms() {
        for (_, cluster) in realm.clusters() {
            let tasks = cluster.tasks().values().filter(|task| task.last_status != TaskStatus::Stopped);
            let of_tasks =
                tasks.flat_map(|task| &task.containers).filter_map(|own| own.image_digest.as_deref());
            let revisions = cluster.services().flat_map(|(_, service)| service.revisions().values());
            let of_services = revisions
                .flat_map(|revision| &revision.images)
                .filter_map(|(_, _, digest)| digest.as_deref());
            in_use.extend(of_tasks.chain(of_services).filter_map(|digest| Digest::parse(digest).ok()));
        }
    }
    in_use
}

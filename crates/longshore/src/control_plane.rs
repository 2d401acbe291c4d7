//! A control plane node, put together: store, state, controllers, hub, API, front.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use longshore_api_ec2::Ec2;
use longshore_api_ecs::{Caller, Ecs};
use longshore_api_identity::{Iam, Issuers, Sts, WebSts};
use longshore_api_join::Joining;
use longshore_api_secrets::{Kms, SecretsManager, Ssm};
use longshore_base::{AccountId, Clock, Region, Scope};
use longshore_client::HttpClient;
use longshore_controllers::Settings;
use longshore_controllers::driver::{self, Pulse};
use longshore_explain::Explainer;
use longshore_front::{Bound, Config, Ended, Ready, Running, Services, Site};
use longshore_guard::{Enforcement, PolicyGuard};
use longshore_hub::{AgentSockets, Hub};
use longshore_identity::{Identity, Mode};
use longshore_service::{Cx, Guard, carry_out};
use longshore_shapes_ecs::{CreateClusterRequest, ops};
use longshore_sigv4::Credentials;
use longshore_state::db::SeedSource;
use longshore_state::{Db, Stopped};
use longshore_tables_iam::IamTables;
use longshore_telemetry::Metrics;
use rustix::process::{Resource, getrlimit};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::advertise::{Scheme, Url};
use crate::args::{AuthMode, ControlPlaneOptions, IamMode, default_data_dir};
use crate::clock::{SystemClock, SystemSeeds};
use crate::iam_users::IamUsers;
use crate::machine::Machine;
use crate::oidc_keys::OidcKeys;
use crate::operator_api::OperatorApi;
use crate::registry::{self, Scratch};
use crate::{keyring_upkeep, keys, root_key, secrets_upkeep, tls, tokens};

/// A control plane at work.
pub struct ControlPlane {
    pub db: Arc<Db>,
    pub hub: Arc<Hub>,
    /// The URL at which agents and clients reach it, without a slash at its end.
    pub endpoint: String,
    /// The operator's key.
    pub operator: Credentials,
    pub ready: Ready,
    /// `None` with `--ephemeral`.
    pub data_dir: Option<PathBuf>,
    front: Running,
    /// The same for containers, if they are served.
    for_containers: Option<Running>,
    /// What they are served.
    offered: Services,
    controllers: Controllers,
    shutdown: watch::Sender<bool>,
    /// Where images are with `--ephemeral`, removed when this goes.
    _scratch: Option<Scratch>,
}

/// What an operator does about every failure of a part.
const RESTART: &str = "the control plane cannot go on; start it again: it recovers from what is on disk";

/// How long the end of a server waits for the store.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// From here on `/readyz` says that the store is not well. A slow disk needs a second or two for a group.
const STORE_PATIENCE: Duration = Duration::from_secs(10);

/// The same of the controllers, which look at the time every few seconds.
const CONTROLLERS_PATIENCE: Duration = Duration::from_secs(30);

/// The controllers' task, and why it has ended if it has.
struct Controllers {
    task: AbortHandle,
    ended: watch::Receiver<Option<Arc<str>>>,
}

impl Controllers {
    fn start(work: impl Future<Output = Stopped> + Send + 'static) -> Self {
        let task = tokio::spawn(work);
        let (told, ended) = watch::channel(None);
        let abort = task.abort_handle();
        tokio::spawn(async move {
            let why: Arc<str> = match task.await {
                Ok(stopped) => stopped.to_string().into(),
                Err(error) => format!("the controllers have ended: {error}").into(),
            };
            told.send_replace(Some(why));
        });
        Self { task: abort, ended }
    }

    /// Resolves when they have ended, with the reason.
    async fn ended(&self) -> Arc<str> {
        let mut ended = self.ended.clone();
        let why = ended.wait_for(Option::is_some).await;
        why.ok().and_then(|why| why.clone()).unwrap_or_else(|| "nobody knows".into())
    }
}

/// Has `/readyz` tell how each part is. Anybody may ask, so what a panic said is left to the log.
fn watch_parts(ready: &Ready, db: &Arc<Db>, controllers: &Controllers, pulse: Pulse, hub: &Arc<Hub>) {
    let db = db.clone();
    ready.watch("store", move || {
        db.goes_on().map_err(|stopped| match stopped {
            Stopped::Panicked(_) => "a transaction panicked".to_owned(),
            Stopped::Store(_) | Stopped::Lost(_) | Stopped::NotApplied(_) | Stopped::NoCommitter => {
                stopped.to_string()
            }
        })?;
        within(db.writing_for(), STORE_PATIENCE).map_err(|secs| format!("has been writing for {secs} s"))
    });
    let ended = controllers.ended.clone();
    ready.watch("controllers", move || {
        if ended.borrow().is_some() {
            return Err("have ended".to_owned());
        }
        within(Some(pulse.silent_for()), CONTROLLERS_PATIENCE)
            .map_err(|secs| format!("have done nothing for {secs} s"))
    });
    let hub = hub.clone();
    ready.watch("agents", move || if hub.is_closing() { Err("are sent away".to_owned()) } else { Ok(()) });
}

/// The seconds that something took, if that is longer than it may.
fn within(took: Option<Duration>, patience: Duration) -> Result<(), u64> {
    match took {
        Some(took) if took > patience => Err(took.as_secs()),
        Some(_) | None => Ok(()),
    }
}

/// Files that are not for connections: the store's, the log, the container engine's sockets. A store that cannot
/// open its next file ends the process, so strangers must not be able to take them all.
const FILES_KEPT: u64 = 256;

/// How many connections to accept at once: `wanted`, unless the system allows fewer open files. That is worth a warning
/// if `crowd` may come.
fn connections_max(wanted: usize, crowd: usize) -> usize {
    let room = room_for_connections(getrlimit(Resource::Nofile).current);
    let text = "the limit of open files allows fewer connections than usual; raise it with `ulimit -n`";
    if room < wanted.min(crowd) {
        tracing::warn!(connections = room, usual = wanted, "{text}");
    } else if room < wanted {
        tracing::info!(connections = room, usual = wanted, "{text}");
    }
    room.min(wanted)
}

/// What the limit of open files leaves for connections; no limit leaves everything. Where it is too low for the
/// whole reserve, half of it is kept: a server that serves few is better than one that does not start.
fn room_for_connections(files_max: Option<u64>) -> usize {
    let allowed = files_max.unwrap_or(u64::MAX);
    usize::try_from(allowed - FILES_KEPT.min(allowed / 2)).unwrap_or(usize::MAX)
}

impl ControlPlane {
    /// Opens the store, loads the state and starts to serve. Ready means that requests are answered.
    /// `crowd` is how many connections may come.
    pub async fn start(
        options: &ControlPlaneOptions,
        settle_default: Duration,
        crowd: usize,
        machine: Machine,
    ) -> anyhow::Result<Self> {
        let data_dir = match (&options.data_dir, options.ephemeral) {
            (_, true) => None,
            (Some(dir), false) => Some(dir.clone()),
            (None, false) => Some(default_data_dir()),
        };
        // What is printed, and the names made from it, are to mean the same in other directories.
        let data_dir =
            data_dir.map(std::path::absolute).transpose().context("there is no such --data-dir")?;
        if let Some(dir) = &data_dir {
            let hint =
                || format!("cannot use {} as data directory; choose another with --data-dir", dir.display());
            fs::create_dir_all(dir).with_context(hint)?;
        }
        // The port first: whoever is second on it should not touch the data.
        let bound = Bound::new(options.listen).await?;
        let shown = tls::choose(options, bound.local_addr(), data_dir.as_deref())?;
        let ca = shown.as_ref().and_then(|shown| shown.pin(&crate::agent::authorities(), SystemClock.now()));
        let tls = shown.map(|shown| shown.tls);
        let scheme = if tls.is_some() { Scheme::Https } else { Scheme::Http };
        let url = options.advertise.clone().unwrap_or_else(|| Url::at(scheme, bound.local_addr()));

        let joined_at = longshore_api_join::Server { url: url.to_string(), ca };
        let Machine { clock, seeds, open_store, domains } = machine;
        let store = open_store(data_dir.as_deref())?;
        if let Some(dir) = &data_dir {
            tokens::write_server(dir, &joined_at)?;
        }
        let (keyring, operator) = keys::load(options, data_dir.as_deref())?;
        let mode = match options.auth {
            Some(AuthMode::Open) => Mode::Open,
            Some(AuthMode::Strict) => Mode::Strict,
            None if options.listen.ip().is_loopback() => Mode::Open,
            None => Mode::Strict,
        };
        let db = Db::open(store, &domains, clock.clone(), seeds.clone()).context("cannot load the state")?;
        if mode == Mode::Open {
            allow_guests(&db).await?;
        }
        root_key::unlock(&db, options.root_key.as_deref(), data_dir.as_deref()).await?;
        let metrics = Metrics::new();
        let observed = metrics.clone();
        db.on_commit(move |commands, sequence, took| observed.committed(commands, sequence, took));
        let settings = settings(options, settle_default);
        let guard = guard(options.iam, &metrics);
        let explainer = Explainer::new(db.clone(), settings).guarded(guard.clone());
        let pulse = Pulse::default();
        let controllers =
            Controllers::start(driver::run(db.clone(), settings, metrics.clone(), pulse.clone()));
        let hub = Hub::new(db.clone(), metrics.clone());
        let ecs = Ecs::server(db.clone(), api_settings(options, &url)).guarded(guard.clone());
        let ec2 = Ec2::server(db.clone()).guarded(guard.clone());
        let iam = Iam::server(db.clone(), seeds.clone()).guarded(guard.clone());
        let sts = sts(options, &db, guard.clone())?;
        let joining = Joining::new(db.clone(), joined_at, guard.clone());
        let secrets = SecretsManager::server(db.clone(), seeds.clone()).guarded(guard.clone());
        let ssm = Ssm::server(db.clone()).guarded(guard.clone());
        let kms = Kms::server(db.clone(), seeds.clone()).guarded(guard.clone());
        secrets_upkeep::start(&db);
        let wake = keyring_upkeep::start(&db);
        let of_operator = OperatorApi::new(db.clone(), keyring.clone(), wake);
        let users = Arc::new(IamUsers::new(db.clone()));
        let identity = Arc::new(Identity::new(mode, keyring.clone()).with_users(users.clone()));
        let directory = data_dir.as_deref();
        let images =
            registry::start(&db, &guard, &identity, directory, &url, &options.region, seeds.draw()).await?;
        let ready = Ready::new();
        watch_parts(&ready, &db, &controllers, pulse, &hub);
        let services = Services {
            apis: vec![
                Arc::new(ecs),
                Arc::new(ec2),
                images.api,
                Arc::new(explainer),
                Arc::new(of_operator),
                Arc::new(iam),
                Arc::new(sts),
                Arc::new(joining),
                Arc::new(secrets),
                Arc::new(ssm),
                Arc::new(kms),
            ],
            catalog: longshore_catalog::ALL,
            sockets: Some(Arc::new(AgentSockets::new(hub.clone(), guard))),
            places: vec![images.place],
            identity,
            metrics,
            clock,
            ready: ready.clone(),
        };
        let offered = Services {
            identity: Arc::new(Identity::new(mode, keyring).with_users(users).knowing_all()),
            sockets: None,
            // Its door knows strangers.
            places: Vec::new(),
            ..services.clone()
        };
        let (shutdown, mut ended) = watch::channel(false);
        let mut config = Config::new(options.listen, SystemSeeds.draw());
        config.tls = tls;
        config.site = site(options, &url);
        config.limits.connections_max = connections_max(config.limits.connections_max, crowd);
        let front = bound.serve(config, services, async move {
            // An error means that the control plane was dropped, which ends it as well.
            let _ = ended.wait_for(|ended| *ended).await;
        });
        ready.set(true);
        Ok(Self {
            db,
            hub,
            endpoint: url.to_string(),
            operator,
            ready,
            data_dir,
            front,
            for_containers: None,
            offered,
            controllers,
            shutdown,
            _scratch: images.scratch,
        })
    }

    /// Serves containers at `address` too, in the clear, for this machine. Who calls has to show a key that is known, in open
    /// mode too: whatever runs in a container is not the person at the machine.
    pub async fn serve_containers(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let bound = Bound::new(address).await?;
        let mut config = Config::new(address, SystemSeeds.draw());
        config.site = Site::default().allow_host(&address.ip().to_string());
        let mut ended = self.shutdown.subscribe();
        self.for_containers = Some(bound.serve(config, self.offered.clone(), async move {
            let _ = ended.wait_for(|ended| *ended).await;
        }));
        Ok(())
    }

    /// Makes the operator's cluster `name` if there is none.
    pub async fn ensure_cluster(&self, name: &str, region: &str) -> anyhow::Result<()> {
        let account =
            AccountId::parse(longshore_identity::DEFAULT_ACCOUNT).context("the account has twelve digits")?;
        let region =
            Region::parse(region).with_context(|| format!("{region} is not the name of a region"))?;
        let scope = Scope::new(account, region);
        let caller = Caller::new(scope.clone(), format!("arn:aws:iam::{account}:root"));
        let request = CreateClusterRequest { cluster_name: Some(name.to_owned()), ..Default::default() };
        let api = Ecs::new(longshore_api_ecs::Settings::default());
        let cx = Cx { api: &api, caller: &caller, now: self.db.clock().now() };
        self.db
            .write(|tx| carry_out::<_, ops::CreateCluster>(tx, &cx, request))
            .await?
            .with_context(|| format!("cluster {name} cannot be made; choose another name with --cluster"))?;
        Ok(())
    }

    /// Resolves when a part has ended that has to run, so that the process has to end as well.
    pub async fn failed(&self) -> anyhow::Error {
        let error = tokio::select! {
            // First, because the controllers end with the database.
            biased;
            stopped = self.db.stopped() => anyhow::Error::new(stopped),
            why = self.controllers.ended() => anyhow!("{why}"),
            () = self.front.closed() => anyhow!("the part that accepts connections has ended"),
        };
        self.ready.set(false);
        error.context(RESTART)
    }

    /// Stops taking requests, finishes those under way, and ends.
    pub async fn stop(self) -> Ended {
        self.ready.set(false);
        self.shutdown.send_replace(true);
        // Agents would stay until they are cut.
        self.hub.close();
        if let Some(front) = self.for_containers {
            front.ended().await;
        }
        let ended = self.front.ended().await;
        self.controllers.task.abort();
        // Nobody waits for what connections wrote at their end.
        let _ = tokio::time::timeout(LAST_WRITE, self.db.read(|_| ())).await;
        ended
    }
}

/// Tasks may run with roles that nobody has made (identity J1).
async fn allow_guests(db: &Db) -> anyhow::Result<()> {
    let said = db.write(|tx| {
        tx.volatile(|iam: &mut IamTables, _| iam.allow_guests());
        Ok::<_, std::convert::Infallible>(())
    });
    match said.await? {
        Ok(()) => Ok(()),
        Err(never) => match never {},
    }
}

/// STS, and where it has the keys of web identities from.
fn sts(options: &ControlPlaneOptions, db: &Arc<Db>, guard: Arc<dyn Guard>) -> anyhow::Result<WebSts> {
    let trusted = longshore_client::tls_config(&[crate::agent::authorities()]).ok();
    let https = trusted.map(|tls| HttpClient::new(Some(tls)));
    let keys = OidcKeys::load(options.oidc_keys.as_deref(), https)?;
    let issuers = Arc::new(Issuers::new(Arc::new(keys)));
    let server = Sts::server_with(db.clone(), issuers.clone()).guarded(guard);
    Ok(WebSts::new(server, issuers, db.clone()))
}

fn guard(mode: IamMode, metrics: &Metrics) -> Arc<dyn Guard> {
    let enforcement = match mode {
        IamMode::Enforce => Enforcement::Enforce,
        IamMode::Report => Enforcement::Report,
    };
    Arc::new(PolicyGuard::new(enforcement, metrics.clone()))
}

fn settings(options: &ControlPlaneOptions, settle_default: Duration) -> Settings {
    let mut settings = Settings::default();
    settings.rollout.settle_time = options.settle_secs.map_or(settle_default, Duration::from_secs_f64);
    settings.instance_lost_after =
        (options.instance_lost_secs > 0).then(|| Duration::from_secs(options.instance_lost_secs));
    settings.stopped_task_retention = Duration::from_secs(options.stopped_retention_secs);
    settings
}

/// What the API says of this server, whose own URL is `url`.
fn api_settings(options: &ControlPlaneOptions, url: &Url) -> longshore_api_ecs::Settings {
    let sockets = options.advertise_sockets.as_ref().unwrap_or(url);
    longshore_api_ecs::Settings {
        socket_endpoint: sockets.to_string().into(),
        allow_short_arns: options.allow_short_arns,
    }
}

/// The names of this server, and whose web pages may call it.
fn site(options: &ControlPlaneOptions, url: &Url) -> Site {
    let site = Site::advertised(url.host(), url.origin());
    let site = options.advertise_sockets.iter().fold(site, |site, sockets| site.allow_host(sockets.host()));
    let site = options.allow_host.iter().fold(site, |site, host| site.allow_host(host));
    options.cors_origin.iter().cloned().fold(site, Site::allow_origin)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};

    /// What DiscoverPollEndpoint answers is made of this, and agents keep it for twelve hours (`tests/e2e/test_verbs.py` asks).
    #[test]
    fn agents_are_sent_to_the_sockets_that_are_advertised() {
        let listening = "192.0.2.2:8722".parse().expect("an address");
        for (flags, expected) in [
            (&[][..], "https://192.0.2.2:8722"),
            (&["--advertise", "https://ecs.example:443"], "https://ecs.example"),
            (&["--advertise-sockets", "https://agents.example:9000/a/"], "https://agents.example:9000/a"),
            (
                &[
                    "--advertise",
                    "https://ecs.example:8443",
                    "--advertise-sockets",
                    "https://agents.example:443",
                ],
                "https://agents.example",
            ),
        ] {
            let args = ["longshore", "server"].into_iter().chain(flags.iter().copied());
            let Command::Server(options) = Args::try_parse_from(args).expect("these are flags").command
            else {
                panic!("it is `server`")
            };
            let options = options.control_plane;
            let url = options.advertise.clone().unwrap_or_else(|| Url::at(Scheme::Https, listening));
            assert_eq!(&*api_settings(&options, &url).socket_endpoint, expected, "{flags:?}");
        }
    }

    #[test]
    fn connections_leave_files_for_the_store() {
        for (allowed, room) in
            [(Some(1024), 768), (Some(100_000), 99_744), (Some(512), 256), (Some(300), 150), (Some(0), 0)]
        {
            assert_eq!(room_for_connections(allowed), room, "of {allowed:?}");
        }
        assert!(room_for_connections(None) > 1 << 30);
    }
}

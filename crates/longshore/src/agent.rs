//! `longshore agent`: a container instance on this machine.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use longshore_base::FARGATE_POOL;
use longshore_client::HttpClient;
use longshore_node::{Config, ExitReason, Services, Status};
use longshore_runtime::Runtime;
use longshore_runtime_docker::{DockerHost, DockerRuntime};
use longshore_state::db::SeedSource;
use tokio::sync::watch;

use crate::args::AgentOptions;
use crate::clock::{SystemClock, SystemSeeds};
use crate::exit::usage;
use crate::join::Kept;
use crate::out::tell;
use crate::progress::Step;
use crate::{engine, join, shutdown, task_roles};

/// Where Debian keeps the certificates of the authorities that it trusts.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// How long the engine may take before a person is told that it does not answer.
const ENGINE_PATIENCE: Duration = Duration::from_secs(2);

pub async fn run(options: AgentOptions) -> anyhow::Result<ExitCode> {
    let file = match std::fs::read_to_string(&options.config) {
        Ok(text) => Some(text),
        // Everything may be in the environment; but a file that somebody has named is meant.
        Err(error)
            if error.kind() == ErrorKind::NotFound
                && options.config == Path::new(longshore_node::config::FILE_DEFAULT) =>
        {
            None
        }
        Err(error) => {
            return Err(error)
                .with_context(|| format!("cannot read {}; check --config", options.config.display()));
        }
    };
    let pool = options.pool.then(|| ("LONGSHORE_POOL".to_owned(), "true".to_owned()));
    let said = Config::values(std::env::vars().chain(pool.clone()), file.as_deref());
    let joined = Joined::find(&options, &said).await?;
    let own = joined.iter().flat_map(Joined::variables);
    let (mut config, notes) = Config::read(std::env::vars().chain(pool).chain(own), file.as_deref())
        .with_context(|| format!("check {} and the environment", options.config.display()))?;
    for note in notes {
        tracing::warn!("{note}");
    }
    if config.data_dir.is_none() {
        tell!(
            "note: ECS_DATADIR is not set, so this agent remembers nothing, and its next start is a new container instance. \
             Set it to a directory, such as /var/lib/longshore-agent"
        );
    }
    let host = DockerHost::configured(&config.docker_host)?;
    let runtime: Arc<dyn Runtime> = Arc::new(DockerRuntime::new(&host)?);
    // An agent may be up before its engine, and waits for it.
    if !matches!(tokio::time::timeout(ENGINE_PATIENCE, runtime.ping()).await, Ok(Ok(()))) {
        tell!("waiting for the container engine: {}", engine::advice(&host));
    }
    let (http, keys) = match joined {
        Some(Joined { dir, kept, endpoint: _ }) => {
            config.instance_arn = Some(kept.key.container_instance_arn.clone());
            config.credentials = kept.credentials();
            let http = kept.http(&config.endpoint)?;
            (http, Some(join::keep_fresh(dir, kept, config.endpoint.clone())))
        }
        None => (client(&config.endpoint, None)?, None),
    };
    let credentials = if config.task_role { task_roles::endpoint().await } else { None };
    if let Some(endpoint) = &credentials
        && config.engine.api_endpoint.is_none()
        && !config.hides_api
    {
        config.engine.api_endpoint = task_roles::forward_api(endpoint, &http, &config.endpoint).await;
    }
    let services =
        Services { runtime, http, keys, clock: Arc::new(SystemClock), seed: SystemSeeds.draw(), credentials };
    let joined = match config.cluster_name() {
        FARGATE_POOL => "the Fargate pool".to_owned(),
        cluster => format!("cluster {cluster}"),
    };
    let step = Step::begin(format!("joining {joined} at {}", config.endpoint));
    let (status, mut changes) = watch::channel(Status::default());
    let told = tokio::spawn(async move {
        if let Ok(status) = changes.wait_for(|status| status.connected).await {
            step.done(format!(
                "connected as {}",
                status.instance_arn.as_deref().unwrap_or("an unnamed instance")
            ));
        }
    });
    let ended = longshore_node::run(config, services, status, shutdown::requested()?).await?;
    told.abort();
    match &ended {
        ExitReason::Stopped => tell!("stopped; containers go on running"),
        ExitReason::Failed(text) | ExitReason::Terminal(text) => tell!("error: {text}"),
    }
    Ok(ExitCode::from(ended.code()))
}

/// A machine that is an instance by a key of its own.
struct Joined {
    dir: PathBuf,
    kept: Kept,
    /// Where the control plane is: as the agent was told, or as its token was.
    endpoint: String,
}

impl Joined {
    /// What it has, or gets for the token. `None`: it has neither, or was given an access key as before.
    async fn find(options: &AgentOptions, said: &BTreeMap<String, String>) -> anyhow::Result<Option<Self>> {
        let said = |name: &str| said.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
        let token = join::token(options.join.as_deref(), options.join_file.as_deref())?;
        if token.is_none() && said("AWS_ACCESS_KEY_ID").is_some() {
            return Ok(None);
        }
        let dir = said("ECS_DATADIR").map_or_else(|| PathBuf::from(join::DIR_DEFAULT), PathBuf::from);
        let endpoint = said("ECS_BACKEND_HOST").map(longshore_node::config::endpoint).transpose()?;
        let Some(kept) = join::obtain(&dir, token, endpoint.as_deref()).await? else { return Ok(None) };
        let wanted = match options.pool {
            true => Some(FARGATE_POOL),
            false => said("ECS_CLUSTER"),
        };
        let of = kept.key.cluster.as_str();
        match wanted {
            Some(wanted) if wanted != of => Err(usage(format!(
                "this machine has joined {of}, and --pool or ECS_CLUSTER says {wanted}: remove that, or set ECS_DATADIR to \
                 another directory and join with a token for {wanted}"
            ))),
            Some(_) | None => {
                let endpoint = endpoint.unwrap_or_else(|| kept.url.clone());
                Ok(Some(Self { dir, kept, endpoint }))
            }
        }
    }

    /// What it is configured with, beside its key.
    fn variables(&self) -> impl Iterator<Item = (String, String)> {
        let key = &self.kept.key;
        let pairs = [
            ("ECS_CLUSTER", key.cluster.clone()),
            ("ECS_DATADIR", self.dir.display().to_string()),
            ("ECS_BACKEND_HOST", self.endpoint.clone()),
            ("AWS_DEFAULT_REGION", key.region.clone()),
            ("AWS_ACCESS_KEY_ID", key.access_key_id.clone()),
            // The secret does not go through variables.
            ("AWS_SECRET_ACCESS_KEY", "-".to_owned()),
        ];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value))
    }
}

/// A client for the control plane. With `https`, certificates are checked against the system's authorities, or
/// `own` where the server is our own.
pub fn client(endpoint: &str, own: Option<&Path>) -> anyhow::Result<HttpClient> {
    let tls = if endpoint.starts_with("https:") {
        let trusted: Vec<PathBuf> = match own {
            Some(own) => vec![own.to_path_buf()],
            None => vec![authorities()],
        };
        let hint = "set SSL_CERT_FILE to the certificate that the control plane uses";
        Some(longshore_client::tls_config(&trusted).context(hint)?)
    } else {
        None
    };
    Ok(HttpClient::new(tls))
}

/// The file with the system's authorities, or what `SSL_CERT_FILE` names instead.
pub fn authorities() -> PathBuf {
    std::env::var_os("SSL_CERT_FILE").map_or_else(|| PathBuf::from(AUTHORITIES), PathBuf::from)
}

//! How an agent on a machine comes to a key of its own, and keeps it: joined with a token once, renewed at each start and
//! once a day, kept in the agent's directory (decision 50). And `longshore join`, which does that for the official agent.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use longshore_client::{CallError, Client, HttpClient};
use longshore_link::join::{self, InstanceKey, Join, TARGET_PREFIX, Token};
use longshore_shapes_ecs::SIGNING_NAME;
use longshore_sigv4::Credentials;
use longshore_state::db::SeedSource;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::agent;
use crate::args::JoinOptions;
use crate::clock::{SystemClock, SystemSeeds};
use crate::exit::usage;
use crate::keys::write_private;
use crate::out::{print, shown, tell};

/// Where an agent that joins keeps what it knows, unless `ECS_DATADIR` says otherwise.
pub const DIR_DEFAULT: &str = "/var/lib/longshore-agent";

/// In that directory: the key, and what is known of the server.
const KEY_FILE: &str = "instance-key.json";
/// There, until the answer has come: what makes a second question the same as the first.
const JOINING_FILE: &str = "joining.json";

/// How long an agent that runs goes on with a key, give or take a tenth.
const RENEWED_EVERY: Duration = Duration::from_secs(24 * 3600);
/// How soon it asks again if there was no answer.
const RENEWED_AGAIN: Duration = Duration::from_secs(600);

/// Between two tries to join: a server may not be there yet.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What a machine keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    pub key: InstanceKey,
    /// Of the server, as the token said.
    pub url: String,
    /// The fingerprint of the certificate by which the server is known.
    #[serde(default)]
    pub ca: Option<String>,
    /// The id of the token.
    pub token: String,
}

impl Kept {
    /// `None`: nobody has joined here.
    pub fn read(dir: &Path) -> anyhow::Result<Option<Self>> {
        read_json(&dir.join(KEY_FILE))
    }

    fn write(&self, dir: &Path) -> anyhow::Result<()> {
        write_private(&dir.join(KEY_FILE), &serde_json::to_vec(self)?)
    }

    pub fn credentials(&self) -> Credentials {
        Credentials::new(self.key.access_key_id.as_str(), self.key.secret_access_key.0.as_str())
    }

    /// A client that signs with the key.
    pub fn http(&self, endpoint: &str) -> anyhow::Result<HttpClient> {
        pinned(endpoint, self.ca.as_deref())
    }
}

#[derive(Serialize, Deserialize)]
struct Joining {
    token: String,
    nonce: String,
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> anyhow::Result<Option<T>> {
    match fs::read(path) {
        // What the parser says may quote a secret.
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(|_| anyhow!("{} is damaged; move it away and join again with a new token", shown(path))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}; check ECS_DATADIR", shown(path))),
    }
}

/// A client that knows the server by a fingerprint or by what `SSL_CERT_FILE` names; without a fingerprint, by the
/// authorities of the system. The variable is set on machines where nobody thought of this server, and takes nothing away.
fn pinned(endpoint: &str, ca: Option<&str>) -> anyhow::Result<HttpClient> {
    let Some(ca) = ca.filter(|_| endpoint.starts_with("https:")) else {
        return agent::client(endpoint, None);
    };
    let others: Vec<PathBuf> = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from).into_iter().collect();
    let tls = longshore_client::tls_config_pinned(ca, &others);
    Ok(HttpClient::new(Some(tls.context("SSL_CERT_FILE does not name certificates: mend it, or unset it")?)))
}

/// The token of a flag or a file.
pub fn token(given: Option<&str>, file: Option<&Path>) -> anyhow::Result<Option<Token>> {
    let text = match (given, file) {
        (Some(text), _) => text.to_owned(),
        (None, Some(file)) => fs::read_to_string(file)
            .with_context(|| format!("cannot read the join token in {}; check --join-file", shown(file)))?,
        (None, None) => return Ok(None),
    };
    text.parse().map(Some).map_err(|error: join::NotAToken| usage(error.to_string()))
}

/// What became of a key that was kept.
#[derive(Debug, PartialEq, Eq)]
enum Renewal {
    New(InstanceKey),
    /// The control plane does not answer, or is not well.
    Unanswered(String),
    /// Its instance was deregistered.
    Deregistered,
    /// Nobody knows it.
    Unknown,
}

/// What follows.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Use(InstanceKey),
    /// The agent learns from its registration what is wrong, and ends what the instance has left.
    UseAsItIs,
    Join,
}

fn next(kept: &Kept, token: Option<&Token>, renewal: Renewal) -> Next {
    match (renewal, token) {
        (Renewal::New(key), _) => Next::Use(key),
        (Renewal::Unknown, Some(_)) => Next::Join,
        // The token that it once joined with still stands in its unit file. Another one is meant.
        (Renewal::Deregistered, Some(token)) if token.id != kept.token => Next::Join,
        (Renewal::Unanswered(_) | Renewal::Deregistered, _) | (Renewal::Unknown, None) => Next::UseAsItIs,
    }
}

/// The key of this machine's instance: the one that it has, renewed, or one for the token. `endpoint` stands for the URL
/// of the token. `None`: there is neither.
///
/// # Errors
/// The token lets nobody in; a file cannot be read or written.
pub async fn obtain(
    dir: &Path,
    token: Option<Token>,
    endpoint: Option<&str>,
) -> anyhow::Result<Option<Kept>> {
    if let Some(kept) = Kept::read(dir)? {
        let renewal = renew(&kept, endpoint.unwrap_or(&kept.url)).await?;
        if let Renewal::Unanswered(why) = &renewal {
            tracing::info!(why, "the key was not renewed; it goes on counting");
        }
        match next(&kept, token.as_ref(), renewal) {
            Next::Use(key) => {
                let kept = Kept { key, ..kept };
                kept.write(dir)?;
                forget_joining(dir);
                return Ok(Some(kept));
            }
            Next::UseAsItIs => return Ok(Some(kept)),
            Next::Join => tell!("the key in {} does not count any more; joining anew", shown(dir)),
        }
    }
    let Some(token) = token else { return Ok(None) };
    fs::create_dir_all(dir).with_context(|| {
        format!(
            "cannot make {}, where the key is to be kept; set ECS_DATADIR to another directory",
            shown(dir)
        )
    })?;
    let nonce = nonce(dir, &token)?;
    let endpoint = endpoint.unwrap_or(&token.url);
    let key = ask_to_join(&token, &nonce, endpoint).await?;
    let kept = Kept { key, url: token.url, ca: token.ca, token: token.id };
    kept.write(dir)?;
    forget_joining(dir);
    Ok(Some(kept))
}

/// What makes questions with this token the same, over restarts.
fn nonce(dir: &Path, token: &Token) -> anyhow::Result<String> {
    let file = dir.join(JOINING_FILE);
    if let Some(Joining { token: of, nonce }) = read_json(&file)?
        && of == token.id
    {
        return Ok(nonce);
    }
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system has random numbers");
    let nonce: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let joining = Joining { token: token.id.clone(), nonce: nonce.clone() };
    write_private(&file, &serde_json::to_vec(&joining)?)?;
    Ok(nonce)
}

fn forget_joining(dir: &Path) {
    // What stays is not used: the key is there.
    let _ = fs::remove_file(dir.join(JOINING_FILE));
}

/// Asks until there is an answer.
async fn ask_to_join(token: &Token, nonce: &str, endpoint: &str) -> anyhow::Result<InstanceKey> {
    let http = pinned(endpoint, token.ca.as_deref())?;
    let nobody = Credentials::new("", "");
    let client = Client::new(http, endpoint, nobody, &token.region, Arc::new(SystemClock))?.anonymous();
    let body = serde_json::to_vec(&Join::with(token, nonce))?;
    let mut pause = Duration::from_secs(1);
    let mut is_told = false;
    loop {
        let error = match called(&client, join::JOIN, body.clone()).await {
            Ok(key) => return Ok(key),
            Err(CallError::Refused { status: ..500, error, .. }) => bail!(
                "{endpoint} does not let this machine join: {}: {}",
                error.code,
                error.message.trim_end_matches('.')
            ),
            Err(error) => anyhow::Error::new(error),
        };
        if !is_told {
            tell!("cannot join at {endpoint} yet, trying on: {error:#}");
            is_told = true;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn renew(kept: &Kept, endpoint: &str) -> anyhow::Result<Renewal> {
    let http = kept.http(endpoint)?;
    let client =
        Client::new(http, endpoint, kept.credentials(), &kept.key.region, Arc::new(SystemClock))?.repeating();
    Ok(match called(&client, join::RENEW, b"{}".to_vec()).await {
        Ok(key) => Renewal::New(key),
        Err(CallError::Refused { status: ..500, error, .. }) => match error.code.as_str() {
            "UnrecognizedClientException" | "InvalidSignatureException" => Renewal::Unknown,
            "AccessDeniedException" => Renewal::Deregistered,
            code => Renewal::Unanswered(format!("{code}: {}", error.message)),
        },
        Err(error) => Renewal::Unanswered(format!("{:#}", anyhow::Error::new(error))),
    })
}

async fn called(client: &Client, operation: &str, body: Vec<u8>) -> Result<InstanceKey, CallError> {
    let target = format!("{TARGET_PREFIX}.{operation}");
    let answer = client.call_json(SIGNING_NAME, &target, body).await?;
    serde_json::from_slice(&answer)
        // What cannot be read is no answer of a control plane.
        .map_err(|_| CallError::Foreign { operation: operation.to_owned(), status: 200 })
}

/// Renews the key of an agent that runs, as long as somebody has what is given back.
pub fn keep_fresh(dir: PathBuf, kept: Kept, endpoint: String) -> watch::Receiver<Credentials> {
    let (told, fresh) = watch::channel(kept.credentials());
    tokio::spawn(async move {
        let mut kept = kept;
        let mut pause = about(RENEWED_EVERY);
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = told.closed() => return,
            }
            pause = match renew(&kept, &endpoint).await {
                Ok(Renewal::New(key)) => {
                    kept = Kept { key, ..kept };
                    // Not before it is on the disk: what the server counts is this key and the one before it.
                    match kept.write(&dir) {
                        Ok(()) => {
                            told.send_replace(kept.credentials());
                            about(RENEWED_EVERY)
                        }
                        Err(error) => {
                            tracing::warn!("the instance's key was renewed and cannot be kept: {error:#}");
                            RENEWED_AGAIN
                        }
                    }
                }
                Ok(Renewal::Unanswered(why)) => {
                    tracing::info!(why, "the instance's key was not renewed; it goes on counting");
                    RENEWED_AGAIN
                }
                // The agent hears of it by itself.
                Ok(Renewal::Deregistered | Renewal::Unknown) => RENEWED_EVERY,
                Err(error) => {
                    tracing::warn!("the instance's key cannot be renewed: {error:#}");
                    RENEWED_AGAIN
                }
            };
        }
    });
    fresh
}

/// Give or take a tenth, so that machines which were started together do not stay together.
fn about(span: Duration) -> Duration {
    let tenth = usize::try_from(span.as_secs() / 5).unwrap_or(0);
    span * 9 / 10 + Duration::from_secs(SystemSeeds.draw().below(tenth) as u64)
}

/// `longshore join`: the variables with which the official agent is this machine's instance.
pub async fn run(options: JoinOptions) -> anyhow::Result<()> {
    let token = token(options.token.as_deref(), options.token_file.as_deref())?;
    let kept = obtain(&options.dir, token, options.endpoint.as_deref()).await?.with_context(|| {
        format!(
            "there is no key in {} and no token to get one with: make one on the server with `longshore token create`, and \
             name it with --token or --token-file",
            shown(&options.dir)
        )
    })?;
    let endpoint = options.endpoint.as_deref().unwrap_or(&kept.url);
    tell!("the key of {} is kept in {}", kept.key.container_instance_arn, shown(&options.dir));
    if let Some(ca) = kept.ca.as_deref().filter(|_| endpoint.starts_with("https:")) {
        tell!(
            "note: the official agent knows no fingerprints: give it a copy of the server's certificate with SSL_CERT_FILE. \
             The SHA-256 of the right one is {ca}"
        );
    }
    print(&variables(&kept, endpoint))?;
    Ok(())
}

/// As `/etc/ecs/ecs.config` and `docker run --env-file` have them.
fn variables(kept: &Kept, endpoint: &str) -> String {
    let key = &kept.key;
    let pairs = [
        ("ECS_CLUSTER", key.cluster.as_str()),
        ("ECS_BACKEND_HOST", endpoint),
        ("AWS_DEFAULT_REGION", key.region.as_str()),
        ("AWS_ACCESS_KEY_ID", key.access_key_id.as_str()),
        ("AWS_SECRET_ACCESS_KEY", key.secret_access_key.0.as_str()),
    ];
    pairs.iter().map(|(name, value)| format!("{name}={value}\n")).collect()
}

#[cfg(test)]
mod tests {
    use longshore_link::Redacted;

    use super::*;

    fn key(id: &str) -> InstanceKey {
        InstanceKey {
            access_key_id: id.into(),
            secret_access_key: Redacted("s3cr3t".into()),
            container_instance_arn: "arn:aws:ecs:us-east-1:000000000000:container-instance/c/7".into(),
            cluster: "c".into(),
            region: "us-east-1".into(),
        }
    }

    fn kept() -> Kept {
        Kept { key: key("LSCI1"), url: "http://127.0.0.1:1".into(), ca: None, token: "jt-1".into() }
    }

    fn token_of(id: &str) -> Token {
        Token {
            id: id.into(),
            secret: Redacted("t0ken".into()),
            account: "000000000000".into(),
            region: "us-east-1".into(),
            cluster: "c".into(),
            url: "http://127.0.0.1:1".into(),
            ca: None,
        }
    }

    #[test]
    fn a_machine_keeps_its_key_as_long_as_it_counts() {
        let (same, other) = (token_of("jt-1"), token_of("jt-2"));
        let none = || Renewal::Unanswered("down".into());
        for (renewal, token, expected) in [
            (Renewal::New(key("LSCI2")), None, Next::Use(key("LSCI2"))),
            (Renewal::New(key("LSCI2")), Some(&other), Next::Use(key("LSCI2"))),
            (none(), None, Next::UseAsItIs),
            (none(), Some(&other), Next::UseAsItIs),
            (Renewal::Deregistered, None, Next::UseAsItIs),
            (Renewal::Deregistered, Some(&same), Next::UseAsItIs),
            (Renewal::Deregistered, Some(&other), Next::Join),
            (Renewal::Unknown, None, Next::UseAsItIs),
            (Renewal::Unknown, Some(&same), Next::Join),
        ] {
            assert_eq!(next(&kept(), token, renewal), expected, "{token:?}");
        }
    }

    #[test]
    fn what_is_kept_is_the_owners_alone_and_reads_back() {
        use std::os::unix::fs::PermissionsExt;

        let dir = std::env::temp_dir().join(format!("longshore-join-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        assert_eq!(Kept::read(&dir).expect("nothing is there"), None);
        kept().write(&dir).expect("it is written");
        let mode = fs::metadata(dir.join(KEY_FILE)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(Kept::read(&dir).expect("it is read"), Some(kept()));
        let first = nonce(&dir, &token_of("jt-1")).expect("it is written");
        assert_eq!(nonce(&dir, &token_of("jt-1")).expect("it is read"), first, "over restarts");
        assert_ne!(nonce(&dir, &token_of("jt-2")).expect("it is written"), first, "of another token");
        fs::write(dir.join(KEY_FILE), r#"{"key":"s3cr3t"#).expect("it is written");
        let error = Kept::read(&dir).expect_err("it is damaged").to_string();
        assert!(error.contains("join again") && !error.contains("s3cr3t"), "{error}");
        fs::remove_dir_all(&dir).expect("removed");
        assert!(!format!("{:?}", kept()).contains("s3cr3t"));
    }

    #[test]
    fn the_official_agent_gets_its_variables() {
        let text = variables(&kept(), "https://h:1");
        for line in ["ECS_CLUSTER=c", "ECS_BACKEND_HOST=https://h:1", "AWS_ACCESS_KEY_ID=LSCI1"] {
            assert!(text.lines().any(|own| own == line), "{text}");
        }
    }
}

//! The access key of the operator: made once, kept in the data directory, written to `env`.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use longshore_base::AccountId;
use longshore_identity::{AccessKey, Keyring, PrincipalKind};
use longshore_sigv4::Credentials;
use longshore_state::db::SeedSource;

use crate::args::ControlPlaneOptions;
use crate::clock::SystemSeeds;

/// The account of the operator's key.
const OPERATOR_ACCOUNT: &str = longshore_identity::DEFAULT_ACCOUNT;
const OPERATOR_NAME: &str = "operator";
const KEY_FILE: &str = "operator-key.json";

/// The keys that the server knows: the operator's own, and those of `--keys`.
pub fn load(
    options: &ControlPlaneOptions,
    data_dir: Option<&Path>,
) -> anyhow::Result<(Arc<Keyring>, Credentials)> {
    let keyring = match &options.keys {
        Some(path) => Keyring::load(path).context("check the file given with --keys")?,
        None => Keyring::new(),
    };
    let operator = match data_dir {
        Some(dir) => kept(&dir.join(KEY_FILE))?,
        None => longshore_identity::generate(SystemSeeds.draw()),
    };
    let account = AccountId::parse(OPERATOR_ACCOUNT).expect("the constant has twelve digits");
    keyring.add(AccessKey {
        credentials: operator.clone(),
        account,
        kind: PrincipalKind::User,
        name: OPERATOR_NAME.into(),
        expires: None,
    })?;
    Ok((Arc::new(keyring), operator))
}

fn kept(path: &Path) -> anyhow::Result<Credentials> {
    if path.exists() {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let value: serde_json::Value = serde_json::from_str(&text)
            .ok()
            .with_context(|| format!("{} is damaged; remove it to have a new key made", path.display()))?;
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        let (id, secret) = text("accessKeyId")
            .zip(text("secretAccessKey"))
            .with_context(|| format!("{} is damaged; remove it to have a new key made", path.display()))?;
        return Ok(Credentials::new(id, secret));
    }
    let made = longshore_identity::generate(SystemSeeds.draw());
    let text = serde_json::json!({
        "accessKeyId": made.access_key_id,
        "secretAccessKey": made.secret.reveal(),
    });
    write_private(path, text.to_string().as_bytes())?;
    Ok(made)
}

/// Writes a file that only its owner can read, whole or not at all.
pub fn write_private(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let beside = path.with_extension("new");
    let failed = || format!("cannot write {}", path.display());
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)
        .with_context(failed)?;
    file.write_all(content).and_then(|()| file.sync_all()).with_context(failed)?;
    fs::rename(&beside, path).with_context(failed)
}

/// The file that a shell's `source` reads: endpoint, region and key for every AWS client.
pub fn write_env(path: &Path, endpoint: &str, region: &str, key: &Credentials) -> anyhow::Result<()> {
    let lines = [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", &key.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", key.secret.reveal()),
        ("AWS_DEFAULT_REGION", region),
        ("AWS_REGION", region),
    ];
    let text: String = lines.iter().map(|(name, value)| format!("export {name}='{value}'\n")).collect();
    write_private(path, text.as_bytes())
}

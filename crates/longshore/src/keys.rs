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
    keyring.add(of_operator(operator.clone()))?;
    Ok((Arc::new(keyring), operator))
}

/// A key of the root of the operator's account: whoever has the data directory is the account itself (identity J1).
pub fn of_operator(credentials: Credentials) -> AccessKey {
    let account = AccountId::parse(OPERATOR_ACCOUNT).expect("the constant has twelve digits");
    AccessKey { credentials, account, kind: PrincipalKind::Root, name: String::new(), expires: None }
}

/// The operator's key of a data directory, if it has been made.
///
/// # Errors
/// Its file cannot be read, or is damaged.
pub fn operator(data_dir: &Path) -> anyhow::Result<Option<Credentials>> {
    let path = data_dir.join(KEY_FILE);
    if path.exists() { kept(&path).map(Some) } else { Ok(None) }
}

/// Makes a new one in its place. Nobody may serve the directory meanwhile: the old one would go on there.
///
/// # Errors
/// It cannot be written.
pub fn renew_operator(data_dir: &Path) -> anyhow::Result<Credentials> {
    make(&data_dir.join(KEY_FILE))
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
    make(path)
}

fn make(path: &Path) -> anyhow::Result<Credentials> {
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

/// The file that a shell's `source` reads: endpoint, region and key for every AWS client, and the certificate to trust
/// if it is one of our own.
pub fn write_env(
    path: &Path,
    endpoint: &str,
    region: &str,
    key: &Credentials,
    certificate: Option<&Path>,
) -> anyhow::Result<()> {
    let certificate = certificate.map(|path| path.display().to_string());
    let lines = [
        Some(("AWS_ENDPOINT_URL", endpoint)),
        Some(("AWS_ACCESS_KEY_ID", key.access_key_id.as_str())),
        Some(("AWS_SECRET_ACCESS_KEY", key.secret.reveal())),
        Some(("AWS_DEFAULT_REGION", region)),
        Some(("AWS_REGION", region)),
        certificate.as_deref().map(|file| ("AWS_CA_BUNDLE", file)),
    ];
    let lines = lines.into_iter().flatten();
    let text: String = lines.map(|(name, value)| format!("export {name}={}\n", quoted(value))).collect();
    write_private(path, text.as_bytes())
}

/// The lines that show a key where there is no file to hold it.
pub fn for_people(key: &Credentials) -> String {
    format!("access key id:     {}\nsecret access key: {}\n", key.access_key_id, key.secret.reveal())
}

/// A variable of an `env` file.
pub fn read_env(text: &str, name: &str) -> Option<String> {
    let prefix = format!("export {name}='");
    let quoted = text.lines().find_map(|line| line.strip_prefix(&prefix)?.strip_suffix('\''))?;
    Some(quoted.replace(QUOTE, "'"))
}

/// A quote within a quoted word of the shell.
const QUOTE: &str = r"'\''";

/// A word as every shell takes it.
pub fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', QUOTE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_env_file_says_what_was_written_to_it() {
        let dir = std::env::temp_dir().join(format!("longshore-keys-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        let (path, certificate) = (dir.join("env"), Path::new("/home/o'neill/tls-cert.pem"));
        let key = Credentials::new("AKIA", "secret");
        write_env(&path, "https://h:1", "us-east-1", &key, Some(certificate)).expect("it is written");
        let text = fs::read_to_string(&path).expect("it is there");
        for (name, expected) in [
            ("AWS_ENDPOINT_URL", Some("https://h:1")),
            ("AWS_REGION", Some("us-east-1")),
            ("AWS_CA_BUNDLE", Some("/home/o'neill/tls-cert.pem")),
            ("AWS_PROFILE", None),
        ] {
            assert_eq!(read_env(&text, name).as_deref(), expected, "{name}");
        }
        // A shell reads the same.
        let script = format!(". {}; echo \"$AWS_CA_BUNDLE\"", quoted(&path.display().to_string()));
        let said = std::process::Command::new("sh").args(["-c", &script]).output().expect("a shell");
        assert_eq!(String::from_utf8_lossy(&said.stdout), "/home/o'neill/tls-cert.pem\n");
        fs::remove_dir_all(&dir).expect("removed");
    }
}

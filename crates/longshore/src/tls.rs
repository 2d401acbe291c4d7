//! The certificate of a server that listens beyond loopback.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use longshore_front::Tls;

use crate::args::ControlPlaneOptions;
use crate::keys;

/// Plain HTTP on loopback, TLS everywhere else (design, section 2), unless the operator says that
/// the network is trusted.
pub fn choose(options: &ControlPlaneOptions, data_dir: Option<&Path>) -> anyhow::Result<Option<Tls>> {
    if let (Some(cert), Some(key)) = (&options.tls_cert, &options.tls_key) {
        let chain =
            fs::read(cert).with_context(|| format!("cannot read {}; check --tls-cert", cert.display()))?;
        let key_pem =
            fs::read(key).with_context(|| format!("cannot read {}; check --tls-key", key.display()))?;
        return Ok(Some(Tls::from_pem(&chain, &key_pem)?));
    }
    if options.listen.ip().is_loopback() || options.plain_http {
        return Ok(None);
    }
    let (chain, key) = self_signed(options.listen, data_dir)?;
    Ok(Some(Tls::from_pem(chain.as_bytes(), key.as_bytes())?))
}

/// A certificate of our own, kept over restarts so that clients can trust it once.
fn self_signed(listen: SocketAddr, data_dir: Option<&Path>) -> anyhow::Result<(String, String)> {
    let files = data_dir.map(|dir| (dir.join("tls-cert.pem"), dir.join("tls-key.pem")));
    if let Some((cert, key)) = &files
        && cert.exists()
        && key.exists()
    {
        return Ok((fs::read_to_string(cert)?, fs::read_to_string(key)?));
    }
    let mut names = vec!["localhost".to_owned()];
    if !listen.ip().is_unspecified() {
        names.push(listen.ip().to_string());
    }
    let made = rcgen::generate_simple_self_signed(names).context("failed to make a certificate")?;
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    if let Some((cert_file, key_file)) = &files {
        fs::write(cert_file, &chain)?;
        keys::write_private(key_file, key.as_bytes())?;
        eprintln!(
            "made a self-signed certificate: {}\n  clients trust it with AWS_CA_BUNDLE={}",
            cert_file.display(),
            cert_file.display()
        );
    }
    Ok((chain, key))
}

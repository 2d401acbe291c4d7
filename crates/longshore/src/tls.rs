//! The certificate of a server that listens beyond loopback.

use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};

use anyhow::Context;
use longshore_front::Tls;

use crate::args::ControlPlaneOptions;
use crate::keys;
use crate::out::tell;

/// The certificate that a server makes for itself, in its data directory.
pub const CERTIFICATE: &str = "tls-cert.pem";

/// Plain HTTP on loopback, TLS everywhere else (design, section 2), unless the operator says that
/// the network is trusted.
pub fn choose(options: &ControlPlaneOptions, data_dir: Option<&Path>) -> anyhow::Result<Option<Tls>> {
    if let (Some(cert), Some(key)) = (&options.tls_cert, &options.tls_key) {
        let chain =
            fs::read(cert).with_context(|| format!("cannot read {}; check --tls-cert", cert.display()))?;
        let key_pem =
            fs::read(key).with_context(|| format!("cannot read {}; check --tls-key", key.display()))?;
        let used = || {
            format!("cannot use {} with {}; check --tls-cert and --tls-key", cert.display(), key.display())
        };
        return Ok(Some(Tls::from_pem(&chain, &key_pem).with_context(used)?));
    }
    if options.listen.ip().is_loopback() || options.plain_http {
        return Ok(None);
    }
    let (chain, key) = self_signed(&names(options), data_dir)?;
    let hint = "remove tls-cert.pem and tls-key.pem in the data directory to have them made anew";
    Ok(Some(Tls::from_pem(chain.as_bytes(), key.as_bytes()).context(hint)?))
}

/// The file of the certificate that the server makes for itself and keeps, if it is the one that it uses.
pub fn own_certificate(options: &ControlPlaneOptions, data_dir: Option<&Path>) -> Option<PathBuf> {
    let is_own = options.tls_cert.is_none() && !options.listen.ip().is_loopback() && !options.plain_http;
    data_dir.filter(|_| is_own).map(|dir| dir.join(CERTIFICATE))
}

/// Under which names clients may reach this server: where it listens, what it advertises, and, if it listens
/// everywhere, what this machine is called and the address that its default route uses.
fn names(options: &ControlPlaneOptions) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    names.extend(options.advertise.as_deref().and_then(host_of));
    if options.listen.ip().is_unspecified() {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        names.extend(Some(host.trim().to_owned()).filter(|host| !host.is_empty()));
        names.extend(outward_address(options.listen).map(|ip| ip.to_string()));
    } else {
        names.push(options.listen.ip().to_string());
    }
    names.dedup();
    names
}

/// The host of `https://HOST:PORT/...`.
fn host_of(url: &str) -> Option<String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next()?;
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    };
    (!host.is_empty()).then(|| host.to_owned())
}

/// The address that packets to elsewhere leave from. Connecting a UDP socket sends nothing.
fn outward_address(listen: SocketAddr) -> Option<IpAddr> {
    // Addresses for documentation: they are nobody's.
    let elsewhere = if listen.is_ipv4() { "192.0.2.1:9" } else { "[2001:db8::1]:9" };
    let socket = UdpSocket::bind(SocketAddr::new(listen.ip(), 0)).ok()?;
    socket.connect(elsewhere).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified()).then_some(ip)
}

/// A certificate of our own, kept over restarts so that clients can trust it once.
fn self_signed(names: &[String], data_dir: Option<&Path>) -> anyhow::Result<(String, String)> {
    let files = data_dir.map(|dir| (dir.join(CERTIFICATE), dir.join("tls-key.pem")));
    if let Some((cert, key)) = &files
        && cert.exists()
        && key.exists()
    {
        return Ok((fs::read_to_string(cert)?, fs::read_to_string(key)?));
    }
    let made = rcgen::generate_simple_self_signed(names.to_vec()).context("failed to make a certificate")?;
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    if let Some((cert_file, key_file)) = &files {
        fs::write(cert_file, &chain)?;
        keys::write_private(key_file, key.as_bytes())?;
        tell!(
            "made a self-signed certificate: {}\n  clients elsewhere trust a copy of it with AWS_CA_BUNDLE, agents with \
             SSL_CERT_FILE",
            cert_file.display()
        );
    }
    Ok((chain, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_urls() {
        for (url, host) in [
            ("https://ecs.example:8722", Some("ecs.example")),
            ("https://ecs.example/path", Some("ecs.example")),
            ("10.0.0.1:8722", Some("10.0.0.1")),
            ("https://[2001:db8::1]:8722/", Some("2001:db8::1")),
            ("https://", None),
        ] {
            assert_eq!(host_of(url).as_deref(), host, "{url}");
        }
    }
}

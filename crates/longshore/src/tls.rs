//! The certificate of a server that listens beyond loopback.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};

use anyhow::Context;
use longshore_base::Timestamp;
use longshore_client::Trust;
use longshore_front::Tls;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::args::ControlPlaneOptions;
use crate::keys;
use crate::out::tell;

/// The certificate that a server makes for itself, in its data directory.
pub const CERTIFICATE: &str = "tls-cert.pem";

/// The port that URLs with `https` need not name.
const HTTPS_PORT: u16 = 443;

/// What a server shows to its clients.
pub struct Shown {
    pub tls: Tls,
    /// Its own certificate first.
    chain: Vec<CertificateDer<'static>>,
}

impl Shown {
    /// By what a machine that has nothing but a join token knows the server: the fingerprint of the last certificate of its
    /// chain, which is an authority's or its own. `None`: this machine's authorities know it, so that those of others will.
    pub fn pin(&self, authorities: &Path, now: Timestamp) -> Option<String> {
        let trust = Trust::of(&[authorities.to_path_buf()]);
        if trust.is_ok_and(|trust| trust.accepts(&self.chain, now)) {
            return None;
        }
        self.chain.last().map(longshore_client::fingerprint)
    }
}

fn read(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect()
}

/// Plain HTTP on loopback, TLS everywhere else (design, section 2), unless the operator says that
/// the network is trusted.
pub fn choose(
    options: &ControlPlaneOptions,
    listen: SocketAddr,
    data_dir: Option<&Path>,
) -> anyhow::Result<Option<Shown>> {
    if let (Some(cert), Some(key)) = (&options.tls_cert, &options.tls_key) {
        let chain =
            fs::read(cert).with_context(|| format!("cannot read {}; check --tls-cert", cert.display()))?;
        let key_pem =
            fs::read(key).with_context(|| format!("cannot read {}; check --tls-key", key.display()))?;
        let used = || {
            format!("cannot use {} with {}; check --tls-cert and --tls-key", cert.display(), key.display())
        };
        let tls = Tls::from_pem(&chain, &key_pem).with_context(used)?;
        return Ok(Some(Shown { tls, chain: read(&chain) }));
    }
    if options.listen.ip().is_loopback() || options.plain_http {
        return Ok(None);
    }
    let (chain, key) = self_signed(&names(options, listen), data_dir)?;
    let hint = "remove tls-cert.pem and tls-key.pem in the data directory to have them made anew";
    let tls = Tls::from_pem(chain.as_bytes(), key.as_bytes()).context(hint)?;
    Ok(Some(Shown { tls, chain: read(chain.as_bytes()) }))
}

/// The file of the certificate that the server makes for itself and keeps, if it is the one that it uses.
pub fn own_certificate(options: &ControlPlaneOptions, data_dir: Option<&Path>) -> Option<PathBuf> {
    let is_own = options.tls_cert.is_none() && !options.listen.ip().is_loopback() && !options.plain_http;
    data_dir.filter(|_| is_own).map(|dir| dir.join(CERTIFICATE))
}

/// Under which names clients may reach this server: where it listens, what it advertises, and, if it listens
/// everywhere, what this machine is called and the address that its default route uses.
///
/// Each with its port too: the official agent takes `host:port` for the server's name when it opens its sockets, and
/// accepts a certificate that names exactly that (agent-protocol G2).
fn names(options: &ControlPlaneOptions, listen: SocketAddr) -> Vec<String> {
    let mut hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    if listen.ip().is_unspecified() {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        hosts.extend(Some(host.trim().to_owned()).filter(|host| !host.is_empty()));
        hosts.extend(outward_address(listen).map(|ip| ip.to_string()));
    } else {
        hosts.push(listen.ip().to_string());
    }
    let mut names = Vec::new();
    for host in hosts {
        let authority = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        names.push(host);
        names.extend((listen.port() != HTTPS_PORT).then(|| format!("{authority}:{}", listen.port())));
    }
    for url in [&options.advertise, &options.advertise_sockets].into_iter().flatten() {
        names.push(url.host().to_owned());
        names.extend(url.host_and_port());
    }
    let mut known = BTreeSet::new();
    names.retain(|name| known.insert(name.clone()));
    names
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
        let (chain, key) = (fs::read_to_string(cert)?, fs::read_to_string(key)?);
        let missing: Vec<_> = names.iter().filter(|name| !is_named(&chain, name)).collect();
        if !missing.is_empty() {
            let text = "the self-signed certificate was made for other names than this server has now; if clients \
                        refuse it, remove it and its key, start again, and give the new one to them";
            tracing::warn!(certificate = %cert.display(), ?missing, "{text}");
        }
        return Ok((chain, key));
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

/// Whether a certificate of ours holds a name. They are short and stand there as they are, so looking for the bytes will
/// do where the answer is worth a warning and nothing else.
fn is_named(chain: &str, name: &str) -> bool {
    let bytes = match name.parse() {
        Ok(IpAddr::V4(ip)) => ip.octets().to_vec(),
        Ok(IpAddr::V6(ip)) => ip.octets().to_vec(),
        Err(_) => name.as_bytes().to_vec(),
    };
    // As it stands in the certificate: its length, then itself.
    let wanted = [&[u8::try_from(bytes.len()).unwrap_or(u8::MAX)][..], &bytes].concat();
    let certificate = CertificateDer::from_pem_slice(chain.as_bytes());
    certificate.is_ok_and(|der| der.windows(wanted.len()).any(|window| window == wanted))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};

    fn options(flags: &[&str]) -> ControlPlaneOptions {
        let args = ["longshore", "server"].into_iter().chain(flags.iter().copied());
        match Args::try_parse_from(args).expect("these are flags").command {
            Command::Server(options) => options.control_plane,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn names_are_hosts_and_hosts_with_their_ports() {
        let named = |listen: &str, flags: &[&str]| names(&options(flags), listen.parse().expect(listen));
        let own =
            ["localhost", "localhost:8722", "127.0.0.1", "127.0.0.1:8722", "192.0.2.2", "192.0.2.2:8722"];
        assert_eq!(named("192.0.2.2:8722", &[]), own);
        assert_eq!(named("192.0.2.2:443", &[]), ["localhost", "127.0.0.1", "192.0.2.2"]);
        let flags = ["--advertise", "https://a.example", "--advertise-sockets", "https://b.example:9000"];
        assert_eq!(
            named("[2001:db8::1]:443", &flags),
            ["localhost", "127.0.0.1", "2001:db8::1", "a.example", "b.example", "b.example:9000"]
        );
        assert!(named("[2001:db8::1]:1", &[]).contains(&"[2001:db8::1]:1".to_owned()));
    }

    #[test]
    fn a_certificate_holds_its_names() {
        let names =
            ["localhost", "localhost:8722", "192.0.2.2", "192.0.2.2:8722", "2001:db8::1", "[2001:db8::1]:1"];
        let (chain, _key) = self_signed(&names.map(str::to_owned), None).expect("these can be names");
        for name in names {
            assert!(is_named(&chain, name), "{name}");
        }
        for name in ["localhost:8723", "ocalhost", "192.0.2.3", "2001:db8::2", "example"] {
            assert!(!is_named(&chain, name), "{name}");
        }
    }
}

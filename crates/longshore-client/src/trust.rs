//! Which certificates of servers are trusted: the verification of TLS connections.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use longshore_base::Timestamp;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};

/// Why connections with TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read certificates from {path}")]
    Read { path: String, source: rustls::pki_types::pem::Error },
    #[error("there are no usable certificates in {path}")]
    Empty { path: String },
    #[error("cannot set TLS up")]
    Setup(#[source] rustls::Error),
    #[error("cannot verify certificates")]
    Verifier(#[source] rustls::client::VerifierBuilderError),
}

/// Trusts the authorities in PEM files, and the certificates in these files themselves.
///
/// webpki alone would refuse a server whose own certificate is in such a file. One with CA:TRUE, as `openssl req -x509`
/// makes them, may not be a server's; one that somebody else signed has an unknown issuer. But whoever names a file
/// with exactly that certificate means that server, and OpenSSL and Go accept it as well. Its names and dates are
/// verified all the same.
#[derive(Debug)]
pub struct Trust {
    authorities: Arc<WebPkiServerVerifier>,
    /// Every certificate of the files, trusted by itself.
    named: Vec<CertificateDer<'static>>,
}

impl Trust {
    /// Reads `files`, e.g. `SSL_CERT_FILE` or `/etc/ssl/certs/ca-certificates.crt`.
    ///
    /// # Errors
    /// A file cannot be read, or has no certificate that can be used: each has to have some.
    pub fn of(files: &[PathBuf]) -> Result<Arc<Self>, TlsError> {
        let mut roots = RootCertStore::empty();
        let mut named = Vec::new();
        for file in files {
            let certificates = certificates(file)?;
            let (added, _unusable) = roots.add_parsable_certificates(certificates.iter().cloned());
            if added == 0 {
                return Err(TlsError::Empty { path: file.display().to_string() });
            }
            named.extend(certificates);
        }
        Ok(Arc::new(Self::of_roots(roots, named)?))
    }

    fn of_roots(roots: RootCertStore, named: Vec<CertificateDer<'static>>) -> Result<Self, TlsError> {
        // The provider is named, so that another crate's feature cannot change it.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(TlsError::Verifier)?;
        Ok(Self { authorities, named })
    }

    /// Whether a client with this trust accepts a server with this certificate chain, the server's own certificate
    /// first. The server's name is not looked at.
    pub fn accepts(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> bool {
        let Some((own, intermediates)) = chain.split_first() else { return false };
        let name = ServerName::try_from("localhost").expect("the constant is a host name");
        let now = Duration::from_millis(u64::try_from(now.as_millis()).unwrap_or(0));
        // webpki verifies the name last: a certificate that is refused for its name was accepted otherwise.
        match self.verify_server_cert(own, intermediates, &name, &[], UnixTime::since_unix_epoch(now)) {
            Ok(_) => true,
            Err(rustls::Error::InvalidCertificate(why)) => matches!(
                why,
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
            ),
            Err(_) => false,
        }
    }
}

/// The SHA-256 of a certificate, in hexadecimal digits.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Trusts whoever shows a certificate with this fingerprint and is it, or is signed by it: for who was told the fingerprint
/// and has no file. Its names and dates are verified as everywhere.
#[derive(Debug)]
struct Pinned {
    fingerprint: String,
    /// Who is trusted too, if no certificate has the fingerprint.
    others: Option<Arc<Trust>>,
    /// Of the kinds of signatures that a handshake may have; it trusts nobody.
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let mut shown = std::iter::once(end_entity).chain(intermediates);
        let known =
            shown.find(|certificate| fingerprint(certificate).eq_ignore_ascii_case(&self.fingerprint));
        let unknown = || rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let Some(known) = known else {
            let others = self.others.as_ref().ok_or_else(unknown)?;
            return others.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        };
        let known = known.clone().into_owned();
        let mut roots = RootCertStore::empty();
        roots.add(known.clone())?;
        let trust = Trust::of_roots(roots, vec![known]).map_err(|_| unknown())?;
        trust.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Whether a certificate names itself as its issuer. Clients with OpenSSL trust only chains that end at one of these.
pub fn is_self_issued(certificate: &CertificateDer<'_>) -> bool {
    let read = webpki::EndEntityCert::try_from(certificate);
    read.is_ok_and(|certificate| certificate.issuer() == certificate.subject())
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|source| TlsError::Read { path: file.display().to_string(), source })
}

/// Whether webpki refuses a certificate for its issuer alone: an unknown one, or itself as an authority. webpki
/// verifies the dates before both.
fn is_about_the_issuer(error: &rustls::Error) -> bool {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => true,
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(cause))) => {
            cause.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity)
        }
        _ => false,
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified =
            self.authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            Err(error) if is_about_the_issuer(&error) && self.named.contains(end_entity) => {
                // webpki verifies the name last, so it has not been looked at yet.
                rustls::client::verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

/// A configuration of rustls that verifies servers against the certificates in PEM files; see [`Trust`].
///
/// # Errors
/// As [`Trust::of`].
pub fn tls_config(files: &[PathBuf]) -> Result<Arc<rustls::ClientConfig>, TlsError> {
    config(Trust::of(files)?)
}

/// A configuration of rustls that knows a server by a certificate's [`fingerprint`]: one of those that the server shows has
/// to have it, and the server's own has to be that one or signed by it. Where none has it, `files` say whom to trust, if
/// there are any: the server may have another certificate by now.
///
/// # Errors
/// TLS cannot be set up, or as [`Trust::of`].
pub fn tls_config_pinned(
    fingerprint: &str,
    files: &[PathBuf],
) -> Result<Arc<rustls::ClientConfig>, TlsError> {
    let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
    let others = if files.is_empty() { None } else { Some(Trust::of(files)?) };
    config(Arc::new(Pinned { fingerprint: fingerprint.to_owned(), others, algorithms }))
}

fn config(verifier: Arc<dyn ServerCertVerifier>) -> Result<Arc<rustls::ClientConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, Issuer, KeyPair};

    use super::*;

    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

    /// A file that is removed when this is dropped.
    struct File(PathBuf);

    impl File {
        fn with(name: &str, pem: &str) -> Self {
            let path = std::env::temp_dir().join(format!("longshore-trust-{}-{name}", std::process::id()));
            std::fs::write(&path, pem).expect("a file");
            Self(path)
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    /// The parameters of a certificate for `localhost` that is valid from 2020 through 2029.
    fn parameters(is_ca: IsCa) -> CertificateParams {
        let mut parameters = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2030, 1, 1);
        parameters.is_ca = is_ca;
        parameters
    }

    fn key() -> KeyPair {
        KeyPair::generate().expect("a key")
    }

    fn verify(trust: &Trust, certificate: &CertificateDer<'_>, name: &'static str, years: u32) -> bool {
        let name = ServerName::try_from(name).expect("a name");
        // Years since 1970.
        let now = UnixTime::since_unix_epoch(YEAR * years);
        trust.verify_server_cert(certificate, &[], &name, &[], now).is_ok()
    }

    #[test]
    fn the_certificate_that_was_named_is_trusted_in_its_time_and_for_its_names() {
        let authority = IsCa::Ca(BasicConstraints::Unconstrained);
        let of_another = {
            let mut another = parameters(authority);
            another.distinguished_name.push(DnType::CommonName, "another");
            let issuer = Issuer::new(another, key());
            parameters(IsCa::NoCa).signed_by(&key(), &issuer).expect("it is signed")
        };
        for (kind, certificate) in [
            // What `openssl req -x509` makes, what we make ourselves, and one of an authority that was not named.
            ("authority", parameters(authority).self_signed(&key()).expect("it is signed")),
            ("plain", parameters(IsCa::NoCa).self_signed(&key()).expect("it is signed")),
            ("of another", of_another),
        ] {
            let file = File::with(kind, &certificate.pem());
            let trust = Trust::of(std::slice::from_ref(&file.0)).expect("it has a certificate");
            let der = certificate.der();
            assert!(verify(&trust, der, "localhost", 55), "{kind}");
            assert!(!verify(&trust, der, "elsewhere", 55), "{kind}: another name");
            assert!(!verify(&trust, der, "localhost", 45), "{kind}: not yet valid");
            assert!(!verify(&trust, der, "localhost", 65), "{kind}: expired");
        }
    }

    #[test]
    fn another_certificate_of_the_same_make_is_not() {
        let authority = || parameters(IsCa::Ca(BasicConstraints::Unconstrained));
        let (named, other) = (
            authority().self_signed(&key()).expect("it is signed"),
            authority().self_signed(&key()).expect("it is signed"),
        );
        let file = File::with("named", &named.pem());
        let trust = Trust::of(std::slice::from_ref(&file.0)).expect("it has a certificate");
        assert!(!verify(&trust, other.der(), "localhost", 55));
    }

    #[test]
    fn what_an_authority_has_signed_is_trusted() {
        let mut parameters_of_authority = parameters(IsCa::Ca(BasicConstraints::Unconstrained));
        parameters_of_authority.distinguished_name.push(DnType::CommonName, "ours");
        let authority = CertifiedIssuer::self_signed(parameters_of_authority, key()).expect("it is signed");
        let signed = parameters(IsCa::NoCa).signed_by(&key(), &authority).expect("it is signed");
        let file = File::with("authority of others", &authority.pem());
        let trust = Trust::of(std::slice::from_ref(&file.0)).expect("it has a certificate");
        assert!(verify(&trust, signed.der(), "localhost", 55));
        assert!(!verify(&trust, signed.der(), "elsewhere", 55));
        assert!(!verify(&trust, signed.der(), "localhost", 65));
    }

    /// With what is shown, for `localhost`, in years since 1970.
    fn is_pinned(pin: &str, shown: &[CertificateDer<'_>], name: &'static str, years: u32) -> bool {
        let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        let pinned = Pinned { fingerprint: pin.to_owned(), others: None, algorithms };
        let name = ServerName::try_from(name).expect("a name");
        let (own, others) = shown.split_first().expect("one at least");
        let now = UnixTime::since_unix_epoch(YEAR * years);
        pinned.verify_server_cert(own, others, &name, &[], now).is_ok()
    }

    #[test]
    fn where_no_certificate_has_the_fingerprint_files_decide() {
        let renewed = parameters(IsCa::NoCa).self_signed(&key()).expect("it is signed");
        let foreign = parameters(IsCa::NoCa).self_signed(&key()).expect("it is signed");
        let file = File::with("renewed", &renewed.pem());
        let others = Some(Trust::of(std::slice::from_ref(&file.0)).expect("it has a certificate"));
        let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        let pinned = Pinned { fingerprint: "of the old one".to_owned(), others, algorithms };
        let now = UnixTime::since_unix_epoch(YEAR * 55);
        let name = ServerName::try_from("localhost").expect("a name");
        assert!(pinned.verify_server_cert(renewed.der(), &[], &name, &[], now).is_ok());
        assert!(pinned.verify_server_cert(foreign.der(), &[], &name, &[], now).is_err());
    }

    #[test]
    fn a_fingerprint_stands_for_its_certificate_and_for_those_that_it_has_signed() {
        let mut parameters_of_authority = parameters(IsCa::Ca(BasicConstraints::Unconstrained));
        parameters_of_authority.distinguished_name.push(DnType::CommonName, "ours");
        let authority = CertifiedIssuer::self_signed(parameters_of_authority, key()).expect("it is signed");
        let signed = parameters(IsCa::NoCa).signed_by(&key(), &authority).expect("it is signed");
        let alone = parameters(IsCa::NoCa).self_signed(&key()).expect("it is signed");
        let root: CertificateDer<'_> = authority.der().clone();
        let (signed, alone) = (signed.der().clone(), alone.der().clone());
        let of = |certificate: &CertificateDer<'_>| fingerprint(certificate);
        for (pin, shown, expected) in [
            (of(&alone), vec![alone.clone()], true),
            (of(&alone).to_uppercase(), vec![alone.clone()], true),
            (of(&root), vec![signed.clone(), root.clone()], true),
            (of(&signed), vec![signed.clone()], true),
            // Somebody between shows the certificate that is wanted behind one of its own.
            (of(&root), vec![alone.clone(), root.clone()], false),
            (of(&alone), vec![signed.clone(), alone.clone()], false),
            (of(&root), vec![signed.clone()], false),
            (of(&alone), vec![signed.clone(), root.clone()], false),
            (String::new(), vec![alone.clone()], false),
        ] {
            assert_eq!(is_pinned(&pin, &shown, "localhost", 55), expected, "{pin}");
            assert!(!is_pinned(&pin, &shown, "elsewhere", 55), "another name");
            assert!(!is_pinned(&pin, &shown, "localhost", 65), "expired");
        }
    }

    #[test]
    fn a_file_without_certificates_is_an_error() {
        let file = File::with("nothing", "nothing\n");
        assert!(matches!(Trust::of(std::slice::from_ref(&file.0)), Err(TlsError::Empty { .. })));
        assert!(matches!(Trust::of(&["/nonexistent".into()]), Err(TlsError::Read { .. })));
    }
}

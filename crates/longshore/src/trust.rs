//! What clients have to be given to trust this server's certificate, and which certificates our own verbs trust.

use std::path::{Path, PathBuf};

use longshore_base::{Clock, Timestamp};
use longshore_client::{Trust, is_self_issued};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::agent;
use crate::args::ControlPlaneOptions;
use crate::clock::SystemClock;
use crate::out::shown;
use crate::tls::{self, CERTIFICATE};

/// The variable of every AWS client; ours say it with `--ca`.
pub const BUNDLE: &str = "AWS_CA_BUNDLE";

/// What a client of this server needs to trust its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Needed {
    /// It speaks plain HTTP.
    Nothing,
    /// The certificates in this file.
    File(PathBuf),
    /// Those of an authority that nobody here knows, which has signed the certificate in this file.
    AuthorityOf(PathBuf),
}

impl Needed {
    /// Of a server with these options and this data directory.
    pub fn of(options: &ControlPlaneOptions, data_dir: Option<&Path>) -> Self {
        match (&options.tls_cert, tls::own_certificate(options, data_dir)) {
            (None, None) => Self::Nothing,
            (None, Some(own)) => Self::File(own),
            (Some(given), _) => {
                let named = std::env::var_os(BUNDLE).map(PathBuf::from);
                let candidates = named.into_iter().chain([agent::authorities()]);
                Self::of_given(given, candidates, SystemClock.now())
            }
        }
    }

    /// Of a server with the certificate in `given`. AWS's clients bring authorities of their own and do not ask the
    /// system's, so even a file that every program here trusts has to be named.
    fn of_given(given: &Path, candidates: impl Iterator<Item = PathBuf>, now: Timestamp) -> Self {
        let chain = CertificateDer::pem_file_iter(given).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let chain = chain.unwrap_or_default();
        let accepts = |file: &PathBuf| {
            Trust::of(std::slice::from_ref(file)).is_ok_and(|trust| trust.accepts(&chain, now))
        };
        let own = Some(given.to_path_buf()).filter(|_| chain.iter().any(is_self_issued));
        // The file is read from wherever a shell happens to be.
        let absolute = |file: PathBuf| std::path::absolute(&file).unwrap_or(file);
        match candidates.chain(own).find(accepts) {
            Some(file) => Self::File(absolute(file)),
            None => Self::AuthorityOf(absolute(given.to_path_buf())),
        }
    }

    /// The file for [`BUNDLE`], if it is known.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(file) => Some(file),
            Self::Nothing | Self::AuthorityOf(_) => None,
        }
    }

    /// What a person has to be told, where there is an `env` file or not.
    pub fn note(&self, has_env: bool) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::File(_) if has_env => None,
            Self::File(file) => {
                Some(format!("note: clients trust this server with {BUNDLE}={}", shown(file)))
            }
            Self::AuthorityOf(given) => Some(format!(
                "note: nobody here knows the authority that has signed {}. Clients need its certificate in a PEM file: \
                 {BUNDLE}=FILE for the AWS CLI, SDKs and the verbs, SSL_CERT_FILE=FILE for agents. Start this server with \
                 {BUNDLE}=FILE as well, and its env file names it",
                shown(given)
            )),
        }
    }
}

/// What a verb with a data directory trusts: the certificate that the server there made for itself, what its
/// `env` file names, and what the verb was told, or else the system's authorities.
pub fn of_verb(told: Option<&Path>, dir: &Path, in_env: Option<&str>) -> Vec<PathBuf> {
    let of_server = [Some(dir.join(CERTIFICATE)), in_env.map(PathBuf::from)];
    let mut files: Vec<PathBuf> = of_server.into_iter().flatten().filter(|file| file.exists()).collect();
    match told {
        Some(file) => files.push(file.to_path_buf()),
        // The name of what is missing is worth more than silence.
        None => files.extend(Some(agent::authorities()).filter(|file| file.exists() || files.is_empty())),
    }
    files
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

    use super::*;

    fn parameters(name: &str, is_ca: IsCa) -> CertificateParams {
        let mut parameters = CertificateParams::new([format!("{name}.example")]).expect("a name");
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = is_ca;
        parameters
    }

    fn key() -> KeyPair {
        KeyPair::generate().expect("a key")
    }

    #[test]
    fn clients_are_told_the_file_that_makes_them_trust() {
        let dir = std::env::temp_dir().join(format!("longshore-trust-of-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        let file = |name: &str, pem: &str| {
            std::fs::write(dir.join(name), pem).expect("a file");
            dir.join(name)
        };
        let authority_of = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(parameters("authority", authority_of), key()).expect("it is signed");
        let signed = parameters("server", IsCa::NoCa).signed_by(&key(), &authority).expect("it is signed");
        let alone = parameters("alone", authority_of).self_signed(&key()).expect("it is signed");
        let (authority_file, alone_file) = (file("authority", &authority.pem()), file("alone", &alone.pem()));
        let signed_file = file("signed", &signed.pem());
        let chain_file = file("chain", &(signed.pem() + &authority.pem()));
        for (given, candidates, expected) in [
            // Whatever else is there, it has to accept this certificate.
            (&alone_file, vec![&authority_file], Needed::File(alone_file.clone())),
            (&signed_file, vec![&alone_file, &authority_file], Needed::File(authority_file.clone())),
            (&chain_file, vec![&alone_file], Needed::File(chain_file.clone())),
            // OpenSSL does not take the certificate itself for its authority.
            (&signed_file, vec![&alone_file], Needed::AuthorityOf(signed_file.clone())),
        ] {
            let found = Needed::of_given(given, candidates.into_iter().cloned(), SystemClock.now());
            assert_eq!(found, expected, "{}", given.display());
        }
        std::fs::remove_dir_all(&dir).expect("removed");
    }

    #[test]
    fn what_no_file_says_a_person_is_told() {
        let file = Needed::File("/a/b.pem".into());
        assert_eq!(file.note(true), None);
        assert!(file.note(false).is_some_and(|note| note.contains("AWS_CA_BUNDLE=/a/b.pem")));
        assert_eq!(Needed::Nothing.note(false), None);
        let note = Needed::AuthorityOf("/a/b.pem".into()).note(true).expect("a note");
        assert!(note.contains("SSL_CERT_FILE=FILE") && note.contains("/a/b.pem"), "{note}");
    }
}

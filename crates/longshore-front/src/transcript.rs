//! Hashes of what a TLS client said, not of what rustls was given to read.
//!
//! For connections whose client names the server by what is no host name: [`hello`](crate::hello) hides that name from
//! rustls by giving its extension another number. The client has hashed its own words, so the hash functions of the
//! cipher suites here put the number back where a ClientHello passes them.
//!
//! That leaves no two messages with one hash: a message that uses the other number by itself is never touched, and its
//! connection has the ordinary hash functions.

use std::sync::{Arc, LazyLock};

use rustls::crypto::hash::{Context, Hash, HashAlgorithm, Output};
use rustls::crypto::{CipherSuiteCommon, CryptoProvider, ring};
use rustls::{SupportedCipherSuite, Tls12CipherSuite, Tls13CipherSuite};

use crate::hello;

/// The ordinary provider, with such hash functions. Made once, as cipher suites live as long as the process.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        let ordinary = ring::default_provider();
        let cipher_suites = ordinary.cipher_suites.iter().map(|&suite| truthful(suite)).collect();
        Arc::new(CryptoProvider { cipher_suites, ..ordinary })
    });
    PROVIDER.clone()
}

fn truthful(suite: SupportedCipherSuite) -> SupportedCipherSuite {
    let common = |ordinary: &CipherSuiteCommon| CipherSuiteCommon {
        suite: ordinary.suite,
        hash_provider: Box::leak(Box::new(TruthfulHash(ordinary.hash_provider))),
        confidentiality_limit: ordinary.confidentiality_limit,
    };
    match suite {
        SupportedCipherSuite::Tls12(suite) => {
            SupportedCipherSuite::Tls12(Box::leak(Box::new(Tls12CipherSuite {
                common: common(&suite.common),
                prf_provider: suite.prf_provider,
                kx: suite.kx,
                sign: suite.sign,
                aead_alg: suite.aead_alg,
            })))
        }
        SupportedCipherSuite::Tls13(suite) => {
            SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite {
                common: common(&suite.common),
                hkdf_provider: suite.hkdf_provider,
                aead_alg: suite.aead_alg,
                quic: suite.quic,
            })))
        }
    }
}

struct TruthfulHash(&'static dyn Hash);

impl Hash for TruthfulHash {
    fn start(&self) -> Box<dyn Context> {
        Box::new(TruthfulContext(self.0.start()))
    }

    fn hash(&self, data: &[u8]) -> Output {
        let mut context = self.start();
        context.update(data);
        context.finish()
    }

    fn output_len(&self) -> usize {
        self.0.output_len()
    }

    fn algorithm(&self) -> HashAlgorithm {
        self.0.algorithm()
    }
}

struct TruthfulContext(Box<dyn Context>);

impl Context for TruthfulContext {
    fn fork_finish(&self) -> Output {
        self.0.fork_finish()
    }

    fn fork(&self) -> Box<dyn Context> {
        Box::new(TruthfulContext(self.0.fork()))
    }

    fn finish(self: Box<Self>) -> Output {
        self.0.finish()
    }

    /// rustls adds whole messages.
    fn update(&mut self, data: &[u8]) {
        match hello::hidden_name(data) {
            Some(at) => {
                self.0.update(&data[..at]);
                self.0.update(&hello::SERVER_NAME);
                self.0.update(&data[at + hello::SERVER_NAME.len()..]);
            }
            None => self.0.update(data),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hello::tests::{hello, names};

    #[test]
    fn the_hash_is_that_of_what_was_said() {
        let said = hello(&[(hello::SERVER_NAME, &names(&["localhost:8743"])), ([0, 43], b"x")]);
        let mut heard = said.clone();
        assert!(hello::hide_improper_name(&mut heard));
        let hash = |suite: SupportedCipherSuite| match suite {
            SupportedCipherSuite::Tls12(suite) => suite.common.hash_provider,
            SupportedCipherSuite::Tls13(suite) => suite.common.hash_provider,
        };
        let (ordinary, truthful) = (ring::default_provider(), provider());
        assert_eq!(ordinary.cipher_suites.len(), truthful.cipher_suites.len());
        for (&ordinary, &truthful) in ordinary.cipher_suites.iter().zip(&truthful.cipher_suites) {
            let (ordinary, truthful) = (hash(ordinary), hash(truthful));
            let mut transcript = truthful.start();
            transcript.update(&heard);
            transcript.update(b"more");
            let mut other = transcript.fork();
            other.update(&heard);
            let wanted = [&said[..], b"more", &said].concat();
            assert_eq!(transcript.finish().as_ref(), ordinary.hash(&wanted[..said.len() + 4]).as_ref());
            assert_eq!(other.fork_finish().as_ref(), ordinary.hash(&wanted).as_ref());
            assert_eq!(truthful.hash(&heard).as_ref(), ordinary.hash(&said).as_ref());
            assert_eq!(truthful.hash(b"").as_ref(), ordinary.hash(b"").as_ref());
        }
    }
}

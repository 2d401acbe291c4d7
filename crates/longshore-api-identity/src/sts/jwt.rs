//! Tokens of OpenID Connect providers: JSON Web Tokens (RFC 7519) with the signatures of RFC 7518, and the keys that they
//! are verified with (RFC 7517).
//!
//! What a token says is a claim until [`Jwt::verify`] has said that one of the issuer's keys has signed it. Algorithms that
//! need no key or a shared one (`none`, `HS256`) are not known here.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Keys of one issuer that are kept.
const KEYS_MAX: usize = 64;

/// A token that was read and not verified.
#[derive(Debug)]
pub struct Jwt {
    /// What the signature is of: both parts as they came.
    signed: String,
    algorithm: String,
    pub key_id: Option<String>,
    pub claims: Map<String, Value>,
    signature: Vec<u8>,
}

/// What the issuer's keys say of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Valid,
    /// None of the keys is the one that is named.
    UnknownKey,
    Invalid,
}

/// The keys of an issuer.
#[derive(Debug, Default)]
pub struct Jwks(Vec<Jwk>);

#[derive(Debug, Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
}

impl Jwt {
    /// `None` if the text is no signed token.
    pub fn read(text: &str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let Header { alg, kid } = serde_json::from_slice(&decode(header)?).ok()?;
        Some(Self {
            signed: signed.to_owned(),
            algorithm: alg,
            key_id: kid,
            claims: serde_json::from_slice(&decode(claims)?).ok()?,
            signature: decode(signature)?,
        })
    }

    /// A claim that is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str()
    }

    /// A claim that is a time, in seconds since 1970.
    pub fn seconds(&self, name: &str) -> Option<i64> {
        let number = self.claims.get(name)?;
        number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds as i64))
    }

    /// The texts of a claim that is one or a list of them.
    pub fn texts(&self, name: &str) -> Vec<String> {
        match self.claims.get(name) {
            Some(Value::Array(list)) => {
                list.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect()
            }
            Some(Value::String(text)) => vec![text.clone()],
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => Vec::new(),
        }
    }

    pub fn verify(&self, keys: &Jwks) -> Verdict {
        let mut candidates = keys.0.iter().filter(|key| match &self.key_id {
            Some(wanted) => key.kid.as_ref() == Some(wanted),
            None => true,
        });
        let Some(first) = candidates.next() else { return Verdict::UnknownKey };
        let has_signed = |key: &Jwk| key.verify(&self.algorithm, self.signed.as_bytes(), &self.signature);
        match std::iter::once(first).chain(candidates).any(|key| has_signed(key).is_some()) {
            true => Verdict::Valid,
            false => Verdict::Invalid,
        }
    }
}

impl Jwks {
    /// Reads a set of keys. Those of kinds that are not known here are left out.
    pub fn read(text: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_str(text).ok()?;
        let keys = set.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        let to_sign = |key: &Jwk| key.usage.as_deref().is_none_or(|usage| usage == "sig");
        Some(Self(keys.filter(to_sign).take(KEYS_MAX).collect()))
    }

    pub fn has(&self, key_id: Option<&str>) -> bool {
        key_id.is_none_or(|wanted| self.0.iter().any(|key| key.kid.as_deref() == Some(wanted)))
    }
}

impl Jwk {
    /// `Some` if this key has made the signature, by this algorithm.
    fn verify(&self, algorithm: &str, signed: &[u8], signature: &[u8]) -> Option<()> {
        let decode =
            |part: &Option<String>| URL_SAFE_NO_PAD.decode(part.as_deref()?.trim_end_matches('=')).ok();
        let rsa = match (self.kty.as_str(), algorithm) {
            ("RSA", "RS256") => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
            ("RSA", "RS384") => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
            ("RSA", "RS512") => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
            _ => None,
        };
        if let Some(algorithm) = rsa {
            let key = RsaPublicKeyComponents { n: decode(&self.n)?, e: decode(&self.e)? };
            return key.verify(algorithm, signed, signature).ok();
        }
        let (algorithm, length): (&dyn signature::VerificationAlgorithm, usize) =
            match (self.kty.as_str(), self.crv.as_deref(), algorithm) {
                ("EC", Some("P-256"), "ES256") => (&signature::ECDSA_P256_SHA256_FIXED, 32),
                ("EC", Some("P-384"), "ES384") => (&signature::ECDSA_P384_SHA384_FIXED, 48),
                _ => return None,
            };
        let mut point = vec![4];
        for coordinate in [decode(&self.x)?, decode(&self.y)?] {
            if coordinate.len() != length {
                return None;
            }
            point.extend(coordinate);
        }
        UnparsedPublicKey::new(algorithm, point).verify(signed, signature).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7515, appendix A.3: a token signed with ES256, and its key.
    const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    const KEY: &str = r#"{"keys": [{"kty": "oct", "k": "x"}, {"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

    #[test]
    fn the_published_example_is_valid_and_nothing_near_it() {
        let keys = Jwks::read(KEY).expect("a set");
        let token = Jwt::read(TOKEN).expect("a token");
        assert_eq!((token.text("iss"), token.seconds("exp")), (Some("joe"), Some(1_300_819_380)));
        assert_eq!(token.verify(&keys), Verdict::Valid);
        assert_eq!(token.verify(&Jwks::default()), Verdict::UnknownKey);
        // Another claim, another algorithm, no signature.
        let (head, rest) = TOKEN.split_once('.').expect("three parts");
        let (claims, signature) = rest.split_once('.').expect("three parts");
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        let other = URL_SAFE_NO_PAD.encode(r#"{"iss":"eve"}"#);
        for changed in [
            format!("{head}.{other}.{signature}"),
            format!("{none}.{claims}."),
            format!("{none}.{claims}.{signature}"),
            format!("{head}.{claims}."),
        ] {
            let token = Jwt::read(&changed).expect("it has the form");
            assert_eq!(token.verify(&keys), Verdict::Invalid, "{changed}");
        }
        for bad in ["", ".", "..", "a.b.c", TOKEN.split('.').next().expect("a part")] {
            assert!(Jwt::read(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_key_that_is_named_is_the_one_that_counts() {
        let named = KEY.replace(r#""kty": "EC""#, r#""kid": "one", "kty": "EC""#);
        let keys = Jwks::read(&named).expect("a set");
        assert!(keys.has(Some("one")) && !keys.has(Some("two")) && keys.has(None));
        let mut token = Jwt::read(TOKEN).expect("a token");
        for (key_id, verdict) in
            [(Some("one"), Verdict::Valid), (Some("two"), Verdict::UnknownKey), (None, Verdict::Valid)]
        {
            token.key_id = key_id.map(str::to_owned);
            assert_eq!(token.verify(&keys), verdict, "{key_id:?}");
        }
    }
}

//! Web identities: tokens of an issuer that an account trusts (identity J3; acceptance 8).

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use longshore_api::{BoxFuture, PrincipalKind};
use longshore_api_identity::KeySource;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

use super::world::{ACCOUNT, NOW, OTHER, Who, World, one};

const ISSUER: &str = "https://token.actions.githubusercontent.com";
const BRANCH: &str = "repo:acme/shop:ref:refs/heads/main";

/// An issuer: it signs tokens, and publishes its key.
struct Issuer {
    pair: EcdsaKeyPair,
    chance: SystemRandom,
}

impl Issuer {
    fn new() -> Self {
        let chance = SystemRandom::new();
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &chance).expect("a key");
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &chance);
        Self { pair: pair.expect("its own"), chance }
    }

    fn keys(&self) -> String {
        let point = self.pair.public_key().as_ref();
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let key = json!({"kty": "EC", "crv": "P-256", "kid": "k1", "x": part(&point[1..33]), "y": part(&point[33..])});
        json!({"keys": [key]}).to_string()
    }

    fn sign(&self, key_id: &str, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&json!({"alg": "ES256", "kid": key_id})), part(claims));
        let signature = self.pair.sign(&self.chance, signed.as_bytes()).expect("it signs");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}

/// What the issuer publishes, as far as it can be reached.
pub struct Published(pub Option<String>);

impl KeySource for Published {
    fn fetch<'a>(&'a self, issuer: &'a str) -> BoxFuture<'a, Result<String, String>> {
        assert_eq!(issuer, ISSUER, "nobody else is asked");
        let keys = self.0.clone().ok_or_else(|| "no route".to_owned());
        Box::pin(async move { keys })
    }
}

fn claims() -> Value {
    let now = NOW.as_millis() / 1000;
    json!({"iss": ISSUER, "aud": "sts.amazonaws.com", "sub": BRANCH, "exp": now + 300, "nbf": now, "iat": now})
}

fn changed(name: &str, value: Value) -> Value {
    let mut all = claims();
    all[name] = value;
    all
}

/// With the provider and the role `deploy`, which trusts the branch.
fn world(keys: Option<String>) -> World {
    let world = World::with_keys(Arc::new(Published(keys)));
    world.iam(
        ACCOUNT,
        "CreateOpenIDConnectProvider",
        &[("Url", ISSUER), ("ClientIDList.member.1", "sts.amazonaws.com")],
    );
    let host = ISSUER.trim_start_matches("https://");
    let trust = json!({"Version": "2012-10-17", "Statement": {
        "Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": {"Federated": format!("arn:aws:iam::{ACCOUNT}:oidc-provider/{host}")},
        "Condition": {
            "StringEquals": {format!("{host}:aud"): "sts.amazonaws.com"},
            "StringLike": {format!("{host}:sub"): "repo:acme/shop:ref:refs/heads/*"},
        },
    }});
    world.role(ACCOUNT, "deploy", &trust.to_string());
    world
}

fn nobody() -> Who {
    Who { name: String::new(), ..Who::new(PrincipalKind::Anonymous, "000000000000", "anonymous") }
}

fn show(world: &World, account: &str, token: &str) -> (u16, String) {
    let role = format!("arn:aws:iam::{account}:role/deploy");
    let members = [("RoleArn", role.as_str()), ("RoleSessionName", "ci"), ("WebIdentityToken", token)];
    world.sts(&nobody(), "AssumeRoleWithWebIdentity", &members)
}

#[test]
fn a_token_of_a_trusted_branch_gives_a_session() {
    let issuer = Issuer::new();
    let world = world(Some(issuer.keys()));
    let (status, body) = show(&world, ACCOUNT, &issuer.sign("k1", &claims()));
    assert_eq!(status, 200, "{body}");
    assert_eq!(one(&body, "Arn"), format!("arn:aws:sts::{ACCOUNT}:assumed-role/deploy/ci"));
    assert_eq!(one(&body, "SubjectFromWebIdentityToken"), BRANCH);
    assert_eq!(one(&body, "Audience"), "sts.amazonaws.com");
    assert!(one(&body, "AccessKeyId").starts_with("ASIA"));
    // A list of audiences is as good.
    let listed = issuer.sign("k1", &changed("aud", json!(["other", "sts.amazonaws.com"])));
    assert_eq!(show(&world, ACCOUNT, &listed).0, 200);
}

#[test]
fn every_other_token_is_refused_for_its_reason() {
    let (issuer, eve) = (Issuer::new(), Issuer::new());
    let world = world(Some(issuer.keys()));
    let now = NOW.as_millis() / 1000;
    let other = "https://issuer.example";
    for (token, account, code, part) in [
        (
            issuer.sign("k1", &changed("sub", json!("repo:acme/shop:pull_request"))),
            ACCOUNT,
            "AccessDenied",
            "Not authorized to perform sts:AssumeRoleWithWebIdentity",
        ),
        (
            issuer.sign("k1", &changed("sub", json!("repo:ACME/shop:ref:refs/heads/main"))),
            ACCOUNT,
            "AccessDenied",
            "Not authorized",
        ),
        (
            issuer.sign("k1", &changed("aud", json!("other"))),
            ACCOUNT,
            "InvalidIdentityToken",
            "Incorrect token audience",
        ),
        (
            issuer.sign("k1", &changed("iss", json!(other))),
            ACCOUNT,
            "InvalidIdentityToken",
            "No OpenIDConnect provider found in your account for https://issuer.example",
        ),
        (issuer.sign("k1", &claims()), OTHER, "InvalidIdentityToken", "No OpenIDConnect provider"),
        (
            issuer.sign("k1", &changed("exp", json!(now))),
            ACCOUNT,
            "ExpiredTokenException",
            "Token expired: current date/time",
        ),
        (
            issuer.sign("k1", &changed("nbf", json!(now + 3600))),
            ACCOUNT,
            "InvalidIdentityToken",
            "not valid yet",
        ),
        (eve.sign("k1", &claims()), ACCOUNT, "InvalidIdentityToken", "signature"),
        (issuer.sign("k2", &claims()), ACCOUNT, "InvalidIdentityToken", "Couldn't retrieve verification key"),
        ("no.token.x".to_owned(), ACCOUNT, "InvalidIdentityToken", "not a valid JWT"),
    ] {
        let (status, body) = show(&world, account, &token);
        assert_ne!(status, 200, "{part}");
        assert_eq!(one(&body, "Code"), code, "{body}");
        assert!(one(&body, "Message").contains(part), "{body}");
        assert!(!body.contains(&token), "an error shows no token");
    }
}

#[test]
fn an_issuer_that_cannot_be_reached_is_told_apart() {
    let issuer = Issuer::new();
    let world = world(None);
    let (_, body) = show(&world, ACCOUNT, &issuer.sign("k1", &claims()));
    assert_eq!(one(&body, "Code"), "IDPCommunicationError", "{body}");
}

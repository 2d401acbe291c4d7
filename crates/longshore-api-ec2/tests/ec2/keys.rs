//! Key pairs.

use crate::support::{World, all, one};

/// Made with `ssh-keygen -t rsa -b 2048`, and what `openssl rsa -pubin -outform DER | openssl md5 -c` says of it.
const RSA: &str = include_str!("rsa.pub");
const RSA_FINGERPRINT: &str = include_str!("rsa.fingerprint");
/// Made with `ssh-keygen -t ed25519`, and what `ssh-keygen -l` says of it.
const ED25519: &str = include_str!("ed25519.pub");
const ED25519_FINGERPRINT: &str = include_str!("ed25519.fingerprint");

fn encoded(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[test]
fn keys_are_imported_with_the_fingerprints_that_others_compute() {
    let world = World::new();
    for (name, text, fingerprint, kind) in
        [("a", RSA, RSA_FINGERPRINT, "rsa"), ("b", ED25519, ED25519_FINGERPRINT, "ed25519")]
    {
        let body = world.ok("ImportKeyPair", &[("KeyName", name), ("PublicKeyMaterial", &encoded(text))]);
        assert_eq!(one(&body, "keyFingerprint").trim_end_matches('='), fingerprint.trim(), "{name}");
        assert!(one(&body, "keyPairId").starts_with("key-0"), "{body}");
        let body = world.ok("DescribeKeyPairs", &[("KeyName.1", name), ("IncludePublicKey", "true")]);
        assert_eq!((one(&body, "keyType"), one(&body, "publicKey")), (kind.into(), text.trim().into()));
        assert!(!world.ok("DescribeKeyPairs", &[("KeyName.1", name)]).contains("publicKey"));
    }
    assert_eq!(
        world.refused("ImportKeyPair", &[("KeyName", "a"), ("PublicKeyMaterial", &encoded(RSA))]),
        "InvalidKeyPair.Duplicate: The keypair already exists: a"
    );
    for bad in ["", "ssh-rsa", "ssh-rsa AAAA", "-----BEGIN PUBLIC KEY-----"] {
        assert_eq!(
            world.refused("ImportKeyPair", &[("KeyName", "c"), ("PublicKeyMaterial", &encoded(bad))]),
            "InvalidKey.Format: Key is not in valid OpenSSH public key format"
        );
    }
}

#[test]
fn a_private_key_is_told_once() {
    let world = World::new();
    let body = world.ok("CreateKeyPair", &[("KeyName", "ada"), ("KeyType", "ed25519")]);
    let material = one(&body, "keyMaterial");
    assert!(material.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n"), "{material}");
    assert!(material.ends_with("\n-----END OPENSSH PRIVATE KEY-----\n"), "{material}");
    let secret: String = material.lines().filter(|line| !line.starts_with('-')).collect();
    let shown = world.ok("DescribeKeyPairs", &[("IncludePublicKey", "true")]);
    let public = one(&shown, "publicKey");
    assert!(public.starts_with("ssh-ed25519 AAAA") && public.ends_with(" ada"), "{public}");
    assert!(!shown.contains(&secret[100..160]), "it is nowhere else");
    let stored = format!("{:?}", world.records());
    assert!(!stored.contains(&secret[100..160]));
    let other = world.get("CreateKeyPair", &[("KeyName", "eve"), ("KeyType", "ed25519")], "keyMaterial");
    assert_ne!(other, material);
}

/// The private key is one for OpenSSH, if it is on this machine.
#[test]
fn openssh_reads_the_private_key() {
    let world = World::new();
    let body = world.ok("CreateKeyPair", &[("KeyName", "ada"), ("KeyType", "ed25519")]);
    let directory = std::env::temp_dir().join(format!("longshore-ec2-keys-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let file = directory.join("key");
    std::fs::write(&file, one(&body, "keyMaterial")).expect("a file");
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
    let done = std::process::Command::new("ssh-keygen").arg("-y").arg("-f").arg(&file).output();
    std::fs::remove_dir_all(&directory).expect("it is ours");
    let Ok(done) = done else {
        eprintln!("skipped: there is no ssh-keygen");
        return;
    };
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let public = String::from_utf8(done.stdout).expect("text");
    let shown = world.get("DescribeKeyPairs", &[("IncludePublicKey", "true")], "publicKey");
    assert_eq!(public.split_whitespace().nth(1), shown.split_whitespace().nth(1));
}

#[test]
fn what_is_not_made_is_said() {
    let world = World::new();
    for members in [
        &[("KeyName", "a")][..],
        &[("KeyName", "a"), ("KeyType", "rsa")],
        &[("KeyName", "a"), ("KeyType", "ed25519"), ("KeyFormat", "ppk")],
    ] {
        let refused = world.refused("CreateKeyPair", members);
        assert!(refused.starts_with("UnsupportedOperation: Longshore does not support "), "{refused}");
    }
    assert!(world.refused("CreateKeyPair", &[("KeyName", " a"), ("KeyType", "ed25519")]).contains("keyName"));
}

#[test]
fn keys_go_by_name_or_id() {
    let world = World::new();
    let make =
        |name: &str| world.get("CreateKeyPair", &[("KeyName", name), ("KeyType", "ed25519")], "keyPairId");
    let (first, second) = (make("a"), make("b"));
    assert_eq!(world.get("DeleteKeyPair", &[("KeyName", "a")], "keyPairId"), first);
    assert_eq!(world.get("DeleteKeyPair", &[("KeyPairId", &second)], "keyPairId"), second);
    assert_eq!(world.get("DeleteKeyPair", &[("KeyName", "a")], "return"), "true", "what is gone is gone");
    assert!(
        world.refused("DeleteKeyPair", &[("KeyPairId", &second)]).starts_with("InvalidKeyPair.NotFound: ")
    );
    assert!(world.refused("DeleteKeyPair", &[]).starts_with("MissingParameter: "));
    assert_eq!(
        world.refused("DescribeKeyPairs", &[("KeyName.1", "a")]),
        "InvalidKeyPair.NotFound: The key pair 'a' does not exist"
    );
    assert_eq!(all(&world.ok("DescribeKeyPairs", &[]), "keyName"), Vec::<String>::new());
}

//! Encrypting and decrypting (identity J11).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::keys::make;
use crate::support::{World, text};

fn encoded(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

#[test]
fn what_is_encrypted_says_its_key_and_keeps_its_context() {
    let world = World::new();
    let id = make(&world);
    let context = json!({"a": "1", "b": "2"});
    let body = json!({"KeyId": id, "Plaintext": encoded(b"hello"), "EncryptionContext": context});
    let made = world.ok("kms:Encrypt", body.clone());
    assert_ne!(world.ok("kms:Encrypt", body), made, "never the same twice");
    let blob = text(&made, "CiphertextBlob");
    let read = world.ok("kms:Decrypt", json!({"CiphertextBlob": blob, "EncryptionContext": context}));
    assert_eq!(text(&read, "Plaintext"), encoded(b"hello"));
    assert_eq!(text(&read, "KeyId"), text(&made, "KeyId"));
    for other in [json!({}), json!({"a": "1"}), json!({"a": "1", "b": "3"}), json!({"A": "1", "b": "2"})] {
        let told = world.refused("kms:Decrypt", json!({"CiphertextBlob": blob, "EncryptionContext": other}));
        assert_eq!(told, "InvalidCiphertextException: ");
    }
    let mut changed = STANDARD.decode(blob).expect("base64");
    *changed.last_mut().expect("it is long") ^= 1;
    for bad in [changed, b"nonsense".to_vec()] {
        let body = json!({"CiphertextBlob": encoded(&bad), "EncryptionContext": context});
        assert_eq!(world.refused("kms:Decrypt", body), "InvalidCiphertextException: ");
    }
    let mut foreign = STANDARD.decode(blob).expect("base64");
    foreign[3] ^= 1;
    let told = world.refused("kms:Decrypt", json!({"CiphertextBlob": encoded(&foreign)}));
    assert!(
        told.starts_with("AccessDeniedException: The ciphertext refers to a customer master key"),
        "{told}"
    );
    let other = make(&world);
    let told = world.refused(
        "kms:Decrypt",
        json!({"CiphertextBlob": blob, "KeyId": other, "EncryptionContext": context}),
    );
    assert!(told.starts_with("IncorrectKeyException: "), "{told}");
}

#[test]
fn data_keys_come_with_their_ciphertext() {
    let world = World::new();
    let id = make(&world);
    for (size, len) in [
        (json!({"KeySpec": "AES_256"}), 32),
        (json!({"KeySpec": "AES_128"}), 16),
        (json!({"NumberOfBytes": 1000}), 1000),
    ] {
        let mut body = json!({"KeyId": id, "EncryptionContext": {"k": "v"}});
        body.as_object_mut().expect("an object").extend(size.as_object().expect("an object").clone());
        let made = world.ok("kms:GenerateDataKey", body.clone());
        let plain = STANDARD.decode(text(&made, "Plaintext")).expect("base64");
        assert_eq!(plain.len(), len);
        let read = json!({"CiphertextBlob": made["CiphertextBlob"], "EncryptionContext": {"k": "v"}});
        assert_eq!(text(&world.ok("kms:Decrypt", read), "Plaintext"), text(&made, "Plaintext"));
        assert_ne!(
            text(&world.ok("kms:GenerateDataKey", body.clone()), "Plaintext"),
            text(&made, "Plaintext")
        );
        let hidden = world.ok("kms:GenerateDataKeyWithoutPlaintext", body);
        assert!(hidden.get("Plaintext").is_none());
        let read = json!({"CiphertextBlob": hidden["CiphertextBlob"], "EncryptionContext": {"k": "v"}});
        let opened = STANDARD.decode(text(&world.ok("kms:Decrypt", read), "Plaintext")).expect("base64");
        assert_eq!(opened.len(), len);
    }
    for bad in [json!({"KeyId": id}), json!({"KeyId": id, "KeySpec": "AES_256", "NumberOfBytes": 3})] {
        let told = world.refused("kms:GenerateDataKey", bad);
        assert_eq!(told, "ValidationException: Please specify either number of bytes or key spec.");
    }
    let random = world.ok("kms:GenerateRandom", json!({"NumberOfBytes": 1024}));
    assert_eq!(STANDARD.decode(text(&random, "Plaintext")).expect("base64").len(), 1024);
    assert_ne!(world.ok("kms:GenerateRandom", json!({"NumberOfBytes": 1024})), random);
}

#[test]
fn it_is_encrypted_again_without_being_shown() {
    let world = World::new();
    let (one, two) = (make(&world), make(&world));
    let made =
        world.ok("kms:Encrypt", json!({"KeyId": one, "Plaintext": "eA==", "EncryptionContext": {"a": "1"}}));
    let moved = world.ok(
        "kms:ReEncrypt",
        json!({"CiphertextBlob": made["CiphertextBlob"], "SourceEncryptionContext": {"a": "1"},
            "DestinationKeyId": two, "DestinationEncryptionContext": {"b": "2"}}),
    );
    assert!(text(&moved, "SourceKeyId").ends_with(&one) && text(&moved, "KeyId").ends_with(&two));
    let read = world.ok(
        "kms:Decrypt",
        json!({"CiphertextBlob": moved["CiphertextBlob"], "EncryptionContext": {"b": "2"}}),
    );
    assert_eq!((text(&read, "Plaintext"), text(&read, "KeyId").ends_with(&two)), ("eA==", true));
}

#[test]
fn what_is_not_built_is_refused() {
    let world = World::new();
    let id = make(&world);
    let encrypt = |more: Value| {
        let mut body = json!({"KeyId": id, "Plaintext": "eA=="});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        world.refused("kms:Encrypt", body)
    };
    assert!(
        encrypt(json!({"EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}))
            .starts_with("InvalidKeyUsageException: ")
    );
    assert!(encrypt(json!({"GrantTokens": ["t"]})).starts_with("InvalidGrantTokenException: "));
    assert_eq!(
        encrypt(json!({"DryRun": true})),
        "DryRunOperationException: The request would have succeeded, but the DryRun option is set."
    );
    let recipient = json!({"KeyId": id, "KeySpec": "AES_256", "Recipient": {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256"}});
    assert!(world.refused("kms:GenerateDataKey", recipient).starts_with("ValidationException: "));
    let long = json!({"KeyId": id, "Plaintext": encoded(&[0; 4097])});
    assert!(world.refused("kms:Encrypt", long).starts_with("ValidationException: 1 validation error"));
    world.ok("kms:Encrypt", json!({"KeyId": id, "Plaintext": encoded(&[0; 4096])}));
}

/// Encrypting takes no commit: nothing has to be remembered of it.
#[test]
fn nothing_is_stored_of_it() {
    let world = World::new();
    let id = make(&world);
    let before = world.db.peek(|state| state.sequence());
    let made = world.ok("kms:GenerateDataKey", json!({"KeyId": id, "KeySpec": "AES_256"}));
    world.ok("kms:Decrypt", json!({"CiphertextBlob": made["CiphertextBlob"]}));
    world.ok("kms:DescribeKey", json!({"KeyId": id}));
    assert_eq!(world.db.peek(|state| state.sequence()), before);
    world.is_nowhere(text(&made, "Plaintext"));
}

//! Key pairs. Of one that is made here, the private key is in the answer of CreateKeyPair and nowhere else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use longshore_domain::tags::Tags;
use longshore_keyring::SealingTx;
use longshore_service::Caller;
use longshore_shapes_ec2::{
    DeleteKeyPairResult, ImportKeyPairResult, KeyFormat, KeyPair as CreatedKeyPair, KeyPairInfo, KeyType,
    ResourceType, Tag,
};
use longshore_state::Tx;
use longshore_tables_ec2::ids::{self, prefix};
use longshore_tables_ec2::key::Id;
use longshore_tables_ec2::record::{KeyKind, KeyPair};
use longshore_tables_ec2::{Ec2State, OwnKey};
use longshore_wire::Fault;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use crate::filters::{Filterable, Texts, one};
use crate::fingerprint::{PublicKey, ed25519_blob, put};
use crate::input::given;
use crate::permission::kind;
use crate::{errors, find, tags};

const NAME_CHARS_MAX: usize = 255;
/// AWS's quota of a region.
const KEYS_MAX: usize = 5000;
/// How many characters a line of a PEM file has.
const LINE_CHARS: usize = 70;

fn shape(id: &Id, key: &KeyPair, with_public_key: bool) -> KeyPairInfo {
    KeyPairInfo {
        create_time: Some(key.created_at),
        key_fingerprint: Some(key.fingerprint.to_string()),
        key_name: Some(key.name.to_string()),
        key_pair_id: Some(id.to_string()),
        key_type: Some(match key.kind {
            KeyKind::Rsa => KeyType::Rsa,
            KeyKind::Ed25519 => KeyType::Ed25519,
        }),
        public_key: with_public_key.then(|| key.public_key.to_string()),
        tags: Some(tags::shapes(&key.tags)),
    }
}

impl Filterable for KeyPairInfo {
    const FILTERS: &'static [(&'static str, Texts<Self>)] = &[
        ("fingerprint", |own| one(own.key_fingerprint.as_ref())),
        ("key-name", |own| one(own.key_name.as_ref())),
        ("key-pair-id", |own| one(own.key_pair_id.as_ref())),
    ];

    fn place(&self) -> String {
        self.key_name.clone().unwrap_or_default()
    }

    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

describe_all!(DescribeKeyPairs as DescribeKeyPairsResult { key_pairs } of KeyPairInfo, |state, caller, input| {
    let realm = find::realm(state, caller);
    let with_public_key = input.include_public_key == Some(true);
    let all = realm.keys().iter().map(|(id, key)| shape(id, key, with_public_key)).collect();
    let all = find::selected(all, &input.key_names, |own: &KeyPairInfo| own.key_name.as_deref(), errors::no_key)?;
    find::selected(all, &input.key_pair_ids, |own| own.key_pair_id.as_deref(), errors::no_key)
});

/// A name that no key has.
fn free_name(tx: &Tx<'_>, caller: &Caller, name: &str) -> Result<(), Fault> {
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || name.trim() != name {
        return Err(errors::invalid(format!(
            "Value ({name}) for parameter keyName is invalid. Names have 1 to {NAME_CHARS_MAX} characters, and no space around \
             them."
        )));
    }
    let realm = tx.ec2().realm(&caller.scope);
    if realm.key_named(name).is_some() {
        return Err(errors::key_exists(name));
    }
    if realm.keys().len() >= KEYS_MAX {
        return Err(errors::quota("KeyPairLimitExceeded", "key pairs"));
    }
    Ok(())
}

fn store(tx: &mut Tx<'_>, caller: &Caller, name: &str, key: PublicKey, own_tags: Tags) -> Id {
    let id = ids::drawn(prefix::KEY_PAIR, tx.ids.seed());
    let record = KeyPair {
        name: name.into(),
        kind: key.kind,
        fingerprint: key.fingerprint.into(),
        public_key: key.text.into(),
        created_at: tx.now,
        tags: own_tags,
    };
    tx.put::<KeyPair>(OwnKey::new(&caller.scope, &id), record);
    id
}

command!(
    ImportKeyPair,
    |ask, input| ask.tagged(ask.on(kind::KEY_PAIR, given(&input.key_name)), &input.tag_specifications),
    |tx, caller, input| {
        let name = given(&input.key_name);
        let own_tags = tags::specified(&input.tag_specifications, &ResourceType::KeyPair)?;
        free_name(tx, caller, name)?;
        let material =
            input.public_key_material.as_ref().ok_or_else(|| errors::missing("publicKeyMaterial"))?;
        let text = std::str::from_utf8(&material.0).map_err(|_| errors::key_format())?;
        let key = PublicKey::parse(text).ok_or_else(errors::key_format)?;
        let (fingerprint, shown) = (key.fingerprint.clone(), tags::shown(&own_tags));
        let id = store(tx, caller, name, key, own_tags);
        Ok(ImportKeyPairResult {
            key_fingerprint: Some(fingerprint),
            key_name: Some(name.to_owned()),
            key_pair_id: Some(id.to_string()),
            tags: shown,
        })
    }
);

command!(
    CreateKeyPair,
    |ask, input| ask.tagged(ask.on(kind::KEY_PAIR, given(&input.key_name)), &input.tag_specifications),
    |tx, caller, input| {
        let name = given(&input.key_name);
        match input.key_type {
            Some(KeyType::Ed25519) => {}
            None | Some(KeyType::Rsa | KeyType::Unrecognized(_)) => {
                return Err(errors::unsupported(
                    "making RSA keys; ask for KeyType ed25519, or make one yourself and import it",
                ));
            }
        }
        if input.key_format == Some(KeyFormat::Ppk) {
            return Err(errors::unsupported("private keys in the format ppk"));
        }
        let own_tags = tags::specified(&input.tag_specifications, &ResourceType::KeyPair)?;
        free_name(tx, caller, name)?;
        // The secret is drawn with the root key, and so is what the format wants at its head: neither tells of the other.
        let (secret, check) = (tx.draw().map_err(Fault::hidden)?, tx.draw().map_err(Fault::hidden)?);
        let pair = Ed25519KeyPair::from_seed_unchecked(&*secret)
            .map_err(|_| Fault::hidden("a seed has 32 bytes"))?;
        let public = pair.public_key().as_ref();
        let material = private_key(&secret, public, [check[0], check[1], check[2], check[3]]);
        let key = PublicKey::ed25519(public, name);
        let (fingerprint, shown) = (key.fingerprint.clone(), tags::shown(&own_tags));
        let id = store(tx, caller, name, key, own_tags);
        Ok(CreatedKeyPair {
            key_fingerprint: Some(fingerprint),
            key_material: Some(material),
            key_name: Some(name.to_owned()),
            key_pair_id: Some(id.to_string()),
            tags: shown,
        })
    }
);

/// A private key as OpenSSH keeps it without a passphrase (`PROTOCOL.key` of OpenSSH).
fn private_key(secret: &[u8; 32], public: &[u8], check: [u8; 4]) -> String {
    const BLOCK_BYTES: usize = 8;
    let mut inner = Vec::new();
    inner.extend(check);
    inner.extend(check);
    inner.extend(ed25519_blob(public));
    put(&mut inner, &[&secret[..], public].concat());
    put(&mut inner, b"");
    // Padding counts from one up to the length of a block.
    inner.extend((1..).take(inner.len().next_multiple_of(BLOCK_BYTES) - inner.len()));
    let mut whole = b"openssh-key-v1\0".to_vec();
    for field in [&b"none"[..], b"none", b""] {
        put(&mut whole, field);
    }
    whole.extend(1_u32.to_be_bytes());
    put(&mut whole, &ed25519_blob(public));
    put(&mut whole, &inner);
    let encoded = STANDARD.encode(whole);
    let lines: Vec<&str> = encoded
        .as_bytes()
        .chunks(LINE_CHARS)
        .map(|line| std::str::from_utf8(line).expect("base64 is ASCII"))
        .collect();
    format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n", lines.join("\n"))
}

command!(
    DeleteKeyPair,
    |ask, input| match &input.key_name {
        Some(name) => ask.on(kind::KEY_PAIR, name),
        None => {
            let id = input.key_pair_id.as_deref().unwrap_or_default();
            ask.found(kind::KEY_PAIR, ask.realm().keys().get(id).map(|key| &*key.name))
        }
    },
    |tx, caller, input| {
        let id = {
            let realm = tx.ec2().realm(&caller.scope);
            match (&input.key_name, &input.key_pair_id) {
                (Some(name), _) => realm.key_named(name).map(|(id, _)| id.clone()),
                (None, Some(id)) => Some(find::key_by_id(&realm, id)?.0.clone()),
                (None, None) => return Err(errors::missing("keyName")),
            }
        };
        // Of a name that is nobody's, EC2 says that it is gone.
        if let Some(id) = &id {
            tx.delete::<KeyPair>(OwnKey::new(&caller.scope, id));
        }
        Ok(DeleteKeyPairResult { key_pair_id: id.map(|id| id.to_string()), r#return: Some(true) })
    }
);

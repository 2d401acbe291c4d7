//! Cipher texts of KMS: what strangers present as one, and what becomes of a genuine one.

use longshore_tables_secrets::material::{self, Blob, EncryptionContext, LEN, NONCE_LEN};

use crate::first_line;

const KEY: &str = "0f9d8c7b-1111-4222-8333-444455556666";
const MATERIAL: [u8; LEN] = [7; LEN];

/// The first line is an encryption context, `NAME=VALUE NAME=VALUE`, the second says where a genuine cipher text is changed,
/// and how; the rest is a cipher text that a stranger presents, and a plain text.
pub fn run(bytes: &[u8]) {
    let (pairs, rest) = first_line(bytes);
    let (change, rest) = first_line(rest);
    let pairs = pairs.split(' ').filter_map(|pair| pair.split_once('='));
    let context: EncryptionContext = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    if let Some(blob) = Blob::read(rest) {
        assert!(material::bits(&blob.key).is_some(), "it names a key that has no UUID: {}", blob.key);
        assert!(blob.decrypt(&MATERIAL, &context).is_none(), "a stranger has made a cipher text");
    }

    let number = rest.len() as u64;
    let made = material::encrypt((KEY, number), &MATERIAL, &[9; NONCE_LEN], &context, rest).expect("a UUID");
    // A head, a nonce, a tag, and the rest as long as it was.
    assert_eq!(made.len(), 21 + NONCE_LEN + 16 + rest.len());
    let blob = Blob::read(&made).expect("one of ours");
    assert_eq!((&*blob.key, blob.material), (KEY, number));
    let plain = blob.decrypt(&MATERIAL, &context).expect("its own material and context");
    assert_eq!(plain.as_bytes(), rest);

    let mut other = context.clone();
    other.insert("one".to_owned(), "more".to_owned());
    let mut fewer = context.clone();
    fewer.pop_first();
    for other in [&other, &fewer].into_iter().filter(|other| **other != context) {
        assert!(blob.decrypt(&MATERIAL, other).is_none(), "it opens in another context");
    }
    assert!(blob.decrypt(&[8; LEN], &context).is_none(), "it opens with other material");

    let mut numbers = change.split(' ').map(|number| number.parse::<usize>().unwrap_or_default());
    let mut next = |bound: usize| numbers.next().unwrap_or_default() % bound;
    let (at, bit, left) = (next(made.len()), next(8), next(made.len()));
    let mut changed = made.clone();
    changed[at] ^= 1 << bit;
    let longer = [&made[..], &changed[..left]].concat();
    for forged in [&changed[..], &made[..left], &longer].into_iter().filter(|forged| **forged != made) {
        let opened = Blob::read(forged).and_then(|blob| blob.decrypt(&MATERIAL, &context));
        assert!(opened.is_none(), "a cipher text that was changed opens");
    }
}

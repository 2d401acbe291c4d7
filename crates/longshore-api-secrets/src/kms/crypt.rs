//! Encrypting and decrypting, and data keys.

use longshore_service::{Access, Caller, Resources};
use longshore_shapes_kms::{
    DataKeySpec, DecryptResponse, DisabledException, DryRunOperationException, EncryptResponse,
    EncryptionAlgorithmSpec, GenerateDataKeyResponse, GenerateDataKeyWithoutPlaintextResponse,
    GenerateRandomResponse, IncorrectKeyException, InvalidCiphertextException, InvalidGrantTokenException,
    InvalidKeyUsageException, KMSInvalidStateException, NotFoundException, ReEncryptResponse, RecipientInfo,
    UnsupportedOperationException, ops,
};
use longshore_state::State;
use longshore_tables_secrets::SecretsState;
use longshore_tables_secrets::find::KeyAt;
use longshore_tables_secrets::kms::{self, KmsError};
use longshore_tables_secrets::material::{self, Blob as CipherText, EncryptionContext};
use longshore_wire::{Blob, Denied, Fault};
use zeroize::Zeroizing;

use super::{find, texts};
use crate::chance::Chance;
use crate::input::given;
use crate::keys;

/// What most of these may answer.
trait Failure:
    From<NotFoundException> + From<DisabledException> + From<KMSInvalidStateException> + From<Fault>
{
}

impl<E> Failure for E where
    E: From<NotFoundException> + From<DisabledException> + From<KMSInvalidStateException> + From<Fault>
{
}

/// What is told of a key that does not encrypt.
fn failed<E: Failure>(error: KmsError) -> E {
    match error {
        KmsError::Key(why) => find::unusable(why),
        KmsError::Cipher | KmsError::Keyring(_) => Fault::hidden(error).into(),
    }
}

fn context_of(given: &Option<std::collections::BTreeMap<String, String>>) -> EncryptionContext {
    given.clone().unwrap_or_default()
}

/// Refuses what is not built: other algorithms, grants, enclaves.
fn check<E>(
    algorithm: Option<&EncryptionAlgorithmSpec>,
    grants: &Option<Vec<String>>,
    recipient: Option<&RecipientInfo>,
) -> Result<(), E>
where
    E: From<InvalidKeyUsageException> + From<InvalidGrantTokenException> + From<Fault>,
{
    if let Some(algorithm) = algorithm.filter(|own| **own != EncryptionAlgorithmSpec::SymmetricDefault) {
        return Err(InvalidKeyUsageException::new(texts::incompatible(algorithm.as_str())).into());
    }
    if grants.as_ref().is_some_and(|grants| !grants.is_empty()) {
        return Err(InvalidGrantTokenException::new(texts::NO_GRANTS).into());
    }
    if recipient.is_some() {
        return Err(Fault::validation(texts::NO_ENCLAVES).into());
    }
    Ok(())
}

/// With `DryRun` nothing is done and told but whether it could have been.
fn dry<E: From<DryRunOperationException>>(is_dry: Option<bool>) -> Result<(), E> {
    match is_dry.unwrap_or(false) {
        true => Err(DryRunOperationException::new(texts::DRY_RUN).into()),
        false => Ok(()),
    }
}

/// Encrypts with the key of this name.
fn encrypt<E: Failure>(
    state: &State,
    caller: &Caller,
    named: &str,
    context: &EncryptionContext,
    chance: &Chance,
    plain: &[u8],
) -> Result<(KeyAt, Vec<u8>), E> {
    let (at, _) = find::key(state, caller, named)?;
    let nonce = kms::nonce(&*chance.bytes(state, 0).map_err(Fault::hidden)?);
    let bytes = kms::encrypt(state, &at, &nonce, context, plain).map_err(failed::<E>)?;
    Ok((at, bytes))
}

/// The material that a key encrypts with, as answers name it.
fn material_id(state: &State, at: &KeyAt) -> Option<String> {
    at.record(state).map(|key| material::id(&at.id, key.material))
}

chance_query!(
    Kms,
    Encrypt,
    |state, caller, input| {
        let access = keys::access(state, caller, "kms:Encrypt", given(&input.key_id));
        keys::in_context(access, &context_of(&input.encryption_context))
    },
    |state, caller, input, chance| {
        check::<Self::Error>(input.encryption_algorithm.as_ref(), &input.grant_tokens, None)?;
        let plain = Zeroizing::new(input.plaintext.map(|Blob(bytes)| bytes).unwrap_or_default());
        let context = context_of(&input.encryption_context);
        let named = given(&input.key_id);
        let (at, bytes) = encrypt::<Self::Error>(state, caller, named, &context, &chance, &plain)?;
        dry::<Self::Error>(input.dry_run)?;
        Ok(EncryptResponse {
            ciphertext_blob: Some(Blob(bytes)),
            encryption_algorithm: Some(EncryptionAlgorithmSpec::SymmetricDefault),
            key_id: Some(at.arn()),
        })
    }
);

/// The key that a cipher text says it is of, wherever it is in this region. `None` if there is none.
fn key_of(state: &State, caller: &Caller, blob: &CipherText<'_>) -> Option<KeyAt> {
    let region = &caller.scope.region;
    let account = state.secrets().account_of_key(region, &blob.key)?;
    let scope = longshore_base::Scope::new(account, region.clone());
    Some(KeyAt { scope, id: blob.key.clone() })
}

/// What is asked about a cipher text. It names its key itself; a key that the caller names beside it has to be that
/// one.
fn of_blob(
    state: &State,
    caller: &Caller,
    action: &str,
    blob: Option<&Blob>,
    context: &EncryptionContext,
) -> Access {
    let read = blob.and_then(|Blob(bytes)| CipherText::read(bytes));
    let at = read.as_ref().and_then(|blob| key_of(state, caller, blob));
    // Of a key that is not there it is asked as if it were the caller's own.
    let own = |key: &std::sync::Arc<str>| KeyAt { scope: caller.scope.clone(), id: key.clone() };
    let access = match at.or_else(|| read.map(|blob| own(&blob.key))) {
        Some(at) => keys::on(state, caller, action, &at),
        None => Access::new(action, "*", caller),
    };
    keys::in_context(access, context)
}

/// Decrypts, with whatever key it was encrypted with.
fn decrypt<E>(
    state: &State,
    caller: &Caller,
    blob: Option<&Blob>,
    named: Option<&str>,
    context: &EncryptionContext,
) -> Result<(KeyAt, u64, longshore_keyring::Plain), E>
where
    E: Failure + From<InvalidCiphertextException> + From<IncorrectKeyException> + From<Denied>,
{
    let invalid = || InvalidCiphertextException { message: None };
    let blob = blob.and_then(|Blob(bytes)| CipherText::read(bytes)).ok_or_else(invalid)?;
    let at = key_of(state, caller, &blob);
    if let Some(named) = named {
        let (asked, _) = find::key(state, caller, named)?;
        if at.as_ref() != Some(&asked) {
            return Err(IncorrectKeyException::new(texts::INCORRECT_KEY).into());
        }
    }
    let at = at.ok_or_else(|| Denied::new(texts::UNKNOWN_BLOB))?;
    match kms::decrypt(state, &at, &blob, context) {
        Ok(plain) => Ok((at, blob.material, plain)),
        Err(KmsError::Cipher) => Err(invalid().into()),
        Err(error @ (KmsError::Key(_) | KmsError::Keyring(_))) => Err(failed(error)),
    }
}

query!(
    Kms,
    Decrypt,
    |state, caller, input| {
        let context = context_of(&input.encryption_context);
        let access = of_blob(state, caller, "kms:Decrypt", input.ciphertext_blob.as_ref(), &context);
        let named = input.key_id.as_deref();
        let named =
            named.map(|named| keys::in_context(keys::access(state, caller, "kms:Decrypt", named), &context));
        // The first question is the one that is told.
        named.into_iter().chain([access]).collect::<Resources>()
    },
    |state, caller, input| {
        check::<Self::Error>(
            input.encryption_algorithm.as_ref(),
            &input.grant_tokens,
            input.recipient.as_ref(),
        )?;
        let context = context_of(&input.encryption_context);
        let (blob, named) = (input.ciphertext_blob.as_ref(), input.key_id.as_deref());
        let (at, number, plain) = decrypt::<Self::Error>(state, caller, blob, named, &context)?;
        dry::<Self::Error>(input.dry_run)?;
        Ok(DecryptResponse {
            ciphertext_for_recipient: None,
            encryption_algorithm: Some(EncryptionAlgorithmSpec::SymmetricDefault),
            key_id: Some(at.arn()),
            key_material_id: Some(material::id(&at.id, number)),
            plaintext: Some(Blob(plain.as_bytes().to_vec())),
        })
    }
);

chance_query!(
    Kms,
    ReEncrypt,
    |state, caller, input| {
        let (old, new) =
            (context_of(&input.source_encryption_context), context_of(&input.destination_encryption_context));
        let from = of_blob(state, caller, "kms:ReEncryptFrom", input.ciphertext_blob.as_ref(), &old);
        let to = keys::access(state, caller, "kms:ReEncryptTo", given(&input.destination_key_id));
        Resources::from(from).and([keys::in_context(to, &new)])
    },
    |state, caller, input, chance| {
        check::<Self::Error>(input.source_encryption_algorithm.as_ref(), &input.grant_tokens, None)?;
        check::<Self::Error>(input.destination_encryption_algorithm.as_ref(), &None, None)?;
        let (blob, named) = (input.ciphertext_blob.as_ref(), input.source_key_id.as_deref());
        let old = context_of(&input.source_encryption_context);
        let (from, number, plain) = decrypt::<Self::Error>(state, caller, blob, named, &old)?;
        let new = context_of(&input.destination_encryption_context);
        let named = given(&input.destination_key_id);
        let (to, bytes) = encrypt::<Self::Error>(state, caller, named, &new, &chance, plain.as_bytes())?;
        dry::<Self::Error>(input.dry_run)?;
        Ok(ReEncryptResponse {
            ciphertext_blob: Some(Blob(bytes)),
            destination_encryption_algorithm: Some(EncryptionAlgorithmSpec::SymmetricDefault),
            destination_key_material_id: material_id(state, &to),
            key_id: Some(to.arn()),
            source_encryption_algorithm: Some(EncryptionAlgorithmSpec::SymmetricDefault),
            source_key_id: Some(from.arn()),
            source_key_material_id: Some(material::id(&from.id, number)),
        })
    }
);

/// How many bytes a data key has: said by one of the two.
fn data_key_len(spec: Option<&DataKeySpec>, bytes: Option<i32>) -> Result<usize, Fault> {
    match (spec, bytes) {
        (Some(DataKeySpec::Aes256), None) => Ok(32),
        (Some(DataKeySpec::Aes128), None) => Ok(16),
        (None, Some(bytes)) => usize::try_from(bytes).map_err(|_| Fault::validation(texts::ONE_SIZE)),
        (Some(DataKeySpec::Unrecognized(_)), None) | (Some(_), Some(_)) | (None, None) => {
            Err(Fault::validation(texts::ONE_SIZE))
        }
    }
}

chance_query!(
    Kms,
    GenerateDataKey,
    |state, caller, input| {
        let access = keys::access(state, caller, "kms:GenerateDataKey", given(&input.key_id));
        keys::in_context(access, &context_of(&input.encryption_context))
    },
    |state, caller, input, chance| {
        check::<Self::Error>(None, &input.grant_tokens, input.recipient.as_ref())?;
        let len = data_key_len(input.key_spec.as_ref(), input.number_of_bytes)?;
        let plain = chance.fill(state, len).map_err(Fault::hidden)?;
        let context = context_of(&input.encryption_context);
        let named = given(&input.key_id);
        let (at, bytes) = encrypt::<Self::Error>(state, caller, named, &context, &chance, &plain)?;
        dry::<Self::Error>(input.dry_run)?;
        Ok(GenerateDataKeyResponse {
            ciphertext_blob: Some(Blob(bytes)),
            ciphertext_for_recipient: None,
            key_material_id: material_id(state, &at),
            key_id: Some(at.arn()),
            plaintext: Some(Blob(plain.to_vec())),
        })
    }
);

chance_query!(
    Kms,
    GenerateDataKeyWithoutPlaintext,
    |state, caller, input| {
        let action = "kms:GenerateDataKeyWithoutPlaintext";
        let access = keys::access(state, caller, action, given(&input.key_id));
        keys::in_context(access, &context_of(&input.encryption_context))
    },
    |state, caller, input, chance| {
        check::<Self::Error>(None, &input.grant_tokens, None)?;
        let len = data_key_len(input.key_spec.as_ref(), input.number_of_bytes)?;
        let plain = chance.fill(state, len).map_err(Fault::hidden)?;
        let context = context_of(&input.encryption_context);
        let named = given(&input.key_id);
        let (at, bytes) = encrypt::<Self::Error>(state, caller, named, &context, &chance, &plain)?;
        dry::<Self::Error>(input.dry_run)?;
        Ok(GenerateDataKeyWithoutPlaintextResponse {
            ciphertext_blob: Some(Blob(bytes)),
            key_material_id: material_id(state, &at),
            key_id: Some(at.arn()),
        })
    }
);

chance_query!(
    Kms,
    GenerateRandom,
    |_state, caller, _input| Access::new("kms:GenerateRandom", "*", caller),
    |state, _caller, input, chance| {
        if input.custom_key_store_id.is_some() || input.recipient.is_some() {
            return Err(UnsupportedOperationException::new(texts::NO_ENCLAVES).into());
        }
        let len = input.number_of_bytes.and_then(|bytes| usize::try_from(bytes).ok());
        let len = len.ok_or_else(|| Fault::validation("NumberOfBytes is needed."))?;
        let bytes = chance.fill(state, len).map_err(Fault::hidden)?;
        Ok(GenerateRandomResponse { ciphertext_for_recipient: None, plaintext: Some(Blob(bytes.to_vec())) })
    }
);

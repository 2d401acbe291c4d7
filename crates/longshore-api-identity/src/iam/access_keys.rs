//! Access keys. A secret is in CreateAccessKey's answer and nowhere else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use longshore_api::PrincipalKind;
use longshore_keyring::{KeyringError, SealingTx};
use longshore_service::{Access, Caller, Cx, Query, Resources, not_authorized};
use longshore_shapes_iam::{
    AccessKey as AccessKeyShape, AccessKeyLastUsed, AccessKeyMetadata, GetAccessKeyLastUsedResponse,
    InvalidInputException, LimitExceededException, ListAccessKeysResponse, NoSuchEntityException, StatusType,
    ops,
};
use longshore_state::{State, Tx};
use longshore_tables_iam::key::Id;
use longshore_tables_iam::record::{AccessKey, User};
use longshore_tables_iam::{IamState, OwnKey, ids};
use longshore_wire::Fault;

use super::input::given;
use super::permission::Ask;
use super::{find, input, permission, texts};
use crate::Iam;

const KEYS_PER_USER: usize = 2;
/// What base64 makes 40 characters of.
const SECRET_BYTES: usize = 30;

command!(CreateAccessKey, |ask, input| ask.user(input.user_name.as_deref()), |tx, caller, input| {
    let user = find::user_or_caller::<Self::Error>(tx.state(), caller, input.user_name.as_deref())?.clone();
    if find::realm(tx.state(), caller).keys_of(&user.own.id).count() >= KEYS_PER_USER {
        return Err(LimitExceededException::new(texts::quota("AccessKeysPerUser", KEYS_PER_USER)).into());
    }
    let account = caller.scope.account;
    let id = free_id(tx, caller).map_err(Fault::hidden)?;
    let drawn = tx.draw().map_err(Fault::hidden)?;
    let secret = STANDARD.encode(&drawn[..SECRET_BYTES]);
    let sealed = tx.seal(&AccessKey::place(account, &id), secret.as_bytes()).map_err(Fault::hidden)?;
    let key = AccessKey {
        user: user.own.id.clone(),
        secret: sealed,
        active: true,
        created_at: tx.now,
        last_used: None,
    };
    tx.put::<AccessKey>(OwnKey::new(account, &id), key);
    let shown = AccessKeyShape {
        access_key_id: Some(id.to_string()),
        create_date: Some(tx.now),
        secret_access_key: Some(secret),
        status: Some(StatusType::Active),
        user_name: Some(user.own.name.to_string()),
    };
    Ok(Self::Output { access_key: Some(shown) })
});

/// An id that no key has. It is drawn with the root key, as the secret is, so that neither tells of the other.
fn free_id(tx: &mut Tx<'_>, caller: &Caller) -> Result<Id, KeyringError> {
    loop {
        let id = ids::access_key(caller.scope.account, &*tx.draw()?);
        if tx.iam().access_key(&id).is_none() {
            return Ok(id);
        }
    }
}

/// A key of this user.
fn key_of(
    state: &State,
    caller: &Caller,
    user: &User,
    id: &str,
) -> Result<(Id, AccessKey), NoSuchEntityException> {
    let mut keys = find::realm(state, caller).keys_of(&user.own.id);
    let found = keys.find(|(own, _)| ***own == *id);
    let (id, key) = found.ok_or_else(|| NoSuchEntityException::new(texts::access_key_not_found(id)))?;
    Ok((id.clone(), AccessKey::clone(key)))
}

command!(UpdateAccessKey, |ask, input| ask.user(input.user_name.as_deref()), |tx, caller, input| {
    let user = find::user_or_caller::<Self::Error>(tx.state(), caller, input.user_name.as_deref())?.clone();
    let (id, mut key) = key_of(tx.state(), caller, &user, given(&input.access_key_id))?;
    key.active = match input.status {
        Some(StatusType::Active) => true,
        Some(StatusType::Inactive) => false,
        Some(StatusType::Expired | StatusType::Unrecognized(_)) | None => {
            return Err(InvalidInputException::new("The status of a key is Active or Inactive.").into());
        }
    };
    tx.put::<AccessKey>(OwnKey::new(caller.scope.account, &id), key);
    Ok(Self::Output {})
});

command!(DeleteAccessKey, |ask, input| ask.user(input.user_name.as_deref()), |tx, caller, input| {
    let user = find::user_or_caller::<Self::Error>(tx.state(), caller, input.user_name.as_deref())?.clone();
    let (id, _) = key_of(tx.state(), caller, &user, given(&input.access_key_id))?;
    tx.delete::<AccessKey>(OwnKey::new(caller.scope.account, &id));
    Ok(Self::Output {})
});

list!(
    ListAccessKeys,
    |ask, input| Resources::from(ask.user(input.user_name.as_deref())),
    |state, caller, input, page| {
        let is_root = matches!(caller.kind, PrincipalKind::Root | PrincipalKind::Guest);
        let named = input.user_name.as_deref();
        // The account's own keys are in files, not here.
        let user = match named {
            None if is_root => None,
            named => Some(find::user_or_caller::<Self::Error>(state, caller, named)?),
        };
        let keys = user.into_iter().flat_map(|user| {
            let keys = find::realm(state, caller).keys_of(&user.own.id);
            keys.map(|(id, key)| (id, key, &user.own.name))
        });
        let paged = page.fill(keys, |(id, ..)| id.to_string()).map(|(id, key, name)| AccessKeyMetadata {
            access_key_id: Some(id.to_string()),
            create_date: Some(key.created_at),
            status: Some(if key.active { StatusType::Active } else { StatusType::Inactive }),
            user_name: Some(name.to_string()),
        });
        Ok(ListAccessKeysResponse {
            access_key_metadata: Some(paged.items),
            is_truncated: paged.is_truncated,
            marker: paged.marker,
        })
    }
);

impl Query<Iam> for ops::GetAccessKeyLastUsed {
    type Parsed = Self::Input;
    type Answer = GetAccessKeyLastUsedResponse;

    fn parse(_: &Cx<'_, Iam>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, input: &Self::Parsed) -> Resources {
        owner(permission::of::<Self>(state, caller), given(&input.access_key_id)).into()
    }

    /// A key that is not the account's is one that nobody may ask about.
    fn run(state: &State, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        let id = given(&input.access_key_id);
        let realm = find::realm(state, caller);
        let found = realm.access_key(id).and_then(|key| Some((key, realm.users().get(&key.user)?)));
        let Some((key, user)) = found else {
            let access = owner(permission::of::<Self>(state, caller), id);
            return Err(not_authorized(caller, &access, "").into());
        };
        let last = key.last_used.as_ref();
        let or_none = |text: Option<String>| Some(text.unwrap_or_else(|| "N/A".to_owned()));
        Ok(GetAccessKeyLastUsedResponse {
            access_key_last_used: Some(AccessKeyLastUsed {
                last_used_date: last.map(|last| last.at),
                region: or_none(last.map(|last| last.region.to_string())),
                service_name: or_none(last.map(|last| last.service.to_string())),
            }),
            user_name: Some(user.own.name.to_string()),
        })
    }
}

/// The user whose key it is; a key that is not there is named itself, as AWS does.
fn owner(ask: Ask<'_>, id: &str) -> Access {
    let realm = find::realm(ask.state, ask.caller);
    let access = match realm.access_key(id).and_then(|key| realm.users().get(&key.user)) {
        Some(user) => ask.user(Some(&user.own.name)),
        None => ask.on(format!("access key {id}")),
    };
    access.shown_as(format!("access key {id}"))
}

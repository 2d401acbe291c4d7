//! What an account says about itself: its alias, and what passwords have to look like.

use longshore_service::Caller;
use longshore_shapes_iam::{
    EntityAlreadyExistsException, GetAccountPasswordPolicyResponse, ListAccountAliasesResponse,
    NoSuchEntityException, PasswordPolicy as PolicyShape,
};
use longshore_state::{State, Tx};
use longshore_tables_iam::record::{AccountSettings, PasswordPolicy};
use longshore_tables_iam::{AccountKey, IamState};
use longshore_wire::Fault;

use super::find;
use super::input::given;

const LENGTH_MIN: u32 = 6;

fn settings(state: &State, caller: &Caller) -> AccountSettings {
    find::realm(state, caller).settings().map(|settings| AccountSettings::clone(settings)).unwrap_or_default()
}

/// An account that says nothing has no record.
fn store(tx: &mut Tx<'_>, caller: &Caller, settings: AccountSettings) {
    let key = AccountKey(caller.scope.account);
    if settings == AccountSettings::default() {
        tx.delete::<AccountSettings>(key);
    } else {
        tx.put::<AccountSettings>(key, settings);
    }
}

/// Lower-case letters, digits and single hyphens inside, and no account's number.
fn check_alias(alias: &str) -> Result<(), Fault> {
    let is_right = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_number = alias.len() == 12 && alias.bytes().all(|byte| byte.is_ascii_digit());
    let has_edges = alias.starts_with('-') || alias.ends_with('-') || alias.contains("--");
    if alias.bytes().all(is_right) && !has_edges && !is_number {
        return Ok(());
    }
    Err(Fault::final_refusal(
        "The specified value for accountAlias is invalid. It must contain only digits, lowercase letters, and hyphens \
         (-), but cannot begin or end with a hyphen, and must not be a 12 digit number.",
    ))
}

command!(CreateAccountAlias, |ask, _input| ask.on_all(), |tx, caller, input| {
    let alias = given(&input.account_alias);
    check_alias(alias)?;
    let owner = tx.iam().account_of_alias(alias);
    if owner.is_some_and(|owner| owner != caller.scope.account) {
        let text = format!("The account alias {alias} already exists.");
        return Err(EntityAlreadyExistsException::new(text).into());
    }
    // There is one: a new one takes the place of the old one.
    let changed = AccountSettings { alias: Some(alias.into()), ..settings(tx.state(), caller) };
    store(tx, caller, changed);
    Ok(Self::Output {})
});

command!(DeleteAccountAlias, |ask, _input| ask.on_all(), |tx, caller, input| {
    let alias = given(&input.account_alias);
    let mut changed = settings(tx.state(), caller);
    if changed.alias.take_if(|own| **own == *alias).is_none() {
        let text = format!("The account alias with name {alias} cannot be found.");
        return Err(NoSuchEntityException::new(text).into());
    }
    store(tx, caller, changed);
    Ok(Self::Output {})
});

list!(ListAccountAliases, |ask, _input| ask.on_all(), |state, caller, _input, page| {
    let alias = settings(state, caller).alias.map(|alias| alias.to_string());
    let paged = page.fill(alias, String::clone);
    Ok(ListAccountAliasesResponse {
        account_aliases: Some(paged.items),
        is_truncated: paged.is_truncated,
        marker: paged.marker,
    })
});

command!(UpdateAccountPasswordPolicy, |ask, _input| ask.on_all(), |tx, caller, input| {
    // What is not said is not demanded (API reference).
    let number = |given: Option<i32>| given.and_then(|given| u32::try_from(given).ok());
    let flag = |given: Option<bool>| given.unwrap_or(false);
    let passwords = PasswordPolicy {
        length_min: number(input.minimum_password_length).unwrap_or(LENGTH_MIN),
        symbols: flag(input.require_symbols),
        numbers: flag(input.require_numbers),
        uppercase: flag(input.require_uppercase_characters),
        lowercase: flag(input.require_lowercase_characters),
        users_may_change: flag(input.allow_users_to_change_password),
        age_max: number(input.max_password_age).filter(|days| *days > 0),
        reuse_prevention: number(input.password_reuse_prevention).filter(|count| *count > 0),
        hard_expiry: flag(input.hard_expiry),
    };
    let changed = AccountSettings { passwords: Some(passwords), ..settings(tx.state(), caller) };
    store(tx, caller, changed);
    Ok(Self::Output {})
});

fn no_policy(caller: &Caller) -> NoSuchEntityException {
    let account = caller.scope.account;
    NoSuchEntityException::new(format!("The Password Policy with domain name {account} cannot be found."))
}

query!(GetAccountPasswordPolicy, |ask, _input| ask.on_all(), |state, caller, _input| {
    let policy = settings(state, caller).passwords.ok_or_else(|| no_policy(caller))?;
    let number = |number: u32| i32::try_from(number).ok();
    Ok(GetAccountPasswordPolicyResponse {
        password_policy: Some(PolicyShape {
            allow_users_to_change_password: Some(policy.users_may_change),
            expire_passwords: Some(policy.age_max.is_some()),
            hard_expiry: Some(policy.hard_expiry),
            max_password_age: policy.age_max.and_then(number),
            minimum_password_length: number(policy.length_min),
            password_reuse_prevention: policy.reuse_prevention.and_then(number),
            require_lowercase_characters: Some(policy.lowercase),
            require_numbers: Some(policy.numbers),
            require_symbols: Some(policy.symbols),
            require_uppercase_characters: Some(policy.uppercase),
        }),
    })
});

command!(DeleteAccountPasswordPolicy, |ask, _input| ask.on_all(), |tx, caller, _input| {
    let mut changed = settings(tx.state(), caller);
    changed.passwords.take().ok_or_else(|| no_policy(caller))?;
    store(tx, caller, changed);
    Ok(Self::Output {})
});

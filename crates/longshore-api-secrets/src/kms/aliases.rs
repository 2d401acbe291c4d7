//! Aliases: other names of keys.

use std::sync::Arc;

use longshore_service::{Access, Caller, Resources};
use longshore_shapes_kms::{
    AlreadyExistsException, CreateAliasOutput, DeleteAliasOutput, InvalidAliasNameException,
    NotFoundException, UpdateAliasOutput, ops,
};
use longshore_state::State;
use longshore_tables_secrets::find::KeyAt;
use longshore_tables_secrets::key::ScopedKey;
use longshore_tables_secrets::record::Alias;
use longshore_tables_secrets::{SecretsState, arn};
use longshore_wire::Fault;

use super::{create, find, texts};
use crate::input::given;
use crate::keys;

/// On the alias itself.
fn on_alias(caller: &Caller, action: &str, name: &str) -> Access {
    Access::new(action, arn::alias(&caller.scope, name), caller)
        .with("kms:CallerAccount", caller.scope.account.to_string())
        .under(create::no_policy())
}

/// On the key that an alias is of now.
fn on_target(state: &State, caller: &Caller, action: &str, name: &str) -> Option<Access> {
    let alias = state.secrets().realm(&caller.scope).aliases().get(name)?;
    let at = KeyAt { scope: caller.scope.clone(), id: alias.target.clone() };
    // Its id is nothing that the caller has said.
    Some(keys::on(state, caller, action, &at).shown_as(arn::alias(&caller.scope, name)))
}

fn alias_named<'s>(
    state: &'s State,
    caller: &Caller,
    name: &str,
) -> Result<&'s Arc<Alias>, NotFoundException> {
    let found = state.secrets().realm(&caller.scope).aliases().get(name);
    found.ok_or_else(|| NotFoundException::new(texts::alias_not_found(&arn::alias(&caller.scope, name))))
}

/// A key of the caller's account: an alias never leaves it.
fn target(state: &State, caller: &Caller, named: &str) -> Result<KeyAt, NotFoundException> {
    let (at, _) = find::key(state, caller, named)?;
    match at.scope == caller.scope {
        true => Ok(at),
        false => Err(NotFoundException::new(texts::key_not_found(&at.arn()))),
    }
}

/// Refuses the name of no alias, and of those that services have.
fn check(name: &str) -> Result<(), Fault> {
    match name.strip_prefix("alias/") {
        None | Some("") => Err(Fault::validation(texts::ALIAS_PREFIX)),
        Some(_) => Ok(()),
    }
}

fn is_reserved(name: &str) -> bool {
    name.starts_with("alias/aws/")
}

command!(
    Kms,
    CreateAlias,
    |state, caller, input| {
        let name = given(&input.alias_name);
        Resources::from(on_alias(caller, "kms:CreateAlias", name)).and([keys::access(
            state,
            caller,
            "kms:CreateAlias",
            given(&input.target_key_id),
        )])
    },
    |tx, caller, input| {
        let name: Arc<str> = given(&input.alias_name).into();
        check(&name)?;
        if is_reserved(&name) {
            return Err(InvalidAliasNameException::new(texts::ALIAS_RESERVED).into());
        }
        let at = target(tx.state(), caller, given(&input.target_key_id))?;
        find::to_change::<Self::Error>(tx.state(), caller, &at.id)?;
        if alias_named(tx.state(), caller, &name).is_ok() {
            let arn = arn::alias(&caller.scope, &name);
            return Err(AlreadyExistsException::new(texts::alias_exists(&arn)).into());
        }
        let alias = Alias { target: at.id, created_at: tx.now, updated_at: tx.now };
        tx.put::<Alias>(ScopedKey::new(&caller.scope, &name), alias);
        Ok(CreateAliasOutput {})
    }
);

command!(
    Kms,
    UpdateAlias,
    |state, caller, input| {
        let (name, action) = (given(&input.alias_name), "kms:UpdateAlias");
        Resources::from(on_alias(caller, action, name))
            .and(on_target(state, caller, action, name))
            .and([keys::access(state, caller, action, given(&input.target_key_id))])
    },
    |tx, caller, input| {
        let name: Arc<str> = given(&input.alias_name).into();
        check(&name)?;
        if is_reserved(&name) {
            return Err(Fault::validation(texts::ALIAS_RESERVED).into());
        }
        let created_at = alias_named(tx.state(), caller, &name)?.created_at;
        let at = target(tx.state(), caller, given(&input.target_key_id))?;
        find::to_change::<Self::Error>(tx.state(), caller, &at.id)?;
        let alias = Alias { target: at.id, created_at, updated_at: tx.now };
        tx.put::<Alias>(ScopedKey::new(&caller.scope, &name), alias);
        Ok(UpdateAliasOutput {})
    }
);

command!(
    Kms,
    DeleteAlias,
    |state, caller, input| {
        let (name, action) = (given(&input.alias_name), "kms:DeleteAlias");
        Resources::from(on_alias(caller, action, name)).and(on_target(state, caller, action, name))
    },
    |tx, caller, input| {
        let name: Arc<str> = given(&input.alias_name).into();
        check(&name)?;
        if is_reserved(&name) {
            return Err(Fault::validation(texts::ALIAS_RESERVED).into());
        }
        alias_named(tx.state(), caller, &name)?;
        tx.delete::<Alias>(ScopedKey::new(&caller.scope, &name));
        Ok(DeleteAliasOutput {})
    }
);

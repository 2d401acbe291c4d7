//! Policies that are written into a user, a group or a role.

use std::sync::Arc;

use longshore_service::{Caller, Command, Cx, Resources};
use longshore_shapes_iam::{
    GetGroupPolicyResponse, GetRolePolicyResponse, GetUserPolicyResponse, LimitExceededException,
    ListGroupPoliciesResponse, ListRolePoliciesResponse, ListUserPoliciesResponse, NoSuchEntityException,
    ops,
};
use longshore_state::{State, Tx};
use longshore_tables_iam::InlineKey;
use longshore_tables_iam::key::Id;
use longshore_tables_iam::record::{IdentityPolicy, InlinePolicy};

use super::input::given;
use super::{documents, find, input, permission};
use crate::Iam;

/// What the policies are written into.
struct Holder<'a> {
    /// `user`, `group`, `role`.
    kind: &'static str,
    id: Id,
    name: &'a str,
    /// How long all of them together may be.
    chars_max: usize,
}

const USER_CHARS_MAX: usize = 2048;
const GROUP_CHARS_MAX: usize = 5120;
const ROLE_CHARS_MAX: usize = 10240;

impl Holder<'_> {
    fn put(
        &self,
        tx: &mut Tx<'_>,
        caller: &Caller,
        name: &str,
        document: IdentityPolicy,
    ) -> Result<(), LimitExceededException> {
        let realm = find::realm(tx.state(), caller);
        let others = realm.inline_of(&self.id).filter(|(other, _)| ***other != *name);
        let others: usize = others.map(|(_, policy)| documents::size(policy.document.text())).sum();
        if others + documents::size(document.text()) > self.chars_max {
            let Self { kind, name, chars_max, .. } = self;
            let text = format!("Maximum policy size of {chars_max} bytes exceeded for {kind} {name}");
            return Err(LimitExceededException::new(text));
        }
        tx.put::<InlinePolicy>(self.key(caller, name), InlinePolicy { document });
        Ok(())
    }

    fn get<'s>(
        &self,
        state: &'s State,
        caller: &Caller,
        name: &str,
    ) -> Result<&'s Arc<InlinePolicy>, NoSuchEntityException> {
        let found = find::realm(state, caller).inline(&self.id, name);
        let text = || format!("The {} policy with name {name} cannot be found.", self.kind);
        found.ok_or_else(|| NoSuchEntityException::new(text()))
    }

    fn delete(&self, tx: &mut Tx<'_>, caller: &Caller, name: &str) -> Result<(), NoSuchEntityException> {
        self.get(tx.state(), caller, name)?;
        tx.delete::<InlinePolicy>(self.key(caller, name));
        Ok(())
    }

    fn names(&self, state: &State, caller: &Caller) -> Vec<String> {
        let names = find::realm(state, caller).inline_of(&self.id);
        let mut names: Vec<String> = names.map(|(name, _)| name.to_string()).collect();
        names.sort_by_key(|name| (name.to_ascii_lowercase(), name.clone()));
        names
    }

    fn key(&self, caller: &Caller, name: &str) -> InlineKey {
        InlineKey { account: caller.scope.account, holder: self.id.clone(), name: name.into() }
    }
}

fn user<'a>(state: &State, caller: &Caller, name: &'a str) -> Result<Holder<'a>, NoSuchEntityException> {
    let id = find::user(state, caller, name)?.own.id.clone();
    Ok(Holder { kind: "user", id, name, chars_max: USER_CHARS_MAX })
}

fn group<'a>(state: &State, caller: &Caller, name: &'a str) -> Result<Holder<'a>, NoSuchEntityException> {
    let id = find::group(state, caller, name)?.own.id.clone();
    Ok(Holder { kind: "group", id, name, chars_max: GROUP_CHARS_MAX })
}

fn role<'a>(state: &State, caller: &Caller, name: &'a str) -> Result<Holder<'a>, NoSuchEntityException> {
    let id = find::role(state, caller, name)?.own.id.clone();
    Ok(Holder { kind: "role", id, name, chars_max: ROLE_CHARS_MAX })
}

/// The four operations for one kind of holder: how it is found to be changed and to be read, and how it is asked about.
macro_rules! inline {
    (
        $name:ident: $change:expr, $read:expr, |$ask:ident, $of:ident| $changed:expr, $asked:expr;
        $put:ident, $delete:ident, $get:ident: $get_answer:ident, $list:ident: $list_answer:ident
    ) => {
        impl Command<Iam> for ops::$put {
            type Parsed = (Self::Input, IdentityPolicy);
            type Answer = Self::Output;

            fn parse(_: &Cx<'_, Iam>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
                input::check(&input)?;
                let document = documents::identity(given(&input.policy_document))?;
                Ok((input, document))
            }

            fn resources(state: &State, caller: &Caller, (input, _): &Self::Parsed) -> Resources {
                let ($ask, $of) = (permission::of::<Self>(state, caller), given(&input.$name));
                $changed.into()
            }

            fn run(
                tx: &mut Tx<'_>,
                caller: &Caller,
                (input, document): Self::Parsed,
            ) -> Result<Self::Answer, Self::Error> {
                let change: fn(&State, &Caller, &str) -> Result<(), Self::Error> = $change;
                change(tx.state(), caller, given(&input.$name))?;
                let holder = $read(tx.state(), caller, given(&input.$name))?;
                holder.put(tx, caller, given(&input.policy_name), document)?;
                Ok(Self::Output {})
            }
        }

        command!(
            $delete,
            |$ask, input| {
                let $of = given(&input.$name);
                $changed
            },
            |tx, caller, input| {
                let change: fn(&State, &Caller, &str) -> Result<(), Self::Error> = $change;
                change(tx.state(), caller, given(&input.$name))?;
                let holder = $read(tx.state(), caller, given(&input.$name))?;
                holder.delete(tx, caller, given(&input.policy_name))?;
                Ok(Self::Output {})
            }
        );

        query!(
            $get,
            |$ask, input| {
                let $of = given(&input.$name);
                $asked
            },
            |state, caller, input| {
                let holder = $read(state, caller, given(&input.$name))?;
                let policy = holder.get(state, caller, given(&input.policy_name))?;
                Ok($get_answer {
                    policy_document: documents::shown(policy.document.text()),
                    policy_name: input.policy_name,
                    $name: input.$name,
                })
            }
        );

        list!(
            $list,
            |$ask, input| {
                let $of = given(&input.$name);
                $asked
            },
            |state, caller, input, page| {
                let holder = $read(state, caller, given(&input.$name))?;
                // Names that differ by their case alone are two names here.
                let place = |name: &String| format!("{} {name}", name.to_ascii_lowercase());
                let paged = page.fill(holder.names(state, caller), place);
                Ok($list_answer {
                    policy_names: Some(paged.items),
                    is_truncated: paged.is_truncated,
                    marker: paged.marker,
                })
            }
        );
    };
}

inline! {
    user_name: |_, _, _| Ok(()), user, |ask, name| ask.bounded_user(Some(name)), ask.user(Some(name));
    PutUserPolicy, DeleteUserPolicy, GetUserPolicy: GetUserPolicyResponse,
    ListUserPolicies: ListUserPoliciesResponse
}

inline! {
    group_name: |_, _, _| Ok(()), group, |ask, name| ask.group(name), ask.group(name);
    PutGroupPolicy, DeleteGroupPolicy, GetGroupPolicy: GetGroupPolicyResponse,
    ListGroupPolicies: ListGroupPoliciesResponse
}

inline! {
    role_name: |state, caller, name| find::own_role(state, caller, name).map(|_| ()), role,
    |ask, name| ask.bounded_role(name), ask.role(name);
    PutRolePolicy, DeleteRolePolicy, GetRolePolicy: GetRolePolicyResponse,
    ListRolePolicies: ListRolePoliciesResponse
}

//! Who calls, as policies see him, with the policies that decide about him.

use std::sync::Arc;

use longshore_api::PrincipalKind;
use longshore_policy::{Asker, Policy, Who};
use longshore_service::Caller;
use longshore_state::State;
use longshore_tables_iam::record::{Own, Role, User};
use longshore_tables_iam::{Held, IamState, Realm, arn};

/// Somebody whose rights come from policies.
pub struct Holder<'s> {
    pub who: Who,
    /// His record, which has his tags; `None` of whoever is not there any more.
    pub own: Option<&'s Own>,
    pub identity: Vec<&'s Policy>,
    pub boundary: Option<&'s Policy>,
}

impl<'s> Holder<'s> {
    /// `None`: the caller has all rights in the account (identity J1).
    pub fn of(state: &'s State, caller: &Caller) -> Option<Self> {
        let realm = state.iam().realm(caller.scope.account);
        match caller.kind {
            PrincipalKind::Root | PrincipalKind::Guest => None,
            PrincipalKind::User => match find_user(realm, caller) {
                Found::Is(user) => Some(Self::user(realm, caller, user)),
                Found::WasDeleted => Some(Self::nobody(caller, gone_user(caller))),
                Found::IsOnlyInAFile => None,
            },
            PrincipalKind::Session => Some(match find_role(realm, caller) {
                Some(role) => Self::session(realm, caller, role),
                None => Self::nobody(caller, gone_session(caller)),
            }),
            // An operation for everybody asks for nothing.
            PrincipalKind::Anonymous => Some(Self::nobody(caller, Asker::Anonymous)),
        }
    }

    /// An account's root, or a guest who stands for it: without policies of its own, and bound by those of resources alone.
    pub fn root(caller: &Caller) -> Self {
        Self::nobody(caller, Asker::Root)
    }

    fn user(realm: &'s Realm, caller: &Caller, user: &'s User) -> Self {
        let Held { identity, boundary } = realm.layers_of_user(user);
        let Own { id, name, path, .. } = &user.own;
        let (partition, account) = (caller.scope.partition(), caller.scope.account);
        let arn = arn::of(partition, account, "user", path, name);
        let who = Who { account: account.to_string(), asker: Asker::User { arn, id: id.to_string() } };
        Self { who, own: Some(&user.own), identity, boundary }
    }

    fn session(realm: &'s Realm, caller: &Caller, role: &'s Role) -> Self {
        let Held { identity, boundary } = realm.layers_of_role(role);
        let Own { id, name, path, .. } = &role.own;
        let (partition, account) = (caller.scope.partition(), caller.scope.account);
        let asker = Asker::Session {
            arn: caller.principal.to_string(),
            role_arn: arn::of(partition, account, "role", path, name),
            role_id: id.to_string(),
        };
        Self { who: Who { account: account.to_string(), asker }, own: Some(&role.own), identity, boundary }
    }

    /// Without policies, and so without rights: who was deleted while his call was on its way, or did not sign it.
    fn nobody(caller: &Caller, asker: Asker) -> Self {
        let who = Who { account: caller.scope.account.to_string(), asker };
        Self { who, own: None, identity: Vec::new(), boundary: None }
    }
}

enum Found<'s> {
    Is(&'s Arc<User>),
    /// Since the signature was verified.
    WasDeleted,
    /// His key is of `--keys`, and IAM knows nobody of his name.
    IsOnlyInAFile,
}

fn find_user<'s>(realm: &'s Realm, caller: &Caller) -> Found<'s> {
    match &caller.id {
        Some(id) => realm.users().get(id).map_or(Found::WasDeleted, Found::Is),
        None => realm.users().named(&caller.name).map_or(Found::IsOnlyInAFile, Found::Is),
    }
}

fn gone_user(caller: &Caller) -> Asker {
    let id = caller.id.as_deref().unwrap_or_default().to_owned();
    Asker::User { arn: caller.principal.to_string(), id }
}

fn gone_session(caller: &Caller) -> Asker {
    let arn = caller.principal.to_string();
    Asker::Session { arn, role_arn: String::new(), role_id: String::new() }
}

/// A session is called `ROLE/SESSION`.
fn find_role<'s>(realm: &'s Realm, caller: &Caller) -> Option<&'s Arc<Role>> {
    let name = caller.name.split('/').next().unwrap_or_default();
    realm.roles().named(name)
}

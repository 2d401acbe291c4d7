//! Who calls, as policies see him, with the policies that decide about him.

use std::sync::Arc;

use longshore_api::{PrincipalKind, SessionSource};
use longshore_policy::{Asker, Policy, Who};
use longshore_service::Caller;
use longshore_state::State;
use longshore_tables_iam::record::{Own, Role, User};
use longshore_tables_iam::{Held, IamState, Realm, arn, aws};

/// Somebody whose rights come from policies.
pub struct Holder<'s> {
    pub who: Who,
    /// His record, which has his tags; `None` of whoever is not there any more.
    pub own: Option<&'s Own>,
    pub identity: Vec<&'s Policy>,
    pub boundary: Option<&'s Policy>,
    /// The policies of his session; `None` of whoever's session has none, or who has no session.
    pub session: Option<Vec<&'s Policy>>,
}

impl<'s> Holder<'s> {
    /// `None`: the caller has all rights in the account (identity J1).
    pub fn of(state: &'s State, caller: &'s Caller) -> Option<Self> {
        let realm = state.iam().realm(caller.scope.account);
        let holder = match caller.kind {
            PrincipalKind::Root | PrincipalKind::Guest => return None,
            PrincipalKind::User => match find_user(realm, caller) {
                Found::Is(user) => Self::user(realm, caller, user),
                Found::WasDeleted => Self::nobody(caller, gone_user(caller)),
                Found::IsTheAccount => Self::account(caller),
                Found::IsOnlyInAFile => return None,
            },
            PrincipalKind::Session => match caller.id.as_deref().and_then(|id| realm.roles().get(id)) {
                Some(role) => Self::session(realm, caller, role),
                None => Self::nobody(caller, gone_session(caller)),
            },
            // Asked about elsewhere, and in no policy.
            PrincipalKind::Instance => Self::nobody(caller, Asker::Anonymous),
            // An operation for everybody asks for nothing.
            PrincipalKind::Anonymous => Self::nobody(caller, Asker::Anonymous),
        };
        Some(holder.limited(state, caller))
    }

    /// An account's root, or a guest who stands for it: without policies of its own, and bound by those of resources alone.
    pub fn root(caller: &Caller) -> Self {
        Self::nobody(caller, Asker::Root)
    }

    fn user(realm: &'s Realm, caller: &Caller, user: &'s User) -> Self {
        let Held { identity, boundary } = realm.layers_of_user(user);
        let Own { id, name, path, .. } = &user.own;
        let (partition, account) = (caller.scope.partition(), caller.scope.account);
        let asker = match is_federated(caller) {
            true => federated(caller),
            false => Asker::User { arn: arn::of(partition, account, "user", path, name), id: id.to_string() },
        };
        Self { who: who(caller, asker), own: Some(&user.own), identity, boundary, session: None }
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
        Self { who: who(caller, asker), own: Some(&role.own), identity, boundary, session: None }
    }

    /// Federation by the account itself: everything, as far as the session's policies go.
    fn account(caller: &Caller) -> Self {
        let everything = aws::policy("AdministratorAccess").map(|policy| policy.document.policy());
        Self { identity: everything.into_iter().collect(), ..Self::nobody(caller, federated(caller)) }
    }

    /// Without policies, and so without rights: who was deleted while his call was on its way, or did not sign it.
    fn nobody(caller: &Caller, asker: Asker) -> Self {
        Self { who: who(caller, asker), own: None, identity: Vec::new(), boundary: None, session: None }
    }

    fn limited(mut self, state: &'s State, caller: &'s Caller) -> Self {
        let Some(limits) = caller.session.as_ref().and_then(|session| session.limits.as_ref()) else {
            return self;
        };
        let (partition, account) = (caller.scope.partition(), caller.scope.account);
        let managed = limits.managed.iter().filter_map(|named| {
            let policy = state.iam().policy_named(partition, account, named)?;
            Some(state.iam().realm(account).document(&policy)?.policy())
        });
        self.session = Some(limits.inline.as_deref().into_iter().chain(managed).collect());
        self
    }
}

fn who(caller: &Caller, asker: Asker) -> Who {
    Who { account: caller.scope.account.to_string(), asker }
}

fn is_federated(caller: &Caller) -> bool {
    caller.session.as_ref().is_some_and(|session| session.source == SessionSource::Federation)
}

/// A federated user stands beside the users of IAM: a resource's policy names his own ARN.
fn federated(caller: &Caller) -> Asker {
    let name = caller.principal.rsplit('/').next().unwrap_or_default();
    Asker::User { arn: caller.principal.to_string(), id: format!("{}:{name}", caller.scope.account) }
}

enum Found<'s> {
    Is(&'s Arc<User>),
    /// Since the signature was verified.
    WasDeleted,
    /// Federation by the account itself.
    IsTheAccount,
    /// His key is of `--keys`, and IAM knows nobody of his name.
    IsOnlyInAFile,
}

fn find_user<'s>(realm: &'s Realm, caller: &Caller) -> Found<'s> {
    match &caller.id {
        Some(id) => realm.users().get(id).map_or(Found::WasDeleted, Found::Is),
        None if is_federated(caller) => Found::IsTheAccount,
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

//! What a caller needs permission for, per operation of IAM itself.
//!
//! [`of`] an operation gives its questions. What is there is named by its ARN with its path, as policies name it; what is not
//! there, as if it were in `/`; a denial calls either by the name alone, as AWS does (`role web`), so that nobody learns
//! from it which of them it was. A policy of AWS belongs to nobody; who may attach it is asked of the caller's account.

use longshore_domain::tags::Tags;
use longshore_service::{Access, Caller, Resources};
use longshore_shapes_iam::Tag;
use longshore_state::State;
use longshore_tables_iam::arn::{self, IamArn};
use longshore_tables_iam::record::{Grants, Own, PolicyRef};
use longshore_wire::OperationShape;

use super::{find, shape, tags};

/// The questions of one call.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub state: &'a State,
    pub caller: &'a Caller,
    operation: &'static str,
}

/// The questions of a call of the operation `O`.
pub(super) fn of<'a, O: OperationShape>(state: &'a State, caller: &'a Caller) -> Ask<'a> {
    Ask { state, caller, operation: O::NAME }
}

/// An action on what an ARN of IAM names, for whoever asks about it from elsewhere.
pub(crate) fn on_arn(state: &State, caller: &Caller, action: &str, named: &str) -> Access {
    let mut access = Access::new(action, named, caller);
    let Some(arn) = IamArn::parse(named) else { return access };
    if arn.account == arn::AWS {
        access.owner = caller.scope.account;
        return access;
    }
    let realm = find::realm(state, caller);
    let own = match arn.kind {
        "user" => realm.users().named(arn.name).map(|user| &user.own),
        "role" => realm.roles().named(arn.name).map(|role| &role.own),
        "policy" => realm.policies().named(arn.name).map(|policy| &policy.own),
        "instance-profile" => realm.profiles().named(arn.name).map(|profile| &profile.own),
        _other => None,
    };
    with_tags(access, own.map(|own| &own.tags))
}

impl Ask<'_> {
    /// An action that has no resource.
    pub fn on_all(self) -> Access {
        self.on("*")
    }

    /// One question: the caller does the operation to `resource`.
    pub fn on(self, resource: impl Into<String>) -> Access {
        Access::new(format!("iam:{}", self.operation), resource, self.caller)
    }

    /// On the user; on the caller himself if none is named.
    pub fn user(self, named: Option<&str>) -> Access {
        match find::user_name(self.caller, named) {
            Some(name) => {
                let user = find::realm(self.state, self.caller).users().named(name);
                self.owned("user", "/", name, user.map(|user| &user.own)).shown_as(format!("user {name}"))
            }
            None => self.on(&*self.caller.principal),
        }
    }

    pub fn named_user(self, name: &str) -> Access {
        self.user(Some(name))
    }

    pub fn group(self, name: &str) -> Access {
        let group = find::realm(self.state, self.caller).groups().named(name);
        self.owned("group", "/", name, group.map(|group| &group.own)).shown_as(format!("group {name}"))
    }

    pub fn role(self, name: &str) -> Access {
        let role = find::realm(self.state, self.caller).roles().named(name);
        self.owned("role", "/", name, role.map(|role| &role.own)).shown_as(format!("role {name}"))
    }

    pub fn profile(self, name: &str) -> Access {
        let profile = find::realm(self.state, self.caller).profiles().named(name);
        self.owned("instance-profile", "/", name, profile.map(|profile| &profile.own))
            .shown_as(format!("instance profile {name}"))
    }

    /// On something that is made: `path` is the one that it is to have.
    pub fn new_one(self, kind: &str, path: Option<&str>, name: &str) -> Access {
        self.owned(kind, path.unwrap_or("/"), name, None)
    }

    /// On a managed policy by its ARN.
    pub fn policy(self, named: &str) -> Access {
        let own = match find::policy_ref(self.state, self.caller, named) {
            Some(PolicyRef::Own(id)) => find::realm(self.state, self.caller).policies().get(&id),
            Some(PolicyRef::Aws(_)) | None => None,
        };
        let mut access = with_tags(self.on(named), own.map(|policy| &policy.own.tags));
        if IamArn::parse(named).is_some_and(|arn| arn.account == arn::AWS) {
            access.owner = self.caller.scope.account;
        }
        access
    }

    /// On an OpenID Connect provider by its ARN.
    pub fn provider(self, named: &str) -> Access {
        let id = named.split_once(":oidc-provider/").map(|(_, id)| id);
        let own = id.and_then(|id| find::realm(self.state, self.caller).provider(id));
        with_tags(self.on(named), own.map(|provider| &provider.tags))
    }

    /// On all of a kind below a path.
    pub fn below(self, kind: &str, prefix: Option<&str>) -> Access {
        let (partition, account) = (self.caller.scope.partition(), self.caller.scope.account);
        self.on(arn::of(partition, account, kind, prefix.unwrap_or("/"), ""))
    }

    /// The boundary that a user has, as `iam:PermissionsBoundary`.
    pub fn bounded_user(self, named: Option<&str>) -> Access {
        let user = find::user_name(self.caller, named)
            .and_then(|name| find::realm(self.state, self.caller).users().named(name));
        self.bounded(self.user(named), user.map(|user| &user.grants))
    }

    /// The boundary that a role has.
    pub fn bounded_role(self, name: &str) -> Access {
        let role = find::realm(self.state, self.caller).roles().named(name);
        self.bounded(self.role(name), role.map(|role| &role.grants))
    }

    /// Something is made with tags: tagging it needs permission as well.
    pub fn tagging(self, access: Access, action: &str, given: &Option<Vec<Tag>>) -> Resources {
        // What cannot be read is refused before anybody is asked, by those that parse it; the rest has no tags.
        let Ok(given) = tags::parse(given.clone()) else { return access.into() };
        if given.is_empty() {
            return access.into();
        }
        let tag = Access { action: format!("iam:{action}"), ..access.clone() };
        Resources::from(with_request_tags(access, &given)).and([with_request_tags(tag, &given)])
    }

    fn bounded(self, access: Access, grants: Option<&Grants>) -> Access {
        match grants.and_then(|grants| grants.boundary.as_ref()) {
            Some(boundary) => {
                let arn = shape::policy_arn(self.state, self.caller, boundary);
                access.with("iam:PermissionsBoundary", arn)
            }
            None => access,
        }
    }

    fn owned(self, kind: &str, path: &str, name: &str, own: Option<&Own>) -> Access {
        let path = own.map_or(path, |own| &own.path);
        let (partition, account) = (self.caller.scope.partition(), self.caller.scope.account);
        with_tags(self.on(arn::of(partition, account, kind, path, name)), own.map(|own| &own.tags))
    }
}

/// What is asked for has keys of its own.
pub(super) trait Keys: Sized {
    fn maybe(self, key: &'static str, value: Option<&String>) -> Self;

    fn tags(self, given: &Option<Vec<Tag>>) -> Self;

    fn tag_keys(self, given: &Option<Vec<String>>) -> Self;
}

impl Keys for Access {
    fn maybe(self, key: &'static str, value: Option<&String>) -> Self {
        match value {
            Some(value) => self.with(key, value.clone()),
            None => self,
        }
    }

    fn tags(self, given: &Option<Vec<Tag>>) -> Self {
        match tags::parse(given.clone()) {
            Ok(given) if !given.is_empty() => with_request_tags(self, &given),
            Ok(_) | Err(_) => self,
        }
    }

    fn tag_keys(self, given: &Option<Vec<String>>) -> Self {
        self.with_all("aws:TagKeys", given.iter().flatten().cloned())
    }
}

fn with_tags(mut access: Access, own: Option<&Tags>) -> Access {
    for (key, value) in own.into_iter().flatten() {
        access = access
            .with(format!("aws:ResourceTag/{key}"), value.clone())
            .with(format!("iam:ResourceTag/{key}"), value.clone());
    }
    access
}

fn with_request_tags(mut access: Access, given: &Tags) -> Access {
    for (key, value) in given {
        access = access.with(format!("aws:RequestTag/{key}"), value.clone());
    }
    access.with_all("aws:TagKeys", given.keys().cloned())
}

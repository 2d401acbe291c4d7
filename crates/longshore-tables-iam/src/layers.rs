//! What decides about a principal: its policies, borrowed from the tables (identity J6).

use std::sync::{Arc, LazyLock};

use longshore_base::{AccountId, Partition};
use longshore_policy::Policy;

use crate::arn::{self, IamArn};
use crate::aws;
use crate::key::Id;
use crate::record::{Grants, IdentityPolicy, PolicyRef, Role, User};
use crate::tables::{IamTables, Realm};

/// The policies of a user or a role.
#[derive(Clone, Debug)]
pub struct Held<'a> {
    /// Its own, and those of its groups.
    pub identity: Vec<&'a Policy>,
    pub boundary: Option<&'a Policy>,
}

/// Where one of somebody's policies comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// Written into the user, the group or the role with this id.
    Inline {
        holder: &'a Id,
        name: &'a str,
    },
    Managed(&'a PolicyRef),
}

/// What a boundary allows that is not there: nothing. It cannot be deleted while it is one.
static NOTHING: LazyLock<Policy> = LazyLock::new(|| Policy { statements: Vec::new() });

impl IamTables {
    /// The managed policy that an ARN names, as far as `account` may use it: one of AWS, or one of its own.
    pub fn policy_named(&self, partition: Partition, account: AccountId, named: &str) -> Option<PolicyRef> {
        let arn = IamArn::parse(named).filter(|arn| arn.kind == "policy")?;
        if arn.partition != partition.as_str() {
            return None;
        }
        if arn.account == arn::AWS {
            let policy = aws::policy(arn.name).filter(|policy| policy.path == arn.path)?;
            return Some(PolicyRef::Aws(policy.name.into()));
        }
        arn.account_id().filter(|own| *own == account)?;
        let policy = self.realm_of(account)?.policies().named(arn.name)?;
        (*policy.own.path == *arn.path).then(|| PolicyRef::Own(policy.own.id.clone()))
    }

    /// The role that an ARN names exactly, with its path, in whatever account.
    pub fn role_named(&self, partition: Partition, named: &str) -> Option<(AccountId, &Arc<Role>)> {
        let arn = IamArn::parse(named).filter(|arn| arn.kind == "role")?;
        if arn.partition != partition.as_str() {
            return None;
        }
        let account = arn.account_id()?;
        let role = self.realm_of(account)?.roles().named(arn.name)?;
        (*role.own.path == *arn.path).then_some((account, role))
    }

    /// What decides about a user; `None` if there is none of this name.
    pub fn layers_of_user(&self, account: AccountId, name: &str) -> Option<Held<'_>> {
        let realm = self.realm_of(account)?;
        Some(realm.layers_of_user(realm.users().named(name)?))
    }

    /// What decides about the sessions of a role; `None` if there is none with this id. Sessions name it, so that they end
    /// with their role.
    pub fn layers_of_role(&self, account: AccountId, id: &str) -> Option<Held<'_>> {
        let realm = self.realm_of(account)?;
        Some(realm.layers_of_role(realm.roles().get(id)?))
    }
}

impl Realm {
    pub fn layers_of_user<'a>(&'a self, user: &'a User) -> Held<'a> {
        let mut identity = Vec::with_capacity(8);
        self.policies_of_user(user, &mut |_, policy| identity.push(policy.policy()));
        Held { identity, boundary: self.boundary(&user.grants) }
    }

    pub fn layers_of_role<'a>(&'a self, role: &'a Role) -> Held<'a> {
        let mut identity = Vec::with_capacity(8);
        self.policies_of_role(role, &mut |_, policy| identity.push(policy.policy()));
        Held { identity, boundary: self.boundary(&role.grants) }
    }

    /// Shows each policy of a user and of its groups.
    pub fn policies_of_user<'a>(
        &'a self,
        user: &'a User,
        see: &mut dyn FnMut(Source<'a>, &'a IdentityPolicy),
    ) {
        self.policies_of(&user.own.id, &user.grants, see);
        for group in user.groups.iter().filter_map(|id| self.groups().get(id)) {
            self.policies_of(&group.own.id, &group.grants, see);
        }
    }

    /// Shows each policy of a role.
    pub fn policies_of_role<'a>(
        &'a self,
        role: &'a Role,
        see: &mut dyn FnMut(Source<'a>, &'a IdentityPolicy),
    ) {
        self.policies_of(&role.own.id, &role.grants, see);
    }

    /// Shows each policy of a user, a group or a role by itself.
    pub fn policies_of<'a>(
        &'a self,
        holder: &'a Id,
        grants: &'a Grants,
        see: &mut dyn FnMut(Source<'a>, &'a IdentityPolicy),
    ) {
        for (name, policy) in self.inline_of(holder) {
            see(Source::Inline { holder, name }, &policy.document);
        }
        for policy in &grants.attached {
            if let Some(document) = self.document(policy) {
                see(Source::Managed(policy), document);
            }
        }
    }

    /// The version of a managed policy that counts.
    pub fn document(&self, policy: &PolicyRef) -> Option<&IdentityPolicy> {
        match policy {
            PolicyRef::Aws(name) => aws::policy(name).map(|policy| &policy.document),
            PolicyRef::Own(id) => {
                let policy = self.policies().get(id)?;
                self.version(id, policy.default_version).map(|version| &version.document)
            }
        }
    }

    fn boundary<'a>(&'a self, grants: &Grants) -> Option<&'a Policy> {
        let boundary = grants.boundary.as_ref()?;
        Some(self.document(boundary).map_or(&NOTHING, |document| document.policy()))
    }
}

//! Where IAM's records are in memory, with every index over them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use longshore_base::{AccountId, Timestamp};
use longshore_state::{Hints, Kinds, Records, Tables};

use crate::key::Id;
use crate::record::{
    AccessKey, AccountSettings, DeletionTask, Group, InlinePolicy, InstanceProfile, LoginProfile,
    ManagedPolicy, OidcProvider, PolicyRef, PolicyVersion, Role, User,
};

mod check;
mod index;
mod keep;
mod named;

pub use index::Attachments;
pub use named::Named;

use index::Index;

/// All accounts.
#[derive(Debug, Default)]
pub struct IamTables {
    realms: BTreeMap<AccountId, Realm>,
    /// Derived: whose each access key is. Ids are unique over all accounts.
    keys: BTreeMap<Id, AccountId>,
    /// Derived: whose each alias is. They are unique over all accounts, too.
    aliases: BTreeMap<Arc<str>, AccountId>,
    /// What the process says of itself, and no record.
    has_guests: bool,
}

/// The IAM of one account.
#[derive(Debug, Default)]
pub struct Realm {
    users: Named<User>,
    groups: Named<Group>,
    roles: Named<Role>,
    policies: Named<ManagedPolicy>,
    profiles: Named<InstanceProfile>,
    access_keys: BTreeMap<Id, Arc<AccessKey>>,
    /// By the id of their holder, and their name. In two steps, so that a look-up makes no key.
    inline: BTreeMap<Id, BTreeMap<Arc<str>, Arc<InlinePolicy>>>,
    /// By the id of their policy, and their number.
    versions: BTreeMap<Id, BTreeMap<u32, Arc<PolicyVersion>>>,
    providers: BTreeMap<Id, Arc<OidcProvider>>,
    /// By the user's id.
    logins: BTreeMap<Id, Arc<LoginProfile>>,
    deletions: BTreeMap<Id, Arc<DeletionTask>>,
    settings: Option<Arc<AccountSettings>>,
    /// Derived.
    index: Index,
}

/// Of an account without any record.
static NOTHING: std::sync::LazyLock<Realm> = std::sync::LazyLock::new(Realm::default);

impl IamTables {
    /// Whether this is a server in open mode: a task whose role nobody has made runs all the same, with a guest's rights
    /// (identity J1).
    pub fn has_guests(&self) -> bool {
        self.has_guests
    }

    /// Says so, once, when the server starts.
    pub fn allow_guests(&mut self) {
        self.has_guests = true;
    }

    /// The IAM of an account; an empty one if it has no record.
    pub fn realm(&self, account: AccountId) -> &Realm {
        self.realms.get(&account).unwrap_or(&NOTHING)
    }

    /// `None` if the account has no record.
    pub fn realm_of(&self, account: AccountId) -> Option<&Realm> {
        self.realms.get(&account)
    }

    pub fn realms(&self) -> impl Iterator<Item = (AccountId, &Realm)> {
        self.realms.iter().map(|(account, realm)| (*account, realm))
    }

    /// The access key with this id, in whatever account it is.
    pub fn access_key(&self, id: &str) -> Option<(AccountId, &Arc<AccessKey>)> {
        let account = *self.keys.get(id)?;
        Some((account, self.realms.get(&account)?.access_keys.get(id)?))
    }

    /// Whose alias this is.
    pub fn account_of_alias(&self, alias: &str) -> Option<AccountId> {
        self.aliases.get(alias).copied()
    }
}

impl Realm {
    pub fn users(&self) -> &Named<User> {
        &self.users
    }

    pub fn groups(&self) -> &Named<Group> {
        &self.groups
    }

    pub fn roles(&self) -> &Named<Role> {
        &self.roles
    }

    pub fn policies(&self) -> &Named<ManagedPolicy> {
        &self.policies
    }

    pub fn profiles(&self) -> &Named<InstanceProfile> {
        &self.profiles
    }

    pub fn access_key(&self, id: &str) -> Option<&Arc<AccessKey>> {
        self.access_keys.get(id)
    }

    pub fn access_keys(&self) -> &BTreeMap<Id, Arc<AccessKey>> {
        &self.access_keys
    }

    /// The ids of a user's access keys.
    pub fn keys_of<'a>(&'a self, user: &str) -> impl Iterator<Item = (&'a Id, &'a Arc<AccessKey>)> + use<'a> {
        let ids = self.index.keys.get(user).into_iter().flatten();
        ids.filter_map(|id| Some((id, self.access_keys.get(id)?)))
    }

    pub fn inline(&self, holder: &str, name: &str) -> Option<&Arc<InlinePolicy>> {
        self.inline.get(holder)?.get(name)
    }

    /// The policies written into a user, a group or a role, by name.
    pub fn inline_of<'a>(
        &'a self,
        holder: &str,
    ) -> impl Iterator<Item = (&'a Arc<str>, &'a Arc<InlinePolicy>)> + use<'a> {
        self.inline.get(holder).into_iter().flatten()
    }

    pub fn version(&self, policy: &str, number: u32) -> Option<&Arc<PolicyVersion>> {
        self.versions.get(policy)?.get(&number)
    }

    /// The versions of a managed policy, by number.
    pub fn versions_of<'a>(
        &'a self,
        policy: &str,
    ) -> impl DoubleEndedIterator<Item = (u32, &'a Arc<PolicyVersion>)> + use<'a> {
        let versions = self.versions.get(policy).into_iter().flatten();
        versions.map(|(number, version)| (*number, version))
    }

    pub fn provider(&self, id: &str) -> Option<&Arc<OidcProvider>> {
        self.providers.get(id)
    }

    pub fn providers(&self) -> &BTreeMap<Id, Arc<OidcProvider>> {
        &self.providers
    }

    pub fn login(&self, user: &str) -> Option<&Arc<LoginProfile>> {
        self.logins.get(user)
    }

    /// By the user's id.
    pub fn logins(&self) -> &BTreeMap<Id, Arc<LoginProfile>> {
        &self.logins
    }

    pub fn deletion(&self, role_name: &str) -> Option<&Arc<DeletionTask>> {
        self.deletions.get(role_name)
    }

    pub fn settings(&self) -> Option<&Arc<AccountSettings>> {
        self.settings.as_ref()
    }

    /// The users in a group, by their ids.
    pub fn members<'a>(&'a self, group: &str) -> impl Iterator<Item = &'a Arc<User>> + use<'a> {
        self.index.members.get(group).into_iter().flatten().filter_map(|id| self.users.get(id))
    }

    /// Who has a managed policy, and whose boundary it is.
    pub fn attachments(&self, policy: &PolicyRef) -> Option<&Attachments> {
        self.index.attachments.get(policy)
    }

    /// The instance profiles that a role is in, by their ids.
    pub fn profiles_of<'a>(&'a self, role: &str) -> impl Iterator<Item = &'a Arc<InstanceProfile>> + use<'a> {
        self.index.profiles.get(role).into_iter().flatten().filter_map(|id| self.profiles.get(id))
    }

    fn is_empty(&self) -> bool {
        self.users.is_empty()
            && self.groups.is_empty()
            && self.roles.is_empty()
            && self.policies.is_empty()
            && self.profiles.is_empty()
            && self.access_keys.is_empty()
            && self.inline.is_empty()
            && self.versions.is_empty()
            && self.providers.is_empty()
            && self.logins.is_empty()
            && self.deletions.is_empty()
            && self.settings.is_none()
    }
}

/// A set of ids.
type Ids = BTreeSet<Id>;

impl Tables for IamTables {
    const DOMAIN: &'static str = "iam";

    fn new(_now: Timestamp) -> Self {
        Self::default()
    }

    fn kinds() -> Kinds<Self> {
        Kinds::new()
            .with::<AccessKey>()
            .with::<AccountSettings>()
            .with::<DeletionTask>()
            .with::<Group>()
            .with::<InlinePolicy>()
            .with::<InstanceProfile>()
            .with::<LoginProfile>()
            .with::<ManagedPolicy>()
            .with::<OidcProvider>()
            .with::<PolicyVersion>()
            .with::<Role>()
            .with::<User>()
    }

    fn records(&self, records: &mut Records) {
        check::records(self, records);
    }

    fn compare(&self, fresh: &Self) -> Vec<String> {
        check::compare(self, fresh)
    }

    /// Nobody waits for IAM: whoever decides looks at what is so when he decides.
    fn all_hints(&self, _hints: &mut Hints) {}
}

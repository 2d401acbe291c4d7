//! Where EC2's records are in memory.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use longshore_base::{Scope, Timestamp};
use longshore_state::{Hints, Keep, Kinds, Record, Records, Tables};

use crate::defaults;
use crate::key::{Id, OwnKey, RealmKey, VersionKey};
use crate::record::{
    DhcpOptions, InternetGateway, KeyPair, LaunchTemplate, NetworkAcl, RouteTable, Rule, SecurityGroup,
    Settled, Subnet, TemplateVersion, Vpc,
};

/// All accounts in all regions.
#[derive(Debug, Default)]
pub struct Ec2Tables {
    realms: BTreeMap<Scope, Realm>,
}

/// What one account has in one region, by id.
#[derive(Clone, Debug, Default)]
pub struct Realm {
    settled: Option<Arc<Settled>>,
    pub(crate) vpcs: BTreeMap<Id, Arc<Vpc>>,
    pub(crate) subnets: BTreeMap<Id, Arc<Subnet>>,
    pub(crate) groups: BTreeMap<Id, Arc<SecurityGroup>>,
    pub(crate) gateways: BTreeMap<Id, Arc<InternetGateway>>,
    pub(crate) tables: BTreeMap<Id, Arc<RouteTable>>,
    pub(crate) acls: BTreeMap<Id, Arc<NetworkAcl>>,
    pub(crate) dhcp_options: BTreeMap<Id, Arc<DhcpOptions>>,
    keys: BTreeMap<Id, Arc<KeyPair>>,
    templates: BTreeMap<Id, Arc<LaunchTemplate>>,
    /// By template and number.
    versions: BTreeMap<Id, BTreeMap<u32, Arc<TemplateVersion>>>,
}

/// A realm as it is: of records, or derived because nobody has changed anything in it.
#[derive(Debug)]
pub enum View<'a> {
    Kept(&'a Realm),
    Derived(Box<Realm>),
}

impl Deref for View<'_> {
    type Target = Realm;

    fn deref(&self) -> &Realm {
        match self {
            Self::Kept(realm) => realm,
            Self::Derived(realm) => realm,
        }
    }
}

impl Ec2Tables {
    /// Every version of every launch template there is a record of.
    pub fn template_versions(&self) -> impl Iterator<Item = (&Scope, &Id, u32, &Arc<TemplateVersion>)> {
        self.realms.iter().flat_map(|(scope, realm)| {
            realm.versions.iter().flat_map(move |(template, own)| {
                own.iter().map(move |(number, version)| (scope, template, *number, version))
            })
        })
    }

    /// A version of a launch template, by the template's id.
    pub fn template_version(
        &self,
        scope: &Scope,
        template: &str,
        number: u32,
    ) -> Option<&Arc<TemplateVersion>> {
        self.realms.get(scope)?.versions.get(template)?.get(&number)
    }

    /// What an account has in a region.
    pub fn realm(&self, scope: &Scope) -> View<'_> {
        match self.realms.get(scope) {
            Some(realm) => View::Kept(realm),
            None => View::Derived(Box::new(defaults::realm(scope))),
        }
    }

    /// Whether everything that the realm has is in records.
    pub fn is_settled(&self, scope: &Scope) -> bool {
        self.realms.contains_key(scope)
    }

    /// Those that are settled.
    pub fn realms(&self) -> impl Iterator<Item = (&Scope, &Realm)> {
        self.realms.iter()
    }
}

macro_rules! by_id {
    ($($(#[$meta:meta])* $table:ident of $record:ty,)*) => {
        impl Realm {
            $(
                $(#[$meta])*
                pub fn $table(&self) -> &BTreeMap<Id, Arc<$record>> {
                    &self.$table
                }
            )*
        }
    };
}

by_id! {
    vpcs of Vpc,
    subnets of Subnet,
    groups of SecurityGroup,
    gateways of InternetGateway,
    tables of RouteTable,
    acls of NetworkAcl,
    dhcp_options of DhcpOptions,
    keys of KeyPair,
    templates of LaunchTemplate,
}

impl Realm {
    pub fn default_vpc(&self) -> Option<(&Id, &Arc<Vpc>)> {
        self.vpcs.iter().find(|(_, vpc)| vpc.is_default)
    }

    /// The group of this name in a VPC.
    pub fn group_named(&self, vpc: &str, name: &str) -> Option<(&Id, &Arc<SecurityGroup>)> {
        self.groups.iter().find(|(_, group)| *group.vpc == *vpc && *group.name == *name)
    }

    /// The rule with this id, and the id of its group.
    pub fn rule(&self, id: &str) -> Option<(&Id, &Rule)> {
        self.groups.iter().find_map(|(group, record)| {
            let rule = record.rules.iter().find(|rule| *rule.id == *id)?;
            Some((group, rule))
        })
    }

    /// The route table that has the association with this id beside the main one of a VPC.
    pub fn table_of_association(&self, id: &str) -> Option<(&Id, &Arc<RouteTable>)> {
        self.tables.iter().find(|(_, table)| table.subnets.contains_key(id))
    }

    /// The VPC whose main route table is associated under this id.
    pub fn vpc_of_association(&self, id: &str) -> Option<(&Id, &Arc<Vpc>)> {
        self.vpcs.iter().find(|(_, vpc)| *vpc.main_association == *id)
    }

    /// The route table of its own that a subnet has, and the association.
    pub fn association_of(&self, subnet: &str) -> Option<(&Id, &Id)> {
        self.tables.iter().find_map(|(table, record)| {
            let (association, _) = record.subnets.iter().find(|(_, own)| ***own == *subnet)?;
            Some((table, association))
        })
    }

    /// The gateway that is attached to a VPC.
    pub fn gateway_of(&self, vpc: &str) -> Option<(&Id, &Arc<InternetGateway>)> {
        self.gateways.iter().find(|(_, gateway)| gateway.vpc.as_deref() == Some(vpc))
    }

    /// The network ACL that came with a VPC.
    pub fn acl_of(&self, vpc: &str) -> Option<(&Id, &Arc<NetworkAcl>)> {
        self.acls.iter().find(|(_, acl)| *acl.vpc == *vpc)
    }

    pub fn key_named(&self, name: &str) -> Option<(&Id, &Arc<KeyPair>)> {
        self.keys.iter().find(|(_, key)| *key.name == *name)
    }

    pub fn template_named(&self, name: &str) -> Option<(&Id, &Arc<LaunchTemplate>)> {
        self.templates.iter().find(|(_, template)| *template.name == *name)
    }

    /// The versions of a launch template, by number.
    pub fn versions_of<'a>(
        &'a self,
        template: &str,
    ) -> impl DoubleEndedIterator<Item = (u32, &'a Arc<TemplateVersion>)> + use<'a> {
        let versions = self.versions.get(template).into_iter().flatten();
        versions.map(|(number, version)| (*number, version))
    }

    fn is_empty(&self) -> bool {
        let Self {
            settled,
            vpcs,
            subnets,
            groups,
            gateways,
            tables,
            acls,
            dhcp_options,
            keys,
            templates,
            versions,
        } = self;
        settled.is_none()
            && vpcs.is_empty()
            && subnets.is_empty()
            && groups.is_empty()
            && gateways.is_empty()
            && tables.is_empty()
            && acls.is_empty()
            && dhcp_options.is_empty()
            && keys.is_empty()
            && templates.is_empty()
            && versions.is_empty()
    }
}

impl Ec2Tables {
    /// Changes something in a realm, which is forgotten when it has no record left.
    fn change<T>(&mut self, scope: &Scope, change: impl FnOnce(&mut Realm) -> T) -> T {
        let realm = self.realms.entry(scope.clone()).or_default();
        let changed = change(realm);
        if realm.is_empty() {
            self.realms.remove(scope);
        }
        changed
    }
}

macro_rules! keep {
    ($($record:ident in $table:ident,)*) => {$(
        impl Keep<$record> for Ec2Tables {
            fn replace(&mut self, key: &OwnKey, new: Option<Arc<$record>>, _: &mut Hints) -> Option<Arc<$record>> {
                self.change(&key.scope, |realm| match new {
                    Some(new) => realm.$table.insert(key.id.clone(), new),
                    None => realm.$table.remove(&key.id),
                })
            }
        }
    )*};
}

keep! {
    Vpc in vpcs,
    Subnet in subnets,
    SecurityGroup in groups,
    InternetGateway in gateways,
    RouteTable in tables,
    NetworkAcl in acls,
    DhcpOptions in dhcp_options,
    KeyPair in keys,
    LaunchTemplate in templates,
}

impl Keep<Settled> for Ec2Tables {
    fn replace(&mut self, key: &RealmKey, new: Option<Arc<Settled>>, _: &mut Hints) -> Option<Arc<Settled>> {
        self.change(&key.0, |realm| std::mem::replace(&mut realm.settled, new))
    }
}

impl Keep<TemplateVersion> for Ec2Tables {
    fn replace(
        &mut self,
        key: &VersionKey,
        new: Option<Arc<TemplateVersion>>,
        _: &mut Hints,
    ) -> Option<Arc<TemplateVersion>> {
        self.change(&key.scope, |realm| {
            let own = realm.versions.entry(key.template.clone()).or_default();
            let old = match new {
                Some(new) => own.insert(key.number, new),
                None => own.remove(&key.number),
            };
            if own.is_empty() {
                realm.versions.remove(&key.template);
            }
            old
        })
    }
}

impl Tables for Ec2Tables {
    const DOMAIN: &'static str = "ec2";

    fn new(_now: Timestamp) -> Self {
        Self::default()
    }

    fn kinds() -> Kinds<Self> {
        Kinds::new()
            .with::<DhcpOptions>()
            .with::<InternetGateway>()
            .with::<KeyPair>()
            .with::<LaunchTemplate>()
            .with::<NetworkAcl>()
            .with::<RouteTable>()
            .with::<SecurityGroup>()
            .with::<Settled>()
            .with::<Subnet>()
            .with::<TemplateVersion>()
            .with::<Vpc>()
    }

    fn records(&self, records: &mut Records) {
        for (scope, realm) in &self.realms {
            if let Some(settled) = &realm.settled {
                records.insert::<Settled>(RealmKey(scope.clone()), settled.clone());
            }
            all(scope, &realm.vpcs, records);
            all(scope, &realm.subnets, records);
            all(scope, &realm.groups, records);
            all(scope, &realm.gateways, records);
            all(scope, &realm.tables, records);
            all(scope, &realm.acls, records);
            all(scope, &realm.dhcp_options, records);
            all(scope, &realm.keys, records);
            all(scope, &realm.templates, records);
        }
        for (scope, template, number, version) in self.template_versions() {
            let key = VersionKey::new(scope, template, number);
            records.insert::<TemplateVersion>(key, version.clone());
        }
    }

    /// Nothing is derived but which realms there are.
    fn compare(&self, fresh: &Self) -> Vec<String> {
        let own: Vec<_> = self.realms.keys().collect();
        let should: Vec<_> = fresh.realms.keys().collect();
        if own == should { Vec::new() } else { vec![format!("realms: are {own:?}, should be {should:?}")] }
    }

    /// Nobody waits for EC2.
    fn all_hints(&self, _hints: &mut Hints) {}
}

fn all<R: Record<Key = OwnKey>>(scope: &Scope, own: &BTreeMap<Id, Arc<R>>, records: &mut Records) {
    for (id, record) in own {
        records.insert::<R>(OwnKey::new(scope, id), record.clone());
    }
}

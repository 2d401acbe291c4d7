//! Who refers to what, the other way round.

use std::collections::BTreeMap;

use super::Ids;
use crate::key::Id;
use crate::record::{AccessKey, Grants, Group, InstanceProfile, PolicyRef, Role, User};

/// What is derived of the references in records. Without empty sets, so that equal records give equal indexes.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Index {
    /// The users of each group.
    pub members: BTreeMap<Id, Ids>,
    pub attachments: BTreeMap<PolicyRef, Attachments>,
    /// The instance profiles of each role.
    pub profiles: BTreeMap<Id, Ids>,
    /// The access keys of each user.
    pub keys: BTreeMap<Id, Ids>,
}

/// Who has a managed policy: ids of users, groups and roles.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attachments {
    pub attached: Ids,
    /// Whose boundary it is.
    pub bounded: Ids,
}

impl Attachments {
    pub fn is_empty(&self) -> bool {
        self.attached.is_empty() && self.bounded.is_empty()
    }
}

/// A reference of a record.
pub(super) enum Link<'a> {
    Member { group: &'a Id, user: &'a Id },
    Attached { policy: &'a PolicyRef, holder: &'a Id },
    Bounded { policy: &'a PolicyRef, holder: &'a Id },
    InProfile { role: &'a Id, profile: &'a Id },
    Key { user: &'a Id, key: &'a Id },
}

/// What refers to others.
pub(super) trait Links {
    /// Shows each reference of the record with this id.
    fn links(&self, id: &Id, see: &mut dyn FnMut(Link<'_>));
}

impl Grants {
    fn links(&self, holder: &Id, see: &mut dyn FnMut(Link<'_>)) {
        self.attached.iter().for_each(|policy| see(Link::Attached { policy, holder }));
        self.boundary.iter().for_each(|policy| see(Link::Bounded { policy, holder }));
    }
}

impl Links for User {
    fn links(&self, id: &Id, see: &mut dyn FnMut(Link<'_>)) {
        self.grants.links(id, see);
        self.groups.iter().for_each(|group| see(Link::Member { group, user: id }));
    }
}

impl Links for Group {
    fn links(&self, id: &Id, see: &mut dyn FnMut(Link<'_>)) {
        self.grants.links(id, see);
    }
}

impl Links for Role {
    fn links(&self, id: &Id, see: &mut dyn FnMut(Link<'_>)) {
        self.grants.links(id, see);
    }
}

impl Links for InstanceProfile {
    fn links(&self, id: &Id, see: &mut dyn FnMut(Link<'_>)) {
        self.role.iter().for_each(|role| see(Link::InProfile { role, profile: id }));
    }
}

impl Links for AccessKey {
    fn links(&self, id: &Id, see: &mut dyn FnMut(Link<'_>)) {
        see(Link::Key { user: &self.user, key: id });
    }
}

impl Index {
    /// Follows a record from what it was to what it is.
    pub fn follow<R: Links>(&mut self, id: &Id, old: Option<&R>, new: Option<&R>) {
        if let Some(old) = old {
            old.links(id, &mut |link| self.change(&link, false));
        }
        if let Some(new) = new {
            new.links(id, &mut |link| self.change(&link, true));
        }
    }

    fn change(&mut self, link: &Link<'_>, add: bool) {
        match *link {
            Link::Member { group, user } => change(&mut self.members, group, user, add),
            Link::InProfile { role, profile } => change(&mut self.profiles, role, profile, add),
            Link::Key { user, key } => change(&mut self.keys, user, key, add),
            Link::Attached { policy, holder } => {
                self.attachment(policy, |own| set(&mut own.attached, holder, add))
            }
            Link::Bounded { policy, holder } => {
                self.attachment(policy, |own| set(&mut own.bounded, holder, add))
            }
        }
    }

    fn attachment(&mut self, policy: &PolicyRef, change: impl FnOnce(&mut Attachments)) {
        let own = self.attachments.entry(policy.clone()).or_default();
        change(own);
        if own.is_empty() {
            self.attachments.remove(policy);
        }
    }
}

fn change(index: &mut BTreeMap<Id, Ids>, of: &Id, id: &Id, add: bool) {
    let own = index.entry(of.clone()).or_default();
    set(own, id, add);
    if own.is_empty() {
        index.remove(of);
    }
}

fn set(ids: &mut Ids, id: &Id, add: bool) {
    if add {
        ids.insert(id.clone());
    } else {
        ids.remove(id);
    }
}

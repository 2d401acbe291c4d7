//! What a caller needs permission for, per operation of EC2 (identity J7).
//!
//! [`of`] an operation gives its questions. Actions that list have no resource. What is named by its id is asked about by
//! that id, whether it is there or not; what is there brings its VPC and its tags as condition keys. What is named by
//! something else than the id of its ARN is called `…/*` in a denial, so that nobody learns from it what is there.

use longshore_domain::tags::Tags;
use longshore_service::{Access, Caller, Resources};
use longshore_shapes_ec2::{Tag, TagSpecification};
use longshore_state::State;
use longshore_tables_ec2::{Realm, View};
use longshore_wire::OperationShape;

use crate::{find, tags};

/// The kinds of resources, as ARNs have them.
pub(crate) mod kind {
    pub const VPC: &str = "vpc";
    pub const SUBNET: &str = "subnet";
    pub const GROUP: &str = "security-group";
    pub const RULE: &str = "security-group-rule";
    pub const GATEWAY: &str = "internet-gateway";
    pub const TABLE: &str = "route-table";
    pub const ACL: &str = "network-acl";
    pub const DHCP_OPTIONS: &str = "dhcp-options";
    pub const KEY_PAIR: &str = "key-pair";
    pub const TEMPLATE: &str = "launch-template";
    pub const INTERFACE: &str = "network-interface";
    pub const INSTANCE: &str = "instance";
}

/// The questions of one call.
pub(crate) struct Ask<'a> {
    realm: View<'a>,
    caller: &'a Caller,
    operation: &'static str,
}

/// The questions of a call of the operation `O`.
pub(crate) fn of<'a, O: OperationShape>(state: &'a State, caller: &'a Caller) -> Ask<'a> {
    Ask { realm: find::realm(state, caller), caller, operation: O::NAME }
}

/// The ARN of something in the caller's account and region.
pub(crate) fn arn(caller: &Caller, kind: &str, id: &str) -> String {
    let scope = &caller.scope;
    format!("arn:{}:ec2:{}:{}:{kind}/{id}", scope.partition().as_str(), scope.region, scope.account)
}

impl Ask<'_> {
    pub fn realm(&self) -> &Realm {
        &self.realm
    }

    /// An action that has no resource.
    pub fn on_all(&self) -> Access {
        self.region(Access::new(self.action(), "*", self.caller))
    }

    /// On something by its id.
    pub fn on(&self, kind: &'static str, id: &str) -> Access {
        let mut access = self.region(Access::new(self.action(), arn(self.caller, kind, id), self.caller));
        if let Some((vpc, own)) = about(&self.realm, kind, id) {
            if let Some(vpc) = vpc {
                access = access.with("ec2:Vpc", arn(self.caller, kind::VPC, &vpc));
            }
            for (key, value) in own {
                access = access
                    .with(format!("aws:ResourceTag/{key}"), value.clone())
                    .with(format!("ec2:ResourceTag/{key}"), value.clone());
            }
        }
        access
    }

    /// On something that was found by another name than its id; `None` if it was not found.
    pub fn found(&self, kind: &'static str, id: Option<&str>) -> Access {
        self.on(kind, id.unwrap_or("*")).shown_as(arn(self.caller, kind, "*"))
    }

    /// Something is made, with tags that need permission as well.
    pub fn new_one(&self, kind: &'static str, specified: &Option<Vec<TagSpecification>>) -> Resources {
        self.tagged(self.on(kind, "*"), specified)
    }

    /// The same in a VPC; `None` for one that is not there.
    pub fn new_in(
        &self,
        kind: &'static str,
        vpc: Option<&str>,
        specified: &Option<Vec<TagSpecification>>,
    ) -> Resources {
        let access = self.on(kind, "*");
        let access = match vpc {
            Some(vpc) => access.with("ec2:Vpc", arn(self.caller, kind::VPC, vpc)),
            None => access,
        };
        self.tagged(access, specified)
    }

    /// The same, as it is asked about already.
    pub fn tagged(&self, access: Access, specified: &Option<Vec<TagSpecification>>) -> Resources {
        let given: Vec<Tag> =
            specified.iter().flatten().flat_map(|own| own.tags.iter().flatten()).cloned().collect();
        // What cannot be read is refused before anything is done.
        let Ok(given) = tags::parse(&given) else { return access.into() };
        if given.is_empty() {
            return access.into();
        }
        let tag = Access { action: "ec2:CreateTags".to_owned(), ..access.clone() };
        let tag = tag.with("ec2:CreateAction", self.operation);
        Resources::from(with_request_tags(access, &given)).and([with_request_tags(tag, &given)])
    }

    /// A security group by its id, or by its name.
    pub fn group(&self, id: Option<&str>, name: Option<&str>) -> Access {
        match id {
            Some(id) => self.on(kind::GROUP, id),
            None => {
                let found = find::group_of(&self.realm, None, name).ok();
                self.found(kind::GROUP, found.map(|(id, _)| &**id))
            }
        }
    }

    /// A launch template by its id, or by its name.
    pub fn template(&self, id: Option<&str>, name: Option<&str>) -> Access {
        match id {
            Some(id) => self.on(kind::TEMPLATE, id),
            None => {
                let found = find::template(&self.realm, None, name).ok();
                self.found(kind::TEMPLATE, found.map(|(id, _)| &**id))
            }
        }
    }

    fn action(&self) -> String {
        format!("ec2:{}", self.operation)
    }

    fn region(&self, access: Access) -> Access {
        access.with("ec2:Region", self.caller.scope.region.as_str())
    }
}

/// What is asked for has keys of its own.
pub(crate) trait Keys: Sized {
    fn tags(self, given: &Option<Vec<Tag>>) -> Self;

    fn tag_keys(self, given: &Option<Vec<Tag>>) -> Self;
}

impl Keys for Access {
    fn tags(self, given: &Option<Vec<Tag>>) -> Self {
        match tags::parse(given.as_deref().unwrap_or_default()) {
            Ok(given) if !given.is_empty() => with_request_tags(self, &given),
            Ok(_) | Err(_) => self,
        }
    }

    fn tag_keys(self, given: &Option<Vec<Tag>>) -> Self {
        self.with_all("aws:TagKeys", given.iter().flatten().filter_map(|tag| tag.key.clone()))
    }
}

fn with_request_tags(mut access: Access, given: &Tags) -> Access {
    for (key, value) in given {
        access = access.with(format!("aws:RequestTag/{key}"), value.clone());
    }
    access.with_all("aws:TagKeys", given.keys().cloned())
}

/// The VPC that something belongs to, and its tags.
fn about(realm: &Realm, kind: &'static str, id: &str) -> Option<(Option<String>, Tags)> {
    macro_rules! own {
        ($table:ident) => {
            realm.$table().get(id).map(|own| (Some(own.vpc.to_string()), own.tags.clone()))
        };
    }
    match kind {
        kind::VPC => realm.vpcs().get(id).map(|own| (Some(id.to_owned()), own.tags.clone())),
        kind::SUBNET => own!(subnets),
        kind::GROUP => own!(groups),
        kind::TABLE => own!(tables),
        kind::ACL => own!(acls),
        kind::RULE => realm.rule(id).map(|(group, rule)| {
            let vpc = realm.groups().get(group).map(|group| group.vpc.to_string());
            (vpc, rule.tags.clone())
        }),
        kind::GATEWAY => realm.gateways().get(id).map(|own| (None, own.tags.clone())),
        kind::DHCP_OPTIONS => realm.dhcp_options().get(id).map(|own| (None, own.tags.clone())),
        kind::KEY_PAIR => realm.key_named(id).map(|(_, own)| (None, own.tags.clone())),
        kind::TEMPLATE => realm.templates().get(id).map(|own| (None, own.tags.clone())),
        _other => None,
    }
}

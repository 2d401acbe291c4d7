//! Network interfaces: those of ECS tasks in awsvpc mode, which are all that there are.
//!
//! An interface has the address that its machine gave it, whether or not that lies in the subnet that the task names: an
//! address that is shown answers (elb H15). There is no public one. ECS's tables have an index of them
//! ([`longshore_tables_ecs::Interfaces`]), so that a list by id, address, subnet or group, and whether a subnet or group is in
//! use, cost what they find and not what there is. Whoever brings interfaces of another kind adds them to [`candidates`],
//! [`by_subnet`] and [`use_group`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use longshore_base::{ClusterName, Scope, Timestamp};
use longshore_domain::{TaskStatus, interface};
use longshore_service::Caller;
use longshore_shapes_ec2::{
    self as shapes, AttachmentStatus, GroupIdentifier, NetworkInterfaceAttachment,
    NetworkInterfacePrivateIpAddress, NetworkInterfaceStatus, NetworkInterfaceType, Tag,
};
use longshore_shapes_ecs::NetworkConfiguration;
use longshore_state::State;
use longshore_tables_ec2::ids::{self, prefix};
use longshore_tables_ec2::{Ec2State, Realm, defaults};
use longshore_tables_ecs::record::{Document, Origin, Task};
use longshore_tables_ecs::{ClusterKey, EcsState, TaskAt};
use longshore_wire::json;

use crate::filters::{Filterable, Filters, Texts, each, never, one, shown};
use crate::{errors, find, zones};

/// Who makes the interfaces of tasks, as AWS calls it: an account of its own.
const REQUESTER: &str = "578734482556";

/// A network interface that is in use.
#[derive(Clone, Debug)]
pub struct Interface {
    pub id: Arc<str>,
    pub address: Ipv4Addr,
    /// There may be none of this id.
    pub subnet: Option<Arc<str>>,
    /// The same. Empty: the default group of the subnet's VPC.
    pub groups: Arc<[Arc<str>]>,
    pub zone: Option<Arc<str>>,
    pub description: String,
    pub status: NetworkInterfaceStatus,
    pub attachment: AttachmentStatus,
    /// Of the machine, where it is the caller's.
    pub instance: Option<Arc<str>>,
    pub since: Timestamp,
}

/// What a network configuration asks for.
#[derive(Clone, Default)]
struct Asked {
    /// The first subnet: what is shown of a task of which it is not noted in which one it is.
    subnet: Option<Arc<str>>,
    groups: Arc<[Arc<str>]>,
}

impl Asked {
    fn read(network: Option<&Document>) -> Self {
        let Some(document) = network else { return Self::default() };
        let read: Result<NetworkConfiguration, _> = json::from_slice(document.as_bytes());
        let read = read.inspect_err(|error| {
            tracing::error!(error = error as &dyn std::error::Error, "a stored document cannot be read");
        });
        let Some(asked) = read.ok().and_then(|network| network.awsvpc_configuration) else {
            return Self::default();
        };
        let subnet = asked.subnets.into_iter().flatten().next().map(Into::into);
        Self { subnet, groups: asked.security_groups.into_iter().flatten().map(Into::into).collect() }
    }
}

/// The interfaces of tasks that asked for the same and are in the same subnet. There are as many of these as there are
/// services and kinds of calls, not as many as tasks.
struct Alike<'s> {
    subnet: Option<Arc<str>>,
    groups: Arc<[Arc<str>]>,
    tasks: &'s BTreeSet<TaskAt>,
}

fn alike<'s>(state: &'s State, scope: &Scope) -> impl Iterator<Item = Alike<'s>> + use<'s> {
    let realm = state.ecs().realm(scope);
    realm.into_iter().flat_map(|realm| realm.interfaces().by_wish()).map(|(wish, tasks)| {
        let asked = Asked::read(wish.network.as_ref());
        Alike { subnet: wish.subnet.clone().or(asked.subnet), groups: asked.groups, tasks }
    })
}

impl Alike<'_> {
    /// Without a group of their own they are in the default one of their subnet's VPC.
    fn are_in(&self, realm: &Realm, group: &str) -> bool {
        if !self.groups.is_empty() {
            return self.groups.iter().any(|own| **own == *group);
        }
        let vpc = self.subnet.as_ref().and_then(|id| realm.subnets().get(id)).map(|own| &own.vpc);
        let default = vpc.and_then(|vpc| realm.group_named(vpc, defaults::GROUP_NAME));
        default.is_some_and(|(id, _)| **id == *group)
    }
}

/// How many interfaces are said to be in each subnet, whether there is such a subnet or not.
pub(crate) fn by_subnet(state: &State, scope: &Scope) -> BTreeMap<Arc<str>, u64> {
    let mut counts = BTreeMap::new();
    for own in alike(state, scope) {
        if let Some(subnet) = own.subnet {
            *counts.entry(subnet).or_insert(0) += own.tasks.len() as u64;
        }
    }
    counts
}

/// Whether an interface is in this group.
pub(crate) fn use_group(state: &State, scope: &Scope, group: &str) -> bool {
    let realm = state.ec2().realm(scope);
    alike(state, scope).any(|own| own.are_in(&realm, group))
}

/// The tasks whose interfaces a list can be about: found by what it names exactly, if there is an index of that; else all.
/// More than those that are asked for may be among them.
fn candidates<'s>(
    state: &'s State,
    scope: &Scope,
    ids: &Option<Vec<String>>,
    filters: &Filters<shapes::NetworkInterface>,
) -> Vec<&'s TaskAt> {
    let Some(realm) = state.ecs().realm(scope) else { return Vec::new() };
    let own = realm.interfaces();
    let ids = ids.clone().filter(|ids| !ids.is_empty()).or_else(|| filters.exactly("network-interface-id"));
    if let Some(ids) = ids {
        return each_once(ids.iter().filter_map(|id| own.by_id(id)));
    }
    let addresses = ["private-ip-address", "addresses.private-ip-address"];
    if let Some(texts) = addresses.iter().find_map(|name| filters.exactly(name)) {
        let addresses = texts.iter().filter_map(|text| text.parse().ok());
        return each_once(addresses.flat_map(|address| own.by_address(address)));
    }
    if let Some(ids) = filters.exactly("subnet-id") {
        let is_asked =
            |own: &Alike<'_>| own.subnet.as_ref().is_some_and(|own| ids.iter().any(|id| **id == **own));
        return alike(state, scope).filter(is_asked).flat_map(|own| own.tasks).collect();
    }
    if let Some(ids) = filters.exactly("group-id") {
        let realm = state.ec2().realm(scope);
        let is_asked = |own: &Alike<'_>| ids.iter().any(|id| own.are_in(&realm, id));
        return alike(state, scope).filter(is_asked).flat_map(|own| own.tasks).collect();
    }
    own.all().collect()
}

fn each_once<'s>(tasks: impl Iterator<Item = &'s TaskAt>) -> Vec<&'s TaskAt> {
    tasks.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The interfaces of these tasks.
fn of<'s>(state: &'s State, scope: &Scope, tasks: impl IntoIterator<Item = &'s TaskAt>) -> Vec<Interface> {
    // Thousands of tasks come from one origin, whose document is read once.
    let mut read: BTreeMap<*const Origin, Asked> = BTreeMap::new();
    let mut at = ClusterKey::new(scope.clone(), ClusterName::default_cluster());
    let found = tasks.into_iter().filter_map(|own| {
        if at.cluster != own.cluster {
            at = ClusterKey::new(scope.clone(), own.cluster.clone());
        }
        let task = state.ecs().task(&at, own.task).filter(|task| is_there(task.last_status))?;
        let origin = &task.origin;
        let asked = read.entry(Arc::as_ptr(origin)).or_insert_with(|| Asked::read(origin.network.as_ref()));
        of_task(state, &at, task, asked)
    });
    found.collect()
}

/// An interface is planned until its agent has made it, and is gone with its task.
fn is_there(status: TaskStatus) -> bool {
    match status {
        TaskStatus::Provisioning | TaskStatus::Stopped => false,
        TaskStatus::Pending
        | TaskStatus::Activating
        | TaskStatus::Running
        | TaskStatus::Deactivating
        | TaskStatus::Stopping
        | TaskStatus::Deprovisioning => true,
    }
}

fn of_task(state: &State, at: &ClusterKey, task: &Task, asked: &Asked) -> Option<Interface> {
    let own = task.interface.as_ref()?;
    let attachment = match task.last_status {
        TaskStatus::Provisioning | TaskStatus::Pending => AttachmentStatus::Attaching,
        TaskStatus::Activating | TaskStatus::Running | TaskStatus::Deactivating | TaskStatus::Stopping => {
            AttachmentStatus::Attached
        }
        TaskStatus::Deprovisioning => AttachmentStatus::Detaching,
        TaskStatus::Stopped => AttachmentStatus::Detached,
    };
    // Machines of the Fargate pool are nobody's.
    let host = task.instance.filter(|_| !task.is_pooled());
    let instance = host.and_then(|id| Some(&state.ecs().cluster(at)?.instance(id)?.record));
    Some(Interface {
        id: own.id.clone(),
        address: own.address,
        subnet: own.subnet.clone().or_else(|| asked.subnet.clone()),
        groups: asked.groups.clone(),
        zone: task.shown_zone().cloned(),
        description: at.scope.attachment_arn(&at.cluster, &own.attachment),
        status: match attachment {
            AttachmentStatus::Detaching => NetworkInterfaceStatus::Detaching,
            AttachmentStatus::Attaching
            | AttachmentStatus::Attached
            | AttachmentStatus::Detached
            | AttachmentStatus::Unrecognized(_) => NetworkInterfaceStatus::InUse,
        },
        attachment,
        instance: instance.map(|record| record.ec2_instance_id.clone()),
        since: task.created_at,
    })
}

/// An interface as it is shown.
fn shape(caller: &Caller, realm: &Realm, own: &Interface) -> shapes::NetworkInterface {
    let scope = &caller.scope;
    let subnet = own.subnet.as_ref().and_then(|id| realm.subnets().get(id));
    let name = interface::private_dns_name(&scope.region, own.address);
    let default = subnet.filter(|_| own.groups.is_empty());
    let default = default.and_then(|subnet| realm.group_named(&subnet.vpc, defaults::GROUP_NAME));
    let groups = own.groups.iter().chain(default.map(|(id, _)| id)).map(|id| GroupIdentifier {
        group_id: Some(id.to_string()),
        group_name: realm.groups().get(id).map(|group| group.name.to_string()),
    });
    let account = scope.account.to_string();
    let attachment = NetworkInterfaceAttachment {
        attach_time: Some(own.since),
        attachment_id: Some(ids::derived(prefix::ATTACHMENT, &own.id).to_string()),
        delete_on_termination: Some(false),
        device_index: Some(1),
        instance_id: own.instance.as_ref().map(ToString::to_string),
        instance_owner_id: Some(
            own.instance.as_ref().map_or_else(|| REQUESTER.to_owned(), |_| account.clone()),
        ),
        network_card_index: Some(0),
        status: Some(own.attachment.clone()),
        ..NetworkInterfaceAttachment::default()
    };
    shapes::NetworkInterface {
        attachment: Some(attachment),
        availability_zone: own.zone.as_ref().map(ToString::to_string),
        availability_zone_id: own.zone.as_ref().and_then(|zone| zones::id(&scope.region, zone)),
        description: Some(own.description.clone()),
        groups: Some(groups.collect()),
        interface_type: Some(NetworkInterfaceType::Interface),
        ipv6_addresses: Some(Vec::new()),
        mac_address: Some(interface::mac(own.address)),
        network_interface_id: Some(own.id.to_string()),
        owner_id: Some(account),
        private_dns_name: Some(name.clone()),
        private_ip_address: Some(own.address.to_string()),
        private_ip_addresses: Some(vec![NetworkInterfacePrivateIpAddress {
            primary: Some(true),
            private_dns_name: Some(name),
            private_ip_address: Some(own.address.to_string()),
            ..NetworkInterfacePrivateIpAddress::default()
        }]),
        requester_id: Some(REQUESTER.to_owned()),
        requester_managed: Some(true),
        source_dest_check: Some(true),
        status: Some(own.status.clone()),
        subnet_id: own.subnet.as_ref().map(ToString::to_string),
        tag_set: Some(Vec::new()),
        vpc_id: subnet.map(|subnet| subnet.vpc.to_string()),
        ..shapes::NetworkInterface::default()
    }
}

fn attachment(own: &shapes::NetworkInterface) -> Option<&NetworkInterfaceAttachment> {
    own.attachment.as_ref()
}

impl Filterable for shapes::NetworkInterface {
    const FILTERS: &'static [(&'static str, Texts<Self>)] = &[
        ("addresses.association.owner-id", never),
        ("addresses.association.public-ip", never),
        ("addresses.primary", |own| {
            own.private_ip_addresses.iter().flatten().flat_map(|address| shown(address.primary)).collect()
        }),
        ("addresses.private-ip-address", |own| {
            each(&own.private_ip_addresses, |address| address.private_ip_address.as_ref())
        }),
        ("association.allocation-id", never),
        ("association.association-id", never),
        ("association.carrier-ip", never),
        ("association.customer-owned-ip", never),
        ("association.ip-owner-id", never),
        ("association.public-dns-name", never),
        ("association.public-ip", never),
        ("attachment.attach-time", |own| {
            shown(attachment(own).and_then(|own| own.attach_time).map(longshore_wire::iso8601))
        }),
        ("attachment.attachment-id", |own| one(attachment(own).and_then(|own| own.attachment_id.as_ref()))),
        ("attachment.delete-on-termination", |own| {
            shown(attachment(own).and_then(|own| own.delete_on_termination))
        }),
        ("attachment.device-index", |own| shown(attachment(own).and_then(|own| own.device_index))),
        ("attachment.instance-id", |own| one(attachment(own).and_then(|own| own.instance_id.as_ref()))),
        ("attachment.instance-owner-id", |own| {
            one(attachment(own).and_then(|own| own.instance_owner_id.as_ref()))
        }),
        ("attachment.nat-gateway-id", never),
        ("attachment.status", |own| {
            one(attachment(own).and_then(|own| own.status.as_ref()).map(AttachmentStatus::as_str))
        }),
        ("availability-zone", |own| one(own.availability_zone.as_ref())),
        ("availability-zone-id", |own| one(own.availability_zone_id.as_ref())),
        ("description", |own| one(own.description.as_ref())),
        ("group-id", |own| each(&own.groups, |group| group.group_id.as_ref())),
        ("group-name", |own| each(&own.groups, |group| group.group_name.as_ref())),
        ("interface-type", |own| one(own.interface_type.as_ref().map(NetworkInterfaceType::as_str))),
        ("ipv6-addresses.ipv6-address", never),
        ("mac-address", |own| one(own.mac_address.as_ref())),
        ("network-interface-id", |own| one(own.network_interface_id.as_ref())),
        ("operator.managed", |_| vec!["false".to_owned()]),
        ("operator.principal", never),
        ("owner-id", |own| one(own.owner_id.as_ref())),
        ("private-dns-name", |own| one(own.private_dns_name.as_ref())),
        ("private-ip-address", |own| one(own.private_ip_address.as_ref())),
        ("requester-id", |own| one(own.requester_id.as_ref())),
        ("requester-managed", |own| shown(own.requester_managed)),
        ("source-dest-check", |own| shown(own.source_dest_check)),
        ("status", |own| one(own.status.as_ref().map(NetworkInterfaceStatus::as_str))),
        ("subnet-id", |own| one(own.subnet_id.as_ref())),
        ("vpc-id", |own| one(own.vpc_id.as_ref())),
    ];

    fn place(&self) -> String {
        self.network_interface_id.clone().unwrap_or_default()
    }

    fn tags(&self) -> &[Tag] {
        self.tag_set.as_deref().unwrap_or_default()
    }
}

describe!(DescribeNetworkInterfaces as DescribeNetworkInterfacesResult { network_interfaces } of shapes::NetworkInterface,
    not with [network_interface_ids],
    |state, caller, input, filters| {
        let realm = find::realm(state, caller);
        let tasks = candidates(state, &caller.scope, &input.network_interface_ids, filters);
        let all = of(state, &caller.scope, tasks).iter().map(|own| shape(caller, &realm, own)).collect();
        fn id(own: &shapes::NetworkInterface) -> Option<&str> {
            own.network_interface_id.as_deref()
        }
        find::selected(all, &input.network_interface_ids, id, errors::no_interface)
    }
);

//! Network interfaces: those of ECS tasks in awsvpc mode, which are all that there are.
//!
//! An interface has the address that its machine gave it, whether or not that lies in the subnet that the task names: an
//! address that is shown answers (elb H15). There is no public one. Whoever brings interfaces of another kind adds them to
//! [`of`]; subnets and groups ask it what is in use.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use longshore_base::{Scope, Timestamp};
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
use longshore_tables_ecs::record::{Origin, Task};
use longshore_tables_ecs::{ClusterKey, EcsState};
use longshore_wire::json;

use crate::filters::{Filterable, Texts, each, never, one, shown};
use crate::{errors, find, zones};

/// Who makes the interfaces of tasks, as AWS calls it: an account of its own.
const REQUESTER: &str = "578734482556";

/// A network interface that is in use.
#[derive(Clone, Debug)]
pub struct Interface {
    pub id: Arc<str>,
    pub address: Ipv4Addr,
    /// As it was asked for: there may be none of this id.
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

/// What the tasks of one call or deployment have in common.
#[derive(Clone, Default)]
struct Wish {
    subnet: Option<Arc<str>>,
    groups: Arc<[Arc<str>]>,
}

impl Wish {
    fn read(origin: &Origin) -> Self {
        let Some(document) = &origin.network else { return Self::default() };
        let read: Result<NetworkConfiguration, _> = json::from_slice(document.as_bytes());
        let read = read.inspect_err(|error| {
            tracing::error!(error = error as &dyn std::error::Error, "a stored document cannot be read");
        });
        let Some(wish) = read.ok().and_then(|network| network.awsvpc_configuration) else {
            return Self::default();
        };
        // The first subnet: ECS shows that one too.
        let subnet = wish.subnets.into_iter().flatten().next().map(Into::into);
        Self { subnet, groups: wish.security_groups.into_iter().flatten().map(Into::into).collect() }
    }
}

/// Every interface of an account in a region, in no particular order.
pub fn of(state: &State, scope: &Scope) -> Vec<Interface> {
    let mut found = Vec::new();
    each_task(state, scope, |at, task, wish| found.extend(of_task(state, at, task, wish)));
    found
}

/// How many interfaces are said to be in each subnet, whether there is such a subnet or not.
pub(crate) fn by_subnet(state: &State, scope: &Scope) -> BTreeMap<Arc<str>, u64> {
    let mut counts = BTreeMap::new();
    each_task(state, scope, |_, _, wish| {
        if let Some(subnet) = &wish.subnet {
            *counts.entry(subnet.clone()).or_insert(0) += 1;
        }
    });
    counts
}

/// Whether an interface is in this group of this VPC.
pub(crate) fn use_group(state: &State, scope: &Scope, group: &str) -> bool {
    let realm = state.ec2().realm(scope);
    let default_of = |subnet: Option<&Arc<str>>| {
        let vpc = &realm.subnets().get(subnet?)?.vpc;
        realm.group_named(vpc, defaults::GROUP_NAME).map(|(id, _)| id.clone())
    };
    let mut is_used = false;
    each_task(state, scope, |_, _, wish| {
        is_used |= wish.groups.iter().any(|own| **own == *group)
            || wish.groups.is_empty() && default_of(wish.subnet.as_ref()).as_deref() == Some(group);
    });
    is_used
}

/// Shows each task that has an interface now, with what it was asked for.
fn each_task(state: &State, scope: &Scope, mut see: impl FnMut(&ClusterKey, &Task, &Wish)) {
    // Thousands of tasks come from one origin, whose document is read once.
    let mut wishes: BTreeMap<*const Origin, Wish> = BTreeMap::new();
    for (name, cluster) in state.ecs().realm(scope).into_iter().flat_map(|realm| realm.clusters()) {
        let at = ClusterKey::new(scope.clone(), name.clone());
        for task in cluster.tasks().values() {
            if task.interface.is_none() || !is_there(task.last_status) {
                continue;
            }
            let wish = wishes.entry(Arc::as_ptr(&task.origin)).or_insert_with(|| Wish::read(&task.origin));
            see(&at, task, wish);
        }
    }
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

fn of_task(state: &State, at: &ClusterKey, task: &Task, wish: &Wish) -> Option<Interface> {
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
        subnet: wish.subnet.clone(),
        groups: wish.groups.clone(),
        zone: task.zone.clone(),
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
    |state, caller, input| {
        let realm = find::realm(state, caller);
        let all = of(state, &caller.scope).iter().map(|own| shape(caller, &realm, own)).collect();
        fn id(own: &shapes::NetworkInterface) -> Option<&str> {
            own.network_interface_id.as_deref()
        }
        find::selected(all, &input.network_interface_ids, id, errors::no_interface)
    }
);

//! Instances: the machines of container instances. Longshore starts none of them yet, so that what is known of a machine is
//! what its agent has told ECS; the rest is left out, not made up.

use longshore_domain::InstanceStatus;
use longshore_placement::ZONE_ATTRIBUTE;
use longshore_service::Caller;
use longshore_shapes_ec2::{
    self as shapes, ArchitectureValues, InstanceState, InstanceStateName, Placement, Reservation, Tag,
    Tenancy,
};
use longshore_state::State;
use longshore_tables_ec2::ids::{self, prefix};
use longshore_tables_ecs::record::Instance;
use longshore_tables_ecs::{EcsState, InstanceEntry};

use crate::filters::{Filterable, Texts, never, one, shown};
use crate::{errors, zones};

/// `running` in numbers.
const RUNNING: i32 = 16;

/// What ids of instances begin with. Machines that are not EC2's (`mi-…`) are none.
const INSTANCE: &str = "i-";

/// The value of an attribute that the agent registered.
fn attribute(record: &Instance, name: &str) -> Option<String> {
    let own = record.agent_attributes.iter().find(|own| *own.name == *name)?;
    own.value.as_ref().map(ToString::to_string)
}

fn shape(caller: &Caller, entry: &InstanceEntry) -> Reservation {
    let record = &entry.record;
    let zone = entry.zone().map(ToString::to_string).or_else(|| attribute(record, ZONE_ATTRIBUTE));
    let placement = Placement {
        availability_zone_id: zone.as_ref().and_then(|zone| zones::id(&caller.scope.region, zone)),
        availability_zone: zone,
        tenancy: Some(Tenancy::Default),
        ..Placement::default()
    };
    let instance = shapes::Instance {
        architecture: attribute(record, "ecs.cpu-architecture").map(ArchitectureValues::from),
        image_id: attribute(record, "ecs.ami-id"),
        instance_id: Some(record.ec2_instance_id.to_string()),
        instance_type: attribute(record, "ecs.instance-type"),
        launch_time: Some(record.registered_at),
        placement: Some(placement),
        state: Some(InstanceState { code: Some(RUNNING), name: Some(InstanceStateName::Running) }),
        ..shapes::Instance::default()
    };
    Reservation {
        groups: Some(Vec::new()),
        instances: Some(vec![instance]),
        owner_id: Some(caller.scope.account.to_string()),
        reservation_id: Some(ids::derived(prefix::RESERVATION, &record.ec2_instance_id).to_string()),
        ..Reservation::default()
    }
}

fn all(state: &State, caller: &Caller) -> Vec<Reservation> {
    let clusters = state.ecs().realm(&caller.scope).into_iter().flat_map(|realm| realm.clusters());
    let entries = clusters.flat_map(|(_, cluster)| cluster.instances().values());
    let is_here = |entry: &&InstanceEntry| match entry.record.status {
        InstanceStatus::Registering
        | InstanceStatus::RegistrationFailed
        | InstanceStatus::Active
        | InstanceStatus::Draining
        | InstanceStatus::Deregistering => entry.record.ec2_instance_id.starts_with(INSTANCE),
        InstanceStatus::Inactive => false,
    };
    entries.filter(is_here).map(|entry| shape(caller, entry)).collect()
}

/// A reservation has one instance here.
fn own(reservation: &Reservation) -> Option<&shapes::Instance> {
    reservation.instances.as_ref()?.first()
}

fn id(reservation: &Reservation) -> Option<&str> {
    own(reservation)?.instance_id.as_deref()
}

impl Filterable for Reservation {
    const FILTERS: &'static [(&'static str, Texts<Self>)] = &[
        ("affinity", never),
        ("architecture", |given| {
            one(own(given).and_then(|own| own.architecture.as_ref()).map(ArchitectureValues::as_str))
        }),
        ("availability-zone", |given| {
            one(own(given).and_then(|own| own.placement.as_ref()?.availability_zone.as_ref()))
        }),
        ("availability-zone-id", |given| {
            one(own(given).and_then(|own| own.placement.as_ref()?.availability_zone_id.as_ref()))
        }),
        ("client-token", never),
        ("dns-name", never),
        ("host-id", never),
        ("iam-instance-profile.arn", never),
        ("iam-instance-profile.id", never),
        ("image-id", |given| one(own(given).and_then(|own| own.image_id.as_ref()))),
        ("instance-id", |given| one(id(given))),
        ("instance-lifecycle", never),
        ("instance-state-code", |given| shown(own(given).and_then(|own| own.state.as_ref()?.code))),
        ("instance-state-name", |given| {
            one(own(given).and_then(|own| own.state.as_ref()?.name.as_ref()).map(InstanceStateName::as_str))
        }),
        ("instance-type", |given| one(own(given).and_then(|own| own.instance_type.as_ref()))),
        ("instance.group-id", never),
        ("instance.group-name", never),
        ("ip-address", never),
        ("key-name", never),
        ("launch-time", |given| {
            shown(own(given).and_then(|own| own.launch_time).map(longshore_wire::iso8601))
        }),
        ("network-interface.group-id", never),
        ("network-interface.network-interface-id", never),
        ("network-interface.subnet-id", never),
        ("network-interface.vpc-id", never),
        ("owner-id", |given| one(given.owner_id.as_ref())),
        ("platform", never),
        ("private-dns-name", never),
        ("private-ip-address", never),
        ("reservation-id", |given| one(given.reservation_id.as_ref())),
        ("root-device-type", never),
        ("state-reason-code", never),
        ("subnet-id", never),
        ("tenancy", |_| vec![Tenancy::Default.as_str().to_owned()]),
        ("virtualization-type", never),
        ("vpc-id", never),
    ];

    fn place(&self) -> String {
        id(self).unwrap_or_default().to_owned()
    }

    fn tags(&self) -> &[Tag] {
        own(self).and_then(|own| own.tags.as_deref()).unwrap_or_default()
    }
}

describe!(DescribeInstances as DescribeInstancesResult { reservations } of Reservation, not with [instance_ids],
    |state, caller, input| {
        if let Some(wrong) = input.instance_ids.iter().flatten().find(|id| !id.starts_with(INSTANCE)) {
            return Err(errors::malformed_instance(wrong));
        }
        crate::find::selected(all(state, caller), &input.instance_ids, id, errors::no_instance)
    }
);

//! Instance types: names for an amount of processors and memory. No machine is behind them yet: nothing here starts
//! instances, and an agent's machine is what it is.

use longshore_shapes_ec2::{
    ArchitectureType, InstanceTypeInfo, InstanceTypeOffering, LocationType, MemoryInfo, ProcessorInfo,
    UsageClassType, VCpuInfo,
};

use crate::filters::{Filterable, Texts, each, never, one, shown};
use crate::{errors, find, zones};

/// A type of the table.
struct Type {
    name: String,
    vcpus: i32,
    memory_mib: i64,
    arm: bool,
}

/// Families that give the same memory to each processor, in GiB; and whether these are Arm's.
const FAMILIES: [(&str, i64, bool); 15] = [
    ("c5", 2, false),
    ("c6g", 2, true),
    ("c6i", 2, false),
    ("c7g", 2, true),
    ("c7i", 2, false),
    ("m5", 4, false),
    ("m6g", 4, true),
    ("m6i", 4, false),
    ("m7g", 4, true),
    ("m7i", 4, false),
    ("r5", 8, false),
    ("r6g", 8, true),
    ("r6i", 8, false),
    ("r7g", 8, true),
    ("r7i", 8, false),
];
/// Sizes that all of these have, and their processors.
const SIZES: [(&str, i32); 6] =
    [("large", 2), ("xlarge", 4), ("2xlarge", 8), ("4xlarge", 16), ("8xlarge", 32), ("16xlarge", 64)];
/// The small ones, whose memory does not follow from their processors, in MiB; and whether these are Arm's.
const SMALL_FAMILIES: [(&str, bool); 2] = [("t3", false), ("t4g", true)];
const SMALL_SIZES: [(&str, i32, i64); 7] = [
    ("nano", 2, 512),
    ("micro", 2, 1024),
    ("small", 2, 2048),
    ("medium", 2, 4096),
    ("large", 2, 8192),
    ("xlarge", 4, 16384),
    ("2xlarge", 8, 32768),
];
const MIB_PER_GIB: i64 = 1024;

fn all() -> Vec<Type> {
    let of = |family: &str, size: &str, vcpus: i32, memory_mib: i64, arm: bool| Type {
        name: format!("{family}.{size}"),
        vcpus,
        memory_mib,
        arm,
    };
    let mut types = Vec::new();
    for (family, gib, arm) in FAMILIES {
        // The first families of Intel's have no 8xlarge and 16xlarge of the C kind; they have 9xlarge and 18xlarge.
        let sizes = SIZES.iter().filter(|(_, vcpus)| family != "c5" || *vcpus < 32);
        let of = |(size, vcpus): &(&str, i32)| {
            of(family, size, *vcpus, i64::from(*vcpus) * gib * MIB_PER_GIB, arm)
        };
        types.extend(sizes.map(of));
    }
    for (family, arm) in SMALL_FAMILIES {
        types.extend(SMALL_SIZES.iter().map(|(size, vcpus, memory)| of(family, size, *vcpus, *memory, arm)));
    }
    types
}

fn shape(own: &Type) -> InstanceTypeInfo {
    let architecture = if own.arm { ArchitectureType::Arm64 } else { ArchitectureType::X8664 };
    InstanceTypeInfo {
        bare_metal: Some(false),
        // Credits are nothing that a machine here has.
        burstable_performance_supported: Some(false),
        current_generation: Some(true),
        instance_type: Some(own.name.clone()),
        memory_info: Some(MemoryInfo { size_in_mib: Some(own.memory_mib) }),
        processor_info: Some(ProcessorInfo {
            supported_architectures: Some(vec![architecture]),
            ..ProcessorInfo::default()
        }),
        supported_usage_classes: Some(vec![UsageClassType::OnDemand]),
        v_cpu_info: Some(VCpuInfo { default_v_cpus: Some(own.vcpus), ..VCpuInfo::default() }),
        ..InstanceTypeInfo::default()
    }
}

impl Filterable for InstanceTypeInfo {
    const FILTERS: &'static [(&'static str, Texts<Self>)] = &[
        ("auto-recovery-supported", never),
        ("bare-metal", |own| shown(own.bare_metal)),
        ("burstable-performance-supported", |own| shown(own.burstable_performance_supported)),
        ("current-generation", |own| shown(own.current_generation)),
        ("dedicated-hosts-supported", never),
        ("free-tier-eligible", never),
        ("hibernation-supported", never),
        ("hypervisor", never),
        ("instance-storage-supported", never),
        ("instance-type", |own| one(own.instance_type.as_ref())),
        ("memory-info.size-in-mib", |own| shown(own.memory_info.as_ref().and_then(|own| own.size_in_mib))),
        ("network-info.network-performance", never),
        ("processor-info.supported-architecture", |own| {
            let list = own.processor_info.as_ref().map(|own| own.supported_architectures.clone());
            each(&list.flatten(), |own| Some(own.as_str().to_owned()))
        }),
        ("supported-boot-mode", never),
        ("supported-root-device-type", never),
        ("supported-usage-class", |own| {
            each(&own.supported_usage_classes, |own| Some(own.as_str().to_owned()))
        }),
        ("supported-virtualization-type", never),
        ("vcpu-info.default-vcpus", |own| shown(own.v_cpu_info.as_ref().and_then(|own| own.default_v_cpus))),
    ];
    const PAGE: (i32, i32) = (5, 100);
    const TAGGED: bool = false;

    fn place(&self) -> String {
        self.instance_type.clone().unwrap_or_default()
    }
}

describe!(DescribeInstanceTypes as DescribeInstanceTypesResult { instance_types } of InstanceTypeInfo, not with [],
    |_state, _caller, input| {
        let all = all().iter().map(shape).collect();
        fn name(own: &InstanceTypeInfo) -> Option<&str> {
            own.instance_type.as_deref()
        }
        find::selected(all, &input.instance_types, name, errors::no_instance_type)
    }
);

impl Filterable for InstanceTypeOffering {
    const FILTERS: &'static [(&'static str, Texts<Self>)] = &[
        ("instance-type", |own| one(own.instance_type.as_ref())),
        ("location", |own| one(own.location.as_ref())),
    ];
    const TAGGED: bool = false;

    fn place(&self) -> String {
        let location = self.location.as_deref().unwrap_or_default();
        format!("{} {location}", self.instance_type.as_deref().unwrap_or_default())
    }
}

describe!(
    DescribeInstanceTypeOfferings as DescribeInstanceTypeOfferingsResult { instance_type_offerings } of
    InstanceTypeOffering, not with [],
    |_state, caller, input| {
        let region = &caller.scope.region;
        let kind = input.location_type.clone().unwrap_or(LocationType::Region);
        let locations: Vec<String> = match kind {
            LocationType::Region => vec![region.to_string()],
            LocationType::AvailabilityZone => zones::of(region).into_iter().map(|(name, _)| name).collect(),
            LocationType::AvailabilityZoneId => zones::of(region).into_iter().map(|(_, id)| id).collect(),
            LocationType::Outpost | LocationType::Unrecognized(_) => Vec::new(),
        };
        let mut found = Vec::new();
        for own in all() {
            found.extend(locations.iter().map(|location| InstanceTypeOffering {
                instance_type: Some(own.name.clone()),
                location: Some(location.clone()),
                location_type: Some(kind.clone()),
            }));
        }
        Ok(found)
    }
);

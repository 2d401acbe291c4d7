//! Regions and their zones. Every region has three zones: a region here is a name that a client signs with, and nothing
//! stands in it but what its machines say of themselves.

use longshore_base::{Partition, Region};
use longshore_shapes_ec2::{
    self as shapes, AccountAttribute, AccountAttributeName, AccountAttributeValue, AvailabilityZone,
    AvailabilityZoneOptInStatus, AvailabilityZoneState, DescribeAccountAttributesResult,
};
use longshore_tables_ec2::defaults;

use crate::filters::{Filterable, Texts, never, one};
use crate::{errors, find};

/// Those that an account of AWS has without asking for them, and those of its other partitions.
const REGIONS: [&str; 17] = [
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];
const REGIONS_OF_CHINA: [&str; 2] = ["cn-north-1", "cn-northwest-1"];
const REGIONS_OF_GOVERNMENT: [&str; 2] = ["us-gov-east-1", "us-gov-west-1"];

/// The zones of a region: names, and ids.
pub(crate) fn of(region: &Region) -> Vec<(String, String)> {
    let numbered = defaults::ZONES.into_iter().zip(1..);
    numbered
        .map(|(letter, n)| (defaults::zone(region, letter), format!("{}-az{n}", short(region.as_str()))))
        .collect()
}

/// The id of a zone; `None` for a name that a machine made up.
pub(crate) fn id(region: &Region, zone: &str) -> Option<String> {
    of(region).into_iter().find(|(name, _)| name == zone).map(|(_, id)| id)
}

/// What ids of zones call a region: `euw1` for `eu-west-1`, and the whole name where it is not made like that.
fn short(region: &str) -> String {
    let mut parts: Vec<&str> = region.split('-').collect();
    let number =
        parts.pop().filter(|last| !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()));
    let direction = parts.pop().and_then(|direction| {
        Some(match direction {
            "north" => "n",
            "south" => "s",
            "east" => "e",
            "west" => "w",
            "central" => "c",
            "northeast" => "ne",
            "northwest" => "nw",
            "southeast" => "se",
            "southwest" => "sw",
            _other => return None,
        })
    });
    match (parts.as_slice(), direction, number) {
        ([area], Some(direction), Some(number)) => format!("{area}{direction}{number}"),
        ([area, "gov"], Some(direction), Some(number)) => format!("{area}g{direction}{number}"),
        _other => region.to_owned(),
    }
}

/// Where AWS would answer for a region.
fn endpoint(region: &str, partition: Partition) -> String {
    let domain = match partition {
        Partition::Aws | Partition::AwsUsGov => "amazonaws.com",
        Partition::AwsCn => "amazonaws.com.cn",
    };
    format!("ec2.{region}.{domain}")
}

impl Filterable for AvailabilityZone {
    const FILTERS: &'static [(&'static str, Texts<Self>)] = &[
        ("group-name", |own| one(own.group_name.as_ref())),
        ("group-long-name", never),
        ("message", never),
        ("opt-in-status", |own| one(own.opt_in_status.as_ref().map(AvailabilityZoneOptInStatus::as_str))),
        ("parent-zone-id", never),
        ("parent-zone-name", never),
        ("region-name", |own| one(own.region_name.as_ref())),
        ("state", |own| one(own.state.as_ref().map(AvailabilityZoneState::as_str))),
        ("zone-id", |own| one(own.zone_id.as_ref())),
        ("zone-name", |own| one(own.zone_name.as_ref())),
        ("zone-type", |own| one(own.zone_type.as_ref())),
    ];
    const TAGGED: bool = false;

    fn place(&self) -> String {
        self.zone_name.clone().unwrap_or_default()
    }
}

describe_all!(DescribeAvailabilityZones as DescribeAvailabilityZonesResult { availability_zones } of AvailabilityZone,
    |_state, caller, input| {
        let region = &caller.scope.region;
        let shape = |(name, id): (String, String)| AvailabilityZone {
            group_name: Some(format!("{region}-zg-1")),
            messages: Some(Vec::new()),
            network_border_group: Some(region.to_string()),
            opt_in_status: Some(AvailabilityZoneOptInStatus::OptInNotRequired),
            region_name: Some(region.to_string()),
            state: Some(AvailabilityZoneState::Available),
            zone_id: Some(id),
            zone_name: Some(name),
            zone_type: Some("availability-zone".to_owned()),
            ..AvailabilityZone::default()
        };
        let zones = of(region).into_iter().map(shape).collect();
        let missing = |name: &str| errors::invalid(format!("Invalid availability zone: [{name}]"));
        let zones = find::selected(zones, &input.zone_names, |own: &AvailabilityZone| own.zone_name.as_deref(), missing)?;
        let missing = |id: &str| errors::invalid(format!("Invalid availability zone-id: [{id}]"));
        find::selected(zones, &input.zone_ids, |own| own.zone_id.as_deref(), missing)
    }
);

impl Filterable for shapes::Region {
    const FILTERS: &'static [(&'static str, Texts<Self>)] = &[
        ("endpoint", |own| one(own.endpoint.as_ref())),
        ("opt-in-status", |own| one(own.opt_in_status.as_ref())),
        ("region-name", |own| one(own.region_name.as_ref())),
    ];
    const TAGGED: bool = false;

    fn place(&self) -> String {
        self.region_name.clone().unwrap_or_default()
    }
}

describe_all!(DescribeRegions as DescribeRegionsResult { regions } of shapes::Region, |_state, caller, input| {
    let (own, partition) = (caller.scope.region.as_str(), caller.scope.partition());
    let mut names: Vec<&str> = match partition {
        Partition::Aws => REGIONS.to_vec(),
        Partition::AwsCn => REGIONS_OF_CHINA.to_vec(),
        Partition::AwsUsGov => REGIONS_OF_GOVERNMENT.to_vec(),
    };
    // Any name makes a region, and whoever asks is in one.
    if !names.contains(&own) {
        names.push(own);
    }
    let shape = |name: &str| shapes::Region {
        endpoint: Some(endpoint(name, partition)),
        opt_in_status: Some("opt-in-not-required".to_owned()),
        region_name: Some(name.to_owned()),
        ..shapes::Region::default()
    };
    let regions = names.into_iter().map(shape).collect();
    let missing = |name: &str| errors::invalid(format!("Invalid region provided: {name}"));
    find::selected(regions, &input.region_names, |own: &shapes::Region| own.region_name.as_deref(), missing)
});

query!(DescribeAccountAttributes, |ask, _input| ask.on_all(), |state, caller, input| {
    let realm = find::realm(state, caller);
    let default = realm.default_vpc().map_or("none", |(id, _)| &**id);
    let all =
        [(AccountAttributeName::SupportedPlatforms, "VPC"), (AccountAttributeName::DefaultVpc, default)];
    let asked = crate::input::listed(&input.attribute_names);
    let wanted = all.into_iter().filter(|(name, _)| asked.is_empty() || asked.contains(name));
    let shape = |(name, value): (AccountAttributeName, &str)| AccountAttribute {
        attribute_name: Some(name.as_str().to_owned()),
        attribute_values: Some(vec![AccountAttributeValue { attribute_value: Some(value.to_owned()) }]),
    };
    DescribeAccountAttributesResult { account_attributes: Some(wanted.map(shape).collect()) }
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_have_ids_as_aws_gives_them() {
        for (region, id) in [
            ("eu-west-1", "euw1-az1"),
            ("us-east-1", "use1-az1"),
            ("ap-southeast-2", "apse2-az1"),
            ("us-gov-west-1", "usgw1-az1"),
            ("ca-central-1", "cac1-az1"),
            ("rack-7", "rack-7-az1"),
            ("home", "home-az1"),
        ] {
            let region = Region::parse(region).expect("a region");
            let zones = of(&region);
            assert_eq!((zones.len(), zones[0].1.as_str()), (3, id));
            assert_eq!(super::id(&region, &zones[1].0), Some(zones[1].1.clone()));
            assert_eq!(super::id(&region, "elsewhere"), None);
        }
    }
}

//! ARNs, ids, names, times, sizes: small texts that become values.

use longshore_base::{
    AccountId, Arn, ClusterName, ContainerId, ContainerName, DeploymentId, Family, InstanceId, Region,
    ServiceDeploymentId, ServiceName, TaskId, Timestamp,
};
use longshore_domain::task_definition::{parse_cpu, parse_memory};
use longshore_wire::json;

/// Beyond this many milliseconds (the year 73,000) a double no longer tells neighbours apart when it counts seconds.
const EXACT_MILLIS_MAX: i64 = 1 << 51;

pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    arn(text);
    ids(text);
    if let Some(account) = AccountId::parse(text) {
        assert_eq!(account.to_string(), text);
    }
    if let Some(region) = Region::parse(text) {
        assert_eq!((region.as_str(), region.to_string().as_str()), (text, text));
    }
    for name in [
        ClusterName::parse(text).map(|name| name.to_string()),
        ServiceName::parse(text).map(|name| name.to_string()),
        Family::parse(text).map(|name| name.to_string()),
        ContainerName::parse(text).map(|name| name.to_string()),
    ] {
        match name {
            Ok(name) => {
                assert_eq!(name, text);
                assert!(name.len() <= 255 && name.is_ascii());
            }
            Err(error) => assert!(error.to_string().len() < 200),
        }
    }
    sizes(text);
    time(text);
}

/// What parses is exactly what is printed: there are no two texts for one thing.
fn arn(text: &str) {
    let Ok(arn) = Arn::parse(text) else { return };
    assert!(Arn::looks_like_one(text));
    let Arn { scope, kind, rest } = arn;
    let partition = scope.partition().as_str();
    assert_eq!(format!("arn:{partition}:ecs:{}:{}:{kind}/{rest}", scope.region, scope.account), text);
    if let ("cluster", Ok(name)) = (kind, ClusterName::parse(rest)) {
        assert_eq!(scope.cluster_arn(&name), text);
    }
}

fn ids(text: &str) {
    if let Ok(id) = TaskId::parse(text) {
        assert!(id.to_string() == text || id.uuid() == text, "{text}");
        assert_eq!(InstanceId::parse(text).expect("of the same form").bits(), id.bits());
        assert_eq!(ContainerId::parse(text).expect("of the same form").to_string(), id.uuid());
    }
    if let Ok(id) = DeploymentId::parse(text) {
        assert!(id.to_string() == text || id.digits().to_string() == text, "{text}");
    }
    if let Ok(id) = ServiceDeploymentId::parse(text) {
        assert_eq!(id.to_string(), text);
    }
}

/// A size that was read is written as a number, which reads as the same size.
fn sizes(text: &str) {
    for parse in [parse_cpu, parse_memory] {
        match parse(text) {
            Ok(size) => assert_eq!(parse(&size.to_string()), Ok(size), "{text}"),
            Err(error) => assert!(error.to_string().len() <= text.len() * 8 + 400),
        }
    }
}

/// Times in both forms of awsJson: a number of seconds, or ISO 8601 in quotes.
fn time(text: &str) {
    for body in [text.to_owned(), format!("\"{text}\"")] {
        let Ok(time) = json::from_slice::<Timestamp>(body.as_bytes()) else { continue };
        if time.as_millis().abs() < EXACT_MILLIS_MAX {
            let again = json::from_slice::<Timestamp>(&json::to_vec(&time));
            assert_eq!(again, Ok(time), "{body}");
        }
    }
}

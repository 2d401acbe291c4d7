//! Requests in every protocol, as inputs of operations: forms, XML, CBOR, and what REST spreads over a request. JSON
//! bodies of ECS have a target of their own, `bodies`.

use longshore_shapes_cloudwatch as cloudwatch;
use longshore_shapes_s3 as s3;
use longshore_shapes_scheduler as scheduler;
use longshore_wire::check::VIOLATIONS_MAX;
use longshore_wire::rest::Request;
use longshore_wire::{OperationShape, Protocol, Structure, Violations, cbor, json};

/// How many bytes of JSON a byte of a request may become at most: `1e300` is a number of 301 digits, and a byte of CBOR
/// can be an empty structure of a list.
const GROWTH_MAX: usize = 128;

/// The first line is `PROTOCOL OPERATION TARGET`, the second all headers, `name:value` with tabs between; the rest is
/// the body.
pub fn run(bytes: &[u8]) {
    let (line, rest) = crate::first_line(bytes);
    let (header_line, body) = crate::first_line(rest);
    let mut words = line.splitn(3, ' ');
    let (Some(protocol), Some(operation), Some(target)) = (words.next(), words.next(), words.next()) else {
        return;
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers: Vec<(&str, &str)> =
        header_line.split('\t').filter_map(|header| header.split_once(':')).collect();
    let request = Request { path, query, headers: &headers, body };
    match protocol {
        "query" => of_cloudwatch(Protocol::Query, operation, &request),
        "ec2" => of_cloudwatch(Protocol::Ec2Query, operation, &request),
        "cbor" => of_cloudwatch(Protocol::RpcV2Cbor, operation, &request),
        "rest-json" => of_scheduler(operation, &request),
        "rest-xml" => of_s3(operation, &request),
        _ => {}
    }
}

macro_rules! operations {
    ($shapes:ident $protocol:ident $name:ident $request:ident $($operation:ident)*) => {
        match $name {
            $(stringify!($operation) => check::<$shapes::ops::$operation>($protocol, $request),)*
            _ => {}
        }
    };
}

fn of_cloudwatch(protocol: Protocol, name: &str, request: &Request<'_>) {
    cloudwatch::each_operation!(operations cloudwatch protocol name request);
}

fn of_scheduler(name: &str, request: &Request<'_>) {
    let protocol = Protocol::RestJson1;
    scheduler::each_operation!(operations scheduler protocol name request);
}

fn of_s3(name: &str, request: &Request<'_>) {
    let protocol = Protocol::RestXml;
    s3::each_operation!(operations s3 protocol name request);
}

/// What is read can be written, in every format, and read again; what is not read is refused in a few words.
fn check<O: OperationShape>(protocol: Protocol, request: &Request<'_>) {
    let input = match protocol.read::<O>(request) {
        Ok(input) => input,
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty() && text.len() < 8 * 1024, "{} bytes", text.len());
            return;
        }
    };
    let headers: usize = request.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    let given = request.path.len() + request.query.len() + headers + request.body.len();
    let written = json::to_vec(&input);
    assert!(written.len() <= GROWTH_MAX * given + 1024, "{} bytes from {given}", written.len());
    let again: O::Input = json::from_slice(&written).expect("what was written can be read");
    // Compared as text, because a NaN does not equal itself.
    assert_eq!(json::to_vec(&again), written);
    same_in_cbor(&input, &written);
    assert!(Violations::of(&input).iter().count() <= VIOLATIONS_MAX);
}

/// Written as CBOR and read again, it is the same.
fn same_in_cbor<T: Structure + Default>(input: &T, as_json: &[u8]) {
    let again: T = cbor::from_slice(&cbor::to_vec(input)).expect("what was written can be read");
    assert_eq!(json::to_vec(&again), as_json);
}

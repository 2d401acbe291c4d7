//! Where requests go: what stands in a head and in a form, with the facts of every service.

use longshore_wire::Protocol;
use longshore_wire::route::{Head, Known, Routing, guess, route};

/// The most bytes that an answer to a refused request may have: it repeats little of it.
const REFUSAL_BYTES_MAX: usize = 4096;

/// As many headers as an HTTP parser lets through.
const HEADERS_MAX: usize = 100;

/// The first line is `METHOD SERVICE TARGET`, where the service is that of the signature, or `-`. Then come headers, line by
/// line, an empty line, and the body.
pub fn run(bytes: &[u8]) {
    let (line, mut rest) = crate::first_line(bytes);
    let mut words = line.splitn(3, ' ');
    let (Some(method), Some(claimed), Some(target)) = (words.next(), words.next(), words.next()) else {
        return;
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers: Vec<(String, &str)> = Vec::new();
    while !rest.is_empty() && headers.len() < HEADERS_MAX {
        let (header, after) = crate::first_line(rest);
        rest = after;
        let Some((name, value)) = header.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim()));
    }
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let head =
        Head { method, path, query, headers: &headers, claimed: Some(claimed).filter(|name| *name != "-") };
    let known = known();
    let (early, late) = (route(&head, None, &known), route(&head, Some(rest), &known));
    // Reading the body changes nothing about what did not need it, and what needed it is decided then.
    match early {
        Routing::NeedsBody => {}
        ref early => assert_eq!(*early, late),
    }
    decided(&head, late, &known);
}

/// Half of the services are served, and half of the operations of these are built.
fn known() -> Vec<Known> {
    let half = |n: usize| n.is_multiple_of(2);
    let known = |(n, facts): (usize, &&'static longshore_wire::route::ServiceFacts)| {
        let operations = facts.operations;
        Known { facts, built: half(n).then(|| &operations[..operations.len().div_ceil(2)]) }
    };
    longshore_catalog::ALL.iter().enumerate().map(known).collect()
}

fn decided(head: &Head<'_>, routing: Routing, known: &[Known]) {
    match routing {
        Routing::To(to) => {
            let Known { facts, built } = known[to.position];
            assert!(built.expect("it is served").contains(&to.operation));
            assert!(head.claimed.is_none_or(|claimed| claimed == facts.schema.signing_name));
            let has_target = head.headers.iter().any(|(name, _)| *name == "x-amz-target");
            match to.protocol {
                // Either of the two for those that speak one of them.
                Protocol::AwsJson10 | Protocol::AwsJson11 => assert!(has_target && head.path == "/"),
                protocol => assert!(facts.schema.protocols.contains(&protocol), "{protocol:?}"),
            }
        }
        Routing::Refused(refused) => {
            let reply = refused.reply("request-id");
            // Nor do they for S3's 501.
            let is_final = (400..500).contains(&reply.status) || reply.status == 501;
            assert!(is_final, "clients would ask again: {}", reply.status);
            assert!(reply.body.len() <= REFUSAL_BYTES_MAX, "{} bytes", reply.body.len());
            let error = reply.error.expect("it is refused");
            assert!(!error.message.is_empty() && !error.message.chars().any(char::is_control));
        }
        Routing::NeedsBody => panic!("the body was there"),
        Routing::Elsewhere => assert_ne!(head.path, "/"),
    }
    // What is not routed is refused in some protocol too.
    guess(head);
}

//! The `nextToken` of lists: what strangers present as one, and to which calls a genuine one belongs.

use longshore_base::{AccountId, Region, Scope};
use longshore_shapes_ecs::{
    ListClustersRequest, ListServicesRequest, ListTaskDefinitionsRequest, ListTasksRequest,
};
use longshore_wire::{Shape, json, token};

/// The first line is a token that a stranger presents, the second a place; the rest is the body of a list's request.
pub fn run(bytes: &[u8]) {
    let (presented, rest) = crate::first_line(bytes);
    let (place, body) = crate::first_line(rest);
    let scopes = [
        scope("000000000000", "us-east-1"),
        scope("000000000001", "us-east-1"),
        scope("000000000000", "eu-west-1"),
    ];
    let calls: Vec<u64> = scopes.iter().flat_map(|scope| calls(scope, body)).collect();
    for (at, &own) in calls.iter().enumerate() {
        presented_as(own, presented);
        let genuine = token::encode(own, place);
        assert_eq!(token::decode(own, &genuine).as_deref(), Some(place));
        // Operation, account, region and parameters each make another call, and none accepts the token of another.
        for (_, &other) in calls.iter().enumerate().filter(|(other, _)| *other != at) {
            assert_ne!(own, other, "two calls are taken for the same");
            assert_eq!(token::decode(other, &genuine), None);
        }
    }
}

/// Whatever is presented is refused, or is the one way to write the place that it is read as.
fn presented_as(own: u64, presented: &str) {
    if let Some(place) = token::decode(own, presented) {
        assert_eq!(token::encode(own, &place), presented);
    }
    // The same with a prefix that is right, which chance does not find: all that differs is a stranger's again.
    let begun = token::encode(own, "");
    let forged = format!("{}{presented}", &begun[..begun.len() - 1]);
    if let Some(place) = token::decode(own, &forged) {
        assert_eq!(token::encode(own, &place), forged);
    }
}

fn scope(account: &str, region: &str) -> Scope {
    Scope::new(AccountId::parse(account).expect("twelve digits"), Region::parse(region).expect("a region"))
}

/// Calls of several lists with these parameters, as far as they have them: as given, and with a further one.
fn calls(scope: &Scope, body: &[u8]) -> Vec<u64> {
    let mut calls = Vec::new();
    if let Ok(mut request) = json::from_slice::<ListTasksRequest>(body) {
        calls.push(token::fingerprint("ListTasks", scope, &request));
        request.family = Some(request.family.unwrap_or_default() + "x");
        calls.push(token::fingerprint("ListTasks", scope, &request));
    }
    if let Ok(request) = json::from_slice::<ListServicesRequest>(body) {
        calls.push(token::fingerprint("ListServices", scope, &request));
    }
    if let Ok(request) = json::from_slice::<ListTaskDefinitionsRequest>(body) {
        calls.push(token::fingerprint("ListTaskDefinitions", scope, &request));
    }
    let nothing = ListClustersRequest::default();
    calls.push(token::fingerprint("ListClusters", scope, &nothing as &dyn Shape));
    calls
}

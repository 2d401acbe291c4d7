//! STS through the port: a form in, XML out.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use http::{HeaderMap, Method, Uri};
use longshore_api::{Api, Body, Call, Head, Principal, PrincipalKind, Request, RequestId};
use longshore_api_identity::{Sts, unique_id};
use longshore_base::{AccountId, Region, Scope, Timestamp};
use longshore_wire::Protocol;

const ACCOUNT: &str = "111122223333";

fn identity_of(kind: PrincipalKind, arn: &str, id: Option<&str>) -> String {
    let scope = Scope::new(
        AccountId::parse(ACCOUNT).expect("twelve digits"),
        Region::parse("eu-west-1").expect("a region"),
    );
    let principal = Principal {
        scope,
        access_key_id: "AKIA1".into(),
        arn: arn.into(),
        kind,
        name: arn.rsplit('/').next().unwrap_or_default().into(),
        id: id.map(Into::into),
        service: "sts".into(),
    };
    let (method, uri, headers) = (Method::POST, Uri::from_static("/"), HeaderMap::new());
    let call = Call {
        principal,
        request_id: RequestId::new("id-1"),
        now: Timestamp::from_millis(0),
        deadline: Timestamp::from_millis(1),
        source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        is_secure: false,
        head: Arc::new(Head { method, uri, headers }),
    };
    let body = Body::from("Action=GetCallerIdentity&Version=2011-06-15");
    let request = Request { call, operation: "GetCallerIdentity", protocol: Protocol::Query, body };
    let reply = std::pin::pin!(Sts.call(request)).poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(reply) = reply else { panic!("nothing here waits") };
    assert_eq!((reply.status, reply.content_type), (200, "text/xml"));
    String::from_utf8(reply.body.bytes().expect("it is whole").to_vec()).expect("text")
}

fn check(kind: PrincipalKind, arn: &str, user_id: &str) {
    check_with(kind, arn, None, user_id);
}

fn check_with(kind: PrincipalKind, arn: &str, id: Option<&str>, user_id: &str) {
    assert_eq!(
        identity_of(kind, arn, id),
        format!(
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
             <Account>{ACCOUNT}</Account><Arn>{arn}</Arn><UserId>{user_id}</UserId></GetCallerIdentityResult>\
             <ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
        )
    );
}

/// identity J3, and J1 for guests.
#[test]
fn everybody_is_told_who_he_is() {
    let root = format!("arn:aws:iam::{ACCOUNT}:root");
    check(PrincipalKind::Root, &root, ACCOUNT);
    check(PrincipalKind::Guest, &root, ACCOUNT);
    let user = format!("arn:aws:iam::{ACCOUNT}:user/ada");
    check(PrincipalKind::User, &user, &unique_id("AIDA", ACCOUNT, "ada"));
    check_with(PrincipalKind::User, &user, Some("AIDAQWERTYUIOPASDFGHJ"), "AIDAQWERTYUIOPASDFGHJ");
    let session = format!("arn:aws:sts::{ACCOUNT}:assumed-role/web/task-1");
    check(PrincipalKind::Session, &session, &format!("{}:task-1", unique_id("AROA", ACCOUNT, "web")));
}

/// The ledger says of every operation of the model what is true.
#[test]
fn the_ledger_says_what_is_built() {
    let ledger = include_str!("../../../support/sts.toml");
    let mut listed: Vec<(&str, bool)> = Vec::new();
    for line in ledger.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            listed.push((name, false));
        } else if let Some(status) = line.strip_prefix("status = ") {
            let is_built = match status {
                "\"implemented\"" | "\"partial\"" => true,
                "\"not implemented\"" => false,
                other => panic!("{other}"),
            };
            listed.last_mut().expect("an operation").1 = is_built;
        }
    }
    listed.sort_unstable();
    let built = Sts.operations();
    let want: Vec<(&str, bool)> =
        Sts.facts().operations.iter().map(|name| (*name, built.contains(name))).collect();
    assert_eq!(listed, want);
}

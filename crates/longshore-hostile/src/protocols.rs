//! Requests in the protocols of other services than ECS: forms, paths, CBOR. One operation of STS is served, of all other
//! services the server only knows the names, and has to say so in their own words.

use longshore_base::percent;

use crate::case::{Case, Expect, Maker};
use crate::chance::Chance;
use crate::client::{Draft, SCOPE, now};

/// Services that are called by forms, with a version and an operation of theirs.
const FORMS: [(&str, &str, &str); 7] = [
    ("sts", "2011-06-15", "GetCallerIdentity"),
    ("sts", "2011-06-15", "AssumeRole"),
    ("iam", "2010-05-08", "CreateUser"),
    ("ec2", "2016-11-15", "RunInstances"),
    ("elasticloadbalancing", "2015-12-01", "CreateLoadBalancer"),
    ("monitoring", "2010-08-01", "PutMetricData"),
    ("sns", "2010-03-31", "Publish"),
];

/// Services that are called by paths.
const PATHS: [&str; 6] = ["s3", "scheduler", "lambda", "route53", "ecs", "sts"];

impl<'m> Maker<'m> {
    fn other(&self, method: &str, path: String, query: String, body: Vec<u8>) -> Draft {
        let mut draft = Draft::call(&self.caller.authority(), "", body);
        draft.headers.retain(|(name, _)| name == "host");
        Draft { method: method.to_owned(), path, query, ..draft }
    }

    fn finish(&self, case: &mut Case<'m>, mut draft: Draft, service: &str) {
        draft.sign(&self.caller.credentials, (SCOPE.0, service), now());
        case.bytes = draft.bytes();
        // What is served of these only reads.
        case.operation = self.model.operation("ListClusters");
    }

    /// A form, whole or broken, for a service that is there or is not.
    pub(crate) fn form(&self, case: &mut Case<'m>, chance: &mut Chance) {
        let (service, version, action) = *chance.pick(&FORMS);
        let mut form = format!("Action={action}&Version={version}");
        let (length, count) = (chance.below(60), chance.below(30_000));
        let text = percent::encode(&chance.text(length));
        match chance.below(14) {
            0 => form.push_str(&format!("&{text}={text}")),
            1 => form.push_str("&Action=GetCallerIdentity"),
            2 => form = form.replace("Action", "%41ction"),
            3 => form = format!("Action={text}&Version={version}"),
            4 => form = format!("Action={action}&Version={text}"),
            5 => form.push_str("&a=%ff&%fe=b"),
            6 => form = "&".repeat(count),
            7 => form.push_str(&"&a=b".repeat(count)),
            8 => form.push_str(&format!("&{}=x", "Tags.member.1.".repeat(length))),
            9 => form.push_str("&Tags.member.99999999999999999999.Key=x&Tags.member.-1=y&.=z"),
            10 => form.truncate(length.min(form.len())),
            11 => form = format!("{{\"Action\":\"{action}\"}}"),
            _ => {}
        }
        let is_url = chance.percent(20);
        let types = ["application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=utf-8"];
        let mut draft = if is_url && form.len() < 4000 {
            let method = *chance.pick(&["GET", "POST"]);
            // What no URL can have is the HTTP parser's to refuse.
            let query = form.replace(['{', '}', '"', ' '], "");
            self.other(method, "/".into(), query, Vec::new())
        } else {
            self.other("POST", "/".into(), String::new(), form.into_bytes())
        };
        let content_type = if chance.percent(10) { "text/plain" } else { *chance.pick(&types) };
        draft.set("content-type", content_type);
        case.expect = if service == "sts" { Expect::OfOperation } else { Expect::Refusal };
        let signed_for = if chance.percent(10) { "ecs" } else { service };
        // Broken for its own service, a form can be right for another one: then the signature is for the wrong one.
        self.finish(case, draft, signed_for);
    }

    /// Any method and path, for services that are called so.
    pub(crate) fn path(&self, case: &mut Case<'m>, chance: &mut Chance) {
        let service = *chance.pick(&PATHS);
        let method = *chance.pick(&["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"]);
        let length = chance.below(40);
        let text = percent::encode(&chance.text(length));
        let path = match chance.below(8) {
            0 => "/".to_owned(),
            1 => "/metrics".to_owned(),
            2 => format!("/bucket/{text}"),
            3 => format!("/schedules/{text}"),
            4 => "/acs/ws".to_owned(),
            5 => "/%ff/%00/..//".to_owned(),
            6 => format!("/{}", "a/".repeat(length)),
            _ => format!("/{text}"),
        };
        let query = (*chance.pick(&[
            "",
            "uploads",
            "list-type=2",
            "uploadId=1&partNumber=x",
            "acl&acl=&=",
            "%ff=%ff",
        ]))
        .to_owned();
        let body = chance.bytes(length);
        let mut draft = self.other(method, path, query, body);
        if chance.percent(30) {
            draft.set("content-type", *chance.pick(&["application/xml", "application/json", "image/png"]));
        }
        // Fixed paths and paths of nobody answer in plain text.
        case.expect = if matches!(service, "ecs" | "sts") { Expect::Anything } else { Expect::Refusal };
        self.finish(case, draft, service);
    }

    /// The newest protocol, whose operation is in the path and whose body is binary.
    pub(crate) fn cbor(&self, case: &mut Case<'m>, chance: &mut Chance) {
        let (service, prefix) = *chance.pick(&[
            ("monitoring", "GraniteServiceVersion20100801"),
            ("ecs", "AmazonEC2ContainerServiceV20141113"),
            ("gamelift", "GameLift"),
        ]);
        let length = chance.below(200);
        let path = match chance.below(5) {
            0 => format!("/service/{prefix}/operation/PutMetricData"),
            1 => format!("/service/{prefix}/operation/ListClusters"),
            2 => format!("/service/{prefix}/operation/"),
            3 => format!("/x/service/{prefix}/operation/y/service/{prefix}"),
            _ => "/".to_owned(),
        };
        let mut draft = self.other("POST", path, String::new(), chance.bytes(length));
        draft.set("smithy-protocol", "rpc-v2-cbor");
        draft.set("content-type", "application/cbor");
        case.expect = Expect::Refusal;
        self.finish(case, draft, service);
    }
}

//! Which operation of which service a request asks for, and in which protocol.
//!
//! [`route`] is a pure function of what stands in the request and of the services that are known ([`Known`]). What it
//! decides by, in this order (architecture N4):
//!
//! 1. a signature for `s3`, as a bucket may have any name, then method, path and parameters;
//! 2. `smithy-protocol: rpc-v2-cbor` and `/service/SERVICE/operation/OPERATION`;
//! 3. `X-Amz-Target`, the JSON protocols;
//! 4. `Action` and `Version` in a form, or all of it in the URL: Query, and EC2's dialect;
//! 5. a signature for a service of the REST protocols, then method and path.
//!
//! A service is called only in the protocols that its model lists: whoever serves awsJson takes no forms, which every web
//! page can send (console L1). The claim of a signature is not verified here; it chooses what to say, and the caller
//! verifies it before anything is done.
//!
//! What is known and not served gets an honest answer ([`Refused`]), written as the request's own protocol wants it.

mod refused;
mod rest;

pub use refused::{Refused, Why};

use crate::form;
use crate::protocol::{Protocol, ServiceSchema};

/// What is known of a service, whether it is served here or not. Generated, in `longshore-catalog`.
#[derive(Debug)]
pub struct ServiceFacts {
    /// Its name in `models/manifest.toml`, in metrics and in logs: `elbv2`.
    pub name: &'static str,
    /// What people call it: `Elastic Load Balancing`.
    pub title: &'static str,
    /// The first label of its host at AWS.
    pub endpoint_prefix: &'static str,
    pub schema: ServiceSchema,
    /// How far a signature's time may lie from the server's, in minutes (identity J2).
    pub clock_minutes: u64,
    /// All operations of the model, sorted.
    pub operations: &'static [&'static str],
    /// How the REST protocols name them; empty for services of other protocols.
    pub bindings: &'static [Binding],
}

/// [`ServiceFacts::clock_minutes`] of services that nothing else is known of.
pub const CLOCK_MINUTES: u64 = 15;

impl ServiceFacts {
    fn operation(&self, name: &str) -> Option<&'static str> {
        let at = self.operations.binary_search_by(|other| (*other).cmp(name)).ok()?;
        Some(self.operations[at])
    }

    fn speaks(&self, protocol: Protocol) -> bool {
        self.schema.protocols.contains(&protocol)
    }

    fn speaks_json(&self) -> bool {
        self.speaks(Protocol::AwsJson11) || self.speaks(Protocol::AwsJson10)
    }

    /// The one in which it takes forms.
    fn form_protocol(&self) -> Option<Protocol> {
        [Protocol::Query, Protocol::Ec2Query].into_iter().find(|protocol| self.speaks(*protocol))
    }

    fn rest_protocol(&self) -> Option<Protocol> {
        [Protocol::RestJson1, Protocol::RestXml].into_iter().find(|protocol| self.speaks(*protocol))
    }
}

/// What tells a request for an operation from others, in the REST protocols.
#[derive(Debug)]
pub struct Binding {
    pub operation: &'static str,
    pub method: &'static str,
    /// A path with labels, and literal parameters: `/{Bucket}?list-type=2`.
    pub uri: &'static str,
    /// Parameters and headers (in lower case) that it cannot do without.
    pub query: &'static [&'static str],
    pub headers: &'static [&'static str],
}

/// One service, and how much of it there is here.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub facts: &'static ServiceFacts,
    /// The operations that are built; `None` if the service is not served at all.
    pub built: Option<&'static [&'static str]>,
}

/// A request, as far as it says what it asks for.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    pub method: &'a str,
    /// As on the wire, percent-encoded.
    pub path: &'a str,
    pub query: &'a str,
    /// Names in lower case.
    pub headers: &'a [(&'a str, &'a str)],
    /// The service that its signature names; not verified.
    pub claimed: Option<&'a str>,
}

impl<'a> Head<'a> {
    fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(own, _)| *own == name).map(|(_, value)| *value)
    }

    /// The `Content-Type` without parameters.
    fn essence(&self) -> &'a str {
        self.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim()
    }

    fn has_form(&self) -> bool {
        self.essence().eq_ignore_ascii_case("application/x-www-form-urlencoded")
    }
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Routing {
    To(Route),
    Refused(Refused),
    /// The body has to be read first: it may be a form that names the operation.
    NeedsBody,
    /// It is no request of an AWS API.
    Elsewhere,
}

/// An operation that is built.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// Position among what is known.
    pub position: usize,
    pub facts: &'static ServiceFacts,
    pub operation: &'static str,
    pub protocol: Protocol,
}

impl PartialEq for Route {
    fn eq(&self, other: &Self) -> bool {
        (self.position, self.operation, self.protocol) == (other.position, other.operation, other.protocol)
    }
}

/// Says what `head` asks for, of the services that are `known`. `body` is `None` before it has been read; what says all
/// in its head is routed without.
pub fn route(head: &Head<'_>, body: Option<&[u8]>, known: &[Known]) -> Routing {
    let router = Router { head, known };
    if head.claimed == Some("s3") {
        return router.by_path("s3");
    }
    if head.header("smithy-protocol") == Some("rpc-v2-cbor") {
        return router.cbor();
    }
    let is_rest = |claimed| router.rest(claimed).next().is_some();
    if head.path != "/" {
        return match head.claimed {
            Some(claimed) if is_rest(claimed) => router.by_path(claimed),
            Some(claimed) if !router.is_known(claimed) => router.unknown_service(claimed),
            Some(_) | None => Routing::Elsewhere,
        };
    }
    if head.header("x-amz-target").is_some() {
        return router.json();
    }
    match body {
        None if head.has_form() || names_action(head.query) => return Routing::NeedsBody,
        Some([]) if names_action(head.query) => return router.form(head.query.as_bytes()),
        Some(form @ [_, ..]) if head.has_form() => return router.form(form),
        Some(_) | None => {}
    }
    match head.claimed {
        Some(claimed) if is_rest(claimed) => router.by_path(claimed),
        Some(claimed) if !router.is_known(claimed) => router.unknown_service(claimed),
        Some(_) | None => router.refuse(guess(head), None, Why::NoName),
    }
}

/// The protocol in which an error is written where the request names nothing: forms, and everything in the URL, are
/// Query's; all else is JSON.
pub fn guess(head: &Head<'_>) -> Protocol {
    match head.claimed {
        Some(name) if is_rest_xml(name) => return Protocol::RestXml,
        Some("ec2") => return Protocol::Ec2Query,
        Some(_) | None => {}
    }
    if head.header("smithy-protocol") == Some("rpc-v2-cbor") {
        return Protocol::RpcV2Cbor;
    }
    if head.header("x-amz-target").is_none() && (head.has_form() || head.method == "GET") {
        return Protocol::Query;
    }
    Protocol::of_content_type(head.header("content-type")).unwrap_or(Protocol::AwsJson11)
}

/// The services of AWS that speak REST-XML, by the names in their signatures. All other REST services speak JSON.
fn is_rest_xml(signing_name: &str) -> bool {
    matches!(signing_name, "s3" | "s3express" | "s3-outposts" | "s3-object-lambda" | "cloudfront" | "route53")
}

fn names_action(query: &str) -> bool {
    query.split('&').any(|pair| pair.split('=').next() == Some("Action"))
}

/// Splits `X-Amz-Target` into the service's prefix and the operation's name.
fn split_target(target: &str) -> Option<(&str, &str)> {
    let (prefix, operation) = target.rsplit_once('.')?;
    (!prefix.is_empty() && !operation.is_empty()).then_some((prefix, operation))
}

impl Protocol {
    /// Chooses by the `Content-Type` of a request that carries `X-Amz-Target`. Parameters after `;`
    /// do not matter. An absent or plain JSON type counts as 1.1, which is what small hand-written
    /// clients send.
    pub fn of_content_type(content_type: Option<&str>) -> Option<Self> {
        let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        match essence.to_ascii_lowercase().as_str() {
            "application/x-amz-json-1.0" => Some(Self::AwsJson10),
            "application/x-amz-json-1.1" | "application/json" | "" => Some(Self::AwsJson11),
            _ => None,
        }
    }
}

struct Router<'a> {
    head: &'a Head<'a>,
    known: &'a [Known],
}

impl Router<'_> {
    fn each(&self) -> impl Iterator<Item = (usize, &Known)> {
        self.known.iter().enumerate()
    }

    fn is_known(&self, claimed: &str) -> bool {
        self.known.iter().any(|known| known.facts.schema.signing_name == claimed)
    }

    /// The services of this signing name that speak a REST protocol.
    fn rest(&self, claimed: &str) -> impl Iterator<Item = (usize, &Known)> {
        self.each().filter(move |(_, known)| {
            known.facts.schema.signing_name == claimed && known.facts.rest_protocol().is_some()
        })
    }

    fn refuse(&self, protocol: Protocol, facts: Option<&'static ServiceFacts>, why: Why) -> Routing {
        Routing::Refused(Refused { protocol, facts, why })
    }

    /// A service of AWS that nothing is known of but its name.
    fn unknown_service(&self, claimed: &str) -> Routing {
        let protocol = match guess(self.head) {
            // No form and no target: it is called by a path.
            Protocol::AwsJson10 | Protocol::AwsJson11 | Protocol::Query
                if self.head.header("x-amz-target").is_none() && !self.head.has_form() =>
            {
                Protocol::RestJson1
            }
            guessed => guessed,
        };
        self.refuse(protocol, None, Why::UnknownService(refused::shown(claimed)))
    }

    /// Whether an operation that a service is asked for may be run.
    fn settle(&self, position: usize, operation: &str, protocol: Protocol) -> Routing {
        let Known { facts, built } = self.known[position];
        let refuse = |why| self.refuse(protocol, Some(facts), why);
        let known = facts.operation(operation);
        let Some(built) = built else { return refuse(Why::NotServed(known)) };
        if self.head.claimed.is_some_and(|claimed| claimed != facts.schema.signing_name) {
            return refuse(Why::WrongScope);
        }
        match known {
            None => refuse(Why::NoSuchOperation(refused::shown(operation))),
            Some(name) if !built.contains(&name) => refuse(Why::NotBuilt(name)),
            Some(operation) => Routing::To(Route { position, facts, operation, protocol }),
        }
    }

    fn cbor(&self) -> Routing {
        let protocol = Protocol::RpcV2Cbor;
        let named =
            self.head.path.rsplit_once("/service/").and_then(|(_, rest)| rest.split_once("/operation/"));
        let Some((service, operation)) = named else { return self.refuse(protocol, None, Why::NoName) };
        let found = self.each().find(|(_, known)| {
            known.facts.schema.target_prefix == Some(service) && known.facts.speaks(protocol)
        });
        match (found, self.head.claimed) {
            (Some((position, _)), _) => self.settle(position, operation, protocol),
            (None, Some(claimed)) if !self.is_known(claimed) => self.unknown_service(claimed),
            (None, Some(_) | None) => {
                self.refuse(protocol, None, Why::NoSuchOperation(refused::shown(service)))
            }
        }
    }

    fn json(&self) -> Routing {
        let protocol =
            Protocol::of_content_type(self.head.header("content-type")).unwrap_or(Protocol::AwsJson11);
        let mut targets = self.head.headers.iter().filter(|(name, _)| *name == "x-amz-target");
        let (target, second) = (targets.next().map_or("", |(_, target)| target), targets.next());
        if second.is_some() {
            return self.refuse(protocol, None, Why::Malformed("There are several X-Amz-Target headers."));
        }
        let found = split_target(target).and_then(|(prefix, operation)| {
            let service = self.each().find(|(_, known)| {
                known.facts.schema.target_prefix == Some(prefix) && known.facts.speaks_json()
            });
            service.map(|(position, _)| (position, operation))
        });
        match (found, self.head.claimed) {
            (Some((position, operation)), _) => self.settle(position, operation, protocol),
            (None, Some(claimed)) if !self.is_known(claimed) => self.unknown_service(claimed),
            (None, Some(_) | None) => {
                self.refuse(protocol, None, Why::NoSuchOperation(refused::shown(target)))
            }
        }
    }

    /// A form, be it the body or the query of a URL.
    fn form(&self, form: &[u8]) -> Routing {
        let guessed = guess(self.head);
        let [action, version] = match form::find(form, ["Action", "Version"]) {
            Ok(found) => found,
            Err(_) => return self.refuse(guessed, None, Why::Malformed("The form cannot be read.")),
        };
        let Some(action) = action else { return self.refuse(guessed, None, Why::NoName) };
        let takes = |known: &Known| known.facts.form_protocol().is_some();
        let is_version =
            |known: &Known| version.as_deref().is_none_or(|v| v == known.facts.schema.api_version);
        let is_claimed = |known: &Known| self.head.claimed == Some(known.facts.schema.signing_name);
        let has_action = |known: &Known| known.facts.operation(&action).is_some();
        let best = |ranks: &[&dyn Fn(&Known) -> bool]| {
            let fits = |known: &Known| takes(known) && ranks.iter().all(|rank| rank(known));
            self.each().find(|(_, known)| fits(known)).map(|(position, _)| position)
        };
        // What it is signed for, in the version that it names. Two services share the name in their signatures, and
        // only the version tells them apart; without one, the action does.
        let found = best(&[&is_claimed, &is_version, &has_action])
            .or_else(|| best(&[&is_claimed, &is_version]))
            // Signed for another service, or for none.
            .or_else(|| {
                best(&[&is_version, &has_action, &|_| version.is_some() || self.head.claimed.is_none()])
            })
            .or_else(|| best(&[&is_claimed]));
        match (found, self.head.claimed) {
            (Some(position), _) => {
                let facts = self.known[position].facts;
                let protocol = facts.form_protocol().unwrap_or(guessed);
                match version.as_deref() {
                    Some(version) if version != facts.schema.api_version => {
                        let name = format!("{action} of version {version}");
                        self.refuse(protocol, Some(facts), Why::NoSuchOperation(refused::shown(&name)))
                    }
                    Some(_) | None => self.settle(position, &action, protocol),
                }
            }
            (None, Some(claimed)) if !self.is_known(claimed) => self.unknown_service(claimed),
            (None, Some(_) | None) => {
                self.refuse(guessed, None, Why::NoSuchOperation(refused::shown(&action)))
            }
        }
    }

    /// Method and path, of the services that are signed for under this name.
    fn by_path(&self, claimed: &str) -> Routing {
        let mut first = None;
        for (position, known) in self.rest(claimed) {
            let protocol = known.facts.rest_protocol().unwrap_or(Protocol::RestJson1);
            if let Some(operation) = rest::find(known.facts.bindings, self.head) {
                return self.settle(position, operation, protocol);
            }
            first.get_or_insert((known, protocol));
        }
        let Some((known, protocol)) = first else { return self.unknown_service(claimed) };
        match known.built {
            None => self.refuse(protocol, Some(known.facts), Why::NotServed(None)),
            Some(_) => {
                let name = format!("{} {}", self.head.method, self.head.path);
                self.refuse(protocol, Some(known.facts), Why::NoSuchOperation(refused::shown(&name)))
            }
        }
    }
}

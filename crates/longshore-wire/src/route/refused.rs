//! What a request is told that goes nowhere.

use super::ServiceFacts;
use crate::generic::{GenericError, GenericErrorKind};
use crate::protocol::{Family, Protocol};
use crate::reply::Reply;

/// The longest part of a request that an answer repeats, in characters.
const SHOWN_MAX: usize = 128;

/// How to reach AWS all the same, for people who sent everything here by one variable.
const ELSEWHERE: &str = "What is meant for AWS goes there without AWS_ENDPOINT_URL; AWS_ENDPOINT_URL_ECS and its like send \
                         single services here.";

/// A request that is not run, in the protocol that it is written in.
#[derive(Clone, Debug)]
pub struct Refused {
    pub protocol: Protocol,
    /// The service that is meant, if that is known.
    pub facts: Option<&'static ServiceFacts>,
    pub why: Why,
}

/// Why a request is not run. Texts are printable and short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// It names no operation.
    NoName,
    /// The service has none of this name.
    NoSuchOperation(String),
    /// The service is served, this operation is not.
    NotBuilt(&'static str),
    /// The service is not served; the operation is one of its model's, if any.
    NotServed(Option<&'static str>),
    /// The same of a service that nothing is known of but its name.
    UnknownService(String),
    /// The signature is for another service.
    WrongScope,
    Malformed(&'static str),
}

impl PartialEq for Refused {
    fn eq(&self, other: &Self) -> bool {
        let name = |refused: &Self| refused.facts.map(|facts| facts.name);
        (self.protocol, name(self), &self.why) == (other.protocol, name(other), &other.why)
    }
}

impl Refused {
    /// It is the same for everybody: nobody has to prove who he is to be told so. What a service here has is told to
    /// those whose signature is right.
    pub fn is_for_everybody(&self) -> bool {
        match self.why {
            Why::NotServed(_) | Why::UnknownService(_) => true,
            Why::NoName
            | Why::NoSuchOperation(_)
            | Why::NotBuilt(_)
            | Why::WrongScope
            | Why::Malformed(_) => false,
        }
    }

    pub fn error(&self) -> GenericError {
        let title = self.facts.map_or("the service", |facts| facts.title);
        let (kind, message) = match &self.why {
            Why::NoName => {
                (GenericErrorKind::UnknownOperation, format!("The request names no operation. {ELSEWHERE}"))
            }
            Why::NoSuchOperation(name) => (GenericErrorKind::UnknownOperation, self.no_such_operation(name)),
            Why::NotBuilt(name) => {
                (GenericErrorKind::NotBuilt, format!("Longshore does not build {name} of {title} yet."))
            }
            Why::NotServed(operation) => {
                let of = operation.map(|name| format!(" ({name})")).unwrap_or_default();
                (GenericErrorKind::NotBuilt, format!("Longshore does not serve {title} yet{of}. {ELSEWHERE}"))
            }
            Why::UnknownService(name) => (
                GenericErrorKind::NotBuilt,
                format!("Longshore does not serve the service that is signed for as '{name}'. {ELSEWHERE}"),
            ),
            Why::WrongScope => {
                let own = self.facts.map_or("", |facts| facts.schema.signing_name);
                let message = format!("Credential should be scoped to correct service: '{own}'.");
                (GenericErrorKind::InvalidSignature, message)
            }
            Why::Malformed(what) => (GenericErrorKind::Serialization, (*what).to_owned()),
        };
        GenericError::new(kind, message)
    }

    /// In AWS's words, where they are known.
    fn no_such_operation(&self, name: &str) -> String {
        match (self.protocol.family(), self.facts) {
            (Family::Query, Some(facts)) if !name.contains(' ') => {
                format!("Could not find operation {name} for version {}", facts.schema.api_version)
            }
            (Family::Ec2, Some(_)) => format!("The action {name} is not valid for this web service."),
            (
                Family::Query | Family::Ec2 | Family::AwsJson | Family::RestJson | Family::RestXml,
                Some(_) | None,
            ) => format!("The operation {name} is not known. {ELSEWHERE}"),
        }
    }

    /// The answer.
    pub fn reply(&self, request_id: &str) -> Reply {
        self.protocol.error(&self.error(), self.facts.map(|facts| &facts.schema), request_id)
    }
}

/// A part of a request as an answer or a log may repeat it: printable and short.
pub(super) fn shown(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(SHOWN_MAX).collect()
}

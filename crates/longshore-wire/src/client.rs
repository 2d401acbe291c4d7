//! The client's half: how an input is written, and how an output or an error is read.
//!
//! The JSON protocols, both dialects of Query, and CBOR. The REST protocols are read and answered here, but not yet
//! written: nobody calls a service of theirs. `tests/protocols` has botocore judge what is written, byte for byte where
//! the protocol leaves no choice.

use longshore_base::percent;

use crate::cbor::{self, CborWriter};
use crate::document::Document;
use crate::filled;
use crate::json::{self, JsonWriter};
use crate::operation::{OperationShape, ReceivedError};
use crate::protocol::Protocol;
use crate::query::{Dialect, QueryWriter};
use crate::shape::{DecodeError, DecodeReason, Shape};
use crate::xml::{Element, XmlReader};

/// The type of a form's body, as the AWS SDKs write it.
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// The elements of an answer in XML. A description of 1,000 instances has some 200,000.
const ELEMENTS_MAX: usize = 1_000_000;

/// A request without what its connection adds: host, length, signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub method: &'static str,
    /// Percent-encoded, as it is sent.
    pub path: String,
    /// Without the question mark; percent-encoded.
    pub query: String,
    /// Names in lower case.
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

/// An answer, as far as a protocol reads it.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    pub status: u16,
    /// Names in lower case.
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
}

impl<'a> Received<'a> {
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(own, _)| *own == name).map(|(_, value)| *value)
    }
}

/// A call that this side of a protocol cannot make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotWritten {
    #[error("requests in {0:?} cannot be written yet")]
    Protocol(Protocol),
    #[error("{0} has no name for X-Amz-Target, which {1:?} needs")]
    NoTarget(&'static str, Protocol),
}

impl Protocol {
    /// Whether requests are written in it.
    pub fn is_written(self) -> bool {
        match self {
            Self::AwsJson10 | Self::AwsJson11 | Self::Query | Self::Ec2Query | Self::RpcV2Cbor => true,
            Self::RestJson1 | Self::RestXml => false,
        }
    }

    /// The one in which a client calls an operation by itself: the first that its service's model lists, of those that
    /// are written.
    pub fn preferred<O: OperationShape>() -> Option<Self> {
        O::SERVICE.protocols.iter().copied().find(|protocol| protocol.is_written())
    }

    /// Writes a request for an operation. `token` goes wherever the model wants an idempotency token that the input lacks;
    /// without one such members stay away, and a request that arrives twice is carried out twice.
    pub fn write_request<O: OperationShape>(
        self,
        input: &O::Input,
        token: Option<&str>,
    ) -> Result<Written, NotWritten> {
        match self {
            Self::AwsJson10 | Self::AwsJson11 => {
                let mut writer = JsonWriter::new();
                filled::encode(input, token, &mut writer);
                self.json_request::<O>(writer.into_bytes())
            }
            Self::RpcV2Cbor => {
                let mut writer = CborWriter::default();
                filled::encode(input, token, &mut writer);
                let prefix = self.target_prefix::<O>()?;
                let mut headers = vec![
                    ("accept", self.content_type().to_owned()),
                    ("content-type", self.content_type().to_owned()),
                    ("smithy-protocol", "rpc-v2-cbor".to_owned()),
                ];
                headers.extend(query_mode::<O>());
                let path = format!("/service/{prefix}/operation/{}", O::NAME);
                Ok(post(path, headers, writer.into_bytes()))
            }
            Self::Query => Ok(form_request::<O>(input, token, Dialect::Query)),
            Self::Ec2Query => Ok(form_request::<O>(input, token, Dialect::Ec2)),
            Self::RestJson1 | Self::RestXml => Err(NotWritten::Protocol(self)),
        }
    }

    fn target_prefix<O: OperationShape>(self) -> Result<&'static str, NotWritten> {
        O::SERVICE.target_prefix.ok_or(NotWritten::NoTarget(O::SERVICE.signing_name, self))
    }

    fn json_request<O: OperationShape>(self, body: Vec<u8>) -> Result<Written, NotWritten> {
        let target = format!("{}.{}", self.target_prefix::<O>()?, O::NAME);
        let mut headers = vec![("content-type", self.content_type().to_owned()), ("x-amz-target", target)];
        headers.extend(query_mode::<O>());
        Ok(post("/".to_owned(), headers, body))
    }

    /// Reads what an operation answered with a status of success.
    pub fn read_answer<O: OperationShape>(self, answer: &Received<'_>) -> Result<O::Output, DecodeError> {
        match self {
            Self::AwsJson10 | Self::AwsJson11 => json::from_slice(answer.body),
            Self::RpcV2Cbor => cbor::from_slice(answer.body),
            Self::Query => {
                let root = Element::parse_up_to(answer.body, ELEMENTS_MAX)?;
                match O::RESULT_WRAPPER.and_then(|wrapper| root.child(wrapper)) {
                    Some(result) => Shape::decode(&mut XmlReader::new(result)),
                    None => Ok(O::Output::default()),
                }
            }
            Self::Ec2Query => {
                let root = Element::parse_up_to(answer.body, ELEMENTS_MAX)?;
                Shape::decode(&mut XmlReader::new(&root))
            }
            Self::RestJson1 | Self::RestXml => Err(DecodeError::new(DecodeReason::Malformed("protocol"))),
        }
    }

    /// Reads an answer whose status tells of an error; `None` if it is none of an AWS service.
    ///
    /// The code is the one that clients match on: of a query-compatible service the older one, as long as it says it
    /// (`x-amzn-query-error`).
    pub fn read_error(self, answer: &Received<'_>) -> Option<ReceivedError> {
        let mut error = match self {
            Self::AwsJson10 | Self::AwsJson11 | Self::RestJson1 => {
                error_of_document(json::from_slice(answer.body).ok()?, answer)?
            }
            Self::RpcV2Cbor => error_of_document(cbor::from_slice(answer.body).ok()?, answer)?,
            Self::Query | Self::Ec2Query | Self::RestXml => {
                let root = Element::parse_up_to(answer.body, ELEMENTS_MAX).ok()?;
                error_of_element(&root)?
            }
        };
        let older = answer.header("x-amzn-query-error").and_then(|told| told.split(';').next());
        if let Some(older) = older.filter(|older| !older.is_empty()) {
            older.clone_into(&mut error.code);
        }
        Some(error)
    }

    /// The id by which the server's log knows a request; people ask for it.
    pub fn request_id<'a>(answer: &Received<'a>) -> Option<&'a str> {
        answer.header("x-amzn-requestid").or_else(|| answer.header("x-amz-request-id"))
    }
}

fn post(path: String, headers: Vec<(&'static str, String)>, body: Vec<u8>) -> Written {
    Written { method: "POST", path, query: String::new(), headers, body }
}

/// Asks a service that once spoke Query for the codes of that time.
fn query_mode<O: OperationShape>() -> Option<(&'static str, String)> {
    O::SERVICE.is_query_compatible.then(|| ("x-amzn-query-mode", "true".to_owned()))
}

fn form_request<O: OperationShape>(input: &O::Input, token: Option<&str>, dialect: Dialect) -> Written {
    let mut text = String::from("Action=");
    text.push_str(&percent::encode(O::NAME));
    text.push_str("&Version=");
    text.push_str(&percent::encode(O::SERVICE.api_version));
    let mut writer = QueryWriter::after(text, dialect);
    filled::encode(input, token, &mut writer);
    let headers = vec![("content-type", FORM.to_owned())];
    post("/".to_owned(), headers, writer.into_text().into_bytes())
}

/// Name and text of an error in JSON or CBOR, wherever services put them.
fn error_of_document(body: Document, answer: &Received<'_>) -> Option<ReceivedError> {
    let Document::Map(mut members) = body else { return None };
    let mut text = |names: [&str; 2]| {
        names.into_iter().find_map(|name| match members.remove(name) {
            Some(Document::String(text)) => Some(text),
            Some(_) | None => None,
        })
    };
    let code = match answer.header("x-amzn-errortype") {
        Some(told) => told.to_owned(),
        None => text(["__type", "code"])?,
    };
    // `com.amazon#ThrottlingException:http://internal...`: only the middle is the name.
    let code = code.split(':').next().unwrap_or_default();
    let code = code.rsplit('#').next().unwrap_or_default().to_owned();
    Some(ReceivedError { code, message: text(["message", "Message"]).unwrap_or_default() })
}

/// `Error` is the root (REST-XML), stands in it (Query), or in `Errors` (EC2).
fn error_of_element(root: &Element) -> Option<ReceivedError> {
    let error = match root.name() {
        "Error" => root,
        _ => root.child("Error").or_else(|| root.child("Errors")?.child("Error"))?,
    };
    let text = |name| error.child(name).map(|child| child.text().trim().to_owned());
    Some(ReceivedError { code: text("Code")?, message: text("Message").unwrap_or_default() })
}

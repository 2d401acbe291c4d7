//! The protocols: how an input is read, and how an output or an error is written, in each of them.

use crate::cbor::{self, CborWriter};
use crate::fault::ModeledError;
use crate::form::Form;
use crate::json::{self, JsonWriter};
use crate::operation::OperationShape;
use crate::query::{self, Dialect};
use crate::reply::Reply;
use crate::rest;
use crate::shape::{DecodeError, EachElement, Shape, Structure, lent};
use crate::xml::{Style, XmlWriter, escape};

/// How a request is written, and therefore its answer. A property of the request, not of a service: CloudWatch is
/// called in three of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    AwsJson10,
    AwsJson11,
    /// A form in, XML out.
    Query,
    /// EC2's dialect of it.
    Ec2Query,
    RpcV2Cbor,
    RestJson1,
    RestXml,
}

/// What the operations of one service have in common.
#[derive(Debug)]
pub struct ServiceSchema {
    /// The service's name in a signature's credential scope.
    pub signing_name: &'static str,
    pub api_version: &'static str,
    /// What stands before the operation's name in `X-Amz-Target`.
    pub target_prefix: Option<&'static str>,
    /// The name space of XML answers.
    pub xml_namespace: Option<&'static str>,
    /// Those that the model lists, its preferred one first.
    pub protocols: &'static [Protocol],
    /// Clients of the JSON and CBOR protocols are told Query's error codes in a header (`awsQueryCompatible`).
    pub is_query_compatible: bool,
}

/// Protocols whose errors are told alike: by the same codes and with the same statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// The JSON protocols with a target, and CBOR.
    AwsJson,
    RestJson,
    Query,
    Ec2,
    RestXml,
}

/// What the answers of an operation have in common, apart from its types: what writes them is compiled once and not
/// once per operation.
struct Frame {
    service: &'static ServiceSchema,
    name: &'static str,
    wrapper: Option<&'static str>,
    status: u16,
}

impl Protocol {
    pub fn family(self) -> Family {
        match self {
            Self::AwsJson10 | Self::AwsJson11 | Self::RpcV2Cbor => Family::AwsJson,
            Self::RestJson1 => Family::RestJson,
            Self::Query => Family::Query,
            Self::Ec2Query => Family::Ec2,
            Self::RestXml => Family::RestXml,
        }
    }

    /// The header of an answer that names its request. S3's has a name of its own.
    pub fn request_id_header(self) -> &'static str {
        match self.family() {
            Family::AwsJson | Family::RestJson | Family::Query | Family::Ec2 => "x-amzn-requestid",
            Family::RestXml => "x-amz-request-id",
        }
    }

    /// The header of an error that has its code; in the XML protocols the body alone tells it.
    pub fn error_code_header(self) -> Option<&'static str> {
        match self.family() {
            Family::AwsJson | Family::RestJson => Some("x-amzn-errortype"),
            Family::Query | Family::Ec2 | Family::RestXml => None,
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::AwsJson10 => "application/x-amz-json-1.0",
            Self::AwsJson11 => "application/x-amz-json-1.1",
            Self::Query => "text/xml",
            Self::Ec2Query => "text/xml;charset=UTF-8",
            Self::RpcV2Cbor => "application/cbor",
            Self::RestJson1 => "application/json",
            Self::RestXml => "application/xml",
        }
    }

    /// Reads the input of an operation.
    pub fn read<O: OperationShape>(self, request: &rest::Request<'_>) -> Result<O::Input, DecodeError> {
        lent(|take| self.read_by(request, O::URI, take))
    }

    /// Lends `take` a reader of the input of an operation that has the path `uri`.
    fn read_by(
        self,
        request: &rest::Request<'_>,
        uri: &'static str,
        take: &mut EachElement<'_>,
    ) -> Result<(), DecodeError> {
        match self {
            Self::AwsJson10 | Self::AwsJson11 => json::read(request.body, take),
            Self::Query => read_form(request, Dialect::Query, take),
            Self::Ec2Query => read_form(request, Dialect::Ec2, take),
            Self::RpcV2Cbor => cbor::read(request.body, take),
            Self::RestJson1 => rest::read(request, uri, rest::Body::Json, take),
            Self::RestXml => rest::read(request, uri, rest::Body::Xml, take),
        }
    }

    /// Writes the output of an operation. XML answers repeat the request's id.
    pub fn answer<O: OperationShape>(self, output: &O::Output, request_id: &str) -> Reply {
        let frame =
            Frame { service: O::SERVICE, name: O::NAME, wrapper: O::RESULT_WRAPPER, status: O::STATUS };
        self.answer_in(&frame, output, request_id)
    }

    fn answer_in(self, frame: &Frame, output: &dyn Structure, request_id: &str) -> Reply {
        let namespace = frame.service.xml_namespace.unwrap_or_default();
        let body = match self {
            Self::AwsJson10 | Self::AwsJson11 => json::to_vec(output),
            Self::RpcV2Cbor => cbor::to_vec(output),
            Self::Query => {
                let mut text = format!("<{}Response xmlns=\"{}\">", frame.name, escape(namespace));
                if let Some(wrapper) = frame.wrapper {
                    text = element(text, wrapper, |text| members(text, output, Style::Aws));
                }
                text.push_str("<ResponseMetadata><RequestId>");
                text.push_str(&escape(request_id));
                text.push_str(&format!("</RequestId></ResponseMetadata></{}Response>", frame.name));
                text.into_bytes()
            }
            Self::Ec2Query => {
                let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
                let mut text = format!("{head}<{}Response xmlns=\"{}\">", frame.name, escape(namespace));
                text = element(text, "requestId", |text| text + &escape(request_id));
                text = members(text, output, Style::Ec2);
                text.push_str(&format!("</{}Response>", frame.name));
                text.into_bytes()
            }
            Self::RestJson1 => return self.rest_answer(frame, output, rest::Body::Json),
            Self::RestXml => return self.rest_answer(frame, output, rest::Body::Xml),
        };
        Reply::new(200, self.content_type(), body).with_headers(self.headers())
    }

    fn rest_answer(self, frame: &Frame, output: &dyn Structure, body: rest::Body) -> Reply {
        let answer = rest::write(output, body, frame.service.xml_namespace);
        let content_type = match &answer {
            rest::Answer { body, .. } if body.is_empty() => "",
            rest::Answer { is_raw: true, .. } => "application/octet-stream",
            rest::Answer { is_raw: false, .. } => self.content_type(),
        };
        Reply::new(answer.status.unwrap_or(frame.status), content_type, answer.body)
            .with_headers(answer.headers)
    }

    /// Headers that every answer of the protocol has.
    fn headers(self) -> Vec<(String, String)> {
        match self {
            Self::RpcV2Cbor => vec![("smithy-protocol".into(), "rpc-v2-cbor".into())],
            Self::AwsJson10
            | Self::AwsJson11
            | Self::Query
            | Self::Ec2Query
            | Self::RestJson1
            | Self::RestXml => Vec::new(),
        }
    }

    /// Writes what a call answers instead of its output.
    pub fn error(self, error: &dyn ModeledError, service: Option<&ServiceSchema>, request_id: &str) -> Reply {
        self.error_about(error, service, request_id, "")
    }

    /// The same of a request for this path, which REST-XML repeats.
    pub fn error_about(
        self,
        error: &dyn ModeledError,
        service: Option<&ServiceSchema>,
        request_id: &str,
        path: &str,
    ) -> Reply {
        let fault = if error.is_server_fault() { "Receiver" } else { "Sender" };
        let (code, status) = error.told_in(self.family());
        let mut headers = self.headers();
        let is_compatible = service.is_some_and(|service| service.is_query_compatible);
        let body = match self {
            Self::AwsJson10 | Self::AwsJson11 => {
                let mut writer = JsonWriter::for_error(code);
                error.encode(&mut writer);
                writer.into_bytes()
            }
            Self::RpcV2Cbor => {
                let mut writer = CborWriter::for_error(code);
                error.encode(&mut writer);
                writer.into_bytes()
            }
            Self::RestJson1 => {
                let mut writer = JsonWriter::new();
                error.encode(&mut writer);
                writer.into_bytes()
            }
            Self::Query => {
                let uri = service.and_then(|service| service.xml_namespace);
                let declared = uri.map(|uri| format!(" xmlns=\"{}\"", escape(uri))).unwrap_or_default();
                let inner = code_and_message(format!("<Type>{fault}</Type>"), code, error);
                let id = escape(request_id);
                format!("<ErrorResponse{declared}><Error>{inner}</Error><RequestId>{id}</RequestId></ErrorResponse>")
                    .into_bytes()
            }
            Self::Ec2Query => {
                let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
                let inner = code_and_message(String::new(), code, error);
                let id = escape(request_id);
                format!("{head}<Response><Errors><Error>{inner}</Error></Errors><RequestID>{id}</RequestID></Response>")
                    .into_bytes()
            }
            Self::RestXml => {
                let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
                let inner = code_and_message(String::new(), code, error);
                let inner = match path {
                    "" => inner,
                    path => element(inner, "Resource", |text| text + &escape(path)),
                };
                let id = escape(request_id);
                // AWS has a second id, of the host that answered. Here the first one says all.
                format!("{head}<Error>{inner}<RequestId>{id}</RequestId><HostId>{id}</HostId></Error>")
                    .into_bytes()
            }
        };
        if is_compatible && matches!(self, Self::AwsJson10 | Self::AwsJson11 | Self::RpcV2Cbor) {
            headers
                .push(("x-amzn-query-error".into(), format!("{};{fault}", error.told_in(Family::Query).0)));
        }
        Reply::new(status, self.content_type(), body).with_headers(headers).failed(error, code)
    }
}

fn read_form(
    request: &rest::Request<'_>,
    dialect: Dialect,
    take: &mut EachElement<'_>,
) -> Result<(), DecodeError> {
    // A call is a form, or everything in the URL; never half of each.
    let text = if request.body.is_empty() { request.query.as_bytes() } else { request.body };
    query::read(&Form::parse(text)?, dialect, take)
}

/// `<name>`, what `inside` appends, `</name>`.
fn element(mut text: String, name: &str, inside: impl FnOnce(String) -> String) -> String {
    text.push_str(&format!("<{name}>"));
    let mut text = inside(text);
    text.push_str(&format!("</{name}>"));
    text
}

fn members(text: String, output: &dyn Shape, style: Style) -> String {
    let mut writer = XmlWriter::inside(text, style);
    output.encode(&mut writer);
    writer.into_text()
}

fn code_and_message(text: String, code: &str, error: &dyn ModeledError) -> String {
    let text = element(text, "Code", |text| text + &escape(code));
    element(text, "Message", |text| text + &escape(error.message()))
}

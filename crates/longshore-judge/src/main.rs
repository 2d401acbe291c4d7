//! Lets somebody else's client judge the protocols: `tests/protocols` drives this program with botocore.
//!
//! Each line of stdin is a question, each line of stdout its answer, both JSON:
//!
//! - `{"ask": "read", "service", "operation", "protocol", "path", "query", "headers", "body"}`: a request as a client
//!   writes it, the body in base64. The answer is `{"input": ...}`, the decoded input as awsJson writes it.
//! - `{"ask": "answer", "service", "operation", "protocol", "output"}`: an output as awsJson reads it. The answer is
//!   `{"status", "headers", "body"}`, as a client gets it.
//! - `{"ask": "events", "protocol", "events": [[NAME, EVENT], ...]}`: what StartLiveTail of CloudWatch Logs says, one
//!   after the other, each as awsJson reads it. The answer is `{"status", "headers", "body"}`, frames and all.
//! - `{"ask": "refuse", "service", "operation", "protocol", "message"}`: the same for an error, `ValidationException`.
//! - `{"ask": "write", "service", "operation", "protocol", "input"}`: an input as awsJson reads it. The answer is the
//!   request that our client makes of it, `{"method", "path", "query", "headers", "body"}`.
//! - `{"ask": "hear", "service", "operation", "protocol", "status", "headers", "body"}`: an answer as a client gets it.
//!   What our client reads of it is `{"output": ...}`, or `{"code", "message"}` if the status is one of an error.
//! - `{"ask": "body", "method", "path", "query", "headers", "body", "secret", "cut"}`: a signed request as a client sends
//!   it, its body as on the wire, which is read in pieces of `cut` bytes. The answer is `{"body", "trailers"}`, decoded
//!   and verified, or `{"refused": ...}`.
//! - `{"ask": "operations"}`: every service with its operations and protocols.
//!
//! It knows nothing of what an operation does; every operation of every service with shapes is there.

use std::io::{BufRead, Write};

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use longshore_sigv4::{BodyReader, BodyRefused, Presented, Secret};
use longshore_wire::generic::GenericErrorKind;
use longshore_wire::rest::Request;
use longshore_wire::{
    GenericError, OperationShape, Protocol, Received, Reply, ServiceSchema, Shape, Written, event_stream,
    json,
};
use serde_json::{Value, json};

/// What can be asked of one operation. Inputs and outputs go in and out as the JSON of awsJson; what fails says why.
struct Judged {
    name: &'static str,
    schema: &'static ServiceSchema,
    read: fn(Protocol, &Request<'_>) -> Result<Vec<u8>, String>,
    answer: fn(Protocol, &[u8]) -> Result<Reply, String>,
    write: fn(Protocol, &[u8]) -> Result<Written, String>,
    hear: fn(Protocol, &Received<'_>) -> Result<Vec<u8>, String>,
}

fn judged<O: OperationShape>() -> Judged {
    Judged {
        name: O::NAME,
        schema: O::SERVICE,
        read: |protocol, request| {
            protocol.read::<O>(request).map(|input| json::to_vec(&input)).map_err(|error| error.to_string())
        },
        answer: |protocol, output| {
            let output: O::Output = json::from_slice(output).map_err(|error| error.to_string())?;
            Ok(protocol.answer::<O>(&output, "request-id"))
        },
        write: |protocol, input| {
            let input: O::Input = json::from_slice(input).map_err(|error| error.to_string())?;
            protocol.write_request::<O>(&input, None).map_err(|error| error.to_string())
        },
        hear: |protocol, answer| {
            protocol.read_answer::<O>(answer).map(|output| json::to_vec(&output)).map_err(|e| e.to_string())
        },
    }
}

macro_rules! table {
    ($shapes:ident $($operation:ident)*) => {
        vec![$(judged::<$shapes::ops::$operation>()),*]
    };
}

macro_rules! services {
    ($($name:literal = $shapes:ident;)*) => {
        vec![$(($name, $shapes::each_operation!(table $shapes))),*]
    };
}

/// All services with shapes, by the names that botocore has for them.
type Services = Vec<(&'static str, Vec<Judged>)>;

fn services() -> Services {
    use {
        longshore_shapes_acm as acm, longshore_shapes_appscaling as appscaling,
        longshore_shapes_autoscaling as autoscaling, longshore_shapes_cloudwatch as cloudwatch,
        longshore_shapes_codedeploy as codedeploy, longshore_shapes_discovery as discovery,
        longshore_shapes_ec2 as ec2, longshore_shapes_ecr as ecr, longshore_shapes_ecrpublic as ecrpublic,
        longshore_shapes_ecs as ecs, longshore_shapes_elb as elb, longshore_shapes_elbv2 as elbv2,
        longshore_shapes_events as events, longshore_shapes_iam as iam, longshore_shapes_kms as kms,
        longshore_shapes_logs as logs, longshore_shapes_s3 as s3, longshore_shapes_scheduler as scheduler,
        longshore_shapes_secretsmanager as secretsmanager, longshore_shapes_ssm as ssm,
        longshore_shapes_sts as sts,
    };
    services! {
        "acm" = acm;
        "application-autoscaling" = appscaling;
        "autoscaling" = autoscaling;
        "cloudwatch" = cloudwatch;
        "codedeploy" = codedeploy;
        "servicediscovery" = discovery;
        "ec2" = ec2;
        "ecr" = ecr;
        "ecr-public" = ecrpublic;
        "ecs" = ecs;
        "elb" = elb;
        "elbv2" = elbv2;
        "events" = events;
        "iam" = iam;
        "kms" = kms;
        "logs" = logs;
        "s3" = s3;
        "scheduler" = scheduler;
        "secretsmanager" = secretsmanager;
        "ssm" = ssm;
        "sts" = sts;
    }
}

/// All protocols, as questions name them.
const PROTOCOLS: [(&str, Protocol); 7] = [
    ("json-1.0", Protocol::AwsJson10),
    ("json-1.1", Protocol::AwsJson11),
    ("query", Protocol::Query),
    ("ec2", Protocol::Ec2Query),
    ("smithy-rpc-v2-cbor", Protocol::RpcV2Cbor),
    ("rest-json", Protocol::RestJson1),
    ("rest-xml", Protocol::RestXml),
];

fn protocol_name(protocol: Protocol) -> &'static str {
    let named = PROTOCOLS.iter().find(|(_, other)| *other == protocol);
    named.expect("every protocol is in the list").0
}

fn main() -> anyhow::Result<()> {
    let services = services();
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let question: Value = serde_json::from_str(&line?)?;
        let answer = consider(&services, &question).with_context(|| format!("asked {question}"))?;
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

/// Answers one question.
///
/// # Errors
/// The question is none: the program ends with it. That ours refuses what it is given is an answer.
fn consider(services: &Services, question: &Value) -> anyhow::Result<Value> {
    let text = |key: &str| question[key].as_str().with_context(|| format!("a question without {key}"));
    let ask = text("ask")?;
    if ask == "operations" {
        return Ok(listing(services));
    }
    if ask == "body" {
        return Ok(match verified(question)? {
            Ok((body, trailers)) => {
                let trailers: serde_json::Map<String, Value> =
                    trailers.into_iter().map(|(name, value)| (name, value.into())).collect();
                json!({"body": STANDARD.encode(body), "trailers": trailers})
            }
            Err(refused) => json!({"refused": refused}),
        });
    }
    let wanted = text("protocol")?;
    let (_, protocol) =
        PROTOCOLS.into_iter().find(|(name, _)| *name == wanted).context("no such protocol")?;
    if ask == "events" {
        return live_tail(protocol, question["events"].as_array().context("events are a list")?);
    }
    let (service, operation) = (text("service")?, text("operation")?);
    let (_, operations) = services
        .iter()
        .find(|(name, _)| *name == service)
        .with_context(|| format!("no service {service}"))?;
    let judged = operations.iter().find(|judged| judged.name == operation).context("no such operation")?;
    match ask {
        "read" => {
            let headers = headers(question);
            let headers = borrowed(&headers);
            let body = STANDARD.decode(text("body")?)?;
            let request =
                Request { path: text("path")?, query: text("query")?, headers: &headers, body: &body };
            Ok(match (judged.read)(protocol, &request) {
                Ok(input) => json!({"input": serde_json::from_slice::<Value>(&input)?}),
                Err(error) => json!({"refused": error}),
            })
        }
        "answer" => match (judged.answer)(protocol, question["output"].to_string().as_bytes()) {
            Ok(reply) => Ok(replied(&reply)),
            Err(error) => Ok(json!({"refused": error})),
        },
        "refuse" => {
            let error = GenericError::new(GenericErrorKind::Validation, text("message")?);
            Ok(replied(&protocol.error(&error, Some(judged.schema), "request-id")))
        }
        "write" => match (judged.write)(protocol, question["input"].to_string().as_bytes()) {
            Ok(written) => Ok(requested(&written)),
            Err(error) => Ok(json!({"refused": error})),
        },
        "hear" => heard(judged, protocol, question),
        other => bail!("cannot be asked to {other}"),
    }
}

/// A body, and its trailers.
type Body = (Vec<u8>, Vec<(String, String)>);

/// What a signed request's body holds, and its trailers; or why it is refused.
fn verified(question: &Value) -> anyhow::Result<Result<Body, String>> {
    let text = |key: &str| question[key].as_str().with_context(|| format!("a question without {key}"));
    let headers = headers(question);
    let headers = borrowed(&headers);
    let headers = headers.as_slice();
    let (method, path, query) = (text("method")?, text("path")?, text("query")?);
    let request = longshore_sigv4::Request { method, path, query, headers: &headers };
    let wire = STANDARD.decode(text("body")?)?;
    let cut = usize::try_from(question["cut"].as_u64().context("a cut")?)?;
    let secret = Secret::new(text("secret")?);
    let reader = Presented::parse(&request)
        .and_then(|presented| presented.reader(&request, &presented.signing_key(&secret)));
    Ok(match reader {
        Ok(reader) => read_in_pieces(reader, &wire, cut.max(1)).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    })
}

fn read_in_pieces(mut reader: BodyReader, wire: &[u8], cut: usize) -> Result<Body, BodyRefused> {
    let mut body = Vec::new();
    for piece in wire.chunks(cut) {
        let mut piece = Bytes::copy_from_slice(piece);
        while let Some(part) = reader.take(&mut piece)? {
            body.extend_from_slice(&part);
        }
    }
    Ok((body, reader.end()?))
}

/// A stream of events, of the one operation with shapes that has it.
fn live_tail(protocol: Protocol, events: &[Value]) -> anyhow::Result<Value> {
    use longshore_shapes_logs as logs;
    fn framed<S: Shape>(event: &Value, frame: impl Fn(&S) -> Vec<u8>) -> anyhow::Result<Vec<u8>> {
        let event: S = json::from_slice(event.to_string().as_bytes())?;
        Ok(frame(&event))
    }
    let mut body = protocol.initial_response(&logs::StartLiveTailResponse::default());
    for pair in events {
        let (name, event) = (pair[0].as_str().context("an event without name")?, &pair[1]);
        body.extend(match name {
            "sessionStart" => {
                framed::<logs::LiveTailSessionStart>(event, |event| protocol.event(name, event))
            }
            "sessionUpdate" => {
                framed::<logs::LiveTailSessionUpdate>(event, |event| protocol.event(name, event))
            }
            "SessionTimeoutException" => {
                framed::<logs::SessionTimeoutException>(event, |error| protocol.stream_exception(name, error))
            }
            other => bail!("no event {other}"),
        }?);
    }
    Ok(replied(&Reply::new(200, event_stream::CONTENT_TYPE, body)))
}

/// The headers of a question, their names in lower case.
fn headers(question: &Value) -> Vec<(String, &str)> {
    let given = question["headers"].as_object().into_iter().flatten();
    given.map(|(name, value)| (name.to_ascii_lowercase(), value.as_str().unwrap_or_default())).collect()
}

fn borrowed<'a>(headers: &'a [(String, &'a str)]) -> Vec<(&'a str, &'a str)> {
    headers.iter().map(|(name, value)| (name.as_str(), *value)).collect()
}

/// What our client reads of an answer.
fn heard(judged: &Judged, protocol: Protocol, question: &Value) -> anyhow::Result<Value> {
    let headers = headers(question);
    let headers = borrowed(&headers);
    let body = STANDARD.decode(question["body"].as_str().context("a body")?)?;
    let status = u16::try_from(question["status"].as_u64().context("a status")?)?;
    let answer = Received { status, headers: &headers, body: &body };
    if status >= 300 {
        let error = protocol.read_error(&answer);
        let error = error.map(|error| json!({"code": error.code, "message": error.message}));
        return Ok(error.unwrap_or_default());
    }
    Ok(match (judged.hear)(protocol, &answer) {
        Ok(output) => json!({"output": serde_json::from_slice::<Value>(&output)?}),
        Err(error) => json!({"refused": error}),
    })
}

fn requested(written: &Written) -> Value {
    let Written { method, path, query, headers, body } = written;
    let headers: serde_json::Map<String, Value> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into())).collect();
    json!({"method": method, "path": path, "query": query, "headers": headers, "body": STANDARD.encode(body)})
}

fn replied(reply: &Reply) -> Value {
    let mut headers: serde_json::Map<String, Value> =
        reply.headers.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    if !reply.content_type.is_empty() {
        headers.entry("content-type").or_insert_with(|| reply.content_type.into());
    }
    json!({"status": reply.status, "headers": headers, "body": STANDARD.encode(&reply.body)})
}

fn listing(services: &Services) -> Value {
    let mut all = serde_json::Map::new();
    for (name, operations) in services {
        let protocols: Vec<&str> = operations
            .first()
            .map(|judged| judged.schema.protocols.iter().map(|protocol| protocol_name(*protocol)).collect())
            .unwrap_or_default();
        let names: Vec<&str> = operations.iter().map(|judged| judged.name).collect();
        all.insert((*name).to_owned(), json!({"protocols": protocols, "operations": names}));
    }
    all.into()
}

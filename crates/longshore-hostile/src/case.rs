//! One case: what to send, and what may come back. A case is made from the run's seed and its number alone.

use std::time::Duration;

use longshore_base::Timestamp;
use longshore_sigv4::{Credentials, ToSign, presign};
use serde_json::Value;

use crate::chance::Chance;
use crate::client::{Caller, Draft, SCOPE, TARGET_PREFIX, now};
use crate::model::{Model, Operation};
use crate::others::Service;
use crate::value::{Spoil, spoil, spoil_text, valid};
use crate::world::{World, upgrade};

/// Bodies beyond this are refused by the server (`Limits::body_bytes_max`).
pub(crate) const BODY_BYTES_MAX: usize = 1 << 19;

/// What is wrong with a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    Valid,
    Types,
    Sizes,
    Nesting,
    ForeignArns,
    BrokenJson,
    LongBody,
    CutBody,
    WrongLength,
    Chunks,
    Signature,
    Target,
    MethodAndPath,
    Query,
    Form,
    Path,
    Cbor,
    Others,
    Page,
    Headers,
    NotHttp,
    Pipeline,
    Upgrade,
    Frames,
}

impl Class {
    pub const ALL: [Class; 24] = [
        Class::Valid,
        Class::Types,
        Class::Sizes,
        Class::Nesting,
        Class::ForeignArns,
        Class::BrokenJson,
        Class::LongBody,
        Class::CutBody,
        Class::WrongLength,
        Class::Chunks,
        Class::Signature,
        Class::Target,
        Class::MethodAndPath,
        Class::Query,
        Class::Form,
        Class::Path,
        Class::Cbor,
        Class::Others,
        Class::Page,
        Class::Headers,
        Class::NotHttp,
        Class::Pipeline,
        Class::Upgrade,
        Class::Frames,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Class::Valid => "looks valid",
            Class::Types => "wrong types, missing and unknown members",
            Class::Sizes => "sizes",
            Class::Nesting => "nesting",
            Class::ForeignArns => "ARNs of others",
            Class::BrokenJson => "broken JSON",
            Class::LongBody => "bodies beyond the limit",
            Class::CutBody => "truncated bodies",
            Class::WrongLength => "wrong lengths",
            Class::Chunks => "chunked bodies",
            Class::Signature => "bad signatures",
            Class::Target => "bad targets",
            Class::MethodAndPath => "methods and paths",
            Class::Query => "ECS by forms and URLs",
            Class::Form => "forms of other services",
            Class::Path => "paths of other services",
            Class::Cbor => "CBOR of other services",
            Class::Others => "calls of the other APIs",
            Class::Page => "web pages of other origins",
            Class::Headers => "headers",
            Class::NotHttp => "not HTTP",
            Class::Pipeline => "pipelines",
            Class::Upgrade => "bad upgrades",
            Class::Frames => "garbage on agent sockets",
        }
    }

    /// How often it is drawn, in parts of the sum. Most of the parser is behind well-formed requests.
    fn weight(self) -> usize {
        match self {
            Class::Others => 30,
            Class::Valid | Class::Types => 20,
            Class::Sizes | Class::ForeignArns | Class::BrokenJson | Class::Signature => 10,
            Class::Nesting
            | Class::Target
            | Class::Query
            | Class::Form
            | Class::Path
            | Class::Cbor
            | Class::Page
            | Class::Headers
            | Class::NotHttp
            | Class::Upgrade => 4,
            Class::MethodAndPath | Class::Chunks | Class::WrongLength | Class::CutBody | Class::Pipeline => 3,
            Class::LongBody | Class::Frames => 1,
        }
    }

    fn draw(chance: &mut Chance) -> Self {
        let mut at = chance.below(Self::ALL.map(Self::weight).iter().sum());
        for class in Self::ALL {
            match at.checked_sub(class.weight()) {
                Some(rest) => at = rest,
                None => return class,
            }
        }
        Class::Valid
    }
}

/// What may come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// An answer of the operation: a success or one of its errors.
    OfOperation,
    /// A refusal in the words of AWS.
    Refusal,
    /// As the edge of HTTP sees fit: any status but a server's fault, or the end of the connection.
    Anything,
}

pub struct Case<'m> {
    pub number: u64,
    pub class: Class,
    pub operation: &'m Operation,
    pub bytes: Vec<u8>,
    /// Say that nothing more will come, after the bytes.
    pub half_close: bool,
    /// How many answers the bytes ask for.
    pub answers: usize,
    pub expect: Expect,
    /// Frames for an agent's socket; the bytes are its upgrade, to which the instance's signature is right.
    pub frames: Vec<Vec<u8>>,
}

/// Everything that cases are made of.
pub struct Maker<'m> {
    pub model: &'m Model,
    pub others: &'m [Service],
    pub world: World,
    pub caller: Caller,
}

impl<'m> Maker<'m> {
    pub fn case(&self, chance: &mut Chance, number: u64) -> Case<'m> {
        let class = Class::draw(chance);
        let operation = chance.pick(&self.model.operations);
        let value = valid(self.model, &self.world, &operation.input, chance);
        let mut case = Case {
            number,
            class,
            operation,
            bytes: Vec::new(),
            half_close: false,
            answers: 1,
            expect: Expect::OfOperation,
            frames: Vec::new(),
        };
        self.fill(&mut case, value, chance);
        case
    }

    fn genuine(&self, operation: &Operation, body: impl Into<Vec<u8>>) -> Draft {
        self.caller.draft(&operation.name, body)
    }

    fn fill(&self, case: &mut Case<'m>, mut value: Value, chance: &mut Chance) {
        let operation = case.operation;
        match case.class {
            Class::Valid => case.bytes = self.genuine(operation, value.to_string()).bytes(),
            Class::Types => self.spoilt(case, &mut value, Spoil::Type, chance),
            Class::Sizes => self.spoilt(case, &mut value, Spoil::Size, chance),
            Class::Nesting => self.spoilt(case, &mut value, Spoil::Depth, chance),
            Class::ForeignArns => self.spoilt(case, &mut value, Spoil::Arn, chance),
            Class::BrokenJson => {
                let body = spoil_text(&value.to_string(), chance);
                case.bytes = self.genuine(operation, body).bytes();
            }
            Class::LongBody => {
                let body = format!("{{\"a\":\"{}\"}}", "x".repeat(BODY_BYTES_MAX + chance.below(4096)));
                case.bytes = self.genuine(operation, body).bytes();
                // The server need not read it to the end, so that its answer may be lost in a reset.
                case.expect = Expect::Anything;
            }
            Class::CutBody => {
                let mut bytes = self.genuine(operation, value.to_string()).bytes();
                let body = value.to_string().len();
                bytes.truncate(bytes.len() - 1 - chance.below(body));
                (case.bytes, case.half_close, case.expect) = (bytes, true, Expect::Anything);
            }
            Class::WrongLength => self.wrong_length(case, &value, chance),
            Class::Chunks => self.chunks(case, &value, chance),
            Class::Signature => {
                case.bytes = self.bad_signature(operation, value.to_string(), chance);
                case.expect = Expect::Refusal;
            }
            Class::Target => {
                let length = chance.below(40);
                let target = match chance.below(7) {
                    0 => String::new(),
                    1 => operation.name.clone(),
                    2 => format!("{TARGET_PREFIX}."),
                    3 => format!("{TARGET_PREFIX}.{}", operation.name.to_lowercase()),
                    4 => format!("DynamoDB_20120810.{}", operation.name),
                    5 => format!("{TARGET_PREFIX}.{}x", operation.name),
                    _ => chance.text(length).replace(|c: char| !c.is_ascii_graphic(), "."),
                };
                let mut draft = Draft::call(&self.caller.authority(), "", value.to_string());
                draft.set("x-amz-target", target);
                draft.sign(self.caller.credentials(), SCOPE, now());
                (case.bytes, case.expect) = (draft.bytes(), Expect::Refusal);
            }
            Class::MethodAndPath => self.method_and_path(case, &value, chance),
            Class::Query => self.query(case, chance),
            Class::Form => self.form(case, chance),
            Class::Path => self.path(case, chance),
            Class::Cbor => self.cbor(case, chance),
            Class::Others => self.other_api(case, chance),
            Class::Page if chance.percent(50) => self.page_calls_other(case, chance),
            Class::Page => {
                let authority = self.caller.authority();
                let mut draft = self.genuine(operation, value.to_string());
                // What a browser adds to a page's request. The signature is right all the same.
                match chance.below(6) {
                    0 => draft.set("origin", "http://other.example"),
                    1 => draft.set("origin", "null"),
                    2 => draft.set("origin", format!("http://x.{authority}")),
                    3 => draft.set("origin", format!("http://{authority}0")),
                    4 => draft.set("sec-fetch-site", "cross-site"),
                    _ => draft.set("sec-fetch-site", "same-site"),
                }
                (case.bytes, case.expect) = (draft.bytes(), Expect::Refusal);
            }
            Class::Headers => self.headers(case, &value, chance),
            Class::NotHttp => {
                (case.bytes, case.half_close, case.expect) = (not_http(chance), true, Expect::Anything);
            }
            Class::Pipeline => {
                case.answers = 2 + chance.below(20);
                let read = self.model.operation("ListClusters");
                case.operation = read;
                let one = self.genuine(read, "{}").bytes();
                case.bytes = one.repeat(case.answers);
            }
            Class::Upgrade => self.bad_upgrade(case, chance),
            Class::Frames => self.frames(case, chance),
        }
    }

    fn spoilt(&self, case: &mut Case<'m>, value: &mut Value, how: Spoil, chance: &mut Chance) {
        spoil(value, how, chance);
        let body = value.to_string();
        if body.len() > BODY_BYTES_MAX {
            case.expect = Expect::Anything;
        }
        case.bytes = self.genuine(case.operation, body).bytes();
    }

    fn wrong_length(&self, case: &mut Case<'m>, value: &Value, chance: &mut Chance) {
        let draft = self.genuine(case.operation, value.to_string());
        let length = match chance.below(8) {
            0 => "content-length: 0\r\n".into(),
            1 => format!("content-length: {}\r\n", draft.body.len() / 2),
            2 => format!("content-length: {}\r\n", draft.body.len() + 1),
            3 => "content-length: -1\r\n".into(),
            4 => "content-length: 99999999999999999999\r\n".into(),
            5 => "content-length: 1\r\ncontent-length: 2\r\n".into(),
            6 => "content-length: 2, 2\r\n".into(),
            _ => String::new(),
        };
        let mut bytes = draft.head();
        bytes.extend_from_slice(length.as_bytes());
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&draft.body);
        (case.bytes, case.half_close, case.expect) = (bytes, true, Expect::Anything);
    }

    fn chunks(&self, case: &mut Case<'m>, value: &Value, chance: &mut Chance) {
        let draft = self.genuine(case.operation, value.to_string());
        let mut bytes = draft.head();
        bytes.extend_from_slice(b"transfer-encoding: chunked\r\n");
        let broken = chance.percent(60);
        if broken && chance.percent(20) {
            bytes.extend_from_slice(b"content-length: 5\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        let mut rest = draft.body.as_slice();
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at((1 + chance.below(200)).min(rest.len()));
            let size = match (broken, chance.below(6)) {
                (true, 0) => "zz".to_owned(),
                (true, 1) => "ffffffffffffffff".to_owned(),
                (true, 2) => format!("{:x};{}", chunk.len(), "e".repeat(20_000)),
                (true, 3) => format!("{:x}", chunk.len() + 1),
                _ => format!("{:x}", chunk.len()),
            };
            bytes.extend_from_slice(size.as_bytes());
            bytes.extend_from_slice(b"\r\n");
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
            rest = after;
        }
        if !broken || chance.percent(70) {
            bytes.extend_from_slice(b"0\r\n\r\n");
        }
        case.bytes = bytes;
        if broken {
            (case.half_close, case.expect) = (true, Expect::Anything);
        }
    }

    fn bad_signature(&self, operation: &Operation, body: String, chance: &mut Chance) -> Vec<u8> {
        let credentials = self.caller.credentials();
        let mut draft = Draft::call(&self.caller.authority(), &operation.name, body);
        let early = Timestamp::from_millis(now().as_millis() - 16 * 60 * 1000);
        let late = Timestamp::from_millis(now().as_millis() + 16 * 60 * 1000);
        match chance.below(12) {
            0 => {}
            1 => draft.sign(credentials, SCOPE, early),
            2 => draft.sign(credentials, SCOPE, late),
            3 => draft.sign(credentials, ("us-east-1", "s3"), now()),
            4 => draft.sign(credentials, ("", "ecs"), now()),
            5 => draft.sign(&Credentials::new("AKIAUNKNOWN", "secret"), SCOPE, now()),
            6 => draft.sign(&Credentials::new(credentials.access_key_id.clone(), "wrong"), SCOPE, now()),
            spoil => {
                draft.sign(credentials, SCOPE, now());
                match spoil {
                    7 => draft.body.push(b' '),
                    8 => draft.set("x-amz-target", format!("{TARGET_PREFIX}.ListClusters2")),
                    9 => draft.remove("x-amz-date"),
                    10 => draft.headers.push(("authorization".into(), "AWS4-HMAC-SHA256 x=y".into())),
                    _ => {
                        let length = chance.below(300);
                        let text = chance.text(length).replace(|c: char| c.is_control(), " ");
                        draft.set("authorization", format!("AWS4-HMAC-SHA256 {text}"));
                    }
                }
            }
        }
        draft.bytes()
    }

    fn method_and_path(&self, case: &mut Case<'m>, value: &Value, chance: &mut Chance) {
        let mut draft = Draft::call(&self.caller.authority(), &case.operation.name, value.to_string());
        draft.method =
            (*chance.pick(&["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "BREW"])).into();
        draft.path = match chance.below(8) {
            0 => "/v2/".into(),
            1 => "/metrics/..".into(),
            2 => "/%00".into(),
            3 => format!("/{}", "a/".repeat(10_000)),
            4 => "//".into(),
            5 => "/acs/ws/".into(),
            6 => "/latest/meta-data/".into(),
            _ => "/healthz%20".into(),
        };
        draft.sign(self.caller.credentials(), SCOPE, now());
        // The answer to HEAD has a length and no body, which only the end of the connection tells.
        (case.bytes, case.half_close, case.expect) = (draft.bytes(), true, Expect::Anything);
    }

    /// Forms and presigned URLs. ECS speaks JSON only, and the server has to say so.
    fn query(&self, case: &mut Case<'m>, chance: &mut Chance) {
        let name = &case.operation.name;
        let authority = self.caller.authority();
        let mut draft =
            Draft::call(&authority, name, format!("Action={name}&Version=2014-11-13&Tags.member.1.Key=%ff"));
        draft.remove("x-amz-target");
        draft.set("content-type", "application/x-www-form-urlencoded");
        case.expect = Expect::Refusal;
        if chance.percent(30) {
            let headers = [("host", authority.as_str())];
            let to_sign = ToSign {
                method: "GET",
                path: "/",
                query: "Action=NoSuchAction",
                headers: &headers,
                body: b"",
            };
            let life = Duration::from_secs(*chance.pick(&[1, 60, 604_800]));
            let mut query = presign(&to_sign, self.caller.credentials(), SCOPE.0, SCOPE.1, now(), life);
            if chance.percent(50) {
                let at = chance.below(query.len());
                query.truncate(at);
            }
            draft = Draft { method: "GET".into(), query, body: Vec::new(), ..draft };
            draft.headers.retain(|(name, _)| name == "host");
        } else {
            draft.sign(self.caller.credentials(), SCOPE, now());
        }
        case.bytes = draft.bytes();
    }

    fn headers(&self, case: &mut Case<'m>, value: &Value, chance: &mut Chance) {
        let draft = self.genuine(case.operation, value.to_string());
        let mut bytes = draft.head();
        let extra: Vec<u8> = match chance.below(9) {
            0 => (0..500).flat_map(|n| format!("x-many-{n}: y\r\n").into_bytes()).collect(),
            1 => format!("x-long: {}\r\n", "y".repeat(100_000)).into_bytes(),
            2 => format!("{}: y\r\n", "n".repeat(70_000)).into_bytes(),
            3 => b"x-bytes: \xff\xfe\x80\r\n".to_vec(),
            4 => b"x-folded: a\r\n  b\r\n".to_vec(),
            5 => b"no colon\r\n".to_vec(),
            6 => b"x-nul: \0\r\n".to_vec(),
            7 => b"host: other\r\n".to_vec(),
            _ => b"expect: 100-continue\r\nupgrade: h2c\r\nconnection: upgrade, x-amz-date\r\n".to_vec(),
        };
        bytes.extend_from_slice(&extra);
        bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", draft.body.len()).as_bytes());
        bytes.extend_from_slice(&draft.body);
        (case.bytes, case.half_close, case.expect) = (bytes, true, Expect::Anything);
    }

    fn bad_upgrade(&self, case: &mut Case<'m>, chance: &mut Chance) {
        let path = *chance.pick(&["/acs/ws", "/tcs/ws"]);
        let length = chance.below(60);
        let instance = match chance.below(5) {
            0 => String::new(),
            1 => "arn%3Aaws%3Aecs%3Aus-east-1%3A000000000000%3Acontainer-instance%2Fdefault%2Fnone".into(),
            2 => "%ff%00".into(),
            3 => chance.text(length).replace(|c: char| !c.is_ascii_alphanumeric(), "%"),
            _ => "i".repeat(5000),
        };
        let query = format!(
            "containerInstanceArn={instance}&containerInstance={instance}&seqNum=x&sendCredentials=maybe"
        );
        let mut draft = upgrade(self.caller.gate.address, path, query);
        match chance.below(8) {
            0 => draft.remove("sec-websocket-key"),
            1 => draft.set("sec-websocket-version", "12"),
            2 => draft.set("connection", "keep-alive"),
            3 => draft.method = "POST".into(),
            4 => draft.set("sec-websocket-key", "x".repeat(10_000)),
            5 => draft.set("sec-websocket-extensions", "permessage-deflate; server_max_window_bits=999"),
            _ => {}
        }
        if chance.percent(70) {
            draft.sign(self.caller.credentials(), SCOPE, now());
        }
        let mut bytes = draft.head();
        bytes.extend_from_slice(b"\r\n");
        (case.bytes, case.half_close, case.expect) = (bytes, true, Expect::Anything);
    }

    /// The upgrade is genuine, what follows is not.
    fn frames(&self, case: &mut Case<'m>, chance: &mut Chance) {
        let Some(instance) = self.world.instances.first() else { return };
        let path = *chance.pick(&["/acs/ws", "/tcs/ws"]);
        let encoded = longshore_base::percent::encode(instance);
        let query = format!(
            "agentVersion=1.0.0&cluster=default&containerInstance={encoded}&containerInstanceArn={encoded}"
        );
        let mut draft = upgrade(self.caller.gate.address, path, query);
        draft.sign(self.caller.credentials(), SCOPE, now());
        case.bytes = draft.head();
        case.bytes.extend_from_slice(b"\r\n");
        case.frames = (0..1 + chance.below(30)).map(|_| frame(chance)).collect();
        case.expect = Expect::Anything;
    }
}

/// A message in parts, some megabytes of it, that may or may not end; or parts of none.
fn fragments(chance: &mut Chance) -> Vec<u8> {
    const LENGTH: u16 = 60_000;
    let [high, low] = LENGTH.to_be_bytes();
    let first = *chance.pick(&[0x01, 0x02, 0x00]);
    let count = 1 + chance.below(80);
    let mut bytes = Vec::new();
    for n in 0..count {
        let opcode = if n == 0 { first } else { 0x00 };
        let end = if n + 1 == count && chance.percent(50) { 0x80 } else { 0 };
        bytes.extend_from_slice(&[end | opcode, 0x80 | 126, high, low, 0, 0, 0, 0]);
        bytes.resize(bytes.len() + usize::from(LENGTH), b' ');
    }
    bytes
}

/// One websocket frame, or something like it.
fn frame(chance: &mut Chance) -> Vec<u8> {
    if chance.percent(3) {
        return fragments(chance);
    }
    const KINDS: [&str; 8] = [
        "AckRequest",
        "NackRequest",
        "HeartbeatAckRequest",
        "TaskStopVerificationMessage",
        "IAMRoleCredentialsAckRequest",
        "PublishMetricsRequest",
        "PublishHealthRequest",
        "NoSuchMessage",
    ];
    const BODIES: [&str; 6] = [
        "{}",
        "null",
        r#"{"messageId":"1","cluster":"x","containerInstance":7}"#,
        r#"{"messageId":"9999999999999999999999","stopCandidates":[{"taskArn":"t"},null,5]}"#,
        r#"{"metadata":{"cluster":null},"tasks":[{"taskArn":"arn:aws:ecs","containers":[{"healthStatus":"ODD"}]}],"timestamp":1e300}"#,
        r#"{"messageId":1}"#,
    ];
    let text = format!(r#"{{"type":"{}","message":{}}}"#, chance.pick(&KINDS), chance.pick(&BODIES));
    let (opcode, payload) = match chance.below(10) {
        0 => (0x1, vec![0xff, 0xfe]),
        1 => (0x2, chance.bytes(200)),
        2 => (0x1, "[".repeat(100_000).into_bytes()),
        3 => (0x9, chance.bytes(125)),
        4 => (0xb, text.into_bytes()),
        5 => (0x0, text.into_bytes()),
        6 => (0x1, format!("GET / HTTP/1.1\r\nx: y\r\n\r\n{text}").into_bytes()),
        7 => (0x8, vec![0x03]),
        _ => (0x1, text.into_bytes()),
    };
    let mut bytes = vec![0x80 | opcode];
    // What clients send has to be masked; a mask of zeros changes nothing.
    let masked = if chance.percent(95) { 0x80 } else { 0 };
    match payload.len() {
        length @ 0..126 => bytes.push(masked | length.to_le_bytes()[0]),
        length if length <= usize::from(u16::MAX) => {
            bytes.push(masked | 126);
            bytes.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
        }
        length => {
            bytes.push(masked | 127);
            let claimed = if chance.percent(10) { u64::MAX >> 1 } else { length as u64 };
            bytes.extend_from_slice(&claimed.to_be_bytes());
        }
    }
    if masked != 0 {
        bytes.extend_from_slice(&[0; 4]);
    }
    bytes.extend_from_slice(&payload);
    bytes
}

fn not_http(chance: &mut Chance) -> Vec<u8> {
    let length = chance.below(3000);
    match chance.below(9) {
        0 => chance.bytes(length),
        1 => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        2 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(),
        3 => b"GET /\r\n\r\n".to_vec(),
        4 => b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n".to_vec(),
        5 => b"\r\n".repeat(length),
        6 => format!("GET /{} HTTP/1.1\r\nhost: h\r\n\r\n", "x".repeat(200_000)).into_bytes(),
        7 => format!("GET http://[::{length}/ HTTP/1.1\r\nhost: h\r\n\r\n").into_bytes(),
        _ => format!("POST / HTTP/9.{length}\r\nhost:\r\n\r\n").into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Gate;
    use crate::others;
    use longshore_base::Seed;

    #[test]
    fn a_number_is_a_case() {
        let model = Model::ecs().expect("the file in the repository");
        let address = "127.0.0.1:1".parse().expect("an address");
        let caller = Caller::new(Gate::new(address, None), Credentials::new("AKIA", "secret"));
        let caller = caller.expect("a runtime");
        let world = World {
            instances: vec!["arn:aws:ecs:us-east-1:0:container-instance/x".into()],
            ..World::default()
        };
        let others = others::all().expect("the files in the repository");
        let maker = Maker { model: &model, others: &others, world, caller };
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..3000 {
            let of = || maker.case(&mut Chance::new(Seed::new(1).of(number)), number);
            let (case, again) = (of(), of());
            assert_eq!(
                (case.class, case.operation.name.as_str()),
                (again.class, again.operation.name.as_str())
            );
            // Only the time of the signature may differ.
            assert_eq!(case.bytes.len(), again.bytes.len(), "case {number}");
            assert!(!case.bytes.is_empty(), "case {number} of {:?} says nothing", case.class);
            seen.insert(case.class);
        }
        assert_eq!(seen.len(), Class::ALL.len(), "{seen:?}");
    }
}

//! Structures, errors and checks, on shapes written by hand: the generated ones work alike.

use std::collections::BTreeMap;

use longshore_wire::operation::run;
use longshore_wire::schema::{Kind, MemberSchema, StructSchema, TypeSchema};
use longshore_wire::{
    Ask, Fault, GenericError, GenericErrorKind, ModeledError as _, OperationShape, Protocol, Received,
    ServiceSchema, Violations, error_shape, impl_structure, json, operation_error, string_enum,
};

static STRING: TypeSchema = TypeSchema::new("String", Kind::String);
static NAME: TypeSchema = TypeSchema::new("Name", Kind::String).min(1).max(4).pattern("[a-z]+");
static COLOR: TypeSchema = TypeSchema::new("Color", Kind::Enum(Color::VALUES));
static COUNT: TypeSchema = TypeSchema::new("Count", Kind::Integer).min(0).max(10);
static BOATS: TypeSchema = TypeSchema::list("Boats", &BOAT_TYPE).max(2);
static BOAT_TYPE: TypeSchema = TypeSchema::new("Boat", Kind::Structure(&BOAT));
static LABELS: TypeSchema = TypeSchema::map("Labels", &STRING, &NAME);
static BOAT: StructSchema = StructSchema::new(
    "Boat",
    &[
        MemberSchema::new("color", &COLOR),
        MemberSchema::new("count", &COUNT),
        MemberSchema::new("fleet", &BOATS),
        MemberSchema::new("labels", &LABELS),
        MemberSchema::new("name", &NAME).required().absent_if_empty(),
        MemberSchema::new("secret", &STRING).sensitive(),
        MemberSchema::new("secrets", &LABELS).sensitive(),
    ],
);

string_enum! {
    pub enum Color {
        Red = "RED",
        Unknown = "UNKNOWN",
    }
}

#[derive(Clone, Default, PartialEq)]
pub struct Boat {
    pub color: Option<Color>,
    pub count: Option<i32>,
    pub fleet: Option<Vec<Boat>>,
    pub labels: Option<BTreeMap<String, String>>,
    pub name: Option<String>,
    pub secret: Option<String>,
    pub secrets: Option<BTreeMap<String, String>>,
}

impl_structure!(Boat, BOAT, {
    0 => color,
    1 => count,
    2 => fleet,
    3 => labels,
    4 => name,
    5 => secret,
    6 => secrets,
});

static SUNK: StructSchema = StructSchema::new(
    "SunkException",
    &[MemberSchema::new("message", &STRING), MemberSchema::new("place", &STRING)],
);

#[derive(Clone, Default, PartialEq)]
pub struct SunkException {
    pub message: Option<String>,
    pub place: Option<String>,
}

impl_structure!(SunkException, SUNK, { 0 => message, 1 => place, });
error_shape!(SunkException, code = "Sunk", status = 418, server_fault = false, message = message);

operation_error! {
    pub enum SailError {
        SunkException,
    }
}

struct Sail;

static HARBOUR: ServiceSchema = ServiceSchema {
    signing_name: "harbour",
    api_version: "2026-11-30",
    target_prefix: Some("Harbour"),
    xml_namespace: None,
    protocols: &[Protocol::AwsJson11],
    is_query_compatible: false,
};

impl OperationShape for Sail {
    const SERVICE: &'static ServiceSchema = &HARBOUR;
    const NAME: &'static str = "Sail";
    const READONLY: bool = false;
    const IDEMPOTENT: bool = false;
    type Input = Boat;
    type Output = Boat;
    type Error = SailError;
}

fn boat(json: &str) -> Boat {
    json::from_slice(json.as_bytes()).expect("a boat")
}

#[test]
fn unknown_members_and_nulls_are_passed_over() {
    let decoded = boat(r#"{"what":{"is":[1,"this",{"a":null}]},"name":null,"count":3,"color":"BLUE"}"#);
    let expected =
        Boat { count: Some(3), color: Some(Color::Unrecognized("BLUE".into())), ..Boat::default() };
    assert_eq!(decoded, expected);
    assert_eq!(json::to_vec(&decoded), br#"{"color":"BLUE","count":3}"#);
}

#[test]
fn an_empty_text_is_absent_where_the_schema_says_so() {
    assert_eq!(boat(r#"{"name": "" ,"secret":"","count":3}"#), {
        Boat { secret: Some(String::new()), count: Some(3), ..Boat::default() }
    });
    assert_eq!(boat(r#"{"name":" "}"#).name.as_deref(), Some(" "));
    // Only a text can be empty in this way.
    let error = json::from_slice::<Boat>(br#"{"name":[]}"#).expect_err("a list");
    assert_eq!(error.to_string(), "name: a list can not be converted to String");
    let error = json::from_slice::<Boat>(br#"{"name":""x}"#).expect_err("no JSON");
    assert_eq!(error.to_string(), "expected a comma or the end of the collection at byte 10");
}

#[test]
fn a_decoding_error_names_the_member_but_not_the_value() {
    let error = json::from_slice::<Boat>(br#"{"fleet":[{},{"secret":12345}]}"#).expect_err("a number");
    assert_eq!(error.to_string(), "fleet[1].secret: a number can not be converted to String");
    let error = json::from_slice::<Boat>(br#"{"labels":{"key":[]}}"#).expect_err("a list");
    assert_eq!(error.to_string(), "labels[..]: a list can not be converted to String");
}

#[test]
fn debug_hides_secrets() {
    let value =
        boat(r#"{"name":"ann","secret":"s1","secrets":{"k":"s2"},"fleet":[{"secret":"s3"},{"count":1}]}"#);
    assert_eq!(
        format!("{value:?}"),
        r#"Boat {fleet: [Boat {secret: [redacted]}, Boat {count: 1}], name: "ann", secret: [redacted], secrets: [redacted]}"#
    );
}

#[test]
fn violations_say_what_and_where() {
    let check =
        |json: &str, expected: &str| assert_eq!(Violations::of(&boat(json)).to_string(), expected, "{json}");
    check(r#"{"name":"ann","color":"UNKNOWN","count":10}"#, "");
    check("{}", "name is required");
    check(r#"{"name":"annie"}"#, "name has length 5, expected 1 to 4");
    check(r#"{"name":"aé"}"#, "name does not match [a-z]+");
    check(r#"{"name":"a","color":"red"}"#, "color should be one of [RED,UNKNOWN]");
    check(r#"{"name":"a","count":-1}"#, "count is out of range, expected 0 to 10");
    check(
        r#"{"name":"a","fleet":[{"name":"b"},{"count":11},{"name":"c"}]}"#,
        "fleet has length 3, expected at most 2; fleet[1].count is out of range, expected 0 to 10; fleet[1].name is required",
    );
    check(
        r#"{"name":"a","labels":{"x":"ok","y":""}}"#,
        "labels[y] has length 0, expected 1 to 4; labels[y] does not match [a-z]+",
    );
    check(r#"{"name":"a","secrets":{"x":"LOUD"}}"#, "secrets[..] does not match [a-z]+");
}

#[test]
fn errors_carry_type_status_and_members() {
    let error =
        SailError::from(SunkException { place: Some("here".into()), ..SunkException::new("glub \"glub\"") });
    let reply = Protocol::AwsJson11.error(&error, Some(&HARBOUR), "");
    assert_eq!((reply.status, reply.content_type), (418, "application/x-amz-json-1.1"));
    assert_eq!(reply.body, br#"{"__type":"SunkException","message":"glub \"glub\"","place":"here"}"#);
    assert_eq!(error.to_string(), "glub \"glub\"");
}

#[test]
fn clients_read_errors_back() {
    let read = |body: &str| {
        let answer = Received { status: 400, headers: &[], body: body.as_bytes() };
        Protocol::AwsJson11.read_error(&answer).map(|error| (error.code, error.message))
    };
    let told = |code: &str, message: &str| Some((code.to_owned(), message.to_owned()));
    assert_eq!(read(r#"{"__type":"Sunk","message":"glub","place":"here"}"#), told("Sunk", "glub"));
    assert_eq!(read(r#"{"__type":"com.harbour#Sunk","Message":"glub"}"#), told("Sunk", "glub"));
    for none in [r#"{"__type":5}"#, "{}", "", "<html>", "[]"] {
        assert_eq!(read(none), None, "{none}");
    }
}

#[test]
fn a_fault_keeps_its_cause_from_the_caller() {
    let cause = std::io::Error::other("disk on fire");
    let reply = Protocol::AwsJson10.error(&SailError::from(Fault::hidden(cause)), Some(&HARBOUR), "");
    assert_eq!((reply.status, reply.content_type), (500, "application/x-amz-json-1.0"));
    assert!(!String::from_utf8_lossy(&reply.body).contains("fire"));
    let error = reply.error.expect("a failure");
    assert_eq!((error.code, error.server_fault), ("ServerException", true));
    assert_eq!(error.cause.as_deref(), Some("disk on fire"));
    assert_eq!(SailError::from(SunkException::new("x")).http_status(), 418);
}

/// What clients of each family know a refused signature by (identity J2), and who is called what in XML.
#[test]
fn generic_errors_have_the_words_of_their_protocol() {
    use GenericErrorKind as K;
    let told = |kind, protocol: Protocol| {
        let reply = protocol.error(&GenericError::new(kind, "a < b"), Some(&HARBOUR), "id-1");
        format!("{} {}", reply.status, String::from_utf8_lossy(&reply.body).replace('\n', ""))
    };
    let json = r#"{"__type":"UnrecognizedClientException","message":"a < b"}"#;
    assert_eq!(told(K::UnrecognizedClient, Protocol::AwsJson11), format!("400 {json}"));
    assert_eq!(told(K::UnrecognizedClient, Protocol::RestJson1), r#"403 {"message":"a < b"}"#);
    assert_eq!(
        told(K::UnrecognizedClient, Protocol::Query),
        "403 <ErrorResponse><Error><Type>Sender</Type><Code>InvalidClientTokenId</Code><Message>a &lt; b</Message>\
         </Error><RequestId>id-1</RequestId></ErrorResponse>"
    );
    assert_eq!(
        told(K::UnrecognizedClient, Protocol::Ec2Query),
        "401 <?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Errors><Error><Code>AuthFailure</Code>\
         <Message>a &lt; b</Message></Error></Errors><RequestID>id-1</RequestID></Response>"
    );
    assert_eq!(
        told(K::UnrecognizedClient, Protocol::RestXml),
        "403 <?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>InvalidAccessKeyId</Code>\
         <Message>a &lt; b</Message><RequestId>id-1</RequestId><HostId>id-1</HostId></Error>"
    );
    for kind in K::ALL {
        for protocol in
            [Protocol::AwsJson10, Protocol::RestJson1, Protocol::Query, Protocol::Ec2Query, Protocol::RestXml]
        {
            let (code, status) = kind.told_in(protocol.family());
            let is_ours = matches!(kind, K::ServiceUnavailable | K::InternalFailure | K::Throttling);
            assert!(
                (400..500).contains(&status) || status == 501 || is_ours,
                "{code} {status}: clients ask again after a 5xx"
            );
        }
    }
}

#[test]
fn a_fault_has_the_words_of_its_protocol() {
    let code = |protocol: Protocol, fault: Fault| {
        let reply = protocol.error(&SailError::from(fault), Some(&HARBOUR), "");
        (reply.error.expect("a failure").code, reply.status)
    };
    assert_eq!(code(Protocol::AwsJson11, Fault::told("x")), ("ServerException", 500));
    assert_eq!(code(Protocol::Query, Fault::told("x")), ("InternalFailure", 500));
    assert_eq!(code(Protocol::Query, Fault::final_refusal("x")), ("ValidationError", 400));
    assert_eq!(code(Protocol::RestXml, Fault::told("x")), ("InternalError", 500));
}

#[test]
fn protocols_by_content_type() {
    for (content_type, expected) in [
        (Some("application/x-amz-json-1.1"), Some(Protocol::AwsJson11)),
        (Some("application/X-AMZ-json-1.0; charset=utf-8"), Some(Protocol::AwsJson10)),
        (Some("application/json"), Some(Protocol::AwsJson11)),
        (None, Some(Protocol::AwsJson11)),
        (Some("text/xml"), None),
    ] {
        assert_eq!(Protocol::of_content_type(content_type), expected, "{content_type:?}");
    }
}

#[test]
fn a_call_decodes_runs_and_encodes() {
    let call = |body: &[u8]| {
        let ask = Ask::of_body(Protocol::AwsJson11, body);
        let sail = |boat: Boat| {
            std::future::ready(if boat.count == Some(0) {
                Err(SunkException::new("empty").into())
            } else {
                Ok(boat)
            })
        };
        let future = std::pin::pin!(run::<Sail, _, _>(&ask, sail));
        match future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
            std::task::Poll::Ready(reply) => (reply.status, String::from_utf8(reply.body).expect("JSON")),
            std::task::Poll::Pending => panic!("nothing here waits"),
        }
    };
    assert_eq!(call(br#"{"name": "ann"}"#), (200, r#"{"name":"ann"}"#.to_owned()));
    assert_eq!(call(b""), (200, "{}".to_owned()));
    assert_eq!(call(br#"{"count": 0}"#), (418, r#"{"__type":"SunkException","message":"empty"}"#.to_owned()));
    assert_eq!(
        call(br#"{"count": []}"#),
        (
            400,
            r#"{"__type":"SerializationException","message":"count: a list can not be converted to Integer"}"#.to_owned()
        )
    );
}

//! JSON bodies of requests, as the shape of every operation's input and as documents.

use std::future::ready;
use std::task::{Context, Poll, Waker};

use longshore_shapes_ecs::{Operation, each_operation, ops};
use longshore_wire::check::VIOLATIONS_MAX;
use longshore_wire::json::{self, DEPTH_MAX};
use longshore_wire::operation::run as run_operation;
use longshore_wire::shape::DecodeReason;
use longshore_wire::{
    Ask, DecodeError, Document, Fault, OperationShape, Protocol, Received, Structure, Violations,
};

/// The most bytes that an answer to one body may have. Violations quote paths and allowed values, not the body.
const ERROR_BYTES_MAX: usize = 256 * 1024;

/// The most bytes that one byte of a body may become when it is written again: `1e300` is a number of 301 digits.
const GROWTH_MAX: usize = 64;

/// The first line names the operation, the rest is its body.
pub fn run(bytes: &[u8]) {
    let (name, body) = crate::first_line(bytes);
    match Operation::from_name(name) {
        Some(operation) => of(operation, body),
        None => document(body),
    }
}

/// Whatever the body is, a call that fails is answered with an error that has a code, a text and bounded size.
fn answer<O: OperationShape>(body: &[u8]) {
    let ask = Ask::of_body(Protocol::AwsJson11, body);
    let call = run_operation::<O, _, _>(&ask, |_| ready(Err(Fault::told("Nothing is built.").into())));
    let Poll::Ready(reply) = std::pin::pin!(call).poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("{} waits for nothing", O::NAME);
    };
    let error = reply.error.expect("nothing is built");
    let answer = Received { status: reply.status, headers: &[], body: &reply.body };
    let received = Protocol::AwsJson11.read_error(&answer).expect("an answer is an error of the API");
    assert_eq!((received.code.as_str(), &received.message), (error.code, &error.message));
    assert!(!received.message.is_empty());
    assert!(reply.body.len() <= ERROR_BYTES_MAX, "{} bytes", reply.body.len());
    if input_is_malformed(&received.code) {
        assert_eq!(reply.status, 400);
    }
}

fn input_is_malformed(code: &str) -> bool {
    code == "SerializationException"
}

macro_rules! each {
    ($operation:ident $body:ident $($name:ident)*) => {
        match $operation {
            $(Operation::$name => {
                check::<<ops::$name as OperationShape>::Input>($body);
                answer::<ops::$name>($body);
            })*
        }
    };
}

fn of(operation: Operation, body: &[u8]) {
    each_operation!(each operation body);
}

/// Decoding undoes encoding, and everything that looks at an input survives it.
fn check<T: Structure>(body: &[u8]) {
    let input = match json::from_slice::<T>(body) {
        Ok(input) => input,
        Err(error) => return refused(&error, body),
    };
    let written = json::to_vec(&input);
    assert!(written.len() <= GROWTH_MAX * body.len() + 64, "{} bytes from {}", written.len(), body.len());
    let again = json::from_slice::<T>(&written).expect("what was written can be read");
    // Compared as text, because a NaN does not equal itself.
    assert_eq!(json::to_vec(&again), written);
    let violations = Violations::of(&input);
    assert_eq!(Violations::of(&again), violations);
    assert!(violations.iter().count() <= VIOLATIONS_MAX);
    assert!(violations.to_string().len() <= ERROR_BYTES_MAX);
}

/// A document is whatever JSON there is, so that another reader can judge.
fn document(body: &[u8]) {
    let other = serde_json::from_slice::<serde_json::Value>(body);
    match json::from_slice::<Document>(body) {
        Ok(document) => {
            assert!(other.is_ok() || body.trim_ascii().is_empty(), "{other:?}");
            let written = json::to_vec(&document);
            let again = json::from_slice::<Document>(&written).expect("what was written can be read");
            assert_eq!(json::to_vec(&again), written);
        }
        Err(error) => {
            refused(&error, body);
            match error.reason() {
                DecodeReason::TooDeep(limit) => assert_eq!(*limit, DEPTH_MAX),
                // Bounds of ours that the other reader does not have.
                DecodeReason::TooLarge | DecodeReason::OutOfRange { .. } => {}
                DecodeReason::WrongType { .. } | DecodeReason::Syntax(..) | DecodeReason::Malformed(_) => {
                    assert!(other.is_err(), "only one reader objects: {error}");
                }
            }
        }
    }
}

/// The text of an error is bounded, whatever was sent.
fn refused(error: &DecodeError, body: &[u8]) {
    let text = error.to_string();
    assert!(!text.is_empty() && text.len() < 8 * 1024, "{} bytes", text.len());
    if let DecodeReason::Syntax(_, at) = error.reason() {
        assert!(*at <= body.len().max(2), "byte {at} of {}", body.len());
    }
}

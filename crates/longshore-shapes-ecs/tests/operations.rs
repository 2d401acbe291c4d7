//! Every operation, through its own types.

use std::future::ready;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use longshore_shapes_ecs::*;
use longshore_wire::operation::run;
use longshore_wire::{Ask, Denied, OperationShape, Protocol, Reply};

/// A call that is refused to everybody, if its body can be read at all.
fn refused<O: OperationShape>(body: &str) -> Reply {
    let ask = Ask::of_body(Protocol::AwsJson11, body.as_bytes());
    let future = pin!(run::<O, _, _>(&ask, |_| ready(Err(Denied::new("not you").into()))));
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(reply) => reply,
        Poll::Pending => panic!("nothing here waits"),
    }
}

type Refused = fn(&str) -> Reply;

macro_rules! all {
    ($($name:ident)*) => { [$((ops::$name::NAME, refused::<ops::$name> as Refused)),*] };
}

#[test]
fn every_operation_can_be_denied() {
    for (name, refused) in each_operation!(all) {
        let reply = refused("{}");
        let error = reply.error.expect("an error");
        assert_eq!((error.code, reply.status), ("AccessDeniedException", 400), "{name}");
        assert_eq!(reply.body, br#"{"__type":"AccessDeniedException","message":"not you"}"#, "{name}");
    }
}

#[test]
fn every_operation_refuses_what_is_not_an_object() {
    for (name, refused) in each_operation!(all) {
        for body in ["[]", "1", "{", "{}{}", "\"x\"", "nul"] {
            let reply = refused(body);
            let code = reply.error.map(|error| error.code);
            assert_eq!((reply.status, code), (400, Some("SerializationException")), "{name} {body}");
        }
    }
}

#[test]
fn names_and_targets() {
    assert!(Operation::ALL.is_sorted());
    assert!(
        each_operation!(all).iter().map(|(name, _)| *name).eq(Operation::ALL.iter().map(|own| own.name()))
    );
    for operation in Operation::ALL {
        assert_eq!(Operation::from_name(operation.name()), Some(*operation));
    }
    assert_eq!(TARGET_PREFIX, "AmazonEC2ContainerServiceV20141113");
    assert_eq!((SIGNING_NAME, API_VERSION), ("ecs", "2014-11-13"));
    assert_eq!(Operation::from_name("runTask"), None);
    assert!(Operation::DescribeTasks.is_readonly() && !Operation::RunTask.is_readonly());
}

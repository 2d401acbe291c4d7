//! Every operation, through the dispatcher.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use longshore_shapes_ecs::*;
use longshore_wire::{Ask, Protocol, Reply};

/// A service of which one operation is written.
struct Almost;

impl AmazonEcs for Almost {
    type Call = &'static str;

    async fn list_clusters(
        &self,
        call: &Self::Call,
        input: ListClustersRequest,
    ) -> Result<ListClustersResponse, ListClustersError> {
        match input.max_results {
            Some(0) => Err(InvalidParameterException::new("maxResults").into()),
            Some(_) | None => Ok(ListClustersResponse {
                cluster_arns: Some(vec![(*call).to_owned()]),
                ..Default::default()
            }),
        }
    }
}

fn call(operation: Operation, body: &str) -> Reply {
    let ask = Ask::of_body(Protocol::AwsJson11, body.as_bytes());
    let future = pin!(dispatch(&Almost, operation, &"caller", &ask));
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(reply) => reply,
        Poll::Pending => panic!("nothing here waits"),
    }
}

#[test]
fn a_written_operation_answers() {
    assert_eq!(call(Operation::ListClusters, "{}").body, br#"{"clusterArns":["caller"]}"#);
    let reply = call(Operation::ListClusters, r#"{"maxResults":0}"#);
    assert_eq!((reply.status, reply.error.map(|error| error.code)), (400, Some("InvalidParameterException")));
}

#[test]
fn an_unwritten_operation_says_so() {
    let unwritten = Operation::ALL.iter().filter(|operation| **operation != Operation::ListClusters);
    for operation in unwritten {
        let reply = call(*operation, "");
        let error = reply.error.expect("an error");
        assert!(
            // Never a 5xx, which clients would repeat.
            matches!((error.code, reply.status), ("UnsupportedFeatureException" | "ClientException", 400)),
            "{operation}: {} {}",
            error.code,
            reply.status
        );
        assert!(error.message.contains(operation.name()), "{operation}: {}", error.message);
        assert!(error.message.contains("support/ecs.toml"), "{operation}: {}", error.message);
    }
}

#[test]
fn every_operation_refuses_what_is_not_an_object() {
    for operation in Operation::ALL {
        for body in ["[]", "1", "{", "{}{}", "\"x\"", "nul"] {
            let reply = call(*operation, body);
            let code = reply.error.map(|error| error.code);
            assert_eq!((reply.status, code), (400, Some("SerializationException")), "{operation} {body}");
        }
    }
}

#[test]
fn names_and_targets() {
    assert!(Operation::ALL.is_sorted());
    for operation in Operation::ALL {
        assert_eq!(Operation::from_name(operation.name()), Some(*operation));
    }
    assert_eq!(TARGET_PREFIX, "AmazonEC2ContainerServiceV20141113");
    assert_eq!((SIGNING_NAME, API_VERSION), ("ecs", "2014-11-13"));
    assert_eq!(Operation::from_name("runTask"), None);
    assert!(Operation::DescribeTasks.is_readonly() && !Operation::RunTask.is_readonly());
}

/// The futures of all operations share one, so no single one may be allowed to grow it unseen.
#[test]
fn the_dispatch_future_is_small() {
    let ask = Ask::of_body(Protocol::AwsJson11, b"");
    let future = dispatch(&Almost, Operation::RunTask, &"caller", &ask);
    let size = std::mem::size_of_val(&future);
    assert!(size < 8 * 1024, "{size} bytes");
}

//! The API as the front serves it: an operation's name and bytes in, bytes out.

use bytes::Bytes;
use http::StatusCode;
use longshore_front::{Api, BoxFuture, Call, Reply};
use longshore_shapes_ecs::{Operation, SIGNING_NAME, TARGET_PREFIX, dispatch};
use longshore_wire::{Ask, GenericError, GenericErrorKind, Protocol};

use crate::{Caller, Ecs};

impl Api for Ecs {
    fn signing_name(&self) -> &str {
        SIGNING_NAME
    }

    fn target_prefix(&self) -> &str {
        TARGET_PREFIX
    }

    fn call<'a>(&'a self, call: Call, operation: &'a str, body: Bytes) -> BoxFuture<'a, Reply> {
        Box::pin(async move {
            let protocol = Protocol::AwsJson11;
            let reply = match Operation::from_name(operation) {
                Some(operation) => {
                    dispatch(self, operation, &Caller::from(&call), &Ask::of_body(protocol, &body)).await
                }
                None => {
                    let message = "The operation is not known.";
                    protocol.error(&GenericError::new(GenericErrorKind::UnknownOperation, message), None, "")
                }
            };
            encoded(&call, operation, reply)
        })
    }
}

/// The reply in the front's terms; a fault's cause, which the caller does not read, goes to the log.
fn encoded(call: &Call, operation: &str, reply: longshore_wire::Reply) -> Reply {
    let Some(error) = reply.error else { return Reply::json(reply.body) };
    if error.server_fault {
        let request_id = call.request_id.as_str();
        tracing::error!(request_id, operation, cause = error.cause, "{}", error.message);
    }
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Reply::json_error(status, error.code, reply.body)
}

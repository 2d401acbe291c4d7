//! The API as it is served: a request for an operation in, its answer out.

use longshore_api::{Api, Body, BoxFuture, Reply, Request};
use longshore_shapes_ecs::{Operation, dispatch};
use longshore_wire::route::ServiceFacts;
use longshore_wire::{GenericError, GenericErrorKind};

use crate::{Caller, Ecs};

impl Api for Ecs {
    fn facts(&self) -> &'static ServiceFacts {
        &longshore_catalog::ECS
    }

    fn call<'a>(&'a self, request: Request) -> BoxFuture<'a, Reply> {
        Box::pin(async move {
            let request = match request.whole().await {
                Ok(request) => request,
                Err(broken) => return broken,
            };
            let headers = request.call.head.pairs();
            let ask = request.ask(&headers);
            let reply = match Operation::from_name(request.operation) {
                Some(operation) => dispatch(self, operation, &Caller::from(&request.call), &ask).await,
                // The catalog and the shapes are made of one model.
                None => {
                    let error = GenericError::new(GenericErrorKind::UnknownOperation, "It is not known.");
                    ask.protocol.error(&error, None, ask.request_id)
                }
            };
            reply.map(Body::from)
        })
    }
}

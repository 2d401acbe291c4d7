//! The operations of the API as the simulated server runs them: bytes in, bytes out, inside a transaction.
//!
//! The table is the one that serves HTTP; only the waiting around it is told anew in [`crate::world`].

use longshore_api_ecs::{Caller, Ecs, OPERATIONS, Settings};
use longshore_base::Scope;
use longshore_service::{Allow, Cx};
use longshore_state::Tx;
use longshore_wire::{Ask, Protocol};

/// An answer that is not 200.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub status: u16,
    pub body: Vec<u8>,
    /// What the caller does not read.
    pub cause: Option<String>,
}

/// What the simulated server's API has been told.
pub fn api() -> Ecs {
    Ecs::new(Settings::default())
}

/// Runs an operation. A failure undoes the transaction.
pub fn call(
    tx: &mut Tx<'_>,
    api: &Ecs,
    scope: &Scope,
    operation: &str,
    body: &[u8],
) -> Result<Vec<u8>, Failure> {
    let caller = Caller::new(scope.clone(), format!("arn:aws:iam::{}:root", scope.account));
    let cx = Cx { api, caller: &caller, now: tx.now };
    let ask = Ask::of_body(Protocol::AwsJson11, body);
    match OPERATIONS.run_in(tx, &cx, &Allow, operation, &ask) {
        Ok(reply) => Ok(reply.body),
        Err(reply) => {
            let cause = reply.error.and_then(|error| error.cause);
            Err(Failure { status: reply.status, body: reply.body, cause })
        }
    }
}

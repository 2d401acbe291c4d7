//! The operations of the API as the simulated server runs them: bytes in, bytes out, inside a transaction.
//!
//! The table is the one that serves HTTP; only the waiting around it is told anew in [`crate::world`].

use std::sync::Arc;

use longshore_api_ecs::{Caller, Ecs, Settings};
use longshore_api_identity::Iam;
use longshore_base::{Scope, Seed};
use longshore_service::{Allow, Cx, Table};
use longshore_state::Tx;
use longshore_state::db::SeedSource;
use longshore_wire::{Ask, Protocol};

/// An answer that is not 200.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub status: u16,
    pub body: Vec<u8>,
    /// What the caller does not read.
    pub cause: Option<String>,
}

/// What the simulated server serves.
pub struct Apis {
    ecs: Ecs,
    iam: Iam,
}

/// Nobody has a password here, which would need a salt.
struct NoSalt;

impl SeedSource for NoSalt {
    fn draw(&self) -> Seed {
        Seed::new(0)
    }
}

/// What the simulated server's APIs have been told.
pub fn apis() -> Apis {
    Apis { ecs: Ecs::new(Settings::default()), iam: Iam::new(Arc::new(NoSalt)) }
}

/// Runs an operation. A failure undoes the transaction.
pub fn call(
    tx: &mut Tx<'_>,
    apis: &Apis,
    scope: &Scope,
    operation: &str,
    body: &[u8],
) -> Result<Vec<u8>, Failure> {
    match longshore_api_identity::OPERATIONS.find(operation) {
        Some(_) => {
            let table = &longshore_api_identity::OPERATIONS;
            run(tx, table, &apis.iam, Protocol::Query, scope, operation, body)
        }
        None => {
            let table = &longshore_api_ecs::OPERATIONS;
            run(tx, table, &apis.ecs, Protocol::AwsJson11, scope, operation, body)
        }
    }
}

fn run<A: Send + Sync>(
    tx: &mut Tx<'_>,
    table: &Table<A>,
    api: &A,
    protocol: Protocol,
    scope: &Scope,
    operation: &str,
    body: &[u8],
) -> Result<Vec<u8>, Failure> {
    let caller = Caller::new(scope.clone(), format!("arn:aws:iam::{}:root", scope.account));
    let cx = Cx { api, caller: &caller, now: tx.now };
    let ask = Ask::of_body(protocol, body);
    match table.run_in(tx, &cx, &Allow, operation, &ask) {
        Ok(reply) => Ok(reply.body),
        Err(reply) => {
            let cause = reply.error.and_then(|error| error.cause);
            Err(Failure { status: reply.status, body: reply.body, cause })
        }
    }
}

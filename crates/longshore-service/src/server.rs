//! One service's API over a database: the shell around its table of operations.

use std::sync::Arc;

use longshore_api::{Api, Body, BoxFuture, Reply, Request};
use longshore_state::Db;
use longshore_wire::Ask;
use longshore_wire::route::ServiceFacts;

use crate::{Allow, Caller, Cx, Guard, Table, table};

/// Serves the operations of a [`Table`] over a database.
pub struct Server<A: 'static> {
    facts: &'static ServiceFacts,
    table: &'static Table<A>,
    db: Arc<Db>,
    guard: Arc<dyn Guard>,
    api: A,
}

impl<A: Send + Sync + 'static> Server<A> {
    /// Without a guard: everybody with an accepted signature may do everything in their account.
    pub fn new(facts: &'static ServiceFacts, table: &'static Table<A>, db: Arc<Db>, api: A) -> Self {
        Self { facts, table, db, guard: Arc::new(Allow), api }
    }

    /// The same, with a guard that decides about every call.
    #[must_use]
    pub fn guarded(self, guard: Arc<dyn Guard>) -> Self {
        Self { guard, ..self }
    }

    /// Answers one operation, once everything is durable that the answer tells of. An operation that is not built
    /// answers so.
    pub async fn answer(&self, operation: &str, caller: &Caller, ask: &Ask<'_>) -> longshore_wire::Reply {
        match self.table.find(operation) {
            Some(entry) => entry.serve(self, caller, ask).await,
            None => table::not_built(ask),
        }
    }

    /// What an operation is given, as of now.
    pub fn cx<'a>(&'a self, caller: &'a Caller) -> Cx<'a, A> {
        Cx { api: &self.api, caller, now: self.db.clock().now() }
    }

    /// What its operations have in common.
    pub fn api(&self) -> &A {
        &self.api
    }

    pub(crate) fn db(&self) -> &Db {
        &self.db
    }

    pub(crate) fn guard(&self) -> &dyn Guard {
        &*self.guard
    }
}

impl<A: Send + Sync + 'static> Api for Server<A> {
    fn facts(&self) -> &'static ServiceFacts {
        self.facts
    }

    fn operations(&self) -> &'static [&'static str] {
        self.table.names
    }

    fn call<'a>(&'a self, request: Request) -> BoxFuture<'a, Reply> {
        Box::pin(async move {
            let request = match request.whole().await {
                Ok(request) => request,
                Err(broken) => return broken,
            };
            let headers = request.headers_to_read();
            let caller = Caller::from(&request.call);
            self.answer(request.operation, &caller, &request.ask(&headers)).await.map(Body::from)
        })
    }
}

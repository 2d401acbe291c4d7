//! The table of an API's operations.

// The error is an answer like any other, made once a request.
#![allow(clippy::result_large_err)]

use std::fmt;

use longshore_api::BoxFuture;
use longshore_state::Tx;
use longshore_wire::operation::run;
use longshore_wire::{Ask, GenericError, GenericErrorKind, ModeledError, OperationShape, Reply};
use tokio::sync::Semaphore;

use crate::operation::refused;
use crate::{Attempt, Caller, Command, Cx, Guard, Query, Server};

/// The operations of the API `A` that are built.
pub struct Table<A: 'static> {
    pub entries: &'static [Entry<A>],
    /// Of the entries, in their order.
    pub names: &'static [&'static str],
}

/// How one operation runs.
pub struct Entry<A: 'static> {
    pub name: &'static str,
    /// It runs beside others and changes nothing.
    pub is_query: bool,
    serve: Serve<A>,
    run_in: RunIn<A>,
}

type Serve<A> = for<'a> fn(&'a Server<A>, &'a Caller, &'a Ask<'a>) -> BoxFuture<'a, Reply>;
type RunIn<A> = fn(&mut Tx<'_>, &Cx<'_, A>, &dyn Guard, &Ask<'_>) -> Result<Reply, Box<Reply>>;

impl<A> fmt::Debug for Entry<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Lists the operations of an API: its own type, the module with the shapes of its operations, and each operation once, as
/// `command` or `query`.
///
/// ```text
/// longshore_service::operations! {
///     pub static OPERATIONS: Sts = ops {
///         query GetCallerIdentity,
///     }
/// }
/// ```
#[macro_export]
macro_rules! operations {
    ($(#[$meta:meta])* $vis:vis static $table:ident: $api:ty = $ops:ident { $($kind:ident $name:ident,)* }) => {
        $(#[$meta])*
        $vis static $table: $crate::Table<$api> = $crate::Table {
            entries: &[$($crate::Entry::$kind::<$ops::$name>()),*],
            names: &[$(<$ops::$name as $crate::wire::OperationShape>::NAME),*],
        };
    };
}

impl<A: Send + Sync + 'static> Table<A> {
    pub fn find(&self, name: &str) -> Option<&'static Entry<A>> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// Runs an operation inside a transaction: bytes in, bytes out. An answer that is an error undoes the transaction.
    ///
    /// For whoever has a clock and a disk of his own, as the simulation. Nothing may leave before it is durable.
    pub fn run_in(
        &self,
        tx: &mut Tx<'_>,
        cx: &Cx<'_, A>,
        guard: &dyn Guard,
        operation: &str,
        ask: &Ask<'_>,
    ) -> Result<Reply, Box<Reply>> {
        match self.find(operation) {
            Some(entry) => (entry.run_in)(tx, cx, guard, ask),
            None => Err(Box::new(not_built(ask))),
        }
    }
}

impl<A: Send + Sync + 'static> Entry<A> {
    /// An operation that changes something.
    pub const fn command<O: Command<A>>() -> Self {
        Self { name: O::NAME, is_query: false, serve: serve_command::<A, O>, run_in: command_in::<A, O> }
    }

    /// An operation that only reads.
    pub const fn query<O: Query<A>>() -> Self {
        Self { name: O::NAME, is_query: true, serve: serve_query::<A, O>, run_in: query_in::<A, O> }
    }

    pub(crate) fn serve<'a>(
        &self,
        server: &'a Server<A>,
        caller: &'a Caller,
        ask: &'a Ask<'a>,
    ) -> BoxFuture<'a, Reply> {
        (self.serve)(server, caller, ask)
    }
}

/// The turn of whoever does costly work: it blocks a thread of the runtime, and the others have to go on.
static COSTLY: Semaphore = Semaphore::const_new(1);

/// The router does not let such a request come so far.
pub(crate) fn not_built(ask: &Ask<'_>) -> Reply {
    let error = GenericError::new(GenericErrorKind::NotBuilt, "Longshore does not build this operation yet.");
    ask.protocol.error(&error, None, ask.request_id)
}

fn serve_command<'a, A: Send + Sync + 'static, O: Command<A>>(
    server: &'a Server<A>,
    caller: &'a Caller,
    ask: &'a Ask<'a>,
) -> BoxFuture<'a, Reply> {
    Box::pin(run::<O, _, _>(ask, move |input| async move {
        let cx = server.cx(caller);
        let mut parsed = O::parse(&cx, input)?;
        if O::IS_COSTLY {
            server.db().peek(|state| {
                let resources = || O::resources(state, caller, &parsed);
                let attempt = Attempt::new(state, caller, cx.now, &resources).policed(O::HAS_POLICIES);
                server.guard().allow(&attempt)
            })?;
            let _turn = COSTLY.acquire().await.expect("nobody closes it");
            O::prepare(&cx, &mut parsed)?;
        }
        let watch = O::watch(cx, &parsed);
        let command = |tx: &mut Tx<'_>| guarded::<A, O>(tx, caller, server.guard(), parsed);
        let result = server.db().write(command).await.unwrap_or_else(|why| Err(refused(why).into()));
        if let Some(watch) = watch {
            watch(&result);
        }
        result.map(Into::into)
    }))
}

fn serve_query<'a, A: Send + Sync + 'static, O: Query<A>>(
    server: &'a Server<A>,
    caller: &'a Caller,
    ask: &'a Ask<'a>,
) -> BoxFuture<'a, Reply> {
    Box::pin(run::<O, _, _>(ask, move |input| async move {
        let cx = server.cx(caller);
        let parsed = O::parse(&cx, input)?;
        let watch = O::watch(cx, &parsed);
        let query = |state: &_| guarded_query::<A, O>(state, &cx, server.guard(), parsed);
        let result = server.db().read(query).await.unwrap_or_else(|why| Err(refused(why.into()).into()));
        if let Some(watch) = watch {
            watch(&result);
        }
        result.map(Into::into)
    }))
}

fn guarded<A, O: Command<A>>(
    tx: &mut Tx<'_>,
    caller: &Caller,
    guard: &dyn Guard,
    parsed: O::Parsed,
) -> Result<O::Answer, O::Error> {
    let state = tx.state();
    let resources = || O::resources(state, caller, &parsed);
    guard.allow(&Attempt::new(state, caller, tx.now, &resources).policed(O::HAS_POLICIES))?;
    O::run(tx, caller, parsed)
}

fn guarded_query<A, O: Query<A>>(
    state: &longshore_state::State,
    cx: &Cx<'_, A>,
    guard: &dyn Guard,
    parsed: O::Parsed,
) -> Result<O::Answer, O::Error> {
    let caller = cx.caller;
    let resources = || O::resources(state, caller, &parsed);
    guard.allow(&Attempt::new(state, caller, cx.now, &resources).policed(O::HAS_POLICIES))?;
    O::run(state, caller, parsed)
}

fn command_in<A, O: Command<A>>(
    tx: &mut Tx<'_>,
    cx: &Cx<'_, A>,
    guard: &dyn Guard,
    ask: &Ask<'_>,
) -> Result<Reply, Box<Reply>> {
    encoded::<O, _>(ask, |input| {
        let mut parsed = O::parse(cx, input)?;
        O::prepare(cx, &mut parsed)?;
        let watch = O::watch(*cx, &parsed);
        let result = guarded::<A, O>(tx, cx.caller, guard, parsed);
        if let Some(watch) = watch {
            watch(&result);
        }
        result
    })
}

fn query_in<A, O: Query<A>>(
    tx: &mut Tx<'_>,
    cx: &Cx<'_, A>,
    guard: &dyn Guard,
    ask: &Ask<'_>,
) -> Result<Reply, Box<Reply>> {
    encoded::<O, _>(ask, |input| {
        let parsed = O::parse(cx, input)?;
        guarded_query::<A, O>(tx.state(), cx, guard, parsed)
    })
}

fn encoded<O: OperationShape, T: Into<O::Output>>(
    ask: &Ask<'_>,
    operation: impl FnOnce(O::Input) -> Result<T, O::Error>,
) -> Result<Reply, Box<Reply>> {
    let &Ask { protocol, ref request, request_id } = ask;
    let failed = |error: &dyn ModeledError| Box::new(protocol.error(error, Some(O::SERVICE), request_id));
    let input = protocol.read::<O>(request).map_err(|error| failed(&GenericError::from(error)))?;
    match operation(input) {
        Ok(answer) => Ok(protocol.answer::<O>(&answer.into(), request_id)),
        Err(error) => Err(failed(&error)),
    }
}

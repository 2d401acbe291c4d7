//! The two traits of operations: [`Command`] changes the state, [`Query`] reads it.

use longshore_base::Timestamp;
use longshore_state::{Refused, State, Tx};
use longshore_wire::{Fault, OperationShape};

use crate::{Caller, Resources};

/// What an operation may know beside its input and the state.
pub struct Cx<'a, A> {
    /// What the operations of an API have in common: settings.
    pub api: &'a A,
    pub caller: &'a Caller,
    pub now: Timestamp,
}

impl<A> Clone for Cx<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Cx<'_, A> {}

/// Called with the result of an operation, once that is durable.
pub type Watch<'a, T, E> = Box<dyn FnOnce(&Result<T, E>) + Send + 'a>;

/// An operation of the API `A` that changes something.
///
/// `A` is a type of the crate that implements the API, so that it can implement this for the shapes of another crate.
pub trait Command<A>: OperationShape {
    /// The input, as far as it can be read by itself. `Self::Input` where there is nothing to gain.
    type Parsed: Send;
    /// What is collected under the lock. Making the answer of it is left for afterwards.
    type Answer: Into<Self::Output> + Send;

    /// Whether what it needs permission for may have a policy of its own ([`crate::ResourcePolicy`]).
    const HAS_POLICIES: bool = false;

    /// Reads and checks what does not depend on the state, without a lock.
    fn parse(cx: &Cx<'_, A>, input: Self::Input) -> Result<Self::Parsed, Self::Error>;

    /// Whether [`Command::prepare`] takes the processor for long. Of all such operations one works at a time, and for a
    /// caller who is denied none does.
    const IS_COSTLY: bool = false;

    /// Does what takes long and needs no lock, once the guard has allowed the call at some revision. Under the lock it is
    /// asked again.
    fn prepare(cx: &Cx<'_, A>, parsed: &mut Self::Parsed) -> Result<(), Self::Error> {
        let _ = (cx, parsed);
        Ok(())
    }

    /// All that the caller has to be allowed. What it names need not be there.
    fn resources(state: &State, caller: &Caller, parsed: &Self::Parsed) -> Resources;

    /// Does it, under the writer's lock. What fails on the way is undone.
    fn run(tx: &mut Tx<'_>, caller: &Caller, parsed: Self::Parsed) -> Result<Self::Answer, Self::Error>;

    /// For whoever tells the operator of it.
    fn watch<'a>(cx: Cx<'a, A>, parsed: &Self::Parsed) -> Option<Watch<'a, Self::Answer, Self::Error>> {
        let _ = (cx, parsed);
        None
    }
}

/// An operation of the API `A` that only reads. See [`Command`].
pub trait Query<A>: OperationShape {
    type Parsed: Send;
    type Answer: Into<Self::Output> + Send;

    const HAS_POLICIES: bool = false;

    fn parse(cx: &Cx<'_, A>, input: Self::Input) -> Result<Self::Parsed, Self::Error>;

    fn resources(state: &State, caller: &Caller, parsed: &Self::Parsed) -> Resources;

    fn run(state: &State, caller: &Caller, parsed: Self::Parsed) -> Result<Self::Answer, Self::Error>;

    fn watch<'a>(cx: Cx<'a, A>, parsed: &Self::Parsed) -> Option<Watch<'a, Self::Answer, Self::Error>> {
        let _ = (cx, parsed);
        None
    }
}

/// Parses and runs a command without asking the guard: for what the program does by itself.
pub fn carry_out<A, O: Command<A>>(
    tx: &mut Tx<'_>,
    cx: &Cx<'_, A>,
    input: O::Input,
) -> Result<O::Answer, O::Error> {
    let mut parsed = O::parse(cx, input)?;
    O::prepare(cx, &mut parsed)?;
    O::run(tx, cx.caller, parsed)
}

/// Parses and runs a query without asking the guard: for what the program does by itself.
pub fn look<A, O: Query<A>>(state: &State, cx: &Cx<'_, A>, input: O::Input) -> Result<O::Answer, O::Error> {
    let parsed = O::parse(cx, input)?;
    O::run(state, cx.caller, parsed)
}

/// What is answered where the database took no change.
pub(crate) fn refused(why: Refused) -> Fault {
    match why {
        Refused::Stopped(_) => Fault::hidden(why),
        Refused::TooLarge(exceeded) => {
            tracing::warn!(%exceeded, "a request changes more than a commit takes");
            Fault::final_refusal(
                "The request changes more than fits into one transaction. Split it into smaller ones.",
            )
        }
    }
}

//! Authorization: who may do what, asked in one place, for every operation of every API.

use longshore_base::Timestamp;
use longshore_state::State;
use longshore_wire::Denied;

use crate::{Access, Caller, Resources};

/// A call whose permission is asked for.
pub struct Attempt<'a> {
    /// The state that the operation is about to run on.
    pub state: &'a State,
    pub caller: &'a Caller,
    pub now: Timestamp,
    /// Whether what is asked for may have a policy of its own, which binds an account's root as well.
    pub has_policies: bool,
    resources: &'a dyn Fn() -> Resources,
}

impl<'a> Attempt<'a> {
    pub fn new(
        state: &'a State,
        caller: &'a Caller,
        now: Timestamp,
        resources: &'a dyn Fn() -> Resources,
    ) -> Self {
        Self { state, caller, now, has_policies: false, resources }
    }

    /// The same about something that may have a policy of its own.
    #[must_use]
    pub fn policed(self, has_policies: bool) -> Self {
        Self { has_policies, ..self }
    }

    /// The actions and resources that have to be allowed. They are put together here and not before: an account's root
    /// has all rights, whatever they are, where nothing has a policy of its own.
    pub fn resources(&self) -> Resources {
        (self.resources)()
    }
}

/// Allows or denies. It runs under the state's lock, the writer's for a command: it does no I/O.
pub trait Guard: Send + Sync {
    /// # Errors
    /// What the caller is told, in AWS's words ([`not_authorized`]).
    fn allow(&self, attempt: &Attempt<'_>) -> Result<(), Denied>;
}

/// Allows everything: everybody with an accepted signature may do everything in the account of their key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allow;

impl Guard for Allow {
    fn allow(&self, _attempt: &Attempt<'_>) -> Result<(), Denied> {
        Ok(())
    }
}

/// The text of a denial (identity J7). `because` is appended as it is, so it begins with a blank:
/// ` because no identity-based policy allows the ecs:RunTask action`.
pub fn not_authorized(caller: &Caller, access: &Access, because: &str) -> Denied {
    let Access { action, resource, shown, denial, .. } = access;
    if let Some(denial) = denial {
        return Denied::new(denial.clone());
    }
    let resource = shown.as_ref().unwrap_or(resource);
    let who = &caller.principal;
    Denied::new(format!(
        "User: {who} is not authorized to perform: {action} on resource: {resource}{because}"
    ))
}

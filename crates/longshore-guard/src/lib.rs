//! Who may do what: IAM's policies, asked about every call (identity J1, J6, J7).
//!
//! Start at [`PolicyGuard`], the [`Guard`] of a control plane. [`asker`] finds who calls in IAM's tables, with the
//! policies that decide about him; [`context`] is what conditions may ask about; `longshore-policy` decides. [`instance`] decides about container
//! instances, which have no policies.
//!
//! Invariants: an account's root and the guests of open mode may do everything in their account but what the policy of
//! a resource keeps from them, and nothing is put together for them where no resource can have one; nobody reaches into
//! another account without its policy, not even where denials are only reported; whoever is in IAM has the rights that
//! his policies give and no others; a denial names what the caller named, and nothing else.
//!
//! It does not know: signatures, HTTP, any particular API.

pub mod asker;
pub mod context;
mod instance;

use std::sync::Arc;
use std::time::{Duration, Instant};

use longshore_api::PrincipalKind;
use longshore_policy::{Decision, Layers, Question, ResourcePolicy, decide};
use longshore_service::{Access, Attempt, Caller, Guard, not_authorized};
use longshore_telemetry::{Damper, Metrics};
use longshore_wire::Denied;

use crate::asker::Holder;
use crate::context::Known;

/// What follows from a denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforcement {
    /// The call is refused.
    Enforce,
    /// The log tells of it, `/metrics` counts it, and the call goes on: for installations that had no policies.
    Report,
}

/// How often the log tells of the same denial, and of how many.
const TOLD_EVERY: Duration = Duration::from_secs(600);
const TOLD_KEYS_MAX: usize = 4096;

/// Decides about calls by IAM's policies, at the revision that the call runs at.
pub struct PolicyGuard {
    enforcement: Enforcement,
    metrics: Metrics,
    /// By who did what.
    told: Damper<(Arc<str>, String)>,
}

impl PolicyGuard {
    pub fn new(enforcement: Enforcement, metrics: Metrics) -> Self {
        Self { enforcement, metrics, told: Damper::new(1, 1, TOLD_EVERY, TOLD_KEYS_MAX) }
    }

    /// Enforced always: no installation was without it before.
    fn allow_instance(&self, attempt: &Attempt<'_>) -> Result<(), Denied> {
        let Attempt { state, caller, .. } = *attempt;
        match attempt.resources().iter().find(|access| !instance::may(state, caller, access)) {
            None => Ok(()),
            Some(access) => {
                self.metrics.denied(&access.action, true);
                let because =
                    format!(" because no identity-based policy allows the {} action", access.action);
                Err(not_authorized(caller, access, &because))
            }
        }
    }

    fn denied(&self, caller: &Caller, access: &Access, denied: Denied) -> Result<(), Denied> {
        // What is told instead of being done was allowed before there were policies. Nobody was ever let into an
        // account that is not his.
        let is_foreign = access.policy.is_some() && access.owner != caller.scope.account;
        let is_enforced = match self.enforcement {
            Enforcement::Enforce => true,
            Enforcement::Report => is_foreign,
        };
        self.metrics.denied(&access.action, is_enforced);
        if is_enforced {
            return Err(denied);
        }
        let key = (caller.principal.clone(), access.action.clone());
        if let Some(kept_back) = self.told.event(Instant::now(), key) {
            tracing::warn!(%denied, kept_back, "would be denied, if policies were enforced (--iam enforce)");
        }
        Ok(())
    }
}

impl Guard for PolicyGuard {
    fn allow(&self, attempt: &Attempt<'_>) -> Result<(), Denied> {
        if attempt.caller.kind == PrincipalKind::Instance {
            return self.allow_instance(attempt);
        }
        let found = Holder::of(attempt.state, attempt.caller);
        let is_root = found.is_none();
        let holder = match found {
            Some(holder) => holder,
            None if attempt.has_policies => Holder::root(attempt.caller),
            None => return Ok(()),
        };
        let resources = attempt.resources();
        if resources.is_empty() {
            return Ok(());
        }
        let mut known = Known::of(&holder, attempt.caller, attempt.now);
        for access in resources.iter().filter(|access| !is_root || access.policy.is_some()) {
            let resource = access
                .policy
                .as_ref()
                .map(|own| ResourcePolicy { policy: &own.policy, is_indispensable: own.is_indispensable });
            let owner = access.owner.to_string();
            let Holder { identity, boundary, session, .. } = &holder;
            let layers = Layers { identity, boundary: *boundary, session: session.as_deref(), resource };
            let because = known.with(access, &owner, |context| {
                let Access { action, resource, .. } = access;
                let question = Question { who: &holder.who, action, resource, owner: &owner, context };
                match decide(&question, &layers) {
                    Decision::Allowed(_) => None,
                    decision @ (Decision::ExplicitDeny(..) | Decision::ImplicitDeny(_)) => {
                        Some(decision.because(action))
                    }
                }
            });
            if let Some(because) = because {
                self.denied(attempt.caller, access, not_authorized(attempt.caller, access, &because))?;
            }
        }
        Ok(())
    }
}

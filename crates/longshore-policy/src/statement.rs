//! One statement of a policy, compiled.

use crate::condition::Condition;
use crate::context::Context;
use crate::decide::Who;
use crate::pattern::{ArnPattern, Pattern};
use crate::principal::{Named, Principals};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Allow,
    Deny,
}

/// A list that a statement means, or means all but.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed<T> {
    /// `NotAction`, `NotResource`, `NotPrincipal`.
    pub all_but: bool,
    pub list: T,
}

/// What a statement allows or denies, to whom, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    pub sid: Option<String>,
    pub effect: Effect,
    /// In lower case: actions are compared without regard to case.
    pub(crate) actions: Listed<Vec<Pattern>>,
    /// `None` where the resource is the one that the policy belongs to.
    pub(crate) resources: Option<Listed<Vec<ArnPattern>>>,
    /// `None` in policies of users and roles.
    pub(crate) principals: Option<Listed<Principals>>,
    pub(crate) conditions: Vec<Condition>,
}

impl Statement {
    /// Whether it speaks of this action on this resource now; of whom it speaks is [`Statement::names`].
    pub(crate) fn applies(&self, lower_action: &str, resource: &str, context: &Context) -> bool {
        // Actions have no variables, so that no context is needed for them.
        let action = self.actions.list.iter().any(|pattern| pattern.matches(lower_action, context));
        let about_resource = |resources: &Listed<Vec<ArnPattern>>| {
            resources.list.iter().any(|pattern| pattern.matches(resource, context)) != resources.all_but
        };
        action != self.actions.all_but
            && self.resources.as_ref().is_none_or(about_resource)
            && self.conditions.iter().all(|condition| condition.holds(context))
    }

    /// How the statement of a resource's policy names who asks.
    pub(crate) fn names(&self, who: &Who) -> Option<Named> {
        let principals = self.principals.as_ref()?;
        match (principals.all_but, principals.list.name(who)) {
            (false, named) => named,
            (true, None) => Some(Named::ByRole),
            (true, Some(_)) => None,
        }
    }
}

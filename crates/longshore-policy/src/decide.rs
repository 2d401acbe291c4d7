//! How all policies together decide (identity J6, "Combination").

use crate::context::Context;
use crate::document::Policy;
use crate::principal::Named;
use crate::statement::{Effect, Statement};

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// Twelve digits. Empty for services and for nobody.
    pub account: String,
    pub asker: Asker,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asker {
    /// The account itself: an operator key, a guest.
    Root,
    User {
        arn: String,
        /// `AIDA…`
        id: String,
    },
    /// A role's session.
    Session {
        /// `arn:aws:sts::A:assumed-role/ROLE/SESSION`
        arn: String,
        role_arn: String,
        /// `AROA…`
        role_id: String,
    },
    /// A service of ours that assumes a role: `ecs-tasks.amazonaws.com`.
    Service(String),
    /// A web identity: the ARN of its provider.
    Federated(String),
    Anonymous,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub who: &'a Who,
    /// `ecs:RunTask`; its case does not matter.
    pub action: &'a str,
    /// The ARN; `*` for an action without a resource.
    pub resource: &'a str,
    /// The account that the resource belongs to.
    pub owner: &'a str,
    pub context: &'a Context,
}

/// The policies that have a say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layers<'a> {
    /// Of the user and its groups, or of the role.
    pub identity: &'a [&'a Policy],
    pub boundary: Option<&'a Policy>,
    /// What the session was made with; `None` for a session without, which is not the same as none at all.
    pub session: Option<&'a [&'a Policy]>,
    pub resource: Option<ResourcePolicy<'a>>,
}

#[derive(Clone, Copy, Debug)]
pub struct ResourcePolicy<'a> {
    pub policy: &'a Policy,
    /// Without it nobody has a right: trust policies of roles, policies of KMS keys.
    pub is_indispensable: bool,
}

/// A kind of policy, as AWS's errors name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    Identity,
    Boundary,
    Session,
    Resource,
}

/// What follows from the policies.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision<'a> {
    /// With the statements that allow it; none for the root of the account.
    Allowed(Vec<(By, &'a Statement)>),
    ExplicitDeny(By, &'a Statement),
    /// Nothing of this kind allows it.
    ImplicitDeny(By),
}

impl Decision<'_> {
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed(_))
    }

    /// What stands behind `User: … is not authorized to perform: … on resource: …` (identity J7). Empty if it is
    /// allowed.
    pub fn because(&self, action: &str) -> String {
        match self {
            Self::Allowed(_) => String::new(),
            Self::ExplicitDeny(by, _) => format!(" with an explicit deny in {} {}", by.article(), by.name()),
            Self::ImplicitDeny(by) => format!(" because no {} allows the {action} action", by.name()),
        }
    }
}

impl By {
    fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity-based policy",
            Self::Boundary => "permissions boundary",
            Self::Session => "session policy",
            Self::Resource => "resource-based policy",
        }
    }

    fn article(self) -> &'static str {
        match self {
            Self::Identity => "an",
            Self::Boundary | Self::Session | Self::Resource => "a",
        }
    }
}

/// Decides: first whether anything denies, then whether all that has to allow does. Of several statements that deny, one
/// of the first layer is told, in the order of [`By`]; of several that allow, one of each layer.
pub fn decide<'a>(question: &Question<'_>, layers: &Layers<'a>) -> Decision<'a> {
    let action = question.action.to_ascii_lowercase();
    let applies = |statement: &Statement| statement.applies(&action, question.resource, question.context);
    let found = |policies: &[&'a Policy], effect: Effect| -> Option<&'a Statement> {
        let mut statements = policies.iter().flat_map(|policy| &policy.statements);
        statements.find(|statement| statement.effect == effect && applies(statement))
    };
    let boundary: Option<[&Policy; 1]> = layers.boundary.map(|policy| [policy]);
    let own = [
        (By::Identity, Some(layers.identity)),
        (By::Boundary, boundary.as_ref().map(|policies| &policies[..])),
        (By::Session, layers.session),
    ];
    let of_resource = |effect: Effect| {
        let statements = layers.resource.iter().flat_map(|resource| &resource.policy.statements);
        let named = statements.filter(move |statement| statement.effect == effect && applies(statement));
        named.filter_map(|statement| Some((statement.names(question.who)?, statement)))
    };

    for (by, policies) in own {
        if let Some(statement) = policies.and_then(|policies| found(policies, Effect::Deny)) {
            return Decision::ExplicitDeny(by, statement);
        }
    }
    if let Some((_, statement)) = of_resource(Effect::Deny).next() {
        return Decision::ExplicitDeny(By::Resource, statement);
    }

    // The most exact of the names counts.
    let grant = of_resource(Effect::Allow).max_by_key(|(named, _)| *named);
    let needs = needs(question, layers, grant.map(|(named, _)| named));
    let mut allowing: Vec<(By, &Statement)> = Vec::new();
    match grant {
        Some((_, statement)) => allowing.push((By::Resource, statement)),
        None if needs.resource => return Decision::ImplicitDeny(By::Resource),
        None => {}
    }
    for (by, policies) in own {
        let is_needed = match by {
            By::Identity => needs.identity,
            By::Boundary | By::Session => needs.limits && policies.is_some(),
            By::Resource => false,
        };
        match policies.and_then(|policies| found(policies, Effect::Allow)) {
            Some(statement) => allowing.push((by, statement)),
            None if is_needed => return Decision::ImplicitDeny(by),
            None => {}
        }
    }
    Decision::Allowed(allowing)
}

/// Which of the layers have to allow.
struct Needs {
    resource: bool,
    identity: bool,
    /// Boundary and session policies, where there are any.
    limits: bool,
}

fn needs(question: &Question<'_>, layers: &Layers<'_>, grant: Option<Named>) -> Needs {
    let is_own = question.who.account == question.owner;
    let is_indispensable = layers.resource.is_some_and(|resource| resource.is_indispensable);
    match &question.who.asker {
        // They have no policies of their own.
        Asker::Service(_) | Asker::Federated(_) | Asker::Anonymous => {
            Needs { resource: true, identity: false, limits: false }
        }
        Asker::Root => Needs { resource: !is_own || is_indispensable, identity: false, limits: false },
        Asker::User { .. } | Asker::Session { .. } if !is_own => {
            Needs { resource: true, identity: true, limits: true }
        }
        Asker::User { .. } | Asker::Session { .. } => match grant {
            Some(Named::Itself) => Needs { resource: true, identity: false, limits: false },
            Some(Named::ByRole) => Needs { resource: true, identity: false, limits: true },
            Some(Named::ByAccount) | None => {
                Needs { resource: is_indispensable, identity: true, limits: true }
            }
        },
    }
}

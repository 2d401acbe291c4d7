//! Why things are as they are, in sentences: why a task stopped, what it waits for, what a deployment waits for, and
//! which requirement rules out how many instances.
//!
//! ECS answers such questions with a status and an event. [`task`], [`service`] and [`definition`] look at the same
//! records that the scheduler decides by, and ask the same functions, so that what they say is what it will do. [`access`]
//! does the same for what policies decide, by the guard's function. They are pure; [`Explainer`] serves them under a target prefix of Longshore's own, beside the ECS API and with its signatures.
//!
//! It changes nothing, and knows neither HTTP nor how an [`Explanation`] is printed.

mod access;
mod api;
mod containers;
mod instance;
mod network;
mod permission;
mod placement;
mod prefix;
mod service;
mod task;
mod time;

use std::sync::Arc;

use longshore_api_ecs::identifiers::{NoCluster, NoDefinition, NoMember};
use serde::{Deserialize, Serialize};

pub use access::{AccessQuestion, access};
pub use api::{Draining, Explainer, TARGET_PREFIX, own_facts};
pub use instance::instance;
pub use placement::definition;
pub use service::{draining, service};
pub use task::task;

/// What is to be explained, as a request says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Name or ARN; absent means `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// A task's or an instance's id, the beginning of one, or an ARN; a service's name or ARN; or a definition as
    /// `family`, `family:revision` or ARN.
    pub subject: String,
}

/// An answer for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// What it is about, and how that stands.
    pub subject: String,
    /// The most important first.
    pub points: Vec<Point>,
}

/// A sentence, with what it rests on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    pub text: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

impl Explanation {
    fn about(subject: String) -> Self {
        Self { subject, points: Vec::new() }
    }

    fn say(&mut self, text: impl Into<String>) -> &mut Vec<String> {
        self.points.push(Point { text: text.into(), details: Vec::new() });
        &mut self.points.last_mut().expect("a point was pushed").details
    }
}

/// A sentence of the API, to be gone on with.
fn clause(sentence: &impl std::fmt::Display) -> String {
    sentence.to_string().trim_end_matches('.').to_owned()
}

/// Why nothing can be explained.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    #[error("{}; name one with --cluster, `longshore status` lists them", clause(.0))]
    Cluster(#[from] NoCluster),
    #[error("{}; name it by its id, the first six or more of its digits, or its ARN", clause(.0))]
    Named(#[from] NoMember),
    #[error("several begin so: {}; give more of the id", .0.join(", "))]
    Ambiguous(Vec<String>),
    #[error("{}; `aws ecs list-task-definitions` lists them", clause(.0))]
    Definition(#[from] NoDefinition),
    #[error("there is no task {0} in this cluster; STOPPED tasks are forgotten after a while")]
    NoTask(Arc<str>),
    #[error(
        "there is no container instance {0} in this cluster; `longshore status` lists them, and those that are gone are forgotten after an hour"
    )]
    NoInstance(Arc<str>),
    #[error("there is no service {0} in this cluster; `longshore status` lists them")]
    NoService(Arc<str>),
    #[error(
        "there is no {0} in this account: name the ARN of a user, a role, a role's session or the account's root; `longshore user \
         list` shows the users"
    )]
    NoPrincipal(Arc<str>),
    #[error("there is no task definition {0}; `aws ecs list-task-definitions` lists them")]
    NoSuchDefinition(Arc<str>),
}

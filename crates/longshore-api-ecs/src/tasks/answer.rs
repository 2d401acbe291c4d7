//! Answers that hold tasks. An operation collects views under the state's lock; the shapes are made of
//! them when the lock is free again.

use longshore_shapes_ecs::{DescribeTasksResponse, Failure, RunTaskResponse, StartTaskResponse, Task};
use longshore_tables_ecs::ClusterKey;

use super::shape::View;

/// What RunTask or StartTask started, and what it could not.
#[derive(Clone, Debug)]
pub struct StartedTasks {
    pub(super) at: ClusterKey,
    pub(super) views: Vec<View>,
    /// Tasks of a repeated call that nobody remembers any more.
    pub(super) forgotten: Vec<Task>,
    pub(super) failures: Vec<Failure>,
}

impl StartedTasks {
    fn shapes(&self) -> Vec<Task> {
        let remembered = self.views.iter().map(|view| view.shape(&self.at, true));
        remembered.chain(self.forgotten.iter().cloned()).collect()
    }
}

impl From<StartedTasks> for RunTaskResponse {
    fn from(started: StartedTasks) -> Self {
        Self { tasks: Some(started.shapes()), failures: Some(started.failures) }
    }
}

impl From<StartedTasks> for StartTaskResponse {
    fn from(started: StartedTasks) -> Self {
        Self { tasks: Some(started.shapes()), failures: Some(started.failures) }
    }
}

/// What DescribeTasks found.
#[derive(Clone, Debug)]
pub struct DescribedTasks {
    pub(super) at: ClusterKey,
    pub(super) views: Vec<View>,
    pub(super) with_tags: bool,
    pub(super) failures: Vec<Failure>,
}

impl From<DescribedTasks> for DescribeTasksResponse {
    fn from(found: DescribedTasks) -> Self {
        let DescribedTasks { at, views, with_tags, failures } = found;
        let tasks = views.iter().map(|view| view.shape(&at, with_tags)).collect();
        Self { tasks: Some(tasks), failures: Some(failures) }
    }
}

//! Times and numbers that ECS fixes and an operator of Longshore may choose (ecs-behaviour, Part X).

use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Settling, throttle and repetition of a service's planner.
    pub rollout: longshore_rollout::Settings,
    /// How long STOPPED tasks are remembered.
    pub stopped_task_retention: Duration,
    /// How long INACTIVE clusters, services and instances are remembered. Longer than the ten minutes
    /// for which a waiter may ask (ecs-behaviour A11).
    pub inactive_retention: Duration,
    /// How long a RunTask token is remembered.
    pub token_life: Duration,
    /// How long it is remembered at least, even if all tasks of its call are forgotten: for as long a client may repeat
    /// a call whose answer it did not get, and must not start the tasks twice.
    pub token_life_min: Duration,
    /// After how long without its agent an instance counts as lost, and its tasks are replaced.
    /// `None`: never, as on ECS, where the machine's own life cycle tells.
    pub instance_lost_after: Option<Duration>,
    /// How long a task waits in PROVISIONING for capacity before it is stopped. ECS gives up after 10 to 30
    /// minutes (ecs-engine D5).
    pub provisioning_expiry: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rollout: longshore_rollout::Settings::default(),
            stopped_task_retention: Duration::from_secs(60 * 60),
            inactive_retention: Duration::from_secs(60 * 60),
            token_life: Duration::from_secs(24 * 60 * 60),
            token_life_min: Duration::from_secs(60 * 60),
            instance_lost_after: Some(Duration::from_secs(5 * 60)),
            provisioning_expiry: Duration::from_secs(15 * 60),
        }
    }
}

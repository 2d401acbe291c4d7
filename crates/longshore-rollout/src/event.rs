//! Service events and ECS's words for them (ecs-services E2, catalogue of messages).

use std::borrow::Cow;
use std::sync::Arc;

use longshore_base::{DeploymentId, InstanceId, ServiceName, TaskId};
use longshore_domain::capability::Missing;
use longshore_placement::{Pool, Reason};
use serde::{Deserialize, Serialize};

/// The most task ids in one message; more tasks make more messages.
pub const TASKS_PER_MESSAGE: usize = 10;

/// Something worth a line in `service.events`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceEvent {
    /// Up to [`TASKS_PER_MESSAGE`] tasks; see [`ServiceEvent::started`].
    Started(Vec<TaskId>),
    /// Up to [`TASKS_PER_MESSAGE`] tasks that were RUNNING.
    StoppedRunning(Vec<TaskId>),
    StoppedPending(u32),
    RegisteredTargets {
        count: u32,
        target_group: Arc<str>,
    },
    DeregisteredTargets {
        count: u32,
        target_group: Arc<str>,
    },
    RegisteredInstances {
        count: u32,
        load_balancer: Arc<str>,
    },
    BegunDraining(u32),
    DeploymentCompleted(DeploymentId),
    DeploymentFailedToStart(DeploymentId),
    DeploymentFailedAlarm(DeploymentId),
    /// StopServiceDeployment ended it.
    DeploymentStopped(DeploymentId),
    RollingBack(DeploymentId),
    SteadyState,
    CannotPlace(PlacementRefusal),
    CannotStartConsistently,
    OperationsThrottled,
    BoundsTooTight,
    TargetUnhealthy {
        task: TaskId,
        ec2_instance: Arc<str>,
        port: u16,
        target_group: Arc<str>,
        reason: Arc<str>,
    },
    ContainerUnhealthy(TaskId),
    /// `because` is ECS's phrase, such as `TARGET GROUP IS NOT FOUND`.
    TargetMissing {
        set: DeploymentId,
        task: TaskId,
        target_group: Arc<str>,
        because: Arc<str>,
    },
    ProtectedFromScaleIn(DeploymentId),
    NoProviderInstances,
    ComputedCountUpdated {
        set: DeploymentId,
        count: u32,
    },
    /// Tasks per zone, by zone name.
    ZonesUnbalanced(Vec<(Arc<str>, u32)>),
    ZonesBalanced(Vec<(Arc<str>, u32)>),
    StartedToRebalance {
        zone: Arc<str>,
        tasks: Vec<TaskId>,
    },
    StoppedToRebalance {
        zone: Arc<str>,
        tasks: Vec<TaskId>,
    },
}

/// Why no instance takes a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PlacementRefusal {
    /// The cluster has no instance at all.
    NoInstances,
    /// The capacity provider that was asked has none.
    NoProviderInstances,
    /// The instance that got furthest, and what it lacks.
    Closest { instance: InstanceId, miss: ClosestMiss },
    /// Anything else, as a whole sentence.
    Other(Arc<str>),
    /// There is room, and something that a task needs cannot be had: the error as a whole sentence.
    NotLaunched(Arc<str>),
}

/// What the closest matching instance lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClosestMiss {
    Cpu,
    Memory,
    Port,
    Attribute,
    /// Its agent is not connected.
    Agent,
    NetworkInterface,
    Gpu,
    /// It is in none of the zones asked for.
    Location,
    DistinctInstance,
    MemberOf,
    /// What it lacks and what helps, as sentences. Records of earlier versions have [`ClosestMiss::Attribute`].
    Attributes(Arc<str>),
}

impl PlacementRefusal {
    /// Why this instance cannot take the task. `None` if it is not one that takes tasks at all.
    pub fn closest(instance: InstanceId, reason: &Reason) -> Option<Self> {
        let miss = match reason {
            Reason::Cpu => ClosestMiss::Cpu,
            Reason::Memory => ClosestMiss::Memory,
            Reason::Ports => ClosestMiss::Port,
            Reason::Attribute(lacking) => ClosestMiss::Attributes(Missing(lacking).to_string().into()),
            Reason::Gpu => ClosestMiss::Gpu,
            Reason::Interface => ClosestMiss::NetworkInterface,
            Reason::Location => ClosestMiss::Location,
            Reason::MemberOf(_) => ClosestMiss::MemberOf,
            Reason::DistinctInstance => ClosestMiss::DistinctInstance,
            Reason::Agent => ClosestMiss::Agent,
            Reason::Missing | Reason::NotActive => return None,
        };
        Some(Self::Closest { instance, miss })
    }

    /// The sentence after "was unable to place a task because ... requirements."
    pub fn text(&self) -> String {
        match self {
            Self::NoInstances => "Reason: No Container Instances were found in your cluster.".to_owned(),
            Self::NoProviderInstances => {
                "Reason: No Container Instances were found in your capacity provider.".to_owned()
            }
            Self::Closest { instance, miss } => {
                format!("The closest matching (container-instance {instance}) {}.", miss.text())
            }
            Self::Other(text) | Self::NotLaunched(text) => format!("Reason: {text}"),
        }
    }
}

impl From<&longshore_placement::Refusal> for PlacementRefusal {
    fn from(refused: &longshore_placement::Refusal) -> Self {
        let none = match refused.pool {
            Pool::Launch(_) => Self::NoInstances,
            Pool::Provider(_) => Self::NoProviderInstances,
        };
        let closest = refused.closest().and_then(|(instance, reason)| Self::closest(instance, reason));
        closest.unwrap_or(none)
    }
}

impl ClosestMiss {
    fn text(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Attributes(missing) => {
                let missing = missing.trim_end_matches('.');
                return format!("is missing an attribute required by your task: {missing}").into();
            }
            Self::Cpu => "has insufficient CPU units available",
            Self::Memory => "has insufficient memory available",
            Self::Port => "is already using a port required by your task",
            Self::Attribute => "is missing an attribute required by your task",
            Self::Agent => "encountered error \"AGENT\"",
            Self::NetworkInterface => "encountered error \"RESOURCE:ENI\"",
            Self::Gpu => "encountered error \"RESOURCE:GPU\"",
            Self::Location => "encountered error \"LOCATION\"",
            Self::DistinctInstance => "doesn't meet the distinctInstance constraint",
            Self::MemberOf => "doesn't meet the memberOf constraint",
        })
    }
}

impl ServiceEvent {
    /// The messages for tasks that were placed, at most [`TASKS_PER_MESSAGE`] each.
    pub fn started(tasks: &[TaskId]) -> impl Iterator<Item = ServiceEvent> {
        tasks.chunks(TASKS_PER_MESSAGE).map(|tasks| Self::Started(tasks.to_vec()))
    }

    /// The messages for running tasks that are told to stop.
    pub fn stopped_running(tasks: &[TaskId]) -> impl Iterator<Item = ServiceEvent> {
        tasks.chunks(TASKS_PER_MESSAGE).map(|tasks| Self::StoppedRunning(tasks.to_vec()))
    }

    /// The whole message, as `events[].message` shows it.
    pub fn message(&self, service: &ServiceName) -> String {
        format!("(service {service}) {}", self.text())
    }

    fn text(&self) -> String {
        match self {
            Self::Started(tasks) => format!("has started {} tasks: {}.", tasks.len(), list(tasks)),
            Self::StoppedRunning(tasks) => {
                format!("has stopped {} running tasks: {}.", tasks.len(), list(tasks))
            }
            Self::StoppedPending(count) => format!("has stopped {count} pending tasks."),
            Self::RegisteredTargets { count, target_group } => {
                format!("registered {count} targets in (target-group {target_group})")
            }
            Self::DeregisteredTargets { count, target_group } => {
                format!("deregistered {count} targets in (target-group {target_group})")
            }
            Self::RegisteredInstances { count, load_balancer } => {
                format!("registered {count} instances in (elb {load_balancer})")
            }
            Self::BegunDraining(count) => format!("has begun draining connections on {count} tasks."),
            Self::DeploymentCompleted(id) => format!("(deployment {id}) deployment completed."),
            Self::DeploymentFailedToStart(id) => {
                format!("(deployment {id}) deployment failed: tasks failed to start.")
            }
            Self::DeploymentFailedAlarm(id) => {
                format!("(deployment {id}) deployment failed: alarm detected.")
            }
            Self::DeploymentStopped(id) => format!("(deployment {id}) deployment stopped on request."),
            Self::RollingBack(id) => format!("rolling back to deployment {id}."),
            Self::SteadyState => "has reached a steady state.".to_owned(),
            Self::CannotPlace(PlacementRefusal::Other(text)) => {
                format!("was unable to place a task. Reason: {text}")
            }
            Self::CannotPlace(PlacementRefusal::NotLaunched(text)) => {
                format!("failed to launch a task with (error {text}).")
            }
            Self::CannotPlace(reason) => format!(
                "was unable to place a task because no container instance met all of its requirements. {} \
                 For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.",
                reason.text()
            ),
            Self::CannotStartConsistently => "is unable to consistently start tasks successfully.".to_owned(),
            Self::OperationsThrottled => "operations are being throttled. Will try again later.".to_owned(),
            Self::BoundsTooTight => "was unable to stop or start tasks during a deployment because of the \
                 service deployment configuration. Update the minimumHealthyPercent or maximumPercent value \
                 and try again."
                .to_owned(),
            Self::TargetUnhealthy { task, ec2_instance, port, target_group, reason } => format!(
                "(task {task}) (instance {ec2_instance}) (port {port}) is unhealthy in \
                 (target-group {target_group}) due to (reason {reason})"
            ),
            Self::ContainerUnhealthy(task) => format!("(task {task}) failed container health checks."),
            Self::TargetMissing { set, task, target_group, because } => format!(
                "task set ({set}) (task {task}) is not healthy in target-group ({target_group}) due to {because}"
            ),
            Self::ProtectedFromScaleIn(id) => format!(
                "was unable to reach steady state because task set ({id}) was unable to scale in. Reason: \
                 The number of protected tasks are more than the desired count of tasks"
            ),
            Self::NoProviderInstances => "was unable to reach steady state. Reason: No Container Instances \
                 were found in your capacity provider."
                .to_owned(),
            Self::ComputedCountUpdated { set, count } => {
                format!("has updated computedDesiredCount for taskSet {set} to {count}.")
            }
            Self::ZonesUnbalanced(zones) => format!(
                "is not AZ balanced with {}. AZ Rebalancing in progress.",
                per_zone(zones, |first| if first { " tasks" } else { "" })
            ),
            Self::ZonesBalanced(zones) => {
                format!("is AZ balanced with {}.", per_zone(zones, |_| " tasks"))
            }
            Self::StartedToRebalance { zone, tasks } => {
                format!("has started {} tasks in {zone} to AZ Rebalance: {}.", tasks.len(), ids(tasks))
            }
            Self::StoppedToRebalance { zone, tasks } => format!(
                "has stopped {} running tasks in {zone} due to AZ rebalancing: {}",
                tasks.len(),
                ids(tasks)
            ),
        }
    }
}

/// `(task a) (task b)`.
fn list(tasks: &[TaskId]) -> String {
    tasks.iter().map(|task| format!("(task {task})")).collect::<Vec<_>>().join(" ")
}

fn ids(tasks: &[TaskId]) -> String {
    tasks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// `2 tasks in a, 1 in b, and 3 in c`; `unit` says what follows the number.
fn per_zone(zones: &[(Arc<str>, u32)], unit: impl Fn(bool) -> &'static str) -> String {
    let mut text = String::new();
    for (at, (zone, count)) in zones.iter().enumerate() {
        if at > 0 {
            text.push_str(if at + 1 == zones.len() { ", and " } else { ", " });
        }
        text.push_str(&format!("{count}{} in {zone}", unit(at == 0)));
    }
    text
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn every_message_has_its_words() {
        use ServiceEvent as E;
        let name = ServiceName::parse("web").expect("a valid name");
        let task = TaskId::from_bits(1);
        let tasks = vec![task, TaskId::from_bits(2)];
        let id = DeploymentId::from_bits(1);
        let instance = InstanceId::from_bits(7);
        let group: Arc<str> = "arn:tg".into();
        let zones: Vec<(Arc<str>, u32)> = vec![("a".into(), 3), ("b".into(), 1), ("c".into(), 0)];
        let closest = |miss| E::CannotPlace(PlacementRefusal::Closest { instance, miss });
        let events = [
            E::Started(tasks.clone()),
            E::StoppedRunning(tasks.clone()),
            E::StoppedPending(2),
            E::RegisteredTargets { count: 1, target_group: group.clone() },
            E::RegisteredInstances { count: 1, load_balancer: "lb".into() },
            E::DeregisteredTargets { count: 1, target_group: group.clone() },
            E::BegunDraining(1),
            E::DeploymentCompleted(id),
            E::DeploymentFailedToStart(id),
            E::DeploymentFailedAlarm(id),
            E::DeploymentStopped(id),
            E::RollingBack(id),
            E::SteadyState,
            E::CannotPlace(PlacementRefusal::NoInstances),
            E::CannotPlace(PlacementRefusal::NoProviderInstances),
            E::CannotPlace(PlacementRefusal::Other("Internal error.".into())),
            closest(ClosestMiss::Cpu),
            closest(ClosestMiss::Memory),
            closest(ClosestMiss::Port),
            closest(ClosestMiss::Attribute),
            closest(ClosestMiss::Attributes("log driver x (attribute x). Add x.".into())),
            closest(ClosestMiss::Agent),
            closest(ClosestMiss::NetworkInterface),
            closest(ClosestMiss::Gpu),
            closest(ClosestMiss::Location),
            closest(ClosestMiss::DistinctInstance),
            closest(ClosestMiss::MemberOf),
            E::CannotStartConsistently,
            E::OperationsThrottled,
            E::BoundsTooTight,
            E::TargetUnhealthy {
                task,
                ec2_instance: "i-1".into(),
                port: 8080,
                target_group: group.clone(),
                reason: "Request timed out".into(),
            },
            E::ContainerUnhealthy(task),
            E::TargetMissing { set: id, task, target_group: group, because: "TARGET IS NOT FOUND".into() },
            E::ProtectedFromScaleIn(id),
            E::NoProviderInstances,
            E::ComputedCountUpdated { set: id, count: 4 },
            E::ZonesUnbalanced(zones.clone()),
            E::ZonesBalanced(zones),
            E::StartedToRebalance { zone: "a".into(), tasks: tasks.clone() },
            E::StoppedToRebalance { zone: "a".into(), tasks },
        ];
        let messages: Vec<_> = events.iter().map(|event| event.message(&name)).collect();
        expect![[r#"
            (service web) has started 2 tasks: (task 00000000000000000000000000000001) (task 00000000000000000000000000000002).
            (service web) has stopped 2 running tasks: (task 00000000000000000000000000000001) (task 00000000000000000000000000000002).
            (service web) has stopped 2 pending tasks.
            (service web) registered 1 targets in (target-group arn:tg)
            (service web) registered 1 instances in (elb lb)
            (service web) deregistered 1 targets in (target-group arn:tg)
            (service web) has begun draining connections on 1 tasks.
            (service web) (deployment ecs-svc/1000000000000000001) deployment completed.
            (service web) (deployment ecs-svc/1000000000000000001) deployment failed: tasks failed to start.
            (service web) (deployment ecs-svc/1000000000000000001) deployment failed: alarm detected.
            (service web) (deployment ecs-svc/1000000000000000001) deployment stopped on request.
            (service web) rolling back to deployment ecs-svc/1000000000000000001.
            (service web) has reached a steady state.
            (service web) was unable to place a task because no container instance met all of its requirements. Reason: No Container Instances were found in your cluster. For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.
            (service web) was unable to place a task because no container instance met all of its requirements. Reason: No Container Instances were found in your capacity provider. For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.
            (service web) was unable to place a task. Reason: Internal error.
            (service web) was unable to place a task because no container instance met all of its requirements. The closest matching (container-instance 00000000000000000000000000000007) has insufficient CPU units available. For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.
            (service web) was unable to place a task because no container instance met all of its requirements. The closest matching (container-instance 00000000000000000000000000000007) has insufficient memory available. For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.
            (service web) was unable to place a task because no container instance met all of its requirements. The closest matching (container-instance 00000000000000000000000000000007) is already using a port required by your task. For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.
            (service web) was unable to place a task because no container instance met all of its requirements. The closest matching (container-instance 00000000000000000000000000000007) is missing an attribute required by your task. For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.
            (service web) was unable to place a task because no container instance met all of its requirements. The closest matching (container-instance 00000000000000000000000000000007) is missing an attribute required by your task: log driver x (attribute x). Add x. For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.
            (service web) was unable to place a task because no container instance met all of its requirements. The closest matching (container-instance 00000000000000000000000000000007) encountered error "AGENT". For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.
            (service web) was unable to place a task because no container instance met all of its requirements. The closest matching (container-instance 00000000000000000000000000000007) encountered error "RESOURCE:ENI". For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.
            (service web) was unable to place a task because no container instance met all of its requirements. The closest matching (container-instance 00000000000000000000000000000007) encountered error "RESOURCE:GPU". For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.
            (service web) was unable to place a task because no container instance met all of its requirements. The closest matching (container-instance 00000000000000000000000000000007) encountered error "LOCATION". For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.
            (service web) was unable to place a task because no container instance met all of its requirements. The closest matching (container-instance 00000000000000000000000000000007) doesn't meet the distinctInstance constraint. For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.
            (service web) was unable to place a task because no container instance met all of its requirements. The closest matching (container-instance 00000000000000000000000000000007) doesn't meet the memberOf constraint. For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.
            (service web) is unable to consistently start tasks successfully.
            (service web) operations are being throttled. Will try again later.
            (service web) was unable to stop or start tasks during a deployment because of the service deployment configuration. Update the minimumHealthyPercent or maximumPercent value and try again.
            (service web) (task 00000000000000000000000000000001) (instance i-1) (port 8080) is unhealthy in (target-group arn:tg) due to (reason Request timed out)
            (service web) (task 00000000000000000000000000000001) failed container health checks.
            (service web) task set (ecs-svc/1000000000000000001) (task 00000000000000000000000000000001) is not healthy in target-group (arn:tg) due to TARGET IS NOT FOUND
            (service web) was unable to reach steady state because task set (ecs-svc/1000000000000000001) was unable to scale in. Reason: The number of protected tasks are more than the desired count of tasks
            (service web) was unable to reach steady state. Reason: No Container Instances were found in your capacity provider.
            (service web) has updated computedDesiredCount for taskSet ecs-svc/1000000000000000001 to 4.
            (service web) is not AZ balanced with 3 tasks in a, 1 in b, and 0 in c. AZ Rebalancing in progress.
            (service web) is AZ balanced with 3 tasks in a, 1 tasks in b, and 0 tasks in c.
            (service web) has started 2 tasks in a to AZ Rebalance: 00000000000000000000000000000001, 00000000000000000000000000000002.
            (service web) has stopped 2 running tasks in a due to AZ rebalancing: 00000000000000000000000000000001, 00000000000000000000000000000002"#]].assert_eq(&messages.join("\n"));
    }

    #[test]
    fn many_tasks_make_several_messages() {
        let tasks: Vec<_> = (0..23).map(TaskId::from_bits).collect();
        let sizes: Vec<_> = ServiceEvent::started(&tasks)
            .map(|event| match event {
                ServiceEvent::Started(tasks) => tasks.len(),
                other => panic!("not a start: {other:?}"),
            })
            .collect();
        assert_eq!(sizes, [10, 10, 3]);
    }
}

//! Every status that the API shows, with its text and the moves it allows.

use longshore_base::words;

words! {
    /// `lastStatus` of a task, in the order in which a task passes through it (ecs-engine D3).
    TaskStatus {
        Provisioning = "PROVISIONING",
        Pending = "PENDING",
        Activating = "ACTIVATING",
        Running = "RUNNING",
        Deactivating = "DEACTIVATING",
        Stopping = "STOPPING",
        Deprovisioning = "DEPROVISIONING",
        Stopped = "STOPPED",
    }
}

words! {
    /// What a check of a container instance last found, and the sum of its checks (ecs-engine D2).
    InstanceHealth {
        Ok = "OK",
        Initializing = "INITIALIZING",
        InsufficientData = "INSUFFICIENT_DATA",
        Impaired = "IMPAIRED",
    }
}

words! {
    /// What is checked of a container instance.
    InstanceCheckKind {
        ContainerRuntime = "CONTAINER_RUNTIME",
        AcceleratedCompute = "ACCELERATED_COMPUTE",
        Daemon = "DAEMON",
    }
}

impl TaskStatus {
    /// Moves to `next` if that lies ahead. A report that would go back changes nothing, because
    /// agents resend and reorder (agent-protocol G8).
    pub fn advance(self, next: TaskStatus) -> TaskStatus {
        self.max(next)
    }

    /// Counted as pending by clusters and services: not yet RUNNING.
    pub fn is_pending(self) -> bool {
        self < TaskStatus::Running
    }

    /// Counted as running: from RUNNING until STOPPED (ecs-engine D1).
    pub fn is_running(self) -> bool {
        self >= TaskStatus::Running && self != TaskStatus::Stopped
    }

    pub fn is_stopped(self) -> bool {
        self == TaskStatus::Stopped
    }
}

words! {
    /// What a task should be. It only ever moves from RUNNING to STOPPED.
    DesiredStatus {
        Running = "RUNNING",
        Stopped = "STOPPED",
    }
}

words! {
    /// `lastStatus` of a container, in order.
    ContainerStatus {
        Pending = "PENDING",
        Running = "RUNNING",
        Stopped = "STOPPED",
    }
}

words! {
    /// Health of a container or a task.
    HealthStatus {
        Unknown = "UNKNOWN",
        Healthy = "HEALTHY",
        Unhealthy = "UNHEALTHY",
    }
}

words! {
    /// Why a task stopped, as a word (ecs-engine D3, "Ends").
    StopCode {
        TaskFailedToStart = "TaskFailedToStart",
        EssentialContainerExited = "EssentialContainerExited",
        UserInitiated = "UserInitiated",
        ServiceSchedulerInitiated = "ServiceSchedulerInitiated",
        SpotInterruption = "SpotInterruption",
        TerminationNotice = "TerminationNotice",
    }
}

words! {
    /// Kind of capacity that a task runs on.
    LaunchType {
        Ec2 = "EC2",
        Fargate = "FARGATE",
        External = "EXTERNAL",
        ManagedInstances = "MANAGED_INSTANCES",
    }
}

words! {
    /// Status of a cluster (ecs-engine D1).
    ClusterStatus {
        Provisioning = "PROVISIONING",
        Active = "ACTIVE",
        Deprovisioning = "DEPROVISIONING",
        Failed = "FAILED",
        Inactive = "INACTIVE",
    }
}

words! {
    /// Status of a container instance (ecs-engine D2). Whether its agent is connected is another matter.
    InstanceStatus {
        Registering = "REGISTERING",
        RegistrationFailed = "REGISTRATION_FAILED",
        Active = "ACTIVE",
        Draining = "DRAINING",
        Deregistering = "DEREGISTERING",
        Inactive = "INACTIVE",
    }
}

words! {
    /// Status of a service.
    ServiceStatus {
        Active = "ACTIVE",
        Draining = "DRAINING",
        Inactive = "INACTIVE",
    }
}

words! {
    /// How a service decides how many tasks it wants.
    SchedulingStrategy {
        Replica = "REPLICA",
        Daemon = "DAEMON",
    }
}

words! {
    /// `rolloutState` of a deployment.
    RolloutState {
        InProgress = "IN_PROGRESS",
        Completed = "COMPLETED",
        Failed = "FAILED",
    }
}

words! {
    /// Who drives the deployments of a service (ecs-services E7).
    DeploymentController {
        Ecs = "ECS",
        CodeDeploy = "CODE_DEPLOY",
        External = "EXTERNAL",
    }
}

words! {
    /// Whose tags a new task inherits.
    PropagateTags {
        None = "NONE",
        TaskDefinition = "TASK_DEFINITION",
        Service = "SERVICE",
    }
}

words! {
    /// Status of a task definition revision (ecs-task-definitions C1); there is no way back.
    TaskDefinitionStatus {
        Active = "ACTIVE",
        Inactive = "INACTIVE",
        DeleteInProgress = "DELETE_IN_PROGRESS",
    }
}

words! {
    /// Status of a capacity provider (ecs-operations B2).
    ProviderStatus {
        Provisioning = "PROVISIONING",
        Active = "ACTIVE",
        Deprovisioning = "DEPROVISIONING",
        Inactive = "INACTIVE",
    }
}

words! {
    /// Where the last change of a capacity provider stands.
    ProviderUpdateStatus {
        CreateInProgress = "CREATE_IN_PROGRESS",
        CreateComplete = "CREATE_COMPLETE",
        CreateFailed = "CREATE_FAILED",
        DeleteInProgress = "DELETE_IN_PROGRESS",
        DeleteComplete = "DELETE_COMPLETE",
        DeleteFailed = "DELETE_FAILED",
        UpdateInProgress = "UPDATE_IN_PROGRESS",
        UpdateComplete = "UPDATE_COMPLETE",
        UpdateFailed = "UPDATE_FAILED",
    }
}

words! {
    /// Whether something is on: managed scaling, draining and termination protection of a capacity provider, and what Service
    /// Connect logs.
    Switch {
        Enabled = "ENABLED",
        Disabled = "DISABLED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_status_never_goes_back() {
        for &from in TaskStatus::ALL {
            for &to in TaskStatus::ALL {
                assert!(from.advance(to) >= from);
            }
        }
        assert_eq!(TaskStatus::Pending.advance(TaskStatus::Stopped), TaskStatus::Stopped);
    }

    #[test]
    fn words_parse_back() {
        for &status in TaskStatus::ALL {
            assert_eq!(TaskStatus::parse(status.as_str()), Some(status));
        }
        assert_eq!(TaskStatus::parse("running"), None);
    }

    #[test]
    fn a_task_is_pending_running_or_stopped() {
        for &status in TaskStatus::ALL {
            let kinds = [status.is_pending(), status.is_running(), status.is_stopped()];
            assert_eq!(kinds.iter().filter(|&&is| is).count(), 1, "{status}");
        }
    }
}

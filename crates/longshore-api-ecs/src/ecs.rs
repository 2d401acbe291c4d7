//! The API: what its operations have in common, and the table of them.

use std::sync::Arc;

use longshore_service::{Server, operations};
use longshore_shapes_ecs::ops;
use longshore_state::Db;

use crate::Settings;
use crate::news::News;

/// Amazon ECS.
pub struct Ecs {
    pub settings: Settings,
    pub(crate) news: News,
}

impl Ecs {
    pub fn new(settings: Settings) -> Self {
        Self { settings, news: News::new() }
    }

    /// The API over a database.
    pub fn server(db: Arc<Db>, settings: Settings) -> Server<Self> {
        Server::new(&longshore_catalog::ECS, &OPERATIONS, db, Self::new(settings))
    }
}

operations! {
    /// Every operation that is built. Those of the model that are missing here are answered that they are not
    /// (`support/ecs.toml` says why).
    pub static OPERATIONS: Ecs = ops {
        command CreateCluster,
        command DeleteCluster,
        query DescribeClusters,
        query ListClusters,
        command UpdateCluster,
        command UpdateClusterSettings,
        command PutClusterCapacityProviders,

        command CreateCapacityProvider,
        command UpdateCapacityProvider,
        command DeleteCapacityProvider,
        query DescribeCapacityProviders,

        command RegisterTaskDefinition,
        query DescribeTaskDefinition,
        command DeregisterTaskDefinition,
        command DeleteTaskDefinitions,
        query ListTaskDefinitions,
        query ListTaskDefinitionFamilies,

        command RegisterContainerInstance,
        command DeregisterContainerInstance,
        query DescribeContainerInstances,
        query ListContainerInstances,
        command UpdateContainerInstancesState,
        query UpdateContainerAgent,
        command PutAttributes,
        command DeleteAttributes,
        query ListAttributes,

        command TagResource,
        command UntagResource,
        query ListTagsForResource,
        command PutAccountSetting,
        command PutAccountSettingDefault,
        command DeleteAccountSetting,
        query ListAccountSettings,

        command RunTask,
        command StartTask,
        command StopTask,
        query DescribeTasks,
        query ListTasks,
        query GetTaskProtection,
        command UpdateTaskProtection,

        command CreateService,
        command UpdateService,
        command DeleteService,
        query DescribeServices,
        query ListServices,
        query ListServiceDeployments,
        query DescribeServiceDeployments,
        query DescribeServiceRevisions,
        command StopServiceDeployment,

        command CreateTaskSet,
        command UpdateTaskSet,
        command UpdateServicePrimaryTaskSet,
        command DeleteTaskSet,
        query DescribeTaskSets,

        query DiscoverPollEndpoint,
        command SubmitTaskStateChange,
        command SubmitContainerStateChange,
        command SubmitAttachmentStateChanges,
    }
}

//! The API over a database: one line per operation.

use std::sync::Arc;

use longshore_shapes_ecs::*;
use longshore_state::{Db, State, Stopped, Tx};
use longshore_wire::Fault;

use crate::{Caller, Settings, agent, clusters, protection, services, tasks};

/// Amazon ECS over a database.
pub struct Ecs {
    db: Arc<Db>,
    #[expect(dead_code, reason = "read by the operations of agents")]
    settings: Settings,
}

impl Ecs {
    pub fn new(db: Arc<Db>, settings: Settings) -> Self {
        Self { db, settings }
    }

    /// Runs a command; answers when what it did is durable.
    async fn write<T, E: From<Fault>>(
        &self,
        command: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.db.write(command).await.unwrap_or_else(|stopped| Err(refused(stopped)))
    }

    /// Runs a query; answers when what it saw is durable.
    async fn read<T, E: From<Fault>>(&self, query: impl FnOnce(&State) -> Result<T, E>) -> Result<T, E> {
        self.db.read(query).await.unwrap_or_else(|stopped| Err(refused(stopped)))
    }
}

fn refused<E: From<Fault>>(stopped: Stopped) -> E {
    Fault::hidden(stopped).into()
}

/// Writes the method of a command or of a query as what it is: a call of the function.
///
/// What it collected under the lock becomes its shape afterwards.
macro_rules! operations {
    ($($kind:ident $name:ident($input:ident) -> $output:ident, $error:ident = $function:path;)*) => {$(
        async fn $name(&self, caller: &Caller, input: $input) -> Result<$output, $error> {
            self.$kind(|subject| $function(subject, caller, input)).await.map(Into::into)
        }
    )*};
}

impl AmazonEcs for Ecs {
    type Call = Caller;

    operations! {
        write create_cluster(CreateClusterRequest) -> CreateClusterResponse, CreateClusterError
            = clusters::create_cluster;
        write delete_cluster(DeleteClusterRequest) -> DeleteClusterResponse, DeleteClusterError
            = clusters::delete_cluster;
        read describe_clusters(DescribeClustersRequest) -> DescribeClustersResponse, DescribeClustersError
            = clusters::describe_clusters;
        read list_clusters(ListClustersRequest) -> ListClustersResponse, ListClustersError
            = clusters::list_clusters;
        write update_cluster(UpdateClusterRequest) -> UpdateClusterResponse, UpdateClusterError
            = clusters::update_cluster;
        write update_cluster_settings(UpdateClusterSettingsRequest)
            -> UpdateClusterSettingsResponse, UpdateClusterSettingsError = clusters::update_cluster_settings;
        write put_cluster_capacity_providers(PutClusterCapacityProvidersRequest)
            -> PutClusterCapacityProvidersResponse, PutClusterCapacityProvidersError
            = clusters::put_cluster_capacity_providers;
    }

    operations! {
        write run_task(RunTaskRequest) -> RunTaskResponse, RunTaskError = tasks::run_task;
        write start_task(StartTaskRequest) -> StartTaskResponse, StartTaskError = tasks::start_task;
        write stop_task(StopTaskRequest) -> StopTaskResponse, StopTaskError = tasks::stop_task;
        read describe_tasks(DescribeTasksRequest) -> DescribeTasksResponse, DescribeTasksError
            = tasks::describe_tasks;
        read list_tasks(ListTasksRequest) -> ListTasksResponse, ListTasksError = tasks::list_tasks;
        write get_task_protection(GetTaskProtectionRequest) -> GetTaskProtectionResponse, GetTaskProtectionError
            = protection::get_task_protection;
        write update_task_protection(UpdateTaskProtectionRequest)
            -> UpdateTaskProtectionResponse, UpdateTaskProtectionError = protection::update_task_protection;
    }

    operations! {
        write create_service(CreateServiceRequest) -> CreateServiceResponse, CreateServiceError
            = services::create_service;
        write update_service(UpdateServiceRequest) -> UpdateServiceResponse, UpdateServiceError
            = services::update_service;
        write delete_service(DeleteServiceRequest) -> DeleteServiceResponse, DeleteServiceError
            = services::delete_service;
        read describe_services(DescribeServicesRequest) -> DescribeServicesResponse, DescribeServicesError
            = services::describe_services;
        read list_services(ListServicesRequest) -> ListServicesResponse, ListServicesError
            = services::list_services;
    }

    operations! {
        write submit_task_state_change(SubmitTaskStateChangeRequest)
            -> SubmitTaskStateChangeResponse, SubmitTaskStateChangeError = agent::submit_task_state_change;
        write submit_container_state_change(SubmitContainerStateChangeRequest)
            -> SubmitContainerStateChangeResponse, SubmitContainerStateChangeError
            = agent::submit_container_state_change;
        write submit_attachment_state_changes(SubmitAttachmentStateChangesRequest)
            -> SubmitAttachmentStateChangesResponse, SubmitAttachmentStateChangesError
            = agent::submit_attachment_state_changes;
    }
}

//! The API over a database: one line per operation.

use std::sync::Arc;

use longshore_shapes_ecs::*;
use longshore_state::{Db, Refused, State, Tx};
use longshore_wire::Fault;

use crate::news::{Joining, News};
use crate::{
    Caller, Settings, account_settings, agent, attributes, capacity_providers, clusters, container_instances,
    discovery, protection, registration, service_deployments, services, tags, task_definitions, task_sets,
    tasks,
};

/// Amazon ECS over a database.
pub struct Ecs {
    db: Arc<Db>,
    settings: Settings,
    news: News,
}

impl Ecs {
    pub fn new(db: Arc<Db>, settings: Settings) -> Self {
        Self { db, settings, news: News::new() }
    }

    /// Runs a command; answers when what it did is durable.
    async fn write<T, E: From<Fault>>(
        &self,
        command: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.db.write(command).await.unwrap_or_else(|why| Err(refused(why)))
    }

    /// Runs a query; answers when what it saw is durable.
    async fn read<T, E: From<Fault>>(&self, query: impl FnOnce(&State) -> Result<T, E>) -> Result<T, E> {
        self.db.read(query).await.unwrap_or_else(|stopped| Err(refused(stopped.into())))
    }
}

fn refused<E: From<Fault>>(why: Refused) -> E {
    match why {
        Refused::Stopped(_) => Fault::hidden(why),
        Refused::TooLarge(exceeded) => {
            tracing::warn!(%exceeded, "a request changes more than a commit takes");
            Fault::final_refusal(
                "The request changes more than fits into one transaction. Split it into smaller ones.",
            )
        }
    }
    .into()
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
        write create_capacity_provider(CreateCapacityProviderRequest)
            -> CreateCapacityProviderResponse, CreateCapacityProviderError
            = capacity_providers::create_capacity_provider;
        write update_capacity_provider(UpdateCapacityProviderRequest)
            -> UpdateCapacityProviderResponse, UpdateCapacityProviderError
            = capacity_providers::update_capacity_provider;
        write delete_capacity_provider(DeleteCapacityProviderRequest)
            -> DeleteCapacityProviderResponse, DeleteCapacityProviderError
            = capacity_providers::delete_capacity_provider;
        read describe_capacity_providers(DescribeCapacityProvidersRequest)
            -> DescribeCapacityProvidersResponse, DescribeCapacityProvidersError
            = capacity_providers::describe_capacity_providers;
    }

    async fn register_task_definition(
        &self,
        caller: &Caller,
        input: RegisterTaskDefinitionRequest,
    ) -> Result<RegisterTaskDefinitionResponse, RegisterTaskDefinitionError> {
        let prepared = task_definitions::prepare(caller, input)?;
        self.write(|tx| task_definitions::register(tx, caller, prepared)).await
    }

    operations! {
        read describe_task_definition(DescribeTaskDefinitionRequest)
            -> DescribeTaskDefinitionResponse, DescribeTaskDefinitionError
            = task_definitions::describe_task_definition;
        write deregister_task_definition(DeregisterTaskDefinitionRequest)
            -> DeregisterTaskDefinitionResponse, DeregisterTaskDefinitionError
            = task_definitions::deregister_task_definition;
        write delete_task_definitions(DeleteTaskDefinitionsRequest)
            -> DeleteTaskDefinitionsResponse, DeleteTaskDefinitionsError
            = task_definitions::delete_task_definitions;
        read list_task_definitions(ListTaskDefinitionsRequest)
            -> ListTaskDefinitionsResponse, ListTaskDefinitionsError = task_definitions::list_task_definitions;
        read list_task_definition_families(ListTaskDefinitionFamiliesRequest)
            -> ListTaskDefinitionFamiliesResponse, ListTaskDefinitionFamiliesError
            = task_definitions::list_task_definition_families;
    }

    async fn register_container_instance(
        &self,
        caller: &Caller,
        input: RegisterContainerInstanceRequest,
    ) -> Result<RegisterContainerInstanceResponse, RegisterContainerInstanceError> {
        let joining = Joining::of(&input);
        let result = self.write(|tx| registration::register_container_instance(tx, caller, input)).await;
        self.news.registered(caller, joining, &result);
        result
    }

    async fn deregister_container_instance(
        &self,
        caller: &Caller,
        input: DeregisterContainerInstanceRequest,
    ) -> Result<DeregisterContainerInstanceResponse, DeregisterContainerInstanceError> {
        let result =
            self.write(|tx| container_instances::deregister_container_instance(tx, caller, input)).await;
        if let Ok(answer) = &result {
            self.news.deregistered(caller, answer);
        }
        result
    }

    operations! {
        read describe_container_instances(DescribeContainerInstancesRequest)
            -> DescribeContainerInstancesResponse, DescribeContainerInstancesError
            = container_instances::describe_container_instances;
        read list_container_instances(ListContainerInstancesRequest)
            -> ListContainerInstancesResponse, ListContainerInstancesError
            = container_instances::list_container_instances;
        write update_container_instances_state(UpdateContainerInstancesStateRequest)
            -> UpdateContainerInstancesStateResponse, UpdateContainerInstancesStateError
            = container_instances::update_container_instances_state;
        read update_container_agent(UpdateContainerAgentRequest)
            -> UpdateContainerAgentResponse, UpdateContainerAgentError
            = container_instances::update_container_agent;
        write put_attributes(PutAttributesRequest) -> PutAttributesResponse, PutAttributesError
            = attributes::put_attributes;
        write delete_attributes(DeleteAttributesRequest) -> DeleteAttributesResponse, DeleteAttributesError
            = attributes::delete_attributes;
        read list_attributes(ListAttributesRequest) -> ListAttributesResponse, ListAttributesError
            = attributes::list_attributes;
    }

    operations! {
        write tag_resource(TagResourceRequest) -> TagResourceResponse, TagResourceError = tags::tag_resource;
        write untag_resource(UntagResourceRequest) -> UntagResourceResponse, UntagResourceError
            = tags::untag_resource;
        read list_tags_for_resource(ListTagsForResourceRequest)
            -> ListTagsForResourceResponse, ListTagsForResourceError = tags::list_tags_for_resource;
        write delete_account_setting(DeleteAccountSettingRequest)
            -> DeleteAccountSettingResponse, DeleteAccountSettingError = account_settings::delete_account_setting;
        read list_account_settings(ListAccountSettingsRequest)
            -> ListAccountSettingsResponse, ListAccountSettingsError = account_settings::list_account_settings;
    }

    async fn put_account_setting(
        &self,
        caller: &Caller,
        input: PutAccountSettingRequest,
    ) -> Result<PutAccountSettingResponse, PutAccountSettingError> {
        self.write(|tx| account_settings::put_account_setting(tx, caller, &self.settings, input)).await
    }

    async fn put_account_setting_default(
        &self,
        caller: &Caller,
        input: PutAccountSettingDefaultRequest,
    ) -> Result<PutAccountSettingDefaultResponse, PutAccountSettingDefaultError> {
        self.write(|tx| account_settings::put_account_setting_default(tx, caller, &self.settings, input))
            .await
    }

    async fn discover_poll_endpoint(
        &self,
        _caller: &Caller,
        input: DiscoverPollEndpointRequest,
    ) -> Result<DiscoverPollEndpointResponse, DiscoverPollEndpointError> {
        let instance = input.container_instance.clone();
        let result = discovery::discover_poll_endpoint(&self.settings, input);
        if let Ok(answer) = &result {
            self.news.discovered(instance.as_deref(), answer);
        }
        result
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
        read list_service_deployments(ListServiceDeploymentsRequest)
            -> ListServiceDeploymentsResponse, ListServiceDeploymentsError
            = service_deployments::list_service_deployments;
        read describe_service_deployments(DescribeServiceDeploymentsRequest)
            -> DescribeServiceDeploymentsResponse, DescribeServiceDeploymentsError
            = service_deployments::describe_service_deployments;
        read describe_service_revisions(DescribeServiceRevisionsRequest)
            -> DescribeServiceRevisionsResponse, DescribeServiceRevisionsError
            = service_deployments::describe_service_revisions;
        write stop_service_deployment(StopServiceDeploymentRequest)
            -> StopServiceDeploymentResponse, StopServiceDeploymentError
            = service_deployments::stop_service_deployment;
    }

    operations! {
        write create_task_set(CreateTaskSetRequest) -> CreateTaskSetResponse, CreateTaskSetError
            = task_sets::create_task_set;
        write update_task_set(UpdateTaskSetRequest) -> UpdateTaskSetResponse, UpdateTaskSetError
            = task_sets::update_task_set;
        write update_service_primary_task_set(UpdateServicePrimaryTaskSetRequest)
            -> UpdateServicePrimaryTaskSetResponse, UpdateServicePrimaryTaskSetError
            = task_sets::update_service_primary_task_set;
        write delete_task_set(DeleteTaskSetRequest) -> DeleteTaskSetResponse, DeleteTaskSetError
            = task_sets::delete_task_set;
        read describe_task_sets(DescribeTaskSetsRequest) -> DescribeTaskSetsResponse, DescribeTaskSetsError
            = task_sets::describe_task_sets;
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

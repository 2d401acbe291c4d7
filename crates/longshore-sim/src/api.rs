//! The operations of the API as the simulated server runs them: bytes in, bytes out, inside a transaction.
//!
//! The functions are those that serve HTTP; only the waiting around them is told anew in [`crate::world`].

use longshore_api_ecs::{
    Caller, Settings, agent, capacity_providers, clusters, container_instances, discovery, protection,
    registration, service_deployments, services, task_definitions, task_sets, tasks,
};
use longshore_base::Scope;
use longshore_state::Tx;
use longshore_wire::{ModeledError, Protocol, Shape, json};

/// An answer that is not 200.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub status: u16,
    pub body: Vec<u8>,
    /// What the caller does not read.
    pub cause: Option<String>,
}

/// Runs an operation. A failure undoes the transaction.
pub fn call(tx: &mut Tx<'_>, scope: &Scope, operation: &str, body: &[u8]) -> Result<Vec<u8>, Failure> {
    let caller = Caller::new(scope.clone(), format!("arn:aws:iam::{}:root", scope.account));
    macro_rules! write {
        ($function:path) => {
            run(body, |input| $function(tx, &caller, input))
        };
        ($function:path => $output:ty) => {
            run(body, |input| $function(tx, &caller, input).map(<$output>::from))
        };
    }
    macro_rules! read {
        ($function:path => $output:ty) => {
            run(body, |input| $function(tx.state(), &caller, input).map(<$output>::from))
        };
    }
    match operation {
        "CreateCapacityProvider" => write!(capacity_providers::create_capacity_provider),
        "UpdateCapacityProvider" => write!(capacity_providers::update_capacity_provider),
        "DeleteCapacityProvider" => write!(capacity_providers::delete_capacity_provider),
        "PutClusterCapacityProviders" => write!(clusters::put_cluster_capacity_providers),
        "CreateCluster" => write!(clusters::create_cluster),
        "RegisterTaskDefinition" => write!(task_definitions::register_task_definition),
        "RegisterContainerInstance" => write!(registration::register_container_instance),
        "DeregisterContainerInstance" => write!(container_instances::deregister_container_instance),
        "UpdateContainerInstancesState" => write!(container_instances::update_container_instances_state),
        "DiscoverPollEndpoint" => {
            run(body, |input| discovery::discover_poll_endpoint(&Settings::default(), input))
        }
        "SubmitTaskStateChange" => write!(agent::submit_task_state_change),
        "RunTask" => write!(tasks::run_task => longshore_shapes_ecs::RunTaskResponse),
        "StartTask" => write!(tasks::start_task => longshore_shapes_ecs::StartTaskResponse),
        "UpdateTaskProtection" => write!(protection::update_task_protection),
        "StopServiceDeployment" => write!(service_deployments::stop_service_deployment),
        "StopTask" => write!(tasks::stop_task),
        "DescribeTasks" => read!(tasks::describe_tasks => longshore_shapes_ecs::DescribeTasksResponse),
        "CreateService" => write!(services::create_service),
        "UpdateService" => write!(services::update_service),
        "DeleteService" => write!(services::delete_service),
        "CreateTaskSet" => write!(task_sets::create_task_set),
        "UpdateTaskSet" => write!(task_sets::update_task_set),
        "UpdateServicePrimaryTaskSet" => write!(task_sets::update_service_primary_task_set),
        "DeleteTaskSet" => write!(task_sets::delete_task_set),
        "DescribeServices" => {
            read!(services::describe_services => longshore_shapes_ecs::DescribeServicesResponse)
        }
        other => panic!("the simulation does not serve {other}"),
    }
}

fn run<I: Shape, O: Shape, E: ModeledError>(
    body: &[u8],
    operation: impl FnOnce(I) -> Result<O, E>,
) -> Result<Vec<u8>, Failure> {
    let input = json::from_slice(body).map_err(|error| Failure {
        status: 400,
        body: br#"{"__type":"SerializationException"}"#.to_vec(),
        cause: Some(error.to_string()),
    })?;
    match operation(input) {
        Ok(output) => Ok(json::to_vec(&output)),
        Err(error) => {
            let reply = Protocol::AwsJson11.error(&error, None, "");
            let cause = reply.error.and_then(|error| error.cause);
            Err(Failure { status: reply.status, body: reply.body, cause })
        }
    }
}

//! `longshore endpoints`: where the tasks of a service answer, for scripts and proxies.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::bail;
use longshore_shapes_ecs::{self as shapes, ops};

use crate::args::EndpointsOptions;
use crate::client::Client;
use crate::out::{Reader, print};

/// How often a watcher looks. The API has no way to be told.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Limit of DescribeTasks (ecs-behaviour A4).
const TASKS_PER_CALL: usize = 100;
/// What a client on this machine puts for a port that is bound to all addresses.
const LOCAL: &str = "127.0.0.1";

pub async fn run(options: EndpointsOptions) -> anyhow::Result<()> {
    let client = Client::find(&options.client)?;
    let mut ports = Ports::default();
    if let Some(container) = &options.container {
        refuse_unknown(&client, &options, container, &mut ports).await?;
    }
    if !options.watch {
        let endpoints = look(&client, &options, &mut ports).await?;
        let lines: String = endpoints.iter().map(|endpoint| format!("{endpoint}\n")).collect();
        print(&lines)?;
        return Ok(());
    }
    let mut last = None;
    loop {
        let now = look(&client, &options, &mut ports).await?;
        if last.as_ref() != Some(&now) {
            let line: Vec<&str> = now.iter().map(String::as_str).collect();
            if print(&format!("{}\n", line.join(" ")))? == Reader::Gone {
                return Ok(());
            }
            last = Some(now);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A container that no task of the service has would never answer.
async fn refuse_unknown(
    client: &Client,
    options: &EndpointsOptions,
    container: &str,
    ports: &mut Ports,
) -> anyhow::Result<()> {
    let request = shapes::DescribeServicesRequest {
        cluster: Some(options.cluster.clone()),
        services: Some(vec![options.service.clone()]),
        ..Default::default()
    };
    let described = client.call::<ops::DescribeServices>(request).await?;
    let Some(service) = described.services.into_iter().flatten().next() else { return Ok(()) };
    let of_deployments = service.deployments.into_iter().flatten().map(|one| one.task_definition);
    let of_sets = service.task_sets.into_iter().flatten().map(|one| one.task_definition);
    let arns: BTreeSet<String> =
        of_deployments.chain(of_sets).chain([service.task_definition]).flatten().collect();
    let mut known = BTreeSet::new();
    for arn in &arns {
        let containers = ports.containers(client, arn).await?;
        known.extend(containers.iter().filter_map(|container| container.name.clone()));
    }
    if known.is_empty() || known.contains(container) {
        return Ok(());
    }
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    bail!(
        "service {} has no container {container}; name one of its own: {}",
        options.service,
        known.join(", ")
    )
}

/// The endpoints of tasks that run and are meant to go on.
async fn look(
    client: &Client,
    options: &EndpointsOptions,
    ports: &mut Ports,
) -> anyhow::Result<BTreeSet<String>> {
    let mut arns = Vec::new();
    let mut next_token = None;
    loop {
        let page = client
            .call::<ops::ListTasks>(shapes::ListTasksRequest {
                cluster: Some(options.cluster.clone()),
                service_name: Some(options.service.clone()),
                next_token,
                ..Default::default()
            })
            .await?;
        arns.extend(page.task_arns.into_iter().flatten());
        next_token = page.next_token;
        if next_token.is_none() {
            break;
        }
    }
    let mut endpoints = BTreeSet::new();
    for chunk in arns.chunks(TASKS_PER_CALL) {
        let page = client
            .call::<ops::DescribeTasks>(shapes::DescribeTasksRequest {
                cluster: Some(options.cluster.clone()),
                tasks: Some(chunk.to_vec()),
                ..Default::default()
            })
            .await?;
        let serving = page.tasks.into_iter().flatten().filter(|task| {
            task.last_status.as_deref() == Some("RUNNING")
                && task.desired_status.as_deref() == Some("RUNNING")
        });
        for task in serving {
            for container in task.containers.iter().flatten() {
                if options.container.is_some() && options.container != container.name {
                    continue;
                }
                endpoints.extend(container.network_bindings.iter().flatten().filter_map(endpoint));
                let addresses = container.network_interfaces.iter().flatten();
                for address in addresses.filter_map(|interface| interface.private_ipv4_address.as_deref()) {
                    let ports = ports.of(client, &task, container).await?;
                    endpoints.extend(ports.iter().map(|port| format!("{address}:{port}")));
                }
            }
        }
    }
    Ok(endpoints)
}

/// The ports of containers by task definition and name: a task with an address of its own binds none of the
/// machine's, so that only its definition tells them. A revision never changes.
#[derive(Default)]
struct Ports {
    known: BTreeMap<String, Vec<shapes::ContainerDefinition>>,
}

impl Ports {
    async fn of(
        &mut self,
        client: &Client,
        task: &shapes::Task,
        container: &shapes::Container,
    ) -> anyhow::Result<Vec<i32>> {
        let arn = task.task_definition_arn.as_deref().unwrap_or_default();
        let containers = self.containers(client, arn).await?;
        let own = containers.iter().find(|own| own.name == container.name);
        let mappings = own.into_iter().flat_map(|own| own.port_mappings.iter().flatten());
        Ok(mappings.filter_map(|mapping| mapping.container_port).collect())
    }

    async fn containers(
        &mut self,
        client: &Client,
        arn: &str,
    ) -> anyhow::Result<&[shapes::ContainerDefinition]> {
        if !self.known.contains_key(arn) {
            let request = shapes::DescribeTaskDefinitionRequest {
                task_definition: Some(arn.to_owned()),
                ..Default::default()
            };
            let answer = client.call::<ops::DescribeTaskDefinition>(request).await?;
            let containers = answer.task_definition.and_then(|definition| definition.container_definitions);
            self.known.insert(arn.to_owned(), containers.unwrap_or_default());
        }
        Ok(&self.known[arn])
    }
}

fn endpoint(binding: &shapes::NetworkBinding) -> Option<String> {
    let address = match binding.bind_ip.as_deref() {
        None | Some("0.0.0.0" | "::") => LOCAL,
        Some(address) => address,
    };
    Some(format!("{address}:{}", binding.host_port?))
}

//! `longshore endpoints`: where the tasks of a service answer, for scripts and proxies.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::time::Duration;

use longshore_shapes_ecs::{self as shapes, ops};

use crate::args::EndpointsOptions;
use crate::client::Client;

/// How often a watcher looks. The API has no way to be told.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Limit of DescribeTasks (ecs-behaviour A4).
const TASKS_PER_CALL: usize = 100;
/// What a client on this machine puts for a port that is bound to all addresses.
const LOCAL: &str = "127.0.0.1";

pub async fn run(options: EndpointsOptions) -> anyhow::Result<()> {
    let client = Client::find(&options.client)?;
    let mut out = std::io::stdout().lock();
    if !options.watch {
        for endpoint in look(&client, &options, &mut Ports::new()).await? {
            writeln!(out, "{endpoint}")?;
        }
        return Ok(());
    }
    let mut last = None;
    let mut ports = Ports::new();
    loop {
        let now = look(&client, &options, &mut ports).await?;
        if last.as_ref() != Some(&now) {
            let line: Vec<&str> = now.iter().map(String::as_str).collect();
            writeln!(out, "{}", line.join(" "))?;
            out.flush()?;
            last = Some(now);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Containers and their ports by the ARN of a task definition's revision, which never changes.
type Ports = BTreeMap<String, Vec<(Option<String>, i32)>>;

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
            if let Some(address) = own_address(&task) {
                let known = ports_of(client, ports, task.task_definition_arn.unwrap_or_default()).await?;
                let wanted = known
                    .iter()
                    .filter(|(name, _)| options.container.is_none() || options.container == *name);
                endpoints.extend(wanted.map(|(_, port)| format!("{address}:{port}")));
                continue;
            }
            for container in task.containers.iter().flatten() {
                let wanted = options.container.is_none() || options.container == container.name;
                let bindings = container.network_bindings.iter().flatten().filter(|_| wanted);
                endpoints.extend(bindings.filter_map(endpoint));
            }
        }
    }
    Ok(endpoints)
}

/// The address of a task in awsvpc mode, which it has to itself.
fn own_address(task: &shapes::Task) -> Option<String> {
    let interfaces = task.containers.iter().flatten().flat_map(|container| &container.network_interfaces);
    interfaces.flatten().find_map(|interface| interface.private_ipv4_address.clone())
}

/// At its own address a task answers at the ports of its containers, which only its definition tells.
async fn ports_of<'p>(
    client: &Client,
    known: &'p mut Ports,
    definition: String,
) -> anyhow::Result<&'p [(Option<String>, i32)]> {
    if !known.contains_key(&definition) {
        let answer = client
            .call::<ops::DescribeTaskDefinition>(shapes::DescribeTaskDefinitionRequest {
                task_definition: Some(definition.clone()),
                ..Default::default()
            })
            .await?;
        let containers = answer.task_definition.and_then(|found| found.container_definitions);
        let mut ports = Vec::new();
        for container in containers.into_iter().flatten() {
            let mapped =
                container.port_mappings.iter().flatten().filter_map(|mapping| mapping.container_port);
            ports.extend(mapped.map(|port| (container.name.clone(), port)));
        }
        known.insert(definition.clone(), ports);
    }
    Ok(&known[&definition])
}

fn endpoint(binding: &shapes::NetworkBinding) -> Option<String> {
    let address = match binding.bind_ip.as_deref() {
        None | Some("0.0.0.0" | "::") => LOCAL,
        Some(address) => address,
    };
    Some(format!("{address}:{}", binding.host_port?))
}

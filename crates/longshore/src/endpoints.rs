//! `longshore endpoints`: where the tasks of a service answer, for scripts and proxies.

use std::collections::BTreeSet;
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
        for endpoint in look(&client, &options).await? {
            writeln!(out, "{endpoint}")?;
        }
        return Ok(());
    }
    let mut last = None;
    loop {
        let now = look(&client, &options).await?;
        if last.as_ref() != Some(&now) {
            let line: Vec<&str> = now.iter().map(String::as_str).collect();
            writeln!(out, "{}", line.join(" "))?;
            out.flush()?;
            last = Some(now);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The endpoints of tasks that run and are meant to go on.
async fn look(client: &Client, options: &EndpointsOptions) -> anyhow::Result<BTreeSet<String>> {
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
                let wanted = options.container.is_none() || options.container == container.name;
                let bindings = container.network_bindings.iter().flatten().filter(|_| wanted);
                endpoints.extend(bindings.filter_map(endpoint));
            }
        }
    }
    Ok(endpoints)
}

fn endpoint(binding: &shapes::NetworkBinding) -> Option<String> {
    let address = match binding.bind_ip.as_deref() {
        None | Some("0.0.0.0" | "::") => LOCAL,
        Some(address) => address,
    };
    Some(format!("{address}:{}", binding.host_port?))
}

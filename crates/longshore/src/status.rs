//! `longshore status`: clusters, instances, services and deployments on one screen.

use std::fmt::Write;

use anyhow::Context;
use longshore_api_ecs::texts;
use longshore_base::FARGATE_POOL;
use longshore_explain::{Draining, Question, TARGET_PREFIX};
use longshore_shapes_ecs::{self as shapes, ops};

use crate::args::StatusOptions;
use crate::client::Client;
use crate::leftovers;
use crate::out::print;

/// Width of the bars for CPU and memory.
const BAR: usize = 20;
/// Limits of the describe calls (ecs-behaviour A4).
const INSTANCES_PER_CALL: usize = 100;
const SERVICES_PER_CALL: usize = 10;

pub async fn run(options: StatusOptions) -> anyhow::Result<()> {
    let client = Client::find(&options.client)?;
    let names = match &options.cluster {
        Some(name) => vec![name.clone()],
        None => clusters(&client).await?,
    };
    let mut screen = String::new();
    if names.is_empty() {
        screen.push_str("no clusters yet: aws ecs create-cluster --cluster-name default\n");
    }
    for name in names {
        cluster(&client, &name, &mut screen).await?;
    }
    if options.cluster.is_none() {
        pool(&client, &mut screen).await?;
    }
    print(&screen)?;
    Ok(())
}

/// The agents that serve Fargate, which only the operator sees.
async fn pool(client: &Client, screen: &mut String) -> anyhow::Result<()> {
    let mut lines = String::new();
    // Whoever is not the operator is told that there is no such cluster; so is the operator before its first agent.
    if let Ok(troubled) = instances(client, FARGATE_POOL, &mut lines).await
        && !lines.is_empty()
    {
        line(screen, format_args!("fargate pool, for all clusters and accounts"));
        screen.push_str(&lines);
        screen.push_str(&troubled.advice(FARGATE_POOL));
    }
    Ok(())
}

/// Instances that cannot run tasks now.
#[derive(Default)]
struct Troubled {
    /// No agent is connected.
    away: Vec<String>,
    /// Their agents say that the container engine does not answer.
    without_engine: usize,
}

impl Troubled {
    /// What a person can do about them; lines that are empty if there is nothing to do.
    fn advice(&self, cluster: &str) -> String {
        let mut text = String::new();
        if self.without_engine > 0 {
            line(
                &mut text,
                format_args!(
                    "note: where it says `no engine`, the agent is connected, but the container engine does not answer. \
                     Tasks go on, none can start: look at Docker there"
                ),
            );
        }
        if let Some(note) = leftovers::note(cluster, &self.away) {
            line(&mut text, format_args!("{note}"));
        }
        text
    }
}

async fn clusters(client: &Client) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    let mut next_token = None;
    loop {
        let page = client
            .call::<ops::ListClusters>(shapes::ListClustersRequest { next_token, ..Default::default() })
            .await?;
        names.extend(page.cluster_arns.into_iter().flatten());
        next_token = page.next_token;
        if next_token.is_none() {
            return Ok(names);
        }
    }
}

async fn cluster(client: &Client, name: &str, screen: &mut String) -> anyhow::Result<()> {
    let described = client
        .call::<ops::DescribeClusters>(shapes::DescribeClustersRequest {
            clusters: Some(vec![name.to_owned()]),
            ..Default::default()
        })
        .await?;
    let Some(cluster) = described.clusters.into_iter().flatten().next() else {
        anyhow::bail!("there is no cluster {name}; without --cluster all are listed");
    };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let count = |count: Option<i32>| count.unwrap_or(0);
    line(
        screen,
        format_args!(
            "cluster {}  {}  {} instances, {} running and {} pending tasks, {} services   ({})",
            text(&cluster.cluster_name),
            text(&cluster.status),
            count(cluster.registered_container_instances_count),
            count(cluster.running_tasks_count),
            count(cluster.pending_tasks_count),
            count(cluster.active_services_count),
            client.endpoint(),
        ),
    );
    let before = screen.len();
    let troubled = instances(client, name, screen).await?;
    if screen.len() == before {
        line(screen, format_args!("  no container instances: start `longshore agent` or `longshore up`"));
    }
    services(client, name, screen).await?;
    screen.push_str(&troubled.advice(&text(&cluster.cluster_name)));
    screen.push('\n');
    Ok(())
}

async fn instances(client: &Client, cluster: &str, screen: &mut String) -> anyhow::Result<Troubled> {
    let mut troubled = Troubled::default();
    let mut arns = Vec::new();
    let mut next_token = None;
    loop {
        let page = client
            .call::<ops::ListContainerInstances>(shapes::ListContainerInstancesRequest {
                cluster: Some(cluster.to_owned()),
                next_token,
                ..Default::default()
            })
            .await?;
        arns.extend(page.container_instance_arns.into_iter().flatten());
        next_token = page.next_token;
        if next_token.is_none() {
            break;
        }
    }
    for chunk in arns.chunks(INSTANCES_PER_CALL) {
        let page = client
            .call::<ops::DescribeContainerInstances>(shapes::DescribeContainerInstancesRequest {
                cluster: Some(cluster.to_owned()),
                container_instances: Some(chunk.to_vec()),
                include: Some(vec![shapes::ContainerInstanceField::ContainerInstanceHealth]),
            })
            .await?;
        for instance in page.container_instances.into_iter().flatten() {
            instance_line(&instance, screen, &mut troubled);
        }
    }
    Ok(troubled)
}

fn instance_line(instance: &shapes::ContainerInstance, screen: &mut String, troubled: &mut Troubled) {
    let id = instance.container_instance_arn.as_deref().and_then(|arn| arn.rsplit('/').next()).unwrap_or("?");
    let attributes = instance.attributes.iter().flatten();
    let zone = attributes
        .filter(|attribute| attribute.name.as_deref() == Some("ecs.availability-zone"))
        .find_map(|attribute| attribute.value.as_deref())
        .unwrap_or("-");
    let health = instance.health_status.as_ref().and_then(|health| health.overall_status.as_ref());
    let agent = if instance.agent_connected != Some(true) {
        troubled.away.push(id.to_owned());
        "away"
    } else if instance.status_reason.as_deref() == Some(texts::AGENT_AWAITED) {
        // What it last said of its engine is from before.
        "awaited"
    } else if health == Some(&shapes::InstanceHealthCheckState::Impaired) {
        troubled.without_engine += 1;
        "no engine"
    } else {
        "connected"
    };
    line(
        screen,
        format_args!(
            "  {:.8}  {zone:<12} {:<9} {agent:<9} cpu {}  memory {}  {} tasks",
            id,
            instance.status.as_deref().unwrap_or("?"),
            usage(instance, "CPU"),
            usage(instance, "MEMORY"),
            instance.running_tasks_count.unwrap_or(0) + instance.pending_tasks_count.unwrap_or(0),
        ),
    );
}

/// A bar, and what is reserved of what there is.
fn usage(instance: &shapes::ContainerInstance, name: &str) -> String {
    let of = |resources: &Option<Vec<shapes::Resource>>| {
        let found = resources.iter().flatten().find(|resource| resource.name.as_deref() == Some(name));
        found.and_then(|resource| resource.integer_value).unwrap_or(0).max(0)
    };
    let total = of(&instance.registered_resources);
    let used = (total - of(&instance.remaining_resources)).max(0);
    format!("{} {used:>6}/{total}", bar(used, total))
}

fn bar(used: i32, total: i32) -> String {
    let share = if total > 0 { f64::from(used) / f64::from(total) } else { 0.0 };
    let full = ((share * BAR as f64).round() as usize).min(BAR);
    // Something that is used at all should be seen.
    let full = if used > 0 { full.max(1) } else { full };
    format!("[{}{}]", "#".repeat(full), ".".repeat(BAR - full))
}

async fn services(client: &Client, cluster: &str, screen: &mut String) -> anyhow::Result<()> {
    let mut arns = Vec::new();
    let mut next_token = None;
    loop {
        let page = client
            .call::<ops::ListServices>(shapes::ListServicesRequest {
                cluster: Some(cluster.to_owned()),
                max_results: Some(100),
                next_token,
                ..Default::default()
            })
            .await?;
        arns.extend(page.service_arns.into_iter().flatten());
        next_token = page.next_token;
        if next_token.is_none() {
            break;
        }
    }
    // Those that were deleted and still have tasks are in no list of the API.
    let question = Question { cluster: Some(cluster.to_owned()), subject: String::new() };
    let target = format!("{TARGET_PREFIX}.ListDrainingServices");
    let answer = client.post(&target, serde_json::to_vec(&question)?).await?;
    let draining: Draining = serde_json::from_slice(&answer).context("the answer cannot be read")?;
    arns.extend(draining.services);
    for chunk in arns.chunks(SERVICES_PER_CALL) {
        let page = client
            .call::<ops::DescribeServices>(shapes::DescribeServicesRequest {
                cluster: Some(cluster.to_owned()),
                services: Some(chunk.to_vec()),
                ..Default::default()
            })
            .await?;
        for service in page.services.into_iter().flatten() {
            service_lines(&service, screen);
        }
    }
    Ok(())
}

fn service_lines(service: &shapes::Service, screen: &mut String) {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let count = |count: Option<i32>| count.unwrap_or(0);
    line(
        screen,
        format_args!(
            "  service {}  {}  {} of {} tasks run, {} pending",
            text(&service.service_name),
            text(&service.status),
            count(service.running_count),
            count(service.desired_count),
            count(service.pending_count),
        ),
    );
    for deployment in service.deployments.iter().flatten() {
        let definition = text(&deployment.task_definition);
        line(
            screen,
            format_args!(
                "    {:<8} {:<12} {}  {} running, {} pending of {}{}",
                text(&deployment.status),
                deployment.rollout_state.as_ref().map_or("", |state| state.as_str()),
                definition.rsplit('/').next().unwrap_or_default(),
                count(deployment.running_count),
                count(deployment.pending_count),
                count(deployment.desired_count),
                match count(deployment.failed_tasks) {
                    0 => String::new(),
                    failed => format!(", {failed} failed"),
                },
            ),
        );
    }
    for set in service.task_sets.iter().flatten() {
        let definition = text(&set.task_definition);
        line(
            screen,
            format_args!(
                "    {:<8} {:<12} {}  {} running, {} pending of {}",
                text(&set.status),
                set.stability_status.as_ref().map_or("", |stability| stability.as_str()),
                definition.rsplit('/').next().unwrap_or_default(),
                count(set.running_count),
                count(set.pending_count),
                count(set.computed_desired_count),
            ),
        );
    }
    if let Some(event) = service.events.iter().flatten().next() {
        line(screen, format_args!("    last event: {}", text(&event.message)));
    }
}

fn line(screen: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(screen, "{text}").expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_show_shares() {
        assert_eq!(bar(0, 100), "[....................]");
        assert_eq!(bar(1, 1000), "[#...................]");
        assert_eq!(bar(50, 100), "[##########..........]");
        assert_eq!(bar(100, 100), "[####################]");
        assert_eq!(bar(200, 100), "[####################]");
        assert_eq!(bar(0, 0), "[....................]");
    }
    #[test]
    fn trouble_is_shown_with_what_to_do() {
        let (mut screen, mut troubled) = (String::new(), Troubled::default());
        let health =
            |state| shapes::ContainerInstanceHealthStatus { overall_status: Some(state), details: None };
        let awaited = Some(texts::AGENT_AWAITED.to_owned());
        for (connected, state, status_reason) in [
            (true, shapes::InstanceHealthCheckState::Ok, None),
            (true, shapes::InstanceHealthCheckState::Impaired, None),
            (false, shapes::InstanceHealthCheckState::InsufficientData, None),
            (true, shapes::InstanceHealthCheckState::Ok, awaited),
        ] {
            let instance = shapes::ContainerInstance {
                container_instance_arn: Some(
                    "arn:aws:ecs:us-east-1:000000000000:container-instance/c/0123456789ab".into(),
                ),
                agent_connected: Some(connected),
                status_reason,
                health_status: Some(health(state)),
                ..Default::default()
            };
            instance_line(&instance, &mut screen, &mut troubled);
        }
        let agents: Vec<bool> = screen.lines().map(|line| line.contains("connected")).collect();
        assert_eq!(agents, [true, false, false, false], "{screen}");
        assert!(screen.lines().nth(3).is_some_and(|line| line.contains("awaited")), "{screen}");
        assert!(screen.lines().nth(1).is_some_and(|line| line.contains("no engine")), "{screen}");
        let advice = troubled.advice("c");
        assert!(advice.contains("look at Docker there"), "{advice}");
        assert!(advice.contains("--force --cluster c --container-instance 0123456789ab"), "{advice}");
        assert_eq!(Troubled::default().advice("c"), "");
    }
}

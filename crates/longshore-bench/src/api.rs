//! The ECS API as a person's script would use it: one call, one JSON answer.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use longshore_client::Client;
use longshore_shapes_ecs::{SIGNING_NAME, TARGET_PREFIX};
use serde_json::{Value, json};

/// How often a state is looked at while it is waited for. Half of it is in every latency that is measured by looking.
pub const LOOK_EVERY: Duration = Duration::from_millis(2);

/// A call as the bytes of a signed request.
pub fn signed(client: &Client, operation: &str, body: &str) -> Vec<u8> {
    client.signed_json(SIGNING_NAME, &format!("{TARGET_PREFIX}.{operation}"), body).bytes()
}

/// How often a whole service is looked at, here and in Swarm: more often would slow down what is measured, since
/// a list of fifty tasks costs an engine, and Swarm more than a little.
pub const LOOK_AT_SERVICE_EVERY: Duration = Duration::from_millis(20);

/// The same for a task that one of many clients waits for.
pub const LOOK_IN_A_CROWD_EVERY: Duration = Duration::from_millis(20);

/// The same for one task in place of another.
pub const LOOK_FOR_ANOTHER_EVERY: Duration = Duration::from_millis(5);

/// The API for one script. Bodies are JSON here and not shapes: rows look at a member or two of long answers, as a script
/// with `jq` does.
pub struct Api {
    client: Client,
    look_every: Duration,
}

impl Api {
    pub fn new(client: &Client) -> Self {
        Self { client: client.clone(), look_every: LOOK_EVERY }
    }

    /// The same, but a task that is waited for is looked at in these intervals.
    pub fn looking_every(self, look_every: Duration) -> Self {
        Self { look_every, ..self }
    }

    pub async fn call(&self, operation: &str, body: &Value) -> anyhow::Result<Value> {
        let target = format!("{TARGET_PREFIX}.{operation}");
        let answer = self.client.call_json(SIGNING_NAME, &target, body.to_string()).await?;
        serde_json::from_slice(&answer).context("the answer is no JSON")
    }

    /// Registers a definition of one container, in the default network mode.
    pub async fn register(&self, family: &str, image: &str, cpu: u32, memory: u32) -> anyhow::Result<()> {
        self.call("RegisterTaskDefinition", &definition(family, image, cpu, memory)).await.map(|_| ())
    }

    /// The ARNs of the tasks that were started; an error if any was refused.
    pub async fn run_task(&self, family: &str, count: u32) -> anyhow::Result<Vec<String>> {
        let answer = self.call("RunTask", &json!({"taskDefinition": family, "count": count})).await?;
        let refused = answer["failures"].as_array().map_or(0, Vec::len);
        anyhow::ensure!(refused == 0, "RunTask refused: {}", answer["failures"]);
        let tasks = answer["tasks"].as_array().context("RunTask answers with tasks")?;
        Ok(tasks.iter().filter_map(|task| task["taskArn"].as_str()).map(str::to_owned).collect())
    }

    pub async fn describe_task(&self, arn: &str) -> anyhow::Result<Value> {
        let mut answer = self.call("DescribeTasks", &json!({"tasks": [arn]})).await?;
        let task = answer["tasks"].get_mut(0).map(Value::take);
        task.with_context(|| format!("{arn} is not known: {}", answer["failures"]))
    }

    /// Looks until the task's `lastStatus` is this. A task that stops on the way is an error.
    pub async fn wait_for_task(&self, arn: &str, status: &str, limit: Duration) -> anyhow::Result<Value> {
        let begun = Instant::now();
        loop {
            let task = self.describe_task(arn).await?;
            match task["lastStatus"].as_str() {
                Some(found) if found == status => return Ok(task),
                Some("STOPPED") => bail!("{arn} has stopped: {}", task["stoppedReason"]),
                _ if begun.elapsed() > limit => {
                    bail!("{arn} is {} after {limit:?}, not {status}", task["lastStatus"])
                }
                _ => tokio::time::sleep(self.look_every).await,
            }
        }
    }

    /// The ARNs of the tasks of a service that should run, a hundred at most.
    pub async fn service_tasks(&self, name: &str) -> anyhow::Result<BTreeSet<String>> {
        let answer = self.call("ListTasks", &json!({"serviceName": name})).await?;
        let arns = answer["taskArns"].as_array().context("ListTasks answers with ARNs")?;
        Ok(arns.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    }

    /// Looks until a task of the service is RUNNING that is none of `before`.
    pub async fn wait_for_another(
        &self,
        name: &str,
        before: &BTreeSet<String>,
        limit: Duration,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let tasks = self.service_tasks(name).await?;
            let new: Vec<_> = tasks.difference(before).collect();
            if !new.is_empty() {
                let answer = self.call("DescribeTasks", &json!({"tasks": new})).await?;
                let mut tasks = answer["tasks"].as_array().into_iter().flatten();
                if tasks.any(|task| task["lastStatus"] == "RUNNING") {
                    return Ok(());
                }
            }
            anyhow::ensure!(begun.elapsed() < limit, "no other task of {name} runs after {limit:?}");
            tokio::time::sleep(LOOK_FOR_ANOTHER_EVERY).await;
        }
    }

    pub async fn describe_service(&self, name: &str) -> anyhow::Result<Value> {
        let mut answer = self.call("DescribeServices", &json!({"services": [name]})).await?;
        answer["services"].get_mut(0).map(Value::take).with_context(|| format!("service {name} is not known"))
    }

    /// Looks until `reached` says so.
    pub async fn wait_for_service(
        &self,
        name: &str,
        every: Duration,
        limit: Duration,
        reached: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let begun = Instant::now();
        loop {
            let service = self.describe_service(name).await?;
            if reached(&service) {
                return Ok(service);
            }
            if begun.elapsed() > limit {
                bail!(
                    "service {name} has {} running and {} pending after {limit:?}; last event: {}",
                    service["runningCount"],
                    service["pendingCount"],
                    service["events"][0]["message"]
                );
            }
            tokio::time::sleep(every).await;
        }
    }
}

pub fn definition(family: &str, image: &str, cpu: u32, memory: u32) -> Value {
    json!({
        "family": family,
        "containerDefinitions": [{"name": "main", "image": image, "cpu": cpu, "memory": memory}],
    })
}

//! `longshore explain`: why things are as they are.

use anyhow::Context;
use longshore_explain::{Explanation, Question, TARGET_PREFIX};

use crate::args::{ExplainOptions, Explained};
use crate::client::Client;
use crate::out::print;

pub async fn run(options: ExplainOptions) -> anyhow::Result<()> {
    let client = Client::find(&options.client)?;
    let operation = match options.kind {
        Explained::Task => "ExplainTask",
        Explained::Service => "ExplainService",
        Explained::TaskDefinition => "ExplainTaskDefinition",
        Explained::ContainerInstance => "ExplainContainerInstance",
    };
    let cluster = cluster_of(&options.subject).map_or(options.cluster, str::to_owned);
    let question = Question { cluster: Some(cluster), subject: options.subject };
    let body = serde_json::to_vec(&question)?;
    let answer = client.post(&format!("{TARGET_PREFIX}.{operation}"), body).await?;
    let explanation: Explanation = serde_json::from_slice(&answer).context("the answer cannot be read")?;
    let mut text = format!("{}\n", explanation.subject);
    for point in explanation.points {
        text.push_str(&format!("  {}\n", point.text));
        for detail in point.details {
            text.push_str(&format!("    {detail}\n"));
        }
    }
    print(&text)?;
    Ok(())
}

/// The cluster that an ARN of a task, a service or an instance names: `arn:aws:ecs:REGION:ACCOUNT:task/CLUSTER/ID`.
fn cluster_of(subject: &str) -> Option<&str> {
    let resource = subject.strip_prefix("arn:")?.splitn(5, ':').nth(4)?;
    let mut parts = resource.split('/').skip(1);
    let (cluster, id) = (parts.next()?, parts.next());
    id.map(|_| cluster)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_names_its_cluster() {
        for (subject, cluster) in [
            ("arn:aws:ecs:us-east-1:000000000000:task/team/0123", Some("team")),
            ("arn:aws:ecs:us-east-1:000000000000:service/team/web", Some("team")),
            // The short form, and what has no cluster.
            ("arn:aws:ecs:us-east-1:000000000000:service/web", None),
            ("arn:aws:ecs:us-east-1:000000000000:task-definition/web:1", None),
            ("web", None),
            ("team/web", None),
        ] {
            assert_eq!(cluster_of(subject), cluster, "{subject}");
        }
    }
}

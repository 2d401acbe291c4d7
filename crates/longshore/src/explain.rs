//! `longshore explain`: why things are as they are.

use std::collections::BTreeMap;

use anyhow::Context;
use longshore_base::AccountId;
use longshore_explain::{AccessQuestion, Explanation, Question, TARGET_PREFIX};

use crate::admin::{Control, Purpose};
use crate::args::{ControlOptions, ExplainOptions, Explained};
use crate::client::Client;
use crate::exit::usage;
use crate::out::print;

pub async fn run(options: ExplainOptions) -> anyhow::Result<()> {
    let operation = match options.kind {
        Explained::Access => return access(options).await,
        Explained::Task => "ExplainTask",
        Explained::Service => "ExplainService",
        Explained::TaskDefinition => "ExplainTaskDefinition",
        Explained::ContainerInstance => "ExplainContainerInstance",
    };
    let subject = options.subject.ok_or_else(|| usage("name what to explain: an id, a name or an ARN"))?;
    let client = Client::find(&options.client)?;
    let cluster = cluster_of(&subject).map_or(options.cluster, str::to_owned);
    let question = Question { cluster: Some(cluster), subject };
    let body = serde_json::to_vec(&question)?;
    let answer = client.post(&format!("{TARGET_PREFIX}.{operation}"), body).await?;
    show(serde_json::from_slice(&answer).context("the answer cannot be read")?)
}

/// Who may do what, and which policy says so.
async fn access(options: ExplainOptions) -> anyhow::Result<()> {
    if options.subject.is_some() {
        return Err(usage("of access there is no subject: name --as, --action and --resource"));
    }
    let missing = |flag: &str| {
        usage(format!("name {flag}: longshore explain access --as ARN --action ecs:RunTask --resource ARN"))
    };
    let mut context: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, value) in options.context {
        context.entry(key).or_default().push(value);
    }
    let question = AccessQuestion {
        as_whom: options.as_whom.ok_or_else(|| missing("--as"))?,
        action: options.action.ok_or_else(|| missing("--action"))?,
        resource: options.resource.unwrap_or_else(|| "*".to_owned()),
        context,
    };
    // A directory that no server uses has no account but what is asked about.
    let of_whom = question.as_whom.split(':').nth(4).and_then(AccountId::parse);
    let is_offline = options.client.data_dir.is_some() && options.account.is_none();
    let account = if is_offline { of_whom } else { options.account };
    let control = ControlOptions { client: options.client, account, root_key: options.root_key };
    let control = Control::open(&control, Purpose::Look).await?;
    show(control.post(&format!("{TARGET_PREFIX}.ExplainAccess"), serde_json::to_vec(&question)?).await?)
}

fn show(explanation: Explanation) -> anyhow::Result<()> {
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

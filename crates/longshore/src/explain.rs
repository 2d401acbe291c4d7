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
    };
    let question = Question { cluster: Some(options.cluster), subject: options.subject };
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

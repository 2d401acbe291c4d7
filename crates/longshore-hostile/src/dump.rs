//! Everything that the API shows of the state, as text, to be compared.

use serde_json::{Value, json};

use crate::client::Caller;

/// Lists and describes what there is. Two dumps are equal if nothing changed between them.
pub fn dump(caller: &Caller) -> anyhow::Result<String> {
    let call = |operation: &str, body: Value| caller.ask(operation, &body);
    let arns = |value: &Value, member: &str| value[member].as_array().cloned().unwrap_or_default();
    let mut out = Vec::new();
    let clusters = arns(&call("ListClusters", json!({}))?, "clusterArns");
    out.push(call(
        "DescribeClusters",
        json!({"clusters": clusters, "include": ["TAGS", "SETTINGS", "CONFIGURATIONS"]}),
    )?);
    for cluster in &clusters {
        let services =
            arns(&call("ListServices", json!({"cluster": cluster, "maxResults": 100}))?, "serviceArns");
        for ten in services.chunks(10) {
            out.push(call(
                "DescribeServices",
                json!({"cluster": cluster, "services": ten, "include": ["TAGS"]}),
            )?);
        }
        for status in ["RUNNING", "STOPPED"] {
            let tasks = call("ListTasks", json!({"cluster": cluster, "desiredStatus": status}))?;
            let tasks = arns(&tasks, "taskArns");
            if !tasks.is_empty() {
                out.push(call(
                    "DescribeTasks",
                    json!({"cluster": cluster, "tasks": tasks, "include": ["TAGS"]}),
                )?);
            }
        }
        let instances =
            arns(&call("ListContainerInstances", json!({"cluster": cluster}))?, "containerInstanceArns");
        if !instances.is_empty() {
            let include = json!(["TAGS", "CONTAINER_INSTANCE_HEALTH"]);
            let body = json!({"cluster": cluster, "containerInstances": instances, "include": include});
            out.push(call("DescribeContainerInstances", body)?);
        }
    }
    for status in ["ACTIVE", "INACTIVE", "DELETE_IN_PROGRESS"] {
        let body = json!({"status": status, "sort": "DESC"});
        out.push(call("ListTaskDefinitions", body)?);
    }
    out.push(call("ListAccountSettings", json!({}))?);
    out.push(call("DescribeCapacityProviders", json!({"include": ["TAGS"]}))?);
    let parts: Vec<String> = out.iter().map(Value::to_string).collect();
    Ok(parts.join("\n"))
}

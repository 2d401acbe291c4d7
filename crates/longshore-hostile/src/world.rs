//! What there is on the server before a run: names and ARNs that requests can be right or wrong about.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use longshore_link::upgrade::AcsQuery;
use serde_json::{Value, json};

use crate::chance::Chance;
use crate::client::{Caller, Connection, Draft, Outcome, SCOPE, now};

/// Names that requests create things under. Few, so that a long run does not fill the server by right.
pub const CLUSTERS: [&str; 4] = ["default", "hostile-a", "hostile-b", "hostile-c"];
pub const SERVICES: [&str; 3] = ["web", "worker", "hostile-service"];
pub const FAMILIES: [&str; 3] = ["web", "job", "hostile-family"];

/// Documents of policies: of an identity, of a role that may be assumed, and none at all.
const POLICIES: [&str; 4] = [
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ecs:*","Resource":"*"}}"#,
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"ecs-tasks.amazonaws.com"}}}"#,
    r#"{"Statement":[{"Effect":"Deny","NotAction":["*:*"],"Resource":"arn:*:*:*:*:*","Condition":{"Null":{"aws:x":"true"}}}]}"#,
    "{}",
];
const POLICY_ARNS: [&str; 3] = [
    "arn:aws:iam::aws:policy/ReadOnlyAccess",
    "arn:aws:iam::aws:policy/service-role/NoSuchPolicy",
    "arn:aws:iam::000000000000:policy/hostile",
];

/// The account that open keys would get and the operator has.
const FOREIGN_ACCOUNT: &str = "999999999999";

/// The texts that a member of a request may truly mean.
#[derive(Clone, Debug, Default)]
pub struct World {
    pub clusters: Vec<String>,
    pub services: Vec<String>,
    pub tasks: Vec<String>,
    pub instances: Vec<String>,
    pub definitions: Vec<String>,
    pub tokens: Vec<String>,
    pub others: Vec<String>,
}

impl World {
    /// Creates everything, and reads what there is.
    pub fn prepare(caller: &Caller) -> anyhow::Result<Self> {
        for cluster in &CLUSTERS[..2] {
            must(caller, "CreateCluster", json!({"clusterName": cluster}))?;
        }
        for family in &FAMILIES[..2] {
            must(caller, "RegisterTaskDefinition", definition(family))?;
        }
        let instance = must(caller, "RegisterContainerInstance", registration())?;
        let instance = path(&instance, &["containerInstance", "containerInstanceArn"]);
        let socket = open_agent(caller, &instance).context("the agent's socket was not opened")?;
        wait_for(|| {
            let body = json!({"containerInstances": [instance]});
            let described = must(caller, "DescribeContainerInstances", body)?;
            Ok(described["containerInstances"][0]["agentConnected"] == true)
        })?;
        must(
            caller,
            "CreateService",
            json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 1}),
        )?;
        must(caller, "RunTask", json!({"taskDefinition": "job", "count": 2}))?;
        // The service places its task by itself, after the answer.
        wait_for(
            || Ok(must(caller, "ListTasks", json!({"serviceName": "web"}))?["taskArns"][0].is_string()),
        )?;
        drop(socket);
        let world = Self::read(caller)?;
        ensure!(!world.tasks.is_empty() && !world.instances.is_empty(), "nothing runs: {world:?}");
        Ok(world)
    }

    /// Makes up for what was deleted by requests that only looked valid, as far as that is possible.
    pub fn repair(caller: &Caller) -> anyhow::Result<Self> {
        for cluster in &CLUSTERS[..2] {
            caller.ask("CreateCluster", &json!({"clusterName": cluster}))?;
        }
        let bodies = [
            ("RegisterTaskDefinition", definition(FAMILIES[0])),
            ("RegisterContainerInstance", registration()),
            ("CreateService", json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 1})),
        ];
        for (operation, body) in bodies {
            caller.ask(operation, &body)?;
        }
        Self::read(caller)
    }

    fn read(caller: &Caller) -> anyhow::Result<Self> {
        let mut world = Self {
            clusters: CLUSTERS.map(str::to_owned).to_vec(),
            services: SERVICES.map(str::to_owned).to_vec(),
            definitions: FAMILIES.map(str::to_owned).to_vec(),
            ..Self::default()
        };
        let list = |operation: &str, member: &str| -> anyhow::Result<Vec<String>> {
            let listed = caller.ask(operation, &json!({}))?;
            Ok(listed[member]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect())
        };
        world.clusters.extend(list("ListClusters", "clusterArns")?);
        world.services.extend(list("ListServices", "serviceArns")?);
        world.tasks.extend(list("ListTasks", "taskArns")?);
        world.instances.extend(list("ListContainerInstances", "containerInstanceArns")?);
        world.definitions.extend(list("ListTaskDefinitions", "taskDefinitionArns")?);
        world.definitions.push("web:1".into());
        let page = caller.ask("ListTaskDefinitions", &json!({"maxResults": 1}))?;
        world.tokens.extend(page["nextToken"].as_str().map(str::to_owned));
        world.others.extend(
            ["spread", "instanceId", "attribute:ecs.availability-zone", "FARGATE"].map(str::to_owned),
        );
        for arns in [&mut world.tasks, &mut world.instances] {
            let ids: Vec<String> =
                arns.iter().filter_map(|arn| arn.rsplit('/').next()).map(str::to_owned).collect();
            arns.extend(ids);
        }
        Ok(world)
    }

    /// What a text member of this name would say in earnest, if it names a thing.
    pub fn name_for(&self, member: &str, chance: &mut Chance) -> Option<String> {
        let of = |list: &[String], chance: &mut Chance| (!list.is_empty()).then(|| chance.pick(list).clone());
        let member = member.to_ascii_lowercase();
        let member = member.trim_end_matches('s');
        match member {
            "cluster" | "clustername" | "clusterarn" => of(&self.clusters, chance),
            "service" | "servicename" | "servicearn" => of(&self.services, chance),
            "task" | "taskarn" => of(&self.tasks, chance),
            "containerinstance" | "containerinstancearn" | "targetid" => of(&self.instances, chance),
            "taskdefinition" | "taskdefinitionarn" => of(&self.definitions, chance),
            "family" | "familyprefix" => Some((*chance.pick(&FAMILIES)).to_owned()),
            "nexttoken" => of(&self.tokens, chance),
            "resourcearn" => {
                let lists = [&self.clusters, &self.services, &self.tasks, &self.instances, &self.definitions];
                of(lists[chance.below(lists.len())], chance)
            }
            "username"
            | "groupname"
            | "rolename"
            | "policyname"
            | "instanceprofilename"
            | "rolesessionname" => {
                Some((*chance.pick(&["hostile", "Hostile", "a/b", "hostile-2"])).to_owned())
            }
            "policydocument" | "assumerolepolicydocument" | "policy" | "resourcepolicy" => {
                Some((*chance.pick(&POLICIES)).to_owned())
            }
            "policyarn" | "permissionsboundary" => Some((*chance.pick(&POLICY_ARNS)).to_owned()),
            "path" | "pathprefix" => Some((*chance.pick(&["/", "/a/", "/a/b/", "a", "//"])).to_owned()),
            "secretid" | "keyid" | "aliasname" | "targetkeyid" => Some(
                (*chance.pick(&["hostile", "alias/hostile", "alias/aws/ssm", "hostile-AbCdEf"])).to_owned(),
            ),
            "name" | "containername" => Some((*chance.pick(&["main", "side", "x"])).to_owned()),
            "image" => Some("longshore/none:1".to_owned()),
            "field" | "type" => of(&self.others, chance),
            "expression" | "filter" => Some(
                (*chance.pick(&[
                    "attribute:stack == prod",
                    "attribute:ecs.instance-type =~ t2.* and runningTasksCount < 3",
                    "task:group == service:web",
                    "((not(attribute:a exists",
                ]))
                .to_owned(),
            ),
            _other => None,
        }
    }
}

/// An ARN that is right but for one part, which makes it another's.
pub fn foreign(arn: &str, chance: &mut Chance) -> String {
    let mut parts: Vec<&str> = arn.splitn(6, ':').collect();
    if parts.len() == 6 {
        let (at, other) = *chance.pick(&[
            (1, "aws-cn"),
            (2, "s3"),
            (2, ""),
            (3, "eu-central-1"),
            (3, ""),
            (4, FOREIGN_ACCOUNT),
            (4, "12345"),
            (5, "cluster/"),
            (5, "task/default/../../x"),
            (5, "service/default/web/extra/parts"),
        ]);
        parts[at] = other;
    }
    parts.join(":")
}

/// A call that has to succeed.
fn must(caller: &Caller, operation: &str, body: Value) -> anyhow::Result<Value> {
    caller.must(operation, &body)
}

/// Asks until it is so, for as long as a server may sensibly take.
fn wait_for(mut is_so: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let until = Instant::now() + Duration::from_secs(15);
    while !is_so()? {
        ensure!(Instant::now() < until, "the server did not do in time what was asked of it");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn path(value: &Value, names: &[&str]) -> String {
    let found = names.iter().fold(value, |value, name| &value[*name]);
    found.as_str().unwrap_or_default().to_owned()
}

fn definition(family: &str) -> Value {
    json!({"family": family, "containerDefinitions": [
        {"name": "main", "image": "longshore/none:1", "cpu": 16, "memory": 32,
         "portMappings": [{"containerPort": 80}]},
        {"name": "side", "image": "longshore/none:1", "memory": 16, "essential": false},
    ]})
}

fn registration() -> Value {
    let attributes: Vec<Value> = ["1.17", "1.18", "1.19", "1.21", "1.25"]
        .iter()
        .map(|version| json!({"name": format!("com.amazonaws.ecs.capability.docker-remote-api.{version}")}))
        .collect();
    json!({
        "cluster": "default",
        "instanceIdentityDocument": "{}",
        "totalResources": [
            {"name": "CPU", "type": "INTEGER", "integerValue": 4096},
            {"name": "MEMORY", "type": "INTEGER", "integerValue": 8192},
            {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22"]},
            {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []},
        ],
        "attributes": attributes,
    })
}

/// Opens the command socket of an instance as its agent would, so that it counts as connected.
pub fn open_agent(caller: &Caller, instance: &str) -> anyhow::Result<Connection> {
    let query = AcsQuery {
        cluster: "default".into(),
        container_instance_arn: instance.into(),
        agent_version: "1.105.1".into(),
        agent_hash: "hostile".into(),
        docker_version: "20.10.24".into(),
        send_credentials: true,
    };
    let mut draft = upgrade(caller.gate.address, "/acs/ws", query.encode());
    draft.sign(caller.credentials(), SCOPE, now());
    let mut connection = Connection::open(&caller.gate)?;
    let mut head = draft.head();
    head.extend_from_slice(b"\r\n");
    connection.send(&head)?;
    match connection.answer() {
        Outcome::Answer(answer) if answer.status == 101 => Ok(connection),
        other => anyhow::bail!("the upgrade got {other:?}"),
    }
}

/// The request for an agent's socket, not signed yet.
pub fn upgrade(address: SocketAddr, path: &str, query: String) -> Draft {
    let headers = [
        ("host", address.to_string()),
        ("upgrade", "websocket".into()),
        ("connection", "Upgrade".into()),
        ("sec-websocket-version", "13".into()),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==".into()),
    ];
    Draft {
        method: "GET".into(),
        path: path.into(),
        query,
        headers: headers.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        body: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_base::Seed;

    #[test]
    fn a_foreign_arn_differs_in_one_part() {
        let arn = "arn:aws:ecs:us-east-1:000000000000:cluster/default";
        for n in 0..50 {
            let other = foreign(arn, &mut Chance::new(Seed::new(n)));
            assert_ne!(other, arn);
            assert!(other.starts_with("arn:"));
        }
    }
}

//! What IAM costs: calls of a user with policies beside the operator's, tasks with a role beside those without.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use longshore_client::Client;
use longshore_crowd::{Crowd, Script as AgentScript};
use longshore_shapes_iam as iam;
use longshore_sigv4::Credentials;
use serde_json::json;

use super::calls::crowd_options;
use super::{Bench, RowId, push};
use crate::api::{Api, definition, signed};
use crate::load::{self, Script};
use crate::process::Process;
use crate::raw::Connection;
use crate::samples::Samples;
use crate::table::{Bounds, Measured, Row, number};

const CONNECTIONS: usize = 16;
const INSTANCES: usize = 20;
const TASKS: u32 = 1000;
/// Of the user, each of its own (identity J4: ten managed policies may be attached).
const POLICIES: usize = 10;

const AS_USER: &str = "DescribeTasks by a user with ten policies, 16 connections";
const ROLE_MEDIAN: &str = "RunTask with a task role: what the role adds (p50)";
const ROLE_TAIL: &str = "RunTask with a task role: what the role adds (p99)";

pub async fn run(bench: &Bench, wanted: &[RowId], rows: &mut Vec<Row>) {
    let dir = bench.dir.join("identities");
    let begun = async {
        let server =
            Process::start(&bench.binary, "server", &dir, "127.0.0.1:0", &["--auth", "strict"]).await?;
        let api = Api::new(&server.client);
        // The default cluster has to be there for instances to join it.
        api.call("CreateCluster", &json!({})).await?;
        let script = AgentScript { start_delay: Duration::ZERO, ..AgentScript::default() };
        let crowd = Crowd::start(longshore_crowd::Options { script, ..crowd_options(&server, INSTANCES) });
        crowd.connected().await;
        anyhow::Ok((server, api, crowd))
    };
    let (server, api, crowd) = match begun.await {
        Ok(begun) => begun,
        Err(error) => return push(rows, "what identities cost", Err(error)),
    };
    if wanted.contains(&RowId::DescribeAsUser) {
        push(rows, AS_USER, describe(bench, &server, &api, &crowd).await);
    }
    if wanted.contains(&RowId::RunWithRole) {
        match run_with_role(bench, &server, &api).await {
            Ok((median, tail)) => {
                push(rows, ROLE_MEDIAN, Ok(median));
                push(rows, ROLE_TAIL, Ok(tail));
            }
            Err(error) => push(rows, ROLE_MEDIAN, Err(error)),
        }
    }
    crowd.stop().await;
}

/// One that says something about `number`, and not what is asked for.
fn policy(number: usize) -> String {
    json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": format!("arn:aws:s3:::app-{number}/*")},
        {"Effect": "Allow", "Action": "dynamodb:*Item", "Resource": "arn:aws:dynamodb:*:*:table/app-*",
         "Condition": {"StringEquals": {"aws:RequestedRegion": ["eu-central-1", "eu-west-1"]}}},
        {"Effect": "Deny", "Action": ["ecs:Delete*", "iam:*"], "Resource": "*",
         "Condition": {"StringNotEquals": {"aws:PrincipalTag/team": format!("team-{number}")}}},
    ]})
    .to_string()
}

/// The one that lets the user look at tasks.
fn looks() -> String {
    json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["ecs:Describe*", "ecs:List*"], "Resource": "*",
         "Condition": {"ArnLike": {"ecs:cluster": "arn:aws:ecs:*:*:cluster/default"}}},
    ]})
    .to_string()
}

/// A user with ten policies, as a client with his key.
async fn user(admin: &Client) -> anyhow::Result<Client> {
    let name = || Some("bench".to_owned());
    let create = iam::CreateUserRequest { user_name: name(), ..Default::default() };
    admin.call::<iam::ops::CreateUser>(&create).await?;
    for number in 0..POLICIES {
        let create = iam::CreatePolicyRequest {
            policy_name: Some(format!("bench-{number}")),
            policy_document: Some(if number + 1 == POLICIES { looks() } else { policy(number) }),
            ..Default::default()
        };
        let made = admin.call::<iam::ops::CreatePolicy>(&create).await?;
        let policy_arn = made.policy.context("a policy was made")?.arn;
        let attach = iam::AttachUserPolicyRequest { user_name: name(), policy_arn };
        admin.call::<iam::ops::AttachUserPolicy>(&attach).await?;
    }
    let create = iam::CreateAccessKeyRequest { user_name: name() };
    let key = admin.call::<iam::ops::CreateAccessKey>(&create).await?.access_key.context("a key was made")?;
    let (id, secret) = key.access_key_id.zip(key.secret_access_key).context("a key has two parts")?;
    Ok(admin.of(Credentials::new(id, secret)))
}

/// The operator and the user in turns, so that a busy machine hits both.
async fn describe(
    bench: &Bench,
    server: &Process,
    api: &Api,
    crowd: &Crowd,
) -> anyhow::Result<(Measured, String)> {
    let time = bench.pick(Duration::from_secs(1), Duration::from_millis(300));
    let rounds = bench.pick(12, 6);
    api.register("described", "scripted", 10, 32).await?;
    let mut arns = Vec::new();
    for _ in 0..TASKS / 10 {
        arns.extend(api.run_task("described", 10).await?);
    }
    crowd.until(|stats| stats.running_reported >= u64::from(TASKS)).await;
    let requests = |client: &Client| -> Arc<[Vec<u8>]> {
        let body = |arn: &String| json!({"tasks": [arn]}).to_string();
        arns.iter().map(|arn| signed(client, "DescribeTasks", &body(arn))).collect()
    };
    let user = user(&server.client).await?;
    let sides = [requests(&user), requests(&server.client)];
    let scripts = |requests: &Arc<[Vec<u8>]>| -> Vec<Script> {
        (0..CONNECTIONS).map(|_| Script::Repeat(requests.clone(), time)).collect()
    };
    for side in &sides {
        load::run(server.authority(), scripts(side), is_task).await?;
    }
    let (mut calls, mut took, mut cpu) = ([0_usize; 2], [0.0; 2], [0.0; 2]);
    for round in 0..rounds {
        // Who begins changes, too.
        for side in [round % 2, (round + 1) % 2] {
            let before = server.cpu_seconds();
            let outcome = load::run(server.authority(), scripts(&sides[side]), is_task).await?;
            cpu[side] += server.cpu_seconds() - before;
            calls[side] += outcome.calls;
            took[side] += outcome.took.as_secs_f64();
        }
    }
    let rate = |side: usize| calls[side] as f64 / took[side];
    let each = |side: usize| number(cpu[side] * 1e6 / calls[side] as f64);
    let note = format!(
        "{rounds} rounds of both, in turns. {} us of the server's CPU a call, the operator's {}. Ten managed policies of three \
         statements, of which the last allows it under a condition.",
        each(0),
        each(1)
    );
    let measured = Measured {
        value: rate(0),
        peer: Some(rate(1)),
        unit: "/s",
        peer_name: "the operator's key, same run",
        bounds: Bounds::RatioAtLeast { must: 0.9, reach: 0.97 },
    };
    Ok((measured, note))
}

fn is_task(body: &[u8]) -> bool {
    body.windows(8).any(|window| window == b"taskArn\"")
}

/// One call after the other, with a role and without in turns; the medians and the 99th percentiles of both.
async fn run_with_role(
    bench: &Bench,
    server: &Process,
    api: &Api,
) -> anyhow::Result<((Measured, String), (Measured, String))> {
    let calls = bench.pick(1500, 300);
    let trust = json!({"Version": "2012-10-17", "Statement": {
        "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ecs-tasks.amazonaws.com"},
    }});
    let create = iam::CreateRoleRequest {
        role_name: Some("bench".to_owned()),
        assume_role_policy_document: Some(trust.to_string()),
        ..Default::default()
    };
    server.client.call::<iam::ops::CreateRole>(&create).await?;
    for (family, role) in [("with-role", Some("bench")), ("without-role", None)] {
        let mut definition = definition(family, "scripted", 10, 32);
        if let Some(role) = role {
            definition["taskRoleArn"] = json!(role);
        }
        api.call("RegisterTaskDefinition", &definition).await?;
    }
    let mut connection = Connection::open(server.authority()).await?;
    let mut samples = [Samples::default(), Samples::default()];
    for round in 0..calls {
        for side in [round % 2, (round + 1) % 2] {
            let family = ["with-role", "without-role"][side];
            let body = json!({"taskDefinition": family, "count": 1}).to_string();
            let request = signed(&server.client, "RunTask", &body);
            let begun = Instant::now();
            let answer = connection.call(&request).await?;
            let took = begun.elapsed();
            let shown = || String::from_utf8_lossy(answer.body).into_owned();
            anyhow::ensure!(answer.is_success() && is_task(answer.body), "{family}: {}", shown());
            // The first ones warm up.
            if round >= calls / 10 {
                samples[side].push(took);
            }
        }
    }
    let [with, without] = &samples;
    let measured = |percent: usize| {
        let (with, without) = (with.percentile_ms(percent), without.percentile_ms(percent));
        let measured = Measured {
            value: with - without,
            peer: Some(without),
            unit: "ms",
            peer_name: "the whole call without a role",
            bounds: Bounds::AtMost { must: 2.0, reach: 0.5 },
        };
        (
            measured,
            format!(
                "{} ms with a role, {} ms without; {calls} calls of each, in turns.",
                number(with),
                number(without)
            ),
        )
    };
    Ok((measured(50), measured(99)))
}

//! Policies as a library: how many decisions a thread makes in a second, without a server around it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use longshore_policy::{Asker, Context, Kind, Layers, Policy, Question, ResourcePolicy, Who, decide};
use longshore_tables_iam::aws;

use super::Bench;
use crate::table::{Bounds, Measured, number};

const ACCOUNT: &str = "111122223333";

/// What a task's role may, as somebody writes it: wildcards, variables, a condition of each kind that is common.
const OF_A_TASK: &str = r#"{"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"],
     "Resource": "arn:aws:s3:::tenant-${aws:PrincipalTag/tenant}/*"},
    {"Effect": "Allow", "Action": "dynamodb:*Item", "Resource": "arn:aws:dynamodb:*:*:table/app-*",
     "Condition": {"StringEquals": {"aws:RequestedRegion": ["eu-central-1", "eu-west-1"]}}},
    {"Effect": "Allow", "Action": ["secretsmanager:GetSecretValue", "ssm:GetParameters"], "Resource": "*",
     "Condition": {"StringLike": {"aws:ResourceTag/app": "web-*"}, "Bool": {"aws:SecureTransport": "true"}}},
    {"Effect": "Deny", "Action": "s3:*", "Resource": "*",
     "Condition": {"NotIpAddress": {"aws:SourceIp": ["10.0.0.0/8", "192.0.2.0/24"]}}},
    {"Effect": "Deny", "NotAction": ["s3:*", "dynamodb:*", "secretsmanager:*", "ssm:*"], "Resource": "*",
     "Condition": {"DateGreaterThan": {"aws:CurrentTime": "2099-01-01T00:00:00Z"}}}
]}"#;

const BOUNDARY: &str = r#"{"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "NotAction": ["iam:*", "organizations:*", "account:*"], "Resource": "*"},
    {"Effect": "Deny", "Action": "*", "Resource": "*",
     "Condition": {"StringNotEqualsIfExists": {"aws:RequestedRegion": ["eu-central-1", "eu-west-1"]}}}
]}"#;

const OF_A_BUCKET: &str = r#"{"Version": "2012-10-17", "Statement": [
    {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::tenant-red/*",
     "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
    {"Effect": "Allow", "Principal": {"AWS": ["111122223333", "444455556666"]}, "Action": "s3:Get*",
     "Resource": "arn:aws:s3:::tenant-red/*"}
]}"#;

/// What is asked again and again, with the policies that have a say.
struct Case<'p> {
    name: &'static str,
    who: Who,
    action: &'static str,
    resource: &'static str,
    layers: Layers<'p>,
    is_allowed: bool,
}

/// Decisions per second in the slowest of the cases; the others are in the note.
pub fn decisions(bench: &Bench) -> anyhow::Result<(Measured, String)> {
    let time = bench.pick(Duration::from_secs(1), Duration::from_millis(100));
    let read = |text, kind| Policy::read(text, kind).context("it is a policy");
    let (of_a_task, boundary) = (read(OF_A_TASK, Kind::Identity)?, read(BOUNDARY, Kind::Identity)?);
    let of_a_bucket = read(OF_A_BUCKET, Kind::Resource)?;
    let managed = |name: &str| anyhow::Ok(aws::policy(name).context("AWS has it")?.document.policy());
    let (pulls, full) = (managed("AmazonECSTaskExecutionRolePolicy")?, managed("AmazonECS_FullAccess")?);
    let read_only = managed("ReadOnlyAccess")?;
    let (of_pulls, of_full, of_both) = ([pulls], [full], [full, read_only]);
    let (of_role, of_session) = ([&of_a_task, pulls], [&of_a_task]);
    let bucket = Some(ResourcePolicy { policy: &of_a_bucket, is_indispensable: false });
    let identity = |identity| Layers { identity, ..Layers::default() };
    let cases = [
        Case {
            name: "an image's layers, by the execution role's policy",
            who: session(),
            action: "ecr:BatchGetImage",
            resource: "arn:aws:ecr:eu-central-1:111122223333:repository/web",
            layers: identity(&of_pulls),
            is_allowed: true,
        },
        Case {
            name: "RunTask by AmazonECS_FullAccess",
            who: user(),
            action: "ecs:RunTask",
            resource: "arn:aws:ecs:eu-central-1:111122223333:task-definition/web:7",
            layers: identity(&of_full),
            is_allowed: true,
        },
        Case {
            name: "something that AmazonECS_FullAccess and ReadOnlyAccess do not allow",
            who: user(),
            action: "iam:CreateUser",
            resource: "arn:aws:iam::111122223333:user/bob",
            layers: identity(&of_both),
            is_allowed: false,
        },
        Case {
            name: "an object, by a session with boundary, session policy and bucket policy",
            who: session(),
            action: "s3:GetObject",
            resource: "arn:aws:s3:::tenant-red/invoices/2026/11/0001.pdf",
            layers: Layers {
                identity: &of_role,
                boundary: Some(&boundary),
                session: Some(&of_session),
                resource: bucket,
            },
            is_allowed: true,
        },
    ];
    let context = context();
    let mut rates = Vec::new();
    for case in &cases {
        rates.push((case.name, rate(case, &context, time)?));
    }
    let slowest = rates.iter().map(|(_, rate)| *rate).fold(f64::INFINITY, f64::min);
    let shown: Vec<_> = rates.iter().map(|(name, rate)| format!("{name}, {}/s", number(*rate))).collect();
    let measured = Measured {
        value: slowest,
        peer: None,
        unit: "/s",
        peer_name: "",
        // 2 µs a decision, and half of it.
        bounds: Bounds::AtLeast { must: 500_000.0, reach: 1_000_000.0 },
    };
    let note = format!(
        "One thread; policies are read and the request's keys gathered before the clock starts. The slowest case \
         counts: {}.",
        shown.join("; ")
    );
    Ok((measured, note))
}

fn user() -> Who {
    let arn = format!("arn:aws:iam::{ACCOUNT}:user/ann");
    Who { account: ACCOUNT.to_owned(), asker: Asker::User { arn, id: "AIDAANN".to_owned() } }
}

fn session() -> Who {
    let asker = Asker::Session {
        arn: format!("arn:aws:sts::{ACCOUNT}:assumed-role/web/0123456789abcdef0123456789abcdef"),
        role_arn: format!("arn:aws:iam::{ACCOUNT}:role/web"),
        role_id: "AROAWEB".to_owned(),
    };
    Who { account: ACCOUNT.to_owned(), asker }
}

/// The keys that every request has, and a few of the resource's.
fn context() -> Context {
    let mut context = Context::new();
    for (key, value) in [
        ("aws:CurrentTime", "2026-11-30T12:00:00Z"),
        ("aws:EpochTime", "1796040000"),
        ("aws:PrincipalAccount", ACCOUNT),
        ("aws:PrincipalArn", "arn:aws:iam::111122223333:role/web"),
        ("aws:PrincipalTag/tenant", "red"),
        ("aws:PrincipalType", "AssumedRole"),
        ("aws:RequestedRegion", "eu-central-1"),
        ("aws:ResourceAccount", ACCOUNT),
        ("aws:ResourceTag/app", "web-shop"),
        ("aws:SecureTransport", "true"),
        ("aws:SourceIp", "10.1.2.3"),
        ("aws:UserAgent", "aws-cli/2.31.0"),
        ("aws:userid", "AROAWEB:0123456789abcdef0123456789abcdef"),
    ] {
        context.set(key, value);
    }
    context
}

/// Decisions per second of `time`.
fn rate(case: &Case<'_>, context: &Context, time: Duration) -> anyhow::Result<f64> {
    let Case { name, who, action, resource, layers, is_allowed } = case;
    let question = Question { who, action, resource, owner: ACCOUNT, context };
    let (begun, mut count) = (Instant::now(), 0_u64);
    while begun.elapsed() < time {
        for _ in 0..1000 {
            let decision = decide(black_box(&question), black_box(layers));
            anyhow::ensure!(decision.is_allowed() == *is_allowed, "{name}: {decision:?}");
        }
        count += 1000;
    }
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

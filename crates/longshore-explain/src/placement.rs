//! Where a task could go now, and which requirement rules out how many instances.

use std::sync::Arc;

use longshore_api_ecs::{Caller, identifiers};
use longshore_base::{Seed, Timestamp};
use longshore_controllers::launch::{PoolRefusal, Rules, Template, capacity};
use longshore_domain::capability::Missing;
use longshore_domain::needs::NeedsOverride;
use longshore_domain::{LaunchType, TaskDefinitionStatus};
use longshore_placement::{DefaultStrategy, Fleet, Reason, Refusal, Request};
use longshore_state::State;
use longshore_tables_ecs::record::Origin;
use longshore_tables_ecs::{ClusterKey, EcsState, record};

use crate::{ExplainError, Explanation, Question};

/// Whether a task of this definition would find a place now, as RunTask asks for one with each launch type that the
/// definition requires, or else with EC2.
pub fn definition(
    state: &State,
    caller: &Caller,
    question: &Question,
    now: Timestamp,
) -> Result<Explanation, ExplainError> {
    let (at, _) = identifiers::cluster(state, caller, question.cluster.as_deref())?;
    let named = identifiers::definition_name(&caller.scope, &question.subject)?;
    let family = state.ecs().realm(&caller.scope).and_then(|realm| realm.family(named.family.as_str()));
    let latest = |table: &longshore_tables_ecs::FamilyTable| {
        let mut active = table.revisions().values().filter(|definition| is_active(definition));
        active.next_back().map(|definition| definition.revision)
    };
    let revision = named.revision.or_else(|| latest(family?));
    let found = revision.and_then(|revision| state.ecs().definition(&caller.scope, &named.family, revision));
    let definition = found.ok_or_else(|| ExplainError::NoSuchDefinition(question.subject.as_str().into()))?;
    let record = definition;
    let name = format!("{}:{}", record.family, record.revision);
    let mut out = Explanation::about(format!("task definition {name} in cluster {}", at.cluster));
    if !is_active(definition) {
        out.say(format!("It is {}: no new task can be started of it.", record.status));
    }
    let launch_types = launch_types(definition);
    for &launch_type in &launch_types {
        let said = out.points.len();
        let template = template(state, &at, definition, launch_type);
        say_where_for(&mut out, state, &at, &template, &Rules::default(), DefaultStrategy::Task, now);
        if launch_types.len() > 1 {
            let point = &mut out.points[said];
            point.text = format!("Launch type {launch_type}: {}", point.text);
        }
    }
    Ok(out)
}

/// The launch types that tasks of this definition are meant for. What it merely allows is not judged.
fn launch_types(definition: &record::TaskDefinition) -> Vec<LaunchType> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Required {
        #[serde(default)]
        requires_compatibilities: Vec<String>,
    }
    let required: Option<Required> = serde_json::from_str(definition.document()).ok();
    let words = required.map(|required| required.requires_compatibilities).unwrap_or_default();
    let named = [LaunchType::Ec2, LaunchType::External, LaunchType::Fargate]
        .into_iter()
        .filter(|own| words.iter().any(|word| word == own.as_str()));
    let named: Vec<LaunchType> = named.collect();
    if named.is_empty() { vec![LaunchType::Ec2] } else { named }
}

fn is_active(definition: &record::TaskDefinition) -> bool {
    definition.status == TaskDefinitionStatus::Active
}

/// What RunTask makes of a definition if nothing else is asked for.
fn template(
    state: &State,
    at: &ClusterKey,
    definition: &Arc<record::TaskDefinition>,
    launch_type: LaunchType,
) -> Template {
    let origin = Origin {
        family: definition.family.clone(),
        revision: definition.revision,
        needs: definition.spec().needs(&NeedsOverride::default()),
        arn_format: Default::default(),
        group: format!("family:{}", definition.family).into(),
        started_by: None,
        service: None,
        launch_type,
        capacity_provider: None,
        overrides: None,
        network: None,
        enable_execute_command: false,
        platform_version: None,
        tags: Default::default(),
    };
    Template::new(state, at, definition.clone(), Arc::new(origin))
}

/// Says where the next task would go, or why nowhere.
fn say_where(out: &mut Explanation, fleet: &Fleet, request: &Request) {
    match fleet.place_one(request, Seed::new(0)) {
        Ok(instance) => {
            let eligible = fleet.eligible(request).len();
            out.say(format!(
                "A task would be placed now, for instance on {instance}: {eligible} of {} instances meet its constraints and attributes.",
                fleet.open_len()
            ));
        }
        Err(refusal) => say_refusal(out, request, &refusal),
    }
}

fn say_refusal(out: &mut Explanation, request: &Request, refusal: &Refusal) {
    if refusal.instances == 0 {
        out.say("No task can be placed: the cluster has no container instances. Start `longshore agent` on a machine.");
        return;
    }
    let details = out.say(format!(
        "No task can be placed now. Of {} instances, this rules out, each counted at the first requirement that it fails:",
        refusal.instances
    ));
    if refusal.outside > 0 {
        details.push(format!("{} belong to another launch type or capacity provider", refusal.outside));
    }
    for ruled in &refusal.ruled_out {
        let what = requirement(&ruled.reason, request);
        let reason = match &ruled.reason {
            // The API names no reason for what is no candidate.
            Reason::NotActive => String::new(),
            reason => format!("{}; ", reason.as_failure().trim_end_matches('.')),
        };
        details.push(format!("{} {what} ({reason}one is {})", ruled.instances, ruled.example));
        if let Reason::Attribute(lacking) = &ruled.reason {
            details.push(format!("  they do not offer {}", Missing(lacking)));
        }
    }
}

fn requirement(reason: &Reason, request: &Request) -> String {
    let spec = request.spec();
    match reason {
        Reason::Missing => "are not there any more".to_owned(),
        Reason::NotActive => "are DRAINING".to_owned(),
        Reason::Agent => "have an agent that is not connected".to_owned(),
        Reason::Cpu => format!("have less than {} CPU units left", spec.needs.cpu),
        Reason::Memory => format!("have less than {} MiB of memory left", spec.needs.memory),
        Reason::Ports => {
            let ports: Vec<String> = spec
                .needs
                .ports
                .iter()
                .map(|(port, protocol)| format!("{}/{}", port.0, protocol.as_str()))
                .collect();
            format!("have a host port in use that the task needs ({})", ports.join(", "))
        }
        Reason::Gpu => format!("have less than {} GPUs left", spec.needs.gpus),
        Reason::Interface => "have no address left for a task in awsvpc mode".to_owned(),
        Reason::Attribute(_) => "lack what the task requires".to_owned(),
        Reason::Location => "are in no zone that the task may run in".to_owned(),
        Reason::MemberOf(expression) => format!("do not satisfy memberOf({expression})"),
        Reason::DistinctInstance => {
            "run a task of the same group already, against distinctInstance".to_owned()
        }
    }
}

/// Says where the next task of `template` would go, or why nowhere. Of the Fargate pool, which serves every account, no agent is named.
pub(crate) fn say_where_for(
    out: &mut Explanation,
    state: &State,
    at: &ClusterKey,
    template: &Template,
    rules: &Rules,
    default: DefaultStrategy,
    now: Timestamp,
) {
    if let Some(not_built) = template.not_built() {
        out.say(format!("No task can be placed, wherever there is room. {not_built}"));
        return;
    }
    if let Err(cannot) = template.check_roles(state, at, now) {
        out.say(format!(
            "No task can be placed, wherever there is room. {cannot} A role that runs tasks trusts the service \
             ecs-tasks.amazonaws.com: `aws iam create-role` makes one, `aws iam update-assume-role-policy` changes whom it \
             trusts."
        ));
        return;
    }
    for role in template.roles().of_guests(state, at, now) {
        out.say(format!(
            "Nobody has made the role {role}. This server is in open mode, so that its tasks have the rights of a guest, which \
             are all of the account's; once they name a role that this account has made, they have its rights."
        ));
    }
    let request = template.request(at, rules, default, None);
    let tables = capacity(state, at, template.origin.launch_type);
    match tables {
        Some(tables) if !template.is_pooled() => say_where(out, tables.fleet(), &request),
        Some(pool) if pool.fleet().place_one(&request, Seed::new(0)).is_ok() => {
            out.say("A task would be placed on the Fargate pool now.");
        }
        pool @ (Some(_) | None) => {
            out.say(PoolRefusal::of(pool, &request).to_string());
        }
    }
}

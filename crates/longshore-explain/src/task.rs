//! One task: why it stopped, or what it waits for.

use longshore_api_ecs::{Caller, identifiers};
use longshore_base::Timestamp;
use longshore_controllers::secrets;
use longshore_domain::{ContainerStatus, DesiredStatus, HealthStatus, StopCode, TaskStatus};
use longshore_state::State;
use longshore_tables_ecs::record::{Container, Task};
use longshore_tables_ecs::{ClusterKey, EcsState, InstanceEntry};

use crate::containers::Definition;
use crate::instance::agent_word;
use crate::time::{ago, ahead, span};
use crate::{ExplainError, Explanation, Question, network, prefix};

const AWSLOGS_CAPABILITY: &str = "com.amazonaws.ecs.capability.logging-driver.awslogs";
/// The attribute by which an agent tells what stands in for `awslogs` (decision 28).
const AWSLOGS_STAND_IN: &str = "longshore.awslogs-driver";

/// Explains a task that the cluster still knows.
pub fn task(
    state: &State,
    caller: &Caller,
    question: &Question,
    now: Timestamp,
) -> Result<Explanation, ExplainError> {
    let (at, tables) = identifiers::cluster(state, caller, question.cluster.as_deref())?;
    let id = match prefix::find(tables.tasks().keys().copied(), &question.subject) {
        Ok(Some(id)) => id,
        Ok(None) => identifiers::task_id(&at, &question.subject)?,
        Err(ambiguous) => return Err(ExplainError::Ambiguous(ambiguous.0)),
    };
    let task = tables.task(id).ok_or_else(|| ExplainError::NoTask(id.to_string().into()))?;
    let of = match &task.origin.service {
        Some(service) => format!(" of service {}", service.name),
        None => String::new(),
    };
    let mut out = Explanation::about(format!(
        "task {id}{of} ({}:{}): {}, wanted {}",
        task.origin.family, task.origin.revision, task.last_status, task.desired_status
    ));
    if task.last_status.is_stopped() {
        say_stopped(&mut out, task, now);
        say_what_follows(&mut out, task);
    } else if task.desired_status == DesiredStatus::Stopped {
        say_stopping(&mut out, state, &at, task, now);
    } else if task.last_status.is_running() {
        say_running(&mut out, task, now);
    } else {
        say_starting(&mut out, state, &at, task, now);
    }
    if !task.last_status.is_stopped() {
        say_instance(&mut out, state, &at, task);
        network::say_of_task(&mut out, task);
        say_secrets(&mut out, state, &at, task, now);
    }
    if !say_logs(&mut out, state, &at, task) && task.last_status.is_stopped() {
        say_last_words(&mut out, task);
    }
    Ok(out)
}

fn say_stopped(out: &mut Explanation, task: &Task, now: Timestamp) {
    let when = task.stopped_at.map_or_else(String::new, |at| format!(" {}", ago(now, at)));
    let lived = match task.started_at {
        Some(_) => "",
        None => ", without ever having been RUNNING",
    };
    let details = out.say(format!("It stopped{when}{lived}: {}", because(task)));
    details.extend(task.containers.iter().map(container_end));
    for advice in advice(task) {
        out.say(advice);
    }
}

fn because(task: &Task) -> String {
    let code = task.stop_code.map_or_else(String::new, |code| format!(" ({code})"));
    match &task.stopped_reason {
        Some(reason) => format!("{reason}{code}"),
        None => format!("no reason was given{code}"),
    }
}

fn container_end(container: &Container) -> String {
    let mut text = format!("container {}: ", container.name);
    match container.exit_code {
        Some(code) => {
            text.push_str(&format!("exit code {code}"));
            if let Some(signal) = signal(code) {
                text.push_str(&format!(" ({signal})"));
            }
        }
        None => text.push_str("no exit code, it never ran or its end was not seen"),
    }
    if let Some(reason) = &container.reason {
        text.push_str(&format!("; {reason}"));
    }
    text
}

/// The signal that an exit code above 128 stands for, by the convention of shells and engines.
fn signal(code: i32) -> Option<&'static str> {
    Some(match code {
        130 => "SIGINT",
        134 => "SIGABRT",
        137 => "SIGKILL",
        139 => "SIGSEGV",
        143 => "SIGTERM",
        _ => return None,
    })
}

/// What a person can do, where the reason tells.
fn advice(task: &Task) -> Vec<String> {
    let reasons = task.containers.iter().filter_map(|container| container.reason.as_deref());
    let all: Vec<&str> = reasons.chain(task.stopped_reason.as_deref()).collect();
    let says = |word: &str| all.iter().any(|reason| reason.contains(word));
    let exited = |code: i32| task.containers.iter().any(|container| container.exit_code == Some(code));
    // Where one ended otherwise, the others were stopped for it.
    let all_killed = || task.containers.iter().all(|own| matches!(own.exit_code, None | Some(137 | 143)));
    let mut advice = Vec::new();
    let mut add = |text: &str| advice.push(text.to_owned());
    if says("OutOfMemory") {
        add(
            "A container reached its memory limit and was killed: register a revision with more `memory` and update the service to it.",
        );
    } else if exited(137) && task.stop_code == Some(StopCode::EssentialContainerExited) && all_killed() {
        add(
            "SIGKILL without an order to stop comes from outside: a person, the kernel's out-of-memory killer, or the engine.",
        );
    } else if exited(137) {
        add(
            "SIGKILL: it did not end within its stopTimeout after SIGTERM. Let the program react to SIGTERM, or raise stopTimeout.",
        );
    }
    if says("CannotPull") && says("timed out") {
        add(
            "The image could not be had in time: check that the container engine of that instance answers (`docker ps` there), and that the registry does.",
        );
    } else if says("CannotPull") || says("CannotInspectContainerError") {
        add(
            "The image could not be had: check its name and tag, that the registry answers from that instance, and ECS_IMAGE_PULL_BEHAVIOR for images that are only local.",
        );
    }
    if says("port is already allocated") || says("address already in use") {
        add(
            "Something outside of the cluster holds the host port: free it, or let the engine choose one with hostPort 0.",
        );
    }
    if says("no space left") {
        add(
            "The instance's disk is full: free space there; the agent cleans images and containers by its ECS_IMAGE_* and ECS_ENGINE_* settings.",
        );
    }
    if says("DockerTimeoutError") || says("Cannot connect to the Docker") {
        add("The instance's container engine did not answer in time: look at it on that machine.");
    }
    if exited(127) || says("executable file not found") {
        add("The command was not found in the image: check `command` and `entryPoint`.");
    } else if exited(126) || says("permission denied") {
        add(
            "The command could not be executed: check that it is an executable file for this machine's architecture.",
        );
    }
    if says("failed container health checks") {
        add(
            "Run the `healthCheck` command in the container by hand; a longer `startPeriod` or healthCheckGracePeriodSeconds gives slow starters time.",
        );
    }
    advice
}

fn say_what_follows(out: &mut Explanation, task: &Task) {
    if let Some(service) = &task.origin.service {
        out.say(format!(
            "Its service decides whether another one takes its place: longshore explain service {}",
            service.name
        ));
    }
}

fn say_stopping(out: &mut Explanation, state: &State, at: &ClusterKey, task: &Task, now: Timestamp) {
    let when = task.stopping_at.map_or_else(String::new, |at| format!(" {}", ago(now, at)));
    let details = out.say(format!(
        "It was told to stop{when}, and not all of its containers have ended: {}",
        because(task)
    ));
    let alive = task.containers.iter().filter(|container| container.last_status != ContainerStatus::Stopped);
    details.extend(alive.map(|container| {
        format!(
            "container {} is {}; it is killed if it does not end within its stopTimeout",
            container.name, container.last_status
        )
    }));
    if !is_connected(state, at, task) {
        out.say("Its agent is away: it will be told when it comes back.");
    }
}

fn say_running(out: &mut Explanation, task: &Task, now: Timestamp) {
    let since = task.started_at.map_or_else(String::new, |at| format!(" for {}", span(now.since(at))));
    let health = match task.health {
        HealthStatus::Healthy => ", and its health checks pass",
        HealthStatus::Unhealthy => ", but a health check fails",
        HealthStatus::Unknown => "",
    };
    out.say(format!("It has been RUNNING{since}{health}."));
    if let Some(until) = task.protected_until.filter(|until| *until > now) {
        out.say(format!("It is protected from scale-in; that ends {}.", ahead(now, until)));
    }
}

fn say_starting(out: &mut Explanation, state: &State, at: &ClusterKey, task: &Task, now: Timestamp) {
    let since = ago(now, task.created_at);
    let Some(_) = task.instance else {
        let provider = task.origin.capacity_provider.as_deref().unwrap_or("its launch type");
        out.say(format!("It was made {since} and waits for capacity of {provider}."));
        return;
    };
    let definition = Definition::of(state, at, task);
    let waits_for: Vec<_> = task.containers.iter().map(|own| definition.wait(task, own)).collect();
    let is_ordered = waits_for.iter().flatten().any(|wait| wait.has_started);
    let pulling = task.pull_started_at.filter(|_| task.pull_stopped_at.is_none());
    let waits = if !is_connected(state, at, task) {
        "the agent of its instance is away, and will be told of it when it comes back".to_owned()
    } else if let Some(began) = pulling {
        format!("images are being pulled, begun {}", ago(now, began))
    } else if is_ordered {
        "a container waits for another one (dependsOn)".to_owned()
    } else if task.last_status == TaskStatus::Provisioning {
        "its network interface is being made".to_owned()
    } else if task.last_status == TaskStatus::Activating {
        "its containers run, and what belongs to them is being set up".to_owned()
    } else if task.connectivity_at.is_none() {
        "its agent has been told of it and has not reported yet".to_owned()
    } else {
        "its agent is making its containers".to_owned()
    };
    let details = out.say(format!("It was placed {since} and is not RUNNING yet: {waits}."));
    for (container, waits_for) in task.containers.iter().zip(waits_for) {
        // Such as a registry that does not answer, while the agent tries again.
        let why = container.reason.as_deref().map_or_else(String::new, |reason| format!("; {reason}"));
        let order = waits_for.map_or_else(String::new, |wait| format!("; {}", wait.text));
        details.push(format!("container {}: {}{why}{order}", container.name, container.last_status));
    }
}

fn say_instance(out: &mut Explanation, state: &State, at: &ClusterKey, task: &Task) {
    let Some(instance) = task.instance else { return };
    let zone = task.zone.as_deref().map_or_else(String::new, |zone| format!(" in {zone}"));
    let agent = host(state, at, task).map_or("not connected", |entry| agent_word(&entry.connection));
    // Which machine of the pool it is concerns its operator, not the task's user.
    let host = if task.is_pooled() { "the Fargate pool".to_owned() } else { format!("instance {instance}") };
    out.say(format!("It is on {host}{zone}, whose agent is {agent}."));
}

/// Which of its secrets have changed since it was given them. Their values are nobody's business here.
fn say_secrets(out: &mut Explanation, state: &State, at: &ClusterKey, task: &Task, now: Timestamp) {
    let outdated = secrets::outdated(state, at, task);
    if !outdated.is_empty() {
        let details = out.say(
            "It runs with secrets that have changed since it was given them, and keeps them until another task takes its place:",
        );
        details.extend(outdated.iter().map(|own| {
            format!(
                "container {}: {} in version {}, while version {} is current (changed {})",
                own.given.container,
                own.given.value_from,
                own.given.version,
                own.now.version,
                ago(now, own.now.since)
            )
        }));
        return;
    }
    let definition = state.ecs().definition(&at.scope, &task.origin.family, task.origin.revision);
    let mut containers = definition.iter().flat_map(|definition| &definition.spec().containers);
    let has_secrets = containers.any(|container| !container.secrets.is_empty());
    if has_secrets && task.secrets.is_none() && task.last_status.is_running() {
        out.say("Its agent does not tell which versions of its secrets it was given.");
    }
}

/// Where the lines of containers with `awslogs` are, if not in CloudWatch Logs. Gives whether it has said so.
fn say_logs(out: &mut Explanation, state: &State, at: &ClusterKey, task: &Task) -> bool {
    let definition = state.ecs().definition(&at.scope, &task.origin.family, task.origin.revision);
    let needs = definition.iter().flat_map(|definition| &definition.spec().required_attributes);
    if !needs.into_iter().any(|needed| needed.name == AWSLOGS_CAPABILITY) {
        return false;
    }
    let host = task.instance.zip(state.ecs().host(at, task));
    let driver = host.and_then(|(id, host)| host.fleet().attribute(id, AWSLOGS_STAND_IN));
    let Some(driver) = driver else { return false };
    let details = out.say(format!(
        "Its log driver awslogs writes to no CloudWatch Logs: the container engine on its machine keeps the lines ({driver})."
    ));
    details.extend(task.containers.iter().filter_map(docker_logs));
    true
}

fn docker_logs(container: &Container) -> Option<String> {
    let id = container.runtime_id.as_ref()?;
    Some(format!("container {}: docker logs {id}", container.name))
}

/// Where a program that has ended with an error said why. Who was killed had no say.
fn say_last_words(out: &mut Explanation, task: &Task) {
    let has_crashed = |own: &&Container| !matches!(own.exit_code, None | Some(0 | 130 | 137 | 143));
    let words: Vec<String> = task.containers.iter().filter(has_crashed).filter_map(docker_logs).collect();
    if words.is_empty() {
        return;
    }
    // Which machine of the pool it was concerns its operator.
    let machine = match task.instance.filter(|_| !task.is_pooled()) {
        Some(instance) => format!("the machine of instance {instance}"),
        None => "its machine".to_owned(),
    };
    *out.say(format!(
        "What it wrote last, on {machine}, until the agent there cleans up (ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION, 3 h):"
    )) = words;
}

fn is_connected(state: &State, at: &ClusterKey, task: &Task) -> bool {
    host(state, at, task).is_some_and(|entry| entry.connection.is_here())
}

fn host<'s>(state: &'s State, at: &ClusterKey, task: &Task) -> Option<&'s InstanceEntry> {
    task.instance.and_then(|id| state.ecs().host(at, task)?.instance(id))
}

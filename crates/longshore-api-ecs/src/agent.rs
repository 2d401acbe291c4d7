//! What agents report of their tasks (ecs-operations B10, agent-protocol G8).
//!
//! An agent drops a report that is answered with an InvalidParameterException and tries every other
//! one again for ever. So exactly what can never be accepted is answered so: a task, an attachment or a
//! cluster that is not there.

use longshore_base::{Arn, Port, Protocol, ReportedStatus, TaskId};
use longshore_controllers::tasks::{ContainerReport, Reason, Report, UnknownTask, report};
use longshore_domain::ContainerStatus;
use longshore_service::{Command, Cx, Resources};
use longshore_shapes_ecs::*;
use longshore_state::{State, Tx};
use longshore_tables_ecs::record::NetworkBinding as Binding;
use longshore_tables_ecs::{ClusterKey, EcsState};

use crate::permission::Ask;
use crate::{Caller, Ecs, identifiers, input, permission, texts};

/// What is kept of a report's reasons, ids and digests, in characters: as much as official agents send
/// (agent-protocol G8, "Limits applied by the agent"). The rest is cut off, because an agent whose report is refused
/// sends it again for ever, and a record that grows without a bound is one that the store refuses in the end.
const REASON_CHARACTERS_MAX: usize = 1024;
const ID_CHARACTERS_MAX: usize = 255;

/// What is kept of the ports of a container. A definition maps at most 100, each for two versions of IP.
const BINDINGS_MAX: usize = 200;

/// Agents ignore what it says.
const ACKNOWLEDGED: &str = "ACK";

/// What an agent says of a task, as far as it can be read by itself.
pub struct Said {
    cluster: Option<String>,
    task: Option<String>,
    report: Report,
    /// It is about an attachment and nothing else. Longshore has made none that it could be about.
    is_of_attachment: bool,
}

/// Takes in the state of a task and of its containers, in the order given.
impl Command<Ecs> for ops::SubmitTaskStateChange {
    type Parsed = Said;
    type Answer = SubmitTaskStateChangeResponse;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        let containers = input.containers.unwrap_or_default();
        let attachments = input.attachments.unwrap_or_default();
        Ok(Said {
            is_of_attachment: input.status.is_none() && containers.is_empty() && !attachments.is_empty(),
            report: Report {
                status: input.status.as_deref().and_then(ReportedStatus::parse),
                reason: input.reason.map(|text| cut(text, REASON_CHARACTERS_MAX)),
                containers: containers.into_iter().map(container).collect(),
                pull_started_at: input.pull_started_at,
                pull_stopped_at: input.pull_stopped_at,
                execution_stopped_at: input.execution_stopped_at,
            },
            cluster: input.cluster,
            task: input.task,
        })
    }

    fn resources(state: &State, caller: &Caller, said: &Self::Parsed) -> Resources {
        said.questions(permission::of::<Self>(state, caller))
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, said: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        said.accept(tx, caller)?;
        Ok(SubmitTaskStateChangeResponse { acknowledgment: Some(ACKNOWLEDGED.to_owned()) })
    }
}

/// The report of older agents, one container at a time.
impl Command<Ecs> for ops::SubmitContainerStateChange {
    type Parsed = Said;
    type Answer = SubmitContainerStateChangeResponse;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        let change = ContainerStateChange {
            container_name: input.container_name,
            exit_code: input.exit_code,
            image_digest: None,
            network_bindings: input.network_bindings,
            reason: input.reason,
            runtime_id: input.runtime_id,
            secret_versions: None,
            status: input.status,
        };
        Ok(Said {
            report: Report { containers: vec![container(change)], ..Report::default() },
            cluster: input.cluster,
            task: input.task,
            is_of_attachment: false,
        })
    }

    fn resources(state: &State, caller: &Caller, said: &Self::Parsed) -> Resources {
        said.questions(permission::of::<Self>(state, caller))
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, said: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        said.accept(tx, caller)?;
        Ok(SubmitContainerStateChangeResponse { acknowledgment: Some(ACKNOWLEDGED.to_owned()) })
    }
}

/// Longshore attaches nothing, so no attachment that an agent could name is known.
impl Command<Ecs> for ops::SubmitAttachmentStateChanges {
    type Parsed = Self::Input;
    type Answer = SubmitAttachmentStateChangesResponse;

    fn parse(_: &Cx<'_, Ecs>, input: Self::Input) -> Result<Self::Parsed, Self::Error> {
        input::check(&input)?;
        Ok(input)
    }

    fn resources(state: &State, caller: &Caller, input: &Self::Parsed) -> Resources {
        let ask = permission::of::<Self>(state, caller);
        // It is refused, whatever it names.
        ask.for_instance(ask.on_cluster(input.cluster.as_deref()), || Some(caller.principal.to_string()))
    }

    fn run(tx: &mut Tx<'_>, caller: &Caller, input: Self::Parsed) -> Result<Self::Answer, Self::Error> {
        cluster(tx.state(), caller, input.cluster.as_deref())?;
        if input.attachments.is_some_and(|attachments| !attachments.is_empty()) {
            return Err(InvalidParameterException::new(texts::REPORT_UNKNOWN_ATTACHMENT).into());
        }
        Ok(SubmitAttachmentStateChangesResponse { acknowledgment: Some(ACKNOWLEDGED.to_owned()) })
    }
}

fn cluster(
    state: &State,
    caller: &Caller,
    named: Option<&str>,
) -> Result<ClusterKey, InvalidParameterException> {
    identifiers::host(state, caller, named)
        .map(|(at, _)| at)
        .map_err(|error| InvalidParameterException::new(error.to_string()))
}

/// The task that agents of the cluster or pool `host` may report on, with its own cluster: a pool's agents on
/// its guests and nothing else, a cluster's agents on all of the cluster's tasks but those in the pool.
fn task(
    state: &State,
    host: ClusterKey,
    named: Option<&str>,
) -> Result<(ClusterKey, TaskId), InvalidParameterException> {
    let unknown = || InvalidParameterException::new(texts::REPORT_UNKNOWN_TASK);
    let named = named.unwrap_or_default();
    if !host.is_pool() {
        let id = identifiers::task_id(&host, named).map_err(|_| unknown())?;
        let pooled = state.ecs().task(&host, id).is_some_and(|task| task.is_pooled());
        return if pooled { Err(unknown()) } else { Ok((host, id)) };
    }
    let arn = Arn::parse(named).ok().filter(|arn| arn.kind == "task").ok_or_else(unknown)?;
    let id = arn.rest.rsplit('/').next().and_then(|id| TaskId::parse(id).ok()).ok_or_else(unknown)?;
    let home = state.ecs().home(&host, id).cloned().ok_or_else(unknown)?;
    // The same id in another account or cluster is no task of this pool.
    identifiers::task_id(&home, named).map_err(|_| unknown())?;
    Ok((home, id))
}

impl Said {
    fn questions(&self, ask: Ask<'_>) -> Resources {
        ask.for_instance(ask.on_cluster(self.cluster.as_deref()), || self.host(ask))
    }

    /// The instance that a report is of, as an instance's own key is asked about it. A task that is not there was
    /// forgotten, as far as anybody can tell: it is refused as such, or an agent would repeat its report for ever.
    fn host(&self, Ask { state, caller, .. }: Ask<'_>) -> Option<String> {
        let own = caller.principal.to_string();
        let Ok(at) = cluster(state, caller, self.cluster.as_deref()) else { return Some(own) };
        let Ok((home, id)) = task(state, at.clone(), self.task.as_deref()) else { return Some(own) };
        match state.ecs().task(&home, id) {
            Some(task) => Some(permission::instance_arn(&at, task.instance?)),
            None => Some(own),
        }
    }

    /// A caller that is the account, or a user of it, may report for any instance. One that is an instance was asked whether
    /// the task is its own.
    fn accept(self, tx: &mut Tx<'_>, caller: &Caller) -> Result<(), InvalidParameterException> {
        let at = cluster(tx.state(), caller, self.cluster.as_deref())?;
        let (at, id) = task(tx.state(), at, self.task.as_deref())?;
        if self.is_of_attachment {
            return Err(InvalidParameterException::new(texts::REPORT_UNKNOWN_ATTACHMENT));
        }
        report(tx, &at, None, id, &self.report)
            .map_err(|UnknownTask| InvalidParameterException::new(texts::REPORT_UNKNOWN_TASK))
    }
}

/// The first `characters_max` characters.
fn cut(mut text: String, characters_max: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(characters_max) {
        text.truncate(end);
    }
    text
}

fn container(change: ContainerStateChange) -> ContainerReport {
    let bindings = change.network_bindings.unwrap_or_default().into_iter();
    ContainerReport {
        name: change.container_name.unwrap_or_default(),
        status: change.status.as_deref().and_then(ContainerStatus::parse),
        exit_code: change.exit_code,
        reason: change.reason.and_then(|text| Reason::parse(cut(text, REASON_CHARACTERS_MAX))),
        runtime_id: change.runtime_id.map(|text| cut(text, ID_CHARACTERS_MAX)),
        image_digest: change.image_digest.map(|text| cut(text, ID_CHARACTERS_MAX)),
        bindings: bindings.take(BINDINGS_MAX).map(binding).collect(),
        secrets: change.secret_versions.into_iter().flatten().filter_map(secret).collect(),
    }
}

fn secret(told: KeyValuePair) -> Option<(String, String)> {
    Some((told.name?, cut(told.value?, ID_CHARACTERS_MAX)))
}

fn binding(binding: NetworkBinding) -> Binding {
    // An address or two ports: an IPv6 address is the longest, with 45 characters.
    let word = |text: String| cut(text, 64).into();
    let port = |number: Option<i32>| {
        number.and_then(|number| u16::try_from(number).ok()).filter(|&number| number > 0).map(Port)
    };
    Binding {
        bind_ip: word(binding.bind_ip.unwrap_or_default()),
        container_port: port(binding.container_port),
        host_port: port(binding.host_port),
        container_port_range: binding.container_port_range.map(word),
        host_port_range: binding.host_port_range.map(word),
        protocol: match binding.protocol {
            Some(TransportProtocol::Udp) => Protocol::Udp,
            Some(TransportProtocol::Tcp | TransportProtocol::Unrecognized(_)) | None => Protocol::Tcp,
        },
    }
}

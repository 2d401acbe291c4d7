//! What the agent answers to people on its machine (agent-protocol G16) and to the containers that it runs
//! (G17, G18). Pure: the core and what is asked in, a status and a body out, or what has to be found out first
//! ([`Lookup`]); then what was found out in, and the answer out.
//!
//! Not done: faults are injected into nothing, and no task has associations, because no capability for either is
//! announced; both are answered all the same.

mod metadata;
mod protection;
mod stats;

use std::net::IpAddr;

use longshore_engine::spec::{CredentialsId, NetworkMode, RuntimeId, TaskKey};
use longshore_engine::view::{ContainerView, TaskView};
use longshore_link::message::RoleType;
use longshore_sigv4::Credentials;
use serde::Serialize;
use serde_json::{Value, json};

use crate::api::{ApiError, Inquiry};
use crate::core::{AGENT_HASH, AGENT_VERSION, AgentCore};

use metadata::{NetworkInfo, PortInfo, Version, desired, networks, ports, rfc3339};

/// An HTTP request, as far as it matters here.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `GET`, `PUT`, ...
    pub method: String,
    pub path: String,
    pub query: String,
    pub body: Vec<u8>,
    /// Who asks. Version 2 knows its callers by nothing else.
    pub peer: Option<IpAddr>,
    /// The engine's id of the container that asks, where its address does not tell and it was looked for
    /// ([`is_for_the_caller`]).
    pub container: Option<String>,
}

/// Whether a path of the containers' server is answered to one caller and to nobody else, so that it has to be known who
/// asks.
pub fn is_for_the_caller(path: &str) -> bool {
    path.starts_with("/v2/credentials/") || path.trim_end_matches('/') == "/v1/credentials"
}

/// What follows from a request.
#[derive(Debug)]
pub enum Reply {
    Now(Answer),
    Later(Lookup),
}

/// What has to be found out before a request can be answered.
#[derive(Debug)]
pub enum Lookup {
    /// Two readings of each container that runs. Answered by [`stats_answer`].
    Stats { containers: Vec<Sampled>, of_task: bool },
    /// Questions to the control plane, with the instance's credentials. Each is answered by [`add_tags`]; then the
    /// document is the body.
    Tags { document: Value, questions: Vec<(&'static str, Inquiry)> },
    /// Whether one of these containers, whose addresses are not known yet, has the address of whoever asks. If so, the first
    /// answer is his, else the second.
    Addresses { containers: Vec<RuntimeId>, peer: IpAddr, answers: Box<(Answer, Answer)> },
    /// The same, with the credentials of the task's role if it has any. Answered by [`protection_answer`].
    Protection { task: TaskKey, inquiry: Inquiry, role: Option<Credentials> },
}

/// A container whose statistics are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sampled {
    pub id: RuntimeId,
    pub is_running: bool,
    /// The container that has its network, if that is another one.
    pub network_of: Option<RuntimeId>,
}

/// Two readings of one container, and of the one that has its network.
pub type Readings = (Option<[String; 2]>, Option<[String; 2]>);

/// An HTTP answer with a JSON body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

fn answer(status: u16, body: &impl Serialize) -> Answer {
    let body = serde_json::to_string(body).expect("string keys and finite numbers always serialise");
    Answer { status, body }
}

/// The introspection server, usually on port 51678.
pub fn introspection(core: &AgentCore, path: &str, query: &str) -> Answer {
    match path {
        "/v1/metadata" => answer(
            200,
            &json!({
                "Cluster": core.config().cluster_name(),
                "ContainerInstanceArn": core.instance_arn(),
                "Version": format!("Amazon ECS Agent - v{AGENT_VERSION} ({AGENT_HASH})"),
            }),
        ),
        "/v1/tasks" => introspect_tasks(core, query),
        "/license" => answer(200, &"Apache-2.0"),
        _ => answer(200, &json!({"AvailableCommands": ["/v1/metadata", "/v1/tasks", "/license"]})),
    }
}

fn introspect_tasks(core: &AgentCore, query: &str) -> Answer {
    let parameter = |name: &str| {
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)
            .and_then(|(_, value)| longshore_base::percent::decode(value))
    };
    let one = |task: Option<TaskView<'_>>| match task {
        Some(task) => answer(200, &IntrospectedTask::of(task)),
        None => answer(404, &json!({})),
    };
    if let Some(arn) = parameter("taskarn") {
        one(core.engine().tasks().find(|task| task.key().arn() == arn))
    } else if let Some(id) = parameter("dockerid") {
        one(core.engine().container_by_runtime_id(&id).map(ContainerView::task))
    } else {
        let tasks: Vec<_> = core.engine().tasks().map(IntrospectedTask::of).collect();
        answer(200, &json!({"Tasks": tasks}))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct IntrospectedTask<'a> {
    arn: &'a str,
    desired_status: &'static str,
    known_status: &'static str,
    family: &'a str,
    version: &'a str,
    containers: Vec<IntrospectedContainer<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct IntrospectedContainer<'a> {
    docker_id: &'a str,
    docker_name: &'a str,
    name: &'a str,
    image: &'a str,
    #[serde(rename = "ImageID")]
    image_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ports: Vec<PortInfo>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    networks: Vec<NetworkInfo<'a>>,
}

impl<'a> IntrospectedTask<'a> {
    fn of(task: TaskView<'a>) -> Self {
        let containers = task.containers().map(|container| IntrospectedContainer {
            docker_id: container.runtime_id().map_or("", |id| id.as_str()),
            docker_name: container.runtime_name(),
            name: container.definition().name.as_str(),
            image: &container.definition().image,
            image_id: container.image_id().unwrap_or_default(),
            created_at: container.created_at().map(rfc3339),
            started_at: container.started_at().map(rfc3339),
            ports: ports(container, None),
            networks: networks(container),
        });
        Self {
            arn: task.key().arn(),
            desired_status: desired(task),
            known_status: task.status().reported().as_str(),
            family: &task.spec().family,
            version: &task.spec().revision,
            containers: containers.collect(),
        }
    }
}

/// The server for containers, behind `169.254.170.2`.
pub fn tasks(core: &AgentCore, asked: &Asked) -> Reply {
    let path = asked.path.trim_end_matches('/');
    if let Some(rest) = path.strip_prefix("/api/") {
        return agent_api(core, asked, rest);
    }
    if asked.method != "GET" {
        return Reply::Now(Answer { status: 405, body: String::new() });
    }
    if let Some(id) = asked.path.strip_prefix("/v2/credentials/") {
        return credentials(core, asked, id);
    }
    if path == "/v1/credentials" {
        let id = asked.query.split('&').find_map(|pair| pair.strip_prefix("id="));
        return credentials(core, asked, id.unwrap_or_default());
    }
    if let Some(rest) = path.strip_prefix("/v4/") {
        return by_id(core, Version::V4, rest);
    }
    if let Some(rest) = path.strip_prefix("/v3/") {
        return by_id(core, Version::V3, rest);
    }
    match path.strip_prefix("/v2/") {
        Some(rest) => by_peer(core, asked.peer, rest),
        None => not_found(),
    }
}

fn not_found() -> Reply {
    Reply::Now(answer(404, &"404 page not found"))
}

/// Versions 3 and 4: the path names the container.
fn by_id(core: &AgentCore, version: Version, rest: &str) -> Reply {
    let (id, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let Some(container) = core.engine().container_by_metadata_id(id) else {
        // Not alike, because those of the official agent are not (agent-protocol G17, "Errors").
        let (name, status) = match version {
            Version::V4 => ("V4", 404),
            Version::V3 | Version::V2 => ("V3", 500),
        };
        let text = format!("{name} metadata handler: unable to find the container with id {id}");
        return Reply::Now(answer(status, &text));
    };
    let parts: Vec<&str> = rest.split('/').collect();
    match parts[..] {
        [""] => Reply::Now(answer(200, &metadata::container(core, version, container))),
        ["task"] => Reply::Now(answer(200, &metadata::task(core, version, container.task()))),
        ["taskWithTags"] => with_tags(core, version, container.task()),
        ["stats"] => stats_of(container),
        ["task", "stats"] => stats_of_task(container.task()),
        ["associations", _kind] => Reply::Now(answer(200, &json!({"Associations": null}))),
        ["associations", kind, name] => {
            let text = format!("the task has no association of type {kind} named {name}");
            Reply::Now(answer(400, &text))
        }
        _ => not_found(),
    }
}

/// Version 2: the address of the caller names the task, so only tasks with an address of their own have it.
fn by_peer(core: &AgentCore, peer: Option<IpAddr>, rest: &str) -> Reply {
    let is_peer = |task: &TaskView<'_>| {
        let own = task.spec().interface.as_ref().map(|interface| IpAddr::from(interface.address));
        own.is_some() && own == peer && task.pause().is_some_and(ContainerView::may_live)
    };
    let parts: Vec<&str> = rest.split('/').collect();
    if !matches!(parts[..], ["metadata" | "stats", ..] | ["metadataWithTags"]) {
        return not_found();
    }
    let Some(task) = core.engine().tasks().find(is_peer) else {
        let text = "unable to get the task of this address: version 2 is for tasks in awsvpc mode";
        return Reply::Now(answer(400, &text));
    };
    let member =
        |id: &str| task.containers().find(|own| own.runtime_id().is_some_and(|own| own.as_str() == id));
    let unknown =
        |id: &str| Reply::Now(answer(400, &format!("unable to find the container {id} in the task")));
    match parts[..] {
        ["metadata"] => Reply::Now(answer(200, &metadata::task(core, Version::V2, task))),
        ["metadataWithTags"] => with_tags(core, Version::V2, task),
        ["metadata", id] => match member(id) {
            Some(container) => Reply::Now(answer(200, &metadata::container(core, Version::V2, container))),
            None => unknown(id),
        },
        ["stats"] => stats_of_task(task),
        ["stats", id] => member(id).map_or_else(|| unknown(id), stats_of),
        _ => not_found(),
    }
}

fn with_tags(core: &AgentCore, version: Version, task: TaskView<'_>) -> Reply {
    let document = metadata::task(core, version, task);
    Reply::Later(Lookup::Tags { document, questions: metadata::tag_questions(core, task) })
}

/// Answers a question of [`Lookup::Tags`].
pub fn add_tags(
    document: &mut Value,
    member: &'static str,
    asked: &Inquiry,
    answer: Result<Vec<u8>, ApiError>,
) {
    metadata::add_tags(document, member, asked, answer);
}

fn stats_of(container: ContainerView<'_>) -> Reply {
    match stats::sampled(container) {
        Some(sampled) if sampled.is_running => {
            Reply::Later(Lookup::Stats { containers: vec![sampled], of_task: false })
        }
        Some(_) | None => Reply::Now(stats::none_of(container.runtime_id())),
    }
}

fn stats_of_task(task: TaskView<'_>) -> Reply {
    let containers = task.containers().filter_map(stats::sampled).collect();
    Reply::Later(Lookup::Stats { containers, of_task: true })
}

/// Answers [`Lookup::Stats`], with what was read of each of its containers.
pub fn stats_answer(containers: Vec<Sampled>, of_task: bool, readings: Vec<Readings>) -> Answer {
    stats::answer(containers, of_task, readings)
}

/// `$ECS_AGENT_URI` (agent-protocol G18).
fn agent_api(core: &AgentCore, asked: &Asked, rest: &str) -> Reply {
    let parts: Vec<&str> = rest.split('/').collect();
    match parts[..] {
        [id, "task-protection", "v1", "state"] => protection::ask(core, asked, id),
        [id, "fault", "v1", fault, action] if is_fault(fault, action) => {
            Reply::Now(inject(core, &asked.method, id))
        }
        _ => not_found(),
    }
}

/// Answers [`Lookup::Protection`].
pub fn protection_answer(task: &TaskKey, inquiry: &Inquiry, answer: Result<Vec<u8>, ApiError>) -> Answer {
    protection::answer(task, inquiry, answer)
}

fn is_fault(fault: &str, action: &str) -> bool {
    matches!(fault, "network-blackhole-port" | "network-latency" | "network-packet-loss")
        && matches!(action, "start" | "stop" | "status")
}

fn inject(core: &AgentCore, method: &str, id: &str) -> Answer {
    let error = |status: u16, text: String| answer(status, &json!({"Error": text}));
    if method != "POST" {
        return Answer { status: 405, body: String::new() };
    }
    match core.engine().container_by_metadata_id(id).map(ContainerView::task) {
        None => error(404, format!("unable to lookup container: {id}")),
        Some(task) if !task.spec().enable_fault_injection => {
            error(400, format!("enableFaultInjection is not enabled for task: {}", task.key().arn()))
        }
        Some(_) => error(501, "this agent does not inject faults".to_owned()),
    }
}

/// The credentials of the role of the task that asks. The id alone opens nothing: whoever has read the variable of another
/// container gets what an unknown id gets. So does everybody who asks for an execution role, which is the agent's.
fn credentials(core: &AgentCore, asked: &Asked, id: &str) -> Reply {
    let refused = |status: u16, code: &str, message: &str| {
        answer(status, &json!({"code": code, "message": message, "HTTPErrorCode": status}))
    };
    if id.is_empty() {
        return Reply::Now(refused(400, "NoIdInRequest", "CredentialsV2Request: No ID in the request"));
    }
    let unknown = || refused(400, "InvalidIdInRequest", "CredentialsV2Request: Credentials not found");
    let is = |known: &Option<CredentialsId>| known.as_ref().is_some_and(|known| known.expose() == id);
    let Some(task) = core.engine().tasks().find(|task| is(&task.spec().task_credentials)) else {
        return Reply::Now(unknown());
    };
    let stored = core.credentials().get(id).filter(|stored| stored.role == RoleType::TaskApplication);
    let granted = match stored {
        Some(stored) => {
            let credentials = &stored.credentials;
            answer(
                200,
                &json!({
                    "RoleArn": credentials.role_arn,
                    "AccessKeyId": credentials.access_key_id,
                    "SecretAccessKey": credentials.secret_access_key.0,
                    "Token": credentials.session_token.0,
                    "Expiration": credentials.expiration,
                }),
            )
        }
        // After a restart the ids are known from the journal, and the control plane sends the rest again.
        None => {
            refused(503, "CredentialsUninitialized", "CredentialsV2Request: credentials are not yet there")
        }
    };
    match who_asks(task, asked) {
        Caller::Task => Reply::Now(granted),
        Caller::Other => Reply::Now(unknown()),
        Caller::Perhaps { containers, peer } => {
            Reply::Later(Lookup::Addresses { containers, peer, answers: Box::new((granted, unknown())) })
        }
    }
}

/// Whether a container of a task asks: 200 to those, 404 to all others.
pub fn caller(core: &AgentCore, asked: &Asked) -> Reply {
    let plain = |status| Answer { status, body: String::new() };
    let mut perhaps: Vec<RuntimeId> = Vec::new();
    for task in core.engine().tasks() {
        match who_asks(task, asked) {
            Caller::Task => return Reply::Now(plain(200)),
            Caller::Other => {}
            Caller::Perhaps { containers, peer: _ } => perhaps.extend(containers),
        }
    }
    match asked.peer.filter(|_| !perhaps.is_empty()) {
        Some(peer) => {
            let answers = Box::new((plain(200), plain(404)));
            Reply::Later(Lookup::Addresses { containers: perhaps, peer, answers })
        }
        None => Reply::Now(plain(404)),
    }
}

/// Who is at the other end, as seen from one task.
enum Caller {
    Task,
    Other,
    /// One of these containers, if it has this address: it has been started, and where it is has not been told yet.
    Perhaps {
        containers: Vec<RuntimeId>,
        peer: IpAddr,
    },
}

fn who_asks(task: TaskView<'_>, asked: &Asked) -> Caller {
    let is_own = |id: &str| {
        let mut all = task.containers().chain(task.pause());
        all.any(|container| container.runtime_id().is_some_and(|own| own.as_str() == id))
    };
    // What the kernel says of a connection from this machine is what counts.
    if let Some(container) = &asked.container {
        return if is_own(container) { Caller::Task } else { Caller::Other };
    }
    let Some(peer) = asked.peer else { return Caller::Other };
    match task.spec().network_mode {
        NetworkMode::Awsvpc => {
            let own = task.spec().interface.as_ref().map(|interface| IpAddr::from(interface.address));
            let lives = task.pause().is_some_and(ContainerView::may_live);
            if own == Some(peer) && lives { Caller::Task } else { Caller::Other }
        }
        NetworkMode::Bridge => {
            let has_it = |container: ContainerView<'_>| {
                let addresses = container.networks().iter().flat_map(|network| &network.ipv4);
                container.may_live() && addresses.into_iter().any(|own| own.parse() == Ok(peer))
            };
            if task.containers().any(has_it) {
                return Caller::Task;
            }
            let is_new =
                |container: &ContainerView<'_>| container.may_live() && container.networks().is_empty();
            let new = task.containers().filter(is_new).filter_map(|own| own.runtime_id().cloned());
            let containers: Vec<RuntimeId> = new.collect();
            if containers.is_empty() { Caller::Other } else { Caller::Perhaps { containers, peer } }
        }
        NetworkMode::Host | NetworkMode::None => Caller::Other,
    }
}

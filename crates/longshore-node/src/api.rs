//! The calls that an agent makes of the ECS API, and what their failures mean to it (agent-protocol G3, G8).

use longshore_engine::report::{NetworkBinding, TaskReport};
use longshore_engine::spec::SecretVersion;
use longshore_shapes_ecs::{
    ContainerStateChange, CreateClusterRequest, DiscoverPollEndpointRequest, DiscoverPollEndpointResponse,
    GetTaskProtectionRequest, KeyValuePair, ListTagsForResourceRequest, NetworkBinding as Binding,
    RegisterContainerInstanceRequest, RegisterContainerInstanceResponse, Resource,
    SubmitTaskStateChangeRequest, TransportProtocol, UpdateTaskProtectionRequest,
};
use longshore_wire::{Protocol, Received, Shape, json};

use crate::capability::Attribute;

/// What agents speak (agent-protocol G3).
const PROTOCOL: Protocol = Protocol::AwsJson11;

/// One call. Carried out at most as often as the core asks for; repeating is the core's decision.
#[derive(Clone, Debug, PartialEq)]
pub enum ApiCall {
    RegisterContainerInstance(Box<RegisterContainerInstanceRequest>),
    DiscoverPollEndpoint(DiscoverPollEndpointRequest),
    SubmitTaskStateChange(Box<SubmitTaskStateChangeRequest>),
    CreateCluster(Box<CreateClusterRequest>),
}

impl ApiCall {
    pub fn operation(&self) -> &'static str {
        match self {
            ApiCall::RegisterContainerInstance(_) => "RegisterContainerInstance",
            ApiCall::DiscoverPollEndpoint(_) => "DiscoverPollEndpoint",
            ApiCall::SubmitTaskStateChange(_) => "SubmitTaskStateChange",
            ApiCall::CreateCluster(_) => "CreateCluster",
        }
    }

    /// The JSON body.
    pub fn body(&self) -> String {
        match self {
            ApiCall::RegisterContainerInstance(request) => written(&**request),
            ApiCall::DiscoverPollEndpoint(request) => written(request),
            ApiCall::SubmitTaskStateChange(request) => written(&**request),
            ApiCall::CreateCluster(request) => written(&**request),
        }
    }
}

/// A question that a container has, put to the control plane by its agent. Nothing of the agent depends on the answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Inquiry {
    ListTagsForResource(ListTagsForResourceRequest),
    GetTaskProtection(GetTaskProtectionRequest),
    UpdateTaskProtection(UpdateTaskProtectionRequest),
}

impl Inquiry {
    pub fn operation(&self) -> &'static str {
        match self {
            Inquiry::ListTagsForResource(_) => "ListTagsForResource",
            Inquiry::GetTaskProtection(_) => "GetTaskProtection",
            Inquiry::UpdateTaskProtection(_) => "UpdateTaskProtection",
        }
    }

    /// The JSON body.
    pub fn body(&self) -> String {
        match self {
            Inquiry::ListTagsForResource(request) => written(request),
            Inquiry::GetTaskProtection(request) => written(request),
            Inquiry::UpdateTaskProtection(request) => written(request),
        }
    }
}

fn written(request: &dyn Shape) -> String {
    String::from_utf8(json::to_vec(request)).expect("JSON is text")
}

/// Reads the body of an answer of success.
pub(crate) fn read<T: Shape>(body: &[u8]) -> Result<T, ApiError> {
    json::from_slice(body).map_err(|error| ApiError::Transport(format!("the answer cannot be read: {error}")))
}

/// The members of an answer that nobody can do without.
fn lacks(member: &str) -> ApiError {
    ApiError::Transport(format!("the answer cannot be read: it has no {member}"))
}

/// Shapes count with signed numbers. Nothing that is counted here comes near to the end of them.
pub(crate) fn number(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// A resource as a registration lists it.
pub(crate) fn integer(name: &str, value: u32) -> Resource {
    let (name, r#type) = (Some(name.to_owned()), Some("INTEGER".to_owned()));
    Resource { name, r#type, integer_value: Some(number(value)), ..Resource::default() }
}

/// `PORTS` and `PORTS_UDP` are the *reserved* ports.
pub(crate) fn ports(name: &str, ports: impl Iterator<Item = u16>) -> Resource {
    let texts = ports.map(|port| port.to_string()).collect();
    let (name, r#type) = (Some(name.to_owned()), Some("STRINGSET".to_owned()));
    Resource { name, r#type, string_set_value: Some(texts), ..Resource::default() }
}

/// The part of RegisterContainerInstance's answer that agents use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    pub instance_arn: String,
    pub attributes: Vec<Attribute>,
}

impl Registered {
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        let answer: RegisterContainerInstanceResponse = read(body)?;
        let instance = answer.container_instance.ok_or_else(|| lacks("containerInstance"))?;
        let instance_arn = instance.container_instance_arn.ok_or_else(|| lacks("containerInstanceArn"))?;
        let attributes = instance.attributes.into_iter().flatten().filter_map(Attribute::of).collect();
        Ok(Self { instance_arn, attributes })
    }
}

/// Where the sockets are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    pub endpoint: String,
    pub telemetry_endpoint: String,
}

impl Endpoints {
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        let answer: DiscoverPollEndpointResponse = read(body)?;
        Ok(Self {
            endpoint: answer.endpoint.ok_or_else(|| lacks("endpoint"))?,
            telemetry_endpoint: answer.telemetry_endpoint.ok_or_else(|| lacks("telemetryEndpoint"))?,
        })
    }
}

/// One port, or a range in its place.
fn binding(of: &NetworkBinding) -> Binding {
    let span = |first: u16| format!("{first}-{}", first.saturating_add(of.count - 1));
    let (container, host) = (of.container_first.0, of.host_first.0);
    Binding {
        bind_ip: Some(of.bind_ip.to_string()),
        container_port: (!of.range).then_some(i32::from(container)),
        host_port: (!of.range).then_some(i32::from(host)),
        container_port_range: of.range.then(|| span(container)),
        host_port_range: of.range.then(|| span(host)),
        protocol: Some(TransportProtocol::from(of.protocol.as_str())),
    }
}

fn secret_version(of: &SecretVersion) -> KeyValuePair {
    KeyValuePair { name: Some(of.value_from.clone()), value: Some(of.version.clone()) }
}

/// `None` in the place of nothing: what is empty is not sent.
fn unless_empty<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

/// The call for a report of the engine.
pub(crate) fn state_change(cluster: &str, report: &TaskReport) -> SubmitTaskStateChangeRequest {
    let containers = report.containers.iter().map(|change| ContainerStateChange {
        container_name: Some(change.name.to_string()),
        status: Some(change.status.as_str().to_owned()),
        runtime_id: change.runtime_id.as_ref().map(ToString::to_string),
        image_digest: change.image_digest.clone(),
        exit_code: change.exit_code,
        reason: Some(change.reason.clone()).filter(|reason| !reason.is_empty()),
        network_bindings: unless_empty(change.bindings.iter().map(binding).collect()),
        secret_versions: unless_empty(change.secret_versions.iter().map(secret_version).collect()),
    });
    SubmitTaskStateChangeRequest {
        cluster: Some(cluster.to_owned()),
        task: Some(report.task.arn().to_owned()),
        status: Some(report.status.as_str().to_owned()),
        // Always there, possibly empty.
        reason: Some(report.reason.clone()),
        containers: unless_empty(containers.collect()),
        pull_started_at: report.pull_started_at,
        pull_stopped_at: report.pull_stopped_at,
        execution_stopped_at: report.execution_stopped_at,
        ..SubmitTaskStateChangeRequest::default()
    }
}

/// A call that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// There was no answer, or none that could be read.
    #[error("no answer: {0}")]
    Transport(String),
    #[error("{code} (HTTP {status}): {message}")]
    Service { status: u16, code: String, message: String },
}

impl ApiError {
    /// Reads the body of an answer that was not 200. What is none of the API has no code.
    pub fn of_answer(status: u16, body: &[u8]) -> Self {
        let error = PROTOCOL.read_error(&Received { status, headers: &[], body }).unwrap_or_default();
        Self::Service { status, code: error.code, message: error.message }
    }

    /// Status, code and message, as another client is told of them.
    pub(crate) fn parts(&self) -> (u16, &str, &str) {
        match self {
            ApiError::Transport(cause) => (504, "RequestTimeout", cause),
            ApiError::Service { status, code, message } => (*status, code, message),
        }
    }

    fn code(&self) -> &str {
        match self {
            ApiError::Transport(_) => "",
            ApiError::Service { code, .. } => code,
        }
    }

    fn message(&self) -> &str {
        match self {
            ApiError::Transport(_) => "",
            ApiError::Service { message, .. } => message,
        }
    }

    /// Nobody understood the request, so it may be tried again: no answer, or HTTP 5xx.
    fn is_server_side(&self) -> bool {
        match self {
            ApiError::Transport(_) => true,
            ApiError::Service { status, .. } => *status >= 500,
        }
    }

    /// The instance that registers again is INACTIVE: somebody has deregistered it.
    pub fn is_deregistered(&self) -> bool {
        self.code() == "ClientException" && self.message().contains("container instance was inactive")
    }

    /// Nobody knows the instance that registers again: it was deregistered so long ago that it was forgotten, or it is
    /// another control plane's.
    pub fn is_unknown_instance(&self) -> bool {
        self.code() == "ClientException" && self.message().contains("container instance was not found")
    }

    /// The cluster is missing, or deleted.
    pub fn is_without_cluster(&self) -> bool {
        let message = self.message();
        message.contains("Cluster not found.") || message.contains("cluster was inactive")
    }

    /// The access key, or what was signed with it, is not accepted.
    pub fn is_about_keys(&self) -> bool {
        matches!(
            self.code(),
            "InvalidSignatureException"
                | "UnrecognizedClientException"
                | "InvalidClientTokenId"
                | "MissingAuthenticationTokenException"
                | "IncompleteSignatureException"
        )
    }

    /// Nobody has this access key, or nobody any more.
    pub fn is_unknown_key(&self) -> bool {
        self.code() == "UnrecognizedClientException"
    }

    /// What a failed registration means.
    pub fn on_registration(&self, cluster_is_configured: bool) -> RegistrationFailure {
        if !cluster_is_configured && self.message().contains("Cluster not found.") {
            return RegistrationFailure::CreateCluster;
        }
        match self.code() {
            "ClientException" | "InvalidParameterException" => RegistrationFailure::Terminal,
            "ServerException" | "ThrottlingException" | "LimitExceededException" => {
                RegistrationFailure::Retry
            }
            _ if self.message().contains("Container instance type changes are not supported.") => {
                RegistrationFailure::Terminal
            }
            // The official agent ends and is started again by its supervisor. We may have none (`up`), so
            // a control plane that is not there yet is waited for.
            _ if self.is_server_side() => RegistrationFailure::Retry,
            _ => RegistrationFailure::Restart,
        }
    }

    /// What a failed report means.
    pub fn on_report(&self) -> ReportFailure {
        if self.code() == "InvalidParameterException" {
            ReportFailure::Never
        } else if self.is_server_side() {
            ReportFailure::ServerSide
        } else {
            ReportFailure::Refused
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationFailure {
    /// Make the cluster `default`, then register again.
    CreateCluster,
    /// End, and do not start again: exit code 5.
    Terminal,
    /// Try again here.
    Retry,
    /// End, and start again: exit code 1.
    Restart,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportFailure {
    /// The report will never be accepted. Counted as sent.
    Never,
    /// Not now, with a long wait between tries.
    Refused,
    /// The server has trouble.
    ServerSide,
}

/// The attributes that were sent and did not come back as they were: a reason to end for good
/// (agent-protocol G3).
pub fn missing_attributes<'a>(sent: &'a [Attribute], answered: &[Attribute]) -> Vec<&'a str> {
    sent.iter()
        .filter(|attribute| !answered.contains(attribute))
        .map(|attribute| attribute.name.as_str())
        .collect()
}

#[cfg(test)]
mod tests {
    use longshore_base::{ContainerName, Port, Protocol, Timestamp};
    use longshore_engine::report::{ContainerChange, ReportedStatus};
    use longshore_engine::spec::{ReportId, RuntimeId, TaskKey};
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_report_is_written_as_the_official_agent_writes_it() {
        let report = TaskReport {
            id: ReportId(1),
            task: TaskKey::new("arn:t"),
            status: ReportedStatus::Running,
            reason: String::new(),
            containers: vec![ContainerChange {
                name: ContainerName::parse("main").expect("valid"),
                status: ReportedStatus::Running,
                runtime_id: Some(RuntimeId::new("48df")),
                exit_code: None,
                reason: String::new(),
                image_digest: Some("sha256:1".into()),
                secret_versions: Vec::new(),
                bindings: vec![
                    NetworkBinding {
                        bind_ip: std::net::Ipv4Addr::UNSPECIFIED.into(),
                        container_first: Port(80),
                        host_first: Port(32768),
                        count: 1,
                        range: false,
                        protocol: Protocol::Tcp,
                    },
                    NetworkBinding {
                        bind_ip: std::net::Ipv4Addr::UNSPECIFIED.into(),
                        container_first: Port(8000),
                        host_first: Port(32768),
                        count: 11,
                        range: true,
                        protocol: Protocol::Udp,
                    },
                ],
            }],
            pull_started_at: Some(Timestamp::from_millis(1_795_210_840_100)),
            pull_stopped_at: None,
            execution_stopped_at: None,
        };
        let call = ApiCall::SubmitTaskStateChange(Box::new(state_change("probe", &report)));
        let body: Value = serde_json::from_str(&call.body()).expect("JSON");
        assert_eq!(
            body,
            json!({
                "cluster": "probe", "task": "arn:t", "status": "RUNNING", "reason": "",
                "containers": [{
                    "containerName": "main", "status": "RUNNING", "runtimeId": "48df", "imageDigest": "sha256:1",
                    "networkBindings": [
                        {"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 32768, "protocol": "tcp"},
                        {"bindIP": "0.0.0.0", "containerPortRange": "8000-8010", "hostPortRange": "32768-32778",
                         "protocol": "udp"},
                    ],
                }],
                "pullStartedAt": 1_795_210_840.1,
            })
        );
    }

    #[test]
    fn versions_of_secrets_are_told_without_their_values() {
        let told = secret_version(&SecretVersion { value_from: "/token".into(), version: "3".into() });
        assert_eq!((told.name.as_deref(), told.value.as_deref()), (Some("/token"), Some("3")));
    }

    #[test]
    fn answers_that_lack_something_are_no_answers() {
        let text = |error: ApiError| error.to_string();
        let registered = |body: &str| Registered::read(body.as_bytes()).map_err(text);
        let arn = "arn:aws:ecs:us-east-1:111122223333:container-instance/c/1";
        let body = json!({"containerInstance": {"containerInstanceArn": arn, "attributes": [
            {"name": "a"}, {"name": "b", "value": "1"}, {"value": "nameless"}], "unknown": {}}});
        let attributes = vec![Attribute::flag("a"), Attribute::new("b", "1")];
        assert_eq!(
            registered(&body.to_string()),
            Ok(Registered { instance_arn: arn.to_owned(), attributes })
        );
        let lacks = |member: &str| format!("no answer: the answer cannot be read: it has no {member}");
        assert_eq!(registered("{}"), Err(lacks("containerInstance")));
        assert_eq!(registered(r#"{"containerInstance":{}}"#), Err(lacks("containerInstanceArn")));
        assert!(registered("<html>").is_err());
        let endpoints = Endpoints::read(br#"{"endpoint":"http://a"}"#).map_err(text);
        assert_eq!(endpoints, Err(lacks("telemetryEndpoint")));
    }

    #[test]
    fn failures_of_registration() {
        use RegistrationFailure as F;
        for (status, code, message, configured, expected) in [
            (400, "ClientException", "bad", true, F::Terminal),
            (400, "InvalidParameterException", "bad", true, F::Terminal),
            (400, "ClientException", "Cluster not found.", false, F::CreateCluster),
            (400, "ClientException", "Cluster not found.", true, F::Terminal),
            (400, "ClusterNotFoundException", "Cluster not found.", true, F::Restart),
            (400, "AccessDeniedException", "no", true, F::Restart),
            (400, "ThrottlingException", "slow", true, F::Retry),
            (500, "ServerException", "oops", true, F::Retry),
            (503, "", "", true, F::Retry),
        ] {
            let body = format!(r#"{{"__type":"com.amazonaws.ecs#{code}","message":"{message}"}}"#);
            let error = ApiError::of_answer(status, body.as_bytes());
            assert_eq!(error.on_registration(configured), expected, "{error}");
        }
        assert_eq!(ApiError::Transport("refused".into()).on_registration(true), F::Retry);
    }

    #[test]
    fn failures_of_reports() {
        let of = |status, code: &str| {
            let error = ApiError::Service { status, code: code.to_owned(), message: String::new() };
            error.on_report()
        };
        assert_eq!(of(400, "InvalidParameterException"), ReportFailure::Never);
        assert_eq!(of(400, "ClientException"), ReportFailure::Refused);
        assert_eq!(of(403, "AccessDeniedException"), ReportFailure::Refused);
        assert_eq!(of(500, "ServerException"), ReportFailure::ServerSide);
        assert_eq!(ApiError::of_answer(502, b"<html>").on_report(), ReportFailure::ServerSide);
    }

    #[test]
    fn every_attribute_has_to_come_back() {
        let attribute = |name: &str, value: Option<&str>| Attribute {
            name: name.into(),
            value: value.map(str::to_owned),
        };
        let sent = [attribute("a", None), attribute("b", Some("1"))];
        assert_eq!(missing_attributes(&sent, &sent), Vec::<&str>::new());
        assert_eq!(missing_attributes(&sent, &[attribute("a", None), attribute("b", Some("2"))]), ["b"]);
    }
}

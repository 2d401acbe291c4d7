//! The calls that an agent makes of the ECS API, and what their failures mean to it (agent-protocol G3, G8).

use longshore_base::Timestamp;
use longshore_engine::report::{NetworkBinding, TaskReport};
use serde::{Deserialize, Serialize};

use crate::capability::Attribute;

/// The prefix of `X-Amz-Target`.
pub const TARGET_PREFIX: &str = "AmazonEC2ContainerServiceV20141113";

/// One call. Carried out at most as often as the core asks for; repeating is the core's decision.
#[derive(Clone, Debug, PartialEq)]
pub enum ApiCall {
    RegisterContainerInstance(Box<Registration>),
    DiscoverPollEndpoint(Discovery),
    SubmitTaskStateChange(Box<TaskStateChange>),
    CreateCluster(NewCluster),
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
        let text = match self {
            ApiCall::RegisterContainerInstance(request) => serde_json::to_string(request),
            ApiCall::DiscoverPollEndpoint(request) => serde_json::to_string(request),
            ApiCall::SubmitTaskStateChange(request) => serde_json::to_string(request),
            ApiCall::CreateCluster(request) => serde_json::to_string(request),
        };
        text.expect("string keys and finite numbers always serialise")
    }
}

/// A question that a container has, put to the control plane by its agent. Nothing of the agent depends on the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inquiry {
    ListTagsForResource(TagList),
    GetTaskProtection(ProtectionQuery),
    UpdateTaskProtection(ProtectionChange),
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
        let text = match self {
            Inquiry::ListTagsForResource(request) => serde_json::to_string(request),
            Inquiry::GetTaskProtection(request) => serde_json::to_string(request),
            Inquiry::UpdateTaskProtection(request) => serde_json::to_string(request),
        };
        text.expect("texts and numbers always serialise")
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TagList {
    pub resource_arn: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProtectionQuery {
    pub cluster: String,
    pub tasks: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProtectionChange {
    #[serde(flatten)]
    pub of: ProtectionQuery,
    pub protection_enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in_minutes: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    pub cluster: String,
    pub client_token: String,
    /// Only when it registers again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_instance_arn: Option<String>,
    pub instance_identity_document: String,
    pub instance_identity_document_signature: String,
    pub total_resources: Vec<Resource>,
    pub attributes: Vec<Attribute>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
}

/// `PORTS` and `PORTS_UDP` are the *reserved* ports.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    pub name: &'static str,
    #[serde(rename = "type")]
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integer_value: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub string_set_value: Option<Vec<String>>,
}

impl Resource {
    pub fn integer(name: &'static str, value: u32) -> Self {
        Self { name, kind: "INTEGER", integer_value: Some(value), string_set_value: None }
    }

    pub fn ports(name: &'static str, ports: impl Iterator<Item = u16>) -> Self {
        let texts = ports.map(|port| port.to_string()).collect();
        Self { name, kind: "STRINGSET", integer_value: None, string_set_value: Some(texts) }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tag {
    pub key: String,
    pub value: String,
}

/// The part of RegisterContainerInstance's answer that agents use.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    pub container_instance: RegisteredInstance,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegisteredInstance {
    pub container_instance_arn: String,
    #[serde(default)]
    pub attributes: Vec<Attribute>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Discovery {
    pub cluster: String,
    pub container_instance: String,
    pub zone_id: String,
}

/// Where the sockets are.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    pub endpoint: String,
    pub telemetry_endpoint: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewCluster {
    pub cluster_name: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskStateChange {
    pub cluster: String,
    pub task: String,
    pub status: &'static str,
    /// Always there, possibly empty.
    pub reason: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<ContainerStateChange>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_started_at: Option<Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_stopped_at: Option<Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_stopped_at: Option<Seconds>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerStateChange {
    pub container_name: String,
    pub status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub network_bindings: Vec<Binding>,
}

/// One port, or a range in its place.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Binding {
    #[serde(rename = "bindIP")]
    pub bind_ip: std::net::IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_port_range: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_port_range: Option<String>,
    pub protocol: &'static str,
}

/// A time as the API writes it: seconds with milliseconds as fraction.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Seconds(f64);

impl From<Timestamp> for Seconds {
    fn from(time: Timestamp) -> Self {
        Self(time.as_seconds_f64())
    }
}

impl From<&NetworkBinding> for Binding {
    fn from(binding: &NetworkBinding) -> Self {
        let span = |first: u16| format!("{first}-{}", first.saturating_add(binding.count - 1));
        let (container, host) = (binding.container_first.0, binding.host_first.0);
        Self {
            bind_ip: binding.bind_ip,
            container_port: (!binding.range).then_some(container),
            host_port: (!binding.range).then_some(host),
            container_port_range: binding.range.then(|| span(container)),
            host_port_range: binding.range.then(|| span(host)),
            protocol: binding.protocol.as_str(),
        }
    }
}

impl TaskStateChange {
    /// The call for a report of the engine.
    pub fn of(cluster: &str, report: &TaskReport) -> Self {
        let containers = report.containers.iter().map(|change| ContainerStateChange {
            container_name: change.name.to_string(),
            status: change.status.as_str(),
            runtime_id: change.runtime_id.as_ref().map(ToString::to_string),
            image_digest: change.image_digest.clone(),
            exit_code: change.exit_code,
            reason: change.reason.clone(),
            network_bindings: change.bindings.iter().map(Binding::from).collect(),
        });
        Self {
            cluster: cluster.to_owned(),
            task: report.task.arn().to_owned(),
            status: report.status.as_str(),
            reason: report.reason.clone(),
            containers: containers.collect(),
            pull_started_at: report.pull_started_at.map(Seconds::from),
            pull_stopped_at: report.pull_stopped_at.map(Seconds::from),
            execution_stopped_at: report.execution_stopped_at.map(Seconds::from),
        }
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
    /// Reads the body of an answer that was not 200.
    pub fn of_answer(status: u16, body: &[u8]) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Body {
            #[serde(rename = "__type")]
            code: String,
            #[serde(alias = "Message")]
            message: String,
        }
        let body: Body = serde_json::from_slice(body).unwrap_or_default();
        // Some services write a name space before the code.
        let code = body.code.rsplit('#').next().unwrap_or_default().to_owned();
        Self::Service { status, code, message: body.message }
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
    use longshore_base::{ContainerName, Port, Protocol};
    use longshore_engine::report::{ContainerChange, ReportId, ReportedStatus};
    use longshore_engine::spec::{RuntimeId, TaskKey};

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
        let call = ApiCall::SubmitTaskStateChange(Box::new(TaskStateChange::of("probe", &report)));
        assert_eq!(
            call.body(),
            concat!(
                r#"{"cluster":"probe","task":"arn:t","status":"RUNNING","reason":"","#,
                r#""containers":[{"containerName":"main","status":"RUNNING","runtimeId":"48df","#,
                r#""imageDigest":"sha256:1","networkBindings":["#,
                r#"{"bindIP":"0.0.0.0","containerPort":80,"hostPort":32768,"protocol":"tcp"},"#,
                r#"{"bindIP":"0.0.0.0","containerPortRange":"8000-8010","hostPortRange":"32768-32778","#,
                r#""protocol":"udp"}]}],"pullStartedAt":1795210840.1}"#
            )
        );
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

//! Amazon Resource Names of the `ecs` service.
//!
//! `arn:<partition>:ecs:<region>:<account>:<type>/<rest>`; the table of resource parts is in
//! ecs-behaviour A3.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{ContainerId, DeploymentId, InstanceId, ServiceDeploymentId, TaskId};
use crate::names::{ClusterName, Family, ServiceName};
use crate::scope::{AccountId, Region, Scope};

/// Whether an ARN names the cluster (`task/CLUSTER/<32 hex>`, the default) or not (`task/<uuid>`,
/// the format of before 2018, which an account setting can still ask for).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ArnFormat {
    #[default]
    Long,
    Short,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArnError {
    #[error("not an ARN")]
    Malformed,
    #[error("an ARN of another service than ecs")]
    Service,
}

/// A parsed ARN of the `ecs` service: whose it is, of which type, and the rest after the type.
///
/// Only the outer form is checked; `rest` is untrusted text for the parser of its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arn<'a> {
    pub scope: Scope,
    /// `cluster`, `service`, `task`, `container-instance`, ...
    pub kind: &'a str,
    /// What follows the first `/`.
    pub rest: &'a str,
}

impl<'a> Arn<'a> {
    /// True if `text` claims to be an ARN at all, valid or not.
    pub fn looks_like_one(text: &str) -> bool {
        text.starts_with("arn:")
    }

    pub fn parse(text: &'a str) -> Result<Self, ArnError> {
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next().ok_or(ArnError::Malformed);
        if next()? != "arn" {
            return Err(ArnError::Malformed);
        }
        let (partition, service, region, account, resource) = (next()?, next()?, next()?, next()?, next()?);
        if service != "ecs" {
            return Err(ArnError::Service);
        }
        let region = Region::parse(region).ok_or(ArnError::Malformed)?;
        let account = AccountId::parse(account).ok_or(ArnError::Malformed)?;
        let (kind, rest) = resource.split_once('/').ok_or(ArnError::Malformed)?;
        if region.partition().as_str() != partition || kind.is_empty() || rest.is_empty() {
            return Err(ArnError::Malformed);
        }
        Ok(Self { scope: Scope::new(account, region), kind, rest })
    }
}

/// Room for nearly every ARN, so that few grow while they are written.
const ARN_BYTES: usize = 144;

/// How ARNs of this scope are written. Every ARN that Longshore shows is made here.
impl Scope {
    fn arn(&self, resource: fmt::Arguments<'_>) -> String {
        use std::fmt::Write as _;
        let mut arn = String::with_capacity(ARN_BYTES);
        write!(arn, "arn:{}:ecs:{}:{}:{resource}", self.partition().as_str(), self.region, self.account)
            .expect("writing into memory does not fail");
        arn
    }

    pub fn cluster_arn(&self, cluster: &ClusterName) -> String {
        self.arn(format_args!("cluster/{cluster}"))
    }

    pub fn service_arn(&self, cluster: &ClusterName, service: &ServiceName, format: ArnFormat) -> String {
        match format {
            ArnFormat::Long => self.arn(format_args!("service/{cluster}/{service}")),
            ArnFormat::Short => self.arn(format_args!("service/{service}")),
        }
    }

    pub fn task_arn(&self, cluster: &ClusterName, task: TaskId, format: ArnFormat) -> String {
        match format {
            ArnFormat::Long => self.arn(format_args!("task/{cluster}/{task}")),
            ArnFormat::Short => self.arn(format_args!("task/{}", task.uuid())),
        }
    }

    pub fn instance_arn(&self, cluster: &ClusterName, instance: InstanceId, format: ArnFormat) -> String {
        match format {
            ArnFormat::Long => self.arn(format_args!("container-instance/{cluster}/{instance}")),
            ArnFormat::Short => self.arn(format_args!("container-instance/{}", instance.uuid())),
        }
    }

    /// `format` is that of the container's task.
    pub fn container_arn(
        &self,
        cluster: &ClusterName,
        task: TaskId,
        container: ContainerId,
        format: ArnFormat,
    ) -> String {
        match format {
            ArnFormat::Long => self.arn(format_args!("container/{cluster}/{task}/{container}")),
            ArnFormat::Short => self.arn(format_args!("container/{container}")),
        }
    }

    /// Of the attachment of a network interface to a task.
    pub fn attachment_arn(&self, cluster: &ClusterName, id: &str) -> String {
        self.arn(format_args!("attachment/{cluster}/{id}"))
    }

    pub fn task_definition_arn(&self, family: &Family, revision: u32) -> String {
        self.arn(format_args!("task-definition/{family}:{revision}"))
    }

    pub fn capacity_provider_arn(&self, name: &str) -> String {
        self.arn(format_args!("capacity-provider/{name}"))
    }

    pub fn task_set_arn(&self, cluster: &ClusterName, service: &ServiceName, id: DeploymentId) -> String {
        self.arn(format_args!("task-set/{cluster}/{service}/{id}"))
    }

    pub fn service_deployment_arn(
        &self,
        cluster: &ClusterName,
        service: &ServiceName,
        id: ServiceDeploymentId,
    ) -> String {
        self.arn(format_args!("service-deployment/{cluster}/{service}/{id}"))
    }

    pub fn service_revision_arn(
        &self,
        cluster: &ClusterName,
        service: &ServiceName,
        id: DeploymentId,
    ) -> String {
        self.arn(format_args!("service-revision/{cluster}/{service}/{}", id.digits()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        Scope::new(
            AccountId::parse("123456789012").expect("digits"),
            Region::parse("us-east-1").expect("a region"),
        )
    }

    #[test]
    fn arns_are_written_in_both_formats() {
        let (s, c) = (scope(), ClusterName::parse("c").expect("valid"));
        let task = TaskId::from_bits(1);
        assert_eq!(s.cluster_arn(&c), "arn:aws:ecs:us-east-1:123456789012:cluster/c");
        assert_eq!(
            s.task_arn(&c, task, ArnFormat::Long),
            "arn:aws:ecs:us-east-1:123456789012:task/c/00000000000000000000000000000001"
        );
        assert_eq!(
            s.task_arn(&c, task, ArnFormat::Short),
            "arn:aws:ecs:us-east-1:123456789012:task/00000000-0000-0000-0000-000000000001"
        );
    }

    #[test]
    fn what_is_written_parses() {
        let text = scope().cluster_arn(&ClusterName::parse("c").expect("valid"));
        assert_eq!(Arn::parse(&text), Ok(Arn { scope: scope(), kind: "cluster", rest: "c" }));
    }

    #[test]
    fn malformed_arns_are_refused() {
        for bad in [
            "",
            "arn",
            "arn:aws:ecs",
            "arn:aws:ecs:us-east-1:123456789012:cluster",
            "arn:aws:ecs:us-east-1:123456789012:/c",
            "arn:aws:ecs:us-east-1:123456789012:cluster/",
            "arn:aws-cn:ecs:us-east-1:123456789012:cluster/c",
            "arn:aws:ecs:us-east-1:12345:cluster/c",
        ] {
            assert_eq!(Arn::parse(bad), Err(ArnError::Malformed), "{bad}");
        }
        assert_eq!(Arn::parse("arn:aws:s3:us-east-1:123456789012:a/b"), Err(ArnError::Service));
    }
}

//! What connects a service with its callers, and what a capacity provider is made of.
//!
//! Each member is kept by itself, what is only shown as well: whoever registers targets, resolves names or scales a group
//! reads it here and not in a text.

use std::collections::BTreeMap;
use std::sync::Arc;

use longshore_base::{ContainerName, Port, words};
use longshore_domain::status::Switch;
use serde::{Deserialize, Serialize};

/// One of the `loadBalancers` of a service or task set (ecs-services E9).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadBalancer {
    pub target: LoadBalancerTarget,
    /// The container, and which of its ports, that is registered.
    pub container: ContainerName,
    pub port: Port,
    /// For deployments that shift traffic (blue/green, linear, canary).
    pub advanced: Option<Box<AdvancedConfiguration>>,
}

/// Where tasks are registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoadBalancerTarget {
    /// The ARN of a target group.
    TargetGroup(Arc<str>),
    /// The name of a classic load balancer.
    Classic(Arc<str>),
}

/// `AdvancedConfiguration` of a load balancer: ARNs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdvancedConfiguration {
    pub alternate_target_group: Option<Arc<str>>,
    pub production_listener_rule: Option<Arc<str>>,
    pub test_listener_rule: Option<Arc<str>>,
    pub role: Option<Arc<str>>,
}

/// One of the `serviceRegistries` of a service or task set: a Cloud Map service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRegistry {
    /// Its ARN.
    pub registry: Arc<str>,
    pub port: Option<Port>,
    pub container: Option<ContainerName>,
    pub container_port: Option<Port>,
}

/// `ServiceConnectConfiguration` of a service that has it switched on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceConnect {
    /// Its name or ARN; absent for that of the cluster.
    pub namespace: Option<Arc<str>>,
    pub services: Vec<ServiceConnectService>,
    pub log: Option<ConnectLog>,
    pub access_log: Option<AccessLog>,
}

/// A port of the task that others reach by a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceConnectService {
    /// The name of a port mapping of the task definition.
    pub port_name: Arc<str>,
    pub discovery_name: Option<Arc<str>>,
    pub client_aliases: Vec<ClientAlias>,
    pub ingress_port: Option<Port>,
    pub timeout: Option<ConnectTimeout>,
    pub tls: Option<Box<ConnectTls>>,
}

/// A name and a port at which clients reach a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientAlias {
    pub port: Port,
    pub dns_name: Option<Arc<str>>,
    /// The header that sends a request to the test tasks of a deployment: its name, and its value if only one is meant.
    pub test_header: Option<(Arc<str>, Option<Arc<str>>)>,
}

/// In seconds; zero means none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectTimeout {
    pub idle_secs: Option<u32>,
    pub per_request_secs: Option<u32>,
}

/// How the traffic of a service is encrypted: ARNs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectTls {
    /// The private certificate authority.
    pub authority: Option<Arc<str>>,
    pub kms_key: Option<Arc<str>>,
    pub role: Option<Arc<str>>,
}

/// `LogConfiguration` of the proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectLog {
    pub driver: Arc<str>,
    pub options: BTreeMap<Arc<str>, Arc<str>>,
    /// Name of the option, and where its value is: no secret itself.
    pub secret_options: Vec<(Arc<str>, Arc<str>)>,
}

/// How the proxy logs requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessLog {
    pub format: AccessLogFormat,
    pub query_parameters: Option<Switch>,
}

words! {
    /// `format` of an access log.
    AccessLogFormat {
        Text = "TEXT",
        Json = "JSON",
    }
}

/// `AutoScalingGroupProvider`, defaults filled in (ecs-operations B2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutoScalingGroup {
    /// The ARN or name of the group, as it was given.
    pub group: Arc<str>,
    pub managed_scaling: ManagedScaling,
    pub managed_termination_protection: Switch,
    pub managed_draining: Switch,
}

/// Whether and how ECS sizes the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedScaling {
    pub status: Switch,
    /// The share of the instances' capacity that tasks should use, in percent: 1 to 100.
    pub target_capacity: u32,
    /// How many instances one step adds at least and at most: 1 to 10,000.
    pub minimum_step: u32,
    pub maximum_step: u32,
    /// How long a new instance takes until it counts, in seconds: 0 to 10,000.
    pub instance_warmup_secs: u32,
}

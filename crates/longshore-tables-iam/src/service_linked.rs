//! Roles that belong to a service (identity J5). They are for show: what the control plane does by itself asks no policy.

use std::sync::Arc;

use longshore_base::AccountId;
use longshore_domain::tags::Tags;
use longshore_state::Tx;

use crate::ids::{prefix, unique};
use crate::record::{Grants, Own, PolicyRef, Role, TrustPolicy};
use crate::{IamState, OwnKey};

/// A service that has a role of its own.
#[derive(Debug)]
pub struct ServiceLinked {
    /// `ecs.amazonaws.com`
    pub service: &'static str,
    pub role: &'static str,
    /// One of AWS's policies.
    pub policy: &'static str,
    /// Its role may have a suffix, so that an account has several.
    pub takes_suffix: bool,
}

/// The services that are known.
pub const SERVICE_LINKED: &[ServiceLinked] = &[
    ServiceLinked {
        service: "ecs.amazonaws.com",
        role: "AWSServiceRoleForECS",
        policy: "AmazonECSServiceRolePolicy",
        takes_suffix: false,
    },
    ServiceLinked {
        service: "ecs.application-autoscaling.amazonaws.com",
        role: "AWSServiceRoleForApplicationAutoScaling_ECSService",
        policy: "AWSApplicationAutoscalingECSServicePolicy",
        takes_suffix: false,
    },
    ServiceLinked {
        service: "elasticloadbalancing.amazonaws.com",
        role: "AWSServiceRoleForElasticLoadBalancing",
        policy: "AWSElasticLoadBalancingServiceRolePolicy",
        takes_suffix: false,
    },
    ServiceLinked {
        service: "autoscaling.amazonaws.com",
        role: "AWSServiceRoleForAutoScaling",
        policy: "AutoScalingServiceRolePolicy",
        takes_suffix: true,
    },
];

/// The one of ECS.
pub const ECS: &ServiceLinked = &SERVICE_LINKED[0];

const SESSION_SECONDS: u32 = 3600;

/// Makes the role of a service, unless the account has it. For whoever needs it: ECS's first CreateCluster.
pub fn make_if_missing(tx: &mut Tx<'_>, account: AccountId, linked: &ServiceLinked) {
    if tx.iam().realm(account).roles().taken(linked.role).is_none() {
        make(tx, account, linked, linked.role, None);
    }
}

/// Makes a role of a service under this name.
pub fn make(
    tx: &mut Tx<'_>,
    account: AccountId,
    linked: &ServiceLinked,
    name: &str,
    description: Option<Arc<str>>,
) -> Role {
    let ServiceLinked { service, policy, .. } = linked;
    let trust = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"Service":"{service}"}},"Action":"sts:AssumeRole"}}]}}"#
    );
    let role = Role {
        own: Own {
            id: unique(prefix::ROLE, tx.ids.seed()),
            name: name.into(),
            path: path(service).into(),
            created_at: tx.now,
            tags: Tags::new(),
        },
        grants: Grants { attached: [PolicyRef::Aws((*policy).into())].into(), boundary: None },
        trust: TrustPolicy::new(&trust).expect("it is written above, and services are known"),
        description,
        session_max: SESSION_SECONDS,
        service: Some((*service).into()),
        last_used: None,
    };
    tx.put::<Role>(OwnKey::new(account, &role.own.id), role.clone());
    role
}

/// The path of a service's roles.
pub fn path(service: &str) -> String {
    format!("/aws-service-role/{service}/")
}

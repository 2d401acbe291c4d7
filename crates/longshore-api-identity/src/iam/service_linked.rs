//! Roles that belong to a service (identity J5). They are for show: what the control plane does by itself asks no policy.

use longshore_base::AccountId;
use longshore_domain::tags::Tags;
use longshore_service::{Caller, Resources};
use longshore_shapes_iam::{
    DeletionTaskFailureReasonType, DeletionTaskStatusType, GetServiceLinkedRoleDeletionStatusResponse,
    InvalidInputException, NoSuchEntityException, RoleUsageType,
};
use longshore_state::{State, Tx};
use longshore_tables_ecs::EcsState;
use longshore_tables_iam::ids::{prefix, unique};
use longshore_tables_iam::record::{DeletionTask, Grants, Own, PolicyRef, Role, TrustPolicy};
use longshore_tables_iam::{IamState, OwnKey, arn};

use super::input::given;
use super::{find, shape, texts};

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

const SESSION_SECONDS: u32 = 3600;

/// Makes the role of a service, unless the account has it. For whoever needs it: ECS's first CreateCluster.
pub fn make_service_linked_role(tx: &mut Tx<'_>, account: AccountId, linked: &ServiceLinked) {
    if tx.iam().realm(account).roles().taken(linked.role).is_none() {
        make(tx, account, linked, linked.role, None);
    }
}

fn make(
    tx: &mut Tx<'_>,
    account: AccountId,
    linked: &ServiceLinked,
    name: &str,
    description: Option<&str>,
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
        description: super::roles::description(description),
        session_max: SESSION_SECONDS,
        service: Some((*service).into()),
        last_used: None,
    };
    tx.put::<Role>(OwnKey::new(account, &role.own.id), role.clone());
    role
}

fn path(service: &str) -> String {
    format!("/aws-service-role/{service}/")
}

/// The service of this name, and what its role would be called.
fn known<'a>(
    service: &str,
    suffix: Option<&str>,
) -> Result<(&'a ServiceLinked, String), InvalidInputException> {
    let found = SERVICE_LINKED.iter().find(|known| known.service == service);
    let refuse = || InvalidInputException::new(format!("{service} has no service-linked role."));
    let found = found.ok_or_else(refuse)?;
    match suffix {
        None => Ok((found, found.role.to_owned())),
        Some(suffix) if found.takes_suffix => Ok((found, format!("{}_{suffix}", found.role))),
        Some(_) => Err(InvalidInputException::new(format!("Custom suffix is not allowed for {service}"))),
    }
}

command!(
    CreateServiceLinkedRole,
    |ask, input| {
        let service = given(&input.aws_service_name);
        let name = known(service, input.custom_suffix.as_deref());
        let name = name.map_or_else(|_| "*".to_owned(), |(_, name)| name);
        ask.new_one("role", Some(&path(service)), &name).with("iam:AWSServiceName", service)
    },
    |tx, caller, input| {
        let (linked, name) = known(given(&input.aws_service_name), input.custom_suffix.as_deref())?;
        if find::realm(tx.state(), caller).roles().taken(&name).is_some() {
            let text = format!(
                "Service role name {name} has been taken in this account, please try a different suffix."
            );
            return Err(InvalidInputException::new(text).into());
        }
        let role = make(tx, caller.scope.account, linked, &name, input.description.as_deref());
        let shown = shape::listed_role(tx.state(), caller, &role);
        Ok(Self::Output { role: Some(shown) })
    }
);

command!(
    DeleteServiceLinkedRole,
    |ask, input| Resources::from(ask.role(given(&input.role_name))),
    |tx, caller, input| {
        let name = given(&input.role_name);
        let role = find::role(tx.state(), caller, name)?.clone();
        let Some(service) = role.service.clone() else {
            return Err(NoSuchEntityException::new(texts::role_not_found(name)).into());
        };
        let uuid = tx.ids.uuid();
        let task = format!("task/aws-service-role/{service}/{name}/{uuid}");
        let in_use = clusters(tx.state(), caller.scope.account, &service);
        let key = OwnKey::new(caller.scope.account, &role.own.name);
        let failure = in_use.map(|region| region.as_str().into());
        if failure.is_none() {
            tx.delete::<Role>(OwnKey::new(caller.scope.account, &role.own.id));
        }
        tx.put::<DeletionTask>(key, DeletionTask { task: task.as_str().into(), failure });
        Ok(Self::Output { deletion_task_id: Some(task) })
    }
);

/// A region in which the account has something that needs ECS's role.
fn clusters(state: &State, account: AccountId, service: &str) -> Option<String> {
    if service != SERVICE_LINKED[0].service {
        return None;
    }
    let mut realms = state.ecs().realms().filter(|(scope, _)| scope.account == account);
    let found = realms.find(|(_, realm)| {
        let mut clusters = realm.clusters();
        clusters.any(|(_, cluster)| cluster.record().is_some_and(|record| record.deleted_at.is_none()))
    });
    found.map(|(scope, _)| scope.region.to_string())
}

query!(
    GetServiceLinkedRoleDeletionStatus,
    |ask, input| {
        // `task/aws-service-role/PRINCIPAL/ROLE/UUID`
        let parts: Vec<&str> = given(&input.deletion_task_id).split('/').collect();
        match parts.as_slice() {
            ["task", "aws-service-role", service, role, _] => ask.new_one("role", Some(&path(service)), role),
            _other => ask.on_all(),
        }
    },
    |state, caller, input| {
        let id = given(&input.deletion_task_id);
        let role = id.split('/').nth(3).unwrap_or_default();
        let task = find::realm(state, caller).deletion(role).filter(|task| *task.task == *id);
        let missing = || NoSuchEntityException::new(format!("The deletion task {id} cannot be found."));
        let task = task.ok_or_else(missing)?;
        let reason = task.failure.as_ref().map(|region| failure(caller, role, region));
        let status = match reason {
            Some(_) => DeletionTaskStatusType::Failed,
            None => DeletionTaskStatusType::Succeeded,
        };
        Ok(GetServiceLinkedRoleDeletionStatusResponse { reason, status: Some(status) })
    }
);

fn failure(caller: &Caller, role: &str, region: &str) -> DeletionTaskFailureReasonType {
    let (partition, account) = (caller.scope.partition(), caller.scope.account);
    let role_arn = arn::of(partition, account, "role", &path(SERVICE_LINKED[0].service), role);
    let clusters = format!("arn:{}:ecs:{region}:{account}:cluster/*", partition.as_str());
    DeletionTaskFailureReasonType {
        reason: Some(format!("A service-linked role cannot be deleted while it is in use: {role_arn}")),
        role_usage_list: Some(vec![RoleUsageType {
            region: Some(region.to_owned()),
            resources: Some(vec![clusters]),
        }]),
    }
}

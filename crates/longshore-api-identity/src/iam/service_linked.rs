//! Roles that belong to a service (identity J5, `longshore_tables_iam::service_linked`).

use longshore_base::AccountId;
use longshore_service::{Caller, Resources};
use longshore_shapes_iam::{
    DeletionTaskFailureReasonType, DeletionTaskStatusType, GetServiceLinkedRoleDeletionStatusResponse,
    InvalidInputException, NoSuchEntityException, RoleUsageType,
};
use longshore_state::State;
use longshore_tables_ecs::EcsState;
use longshore_tables_iam::record::{DeletionTask, Role};
use longshore_tables_iam::service_linked::{ECS, SERVICE_LINKED, ServiceLinked, make, path};
use longshore_tables_iam::{OwnKey, arn};

use super::input::given;
use super::{find, shape, texts};

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
        let role = make(
            tx,
            caller.scope.account,
            linked,
            &name,
            super::roles::description(input.description.as_deref()),
        );
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
    if service != ECS.service {
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
    let role_arn = arn::of(partition, account, "role", &path(ECS.service), role);
    let clusters = format!("arn:{}:ecs:{region}:{account}:cluster/*", partition.as_str());
    DeletionTaskFailureReasonType {
        reason: Some(format!("A service-linked role cannot be deleted while it is in use: {role_arn}")),
        role_usage_list: Some(vec![RoleUsageType {
            region: Some(region.to_owned()),
            resources: Some(vec![clusters]),
        }]),
    }
}

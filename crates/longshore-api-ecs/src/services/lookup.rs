//! What services and what belongs to them have in common: finding one, counting its tasks, showing what it keeps.

use std::collections::BTreeMap;

use longshore_base::{DeploymentId, ServiceName};
use longshore_shapes_ecs::{InvalidParameterException, ServiceNotFoundException};
use longshore_tables_ecs::record::Document;
use longshore_tables_ecs::{ClusterKey, ClusterTables, ServiceEntry};
use longshore_wire::Shape;

use crate::identifiers::{self, NoMember};
use crate::{documents, texts};

/// The service that a call names, whatever its status.
pub(crate) fn find<'c, E>(
    at: &ClusterKey,
    cluster: &'c ClusterTables,
    named: &str,
) -> Result<(ServiceName, &'c ServiceEntry), E>
where
    E: From<ServiceNotFoundException> + From<InvalidParameterException>,
{
    let name = identifiers::service_name(at, named).map_err(|error| match error {
        NoMember::NotFound => E::from(ServiceNotFoundException::new(texts::SERVICE_NOT_FOUND)),
        NoMember::OtherCluster { .. } | NoMember::Malformed => {
            E::from(InvalidParameterException::new(error.to_string()))
        }
    })?;
    match cluster.service(&name) {
        Some(entry) => Ok((name, entry)),
        None => Err(ServiceNotFoundException::new(texts::SERVICE_NOT_FOUND).into()),
    }
}

/// Tasks that are not STOPPED, by the deployment that started them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    by_deployment: BTreeMap<DeploymentId, (i32, i32)>,
}

impl Counts {
    pub(crate) fn of(cluster: &ClusterTables, entry: &ServiceEntry) -> Self {
        let mut by_deployment: BTreeMap<DeploymentId, (i32, i32)> = BTreeMap::new();
        for task in entry.active().iter().filter_map(|&id| cluster.task(id)) {
            let Some(membership) = &task.origin.service else { continue };
            let (running, pending) = by_deployment.entry(membership.deployment).or_default();
            if task.last_status.is_running() {
                *running += 1;
            } else {
                *pending += 1;
            }
        }
        Self { by_deployment }
    }

    /// Running and pending tasks of one deployment.
    pub(crate) fn of_deployment(&self, id: DeploymentId) -> (i32, i32) {
        self.by_deployment.get(&id).copied().unwrap_or_default()
    }

    pub(crate) fn all(&self) -> (i32, i32) {
        self.by_deployment.values().fold((0, 0), |sum, counts| (sum.0 + counts.0, sum.1 + counts.1))
    }
}

pub(crate) fn recall<T: Shape>(document: &Option<Document>) -> Option<T> {
    document.as_ref().and_then(documents::recall)
}

pub(crate) fn number(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

//! The keys of ECS's records.

use longshore_base::{
    AccountId, ClusterName, DeploymentId, Family, InstanceId, Region, Scope, ServiceDeploymentId,
    ServiceName, TaskId,
};
use longshore_state::{KeyReader, KeyWriter, RecordKey};

/// A cluster's full name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterKey {
    pub scope: Scope,
    pub cluster: ClusterName,
}

/// A service's full name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey {
    pub cluster: ClusterKey,
    pub service: ServiceName,
}

/// A container instance's full name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceKey {
    pub cluster: ClusterKey,
    pub instance: InstanceId,
}

/// A task's full name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKey {
    /// The one that the task was started in, also if it has its place in a pool.
    pub cluster: ClusterKey,
    pub task: TaskId,
}

/// A family of task definitions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FamilyKey {
    pub scope: Scope,
    pub family: Family,
}

/// A revision of a family.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DefinitionKey {
    pub family: FamilyKey,
    pub revision: u32,
}

/// A place in the ring of a service's newest events: the number of an event, modulo how many are kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey {
    pub service: ServiceKey,
    pub slot: u8,
}

/// A deployment of a service, as ListServiceDeployments has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceDeploymentKey {
    pub service: ServiceKey,
    pub id: ServiceDeploymentId,
}

/// A revision of a service. It has the number of the deployment that made it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RevisionKey {
    pub service: ServiceKey,
    pub id: DeploymentId,
}

/// A task set of a service. Its ids are drawn as those of deployments are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskSetKey {
    pub service: ServiceKey,
    pub id: DeploymentId,
}

/// A capacity provider that a user made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProviderKey {
    pub scope: Scope,
    pub name: String,
}

/// A setting of an account, or of one of its principals.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SettingKey {
    pub scope: Scope,
    pub name: String,
    /// The ARN of a user or a role; the root's is that of the whole account.
    pub principal: String,
}

/// A RunTask call's `clientToken`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenKey {
    pub cluster: ClusterKey,
    pub token: String,
}

/// A token with which machines join a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JoinTokenKey {
    pub cluster: ClusterKey,
    pub id: String,
}

impl ClusterKey {
    pub fn new(scope: Scope, cluster: ClusterName) -> Self {
        Self { scope, cluster }
    }

    /// The Fargate pool of a region: instances that belong to no cluster and take tasks of every
    /// account. Nobody else has a cluster of this name (see [`longshore_base::FARGATE_POOL`]).
    pub fn pool(region: Region) -> Self {
        Self { scope: Scope::new(AccountId::OPERATOR, region), cluster: ClusterName::fargate_pool() }
    }

    /// The cluster of this name, or the pool; `None` if nothing can have that name.
    pub fn named(scope: Scope, cluster: &str) -> Option<Self> {
        let pool = Self::pool(scope.region.clone());
        if cluster == pool.cluster.as_str() && scope == pool.scope {
            return Some(pool);
        }
        Some(Self::new(scope, ClusterName::parse(cluster).ok()?))
    }

    pub fn is_pool(&self) -> bool {
        self.cluster.is_fargate_pool() && self.scope.account == AccountId::OPERATOR
    }

    pub fn service(&self, service: &ServiceName) -> ServiceKey {
        ServiceKey { cluster: self.clone(), service: service.clone() }
    }

    pub fn instance(&self, instance: InstanceId) -> InstanceKey {
        InstanceKey { cluster: self.clone(), instance }
    }

    pub fn task(&self, task: TaskId) -> TaskKey {
        TaskKey { cluster: self.clone(), task }
    }

    pub fn join_token(&self, id: impl Into<String>) -> JoinTokenKey {
        JoinTokenKey { cluster: self.clone(), id: id.into() }
    }

    pub fn token(&self, token: impl Into<String>) -> TokenKey {
        TokenKey { cluster: self.clone(), token: token.into() }
    }
}

impl ServiceKey {
    pub fn event(&self, slot: u8) -> EventKey {
        EventKey { service: self.clone(), slot }
    }

    pub fn deployment(&self, id: ServiceDeploymentId) -> ServiceDeploymentKey {
        ServiceDeploymentKey { service: self.clone(), id }
    }

    pub fn revision(&self, id: DeploymentId) -> RevisionKey {
        RevisionKey { service: self.clone(), id }
    }

    pub fn task_set(&self, id: DeploymentId) -> TaskSetKey {
        TaskSetKey { service: self.clone(), id }
    }
}

impl FamilyKey {
    pub fn new(scope: Scope, family: Family) -> Self {
        Self { scope, family }
    }

    pub fn revision(self, revision: u32) -> DefinitionKey {
        DefinitionKey { family: self, revision }
    }
}

impl ProviderKey {
    pub fn new(scope: Scope, name: impl Into<String>) -> Self {
        Self { scope, name: name.into() }
    }
}

impl SettingKey {
    pub fn new(scope: Scope, name: impl Into<String>, principal: impl Into<String>) -> Self {
        Self { scope, name: name.into(), principal: principal.into() }
    }
}

impl RecordKey for ClusterKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        key.scope(&self.scope);
        key.part(&self.cluster);
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        let scope = key.scope()?;
        key.parse(|cluster| Self::named(scope.clone(), cluster))
    }
}

impl RecordKey for ServiceKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        self.cluster.write(key);
        key.part(&self.service);
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        let cluster = ClusterKey::read(key)?;
        Some(Self { cluster, service: key.parse(|text| ServiceName::parse(text).ok())? })
    }
}

impl RecordKey for InstanceKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        self.cluster.write(key);
        key.part(self.instance);
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        let cluster = ClusterKey::read(key)?;
        Some(Self { cluster, instance: key.parse(|text| InstanceId::parse(text).ok())? })
    }
}

impl RecordKey for TaskKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        self.cluster.write(key);
        key.part(self.task);
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        let cluster = ClusterKey::read(key)?;
        Some(Self { cluster, task: key.parse(|text| TaskId::parse(text).ok())? })
    }
}

impl RecordKey for FamilyKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        key.scope(&self.scope);
        key.part(&self.family);
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        let scope = key.scope()?;
        Some(Self { scope, family: key.parse(|text| Family::parse(text).ok())? })
    }
}

impl RecordKey for DefinitionKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        self.family.write(key);
        // All of the same length, so that keys are in the order of revisions.
        key.part(format_args!("{:010}", self.revision));
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        let family = FamilyKey::read(key)?;
        Some(Self { family, revision: key.parse(|text| text.parse().ok())? })
    }
}

impl RecordKey for EventKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        self.service.write(key);
        key.part(format_args!("{:03}", self.slot));
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        let service = ServiceKey::read(key)?;
        Some(Self { service, slot: key.parse(|text| text.parse().ok())? })
    }
}

impl RecordKey for ServiceDeploymentKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        self.service.write(key);
        key.part(self.id);
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        let service = ServiceKey::read(key)?;
        Some(Self { service, id: key.parse(|text| ServiceDeploymentId::parse(text).ok())? })
    }
}

impl RecordKey for RevisionKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        self.service.write(key);
        key.part(self.id.digits());
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        let service = ServiceKey::read(key)?;
        Some(Self { service, id: key.parse(|text| DeploymentId::parse(text).ok())? })
    }
}

impl RecordKey for TaskSetKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        self.service.write(key);
        key.part(self.id.digits());
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        let service = ServiceKey::read(key)?;
        Some(Self { service, id: key.parse(|text| DeploymentId::parse(text).ok())? })
    }
}

impl RecordKey for ProviderKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        key.scope(&self.scope);
        key.part(&self.name);
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        Some(Self { scope: key.scope()?, name: key.part()?.into_owned() })
    }
}

impl RecordKey for SettingKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        key.scope(&self.scope);
        key.part(&self.name);
        key.part(&self.principal);
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        let scope = key.scope()?;
        Some(Self { scope, name: key.part()?.into_owned(), principal: key.part()?.into_owned() })
    }
}

impl RecordKey for TokenKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        self.cluster.write(key);
        key.part(&self.token);
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        Some(Self { cluster: ClusterKey::read(key)?, token: key.part()?.into_owned() })
    }
}

impl RecordKey for JoinTokenKey {
    fn write(&self, key: &mut KeyWriter<'_>) {
        self.cluster.write(key);
        key.part(&self.id);
    }

    fn read(key: &mut KeyReader<'_>) -> Option<Self> {
        Some(Self { cluster: ClusterKey::read(key)?, id: key.part()?.into_owned() })
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use longshore_state::record::{Record, key_len, key_text, read_key};

    use super::*;
    use crate::record;

    fn scope() -> Scope {
        Scope::new(
            AccountId::parse("000000000000").expect("digits"),
            Region::parse("eu-west-1").expect("a region"),
        )
    }

    fn reads_back<R: Record<Key: Debug>>(key: R::Key, text: &str) {
        assert_eq!(key_text::<R>(&key), text);
        assert_eq!(key_len::<R>(&key), text.len(), "{key:?}");
        assert_eq!(read_key::<R>(text), Some(key));
    }

    #[test]
    fn every_kind_of_key_reads_back() {
        let at = ClusterKey::new(scope(), ClusterName::parse("c").expect("valid"));
        let service = at.service(&ServiceName::parse("web").expect("valid"));
        let family = FamilyKey::new(scope(), Family::parse("f").expect("valid"));
        let deployment = ServiceDeploymentId::from_bits(5);
        let id = DeploymentId::from_bits(5);
        let digits = id.digits();
        let seven = "00000000000000000000000000000007";
        let place = "000000000000/eu-west-1";
        reads_back::<record::Cluster>(at.clone(), &format!("ecs/clusters/{place}/c"));
        reads_back::<record::Instance>(
            at.instance(InstanceId::from_bits(7)),
            &format!("ecs/container-instances/{place}/c/{seven}"),
        );
        reads_back::<record::FamilyCounter>(family.clone(), &format!("ecs/families/{place}/f"));
        reads_back::<record::TaskDefinition>(
            family.revision(12),
            &format!("ecs/task-definitions/{place}/f/0000000012"),
        );
        reads_back::<record::Task>(at.task(TaskId::from_bits(7)), &format!("ecs/tasks/{place}/c/{seven}"));
        reads_back::<record::Service>(service.clone(), &format!("ecs/services/{place}/c/web"));
        reads_back::<record::ServiceEvent>(
            service.event(99),
            &format!("ecs/service-events/{place}/c/web/099"),
        );
        reads_back::<record::ServiceDeployment>(
            service.deployment(deployment),
            &format!("ecs/service-deployments/{place}/c/web/{deployment}"),
        );
        reads_back::<record::ServiceRevision>(
            service.revision(id),
            &format!("ecs/service-revisions/{place}/c/web/{digits}"),
        );
        reads_back::<record::TaskSet>(service.task_set(id), &format!("ecs/task-sets/{place}/c/web/{digits}"));
        reads_back::<record::CapacityProvider>(
            ProviderKey::new(scope(), "cp"),
            &format!("ecs/capacity-providers/{place}/cp"),
        );
        reads_back::<record::AccountSetting>(
            SettingKey::new(scope(), "awsvpcTrunking", "arn:aws:iam::000000000000:user/a/b"),
            &format!("ecs/account-settings/{place}/awsvpcTrunking/arn:aws:iam::000000000000:user%2Fa%2Fb"),
        );
        reads_back::<record::Token>(at.token("a/b%"), &format!("ecs/client-tokens/{place}/c/a%2Fb%25"));
        reads_back::<record::JoinToken>(at.join_token("jt-1"), &format!("ecs/join-tokens/{place}/c/jt-1"));
        reads_back::<record::InstanceKey>(
            at.instance(InstanceId::from_bits(7)),
            &format!("ecs/instance-keys/{place}/c/{seven}"),
        );
        reads_back::<record::Instance>(
            ClusterKey::pool(scope().region).instance(InstanceId::from_bits(7)),
            &format!("ecs/container-instances/{place}/.fargate/{seven}"),
        );
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let seven = "00000000000000000000000000000007";
        for text in [
            "",
            "ecs/container-instances",
            "ecs/container-instances/",
            "ecs/container-instances/000000000000/eu-west-1/c",
            "ecs/container-instances/000000000000/eu-west-1/c/7",
            // No user has a pool, and nobody a longer key.
            &format!("ecs/container-instances/123456789012/eu-west-1/.fargate/{seven}"),
            &format!("ecs/container-instances/000000000000/eu-west-1/c/{seven}/x"),
            &format!("iam/container-instances/000000000000/eu-west-1/c/{seven}"),
        ] {
            assert_eq!(read_key::<record::Instance>(text), None, "{text}");
        }
    }
}

//! What callers call things: a short name or id, or a full ARN of either format (ecs-behaviour A3).
//!
//! An ARN of another account or region never resolves: what it names is not there.

use std::sync::Arc;

use longshore_base::{
    Arn, ArnError, ClusterName, DeploymentId, FARGATE_POOL, Family, InstanceId, Scope, ServiceName, TaskId,
};
use longshore_domain::status::ClusterStatus;
use longshore_shapes_ecs as shapes;
use longshore_shapes_ecs::{ClientException, ClusterNotFoundException, InvalidParameterException};
use longshore_state::State;
use longshore_tables_ecs::{ClusterKey, ClusterTables, EcsState, InstanceEntry, record};

use crate::{Caller, texts};

/// A cluster that a call names and that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCluster {
    #[error("{}", texts::CLUSTER_NOT_FOUND)]
    NotFound,
    #[error("{}", texts::CLUSTER_INACTIVE)]
    Inactive,
    #[error("{}", texts::ARN_INVALID)]
    Malformed,
}

/// A resource of a cluster whose name cannot mean anything in the given cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoMember {
    /// Of another account or region, or not a possible id: not there.
    #[error("not found")]
    NotFound,
    #[error("{}", texts::other_cluster(.theirs, .yours.as_str()))]
    OtherCluster { theirs: String, yours: ClusterName },
    /// An ARN that cannot be read, or of something else.
    #[error("{}", texts::ARN_INVALID)]
    Malformed,
}

impl NoMember {
    /// For operations that answer for several things at once: not being there is a failure of the
    /// one thing, an identifier that means nothing refuses the whole call.
    pub fn unless_missing(self) -> Result<(), InvalidParameterException> {
        match self {
            NoMember::NotFound => Ok(()),
            NoMember::OtherCluster { .. } | NoMember::Malformed => {
                Err(InvalidParameterException::new(self.to_string()))
            }
        }
    }

    /// For operations about one thing. `not_found` is what they say when it is not there.
    pub fn refusal(self, not_found: &str) -> InvalidParameterException {
        match self {
            NoMember::NotFound => InvalidParameterException::new(not_found),
            NoMember::OtherCluster { .. } | NoMember::Malformed => {
                InvalidParameterException::new(self.to_string())
            }
        }
    }
}

/// Splits what was looked up from what is missing. Fails as [`NoMember::unless_missing`] does.
pub fn found<T>(looked_up: Result<T, NoMember>) -> Result<Option<T>, InvalidParameterException> {
    match looked_up {
        Ok(found) => Ok(Some(found)),
        Err(error) => error.unless_missing().map(|()| None),
    }
}

/// A task definition that cannot be looked up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoDefinition {
    /// Of another account or region, or not a possible family: not there.
    #[error("not found")]
    NotFound,
    #[error("{}", texts::revision_number(.0))]
    Revision(String),
    #[error("{}", texts::ARN_INVALID)]
    Malformed,
}

/// Lets the operations that model a ClusterNotFoundException answer it.
macro_rules! with_cluster {
    ($($error:ident,)*) => {$(
        impl From<NoCluster> for shapes::$error {
            fn from(error: NoCluster) -> Self {
                match error {
                    NoCluster::NotFound | NoCluster::Inactive => {
                        ClusterNotFoundException::new(error.to_string()).into()
                    }
                    NoCluster::Malformed => InvalidParameterException::new(error.to_string()).into(),
                }
            }
        }
    )*};
}

with_cluster! {
    CreateCapacityProviderError, CreateServiceError, CreateTaskSetError, DeleteAttributesError,
    DeleteCapacityProviderError, DeleteClusterError, DeleteServiceError, DeleteTaskSetError,
    DeregisterContainerInstanceError, DescribeCapacityProvidersError, DescribeContainerInstancesError,
    DescribeServiceDeploymentsError, DescribeServiceRevisionsError, DescribeServicesError,
    DescribeTaskSetsError, DescribeTasksError, ExecuteCommandError, GetTaskProtectionError,
    ListAttributesError, ListContainerInstancesError, ListServiceDeploymentsError, ListServicesError,
    ListTagsForResourceError, ListTasksError, PutAttributesError, PutClusterCapacityProvidersError,
    RunTaskError, StartTaskError, StopTaskError, SubmitAttachmentStateChangesError,
    SubmitContainerStateChangeError, SubmitTaskStateChangeError, TagResourceError, UntagResourceError,
    UpdateCapacityProviderError, UpdateClusterError, UpdateClusterSettingsError, UpdateContainerAgentError,
    UpdateContainerInstancesStateError, UpdateServiceError, UpdateServicePrimaryTaskSetError,
    UpdateTaskProtectionError, UpdateTaskSetError,
}

/// An agent looks for the text of this one, and exits cleanly only with this code (agent-protocol G3).
impl From<NoCluster> for shapes::RegisterContainerInstanceError {
    fn from(error: NoCluster) -> Self {
        match error {
            NoCluster::NotFound | NoCluster::Inactive => {
                ClientException::new(texts::CLUSTER_NOT_FOUND).into()
            }
            NoCluster::Malformed => InvalidParameterException::new(error.to_string()).into(),
        }
    }
}

/// The name in a short name or an ARN of a cluster; absent means `default`.
pub fn cluster_name(scope: &Scope, named: Option<&str>) -> Result<ClusterName, NoCluster> {
    let Some(named) = named else { return Ok(ClusterName::default_cluster()) };
    let name = if Arn::looks_like_one(named) {
        let arn = Arn::parse(named).map_err(|_: ArnError| NoCluster::Malformed)?;
        match arn.kind {
            "cluster" if arn.scope == *scope => arn.rest,
            "cluster" => return Err(NoCluster::NotFound),
            _ => return Err(NoCluster::Malformed),
        }
    } else {
        named
    };
    ClusterName::parse(name).map_err(|_| NoCluster::NotFound)
}

/// The key of the cluster that a call names, whether there is one or not.
pub fn cluster_key(caller: &Caller, named: Option<&str>) -> Result<ClusterKey, NoCluster> {
    Ok(ClusterKey::new(caller.scope.clone(), cluster_name(&caller.scope, named)?))
}

/// The cluster that a call names, if it is in use.
pub fn cluster<'s>(
    state: &'s State,
    caller: &Caller,
    named: Option<&str>,
) -> Result<(ClusterKey, &'s ClusterTables), NoCluster> {
    let at = cluster_key(caller, named)?;
    let tables = in_use(state, &at)?;
    Ok((at, tables))
}

/// The tables of a cluster that is in use.
pub fn in_use<'s>(state: &'s State, at: &ClusterKey) -> Result<&'s ClusterTables, NoCluster> {
    let tables = state.ecs().cluster(at).ok_or(NoCluster::NotFound)?;
    let record = tables.record().ok_or(NoCluster::NotFound)?;
    match record.status {
        ClusterStatus::Provisioning
        | ClusterStatus::Active
        | ClusterStatus::Deprovisioning
        | ClusterStatus::Failed => Ok(tables),
        ClusterStatus::Inactive => Err(NoCluster::Inactive),
    }
}

/// The Fargate pool that a call means instead of a cluster: `.fargate`, or its ARN, from the operator.
/// To everybody else there is no such name.
pub fn pool(caller: &Caller, named: Option<&str>) -> Option<ClusterKey> {
    let at = ClusterKey::pool(caller.scope.region.clone());
    let named = named.filter(|_| caller.scope == at.scope)?;
    let arn = Arn::parse(named).ok();
    let is_arn =
        || arn.is_some_and(|arn| arn.kind == "cluster" && arn.scope == at.scope && arn.rest == FARGATE_POOL);
    (named == FARGATE_POOL || is_arn()).then_some(at)
}

/// What a call on container instances names: a cluster in use, or the pool once it has had an instance.
pub fn host<'s>(
    state: &'s State,
    caller: &Caller,
    named: Option<&str>,
) -> Result<(ClusterKey, &'s ClusterTables), NoCluster> {
    match pool(caller, named) {
        Some(at) => state.ecs().pool(&at.scope.region).map(|tables| (at, tables)).ok_or(NoCluster::NotFound),
        None => cluster(state, caller, named),
    }
}

/// The last part of a short id or an ARN of something that lives in the cluster `at`. `kind` is the
/// ARN's type: `task`, `container-instance`, `service`.
pub fn member<'n>(at: &ClusterKey, kind: &str, named: &'n str) -> Result<&'n str, NoMember> {
    if !Arn::looks_like_one(named) {
        return Ok(named);
    }
    let arn = Arn::parse(named).map_err(|_: ArnError| NoMember::Malformed)?;
    if arn.kind != kind {
        return Err(NoMember::Malformed);
    }
    if arn.scope != at.scope {
        return Err(NoMember::NotFound);
    }
    match arn.rest.split_once('/') {
        Some((theirs, _)) if theirs != at.cluster.as_str() => {
            Err(NoMember::OtherCluster { theirs: theirs.to_owned(), yours: at.cluster.clone() })
        }
        Some((_, id)) => Ok(id),
        // The old format does not name the cluster.
        None => Ok(arn.rest),
    }
}

pub fn task_id(at: &ClusterKey, named: &str) -> Result<TaskId, NoMember> {
    TaskId::parse(member(at, "task", named)?).map_err(|_| NoMember::NotFound)
}

pub fn instance_id(at: &ClusterKey, named: &str) -> Result<InstanceId, NoMember> {
    InstanceId::parse(member(at, "container-instance", named)?).map_err(|_| NoMember::NotFound)
}

pub fn service_name(at: &ClusterKey, named: &str) -> Result<ServiceName, NoMember> {
    ServiceName::parse(member(at, "service", named)?).map_err(|_| NoMember::NotFound)
}

/// A task set of the service, named by its id or by its ARN, which names the service as well.
pub fn task_set_id(at: &ClusterKey, service: &ServiceName, named: &str) -> Result<DeploymentId, NoMember> {
    let rest = member(at, "task-set", named)?;
    let id = if Arn::looks_like_one(named) {
        let (theirs, id) = rest.split_once('/').ok_or(NoMember::Malformed)?;
        if theirs != service.as_str() {
            return Err(NoMember::NotFound);
        }
        id
    } else {
        rest
    };
    DeploymentId::parse(id).map_err(|_| NoMember::NotFound)
}

/// The container instance that a call names, whatever its status.
pub fn instance<'s>(
    at: &ClusterKey,
    cluster: &'s ClusterTables,
    named: &str,
) -> Result<&'s InstanceEntry, NoMember> {
    cluster.instance(instance_id(at, named)?).ok_or(NoMember::NotFound)
}

/// The ARN that something of that name would have; what is an ARN already stays as it is.
pub fn would_be_arn(at: &ClusterKey, kind: &str, named: &str) -> String {
    if Arn::looks_like_one(named) {
        return named.to_owned();
    }
    let Scope { account, region } = &at.scope;
    format!("arn:{}:ecs:{region}:{account}:{kind}/{}/{named}", at.scope.partition().as_str(), at.cluster)
}

/// A task definition as it is named: `family` (its latest ACTIVE revision is meant) or
/// `family:revision`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionName {
    pub family: Family,
    pub revision: Option<u32>,
}

/// Reads a family, a family with a revision, or an ARN with or without one.
pub fn definition_name(scope: &Scope, named: &str) -> Result<DefinitionName, NoDefinition> {
    let name = if Arn::looks_like_one(named) {
        let arn = Arn::parse(named).map_err(|_: ArnError| NoDefinition::Malformed)?;
        match arn.kind {
            "task-definition" if arn.scope == *scope => arn.rest,
            "task-definition" => return Err(NoDefinition::NotFound),
            _ => return Err(NoDefinition::Malformed),
        }
    } else {
        named
    };
    let (family, revision) = match name.split_once(':') {
        Some((family, revision)) => (family, Some(revision)),
        None => (name, None),
    };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse().ok().filter(|&number: &u32| digits && number > 0);
        number.ok_or_else(|| NoDefinition::Revision(text.chars().take(64).collect()))
    };
    let revision = revision.map(number).transpose()?;
    let family = Family::parse(family).map_err(|_| NoDefinition::NotFound)?;
    Ok(DefinitionName { family, revision })
}

/// The revision that a name means: without a number, the highest ACTIVE one.
pub fn definition<'s>(
    state: &'s State,
    scope: &Scope,
    named: &str,
) -> Result<&'s Arc<record::TaskDefinition>, NoDefinition> {
    let name = definition_name(scope, named)?;
    let family = state.ecs().realm(scope).and_then(|realm| realm.family(name.family.as_str()));
    let definition = family.and_then(|family| match name.revision {
        Some(revision) => family.revisions().get(&revision),
        None => family.latest_active(),
    });
    definition.ok_or(NoDefinition::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_base::{AccountId, Region};

    fn at() -> ClusterKey {
        let account = AccountId::parse("123456789012").expect("an account");
        let scope = Scope::new(account, Region::parse("eu-west-1").expect("a region"));
        ClusterKey::new(scope, ClusterName::parse("c").expect("valid"))
    }

    #[test]
    fn clusters_are_named_shortly_or_in_full() {
        let name = |named| cluster_name(&at().scope, named).map(|name| name.to_string());
        assert_eq!(name(None).as_deref(), Ok("default"));
        assert_eq!(name(Some("web")).as_deref(), Ok("web"));
        assert_eq!(name(Some("arn:aws:ecs:eu-west-1:123456789012:cluster/web")).as_deref(), Ok("web"));
        for elsewhere in [
            "arn:aws:ecs:eu-west-2:123456789012:cluster/web",
            "arn:aws:ecs:eu-west-1:000000000000:cluster/web",
            "no such name",
            "",
        ] {
            assert_eq!(name(Some(elsewhere)), Err(NoCluster::NotFound), "{elsewhere}");
        }
        for bad in ["arn:aws:ecs:web", "arn:aws:s3:::web", "arn:aws:ecs:eu-west-1:123456789012:task/web/1"] {
            assert_eq!(name(Some(bad)), Err(NoCluster::Malformed), "{bad}");
        }
    }

    #[test]
    fn only_the_operator_can_name_the_pool() {
        let region = Region::parse("eu-west-1").expect("a region");
        let named = |account: &str, named: &str| {
            let account = AccountId::parse(account).expect("an account");
            pool(&Caller::new(Scope::new(account, region.clone()), "arn"), Some(named))
        };
        let key = ClusterKey::pool(region.clone());
        let own = Some(key.clone());
        assert_eq!(named("000000000000", ".fargate"), own);
        assert_eq!(named("000000000000", "arn:aws:ecs:eu-west-1:000000000000:cluster/.fargate"), own);
        assert_eq!(named("000000000000", "arn:aws:ecs:eu-west-2:000000000000:cluster/.fargate"), None);
        assert_eq!(named("000000000000", "fargate"), None);
        assert_eq!(named("123456789012", ".fargate"), None);
        assert_eq!(named("123456789012", "arn:aws:ecs:eu-west-1:000000000000:cluster/.fargate"), None);
        assert_eq!(cluster_name(&key.scope, Some(".fargate")), Err(NoCluster::NotFound));
    }

    #[test]
    fn members_belong_to_their_cluster() {
        let id = "0123456789abcdef0123456789abcdef";
        let arn = |rest: &str| format!("arn:aws:ecs:eu-west-1:123456789012:{rest}");
        let bits = TaskId::parse(id).expect("an id");
        for same in [id.to_owned(), arn(&format!("task/c/{id}")), arn(&format!("task/{}", bits.uuid()))] {
            assert_eq!(task_id(&at(), &same), Ok(bits), "{same}");
        }
        let other = task_id(&at(), &arn(&format!("task/d/{id}"))).expect_err("another cluster");
        assert_eq!(other.to_string(), "Identifier is for cluster d. Your cluster is c");
        assert_eq!(task_id(&at(), &arn(&format!("service/c/{id}"))), Err(NoMember::Malformed));
        assert_eq!(task_id(&at(), "web"), Err(NoMember::NotFound));
        let elsewhere = format!("arn:aws:ecs:eu-west-1:000000000000:task/c/{id}");
        assert_eq!(task_id(&at(), &elsewhere), Err(NoMember::NotFound));
    }

    #[test]
    fn definitions_are_named_with_or_without_a_revision() {
        let read = |named: &str| {
            definition_name(&at().scope, named).map(|name| (name.family.to_string(), name.revision))
        };
        let arn = |rest: &str| format!("arn:aws:ecs:eu-west-1:123456789012:task-definition/{rest}");
        assert_eq!(read("web"), Ok(("web".into(), None)));
        assert_eq!(read("web:7"), Ok(("web".into(), Some(7))));
        assert_eq!(read(&arn("web:7")), Ok(("web".into(), Some(7))));
        assert_eq!(read(&arn("web")), Ok(("web".into(), None)));
        for (bad, number) in
            [("web:foo", "foo"), ("web:0", "0"), ("web:+1", "+1"), ("web:", ""), ("a:1:2", "1:2")]
        {
            assert_eq!(read(bad), Err(NoDefinition::Revision(number.into())), "{bad}");
        }
        assert_eq!(read("no such"), Err(NoDefinition::NotFound));
        assert_eq!(read("arn:aws:ecs:eu-west-1:123456789012:cluster/web"), Err(NoDefinition::Malformed));
    }
}

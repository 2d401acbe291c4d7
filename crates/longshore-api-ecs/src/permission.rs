//! What a caller needs permission for, per operation (identity J7).
//!
//! [`of`] an operation gives its questions. A resource is named as policies name it, whether it is there or not: by its long
//! ARN, however the call spells it, because a policy that denies `task/prod/*` means a task of that cluster also where a
//! client writes the old format or an id alone. What cannot be one of the caller's is asked about as it was given.

use std::borrow::Cow;

use longshore_base::{Arn, ArnFormat, DeploymentId, InstanceId, Scope, TaskId};
use longshore_domain::tags::Tags;
use longshore_service::{Access, Resources};
use longshore_shapes_ecs::{
    CapacityProviderStrategyItem, NetworkConfiguration, PropagateTags, SettingName, TaskDefinition,
    TaskOverride,
};
use longshore_state::State;
use longshore_tables_ecs::{ClusterKey, EcsState};
use longshore_wire::OperationShape;

use crate::{Caller, documents, identifiers, settings_in_force, tagged};

/// Whom a task's roles are handed to.
pub(crate) const TASKS: &str = "ecs-tasks.amazonaws.com";
/// Whom a service's role is handed to.
pub(crate) const ECS: &str = "ecs.amazonaws.com";

/// The questions of one call.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub state: &'a State,
    pub caller: &'a Caller,
    operation: &'static str,
}

/// The questions of a call of the operation `O`.
pub(crate) fn of<'a, O: OperationShape>(state: &'a State, caller: &'a Caller) -> Ask<'a> {
    Ask { state, caller, operation: O::NAME }
}

/// What whoever is shown a member of a cluster in other words has to be allowed: the same as for `operation`. `kind` is
/// `task`, `service` or `container-instance`.
pub fn to_see(
    state: &State,
    caller: &Caller,
    operation: &'static str,
    cluster: Option<&str>,
    kind: &str,
    named: &str,
) -> Resources {
    Ask { state, caller, operation }.on_members(cluster, kind, [named])
}

/// The question whether the caller may do `action` to what an ARN names, with what every operation says of it: its tags, and
/// the cluster that it is in. What only one operation knows, as who asks for a public address, is not among it.
pub fn question(state: &State, caller: &Caller, action: &str, arn: &str) -> Access {
    let ask = Ask { state, caller, operation: "" };
    if !Arn::looks_like_one(arn) {
        return ask.question(action.to_owned(), arn.to_owned());
    }
    let arn = canonical(state, caller, arn);
    let resource = arn.splitn(6, ':').nth(5).unwrap_or_default();
    let mut parts = resource.split('/');
    let (kind, cluster, more) = (parts.next(), parts.next(), parts.next());
    let is_member =
        matches!(kind, Some("task" | "service" | "container-instance" | "task-set")) && more.is_some();
    let cluster = cluster.filter(|_| is_member).map(|name| cluster_arn(caller, Some(name)));
    let access = ask.question(action.to_owned(), arn);
    match cluster {
        Some(cluster) => access.with("ecs:cluster", cluster),
        None => access,
    }
}

impl Ask<'_> {
    /// An action that has no resource.
    pub fn on_all(self) -> Resources {
        self.on("*".to_owned()).into()
    }

    pub fn on_cluster(self, named: Option<&str>) -> Resources {
        self.on(cluster_arn(self.caller, named)).into()
    }

    /// On what belongs to a cluster: `kind` is `task`, `service` or `container-instance`. If nothing is named, on all of them.
    pub fn on_members<'n>(
        self,
        cluster: Option<&str>,
        kind: &str,
        named: impl IntoIterator<Item = &'n str>,
    ) -> Resources {
        let named: Vec<&str> = named.into_iter().collect();
        let named = if named.is_empty() { vec!["*"] } else { named };
        let on = |named: &str| self.on(member_arn(self.caller, cluster, kind, named));
        named.into_iter().map(on).collect::<Resources>().in_cluster(self.caller, cluster)
    }

    /// On task sets of a service. If none is named, on all of them.
    pub fn on_task_sets<'n>(
        self,
        cluster: Option<&str>,
        service: Option<&str>,
        named: impl IntoIterator<Item = &'n str>,
    ) -> Resources {
        let service_arn = member_arn(self.caller, cluster, "service", service.unwrap_or_default());
        let own = service_arn.rsplit('/').next().unwrap_or_default().to_owned();
        let named: Vec<&str> = named.into_iter().collect();
        let named = if named.is_empty() { vec!["*"] } else { named };
        let on = |named: &str| {
            let named =
                if Arn::looks_like_one(named) { Cow::from(named) } else { format!("{own}/{named}").into() };
            self.on(member_arn(self.caller, cluster, "task-set", &named))
                .with("ecs:service", service_arn.clone())
        };
        named.into_iter().map(on).collect::<Resources>().in_cluster(self.caller, cluster)
    }

    /// On whatever the ARNs name. Not a single one: on everything.
    pub fn on_arns<'n>(self, arns: impl IntoIterator<Item = &'n str>) -> Resources {
        let all: Resources =
            arns.into_iter().map(|arn| self.on(canonical(self.state, self.caller, arn))).collect();
        if all.is_empty() { self.on_all() } else { all }
    }

    /// On capacity providers by their names or ARNs. Not a single one: on all of them.
    pub fn on_providers<'n>(self, named: impl IntoIterator<Item = &'n str>) -> Resources {
        let arn = |named: &str| provider_arn(self.caller, named);
        let all: Resources = named.into_iter().map(|named| self.on(arn(named))).collect();
        if all.is_empty() { self.on(arn("*")).into() } else { all }
    }

    /// On revisions of task definitions. A family without a revision means its latest ACTIVE one.
    pub fn on_definitions<'n>(self, named: impl IntoIterator<Item = &'n str>) -> Resources {
        let on = |named: &str| self.on(definition_arn(self.state, self.caller, named));
        named.into_iter().map(on).collect()
    }

    /// One question: the caller does the operation to `resource`.
    pub fn on(self, resource: String) -> Access {
        self.question(format!("ecs:{}", self.operation), resource)
    }

    fn question(self, action: String, resource: String) -> Access {
        let own = tagged::of(self.state, self.caller, &resource);
        let mut access = Access::new(action, resource, self.caller);
        if self.caller.instance().is_some()
            && instance_of_task(self.state, &access.resource).as_deref() == Some(&*self.caller.principal)
        {
            access = at_instance(access, self.caller.principal.to_string());
        }
        for (key, value) in own.iter().flat_map(|own| own.iter()) {
            access = access
                .with(format!("aws:ResourceTag/{key}"), value.clone())
                .with(format!("ecs:ResourceTag/{key}"), value.clone());
        }
        access
    }

    /// Where a call is an agent's for its instance, and its question is about something else: whoever calls with an
    /// instance's own key is asked about that instance (decision 50). `None`: it cannot be said for which.
    pub fn for_instance(self, resources: Resources, instance: impl FnOnce() -> Option<String>) -> Resources {
        if self.caller.instance().is_none() {
            return resources;
        }
        match instance() {
            Some(instance) => resources.map(|access| at_instance(access, instance.clone())),
            None => resources,
        }
    }

    /// A call that makes something with tags needs permission to tag it as well, unless the account has said that it
    /// does not (ecs-behaviour A9, `tagResourceAuthorization`). `made` is the ARN of what is made.
    pub fn tagging(self, resources: Resources, given: &Tags, made: &str) -> Resources {
        if given.is_empty() {
            return resources;
        }
        let resources = resources.map(|access| with_request_tags(access, given));
        let setting = SettingName::TagResourceAuthorization;
        if *settings_in_force::effective(self.state, self.caller, &setting) == *"off" {
            return resources;
        }
        let tag = self.question("ecs:TagResource".to_owned(), made.to_owned());
        resources.and([with_request_tags(tag, given).with("ecs:CreateAction", self.operation)])
    }
}

/// The same question about an instance. A denial names what the call named.
fn at_instance(access: Access, instance: String) -> Access {
    let shown = access.shown.or(Some(access.resource));
    Access { resource: instance, shown, ..access }
}

/// The ARN, in the long format, of the instance that a task has its place on.
fn instance_of_task(state: &State, task: &str) -> Option<String> {
    let arn = Arn::parse(task).ok().filter(|arn| arn.kind == "task")?;
    let (cluster, id) = arn.rest.split_once('/')?;
    let home = ClusterKey::named(arn.scope, cluster)?;
    let task = state.ecs().task(&home, TaskId::parse(id).ok()?)?;
    let host = if task.is_pooled() { ClusterKey::pool(home.scope.region.clone()) } else { home };
    Some(instance_arn(&host, task.instance?))
}

/// How questions and keys name an instance, whatever format its ARN has.
pub(crate) fn instance_arn(at: &ClusterKey, id: InstanceId) -> String {
    at.scope.instance_arn(&at.cluster, id, ArnFormat::Long)
}

/// What is said of every question of a call.
pub(crate) trait Keys: Sized {
    fn key(self, key: &'static str, value: impl Into<String>) -> Self;

    fn maybe(self, key: &'static str, value: Option<impl Into<String>>) -> Self;

    fn list(self, key: &'static str, values: impl IntoIterator<Item = String>) -> Self;

    fn in_cluster(self, caller: &Caller, named: Option<&str>) -> Self;

    fn providers(self, caller: &Caller, strategy: Option<&[CapacityProviderStrategyItem]>) -> Self;

    fn network(self, configuration: Option<&NetworkConfiguration>) -> Self;
}

impl Keys for Resources {
    fn key(self, key: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        self.map(|access| access.with(key, value.clone()))
    }

    fn maybe(self, key: &'static str, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.key(key, value),
            None => self,
        }
    }

    fn list(self, key: &'static str, values: impl IntoIterator<Item = String>) -> Self {
        let values: Vec<String> = values.into_iter().collect();
        self.map(|access| access.with_all(key, values.clone()))
    }

    fn in_cluster(self, caller: &Caller, named: Option<&str>) -> Self {
        self.key("ecs:cluster", cluster_arn(caller, named))
    }

    fn providers(self, caller: &Caller, strategy: Option<&[CapacityProviderStrategyItem]>) -> Self {
        let Some(strategy) = strategy else { return self };
        let names = strategy.iter().filter_map(|item| item.capacity_provider.as_deref());
        self.list("ecs:capacity-provider", names.map(|name| provider_arn(caller, name)))
    }

    fn network(self, configuration: Option<&NetworkConfiguration>) -> Self {
        let Some(awsvpc) = configuration.and_then(|given| given.awsvpc_configuration.as_ref()) else {
            return self;
        };
        let public = awsvpc.assign_public_ip.as_ref().map(|word| (word.as_str() == "ENABLED").to_string());
        self.list("ecs:subnet", awsvpc.subnets.clone().unwrap_or_default())
            .maybe("ecs:auto-assign-public-ip", public)
    }
}

/// A truth as a policy compares it.
pub(crate) fn bool(given: Option<bool>) -> Option<String> {
    given.map(|given| given.to_string())
}

/// Whether a list has anything in it, where it is given.
pub(crate) fn some<T>(given: Option<&[T]>) -> Option<String> {
    given.map(|list| (!list.is_empty()).to_string())
}

/// The ARNs of providers that are named one after the other.
pub(crate) fn providers_named<'n>(
    caller: &'n Caller,
    named: Option<&'n [String]>,
) -> impl Iterator<Item = String> + 'n {
    named.unwrap_or_default().iter().map(|name| provider_arn(caller, name))
}

pub(crate) fn propagate(given: Option<&PropagateTags>) -> Option<String> {
    given.map(|given| given.as_str().to_owned())
}

/// Handing roles to the service `to`, which then acts as them. An absent or empty role is none.
pub(crate) fn pass_roles<'r>(
    caller: &Caller,
    to: &'static str,
    roles: impl IntoIterator<Item = Option<&'r str>>,
) -> impl Iterator<Item = Access> {
    let mut arns: Vec<String> = Vec::new();
    for role in roles.into_iter().flatten().filter(|role| !role.is_empty()) {
        let Scope { account, .. } = &caller.scope;
        let partition = caller.scope.partition().as_str();
        let arn = if Arn::looks_like_one(role) {
            role.to_owned()
        } else {
            format!("arn:{partition}:iam::{account}:role/{role}")
        };
        if !arns.contains(&arn) {
            arns.push(arn);
        }
    }
    arns.into_iter().map(move |arn| Access::new("iam:PassRole", arn, caller).with("iam:PassedToService", to))
}

/// Handing over the roles that a task definition names, which everything that starts tasks from it does.
pub(crate) fn pass_task_roles(ask: Ask<'_>, named: &str) -> Vec<Access> {
    pass_run_roles(ask, named, None)
}

/// The same where a call may replace them.
pub(crate) fn pass_run_roles(ask: Ask<'_>, named: &str, overrides: Option<&TaskOverride>) -> Vec<Access> {
    let Ask { state, caller, .. } = ask;
    let definition = identifiers::definition(state, &caller.scope, named).ok();
    let document: Option<TaskDefinition> = definition.and_then(|own| documents::recall(own.document()));
    let (task, execution) = match &document {
        Some(own) => (own.task_role_arn.as_deref(), own.execution_role_arn.as_deref()),
        None => (None, None),
    };
    let replaced =
        |of: fn(&TaskOverride) -> Option<&str>| overrides.and_then(of).filter(|role| !role.is_empty());
    let roles = [
        replaced(|own| own.task_role_arn.as_deref()).or(task),
        replaced(|own| own.execution_role_arn.as_deref()).or(execution),
    ];
    pass_roles(caller, TASKS, roles).collect()
}

/// The request's own tags, as conditions compare them.
pub(crate) fn with_request_tags(access: Access, given: &Tags) -> Access {
    let access = given
        .iter()
        .fold(access, |access, (key, value)| access.with(format!("aws:RequestTag/{key}"), value.clone()));
    access.with_all("aws:TagKeys", given.keys().cloned())
}

pub(crate) fn arn(caller: &Caller, kind: &str, rest: &str) -> String {
    let Scope { account, region } = &caller.scope;
    format!("arn:{}:ecs:{region}:{account}:{kind}/{rest}", caller.scope.partition().as_str())
}

/// The name of the cluster that a call names, or the ARN of one that is not the caller's.
fn cluster_named<'n>(caller: &Caller, named: Option<&'n str>) -> Result<&'n str, &'n str> {
    let Some(named) = named else { return Ok("default") };
    if !Arn::looks_like_one(named) {
        return Ok(named);
    }
    match Arn::parse(named) {
        Ok(arn) if arn.kind == "cluster" && arn.scope == caller.scope => Ok(arn.rest),
        Ok(_) | Err(_) => Err(named),
    }
}

pub(crate) fn cluster_arn(caller: &Caller, named: Option<&str>) -> String {
    match cluster_named(caller, named) {
        Ok(name) => arn(caller, "cluster", name),
        Err(elsewhere) => elsewhere.to_owned(),
    }
}

/// The long ARN of what a call names in a cluster.
pub(crate) fn member_arn(caller: &Caller, cluster: Option<&str>, kind: &str, named: &str) -> String {
    let within = |rest: &str| {
        let cluster = cluster_named(caller, cluster).unwrap_or("*");
        arn(caller, kind, &format!("{cluster}/{}", canonical_id(kind, rest)))
    };
    if !Arn::looks_like_one(named) {
        return within(named);
    }
    match Arn::parse(named) {
        Ok(parsed) if parsed.kind == kind && parsed.scope == caller.scope => {
            match parsed.rest.split_once('/') {
                Some((cluster, id)) => arn(caller, kind, &format!("{cluster}/{}", canonical_id(kind, id))),
                // The old format does not name the cluster.
                None => within(parsed.rest),
            }
        }
        Ok(_) | Err(_) => named.to_owned(),
    }
}

/// An ARN with its id in the one spelling that ARNs have.
fn canonical(state: &State, caller: &Caller, named: &str) -> String {
    match Arn::parse(named) {
        Ok(parsed) if parsed.kind == "task-definition" => definition_arn(state, caller, named),
        Ok(parsed) if parsed.scope == caller.scope => match parsed.rest.split_once('/') {
            Some((cluster, id)) => {
                arn(caller, parsed.kind, &format!("{cluster}/{}", canonical_id(parsed.kind, id)))
            }
            None => arn(caller, parsed.kind, parsed.rest),
        },
        Ok(_) | Err(_) => named.to_owned(),
    }
}

/// What stands behind the cluster, with its id as ARNs have it: those of tasks and instances may be spelt as UUIDs, those of
/// task sets and revisions with a prefix or without.
fn canonical_id<'n>(kind: &str, rest: &'n str) -> Cow<'n, str> {
    let of_service = |id: fn(DeploymentId) -> String| {
        let (service, given) = rest.split_once('/')?;
        Some(format!("{service}/{}", id(DeploymentId::parse(given).ok()?)))
    };
    let spelt = match kind {
        "task" => TaskId::parse(rest).ok().map(|id| id.to_string()),
        "container-instance" => InstanceId::parse(rest).ok().map(|id| id.to_string()),
        "task-set" => of_service(|id| id.to_string()),
        "service-revision" => of_service(|id| id.digits().to_string()),
        _ => None,
    };
    spelt.map_or(Cow::from(rest), Cow::from)
}

/// The ARN of a set of a service, which the set's id alone does not say.
pub(crate) fn task_set_arn(
    caller: &Caller,
    cluster: Option<&str>,
    service: Option<&str>,
    id: &str,
) -> String {
    let service = member_arn(caller, cluster, "service", service.unwrap_or_default());
    let service = service.rsplit('/').next().unwrap_or_default();
    member_arn(caller, cluster, "task-set", &format!("{service}/{id}"))
}

pub(crate) fn provider_arn(caller: &Caller, named: &str) -> String {
    let kind = "capacity-provider";
    if !Arn::looks_like_one(named) {
        return arn(caller, kind, named);
    }
    match Arn::parse(named) {
        Ok(parsed) if parsed.kind == kind && parsed.scope == caller.scope => arn(caller, kind, parsed.rest),
        Ok(_) | Err(_) => named.to_owned(),
    }
}

/// The ARN of the revision that is meant; of any (`family:*`) where that cannot be said.
pub(crate) fn definition_arn(state: &State, caller: &Caller, named: &str) -> String {
    match identifiers::definition(state, &caller.scope, named) {
        Ok(definition) => caller.scope.task_definition_arn(&definition.family, definition.revision),
        Err(_) if Arn::looks_like_one(named) => named.to_owned(),
        Err(_) if named.contains(':') => arn(caller, "task-definition", named),
        Err(_) => arn(caller, "task-definition", &format!("{named}:*")),
    }
}

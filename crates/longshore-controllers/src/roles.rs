//! The roles of tasks: whether ECS may assume them, and the credentials that agents are sent (identity J8).
//!
//! Nothing of this is stored. Credentials are made of the state when a message is: a task's payload has the first ones, and
//! each connection renews those of its tasks ([`crate::connection::CommandChannel`]). They live for twice as long as it
//! takes to renew them, and end with their task. The id in the URL at which containers fetch them follows from the task, so
//! that it is the same each time.

use std::sync::Arc;
use std::time::Duration;

use longshore_base::{AccountId, ClusterName, Region, Scope, Seed, TaskId, Timestamp};
use longshore_domain::TaskStatus;
use longshore_keyring::{KeyringError, Sealing};
use longshore_link::message::{RoleCredentials, RoleType};
use longshore_policy::{Asker, Context, whole_seconds};
use longshore_shapes_ecs as shapes;
use longshore_state::State;
use longshore_tables_ecs::record::{self, Task};
use longshore_tables_ecs::{ClusterKey, EcsState};
use longshore_tables_iam::arn::{self, IamArn};
use longshore_tables_iam::record::Role;
use longshore_tables_iam::session::{self, Of, Session, TaskRef};
use longshore_tables_iam::{IamState, trust};
use longshore_wire::json;

/// How long a task's credentials are worth something (identity J8).
pub const LIFE: Duration = Duration::from_secs(6 * 3600);

/// Who assumes the roles of tasks.
const SERVICE: &str = "ecs-tasks.amazonaws.com";

/// A role that a task would run with and ECS may not assume: there is none of this ARN, or it does not trust the service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "ECS was unable to assume the role '{0}' that was provided for this task. Please verify that the role being passed has \
     the proper trust relationship and permissions and that your IAM user has permissions to pass this role."
)]
pub struct CannotAssume(pub Box<str>);

/// The roles of one task: ARNs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    pub task: Option<Box<str>>,
    pub execution: Option<Box<str>>,
}

impl Roles {
    /// Of a definition and what a call overrides.
    pub fn of(definition: &record::TaskDefinition, origin: &record::Origin) -> Self {
        let spec = definition.spec();
        let own: Option<shapes::TaskOverride> = match &origin.overrides {
            // Written by this program, from a shape.
            Some(text) if text.contains("RoleArn") => json::from_slice(text.as_bytes()).ok(),
            Some(_) | None => None,
        };
        let own = own.unwrap_or_default();
        let given = |own: Option<String>, spec: &Option<Box<str>>| match own {
            Some(arn) if !arn.is_empty() => Some(arn.into()),
            Some(_) | None => spec.clone(),
        };
        Self {
            task: given(own.task_role_arn, &spec.task_role),
            execution: given(own.execution_role_arn, &spec.execution_role),
        }
    }

    fn iter(&self) -> impl Iterator<Item = (RoleType, &str)> {
        let task = self.task.as_deref().map(|arn| (RoleType::TaskApplication, arn));
        task.into_iter().chain(self.execution.as_deref().map(|arn| (RoleType::TaskExecution, arn)))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.iter().count()
    }

    /// Whether ECS may assume them for tasks of this cluster.
    ///
    /// # Errors
    /// With the first that it may not.
    pub fn check(&self, state: &State, at: &ClusterKey, now: Timestamp) -> Result<(), CannotAssume> {
        match self.iter().find(|(_, arn)| find(state, at, arn, now).is_none()) {
            Some((_, arn)) => Err(CannotAssume(arn.into())),
            None => Ok(()),
        }
    }

    /// Whether one of them was made, or made anew, after this time.
    pub fn any_made_after(&self, state: &State, at: &ClusterKey, time: Timestamp) -> bool {
        let (partition, account) = (at.scope.partition(), at.scope.account);
        let mut found = self.iter().filter_map(|(_, named)| {
            state.iam().role_named(partition, &whole_arn(at, named)).filter(|(owner, _)| *owner == account)
        });
        found.any(|(_, role)| role.own.created_at > time)
    }

    /// The roles that nobody has made, which run with a guest's rights: of a server in open mode.
    pub fn of_guests<'a>(&'a self, state: &'a State, at: &'a ClusterKey, now: Timestamp) -> Vec<&'a str> {
        let is_guest =
            |arn: &&str| matches!(find(state, at, arn, now), Some(Found { of: Whose::Guest(_), arn: _ }));
        self.iter().map(|(_, arn)| arn).filter(is_guest).collect()
    }
}

/// Whose rights a task gets, and the whole ARN of the role.
struct Found {
    of: Whose,
    arn: String,
}

enum Whose {
    /// The id of the role.
    Role(Arc<str>),
    /// The name of one that nobody has made.
    Guest(Arc<str>),
}

/// `None`: it may not be assumed. A definition may name a role by its ARN or, if it has no path, by its name. One that another
/// account has made never may be assumed: nobody could have passed it. One that nobody has made is a guest's in open mode,
/// whatever account its ARN names: a definition that was copied from AWS names the account that it was copied from.
fn find(state: &State, at: &ClusterKey, named: &str, now: Timestamp) -> Option<Found> {
    let (partition, account) = (at.scope.partition(), at.scope.account);
    let arn = whole_arn(at, named);
    let read = IamArn::parse(&arn).filter(|arn| arn.kind == "role" && arn.account_id().is_some())?;
    let of = match state.iam().role_named(partition, &arn) {
        Some((owner, role)) if owner == account && trusts(role, at, &arn, now) => {
            Whose::Role(role.own.id.clone())
        }
        Some(_) => return None,
        None if state.iam().has_guests() => Whose::Guest(read.name.into()),
        None => return None,
    };
    Some(Found { of, arn })
}

fn whole_arn(at: &ClusterKey, named: &str) -> String {
    match named.starts_with("arn:") {
        true => named.to_owned(),
        false => arn::of(at.scope.partition(), at.scope.account, "role", "/", named),
    }
}

/// Whether the trust policy lets the service assume the role for tasks of this cluster.
fn trusts(role: &Role, at: &ClusterKey, arn: &str, now: Timestamp) -> bool {
    let (account, region) = (at.scope.account.to_string(), at.scope.region.as_str());
    let context = Context::new()
        .at(now)
        .with("aws:SourceAccount", account.as_str())
        .with("aws:SourceArn", format!("arn:{}:ecs:{region}:{account}:*", at.scope.partition().as_str()));
    let asker = Asker::Service(SERVICE.to_owned());
    trust::allows(role, at.scope.account, arn, asker, "sts:AssumeRole", &context)
}

/// What a task's payload says of its roles: for each that cannot be assumed now the id alone, so that its containers know
/// where to ask, and get their credentials there once it can be. A seed is used once.
pub fn announced(
    state: &State,
    home: &ClusterKey,
    task: &Task,
    roles: &Roles,
    now: Timestamp,
    seed: Seed,
) -> Vec<(RoleType, RoleCredentials)> {
    let mut all = credentials(state, home, task, roles, now, seed);
    for (kind, arn) in roles.iter() {
        if all.iter().any(|(made, _)| *made == kind) {
            continue;
        }
        // Without a root key there is nothing to announce either, and `credentials` has said so.
        let Ok(id) = credentials_id(state, home, task, kind) else { continue };
        let role_arn = arn.to_owned();
        all.push((
            kind,
            RoleCredentials { credentials_id: id.into(), role_arn, ..RoleCredentials::default() },
        ));
    }
    all
}

/// Credentials for each role of a task, new ones each time. A role that cannot be assumed now has none. A seed is used once.
pub fn credentials(
    state: &State,
    home: &ClusterKey,
    task: &Task,
    roles: &Roles,
    now: Timestamp,
    seed: Seed,
) -> Vec<(RoleType, RoleCredentials)> {
    let mut all = Vec::new();
    for (kind, arn) in roles.iter() {
        let Some(found) = find(state, home, arn, now) else { continue };
        let number = match kind {
            RoleType::TaskApplication => 0,
            RoleType::TaskExecution => 1,
        };
        match issue(state, home, task, found, kind, now, seed.of(number)) {
            Ok(credentials) => all.push((kind, credentials)),
            Err(error) => tracing::error!(%error, task = %task.id, "no credentials could be made for a task"),
        }
    }
    all
}

/// Whether the task that a session was made for goes on, if it was made for one: it ends with it.
pub fn is_at_work(state: &State, account: AccountId, session: &Session) -> bool {
    let Some(TaskRef { region, cluster, id }) = &session.task else { return true };
    let (Some(region), Some(cluster), Some(id)) =
        (Region::parse(region), ClusterName::parse(cluster).ok(), TaskId::parse(id).ok())
    else {
        return false;
    };
    let at = ClusterKey::new(Scope::new(account, region), cluster);
    state.ecs().task(&at, id).is_some_and(|task| task.last_status != TaskStatus::Stopped)
}

fn issue(
    state: &State,
    home: &ClusterKey,
    task: &Task,
    found: Found,
    kind: RoleType,
    now: Timestamp,
    seed: Seed,
) -> Result<RoleCredentials, KeyringError> {
    let name = task.id.to_string().into();
    let of = match found.of {
        Whose::Role(id) => Of::Role { id, name },
        Whose::Guest(role) => Of::Guest { role, name },
    };
    let expires = now + LIFE;
    let mut session = Session::new(of, now, expires);
    session.task = Some(TaskRef {
        region: home.scope.region.as_str().into(),
        cluster: home.cluster.as_str().into(),
        id: task.id.to_string().into(),
    });
    let issued = session::issue(state, seed, home.scope.account, session)?;
    Ok(RoleCredentials {
        credentials_id: credentials_id(state, home, task, kind)?.into(),
        role_arn: found.arn,
        access_key_id: issued.access_key_id.to_string(),
        secret_access_key: issued.secret.to_string().into(),
        session_token: issued.token.into(),
        // In whole seconds, and never later than they end.
        expiration: whole_seconds(expires),
        credential_scope: String::new(),
    })
}

/// A UUID that nobody can guess, the same for a task and a role as long as there is the store: a running container has it
/// in its environment.
fn credentials_id(
    state: &State,
    home: &ClusterKey,
    task: &Task,
    kind: RoleType,
) -> Result<String, KeyringError> {
    let kind = match kind {
        RoleType::TaskApplication => "task",
        RoleType::TaskExecution => "execution",
    };
    let input = format!("credentials id\0{}\0{}\0{kind}", home.scope.account, task.id);
    let drawn = state.lasting(input.as_bytes())?;
    let hex: String = drawn.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}

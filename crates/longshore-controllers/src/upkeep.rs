//! What has to go, goes: STOPPED tasks, INACTIVE things, old tokens, definitions nobody uses, and tasks of
//! instances that stay away (ecs-behaviour A5).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use longshore_base::{Family, Scope, TaskId};
use longshore_domain::status::ClusterStatus;
use longshore_domain::{DesiredStatus, InstanceStatus, ServiceStatus, StopCode, TaskDefinitionStatus};
use longshore_placement::provider::FARGATE_SPOT;
use longshore_state::{State, Tx};
use longshore_tables_ecs::key::{FamilyKey, ProviderKey};
use longshore_tables_ecs::record::{
    CapacityProvider, Cluster, FamilyCounter, Instance, InstanceKey as KeyRecord, JoinToken, Task,
    TaskDefinition, Token,
};
use longshore_tables_ecs::{ClusterKey, EcsState, EcsTx, InstanceEntry, InstanceKey};

use crate::Settings;
use crate::{provisioning, tasks};

/// How often the shell runs a sweep. Everything here is minutes or hours long.
pub const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// The most records that one sweep changes, so that it fits one commit and holds nobody up.
const SWEEP_MAX: usize = 100;

/// How long an agent that was connected when this server took over counts as connected without it. Official agents
/// notice after 60 s at the latest that a server is gone without a word (agent-protocol G5, ha M3.3).
pub const AGENT_AWAITED_FOR: Duration = Duration::from_secs(60);

/// How long a machine that has joined may take to register.
const UNREGISTERED_FOR: Duration = Duration::from_secs(24 * 3600);

/// `stoppedReason` of the tasks of an instance that was deregistered by force (ecs-engine D2).
pub const DEREGISTERED_BY_FORCE: &str = "Container instance deregistration forced by user.";

/// `stoppedReason` of tasks whose pool agent stays away. Which machine that was is not the user's business.
pub const POOL_AGENT_LOST: &str = "Host of the Fargate task was lost: its agent is disconnected.";

/// `stoppedReason` of an interrupted Spot task (ecs-engine D3, "Ends").
const SPOT_INTERRUPTED: &str = "Your Spot Task was interrupted.";

/// One sweep over everything. True if there is more to do at once.
pub fn sweep(tx: &mut Tx<'_>, settings: &Settings) -> bool {
    for at in pools(tx.state()) {
        forget_joining(tx, &at);
        forget_instances(tx, &at, settings);
        give_up_agents(tx, &at);
        lose_instances(tx, &at, settings);
        finish_deregistrations(tx, &at);
        finish_interruptions(tx, &at);
        if room(tx) == 0 {
            return true;
        }
    }
    for at in clusters(tx.state()) {
        forget_tasks(tx, &at, settings);
        forget_tokens(tx, &at, settings);
        forget_joining(tx, &at);
        forget_services(tx, &at, settings);
        forget_instances(tx, &at, settings);
        give_up_agents(tx, &at);
        lose_instances(tx, &at, settings);
        finish_deregistrations(tx, &at);
        let allowed = room(tx);
        provisioning::expire(tx, &at, settings, allowed);
        forget_cluster(tx, &at, settings);
        if room(tx) == 0 {
            return true;
        }
    }
    for scope in scopes(tx.state()) {
        forget_definitions(tx, &scope);
        forget_providers(tx, &scope, settings);
        if room(tx) == 0 {
            return true;
        }
    }
    false
}

fn scopes(state: &State) -> Vec<Scope> {
    state.ecs().realms().map(|(scope, _)| scope.clone()).collect()
}

fn clusters(state: &State) -> Vec<ClusterKey> {
    let of_realm = |(scope, realm): (&Scope, &longshore_tables_ecs::Realm)| {
        realm.clusters().map(|(name, _)| ClusterKey::new(scope.clone(), name.clone())).collect::<Vec<_>>()
    };
    state.ecs().realms().flat_map(of_realm).collect()
}

fn pools(state: &State) -> Vec<ClusterKey> {
    state.ecs().pools().map(|(at, _)| at).collect()
}

/// What is left of the sweep's allowance.
fn room(tx: &Tx<'_>) -> usize {
    if tx.is_heavy() { 0 } else { SWEEP_MAX.saturating_sub(tx.changed()) }
}

fn forget_tasks(tx: &mut Tx<'_>, at: &ClusterKey, settings: &Settings) {
    let before = tx.now - settings.stopped_task_retention;
    let room = room(tx);
    let Some(cluster) = tx.ecs().cluster(at) else { return };
    let old = cluster.stopped().iter().take_while(|(end, _)| *end < before).take(room);
    let old: Vec<TaskId> = old.map(|&(_, id)| id).collect();
    for id in old {
        tx.delete_task(at, id);
    }
}

fn forget_tokens(tx: &mut Tx<'_>, at: &ClusterKey, settings: &Settings) {
    let now = tx.now;
    let room = room(tx);
    let Some(cluster) = tx.ecs().cluster(at) else { return };
    // 24 hours, or until the tasks of the call have been STOPPED for an hour, or rather are forgotten after
    // at least one (ecs-behaviour A7).
    let over = |token: &Token| {
        now.since(token.created_at) >= settings.token_life
            || (now.since(token.created_at) >= settings.token_life_min
                && token.tasks.iter().all(|&id| cluster.task(id).is_none()))
    };
    let old: Vec<String> = cluster
        .tokens()
        .iter()
        .filter(|(_, token)| over(token))
        .take(room)
        .map(|(name, _)| name.clone())
        .collect();
    for token in old {
        tx.delete::<Token>(at.token(token));
    }
}

fn forget_services(tx: &mut Tx<'_>, at: &ClusterKey, settings: &Settings) {
    let now = tx.now;
    let Some(cluster) = tx.ecs().cluster(at) else { return };
    let old: Vec<_> = cluster
        .services()
        .filter(|(service, entry)| {
            service.status == ServiceStatus::Inactive
                && entry.active().is_empty()
                && service.deleted_at.is_some_and(|end| now.since(end) >= settings.inactive_retention)
        })
        .map(|(service, _)| service.name.clone())
        .collect();
    for name in old {
        let room = room(tx);
        if room == 0 || !tx.remove_service(at, &name, room) {
            return;
        }
    }
}

fn forget_instances(tx: &mut Tx<'_>, at: &ClusterKey, settings: &Settings) {
    let now = tx.now;
    let room = room(tx);
    let Some(cluster) = tx.ecs().cluster(at) else { return };
    let old: Vec<_> = cluster
        .instances()
        .iter()
        .filter(|(_, entry)| {
            let record = &entry.record;
            record.status == InstanceStatus::Inactive
                && entry.tasks().is_empty()
                && record.deregistered_at.is_some_and(|end| now.since(end) >= settings.inactive_retention)
        })
        .map(|(&id, _)| id)
        .take(room)
        .collect();
    for id in old {
        tx.delete::<Instance>(at.instance(id));
        // Until now its agent could learn with it that it is gone.
        tx.delete::<KeyRecord>(at.instance(id));
    }
}

/// Tokens that let nobody in any more, and keys with which nobody has registered (decision 50).
fn forget_joining(tx: &mut Tx<'_>, at: &ClusterKey) {
    let now = tx.now;
    let room = room(tx);
    let Some(cluster) = tx.ecs().cluster(at) else { return };
    let is_over = |token: &JoinToken| {
        let is_of_this = at.is_pool()
            || cluster
                .record()
                .is_some_and(|own| own.status == ClusterStatus::Active && own.created_at <= token.created_at);
        token.expires_at <= now || !is_of_this
    };
    let tokens = cluster.join_tokens().iter().filter(|(_, token)| is_over(token));
    let tokens: Vec<String> = tokens.map(|(id, _)| id.clone()).take(room).collect();
    let is_unused = |key: &KeyRecord| {
        cluster.instance(key.instance).is_none() && now.since(key.joined_at) >= UNREGISTERED_FOR
    };
    let keys = cluster.instance_keys().values().filter(|key| is_unused(key)).map(|key| key.instance);
    let keys: Vec<_> = keys.take(room.saturating_sub(tokens.len())).collect();
    for id in tokens {
        tx.delete::<JoinToken>(at.join_token(id));
    }
    for instance in keys {
        tx.delete::<KeyRecord>(at.instance(instance));
    }
}

fn forget_cluster(tx: &mut Tx<'_>, at: &ClusterKey, settings: &Settings) {
    let now = tx.now;
    let over = tx.ecs().cluster(at).is_some_and(|cluster| {
        let gone = cluster.record().and_then(|record| record.deleted_at);
        gone.is_some_and(|end| now.since(end) >= settings.inactive_retention)
            && cluster.instances().is_empty()
            && cluster.tasks().is_empty()
            && cluster.services().next().is_none()
    });
    if over {
        tx.delete::<Cluster>(at.clone());
    }
}

/// Tasks of instances whose agent has been away for long end, so that services replace them. When
/// the agent comes back it is told to stop what still runs there.
fn lose_instances(tx: &mut Tx<'_>, at: &ClusterKey, settings: &Settings) {
    let Some(lost_after) = settings.instance_lost_after else { return };
    let now = tx.now;
    let Some(cluster) = tx.ecs().cluster(at) else { return };
    let lost: Vec<_> = cluster
        .instances()
        .iter()
        .filter(|(_, entry)| !entry.connection.open && now.since(entry.connection.since) >= lost_after)
        .filter(|(_, entry)| !entry.tasks().is_empty())
        .map(|(&id, _)| at.instance(id))
        .collect();
    for instance in lost {
        let reason = lost_reason(at, &instance);
        let room = room(tx);
        if !abandon_instance(tx, &instance, StopCode::TerminationNotice, &reason, room) {
            return;
        }
    }
}

/// Agents that were connected until this server took over, and have not come back in time, are away. What was placed on
/// their instances meanwhile no agent was ever told of: it ends now, so that services place it elsewhere and nobody
/// waits for it. Older tasks may run there; they have until [`Settings::instance_lost_after`].
fn give_up_agents(tx: &mut Tx<'_>, at: &ClusterKey) {
    let now = tx.now;
    let Some(cluster) = tx.ecs().cluster(at) else { return };
    let over = |since| now.since(since) >= AGENT_AWAITED_FOR;
    let gone =
        cluster.instances().iter().filter(|(_, entry)| entry.connection.awaited_since.is_some_and(over));
    for instance in gone.map(|(&id, _)| at.instance(id)).collect::<Vec<_>>() {
        let entry = tx.ecs().cluster(at).and_then(|cluster| cluster.instance(instance.instance));
        let untold: Vec<TaskId> = entry.into_iter().flat_map(InstanceEntry::untold).collect();
        for id in untold {
            if room(tx) == 0 {
                return;
            }
            let home = tx.ecs().home(at, id).cloned();
            let task = home.and_then(|home| Some((tx.ecs().task(&home, id).cloned()?, home)));
            if let Some((task, home)) = task {
                tasks::abandon(tx, &home, &task, StopCode::TerminationNotice, &lost_reason(at, &instance));
            }
        }
        // Last: as long as any of these is left, it is looked at again.
        if room(tx) == 0 {
            return;
        }
        tx.give_up_agent(&instance);
    }
}

/// `stoppedReason` of the tasks of an instance whose agent stays away.
fn lost_reason(at: &ClusterKey, instance: &InstanceKey) -> String {
    if at.is_pool() {
        return POOL_AGENT_LOST.to_owned();
    }
    format!("Container instance {} was lost: its agent is disconnected.", instance.instance)
}

/// Ends the tasks of deregistered instances that did not fit the commit of the call.
fn finish_deregistrations(tx: &mut Tx<'_>, at: &ClusterKey) {
    let Some(cluster) = tx.ecs().cluster(at) else { return };
    let over =
        |entry: &InstanceEntry| entry.record.status == InstanceStatus::Inactive && !entry.tasks().is_empty();
    let left: Vec<_> =
        cluster.instances().iter().filter(|(_, entry)| over(entry)).map(|(&id, _)| id).collect();
    for instance in left {
        let room = room(tx);
        abandon_instance(tx, &at.instance(instance), StopCode::UserInitiated, DEREGISTERED_BY_FORCE, room);
    }
}

/// Interrupts the Spot tasks of DRAINING pool instances that did not fit the commit of the call.
fn finish_interruptions(tx: &mut Tx<'_>, at: &ClusterKey) {
    let Some(pool) = tx.ecs().cluster(at) else { return };
    let draining = pool.instances().values().filter(|e| e.record.status == InstanceStatus::Draining);
    for instance in draining.map(|entry| at.instance(entry.record.id)).collect::<Vec<_>>() {
        let room = room(tx);
        interrupt_spot(tx, &instance, room);
    }
}

/// Tells the Spot tasks of a pool instance to stop, at most `limit`: their operator wants the machine back.
///
/// They get SIGTERM at once and have their `stopTimeout` left, which is at most the two minutes that ECS
/// gives notice of (ecs-surfaces F1). Tasks of FARGATE stay, as far as their service does not move them.
pub fn interrupt_spot(tx: &mut Tx<'_>, at: &InstanceKey, limit: usize) {
    let spot = |(_, task): &(&ClusterKey, &Arc<Task>)| {
        task.desired_status == DesiredStatus::Running
            && task.origin.capacity_provider.as_deref() == Some(FARGATE_SPOT)
    };
    let interrupted: Vec<_> = tx
        .ecs()
        .tasks_on(at)
        .filter(spot)
        .take(limit)
        .map(|(home, task)| (home.clone(), task.clone()))
        .collect();
    for (home, task) in interrupted {
        if tx.is_heavy() {
            return;
        }
        tasks::stop(tx, &home, &task, StopCode::SpotInterruption, SPOT_INTERRUPTED);
    }
}

/// Ends every task of an instance that was deregistered by force, as far as the commit has room.
/// True if that was all of them.
pub fn abandon_instance(
    tx: &mut Tx<'_>,
    at: &InstanceKey,
    code: StopCode,
    reason: &str,
    limit: usize,
) -> bool {
    let on = tx.ecs().tasks_on(at).map(|(home, task)| (home.clone(), task.clone()));
    let mut on: Vec<_> = on.take(limit + 1).collect();
    let whole = on.len() <= limit;
    on.truncate(limit);
    for (home, task) in on {
        if tx.is_heavy() {
            return false;
        }
        tasks::abandon(tx, &home, &task, code, reason);
    }
    whole
}

fn forget_providers(tx: &mut Tx<'_>, scope: &Scope, settings: &Settings) {
    let now = tx.now;
    let room = room(tx);
    let Some(realm) = tx.ecs().realm(scope) else { return };
    let over = |end: longshore_base::Timestamp| now.since(end) >= settings.inactive_retention;
    let old = realm.providers().iter().filter(|(_, provider)| provider.deleted_at.is_some_and(over));
    for name in old.map(|(name, _)| name.clone()).take(room).collect::<Vec<_>>() {
        tx.delete::<CapacityProvider>(ProviderKey::new(scope.clone(), name));
    }
}

/// Removes revisions whose deletion was asked for and that nothing refers to (ecs-task-definitions C1).
fn forget_definitions(tx: &mut Tx<'_>, scope: &Scope) {
    let Some(realm) = tx.ecs().realm(scope) else { return };
    let doomed: BTreeSet<(Family, u32)> = realm
        .families()
        .flat_map(|(family, table)| {
            let revisions = table.revisions().iter();
            revisions
                .filter(|(_, d)| d.status == TaskDefinitionStatus::DeleteInProgress)
                .map(|(&revision, _)| (family.clone(), revision))
        })
        .collect();
    if doomed.is_empty() {
        return;
    }
    let mut used: BTreeSet<(Family, u32)> = BTreeSet::new();
    for (_, cluster) in realm.clusters() {
        for (service, entry) in cluster.services().filter(|(s, _)| s.status != ServiceStatus::Inactive) {
            used.extend(service.task_definition.clone());
            used.extend(service.deployments.iter().map(|deployment| deployment.task_definition.clone()));
            used.extend(entry.task_sets().values().map(|set| set.task_definition.clone()));
        }
        for task in cluster.tasks().values().filter(|task| !task.last_status.is_stopped()) {
            used.insert((task.origin.family.clone(), task.origin.revision));
        }
    }
    for (family, revision) in doomed.difference(&used).cloned().collect::<Vec<_>>() {
        if room(tx) < 2 {
            return;
        }
        // The counter outlives the revisions, so that their numbers are not given out again.
        let next =
            tx.ecs().realm(scope).and_then(|realm| realm.family(family.as_str()).map(|f| f.next_revision()));
        let counter = FamilyCounter { family: family.clone(), last_revision: next.unwrap_or(1) - 1 };
        let family = FamilyKey::new(scope.clone(), family);
        tx.put::<FamilyCounter>(family.clone(), counter);
        tx.delete::<TaskDefinition>(family.revision(revision));
    }
}

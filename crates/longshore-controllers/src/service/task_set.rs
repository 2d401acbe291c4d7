//! Task sets of a service: as the planner sees them, and what a plan changes in them (ecs-services E7).

use longshore_base::DeploymentId;
use longshore_rollout::{TaskSetChange, TaskSetView};
use longshore_state::Tx;
use longshore_tables_ecs::record::TaskSet;
use longshore_tables_ecs::{EcsTx, ServiceEntry, ServiceKey};

/// The sets as the planner sees them, the oldest first.
pub(super) fn views(entry: &ServiceEntry) -> Vec<TaskSetView> {
    let mut sets: Vec<_> = entry.task_sets().values().collect();
    sets.sort_by_key(|set| (set.created_at, set.id));
    sets.into_iter().map(|set| view(set)).collect()
}

fn view(set: &TaskSet) -> TaskSetView {
    TaskSetView {
        id: set.id,
        status: set.status,
        scale_basis_points: set.scale_basis_points,
        computed_desired_count: set.told_desired_count,
        stability: set.stability,
        throttle: set.throttle.clone(),
    }
}

/// Carries out what a plan says of the service's sets.
pub(super) fn apply(tx: &mut Tx<'_>, key: &ServiceKey, changes: &[TaskSetChange], removed: &[DeploymentId]) {
    for change in changes {
        let set = tx.service(key).and_then(|entry| entry.task_sets().get(&change.id));
        let Some(mut set) = set.map(|set| TaskSet::clone(set)) else { continue };
        // What DescribeTaskSets shows: `updatedAt` tells of these alone, not of the throttle.
        let visible =
            set.told_desired_count != change.computed_desired_count || set.stability != change.stability;
        if set.stability != change.stability {
            set.stability_at = tx.now;
        }
        if visible {
            set.updated_at = tx.now;
        }
        set.told_desired_count = change.computed_desired_count;
        set.stability = change.stability;
        set.throttle = change.throttle.clone();
        tx.put_task_set(&key.cluster, set);
    }
    for &id in removed {
        tx.delete_task_set(key, id);
    }
}

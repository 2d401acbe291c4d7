//! Services: gather a view, plan, apply.

mod apply;
pub mod deployment;
mod task_set;
mod view;

use longshore_base::{Seed, Timestamp};
use longshore_rollout::{Plan, ServiceView, Waiting};
use longshore_state::{State, Tx};
use longshore_tables_ecs::{EcsState, EcsTx, ServiceKey};

use crate::Settings;
use crate::launch::capacity;

pub use view::gather;

/// Brings one service a step closer to what its record asks for.
///
/// Takes a key, never an event, so that a restart, a missed hint and a busy day run the same code. Gives
/// the time when to look again although nothing has happened. The step fits one commit; if there is
/// more to do, the changes themselves wake the key again.
pub fn reconcile(tx: &mut Tx<'_>, key: &ServiceKey, settings: &Settings) -> Option<Timestamp> {
    let entry = tx.service(key)?;
    let (stopped, counted) = (entry.newly_stopped().collect::<Vec<_>>(), entry.last_stop());
    let view = gather(tx.state(), key, &stopped, settings)?;
    let seed = tx.ids.seed();
    let plan = plan(tx.state(), key, &view, tx.now, seed);
    let next_look = plan.next_look;
    let refused = apply::apply(tx, key, plan, counted);
    // A refusal is planned for at once: it may end the deployment, and it sets the next attempt.
    if refused { Some(tx.now) } else { next_look }
}

fn plan(state: &State, key: &ServiceKey, view: &ServiceView, now: Timestamp, seed: Seed) -> Plan {
    let record =
        state.ecs().cluster(&key.cluster).and_then(|cluster| cluster.service(&key.service)?.record());
    let launch_type = record.map(|service| service.capacity.launch_type());
    match launch_type.and_then(|launch_type| capacity(state, &key.cluster, launch_type)) {
        Some(cluster) => longshore_rollout::plan_on(cluster.fleet(), view, now, seed),
        None => longshore_rollout::plan(view, now, seed),
    }
}

/// What a service waits for, now.
pub fn explain(state: &State, key: &ServiceKey, settings: &Settings, now: Timestamp) -> Vec<Waiting> {
    match gather(state, key, &[], settings) {
        Some(view) => plan(state, key, &view, now, Seed::new(0)).waiting_for,
        None => Vec::new(),
    }
}

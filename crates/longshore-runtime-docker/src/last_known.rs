//! The last known state of the containers that this process created or looked at.
//!
//! With it, a start needs no inspection (the ports are our own choice), and the end of a
//! container is reported from the event alone. That matters because the engine announces the end
//! before it tears down the network and answers no inspection until that is done.

use std::collections::HashMap;

use longshore_base::Timestamp;
use longshore_engine::input::{HealthStatus, Observation, ObservedHealth, ObservedStatus};
use longshore_engine::spec::{PortBinding, RuntimeId};
use parking_lot::Mutex;

#[derive(Default)]
pub(crate) struct LastKnown(Mutex<HashMap<RuntimeId, Known>>);

struct Known {
    observation: Observation,
    /// When the start call returned, by this machine's clock. Kept apart from the observation, whose
    /// `started_at` is the engine's own or nothing: it is what tells the runs of a container apart.
    start_returned_at: Option<Timestamp>,
    /// False of a container that was created to share another one's network.
    joins_network: bool,
}

impl LastKnown {
    /// A new container whose host ports are known.
    pub fn created(
        &self,
        id: &RuntimeId,
        ports: Vec<PortBinding>,
        has_health_check: bool,
        joins_network: bool,
    ) {
        let health = has_health_check.then(|| ObservedHealth {
            status: HealthStatus::Unknown,
            exit_code: None,
            output: String::new(),
        });
        let observation = Observation {
            runtime_id: id.clone(),
            status: ObservedStatus::Created,
            created_at: Some(now()),
            started_at: None,
            finished_at: None,
            pid: None,
            image_id: None,
            ports,
            networks: Vec::new(),
            health,
            mounts: Vec::new(),
        };
        self.0.lock().insert(id.clone(), Known { observation, start_returned_at: None, joins_network });
    }

    /// True if the engine puts it into a network when it starts, and if that is not known.
    pub fn joins_network(&self, id: &RuntimeId) -> bool {
        self.0.lock().get(id).is_none_or(|known| known.joins_network)
    }

    /// The container is about to be started: whatever is heard of it from now on is about the new run.
    pub fn starting(&self, id: &RuntimeId) {
        if let Some(Known { observation: last, start_returned_at, .. }) = self.0.lock().get_mut(id)
            && last.status != ObservedStatus::Running
        {
            last.status = ObservedStatus::Created;
            last.started_at = None;
            last.finished_at = None;
            *start_returned_at = None;
        }
    }

    /// The start call succeeded. Gives the state of the container; `None` if only an inspection can tell it: the
    /// container is unknown here, or its end was announced already.
    pub fn started(&self, id: &RuntimeId) -> Option<Observation> {
        let mut containers = self.0.lock();
        let Known { observation: last, start_returned_at, .. } = containers.get_mut(id)?;
        if last.status == ObservedStatus::Created {
            last.status = ObservedStatus::Running;
            *start_returned_at = Some(now());
        }
        (last.status == ObservedStatus::Running).then(|| last.clone())
    }

    /// The engine announced the end of a run, at the time `at` of its clock. Gives the state at the end; `None` if only
    /// an inspection can tell it: the container is unknown here, has been started again since, or was not inspected
    /// since its start, so that the time of that start is not known.
    pub fn ended(
        &self,
        id: &RuntimeId,
        at: Timestamp,
        exit_code: i32,
        oom_killed: bool,
    ) -> Option<Observation> {
        let mut containers = self.0.lock();
        let Known { observation: last, start_returned_at, .. } = containers.get_mut(id)?;
        if last.started_at.or(*start_returned_at).is_some_and(|started| started > at) {
            return None;
        }
        last.status = ObservedStatus::Exited { exit_code, oom_killed, error: None };
        last.finished_at = Some(at);
        last.pid = None;
        last.started_at.is_some().then(|| last.clone())
    }

    /// Takes over the result of an inspection, unless it is from before the end of a run that was announced already.
    pub fn observed(&self, observation: &Observation) {
        let mut containers = self.0.lock();
        // The end of a run may be announced while the answer to an earlier inspection is still on its way.
        let is_stale = observation.status == ObservedStatus::Running
            && containers.get(&observation.runtime_id).is_some_and(|known| {
                matches!(known.observation.status, ObservedStatus::Exited { .. })
                    && known.observation.started_at == observation.started_at
            });
        if !is_stale {
            let joins_network =
                containers.get(&observation.runtime_id).is_none_or(|known| known.joins_network);
            let known = Known { observation: observation.clone(), start_returned_at: None, joins_network };
            containers.insert(observation.runtime_id.clone(), known);
        }
    }

    pub fn last(&self, id: &RuntimeId) -> Option<Observation> {
        self.0.lock().get(id).map(|known| known.observation.clone())
    }

    pub fn forget(&self, id: &RuntimeId) {
        self.0.lock().remove(id);
    }

    /// Keeps only what `keep` is true for; called with a full list after an interruption.
    pub fn retain(&self, keep: impl Fn(&RuntimeId) -> bool) {
        self.0.lock().retain(|id, _| keep(id));
    }
}

/// The machine's clock. The engine's own times replace these with the first inspection.
pub(crate) fn now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(0) + since_epoch
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> RuntimeId {
        RuntimeId::new("a")
    }

    #[test]
    fn an_end_announced_during_the_start_call_is_inspected() {
        let known = LastKnown::default();
        known.created(&id(), Vec::new(), false, true);
        known.starting(&id());
        assert_eq!(known.ended(&id(), now(), 3, false), None, "the time of the start is not known");
        assert_eq!(known.started(&id()), None, "it is over already");
        known.starting(&id());
        assert_eq!(known.started(&id()).expect("known").status, ObservedStatus::Running);
    }

    #[test]
    fn only_the_engine_says_when_a_run_began() {
        let known = LastKnown::default();
        known.created(&id(), Vec::new(), false, true);
        known.starting(&id());
        let mut running = known.started(&id()).expect("known");
        assert_eq!(running.started_at, None);
        // The engine's time lies before the return of the start call.
        running.started_at = Some(Timestamp::from_millis(7));
        known.observed(&running);
        let end = known.ended(&id(), now(), 0, false).expect("known");
        assert_eq!(end.started_at, Some(Timestamp::from_millis(7)));
    }

    #[test]
    fn an_inspection_from_before_the_end_does_not_undo_it() {
        let known = LastKnown::default();
        known.created(&id(), Vec::new(), false, true);
        known.starting(&id());
        let mut running = known.started(&id()).expect("known");
        running.started_at = Some(Timestamp::from_millis(7));
        known.observed(&running);
        let end = known.ended(&id(), now(), 0, false).expect("known");
        known.observed(&running);
        assert_eq!(known.last(&id()), Some(end));
        // The next run is another matter.
        running.started_at = Some(Timestamp::from_millis(8));
        known.observed(&running);
        assert_eq!(known.last(&id()), Some(running));
    }

    #[test]
    fn an_end_before_the_latest_start_is_outdated() {
        let known = LastKnown::default();
        known.created(&id(), Vec::new(), false, true);
        known.starting(&id());
        known.started(&id()).expect("known");
        assert_eq!(known.ended(&id(), Timestamp::from_millis(1), 0, false), None);
        assert_eq!(known.last(&id()).expect("known").status, ObservedStatus::Running);
        assert_eq!(known.started(&RuntimeId::new("b")), None);
    }
}

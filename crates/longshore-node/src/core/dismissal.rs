//! What becomes of the tasks of an instance that somebody has deregistered.
//!
//! Deregistered by force, an instance takes its tasks with it: the control plane counts them as STOPPED at once, and
//! services start others elsewhere. Their containers know nothing of that. So an agent that is told that its instance
//! is INACTIVE ends them and removes what is left, wherever it hears of it: at its start, after which it ends itself
//! (agent-protocol G3), or while it runs, when its socket is refused. The official agent leaves them running.

use std::time::Duration;

use longshore_base::Timestamp;
use longshore_engine::Input as EngineInput;

use super::{AgentCore, ExitReason, LogLine};
use crate::api::ApiError;

/// How long an agent that is to end may take over it: a container may have two minutes to leave after SIGTERM
/// (`stopTimeout`, ecs-task-definitions C3), and the next in the order of dependencies as many again.
const PATIENCE: Duration = Duration::from_secs(300);

/// An agent that ends as soon as its tasks have.
#[derive(Debug)]
pub(super) struct Leaving {
    until: Timestamp,
    error: ApiError,
}

impl AgentCore {
    /// Ends every task. Being told again changes nothing.
    pub(super) fn dismiss(&mut self) {
        let tasks = self.engine.tasks().count();
        if tasks > 0 {
            self.log(LogLine::Dismissed { tasks });
            self.engine_input(EngineInput::Dismissed);
        }
    }

    /// Ends every task, then the agent.
    pub(super) fn leave(&mut self, error: ApiError) {
        self.dismiss();
        self.leaving = Some(Leaving { until: self.now + PATIENCE, error });
    }

    pub(super) fn step_leaving(&mut self) {
        let is_empty = self.engine.tasks().next().is_none() && self.gate.is_idle();
        let Some(leaving) = &self.leaving else { return };
        if is_empty || leaving.until <= self.now {
            let text = self.with_advice(&leaving.error);
            self.exit(ExitReason::Terminal(text));
        }
    }

    /// When the patience with those that do not end is over.
    pub(super) fn leaving_until(&self) -> Option<Timestamp> {
        self.leaving.as_ref().map(|leaving| leaving.until)
    }
}

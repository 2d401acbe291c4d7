//! Makes a failing script shorter, as far as a bounded number of runs allows.

use crate::scenario::{Scenario, Timed};
use crate::world::{self, Violation};

/// The shortest script found that breaks the same promise, and how it does.
#[derive(Debug)]
pub struct Shrunk {
    pub scenario: Scenario,
    pub violation: Violation,
    pub runs: u32,
}

/// Drops steps, faults first and many at a time, while the same rule is still broken.
pub fn shrink(scenario: &Scenario, violation: Violation, runs_max: u32) -> Shrunk {
    let mut best = Shrunk { scenario: scenario.clone(), violation, runs: 0 };
    // What comes after the failure cannot matter.
    let end = best.violation.at;
    best.attempt(|step| step.at <= end);
    best.attempt(|step| !step.step.is_fault());
    let mut size = best.scenario.steps.len().div_ceil(2);
    while size > 0 && best.runs < runs_max {
        let mut from = 0;
        while from < best.scenario.steps.len() && best.runs < runs_max {
            let dropped: Vec<usize> =
                best.scenario.steps.iter().skip(from).take(size).map(|step| step.number).collect();
            if !best.attempt(|step| !dropped.contains(&step.number)) {
                from += size;
            }
        }
        size /= 2;
    }
    best
}

impl Shrunk {
    /// Keeps a shorter script if it fails in the same way.
    fn attempt(&mut self, keep: impl Fn(&Timed) -> bool) -> bool {
        let mut scenario = self.scenario.clone();
        scenario.steps.retain(keep);
        if scenario.steps.len() == self.scenario.steps.len() {
            return false;
        }
        self.runs += 1;
        match world::run(&scenario, false).violation {
            Some(violation) if violation.rule == self.violation.rule => {
                self.scenario = scenario;
                self.violation = violation;
                true
            }
            Some(_) | None => false,
        }
    }
}

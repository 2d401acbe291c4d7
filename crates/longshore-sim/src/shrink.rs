//! Makes a failing script shorter, as far as a bounded number of runs allows.

use crate::scenario::{Scenario, Simpler, Timed};
use crate::world::{self, Violation};

/// The shortest script found that breaks the same promise, and how it does.
#[derive(Debug)]
pub struct Shrunk {
    pub scenario: Scenario,
    pub violation: Violation,
    /// How many scripts were run to find it.
    pub runs: u32,
}

/// Drops steps, faults first and many at a time, and then what the setup does not need, while the same rule is still
/// broken. `runs_max` bounds how many scripts are run, but for the first two, which save most.
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
    best.simplify(runs_max);
    best
}

impl Shrunk {
    /// Keeps a shorter script if it fails in the same way.
    fn attempt(&mut self, keep: impl Fn(&Timed) -> bool) -> bool {
        let mut scenario = self.scenario.clone();
        scenario.steps.retain(keep);
        scenario.steps.len() < self.scenario.steps.len() && self.fails_as_well(scenario)
    }

    /// Takes away what the setup has that the failure does not need: first bad luck, then delays, then machines.
    fn simplify(&mut self, runs_max: u32) {
        for simpler in [Simpler::Calm, Simpler::Quick] {
            if self.runs < runs_max {
                self.fails_as_well(self.scenario.clone().made(simpler));
            }
        }
        // From few to many: the first that fails is the smallest.
        for count in 1..self.scenario.setup.machines.len() {
            if self.runs >= runs_max
                || self.fails_as_well(self.scenario.clone().made(Simpler::Machines(count)))
            {
                break;
            }
        }
    }

    /// Runs a scenario, and keeps it if it breaks the same rule, whatever else of the violation differs.
    fn fails_as_well(&mut self, scenario: Scenario) -> bool {
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

//! What people read when a run has failed.

use std::fmt::Write;

use crate::scenario::Scenario;
use crate::world::Violation;

/// The scenario, its steps, the violation, and the command that repeats it. (Writing to a `String` does not fail.)
pub fn failure(scenario: &Scenario, violation: &Violation) -> String {
    let mut text = format!("seed {} breaks a promise\n", scenario.seed);
    let setup = &scenario.setup;
    let machines: Vec<String> = setup
        .machines
        .iter()
        .map(|own| {
            let provider = own.provider.map(|own| format!(" {}", own.name())).unwrap_or_default();
            let host = if own.pool { "pool of cluster" } else { "cluster" };
            let place = format!("{host} {} zone {}{provider} /{}", own.cluster, own.zone, own.prefix);
            format!("cpu {} memory {} {place}", own.cpu, own.memory)
        })
        .collect();
    let _ = writeln!(text, "  machines: {}", machines.join("; "));
    let clusters: Vec<String> =
        setup.clusters.iter().map(|own| format!("{}/{}/{}", own.account, own.region, own.name)).collect();
    let _ = writeln!(text, "  clusters: {}", clusters.join("; "));
    let _ = writeln!(text, "  steps:");
    for step in &scenario.steps {
        let _ = writeln!(text, "    {step}");
    }
    let _ = writeln!(text, "  violation: {violation}");
    let _ = writeln!(text, "  again: {}", command(scenario));
    text
}

/// The command line that runs exactly this.
pub fn command(scenario: &Scenario) -> String {
    let numbers: Vec<String> = scenario.steps.iter().map(|step| step.number.to_string()).collect();
    let whole = Scenario::of(scenario.seed).steps.len() == scenario.steps.len();
    let steps = if whole {
        String::new()
    } else if numbers.is_empty() {
        " --steps none".to_owned()
    } else {
        format!(" --steps {}", numbers.join(","))
    };
    let simpler: Vec<String> = scenario.simpler.iter().map(ToString::to_string).collect();
    let simpler =
        if simpler.is_empty() { String::new() } else { format!(" --simpler {}", simpler.join(",")) };
    format!("cargo run -p longshore-sim -- --seed {}{steps}{simpler} --log", scenario.seed)
}

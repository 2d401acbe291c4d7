//! `scale`: the share of the service's desired count that a set holds.

use longshore_base::Timestamp;
use longshore_rollout::bounds::scaled;
use longshore_rollout::{Stability, TaskSetStatus, Throttle};
use longshore_shapes_ecs::{InvalidParameterException, Scale, ScaleUnit};
use longshore_state::Tx;
use longshore_tables_ecs::record::{Service, TaskSet};
use longshore_tables_ecs::{ClusterKey, EcsTx};

use crate::texts;

/// Reads a scale, in hundredths of a percent. A smaller part counts as a whole one, so that a scale
/// above 0 never means no task.
pub(super) fn parse(given: &Scale) -> Result<u32, InvalidParameterException> {
    let refuse = |text: &str| Err(InvalidParameterException::new(text));
    match given.unit {
        None | Some(ScaleUnit::Percent) => {}
        Some(ScaleUnit::Unrecognized(_)) => return refuse(&texts::one_of("unit", ScaleUnit::VALUES)),
    }
    let Some(value) = given.value else { return refuse(texts::SCALE_VALUE) };
    // Also what is not a number is not within.
    if !(0.0..=100.0).contains(&value) {
        return refuse(texts::SCALE_VALUE);
    }
    // 33.33 times 100 is a little more than 3333.
    let hundredths = value * 100.0;
    let nearest = hundredths.round();
    let whole = if (hundredths - nearest).abs() < 1e-6 { nearest } else { hundredths.ceil() };
    Ok(whole as u32)
}

pub(super) fn shape(basis_points: u32) -> Scale {
    Scale { unit: Some(ScaleUnit::Percent), value: Some(f64::from(basis_points) / 100.0) }
}

/// `computedDesiredCount` (ecs-services E7).
pub(super) fn computed(service: &Service, set: &TaskSet) -> u32 {
    match set.status {
        TaskSetStatus::Primary | TaskSetStatus::Active => {
            scaled(service.desired_count, set.scale_basis_points)
        }
        TaskSetStatus::Draining => 0,
    }
}

/// Notes that the set is asked for something else than before: it is not stable until the
/// scheduler says so, and what failed before does not hold it up.
pub(super) fn unsettle(set: &mut TaskSet, now: Timestamp) {
    if set.stability == Stability::SteadyState {
        set.stability_at = now;
    }
    set.stability = Stability::Stabilizing;
    set.updated_at = now;
    set.throttle = fresh_throttle(set);
}

/// That of a set without failures.
pub(super) fn fresh_throttle(set: &TaskSet) -> Throttle {
    Throttle { deployment: Some(set.id), ..Throttle::default() }
}

/// UpdateService was called: pauses end, and sets whose share is another one now are not stable.
pub(crate) fn desired_count_changed(tx: &mut Tx<'_>, at: &ClusterKey, before: &Service, after: &Service) {
    let entry = tx.service(&at.service(&after.name));
    let sets: Vec<TaskSet> = entry
        .map(|entry| entry.task_sets().values().map(|set| TaskSet::clone(set)).collect())
        .unwrap_or_default();
    for mut set in sets {
        if computed(before, &set) != computed(after, &set) {
            unsettle(&mut set, tx.now);
        } else if set.throttle != fresh_throttle(&set) {
            set.throttle = fresh_throttle(&set);
        } else {
            continue;
        }
        tx.put_task_set(at, set);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: Option<f64>, expected: Option<u32>) {
        let scale = Scale { unit: Some(ScaleUnit::Percent), value };
        assert_eq!(parse(&scale).ok(), expected, "{value:?}");
    }

    #[test]
    fn a_scale_is_a_percentage() {
        check(Some(0.0), Some(0));
        check(Some(-0.0), Some(0));
        check(Some(50.0), Some(5_000));
        check(Some(33.33), Some(3_333));
        check(Some(0.07), Some(7));
        check(Some(100.0), Some(10_000));
        for bad in [None, Some(-0.1), Some(100.01), Some(f64::NAN), Some(f64::INFINITY)] {
            check(bad, None);
        }
    }

    #[test]
    fn less_than_a_hundredth_of_a_percent_is_not_nothing() {
        check(Some(0.000_01), Some(1));
        check(Some(33.333_3), Some(3_334));
        check(Some(99.999), Some(10_000));
    }

    #[test]
    fn what_is_shown_reads_as_what_is_kept() {
        for basis_points in 0..=10_000 {
            assert_eq!(parse(&shape(basis_points)).ok(), Some(basis_points));
        }
    }
}

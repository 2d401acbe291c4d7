//! How many tasks must be healthy, how many may exist, how many may fail.

/// The least failures that stop a deployment. The 2023 guide says 10, the present model 3
/// (ecs-behaviour, Part X).
pub const FAILURE_THRESHOLD_MIN: u32 = 3;
/// The most failures that a deployment may have (ecs-services E4).
pub const FAILURE_THRESHOLD_MAX: u32 = 200;

/// The limits that hold while tasks are replaced (ecs-services E2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// At least this many tasks stay healthy: rounded up.
    pub min: u32,
    /// At most this many tasks exist, those on their way out included: rounded down.
    pub max: u32,
}

impl Bounds {
    pub const fn new(desired: u32, minimum_healthy_percent: u32, maximum_percent: u32) -> Self {
        Self {
            min: percent_ceil(desired, minimum_healthy_percent),
            max: percent_floor(desired, maximum_percent),
        }
    }
}

const fn percent_ceil(count: u32, percent: u32) -> u32 {
    saturate((count as u64 * percent as u64).div_ceil(100))
}

const fn percent_floor(count: u32, percent: u32) -> u32 {
    saturate(count as u64 * percent as u64 / 100)
}

const fn saturate(value: u64) -> u32 {
    if value > u32::MAX as u64 { u32::MAX } else { value as u32 }
}

/// `computedDesiredCount` of a task set whose scale is given in hundredths of a percent, rounded
/// up (ecs-services E7).
pub const fn scaled(desired: u32, basis_points: u32) -> u32 {
    saturate((desired as u64 * basis_points as u64).div_ceil(10_000))
}

/// How many failed tasks make a deployment fail: half of the desired count, rounded up, within
/// 3 and 200 (ecs-services E4).
pub fn failure_threshold(desired: u32) -> u32 {
    desired.div_ceil(2).clamp(FAILURE_THRESHOLD_MIN, FAILURE_THRESHOLD_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn min_rounds_up_and_max_down() {
        for (desired, min_percent, max_percent, min, max) in [
            (4, 50, 200, 2, 8),
            (2, 75, 100, 2, 2),
            (3, 100, 125, 3, 3),
            (4, 75, 125, 3, 5),
            (10, 50, 150, 5, 15),
            (1, 0, 100, 0, 1),
            (0, 100, 200, 0, 0),
            (u32::MAX, 100, 200, u32::MAX, u32::MAX),
        ] {
            let bounds = Bounds::new(desired, min_percent, max_percent);
            assert_eq!(bounds, Bounds { min, max }, "{desired} {min_percent}/{max_percent}");
        }
    }

    #[test]
    fn half_of_the_tasks_within_3_and_200_may_fail() {
        for (desired, threshold) in [(0, 3), (1, 3), (6, 3), (7, 4), (25, 13), (400, 200), (800, 200)] {
            assert_eq!(failure_threshold(desired), threshold, "{desired}");
        }
    }

    #[test]
    fn a_task_set_rounds_its_share_up() {
        for (desired, basis_points, count) in [(10, 10_000, 10), (10, 0, 0), (3, 5_000, 2), (1, 1, 1)] {
            assert_eq!(scaled(desired, basis_points), count);
        }
    }
}

//! Which tasks minimumHealthyPercent lets go (ecs-services E2).

use crate::standing::{Member, Standing};

/// How many more tasks may be stopped, by how they stand.
///
/// A task of a crash loop is healthy once it has settled, but is not to be relied on yet ([`Standing::Proving`]). So the
/// minimum keeps it, but nothing else goes because of it: a healthy task goes if enough healthy ones are left, one that
/// has yet to prove itself if enough of both are. What has not settled may always go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    healthy: u32,
    proving: u32,
    min: u32,
}

impl Budget {
    pub fn new(members: &[Member<'_>], min: u32) -> Self {
        let mut budget = Self { healthy: 0, proving: 0, min };
        for member in members {
            match member.standing {
                Standing::Healthy => budget.healthy += 1,
                Standing::Proving { .. } => budget.proving += 1,
                Standing::Leaving
                | Standing::Lost
                | Standing::Pending
                | Standing::Settling { .. }
                | Standing::Unhealthy(_) => {}
            }
        }
        budget
    }

    /// How many more tasks that stand like this may go.
    pub fn left(&self, standing: Standing) -> u32 {
        match standing {
            Standing::Healthy => self.healthy.saturating_sub(self.min),
            Standing::Proving { .. } => {
                self.proving.min((self.healthy + self.proving).saturating_sub(self.min))
            }
            Standing::Leaving
            | Standing::Lost
            | Standing::Pending
            | Standing::Settling { .. }
            | Standing::Unhealthy(_) => u32::MAX,
        }
    }

    /// Takes a task that is to go. False if the minimum keeps it.
    #[must_use]
    pub fn take(&mut self, standing: Standing) -> bool {
        if self.left(standing) == 0 {
            return false;
        }
        match standing {
            Standing::Healthy => self.healthy -= 1,
            Standing::Proving { .. } => self.proving -= 1,
            Standing::Leaving
            | Standing::Lost
            | Standing::Pending
            | Standing::Settling { .. }
            | Standing::Unhealthy(_) => {}
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use longshore_base::Timestamp;

    use super::*;

    #[test]
    fn nothing_goes_because_of_a_task_that_has_yet_to_prove_itself() {
        let until = Timestamp::from_millis(0);
        let proving = Standing::Proving { until };
        // Healthy, proving, the minimum; how many of the former and of the latter may go, were they asked first.
        for (healthy, proves, min, of_healthy, of_proving) in [
            (3, 0, 2, 1, 0),
            (2, 1, 2, 0, 1),
            (1, 2, 2, 0, 1),
            (0, 3, 3, 0, 0),
            (0, 3, 0, 0, 3),
            (4, 2, 3, 1, 2),
        ] {
            let budget = Budget { healthy, proving: proves, min };
            assert_eq!(budget.left(Standing::Healthy), of_healthy, "{budget:?}");
            assert_eq!(budget.left(proving), of_proving, "{budget:?}");
            assert_eq!(budget.left(Standing::Settling { until: None }), u32::MAX);
            // Whatever goes first, so many stay.
            for order in [[Standing::Healthy, proving], [proving, Standing::Healthy]] {
                let mut budget = budget;
                for standing in order {
                    while budget.take(standing) {}
                }
                assert!(budget.healthy + budget.proving >= min.min(healthy + proves), "{budget:?}");
                assert!(budget.healthy >= min.min(healthy), "{budget:?}");
            }
        }
    }
}

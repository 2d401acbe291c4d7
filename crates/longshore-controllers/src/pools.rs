//! Where the tasks of one call, or of one deployment of a service, may go: one pool of instances, or one per capacity
//! provider of their strategy, in their turn (ecs-services E12).

use std::sync::Arc;

use longshore_placement::{Request, provider};
use longshore_tables_ecs::record::{Capacity, StrategyItem};

use crate::launch::Template;

/// What placement is asked for each task.
pub struct Pools {
    strategy: Vec<provider::Item>,
    /// Tasks per item of the strategy.
    counts: Vec<u32>,
    /// At least one.
    pools: Vec<Pool>,
}

/// One of the places where tasks may go.
pub struct Pool {
    pub template: Template,
    /// Made once, not once per task: placement recognises a request that it has seen before.
    pub request: Request,
}

impl Pools {
    /// `counts` tells how many tasks a capacity provider has already, as far as they matter to whose turn it is;
    /// `request` is what placement is asked for a task of that template.
    pub fn new(
        template: &Template,
        capacity: &Capacity,
        counts: impl Fn(&str) -> u32,
        request: impl Fn(&Template) -> Request,
    ) -> Self {
        let pool = |provider: Option<&Arc<str>>| {
            let mut template = template.clone();
            if provider != template.origin.capacity_provider.as_ref() {
                Arc::make_mut(&mut template.origin).capacity_provider = provider.cloned();
            }
            Pool { request: request(&template), template }
        };
        match capacity {
            Capacity::LaunchType(_) => {
                Self { strategy: Vec::new(), counts: Vec::new(), pools: vec![pool(None)] }
            }
            Capacity::Strategy(items) => {
                let item = |item: &StrategyItem| provider::Item {
                    provider: item.provider.clone(),
                    base: item.base,
                    weight: item.weight,
                };
                Self {
                    strategy: items.iter().map(item).collect(),
                    counts: items.iter().map(|item| counts(&item.provider)).collect(),
                    pools: items.iter().map(|item| pool(Some(&item.provider))).collect(),
                }
            }
        }
    }

    /// The pool whose turn it is. A task that it was asked for counts, wherever it ends up.
    pub fn take_turn(&mut self) -> &Pool {
        let turn = provider::next(&self.strategy, &self.counts).unwrap_or(0);
        if let Some(count) = self.counts.get_mut(turn) {
            *count += 1;
        }
        &self.pools[turn]
    }
}

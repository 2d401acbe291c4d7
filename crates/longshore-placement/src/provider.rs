//! Capacity provider strategies: which provider gets the next task (ecs-services E12).

use std::collections::BTreeSet;
use std::sync::Arc;

/// The most items of one strategy.
pub const ITEMS_MAX: usize = 20;
/// The range of `weight` in the service model.
pub const WEIGHT_MAX: u32 = 1000;
/// The range of `base` in the service model.
pub const BASE_MAX: u32 = 100_000;

/// One `{capacityProvider, weight, base}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub provider: Arc<str>,
    /// The share of the tasks beyond the bases. Zero takes none of them.
    pub weight: u32,
    /// How many tasks this provider gets before anyone's weight matters.
    pub base: u32,
}

/// Why a strategy is refused, in the words of the answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    #[error("A capacity provider strategy can hold at most {ITEMS_MAX} items; {count} were given.")]
    TooMany { count: usize },
    #[error("A capacity provider strategy needs at least one item.")]
    Empty,
    #[error("Capacity provider {0} appears more than once in the strategy.")]
    Repeated(Arc<str>),
    #[error("Only one item of a capacity provider strategy can have a base greater than 0.")]
    Bases,
    #[error("At least one item of a capacity provider strategy needs a weight greater than 0.")]
    WeightsZero,
    #[error("The weight of capacity provider {0} must be between 0 and {WEIGHT_MAX}.")]
    Weight(Arc<str>),
    #[error("The base of capacity provider {0} must be between 0 and {BASE_MAX}.")]
    Base(Arc<str>),
    #[error("A capacity provider strategy cannot mix Fargate with other capacity providers.")]
    Mixed,
}

/// The two providers that every account has without creating them.
pub const FARGATE: &str = "FARGATE";
pub const FARGATE_SPOT: &str = "FARGATE_SPOT";

/// True for [`FARGATE`] and [`FARGATE_SPOT`].
pub fn is_fargate(provider: &str) -> bool {
    provider == FARGATE || provider == FARGATE_SPOT
}

/// Checks a strategy as RunTask and CreateService require it.
///
/// # Errors
/// The first rule that it breaks.
pub fn check(items: &[Item]) -> Result<(), ProviderError> {
    if items.is_empty() {
        return Err(ProviderError::Empty);
    }
    if items.len() > ITEMS_MAX {
        return Err(ProviderError::TooMany { count: items.len() });
    }
    let mut seen = BTreeSet::new();
    for item in items {
        if !seen.insert(&item.provider) {
            return Err(ProviderError::Repeated(item.provider.clone()));
        }
        if item.weight > WEIGHT_MAX {
            return Err(ProviderError::Weight(item.provider.clone()));
        }
        if item.base > BASE_MAX {
            return Err(ProviderError::Base(item.provider.clone()));
        }
    }
    if items.iter().filter(|item| item.base > 0).count() > 1 {
        return Err(ProviderError::Bases);
    }
    if items.iter().all(|item| item.weight == 0) {
        return Err(ProviderError::WeightsZero);
    }
    let fargate = items.iter().filter(|item| is_fargate(&item.provider)).count();
    if fargate != 0 && fargate != items.len() {
        return Err(ProviderError::Mixed);
    }
    Ok(())
}

/// The index of the item that gets the next task.
///
/// `counts[i]` is how many tasks of this call or deployment item `i` has already. First comes an
/// unfilled base; then the item whose share beyond its base, once it had the task, would be the
/// smallest relative to its weight. Ties go to the earlier item. `None` if the bases are full and
/// no item has a weight.
pub fn next(items: &[Item], counts: &[u32]) -> Option<usize> {
    let count = |i: usize| counts.get(i).copied().unwrap_or(0);
    if let Some(unfilled) = (0..items.len()).find(|&i| count(i) < items[i].base) {
        return Some(unfilled);
    }
    // (count - base + 1) / weight, compared by cross-multiplication: no division, no rounding.
    let share = |i: usize| u64::from(count(i) - items[i].base) + 1;
    (0..items.len()).filter(|&i| items[i].weight > 0).reduce(|best, i| {
        let (ours, theirs) =
            (share(i) * u64::from(items[best].weight), share(best) * u64::from(items[i].weight));
        if ours < theirs { i } else { best }
    })
}

/// How many of `tasks` each item gets, beginning with `counts` that exist already.
///
/// Gives the additional tasks of each item. Their sum is `tasks`, unless [`next`] gives `None`, which [`check`] rules
/// out.
pub fn split(items: &[Item], counts: &[u32], tasks: u32) -> Vec<u32> {
    let mut now: Vec<u32> = (0..items.len()).map(|i| counts.get(i).copied().unwrap_or(0)).collect();
    let before = now.clone();
    for _ in 0..tasks {
        match next(items, &now) {
            Some(i) => now[i] += 1,
            None => break,
        }
    }
    now.iter().zip(before).map(|(now, before)| now - before).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(spec: &[(&str, u32, u32)]) -> Vec<Item> {
        spec.iter().map(|&(name, base, weight)| Item { provider: name.into(), weight, base }).collect()
    }

    /// The vectors of ecs-services E12.
    #[test]
    fn bases_come_first_then_weights() {
        assert_eq!(split(&items(&[("a", 2, 1), ("b", 0, 3)]), &[], 10), [4, 6]);
        assert_eq!(split(&items(&[("a", 0, 1), ("b", 0, 1)]), &[], 5), [3, 2]);
        assert_eq!(split(&items(&[("a", 1, 1)]), &[], 4), [4]);
        assert_eq!(split(&items(&[("a", 3, 0), ("b", 0, 1)]), &[], 5), [3, 2]);
    }

    #[test]
    fn existing_tasks_count() {
        assert_eq!(split(&items(&[("a", 2, 1), ("b", 0, 3)]), &[4, 6], 4), [1, 3]);
        assert_eq!(split(&items(&[("a", 0, 1), ("b", 0, 1)]), &[5, 0], 4), [0, 4]);
    }

    #[test]
    fn without_weights_nothing_goes_beyond_the_base() {
        let only_base = items(&[("a", 2, 0)]);
        assert_eq!(split(&only_base, &[], 5), [2]);
        assert_eq!(next(&only_base, &[2]), None);
        assert_eq!(next(&[], &[]), None);
    }

    #[test]
    fn strategies_are_checked() {
        let err = |spec: &[(&str, u32, u32)]| check(&items(spec)).err();
        assert_eq!(err(&[("a", 2, 1), ("b", 0, 3)]), None);
        assert_eq!(err(&[]), Some(ProviderError::Empty));
        assert_eq!(err(&[("a", 0, 0)]), Some(ProviderError::WeightsZero));
        assert_eq!(err(&[("a", 1, 1), ("b", 1, 1)]), Some(ProviderError::Bases));
        assert_eq!(err(&[("a", 0, 1), ("a", 0, 1)]), Some(ProviderError::Repeated("a".into())));
        assert_eq!(err(&[("FARGATE", 0, 1), ("a", 0, 1)]), Some(ProviderError::Mixed));
        assert_eq!(err(&[("FARGATE", 0, 1), ("FARGATE_SPOT", 0, 4)]), None);
        assert_eq!(err(&[("a", 0, 1001)]), Some(ProviderError::Weight("a".into())));
        assert_eq!(err(&[("a", 100_001, 1)]), Some(ProviderError::Base("a".into())));
        assert_eq!(
            check(&vec![items(&[("a", 0, 1)])[0].clone(); 21]),
            Err(ProviderError::TooMany { count: 21 })
        );
    }
}

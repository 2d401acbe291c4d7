//! Capacity provider strategies: of clusters, services and calls (ecs-operations B1, B5, B6).

use longshore_placement::provider;
pub use longshore_placement::provider::is_fargate;
use longshore_shapes_ecs as shapes;
use longshore_shapes_ecs::InvalidParameterException;
use longshore_tables_ecs::record::StrategyItem;

use crate::texts;

/// The providers that every account has without making them.
pub const FARGATE_PROVIDERS: [&str; 2] = [provider::FARGATE, provider::FARGATE_SPOT];

/// The most providers of a cluster, and the most items of a strategy.
pub const PROVIDERS_MAX: usize = 20;

/// Reads a strategy. `attached` are the names of the cluster's providers.
pub fn parse<'a>(
    items: Vec<shapes::CapacityProviderStrategyItem>,
    attached: impl Iterator<Item = &'a str> + Clone,
) -> Result<Vec<StrategyItem>, InvalidParameterException> {
    let refuse = |text: &str| Err(InvalidParameterException::new(text));
    if items.len() > PROVIDERS_MAX {
        return refuse(&texts::too_many("capacityProviderStrategy", PROVIDERS_MAX));
    }
    let number = |value: Option<i32>| u32::try_from(value.unwrap_or(0)).unwrap_or(0);
    let mut strategy: Vec<StrategyItem> = Vec::with_capacity(items.len());
    for item in items {
        let provider = item.capacity_provider.unwrap_or_default();
        if !attached.clone().any(|name| name == provider) {
            return refuse(texts::STRATEGY_NOT_ATTACHED);
        }
        if strategy.iter().any(|other| *other.provider == *provider) {
            return refuse(texts::STRATEGY_TWICE);
        }
        let (base, weight) = (number(item.base), number(item.weight));
        strategy.push(StrategyItem { provider: provider.into(), base, weight });
    }
    if strategy.iter().filter(|item| item.base > 0).count() > 1 {
        return refuse(texts::STRATEGY_BASES);
    }
    if !strategy.is_empty() && strategy.iter().all(|item| item.weight == 0) {
        return refuse(texts::STRATEGY_WEIGHTS);
    }
    let fargate = strategy.iter().filter(|item| is_fargate(&item.provider)).count();
    if fargate > 0 && fargate < strategy.len() {
        return refuse(texts::STRATEGY_MIXED);
    }
    Ok(strategy)
}

/// A strategy as the API shows it.
pub fn shapes(strategy: &[StrategyItem]) -> Vec<shapes::CapacityProviderStrategyItem> {
    let number = |value: u32| Some(i32::try_from(value).unwrap_or(i32::MAX));
    let item = |item: &StrategyItem| shapes::CapacityProviderStrategyItem {
        capacity_provider: Some(item.provider.to_string()),
        base: number(item.base),
        weight: number(item.weight),
    };
    strategy.iter().map(item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(items: &[(&str, i32, i32)], expected: Result<usize, &str>) {
        let attached = ["a", "b", "FARGATE"];
        let item = |&(name, base, weight): &(&str, i32, i32)| shapes::CapacityProviderStrategyItem {
            capacity_provider: Some(name.into()),
            base: Some(base),
            weight: Some(weight),
        };
        let strategy = parse(items.iter().map(item).collect(), attached.into_iter());
        let outcome =
            strategy.as_ref().map(Vec::len).map_err(|error| error.message.as_deref().unwrap_or_default());
        assert_eq!(outcome, expected, "{items:?}");
    }

    #[test]
    fn strategies_keep_their_rules() {
        check(&[], Ok(0));
        check(&[("a", 1, 1), ("b", 0, 3)], Ok(2));
        check(&[("c", 0, 1)], Err(texts::STRATEGY_NOT_ATTACHED));
        check(&[("a", 0, 1), ("a", 0, 2)], Err(texts::STRATEGY_TWICE));
        check(&[("a", 1, 1), ("b", 1, 1)], Err(texts::STRATEGY_BASES));
        check(&[("a", 1, 0), ("b", 0, 0)], Err(texts::STRATEGY_WEIGHTS));
        check(&[("a", 0, 1), ("FARGATE", 0, 1)], Err(texts::STRATEGY_MIXED));
    }
}

//! Placement strategies: which of the instances that could hold a task should (ecs-engine D4).

use std::fmt;
use std::sync::Arc;

use crate::ZONE_ATTRIBUTE;

/// The most strategies that one call may chain (ecs-behaviour A10).
pub const STRATEGIES_MAX: usize = 5;

/// The longest attribute name (ecs-engine D2).
const ATTRIBUTE_NAME_LEN_MAX: usize = 128;

/// One step of a chain: each keeps the best of what the steps before it left.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strategy {
    /// Any, uniformly. Steps after it have nothing left to choose from.
    Random,
    /// Where the fewest tasks of the same group are.
    Spread(Field),
    /// Where the least of the resource remains.
    Binpack(Resource),
}

/// What a `spread` counts tasks by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// `instanceId`; `host` means the same.
    Instance,
    /// `attribute:<name>`. Instances without the attribute share the value "absent".
    Attribute(Arc<str>),
}

/// What a `binpack` measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    Cpu,
    Memory,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StrategyError {
    #[error("Placement strategy type {0} is invalid. Valid types: random, spread, binpack.")]
    Type(String),
    #[error("Placement strategy field {field} is invalid for type {kind}. {expected}")]
    Field { kind: &'static str, field: String, expected: &'static str },
    #[error("A placement strategy of type {kind} needs a field. {expected}")]
    FieldMissing { kind: &'static str, expected: &'static str },
    #[error("{count} placement strategies were given; at most {STRATEGIES_MAX} are allowed.")]
    TooMany { count: usize },
}

const SPREAD_FIELDS: &str = "Valid fields: instanceId, host, attribute:<name>.";
const BINPACK_FIELDS: &str = "Valid fields: cpu, memory.";

impl Field {
    /// The zone, which the defaults and rebalancing spread over.
    pub fn zone() -> Self {
        Field::Attribute(ZONE_ATTRIBUTE.into())
    }
}

impl Strategy {
    /// Reads one `{type, field}`. Types and the fields with fixed names are taken in any case;
    /// an attribute's name is kept as written. The field of `random` is not used and dropped.
    pub fn parse(kind: &str, field: Option<&str>) -> Result<Self, StrategyError> {
        let field = field.filter(|text| !text.is_empty());
        if kind.eq_ignore_ascii_case("random") {
            Ok(Strategy::Random)
        } else if kind.eq_ignore_ascii_case("spread") {
            spread_field(field).map(Strategy::Spread)
        } else if kind.eq_ignore_ascii_case("binpack") {
            binpack_resource(field).map(Strategy::Binpack)
        } else {
            Err(StrategyError::Type(kind.to_owned()))
        }
    }

    /// Reads a whole chain, as `placementStrategy` carries it.
    pub fn parse_all<'a>(
        pairs: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    ) -> Result<Vec<Self>, StrategyError> {
        let strategies =
            pairs.into_iter().map(|(kind, field)| Self::parse(kind, field)).collect::<Result<Vec<_>, _>>()?;
        if strategies.len() > STRATEGIES_MAX {
            return Err(StrategyError::TooMany { count: strategies.len() });
        }
        Ok(strategies)
    }

    /// The `type`, as responses show it.
    pub fn kind(&self) -> &'static str {
        match self {
            Strategy::Random => "random",
            Strategy::Spread(_) => "spread",
            Strategy::Binpack(_) => "binpack",
        }
    }

    /// The normalised `field`, as responses show it; `None` for `random`.
    pub fn field(&self) -> Option<String> {
        match self {
            Strategy::Random => None,
            Strategy::Spread(field) => Some(field.to_string()),
            Strategy::Binpack(resource) => Some(resource.as_str().to_owned()),
        }
    }
}

fn spread_field(field: Option<&str>) -> Result<Field, StrategyError> {
    let text = field.ok_or(StrategyError::FieldMissing { kind: "spread", expected: SPREAD_FIELDS })?;
    if text.eq_ignore_ascii_case("instanceId") || text.eq_ignore_ascii_case("host") {
        return Ok(Field::Instance);
    }
    match text.split_once(':') {
        Some((prefix, name))
            if prefix.eq_ignore_ascii_case("attribute")
                && !name.is_empty()
                && name.len() <= ATTRIBUTE_NAME_LEN_MAX =>
        {
            Ok(Field::Attribute(name.into()))
        }
        Some(_) | None => Err(StrategyError::Field {
            kind: "spread",
            field: text.chars().take(ATTRIBUTE_NAME_LEN_MAX).collect(),
            expected: SPREAD_FIELDS,
        }),
    }
}

fn binpack_resource(field: Option<&str>) -> Result<Resource, StrategyError> {
    let text = field.ok_or(StrategyError::FieldMissing { kind: "binpack", expected: BINPACK_FIELDS })?;
    if text.eq_ignore_ascii_case("cpu") {
        Ok(Resource::Cpu)
    } else if text.eq_ignore_ascii_case("memory") {
        Ok(Resource::Memory)
    } else {
        Err(StrategyError::Field {
            kind: "binpack",
            field: text.chars().take(ATTRIBUTE_NAME_LEN_MAX).collect(),
            expected: BINPACK_FIELDS,
        })
    }
}

impl Resource {
    pub fn as_str(self) -> &'static str {
        match self {
            Resource::Cpu => "cpu",
            Resource::Memory => "memory",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Field::Instance => f.write_str("instanceId"),
            Field::Attribute(name) => write!(f, "attribute:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: &str, field: Option<&str>, expected: Result<(&str, Option<&str>), &str>) {
        let got = Strategy::parse(kind, field);
        let shown = got.as_ref().map(|s| (s.kind(), s.field())).map_err(ToString::to_string);
        let expected = expected.map(|(k, f)| (k, f.map(str::to_owned))).map_err(str::to_owned);
        assert_eq!(shown, expected, "{kind} {field:?}");
    }

    #[test]
    fn fields_are_normalised() {
        check("random", Some("ignored"), Ok(("random", None)));
        check("spread", Some("host"), Ok(("spread", Some("instanceId"))));
        check("SPREAD", Some("INSTANCEID"), Ok(("spread", Some("instanceId"))));
        check("spread", Some("Attribute:My.Rack"), Ok(("spread", Some("attribute:My.Rack"))));
        check("binpack", Some("MEMORY"), Ok(("binpack", Some("memory"))));
        check("binpack", Some("cpu"), Ok(("binpack", Some("cpu"))));
    }

    #[test]
    fn wrong_fields_say_what_is_possible() {
        check(
            "pack",
            None,
            Err("Placement strategy type pack is invalid. Valid types: random, spread, binpack."),
        );
        check(
            "spread",
            Some("ecs.availability-zone"),
            Err("Placement strategy field ecs.availability-zone is invalid for type spread. \
                 Valid fields: instanceId, host, attribute:<name>."),
        );
        check(
            "spread",
            None,
            Err("A placement strategy of type spread needs a field. \
                 Valid fields: instanceId, host, attribute:<name>."),
        );
        check(
            "binpack",
            Some("disk"),
            Err("Placement strategy field disk is invalid for type binpack. Valid fields: cpu, memory."),
        );
        assert!(matches!(Strategy::parse("spread", Some("attribute:")), Err(StrategyError::Field { .. })));
    }

    #[test]
    fn a_chain_has_a_limit() {
        assert_eq!(Strategy::parse_all(vec![("random", None); 5]).map(|s| s.len()), Ok(5));
        assert_eq!(Strategy::parse_all(vec![("random", None); 6]), Err(StrategyError::TooMany { count: 6 }));
    }
}

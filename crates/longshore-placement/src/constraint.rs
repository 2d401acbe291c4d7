//! Placement constraints: which instances may hold a task at all (ecs-engine D4).

use crate::query::{Expression, QueryError};

/// The most constraints of a task definition and a call together (ecs-behaviour A10).
pub const CONSTRAINTS_MAX: usize = 10;

/// A binding rule. All of a request's constraints have to hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Constraint {
    /// No other task of the same group that is meant to run may be on the instance.
    DistinctInstance,
    /// The instance satisfies the expression.
    MemberOf(Expression),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConstraintError {
    #[error("Placement constraint type {0} is invalid. Valid types: distinctInstance, memberOf.")]
    Type(String),
    #[error("A placement constraint of type distinctInstance takes no expression.")]
    ExpressionUnexpected,
    #[error("A placement constraint of type memberOf needs an expression.")]
    ExpressionMissing,
    #[error("Placement constraint expression is invalid: {0}")]
    Expression(QueryError),
    #[error("{count} placement constraints were given; at most {CONSTRAINTS_MAX} are allowed.")]
    TooMany { count: usize },
    #[error("Placement constraint type distinctInstance is not allowed in a task definition.")]
    NotInTaskDefinition,
}

impl Constraint {
    /// Reads one `{type, expression}`.
    pub fn parse(kind: &str, expression: Option<&str>) -> Result<Self, ConstraintError> {
        let expression = expression.filter(|text| !text.is_empty());
        match (kind, expression) {
            ("distinctInstance", None) => Ok(Constraint::DistinctInstance),
            ("distinctInstance", Some(_)) => Err(ConstraintError::ExpressionUnexpected),
            ("memberOf", None) => Err(ConstraintError::ExpressionMissing),
            ("memberOf", Some(text)) => {
                Expression::parse(text).map(Constraint::MemberOf).map_err(ConstraintError::Expression)
            }
            (kind, _) => Err(ConstraintError::Type(kind.chars().take(64).collect())),
        }
    }

    /// Reads the `placementConstraints` of a call or a service. The limit counts those of the
    /// task definition too: the caller checks the sum with [`Constraint::check_count`].
    pub fn parse_all<'a>(
        pairs: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    ) -> Result<Vec<Self>, ConstraintError> {
        let constraints = pairs
            .into_iter()
            .map(|(kind, expression)| Self::parse(kind, expression))
            .collect::<Result<Vec<_>, _>>()?;
        Self::check_count(constraints.len())?;
        Ok(constraints)
    }

    /// Reads the `placementConstraints` of a task definition, which may not hold `distinctInstance`.
    pub fn parse_all_of_definition<'a>(
        pairs: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    ) -> Result<Vec<Self>, ConstraintError> {
        let constraints = Self::parse_all(pairs)?;
        if constraints.contains(&Constraint::DistinctInstance) {
            return Err(ConstraintError::NotInTaskDefinition);
        }
        Ok(constraints)
    }

    pub fn check_count(count: usize) -> Result<(), ConstraintError> {
        if count > CONSTRAINTS_MAX { Err(ConstraintError::TooMany { count }) } else { Ok(()) }
    }

    /// The `type`, as responses show it.
    pub fn kind(&self) -> &'static str {
        match self {
            Constraint::DistinctInstance => "distinctInstance",
            Constraint::MemberOf(_) => "memberOf",
        }
    }

    /// The `expression` as it was written.
    pub fn expression(&self) -> Option<&str> {
        match self {
            Constraint::DistinctInstance => None,
            Constraint::MemberOf(expression) => Some(expression.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_are_read_by_type() {
        assert_eq!(Constraint::parse("distinctInstance", None), Ok(Constraint::DistinctInstance));
        assert_eq!(Constraint::parse("distinctInstance", Some("")), Ok(Constraint::DistinctInstance));
        assert_eq!(
            Constraint::parse("distinctInstance", Some("attribute:a exists")),
            Err(ConstraintError::ExpressionUnexpected)
        );
        assert_eq!(Constraint::parse("memberOf", None), Err(ConstraintError::ExpressionMissing));
        let parsed = Constraint::parse("memberOf", Some("attribute:a == b")).expect("valid");
        assert_eq!(parsed.expression(), Some("attribute:a == b"));
        assert!(matches!(Constraint::parse("memberOf", Some("a b")), Err(ConstraintError::Expression(_))));
        assert_eq!(Constraint::parse("near", None), Err(ConstraintError::Type("near".to_owned())));
    }

    #[test]
    fn a_definition_cannot_ask_for_distinct_instances() {
        let pairs = [("distinctInstance", None)];
        assert!(Constraint::parse_all(pairs).is_ok());
        assert_eq!(Constraint::parse_all_of_definition(pairs), Err(ConstraintError::NotInTaskDefinition));
    }

    #[test]
    fn their_number_is_limited() {
        let many = vec![("distinctInstance", None); 11];
        assert_eq!(Constraint::parse_all(many), Err(ConstraintError::TooMany { count: 11 }));
    }
}

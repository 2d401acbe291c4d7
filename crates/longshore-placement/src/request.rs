//! One task that looks for a place.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::constraint::Constraint;
use crate::needs::{Needs, Pool, RequiredAttribute};
use crate::query::Expression;
use crate::strategy::{Field, Resource, Strategy};

/// What is done when a request names no strategy (ecs-engine D4, "Defaults").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DefaultStrategy {
    /// The zone with the fewest tasks of the service, then the instance with the fewest.
    #[default]
    Service,
    /// The zone with the fewest tasks of the group, then the most remaining memory.
    Task,
}

/// What a caller fills in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RequestSpec {
    pub needs: Needs,
    pub pool: Pool,
    pub required: Vec<RequiredAttribute>,
    /// The zones of the task's subnets (awsvpc); `None` when any will do.
    pub zones: Option<Vec<Arc<str>>>,
    /// Those of the task definition and of the call.
    pub constraints: Vec<Constraint>,
    /// Empty for the default.
    pub strategies: Vec<Strategy>,
    pub default: DefaultStrategy,
    /// `service:<name>`, `family:<family>` or what RunTask was given as `group`.
    pub group: Arc<str>,
}

/// A task that looks for a place: a [`RequestSpec`] prepared for being asked many times.
///
/// Cheap to clone. Build it once per deployment or call, not once per task: the index recognises
/// a request that it has seen before.
#[derive(Clone, Debug)]
pub struct Request {
    spec: Arc<RequestSpec>,
    pub(crate) steps: Arc<[Step]>,
    /// Of everything that does not change while tasks come and go: pool, attributes, zones and
    /// the expressions that look at nothing else.
    pub(crate) filter_hash: u64,
    /// Of the filter and the needs.
    pub(crate) fit_hash: u64,
}

/// A strategy, or one of the two preferences that only a default has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Spread(Field),
    Least(Resource),
    Most(Resource),
}

impl Request {
    pub fn new(spec: RequestSpec) -> Self {
        let steps = steps(&spec);
        let mut hasher = DefaultHasher::new();
        (&spec.pool, &spec.required, &spec.zones).hash(&mut hasher);
        for expression in expressions(&spec).filter(|e| e.is_static()) {
            expression.hash(&mut hasher);
        }
        let filter_hash = hasher.finish();
        spec.needs.hash(&mut hasher);
        let fit_hash = hasher.finish();
        Self { spec: Arc::new(spec), steps: steps.into(), filter_hash, fit_hash }
    }

    pub fn spec(&self) -> &RequestSpec {
        &self.spec
    }

    pub(crate) fn shared_spec(&self) -> &Arc<RequestSpec> {
        &self.spec
    }
}

impl From<RequestSpec> for Request {
    fn from(spec: RequestSpec) -> Self {
        Request::new(spec)
    }
}

pub(crate) fn expressions(spec: &RequestSpec) -> impl Iterator<Item = &Expression> {
    spec.constraints.iter().filter_map(|constraint| match constraint {
        Constraint::DistinctInstance => None,
        Constraint::MemberOf(expression) => Some(expression),
    })
}

/// The chain to follow. It ends at `random`, after which there is nothing left to refine.
fn steps(spec: &RequestSpec) -> Vec<Step> {
    if spec.strategies.is_empty() {
        return match spec.default {
            DefaultStrategy::Service => vec![Step::Spread(Field::zone()), Step::Spread(Field::Instance)],
            DefaultStrategy::Task => vec![Step::Spread(Field::zone()), Step::Most(Resource::Memory)],
        };
    }
    spec.strategies
        .iter()
        .map_while(|strategy| match strategy {
            Strategy::Random => None,
            Strategy::Spread(field) => Some(Step::Spread(field.clone())),
            Strategy::Binpack(resource) => Some(Step::Least(*resource)),
        })
        .collect()
}

//! Filters of lists of parameters.

use longshore_shapes_ssm::{
    InvalidFilterKey, InvalidFilterOption, InvalidFilterValue, ParameterStringFilter, ParametersFilter,
    ParametersFilterKey,
};
use longshore_state::State;
use longshore_tables_secrets::find::{FoundParameter, Selector};
use longshore_tables_secrets::record::{ParameterKind, Tier};

use super::name;

/// What may be filtered by when a path is read.
pub(super) const OF_PATHS: &[&str] = &["Type", "KeyId", "Label"];
/// The same of descriptions. Tags come beside them.
pub(super) const OF_DESCRIPTIONS: &[&str] = &["Name", "Type", "KeyId", "Path", "Label", "Tier", "DataType"];

/// How a value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Equals,
    BeginsWith,
    Contains,
    OneLevel,
    Recursive,
}

/// Filters that were read: a parameter has to get through all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Filters(Vec<(String, How, Vec<String>)>);

/// Why filters are none.
pub(super) enum NoFilter {
    Key(InvalidFilterKey),
    Option(InvalidFilterOption),
    Value(InvalidFilterValue),
}

macro_rules! into_errors {
    ($($error:ident,)*) => {$(
        impl From<NoFilter> for longshore_shapes_ssm::$error {
            fn from(error: NoFilter) -> Self {
                match error {
                    NoFilter::Key(error) => error.into(),
                    NoFilter::Option(error) => error.into(),
                    NoFilter::Value(error) => error.into(),
                }
            }
        }
    )*};
}

into_errors! { DescribeParametersError, GetParametersByPathError, }

impl Filters {
    /// Reads filters by `allowed` keys; where `Name` is one of them, by tags as well.
    pub fn read(given: &Option<Vec<ParameterStringFilter>>, allowed: &[&str]) -> Result<Self, NoFilter> {
        let mut filters = Vec::new();
        for filter in given.iter().flatten() {
            let key = filter.key.as_deref().unwrap_or_default();
            let is_tag = key.starts_with("tag:") && allowed.contains(&"Name");
            if !is_tag && !allowed.contains(&key) {
                return Err(NoFilter::Key(InvalidFilterKey::new(format!(
                    "There is no filter by {key} here."
                ))));
            }
            let option = filter.option.as_deref();
            let how = match (key, option) {
                ("Path", None | Some("OneLevel")) => How::OneLevel,
                ("Path", Some("Recursive")) => How::Recursive,
                ("Name", Some("Contains")) => How::Contains,
                ("Path", Some(_)) => return Err(bad_option(key, option)),
                (_, None | Some("Equals")) => How::Equals,
                (_, Some("BeginsWith")) if !is_tag => How::BeginsWith,
                (_, Some(_)) => return Err(bad_option(key, option)),
            };
            let values = filter.values.clone().unwrap_or_default();
            if values.is_empty() && !is_tag {
                let text = format!("The filter by {key} needs a value.");
                return Err(NoFilter::Value(InvalidFilterValue::new(text)));
            }
            filters.push((key.to_owned(), how, values));
        }
        Ok(Self(filters))
    }

    /// The older form, whose names are those that parameters begin with.
    pub fn read_old(given: &Option<Vec<ParametersFilter>>) -> Self {
        let one = |filter: &ParametersFilter| {
            let (key, how) = match &filter.key {
                Some(ParametersFilterKey::Name) => ("Name", How::BeginsWith),
                Some(ParametersFilterKey::Type) => ("Type", How::Equals),
                Some(ParametersFilterKey::KeyId) => ("KeyId", How::Equals),
                Some(ParametersFilterKey::Unrecognized(_)) | None => return None,
            };
            Some((key.to_owned(), how, filter.values.clone().unwrap_or_default()))
        };
        Self(given.iter().flatten().filter_map(one).collect())
    }

    pub fn and(mut self, more: Self) -> Self {
        self.0.extend(more.0);
        self
    }

    pub fn let_through(&self, state: &State, found: &FoundParameter<'_>) -> bool {
        self.0.iter().all(|(key, how, values)| lets_through(state, found, key, *how, values))
    }
}

fn bad_option(key: &str, option: Option<&str>) -> NoFilter {
    let option = option.unwrap_or_default();
    NoFilter::Option(InvalidFilterOption::new(format!("A filter by {key} has no option {option}.")))
}

fn lets_through(state: &State, found: &FoundParameter<'_>, key: &str, how: How, values: &[String]) -> bool {
    let fits = |own: &str| values.iter().any(|value| matches(own, value, how));
    let Some((_, version)) = found.version(state, Selector::Newest) else { return false };
    match key {
        // `name` finds `/name`, too.
        "Name" => {
            let bare = found.name.strip_prefix('/').filter(|rest| !rest.contains('/'));
            fits(found.name) || bare.is_some_and(fits)
        }
        "Path" => values.iter().any(|path| is_below(found.name, path, how)),
        "Type" => fits(match found.parameter.kind {
            ParameterKind::String => "String",
            ParameterKind::StringList => "StringList",
            ParameterKind::SecureString => "SecureString",
        }),
        "KeyId" => version.key_named.as_ref().is_some_and(|named| fits(named)),
        "Label" => found.parameter.labels.iter().any(|(label, _)| fits(label)),
        "Tier" => fits(match version.tier {
            Tier::Standard => "Standard",
            Tier::Advanced => "Advanced",
        }),
        "DataType" => fits(&version.data_type),
        tag => {
            let own = tag.strip_prefix("tag:").and_then(|tag| found.parameter.tags.get(tag));
            own.is_some_and(|own| values.is_empty() || fits(own))
        }
    }
}

fn matches(own: &str, value: &str, how: How) -> bool {
    match how {
        How::Equals => own == value,
        How::BeginsWith => own.starts_with(value),
        How::Contains => own.contains(value),
        How::OneLevel | How::Recursive => is_below(own, value, how),
    }
}

fn is_below(own: &str, path: &str, how: How) -> bool {
    let rest = own.strip_prefix(&name::below(path));
    rest.is_some_and(|rest| how == How::Recursive || !rest.contains('/'))
}

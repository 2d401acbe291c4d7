//! Operations of the REST protocols, by method, path, parameters and headers.

use longshore_base::percent;

use super::{Binding, Head};
use crate::rest::has_form;

/// The operation that a request names: of those whose binding it fulfils, the one that asks for most.
pub(super) fn find(bindings: &'static [Binding], head: &Head<'_>) -> Option<&'static str> {
    let fitting = bindings.iter().filter(|binding| fits(binding, head));
    fitting.max_by_key(|binding| weight(binding)).map(|binding| binding.operation)
}

fn fits(binding: &'static Binding, head: &Head<'_>) -> bool {
    let has = |wanted: &str, value: Option<&str>| {
        head.query.split('&').any(|pair| {
            let (name, given) = pair.split_once('=').unwrap_or((pair, ""));
            percent::decode(name).is_some_and(|name| name == wanted)
                && value.is_none_or(|value| percent::decode(given).is_some_and(|given| given == value))
        })
    };
    binding.method == head.method
        && has_form(binding.uri, head.path)
        && literals(binding).all(|(name, value)| has(name, value))
        && binding.query.iter().all(|name| has(name, None))
        && binding.headers.iter().all(|name| head.header(name).is_some())
}

/// The parameters that stand in the binding's own path, with their value where it has one.
fn literals(binding: &'static Binding) -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
    let (_, query) = binding.uri.split_once('?').unwrap_or_default();
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| match pair.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (pair, None),
    })
}

/// How much a binding asks for: words of its path, then parameters and headers; a label that takes everything asks for
/// less than one that takes a segment.
fn weight(binding: &'static Binding) -> (usize, usize, bool) {
    let path = binding.uri.split('?').next().unwrap_or_default();
    let words = path.split('/').filter(|segment| !segment.is_empty() && !segment.starts_with('{')).count();
    let asked = literals(binding).count() + binding.query.len() + binding.headers.len();
    (words, asked, !path.contains("+}"))
}

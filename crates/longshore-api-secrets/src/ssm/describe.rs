//! Parameters as they are listed: without their values.

use longshore_shapes_ssm::{DescribeParametersResult, InvalidNextToken, ops};
use longshore_tables_secrets::SecretsState;
use longshore_tables_secrets::find::{FoundParameter, Selector};

use super::filter::{self, Filters};
use super::{permission, shape};

const SIZE: usize = 50;

list!(
    Ssm,
    DescribeParameters(max_results, next_token, SIZE, InvalidNextToken),
    |_state, caller, _input, _page| permission::on_all(caller, "DescribeParameters"),
    |state, caller, input, page| {
        let filters = Filters::read(&input.parameter_filters, filter::OF_DESCRIPTIONS)?;
        let filters = filters.and(Filters::read_old(&input.filters));
        // Nothing is shared between accounts.
        let is_shared = input.shared.unwrap_or(false);
        let all = state.secrets().realm(&caller.scope).parameters().iter().filter(|_| !is_shared);
        let all =
            all.map(|(name, parameter)| FoundParameter { scope: caller.scope.clone(), name, parameter });
        let all = all.filter(|found| filters.let_through(state, found));
        let paged = page.fill(all, |found| found.name.to_string());
        let described = paged.items.iter().filter_map(|found| {
            let (_, version) = found.version(state, Selector::Newest)?;
            Some(shape::metadata(found, version))
        });
        Ok(DescribeParametersResult { parameters: Some(described.collect()), next_token: paged.next })
    }
);

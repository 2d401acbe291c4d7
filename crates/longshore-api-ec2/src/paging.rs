//! Lists in pages: MaxResults, from 5 to 1000 for most lists, and a NextToken where there is more.
//!
//! A token ([`longshore_wire::token`]) holds the place where its page ended, and is bound to the operation, its account and
//! its other parameters.

use longshore_service::Caller;
use longshore_wire::{Fault, Shape, token};

use crate::errors;
use crate::filters::Filterable;

/// One page of a list: where it begins, and how long it is at most.
#[derive(Clone, Debug)]
pub struct Page {
    fingerprint: u64,
    after: Option<String>,
    size: usize,
}

/// Whoever names ids gets all of them, and no pages.
pub(crate) fn not_with(
    member: &str,
    ids: &Option<Vec<String>>,
    (max_results, _): &(Option<i32>, Option<String>),
) -> Result<(), Fault> {
    if max_results.is_some() && ids.as_ref().is_some_and(|ids| !ids.is_empty()) {
        let text = format!("The parameter {} cannot be used with the parameter maxResults", camel(member));
        return Err(errors::combination(text));
    }
    Ok(())
}

/// `vpc_ids` as `vpcIds`.
fn camel(member: &str) -> String {
    let mut words = member.split('_');
    let mut name = words.next().unwrap_or_default().to_owned();
    for word in words {
        let (first, rest) = word.split_at(word.len().min(1));
        name.push_str(&first.to_ascii_uppercase());
        name.push_str(rest);
    }
    name
}

impl Page {
    /// Reads `MaxResults` and `NextToken`. `request` is the rest: both members have to be taken out of it before. Without
    /// `MaxResults` a page holds as many as it ever may.
    pub(crate) fn open<T: Filterable>(
        operation: &str,
        caller: &Caller,
        request: &dyn Shape,
        (max_results, next_token): (Option<i32>, Option<String>),
    ) -> Result<Self, Fault> {
        let (min, max) = T::PAGE;
        let size = max_results.unwrap_or(max);
        if !(min..=max).contains(&size) {
            let bound =
                if size < min { format!("greater than {min}") } else { format!("smaller than {max}") };
            return Err(errors::invalid(format!(
                "Value ( {size} ) for parameter maxResults is invalid. Expecting a value {bound}."
            )));
        }
        let fingerprint = token::fingerprint(operation, &caller.scope, request);
        let read = |given: String| token::decode(fingerprint, &given).ok_or_else(|| errors::token(&given));
        let after = next_token.filter(|given| !given.is_empty()).map(read).transpose()?;
        Ok(Self { fingerprint, after, size: usize::try_from(size).expect("at least one") })
    }

    /// Takes the page out of all items, in the order of their places; and the token of the next page, if there is one.
    pub(crate) fn fill<T: Filterable>(&self, items: Vec<T>) -> (Vec<T>, Option<String>) {
        let mut placed: Vec<(String, T)> = items.into_iter().map(|item| (item.place(), item)).collect();
        placed.retain(|(place, _)| self.after.as_ref().is_none_or(|after| place > after));
        placed.sort_by(|(left, _), (right, _)| left.cmp(right));
        let has_more = placed.len() > self.size;
        placed.truncate(self.size);
        let last = placed.last().filter(|_| has_more);
        let token = last.map(|(place, _)| token::encode(self.fingerprint, place));
        (placed.into_iter().map(|(_, item)| item).collect(), token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_named_as_in_requests() {
        for (member, name) in [("vpc_ids", "vpcIds"), ("ids", "ids"), ("network_acl_ids", "networkAclIds")] {
            assert_eq!(camel(member), name);
        }
    }
}

//! Lists in pages (ecs-behaviour A4).
//!
//! A token ([`longshore_wire::token`]) holds the place where its page ended, and is bound to the operation, its account
//! and its other parameters: with others it is refused. It names a place, not a number, so that what
//! comes or goes between two pages neither repeats nor hides anything else. A place is untrusted: a client may make
//! one up.

use longshore_shapes_ecs::InvalidParameterException;
use longshore_wire::{Shape, token};

use crate::{Caller, texts};

/// How many items a page has: unless asked, and at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub default: usize,
    pub max: usize,
}

/// Of most lists.
pub const LIST: Limits = Limits { default: 100, max: 100 };
/// Of services, whose pages are short by default.
pub const LIST_SERVICES: Limits = Limits { default: 10, max: 100 };
/// Of account settings and capacity providers.
pub const LIST_TENS: Limits = Limits { default: 10, max: 10 };
/// Of deployments.
pub const LIST_DEPLOYMENTS: Limits = Limits { default: 20, max: 100 };

/// One page of a list: where it begins, and how long it is at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    fingerprint: u64,
    after: Option<String>,
    size: usize,
}

impl Page {
    /// Reads `nextToken` and `maxResults`. `request` is the rest of the request: both members have
    /// to be taken out of it before.
    pub fn open(
        operation: &str,
        caller: &Caller,
        request: &dyn Shape,
        (max_results, next_token): (Option<i32>, Option<String>),
        limits: Limits,
    ) -> Result<Self, InvalidParameterException> {
        let size = match max_results.map(usize::try_from) {
            None => limits.default,
            Some(Ok(size)) if (1..=limits.max).contains(&size) => size,
            Some(_) => return Err(InvalidParameterException::new(texts::max_results(limits.max))),
        };
        let fingerprint = fingerprint(operation, caller, request);
        let after = match next_token {
            None => None,
            Some(token) => Some(
                token::decode(fingerprint, &token)
                    .ok_or_else(|| InvalidParameterException::new(texts::TOKEN_INVALID))?,
            ),
        };
        Ok(Self { fingerprint, after, size })
    }

    /// The place of the last item of the page before; items begin after it.
    pub fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// Takes the page's items out of all that come after [`Page::after`], in order, and makes the token
    /// if there are more. `place` names an item's place; places must rise, or always fall, and never repeat.
    pub fn fill<T>(
        &self,
        items: impl IntoIterator<Item = T>,
        place: impl Fn(&T) -> String,
    ) -> (Vec<T>, Option<String>) {
        let mut items = items.into_iter();
        let page: Vec<T> = items.by_ref().take(self.size).collect();
        let more = page.len() == self.size && items.next().is_some();
        let token = page.last().filter(|_| more).map(|last| token::encode(self.fingerprint, &place(last)));
        (page, token)
    }

    /// [`Page::fill`] for items whose places rise, given from the beginning of the list.
    pub fn fill_rising<T>(
        &self,
        items: impl IntoIterator<Item = T>,
        place: impl Fn(&T) -> String,
    ) -> (Vec<T>, Option<String>) {
        let before = |item: &T| self.after().is_some_and(|after| place(item).as_str() <= after);
        self.fill(items.into_iter().skip_while(before), &place)
    }
}

/// A digest of a call ([`token::fingerprint`]).
pub fn fingerprint(operation: &str, caller: &Caller, request: &dyn Shape) -> u64 {
    token::fingerprint(operation, &caller.scope, request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_base::{AccountId, Region, Scope};

    fn caller(account: &str) -> Caller {
        let account = AccountId::parse(account).expect("an account");
        Caller::new(Scope::new(account, Region::parse("eu-west-1").expect("a region")), "arn:aws:iam::1:root")
    }

    fn open(account: &str, request: &str, max: Option<i32>, token: Option<String>) -> Result<Page, String> {
        Page::open("ListThings", &caller(account), &request.to_owned(), (max, token), LIST)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_repetition() {
        let items: Vec<String> = (0..25).map(|n| format!("{n:02}")).collect();
        let (mut seen, mut token) = (Vec::new(), None);
        loop {
            let page = open("000000000000", "{}", Some(10), token).expect("a page");
            let (some, next) = page.fill_rising(items.clone(), |item| item.clone());
            seen.extend(some);
            match next {
                Some(next) => token = Some(next),
                None => break,
            }
        }
        assert_eq!(seen, items);
    }

    #[test]
    fn a_token_is_bound_to_its_call() {
        let page = open("000000000000", "{}", Some(1), None).expect("a page");
        let (_, token) = page.fill_rising(["a", "b"], |item| (*item).to_owned());
        assert!(token.is_some());
        assert!(open("000000000000", "{}", Some(7), token.clone()).is_ok(), "another size is no other list");
        for (account, request) in [("000000000001", "{}"), ("000000000000", "{1}")] {
            assert_eq!(open(account, request, None, token.clone()), Err(texts::TOKEN_INVALID.to_owned()));
        }
        for bad in ["", "!", "AAAA", "ÄÖÜ"] {
            assert_eq!(
                open("000000000000", "{}", None, Some(bad.into())),
                Err(texts::TOKEN_INVALID.to_owned())
            );
        }
    }

    #[test]
    fn sizes_keep_their_limits() {
        for bad in [0, -1, 101, i32::MIN, i32::MAX] {
            assert_eq!(open("000000000000", "{}", Some(bad), None), Err(texts::max_results(100)));
        }
        let full = open("000000000000", "{}", Some(2), None).expect("a page");
        assert_eq!(full.fill_rising(["a", "b"], |item| (*item).to_owned()), (vec!["a", "b"], None));
    }

    #[test]
    fn fingerprints_never_change() {
        // Stored with client tokens: another value would call every repetition a conflict.
        assert_eq!(
            fingerprint("RunTask", &caller("000000000000"), &"x".to_owned()),
            3_284_101_092_066_705_045
        );
    }
}

//! Lists in pages.
//!
//! A token ([`longshore_wire::token`]) holds the place where its page ended, and is bound to the operation, the account
//! and the region of its caller, and its other parameters.

use longshore_service::Caller;
use longshore_wire::{Shape, token};

/// What a token is answered that is none of this list.
pub(crate) const NO_TOKEN: &str = "The token is not one of this list.";

/// One page of a list: where it begins, and how long it is at most.
#[derive(Clone, Debug)]
pub struct Page {
    fingerprint: u64,
    after: Option<String>,
    size: usize,
}

/// What a page holds, and the token of the next one if there is one.
pub(crate) struct Paged<T> {
    pub items: Vec<T>,
    pub next: Option<String>,
}

/// In which order the places of a list are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Rising,
    Falling,
}

impl Page {
    /// Reads how many are asked for, and from where. `request` is the rest: both members have to be taken out of it
    /// before. `None` if the token is none of such a list.
    pub(crate) fn open(
        operation: &str,
        caller: &Caller,
        request: &dyn Shape,
        (size, token): (Option<i32>, Option<String>),
        default: usize,
    ) -> Option<Self> {
        let size = size.and_then(|size| usize::try_from(size).ok()).unwrap_or(default);
        let fingerprint = token::fingerprint(operation, &caller.scope, request);
        let after = match token {
            Some(token) => Some(token::decode(fingerprint, &token)?),
            None => None,
        };
        Some(Self { fingerprint, after, size })
    }

    /// Takes the page's items out of all of them, whose places rise.
    pub(crate) fn fill<T>(
        &self,
        items: impl IntoIterator<Item = T>,
        place: impl Fn(&T) -> String,
    ) -> Paged<T> {
        self.fill_in(Order::Rising, items, place)
    }

    pub(crate) fn fill_in<T>(
        &self,
        order: Order,
        items: impl IntoIterator<Item = T>,
        place: impl Fn(&T) -> String,
    ) -> Paged<T> {
        let before = |item: &T| {
            self.after.as_ref().is_some_and(|after| match order {
                Order::Rising => place(item) <= *after,
                Order::Falling => place(item) >= *after,
            })
        };
        let mut rest = items.into_iter().skip_while(before);
        let items: Vec<T> = rest.by_ref().take(self.size).collect();
        let last = items.last().filter(|_| rest.next().is_some());
        let next = last.map(|last| token::encode(self.fingerprint, &place(last)));
        Paged { items, next }
    }
}

impl<T> Paged<T> {
    /// The items as they are shown.
    pub fn map<U>(self, show: impl FnMut(T) -> U) -> Paged<U> {
        Paged { items: self.items.into_iter().map(show).collect(), next: self.next }
    }
}

/// A number that is ordered as its text.
pub(crate) fn digits(number: i64) -> String {
    format!("{:020}", i128::from(number) - i128::from(i64::MIN))
}

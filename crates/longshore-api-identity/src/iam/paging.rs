//! Lists in pages (identity J2): 100 unless asked, `IsTruncated` always, `Marker` only if there is more.
//!
//! A marker ([`longshore_wire::token`]) holds the place where its page ended, and is bound to the operation, its account
//! and its other parameters.

use longshore_service::Caller;
use longshore_wire::{Fault, Shape, token};

const SIZE: usize = 100;

/// One page of a list: where it begins, and how long it is at most.
#[derive(Clone, Debug)]
pub struct Page {
    fingerprint: u64,
    after: Option<String>,
    size: usize,
}

/// What a page holds.
pub(super) struct Paged<T> {
    pub items: Vec<T>,
    pub is_truncated: Option<bool>,
    pub marker: Option<String>,
}

impl Page {
    /// Reads `MaxItems` and `Marker`. `request` is the rest: both members have to be taken out of it before.
    pub(super) fn open(
        operation: &str,
        caller: &Caller,
        request: &dyn Shape,
        (max_items, marker): (Option<i32>, Option<String>),
    ) -> Result<Self, Fault> {
        let size = max_items.and_then(|items| usize::try_from(items).ok()).unwrap_or(SIZE);
        let fingerprint = token::fingerprint(operation, &caller.scope, request);
        let read = |marker: String| {
            token::decode(fingerprint, &marker)
                .ok_or_else(|| Fault::final_refusal(format!("Invalid Marker: {marker}")))
        };
        Ok(Self { fingerprint, after: marker.map(read).transpose()?, size })
    }

    /// Takes the page's items out of all of them, whose places rise.
    pub(super) fn fill<T>(
        &self,
        items: impl IntoIterator<Item = T>,
        place: impl Fn(&T) -> String,
    ) -> Paged<T> {
        let before = |item: &T| self.after.as_ref().is_some_and(|after| place(item) <= *after);
        let mut rest = items.into_iter().skip_while(before);
        let items: Vec<T> = rest.by_ref().take(self.size).collect();
        let last = items.last().filter(|_| rest.next().is_some());
        let marker = last.map(|last| token::encode(self.fingerprint, &place(last)));
        Paged { is_truncated: Some(marker.is_some()), items, marker }
    }

    /// The same for names as IAM orders them: without regard to case.
    pub(super) fn fill_named<T>(
        &self,
        items: impl IntoIterator<Item = T>,
        name: impl Fn(&T) -> &str,
    ) -> Paged<T> {
        self.fill(items, |item| name(item).to_ascii_lowercase())
    }
}

impl<T> Paged<T> {
    /// The items as they are shown.
    pub fn map<U>(self, show: impl FnMut(T) -> U) -> Paged<U> {
        let Self { items, is_truncated, marker } = self;
        Paged { items: items.into_iter().map(show).collect(), is_truncated, marker }
    }
}

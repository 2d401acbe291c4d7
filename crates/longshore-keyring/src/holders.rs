//! Which records hold something sealed, found by kind, so that what is under an old data key is sealed again under the
//! newest (identity J13).
//!
//! A kind says so by [`Holds`]; a program lists its kinds once, as [`Holder`]s. What is sealed and not stored, a
//! session's token, is in nobody's list: an old data key is kept until all of those are over ([`unneeded`]).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use longshore_base::Timestamp;
use longshore_state::{Record, State, Tx};

use crate::record::DataKeyNumber;
use crate::{Keyring, KeyringError, Place, Sealed, Sealing, SealingTx};

/// How long after a data key sealed the last time it may still be needed by what is not stored. The tokens of sessions
/// live for 36 hours at most (GetFederationToken, GetSessionToken).
pub const TOKENS_OUTLIVE: Duration = Duration::from_secs(48 * 3600);

/// Seals something anew, for the place that it was sealed for.
pub type SealAgain<'a> = &'a mut dyn FnMut(&Place<'_>, &Sealed) -> Result<Sealed, KeyringError>;

/// Sees a record of a kind; its key is made for whoever wants it.
pub type SeeRecord<'a, R> = &'a mut dyn FnMut(&Arc<R>, &dyn Fn() -> <R as Record>::Key);

/// A kind of record with something sealed in it.
pub trait Holds: Record {
    /// `None` if this one has nothing sealed in it.
    fn sealed(&self) -> Option<&Sealed>;

    /// The same record with what is sealed in it sealed again.
    ///
    /// # Errors
    /// Those of `again`.
    fn sealed_again(&self, key: &Self::Key, again: SealAgain<'_>) -> Result<Self, KeyringError>;

    /// Shows each record of this kind.
    fn each(tables: &Self::Tables, see: SeeRecord<'_, Self>);

    /// The record under this key, if it is still there.
    fn find<'t>(tables: &'t Self::Tables, key: &Self::Key) -> Option<&'t Arc<Self>>;
}

/// How many records are under which data key; under `None` what says of none.
pub type Census = BTreeMap<Option<DataKeyNumber>, usize>;

/// A kind of record that [`Holds`], without its type.
#[derive(Clone, Copy)]
pub struct Holder {
    /// `iam/access-keys`, as keys of the store begin.
    pub domain: &'static str,
    pub kind: &'static str,
    count: fn(&State, &mut Census),
    stale: fn(&State, DataKeyNumber, usize, &mut Vec<Stale>),
}

/// A record that is under an old data key.
pub struct Stale {
    bytes: usize,
    again: Again,
}

type Again = Box<dyn FnOnce(&mut Tx<'_>) -> Result<(), KeyringError> + Send>;

impl Holder {
    pub const fn of<R: Holds>() -> Self {
        Self {
            domain: <R::Tables as longshore_state::Tables>::DOMAIN,
            kind: R::KIND.name,
            count: count::<R>,
            stale: stale::<R>,
        }
    }

    /// Counts the records of this kind.
    pub fn count(&self, state: &State, census: &mut Census) {
        (self.count)(state, census);
    }
}

impl fmt::Debug for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Holder({}/{})", self.domain, self.kind)
    }
}

/// All records of these kinds, by the data key that they are under.
pub fn census(state: &State, holders: &[Holder]) -> Census {
    let mut census = Census::new();
    for holder in holders {
        holder.count(state, &mut census);
    }
    census
}

/// At most `max` records that are not under the newest data key. It looks at every record of these kinds, and reads of
/// each no more than a number.
pub fn stale_records(state: &State, holders: &[Holder], max: usize) -> Vec<Stale> {
    let mut found = Vec::new();
    if let Some(active) = state.keyring().active() {
        for holder in holders {
            (holder.stale)(state, active, max, &mut found);
        }
    }
    found
}

/// The data keys that nothing is under any more. Never the first, on which lasting things hang ([`Sealing::lasting`]), nor
/// the newest, which seals; nor one that sealed until lately, because tokens may be under it.
pub fn unneeded(keyring: &Keyring, census: &Census, now: Timestamp) -> Vec<DataKeyNumber> {
    let numbers: Vec<DataKeyNumber> = keyring.data_keys().keys().copied().collect();
    let pairs = numbers.iter().zip(numbers.iter().skip(1)).skip(1);
    let is_over = |successor: &DataKeyNumber| {
        let record = keyring.data_keys().get(successor);
        record.is_some_and(|record| now.since(record.made_at) >= TOKENS_OUTLIVE)
    };
    let has_none = |number: &DataKeyNumber| census.get(&Some(*number)).is_none_or(|count| *count == 0);
    pairs.filter(|(own, successor)| has_none(own) && is_over(successor)).map(|(own, _)| *own).collect()
}

impl Stale {
    /// How long what is sealed in it is: long work is cut into transactions by it.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Seals it again, unless it has been, or is gone.
    ///
    /// # Errors
    /// It does not open; nothing changes then.
    pub fn seal_again(self, tx: &mut Tx<'_>) -> Result<(), KeyringError> {
        (self.again)(tx)
    }
}

impl fmt::Debug for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stale(..)")
    }
}

fn number(sealed: &Sealed) -> Option<DataKeyNumber> {
    sealed.key().map(DataKeyNumber)
}

fn count<R: Holds>(state: &State, census: &mut Census) {
    R::each(state.of(), &mut |record, _| {
        if let Some(sealed) = record.sealed() {
            *census.entry(number(sealed)).or_default() += 1;
        }
    });
}

fn is_stale<R: Holds>(record: &R, active: DataKeyNumber) -> bool {
    record.sealed().and_then(number).is_some_and(|number| number < active)
}

fn stale<R: Holds>(state: &State, active: DataKeyNumber, max: usize, found: &mut Vec<Stale>) {
    R::each(state.of(), &mut |record, key| {
        if found.len() < max && is_stale::<R>(record, active) {
            let key = key();
            let bytes = record.sealed().map_or(0, |sealed| sealed.as_bytes().len());
            found.push(Stale { bytes, again: Box::new(move |tx| seal_again::<R>(tx, key)) });
        }
    });
}

fn seal_again<R: Holds>(tx: &mut Tx<'_>, key: R::Key) -> Result<(), KeyringError> {
    let Some(active) = tx.keyring().active() else { return Err(KeyringError::Locked) };
    let Some(record) = R::find(tx.state().of(), &key).cloned() else { return Ok(()) };
    if !is_stale::<R>(&record, active) {
        return Ok(());
    }
    let again = record.sealed_again(&key, &mut |place, sealed| {
        let plain = tx.open(place, sealed)?;
        tx.seal(place, plain.as_bytes())
    })?;
    tx.put::<R>(key, again);
    Ok(())
}

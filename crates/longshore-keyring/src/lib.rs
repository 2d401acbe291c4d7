//! Secrets at rest: what the store holds of them is of no use without the root key, which is never in the store.
//!
//! Start at [`Sealing`] and [`SealingTx`]: `state.open(&place, &sealed)`, `tx.seal(&place, plain)`.
//! The root key ([`RootKey`]) wraps data keys; these are records ([`record::DataKey`]), so that each control-plane node
//! has them, and they seal everything else. One of them seals, the newest; the older ones only open (identity J13).
//!
//! Invariants: a [`Sealed`] opens at the [`Place`] that it was sealed for and nowhere else, so that whoever can write
//! to the store cannot give one secret out as another; nothing here shows plain text or a key in its `Debug`; memory
//! that held one is wiped.
//!
//! Chance is handed in, as everywhere: what is drawn here mixes the transaction's seed with the root key, so that
//! whoever sees a transaction's ids learns nothing about the secrets drawn beside them.
//!
//! It does not know: files, whose secrets they are, who may see them.

mod holders;
pub mod record;
mod root;
mod sealed;
mod tables;

pub use holders::{
    Census, Holder, Holds, SealAgain, SeeRecord, Stale, TOKENS_OUTLIVE, census, stale_records, unneeded,
};
pub use root::{Fingerprint, RootKey, RootKeyError};
pub use sealed::{Place, Plain, Sealed};
pub use tables::{Keyring, KeyringError, Sealing, SealingTx};

//! The keyring in memory, and what transactions and states do with it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use longshore_base::{AccountId, Partition, Seed, Timestamp};
use longshore_state::{Hints, Keep, Kinds, Records, State, Tables, Tx};
use zeroize::Zeroizing;

use crate::record::{DataKey, DataKeyNumber};
use crate::sealed::{KEY_LEN, NONCE_LEN};
use crate::{Fingerprint, Place, Plain, RootKey, Sealed};

/// How old the newest data key may become before another one takes over (identity J13).
const DATA_KEY_AGE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// How often the newest data key may seal in one process before another one takes over (identity J13). Nonces of 192 bits
/// that are drawn would allow far more, so that nothing has to be remembered of it over a restart.
const DATA_KEY_USES_MAX: u64 = 1 << 30;

/// All data keys, opened once a root key is given ([`Sealing::unlock`]).
#[derive(Default)]
pub struct Keyring {
    records: BTreeMap<DataKeyNumber, Arc<DataKey>>,
    /// Those that were given: one, or two while one takes the place of the other.
    roots: Vec<RootKey>,
    /// Of the records, what the root keys open.
    open: BTreeMap<DataKeyNumber, Zeroizing<[u8; KEY_LEN]>>,
    /// How often the newest one has sealed, as far as this process has seen it.
    uses: AtomicU64,
}

/// Why something is neither sealed nor opened.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    #[error("no root key was given, so that nothing secret can be read or written")]
    Locked,
    #[error(
        "the store was sealed with root key {wanted}, and this one is {given}: give the right one. Without it every \
         secret and access key in the store is lost"
    )]
    WrongRoot { wanted: Fingerprint, given: Fingerprint },
    #[error("a secret in the store does not open: it was damaged, moved or sealed elsewhere")]
    Damaged,
}

impl Keyring {
    /// The data keys there are, by number.
    pub fn data_keys(&self) -> &BTreeMap<DataKeyNumber, Arc<DataKey>> {
        &self.records
    }

    /// The number of the data key that seals.
    pub fn active(&self) -> Option<DataKeyNumber> {
        self.records.last_key_value().map(|(number, _)| *number)
    }

    /// Whether another data key should take over from the newest.
    pub fn is_due(&self, now: Timestamp) -> bool {
        let newest = self.records.last_key_value();
        let is_old = newest.is_none_or(|(_, newest)| now.since(newest.made_at) >= DATA_KEY_AGE_MAX);
        is_old || self.uses.load(Ordering::Relaxed) >= DATA_KEY_USES_MAX
    }

    /// Whether this is the root key of the store, which is the one that opens all of its data keys. A store without
    /// data keys takes any.
    ///
    /// # Errors
    /// With the reason why it is not.
    pub fn fits(&self, root: &RootKey) -> Result<(), KeyringError> {
        for (number, record) in &self.records {
            if unwrap(root, *number, record).is_none() {
                let given = root.fingerprint();
                return Err(if record.root == given {
                    KeyringError::Damaged
                } else {
                    KeyringError::WrongRoot { wanted: record.root, given }
                });
            }
        }
        Ok(())
    }

    /// The root key that wraps: that of the newest data key. A transaction that failed to replace it changed no record,
    /// and so not this.
    fn root(&self) -> Result<&RootKey, KeyringError> {
        let newest = self.records.last_key_value().map(|(_, record)| record.root);
        let wraps = |root: &&RootKey| newest.is_none_or(|newest| root.fingerprint() == newest);
        self.roots.iter().rfind(wraps).ok_or(KeyringError::Locked)
    }

    fn open(&self, place: &Place<'_>, sealed: &Sealed) -> Result<Plain, KeyringError> {
        if self.roots.is_empty() {
            return Err(KeyringError::Locked);
        }
        let number = DataKeyNumber(sealed.key().ok_or(KeyringError::Damaged)?);
        let key = self.open.get(&number).ok_or(KeyringError::Damaged)?;
        sealed.open(key, place).ok_or(KeyringError::Damaged)
    }

    /// Keeps what is open in step with a record: the data key, if one of the root keys wrapped it.
    fn enter(&mut self, number: DataKeyNumber, record: Option<&DataKey>) {
        self.open.remove(&number);
        let Some(record) = record else { return };
        if self.active().is_none_or(|active| active < number) {
            self.uses.store(0, Ordering::Relaxed);
        }
        if let Some(key) = self.roots.iter().find_map(|root| unwrap(root, number, record)) {
            self.open.insert(number, key);
        }
    }
}

/// Every place where secrets are sealed and opened: transactions change them, states show them.
pub trait Sealing {
    fn keyring(&self) -> &Keyring;

    /// Opens what was sealed for this place.
    ///
    /// # Errors
    /// Without a root key, or if it was sealed for another place, by another store, or changed since.
    fn open(&self, place: &Place<'_>, sealed: &Sealed) -> Result<Plain, KeyringError> {
        self.keyring().open(place, sealed)
    }

    /// Seals a secret for this place. A seed is used once.
    fn seal_with(&self, seed: Seed, place: &Place<'_>, plain: &[u8]) -> Result<Sealed, KeyringError> {
        let nonce = nonce(self.draw_with(seed)?);
        let (number, key) = self.keyring().open.last_key_value().ok_or(KeyringError::Locked)?;
        self.keyring().uses.fetch_add(1, Ordering::Relaxed);
        Ok(Sealed::seal(number.0, key, nonce, place, plain))
    }

    /// 32 bytes that nobody can guess, also not who knows the seed. A seed is used once.
    fn draw_with(&self, seed: Seed) -> Result<Zeroizing<[u8; 32]>, KeyringError> {
        Ok(self.keyring().root()?.draw(&seed.to_bytes()))
    }

    /// 32 bytes that nobody can guess, the same for the same input as long as there is this store: whatever keys are
    /// rotated. They hang on the first data key, which therefore is never deleted.
    fn lasting(&self, input: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeyringError> {
        let (_, key) = self.keyring().open.first_key_value().ok_or(KeyringError::Locked)?;
        Ok(RootKey::new(**key).draw(input))
    }

    /// 32 bytes that nobody can guess who does not have the root key, out of `chance`, which has to be new each time.
    /// For what only reads: a transaction has [`SealingTx::draw`]. `chance` has another length than a seed, so that the
    /// two never draw the same.
    ///
    /// # Errors
    /// Without a root key.
    fn mix(&self, chance: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, KeyringError> {
        Ok(self.keyring().root()?.draw(chance))
    }
}

impl Sealing for State {
    fn keyring(&self) -> &Keyring {
        self.of()
    }
}

impl Sealing for Tx<'_> {
    fn keyring(&self) -> &Keyring {
        self.state().of()
    }
}

/// What only transactions do.
pub trait SealingTx: Sealing {
    /// Gives the process its root key. In a new store this makes the first data key.
    ///
    /// # Errors
    /// If the store was sealed with another one; nothing changes then.
    fn unlock(&mut self, root: RootKey) -> Result<(), KeyringError>;

    /// Seals a secret for this place, under the newest data key.
    ///
    /// # Errors
    /// `Locked`: no root key was given.
    fn seal(&mut self, place: &Place<'_>, plain: &[u8]) -> Result<Sealed, KeyringError>;

    /// 32 bytes that nobody can guess, also not who sees the ids that the transaction draws.
    ///
    /// # Errors
    /// `Locked`: no root key was given.
    fn draw(&mut self) -> Result<Zeroizing<[u8; 32]>, KeyringError>;

    /// Makes a new data key, with which everything is sealed from now on.
    ///
    /// # Errors
    /// `Locked`: no root key was given.
    fn rotate(&mut self) -> Result<DataKeyNumber, KeyringError>;

    /// The same if the newest one is 30 days old, or has sealed 2^30 times since the process began; else `None`.
    ///
    /// # Errors
    /// As [`SealingTx::rotate`].
    fn rotate_if_due(&mut self) -> Result<Option<DataKeyNumber>, KeyringError>;

    /// Removes a data key that nothing is under ([`crate::unneeded`]). The first and the newest stay: false.
    fn forget(&mut self, number: DataKeyNumber) -> bool;

    /// Wraps all data keys with another root key, which is the one from now on. What they sealed stays as it is.
    ///
    /// # Errors
    /// `Locked`, or a data key is not open; nothing changes then.
    fn rewrap(&mut self, root: RootKey) -> Result<(), KeyringError>;
}

impl SealingTx for Tx<'_> {
    fn unlock(&mut self, root: RootKey) -> Result<(), KeyringError> {
        self.keyring().fits(&root)?;
        give(self, root);
        if self.keyring().records.is_empty() {
            self.rotate()?;
        }
        Ok(())
    }

    fn seal(&mut self, place: &Place<'_>, plain: &[u8]) -> Result<Sealed, KeyringError> {
        let seed = self.ids.seed();
        self.seal_with(seed, place, plain)
    }

    fn draw(&mut self) -> Result<Zeroizing<[u8; 32]>, KeyringError> {
        let seed = self.ids.seed();
        self.draw_with(seed)
    }

    fn rotate(&mut self) -> Result<DataKeyNumber, KeyringError> {
        let number = DataKeyNumber(self.keyring().active().map_or(1, |DataKeyNumber(last)| last + 1));
        let (key, nonce) = (self.draw()?, nonce(self.draw()?));
        let root = self.keyring().root()?;
        let record =
            DataKey { wrapped: wrap(root, number, nonce, &key), root: root.fingerprint(), made_at: self.now };
        self.put::<DataKey>(number, record);
        Ok(number)
    }

    fn rotate_if_due(&mut self) -> Result<Option<DataKeyNumber>, KeyringError> {
        if self.keyring().is_due(self.now) { self.rotate().map(Some) } else { Ok(None) }
    }

    fn forget(&mut self, number: DataKeyNumber) -> bool {
        let keys = self.keyring().data_keys();
        let ends = [keys.first_key_value(), keys.last_key_value()];
        let is_end = ends.into_iter().flatten().any(|(end, _)| *end == number);
        if is_end || !keys.contains_key(&number) {
            return false;
        }
        self.delete::<DataKey>(number);
        true
    }

    fn rewrap(&mut self, root: RootKey) -> Result<(), KeyringError> {
        let opened: Vec<(DataKeyNumber, Arc<DataKey>)> =
            self.keyring().records.iter().map(|(number, record)| (*number, record.clone())).collect();
        let mut rewrapped = Vec::new();
        for (number, record) in opened {
            let nonce = nonce(self.draw()?);
            let key = self.keyring().open.get(&number).ok_or(KeyringError::Damaged)?;
            let wrapped = wrap(&root, number, nonce, key);
            rewrapped.push((number, DataKey { wrapped, root: root.fingerprint(), made_at: record.made_at }));
        }
        // First the key, then what it wraps: each record is opened as it is put.
        give(self, root);
        for (number, record) in rewrapped {
            self.put::<DataKey>(number, record);
        }
        Ok(())
    }
}

/// Adds a root key to those that open data keys. Not undone if the transaction fails: see [`Keyring::root`].
fn give(tx: &mut Tx<'_>, root: RootKey) {
    tx.volatile(|keyring: &mut Keyring, _| {
        keyring.roots.push(root);
        let records = keyring.records.clone();
        for (number, record) in records {
            keyring.enter(number, Some(&record));
        }
    });
}

/// The beginning of what was drawn.
fn nonce(drawn: Zeroizing<[u8; 32]>) -> [u8; NONCE_LEN] {
    let mut nonce = [0; NONCE_LEN];
    nonce.copy_from_slice(&drawn[..NONCE_LEN]);
    nonce
}

/// The place that a data key is sealed for. None belongs to an account.
fn place_of(id: &str) -> Place<'_> {
    let (partition, account) = (Partition::Aws, AccountId::OPERATOR);
    Place { partition, account, region: None, kind: "data key", id, version: "" }
}

fn wrap(root: &RootKey, number: DataKeyNumber, nonce: [u8; NONCE_LEN], key: &[u8; KEY_LEN]) -> Sealed {
    Sealed::seal(number.0, &root.wrapping(), nonce, &place_of(&number.0.to_string()), key)
}

fn unwrap(root: &RootKey, number: DataKeyNumber, record: &DataKey) -> Option<Zeroizing<[u8; KEY_LEN]>> {
    let opened = record.wrapped.open(&root.wrapping(), &place_of(&number.0.to_string()))?;
    Some(Zeroizing::new(opened.as_bytes().try_into().ok()?))
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("records", &self.records)
            .field("roots", &self.roots)
            .finish_non_exhaustive()
    }
}

impl Tables for Keyring {
    const DOMAIN: &'static str = "keyring";

    fn new(_now: Timestamp) -> Self {
        Self::default()
    }

    fn kinds() -> Kinds<Self> {
        Kinds::new().with::<DataKey>()
    }

    fn records(&self, records: &mut Records) {
        for (number, record) in &self.records {
            records.insert::<DataKey>(*number, record.clone());
        }
    }

    fn compare(&self, _fresh: &Self) -> Vec<String> {
        // What is derived depends on the root key, which the fresh ones have not been given.
        Vec::new()
    }

    fn all_hints(&self, _hints: &mut Hints) {}
}

impl Keep<DataKey> for Keyring {
    fn replace(
        &mut self,
        key: &DataKeyNumber,
        new: Option<Arc<DataKey>>,
        _: &mut Hints,
    ) -> Option<Arc<DataKey>> {
        self.enter(*key, new.as_deref());
        match new {
            Some(record) => self.records.insert(*key, record),
            None => self.records.remove(key),
        }
    }
}

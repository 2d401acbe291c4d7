//! Chance for what only reads: nonces, data keys, passwords.
//!
//! It comes from the process's source of seeds, as that of transactions does, and is mixed with the root key where it
//! is used: whoever could see or foresee the seeds still could not say what was drawn. A query that encrypts needs no
//! commit, because nothing has to be remembered of it: nonces of 192 bits do not meet by chance, however many are
//! drawn.

use longshore_keyring::{KeyringError, Sealing};
use longshore_state::State;
use longshore_state::db::SeedSource;
use zeroize::Zeroizing;

/// Drawn once, for one call.
pub struct Chance(Zeroizing<[u8; 32]>);

impl Chance {
    pub fn draw(seeds: &dyn SeedSource) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        bytes[..16].copy_from_slice(&seeds.draw().to_bytes());
        bytes[16..].copy_from_slice(&seeds.draw().to_bytes());
        Self(bytes)
    }

    /// 32 bytes that nobody can guess; the same for the same number.
    ///
    /// # Errors
    /// Without a root key.
    pub fn bytes(&self, state: &State, number: u16) -> Result<Zeroizing<[u8; 32]>, KeyringError> {
        let mut input = self.0.clone();
        for (own, more) in input.iter_mut().zip(number.to_be_bytes()) {
            *own ^= more;
        }
        state.mix(&input)
    }

    /// As many bytes as are wanted, at most 2 MiB. The first block, of the number zero, is left to nonces.
    pub fn fill(&self, state: &State, len: usize) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(len.next_multiple_of(32)));
        for number in 1..=u16::MAX {
            if bytes.len() >= len {
                break;
            }
            bytes.extend_from_slice(&self.bytes(state, number)?[..]);
        }
        bytes.truncate(len);
        Ok(bytes)
    }
}

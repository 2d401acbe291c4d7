//! Who may write, and tokens that shut out whoever could before.
//!
//! A store has at most one leader. A commit that carries the leader's token is applied only while nobody has taken the
//! lead since. So two control planes cannot both write, even if one of them was asleep while another took over: what shuts
//! it out is the store, not its own clock.
//!
//! There is no time in this contract. Whoever wants to lead looks ([`crate::Store::sight`]), and looks again when, by a
//! clock of its own, the leader has given no sign for too long; [`crate::Store::take`] succeeds only if it has given none
//! indeed. Clocks of two machines are never compared, and a store that is slow or begins anew takes the lead from nobody.

use std::fmt;

use bytes::Bytes;

/// Rises with every change of the lead, also over restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FencingToken(u64);

impl FencingToken {
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Differs from every earlier one once the leader has written, beaten, or changed. Only a backend makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pulse(u64);

impl Pulse {
    pub const fn new(value: u64) -> Self {
        Self(value)
    }
}

/// Who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    pub token: FencingToken,
    /// What it said when it took the lead: who it is and where it is reached, with something that is never said twice,
    /// so that whoever does not know whether it won can look.
    pub claim: Bytes,
}

/// What a store shows of its leader at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// `None`: nobody leads.
    pub leader: Option<Leader>,
    pub pulse: Pulse,
}

/// The lead is not one's own, or not any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lead is not free: the store shows {now:?}")]
pub struct Lost {
    pub now: Sight,
}

/// The lead, for backends that keep it in memory.
///
/// That is right for a store that only one process can have open: whoever led in an earlier run is gone, and only the
/// last token has to outlive it.
#[derive(Clone, Debug, Default)]
pub struct LeadTable {
    leader: Option<Leader>,
    last_token: u64,
    /// Signs of life beside commits.
    beats: u64,
}

impl LeadTable {
    /// Nobody leads, and tokens follow `last`.
    pub fn resume(last: u64) -> Self {
        Self { last_token: last, ..Self::default() }
    }

    /// The greatest token given out so far; zero if none was.
    pub fn last_token(&self) -> u64 {
        self.last_token
    }

    /// `revision` is the store's: each commit is a sign of life, too.
    pub fn sight(&self, revision: u64) -> Sight {
        // Both only rise, so their sum rises with each of them.
        Sight { leader: self.leader.clone(), pulse: Pulse(revision + self.beats) }
    }

    /// Takes the lead if all is as `seen`. The caller makes [`LeadTable::last_token`] durable before it passes the
    /// token on.
    pub fn take(&mut self, revision: u64, seen: &Sight, claim: &[u8]) -> Result<FencingToken, Lost> {
        let now = self.sight(revision);
        if now != *seen {
            return Err(Lost { now });
        }
        self.last_token += 1;
        self.beats += 1;
        let token = FencingToken(self.last_token);
        self.leader = Some(Leader { token, claim: Bytes::copy_from_slice(claim) });
        Ok(token)
    }

    /// A sign of life.
    pub fn beat(&mut self, revision: u64, token: FencingToken) -> Result<(), Lost> {
        if !self.in_force(token) {
            return Err(Lost { now: self.sight(revision) });
        }
        self.beats += 1;
        Ok(())
    }

    /// Gives the lead up, so that another need not wait.
    pub fn resign(&mut self, revision: u64, token: FencingToken) -> Result<(), Lost> {
        self.beat(revision, token)?;
        self.leader = None;
        Ok(())
    }

    /// Whether whoever has this token leads.
    pub fn in_force(&self, token: FencingToken) -> bool {
        self.leader.as_ref().is_some_and(|leader| leader.token == token)
    }
}

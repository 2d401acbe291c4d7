//! Leases: who may write for a while, and tokens that shut out whoever could before.
//!
//! A lease has a name, and at most one holder at a time. Its token is greater than every token
//! that the store ever gave out; a commit that carries a token is applied only while that very
//! lease is in force. So two control planes cannot both write, even if one of them was asleep
//! while its lease ran out: what shuts it out is the store, not its own clock.
//!
//! A lease is in force from its grant until it is revoked, or until it has run out *and* the store
//! has noticed. At the latest it notices when somebody else is granted the name. In between, its
//! holder may still write: nobody else can.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use longshore_base::Timestamp;

/// Rises with every lease that is granted, also over restarts.
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

/// Names one grant of a lease to its holder. Only a backend makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(u64);

impl LeaseId {
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    pub const fn get(self) -> u64 {
        self.0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub id: LeaseId,
    pub token: FencingToken,
    /// When it runs out unless it is kept alive, by the store's judgement.
    pub expires: Timestamp,
}

/// The answer to a wish for a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseGrant {
    Granted(Lease),
    /// Somebody else has it, at least until then.
    Held {
        until: Timestamp,
    },
}

#[derive(Clone, Copy, Debug)]
struct Held {
    lease: Lease,
    ttl: Duration,
}

/// The leases in force, for backends that keep them in memory.
///
/// That is right for a store that only one process can have open: whoever held a lease in an
/// earlier run is gone, and only the last token has to outlive it.
#[derive(Clone, Debug, Default)]
pub struct LeaseTable {
    by_name: BTreeMap<String, Held>,
    last_token: u64,
}

impl LeaseTable {
    /// A table without leases, whose tokens follow `last`.
    pub fn resume(last: u64) -> Self {
        Self { by_name: BTreeMap::new(), last_token: last }
    }

    /// The greatest token given out so far; zero if none was.
    pub fn last_token(&self) -> u64 {
        self.last_token
    }

    /// Takes the name if it is free at `now`. The caller makes [`LeaseTable::last_token`] durable
    /// before it passes a grant on.
    pub fn grant(&mut self, name: &str, ttl: Duration, now: Timestamp) -> LeaseGrant {
        if let Some(held) = self.by_name.get(name)
            && now < held.lease.expires
        {
            return LeaseGrant::Held { until: held.lease.expires };
        }
        self.last_token += 1;
        let lease =
            Lease { id: LeaseId(self.last_token), token: FencingToken(self.last_token), expires: now + ttl };
        self.by_name.insert(name.to_owned(), Held { lease, ttl });
        LeaseGrant::Granted(lease)
    }

    /// Gives the lease its full time again, counted from `now`; `None` if it is no longer in force
    /// or has run out. A clock that was set back takes no time from it.
    pub fn keep_alive(&mut self, id: LeaseId, now: Timestamp) -> Option<Lease> {
        let name = self.name_of(id)?;
        let held = self.by_name.get_mut(&name)?;
        if now >= held.lease.expires {
            self.by_name.remove(&name);
            return None;
        }
        held.lease.expires = held.lease.expires.max(now + held.ttl);
        Some(held.lease)
    }

    /// Ends the lease. Whether it was in force.
    pub fn revoke(&mut self, id: LeaseId) -> bool {
        self.name_of(id).is_some_and(|name| self.by_name.remove(&name).is_some())
    }

    /// Whether the lease with this token is in force.
    pub fn in_force(&self, token: FencingToken) -> bool {
        self.by_name.values().any(|held| held.lease.token == token)
    }

    fn name_of(&self, id: LeaseId) -> Option<String> {
        // There are as many leases as there are elections: one or two.
        self.by_name.iter().find(|(_, held)| held.lease.id == id).map(|(name, _)| name.clone())
    }
}

//! EC2's records and tables: networks, security groups, gateways, routes, key pairs, launch templates (elb H15,
//! observe-and-scale K14).
//!
//! Start reading at [`record`] (what is stored) and [`tables`] (where it is kept), then [`defaults`]: every account has a
//! default VPC in every region. Nobody stores it before something in its realm changes. Until then [`Ec2Tables::realm`]
//! derives it, with ids that follow from account and region; [`Ec2Tx::settle`] writes down the very same.
//!
//! Everything here belongs to one account in one region. What depends on something else names it by id, and lists are
//! gone through from end to end: quotas keep them short, and there is no index that could disagree with the records.
//!
//! Invariants: a record changes only in a [`longshore_state::Keep`] of [`Ec2Tables`]; a realm with any record is settled;
//! no record holds a secret in the clear.
//!
//! It does not know: the API, its errors and quotas, and the interfaces that tasks have in these networks.

pub mod defaults;
pub mod ids;
pub mod key;
pub mod record;
mod sealed;
pub mod tables;

use longshore_base::Scope;
use longshore_state::{State, Tx};

pub use key::{OwnKey, RealmKey, VersionKey};
pub use tables::{Ec2Tables, Realm, View};

/// EC2's tables in a state.
pub trait Ec2State {
    fn ec2(&self) -> &Ec2Tables;
}

impl Ec2State for State {
    fn ec2(&self) -> &Ec2Tables {
        self.of()
    }
}

impl Ec2State for Tx<'_> {
    fn ec2(&self) -> &Ec2Tables {
        self.state().of()
    }
}

/// What only transactions do.
pub trait Ec2Tx {
    /// Writes the default VPC of a realm down, unless the realm is settled. Every command does it first, so that from then
    /// on all there is has a record, and what is deleted stays deleted.
    fn settle(&mut self, scope: &Scope);
}

impl Ec2Tx for Tx<'_> {
    fn settle(&mut self, scope: &Scope) {
        if self.ec2().is_settled(scope) {
            return;
        }
        self.put::<record::Settled>(RealmKey(scope.clone()), record::Settled { at: self.now });
        self.put::<record::DhcpOptions>(
            OwnKey::new(scope, &defaults::dhcp_options(scope)),
            record::DhcpOptions::default(),
        );
        defaults::network(scope, |prefix, what| ids::fixed(prefix, scope, what)).store(self, scope);
    }
}

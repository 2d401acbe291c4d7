//! Amazon EC2, the part that everybody asks first: networks, security groups, gateways, routes, interfaces, key pairs and
//! launch templates (elb H15, observe-and-scale K14).
//!
//! Start at [`Ec2`] and [`OPERATIONS`], then at the file of a resource: `vpcs.rs` is the plainest. What most operations
//! have in common is in `macros.rs`; lists are narrowed by `filters.rs` and cut by `paging.rs`; every error that EC2 has a
//! name for is made in `errors.rs`, as EC2's model lists none.
//!
//! Nothing here moves a packet. VPCs, subnets, groups and routes are checked as EC2 checks them, kept and shown, and
//! isolate nothing: a task's interface has the address that its machine gave it, in whatever subnet it is said to be
//! ([`interfaces`]). `support/ec2.toml` says so for each operation.
//!
//! Invariants:
//! - A command settles its realm first ([`longshore_tables_ec2::Ec2Tx::settle`]); after that all there is has a record.
//! - `DryRun` does everything and undoes it: `DryRunOperation` means that the call would have succeeded.
//! - An address that is shown answers. No public one is made up.
//!
//! It does not know: signatures, policies, and how tasks come by their addresses.

#[macro_use]
mod macros;

mod acls;
mod cidrs;
mod errors;
mod filters;
mod find;
mod fingerprint;
mod gateways;
mod groups;
mod input;
mod instance_types;
mod instances;
pub mod interfaces;
mod keys;
mod operations;
mod paging;
mod permission;
mod permissions;
mod route_tables;
mod routes;
mod rules;
mod subnets;
mod tagging;
mod tags;
mod template_versions;
mod templates;
mod vpcs;
mod zones;

use std::sync::Arc;

use longshore_service::Server;
use longshore_state::Db;

pub use operations::OPERATIONS;

/// Amazon EC2: what its operations have in common, which is nothing.
#[derive(Clone, Copy, Debug)]
pub struct Ec2;

impl Ec2 {
    /// The API over a database with the tables of EC2, ECS and the keyring.
    pub fn server(db: Arc<Db>) -> Server<Self> {
        Server::new(&longshore_catalog::EC2, &OPERATIONS, db, Self)
    }
}

//! IAM through the port: forms in, XML out.

mod details;
mod keys;
mod ledger;
mod logins;
mod nothing_by_halves;
mod paging;
mod permissions;
mod policies;
mod providers;
mod roles;
mod service_linked;
mod simulate;
mod support;
mod tags;
mod users;

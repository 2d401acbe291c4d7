//! Secrets Manager, Parameter Store and KMS through the port: JSON in, JSON out.

mod accounts;
mod aliases;
mod crypt;
mod keys;
mod ledger;
mod nothing_by_halves;
mod paging;
mod parameters;
mod permissions;
mod policies;
mod secrets;
mod support;
mod versions;

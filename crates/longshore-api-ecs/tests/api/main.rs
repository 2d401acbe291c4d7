//! The API through its dispatcher: JSON in, JSON out, against a database in memory.
//!
//! `support` is the world that every test acts in; each other module is about one kind of resource.
//! Every call that succeeds leaves indexes that agree with the records, and every call that fails
//! leaves the records as they were: the world checks both after each call.

mod account_settings;
mod attributes;
mod capacity_providers;
mod clusters;
mod container_instances;
mod ledger;
mod nothing_by_halves;
mod own_key;
mod permissions;
mod support;
mod tags;
mod task_definitions;

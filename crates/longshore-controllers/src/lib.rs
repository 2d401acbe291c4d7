//! What the control plane does by itself: it brings services to where their users want them, tells
//! agents what to run, takes in what they report, and clears away what is over.
//!
//! Start reading at [`service`] (gather, plan, apply) and [`tasks`] (how a task moves). Those, [`launch`],
//! [`provisioning`], [`upkeep`], [`secrets`] and [`payload`] are plain functions over a transaction, so that the simulation runs
//! the same code, and [`schedule`] and [`connection`] say in which order; [`driver`] is the thin shell that owns
//! timers, and `longshore-hub` the one that owns sockets. What launches use: [`pools`] (which capacity is asked) and
//! [`interface`] (addresses of tasks in awsvpc mode). What connections use: [`link`] (an instance, as its agent sees
//! it).
//!
//! Invariants: a controller takes keys, never events, so that a restart and a missed hint end in the same
//! state; every look is one transaction; what it decides comes from `longshore-rollout` and
//! `longshore-placement`. It knows nothing of HTTP requests of users.

pub mod connection;
pub mod driver;
pub mod interface;
pub mod launch;
pub mod link;
pub mod payload;
pub mod pools;
pub mod provisioning;
pub mod roles;
pub mod schedule;
pub mod secrets;
pub mod service;
pub mod settings;
pub mod subnets;
pub mod tasks;
pub mod upkeep;

pub use settings::Settings;

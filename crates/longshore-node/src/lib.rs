pub mod api;
pub mod capability;
pub mod config;
pub mod convert;
pub mod core;
pub mod journal;

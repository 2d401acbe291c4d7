//! The engine against a scripted runtime: tables for each rule, and random interleavings.

mod chaos;
mod dependencies;
mod limits;
mod network;
mod rules;
mod walk;
mod world;

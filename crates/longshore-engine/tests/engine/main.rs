//! The engine against a scripted runtime: tables for each rule, and random interleavings.

mod chaos;
mod dependencies;
mod network;
mod rules;
mod walk;
mod world;

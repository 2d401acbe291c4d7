//! The engine against a scripted runtime: tables for each rule, and random interleavings.

mod chaos;
mod limits;
mod network;
mod rules;
mod world;

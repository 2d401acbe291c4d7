//! EC2 through the port: forms in, XML out.

// Records of ECS, from which tasks and machines are made.
#[allow(dead_code)]
#[path = "../../../longshore-tables-ecs/tests/sample/mod.rs"]
mod ecs_sample;

mod gateways;
mod groups;
mod interfaces;
mod keys;
mod ledger;
mod lists;
mod nothing_by_halves;
mod permissions;
mod route_tables;
mod rules;
mod subnets;
mod support;
mod tags;
mod templates;
mod vpcs;
mod zones;

//! Tasks, services and agents' reports, called as the front calls them: JSON in, JSON out.

mod agents;
mod awsvpc;
mod clients;
mod deployments;
mod driver;
mod ends;
mod external;
mod fargate;
mod gpus;
mod missing;
mod provisioning;
mod random;
mod refusals;
mod restarts;
mod roles;
mod secrets;
mod services;
mod task_sets;
mod tasks;
mod world;

//! Tasks, services and agents' reports, called as the front calls them: JSON in, JSON out.

mod agents;
mod awsvpc;
mod deployments;
mod external;
mod fargate;
mod gpus;
mod provisioning;
mod random;
mod refusals;
mod services;
mod task_sets;
mod tasks;
mod world;

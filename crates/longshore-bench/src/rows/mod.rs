//! The rows of the table, in the order of the design's.
//!
//! Rows that need the same world are measured together: [`containers`] with real containers under `longshore up`,
//! [`calls`], [`identities`] and [`scale`] with scripted instances under `longshore server`, [`alone`] and [`policies`] without a
//! server.

mod alone;
mod calls;
mod containers;
mod identities;
mod policies;
mod replace;
mod scale;
mod services;

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use crate::table::{Measured, Row};

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum RowId {
    /// RunTask to RUNNING, against create and start over the Docker API
    Start,
    /// Tasks started per second by eight clients
    StartRate,
    /// The same with agents that ask a registry, as ECS does by default
    StartRateRegistry,
    /// A service of 50 replicas, against Swarm
    ServiceCreate,
    /// A killed container of a service of ten is replaced, against Swarm and in turns with it
    Replace,
    /// A rolling update of 50 replicas, against Swarm
    Rolling,
    /// From the exit of a container to STOPPED
    Exit,
    /// Tasks placed and committed per second on 10,000 instances
    Place,
    /// A service of 5,000 tasks on 10,000 instances
    ServicePlace,
    /// Placement decisions per second, without a server
    Placement,
    /// Decisions of policies per second, without a server
    Policies,
    /// DescribeTasks per second
    Describe,
    /// DescribeTasks per second by a user with ten policies, beside the operator
    DescribeAsUser,
    /// RunTask with a task role, beside one without
    RunWithRole,
    /// RegisterTaskDefinition per second
    Register,
    /// Memory of the control plane and of an agent
    Memory,
    /// From kill -9 with a million records to an answer
    Recovery,
    /// `longshore up` to ready
    Ready,
}

impl RowId {
    pub fn all() -> Vec<RowId> {
        RowId::value_variants().to_vec()
    }
}

/// How long a start took, by two clocks.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Until the orchestrator's own API said so.
    pub told: Duration,
    /// Until the engine had done it, by the time of its own event.
    pub engine: Duration,
}

/// What every row gets.
pub struct Bench {
    pub binary: PathBuf,
    /// An empty directory on the disk that is measured.
    pub dir: PathBuf,
    pub quick: bool,
}

impl Bench {
    /// One of two numbers, by how thorough this run is.
    pub fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}

/// Measures the wanted rows; what cannot be measured says why, and the others go on.
pub async fn run(bench: &Bench, wanted: &[RowId], rows: &mut Vec<Row>) {
    let wants = |id: RowId| wanted.contains(&id);
    let any = |ids: &[RowId]| ids.iter().any(|id| wants(*id));
    if any(&[RowId::Start, RowId::StartRate, RowId::Exit]) {
        containers::run(bench, wanted, rows).await;
    }
    if wants(RowId::StartRateRegistry) {
        push(rows, containers::RATE_REGISTRY, containers::start_rate_registry(bench).await);
    }
    if any(&[RowId::ServiceCreate, RowId::Rolling]) {
        services::run(bench, wanted, rows).await;
    }
    if wants(RowId::Replace) {
        replace::run(bench, rows).await;
    }
    if wants(RowId::Placement) {
        push(rows, "placement alone, 10,000 instances", alone::placement(bench));
    }
    if wants(RowId::Policies) {
        push(rows, "policy decisions per second on one core", policies::decisions(bench));
    }
    if any(&[RowId::Describe, RowId::Register]) {
        calls::run(bench, wanted, rows).await;
    }
    if any(&[RowId::DescribeAsUser, RowId::RunWithRole]) {
        identities::run(bench, wanted, rows).await;
    }
    if any(&[RowId::Place, RowId::ServicePlace, RowId::Recovery]) {
        scale::run(bench, wanted, rows).await;
    }
    if wants(RowId::Memory) {
        scale::memory(bench, rows).await;
    }
    if wants(RowId::Ready) {
        push(rows, "`longshore up` to ready, empty data directory", containers::ready(bench).await);
    }
}

/// Adds a row, or the reason why there is none.
fn push(rows: &mut Vec<Row>, what: &str, measured: anyhow::Result<(Measured, String)>) {
    let what = what.to_owned();
    let row = match measured {
        Ok((measured, note)) => {
            eprintln!(
                "{what}: {} {} (peer {}), {:?}",
                crate::table::number(measured.value),
                measured.unit,
                measured.peer.map(crate::table::number).unwrap_or_default(),
                measured.verdict()
            );
            Row { what, measured: Ok(measured), note, before: None }
        }
        Err(error) => {
            eprintln!("{what}: not measured: {error:#}");
            Row { what, measured: Err("see below".into()), note: format!("{error:#}"), before: None }
        }
    };
    rows.push(row);
}

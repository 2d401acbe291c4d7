//! `longshore server`: a control plane node.

use std::time::Duration;

use crate::args::ServerOptions;
use crate::control_plane::ControlPlane;
use crate::machine::Machine;
use crate::out::{print, shown, tell};
use crate::progress::Step;
use crate::trust::Needed;
use crate::{keys, shutdown};

/// How long ECS lets a task without health checks settle (ecs-services E2).
const SETTLE: Duration = Duration::from_secs(40);

pub async fn run(options: ServerOptions) -> anyhow::Result<()> {
    let control_plane = start(&options, Machine::this()).await?;
    serve(&options, control_plane).await
}

pub async fn start(options: &ServerOptions, machine: Machine) -> anyhow::Result<ControlPlane> {
    let step = Step::begin("starting the control plane");
    let control_plane = ControlPlane::start(&options.control_plane, SETTLE, usize::MAX, machine).await?;
    step.done(format!("the control plane serves {}", control_plane.endpoint));
    Ok(control_plane)
}

/// Serves until the process is asked to end, or the control plane fails.
pub async fn serve(options: &ServerOptions, control_plane: ControlPlane) -> anyhow::Result<()> {
    let requested = shutdown::requested()?;
    let needed = Needed::of(&options.control_plane, control_plane.data_dir.as_deref());
    if let Some(dir) = &control_plane.data_dir {
        let env = dir.join("env");
        keys::write_env(
            &env,
            &control_plane.endpoint,
            &options.control_plane.region,
            &control_plane.operator,
            needed.file(),
        )?;
        tell!("  endpoint and credentials for your shell: source {}", shown(&env));
    } else {
        print(&keys::for_people(&control_plane.operator))?;
    }
    if let Some(note) = needed.note(control_plane.data_dir.is_some()) {
        tell!("{note}");
    }
    tokio::select! {
        () = requested => {}
        error = control_plane.failed() => return Err(error),
    }
    let step = Step::begin("stopping");
    control_plane.stop().await;
    step.done("stopped");
    Ok(())
}

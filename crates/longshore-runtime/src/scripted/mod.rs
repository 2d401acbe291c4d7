//! A runtime without containers: deterministic, in virtual time, with faults on request.
//!
//! Start reading at [`script`] (how the containers of an image behave), then [`world::World`] (what
//! there is: images, containers, volumes, and the events that are due). Two shells use the world:
//! [`ScriptedRuntime`] speaks the engine's actions and inputs for simulations, and
//! [`ScriptedEngine`] implements [`crate::Runtime`] on tokio's clock for load tests.
//!
//! The world outlives its agent, as containers do: after [`ScriptedRuntime::agent_restarted`] the
//! answers under way are lost and everything else goes on.

pub mod actions;
pub mod engine;
pub mod script;
pub mod world;

pub use actions::ScriptedRuntime;
pub use engine::ScriptedEngine;
pub use script::{Faults, ImageScript, Operation};
pub use world::World;

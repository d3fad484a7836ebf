//! Every state that can be reached: of one machine, under every policy, beside an observer that notes what has happened;
//! and of a Pod, with a volume, a kubelet and observers that look step by step.
//!
//! A rule that is broken is printed with a shortest history.

#[path = "model/endings.rs"]
mod endings;
#[path = "model/faults.rs"]
mod faults;
#[path = "model/history.rs"]
mod history;
#[path = "model/machine.rs"]
mod machine;
#[path = "model/policies.rs"]
mod policies;
#[path = "model/search.rs"]
mod search;
#[path = "model/settings.rs"]
mod settings;
#[path = "model/wakes.rs"]
mod wakes;
#[path = "model/world.rs"]
mod world;
#[path = "model/world_main.rs"]
mod world_main;
#[path = "model/world_sidecar.rs"]
mod world_sidecar;
#[path = "model/worlds.rs"]
mod worlds;

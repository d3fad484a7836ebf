//! Every state that can be reached: of one machine, under every policy, beside an observer that notes what has happened;
//! and of a Pod, with a volume, a kubelet and observers that look step by step.
//!
//! A rule that is broken is printed with a shortest history.

#[macro_use]
#[path = "model/every.rs"]
mod every;
#[macro_use]
#[path = "model/listed.rs"]
mod listed;
#[path = "model/controls.rs"]
mod controls;
#[allow(dead_code, reason = "what a model counts is exact")]
#[path = "house/counts.rs"]
mod counts;
#[path = "model/endings.rs"]
mod endings;
#[path = "model/faults.rs"]
mod faults;
#[path = "model/history.rs"]
mod history;
#[path = "model/inevitable.rs"]
mod inevitable;
#[path = "model/machine.rs"]
mod machine;
#[path = "model/pods.rs"]
mod pods;
#[path = "model/policies.rs"]
mod policies;
#[path = "house/policy.rs"]
mod policy;
#[path = "model/readiness.rs"]
mod readiness;
#[path = "model/search.rs"]
mod search;
#[path = "model/settings.rs"]
mod settings;
#[path = "model/wakes.rs"]
mod wakes;
#[path = "model/world.rs"]
mod world;
#[path = "model/world_look.rs"]
mod world_look;
#[path = "model/world_main.rs"]
mod world_main;
#[path = "model/world_promises.rs"]
mod world_promises;
#[path = "model/world_round.rs"]
mod world_round;
#[path = "model/world_sidecar.rs"]
mod world_sidecar;
#[path = "model/worlds.rs"]
mod worlds;

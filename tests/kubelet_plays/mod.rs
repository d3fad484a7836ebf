//! The parts of the simulated kubelet.

mod commands;
pub mod pod;
mod promises;
mod rounds;
pub mod script;
mod slow;

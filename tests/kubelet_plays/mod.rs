//! The parts of the simulated kubelet.

pub mod commands;
pub mod node;
pub mod pod;
mod promises;
mod rounds;
pub mod script;

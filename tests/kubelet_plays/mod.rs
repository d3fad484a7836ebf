//! The parts of the simulated kubelet.

pub mod pod;
mod promises;
pub mod script;
mod slow;
